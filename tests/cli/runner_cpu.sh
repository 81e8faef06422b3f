#!/bin/sh
# spak-cpu rejects every cheat of tests/cheats/scale.c, each for its own reason, and passes the honest candidate.
set -eu
runner=${SPAK_CPU:?the path of spak-cpu}
here=$(cd "$(dirname "$0")" && pwd)
cheats=$here/../cheats
include=$here/../../src/runner
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

build() { # cheat
    cc -std=gnu11 -O1 -fPIC -shared -I"$include" -DCHEAT="$1" "$cheats/scale.c" -o "$dir/$1.so" -lm -pthread
}

spec() { # kernel object [check]
    cat >"$dir/spec.json" <<EOF
{"op": "scale", "reference": "$dir/HONEST.so", "bound": 1e-6, "timeout_s": 1, "budget_s": 0.2, "min_blocks": 5, "max_blocks": 8,
 "control": "$1",
 "buffers": [{"name": "x", "role": "in"}, {"name": "y", "role": "out"}],
 "shapes": [{"name": "small", "dims": [1000], "elements": [1000, 1000], "flops": 1000, "bytes": 8000, "exact": true},
            {"name": "one", "dims": [1], "elements": [1, 1], "flops": 1, "bytes": 8}],
 "hidden_drawn": 1, "hidden": [{"name": "hidden-1", "dims": [77], "elements": [77, 77]}, {"name": "hidden-2", "dims": [501], "elements": [501, 501]}],
 "kernels": [{"name": "$1", "object": "$2"$3}]}
EOF
}

fail() {
    echo "FAIL: $*" >&2
    [ ! -f "$dir/log" ] || cat "$dir/log" >&2
    [ ! -f "$dir/out.json" ] || cat "$dir/out.json" >&2
    exit 1
}

expect_check() { # kernel exit status-in-result
    spec "$1" "$dir/$1.so" ""
    code=0
    rm -f "$dir/out.json"
    "$runner" check "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
    [ "$code" = "$2" ] || fail "$1: exit $code, not $2"
    grep -q "\"$3\"" "$dir/out.json" || fail "$1 is not $3"
}

expect_bench() { # kernel status
    spec "$1" "$dir/$1.so" ""
    "$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || fail "$1: bench exits $?"
    grep -q "\"$2\"" "$dir/out.json" || fail "$1 is not $2 when timed"
}

# Claims so many operations that no machine could have done them.
expect_impossible() { # kernel status
    spec "$1" "$dir/$1.so" ""
    sed -i 's/"flops": 1000,/"flops": 1e15,/' "$dir/spec.json"
    "$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || fail "$1: bench exits $?"
    grep -q "\"$2\"" "$dir/out.json" || fail "$1 is not $2 with too many operations"
}

# Takes 20 ms a launch, whatever it says, or is seen to have used a second core.
expect_slow() { # kernel status
    expect_bench "$1" "$2"
    python3 - "$dir/out.json" "$1" <<'END' || fail "$1 was believed"
import json, sys
for shape in json.load(open(sys.argv[1]))["shapes"]:
    kernel = shape["kernels"][sys.argv[2]]
    assert kernel["status"] == "FORBIDDEN" or min(kernel["samples_ns"]) > 2e7, shape
END
}

# Whether two processes that do nothing but count get more than one core just now.
has_two_cores() {
    python3 - <<'END'
import multiprocessing, sys, time
def count():
    while time.process_time() < 0.3:
        pass
both = [multiprocessing.Process(target=count) for _ in range(2)]
begin = time.time()
for process in both:
    process.start()
for process in both:
    process.join()
sys.exit(time.time() - begin > 0.45)
END
}

# Threads that nobody was told of are no help, and not seen, while others keep all cores but one busy.
expect_hidden() { # kernel status
    for _ in 1 2 3 4 5 6; do
        if (expect_check "$1" 1 "$2") 2>/dev/null; then
            return
        fi
    done
    ! has_two_cores || fail "$1 is not $2, and there were cores to hide on"
    echo "$1: not tried: no core to hide on"
}

