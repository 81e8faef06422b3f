#!/bin/sh
# The protocol against somebody who wants the number: predictions, proofs, studies and seeds, with a small study of its own.
. "$(dirname "$0")/lib.sh"

# y = 2 x + z, a candidate, a guide, a hypothesis and a bench. The words given replace parts of it.
study() {
    project - <<END
use "op" "invariant" "hypothesis" "guide" "kernel" "check" "bench" "verdict"
op "axpy" {
  title = "y = 2 x + z",
  dims = { "n" },
  buffers = { { "x", "in", function(s) return s.n end }, { "z", "in", function(s) return s.n end }, { "y", "out", function(s) return s.n end } },
  flops = function(s) return 2 * s.n end,
  bytes = function(s) return 12 * s.n end,
  reference = "reference.c", without = { ${without-\"SECOND\"} },
  bound = ${bound-1e-6},
}
END
    law
    cat >>spakfile <<END
hypothesis "axpy/fast" { because = "it is short", rests_on = { "tiny${rung-}" }, predicts = "${predicts-gflops(fast) >= 1000}" }
guide "axpy" { from = "axpy/fast", intent = "Double and add." }
kernel "axpy/fast" { source = "fast.c", guide = "axpy" }
check "axpy" { shapes = { { "one", n = 1 }, { "some", n = 1000 } }, ${hidden-} }
bench "axpy" { guide = "axpy", kernels = "fast", baselines = {}, control = "fast", shapes = { { "some", n = 100000 } }, budget = 0.1, max_blocks = 8 }
verdict "axpy" {}
target "axpy" { "verdict/axpy", default = true }
END
    put reference.c <<'END'
#include <math.h>
#include <stdint.h>
enum { NOTHING, SECOND };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t i, double *value, double *scale);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t i, double *value, double *scale)
{
    const float *x = buf[0], *z = buf[1];
    (void)dim, (void)output;
    *value = 2.0 * x[i] + (WITHOUT == SECOND ? 0 : (double)z[i]);
    *scale = 2 * fabs((double)x[i]) + fabs((double)z[i]);
    return 0;
}
END
    candidate 'y[i] = 2 * x[i] + z[i];'
}

candidate() { # what it does for each i
    put fast.c <<END
#include <stdint.h>
int candidate(const int64_t *dim, void *const *buf, int threads);
int candidate(const int64_t *dim, void *const *buf, int threads)
{
    const float *x = buf[0], *z = buf[1];
    float *y = buf[2];
    (void)threads;
    for (int64_t i = 0; i < dim[0]; i++) {
        $1
    }
    return 0;
}
END
}

journal() {
    git show spak/axpy:protocol/journal >"$scratch/journal" || fail 'the trace has no journal'
}

test_an_honest_study_is_measured_and_its_steps_are_in_the_trace() {
    study
    spak build
    assert_exit 0
    journal
    assert_contains "$scratch/journal" 'study axpy 1 admitted ' 'invariant tiny 1 verified ' 'candidate axpy/fast 1 passed ' \
        'hypothesis axpy/fast 2 frozen ' 'measurement bench/axpy 1 leased ' 'measurement bench/axpy 2 measured ' \
        'verdict axpy 1 given -' 'hypothesis axpy/fast 3 falsified '
    frozen=$(grep -n 'axpy/fast 2 frozen' "$scratch/journal" | cut -d: -f1)
    leased=$(grep -n 'bench/axpy 1 leased' "$scratch/journal" | cut -d: -f1)
    [ "$frozen" -lt "$leased" ] || fail 'the lease came before the prediction'
}

test_a_prediction_is_not_made_to_fit() {
    study
    spak build
    assert_exit 0
    sed -i 's/>= 1000/>= 0.001/' spakfile
    spak build
    assert_exit 3
    assert_contains err 'error[P108]: the prediction of axpy/fast was changed after it was measured' 'frozen predicts gflops(fast) >= 1000' \
        'now it reads: gflops(fast) >= 0.001'
    journal
    assert_contains "$scratch/journal" 'measurement bench/axpy 3 refused -'
    rm -rf out # the trace remembers
    spak build
    assert_exit 3
    assert_contains err 'error[P108]'
    sed -i 's/>= 0.001/>= 1000/' spakfile
    spak build
    assert_exit 0
}

test_a_new_thought_is_a_new_hypothesis_and_measured_anew() {
    study
    spak build
    sed -i 's|"axpy/fast" { because|"axpy/modest" { because|; s|from = "axpy/fast"|from = "axpy/modest"|; s/>= 1000/>= 0.000001/' spakfile
    spak build --json
    assert_exit 0
    nodes_that_ran | grep -q 'bench/axpy ' || fail 'an old measurement judged a new hypothesis'
    journal
    assert_contains "$scratch/journal" 'hypothesis axpy/fast 3 falsified ' 'hypothesis axpy/modest 3 validated '
}

