#!/bin/sh
# Which command is given the folder of its output, and so may write beside it and rename: the one whose folder it is.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# Declares a node that can make its output only in a folder of its own.
renames() {
    printf 'node { "%s", shell = true, run = "echo x > %s.tmp && mv %s.tmp %s"%s }\n' "$1" "$1" "$1" "$1" "${2-}" >>spakfile
}

# It is told what the folder holds, and did not write there.
assert_not_given() {
    assert_exit 1
    assert_contains err "$1.tmp: Permission denied"
    assert_absent "$1"
}

test_a_folder_with_nothing_of_others() {
    project 'node { "out/ab/y", shell = true, run = "echo y > out/ab/y" }'
    renames out/a/x
    renames out/a.d/x
    spak build
    assert_exit 0
    assert_file out/a/x x
    assert_file out/a.d/x x
}

test_all_folders_of_one_node() {
    project 'node { { "out/a/x", "out/a/deep/y" }, shell = true, run = [[
        for i in out/a/x out/a/deep/y; do echo "$i" > "$i.tmp" && mv "$i.tmp" "$i"; done ]] }'
    spak build
    assert_exit 0
    assert_file out/a/deep/y out/a/deep/y
}

test_another_has_a_file_below() {
    project 'node { "out/a/deep/er/y", shell = true, run = "echo y > out/a/deep/er/y" }'
    renames out/a/x
    spak build
    assert_not_given out/a/x
}

test_another_has_a_folder_below() {
    project 'node { "out/a/deep/y/", shell = true, run = "echo y > out/a/deep/y/file" }'
    renames out/a/x
    spak build
    assert_not_given out/a/x
}

test_another_has_its_dependencies_below() {
    project 'node { "out/o/y", depfile = "out/a/y.d", shell = true, run = "echo y > out/o/y; echo out/o/y: > out/a/y.d" }'
    renames out/a/x
    spak build
    assert_not_given out/a/x
}

test_a_source_lies_below() {
    project 'node { "out/y", inputs = "out/a/deep/hand.txt", shell = true, run = "cp out/a/deep/hand.txt out/y" }'
    put out/a/deep/hand.txt written
    renames out/a/x
    spak build
    assert_not_given out/a/x
}

# The folder of outputs itself holds the engine's state.
test_the_folder_of_outputs_is_nobodys() {
    project ''
    renames out/x
    spak build
    assert_not_given out/x
}

# What is known of the folders is known of the graph before it grew.
test_nodes_that_a_driver_adds() {
    project '
        driver { "d", run = function(ask)
          ask { "out/one/x", shell = true, run = "echo x > out/one/t && mv out/one/t out/one/x" }
          ask { "out/two/x", shell = true, run = "echo x > out/two/t && mv out/two/t out/two/x" }
          local beside = ask { "out/one/y", shell = true, soft_fail = true, run = "echo y > out/one/y; echo t > out/one/t || exit 1" }
          ask { "out/exit", write = tostring(beside.exit) }
        end }'
    spak build d
    assert_exit 0
    assert_file out/two/x x
    assert_file out/exit 1
    assert_absent out/one/t
}

run_tests "$0" "$@"