# What becomes of each candidate is in the table of cheats.
tried=0
grep '^| ' "$cheats/README.md" | grep -o '`cpu [^`]*`' | tr -d '`' | sort -u >"$dir/rows"
while read -r _ name job status; do
    [ "$name" != SWAPPED ] || continue
    [ -f "$dir/$name.so" ] || build "$name"
    [ -f "$dir/HONEST.so" ] || build HONEST
    tried=$((tried + 1))
    case $job in
    check) if [ "$name" = HIDES_THREADS ]; then expect_hidden "$name" "$status"; elif [ "$status" = PASS ]; then expect_check "$name" 0 PASS; else expect_check "$name" 1 "$status"; fi ;;
    bench) expect_bench "$name" "$status" ;;
    impossible) expect_impossible "$name" "$status" ;;
    slow) expect_slow "$name" "$status" ;;
    *) fail "the table says \"$name $job $status\"" ;;
    esac
done <"$dir/rows"
[ "$tried" -ge 52 ] || fail "only $tried cheats in the table"

# The same with leave, as a baseline has it.
spec FALLS_BACK "$dir/FALLS_BACK.so" ', "loads_libraries": true'
"$runner" check "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 || fail "a baseline finds no library"

expect_bench HONEST PASS
grep -q '"A/A control"' "$dir/out.json" || fail "no control was measured"
grep -q '"samples_ns"' "$dir/out.json" || fail "no samples"
expect_bench HANGS HUNG

# What is timed is what was checked: another object under the same name is not.
cp "$dir/HONEST.so" "$dir/SWAPPED.so"
spec SWAPPED "$dir/SWAPPED.so" ", \"check\": \"$dir/check.json\""
"$runner" check "$dir/spec.json" --out "$dir/check.json" >"$dir/log" 2>&1 || fail "the honest candidate failed"
"$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1
grep -q '"PASS"' "$dir/out.json" || fail "a checked kernel was not measured"
cp "$dir/CACHES.so" "$dir/SWAPPED.so"
"$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1
grep -q '"REJECTED"' "$dir/out.json" || fail "a swapped object was measured"

# A kernel whose check failed is not measured, however fast.
spec COPY "$dir/COPY.so" ", \"check\": \"$dir/check.json\""
"$runner" check "$dir/spec.json" --out "$dir/check.json" >"$dir/log" 2>&1 && fail "COPY passed its check"
"$runner" bench "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1
grep -q '"REJECTED"' "$dir/out.json" || fail "a rejected kernel was measured"

# Nonsense on the command line or in the specification is an error with its place.
code=0
"$runner" check "$dir/none.json" --out "$dir/out.json" >"$dir/log" 2>&1 || code=$?
[ "$code" = 2 ] || fail "a missing specification exits $code"
echo '{"op": "x"}' >"$dir/spec.json"
"$runner" check "$dir/spec.json" --out "$dir/out.json" >"$dir/log" 2>&1 && fail "an empty specification passed"
grep -q 'R101' "$dir/log" || fail "no code in: $(cat "$dir/log")"

# A reference that is no reference is the study's fault, not the candidate's.
spec HONEST "$dir/HONEST.so" ""
echo 'int nothing;' | cc -shared -fPIC -x c - -o "$dir/empty.so"
sed "s|\"reference\": \"[^\"]*\"|\"reference\": \"$dir/empty.so\"|" "$dir/spec.json" >"$dir/bad.json"
code=0
"$runner" check "$dir/bad.json" --out "$dir/bad.out" >"$dir/log" 2>&1 || code=$?
[ "$code" = 2 ] || fail "a study without a reference exits $code"
grep -q 'R102' "$dir/log" || fail "no code in: $(cat "$dir/log")"
echo "runner_cpu: ok"
