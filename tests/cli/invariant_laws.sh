#!/bin/sh
# Every law of invariants/ is complete: it runs, says where it comes from, declares at least four faults, and
# declares exactly those that its source can switch on.
set -eu
cd "$(dirname "$0")/../../invariants"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fault() {
    echo "FAIL: invariants/$*" >&2
    failed=1
}

count=0
for law in *.py; do
    [ "$law" != law.py ] || continue
    count=$((count + 1))
    mutants=${law%.py}.mutants
    [ -x "$law" ] || fault "$law is not executable"
    grep -q 'Source: ' "$law" || fault "$law does not say where it comes from"
    grep -q "^\* \`$law\`: " README.md || fault "$law is not in README.md"
    [ -f "$mutants" ] || { fault "$law has no $mutants" && continue; }
    grep -o 'fault("[a-z0-9_]*")' "$law" | sed 's/.*"\(.*\)".*/\1/' | sort -u >"$dir/used"
    sed 's/ .*//' "$mutants" | sort >"$dir/declared"
    diff "$dir/used" "$dir/declared" >"$dir/diff" || fault "$law and $mutants disagree: $(cat "$dir/diff")"
    [ "$(wc -l <"$mutants")" -ge 4 ] || fault "$mutants has fewer than four mutants"
    [ -z "$(./"$law" </dev/null)" ] || fault "$law speaks before it is asked"
done
[ "$failed" = 0 ] || exit 1
echo "$count laws are complete"
