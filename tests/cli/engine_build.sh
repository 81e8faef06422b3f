#!/bin/sh
# What is built again and what is not: the stories of a working day.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# Two translation units with a header that only a depfile names, linked.
c_project() {
    project '
        local function object(name)
          return node { "out/" .. name .. ".o", inputs = { name .. ".c" }, reads = { "include" },
            depfile = "out/" .. name .. ".d",
            run = { "cc", "-Iinclude", param("opt", "-O0"), "-MMD", "-MF", "out/" .. name .. ".d", "-c", name .. ".c",
                    "-o", "out/" .. name .. ".o" } }
        end
        node { "out/app", inputs = { object "a", object "b" }, run = { "cc", "out/a.o", "out/b.o", "-o", "out/app" } }
        target "app" { "out/app" }'
    put include/a.h 'enum { A = 0 };'
    put a.c '#include "a.h"
int b(void);
int main(void) { return A + b(); }'
    put b.c 'int b(void) { return 0; }'
}

test_first_build_then_nothing() {
    c_project
    spak build --json
    assert_exit 0
    assert_ran out/a.o out/app out/b.o
    ./out/app || fail 'the program does not run'
    spak build --json --stats
    assert_ran ''
    assert_contains out '"evaluated":false' '"clean":3'
}

test_touch_without_change() {
    c_project
    spak build
    sleep 0.05
    touch a.c include/a.h
    spak build --json
    assert_ran ''
}

test_header_from_the_depfile() {
    c_project
    spak build
    put include/a.h 'enum { A = 1 };'
    spak plan --why
    assert_contains out 'out/a.o: discovered input include/a.h changed' 'out/app: out/a.o may change' \
        'because out/a.o: discovered input include/a.h changed'
    assert_lacks out 'out/b.o'
    spak build --json
    assert_ran out/a.o out/app
    assert_absent out/a.d
}

test_flag() {
    c_project
    spak build
    spak plan --why -D opt=-O2
    assert_contains out 'argument -O0 became -O2'
    spak build --json -D opt=-O2
    assert_ran out/a.o out/app out/b.o
    spak build --json # back: everything is in the store
    assert_ran ''
    assert_contains out '"restored":3'
}

test_early_cutoff() {
    c_project
    spak build
    put b.c 'int b(void) { return 0; } // says the same'
    spak build --json
    assert_ran out/b.o
}

test_deleted_output_comes_back() {
    c_project
    spak build
    rm out/a.o
    spak build --json
    assert_ran ''
    assert_contains out 'output out/a.o was deleted' '"status":"restored"'
    [ -f out/a.o ] || fail 'it did not come back'
    rm -r out/app
    spak build
    ./out/app || fail 'it came back without its mode'
}

test_modified_output_is_repaired() {
    c_project
    spak build
    cp out/app good
    echo x >>out/app
    spak build --json
    assert_contains out 'output out/app was modified'
    cmp good out/app || fail 'it was not repaired'
}

test_without_the_store_it_is_made_again() {
    c_project
    spak build
    rm -rf out/a.o out/.spak/cas
    spak build --json
    assert_ran out/a.o
}

