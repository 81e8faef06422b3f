#!/bin/sh
# Plain git is enough to read a trace: log, show, diff, trailers, notes, clone, fsck.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

two_steps() {
    project - <<'END'
node { "out/a.txt", inputs = { "a" }, run = { "cp", "a", "out/a.txt" } }
node { "out/b.txt", inputs = { "out/a.txt" }, run = { "cp", "out/a.txt", "out/b.txt" } }
target "x" { "out/b.txt" }
END
    put a one
    put .gitignore /out/
    commit_all first
}

commit_all() {
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm "$1"
}

build() {
    spak build x
    assert_exit 0
}

trailer() {
    git log -1 --format="%(trailers:key=$1,valueonly,separator=)" "${2-spak/x}"
}

assert_sound() {
    git fsck --strict --no-dangling >"$scratch/fsck" 2>&1 || fail "git fsck: $(cat "$scratch/fsck")"
    ! grep -Ev '^(notice|Checking)' "$scratch/fsck" || fail 'git fsck complains'
}

test_the_story_is_in_the_log() {
    two_steps
    build
    put a two
    build
    assert_equal "$(git log --format=%s spak/x)" "$(printf 'x: a (ok)\nx: first run (ok)')" subjects
    git log -1 --format=%b spak/x >body
    assert_contains body 'Changed since parent: a. 2 nodes ran, 0 reused.'
    assert_equal "$(git diff --name-only spak/x~ spak/x | tr '\n' ' ')" \
        'out/out/a.txt out/out/b.txt plan/out/a.txt src/a ' 'what differs'
    assert_equal "$(trailer Spak-Status) $(trailer Spak-Source-Dirty) $(trailer Spak-Source)" \
        "ok yes $(git rev-parse HEAD)" trailers
    assert_sound
}

test_files_are_where_they_are_said_to_be() {
    two_steps
    build
    digest=$(sha256sum <a | cut -d' ' -f1)
    git show spak/x:out/out/a.txt >made
    assert_contains made 'exit 0' "in a $digest" "out out/a.txt $digest 4" 'state ok'
    git show spak/x:plan/out/b.txt >planned
    assert_contains planned 'arg out/a.txt' 'in out/a.txt' 'kind node'
    assert_equal "$(git rev-parse spak/x:src)" "$(git rev-parse 'HEAD^{tree}')" 'the tree of the sources'
}

test_a_second_build_commits_nothing() {
    two_steps
    build
    before=$(git for-each-ref)
    build
    rm out/b.txt # restored from the store: the state is the same
    build
    assert_equal "$(git for-each-ref)" "$before" refs
}

# Whoever built it, the target's next build tells of it: as the target would have.
test_what_was_built_under_another_name_is_traced() {
    two_steps
    build
    for way in out/b.txt '--no-trace x' ''; do
        put a "$way"
        # shellcheck disable=SC2086
        spak build $way
        assert_exit 0
        before=$(git rev-parse spak/x)
        build
        assert_contains err 'up to date'
        assert_equal "$(git rev-parse spak/x~)" "$before" 'the one before'
        assert_equal "$(git show spak/x:out/out/a.txt | grep ^in)" "in a $(sha256sum <a | cut -d' ' -f1)" 'what is told'
        build
        assert_equal "$(git rev-parse spak/x~)" "$before" 'the second time'
    done
    assert_sound
}

test_a_trace_that_could_not_be_written_is_written_by_the_next_build() {
    two_steps
    build
    put a two
    mv .git/refs/heads/spak/x held
    mkdir -p .git/refs/heads/spak/x/y
    cp held .git/refs/heads/spak/x/y/z # a branch below that name: git cannot have both
    spak build x
    assert_exit 0
    assert_contains err 'warning'
    rm -r .git/refs/heads/spak/x
    mv held .git/refs/heads/spak/x
    build
    assert_equal "$(git rev-list --count spak/x)" 2 commits
    assert_sound
}

