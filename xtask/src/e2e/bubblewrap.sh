#!/bin/sh
# The story of `cargo xtask e2e bubblewrap`: jobs in a real Debian as their root file system, of workers that are root and
# that are not. Runs as root in an empty folder, with the programs in PATH and the root file systems in $ROOTS; what it
# prints is shown to whoever started it. The last line counts what went wrong.
set -u
failed=0
folder=$PWD
# Whoever has no rights has to get at it, too.
chmod 755 "$folder"
ok() { echo "  ok    $*"; }
bad() {
    echo "  FAIL  $*"
    failed=$((failed + 1))
}

mkdir data config
builder-server --listen 127.0.0.1:0 --dir data --config-dir config 2>server.log &
server=$!
until address=$(sed -n 's/.*listening at \([0-9.:]*\).*/\1/p' server.log | head -n 1) && [ -n "$address" ]; do sleep 0.1; done
export BUILDER_REMOTE="$address"

# worker PLATFORM RUNNER… < POLICY: starts one that takes job after job.
workers=
worker() {
    platform=$1
    shift
    mkdir "$platform"
    chmod 1777 "$platform"
    cat >"$platform.toml"
    "$@" builder-worker "$platform" --loop --config "$folder/$platform.toml" --workdir "$folder/$platform" \
        2>"$platform.log" &
    workers="$workers $!"
}

# job PLATFORM NAME SCRIPT LINE…: runs a script, which has to end as $outcome says, and to print each of these lines.
outcome='exited 0'
patience=300
job() {
    platform=$1 name=$2
    printf '%s\n' "$3" >"$name.sh"
    shift 3
    builder-client schedule "$name" "$platform" "$name.sh" --period never >"$name.said" 2>&1 || bad "schedule $name"
    tries=0
    build=
    while [ -z "$build" ] && [ $tries -lt $patience ]; do
        tries=$((tries + 1))
        sleep 1
        build=$(builder-client builds --job "$name" --format json | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p')
    done
    builder-client log "$build" >"$name.console" 2>&1
    missing=
    for line in "$outcome" "$@"; do grep -qF -- "$line" "$name.console" || missing="$missing \"$line\""; done
    if [ -z "$missing" ]; then ok "$platform: $name"; else
        bad "$platform: $name: nothing like$missing in"
        tail -n 30 "$name.console" | sed 's/^/        | /'
        tail -n 5 "$platform.log" | sed 's/^/        | /'
    fi
}

digest=$(sed -n 's/^digest = "\(.*\)"/\1/p' "$ROOTS/debian-12/current/rootfs.toml")
before=$(find "$ROOTS/debian-12/current/root/" | wc -l)
user="setpriv --reuid 65530 --regid 65530 --clear-groups"
worker root-writes <<POLICY
sandbox = "bubblewrap"
root = "$ROOTS/debian-12"
root-writable = true
user = "root"
network = true
POLICY
worker root-reads <<POLICY
sandbox = "bubblewrap"
root = "$ROOTS/debian-12"
POLICY
# shellcheck disable=SC2086 # a command and its arguments
worker user-reads $user <<POLICY
sandbox = "bubblewrap"
root = "$ROOTS/debian-12"
POLICY
# shellcheck disable=SC2086
worker user-host $user <<POLICY
sandbox = "bubblewrap"
POLICY

job root-writes apt-get 'set -e; id; apt-get update; apt-get install -y --no-install-recommends hello adduser; hello
adduser --system --group somebody; su -s /bin/sh somebody -c id; rm -rf /usr/share/doc; hello >made.txt' \
    'uid=0(root)' 'Hello, world!' '(somebody)' "root file system debian-12 (sha256:$digest), network on"
job root-writes again 'id somebody && exit 1; ls /usr/bin/hello && exit 1; ls /usr/share/doc/adduser /usr/share/doc/apt; exit 0' \
    '/usr/share/doc/apt'
job root-reads fixed 'id; cat /etc/debian_version; touch /usr/x && exit 1; id somebody && exit 1; exit 0' \
    'uid=1000(build)' 'Read-only file system' 'network off'
job user-reads the-same 'id; cat /etc/debian_version; touch /usr/x && exit 1; cat /etc/shadow && exit 1; exit 0' \
    'uid=1000(build)' 'Read-only file system' 'network off'
job user-host programs-of-the-host 'id; echo "int main(void) { return 0; }" >a.c; ls /root /home && exit 1; exit 0' \
    'uid=1000(build)' "the host's programs"
# More than may be collected. To make them, and to take them away, takes a disk some minutes.
outcome='execution aborted: the build left more than 1000000 files or folders' patience=1800
job user-host a-million-files 'perl -e "for my \$d (0..100) { mkdir \$d; for (1..9901) { open(my \$f, q(>), qq(\$d/\$_)) } }"
ls 100 | wc -l' '9901'
outcome='exited 0' patience=900
job user-host after-a-million-files 'echo "there are $(ls -A | wc -l) files"' 'there are 1 files'
patience=300

builder-client artifacts "$(builder-client builds --job fixed --format json | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p')" \
    >artifacts.said 2>&1
if grep -q rootfs-digest artifacts.said; then ok "the record says in which root file system"; else
    bad "no rootfs-digest: $(cat artifacts.said)"
fi
if [ "$(find "$ROOTS/debian-12/current/root/" | wc -l)" = "$before" ]; then ok "the root file system is as it was"; else
    bad "the root file system has changed"
fi
# shellcheck disable=SC2086 # several numbers
kill $workers && wait $workers
for platform in root-writes root-reads user-reads user-host; do
    if [ -n "$(ls "$platform")" ]; then bad "$platform left $(ls "$platform")"; fi
done
kill "$server" && wait "$server"
if grep -l "$folder" /proc/[0-9]*/mountinfo 2>/dev/null; then bad "mounts are left"; else ok "nothing is left"; fi
echo "story: $failed failed"
