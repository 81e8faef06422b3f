#!/bin/sh
# spak log and spak show.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

two_runs() {
    project - <<'END'
node { "out/a.txt", inputs = { "a" }, run = { "cp", "a", "out/a.txt" } }
target "x" { "out/a.txt" }
target "y" { "out/a.txt" }
END
    put a one
    put .gitignore /out/
    spak build x
    assert_exit 0
    put a two
    spak build x
    assert_exit 0
}

test_log_is_a_line_a_run() {
    two_runs
    spak log x
    assert_exit 0
    assert_equal "$(wc -l <"$scratch/out")" 2 lines
    head -1 "$scratch/out" >latest
    assert_contains latest "$(git rev-parse spak/x | cut -c1-10)" ok "$(date +%Y-)" 'x: a'
    assert_lacks latest '(ok)'
    spak log x -n 1
    assert_equal "$(wc -l <"$scratch/out")" 1 lines
    spak log -n two
    assert_exit 2
}

test_log_of_all_targets() {
    two_runs
    put a three
    spak build y
    spak log
    assert_equal "$(wc -l <"$scratch/out")" 3 lines
    assert_contains out 'y: first run' 'x: first run'
    spak log --json
    assert_contains out '"target":"y"' '"status":"ok"' "\"commit\":\"$(git rev-parse spak/y)\""
}

test_log_before_the_first_run() {
    project 'target "x" {}'
    spak log
    assert_exit 2
    assert_contains err 'no target has a trace yet' 'spak build TARGET'
    spak log x
    assert_exit 2
    assert_contains err 'there is no trace "x"'
}

test_show_a_run() {
    two_runs
    spak show x
    assert_exit 0
    assert_contains out "$(git rev-parse spak/x)" 'x: a (ok)' 'Changed since parent: a.' 'ok          out/a.txt'
    assert_lacks out Spak-Format
    spak show x --json
    assert_contains out '"states":{"out/a.txt":"ok"}'
}

test_show_a_node() {
    two_runs
    spak show x~1 out/a.txt
    assert_exit 0
    digest=$(printf 'one\n' | sha256sum | cut -c1-12)
    assert_contains out 'arg a' "in a $digest" 'exit 0' "out out/a.txt $digest 4"
    grep -q 'arg .*exit 0' "$scratch/out" || fail 'plan and outcome are not beside each other'
    spak show "$(git rev-parse --short spak/x)" out/a.txt --json
    assert_contains out '"node":"out/a.txt"' '"plan":"arg ' "$(printf 'two\n' | sha256sum | cut -d' ' -f1)"
}

test_show_a_file() {
    two_runs
    spak show x~1 a
    assert_equal "$(cat "$scratch/out")" one 'the source'
    spak show x env/toolchain
    assert_contains out 'sandbox '
}

test_unknown_names_say_what_is_near() {
    two_runs
    git branch other spak/x
    spak show z
    assert_exit 2
    assert_contains err 'error[T102]' 'there is no trace "z"'
    spak show x~7
    assert_contains err 'not that long'
    spak show x out/a.tx
    assert_exit 2
    assert_contains err 'did you mean "out/a.txt"?'
    spak show other
    assert_exit 0
    git -c user.name=A -c user.email=a@a commit -q --allow-empty -m plain
    spak show main
    assert_contains err 'error[T104]' 'not a trace'
    spak show
    assert_exit 2
}

test_a_broken_spakfile_does_not_hide_the_past() {
    two_runs
    echo 'nonsense(' >>spakfile
    spak log x
    assert_exit 0
    assert_contains err 'does not evaluate'
    assert_contains out 'x: first run'
}

run_tests "$0" ${1+"$1"}
