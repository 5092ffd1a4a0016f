#!/bin/sh
# A hook of builder-web: puts the Debian package that a build made into an aptly repository with the name of the
# platform, under a version that tells builds apart: <version>-<time of the build>-<SHA-256>.
#
# Environment:
#   REPO_KEYID  the key that signs the repository
#   REPO_HOME   the home with the configuration of aptly and the keys of gpg
#
# Needs: aptly, dpkg-deb.

set -eu

# tidy: the home of the user that the original's packages make
HOME=${REPO_HOME:-/home/builder}
export HOME

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

build_time='' sha256='' platform='' path='' package_file=''
for argument; do
    case $argument in
        --build-time=*) build_time=${argument#*=} ;;
        --sha256=*) sha256=${argument#*=} ;;
        --platform=*) platform=${argument#*=} ;;
        --main-binary-filepath=*) path=${argument#*=} ;;
        --*) ;;
        *) package_file=$argument ;;
    esac
done
case $path in
    *.deb) ;;
    *) exit 0 ;;
esac
case $build_time in '' | *[!0-9]*) fail "--build-time is no time: $build_time" ;; esac
case $sha256 in '' | *[!0-9a-f]*) fail "--sha256 is no digest: $sha256" ;; esac
case $platform in
    '' | -* | .* | *[!A-Za-z0-9._+-]*) fail "--platform cannot be the name of a repository: $platform" ;;
esac
[ -f "$package_file" ] || fail "there is no package $package_file"
[ -n "${REPO_KEYID:-}" ] || fail 'REPO_KEYID does not say which key signs the repository'

is_there=yes
packages=$(aptly repo show -with-packages "$platform" 2> /dev/null) || is_there=no
case $packages in
    *"$sha256"*)
        printf '%s is in the repository %s already\n' "$sha256" "$platform"
        exit 0
        ;;
esac

name=$(dpkg-deb -f "$package_file" Package)
case $name in
    '' | [!a-z0-9]* | *[!a-z0-9+.-]*) fail "this is no name of a package: $name" ;;
esac
version=$(dpkg-deb -f "$package_file" Version)
is_version() {
    printf '%s\n' "$version" | grep -Eq "^[0-9]+\\.[0-9]+\\.[0-9]+$1\$"
}
if is_version ''; then
    version=$version-0-g0000000
elif ! is_version '-[0-9]+-g[0-9a-fA-F]+'; then
    fail "the version of $name is neither X.Y.Z nor X.Y.Z-N-gHASH: $version"
fi
version=$version-$build_time-$sha256

work=$(mktemp -d "${TMPDIR:-/tmp}/builder-web.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
dpkg-deb -R "$package_file" "$work/package"
control=$work/package/DEBIAN/control
sed "s/^[Vv]ersion:.*/Version: $version/" "$control" > "$work/control"
cat "$work/control" > "$control"
dpkg-deb --root-owner-group -b "$work/package" "$work/$name.deb"

if [ "$is_there" = no ]; then
    aptly repo create "-distribution=$platform" "$platform"
fi
aptly repo remove "$platform" "$name"
aptly repo add "$platform" "$work/$name.deb"
if aptly publish show "$platform" > /dev/null 2>&1; then
    aptly publish update "-gpg-key=$REPO_KEYID" "$platform"
else
    aptly publish repo "-gpg-key=$REPO_KEYID" "$platform"
fi
