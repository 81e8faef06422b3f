#!/bin/sh
# What spak says about itself: help, explain, version, completion, man.
. "$(dirname "$0")/lib.sh"

verbs() {
    "$SPAK" help --plain | cut -f1
}

test_help_lists_every_verb_once() {
    spak help
    assert_exit 0
    for verb in $(verbs); do
        assert_equal "$(grep -c "^  $verb  " "$scratch/out")" 1 "lines for $verb"
    done
    [ "$(verbs | wc -l)" -ge 10 ] || fail "only $(verbs | wc -l) verbs"
    assert_contains out 'exit status: 0 done'
}

test_no_verb_is_without_a_group() {
    spak help
    assert_lacks out 'other:'
}

test_help_in_all_its_spellings() {
    spak help
    cp "$scratch/out" "$scratch/help"
    for spelling in --help -h; do
        spak "$spelling"
        assert_exit 0
        cmp "$scratch/out" "$scratch/help" || fail "spak $spelling says something else"
    done
    spak help build
    cp "$scratch/out" "$scratch/help"
    spak build --help
    assert_exit 0
    cmp "$scratch/out" "$scratch/help" || fail 'spak build --help says something else'
}

test_every_verb_has_usage_and_an_example() {
    for verb in $(verbs); do
        spak help "$verb"
        assert_exit 0
        assert_contains out "usage: spak $verb" 'examples:'
    done
}

test_help_fits_eighty_columns() {
    for verb in $(verbs); do
        spak help "$verb"
        sed '/^examples:/,$d' "$scratch/out" | grep '.\{101,\}' && fail "$verb: a line is too long"
    done
    spak help
    ! grep '.\{81,\}' "$scratch/out" || fail 'a line is too long'
}

test_unknown_verb_names_the_nearest() {
    for words in 'biuld' 'help biuld'; do
        # shellcheck disable=SC2086
        spak $words
        assert_exit 2
        assert_contains err 'error[U101]' 'biuld' 'did you mean spak build?'
    done
    spak xyzzy
    assert_exit 2
    assert_contains err 'error[U101]' 'spak help'
    assert_lacks err 'did you mean'
}

test_explain_by_code_and_by_name() {
    spak explain S100
    assert_exit 0
    assert_contains out 'S100 json-syntax' 'Exit status 2'
    cp "$scratch/out" "$scratch/by-code"
    for word in s100 json-syntax json_syntax; do
        spak explain "$word"
        assert_exit 0
        cmp "$scratch/out" "$scratch/by-code" || fail "explain $word says something else"
    done
}

test_explain_suggests() {
    spak explain json-sintax
    assert_exit 2
    assert_contains err 'did you mean S100'
    spak explain nothing-like-it-at-all
    assert_exit 2
    assert_contains err 'spak explain list'
}

test_every_listed_code_is_explained() {
    spak explain list
    assert_exit 0
    codes=$(cut -d' ' -f1 "$scratch/out")
    [ "$(echo "$codes" | wc -l)" -gt 20 ] || fail 'the list is short'
    assert_equal "$(echo "$codes" | LC_ALL=C sort -u)" "$codes" 'the order of codes'
    for code in $codes; do
        spak explain "$code"
        assert_exit 0
        [ "$(sed -n '3,$p' "$scratch/out" | wc -w)" -ge 15 ] || fail "$code: a paragraph of a few words"
    done
}

test_explain_as_json() {
    spak explain list --json
    assert_exit 0
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    entry = json.loads(line)
    assert sorted(entry) == ["code", "exit", "name", "text", "title"], entry
    assert entry["exit"] in (1, 2, 3, 130), entry' "$scratch/out"
}

test_version() {
    spak version
    assert_exit 0
    assert_contains out 'spak ' 'sandbox '
    spak --version
    assert_exit 0
    spak version --json
    assert_contains out '"version":'
}

test_man_page_has_every_verb_and_option() {
    spak man
    assert_exit 0
    cp "$scratch/out" "$scratch/page"
    for verb in $(verbs); do
        assert_contains "$scratch/page" ".SS spak $verb "
    done
    assert_contains "$scratch/page" '\fB\-\-keep\-going\fR' '.SH EXIT STATUS'
    ! grep -n '^\.[^A-Zfn]' "$scratch/page" || fail 'a line that roff takes for a request'
    command -v groff >/dev/null || return 0
    assert_equal "$(groff -man -Tutf8 -ww "$scratch/page" 2>&1 >/dev/null | grep -v 'man\.local')" '' "groff's complaints"
}

test_completion_is_read_by_its_shell() {
    for shell in bash zsh fish; do
        spak completion "$shell"
        assert_exit 0
        cp "$scratch/out" "$scratch/completion.$shell"
        ! command -v "$shell" >/dev/null || "$shell" -n "$scratch/completion.$shell" || fail "$shell does not read it"
    done
    spak completion tcsh
    assert_exit 2
    assert_contains err 'tcsh' 'bash, zsh or fish'
}

# The words that bash would offer for the last of the arguments.
offered() {
    bash -c 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spak; echo "${COMPREPLY[*]}"' \
        "$scratch/completion.bash" "$@"
}

test_bash_completes_verbs_options_and_targets() {
    mkdir -p "$scratch/bin"
    ln -sf "$SPAK" "$scratch/bin/spak"
    PATH=$scratch/bin:$PATH
    spak completion bash
    cp "$scratch/out" "$scratch/completion.bash"
    assert_equal "$(offered spak expl)" explain
    assert_equal "$(offered spak help expl)" explain
    assert_equal "$(offered spak build --keep)" --keep-going
    assert_equal "$(offered spak completion f)" fish
    assert_equal "$(offered spak explain S10 | wc -w)" 10 'codes that start with S10'
    project - <<'END'
node { "out/x", inputs = {}, run = { "touch", "out/x" } }
target "apples" { "out/x" }
target "pears" { "out/x" }
END
    assert_equal "$(offered spak build app)" apples
    assert_equal "$(offered spak build '')" 'apples pears'
}

run_tests "$0" "$@"
