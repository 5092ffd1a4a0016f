#!/bin/sh
# A hook of builder-web: draws what a build was made from, and what its main binary is made of.
#
# Writes CACHE/dependencies_V/<sha256 of opam-switch>.html with opam-graph, and CACHE/treemap_V/<sha256 of the debug
# binary>.html with modulectomy, V being the version of the tool. What is there already is kept.
#
# Needs: sqlite3, opam-graph, and, for builds with a debug binary, modulectomy.

set -eu

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

uuid='' data_dir='' cache_dir=''
for argument; do
    case $argument in
        --uuid=*) uuid=${argument#*=} ;;
        --data-dir=*) data_dir=${argument#*=} ;;
        --cache-dir=*) cache_dir=${argument#*=} ;;
        # Another builder-web may say more.
        *) ;;
    esac
done
[ -n "$data_dir" ] || fail 'the option --data-dir is missing'
[ -n "$cache_dir" ] || fail 'the option --cache-dir is missing'
case $uuid in
    '') fail 'the option --uuid is missing' ;;
    *[!0-9a-f-]*) fail "this is no UUID: $uuid" ;;
esac

database=$data_dir/builder.sqlite3
[ -f "$database" ] || fail "there is no database $database"
query() {
    sqlite3 -readonly -batch -noheader -cmd '.timeout 10000' "$database" "$1"
}
application=$(query 'PRAGMA application_id')
version=$(query 'PRAGMA user_version')
[ "$application" = 1234839235 ] || fail "$database is of application $application, not 1234839235"
[ "$version" = 18 ] || fail "$database is of version $version, not 18"

# The base name of the main binary: what is behind its last slash.
base_name="substr(m.filepath, length(rtrim(m.filepath, replace(m.filepath, '/', ''))) + 1)"
main_bytes=$(query "SELECT m.size FROM build b JOIN build_artifact m ON m.id = b.main_binary WHERE b.uuid = '$uuid'")
[ -n "$main_bytes" ] || fail "there is no build $uuid with a main binary"
switch=$(query "SELECT lower(hex(a.sha256)) FROM build b JOIN build_artifact a ON a.build = b.id
    WHERE b.uuid = '$uuid' AND a.filepath = 'opam-switch'")
debug=$(query "SELECT lower(hex(a.sha256)) FROM build b JOIN build_artifact m ON m.id = b.main_binary
    JOIN build_artifact a ON a.build = b.id WHERE b.uuid = '$uuid' AND a.filepath LIKE '%.debug'
    ORDER BY a.filepath = $base_name || '.debug' DESC, a.filepath LIMIT 1")

artifact() {
    printf '%s/_artifacts/%.2s/%s' "$data_dir" "$1" "$1"
}

# The version of a tool, which names the folder of what it makes.
version_of() {
    found=$("$1" --version) || fail "cannot ask $1 for its version; is it installed?"
    case $found in
        '' | *[!0-9]*) fail "$1 --version gives no plain number: $found" ;;
    esac
    printf '%s' "$found"
}

temporary=''
trap '[ -z "$temporary" ] || rm -f "$temporary"' EXIT
trap 'exit 1' HUP INT TERM

# Makes a file of what a tool prints, whole or not at all: make KIND DIGEST TOOL ARGUMENTS...
make() {
    version=$(version_of "$3") || return 1
    folder=${cache_dir}/$1_$version
    target=$folder/$2.html
    shift 2
    if [ -s "$target" ]; then
        return 0
    fi
    mkdir -p "$folder" || return 1
    temporary=$(mktemp "$folder/.new.XXXXXX") || return 1
    if "$@" > "$temporary" && [ -s "$temporary" ] && chmod 644 "$temporary" && mv "$temporary" "$target"; then
        temporary=''
    else
        rm -f "$temporary"
        temporary=''
        printf '%s: this made nothing: %s\n' "${0##*/}" "$*" >&2
        return 1
    fi
}

status=0
if [ -n "$switch" ]; then
    make dependencies "$switch" opam-graph --output-format=html "$(artifact "$switch")" || status=1
fi
if [ -n "$debug" ]; then
    make treemap "$debug" modulectomy --robur-defaults "--with-scale=$main_bytes" "$(artifact "$debug")" || status=1
fi
exit "$status"
