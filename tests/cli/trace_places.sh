#!/bin/sh
# Where a trace goes: the repository around the project, in whatever state that is, or one of its own.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

sources() {
    put spakfile <<'END'
node { "out/a.txt", inputs = { "a" }, run = { "cp", "a", "out/a.txt" } }
target "x" { "out/a.txt" }
END
    put a one
    put .gitignore /out/
}

repository() {
    project ''
    sources
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm first
}

build() {
    spak build x
    assert_exit 0
    assert_lacks err 'error[' 'warning['
}

test_no_identity() {
    repository
    build
    assert_equal "$(git log -1 --format='%an <%ae> %cn' spak/x)" 'spak <spak@localhost> spak' identity
}

test_identity_of_the_user() {
    repository
    git config user.name Ann
    git config user.email ann@example.org
    build
    assert_equal "$(git log -1 --format='%an <%ae>' spak/x)" 'Ann <ann@example.org>' identity
}

test_outside_a_repository() {
    project ''
    rm -rf .git
    sources
    build
    subjects=$(git --git-dir out/.spak/trace.git log --format=%s spak/x)
    assert_equal "$subjects" 'x: first run (ok)' subjects
    assert_equal "$(git --git-dir out/.spak/trace.git ls-tree -r --name-only spak/x src | tr '\n' ' ')" \
        'src/a src/spakfile ' sources
    git --git-dir out/.spak/trace.git fsck --strict
    spak log x
    assert_contains out 'x: first run'
}

test_linked_worktree() {
    repository
    git worktree add -q --detach "$scratch/tree"
    cd "$scratch/tree"
    build
    assert_equal "$(git symbolic-ref -q HEAD || echo detached)" detached HEAD
    cd "$dir"
    assert_equal "$(git log --format=%s spak/x)" 'x: first run (ok)' subjects
    rm -rf "$scratch/tree"
}

test_shallow_clone() {
    repository
    put b two
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm second
    git clone -q --depth 1 "file://$dir" "$scratch/shallow"
    cd "$scratch/shallow"
    build
    assert_equal "$(git rev-parse spak/x:src)" "$(git rev-parse 'HEAD^{tree}')" 'the tree of the sources'
    git fsck --strict --no-dangling
    rm -rf "$scratch/shallow"
}

test_empty_repository() {
    project ''
    sources
    build
    assert_equal "$(git log -1 --format='%(trailers:key=Spak-Source,valueonly,separator=)' spak/x)" none source
    assert_equal "$(git symbolic-ref HEAD)" refs/heads/main HEAD
}

test_folder_of_a_larger_repository() {
    repository
    mkdir sub
    cd sub
    sources
    put ../elsewhere text
    build
    assert_equal "$(git ls-tree -r --name-only spak/x src/ | tr '\n' ' ')" '' 'names relative to the folder'
    assert_equal "$(git ls-tree -r --name-only --full-tree spak/x src | tr '\n' ' ')" \
        'src/a src/spakfile ' sources
}

test_ignored_folder_is_not_part_of_the_repository() {
    repository
    mkdir -p out/scratch
    cd out/scratch
    sources
    build
    [ -d out/.spak/trace.git ] || fail 'no repository of its own'
    ! git -C "$dir" rev-parse -q --verify refs/heads/spak/x || fail 'the repository around was written to'
}

test_path_with_spaces() {
    project ''
    mkdir 'a folder'
    cd 'a folder'
    sources
    build
    spak show x out/a.txt
    assert_contains out 'state ok'
}

test_off() {
    repository
    echo 'trace_to "off"' >>spakfile
    build
    ! git rev-parse -q --verify refs/heads/spak/x || fail 'a trace was written'
    spak log
    assert_exit 2
    assert_contains err 'turns the trace off'
}

test_elsewhere() {
    repository
    echo 'trace_to "../elsewhere.git"' >>spakfile
    build
    assert_equal "$(git --git-dir ../elsewhere.git log --format=%s spak/x)" 'x: first run (ok)' subjects
    ! git rev-parse -q --verify refs/heads/spak/x || fail 'a trace was written here too'
    git --git-dir ../elsewhere.git fsck --strict
    rm -rf ../elsewhere.git
}

test_checked_out_branch() {
    repository
    build
    git worktree add -q "$scratch/checkout" spak/x
    put a two
    spak build x
    assert_contains err 'is checked out'
    assert_equal "$(git rev-list --count spak/x)" 1 commits
    assert_file out/a.txt two
    rm -rf "$scratch/checkout"
}

run_tests "$0" ${1+"$1"}