test_a_study_whose_bound_lets_everything_pass_is_refused() {
    bound=1e9
    study
    spak build
    assert_exit 3
    assert_contains err 'error[P111]: admission/axpy is refused' 'zeros passes the check' 'copy passes the check' 'without SECOND passes the check' \
        'input x changes no output'
    assert_absent out/bench/axpy.json
    journal
    assert_contains "$scratch/journal" 'study axpy 1 refused -'
}

test_a_reference_that_leaves_nothing_out_is_not_tried_without() {
    study
    put reference.c <<'END'
#include <math.h>
#include <stdint.h>
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t i, double *value, double *scale);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t i, double *value, double *scale)
{
    const float *x = buf[0], *z = buf[1];
    (void)dim, (void)output;
    *value = 2.0 * x[i] + (double)z[i];
    *scale = 2 * fabs((double)x[i]) + fabs((double)z[i]);
    return 0;
}
END
    spak build
    assert_exit 3
    assert_contains err 'error[P111]: admission/axpy is refused' '6 of 7 wrong candidates caught' \
        'without SECOND compiles to the same object: the reference does not look at WITHOUT'
    assert_absent out/bench/axpy.json
}

test_an_input_that_does_not_matter_refuses_the_study() {
    study
    sed -i 's/(double)z\[i\])/0)/; s/z\[i\]);/0);/' reference.c
    candidate 'y[i] = 2 * x[i]; (void)z;'
    spak build
    assert_exit 3
    assert_contains err 'error[P111]' 'input z changes no output on any shape'
}

test_a_prover_of_the_same_name_is_not_believed() {
    study
    put fake 'echo "{\"name\":\"tiny\",\"status\":\"verified\",\"rung\":\"PROVED\",\"mutants\":[],\"cases\":{}}" >"$3"'
    mkdir bin
    { echo '#!/bin/sh' && cat fake; } >bin/spak-prove
    chmod +x bin/spak-prove
    { echo "tool { name = \"spak-prove\", find = \"$(pwd)/bin/spak-prove\" }" && cat spakfile; } >s && mv s spakfile
    spak build
    assert_exit 3
    assert_contains err 'error[P103]' "not this engine's own"
    assert_absent out/bench/axpy.json
}

test_a_runner_of_the_same_name_does_not_measure() {
    study
    mkdir bin
    cp "$(dirname "$SPAK")/spak-cpu" bin/spak-cpu
    echo changed >>bin/spak-cpu
    { echo "tool { name = \"spak-cpu\", find = \"$(pwd)/bin/spak-cpu\" }" && cat spakfile; } >s && mv s spakfile
    spak build
    assert_exit 3
    assert_contains err 'error[P113]: bench/axpy is measured by ' "not this engine's own"
    assert_absent out/bench/axpy.json
}

test_a_measurement_needs_a_proof() {
    project 'node { "out/guide", kind = "guide", write = "intent" }
node { "out/time", measures = true, guide = "out/guide", run = { "touch", "out/time" } }'
    spak build
    assert_exit 3
    assert_contains err 'error[P107]: out/time measures, but rests on no proof'
}

test_a_rung_that_a_law_does_not_reach_gives_no_lease() {
    rung=': PROVED'
    study
    spak build
    assert_exit 0
    sed -i 's/scope = { exhaustive = 19 }/scope = { random = 50 }/' spakfile
    spak build
    assert_exit 3
    assert_contains err 'error[P110]: axpy/fast needs tiny to be PROVED, and it is PROPERTY'
    sed -i 's/tiny: PROVED/tiny: CERTAIN/' spakfile
    spak build
    assert_exit 2
    assert_contains err '`CERTAIN` is no rung'
}

test_a_refuted_law_makes_what_rests_on_it_suspect() {
    study
    spak build
    assert_exit 0
    sed -i 's/lhs=$((2 \* x))/lhs=$((2 * x + (x > 5)))/' spakfile
    spak build
    assert_exit 3
    assert_contains err 'error[P106]'
    journal
    assert_contains "$scratch/journal" 'invariant tiny 2 refuted -' 'hypothesis axpy/fast 4 suspect ' 'because invariant tiny is refuted'
}

