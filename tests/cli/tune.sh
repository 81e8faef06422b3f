#!/bin/sh
# Searches: what is tried, what wins, what a record holds, and that a killed search goes on where it was.
. "$(dirname "$0")/lib.sh"

# y = 2 x, and a candidate that takes four times as long for each step of `waste`, which no busy machine hides. `pad` changes nothing: all its values
# are the same within the noise.
study() {
    project - <<END
use "op" "guide" "check" "tune"
op "twice" {
  title = "y = 2 x",
  dims = { "n" },
  buffers = { { "x", "in", function(s) return s.n end }, { "y", "out", function(s) return s.n end } },
  flops = function(s) return s.n end,
  bytes = function(s) return 8 * s.n end,
  reference = "reference.c", without = {},
  bound = 1e-6,
}
guide "twice" { intent = "Double.", freedoms = { waste = "time that is lost", pad = "nothing at all" } }
check "twice" { shapes = { { "one", n = 1 }, { "some", n = 1000 } } }
tune "twice/candidate" {
  source = "candidate.c", guide = "twice",
  space = { pad = { 1, 2 }, waste = { 0, 1, 2, 3, 4 } }, default = { pad = 1, waste = ${default-3} },
  where = function(p) return not (p.pad == 2 and p.waste == 4), "too much of both" end,
  check = { { "some", n = 1000 } }, shapes = { { "some", n = 100000 } }, blocks = ${blocks-4},
  strategy = "${strategy-exhaustive}", ${more-}
}
target "tune" { "tune/twice/candidate", default = true }
END
    put reference.c <<'END'
#include <math.h>
#include <stdint.h>
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t i, double *value, double *scale);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t i, double *value, double *scale)
{
    const float *x = buf[0];
    (void)dim, (void)output;
    *value = 2.0 * x[i];
    *scale = 2 * fabs((double)x[i]);
    return 0;
}
END
    put candidate.c <<'END'
#include <stdint.h>
int candidate(const int64_t *dim, void *const *buf, int threads);
int candidate(const int64_t *dim, void *const *buf, int threads)
{
    const float *x = buf[0];
    float *volatile y = buf[1];
    (void)threads;
    for (int pass = 0; pass < 1 << (2 * WASTE); pass++)
        for (int64_t i = 0; i < dim[0]; i++)
            y[i] = 2 * x[i];
    return 0;
}
END
}

result=out/tune/twice/candidate.json

assert_result() { # a jq-like python expression on the record r
    python3 -c "import json, sys; r = json.load(open('$result')); sys.exit(0 if ($1) else 1)" || {
        cat "$result"
        fail "not so: $1"
    }
}

test_the_fastest_wins_and_everything_is_recorded() {
    study
    spak build
    assert_exit 0
    assert_result 'r["winner"]["waste"] == 0 and not r["is_default"] and r["over_default"]["lo"] > 2'
    assert_result 'r["legal"] == 9 and r["illegal"] == {"too much of both": 1} and r["evaluations"] == 8 and len(r["tried"]) == 9'
    assert_result 'any(t.get("dropped_early") for t in r["tried"])'
    spak build --json --stats
    assert_contains out '"evaluated":false'
}

test_within_the_noise_the_first_of_the_space_wins() {
    study
    spak build
    assert_exit 0
    assert_result 'r["winner"] == next(t for t in r["tried"][1:] if "final" in t
        and t["final"]["hi"] >= max(u["final"]["lo"] for u in r["tried"] if "final" in u))["set"]'
}

test_nothing_beats_a_good_default() {
    default=0
    study
    spak build
    assert_exit 0
    assert_result 'r["winner"]["waste"] == 0 and (r["is_default"] or r["winner"]["pad"] == 2)'
}

test_a_climb_finds_it_too() {
    strategy=local
    study
    spak build
    assert_exit 0
    assert_result 'r["winner"]["waste"] == 0'
}

test_the_budget_of_evaluations_holds() {
    strategy=random more='evaluations = 3,'
    study
    spak build
    assert_exit 0
    assert_result 'r["evaluations"] == 3 and len(r["tried"]) == 4'
}

test_the_budget_of_seconds_holds() {
    strategy=random more='budget = 0.000001, batch = 2,'
    study
    spak build
    assert_exit 0
    assert_result 'r["evaluations"] == 2'
}

test_who_is_wrong_or_does_not_compile_is_out() {
    study
    sed -i 's|#include <stdint.h>|&\n#if WASTE == 0\n#error no waste at all\n#endif|; s|y\[i\] = 2 \* x\[i\]|y[i] = (WASTE == 1 ? 3 : 2) * x[i]|' candidate.c
    spak build -k
    assert_result 'r["winner"]["waste"] == 2'
    assert_result '{t["rejected"] for t in r["tried"] if "rejected" in t} == {"it does not compile", "its check fails"}'
}

test_a_killed_search_goes_on_where_it_was() {
    more='batch = 1,'
    study
    "$SPAK" build >log 2>&1 &
    pid=$!
    for _ in $(seq 200); do
        [ -e out/tune/twice/candidate/round-3.ratios.json ] && break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || fail 'the search was over before it was killed'
    wait "$pid" 2>/dev/null || true
    spak build --json
    assert_exit 0
    assert_result 'r["winner"]["waste"] == 0'
    nodes_that_ran | grep -q 'round-1.json ' && fail 'what was measured before the kill was measured again'
    nodes_that_ran | grep -q 'round-4.json ' || fail 'nothing was measured after the kill'
}

test_a_default_outside_the_space_is_refused() {
    default=7
    study
    spak build
    assert_exit 2
    assert_contains err 'the default of `waste` is none of its values'
}

test_a_search_keeps_to_the_freedoms_of_the_guide() {
    study
    sed -i 's/space = { pad/space = { speed = { 1 }, pad/' spakfile
    spak build
    assert_exit 2
    assert_contains err 'the guide leaves no freedom called "speed"'
}

run_tests "$0" "$@"
