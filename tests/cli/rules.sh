#!/bin/sh
# The rules of a study: their examples, put together, are a study that runs anywhere.
. "$(dirname "$0")/lib.sh"

rules=$(cd "$(dirname "$0")/../../rules" && pwd)

example() { # rule...
    for rule; do
        sed -n '/^  example = \[\[$/,/^\]\],$/p' "$rules/$rule.lua" | sed '1d;$d'
    done
}

example_study() {
    programs=$(dirname "$SPAK")
    for program in spak-prove spak-cpu spak-lua; do
        echo "tool { name = \"$program\", find = \"$programs/$program\" }"
    done
    example op invariant hypothesis guide kernel check bench verdict report
}

test_the_examples_together_are_a_study() {
    project "$(example_study)"
    spak build example
    assert_exit 0
    assert_contains out 'example/doubling  verified  PROVED' 'speedup(fused, naive) >= 1.5' 'over naive'
    assert_contains out/report/example.md 'example/fused' 'example/doubling'
    assert_contains out/check/example/fused.json '"PASS"'
    spak build example
    assert_exit 0
    assert_contains err 'up to date'
}

# Which hypotheses a bench tests: those it names, and without any the guide's.
test_a_bench_tests_the_hypotheses_of_its_guide() {
    project "$(example_study)"
    spak build verdict/example
    assert_exit 0
    assert_contains out/verdict/example.json '"name":"example/fused"' '"predicts":"speedup(fused, naive) >= 1.5"'
    sed 's/guide = "example", kernels = {/hypotheses = "example\/other", &/' spakfile >spakfile.new
    sed '/^guide "example"/i hypothesis "example/other" { because = "so it is", rests_on = "example/doubling", predicts = "gflops(fused) >= 1000" }' \
        spakfile.new >spakfile
    spak build verdict/example
    assert_exit 0
    # What came of it is not asked: on a busy machine a measurement may decide nothing.
    assert_contains out/verdict/example.json '"name":"example/other"' '"predicts":"gflops(fused) >= 1000"'
    assert_lacks out/verdict/example.json '"name":"example/fused"'
}

test_a_wrong_candidate_is_rejected_and_not_timed() {
    project "$(example_study | sed 's/y\[i\] = 2 \* x\[i\]/y[i] = 3 * x[i]/')"
    spak build example
    assert_contains out/check/example/fused.json '"WRONG"'
    assert_contains out/verdict/example.json '"unmeasured"'
}

test_an_archive_and_a_shared_library_lie_side_by_side() {
    project 'use "cc"
node { "out/a.c", write = "int f(void) { return 1; }\n" }
cc { "out/lib/liba.a", kind = "static", sources = "out/a.c" }
cc { "out/lib/liba.so", kind = "shared", sources = "out/a.c" }'
    spak build
    assert_exit 0
    nm out/lib/liba.a >"$scratch/symbols"
    assert_contains "$scratch/symbols" ' T f'
    put spakfile "$(sed 's/return 1/return 2/' spakfile)"
    spak build
    assert_exit 0
}

test_the_examples_of_the_other_rules_run() {
    for rule in cc test dist; do
        project "$(example "$rule")"
        spak build
        assert_exit 0
    done
}

run_tests "$0" "$@"
