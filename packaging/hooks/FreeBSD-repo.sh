#!/bin/sh
# A hook of builder-web: puts the FreeBSD package that a build made into a repository of pkg, under a version that tells
# builds apart: <version>.<time of the build>.<SHA-256>.
#
# Environment:
#   REPO        the folder of the repository, with a folder for each ABI in it
#   REPO_KEY    the key that signs it
#
# A build that failed is not published, nor one that began before the one that is: a hook that failed is tried again
# later, and later ones pass it.
#
# Needs: pkg, jq, tar, sqlite3.

set -eu

REPO=${REPO:-/usr/local/www/pkg}
REPO_KEY=${REPO_KEY:-/usr/local/etc/builder-web/repo.key}

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

build_time='' sha256='' path='' package_file='' uuid='' data_dir=''
for argument; do
    case $argument in
        --build-time=*) build_time=${argument#*=} ;;
        --sha256=*) sha256=${argument#*=} ;;
        --uuid=*) uuid=${argument#*=} ;;
        --data-dir=*) data_dir=${argument#*=} ;;
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
case $uuid in
    '') fail 'the option --uuid is missing' ;;
    *[!0-9a-f-]*) fail "this is no UUID: $uuid" ;;
esac
[ -n "$data_dir" ] || fail 'the option --data-dir is missing'
[ -f "$package_file" ] || fail "there is no package $package_file"

# A build that failed may have left a package all the same: its script made it, and then its tests failed.
[ -f "$data_dir/builder.sqlite3" ] || fail "there is no database $data_dir/builder.sqlite3"
result=$(sqlite3 -readonly -batch -noheader -cmd '.timeout 10000' "$data_dir/builder.sqlite3" \
    "SELECT result_code FROM build WHERE uuid = '$uuid'")
[ -n "$result" ] || fail "there is no build $uuid"
if [ "$result" != 0 ]; then
    printf '%s is of a build that failed, and is not published\n' "$path"
    exit 0
fi

for known in "$REPO"/*/All/*."$sha256".pkg; do
    if [ -e "$known" ]; then
        printf '%s is there already\n' "$known"
        # Perhaps because what the repository holds could not be written down the last time.
        pkg repo "${known%/All/*}" "$REPO_KEY"
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

all=$REPO/$abi/All
# A version has no dash: what has one is another package, whose name begins alike.
is_of_this_name() {
    [ -e "$1" ] || return 1
    case ${1#"$all/$name-"} in
        *-*) return 1 ;;
        *) return 0 ;;
    esac
}
for known in "$all/$name"-[0-9]*.pkg; do
    is_of_this_name "$known" || continue
    time=${known%.*.pkg}
    time=${time##*.}
    case $time in
        # It was put there by hand.
        '' | *[!0-9]*) continue ;;
    esac
    if [ "$time" -gt "$build_time" ]; then
        printf '%s is newer, and stays\n' "$known"
        exit 0
    fi
done

jq --arg version "$version" '.version = $version' "$work/root/+MANIFEST" > "$work/manifest"
rm -f "$work/root/+MANIFEST" "$work/root/+COMPACT_MANIFEST"
pkg create -r "$work/root" -M "$work/manifest" -o "$work/new"
made=$work/new/$name-$version.pkg
[ -f "$made" ] || fail "pkg create made no $name-$version.pkg"

mkdir -p "$all"
cp "$made" "$all/.$name-$version.pkg.new"
mv "$all/.$name-$version.pkg.new" "$all/$name-$version.pkg"
for old in "$all/$name"-[0-9]*.pkg; do
    if is_of_this_name "$old" && [ "$old" != "$all/$name-$version.pkg" ]; then
        rm -f "$old"
    fi
done
pkg repo "$REPO/$abi" "$REPO_KEY"
