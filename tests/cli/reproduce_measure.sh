#!/bin/sh
# spak reproduce where something was measured: equivalence, other machines, and the record against itself.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# A study in small: a guide, a proof, a measurement whose samples come from the tool `clock`, and its verdict.
study() {
    project - <<'END'
use "study"
study {}
target "x" { "out/verdict/x.json", "out/metrics.json" }
END
    law
    put rules/study.lua <<'END'
local hypothesis = [[{"name": "x", "predicts": "speedup(a, b) >= 2"}]]
return {
  name = "study", doc = "a small study", shape = {},
  make = function()
    tool { name = "clock", find = "clock" }
    node { traced "out/guide.md", kind = "guide", phase = "outer", write = "make it fast\n" }
    node { traced "out/hypothesis/x.json", kind = "hypothesis", phase = "outer", write = hypothesis }
    node {
      "out/samples", measures = true, phase = "inner", guide = "out/guide.md", proofs = "out/invariant/tiny.json", inputs = "out/hypothesis/x.json",
      run = { "clock", "samples", "out/samples" },
    }
    node { metrics "out/metrics.json", inputs = "out/samples", run = { "clock", "metrics", "out/metrics.json" } }
    return node {
      traced "out/verdict/x.json", inputs = "out/samples", run = { "clock", "verdict", "out/verdict/x.json" },
    }
  end,
}
END
    mkdir -p "$scratch/bin"
    PATH=$scratch/bin:$PATH
    export PATH
    clock 100
    put .gitignore /out/
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm first
    spak build x
    assert_exit 0
    rm -rf "$scratch/temporary"
    mkdir "$scratch/temporary"
    TMPDIR=$scratch/temporary
    export TMPDIR
}

# A clock that shows about $1 ns, spread by $2 in a hundred, and a speed-up of $3. The tool itself stays the same file.
clock() {
    put "$scratch/bin/clock" <<END
#!/bin/sh
case \$1 in
samples) cat /proc/sys/kernel/random/uuid >"\$2" ;;
metrics) awk 'BEGIN {
    srand(); printf "{\"metrics\": [{\"metric\": \"x.time\", \"unit\": \"ns\", \"median\": $1, \"lo\": $1, \"hi\": $1, \"n\": 60}], \"samples\": {\"x.time\": ["
    for (i = 0; i < 60; i++) printf "%s%f", i ? ", " : "", $1 * (1 + ${2-1} / 100 * (2 * ((i * 37) % 60) / 59 - 1))
    print "]}}" }' >"\$2" ;;
verdict) echo '{"hypotheses": [{"name": "x", "predicts": "speedup(a, b) >= 2", "state": "${4-validated}", "measured": {"median": ${3-3}, "lo": ${3-3}, "hi": ${3-3}}}]}' >"\$2" ;;
esac
END
    chmod +x "$scratch/bin/clock"
}

test_the_same_speed_is_identical() {
    study
    spak reproduce x
    assert_exit 0
    assert_contains out ': IDENTICAL' '1 of 1 metrics within 5 %'
    git notes --ref refs/notes/spak/verify show spak/x >line
    assert_contains line ' IDENTICAL ' ' metrics=1/1 margin=0.05 '
}

test_noise_is_identical_and_a_small_step_within_the_margin_too() {
    study
    clock 102
    spak reproduce x
    assert_exit 0
    assert_contains out ': IDENTICAL' 'environment that differs' 'clock ('
    spak reproduce x --margin 1
    assert_exit 1
    assert_contains out ': DIFFERENT' 'x.time is 1.020 times what was recorded' 'beyond the margin of 1 %'
}

test_the_margin_is_the_records() {
    study
    git show "spak/x:measure/$(machine)/margins" >margins
    assert_file margins 'x.time 0.05'
    sed -i 's/\\"n\\": 60}/\\"n\\": 60, \\"margin\\": 0.25}/' "$scratch/bin/clock"
    spak build x -B
    git show "spak/x:measure/$(machine)/margins" >margins
    assert_file margins 'x.time 0.25'
    clock 120 # says nothing of a margin: the record's counts
    spak reproduce x
    assert_exit 0
    assert_contains out ': IDENTICAL' '1 of 1 metrics within 25 %'
    git notes --ref refs/notes/spak/verify show spak/x >line
    assert_contains line ' margin=0.25 '
    spak reproduce x --json
    assert_contains out '"margin":0.25'
    spak reproduce x --margin 5
    assert_exit 1
    forge "$(edited "measure/$(machine)/margins" 's/0.25/nan/')" ''
    spak reproduce "$commit"
    assert_exit 1
    assert_contains out 'beyond the margin of 5 %'
}

