#!/bin/sh
# spak diff: what changed between two runs, why, and what came of it.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# a.c -> out/a.o -> out/size; b.c -> out/b.o; a.c -> out/notes.md, whose text the trace keeps.
compiled() {
    project - <<'END'
local level = param("level", "-O1")
node { "out/a.o", inputs = { "a.c" }, tools = { "cc" }, run = { "cc", level, "-c", "a.c", "-o", "out/a.o" } }
node { "out/b.o", inputs = { "b.c" }, tools = { "cc" }, run = { "cc", "-c", "b.c", "-o", "out/b.o" } }
node { "out/size", inputs = { "out/a.o" }, run = { "cp", "out/a.o", "out/size" } }
node { traced "out/notes.md", inputs = { "a.c" }, run = { "cp", "a.c", "out/notes.md" } }
target "x" { "out/size", "out/b.o", "out/notes.md" }
END
    put a.c 'int first(int x) { return x + 1; }'
    put b.c 'int other;'
    put .gitignore /out/
    build x
}

build() {
    spak build "$@"
    assert_exit 0
}

compare() {
    spak diff "$@"
    assert_exit 0
}

# The value of one key of the JSON that was printed: Python's path into it.
json() {
    python3 -c 'import json, sys; print(eval("d" + sys.argv[1], {"d": json.load(open(sys.argv[2]))}))' "$1" "$scratch/out"
}

measured() {
    project - <<'END'
node { "out/guide", kind = "guide", write = "intent" }
node { metrics "out/m.json", measures = true, sandbox = false, guide = "out/guide", proofs = "out/invariant/tiny.json", inputs = { "bench.sh", "base" },
  run = { "sh", "bench.sh", "base", "out/m.json" } }
node { traced "out/v.json", kind = "verdict", inputs = { "base", "verdict.100", "verdict.110", "out/m.json" },
  run = { "sh", "-c", "cat verdict.$(cat base) >out/v.json" } }
target "x" { "out/m.json", "out/v.json" }
END
    law
    put bench.sh <<'END'
awk -v seed="$(cat .git/seed)" -v base="$(cat "$1")" 'BEGIN {
    srand(seed)
    for (i = 0; i < 30; i++) {
        for (g = k = 0; k < 12; k++) g += rand()
        x[i] = base * (1 + 0.004 * (g - 6))
        list = list (i ? "," : "") x[i]
    }
    for (i = 0; i < 30; i++) for (k = i + 1; k < 30; k++) if (x[k] < x[i]) { t = x[i]; x[i] = x[k]; x[k] = t }
    printf "{\"metrics\":[{\"metric\":\"k.time\",\"unit\":\"ns\",\"median\":%.9g,\"lo\":%.9g,\"hi\":%.9g,\"n\":30}],", (x[14] + x[15]) / 2, x[9], x[20]
    printf "\"samples\":{\"k.time\":[%s]}}\n", list
}' >"$2"
END
    put verdict.100 '{"hypotheses":[{"name":"fast","state":"validated"}],"kernels":[{"kernel":"k","baseline":"lib","verdict":"FASTER"}]}'
    put verdict.110 '{"hypotheses":[{"name":"fast","state":"falsified"}],"kernels":[{"kernel":"k","baseline":"lib","verdict":"FASTER"}]}'
    put .gitignore /out/
    measure 1 100
}

measure() { # seed, what is measured
    put .git/seed "$1"
    put base "$2"
    build x -B
}

test_the_last_two_runs_of_the_only_target() {
    compiled
    printf 'int first(int x) { return x * x + 3; }\nint second(void) { return 1; }\n' >a.c
    build x
    compare
    assert_contains out 'x: first run' 'x: a.c' 'M a.c' '+2 -1  read by 2 nodes' 'reads another a.c'
    assert_contains out 'a.c -> out/a.o -> out/size' '1 new, 0 gone, 1 of another size' '+ second' '+int second(void) { return 1; }'
    assert_lacks out b.o b.c
    cp "$scratch/out" all-the-same
    for words in x x~1 'x~1 x' "$(git rev-parse spak/x~) $(git rev-parse spak/x)"; do
        # shellcheck disable=SC2086
        compare $words
        cmp "$scratch/out" all-the-same || fail "spak diff $words says something else"
    done
}

test_a_flag_is_the_line_that_changed() {
    compiled
    build x -D level=-O2
    compare --json
    assert_equal "$(json '["sources"]')" '[]' sources
    assert_equal "$(json '["nodes"][0]["plan"]')" "[['-', 'arg -O1'], ['+', 'arg -O2']]" 'the lines'
    assert_equal "$(json '["nodes"][0]["why"]')" plan why
    assert_equal "$(json '["environment"]["params"]')" "[['+', 'level=-O2']]" 'the parameter'
}

test_a_cut_off_change_ends_where_it_ended() {
    compiled
    put b.c 'int other; /* a comment, which no object keeps */'
    build x
    compare --json
    assert_equal "$(json '["nodes"][0]["node"]') $(json '["nodes"][0]["chain"]')" "out/b.o ['b.c', 'out/b.o']" 'the node'
    assert_equal "$(json '["outputs"]')" '[]' outputs
}

