#!/bin/sh
# What git alone makes of a history of runs: the log as a table, diffs without noise, blame, bisect, and notes that travel.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# Six runs that measure: two alike, one that fails, a regression (from 100 to 110), two that stay there.
history() {
    project - <<'END'
node { "out/guide", kind = "guide", write = "intent" }
node { metrics "out/m.json", measures = true, sandbox = false, guide = "out/guide", proofs = "out/invariant/tiny.json", inputs = { "bench.sh", "base" },
  run = { "sh", "bench.sh", "base", "out/m.json" } }
target "x" { "out/m.json" }
END
    law
    put bench.sh <<'END'
awk -v seed="$(cat .git/seed)" -v base="$(cat "$1")" 'BEGIN {
    if (base == "broken") exit 1
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
    put .gitignore /out/
    measure 1 100 0
    measure 2 100 0
    measure 3 broken 1
    measure 4 110 0
    measure 5 110 0
    measure 6 110.1 0
    assert_equal "$(git rev-list --count spak/x)" 6 runs
    machine=$(git ls-tree --name-only spak/x:measure)
}

measure() { # seed, what is measured, the exit status
    put .git/seed "$1"
    put base "$2"
    spak build x -B
    assert_exit "$3"
}

commit_all() {
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm "$1"
}

bisect() { # what is wanted; in a scratch work tree of the trace's branch
    rm -rf "$scratch/b"
    git worktree prune
    git worktree add -q --detach "$scratch/b" spak/x
    cd "$scratch/b"
    git bisect start HEAD "$(git rev-list spak/x | tail -1)" >"$scratch/started"
    status=0
    git bisect run "$SPAK" bisect-check "$1" >"$scratch/out" 2>"$scratch/err" || status=$?
}

test_the_log_tells_the_story() {
    history
    git log --format=%s spak/x >"$scratch/out"
    assert_equal "$(sed -n 6p "$scratch/out")" 'x: first run, k.time 100 ns (ok)' 'the first subject'
    assert_contains out 'x: measured again (ok)' 'x: out/m.json failed (failed)' 'x: base, k.time '
    git log --format='%(trailers:key=Spak-Status,valueonly,separator=%x2C) %(trailers:key=Spak-Metric,valueonly,separator=%x2C)' spak/x >table
    assert_equal "$(cut -d' ' -f1 table | tr '\n' ' ')" 'ok ok ok failed ok ok ' 'the column of states'
    assert_equal "$(sed -n '5,6p' table | cut -d' ' -f2,3 | sort -u)" 'k.time ns' 'the column of metrics'
    assert_equal "$(sed -n 5p table)" "$(sed -n 6p table)" 'what noise did to the metric'
}

test_noise_is_no_line_of_a_diff() {
    history
    first=$(git rev-list spak/x | tail -1) second=$(git rev-list spak/x | tail -2 | head -1)
    assert_equal "$(git diff --shortstat "$first" "$second" | sed 's/.*changed, //')" '0 insertions(+), 0 deletions(-)' lines
    assert_equal "$(git diff --name-only "$first" "$second" | sed 's,.*/,,' | tr '\n' ' ')" 'm.json samples.bin ' 'what was measured again'
    assert_equal "$(git rev-parse "$first:out" "$first:plan")" "$(git rev-parse "$second:out" "$second:plan")" 'the trees that must not move'
    git diff "$first" spak/x~2 -- measure >moved # past the failed run
    assert_equal "$(grep -c '^[-+]k.time ns' moved)" 2 'lines of the regression'
}

test_blame_says_since_when() {
    history
    git blame -s spak/x -- "measure/$machine/summary" >"$scratch/out"
    assert_contains out "$(git rev-parse --short=8 spak/x~2)"
    assert_equal "$(wc -l <"$scratch/out")" 1 lines
}

test_bisect_skips_the_run_that_failed() {
    history
    bad=$(git rev-parse spak/x~2) failed=$(git rev-parse spak/x~3)
    bisect 'k.time <= 105'
    cat "$scratch/out" "$scratch/err" >"$scratch/said"
    # The run before the regression failed, so git can say only that it is one of the two.
    assert_contains "$scratch/said" "$bad" "$failed" 'cannot be told: the run is failed'
}

test_bisect_names_the_regression() {
    history
    measure 7 130 0
    measure 8 130 0
    bad=$(git rev-parse spak/x~)
    bisect 'k.time.ns < 120'
    assert_equal "$status" 0 'the status of git bisect'
    assert_contains out "$bad is the first bad commit"
}