test_doubt_ends_with_its_reason() {
    study
    sed -i 's/lhs=$((2 \* x))/lhs=$((2 * x + (x > 5)))/' spakfile
    spak build
    assert_exit 3
    spak next axpy # nothing was measured yet, so nothing is frozen
    assert_contains out 'reword   hypothesis axpy/fast: no lease has frozen it'
    sed -i 's/ + (x > 5)//' spakfile
    spak build
    assert_exit 0
    spak status axpy
    assert_contains out 'hypothesis   axpy/fast   falsified'
    assert_lacks out 'in doubt'
    sed -i 's/lhs=$((2 \* x))/lhs=$((2 * x + (x > 5)))/' spakfile
    spak build
    spak status axpy
    assert_contains out 'hypothesis   axpy/fast   suspect'
    spak next axpy
    assert_contains out 'reword   hypothesis axpy/fast: P108 a lease has frozen its prediction'
    sed -i 's/ + (x > 5)//' spakfile
    spak build
    assert_exit 0
    spak status axpy
    assert_contains out 'hypothesis   axpy/fast   falsified'
    assert_lacks out 'in doubt'
    journal
    tail -n 2 "$scratch/journal" >last
    assert_contains last 'invariant tiny 4 verified' 'hypothesis axpy/fast 7 falsified'
    assert_equal "$(grep -c ' frozen ' "$scratch/journal")" 1 'leases that froze'
}

# Right on the declared shapes and wrong on all others: only what was drawn after the candidate finds it.
test_hidden_shapes_find_who_knows_the_declared_ones() {
    hidden='hidden = function(pick) return { n = pick(2, 900) } end, drawn = 3'
    study
    candidate 'y[i] = dim[0] == 1 || dim[0] == 1000 || dim[0] == 100000 ? 2 * x[i] + z[i] : x[i];'
    spak build
    assert_exit 0
    assert_contains out/check/axpy/fast.json '"hidden-' '"status": "REJECTED"'
    assert_contains out/bench/axpy.json '"status": "REJECTED"'
    journal
    assert_contains "$scratch/journal" 'candidate axpy/fast 1 rejected '
}

test_knowledge_is_what_the_traces_say() {
    study
    spak knowledge
    assert_exit 0
    assert_contains out 'no trace has measured a hypothesis yet'
    spak build
    spak knowledge
    assert_contains out 'axpy/fast: gflops(fast) >= 1000' 'anecdote, contradicted by 1 run, ' 'falsified ' 'on '
    first=$(git rev-parse --short=12 spak/axpy)
    assert_contains out "$first"
    echo >>reference.c # the same measurement in another commit is no further run
    spak build check/axpy/fast
    spak build -B bench/axpy axpy
    spak knowledge axpy
    assert_contains out 'contradicted by 2 runs' "$first" "$(git rev-parse --short=12 spak/axpy)"
    assert_lacks out 'anecdote'
    sed -i 's/lhs=$((2 \* x))/lhs=$((2 * x + (x > 5)))/' spakfile
    spak build
    spak knowledge axpy/fast
    assert_contains out 'suspect    because invariant tiny is refuted' 'by 2 runs'
    spak knowledge --json
    python3 -c 'import json, sys; k = json.loads(open(sys.argv[1]).read()); assert len(k["runs"]) == 2 and not k["anecdote"], k' "$scratch/out"
    spak knowledge other
    assert_contains out 'no trace has measured'
}

test_a_budget_that_is_spent_gives_no_lease() {
    study
    sed -i 's/budget = 0.1,/& allow = { tries = 2, wall = 900 },/' spakfile
    spak build
    assert_exit 0
    spak next -a axpy
    assert_contains out 'measure  measurement bench/axpy: up to date, spent 1 of 2 tries, ' ' of 900 s wall'
    spak build -B bench/axpy
    assert_exit 0
    spak build -B bench/axpy
    assert_exit 3
    assert_contains err 'error[P112]: measurement bench/axpy has spent what it was allowed: 2 of 2 tries, ' ' of 900 s wall'
    spak build # the trace of the target has it
    journal
    assert_contains "$scratch/journal" 'measurement bench/axpy 3 refused - code P112'
    spak status
    assert_contains out 'measurement  bench/axpy  ' 'refused, code P112, spent 2 of 2 tries, ' ' of 900 s wall, '
    sed -i 's/tries = 2/tries = 9/; s/predicts = /allow = { tries = 2 }, &/' spakfile
    spak build
    assert_exit 0
    spak build -B bench/axpy
    assert_exit 3
    assert_contains err 'error[P112]: hypothesis axpy/fast has spent what it was allowed: 2 of 2 tries'
    spak status
    assert_contains out 'hypothesis   axpy/fast' 'spent 2 of 2 tries'
    candidate 'y[i] = 2 * x[i] + z[i] + 0;'
    spak build check/axpy/fast
    spak next
    assert_contains out 'measure  measurement bench/axpy: P112 hypothesis axpy/fast has spent' 'help: what was found so far is the result'
    # Who removes the engine's state has spent no less.
    git notes --ref=spak/run show spak/axpy >"$scratch/note"
    assert_contains "$scratch/note" '"spent":{' '"measurement bench/axpy":{' '"tries":2.0'
    rm -rf out
    spak status
    assert_contains out 'measurement  bench/axpy  ' 'spent 2 tries, '
    spak build
    assert_exit 3
    assert_contains err 'error[P112]: hypothesis axpy/fast has spent what it was allowed: 2 of 2 tries'
    sed -i 's/{ tries = 2 }/{ trials = 2 }/' spakfile
    spak build
    assert_exit 2
    assert_contains err 'nothing called `trials` can be spent'
}

