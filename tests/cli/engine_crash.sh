#!/bin/sh
# kill -9 at random instants, and what is left behind.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"
fault=$(cd "$(dirname "$0")/../fault" && pwd)

test_forty_kills() {
    SPAK=$SPAK sh "$fault/kill9.sh" 40 60 || fail 'see above'
}

test_output_that_a_killed_command_wrote() {
    project 'node { "out/x", inputs = { "in" }, run = { "sh", "-c", "echo half > out/x; [ ! -e slow ] || sleep 1; cat in > out/x" }, sandbox = false }'
    put in 1
    spak build
    put in 2
    put slow
    "$SPAK" build >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        [ "$(cat out/x 2>/dev/null)" = half ] && break
        sleep 0.02
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || :
    put in 1 # the key of the last record: but what lies there is not its output
    spak build --json
    assert_contains out 'output out/x was'
    assert_file out/x 1
}

test_commands_of_a_killed_build_are_ended() {
    project 'node { "out/x", run = { "sh", "-c", "touch out/x; sleep 3240; echo late > out/x" } }'
    "$SPAK" build >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        [ ! -e out/x ] || break
        sleep 0.02
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || :
    for _ in $(seq 50); do
        pgrep -f 'sleep 3240' >/dev/null || return 0
        sleep 0.02
    done
    fail 'a command outlived its build'
}

test_unfinished_files_are_swept() {
    project 'node { "out/x", write = "1" }'
    spak build
    mkdir -p out/.spak/tmp/abc
    put out/.spak-tmp-1234
    put out/.spak/cas/ab/.spak-tmp-5678
    echo 'spak build (process 1)' >out/.spak/lock # whoever held it did not give it back
    spak build
    assert_absent out/.spak/tmp
    assert_absent out/.spak-tmp-1234
    assert_absent out/.spak/cas/ab/.spak-tmp-5678
    spak fsck
    assert_exit 0
}

test_state_that_is_lost_or_damaged() {
    project 'node { "out/x", inputs = { "in" }, run = { "cp", "in", "out/x" } }'
    put in 1
    for file in stat graph; do
        spak build
        echo junk >out/.spak/$file
        spak build --json
        assert_exit 0
        assert_ran ''
        rm out/.spak/$file
        spak build --json
        assert_ran ''
    done
    rm -rf out
    spak build
    assert_file out/x 1
}

test_fsck_finds_what_is_damaged() {
    project 'node { "out/x", write = ("1"):rep(2000) }'
    spak build
    spak fsck
    assert_exit 0
    assert_contains out '0 faults'
    for object in out/.spak/cas/*/*.gz; do
        chmod u+w "$object"
        echo junk >"$object"
    done
    spak fsck
    assert_exit 1
    assert_contains out 'fault: ' 'heal: '
}

run_tests "$0" "$@"