test_a_wrong_question_stops_the_bisection() {
    history
    for question in 'k.time =< 105' 'k.time' '<= 105' 'k.time <= fast' 'k time <= 3' 'k.time <= 1 2'; do
        spak bisect-check "$question" x
        assert_exit 128
        assert_contains err 'error[U100]' "$question"
    done
    spak bisect-check --nonsense 'k.time > 1' x
    assert_exit 128
    spak bisect-check 'k.time > 1'
    assert_exit 128 # HEAD is no trace
    bisect 'k.time =< 105'
    [ "$status" -ge 1 ] || fail 'the bisection went on'
    cat "$scratch/out" "$scratch/err" >"$scratch/said"
    assert_lacks "$scratch/said" 'first bad commit'
}

test_every_comparison() {
    history
    while read -r op number expected; do
        spak bisect-check "k.time $op $number" x~5
        assert_exit "$expected"
    done <<'END'
> 99 0
> 101 1
>= 99 0
< 101 0
< 99 1
<= 101 0
== 90 1
!= 7 0
>= 1e2a 128
END
    spak bisect-check 'k.time>=99' x~5
    assert_exit 0
    spak bisect-check 'k.tim > 1' x~5
    assert_exit 125
    assert_contains out 'no such metric; is it k.time?'
    spak bisect-check 'k.time > 1' x~3
    assert_exit 125
    spak bisect-check --json 'k.time > 1' x
    assert_contains out '"verdict":"holds"' '"metric":"k.time"'
}

test_a_metric_that_is_no_measurement_counts_too() {
    project - <<'END'
node { metrics "out/m.json", inputs = { "m" }, run = { "cp", "m", "out/m.json" } }
target "x" { "out/m.json" }
END
    for bytes in 100 100 120; do
        put m "{\"metrics\":[{\"metric\":\"size\",\"unit\":\"bytes\",\"median\":$bytes,\"lo\":$bytes,\"hi\":$bytes,\"n\":1}]}"
        spak build x
        assert_exit 0
    done
    assert_equal "$(git rev-list --count spak/x)" 2 runs
    spak bisect-check 'size <= 110' x~1
    assert_exit 0
    spak bisect-check 'size.bytes <= 110' x
    assert_exit 1
    spak diff
    assert_contains out 'size' '100 -> 120 bytes' 'by its interval'
}

test_notes_of_two_clones_both_survive() {
    history
    commit_all sources
    git init -q --bare "$scratch/hub.git"
    git remote add origin "$scratch/hub.git"
    spak init
    assert_exit 0
    assert_contains out 'set remote.origin.push refs/notes/spak/*:refs/notes/spak/*'
    git push -q
    git -C "$scratch/hub.git" symbolic-ref HEAD refs/heads/main
    git clone -q "$scratch/hub.git" "$scratch/clone"
    cd "$scratch/clone"
    spak init
    git fetch -q
    assert_equal "$(git log --format=%s origin/spak/x | wc -l)" 6 'runs that were cloned'
    note_with Bob clone origin/spak/x
    git push -q origin refs/notes/spak/verify
    cd "$dir"
    note_with Ann origin spak/x
    git fetch -q
    git -c user.name=Ann -c user.email=a@a notes --ref refs/notes/spak/verify merge -q -s cat_sort_uniq refs/notes/origin/spak/verify
    git notes --ref refs/notes/spak/verify show spak/x >both
    assert_contains both 'identical on clone' 'identical on origin'
    git push -q
    assert_equal "$(git -C "$scratch/hub.git" notes --ref refs/notes/spak/verify show spak/x | grep -c identical)" 2 'lines at the hub'
    rm -rf "$scratch/hub.git" "$scratch/clone"
}

note_with() { # who, where, of which run
    git -c user.name="$1" -c user.email=a@a notes --ref refs/notes/spak/verify add -m "identical on $2" "$3"
}

test_a_clone_bisects_too() {
    history
    git clone -q . "$scratch/clone" 2>/dev/null
    bad=$(git rev-parse spak/x~2)
    cd "$scratch/clone"
    git checkout -q --detach origin/spak/x
    git bisect start HEAD "$(git rev-list origin/spak/x | tail -1)" >started
    git bisect run "$SPAK" bisect-check 'k.time <= 105' >said 2>&1 || true
    assert_contains said "$bad"
    rm -rf "$scratch/clone"
}

run_tests "$0" ${1+"$1"}
