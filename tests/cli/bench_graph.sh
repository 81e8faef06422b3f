#!/bin/sh
# The graph that the benchmark times: it builds, and a change reaches what it should.
. "$(dirname "$0")/lib.sh"
bench=$(cd "$(dirname "$0")/../bench" && pwd)

graph_of() {
    cc -O1 -o "$scratch/step" "$bench/step.c" || fail 'step.c does not compile'
    python3 "$bench/generate.py" "$1" "$scratch/$2" "$2" "$scratch/step" || fail 'no graph'
    cd "$scratch/$2" || exit 1
}

test_graph_builds() {
    graph_of 250 spak
    spak build --no-trace
    assert_exit 0
    assert_contains err '254 ran' # 250 objects, 3 links, 1 final
    sleep 0.05
    spak build --no-trace
    spak build --no-trace --stats
    assert_contains err '254 up to date' 'files hashed: 0' 'lua evaluated: no'
}

test_header_reaches_its_part() {
    graph_of 250 spak
    spak build --no-trace
    echo more >>include/d0/h0.h
    spak build --no-trace
    assert_contains err '7 ran' # 3 objects, 3 links, 1 final
    echo more >>src/d1/s123.c
    spak build --no-trace
    assert_contains err '3 ran'
}

test_other_tools_read_their_files() {
    for tool in ninja make tup bam; do
        (graph_of 20 $tool)
    done
    command -v make >/dev/null || return 0
    cd "$scratch/make" || exit 1
    make -s >/dev/null || fail "make does not build the graph"
    [ -s out/final ] || fail "make made nothing"
}

run_tests "$0" "$@"
