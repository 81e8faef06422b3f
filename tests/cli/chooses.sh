#!/bin/sh
# Kernels that choose among variants by shape: what is launched where, as the runner is told.
. "$(dirname "$0")/lib.sh"
if [ ! -x "$(dirname "$SPAK")/spak-gpu" ]; then
    echo "skipped: no spak-gpu, which is built where the CUDA toolkit is"
    exit 77
fi

study() { # the body of chooses
    project - <<END
use "op" "guide" "kernel" "check"
op "copy" {
  title = "y = x",
  device = "gpu",
  dims = { "n" },
  buffers = { { "x", "in", function(s) return s.n end }, { "y", "out", function(s) return s.n end } },
  flops = function(s) return s.n end,
  bytes = function(s) return 8 * s.n end,
  reference = "reference.cu",
  bound = 1e-6,
}
guide "copy" { intent = "Copy.", freedoms = { width = "elements of a thread" } }
local function launch(s, p)
  return s.n % p.width == 0 and { grid = { s.n // p.width }, block = { 1 }, args = { { buffer = "x" }, { buffer = "y" } } }
end
kernel "copy/one" { source = "copy.cu", guide = "copy", entry = "copy_one", set = { width = 1 }, launch = launch }
kernel "copy/four" { source = "copy.cu", guide = "copy", entry = "copy_four", set = { width = 4 }, launch = launch }
kernel "copy/best" { among = { "one", "four" }, chooses = function(s) $1 end }
check "copy" { kernels = "best", shapes = { { "odd", n = 3 }, { "even", n = 8 }, { "none", n = 1 } } }
END
    put reference.cu </dev/null
    put copy.cu </dev/null
}

test_each_shape_runs_the_object_that_was_chosen_for_it() {
    study 'return s.n > 1 and (s.n % 4 == 0 and "four" or "one")'
    spak build check/copy/best/spec
    assert_exit 0
    python3 - <<'END' || fail 'the launches are others'
import json
launches = json.load(open("out/check/copy/best.spec.json"))["kernels"][0]["launch"]
assert [l and (l["object"], l["entry"], l["grid"]) for l in launches] == [
    ("out/kernel/copy/one.cubin", "copy_one", [3]), ("out/kernel/copy/four.cubin", "copy_four", [2]), False], launches
END
}

test_a_variant_that_was_not_offered_is_refused() {
    study 'return "eight"'
    spak build check/copy/best/spec
    assert_exit 2
    assert_contains err 'copy/best chooses "eight", which is not in its `among`'
}

# The study is tried on the device first, and hidden shapes have launches of their own: the rule plans for all of them.
test_hidden_shapes_are_planned_for() {
    study 'return s.n > 1 and "one"'
    sed -i 's/check "copy" {/check "copy" { hidden = function(pick) return { n = pick(1, 2) } end,/; s/device = "gpu",/device = "gpu", without = { "ALL" },/' spakfile
    spak build check/copy/best/spec admission/copy/spec
    assert_exit 0
    python3 - <<'END' || fail 'the hidden launches are others'
import json
spec = json.load(open("out/check/copy/best.spec.json"))
kernel = spec["kernels"][0]
assert len(spec["hidden"]) == 24 and spec["hidden_drawn"] == 2
for shape, launch in zip(spec["hidden"], kernel["hidden_launch"], strict=True):
    assert bool(launch) == (shape["dims"][0] > 1), (shape, launch)
assert "seed" not in spec
study = json.load(open("out/admission/copy.spec.json"))
assert [k["object"] for k in study["kernels"]] == ["out/kernel/copy/without/ALL.cubin"]
END
    spak plan check/copy/best
    assert_contains out admission/copy
}

run_tests "$0" "$@"
