# The part of the story of `cargo xtask e2e cgroup2` that has docker and podman; cgroup2.sh reads it in. Docker is started
# by systemd and podman by units, as operations.md and sandboxes.md say, on control groups of version 2 only. /e2e/base
# is a Debian root file system.
# shellcheck shell=sh disable=SC2154,SC2034 # what cgroup2.sh sets, and what others read

# Each container takes seconds on an emulated machine.
patience=300
shown=/srv/shown secret=/srv/secret processes=64 may='a user namespace|keyctl|vsock'
mkdir -p "$shown" /etc/systemd/system/builder-server.socket.d
echo kept >"$shown/kept"
echo TOP-SECRET >"$secret"
# container_worker PLATFORM < DROP-IN: a worker by the unit that is shipped, with what an engine needs; job after job.
container_worker() {
    mkdir "/etc/systemd/system/builder-worker@$1.service.d"
    {
        cat
        echo 'Environment=FROM_OUTSIDE=TOP-SECRET'
        echo 'ExecStart='
        echo "ExecStart=/usr/local/bin/builder-worker %i --remote \${BUILDER_REMOTE} --loop --jobs 2 --timeout 60s --grace 1s"
    } >"/etc/systemd/system/builder-worker@$1.service.d/override.conf"
    systemctl daemon-reload
    check "a worker for $1 starts" systemctl start "builder-worker@$1.service"
    await "it waits for a job" waits "builder-worker@$1" || journalctl -o cat -u "builder-worker@$1" | tail -n 8 | quote
}
waits() { journalctl -o cat -u "$1" | grep -q 'waiting for a job'; }

say "workers in containers: docker by systemd, builder-worker-docker@.service, the server on docker's bridge"
cat >/etc/systemd/system/builder-server.socket.d/override.conf <<END
[Socket]
ListenStream=172.17.0.1:1234
FreeBind=yes
END
systemctl daemon-reload
systemctl stop builder-server.service
systemctl restart builder-server.socket
systemctl start builder-server.service
server=$(systemctl show --property MainPID --value builder-server.service)
# 172.17.0.1:1234, listening, as the kernel writes it.
check "the server listens before docker is there" grep -q ' 010011AC:04D2 00000000:0000 0A ' /proc/net/tcp
# The programs of the package, the image of its Dockerfile.
systemctl start docker.service
await "docker answers" docker info
ok "$(docker info --format 'docker {{.ServerVersion}}, control groups of version {{.CgroupVersion}} by {{.CgroupDriver}}')"
check "a Debian root file system becomes the image debian:12" \
    sh -c 'tar -C /e2e/base -cf - . | docker import - debian:12'
install -D -t /tmp/image/bin /usr/local/bin/builder-worker
check "docker build of worker.Dockerfile" docker build --network none --build-arg BASE=debian:12 \
    -f /e2e/containers/worker.Dockerfile -t builder-worker:contained /tmp/image
systemctl stop docker.socket docker.service
check "the unit starts, and docker before it" systemctl start builder-worker-docker@contained.service
systemctl --quiet enable docker.service builder-server.socket builder-server.service \
    builder-worker-docker@contained.service 2>"$scratch/output"
check "at boot there would be no cycle" \
    sh -c '! systemd-analyze verify default.target 2>&1 | grep cycle'
job contained contained 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; hostname' \
    'exited 0' "^$((4 << 30))$" '^4096$'
job contained-again contained 'hostname' 'exited 0'
check "each job had a container of its own" sh -c \
    "[ \"\$(sed -n 3p $scratch/contained.console)\" != \"\$(sed -n 1p $scratch/contained-again.console)\" ]"
# Long enough for docker to be stopped meanwhile.
slow='echo begun; sleep 40; echo ended'
# twice JOB: whether it ran a second time.
twice() { journalctl -o cat -u builder-server | grep -q "$1 on contained begins.*attempt=2"; }
schedule stopped contained "$slow"
await "job stopped begins" sh -c 'journalctl -o cat -u builder-server | grep -q "stopped on contained begins"'
check "systemctl stop ends it in mid-build" systemctl stop builder-worker-docker@contained.service
check "and leaves no container" sh -c '[ -z "$(docker ps -aq)" ]'
check "systemctl start takes it up again" systemctl start builder-worker-docker@contained.service
outcome stopped 'exited 0' '^ended'
check "that was its second attempt" twice stopped
schedule killed contained "$slow"
await "job killed begins" sh -c 'journalctl -o cat -u builder-server | grep -q "killed on contained begins"'
check "the client of docker is killed in mid-build" \
    systemctl kill --kill-whom main --signal KILL builder-worker-docker@contained.service
