# The part of the story of `cargo xtask e2e cgroup2` that has the limits of jobs without a sandbox, in bubblewrap and in
# nspawn; cgroup2.sh reads it in.
# shellcheck shell=sh disable=SC2154,SC2317 # what cgroup2.sh sets and calls

after_job() {
    left=$(groups_of_jobs | wc -l)
    # Workers are back and have a group ready for the job that comes next.
    [ "$left" -le 3 ] || bad "$left control groups of jobs are left"
    # shellcheck disable=SC2013 # names of folders in /proc have no blanks
    for process in $(sleepers); do
        process=${process%/comm}
        # One that is dead and not yet buried is nobody.
        if grep -q '^State:[[:space:]]*[^ZX[:space:]]' "$process/status" 2>/dev/null; then
            bad "a process of job $1 is left: $(grep -h '^State\|^PPid\|^NSpid' "$process/status" | tr -s '\n\t' '  ') $(cat "$process/cgroup")"
        fi
    done
}

check "the worker starts" systemctl start builder-worker@debian-12.service

say "what the worker says of its host"
systemd-run --quiet --pipe --wait --uid=builder-worker --property=Delegate=yes builder-worker check 2>&1 | quote
say "and what it says where its unit gives it no groups of its own"
systemd-run --quiet --pipe --wait --uid=builder-worker builder-worker check 2>&1 | quote

say "jobs"
job fine debian-12 'echo made > made.txt; exit 0' 'exited 0'
job memory debian-12 'echo eating; tail /dev/zero; echo survived; sleep 1000' 'execution aborted: memory limit 96 MiB reached' eating
job memory-of-a-child debian-12 '(tail /dev/zero); sleep 1000' 'execution aborted: memory limit 96 MiB reached'
job processes debian-12 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000' \
    'execution aborted: process limit 64 reached, then exited 2' 'process limit 64 reached: '
job fork-bomb debian-12 'bomb() { bomb | bomb & }; bomb; sleep 5; exit 1' \
    'execution aborted: process limit 64 reached' 'process limit 64 reached: '
job disk debian-12 'i=0; while :; do head -c 1M /dev/zero > file$i; i=$((i+1)); done' 'execution aborted: disk limit 32 MiB reached'
job one-file debian-12 'head -c 1G /dev/zero > file' 'execution aborted: disk limit 32 MiB reached'
job setuid debian-12 'cp /bin/true program; chmod 6755 program; stat -c %a program' 'exited 0' '^6755'
job after-all-that debian-12 'cat /proc/self/cgroup; exit 0' 'exited 0'
check "the worker was never restarted by a failure" \
    sh -c '! journalctl -u builder-worker@debian-12 -o cat | grep -q "Failed with result"'

say "the same limits in bubblewrap, by the same unit, and in systemd-nspawn, by a worker that is root"
mkdir -p /rootfs
mount --bind / /rootfs
check "a worker for bubblewrap starts" systemctl start builder-worker@bubblewrap.service
check "a worker for nspawn starts" systemd-run --quiet --unit=worker-nspawn --property=Delegate=yes \
    builder-worker nspawn --loop
for platform in bubblewrap nspawn; do
    job $platform-fine $platform 'id; cat /proc/self/cgroup; echo made > made.txt; exit 0' 'exited 0' "sandbox $platform"
    job $platform-memory $platform 'tail /dev/zero; sleep 1000' 'execution aborted: memory limit 96 MiB reached'
    job $platform-processes $platform 'while :; do sleep 1000 & done' \
        'execution aborted: process limit 64 reached, then exited 2' 'process limit 64 reached: '
    job $platform-disk $platform 'while :; do i=$((i+1)); head -c 1M /dev/zero > file$i; done' \
        'execution aborted: disk limit 32 MiB reached'
    job $platform-setuid $platform 'cp /bin/true program; chmod 6755 program; stat -c %a program' 'exited 0' '^6755'
done
journalctl -o cat -u builder-worker@bubblewrap -u worker-nspawn | grep -m 3 -A 3 -i "cannot\|error" | quote
systemctl stop builder-worker@debian-12 builder-worker@bubblewrap worker-nspawn
after_job() { :; }