test_a_target_that_lost_a_node_is_traced() {
    two_steps
    echo 'node { "out/c.txt", inputs = { "a" }, run = { "cp", "a", "out/c.txt" } }' >>spakfile
    sed -i 's|target "x" .*|target "x" { "out/b.txt", "out/c.txt" }|' spakfile
    echo 'target "y" { "out/c.txt" }' >>spakfile
    build
    sed -i 's|target "x" .*|target "x" { "out/b.txt" }|' spakfile
    build
    assert_contains err 'up to date'
    ! git cat-file -e spak/x:out/out/c.txt 2>/dev/null || fail 'what the target no longer names is in its trace'
}

test_going_back_is_a_run_too() {
    two_steps
    build
    put a two
    build
    put a one
    build
    assert_equal "$(git rev-parse 'spak/x^{tree}')" "$(git rev-parse 'spak/x~2^{tree}')" trees
    assert_equal "$(git rev-list --count spak/x)" 3 'commits'
}

test_a_failed_run_is_in_the_log() {
    two_steps
    build
    rm a
    mkdir a # cp refuses a folder
    put a/inner text
    spak build x
    assert_exit 1
    assert_equal "$(trailer Spak-Status)" failed status
    assert_equal "$(git log -1 --format=%s spak/x)" 'x: out/a.txt failed (failed)' subject
    git show spak/x:out/out/a.txt >made
    assert_contains made 'state failed' 'exit 1' 'log '
    assert_equal "$(git show spak/x:out/out/b.txt)" 'state skipped' 'what came after'
}

test_nothing_of_the_user_is_touched() {
    two_steps
    put a dirty
    put staged text
    git add staged
    before="$(sha256sum .git/index .git/HEAD) $(git status --porcelain) $(git rev-parse HEAD)"
    build
    assert_equal "$(sha256sum .git/index .git/HEAD) $(git status --porcelain) $(git rev-parse HEAD)" "$before" 'the user'"'"'s state'
    assert_equal "$(git for-each-ref --format='%(refname)' | tr '\n' ' ')" \
        'refs/heads/main refs/heads/spak/x refs/notes/spak/run ' refs
}

test_a_clone_reads_it() {
    two_steps
    build
    git clone -q . "$scratch/clone"
    assert_equal "$(git -C "$scratch/clone" log --format=%s origin/spak/x)" 'x: first run (ok)' subjects
    cd "$scratch/clone"
    spak log
    assert_exit 0
    assert_contains out 'x: first run'
    spak show x out/a.txt
    assert_contains out 'state ok'
    rm -rf "$scratch/clone"
}

test_init_shares_notes() {
    two_steps
    build
    git init -q --bare "$scratch/hub.git"
    git remote add origin "$scratch/hub.git"
    spak init
    assert_exit 0
    assert_contains out 'set remote.origin.fetch +refs/notes/spak/*:refs/notes/origin/spak/*' \
        'set remote.origin.push HEAD' 'set remote.origin.push refs/heads/spak/*:refs/heads/spak/*'
    git push -q
    assert_equal "$(git -C "$scratch/hub.git" for-each-ref --format='%(refname)' | tr '\n' ' ')" \
        'refs/heads/main refs/heads/spak/x refs/notes/spak/run ' 'what was pushed'
    git fetch -q
    git notes --ref refs/notes/origin/spak/run show spak/x >note
    assert_contains note '"wall_ns":'
    spak init
    assert_contains out 'travel already'
    rm -rf "$scratch/hub.git"
}

test_nothing_of_the_machine_is_in_the_tree() {
    two_steps
    build
    for file in $(git ls-tree -r --name-only spak/x plan out env); do
        git show "spak/x:$file"
    done >all
    assert_lacks all "$PWD" "$scratch" "$(date +%Y-%m)"
    ! grep -E '(^|[ =])/(usr|tmp|root|home)' all || fail 'an absolute path is in the tree'
}

run_tests "$0" ${1+"$1"}
