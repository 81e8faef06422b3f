#!/bin/sh
# Commands that fail, hang, flood, read or write what they should not; Ctrl-C and time-outs.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# Starts spak in the background as a process that Ctrl-C reaches (a shell makes its background jobs deaf to it).
spak_in_background() {
    # shellcheck disable=SC2016
    perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$SPAK" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null &
    pid=$!
}

wait_for_file() {
    for _ in $(seq 200); do
        [ ! -e "$1" ] || return 0
        sleep 0.02
    done
    fail "$1 never came"
}

wait_for_exit() {
    status=0
    wait "$pid" || status=$?
}

# No process of this project's commands is left.
assert_no_sleepers() {
    for _ in $(seq 50); do
        pgrep -f "sleep $1" >/dev/null || return 0
        sleep 0.02
    done
    fail "sleep $1 still runs"
}

test_failure_shows_all_it_printed() {
    project 'node { "out/x", run = { "sh", "-c", "echo to stdout; echo to stderr >&2; exit 3" } }'
    spak build
    assert_exit 1
    assert_contains err 'error[N101]: out/x failed with exit status 3' 'spakfile:1:1' 'to stdout' 'to stderr'
    spak build
    assert_exit 1
    spak plan --why
    assert_contains out 'out/x: failed the last time'
}

test_success_that_printed_is_shown_too() {
    project 'node { "out/x", run = { "sh", "-c", "echo warning: hm; touch out/x" } }'
    spak build
    assert_exit 0
    assert_contains err 'warning: hm'
}

test_failed_command_leaves_no_output() {
    project 'node { "out/x", run = { "sh", "-c", "echo half > out/x; exit 1" } }'
    spak build
    assert_absent out/x
}

test_stop_at_first_failure_or_keep_going() {
    project '
        node { "out/a", run = { "false" } }
        node { "out/b", inputs = { "out/a" }, run = { "touch", "out/b" } }
        node { "out/c", run = { "touch", "out/c" } }'
    spak build -k -j1
    assert_exit 1
    assert_absent out/b
    assert_file out/c ''
    assert_contains err '1 ran, 1 failed, 1 skipped'
}

test_failure_repaired() {
    project 'node { "out/x", inputs = { "in" }, run = { "sh", "-c", "grep -q good in && touch out/x" } }'
    put in bad
    spak build
    assert_exit 1
    put in good
    spak build
    assert_exit 0
    put in bad
    spak build
    assert_exit 1
    put in good
    spak build --json
    assert_exit 0
    assert_ran ''
}

test_missing_output() {
    project 'node { "out/x", run = { "true" } }'
    spak build
    assert_exit 1
    assert_contains err 'error[N102]: out/x succeeded but did not make out/x'
}

test_empty_output_is_an_output() {
    project 'node { "out/x", run = { "sh", "-c", ": > out/x" } }'
    spak build
    assert_exit 0
    assert_file out/x ''
}

test_undeclared_read() {
    project 'node { "out/x", inputs = { "in" }, stdout = "out/x", run = { "cat", "in", "secret" } }'
    put in 1
    put secret 2
    spak build
    assert_exit 1
    assert_contains err 'error[N103]: out/x read secret, which is not among its inputs' 'help: add "secret" to its inputs'
}

test_undeclared_read_told_by_the_depfile() {
    project 'node { "out/x", inputs = { "in" }, depfile = "out/x.d", sandbox = false,
        run = { "sh", "-c", "echo \"out/x: in secret\" > out/x.d; cat in secret > out/x" } }'
    put in 1
    put secret 2
    spak build
    assert_exit 1
    assert_contains err 'error[N103]: out/x read secret'
}

test_undeclared_write() {
    project '
        node { "out/x", run = { "sh", "-c", "touch out/x; echo 1 > out/y" } }
        node { "out/y", write = "2" }'
    spak build -k
    assert_exit 1
    assert_contains err 'error[N112]: out/x tried to write out/y'
    assert_file out/y 2
}

