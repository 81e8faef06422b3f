#!/bin/sh
# A build in which nothing moved, little moved, or something moved that is hard to see.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# Two chains, a common end, and a header that a depfile finds.
chains() {
    project '
for _, name in ipairs { "a", "b" } do
  node { "out/" .. name, inputs = name, run = { "cp", name, "out/" .. name } }
  node { "out/" .. name .. "2", inputs = "out/" .. name, run = { "cp", "out/" .. name, "out/" .. name .. "2" } }
end
node { "out/found", inputs = "a", depfile = "out/found.d", reads = "include",
  run = { "sh", "-c", "cat a include/h >out/found; echo out/found: a include/h >out/found.d" } }
target "all" { "out/a2", "out/b2", "out/found", default = true }
target "only-b" { "out/b2" }'
    put a 1
    put b 1
    put include/h 1
    spak build
    assert_exit 0
    settle
}

# Files that were made a moment ago are read once more; then all is known.
settle() {
    sleep 0.05
    spak build
    assert_exit 0
}

# Which nodes ran in a build that looked only at what moved.
assert_ran_now() {
    spak build --no-trace -v
    assert_exit 0
    sed -n 's/^\[[0-9/]*\] \([^ :]*\).*/\1/p' "$scratch/err" | sort | tr '\n' ' ' >"$scratch/ran"
    [ "$(cat "$scratch/ran")" = "$1" ] || fail "ran: $(cat "$scratch/ran"), not $1"
}

test_nothing_moved_reads_nothing() {
    chains
    spak build --stats
    assert_contains err 'lua evaluated: no' 'files hashed: 0'
    mv out/.spak/state.mdb out/.spak/away # who does not look needs none of it
    spak build
    assert_exit 0
    assert_contains err '5 up to date'
}

test_a_change_is_decided_for_where_it_reaches() {
    chains
    put b 2
    assert_ran_now 'out/b out/b2 '
    assert_file out/b2 2
    assert_ran_now ''
    put include/h 2
    assert_ran_now 'out/found '
    put out/a2 damaged
    assert_ran_now ''
    assert_file out/a2 1
    rm out/a
    assert_ran_now ''
    assert_file out/a 1
}

# Another target's build takes what moved away from nobody.
test_what_one_target_saw_is_not_what_another_saw() {
    chains
    spak build only-b
    put a 2
    put b 2
    spak build only-b
    assert_file out/b2 2
    assert_file out/a2 1
    spak build
    assert_file out/a2 2
    put b 3
    spak build out/b
    assert_file out/b 3
    assert_file out/b2 2
    spak build
    assert_file out/b2 3
}

test_edits_that_leave_the_time_are_seen() {
    chains
    for text in 2 3 4 5; do # of the same second, and of the same length
        put a $text
        spak build
        assert_file out/a2 $text
    done
    touch -r a "$scratch/then"
    put a 6
    touch -r "$scratch/then" a
    spak build
    assert_file out/a2 6
    mv b kept
    put b 9
    touch -r kept b
    spak build
    assert_file out/b2 9
    mv kept b # an older file comes back
    spak build
    assert_file out/b2 1
}

test_touched_with_the_same_content() {
    chains
    touch a b include/h out/a
    sleep 0.05
    spak build --stats
    assert_contains err 'files hashed: 4' '5 up to date'
    spak build --stats
    assert_contains err 'files hashed: 0'
}

test_a_glob_sees_a_new_file() {
    project 'for _, file in ipairs(glob "src/*.txt") do
  node { "out/" .. path.base(file), inputs = file, run = { "cp", file, "out/" .. path.base(file) } }
end'
    put src/a.txt 1
    spak build
    settle
    settle
    put src/b.txt 2
    spak build
    assert_file out/b.txt 2
    settle
    put src/c.other 3
    spak build --stats
    assert_contains err 'lua evaluated: no'
    rm src/a.txt
    spak build
    assert_absent out/a.txt
}

test_a_changed_spakfile_parameter_or_tool() {
    project 'node { "out/x", write = param("text", "1") .. "\n" }'
    spak build
    settle
    spak build -D text=2
    assert_file out/x 2
    spak build
    assert_file out/x 1
    put spakfile 'node { "out/x", write = "3\n" }'
    spak build
    assert_file out/x 3
}

# A spakfile of copies: MARK=VALUE a node, and the last joins them. What makes no key is no change.
copies() {
    {
        printf '%s\n' "${comment:-}"
        for pair; do
            printf 'node { "out/%s", inputs = "in/%s", run = { "sh", "-c", "cat in/%s >out/%s # %s" } }\n' \
                "${pair%=*}" "${pair%=*}" "${pair%=*}" "${pair%=*}" "${pair#*=}"
        done
        names=$(printf 'out/%s\n' "$@" | sed 's/=.*//' | sort | tr '\n' ' ')
        printf 'node { "out/all", shell = true, run = "cat %s >out/all",\n  inputs = {' "$names"
        # shellcheck disable=SC2086
        printf ' "%s",' $names
        printf ' } }\ntarget "all" { "out/all", default = true }\n'
    } >spakfile
}

