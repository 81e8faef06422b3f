#!/bin/sh
# Runs that move between machines: bundle here, unbundle there, and back.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# A node that needs a device, between two that do not.
sources() {
    project '
node { "out/a", inputs = { "in" }, run = { "cp", "in", "out/a" } }
node { "out/gpu", inputs = { "out/a" }, device = true, run = { "cp", "out/a", "out/gpu" } }
node { "out/report", inputs = { "out/gpu" }, run = { "cp", "out/gpu", "out/report" } }
target "x" { "out/report", default = true }'
    put in one
    put .gitignore /out/
}

without_device() {
    SPAK_FACTS=gpu.count=0 spak "$@"
}

with_device() {
    SPAK_FACTS=gpu.count=1,gpu.0.name=Imaginary spak "$@"
}

commit_sources() {
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm sources
}

test_there_and_back() {
    sources
    commit_sources
    without_device build
    assert_exit 0
    without_device bundle --pending x -o "$scratch/there.tar"
    assert_exit 0
    assert_contains out 'pending  out/gpu'
    here=$dir
    rm -rf "$scratch/there"
    with_device unbundle "$scratch/there.tar" -C "$scratch/there"
    assert_exit 0
    assert_contains out 'pending  out/gpu' 'spak build x'
    cd "$scratch/there"
    assert_file in one
    with_device build x
    assert_exit 0
    assert_file out/report one
    with_device bundle x -o "$scratch/back.tar"
    assert_exit 0
    cd "$here"
    without_device unbundle "$scratch/back.tar"
    assert_exit 0
    assert_contains out 'is now at'
    assert_equal "$(git log --format=%s spak/x | wc -l)" 2 'the number of runs'
    assert_equal "$(git rev-parse spak/x~1:src)" "$(git rev-parse spak/x:src)" 'the tree of the sources'
    git diff --exit-code spak/x~1 spak/x -- plan >/dev/null || fail 'the plan differs'
    git show spak/x:out/out/gpu >"$scratch/out"
    assert_contains out 'state ok'
    git show spak/x:env/toolchain >"$scratch/out"
    assert_contains out 'pretended gpu.count=1'
    git log -1 --format=%B spak/x >"$scratch/out"
    assert_contains out '-pretended'
    git notes --ref spak/run show spak/x >/dev/null || fail 'the note of the run did not travel'
    git notes --ref spak/run show spak/x~1 >/dev/null || fail 'the note of the first run is gone'
    without_device fsck x
    assert_exit 0
    git fsck --strict --no-dangling
}

# A study that measures: planned here, measured where the device is, read here.
measuring() {
    project '
node { "out/guide", kind = "guide", write = "make it fast" }
node { "out/program", inputs = { "in" }, run = { "cp", "in", "out/program" } }
node { metrics "out/m.json", device = true, measures = true, sandbox = false, guide = "out/guide", proofs = "out/invariant/tiny.json",
  inputs = { "out/program", "bench.sh" }, run = { "sh", "bench.sh", "out/program", "out/m.json" } }
node { traced "out/report", inputs = { "out/m.json" }, run = { "cp", "out/m.json", "out/report" } }
target "x" { "out/report", default = true }'
    law
    put bench.sh <<'END'
cat /proc/sys/kernel/random/uuid >"$2.id" # no two measurements are alike
printf '{"metrics":[{"metric":"k.time","unit":"ns","median":%s,"lo":%s,"hi":%s,"n":3}],"samples":{"k.time":[%s,%s,%s]}}\n' \
    "$(cat "$1")" "$(cat "$1")" "$(cat "$1")" "$(cat "$1")" "$(cat "$1")" "$(cat "$1")" >"$2"
END
    put in 100
    put .gitignore /out/
    commit_sources
}

# carry FROM TO: the history of x as one file, taken in there.
carry() {
    (cd "$1" && "$SPAK" bundle x -o "$scratch/carried.tar") >"$scratch/out" 2>"$scratch/err" || fail 'bundle'
    mkdir -p "$2"
    spak unbundle "$scratch/carried.tar" -C "$2"
    assert_exit 0
}

test_a_measurement_made_elsewhere() {
    measuring
    here=$dir there=$scratch/there
    rm -rf "$there"
    without_device build
    assert_exit 0
    assert_equal "$(git log -1 --format='%(trailers:key=Spak-Status,valueonly,separator=)' spak/x)" partial 'the first run'
    carry "$here" "$there"
    assert_contains out 'pending  out/m.json'
    cd "$there"
    with_device build x
    assert_exit 0
    machine=$(git log -1 --format='%(trailers:key=Spak-Machine,valueonly,separator=)' spak/x)
    assert_equal "$(git show "spak/x:measure/$machine/summary")" 'k.time ns 100 100 100 3' 'what was measured'
    carry "$there" "$here"
    cd "$here"
    assert_equal "$(git log --format='%(trailers:key=Spak-Status,valueonly,separator=)' spak/x | tr '\n' ' ')" 'ok partial ' 'the states'
    git diff --exit-code spak/x~1 spak/x -- plan src || fail 'the plan or the sources differ'
    git show "spak/x:measure/$machine/nodes/out/m.json" | tr -d '\0' >"$scratch/out"
    assert_contains out 'state ok' 'token '
    spak diff x~1 x
    assert_exit 0
    assert_contains out k.time
    spak show x
    assert_contains out 'k.time ns 100'
    put in 120 # the next change is made here, and again measured there
    without_device build
    assert_exit 0
    git show "spak/x:measure/$machine/summary" >"$scratch/out"
    assert_contains out 'k.time ns 100' # what is not measured anew stays as it was
    carry "$here" "$there"
    cd "$there"
    cp "$here/in" in
    with_device build x
    assert_exit 0
    carry "$there" "$here"
    cd "$here"
    assert_equal "$(git rev-list --count spak/x)" 4 'the number of runs'
    assert_equal "$(git log --format=%P spak/x | grep -c ' ')" 0 'merges'
    spak log x
    assert_exit 0
    assert_equal "$(wc -l <"$scratch/out")" 4 'the lines of the log'
    assert_equal "$(git log --format=%h -L "/k.time/,+1:measure/$machine/summary" spak/x -s | wc -l)" 2 'the runs that moved the metric'
    spak diff x~2 x
    assert_exit 0
    assert_contains out k.time '+20'
    for run in spak/x spak/x~1 spak/x~2 spak/x~3; do
        git notes --ref spak/run show "$run" >/dev/null || fail "$run has no note"
    done
    spak reproduce x --offline
    assert_exit 0
    git fsck --strict --no-dangling
}

