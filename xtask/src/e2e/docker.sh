#!/bin/sh
# The story of `cargo xtask e2e docker`. Runs as root in namespaces of its own (mounts, network, processes), so that
# nothing of it is left when it ends: $1 is a folder with `context/bin` and `context/containers`, $2 a Debian root file
# system, and TMPDIR is where jobs have their folders. The last line counts what went wrong.
set -u
folder=$1
rootfs=$2
PATH=$folder/context/bin:$PATH
DOCKER_HOST=unix://$folder/d/socket
bridge=172.17.0.1
remote=$bridge:1234
BUILDER_REMOTE=$remote
export DOCKER_HOST BUILDER_REMOTE
scratch=$folder patience=60 pause=0.2
# shellcheck source=xtask/src/e2e/prelude.sh
. "$folder/prelude.sh"
# shellcheck source=xtask/src/e2e/hostile.sh
. "$folder/hostile.sh"
processes=32 may='io_uring_setup|vsock' shown=$folder/shown secret=$folder/secret
mkdir "$shown"
echo kept >"$shown/kept"
echo TOP-SECRET >"$secret"
# run_worker PLATFORM POLICY LOG [ARGUMENT]…: starts one that takes job after job, as $worker.
run_worker() {
    platform=$1 policy=$folder/$2.toml log=$folder/$3.log
    shift 3
    FROM_OUTSIDE=TOP-SECRET builder-worker "$platform" --loop --config "$policy" --timeout 30s --grace 1s "$@" >"$log" 2>&1 &
    worker=$!
}
stop_worker() {
    kill "$worker"
    wait "$worker" 2>/dev/null
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
await "the server answers on $remote" builder-client info
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
builder-client artifacts "$(uuid_of first)" >"$folder/artifacts" 2>&1
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
read-only = ["$shown"]
[limits]
memory = "96M"
processes = 32
disk = "32M"
[platform.docker-root]
user = "root"
root-writable = true
END
builder-worker check --config "$folder/policy.toml" 2>&1 | quote
run_worker debian-12 policy sandbox --jobs 2
job inside debian-12 'id -u; pwd; touch /usr/x; ls /sys/class/net; grep NoNewPrivs /proc/self/status; echo x > made' \
    'exited 0' 'Read-only file system'
check "its record says in which image" \
    sh -c "builder-client artifacts $(uuid_of inside) | grep -q rootfs-digest"
job status debian-12 'exit 7' 'exited 7'
hostile debian-12
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
builder-client unschedule orphan >/dev/null 2>&1
run_worker debian-12 policy next
await "the next worker removes it" sh -c "! docker inspect $orphan" && ok "the next worker removed it: $(grep -o 'removed the container.*' "$folder/next.log" | cut -c 1-100)"
await "it removes the folder, too" sh -c "! ls -d $TMPDIR/builder-??????" && ok "and its folder"
stop_worker
run_worker docker-root policy docker-root
hostile_root docker-root
stop_worker

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
sed -e 's/"docker"/"podman"/' -e 's/docker-root/podman-root/' -e "s|^image.*|root = \"$rootfs\"|" "$folder/policy.toml" >"$folder/podman.toml"
builder-worker check --config "$folder/podman.toml" 2>&1 | quote
run_worker podman podman podman --jobs 2
job podman-inside podman 'id -u; touch /usr/x; ls /sys/class/net; echo x > made' 'exited 0' 'Read-only file system'
# Debian's filter for podman is another one.
may='a user namespace|keyctl|vsock'
hostile podman
stop_worker
run_worker podman-root podman podman-root
hostile_root podman-root
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