outcome killed 'exited 0' '^ended'
check "that was its second attempt, in the next container" twice killed
check "docker is started anew" systemctl restart docker.service
job contained-after-all-that contained 'echo fine' 'exited 0'
check "the unit never failed, but where its client was killed" \
    sh -c '[ "$(journalctl -u builder-worker-docker@contained -o cat | grep -c "Failed with result")" = 1 ]'
check "the unit stops" systemctl stop builder-worker-docker@contained.service

say "the sandbox container with docker, by a worker that is not root"
container_worker docker <<END
[Service]
SupplementaryGroups=docker
Environment=TMPDIR=/var/lib/builder-worker
END
job docker-inside docker 'id -u; cat /sys/fs/cgroup/memory.max; touch /usr/x; echo x >made' \
    'exited 0' '^100663296$' 'Read-only file system' 'sandbox container, image debian:12'
hostile_limits docker
check "its worker stops" systemctl stop builder-worker@docker.service
check "no container is left" sh -c '[ -z "$(docker ps -aq)" ]'
systemctl stop docker.socket docker.service

say "with podman, by a worker that is root, in a root file system"
check "a worker for podman starts" systemd-run --quiet --unit=worker-podman --property=Delegate=yes \
    builder-worker podman --loop --timeout 60s --grace 1s
await "it waits for a job" waits worker-podman
ok "$(podman info --format 'podman {{.Version.Version}}, {{.Host.OCIRuntime.Name}}, control groups {{.Host.CgroupsVersion}} by {{.Host.CgroupManager}}')"
job podman-inside podman 'id -u; cat /sys/fs/cgroup/memory.max; touch /usr/x; echo x >made' \
    'exited 0' '^100663296$' 'Read-only file system' 'sandbox container'
hostile_limits podman
check "its worker stops" systemctl stop worker-podman
check "a worker for podman starts, whose jobs are root" systemd-run --quiet --unit=worker-podman-as-root \
    --property=Delegate=yes builder-worker podman-as-root --loop
hostile_root podman-as-root
check "its worker stops" systemctl stop worker-podman-as-root
check "no container is left" sh -c '[ -z "$(podman ps --all --quiet)" ]'

say "with podman, by the unit that is shipped, without rights of root"
usermod --add-subuids 200000-265535 --add-subgids 200000-265535 builder-worker
loginctl enable-linger builder-worker
user=$(id -u builder-worker)
# What podman as that user needs to know.
as_worker() {
    systemd-run --quiet --pipe --wait --uid=builder-worker --property=WorkingDirectory=/var/lib/builder-worker \
        --setenv=XDG_RUNTIME_DIR="/run/user/$user" --setenv=DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$user/bus" "$@"
}
await "the user has a manager of its own" test -S "/run/user/$user/bus"
tar -C /e2e/base -cf - . | as_worker podman import - debian:12 2>&1 | tail -n 1 | quote
cat >"$scratch/rootless.toml" <<END
sandbox = "container"
engine = "podman"
image = "debian:12"
limits = { memory = "96M", processes = 64 }
END
# Without the manager of its user, podman runs containers without any limit, and says nothing of it.
systemd-run --quiet --pipe --wait --uid=builder-worker --property=WorkingDirectory=/var/lib/builder-worker \
    --setenv=XDG_RUNTIME_DIR=/run/nowhere builder-worker check --config "$scratch/rootless.toml" >"$scratch/refused" 2>&1
check "a worker without it is told that its limits would not be held" \
    grep -q 'memory limit.*missing.*podman cannot hold it' "$scratch/refused"
quote <"$scratch/refused"
container_worker rootless <<END
[Service]
Environment=TMPDIR=/var/lib/builder-worker
Environment=XDG_RUNTIME_DIR=/run/user/$user DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$user/bus
ProtectHome=tmpfs
BindPaths=/run/user/$user
ReadWritePaths=/run/user/$user
NoNewPrivileges=no
ProtectClock=no
ProtectKernelModules=no
END
ok "$(as_worker podman info --format 'podman {{.Version.Version}}, rootless {{.Host.Security.Rootless}}, {{.Host.OCIRuntime.Name}}, control groups by {{.Host.CgroupManager}}, {{.Host.CgroupControllers}}')"
job rootless-inside rootless 'id -u; cat /sys/fs/cgroup/memory.max; touch /usr/x; echo x >made' \
    'exited 0' '^1000$' '^100663296$' 'Read-only file system' 'sandbox container'
hostile rootless
check "its worker stops" systemctl stop builder-worker@rootless.service
left=$(as_worker podman ps --all --quiet)
check "no container is left" [ -z "$left" ]
