#!/bin/sh
# What the store keeps, what it gives up, and how it gets well again.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

sources() {
    project '
node { "out/a", inputs = { "in" }, run = { "cp", "in", "out/a" } }
node { dir "out/tree", inputs = { "out/a" }, shell = true, run = "mkdir -p out/tree; cp out/a out/tree/leaf" }
target "x" { "out/a", "out/tree", default = true }'
}

# One run for each content of "in".
history() {
    for content; do
        put in "$content"
        spak build
        assert_exit 0
    done
}

# More than lies among the records: an object with a file of its own.
long() {
    printf '%-2000s' "$1"
}

objects() {
    find out/.spak/cas -name '*.gz' | wc -l
}

stored() { # does the store hold a file with this line?
    ls "out/.spak/cas/"*"/$(printf '%s\n' "$1" | sha256sum | cut -d' ' -f1).gz" >/dev/null 2>&1
}

test_what_a_trace_names_stays() {
    sources
    history one two three
    before=$(objects)
    spak gc
    assert_exit 0
    assert_contains out '0 objects gone'
    assert_equal "$(objects)" "$before" objects
}

test_what_no_commit_names_goes() {
    sources
    history one
    put in two
    spak build --no-trace
    history three
    spak gc --dry-run
    assert_contains out 'no commit' 'would go'
    stored two || fail 'a dry run removed something'
    spak gc
    assert_exit 0
    ! stored two || fail 'it is still there'
    stored one || fail 'a traced object is gone'
    spak fsck
    assert_exit 0
    put in two
    spak build
    assert_file out/tree/leaf two
}

test_keep_says_which_commit_named_it() {
    sources
    history one two three
    commit=$(git rev-parse --short=10 spak/x~2)
    git tag kept spak/x~1
    spak gc --keep 1
    assert_exit 0
    assert_contains out "$commit out/a: out/a"
    ! stored one || fail 'an object of the first run is left'
    stored two || fail 'an object of a tagged run is gone'
    stored three || fail 'an object of the last run is gone'
    spak fsck
    assert_exit 0
    put in one
    spak build
    assert_exit 0
    assert_file out/tree/leaf one
}

test_a_deleted_branch_is_remembered() {
    sources
    history one
    commit=$(git rev-parse --short=10 spak/x)
    git branch -qD spak/x
    git update-ref -d refs/notes/spak/run
    put in two
    spak build --no-trace
    spak gc -n
    assert_contains out "$commit out/a: out/a"
}

test_folders_keep_what_they_list() {
    project '
node { dir "out/tree", inputs = { "in" }, shell = true, run = "mkdir -p out/tree; cp in out/tree/leaf" }
target "x" { "out/tree", default = true }'
    history one
    spak gc
    rm -rf out/tree
    spak build --json
    assert_ran ''
    assert_file out/tree/leaf one
}

test_a_gc_that_is_killed() {
    sources
    history one two three four five
    for n in 1 2 3 4; do
        SPAK_FAULT=remove:$n:KILL spak gc --keep 1
        spak fsck
        assert_exit 0
    done
    spak gc --keep 1
    assert_exit 0
    for content in one two three four five; do
        history "$content"
        assert_file out/tree/leaf "$content"
    done
}

# Those among the records, without a file of their own.
test_small_objects_go_and_stay_like_others() {
    project 'node { "out/a", inputs = "in", run = { "cp", "in", "out/a" } } target "x" { "out/a", default = true }'
    history one
    put in two
    spak build --no-trace
    history three
    assert_absent out/.spak/cas
    spak gc --dry-run
    assert_contains out "$(echo two | sha256sum | cut -c1-12)" '1 objects would go'
    spak gc
    assert_contains out '1 objects gone'
    spak fsck
    assert_exit 0
    assert_contains out '2 objects'
    put in one
    spak build --json
    assert_ran ''
    put in two
    spak build --json
    assert_ran out/a
}

test_a_build_at_the_same_time() {
    project '
node { "out/a", inputs = { "in" }, shell = true, run = "sleep 0.5; cp in out/a" }
target "x" { "out/a", default = true }'
    put in one
    "$SPAK" build >/dev/null 2>&1 &
    sleep 0.2
    spak gc
    assert_exit 0
    wait
    assert_file out/a one
    rm out/a
    spak build --json
    assert_ran ''
    assert_file out/a one
}

