#!/bin/sh
# C compiler and linker for FreeBSD: zig, which carries the headers and the stubs of FreeBSD's libc.
#
# Environment:
#   ZIG_PYTHON    the python3 that has the module ziglang

for argument; do
    shift
    case $argument in
        # Rust's library names these for calls that nothing of ours makes, and zig has no stubs of them.
        -lmemstat | -lkvm | -lprocstat | -ldevstat) ;;
        # Rust's word for the target; zig has another.
        --target=*) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "${ZIG_PYTHON:?names the python3 that has ziglang}" -m ziglang cc -target x86_64-freebsd.14.0 "$@"