test_another_speed_is_different() {
    study
    clock 120
    spak reproduce x
    assert_exit 1
    assert_contains out ': DIFFERENT' 'x.time is 1.200 times what was recorded' 'beyond the margin of 5 %' '0 of 1 metrics within 5 %'
}

test_too_much_noise_decides_nothing() {
    study
    clock 100 90
    spak reproduce x
    assert_exit 0
    assert_contains out ': EQUIVALENT' 'too uncertain for the margin of 5 %'
    clock 108 90
    spak reproduce x
    assert_exit 2
    assert_contains out ': NOT COMPARABLE' 'too uncertain'
}

# Two clocks that are too noisy to say; of the second the ratio itself is beyond the margin.
test_what_decides_the_verdict_is_said_first() {
    clock() {
        put "$scratch/bin/clock" <<END
#!/bin/sh
case \$1 in
samples) cat /proc/sys/kernel/random/uuid >"\$2" ;;
metrics) awk 'function series(at,   i, out) {
    for (i = 0; i < 60; i++) out = out (i ? ", " : "") at * (1 + 0.9 * (2 * ((i * 37) % 60) / 59 - 1))
    return "[" out "]"
}
function metric(name, at) {
    return "{\"metric\": \"" name "\", \"unit\": \"ns\", \"median\": " at ", \"lo\": " at ", \"hi\": " at ", \"n\": 60}"
}
BEGIN { print "{\"metrics\": [" metric("a.time", 100) ", " metric("b.time", $1) "], \"samples\": {\"a.time\": " series(100) ", \"b.time\": " series($1) "}}" }' >"\$2" ;;
verdict) echo '{"hypotheses": []}' >"\$2" ;;
esac
END
        chmod +x "$scratch/bin/clock"
    }
    study
    clock 108
    spak reproduce x
    assert_exit 2
    assert_contains out ': NOT COMPARABLE'
    grep 'too uncertain' "$scratch/out" | sed 's/ is .*//; s/ *//' >said
    assert_file said 'b.time
a.time'
}

# The record of the same run as another machine would have left it.
forge() {
    # shellcheck disable=SC2154
    commit=$(git log -1 --format=%B spak/x | sed "$2" | git -c user.name=M -c user.email=m@example.org commit-tree "$1")
    git update-ref refs/heads/spak/forged "$commit"
}

machine() {
    git log -1 --format='%(trailers:key=Spak-Machine,valueonly,separator=)' spak/x
}

test_another_machine_is_not_comparable() {
    study
    tree=$(git ls-tree spak/x:measure | sed "s/$(machine)/epyc-9654-96c/" | git mktree)
    root=$(git ls-tree spak/x | sed "/	measure\$/s/[0-9a-f]\{40\}/$tree/" | git mktree)
    forge "$root" 's/^Spak-Machine: .*/Spak-Machine: epyc-9654-96c/'
    spak reproduce "$commit"
    assert_exit 2
    assert_contains out ': NOT COMPARABLE' 'measured on epyc-9654-96c' '4 of 4 nodes bit-identical' 'machine epyc-9654-96c in the record'
    git notes --ref refs/notes/spak/verify show "$commit" | grep -q ' NOT-COMPARABLE out=4/4 '
}

# A run of another version of SPAK, whose runner this one does not believe, say: there is no number here to compare.
test_a_measurement_that_is_refused_here_is_not_comparable() {
    study
    # shellcheck disable=SC2016
    sed -i 's| proofs = "out/invariant/tiny.json",||' rules/study.lua
    git -c user.name=Ann -c user.email=ann@example.org commit -qam unproved
    spak build x
    assert_exit 3
    node=measure/$(machine)/nodes/out/samples
    git cat-file -p "spak/x:$node" | grep -aq '^state refused'
    forge "$(LC_ALL=C edited "$node" 's/^state refused/state ok/')" ''
    spak reproduce "$commit"
    assert_exit 2
    assert_contains out ': NOT COMPARABLE' 'out/samples: ok in the record, refused here (the protocol gives it no lease here: spak build says why)'
}

