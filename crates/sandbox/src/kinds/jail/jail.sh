#!/bin/sh
# What the jail of a job needs before and after it that a list of commands cannot say. Run by a supervisor, as root.
#
#   begin JAILS NAME DATASET ADDRESS  take away what dead workers left, and make the folder of this job
#   furnish ROOT HOSTNAME NETWORK     a user, names and, with the network `on`, a resolver in a clone
#   end JAILS NAME DATASET            take away all of this job: safe to repeat, whatever is there
#
# JAILS is the folder with a folder for each jail; DATASET is its clone, and ADDRESS the INTERFACE/IP that jail(8) adds, or
# `-` where it has none. Nothing is ever removed by walking down a tree: a mount that could not be taken away would lose
# what lies behind it.

set -u

tell() {
    logger -t builder_worker "$1"
    printf '%s\n' "$1" >&2
}

# The mounts below the folder of a jail, the deepest ones first.
mounts() {
    mount -p | awk -v below="$jails/$1/" 'index($2, below) == 1 { print $2 }' | sort -r
}

# Whether the interface of an address has it.
has_address() {
    ifconfig "${1%%/*}" 2>/dev/null | awk -v ip="${1#*/}" '
        $1 == "inet" || $1 == "inet6" { sub(/%.*/, "", $2); if ($2 == ip) found = 1 }
        END { exit !found }'
}

# Whether a jail of ours counts on an address, but for the one that is named behind it.
is_wanted() {
    for other in "$jails"/*/owner; do
        if [ -f "$other" ] && [ "$other" != "$jails/${2:-}/owner" ] && read -r _ _ theirs < "$other"; then
            [ "${theirs:-}" != "$1" ] || return 0
        fi
    done
    return 1
}

# What jail(8) added for a jail that ended by itself.
give_back_address() {
    [ -f "$jails/$1/owner" ] && read -r _ _ address < "$jails/$1/owner" || return 0
    case ${address:--} in
        -) return 0 ;;
        *:*) family=inet6 length=128 ;;
        *) family=inet length=32 ;;
    esac
    if is_wanted "$address" "$1" || ! has_address "$address"; then
        return 0
    fi
    ifconfig "${address%%/*}" "$family" "${address#*/}" -alias || tell "cannot take away the address $address"
    # Another jail may have found it there a moment ago.
    if is_wanted "$address" "$1"; then
        ifconfig "${address%%/*}" "$family" "${address#*/}/$length" alias || tell "cannot add the address $address"
    fi
}

take_away() {
    if jls -j "$1" jid >/dev/null 2>&1; then
        jail -q -R "$1" || tell "cannot remove the jail $1"
    fi
    give_back_address "$1"
    # A job without limits has no rules.
    rctl -r "jail:$1" >/dev/null 2>&1 || :
    for place in $(mounts "$1"); do
        umount -f "$place" || tell "cannot unmount $place"
    done
    if [ -n "$(mounts "$1")" ]; then
        return 1
    fi
    if [ "$2" != - ] && zfs list -H -o name "$2" >/dev/null 2>&1; then
        zfs destroy -f "$2" || {
            tell "cannot destroy the clone $2"
            return 1
        }
    fi
    for folder in "$jails/$1/root" "$jails/$1"; do
        rm -f "$folder/owner"
        [ ! -d "$folder" ] || rmdir "$folder" || return 1
    done
}

# A jail belongs to the supervisor that made it; when that is gone, nobody needs it.
sweep() {
    for owner in "$jails"/*/owner; do
        [ -f "$owner" ] || continue
        read -r process clone _ < "$owner" || continue
        case $process in
            '' | *[!0-9]*) ;;
            *)
                case $(ps -o comm= -p "$process") in
                    builder*) continue ;;
                esac
                ;;
        esac
        left=${owner%/owner}
        left=${left##*/}
        # Another worker may be at it at the same time: this job does not depend on it.
        if take_away "$left" "${clone:--}"; then
            tell "took away the jail $left of a worker that was killed"
        else
            tell "cannot take away all of the jail $left"
        fi
    done
}

case $1 in
    begin)
        jails=$2
        sweep
        # One that is there and that no jail of ours counts on is the host's, and stays.
        if [ "$5" != - ] && has_address "$5" && ! is_wanted "$5"; then
            set -- "$1" "$2" "$3" "$4" -
        fi
        mkdir -p "$jails/$3/root" && printf '%s %s %s\n' "$PPID" "$4" "$5" > "$jails/$3/owner"
        ;;
    furnish)
        root=$2
        pw -R "$root" groupshow build >/dev/null 2>&1 || pw -R "$root" groupadd -n build -g 1000 || exit 1
        pw -R "$root" usershow build >/dev/null 2>&1 ||
            pw -R "$root" useradd -n build -u 1000 -g build -c build -d /build -s /bin/sh || exit 1
        printf '::1 localhost %s\n127.0.0.1 localhost %s\n' "$3" "$3" > "$root/etc/hosts" || exit 1
        if [ "$4" = on ] && [ -f /etc/resolv.conf ]; then
            cp /etc/resolv.conf "$root/etc/resolv.conf"
        fi
        ;;
    end)
        jails=$2
        take_away "$3" "$4"
        ;;
    *)
        echo "usage: begin|furnish|end" >&2
        exit 2
        ;;
esac
