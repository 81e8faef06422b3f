#!/bin/sh
# Kills a build with SIGKILL at a random instant, builds again, and compares the whole tree with that of a project of the same sources
# whose builds nobody disturbs; `spak fsck` at the end of each round.
#
# usage: kill9.sh [KILLS [NODES]]      (1000 and 300; SPAK: the program under test)
set -eu
kills=${1:-1000} nodes=${2:-300}
here=$(cd "$(dirname "$0")" && pwd)
SPAK=${SPAK:-$here/../../out/bin/spak}
case $SPAK in /*) ;; *) SPAK=$(pwd)/$SPAK ;; esac
unset MAKEFLAGS
# shellcheck source=tests/fault/graph.sh
. "$here/graph.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
for project in disturbed calm; do
    mkdir "$scratch/$project"
    cd "$scratch/$project"
    make_graph "$nodes"
done

build() {
    "$SPAK" build --no-trace -q -j4 >"$scratch/log" 2>&1 </dev/null
}

lost() {
    echo "round $round: $*" >&2
    cat "$scratch/log" >&2
    exit 1
}

# How many ms a command took: the instants are drawn from that.
timed() {
    start=$(date +%s%N)
    "$@" || lost 'a calm build failed'
    took=$((($(date +%s%N) - start) / 1000000))
}

# The build under way is killed at a random instant of its life.
disturb() {
    "$SPAK" build --no-trace -q -j4 >"$scratch/log" 2>&1 </dev/null &
    pid=$!
    sleep "$(awk -v max="$1" -v seed="$round$pid" 'BEGIN { srand(seed); printf "%.4f", rand() * max / 1000 }')"
    if kill -9 "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2>/dev/null || :
}

round=0 killed=0
timed build
whole=$took
while [ "$killed" -lt "$kills" ]; do
    round=$((round + 1))
    source=src/$((round % 10))
    cd "$scratch/calm"
    echo "round $round" >"$source"
    timed build
    tree_of >"$scratch/expected"
    cd "$scratch/disturbed"
    echo "round $round" >"$source"
    bound=$took
    # Now and then from nothing, or with outputs that somebody removed.
    case $((round % 10)) in
    1) rm -rf out && bound=$whole ;;
    5) find out/n -type f -name '*3' -exec rm {} + ;;
    esac
    disturb "$bound"
    build || lost 'the build afterwards failed'
    tree_of >"$scratch/found"
    cmp -s "$scratch/expected" "$scratch/found" || {
        diff "$scratch/expected" "$scratch/found" >&2 || :
        lost 'not the tree of an undisturbed build'
    }
    "$SPAK" fsck >"$scratch/log" 2>&1 || lost 'the store is damaged'
    [ -z "$(ls out/.spak/tmp 2>/dev/null)" ] || lost "left in tmp: $(ls out/.spak/tmp)"
    "$SPAK" build --json >"$scratch/log" 2>&1 || lost 'the build of nothing failed'
    ! grep -q '"event":"start"' "$scratch/log" || lost 'something was left to do'
done
echo "$killed kills in $round rounds: every tree equal, every store whole"
