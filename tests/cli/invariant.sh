#!/bin/sh
# spak-prove refuses every simulation that deserves no belief, each for its own reason, finds and shrinks
# counterexamples, names surviving mutants, and writes the same proof every time.
set -eu
prove=${SPAK_PROVE:?the path of spak-prove}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
    echo "FAIL: $*" >&2
    [ ! -f "$dir/log" ] || cat "$dir/log" >&2
    [ ! -f "$dir/proof.json" ] || cat "$dir/proof.json" >&2
    exit 1
}

# A simulation in Python: `answer(case)` returns the answer object; `mutant` is the fault switched on.
sim() { # the definition of answer, on stdin
    {
        printf 'import atexit, json, os, sys, time\nmutant = sys.argv[2] if len(sys.argv) > 2 else None\n'
        cat
        printf 'for line in sys.stdin:\n    print(json.dumps(answer(json.loads(line))), flush=True)\n'
    } >"$dir/sim.py"
}

double() { # a law that holds, and a mutant that adds one
    sim <<'END'
def answer(c):
    return {"lhs": 2 * c["x"] + (mutant == "plus_one"), "rhs": c["x"] + c["x"]}
END
}

members() { # further members of the specification
    cat >"$dir/spec.json" <<END
{"name": "test/law", "asserts": "double is x + x", "sim": ["python3", "$dir/sim.py"],
 "cases": [["x", {"int": [0, 99]}], ["ys", {"list": {"int": [0, 9]}, "len": [0, 6]}]],
 "scope": {"exhaustive": 2, "random": 100}, "seed": "5eed", "timeout_s": 1,
 "mutants": [{"name": "plus_one", "fault": "adds one"}]$1}
END
}

change() { # sed command on the specification
    sed "$1" "$dir/spec.json" >"$dir/changed"
    mv "$dir/changed" "$dir/spec.json"
}

expect() { # exit status, words of the message, status in the proof
    code=0
    rm -f "$dir/proof.json"
    "$prove" "$dir/spec.json" --out "$dir/proof.json" >"$dir/out" 2>"$dir/log" || code=$?
    [ "$code" = "$1" ] || fail "exit $code, not $1 ($2)"
    grep -q -e "$2" "$dir/log" || fail "no '$2' in the message"
    [ ! -s "$dir/out" ] || fail "chat on stdout"
    [ "$1" = 2 ] || grep -q "\"status\": \"$3\"" "$dir/proof.json" || fail "the proof is not $3"
}

# The honest one, twice, byte for byte.
double
members ''
expect 0 '1 of 1 mutants killed' verified
cp "$dir/proof.json" "$dir/first.json"
expect 0 'verified (PROVED)' verified
cmp -s "$dir/first.json" "$dir/proof.json" || fail "two runs, two proofs"
! grep -q "$dir" "$dir/proof.json" || fail "a path in the proof"

# A vacuous law: both sides the same constant, or never a side at all.
sim <<'END'
def answer(c):
    return {"lhs": True, "rhs": True}
END
expect 3 'vacuous: the left side is the same' unverified
sim <<'END'
def answer(c):
    return {"lhs": None, "rhs": None}
END
expect 3 'vacuous' unverified
sim <<'END'
def answer(c):
    return {"skip": "not today"}
END
expect 3 'skipped every case (not today)' unverified
sim <<'END'
def answer(c):
    return {"skip": "odd"} if c["x"] % 10 else {"lhs": c["x"], "rhs": c["x"]}
END
expect 3 'more than the 50 %' unverified

# One that judges itself.
printf 'print("PASS")\n' >"$dir/sim.py"
expect 3 'a line that is not JSON: .PASS' unverified
sim <<'END'
def answer(c):
    return {"status": "verified", "ok": True}
END
expect 3 'neither {"lhs": ..., "rhs": ...} nor {"skip": reason}' unverified
sim <<'END'
def answer(c):
    return {"lhs": c["x"], "rhs": c["x"], "pass": True}
END
expect 3 'neither {"lhs"' unverified

# Crashes: at once, half-way, by a signal, at the end; and one that just leaves.
printf 'import sys\nsys.exit("no such module")\n' >"$dir/sim.py"
expect 3 'exit status 1 after 0 answers' unverified
grep -q 'no such module' "$dir/log" || fail "what it said on stderr is lost"
! grep -q 'no such module' "$dir/proof.json" || fail "stderr, which may hold paths, is in the proof"
sim <<'END'
def answer(c):
    if c["x"] > 50:
        raise ValueError("too big")
    return {"lhs": c["x"], "rhs": c["x"]}
END
expect 3 'ended with exit status 1 after [1-9]' unverified
sim <<'END'
def answer(c):
    os.kill(os.getpid(), 9)
END
expect 3 'ended by signal 9' unverified
sim <<'END'
atexit.register(lambda: os._exit(7))
def answer(c):
    return {"lhs": c["x"], "rhs": c["x"]}
END
expect 3 'exit status 7' unverified
sim <<'END'
def answer(c):
    sys.exit(0)
END
expect 3 'ended after 0 answers, with cases still unanswered' unverified

