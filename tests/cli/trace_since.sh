#!/bin/sh
# A trace is a function of the state: one that says only what is new over the one before has the very tree that the
# same project gets where nothing was ever built.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

sources() {
    put spakfile <<'END_OF_FILE'
local objects = {}
for _, name in ipairs { "a", "b", "c", "lib/d" } do
  local object = ("out/%s.o"):format(name)
  objects[#objects + 1] = object
  node {
    object, inputs = { name .. ".c", "common.h" }, depfile = object .. ".d", reads = "inc",
    order_only = name == "b" and { "late" } or nil, sandbox = false, shell = true,
    run = ([[
      { grep -v '^#' %s.c || true; cat common.h; for h in $(sed -n 's/^#//p' %s.c); do cat $h; done; } >%s
      echo "%s: $(sed -n 's/^#//p' %s.c | tr '\n' ' ')" >%s.d
      ! grep -q BROKEN %s.c
    ]]):format(name, name, object, object, name, object, name),
  }
end
node { "out/final", inputs = objects, run = { "cat", objects }, stdout = "out/final" }
node { "out/other", inputs = "common.h", run = { "cp", "common.h", "out/other" } }
target "all" { "out/final", default = true }
target "other" { "out/other" }
END_OF_FILE
    for name in a b c lib/d; do put $name.c "text of $name"; done
    put common.h common
    put inc/one.h one
    put inc/two.h two
    put late late
    put "$scratch/outside.h" outside
}

# The tree of the trace, and that of a fresh copy of everything but out/.
same_as_fresh() {
    tree=$(git --git-dir "$(trace_dir)" rev-parse 'spak/all^{tree}')
    here=$PWD
    rm -rf "$scratch/copy"
    mkdir "$scratch/copy"
    tar cf - --exclude=./out --exclude=./.git . | tar xf - -C "$scratch/copy"
    [ ! -d .git ] || cp -R .git "$scratch/copy"
    [ ! -d .git ] || git -C "$scratch/copy" branch -qD spak/all
    cd "$scratch/copy"
    spak build -q -k all
    fresh=$(git --git-dir "$(trace_dir)" rev-parse 'spak/all^{tree}')
    git --git-dir "$(trace_dir)" ls-tree -r "$fresh" >"$scratch/want"
    cd "$here"
    git --git-dir "$(trace_dir)" fsck --strict >"$scratch/fsck" 2>&1 || fail "$1: $(cat "$scratch/fsck")"
    git --git-dir "$(trace_dir)" ls-tree -r "$tree" >"$scratch/found"
    diff "$scratch/want" "$scratch/found" || fail "$1: another tree than a fresh build's"
}

trace_dir() {
    if [ -d .git ]; then echo .git; else echo out/.spak/trace.git; fi
}

step() {
    spak build -q -k all
    assert_exit "${2:-0}"
    same_as_fresh "$1"
}

edits() {
    step 'first build'
    put a.c 'another text'
    step 'a leaf'
    put common.h 'another header'
    step 'a header of all'
    put a.c "#$scratch/outside.h"
    put b.c '#inc/one.h'
    step 'discovered files, one outside the project'
    put "$scratch/outside.h" 'outside changed'
    step 'the file outside changed'
    put a.c 'no header'
    put b.c '#inc/two.h'
    step 'discovered files that nobody reads any more'
    put c.c BROKEN
    step 'a node fails, another is skipped' 1
    put c.c 'text of c'
    step 'it is as it was before it failed'
    put late 'order only, changed'
    put inc/three.h 'nobody reads it'
    put lib/d.c 'changed with it'
    step 'what is in no key changed with something that is'
    rm inc/three.h
    put a.c 'once more'
    step 'a file that could have been read is gone'
    spak build -q --no-trace all
    put a.c 'untraced'
    spak build -q --no-trace all
    put b.c 'traced'
    step 'a run without a trace came between'
    put common.h 'by the other target'
    spak build -q other
    put a.c 'after the other target'
    step 'another target was built in between'
    sed -i 's/out.final", inputs = objects/out\/final", doc = "all of it", inputs = objects/' spakfile
    put b.c 'with another spakfile'
    step 'the spakfile changed'
    put a.c 'text of a'
    step 'back to what the first build had'
    sed -i 's/"c", "lib/"lib/; s/"a", "b"/"a", "e", "b"/' spakfile
    put e.c 'a new source'
    step 'a node came and another went'
    sed -i 's/"e", "b"/"b", "c"/' spakfile
    step 'they went and came again'
    chmod +x c.c
    put a.c 'beside a source that is a program now'
    step 'a source became a program'
    mv b.c kept.h
    ln -s kept.h b.c
    put a.c 'beside a source that is a link now'
    step 'a source became a link'
    rm b.c
    mv kept.h b.c
    put a.c 'beside a source that was a link'
    step 'a link became a source'
}

# Each of these dies in the middle of something: of a node, a write, the trace.
kills() {
    n=0
    step 'first build'
    for point in spawn:1 spawn:2 store_put:1 store_commit:1 rename:1 write:1 write:2 write_at:1 write_at:3; do
        n=$((n + 1))
        put a.c "$n"
        SPAK_FAULT=$point:KILL spak build -q -k all
        put lib/d.c "$n"
        step "a build was killed at $point"
        put b.c "$n"
        step "the second after a build was killed at $point"
    done
}

test_alone() {
    project ''
    rm -rf .git
    sources
    edits
}

test_in_a_repository() {
    project ''
    sources
    put .gitignore '/out/'
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm first
    edits
}

test_untracked_sources() {
    project ''
    sources
    put .gitignore '/out/
late'
    put secret 'of nobody'
    git add .gitignore spakfile a.c inc
    git -c user.name=Ann -c user.email=ann@example.org commit -qm first
    edits
}

test_killed() {
    project ''
    rm -rf .git
    sources
    kills
}

# What was thrown away is made or told again.
test_thrown_away() {
    project ''
    rm -rf .git
    sources
    step 'first build'
    put a.c 'before a gc'
    step 'a leaf'
    spak gc --keep 1
    put b.c 'after a gc'
    step 'a gc of the store'
    git --git-dir out/.spak/trace.git gc -q --prune=now
    put a.c 'after a gc of the traces'
    step 'a gc of the traces'
    rm out/.spak/stamps
    put b.c 'without stamps'
    step 'the stamps were removed'
    for gone in out/.spak/*; do
        [ "$gone" = out/.spak/trace.git ] || rm -rf "$gone"
    done
    put a.c 'without a store'
    step 'the store was removed'
    rm -rf out/a.o out/lib
    put b.c 'some outputs were removed'
    step 'outputs were removed'
}

# Whoever moves the branch is built upon, whatever the store remembers.
test_branch_moved() {
    project ''
    rm -rf .git
    sources
    step 'first build'
    put a.c second
    step 'second'
    git --git-dir out/.spak/trace.git branch -qf spak/all spak/all~1
    put b.c third
    step 'the branch was moved back'
    git --git-dir out/.spak/trace.git branch -qD spak/all
    put b.c fourth
    step 'the branch was removed'
}

run_tests "$0" "$@"