# The spakfile was evaluated, and no more ran than that.
assert_changed_now() {
    assert_ran_now "$1"
    spak build --no-trace --stats
    assert_contains err 'lua evaluated: no'
}

test_a_change_of_the_spakfile_runs_what_it_reaches() {
    project ''
    for name in a b c d; do put in/$name $name; done
    copies a=1 b=1 c=1
    spak build
    settle
    settle
    comment='-- another comment' && copies a=1 b=1 c=1 # moves nothing but lines
    spak build --no-trace --stats
    assert_contains err 'lua evaluated: yes'
    assert_changed_now ''
    copies c=1 a=1 b=1
    assert_changed_now ''
    copies c=1 a=1 b=2 # comes out the same: what joins them stays
    assert_changed_now 'out/b '
    copies c=1 d=1 a=1 b=2
    assert_changed_now 'out/all out/d '
    assert_equal "$(tr -d '\n' <out/all)" abcd 'what was joined'
    put in/a e # seen by the new snapshot as by the old one
    assert_ran_now 'out/a out/all '
    copies d=1 a=1 b=2
    assert_changed_now 'out/all '
    assert_absent out/c
    assert_equal "$(tr -d '\n' <out/all)" ebd 'what was joined'
    copies d=1 a=1 b=1 # what was built once is not built again
    assert_changed_now ''
}

# The length, the time and the second of a spakfile say nothing.
test_an_edit_of_the_spakfile_that_leaves_the_time_is_seen() {
    project 'node { "out/x", write = "1\n" }'
    spak build
    settle
    settle
    for text in 2 3 4 5; do
        touch -r spakfile "$scratch/then"
        printf 'node { "out/x", write = "%s\\n" }\n' $text >spakfile
        [ $text -lt 4 ] || touch -r "$scratch/then" spakfile
        spak build
        assert_file out/x $text
    done
}

# A pattern in a folder of its own, one that looks below, and a module: each is read while Lua runs.
test_what_the_evaluation_read_is_seen_to_change() {
    project '
for _, file in ipairs(glob "deep/**/*.txt") do
  node { "out/" .. path.base(file), inputs = file, run = { "cp", file, "out/" .. path.base(file) } }
end'
    put deep/one/a.txt 1
    spak build
    settle
    settle
    put deep/one/two/b.txt 2 # in a folder that is new
    assert_changed_now 'out/b.txt '
    mv deep/one/two/b.txt deep/one/c.txt
    assert_changed_now 'out/c.txt '
    assert_absent out/b.txt
    touch -r deep/one "$scratch/then"
    rm deep/one/a.txt
    touch -r "$scratch/then" deep/one # its folder looks as it did
    assert_changed_now ''
    assert_absent out/a.txt
}

test_a_failed_node_fails_again() {
    project 'node { "out/x", inputs = "in", run = { "sh", "-c", "grep 1 in >out/x" } }'
    put in 1
    spak build
    settle
    put in 2
    spak build
    assert_exit 1
    spak build
    assert_exit 1
    put in 1
    spak build
    assert_exit 0
    assert_file out/x 1
}

test_stamps_that_are_damaged_cost_time_only() {
    chains
    for bytes in 0 7 100 1000 2000; do
        head -c "$bytes" out/.spak/stamps >cut_short
        cat cut_short >out/.spak/stamps
        spak build
        assert_exit 0
        assert_contains err '5 up to date'
        put a "$bytes"
        spak build
        assert_file out/a2 "$bytes"
        settle
    done
}

# Each write over a stamp in turn finds the disk full, or is the last thing that the build does.
test_stamps_that_cannot_be_written() {
    chains
    for fault in ENOSPC KILL; do
        for n in $(seq 40); do
            put b "$fault $n"
            SPAK_FAULT=write_at:$n:$fault spak build --no-trace
            if [ $fault = ENOSPC ]; then
                assert_exit 0
                if [ -e out/.spak/stamps ]; then break; fi
            elif [ "$status" = 0 ]; then
                break
            fi
            spak build --no-trace
            assert_file out/b2 "$fault $n"
            assert_ran_now ''
            put a "$fault $n"
            assert_ran_now 'out/a out/a2 out/found '
            settle
        done
        if [ "$n" -le 10 ] || [ "$n" -ge 40 ]; then fail "$fault: $n writes"; fi
    done
}

# What nobody looked at goes into the key of a link by its stamp: the key is that of a build that looks at all.
test_stamps_say_what_records_would() {
    project '
for _, name in ipairs { "a", "b", "c" } do
  node { "out/" .. name, inputs = name, run = { "cp", name, "out/" .. name } }
end
node { "out/all", inputs = { "out/a", "out/b", "out/c" }, shell = true, run = "cat out/a out/b out/c > out/all" }
target "all" { "out/all", default = true }'
    put a 1
    put b 1
    put c 1
    spak build
    settle
    put a 2
    assert_ran_now 'out/a out/all '
    rm out/.spak/stamps
    assert_ran_now ''
    spak build
    put out/b damaged
    put a 3
    assert_ran_now 'out/a out/all '
    assert_equal "$(tr '\n' ' ' <out/all)" '3 1 1 ' 'what was linked'
    rm out/.spak/stamps
    assert_ran_now ''
}

run_tests "$0" "$@"
