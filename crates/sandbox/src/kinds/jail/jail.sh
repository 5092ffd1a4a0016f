#!/bin/sh
# What the jail of a job needs before and after it that a list of commands cannot say. Run by a supervisor, as root.
#
#   begin JAILS NAME DATASET          take away what dead workers left, and make the folder of this job
#   furnish ROOT HOSTNAME NETWORK     a user, names and, with the network `on`, a resolver in a clone
#   end JAILS NAME DATASET            take away all of this job: safe to repeat, whatever is there
#
# JAILS is the folder with a folder for each jail; DATASET is its clone, or `-` where it has none. Nothing is ever removed
# by walking down a tree: a mount that could not be taken away would lose what lies behind it.

set -u

tell() {
    logger -t builder_worker "$1"
    printf '%s\n' "$1" >&2
}

# The mounts below the folder of a jail, the deepest ones first.
mounts() {
    mount -p | awk -v below="$jails/$1/" 'index($2, below) == 1 { print $2 }' | sort -r
}

take_away() {
    if jls -j "$1" jid >/dev/null 2>&1; then
        jail -q -R "$1" || tell "cannot remove the jail $1"
    fi
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
        read -r process clone < "$owner" || continue
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
        mkdir -p "$jails/$3/root" && printf '%s %s\n' "$PPID" "$4" > "$jails/$3/owner"
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