# Silence, chatter beside the protocol, a flood, and too many answers.
sim <<'END'
def answer(c):
    time.sleep(60)
END
expect 3 'gave no answer for 1 s' unverified
sim <<'END'
def answer(c):
    while True:
        sys.stderr.write("still here\n")
        time.sleep(0.05)
END
expect 3 'gave no answer for 1 s' unverified
sim <<'END'
def answer(c):
    return {"lhs": "x" * 2000000, "rhs": 1}
END
expect 3 'longer than 1 MiB' unverified
sim <<'END'
def answer(c):
    print(json.dumps({"lhs": c["x"], "rhs": c["x"]}))
    return {"lhs": c["x"], "rhs": c["x"]}
END
expect 3 'more than one line' unverified
printf 'import os, time\nos.close(0)\ntime.sleep(60)\n' >"$dir/sim.py"
expect 3 'gave no answer' unverified

# Answers that depend on something else than the case.
sim <<'END'
count = 0
def answer(c):
    global count
    count += 1
    return {"lhs": [c["x"], count], "rhs": [c["x"], count]}
END
expect 3 'not a function of the case' unverified
sim <<'END'
count = 0
def answer(c):
    global count
    count += 1
    return {"lhs": c["x"] + (count == 40), "rhs": c["x"]}
END
expect 3 'not a function of the case' unverified

# A simulation may change nothing, and where the kernel can refuse, it does.
: >"$dir/mark"
sim <<END
def answer(c):
    try:
        open("$dir/mark", "w").write("was here")
    except OSError:
        return {"lhs": [c["x"], mutant == "plus_one"], "rhs": [c["x"], False]}
    return {"lhs": c["x"] + (mutant == "plus_one"), "rhs": c["x"]}
END
expect 0 'verified' verified
if python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)'; then # Landlock
    [ ! -s "$dir/mark" ] || fail "the simulation wrote a file"
fi

# Survivors are named, a mutant that breaks down kills nothing, no mutants is no proof.
sim <<'END'
def answer(c):
    return {"lhs": 2 * c["x"], "rhs": c["x"] + c["x"]}
END
expect 3 'no case tells these from the law: plus_one (adds one)' unverified
sim <<'END'
def answer(c):
    if mutant:
        sys.exit(1)
    return {"lhs": 2 * c["x"], "rhs": c["x"] + c["x"]}
END
expect 3 'plus_one (adds one; gave no result: it ended with exit status 1' unverified
double
members ', "threshold": 0.5'
change 's/"adds one"}/"adds one"}, {"name": "other", "fault": "is ignored"}/'
expect 0 '1 of 2 mutants killed' verified
members ''
change 's/{"name": "plus_one", "fault": "adds one"}//'
expect 3 'declares no mutants' unverified
printf '# comment\n\nplus_one   adds one\n' >"$dir/sim.mutants"
change "s|\"mutants\": \\[\\]|\"mutants\": \"$dir/sim.mutants\"|"
expect 0 '1 of 1 mutants killed' verified

# A counterexample is found and shrunk: the smallest case that breaks the law has x = 50 and one y, a 7.
members ''
change 's/"exhaustive": 2, "random": 100/"random": 3000/'
sim <<'END'
def answer(c):
    wrong = c["x"] >= 50 and 7 in c["ys"]
    return {"lhs": {"double": [1, 2 * c["x"] + wrong]}, "rhs": {"double": [1, 2 * c["x"]]}}
END
expect 3 'the sides differ at .double\[1\]' refuted
grep -q 'case:  {"x":50,"ys":\[7\]}' "$dir/log" || fail "the counterexample is not the smallest"
grep -q '"shrunk_from"' "$dir/proof.json" || fail "the case first found is lost"
grep -q 'left:  {"double":\[1,101\]}' "$dir/log" || fail "the left side is not shown"

# A scope that was cut is not called exhaustive, and a bound is not called a proof.
double
members ''
change 's/"exhaustive": 2/"exhaustive": 3, "cap": 10/'
expect 0 'truncated, so not exhaustive' verified
grep -q '"rung": "PROPERTY"' "$dir/proof.json" || fail "a truncated scope is no proof"
members ', "within": {"abs": 0.5}'
expect 0 'STATISTICAL' verified
members ', "relation": "at_most"'
expect 0 'STATISTICAL' verified

# Specifications that make no sense, and machines that lack what they need.
members ', "relation": "roughly"'
expect 2 'must be "equal" or "at_most"'
members ', "tolerance": 0.1'
expect 2 'member .tolerance. that I do not know'
members ''
change 's/"len": \[0, 6\]/"len": "n"/'
expect 2 'takes its length from .n., which is not a field before it'
members ''
change 's/"python3"/"no-such-program"/'
expect 2 'no-such-program'
printf '{' >"$dir/spec.json"
expect 2 'spec.json'
[ ! -f "$dir/proof.json" ] || fail "a proof of nothing"
code=0
"$prove" 2>/dev/null || code=$?
[ "$code" = 2 ] || fail "no usage"

echo "every simulation was judged as it deserves"
