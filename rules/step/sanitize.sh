#!/bin/sh
# sanitize.sh VERDICT LOG...: one line a log, named as the log is, of what compute-sanitizer's summaries say; fails if one found anything or
# ended without a summary.
set -eu
verdict=$1
shift
found=$TMPDIR/found
: >"$found"
for log; do
    name=${log##*/}
    awk -v name="${name%.txt}" '
        /ERROR SUMMARY:|RACECHECK SUMMARY:/ { summaries++; n = $0; sub(/.*SUMMARY: */, "", n); errors += n + 0 }
        END {
            said = !summaries ? "ended without a summary" : errors ? errors " found" : "nothing found"
            printf "%-32s %s\n", name, said
            exit !summaries || errors
        }' "$log" >>"$TMPDIR/verdict" || echo "$log" >>"$found"
done
if [ -s "$found" ]; then
    cat "$TMPDIR/verdict" >&2
    while read -r log; do
        echo "$log:" >&2
        head -n 20 "$log" >&2
    done <"$found"
    exit 1
fi
cp "$TMPDIR/verdict" "$verdict"
