#!/bin/sh
# The story of `cargo xtask e2e docker`. Runs as root in namespaces of its own (mounts, network, processes), so that
# nothing of it is left when it ends: $1 is a folder with `context/bin` and `context/containers`, $2 a Debian root file
# system, and TMPDIR is where jobs have their folders. The last line counts what went wrong.
set -u
folder=$1
rootfs=$2
failed=0
PATH=$folder/context/bin:$PATH
DOCKER_HOST=unix://$folder/d/socket
export DOCKER_HOST
bridge=172.17.0.1
remote=$bridge:1234

say() { echo "$*"; }
ok() { say "  ok    $*"; }
bad() {
    say "  FAIL  $*"
    failed=$((failed + 1))
}
quote() { sed 's/^/        | /'; }
# check WHAT COMMAND…
check() {
    what=$1
    shift
    if "$@" >"$folder/output" 2>&1; then ok "$what"; else
        bad "$what: $*"
        quote <"$folder/output"
    fi
}
# await WHAT COMMAND…: until it succeeds, for a minute at most.
await() {
    what=$1
    shift
    tries=0
    until "$@" >"$folder/output" 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ]; then
            bad "in vain: $what"
            quote <"$folder/output"
            return 1
        fi
        sleep 0.2
    done
}
client() { builder-client -r $remote "$@"; }
uuid_of() { client builds --job "$1" --format json | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p' | head -n 1; }
ended() { [ -n "$(uuid_of "$1")" ]; }
outcome_says() { client log "$(uuid_of "$1")" 2>/dev/null | tail -n 1 | grep -qF -- "$2"; }
schedule() {
    printf '%s\n' "$3" >"$folder/$1.sh"
    check "job $1 is scheduled" client schedule "$1" "$2" "$folder/$1.sh" --period never
}
# job NAME PLATFORM SCRIPT OUTCOME [LINE]
job() {
    printf '%s\n' "$3" >"$folder/$1.sh"
    client schedule "$1" "$2" "$folder/$1.sh" --period never >"$folder/output" 2>&1 || bad "cannot schedule $1"
    await "job $1 ends" ended "$1" || return
    client log "$(uuid_of "$1")" >"$folder/console" 2>&1
    if tail -n 1 "$folder/console" | grep -qF -- "$4" && { [ -z "${5-}" ] || grep -q -- "$5" "$folder/console"; }; then
        ok "job $1: $(tail -n 1 "$folder/console")"
    else
        bad "job $1: expected \"$4\"${5:+ and a line like \"$5\"}, and saw"
        tail -n 20 "$folder/console" | quote
    fi
}
containers() { docker ps --all --quiet "$@"; }
no_job_containers() { [ -z "$(containers --filter label=builder.worker)" ]; }

say "docker, by hand: a daemon of our own in a network of its own"
ip link set lo up
mkdir -p "$folder/d"
dockerd --data-root "$folder/d/data" --exec-root "$folder/d/exec" --pidfile "$folder/d/pid" -H "$DOCKER_HOST" \
    --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --storage-driver overlay2 \
    >"$folder/dockerd.log" 2>&1 &
daemon=$!
await "docker answers" docker info || { say "story: 1 failed"; exit 1; }
ok "$(docker info --format 'docker {{.ServerVersion}}, control groups of version {{.CgroupVersion}}')"
check "a Debian root file system becomes the image debian:12" \
    sh -c "tar -C '$rootfs' -cf - . | docker import - debian:12"
for name in worker all-in-one; do
    check "docker build of packaging/containers/$name.Dockerfile, without any network" \
        docker build --network none --build-arg BASE=debian:12 -f "$folder/context/containers/$name.Dockerfile" \
        -t "builder-$name:debian-12" "$folder/context"
done

say "the server on the bridge of docker, workers in containers, one job a container"
mkdir -p "$folder/server/data" "$folder/server/config"
builder-server --ip $bridge --port 1234 --dir "$folder/server/data" --config-dir "$folder/server/config" \
    >"$folder/server.log" 2>&1 &
server=$!
await "the server answers on $remote" client info
# What the unit packaging/containers/builder-worker-docker@.service does, by hand: always again.
image=$(docker image inspect --format '{{.Id}}' builder-worker:debian-12)
(
    while [ ! -e "$folder/stop" ]; do
        docker run --rm --name builder-worker-debian-12 --memory 1g --memory-swap 1g --pids-limit 512 \
            --security-opt no-new-privileges "$image" debian-12 --remote $remote --rootfs-digest "$image"
        sleep 0.2
    done
) >"$folder/worker.log" 2>&1 &
loop=$!
job first debian-12 'cat /etc/debian_version; hostname > host.txt; echo "made in a container" > made.txt' 'exited 0' '^12'
job second debian-12 'hostname > host.txt' 'exited 0'
client artifacts "$(uuid_of first)" >"$folder/artifacts" 2>&1
check "its artifacts arrived: $(tr '\n' ' ' <"$folder/artifacts" | tr -s ' ' | cut -c 1-100)" \
    grep -q "$(echo 'made in a container' | sha256sum | cut -c 1-16)" "$folder/artifacts"
mkdir -p "$folder/one" "$folder/two"
builder-inspect "$folder/server/data/first/$(uuid_of first)/full" --output "$folder/one" >/dev/null
builder-inspect "$folder/server/data/second/$(uuid_of second)/full" --output "$folder/two" >/dev/null
one=$(cat "$folder/one/host.txt")
two=$(cat "$folder/two/host.txt")
check "each job had a container of its own: $one, $two" [ "$one" != "$two" ]
check "the record says of which image: $image" [ "$(cat "$folder/one/rootfs-digest")" = "$image" ]
schedule stopped debian-12 'echo begun; if [ -e /nowhere ]; then exit 1; fi; sleep 3; echo ended'
await "job stopped begins" grep -q "stopped on debian-12 begins" "$folder/server.log"
check "docker stop ends a worker in mid-build" docker stop -t 30 builder-worker-debian-12
await "job stopped ends on the next one" ended stopped
check "the build ran again, whole" outcome_says stopped 'exited 0'
check "that was its second attempt" grep -q "stopped on debian-12 begins.*attempt=2" "$folder/server.log"
touch "$folder/stop"
docker stop -t 30 builder-worker-debian-12 >/dev/null 2>&1
wait $loop

say "the worker's own sandbox \"container\", against the same docker"
cat >"$folder/policy.toml" <<END
sandbox = "container"
engine = "docker"
image = "debian:12"
[limits]
memory = "96M"
processes = 32
disk = "32M"
END
builder-worker check --config "$folder/policy.toml" 2>&1 | quote
builder-worker debian-12 --remote $remote --loop --config "$folder/policy.toml" --timeout 15s --grace 1s \
    >"$folder/sandbox.log" 2>&1 &
worker=$!
job inside debian-12 'id -u; pwd; touch /usr/x; ls /sys/class/net; grep NoNewPrivs /proc/self/status; echo x > made' \
    'exited 0' 'Read-only file system'
job status debian-12 'exit 7' 'exited 7'
job memory debian-12 'tail /dev/zero; echo survived; sleep 1000' 'execution aborted: memory limit 96 MiB reached'
job processes debian-12 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000' \
    'execution aborted: process limit 32 reached, then exited 2' 'process limit 32 reached: '
job fork-bomb debian-12 'bomb() { bomb | bomb & }; bomb; sleep 3; exit 1' \
    'execution aborted: process limit 32 reached' 'process limit 32 reached: '
job disk debian-12 'while :; do i=$((i+1)); head -c 1M /dev/zero > file$i; done' \
    'execution aborted: disk limit 32 MiB reached'
job stubborn debian-12 'trap "" TERM; while :; do sleep 1; done' 'execution aborted: timeout'
job daemon debian-12 'setsid sh -c "trap \"\" TERM; sleep 1000" & sleep 0.2; exit 0' 'exited 0'
job escape debian-12 'try() { if sh -c "$2" >/dev/null 2>&1; then echo "GOT $1"; fi; }
try secrets "cat /etc/shadow || ls /run/docker.sock /var/run/docker.sock"
try files "touch /x || touch /usr/x || touch /etc/x"
try devices "mknod /build/dev b 8 0"
try mounts "mount -t tmpfs none /mnt"
try namespaces "unshare --user true"
try limits "echo 999 >/sys/fs/cgroup/pids/pids.max || echo 999 >/sys/fs/cgroup/pids.max"
try settings "echo 1 >/proc/sys/kernel/panic"
try network "ls /sys/class/net | grep -v lo"
try first-process "kill -KILL 1; sleep 0.3; ! kill -0 1"
ln -s /etc/shadow shadow; mkfifo fifo; mkdir -m 0 closed; echo x >artifact; echo tried everything' \
    'exited 0' '^tried everything'
check "and got nowhere" sh -c "! grep GOT '$folder/console'"
job after-all-that debian-12 'echo fine' 'exited 0'
await "no container of a job is left" no_job_containers && ok "no container of a job is left"

say "a worker and its supervisor are killed in mid-build"
schedule orphan debian-12 'if [ -e /tmp/x ]; then exit 0; fi; sleep 1000'
await "job orphan runs in a container" sh -c '[ -n "$(docker ps -q --filter label=builder.worker)" ]'
orphan=$(containers --filter label=builder.worker)
supervisors=$(grep -l '^builder-superv' /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3)
# shellcheck disable=SC2086 # it is a list
kill -KILL "$worker" $supervisors
await "its container ends, because its input does" sh -c "[ \"\$(docker inspect -f '{{.State.Status}}' $orphan)\" = exited ]" &&
    ok "its container ended by itself, because the input that the supervisor held did"
client unschedule orphan >/dev/null 2>&1
builder-worker debian-12 --remote $remote --loop --config "$folder/policy.toml" --timeout 15s >"$folder/next.log" 2>&1 &
worker=$!
await "the next worker removes it" sh -c "! docker inspect $orphan" && ok "the next worker removed it: $(grep -o 'removed the container.*' "$folder/next.log" | cut -c 1-100)"
await "it removes the folder, too" sh -c "! ls -d $TMPDIR/builder-??????" && ok "and its folder"

kill "$worker"
wait "$worker" 2>/dev/null

say "the same by podman, which needs no daemon, in a root file system instead of an image"
mkdir -p "$folder/podman"
cat >"$folder/podman/containers.conf" <<END
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
cat >"$folder/podman/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$folder/podman/storage"
runroot = "$folder/podman/run"
END
export CONTAINERS_CONF="$folder/podman/containers.conf" CONTAINERS_STORAGE_CONF="$folder/podman/storage.conf"
sed -e 's/docker/podman/' -e "s|^image.*|root = \"$rootfs\"|" "$folder/policy.toml" >"$folder/podman.toml"
builder-worker check --config "$folder/podman.toml" 2>&1 | quote
builder-worker podman --remote $remote --loop --config "$folder/podman.toml" --timeout 15s --grace 1s \
    >"$folder/podman.log" 2>&1 &
worker=$!
job podman-inside podman 'id -u; touch /usr/x; ls /sys/class/net; echo x > made' 'exited 0' 'Read-only file system'
job podman-memory podman 'tail /dev/zero; sleep 1000' 'execution aborted: memory limit 96 MiB reached'
job podman-processes podman 'while :; do sleep 1000 & done' \
    'execution aborted: process limit 32 reached, then exited 2' 'process limit 32 reached: '
job podman-disk podman 'while :; do i=$((i+1)); head -c 1M /dev/zero > file$i; done' \
    'execution aborted: disk limit 32 MiB reached'
job podman-stubborn podman 'trap "" TERM; while :; do sleep 1; done' 'execution aborted: timeout'
await "no container of podman is left" sh -c '[ -z "$(podman ps --all --quiet)" ]' && ok "no container of podman is left"

say "all in one container"
docker run --detach --name farm --network none builder-all-in-one:debian-12 >/dev/null
await "it answers" docker exec farm builder-client info
check "a job is scheduled in it" docker exec farm sh -c \
    'echo "echo fine" >/tmp/tiny.sh && builder-client schedule tiny debian-12 /tmp/tiny.sh'
await "its build is there" docker exec farm sh -c \
    'builder-client builds --job tiny --format json | grep -q "\"outcome\": *\"exited 0\""' && ok "and is built there"

say "and at the end"
kill "$worker" "$server"
docker rm --force farm >/dev/null 2>&1
wait "$worker" "$server"
await "no container is left" sh -c '[ -z "$(docker ps -aq)" ]' && ok "no container is left"
kill "$daemon"
wait "$daemon"
check "no folder of a job is left" sh -c "! ls -d $TMPDIR/builder-?????? 2>/dev/null"
say "story: $failed failed"
