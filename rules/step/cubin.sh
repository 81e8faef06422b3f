#!/bin/sh
# cubin.sh RESOURCES SPILLS COMMAND...: runs the compiler, keeps what it says of registers, shared memory and spills as text, and fails on
# spills unless SPILLS is yes.
set -eu
resources=$1 spills=$2
shift 2
said=$TMPDIR/said
if ! "$@" >"$said" 2>&1; then
    cat "$said" >&2
    exit 1
fi
grep -E 'Compiling entry|stack frame|Used [0-9]+ registers|warning' "$said" | grep -v 'Compile time' |
    sed 's/^ptxas info *: *//; s/^ *//' >"$resources" || true
if [ "$spills" = no ] && grep -q 'spill stores' "$resources" && grep 'spill stores' "$resources" | grep -qv '0 bytes spill stores, 0 bytes spill loads'; then
    echo "the kernel spills registers:" >&2
    cat "$resources" >&2
    echo "fewer accumulators, fewer consumers, or spills = true where the study wants to see it" >&2
    exit 1
fi
