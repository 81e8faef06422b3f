#!/bin/sh
# spak-gpu says what is wrong with a specification anywhere; on a machine with a device it rejects every cheat of tests/cheats/gpu, each for
# its own reason, and passes the honest candidate. SPAK_GPU_CUBINS: a folder with the cheats compiled already, for a machine without nvcc.
set -eu
runner=${SPAK_GPU-}
if [ -z "$runner" ] || [ ! -x "$runner" ]; then
    echo "skipped: no spak-gpu, which is built where the CUDA toolkit is"
    exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
cheats=$here/../cheats/gpu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cubins=${SPAK_GPU_CUBINS:-$dir}
arch=${SPAK_GPU_ARCH:-90}

fail() {
    echo "FAIL: $*" >&2
    [ ! -f "$dir/log" ] || cat "$dir/log" >&2
    [ ! -f "$dir/out.json" ] || cat "$dir/out.json" >&2
    exit 1
}

# The launches of scale on its two shapes.
launch='"launch": [{"grid": [2048], "block": [256], "smem": 1024, "args": [{"buffer": "x"}, {"buffer": "y"}, {"i64": 524287}]},
                   {"grid": [1], "block": [256], "smem": 1024, "args": [{"buffer": "x"}, {"buffer": "y"}, {"i64": 1}]}]'

# Those of the hidden ones, of which every kernel meets one.
hidden_launch='"hidden_launch": [{"grid": [4], "block": [256], "smem": 1024, "args": [{"buffer": "x"}, {"buffer": "y"}, {"i64": 1000}]},
                   {"grid": [20], "block": [256], "smem": 1024, "args": [{"buffer": "x"}, {"buffer": "y"}, {"i64": 4999}]}]'

spec_of() { # kernels
    cat >"$dir/spec.json" <<SPEC
{"op": "scale", "reference": "$cubins/reference.cubin", "bound": ${bound:-1e-6}, "timeout_s": 3, "budget_s": 0.3, "min_blocks": 5, "max_blocks": 8,
 "control": "HONEST",
 "buffers": [{"name": "x", "role": "in"}, ${more_input-}{"name": "y", "role": "out"}],
 "shapes": [{"name": "large", "dims": [524287], "elements": [524287, ${more_elements-}524287], "flops": 524287, "bytes": 4194296, "exact": ${exact-true}},
            {"name": "one", "dims": [1], "elements": [1, ${more_elements:+1, }1], "flops": 1, "bytes": 8}],
 "hidden_drawn": 1,
 "hidden": [{"name": "hidden-1", "dims": [1000], "elements": [1000, ${more_elements-}1000], "flops": 1000, "bytes": 8000},
            {"name": "hidden-2", "dims": [4999], "elements": [4999, ${more_elements-}4999], "flops": 4999, "bytes": 39992}],
 "kernels": [$1]}
SPEC
}

entry() { # kernel [more]
    printf '{"name": "%s", "object": "%s/%s.cubin", "entry": "scale"%s, %s, %s}' "$1" "$cubins" "$1" "${2-}" "$launch" "$hidden_launch"
}

expect_error() { # what-the-message-says
    code=0
    "$runner" check "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
    [ "$code" = 2 ] || fail "a wrong specification exits $code"
    grep -q 'R101' "$dir/log" || fail "no code"
    grep -q "$1" "$dir/log" || fail "the message does not say '$1'"
}

# Mistakes in a specification are found before a device is looked for.
code=0
"$runner" check "$dir/none.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
[ "$code" = 2 ] || fail "a missing specification exits $code"
code=0
"$runner" check >"$dir/log" 2>&1 || code=$?
[ "$code" = 2 ] || fail "a command line without a specification exits $code"
honest=$(entry HONEST)
spec_of "$(echo "$honest" | sed 's/"block": \[256\]/"block": [2048]/')"
expect_error 'product of 1024'
spec_of "$(echo "$honest" | sed 's/{"buffer": "y"}/{"buffer": "z"}/')"
expect_error 'names no buffer'
spec_of "$(echo "$honest" | sed 's/{"i64": 1}/{"i16": 1}/')"
expect_error 'is one of buffer, map'
spec_of "$(echo "$honest" | sed 's/"smem": 1024/"smem": -1/')"
expect_error 'number of bytes'
spec_of "$(echo "$honest" | sed 's/"grid": \[1\]/"grid": [3], "cluster": [2]/')"
expect_error 'multiple of the cluster'
spec_of "$(echo "$honest" | sed 's/"entry": "scale", //')"
expect_error 'needs `object` and `entry`'
spec_of "$(echo "$honest" | sed 's/{"i64": 1}/{"map": {"buffer": "x", "dims": [8, 8], "strides": [12], "box": [8, 8]}}/')"
expect_error 'multiples of 16 bytes'
spec_of "$(echo "$honest" | sed 's/{"i64": 1}/{"map": {"buffer": "x", "dims": [8, 8], "strides": [32], "box": [8, 300]}}/')"
expect_error '256 elements at most'
spec_of '{"name": "short", "library": "cublas_gemm", "launch": [null]}'
expect_error 'an entry for each shape'
spec_of "$(echo "$honest" | tr '\n' ' ' | sed 's/"hidden_launch": \[.*\]/"hidden_launch": [null]/')"
expect_error 'hidden_launch` has an entry for each shape'

