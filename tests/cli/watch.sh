#!/bin/sh
# `spak watch`: builds beside it see the same, and look at less.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# A built project that is watched; the watcher has heard that all is well.
watched() {
    project '
for _, file in ipairs(glob "src/*") do
  node { "out/" .. path.base(file), inputs = file, run = { "cp", file, "out/" .. path.base(file) } }
end'
    for name in a b c; do
        put src/$name 1
    done
    spak build
    sleep 0.05
    spak build
    watch_here
    spak build
}

watch_here() {
    "$SPAK" watch -q 2>"$scratch/watch.err" &
    watcher=$!
    for _ in $(seq 100); do
        [ ! -S out/.spak/watch ] || return 0
        sleep 0.02
    done
    fail 'it does not listen'
}

end_watch() {
    kill "$watcher"
    wait "$watcher" || fail 'it did not end in peace'
}

# How many files a build looks at (each by a stat of its own name).
looks() {
    strace -f -e trace=newfstatat,statx -o "$scratch/trace" "$SPAK" build >/dev/null 2>&1 || fail 'no build'
    grep -c '"[abc]"' "$scratch/trace" || :
}

test_nothing_changed_looks_at_nothing() {
    command -v strace >/dev/null || exit 0
    watched
    assert_equal "$(looks)" 0 'files looked at'
    touch src/a
    assert_equal "$(looks)" 1 'files looked at'
    end_watch
    assert_absent out/.spak/watch
    [ "$(looks)" -ge 6 ] || fail 'nobody watches, but not every file was looked at'
}

test_changes_are_seen() {
    watched
    for text in 2 3 4; do
        put src/a $text
        spak build
        assert_file out/a $text
        assert_contains err '1 ran, 2 up to date'
        spak build
        assert_contains err '3 up to date'
    done
    put src/d 1
    spak build
    assert_file out/d 1
    rm src/d
    spak build
    assert_absent out/d
    put out/b damaged
    spak build
    assert_file out/b 1
    rm out/b
    spak build
    assert_file out/b 1
    end_watch
}

test_folders_that_move_are_seen() {
    watched
    cp -r src other
    put other/a 2
    mv src kept
    mv other src
    spak build
    assert_file out/a 2
    spak build
    spak build
    rm -rf src
    mv kept src
    spak build
    assert_file out/a 1
    end_watch
}

test_links_are_looked_at() {
    watched
    put elsewhere 1
    ln -sf ../elsewhere src/a
    ln -f elsewhere src/b
    spak build
    spak build
    spak build
    put elsewhere 2
    spak build
    assert_file out/a 2
    assert_file out/b 2
    end_watch
}

test_killed_and_started_again() {
    watched
    kill -9 "$watcher"
    wait "$watcher" 2>/dev/null || :
    put src/a 2
    spak build
    assert_file out/a 2
    watch_here
    put src/a 3
    spak build
    assert_file out/a 3
    "$SPAK" watch -q 2>"$scratch/err" && fail 'two of them'
    assert_contains err 'another spak watches this project'
    end_watch
}

test_one_that_does_not_answer_is_left_alone() {
    watched
    kill -STOP "$watcher"
    put src/a 2
    spak build
    assert_file out/a 2
    kill -CONT "$watcher"
    spak build
    put src/a 3
    spak build
    assert_file out/a 3
    end_watch
}

test_it_ends_with_its_folder() {
    watched
    rm -rf out
    for _ in $(seq 100); do
        kill -0 "$watcher" 2>/dev/null || return 0
        sleep 0.02
    done
    fail 'it watches on'
}

run_tests "$0" "$@"