# A kernel that gives up on one shape has no mean over the others.
test_a_shape_that_fails_counts() {
    predicts='gflops(fast) >= 0.0000001'
    study
    sed -i 's/shapes = { { "some", n = 100000 } }/shapes = { { "some", n = 1000 }, { "large", n = 100000 } }/' spakfile
    candidate 'if (dim[0] > 50000) return 1; y[i] = 2 * x[i] + z[i];'
    spak build
    assert_exit 0
    assert_contains out/bench/axpy.json '"REFUSED"' '"PASS"'
    assert_contains out/verdict/axpy.json '"state":"unmeasured"' '"failed":"fast is REFUSED on large"'
}

# The nonce is fresh each time; with it anybody can draw the seed again from the lease and the candidates.
test_a_draw_can_be_replayed() {
    study
    spak build
    assert_exit 0
    first=$(sed -n 's/.*"nonce": "\(.*\)".*/\1/p' out/bench/axpy.json)
    python3 - <<'END' || fail 'the seed does not follow from the commitment and the nonce'
import hashlib, hmac, json, re
bench = json.load(open("out/bench/axpy.json"))
draw = bench["draw"]
digest = hmac.new(draw["nonce"].encode(), draw["commitment"].encode(), hashlib.sha256).digest()
assert draw["seed"] == int.from_bytes(digest[:8], "big") >> 11, draw
object = hashlib.sha256(open("out/kernel/axpy/fast.so", "rb").read()).hexdigest()
assert draw["commitment"].endswith("candidate fast %s\n" % object), draw
lease = re.search("measurement bench/axpy 1 leased ([0-9a-f]{64})", __import__("subprocess").getoutput("git show spak/axpy:protocol/journal")).group(1)
assert draw["commitment"].startswith("lease %s\n" % lease), draw
END
    spak reproduce axpy --offline
    assert_exit 0
    assert_contains out 'holds   draw of bench/axpy: the seed follows from the lease, the candidates and the nonce'
    spak build -B bench/axpy
    second=$(sed -n 's/.*"nonce": "\(.*\)".*/\1/p' out/bench/axpy.json)
    [ "$first" != "$second" ] || fail 'the same nonce twice'
}

test_status_says_where_everything_stands() {
    study
    spak status axpy
    assert_exit 0
    assert_contains out 'invariant    tiny        proposed' 'measurement  bench/axpy  proposed'
    spak build
    spak status
    assert_contains out 'invariant    tiny        verified' 'hypothesis   axpy/fast   falsified, by verdict axpy' 'study        axpy        admitted' \
        'candidate    axpy/fast   passed' 'measurement  bench/axpy  measured'
    assert_lacks out 'stale'
    echo >>fast.c
    spak status
    assert_contains out 'candidate    axpy/fast   passed, stale: '
    sed -i 's/lhs=$((2 \* x))/lhs=$((2 * x + (x > 5)))/' spakfile
    spak build
    assert_exit 3
    spak status
    assert_contains out 'invariant    tiny        refuted' 'hypothesis   axpy/fast   suspect' 'guide        axpy        issued' \
        'in doubt: hypothesis axpy/fast is suspect (because invariant tiny is refuted) > guide axpy > measurement bench/axpy' 'in doubt: because invariant tiny is refuted'
    spak status --json
    python3 -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])]' "$scratch/out"
}

test_next_says_what_is_allowed_and_for_the_rest_why_not() {
    study
    spak next
    assert_exit 0
    assert_contains out 'allowed now' 'prove    invariant tiny: never built' 'reword   hypothesis axpy/fast: no lease has frozen it' 'not allowed' \
        'judge    verdict axpy: ' ' comes first'
    spak build
    spak next
    assert_contains out 'not allowed' 'reword   hypothesis axpy/fast: P108 a lease has frozen its prediction'
    assert_lacks out 'allowed now'
    spak next --all
    assert_contains out 'nothing to do' 'measure  measurement bench/axpy: up to date'
    sed -i 's/>= 1000/>= 0.001/' spakfile
    spak build guide/axpy
    spak next
    assert_contains out 'measure  measurement bench/axpy: P108 the prediction of axpy/fast was changed' 'help: put back what was predicted'
    spak next --json
    assert_contains out '"act":"measure"' '"code":"P108"' '"leave":"refused"'
}

run_tests "$0" "$@"