damage() { # every byte of a file in its middle turned over
    chmod u+w "$1"
    python3 -S - "$1" "${2-0}" <<'END'
import random, sys
data = bytearray(open(sys.argv[1], "rb").read())
draw = random.Random(int(sys.argv[2]))
for _ in range(1 + len(data) // 200):
    data[draw.randrange(10, len(data))] ^= 255
open(sys.argv[1], "wb").write(data)
END
}

test_damaged_objects_are_named_and_heal() {
    sources
    history "$(long one)"
    for object in out/.spak/cas/*/*.gz; do
        damage "$object"
    done
    spak fsck
    assert_exit 1
    assert_contains out 'is damaged' 'out/a: the store lacks out/a' 'heal: spak build -B out/a'
    spak build -B out/a out/tree
    assert_exit 0
    spak fsck
    assert_exit 0
    rm -rf out/a out/tree
    spak build --json
    assert_exit 0
    assert_ran ''
    assert_file out/tree/leaf "$(long one)"
}

# One that lies among the records.
test_a_damaged_small_object_heals() {
    sources
    history 'a text that is found again'
    python3 -S - <<'END'
path = "out/.spak/state.mdb"
open(path, "r+b").write(open(path, "rb").read().replace(b"a text that", b"a test that"))
END
    spak build -B
    assert_exit 0
    spak fsck
    assert_exit 0
}

test_damaged_objects_heal_without_being_asked() {
    sources
    history one
    for object in out/.spak/cas/*/*.gz; do
        damage "$object"
    done
    rm -rf out/a out/tree
    spak build
    assert_exit 0
    assert_file out/tree/leaf one
    spak fsck
    assert_exit 0
}

test_fsck_of_one_trace() {
    sources
    history "$(long one)" two
    spak fsck x~1
    assert_exit 0
    assert_contains out ' of '
    rm out/.spak/cas/*/"$(printf '%s\n' "$(long one)" | sha256sum | cut -d' ' -f1).gz"
    spak fsck x
    assert_exit 0
    spak fsck x~1
    assert_exit 1
    assert_contains out 'out/a: out/a in ' 'is missing' 'spak build -B out/a' 'spak reproduce'
}

flip() { # single bits of a file: how many, which
    python3 -S - "$@" <<'END'
import random, sys
data = bytearray(open(sys.argv[1], "rb").read())
draw = random.Random(int(sys.argv[3]))
for _ in range(int(sys.argv[2])):
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
open(sys.argv[1], "wb").write(data)
END
}

# LMDB believes its pages, so they are looked at before it is; records have checksums of their own. Whatever was hit, the build is right.
test_damaged_state_heals() {
    sources
    history one
    kept=0
    for seed in 1 2 3 4 5 6 7 8 9 10; do
        for bits in 1 8 64 1000; do
            flip out/.spak/state.mdb "$bits" "$seed"
            spak build
            assert_exit 0
            assert_file out/tree/leaf one
            if [ -e out/.spak/state.mdb.damaged ]; then
                assert_contains err 'warning[X101]: out/.spak/state.mdb is damaged: ' 'it is kept as out/.spak/state.mdb.damaged'
                kept=$((kept + 1))
                rm out/.spak/state.mdb.damaged
            fi
            spak build -B
            assert_exit 0
            spak fsck
            assert_exit 0
        done
    done
    [ "$kept" -gt 10 ] || fail "only $kept of 40 damaged states were noticed"
}

test_a_damaged_state_is_for_a_build_to_heal() {
    sources
    history one
    damage out/.spak/state.mdb 3
    cp out/.spak/state.mdb before
    spak targets
    assert_exit 2
    assert_contains err 'error[X101]' 'is damaged: ' '`spak build` set it aside'
    cmp out/.spak/state.mdb before || fail 'a verb that only looks has touched it'
    spak build
    assert_exit 0
    spak build
    assert_exit 0
    assert_lacks err warning
    cmp out/.spak/state.mdb.damaged before || fail 'what was kept is another file'
}

# A state that is the one that was left, by its stat, is not looked at again; one that was copied is.
test_a_state_is_looked_at_once() {
    sources
    history one
    spak build
    cp out/.spak/state.seal sealed
    spak build
    cmp out/.spak/state.seal sealed || fail 'nothing ran, and the seal is another'
    cp out/.spak/state.mdb copy
    mv copy out/.spak/state.mdb
    spak build
    assert_exit 0
    assert_lacks err warning
    ! cmp -s out/.spak/state.seal sealed || fail 'the seal is that of another file'
    rm out/.spak/state.seal
    spak build
    assert_exit 0
    [ -s out/.spak/state.seal ] || fail 'there is no seal'
}

run_tests "$0" "$@"