# Whether there is a device, the runner itself knows.
spec_of "$honest"
code=0
"$runner" check "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
if [ "$code" = 4 ]; then
    grep -q 'R103' "$dir/log" || fail "no device, and no R103"
    [ ! -f "$dir/out.json" ] || fail "no device, and yet a result"
    echo "skipped: no device"
    exit 77
fi

compile() { # cheat
    nvcc -cubin -rdc="$([ "$1" = LAUNCHES ] && echo true || echo false)" -gencode="arch=compute_$arch,code=sm_$arch" -DCHEAT="$1" "$cheats/scale.cu" -o "$cubins/$1.cubin"
}
all="HONEST NOTHING CONSTANT HALF COPY WRITES_INPUT OUT_OF_BOUNDS BEFORE_BOUNDS HANGS FAULTS STALE_SHARED CACHES ONE_OFF NOT_A_NUMBER
EVERY_OTHER_LAUNCH TRAPS KNOWS_SHAPES READS_OUTPUT SKIPS_ZEROS KNOWS_WHOLE_NUMBERS HALF_PRECISION PRINTS TIRES RESTS LAUNCHES"
if [ ! -f "$cubins/HONEST.cubin" ]; then
    nvcc -cubin -gencode="arch=compute_$arch,code=sm_$arch" "$cheats/reference.cu" -o "$cubins/reference.cubin"
    nvcc -cubin -gencode="arch=compute_$arch,code=sm_$arch" -DWITHOUT=FACTOR "$cheats/reference.cu" -o "$cubins/without.cubin"
    for cheat in $all; do
        compile "$cheat"
    done
fi

# The study itself is tried: everything that is wrong on purpose fails, the reference passes, every input matters.
without="{\"name\": \"without FACTOR\", \"object\": \"$cubins/without.cubin\"}"
expect_admission() { # kernels exit what-it-says
    spec_of "$1"
    code=0
    rm -f "$dir/out.json"
    "$runner" admit "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
    [ "$code" = "$2" ] || fail "an admission exits $code, not $2"
    grep -q "$3" "$dir/log" || fail "the admission does not say '$3'"
    echo "admit: $3"
}
expect_admission "$without" 0 'admitted, 7 of 7 wrong candidates caught'
grep -q '"status": "admitted"' "$dir/out.json" || fail "an admission without a status"
same="{\"name\": \"without NOTHING\", \"object\": \"$cubins/reference.cubin\"}"
expect_admission "$same" 3 'without NOTHING compiles to the same object: the reference does not look at WITHOUT'
(
    bound=1e6 exact=false
    expect_admission "$without" 3 'zeros passes the check'
)
(
    more_input='{"name": "z", "role": "in"}, '
    more_elements='4, '
    expect_admission "$without" 3 'input z changes no output'
)

expect_check() { # kernel exit status-in-result
    spec_of "$(entry "$1")"
    code=0
    rm -f "$dir/out.json"
    "$runner" check "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
    [ "$code" = "$2" ] || fail "$1: exit $code, not $2"
    grep -q "\"$3\"" "$dir/out.json" || fail "$1 is not $3"
    echo "$1: $3"
}