test_git_reads_it() {
    sources
    without_device build
    without_device bundle x -o b.tar
    tar -xf b.tar bundle.git
    git clone -q --bare bundle.git "$scratch/clone" 2>"$scratch/err" || fail 'git clone'
    assert_equal "$(git --git-dir "$scratch/clone" rev-parse refs/heads/spak/x)" "$(git rev-parse spak/x)" 'the branch'
    rm -rf "$scratch/clone"
}

test_nothing_is_pending() {
    sources
    with_device build
    with_device bundle --pending x -o b.tar
    assert_exit 2
    assert_contains err 'waits for a device'
    assert_absent b.tar
}

test_taking_in_twice_changes_nothing() {
    sources
    without_device build
    without_device bundle x -o b.tar
    before=$(git for-each-ref)
    without_device unbundle b.tar
    assert_exit 0
    assert_contains out 'has it already'
    assert_equal "$(git for-each-ref)" "$before" 'the refs'
}

test_a_diverged_branch_stays() {
    sources
    without_device build
    without_device bundle x -o b.tar
    rm -rf "$scratch/other"
    without_device unbundle b.tar -C "$scratch/other"
    put in here
    without_device build
    mine=$(git rev-parse spak/x)
    here=$dir
    cd "$scratch/other"
    put in there
    without_device build x
    without_device bundle x -o "$scratch/b2.tar"
    cd "$here"
    without_device unbundle "$scratch/b2.tar"
    assert_exit 2
    assert_contains err 'has runs that the bundle lacks' 'git branch spak/x-theirs'
    assert_equal "$(git rev-parse spak/x)" "$mine" 'the branch'
}

# Bundles that nobody should take in: written with tar, by hand.
hostile() {
    sources
    without_device build
    without_device bundle x -o good.tar
    mkdir parts
    tar -xf good.tar -C parts
    rm -f good.tar
}

refused() {
    rm -rf "$scratch/victim" "$scratch/escaped"
    without_device unbundle "$PWD/bad.tar" -C "$scratch/victim"
    assert_exit 2
    assert_contains err "$1"
    assert_absent "$scratch/escaped"
}

pack() {
    (cd parts && tar --format=ustar -cPf ../bad.tar "$@")
}

test_hostile_names() {
    hostile
    echo bad >"$scratch/evil"
    (cd parts && tar --format=ustar -cPf ../bad.tar --transform 's,^in$,../escaped,' manifest bundle.git ../in)
    refused 'whose name leads elsewhere'
    (cd parts && tar --format=ustar -cPf ../bad.tar manifest bundle.git "$scratch/evil")
    refused 'whose name leads elsewhere'
    (cd parts && ln -s ../.. cas/link && tar --format=ustar -cPf ../bad.tar manifest bundle.git cas/link)
    refused 'no regular file'
    mkdir parts/other
    echo bad >parts/other/file
    pack manifest bundle.git other/file
    refused "no object's name"
}

test_hostile_content() {
    hostile
    object=$(cd parts && find cas -type f | head -n 1)
    chmod u+w "parts/$object"
    echo other >>"parts/$object"
    pack manifest bundle.git "$object"
    refused 'another digest'
    pack bundle.git manifest
    refused 'no bundle'
    pack manifest bundle.git
    head -c 2000 bad.tar >short.tar
    mv short.tar bad.tar
    refused 'in the middle of an entry'
    sed 's, refs/heads/spak/x$, refs/heads/main,' parts/bundle.git >parts/b && mv parts/b parts/bundle.git
    pack manifest bundle.git
    refused "no trace's"
    echo junk >bad.tar
    refused 'tar'
}

test_what_git_made_is_for_git() {
    sources
    without_device build
    git bundle create -q theirs.bundle refs/heads/spak/x
    without_device unbundle theirs.bundle
    assert_exit 2
    assert_contains err 'X108' "a bundle of git's" 'git fetch'
}

test_a_branch_that_is_no_trace() {
    hostile
    commit_sources
    git branch spak/y HEAD
    git bundle create -q parts/bundle.git spak/y
    pack manifest bundle.git
    refused 'no trace of that target'
}

run_tests "$0" "$@"
