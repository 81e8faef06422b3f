#!/bin/sh
# spak reproduce: a recorded run is built again from its trace alone, and judged.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

commit_all() {
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm "$1"
}

build() {
    spak build x "$@"
    assert_exit 0
}

two_steps() {
    project - <<'END'
node { "out/a.txt", inputs = { "a" }, run = { "cp", "a", "out/a.txt" } }
node { "out/b.txt", inputs = { "out/a.txt" }, run = { "cp", "out/a.txt", "out/b.txt" } }
target "x" { "out/b.txt" }
END
    put a one
    put .gitignore /out/
    commit_all first
    build
    no_temporary_folder
}

no_temporary_folder() {
    rm -rf "$scratch/temporary"
    mkdir "$scratch/temporary"
    TMPDIR=$scratch/temporary
    export TMPDIR
}

assert_verdict() {
    assert_contains out ": $1"
    assert_equal "$(ls -A "$TMPDIR")" '' 'what is left in the temporary folder'
}

note() {
    git notes --ref refs/notes/spak/verify show "${1-spak/x}"
}

test_the_same_again_is_identical() {
    two_steps
    spak reproduce x
    assert_exit 0
    assert_verdict IDENTICAL
    assert_contains out '2 of 2 nodes bit-identical' 'environment: as recorded' 'refs/notes/spak/verify'
    note >line
    assert_contains line ' IDENTICAL out=2/2 proofs=0/0 metrics=0/0 margin=0.05 environment=same machine='
    assert_equal "$(wc -l <line)" 1 'lines of the note'
}

test_nothing_of_the_user_is_touched() {
    two_steps
    put a edited
    put stray mine
    before="$(git status --porcelain --ignored) $(sha256sum .git/index .git/HEAD) $(git for-each-ref refs/heads) $(find . -path ./.git -prune -o -print | sort)"
    spak reproduce x
    assert_exit 0
    assert_verdict IDENTICAL
    assert_equal "$(git status --porcelain --ignored) $(sha256sum .git/index .git/HEAD) $(git for-each-ref refs/heads) $(find . -path ./.git -prune -o -print | sort)" "$before" "the user's tree"
}

test_an_older_run_has_its_own_sources() {
    two_steps
    put a two
    build
    spak reproduce x~1 --keep "$scratch/kept"
    assert_exit 0
    assert_file "$scratch/kept/src/a" one
    assert_file "$scratch/kept/src/out/b.txt" one
    note spak/x~1 | grep -q IDENTICAL
    ! note spak/x >/dev/null 2>&1 || fail 'the note is on the wrong commit'
    rm -rf "$scratch/kept"
}

test_a_dirty_run_reproduces_without_strays() {
    two_steps
    put a dirty
    put more 'untracked and used'
    put id_ed25519 'a secret'
    cat >>spakfile <<'END'
node { "out/c.txt", inputs = { "more" }, run = { "cp", "more", "out/c.txt" } }
target "x2" { "out/b.txt", "out/c.txt" }
END
    spak build x2
    assert_exit 0
    assert_equal "$(git ls-tree -r --name-only spak/x2 src | tr '\n' ' ')" 'src/.gitignore src/a src/more src/spakfile ' sources
    spak reproduce x2
    assert_exit 0
    assert_verdict IDENTICAL
}

test_a_fresh_clone_and_a_hash_suffice() {
    two_steps
    hash=$(git rev-parse spak/x)
    git clone -q . "$scratch/clone"
    cd "$scratch/clone"
    spak reproduce "$hash"
    assert_exit 0
    assert_verdict IDENTICAL
    assert_absent out
    note "$hash" | grep -q IDENTICAL
    rm -rf "$scratch/clone"
}

test_from_a_repository_or_a_bundle() {
    two_steps
    hash=$(git rev-parse spak/x)
    from=$PWD
    git bundle create -q "$scratch/x.bundle" spak/x
    mkdir "$scratch/elsewhere"
    cd "$scratch/elsewhere"
    for source in "$from" "file://$from" "$scratch/x.bundle" ../x.bundle; do
        spak reproduce "$hash" --from "$source"
        assert_exit 0
        assert_verdict IDENTICAL
        spak reproduce x --from "$source"
        assert_exit 0
    done
    assert_equal "$(ls -A)" '' 'what was left where the user stood'
    spak reproduce x --from "$scratch/nowhere"
    assert_exit 2
    assert_contains err 'error[T209]' nowhere
    head -c 300 "$scratch/x.bundle" >"$scratch/short.bundle"
    spak reproduce x --from "$scratch/short.bundle"
    assert_exit 2
    assert_contains err 'error[T209]'
    assert_equal "$(ls -A "$TMPDIR")" '' 'what is left in the temporary folder'
    rm -rf "$scratch/elsewhere"
}