expect_check HONEST 0 PASS
expect_check NOTHING 1 UNWRITTEN
expect_check CONSTANT 1 WRONG
expect_check HALF 1 UNWRITTEN
expect_check COPY 1 WRONG
expect_check WRITES_INPUT 1 INPUT_WRITTEN
expect_check OUT_OF_BOUNDS 1 OUT_OF_BOUNDS
expect_check BEFORE_BOUNDS 1 OUT_OF_BOUNDS
expect_check HANGS 1 HUNG
expect_check FAULTS 1 CRASHED
expect_check TRAPS 1 CRASHED
expect_check STALE_SHARED 1 NAN
expect_check CACHES 1 WRONG
expect_check ONE_OFF 1 WRONG
expect_check NOT_A_NUMBER 1 NAN
expect_check EVERY_OTHER_LAUNCH 1 UNWRITTEN
expect_check READS_OUTPUT 1 NAN
expect_check SKIPS_ZEROS 1 UNWRITTEN
expect_check KNOWS_WHOLE_NUMBERS 1 WRONG
expect_check HALF_PRECISION 1 WRONG
expect_check PRINTS 1 UNWRITTEN
expect_check LAUNCHES 1 UNLOADABLE
expect_check TIRES 0 PASS
expect_check RESTS 0 PASS
expect_check KNOWS_SHAPES 1 UNWRITTEN
grep -q '"shape": "hidden-' "$dir/out.json" || fail "it was not a hidden shape that found it"
grep -q '"object": "[0-9a-f]' "$dir/out.json" || fail "the check does not say what it checked"
(
    hidden_launch='"hidden_launch": [null, null]'
    expect_check HONEST 1 UNMEASURED
)
(
    launch='"launch": [null, null]'
    expect_check HONEST 1 UNMEASURED
)

# Its inputs follow from the candidate: a check can be repeated.
spec_of "$honest"
for i in 1 2; do
    "$runner" check "$dir/spec.json" --out "$dir/check-$i.json" >"$dir/log" 2>&1 || fail "check exits $?"
done
cmp "$dir/check-1.json" "$dir/check-2.json" || fail "two checks of one candidate differ"

# A check that was passed by knowing the shapes does not help when others are drawn, nor does another object's.
forged() { # kernel object-of
    printf '{"kernels": {"%s": {"status": "PASS", "object": "%s"}}}' "$1" "$(sha256sum "$cubins/$2.cubin" | cut -d' ' -f1)" >"$dir/$1.check.json"
}
forged KNOWS_SHAPES KNOWS_SHAPES
forged COPY HONEST
forged HONEST HONEST
spec_of "$(entry HONEST ", \"check\": \"$dir/HONEST.check.json\""), $(entry KNOWS_SHAPES ", \"check\": \"$dir/KNOWS_SHAPES.check.json\""),
    $(entry COPY ", \"check\": \"$dir/COPY.check.json\"")"
"$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || fail "bench exits $?"
python3 - "$dir/out.json" <<'END' || fail "the bench of who knows the shapes"
import hashlib, hmac, json, sys
bench = json.load(open(sys.argv[1]))
for shape in bench["shapes"]:
    status = {name: kernel["status"] for name, kernel in shape["kernels"].items()}
    assert status == {"HONEST": "PASS", "KNOWS_SHAPES": "REJECTED", "COPY": "REJECTED", "A/A control": "PASS"}, status
draw = bench["draw"]
digest = hmac.new(draw["nonce"].encode(), draw["commitment"].encode(), hashlib.sha256).digest()
assert draw["seed"] == int.from_bytes(digest[:8], "big") >> 11, draw
END

expect_bench() { # kernel status on the large shape
    spec_of "$honest, $(entry "$1")"
    "$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || fail "$1: bench exits $?"
    python3 - "$dir/out.json" "$1" "$2" <<'END' || fail "$1 is not $2 when timed, or HONEST is not PASS"
import json, sys
for shape in json.load(open(sys.argv[1]))["shapes"]:
    status = {name: kernel["status"] for name, kernel in shape["kernels"].items()}
    assert status["HONEST"] == status["A/A control"] == "PASS", status
    assert shape["name"] != "large" or status[sys.argv[2]] == sys.argv[3], status
END
    echo "$1: $2 when timed"
}

expect_bench TIRES UNWRITTEN
expect_bench RESTS UNEVEN

# One kernel that takes a worker with it costs the others nothing.
spec_of "$honest, $(entry FAULTS), $(entry HANGS), $(entry CACHES), $(entry EVERY_OTHER_LAUNCH), $(entry COPY ", \"check\": \"$dir/none.json\"")"
"$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || fail "bench exits $?"
for word in A/A.control samples_ns CRASHED HUNG WRONG UNWRITTEN REJECTED conditions sm_mhz; do
    grep -q "$word" "$dir/out.json" || fail "the bench does not say $word"
done
tr -d '\n ' <"$dir/out.json" | grep -q '"HONEST":{[^}]*"samples_ns":\[[0-9]' || fail "the honest kernel has no samples"
echo "runner_gpu: ok"
