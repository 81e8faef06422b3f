#!/bin/sh
# The engine has no global mutable state: its objects hold no writable data, but for the counter of the
# fault points, which has to outlive everything.
#
# usage: state.sh OBJECT...
set -eu
found=$(for object in "$@"; do
    objdump -t "$object" |
        awk -v object="$object" '/ O / && / \.(data|bss|tdata|tbss)(\.[^r][^\t]*)?\t/ {print object ": " $NF}
                                 / \*COM\*\t/ {print object ": " $NF}'
done | grep -v '/os_fault.*\.o: passages' || true)
if [ -n "$found" ]; then
    echo "writable data:"
    echo "$found"
    exit 1
fi
echo "$# objects hold no writable data"