test_parameters_are_those_of_the_run() {
    project - <<'END'
node { "out/p", write = param("words", "none") }
target "x" { "out/p" }
END
    commit_all first
    build -D 'words=a b\n	c\\x41'
    no_temporary_folder
    spak reproduce x --keep "$scratch/kept"
    assert_exit 0
    assert_contains out IDENTICAL
    assert_file "$scratch/kept/src/out/p" 'a b\n	c\\x41'
    rm -rf "$scratch/kept"
}

test_a_command_that_is_not_deterministic() {
    project - <<'END'
node { "out/a.txt", inputs = {}, run = { "sh", "-c", "cat /proc/sys/kernel/random/uuid >out/a.txt" } }
node { "out/b.txt", inputs = { "out/a.txt" }, run = { "cp", "out/a.txt", "out/b.txt" } }
node { "out/c.txt", write = "the same" }
target "x" { "out/b.txt", "out/c.txt" }
END
    commit_all first
    build
    no_temporary_folder
    spak reproduce x
    assert_exit 1
    assert_verdict DIFFERENT
    assert_contains out '1 of 3 nodes bit-identical' 'not deterministic' '-> out/a.txt' 'out/a.txt came out differently'
    assert_lacks out '-> out/b.txt'
    note | grep -q ' DIFFERENT out=1/3 '
}

build_with_gen() {
    mkdir -p "$scratch/bin"
    gen 1
    PATH=$scratch/bin:$PATH
    export PATH
    commit_all first
    build
    no_temporary_folder
}

# Where a rule does without a tool, what it would have made cannot be compared, nor what follows from that.
test_a_tool_that_is_done_without() {
    project - <<'END'
local gen = tool { name = "gen", find = "gen", optional = true }
if gen then
  node { "out/a.txt", run = { "gen", "out/a.txt" } }
else
  node { "out/a.txt", write = "no gen\n" }
end
node { "out/b.txt", inputs = { "out/a.txt" }, run = { "cp", "out/a.txt", "out/b.txt" } }
node { "out/c.txt", write = "the same" }
target "x" { "out/b.txt", "out/c.txt" }
END
    build_with_gen
    rm "$scratch/bin/gen"
    spak reproduce x
    assert_exit 2
    assert_verdict 'NOT COMPARABLE'
    assert_contains out '1 of 3 nodes bit-identical, 2 that this machine cannot build' 'out/a.txt was made with gen, which nothing here used'
    assert_lacks out 'came out differently'
}

# What the recorded run found outside is gone; no trace can know of it.
test_a_command_that_fails_here() {
    project "node { \"out/a.txt\", run = { \"cp\", \"$scratch/outside\", \"out/a.txt\" } }
target \"x\" { \"out/a.txt\" }"
    put "$scratch/outside" one
    commit_all first
    build --no-sandbox
    no_temporary_folder
    spak reproduce x
    assert_exit 1
    assert_verdict DIFFERENT
    assert_contains out 'out/a.txt: ok in the record, failed here' 'what it printed here says why'
    assert_lacks out 'not deterministic'
}

test_another_tool_is_named() {
    project - <<'END'
tool { name = "gen", find = "gen", version = { "--version" } }
node { "out/a.txt", run = { "gen", "out/a.txt" } }
node { "out/b.txt", inputs = { "out/a.txt" }, run = { "cp", "out/a.txt", "out/b.txt" } }
target "x" { "out/b.txt" }
END
    build_with_gen
    gen 2
    spak reproduce x
    assert_exit 1
    assert_verdict DIFFERENT
    assert_contains out 'the tool gen gen 1.0' 'here gen gen 2.0' '-> out/a.txt' 'environment that differs'
    rm "$scratch/bin/gen"
    spak reproduce x
    assert_exit 2
    assert_verdict 'NOT COMPARABLE'
    assert_contains out gen
    rm -r "${scratch:?}/bin"
}

gen() {
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nif [ "$1" = --version ]; then echo gen %s.0; else echo made by %s >"$1"; fi\n' "$1" "$1" >"$scratch/bin/gen"
    chmod +x "$scratch/bin/gen"
}

