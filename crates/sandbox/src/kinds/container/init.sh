# The first process in the container of a job: $1 is the script, $2 where the counts of the kernel go.
#
# Its standard input is held by the supervisor on the host. When that ends, however it ended, all of the job is killed
# from here, because the engine would let it run on. Nobody inside can kill the first process of a container. What this
# shell itself would say of signals is nobody's business.
memory_events='/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control'
process_events='/sys/fs/cgroup/pids.events /sys/fs/cgroup/pids/pids.events'

exec 3<&0 4>&2 2>/dev/null
trap 'kill -TERM -1' TERM
script=$1
counts=$2
# That it is there tells that the job has begun, should the engine not be able to tell.
true >"$counts"

# Whoever watches is there before the job, which may leave no room for another process.
#
# The end of the supervisor.
{
    trap '' TERM
    while read -r _; do :; done
    kill -KILL -1
} <&3 >/dev/null 4>&- &

# The kernel kills one process when memory runs out, and the others would go on without it.
{
    trap '' TERM
    while sleep 1; do
        for file in $memory_events; do
            [ -r "$file" ] || continue
            while read -r key count; do
                if [ "$key" = oom_kill ] && [ "$count" != 0 ]; then kill -KILL -1; fi
            done <"$file"
        done
    done
} 3<&- >/dev/null 4>&- &
exec 3<&-

# What names its interpreter or is a program is executed; anything else is a script for the shell.
IFS= read -r first <"$script"
case $first in
    '#!'* | ?ELF*) set -- "$script" ;;
    *) set -- /bin/sh "$script" ;;
esac
"$@" </dev/null 2>&4 4>&- &
main=$!
exec 4>&-

# A signal for us ends the wait, and the script goes on.
wait "$main"
status=$?
while kill -0 "$main" 2>/dev/null; do
    wait "$main"
    status=$?
done
# report NAME FILE…: each count with the name in front.
report() {
    name=$1
    shift
    for file; do
        [ -r "$file" ] || continue
        while read -r key count; do echo "$name $key $count"; done <"$file"
    done
}
# shellcheck disable=SC2086 # they are lists
{ report memory $memory_events && report processes $process_events; } >"$counts"
exit "$status"
