#!/bin/sh
# Golden tests: what spak says, word for word. A case is a folder with a spakfile (and what else it
# needs), `cmd`, shell lines that call spak, and `expected`, what they print and how they end.
#
# usage: run.sh [--update] [CASE]...      (SPAK: the program under test; all cases when none is named)
#
# --update writes `expected` anew: read the difference before committing it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
SPAK=${SPAK:-$here/../../out/bin/spak}
case $SPAK in /*) ;; *) SPAK=$(pwd)/$SPAK ;; esac
update=false
if [ "${1-}" = --update ]; then
    update=true
    shift
fi
[ $# -gt 0 ] || set -- "$here"/*/

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
HOME=$scratch/home LC_ALL=C NO_COLOR=1 TERM=dumb TZ=UTC GIT_CONFIG_NOSYSTEM=1
export HOME LC_ALL NO_COLOR TERM TZ GIT_CONFIG_NOSYSTEM
unset MAKEFLAGS MFLAGS GIT_DIR GIT_WORK_TREE SOURCE_DATE_EPOCH
mkdir -p "$HOME" "$scratch/bin"
ln -s "$SPAK" "$scratch/bin/spak"
PATH=$scratch/bin:$PATH

# Takes out what differs from run to run and from machine to machine: folders, durations, digests.
normalise() {
    sed -e "s|$scratch/[^/ ]*|ROOT|g" -e "s|${SPAK%/bin/spak}|OUT|g" \
        -e 's/in [0-9][0-9.hms]*s$/in TIME/' -e 's/, [0-9][0-9.hms]*s left/, TIME left/' \
        -e 's/\b[0-9a-f]\{64\}\b/DIGEST/g' -e 's/\b[0-9a-f]\{40\}\b/COMMIT/g' \
        -e 's|/[a-z/]*/\(dash\|bash\|busybox\) -c|SH -c|' -e 's|/usr/bin/|BIN/|g' -e 's|\([^a-zA-Z]\)/bin/|\1BIN/|g' \
        -e 's/^\(spak: spak\/[^ ]*\) [0-9a-f]\{7,\}/\1 COMMIT/'
}

run_case() { # folder; prints the transcript
    name=$(basename "$1")
    cp -R "$1" "$scratch/$name"
    cd "$scratch/$name"
    rm -f expected
    git -c init.defaultBranch=main init -q
    mv cmd "$scratch/cmd"
    code=0
    sh -u "$scratch/cmd" </dev/null || code=$?
    echo "exit $code"
}

passed=0 failed=0
for case in "$@"; do
    [ -d "$case" ] || case=$here/$case
    (run_case "$case") >"$scratch/raw" 2>&1 || echo 'the case could not be set up' >>"$scratch/raw"
    normalise <"$scratch/raw" >"$scratch/actual"
    if cmp -s "$scratch/actual" "$case/expected"; then
        passed=$((passed + 1))
    elif $update; then
        cp "$scratch/actual" "$case/expected"
        echo "updated $(basename "$case")"
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$(basename "$case"): not what is expected (- expected, + found)"
        diff -u "$case/expected" "$scratch/actual" | sed '1,2d; s/^/    /' || true
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