test_a_failed_run_fails_again() {
    project - <<'END'
node { "out/a.txt", inputs = { "a" }, run = { "sh", "-c", "echo broken; exit 3" } }
target "x" { "out/a.txt" }
END
    put a one
    commit_all first
    spak build x
    assert_exit 1
    no_temporary_folder
    spak reproduce x
    assert_exit 0
    assert_verdict IDENTICAL
}

test_findings_of_two_machines_merge() {
    two_steps
    git clone -q . "$scratch/clone"
    spak reproduce x
    (cd "$scratch/clone" && sleep 1 && spak reproduce x)
    git fetch -q "$scratch/clone" refs/notes/spak/verify:refs/notes/other/verify
    git -c user.name=Ann -c user.email=ann@example.org notes --ref refs/notes/spak/verify merge -q -s cat_sort_uniq refs/notes/other/verify
    assert_equal "$(note | grep -c IDENTICAL)" 2 'findings'
    spak reproduce x
    assert_equal "$(note | grep -c IDENTICAL)" 3 'findings'
    assert_equal "$(note | grep -vc IDENTICAL)" 0 'other lines'
    rm -rf "$scratch/clone"
}

test_no_note_when_asked() {
    two_steps
    spak reproduce x --no-note
    assert_exit 0
    assert_lacks out 'noted'
    ! note >/dev/null 2>&1 || fail 'there is a note'
}

test_json() {
    two_steps
    spak reproduce x --json
    assert_exit 0
    python3 - "$scratch/out" <<'END'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
last = events[-1]
assert last["event"] == "reproduction", last
assert last["verdict"] == "IDENTICAL" and last["same_out"] and last["same_plan"], last
assert (last["nodes"], last["same"], last["reasons"], last["chain"]) == (2, 2, [], []), last
assert last["note"].split()[1] == "IDENTICAL", last
END
}

test_a_spakfile_of_another_name() {
    two_steps
    mkdir studies
    mv spakfile "studies/my file"
    commit_all renamed
    spak build x -B -f "studies/my file"
    assert_exit 0
    git show spak/x:env/spakfile >name
    assert_file name 'studies/my file'
    put spakfile '' # or one above this folder would say what the project is
    spak reproduce x
    assert_exit 0
    assert_verdict IDENTICAL
    put spakfile 'target "x" { node { "out/other", write = "x" } }'
    commit_all 'a spakfile besides'
    spak build x -B -f "studies/my file"
    spak reproduce x
    assert_exit 0
    assert_verdict IDENTICAL
    git worktree add -q --detach w spak/x
    cd w
    for name in ../../etc/passwd /etc/passwd 'a/../../b' .git/config; do
        printf '%s\n' "$name" >env/spakfile
        git -c user.name=M -c user.email=m@example.org commit -qam "$(git log -1 --format=%B spak/x)"
        spak reproduce "$(git rev-parse HEAD)"
        assert_exit 3
        assert_contains err 'error[T201]' 'which is not in its sources'
    done
}

test_wrong_use() {
    two_steps
    spak reproduce
    assert_exit 2
    assert_contains err 'takes one run'
    spak reproduce nothing
    assert_exit 2
    assert_contains err 'no trace "nothing"'
    spak reproduce main
    assert_exit 2
    assert_contains err 'not a trace'
    spak reproduce x --margin 120
    assert_exit 2
    assert_contains err '--margin 120'
    mkdir full
    put full/file x
    spak reproduce x --keep full
    assert_exit 2
    assert_contains err 'not empty'
    assert_equal "$(ls full)" file 'what is in the folder'
    assert_equal "$(ls -A "$TMPDIR")" '' 'what is left in the temporary folder'
}

test_a_spakfile_that_is_gone_is_not_looked_for_above() {
    two_steps
    blob=$(git rev-parse spak/x:src/a)
    src=$(printf '100644 blob %s\ta\n' "$blob" | git mktree)
    root=$(git ls-tree spak/x | sed "/	src\$/s/[0-9a-f]\{40\}/$src/" | git mktree)
    bad=$(git log -1 --format=%B spak/x | git -c user.name=M -c user.email=m@example.org commit-tree "$root")
    put "$TMPDIR/spakfile" 'target "x" {}'
    spak reproduce "$bad"
    assert_exit 2
    assert_contains err 'no file spakfile'
}

run_tests "$0" "$@"
