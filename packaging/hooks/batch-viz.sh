#!/bin/sh
# Draws all visualizations that are missing, after opam-graph or modulectomy came in a new version; then removes those
# of older versions.
#
#   batch-viz.sh --data-dir=DIR [--cache-dir=DIR] [--viz-script=FILE] [--ignore-done]
#
# Needs: sqlite3, opam-graph, modulectomy, and the hook visualizations.sh.

set -eu

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

data_dir='' cache_dir='' viz_script=./visualizations.sh ignore_done=no
for argument; do
    case $argument in
        --data-dir=*) data_dir=${argument#*=} ;;
        --cache-dir=*) cache_dir=${argument#*=} ;;
        --viz-script=*) viz_script=${argument#*=} ;;
        --ignore-done) ignore_done=yes ;;
        *) ;;
    esac
done
[ -n "$data_dir" ] || fail 'the option --data-dir is missing'
[ -n "$cache_dir" ] || cache_dir=$data_dir/_cache
[ -x "$viz_script" ] || fail "there is no program $viz_script; --viz-script says where it is"

database=$data_dir/builder.sqlite3
[ -f "$database" ] || fail "there is no database $database"
query() {
    sqlite3 -readonly -batch -noheader -cmd '.timeout 10000' "$database" "$1"
}
application=$(query 'PRAGMA application_id')
version=$(query 'PRAGMA user_version')
[ "$application" = 1234839235 ] || fail "$database is of application $application, not 1234839235"
[ "$version" -ge 16 ] || fail "$database is of version $version, older than 16"

version_of() {
    found=$("$1" --version) || fail "cannot ask $1 for its version; is it installed?"
    case $found in
        '' | *[!0-9]*) fail "$1 --version gives no plain number: $found" ;;
    esac
    printf '%s' "$found"
}
dependencies_version=$(version_of opam-graph)
treemap_version=$(version_of modulectomy)
dependencies=$cache_dir/dependencies_$dependencies_version
treemap=$cache_dir/treemap_$treemap_version
if [ "$ignore_done" = no ] && [ -e "$dependencies/.done" ] && [ -e "$treemap/.done" ]; then
    exit 0
fi

list=$(mktemp "${TMPDIR:-/tmp}/builder-web.XXXXXX")
trap 'rm -f "$list"' EXIT
trap 'exit 1' HUP INT TERM

# One build for each content is enough.
one_each() {
    printf '%s' "SELECT max(b.id) FROM build b JOIN build_artifact a ON a.build = b.id
        WHERE b.main_binary IS NOT NULL AND $1 GROUP BY a.sha256"
}
query "SELECT uuid FROM build WHERE id IN ($(one_each "a.filepath = 'opam-switch'")
    UNION $(one_each "a.filepath LIKE '%.debug'")) ORDER BY id DESC" > "$list"

failed=0
while IFS= read -r uuid; do
    "$viz_script" "--uuid=$uuid" "--data-dir=$data_dir" "--cache-dir=$cache_dir" < /dev/null || failed=$((failed + 1))
done < "$list"
# Old ones are better than none.
[ "$failed" = 0 ] || fail "$failed builds could not be drawn; older visualizations stay"

mkdir -p "$dependencies" "$treemap"
: > "$dependencies/.done"
: > "$treemap/.done"

# Removes the folders of a kind with lower versions: remove_older KIND VERSION.
remove_older() {
    for folder in "$cache_dir/$1"_*; do
        number=${folder##*_}
        case $number in
            '' | *[!0-9]*) ;;
            *)
                if [ -d "$folder" ] && [ "$number" -lt "$2" ]; then
                    rm -rf "$folder"
                fi
                ;;
        esac
    done
}
remove_older dependencies "$dependencies_version"
remove_older treemap "$treemap_version"
