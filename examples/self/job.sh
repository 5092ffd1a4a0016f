#!/bin/sh
# A job for a farm of builder that builds builder: it takes the sources, makes the packages for Debian and hands them back.
#
# The worker's environment says where the sources are:
#   BUILDER_SOURCE    a folder, a git repository, or a .tar.gz as a path or a URL
#   BUILDER_REVISION  with git: which commit; without it, what the repository has checked out
#   CARGO_NET_OFFLINE true: nothing is fetched; the crates are vendored in the sources, or in CARGO_HOME already
#   CARGO_HOME, RUSTUP_HOME, PATH  as for any build with Rust
#
# The worker's host, or root file system, has Rust, build-essential and dpkg-dev; git for git, curl for URLs.
set -eu

if [ -z "${BUILDER_SOURCE:-}" ]; then
    echo "say where the sources are: BUILDER_SOURCE in the environment of the worker" >&2
    exit 2
fi
here=$PWD
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
export PATH

# What is hidden is not handed back.
mkdir .work
cd .work
echo "== sources: $BUILDER_SOURCE ${BUILDER_REVISION:-}"
case $BUILDER_SOURCE in
    http://*.tar.gz | https://*.tar.gz)
        mkdir builder
        curl --fail --silent --show-error --location "$BUILDER_SOURCE" | tar -xz -C builder --strip-components=1
        ;;
    *.tar.gz)
        mkdir builder
        tar -xzf "$BUILDER_SOURCE" -C builder --strip-components=1
        ;;
    *)
        git clone --quiet "$BUILDER_SOURCE" builder
        git -C builder checkout --quiet "${BUILDER_REVISION:-HEAD}"
        ;;
esac
cd builder

# The time of every file in the packages: that of the commit, which `git archive` gives to each file.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
CARGO_TARGET_DIR=$here/.work/target
export SOURCE_DATE_EPOCH CARGO_TARGET_DIR
echo "== of $(date -u -d "@$SOURCE_DATE_EPOCH")"
rustc --version
cargo xtask dist --only deb

mkdir "$here/packages"
cp dist/*.deb "$here/packages/"
cd "$here"
rm -rf .work
sha256sum packages/*
