#!/bin/sh
# instructions.sh TEXT NVDISASM CUBIN: the instructions of a cubin by kind, as text. A disassembler that fails is said there too: a kernel is
# none the worse for it.
set -eu
if "$2" -c "$3" >"$TMPDIR/listing" 2>"$TMPDIR/complaint"; then
    awk -f "${0%/*}/instructions.awk" "$TMPDIR/listing" >"$1"
else
    echo "the disassembler fails: $(head -n 1 "$TMPDIR/complaint")" >"$1"
fi
