# What stories have in common, which they read in: saying what went well and what did not, waiting, and running jobs.
# $scratch is a folder for what is written on the way, $patience how many seconds are waited for anything, and $pause how
# many between two looks.
# shellcheck shell=sh disable=SC2154 # what stories set
failed=0

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
    if "$@" >"$scratch/output" 2>&1; then ok "$what"; else
        bad "$what: $*"
        quote <"$scratch/output"
    fi
}
# await WHAT COMMAND…: until it succeeds.
await() {
    what=$1
    shift
    until=$(($(date +%s) + patience))
    until "$@" >"$scratch/output" 2>&1; do
        if [ "$(date +%s)" -gt $until ]; then
            bad "in vain: $what"
            quote <"$scratch/output"
            return 1
        fi
        sleep "$pause"
    done
}
uuid_of() { builder-client builds --job "$1" --format json | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p' | head -n 1; }
ended() { [ -n "$(uuid_of "$1")" ]; }
outcome_says() { builder-client log "$(uuid_of "$1")" 2>/dev/null | tail -n 1 | grep -qF -- "$2"; }
# schedule NAME PLATFORM SCRIPT
schedule() {
    printf '%s\n' "$3" >"$scratch/$1.sh"
    builder-client schedule "$1" "$2" "$scratch/$1.sh" --period never >"$scratch/output" 2>&1 || {
        bad "cannot schedule $1"
        quote <"$scratch/output"
    }
}
# What a story looks for after each of its jobs; told the name of the job.
after_job() { :; }
# outcome NAME OUTCOME [PATTERN]…: waits for a job that is scheduled, which has to end like this and to print a line like
# each of the patterns. What it prints after the word GOT is what it must not have got.
outcome() {
    name=$1 expected=$2
    shift 2
    await "job $name ends" ended "$name" || return
    console=$scratch/$name.console
    builder-client log "$(uuid_of "$name")" >"$console" 2>&1
    missing=
    tail -n 1 "$console" | grep -qF -- "$expected" || missing=" \"$expected\""
    for pattern; do grep -qe "$pattern" "$console" || missing="$missing, a line like \"$pattern\""; done
    if grep -q '^GOT ' "$console"; then missing="$missing, nothing it must not have"; fi
    if [ -z "$missing" ]; then ok "job $name: $(tail -n 1 "$console")"; else
        bad "job $name: expected$missing, and saw"
        tail -n 20 "$console" | quote
    fi
    after_job "$name"
}
# job NAME PLATFORM SCRIPT OUTCOME [PATTERN]…: runs a script as a job, and looks at its outcome.
job() {
    schedule "$1" "$2" "$3"
    name=$1
    shift 3
    outcome "$name" "$@"
}
