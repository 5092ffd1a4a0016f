#!/bin/sh
# The story of `cargo xtask e2e cgroup2`, told inside of the machine that it boots: a Debian whose control groups are of
# version 2 only. Runs as root, once, from the disk that is mounted at /e2e; what it prints is shown to whoever started it.
# The last line counts what went wrong.
set -u
failed=0
PATH=/usr/local/bin:$PATH

say() { echo "$*"; }
ok() { say "  ok    $*"; }
bad() {
    say "  FAIL  $*"
    failed=$((failed + 1))
}
# check WHAT COMMAND…
check() {
    what=$1
    shift
    if "$@" >/tmp/output 2>&1; then ok "$what"; else
        bad "$what: $*"
        sed 's/^/        | /' /tmp/output
    fi
}
groups_of_jobs() { find /sys/fs/cgroup -type d -name 'builder-[0-9]*-[0-9]*-[0-9]*-[0-9]*'; }

platform=debian-12
# job NAME SCRIPT OUTCOME [LINE]: runs a script as a job, and holds its outcome, and a line of its console, against what is
# expected.
job() {
    name=$1
    printf '%s\n' "$2" >"/tmp/$name.sh"
    expected=$3
    builder-client schedule "$name" "$platform" "/tmp/$name.sh" --period never >/tmp/output 2>&1 ||
        bad "cannot schedule $name: $(cat /tmp/output)"
    # Each worker does one job, and systemd takes a moment to start the next one.
    tries=0
    build=
    while [ -z "$build" ] && [ $tries -lt 60 ]; do
        tries=$((tries + 1))
        sleep 1
        build=$(builder-client builds --job "$name" --format json | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p')
    done
    builder-client log "$build" >"/tmp/$name.console" 2>&1
    if grep -qF -- "$expected" "/tmp/$name.console" && { [ -z "${4-}" ] || grep -q -- "$4" "/tmp/$name.console"; }; then
        ok "job $name: $(grep -F -- "$expected" "/tmp/$name.console" | tail -n 1)"
    else
        bad "job $name: expected \"$expected\"${4:+ and a line like \"$4\"}, and saw"
        tail -n 20 "/tmp/$name.console" | sed 's/^/        | /'
    fi
    left=$(groups_of_jobs | wc -l)
    # Workers are back and have a group ready for the job that comes next.
    [ "$left" -le 3 ] || bad "$left control groups of jobs are left"
    # shellcheck disable=SC2013 # names of folders in /proc have no blanks
    for process in $(grep -lx sleep /proc/[0-9]*/comm 2>/dev/null); do
        process=${process%/comm}
        # One that is dead and not yet buried is nobody.
        if grep -q '^State:[[:space:]]*[^ZX[:space:]]' "$process/status" 2>/dev/null; then
            bad "a process of job $name is left: $(grep -h '^State\|^PPid\|^NSpid' "$process/status" | tr -s '\n\t' '  ') $(cat "$process/cgroup")"
        fi
    done
}

say "the machine: Linux $(uname -r), $(systemctl --version | head -n 1 | cut -d' ' -f1,2), $(nproc) processors"
check "control groups are of version 2, and of no other: $(stat -fc %T /sys/fs/cgroup)" \
    sh -c '[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && ! mount | grep -q "type cgroup "'

say "server and worker as systemd units, the worker as its own user with Delegate=yes"
useradd --system --home-dir /var/lib/builder --shell /usr/sbin/nologin builder
useradd --system --home-dir /var/lib/builder-worker --shell /usr/sbin/nologin builder-worker
install -d -m 750 -o builder -g builder /var/lib/builder
install -d -m 750 -o builder-worker -g builder-worker /var/lib/builder-worker
install -d -m 755 /etc/builder /usr/local/bin
install -m 755 /e2e/bin/* /usr/local/bin/
install -m 644 /e2e/units/* /run/systemd/system/
install -m 644 /e2e/builder-worker.toml /etc/builder/
systemctl daemon-reload
check "the server starts" systemctl start builder-server.service
check "the worker starts" systemctl start builder-worker@debian-12.service

say "what the worker says of its host"
systemd-run --quiet --pipe --wait --uid=builder-worker --property=Delegate=yes builder-worker check 2>&1 | sed 's/^/        | /'
say "and what it says where its unit gives it no groups of its own"
systemd-run --quiet --pipe --wait --uid=builder-worker builder-worker check 2>&1 | sed 's/^/        | /'

say "jobs"
job fine 'echo made > made.txt; exit 0' 'exited 0'
job memory 'echo eating; tail /dev/zero; echo survived; sleep 1000' 'execution aborted: memory limit 96 MiB reached' eating
job memory-of-a-child '(tail /dev/zero); sleep 1000' 'execution aborted: memory limit 96 MiB reached'
job processes 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000' \
    'execution aborted: process limit 64 reached, then exited 2' 'process limit 64 reached: '
job fork-bomb 'bomb() { bomb | bomb & }; bomb; sleep 5; exit 1' \
    'execution aborted: process limit 64 reached' 'process limit 64 reached: '
job disk 'i=0; while :; do head -c 1M /dev/zero > file$i; i=$((i+1)); done' 'execution aborted: disk limit 32 MiB reached'
job one-file 'head -c 1G /dev/zero > file' 'execution aborted: disk limit 32 MiB reached'
job setuid 'cp /bin/true program; chmod 6755 program; stat -c %a program' 'exited 0' '^6755'
job after-all-that 'cat /proc/self/cgroup; exit 0' 'exited 0'
check "the worker was never restarted by a failure" \
    sh -c '! journalctl -u builder-worker@debian-12 -o cat | grep -q "Failed with result"'

say "the same limits in bubblewrap, by the same unit, and in systemd-nspawn, by a worker that is root"
mkdir -p /rootfs
mount --bind / /rootfs
check "a worker for bubblewrap starts" systemctl start builder-worker@bubblewrap.service
check "a worker for nspawn starts" systemd-run --quiet --unit=worker-nspawn --property=Delegate=yes \
    builder-worker nspawn --loop
for platform in bubblewrap nspawn; do
    job $platform-fine 'id; cat /proc/self/cgroup; echo made > made.txt; exit 0' 'exited 0' "sandbox $platform"
    job $platform-setuid 'cp /bin/true program; chmod 6755 program; stat -c %a program' 'exited 0' '^6755'
    job $platform-memory 'tail /dev/zero; sleep 1000' 'execution aborted: memory limit 96 MiB reached'
    job $platform-processes 'while :; do sleep 1000 & done' \
        'execution aborted: process limit 64 reached, then exited 2' 'process limit 64 reached: '
    job $platform-disk 'while :; do i=$((i+1)); head -c 1M /dev/zero > file$i; done' \
        'execution aborted: disk limit 32 MiB reached'
done
journalctl -o cat -u builder-worker@bubblewrap -u worker-nspawn | grep -m 3 -A 3 -i "cannot\|error" | sed 's/^/        | /'

say "what the kernel said"
dmesg | grep -E 'oom-kill:|Memory cgroup out of memory' | sed 's/^/        | /' | cut -c 1-200 | tail -n 4
check "the kernel killed in the group of the job, not in the system" \
    sh -c 'dmesg | grep -q "constraint=CONSTRAINT_MEMCG" && ! dmesg | grep -q "constraint=CONSTRAINT_NONE"'

say "and at the end"
systemctl stop 'builder-worker@*' worker-nspawn builder-server
check "no control group of a job is left" sh -c "[ -z \"$(groups_of_jobs)\" ]"
check "no folder of a job is left" sh -c '! ls -d /tmp/systemd-private-*builder-worker*/tmp/builder-* 2>/dev/null'
if [ "$failed" -gt 0 ]; then
    journalctl -b -o short-monotonic -u 'builder-*' --no-pager | tail -n 60
fi
say "story: $failed failed"
