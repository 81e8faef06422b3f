#!/bin/sh
# Every header compiles alone, under the flags of the project: it includes what it needs, and nothing
# depends on who included it before.
#
# usage: headers.sh CC FLAGS -- HEADER...
set -eu
cc=$1
shift
flags=''
while [ "$1" != -- ]; do
    flags="$flags $1"
    shift
done
shift
failed=0
for header in "$@"; do
    # shellcheck disable=SC2086
    printf '#include "%s"\n#include "%s"\nextern int headers_sh_needs_a_declaration;\n' "$header" "$header" |
        "$cc" -x c $flags -I. -fsyntax-only - || failed=$((failed + 1))
done
[ "$failed" = 0 ] || { echo "$failed of $# headers do not compile alone, twice"; exit 1; }
echo "$# headers compile alone, twice"
