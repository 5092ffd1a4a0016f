#!/bin/sh
# A C compiler that compiles nothing, for `cargo check`: Rust is checked without the objects that the C of dependencies
# becomes, so that each may be an empty file. It calls itself clang when it is asked.

if [ "${1-}" = -E ]; then
    echo clang
    exit 0
fi
while [ $# -gt 0 ]; do
    if [ "$1" = -o ] && [ $# -gt 1 ]; then
        : > "$2"
        exit 0
    fi
    shift
done
exit 1
