# Jobs that mean harm, for a sandbox that is a container; stories read this in after prelude.sh. What they try is what
# crates/worker/tests/hostile.rs tries in bubblewrap. Their policy has the limits 96 MiB of memory, 32 MiB on the disk and
# $processes processes, and shows them the folder $shown to read, in which there is a file `kept`.
# shellcheck shell=sh disable=SC2154 # what stories set

# Functions for the jobs: they tell what a job got although it must not have it.
try='try() { if sh -c "$2" >/dev/null 2>&1; then got "$1"; fi; }
got() { case "|$may|" in *"|$1|"*) echo "had $1" ;; *) echo "GOT $1" ;; esac; }'

# hostile PLATFORM: all of them, by workers with a time limit of half a minute or more, which run two jobs at a time and have
# FROM_OUTSIDE in their environment. $server is the process of the server, $secret a file of the host that all may read.
hostile() {
    hostile_limits "$1"
    hostile_reads "$1"
    hostile_writes "$1"
    hostile_calls "$1"
    hostile_files "$1"
    job "$1-after-all-that" "$1" 'echo fine' 'exited 0'
}

# What is used up, and who stays.
hostile_limits() {
    at=$1
    job "$at-memory" "$at" 'tail /dev/zero; echo survived; sleep 1000' 'execution aborted: memory limit 96 MiB reached'
    job "$at-processes" "$at" 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000' \
        "execution aborted: process limit $processes reached, then exited 2" "process limit $processes reached: "
    job "$at-fork-bomb" "$at" 'bomb() { bomb | bomb & }; bomb; sleep 3; exit 1' \
        "execution aborted: process limit $processes reached" "process limit $processes reached: "
    job "$at-disk" "$at" 'while :; do i=$((i+1)); head -c 1M /dev/zero > file$i; done' \
        'execution aborted: disk limit 32 MiB reached'
    job "$at-stubborn" "$at" 'trap "" TERM; (setsid sh -c "trap \"\" TERM; while :; do sleep 1; done" &)
while :; do sleep 1; done' 'execution aborted: timeout'
    job "$at-daemon" "$at" 'setsid sh -c "trap \"\" TERM; sleep 1000" & sleep 0.2; exit 0' 'exited 0'
    # Those that watch it from inside are of its own user. What they are for, the engine and the worker do, too.
    job "$at-lonely" "$at" 'kill -KILL 1; kill -STOP -1; kill -KILL -1; echo alone; exit 3' 'exited 3' '^alone'
    job "$at-lonely-memory" "$at" 'kill -KILL -1; tail /dev/zero; exit 1' 'execution aborted: memory limit 96 MiB reached'
}

# What is not its own: of another build that runs, of the worker, of the host.
hostile_reads() {
    schedule "$1-other" "$1" "umask 0; echo TOP-SECRET >file; i=0
while [ ! -e $shown/go ] && [ \$i -lt 25 ]; do i=\$((i+1)); sleep 1; done"
    job "$1-reads" "$1" "$try
try environment 'cat /proc/[0-9]*/environ | tr \"\\\\0\" \"\\\\n\" | grep FROM_OUTSIDE'
try 'a secret' 'cat $secret'
try 'something secret' 'grep -rs TOP-SECRET /build /etc /home /opt /root /run /srv /tmp /var --include=file --include=secret'
try 'a socket of docker' 'ls /run/docker.sock || ls /var/run/docker.sock'
try 'folders of the server' 'ls /var/lib/builder || ls /etc/builder'
try shadow 'cat /etc/shadow'
try 'a process of the host' '[ -d /proc/$server ]'
try 'a disk' 'ls /dev/[sv]da || ls /dev/mem || ls /dev/kmsg || mknod /build/disk b 254 0'
try 'a network' 'ls /sys/class/net | grep -v ^lo'
echo open: \$(ls /proc/self/fd)" 'exited 0' '^open: 0 1 2 3$'
    touch "$shown/go"
    outcome "$1-other" 'exited 0'
    rm "$shown/go"
}

