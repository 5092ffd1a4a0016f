#!/bin/sh
# A hook of builder-web: puts the FreeBSD package that a build made into a repository of pkg, under a version that tells
# builds apart: <version>.<time of the build>.<SHA-256>.
#
# Environment:
#   REPO        the folder of the repository, with a folder for each ABI in it
#   REPO_KEY    the key that signs it
#
# Needs: pkg, jq, tar.

set -eu

REPO=${REPO:-/usr/local/www/pkg}
REPO_KEY=${REPO_KEY:-/usr/local/etc/builder-web/repo.key}

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

build_time='' sha256='' path='' package_file=''
for argument; do
    case $argument in
        --build-time=*) build_time=${argument#*=} ;;
        --sha256=*) sha256=${argument#*=} ;;
        --main-binary-filepath=*) path=${argument#*=} ;;
        --*) ;;
        *) package_file=$argument ;;
    esac
done
case $path in
    *.pkg) ;;
    *) exit 0 ;;
esac
case $build_time in '' | *[!0-9]*) fail "--build-time is no time: $build_time" ;; esac
case $sha256 in '' | *[!0-9a-f]*) fail "--sha256 is no digest: $sha256" ;; esac
[ -f "$package_file" ] || fail "there is no package $package_file"

for known in "$REPO"/*/All/*."$sha256".pkg; do
    if [ -e "$known" ]; then
        printf '%s is there already\n' "$known"
        exit 0
    fi
done

work=$(mktemp -d "${TMPDIR:-/tmp}/builder-web.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/root" "$work/new"
tar -x -C "$work/root" -f "$package_file"
[ -f "$work/root/+MANIFEST" ] || fail "$path has no +MANIFEST"

field() {
    jq -er ".$1 | strings" "$work/root/+MANIFEST" || fail "the manifest of $path has no $1"
}
name=$(field name)
abi=$(field abi)
version=$(field version)
case $name in
    '' | [-.]* | *[!A-Za-z0-9_+.-]*) fail "this is no name of a package: $name" ;;
esac
case $abi in
    '' | [!A-Za-z]* | *[!A-Za-z0-9_:.-]*) fail "this is no ABI: $abi" ;;
esac
is_version() {
    printf '%s\n' "$version" | grep -Eq "^[0-9]+\\.[0-9]+\\.[0-9]+$1\$"
}
if is_version ''; then
    version=$version.0.g0000000
elif ! is_version '\.[0-9]+\.g[0-9a-fA-F]+'; then
    fail "the version of $name is neither X.Y.Z nor X.Y.Z.N.gHASH: $version"
fi
version=$version.$build_time.$sha256

jq --arg version "$version" '.version = $version' "$work/root/+MANIFEST" > "$work/manifest"
rm -f "$work/root/+MANIFEST" "$work/root/+COMPACT_MANIFEST"
pkg create -r "$work/root" -M "$work/manifest" -o "$work/new"
made=$work/new/$name-$version.pkg
[ -f "$made" ] || fail "pkg create made no $name-$version.pkg"

all=$REPO/$abi/All
mkdir -p "$all"
cp "$made" "$all/.$name-$version.pkg.new"
mv "$all/.$name-$version.pkg.new" "$all/$name-$version.pkg"
for old in "$all/$name"-[0-9]*.pkg; do
    rest=${old#"$all/$name-"}
    case $rest in
        "$version.pkg") ;;
        # A version has no dash: this is another package, whose name begins alike.
        *-*) ;;
        *) rm -f "$old" ;;
    esac
done
pkg repo "$REPO/$abi" "$REPO_KEY"