# A linker removes what it did not finish, and may not in a folder that is not its own: the reason is another.
test_a_tool_that_cleans_up_after_itself_wrote_nothing_beside() {
    project 'node { "out/bin/x", shell = true, run = "echo 1 >out/bin/x; echo wrong >&2; rm out/bin/x; exit 1" }
node { "out/bin/y", shell = true, run = "touch out/bin/y" }'
    spak build
    assert_exit 1
    assert_contains err 'error[N101]: out/bin/x failed with exit status 1' 'wrong'
}

test_sources_cannot_be_written() {
    project 'node { "out/x", inputs = { "in" }, run = { "sh", "-c", "echo hacked > in; touch out/x" } }'
    put in 1
    spak build
    assert_exit 0 # the shell goes on after the refusal
    assert_file in 1
}

test_no_network() {
    project 'node { "out/x", run = { "/usr/bin/python3", "-c", "import socket; socket.socket()" } }'
    spak build
    assert_exit 1
    assert_contains err 'PermissionError'
}

test_own_folder_lets_tools_rename() {
    project 'node { "out/lib/l.a", inputs = { "o" }, run = { "sh", "-c", "cp o out/lib/t && mv out/lib/t out/lib/l.a" } }'
    put o 1
    spak build
    assert_exit 0
    assert_file out/lib/l.a 1
}

test_without_the_sandbox() {
    project 'node { "out/x", stdout = "out/x", run = { "cat", "secret" } }'
    put secret 2
    spak build --no-sandbox
    assert_exit 0
}

test_program_that_is_not_there() {
    project 'node { "out/x", inputs = { "tool.sh" }, run = { "./tool.sh" } }'
    put tool.sh '#!/bin/sh'
    spak build
    assert_exit 1
    assert_contains err 'error[N107]: cannot run ./tool.sh: it is not executable'
}

test_timeout() {
    project 'node { "out/x", timeout = 0.3, run = { "sh", "-c", "sleep 3217 & sleep 3217" } }'
    spak build
    assert_exit 1
    assert_contains err 'error[N105]: out/x was still running after 0.3 s'
    assert_no_sleepers 3217
}

test_timeout_of_what_ignores_the_signal() {
    project 'node { "out/x", timeout = 0.2, run = { "sh", "-c", "trap : TERM; while :; do sleep 3218; done" } }'
    spak build
    assert_exit 1
    assert_no_sleepers 3218
}

test_flood() {
    project 'node { "out/x", run = { "yes" } }'
    spak build
    assert_exit 1
    assert_contains err 'error[N106]: out/x printed more than 64 MiB'
    [ "$(wc -c <"$scratch/err")" -lt 200000 ] || fail 'the flood was passed on'
}

test_what_a_command_leaves_running_is_ended() {
    project 'node { "out/x", run = { "sh", "-c", "sleep 3219 & touch out/x" } }'
    spak build
    assert_exit 0
    assert_no_sleepers 3219
}

test_ctrl_c() {
    project '
        node { "out/quick", run = { "touch", "out/quick" } }
        node { "out/x", inputs = { "out/quick" }, run = { "sh", "-c", "echo half > out/x; sleep 3220" } }'
    spak_in_background build
    wait_for_file out/x
    sleep 0.1
    kill -INT "$pid"
    wait_for_exit
    assert_exit 130
    assert_contains err '1 interrupted'
    assert_absent out/x
    assert_no_sleepers 3220
    assert_equal "$(ls out/.spak/tmp)" '' 'what is left in tmp'
    put spakfile 'node { "out/quick", run = { "touch", "out/quick" } }'
    spak build --json
    assert_ran ''
}

test_second_ctrl_c_does_not_wait() {
    project 'node { "out/x", run = { "sh", "-c", "trap : TERM INT; touch out/x; while :; do sleep 3221; done" } }'
    spak_in_background build
    wait_for_file out/x
    sleep 0.1
    kill -INT "$pid"
    sleep 0.2
    kill -INT "$pid"
    wait_for_exit
    assert_exit 130
    assert_no_sleepers 3221
}

test_terminated() {
    project 'node { "out/x", run = { "sh", "-c", "touch out/x; sleep 3222" } }'
    spak_in_background build
    wait_for_file out/x
    kill -TERM "$pid"
    wait_for_exit
    assert_exit 130
    assert_no_sleepers 3222
}

