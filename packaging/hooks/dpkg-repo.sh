#!/bin/sh
# A hook of builder-web: puts the Debian package that a build made into an aptly repository with the name of the
# platform, under a version that tells builds apart: <version>-<time of the build>-<SHA-256>.
#
# Environment:
#   REPO_KEYID          the key that signs the repository
#   REPO_HOME           the home with the configuration of aptly and the keys of gpg
#   REPO_ARCHITECTURES  what is published, such as amd64,arm64; decided once, when the first package comes. Left out, it is
#                       what the packages are for that are there then, or this machine if they are for all
#
# A build that failed is not published, nor one that began before the one that is: a hook that failed is tried again
# later, and later ones pass it.
#
# Needs: aptly, dpkg-deb, sqlite3.

set -eu

# tidy: the home of the user that the original's packages make
HOME=${REPO_HOME:-/home/builder}
export HOME

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

build_time='' sha256='' platform='' path='' package_file='' uuid='' data_dir=''
for argument; do
    case $argument in
        --build-time=*) build_time=${argument#*=} ;;
        --sha256=*) sha256=${argument#*=} ;;
        --platform=*) platform=${argument#*=} ;;
        --uuid=*) uuid=${argument#*=} ;;
        --data-dir=*) data_dir=${argument#*=} ;;
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
case $uuid in
    '') fail 'the option --uuid is missing' ;;
    *[!0-9a-f-]*) fail "this is no UUID: $uuid" ;;
esac
[ -n "$data_dir" ] || fail 'the option --data-dir is missing'
[ -f "$package_file" ] || fail "there is no package $package_file"
[ -n "${REPO_KEYID:-}" ] || fail 'REPO_KEYID does not say which key signs the repository'

# A build that failed may have left a package all the same: its script made it, and then its tests failed.
[ -f "$data_dir/builder.sqlite3" ] || fail "there is no database $data_dir/builder.sqlite3"
result=$(sqlite3 -readonly -batch -noheader -cmd '.timeout 10000' "$data_dir/builder.sqlite3" \
    "SELECT result_code FROM build WHERE uuid = '$uuid'")
[ -n "$result" ] || fail "there is no build $uuid"
if [ "$result" != 0 ]; then
    printf '%s is of a build that failed, and is not published\n' "$path"
    exit 0
fi

name=$(dpkg-deb -f "$package_file" Package)
case $name in
    '' | [!a-z0-9]* | *[!a-z0-9+.-]*) fail "this is no name of a package: $name" ;;
esac
architecture=$(dpkg-deb -f "$package_file" Architecture)
case $architecture in
    '' | *[!a-z0-9-]*) fail "this is no architecture: $architecture" ;;
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

# Takes the place of every other version of the package in the repository.
add() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/builder-web.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    dpkg-deb -R "$package_file" "$work/package"
    control=$work/package/DEBIAN/control
    sed "s/^[Vv]ersion:.*/Version: $version/" "$control" > "$work/control"
    cat "$work/control" > "$control"
    # What is published under a name stays as it is, in every repository: so no other build has this one.
    new=$work/${name}_${version}_$architecture.deb
    dpkg-deb --root-owner-group -b "$work/package" "$new"
    aptly repo remove "$platform" "$name"
    aptly repo add "$platform" "$new"
}

# Whether a build that began later is there. What was put there by hand tells no time.
is_newer_there() {
    pattern=$(printf '%s\n' "$name" | sed 's/\./\\./g')
    times=$(printf '%s\n' "$packages" | sed -n "s/^ *${pattern}_.*-\([0-9]\{14\}\)-[0-9a-f]*_[a-z0-9-]*\$/\1/p")
    for time in $times; do
        if [ "$time" -gt "$build_time" ]; then
            return 0
        fi
    done
    return 1
}

packages=$(aptly repo show -with-packages "$platform" 2> /dev/null) ||
    aptly repo create "-distribution=$platform" "$platform"
case $packages in
    # It may be there because it could not be published the last time.
    *"$sha256"*) printf '%s is in the repository %s already\n' "$sha256" "$platform" ;;
    *)
        if is_newer_there; then
            printf 'a newer %s is in the repository %s, and stays\n' "$name" "$platform"
            exit 0
        fi
        add
        ;;
esac

if aptly publish show "$platform" > /dev/null 2>&1; then
    aptly publish update "-gpg-key=$REPO_KEYID" "$platform"
else
    architectures=${REPO_ARCHITECTURES:-}
    if [ -z "$architectures" ] && [ "$architecture" = all ]; then
        # On FreeBSD it has the system in front.
        architectures=$(dpkg --print-architecture | sed 's/.*-//')
    fi
    aptly publish repo "-architectures=$architectures" "-gpg-key=$REPO_KEYID" "$platform"
fi
published=$(aptly publish show "$platform" | sed -n 's/^Architectures: *//p' | tr ',' ' ')
case " $published all " in
    *" $architecture "*) ;;
    *) fail "$platform is published for $published only, not for $architecture: aptly publish drop $platform, and once more" ;;
esac
