#!/bin/sh
while read -r case; do
    x=${case##*:} x=${x%?}
    lhs=$((2 * x))
    [ "${2-}" != plus_one ] || lhs=$((lhs + 1))
    printf '{"lhs": %d, "rhs": %d}\n' "$lhs" "$((x + x))"
done
