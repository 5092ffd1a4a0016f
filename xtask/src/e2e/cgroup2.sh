#!/bin/sh
# The story of `cargo xtask e2e cgroup2`, told inside of the machine that it boots: a Debian whose control groups are of
# version 2 only. Runs as root, once, from the disk that is mounted at /e2e; what it prints is shown to whoever started it.
# The last line counts what went wrong.
set -u
PATH=/usr/local/bin:$PATH
scratch=/run/story patience=120 pause=1
mkdir $scratch
# shellcheck source=xtask/src/e2e/prelude.sh
. /e2e/prelude.sh
# shellcheck source=xtask/src/e2e/hostile.sh
. /e2e/hostile.sh
groups_of_jobs() { find /sys/fs/cgroup -type d -name 'builder-[0-9]*-[0-9]*-[0-9]*-[0-9]*'; }
sleepers() { grep -lx sleep /proc/[0-9]*/comm 2>/dev/null; }

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
install -m 644 /e2e/units/* /etc/systemd/system/
install -m 644 /e2e/builder-worker.toml /etc/builder/
systemctl daemon-reload
check "the server starts" systemctl start builder-server.service

# The parts of the story that are to be told.
read -r parts </e2e/parts
for part in $parts; do
    # shellcheck source=xtask/src/e2e/limits.sh source=xtask/src/e2e/engines.sh
    . "/e2e/$part.sh"
done

say "what the kernel said"
dmesg | grep -E 'oom-kill:|Memory cgroup out of memory' | quote | cut -c 1-200 | tail -n 4
check "the kernel killed in the group of the job, not in the system" \
    sh -c 'dmesg | grep -q "constraint=CONSTRAINT_MEMCG" && ! dmesg | grep -q "constraint=CONSTRAINT_NONE"'

say "and at the end"
systemctl stop builder-server.service builder-server.socket
check "no control group of a job is left" sh -c "[ -z \"$(groups_of_jobs)\" ]"
check "no folder of a job is left" sh -c '! ls -d /tmp/systemd-private-*builder-worker*/tmp/builder-* \
    /tmp/builder-?????? /var/lib/builder-worker/builder-?????? 2>/dev/null'
check "no process of a job is left" [ -z "$(sleepers)" ]
if [ "$failed" -gt 0 ]; then
    journalctl -b -o short-monotonic -u 'builder-*' --no-pager | tail -n 60
fi
say "story: $failed failed"
