#!/bin/sh
# cubin.sh RESOURCES SPILLS ARCH CUBIN NVCC ARGUMENT...: runs the compiler, keeps what it says of registers, shared memory and spills as
# text, and fails on spills unless SPILLS is yes.
#
# In two steps, for the same bytes everywhere: between them, the names of sources lose the project's folder. The assembler looks up the
# date of every source that it finds under its name, and writes it down; under /source it finds none. What has internal linkage is called
# _INTERNAL_, a sum of the source's whole name, and so on; the sum becomes zeros, in the names and, behind the assembler, in the line table,
# which the text between the steps holds as numbers.
set -eu
resources=$1 spills=$2 arch=$3 cubin=$4 nvcc=$5
shift 5
compute=compute_${arch#sm_}
said=$TMPDIR/said

run() {
    if ! "$@" >>"$said" 2>&1; then
        cat "$said" >&2
        exit 1
    fi
}

unsummed() {
    LC_ALL=C sed 's/_INTERNAL_[0-9a-f]\{8\}_/_INTERNAL_00000000_/g' "$@"
}

neutral() {
    awk -v top="$PWD/" '/^[ \t]*\.file[ \t]/ {
        from = index($0, "\""); path = substr($0, from + 1); sub(/".*/, "", path)
        if (index(path, top) == 1) path = substr(path, length(top) + 1)
        sub(/^\/+/, "", path)
        $0 = substr($0, 1, from) "/source/" path "\""
    }
    { print }' "$1"
}

run "$nvcc" -ptx "-gencode=arch=$compute,code=$compute" "$@" -o "$TMPDIR/named.ptx"
neutral "$TMPDIR/named.ptx" >"$TMPDIR/summed.ptx"
unsummed "$TMPDIR/summed.ptx" >"$TMPDIR/kernel.ptx"
run "$nvcc" -cubin -O3 -lineinfo -Xptxas -v "-gencode=arch=$compute,code=$arch" "$TMPDIR/kernel.ptx" -o "$TMPDIR/summed.cubin"
unsummed "$TMPDIR/summed.cubin" >"$cubin"
grep -E 'Compiling entry|stack frame|Used [0-9]+ registers|warning' "$said" | grep -v 'Compile time' |
    sed 's/^ptxas info *: *//; s/^ *//' >"$resources" || true
if [ "$spills" = no ] && grep -q 'spill stores' "$resources" && grep 'spill stores' "$resources" | grep -qv '0 bytes spill stores, 0 bytes spill loads'; then
    echo "the kernel spills registers:" >&2
    cat "$resources" >&2
    echo "fewer accumulators, fewer consumers, or spills = true where the study wants to see it" >&2
    exit 1
fi