test_the_record_agrees_with_itself() {
    study
    spak reproduce x --offline
    assert_exit 0
    # shellcheck disable=SC2016
    assert_contains out 'holds   lease of out/samples: token ' 'holds   hypothesis x: `speedup(a, b) >= 2` validated' \
        'holds   metric x.time' 'holds   status of the run' '0 fail'
    assert_equal "$(ls -A "$TMPDIR")" '' 'what is left in the temporary folder'
    spak reproduce x --offline --json
    assert_exit 0
    assert_contains out '"what":"lease of out/samples"' '"state":"holds"'
    mv "$scratch/bin/clock" "$scratch/bin/hidden"
    spak reproduce x --offline
    assert_exit 0
}

# A root tree like that of spak/x, where one text file below it went through sed: edited PATH SCRIPT
edited() {
    (
        GIT_INDEX_FILE=$scratch/index
        export GIT_INDEX_FILE
        rm -f "$GIT_INDEX_FILE"
        git read-tree spak/x
        id=$(git cat-file blob "spak/x:$1" | sed "$2" | git hash-object -w --stdin)
        git update-index --cacheinfo "100644,$id,$1"
        git write-tree
    )
}

test_a_guide_changed_after_the_lease_is_seen() {
    study
    forge "$(edited out/files/out/guide.md 's/fast/faster/')" ''
    spak reproduce "$commit" --offline
    assert_exit 1
    assert_contains out 'FAILS   lease of out/samples' 'out/guide.md in the record is not what its digest says'
    digest=$(git cat-file blob spak/x:out/files/out/guide.md | sed 's/fast/faster/' | sha256sum | cut -d' ' -f1)
    git cat-file blob spak/x:out/files/out/guide.md >/dev/null
    git update-ref refs/heads/spak/x "$commit"
    forge "$(edited out/out/guide.md "s/^out out.guide.md [0-9a-f]*/out out\/guide.md $digest/")" ''
    spak reproduce "$commit" --offline
    assert_exit 1
    assert_contains out 'FAILS   lease of out/samples' 'the recorded token is'
}

test_a_verdict_that_does_not_follow_is_seen() {
    study
    verdict=measure/$(machine)/files/out/verdict/x.json
    forge "$(edited "$verdict" 's/"median": 3, "lo": 3/"median": 3, "lo": 1/')" ''
    spak reproduce "$commit" --offline
    assert_exit 1
    assert_contains out 'FAILS   hypothesis x' 'validated; the record gives undecided'
    forge "$(edited "$verdict" 's/>= 2/>= 1/')" ''
    spak reproduce "$commit" --offline
    assert_exit 1
    # shellcheck disable=SC2016
    assert_contains out 'judged by `speedup(a, b) >= 1`, but `speedup(a, b) >= 2` was predicted'
}

test_a_summary_that_its_samples_do_not_give_is_seen() {
    study
    forge "$(edited "measure/$(machine)/summary" 's/^x.time ns 100 /x.time ns 50 /')" ''
    spak reproduce "$commit" --offline
    assert_exit 1
    assert_contains out 'FAILS   metric x.time: median 50 in the summary, 100 from the samples'
}

test_a_status_that_is_not_that_of_the_nodes_is_seen() {
    study
    forge "$(git rev-parse 'spak/x^{tree}')" 's/^Spak-Status: ok/Spak-Status: failed/'
    spak reproduce "$commit" --offline
    assert_exit 1
    assert_contains out 'FAILS   status of the run'
}

test_samples_that_are_none_do_no_harm() {
    study
    samples=measure/$(machine)/samples.bin
    # shellcheck disable=SC2016
    for script in 's/60$/999999/' 's/^1$/99999/' 's/x.time 60/x.time -1/' '2,$d' 's/./x/'; do
        forge "$(LC_ALL=C edited "$samples" "$script")" ''
        spak reproduce "$commit"
        assert_exit 0
        assert_contains out ': EQUIVALENT' 'holds no samples'
        spak reproduce "$commit" --offline
        assert_exit 0
    done
}

run_tests "$0" "$@"
