#!/bin/sh
# A trace is input from a stranger: each trick is refused with its own error, and nothing is written.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

# A project with one trace; `blob` is the id of some file's content.
traced() {
    project - <<'END'
node { "out/a.txt", inputs = { "a" }, run = { "cp", "a", "out/a.txt" } }
target "x" { "out/a.txt" }
END
    put a one
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm first
    spak build x
    assert_exit 0
    blob=$(git rev-parse spak/x:src/a)
    mkdir "$scratch/temporary" 2>/dev/null || true
    TMPDIR=$scratch/temporary
    export TMPDIR
}

# tree MODE NAME ID...: a tree object with these entries, whatever git would say of them. NAME is read by printf.
tree() {
    while [ $# -gt 0 ]; do
        # shellcheck disable=SC2059
        printf "$1 $2\\000"
        python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' "$3"
        shift 3
    done | git hash-object -t tree --literally -w --stdin
}

# A commit that says it is a trace, with these sources; its id is in $forged.
forge() {
    root=$(git ls-tree spak/x | sed "/	src\$/s/[0-9a-f]\{40\}/$1/" | git mktree --missing)
    forged=$(git log -1 --format=%B spak/x | git -c user.name=M -c user.email=m@example.org commit-tree "$root")
    git update-ref refs/heads/spak/evil "$forged"
}

# The forged trace is refused with this code and these words, and no temporary folder is left.
assert_refused() {
    spak reproduce "$forged"
    assert_exit 3
    assert_contains err "error[$1]"
    shift
    assert_contains err "$@"
    assert_equal "$(ls -A "$TMPDIR")" '' 'what is left in the temporary folder'
    ! git rev-parse -q --verify refs/notes/spak/verify >/dev/null || fail 'a refused trace got a note'
}

test_names_that_leave_the_folder() {
    traced
    for name in .. . ../escape /etc/passwd a/b; do
        forge "$(tree 100644 "$name" "$blob")"
        assert_refused T201 'the trace holds'
    done
    sub=$(tree 100644 passwd "$blob")
    forge "$(tree 40000 .. "$sub")"
    assert_refused T201 '..' 'is a step and no name'
    assert_absent ../passwd
}

test_names_for_git_and_other_systems() {
    traced
    for name in .git .GIT .Git 'git~1' '.git ' '.git.' '.g\342\200\214it' 'a\134b' CON nul com7 .spak-tmp-x; do
        forge "$(tree 100644 "$name" "$blob")"
        assert_refused T201 'the trace holds'
    done
    hooks=$(tree 100755 post-checkout "$blob")
    forge "$(tree 40000 .git "$(tree 40000 hooks "$hooks")")"
    assert_refused T201 "git's own folder"
}

test_names_that_steer_a_terminal_are_shown_harmless() {
    traced
    forge "$(tree 100644 'a\033[2Jb' "$blob")"
    assert_refused T201 'a\x1b[2Jb' 'control character'
    ! LC_ALL=C grep -q "$(printf '\033')" "$scratch/err" || fail 'the escape was printed'
    forge "$(tree 100644 'a\012b' "$blob")"
    assert_refused T201 'control character'
    forge "$(tree 100644 'txt\342\200\256cod' "$blob")"
    assert_refused T201 'control character'
    forge "$(tree 100644 'a\377b' "$blob")"
    assert_refused T201 'a\xffb' 'no UTF-8'
    forge "$(tree 100644 'a\300\257b' "$blob")"
    assert_refused T201 'no UTF-8'
}

test_state_of_the_engine_cannot_be_planted() {
    traced
    state=$(tree 100644 graph "$blob")
    forge "$(tree 40000 out "$(tree 40000 .spak "$state")")"
    assert_refused T201 "SPAK's own state"
    forge "$(tree 40000 OUT "$(tree 40000 .Spak "$state")")"
    assert_refused T201 "SPAK's own state"
}

test_links_that_leave() {
    traced
    for target in /etc/passwd .. ../x ../../../etc/passwd a/.. a/../../x ./../x '' 'a\134b' .git/config out/.spak/graph; do
        # shellcheck disable=SC2059
        link=$(printf "$target" | git hash-object -w --stdin)
        forge "$(tree 100644 a "$blob" 120000 link "$link")"
        assert_refused T202 'link'
    done
    link=$(printf 'a\000/../..' | git hash-object -w --stdin)
    forge "$(tree 120000 link "$link")"
    assert_refused T202 'link'
    link=$(printf ../.. | git hash-object -w --stdin)
    forge "$(tree 40000 deep "$(tree 120000 link "$link")")"
    assert_refused T202 'deep/link'
}

# The first link leads to a real folder further down, so ".." behind it would not lead back to where it seems to.
test_a_link_through_a_link_cannot_leave() {
    traced
    up=$(printf .. | git hash-object -w --stdin)
    through=$(printf 'd/l/../../x' | git hash-object -w --stdin)
    forge "$(tree 40000 d "$(tree 120000 l "$up")" 120000 k "$through")"
    assert_refused T202 '"k"'
}

test_files_through_a_link_are_refused() {
    traced
    out=$(printf 'a' | git hash-object -w --stdin)
    forge "$(tree 120000 d "$out" 40000 d "$(tree 100644 planted "$blob")")"
    assert_refused T203 'is the same file'
}

test_names_that_differ_in_case_only() {
    traced
    forge "$(tree 100644 A "$blob" 100644 a "$blob")"
    assert_refused T203 'is the same file as "'
    forge "$(tree 100644 a "$blob" 100644 a "$blob")"
    assert_refused T203 'is the same file as "a"'
    forge "$(tree 40000 D "$(tree 100644 x "$blob")" 40000 d "$(tree 100644 y "$blob")")"
    assert_refused T203 'is the same file'
}

test_submodules() {
    traced
    forge "$(tree 160000 library "$(git rev-parse HEAD)")"
    assert_refused T204 'library' 'submodule'
}

test_modes_that_no_source_has() {
    traced
    for mode in 104755 100777 020644 010644 100600; do
        forge "$(tree $mode a "$blob")"
        spak reproduce "$forged"
        [ "$status" = 3 ] || [ "$status" = 2 ] || fail "mode $mode is taken"
        assert_contains err 'error[T'
        assert_equal "$(ls -A "$TMPDIR")" '' 'what is left in the temporary folder'
    done
}

# Ten folders of ten, ten levels deep: 2 KB that unfold into 10^10 files.
test_a_small_repository_that_unfolds() {
    traced
    id=$(tree 100644 f "$blob")
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        id=$(tree 40000 0 "$id" 40000 1 "$id" 40000 2 "$id" 40000 3 "$id" 40000 4 "$id" 40000 5 "$id" 40000 6 "$id" 40000 7 "$id")
    done
    forge "$id"
    begin=$(date +%s)
    assert_refused T205 'more than 200000 entries'
    [ $(($(date +%s) - begin)) -lt 20 ] || fail 'it took too long'
}

test_folders_without_end() {
    traced
    id=$(tree 100644 f "$blob")
    level=0
    while [ $level -lt 70 ]; do
        id=$(tree 40000 d "$id")
        level=$((level + 1))
    done
    forge "$id"
    assert_refused T205 'more than 64 folders in each other'
}

# One blob of 64 MB, named a hundred times, is 6.4 GB on disk and nothing in the repository.
test_bytes_without_end() {
    traced
    big=$(head -c 67108864 /dev/zero | git hash-object -w --stdin)
    set --
    for i in 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 \
        40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75; do
        set -- "$@" 100644 "f$i" "$big"
    done
    forge "$(tree "$@")"
    assert_refused T205 'more than 4294967296 bytes'
}

# A tree whose src/ holds this spakfile and the file a.
forge_spakfile() {
    forge "$(tree 100644 a "$blob" 100644 spakfile "$(printf '%s\n' "$1" | git hash-object -w --stdin)")"
}

test_commands_that_want_out() {
    traced
    for wish in 'sandbox = false' 'network = true' 'console = true'; do
        forge_spakfile "node { \"out/a.txt\", inputs = { \"a\" }, $wish, run = { \"cp\", \"a\", \"out/a.txt\" } }
target \"x\" { \"out/a.txt\" }"
        assert_refused T207 'out/a.txt' '--trust'
        spak reproduce "$forged" --trust --no-note
        [ "$status" -lt 2 ] || fail "--trust does not build it: exit status $status"
    done
}

# Programs that the spakfile asks while it is evaluated run in the sandbox too.
test_evaluation_cannot_leave() {
    traced
    put "$scratch/secret" 'a secret of mine'
    rule=$(git hash-object -w --stdin <<END
probe { "sh", "-c", "echo owned >'$scratch/owned'; exit 0" }
local seen = probe { "sh", "-c", "cat '$scratch/secret'; exit 0" }
return { name = "evil", doc = "asks", shape = {}, make = function()
  return node { "out/a.txt", write = seen }
end }
END
    )
    file=$(printf 'use "evil"\nevil {}\ntarget "x" { "out/a.txt" }\n' | git hash-object -w --stdin)
    forge "$(tree 40000 rules "$(tree 100644 evil.lua "$rule")" 100644 spakfile "$file")"
    spak reproduce "$forged" --no-note --keep "$scratch/kept"
    assert_absent "$scratch/owned"
    ! grep -rqF 'a secret of mine' "$scratch/kept" || fail 'the secret was read'
    rm -rf "$scratch/kept"
    spak reproduce "$forged" --no-note --trust # so the spakfile does try
    assert_file "$scratch/owned" owned
    rm "$scratch/owned"
}

test_commands_cannot_leave() {
    traced
    put "$scratch/secret" 'a secret of mine'
    forge_spakfile "node { \"out/a.txt\", inputs = { \"a\" }, run = { \"sh\", \"-c\", \"echo owned >'$scratch/owned'; cat '$scratch/secret' >out/a.txt; echo >>out/a.txt\" } }
target \"x\" { \"out/a.txt\" }"
    spak reproduce "$forged" --no-note --keep "$scratch/kept"
    assert_absent "$scratch/owned"
    ! grep -rqF 'a secret of mine' "$scratch/kept" || fail 'the secret was read'
    rm -rf "$scratch/kept"
}

test_a_trace_cannot_say_where_its_trace_goes() {
    traced
    forge_spakfile "trace_to \"$scratch/elsewhere.git\"
node { \"out/a.txt\", inputs = { \"a\" }, run = { \"cp\", \"a\", \"out/a.txt\" } }
target \"x\" { \"out/a.txt\" }"
    spak reproduce "$forged" --no-note
    assert_exit 0
    assert_absent "$scratch/elsewhere.git"
}

# What is in the clone's own work tree is not evaluated: only the trace is, in its own folder.
test_the_clone_is_not_evaluated() {
    traced
    put rules/evil.lua "probe { \"sh\", \"-c\", \"echo owned >'$scratch/owned'\" }"
    put spakfile 'use "evil"'
    spak reproduce x --no-note
    assert_exit 0
    assert_absent "$scratch/owned"
    spak build # so the spakfile does try
    assert_file "$scratch/owned" owned
    rm "$scratch/owned"
}

test_hooks_and_configuration_of_the_source_are_not_used() {
    traced
    from=$PWD
    mkdir -p .git/hooks
    for hook in post-checkout post-merge reference-transaction pre-auto-gc fsmonitor-watchman; do
        printf '#!/bin/sh\necho %s >>%s/owned\n' "$hook" "$scratch" >".git/hooks/$hook"
        chmod +x ".git/hooks/$hook"
    done
    git config core.fsmonitor "sh -c 'echo fsmonitor >>$scratch/owned'"
    git config uploadpack.packObjectsHook "sh -c 'echo pack >>$scratch/owned'"
    printf '[core]\n\thooksPath = %s/.git/hooks\n' "$from" >"$HOME/.gitconfig"
    rm -f "$scratch/owned"
    project 'target "none" {}'
    spak reproduce "$(git -C "$from" rev-parse spak/x)" --from "$from" --no-note
    rm -f "$HOME/.gitconfig"
    assert_exit 0
    assert_absent "$scratch/owned"
}

test_addresses_that_run_programs_are_refused() {
    traced
    for from in "ext::sh -c 'echo owned >$scratch/owned'" "--upload-pack=touch $scratch/owned" "ssh://-oProxyCommand=touch\${IFS}$scratch/owned/x"; do
        spak reproduce x --from="$from" --no-note
        assert_exit 2
        assert_contains err 'error[T209]'
        assert_absent "$scratch/owned"
    done
}

run_tests "$0" "$@"