test_damaged_object_is_no_reason_to_fail() {
    c_project
    spak build
    rm out/a.o
    for object in out/.spak/cas/*/*.gz; do
        chmod u+w "$object"
        echo junk >"$object"
    done
    spak build --json
    assert_exit 0
    assert_ran out/a.o
}

test_edited_back_is_restored() {
    c_project
    spak build
    cp b.c b.old
    put b.c 'int b(void) { return 7; }'
    spak build
    ! ./out/app || fail 'the change did not arrive'
    cp b.old b.c
    spak build --json
    assert_ran ''
    ./out/app || fail 'the old program did not come back'
}

test_renamed_source_and_swept_output() {
    project 'node { "out/one", write = "1" } node { "out/two", write = "2" }'
    spak build
    [ -f out/two ] || fail 'out/two is not there'
    put spakfile 'node { "out/one", write = "1" }'
    spak build -v
    assert_contains err 'removed out/two: nothing makes it any more'
    assert_absent out/two
    put spakfile 'node { "out/one", write = "1" } node { "out/two", write = "2" }'
    spak build --json
    assert_file out/two 2
}

test_another_spakfile_sweeps_only_its_own() {
    project 'node { "out/one", write = "1" }'
    put other 'node { "out/two", write = "2" } node { "out/three", write = "3" }'
    spak build
    spak build -f other
    assert_file out/one 1
    put other 'node { "out/two", write = "2" }'
    spak build -f other
    assert_absent out/three
    spak build --json
    assert_ran ''
    assert_file out/one 1
    assert_file out/two 2
}

test_what_a_user_put_into_out_stays() {
    project 'node { "out/one", write = "1" } node { "out/two", write = "2" }'
    spak build
    echo mine >out/two
    echo mine >out/three
    put spakfile 'node { "out/one", write = "1" }'
    spak build
    assert_file out/two mine
    assert_file out/three mine
}

test_folder_as_output() {
    project '
        node { dir "out/docs", inputs = { "list" }, run = { "sh", "-c", "for n in $(cat list); do mkdir -p out/docs/$n; echo $n > out/docs/$n/index; done" } }
        node { "out/count", inputs = { "out/docs" }, stdout = "out/count", run = { "sh", "-c", "ls out/docs | wc -l" } }'
    put list 'a b'
    spak build
    assert_exit 0
    assert_file out/docs/b/index b
    assert_file out/count 2
    put list 'a'
    spak build --json
    assert_absent out/docs/b
    assert_file out/count 1
    echo x >>out/docs/a/index
    spak build --json
    assert_contains out 'output out/docs was modified'
    assert_file out/docs/a/index a
    rm -r out/docs
    spak build --json
    assert_ran ''
    assert_file out/docs/a/index a
}

test_two_outputs_of_one_command() {
    project 'node { "out/x", "out/y", run = { "sh", "-c", "echo 1 > out/x; echo 2 > out/y" } }'
    spak build
    assert_file out/y 2
    rm out/y
    spak build out/y
    assert_file out/y 2
}

test_order_only() {
    project '
        node { "out/gen", inputs = { "seed" }, run = { "cp", "seed", "out/gen" } }
        node { "out/use", order_only = { "out/gen" }, run = { "sh", "-c", "test -f out/gen && echo ok > out/use" } }'
    put seed 1
    spak build -j4
    assert_exit 0
    put seed 2
    spak build --json
    assert_ran out/gen
}

test_written_text() {
    project 'node { "out/t", write = param("text", "a") }'
    spak build
    assert_file out/t a
    spak build -D text=b
    assert_file out/t b
    spak plan --why -D text=c
    assert_contains out 'text changed'
}

test_stdout_of_a_command() {
    project 'node { "out/t", stdout = "out/t", run = { "echo", "hello" } }'
    spak build
    assert_file out/t hello
}

test_always_and_force() {
    project 'node { "out/a", always = true, run = { "touch", "out/a" } } node { "out/b", run = { "touch", "out/b" } }'
    spak build
    spak build --json
    assert_ran out/a
    spak build -B --json
    assert_ran out/a out/b
}

test_dry_run_runs_nothing() {
    c_project
    spak build -n
    assert_exit 0
    assert_contains out 'run     out/a.o: never built'
    assert_absent out/a.o
}

test_names_of_what_to_build() {
    c_project
    spak build a.o --json
    assert_ran out/a.o
    spak build out/b.o --json
    assert_ran out/b.o
    spak build ap
    assert_exit 2
    assert_contains err 'the targets are: app' 'did you mean app?'
    spak build a.c
    assert_contains err 'a.c is a source'
    mkdir sub
    cd sub
    spak build ../out/app
    assert_exit 0
}

test_snapshot_follows_what_was_read() {
    project '
        for _, path in ipairs(glob "src/*.txt") do
          node { "out/" .. path, inputs = { path }, run = { "cp", path, "out/" .. path } }
        end'
    put src/a.txt 1
    spak build --json
    assert_ran out/src/a.txt
    put src/b.txt 2
    spak build --json --stats
    assert_ran out/src/b.txt
    assert_contains out '"evaluated":true'
    rm src/a.txt
    spak build -v
    assert_absent out/src/a.txt
}

test_environment_is_the_same_for_everybody() {
    project 'node { "out/env", stdout = "out/env", env = { COLOUR = "red" }, run = { "env" } }'
    SECRET=1 LC_ALL=de_DE spak build
    assert_contains out/env COLOUR=red LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=315532800 TMPDIR=
    assert_lacks out/env SECRET de_DE
}

test_temporary_folder_is_taken_away() {
    project 'node { "out/x", run = { "sh", "-c", "echo 1 > \"$TMPDIR/t\" && cp \"$TMPDIR/t\" out/x" } }'
    spak build
    assert_file out/x 1
    assert_equal "$(ls out/.spak/tmp)" '' 'what is left in tmp'
}

# A folder that a command left as it was is handed on; whoever gets it sees an empty one under a name of its own.
test_temporary_folder_is_nobody_elses() {
    project '
        local before
        for i, what in ipairs { "true", "touch $TMPDIR/left", "chmod 500 $TMPDIR", "touch $TMPDIR/x; rm $TMPDIR/x", "mkdir $TMPDIR/d", "true", "true" } do
          local out = "out/" .. i
          node { out, inputs = before, run = { "sh", "-c", "{ echo $TMPDIR; stat -c %a $TMPDIR; ls -A $TMPDIR; } >" .. out .. "; " .. what } }
          before = out
        end'
    spak build
    for i in 1 2 3 4 5 6 7; do
        assert_equal "$(sed 1d "out/$i")" 755 "mode and content of the folder of $i"
    done
    assert_equal "$(grep -h spak/tmp out/[1-7] | sort -u | wc -l)" 7 'different names'
    assert_equal "$(ls out/.spak/tmp)" '' 'what is left in tmp'
    mkdir before
    cp out/[1-7] before
    spak build -B
    for i in 1 2 3 4 5 6 7; do
        cmp "out/$i" "before/$i" || fail "the folder of $i has another name"
    done
}

test_hard_link_to_an_output_keeps_what_it_had() {
    project 'node { "out/x", inputs = { "in" }, run = { "cp", "in", "out/x" } }'
    put in 1
    spak build
    ln out/x kept
    put in 2
    spak build
    assert_file kept 1
    assert_file out/x 2
}

test_moved_project_builds_nothing() {
    c_project
    spak build
    mv "$PWD" "$PWD.moved"
    cd "$PWD.moved"
    spak build --json
    assert_ran ''
}

test_a_path_with_spaces() {
    project 'node { "out/a b.o", inputs = { "a b.c" }, reads = { "." }, depfile = "out/a b.d",
        run = { "cc", "-MMD", "-MF", "out/a b.d", "-c", "a b.c", "-o", "out/a b.o" } }'
    put 'a b.c' '#include "c d.h"'
    put 'c d.h' 'int x;'
    spak build
    assert_exit 0
    put 'c d.h' 'int y;'
    spak build --json
    assert_ran 'out/a b.o'
}

test_json_events() {
    c_project
    spak build --json app
    for event in graph begin start finish end trace "done"; do
        assert_contains out "\"event\":\"$event\""
    done
}

test_trace_of_a_target_only_when_something_ran() {
    c_project
    spak build app
    assert_contains err 'spak: spak/app '
    first=$(git rev-parse spak/app)
    spak build app
    assert_equal "$(git rev-parse spak/app)" "$first" 'the trace'
    spak build app --no-trace -B
    assert_equal "$(git rev-parse spak/app)" "$first" 'the trace'
}

run_tests "$0" "$@"