test_nodes_come_and_go() {
    compiled
    sed -i 's,"out/b.o"\, "out/notes.md" },"out/notes.md"\, "out/c" },' spakfile
    echo 'node { "out/c", write = "c" }' >>spakfile
    build x
    compare --json
    assert_equal "$(json '["nodes"][1]["node"]') $(json '["nodes"][1]["why"]')" 'out/c new' 'the new one'
    assert_equal "$(json '["nodes"][0]["node"]') $(json '["nodes"][0]["why"]')" 'out/b.o gone' 'the old one'
    compare
    assert_contains out 'A out/c' 'D out/b.o'
}

test_a_failed_run_says_what_became_of_each_node() {
    compiled
    put a.c 'int first('
    spak build x
    assert_exit 1
    compare
    assert_contains out 'failed' '(ok -> failed)' '(ok -> skipped)' 'D out/a.o'
}

test_the_same_work_with_another_output_is_told() {
    project - <<'END'
node { "out/t", run = { "sh", "-c", "date +%N >out/t" } }
target "x" { "out/t" }
END
    build x
    build x -B
    compare
    assert_contains out 'the same work of the same inputs, and another output'
}

test_noise_is_no_difference() {
    measured
    measure 2 100
    compare --exit-code
    assert_contains out 'no difference beyond the noise' '0 of 1 measured again moved'
    spak diff x~1 x~1 --exit-code
    assert_exit 0
    assert_contains out 'no difference'
}

test_what_moved_has_interval_and_p() {
    measured
    measure 2 110
    spak diff --exit-code
    assert_exit 1
    assert_contains out '1 of 1 measured again moved' 'k.time' '  p ' 'hypothesis fast' 'validated -> falsified' 'M base'
    assert_lacks out 'k against lib'
    spak diff --json
    assert_equal "$(json '["metrics"][0]["moved"]')" True moved
    assert_equal "$(json '["metrics"][0]["lo"] > 1.08 and d["metrics"][0]["hi"] < 1.12 and d["metrics"][0]["p"] < 1e-6')" True 'the numbers'
    assert_equal "$(json '["verdicts"]')" \
        "[{'after': 'falsified', 'before': 'validated', 'file': 'out/v.json', 'machine': '$(git ls-tree --name-only spak/x:measure)', 'what': 'hypothesis fast'}]" verdicts
}

test_metrics_of_other_machines_are_not_compared() {
    measured
    machine=$(git ls-tree --name-only spak/x:measure)
    # The same run as another machine would have left it.
    git worktree add -q --detach "$scratch/other" spak/x
    git -C "$scratch/other" mv "measure/$machine" measure/elsewhere
    git -C "$scratch/other" -c user.name=A -c user.email=a@a commit -qm \
        "$(git log -1 --format=%B spak/x | sed 's/^Spak-Machine: .*/Spak-Machine: elsewhere/')"
    other=$(git -C "$scratch/other" rev-parse HEAD)
    git worktree remove --force "$scratch/other"
    compare x "$other"
    assert_contains out 'machines differ' 'not compared: what was measured on elsewhere, which only the second run has' \
        "not compared: what was measured on $machine, which only the first run has"
    assert_lacks out 'measured again'
}

test_targets_meet_in_what_they_share() {
    compiled
    echo 'target "y" { "out/b.o" }' >>spakfile
    put b.c 'int other = 3;'
    build y
    compare x y
    assert_contains out 'targets differ: x and y share 1 node' 'D out/a.o' 'M out/b.o'
    spak diff
    assert_exit 2
    assert_contains err '2 targets have a trace' 'spak diff x'
}

test_wrong_questions() {
    compiled
    spak diff
    assert_exit 2
    assert_contains err 'x has one run only' 'spak show x'
    spak diff nowhere
    assert_exit 2
    assert_contains err 'there is no trace "nowhere"'
    spak diff x x x
    assert_exit 2
    spak diff x HEAD
    assert_exit 2
}

test_one_screen_unless_all() {
    project - <<'END'
local all = {}
for i = 1, 40 do
  all[i] = "out/" .. i
  node { traced(all[i]), inputs = { "a" }, run = { "cp", "a", all[i] } }
end
target "x" { all }
END
    put a one
    build x
    seq 100 >a
    build x
    compare
    [ "$(wc -l <"$scratch/out")" -le 50 ] || fail 'more than a screen'
    assert_contains out '... and 34 more (--all)' 'lines more (--all)'
    compare --all
    assert_lacks out '(--all)'
    assert_equal "$(grep -c '^    +100$' "$scratch/out")" 40 'texts in full'
}

test_colour_only_when_wanted() {
    compiled
    put b.c 'int other = 2;'
    build x
    compare
    ! grep -q "$(printf '\033')" "$scratch/out" || fail 'colour in a file'
    compare --color=always
    grep -q "$(printf '\033')" "$scratch/out" || fail 'no colour'
}

run_tests "$0" ${1+"$1"}
