# Runs the program that is given, and compares what it says with what it should say.
set -eu
program=$1
failed=0

expect() {
    wanted=$1
    shift
    if got=$("$program" "$@" 2>&1); then status=0; else status=$?; fi
    if [ "$got" = "$wanted" ]; then
        echo "ok: $got"
    else
        echo "FAILED: $*: wanted '$wanted', got '$got' (status $status)"
        failed=1
    fi
}

expect 'Hello, world!'
expect 'Hello, builder!' builder
expect 'hello 1.0' --version
expect 'hello: that name is too long' "$(printf '%0200d' 0)"
exit "$failed"