hostile_writes() {
    job "$1-writes" "$1" "$try
for place in / /usr /usr/bin /etc /var /var/lib /bin /proc /proc/sys/kernel /sys /sys/fs/cgroup $shown; do
    try \"write access to \$place\" \"echo x >\$place/hostile\"; done
for file in /etc/passwd /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /proc/sysrq-trigger \
    /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max $shown/kept; do
    try \"write access to \$file\" \"[ -e \$file ] && echo 999 >>\$file\"; done
try 'to move its folder' 'mv /build /tmp/x'
rm -rf $shown 2>/dev/null; cat $shown/kept
for place in /build /tmp /var/tmp /dev/shm; do echo x >\$place/file || echo CANNOT \$place; done
try 'more room than it has' 'head -c 100M /dev/zero >/tmp/big'" 'exited 0' '^kept'
    if grep CANNOT "$console"; then bad "it could not write where it may"; fi
    check "what it was shown is as it was" sh -c "[ \"\$(ls '$shown')\" = kept ] && [ \"\$(cat '$shown/kept')\" = kept ]"
}

# What the kernel is asked for; $may has what the filter of the engine lets pass, with | between. The calls have other
# numbers on other processors.
hostile_calls() {
    job "$1-calls" "$1" "$try
may='$may'
try 'a mount' 'mount -t tmpfs none /mnt'
try 'a user namespace' 'unshare --user true'
try 'a mount namespace' 'unshare --mount true'
[ \"\$(uname -m)\" != x86_64 ] || perl -e '
    for (split \" \", \"add_key=248 keyctl=250 bpf=321 finit_module=313 perf_event_open=298 open_by_handle_at=304 fsopen=430 io_uring_setup=425 userfaultfd=323\") {
        my (\$name, \$number) = split \"=\";
        \$! = 0;
        syscall(\$number, 0, 0, 0, 0, 0);
        print \"\$name\\n\" unless \$!{EPERM} || \$!{ENOSYS};
    }
    print \"vsock\\n\" if socket(my \$socket, 40, 1, 0);' | while read -r name; do got \"\$name\"; done
grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status" \
        'exited 0' '^CapEff:.0000000000000000' '^NoNewPrivs:.1' '^Seccomp:.2'
}

# What it leaves.
hostile_files() {
    job "$1-files" "$1" 'mkdir -p deep/er closed; echo x >closed/file; chmod 000 closed; echo x >secret; chmod 000 secret
chattr +i secret 2>/dev/null && echo GOT immutable; mknod device b 8 0 2>/dev/null && echo GOT device; mkfifo fifo
perl -e "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"socket\"))"
ln -s /etc/shadow shadow; ln -s ../../../../../../etc/shadow deep/shadow; ln -s /proc/1/environ environ
cp /bin/true setuid; chmod 6755 setuid; echo fine >deep/er/file' 'exited 0' \
        'not collected: fifo is a FIFO' 'not collected: socket is a socket' 'not collected: shadow is a link to /etc/shadow' \
        'not collected: deep/shadow is a link to'
    job "$1-many" "$1" 'perl -e '\''for (1..5000) { open(my $f, ">", "f$_") }
        my $name = "n" x 198; for (1..20) { mkdir $name; chdir $name }
        open(my $f, ">", "x" x 20); mkdir "y" x 120; chdir "y" x 120; open($f, ">", "z")'\' 'exited 0' 'not collected: nnn'
}

# hostile_root PLATFORM: as root in a root file system that takes what it writes.
hostile_root() {
    job "$1-root" "$1" "$try
may='$may'; id -u; mkdir -p /made/by/root; echo x >/etc/hostile
for file in kernel/hostname kernel/core_pattern vm/swappiness; do
    try \"the setting \$file\" \"cat /proc/sys/\$file >/tmp/same && cat /tmp/same >/proc/sys/\$file\"; done
try sysrq 'echo h >/proc/sysrq-trigger'
for file in /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max; do
    # Where there is none, root may make a file of that name, and nobody reads it.
    try \"write access to \$file\" \"[ -e \$file ] && echo 999 >\$file\"; done
try 'what it is shown' 'touch $shown/x || chown 0:0 $shown/kept || chmod 777 $shown/kept'
try 'a mount' 'mount -t tmpfs none /mnt'
try 'a disk' 'mknod /build/disk b 254 0 || mknod /dev/disk b 254 0 || ls /dev/[sv]da'
try 'a mount namespace' 'unshare --mount true'
try 'a user namespace' 'unshare --user true'
try 'a network' 'ls /sys/class/net | grep -v ^lo'
echo still here" 'exited 0' '^0$' '^still here'
    job "$1-root-disk" "$1" 'while :; do i=$((i+1)); head -c 1M /dev/zero >/root/file$i; done' \
        'execution aborted: disk limit 32 MiB reached'
    job "$1-root-again" "$1" 'for left in /root/file1 /made /etc/hostile; do [ ! -e $left ] || echo GOT $left; done' 'exited 0'
}