test_stop_and_continue() {
    project 'node { "out/x", inputs = { "in" }, timeout = 1.2, run = { "sh", "-c", "touch out/x; sleep 0.7" } }'
    put in 1
    spak_in_background build
    wait_for_file out/x
    kill -TSTP "$pid"
    sleep 1.5
    case $(ps -o stat= -p "$pid") in T*) ;; *) fail 'it was not stopped' ;; esac
    kill -CONT "$pid"
    wait_for_exit
    assert_exit 0 # the time-out stood still as well
}

test_output_nobody_reads() {
    project 'node { "out/x", run = { "sh", "-c", "echo hello; touch out/x" } }'
    "$SPAK" build --json | true
    [ -f out/x ] || fail 'the build stopped when its reader went away'
}

test_input_edited_while_it_is_read() {
    project 'node { "out/x", inputs = { "in" }, run = { "sh", "-c", "cat in > out/x; sleep 0.4" } }'
    put in 1
    spak_in_background build
    wait_for_file out/x
    sleep 0.1
    put in 2
    wait_for_exit
    assert_contains err 'warning[N110]: in changed while out/x was reading it'
    spak build --json
    assert_ran out/x
    assert_file out/x 2
}

test_missing_input_before_anything_runs() {
    project '
        node { "out/a", run = { "touch", "out/a" } }
        node { "out/b", inputs = { "out/a", "nowhere" }, run = { "touch", "out/b" } }'
    spak build
    assert_exit 2
    assert_contains err 'error[N104]' 'spakfile:3:' nowhere
    assert_absent out/a
}

test_soft_failure_is_an_outcome() {
    project '
        node { "out/check", soft_fail = true, run = { "sh", "-c", "echo refuted > out/check; exit 1" } }
        node { "out/report", inputs = { "out/check" }, run = { "cp", "out/check", "out/report" } }'
    spak build
    assert_exit 0
    assert_file out/report refuted
    spak build --json
    assert_ran ''
}

test_a_test_that_skips_itself() {
    project '
        node { "out/t1", test = true, run = { "touch", "out/t1" } }
        node { "out/t2", test = true, run = { "sh", "-c", "echo no gpu; exit 77" } }
        node { "out/t3", test = true, run = { "sh", "-c", "echo broken; exit 1" } }
        target "test" { "out/t1", "out/t2", "out/t3" }'
    spak test
    assert_exit 1
    assert_contains err broken
    assert_equal "$(tail -n 1 "$scratch/out")" '1 passed, 1 failed, 1 skipped'
    put spakfile 'node { "out/t1", test = true, run = { "touch", "out/t1" } } target "test" { "out/t1" }'
    spak test
    assert_exit 0
    assert_equal "$(cat "$scratch/out")" '1 passed, 0 failed'
}

test_tests_need_no_target() {
    project '
        node { "out/t1", test = true, run = { "touch", "out/t1" } }
        node { "out/t2", test = true, run = { "touch", "out/t2" } }
        node { "out/other", run = { "touch", "out/other" } }'
    spak test
    assert_exit 0
    assert_equal "$(tail -n 1 "$scratch/out")" '2 passed, 0 failed'
    assert_absent out/other
    put spakfile 'node { "out/other", run = { "touch", "out/other" } }'
    spak test
    assert_exit 2
    assert_contains err 'error[U102]' 'this project has no tests' 'use "test"'
}

test_no_device_is_no_failure() {
    project '
        node { "out/gpu", device = true, run = { "touch", "out/gpu" } }
        node { "out/report", inputs = { "out/gpu" }, run = { "touch", "out/report" } }
        node { "out/cpu", run = { "touch", "out/cpu" } }'
    [ ! -e /dev/nvidia0 ] || return 0
    spak build --json
    assert_exit 0
    assert_ran out/cpu
    assert_contains out 'UNMEASURED: no device' '"status":"deferred"' '"status":"skipped"'
}

test_disk_that_is_full() {
    project 'node { "out/x", run = { "touch", "out/x" } } node { "out/y", run = { "touch", "out/y" } }'
    SPAK_FAULT=store_commit:1:ENOSPC spak build
    assert_exit 2
    spak build
    assert_exit 0
    spak fsck
    assert_exit 0
}

run_tests "$0" "$@"
