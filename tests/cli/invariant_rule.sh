#!/bin/sh
# The rule `invariant`: its example runs, a refuted law stops the build, a wrong declaration is refused where it stands.
. "$(dirname "$0")/lib.sh"

prover=$(dirname "$SPAK")/spak-prove
rules=$(cd "$(dirname "$0")/../../rules" && pwd)
laws=$(cd "$(dirname "$0")/../../invariants" && pwd)

law() { # the domain of x, further fields of the scope
    cat <<END
use "invariant"
tool { name = "spak-prove", find = "$prover" }
invariant "double" {
  asserts = "doubling is adding",
  sim = "laws/double.py",
  mutants = "laws/double.mutants",
  cases = { { "x", ${1-int(0, 9)} } },
  scope = { exhaustive = 10${2-} },
}
END
}

law_project() { # the wrong part of the simulation
    project "$(law)"
    put laws/law.py <"$laws/law.py"
    put laws/double.mutants 'plus_one  adds one'
    put laws/double.py <<END
import law
def sides(c):
    return 2 * c["x"] + law.fault("plus_one")${1-}, c["x"] + c["x"]
law.run(sides)
END
}

test_the_example_is_verified() {
    project "tool { name = \"spak-prove\", find = \"$prover\" }
$(sed -n '/^  example = \[\[$/,/^\]\],$/p' "$rules/invariant.lua" | sed '1d;$d')"
    spak build invariant/example/doubling
    assert_exit 0
    assert_contains out/invariant/example/doubling.json '"status": "verified"' '"rung": "PROVED"'
}

test_a_python_law_imports_its_helper_in_the_sandbox() {
    law_project
    spak build invariant/double
    assert_exit 0
    assert_contains out/invariant/double.json '"killed": 1'
}

test_a_fault_or_a_mutant_that_changes_is_tried_again() {
    law_project
    spak build invariant/double
    put laws/double.mutants 'plus_two  adds two'
    spak build invariant/double
    assert_exit 3
    assert_contains err 'plus_two (adds two)'
}

test_a_refuted_law_stops_the_build() {
    law_project ' + (c["x"] > 6)'
    spak build invariant/double
    assert_exit 3
    assert_contains err 'error[P106]' 'spakfile:3' '{"x":7}' 'left:  15' 'right: 14'
}

refused() { # domain, words
    law_project
    law "$1" "${3-}" >spakfile
    spak build invariant/double
    assert_exit 2
    assert_contains err "$2" 'spakfile:'
}

test_wrong_declarations() {
    refused 'int(9, 0)' 'takes two whole numbers'
    refused 'mod(1)' 'takes a whole number of at least 2'
    refused 'real "gauss"' 'takes a distribution'
    refused 'list(int(0, 1))' 'needs a length'
    refused 'list(int(0, 1), "n")' 'takes its length from'
    refused 'grid {}' 'takes a list that is not empty'
    refused 'any { 3 }' 'needs a domain'
    refused 'list(int(0, 1), 1, 8)' 'takes no more than 2 arguments'
    refused '3' 'needs a domain'
    refused 'int(0, 9)' 'there is nothing called' ', all = 3'
}

test_a_case_that_broke_the_law_once_is_tried_first() {
    law_project ' + (c["x"] > 6)'
    spak build invariant/double
    assert_exit 3
    assert_contains err 'kept:  the case is tried first from now on' 'case:  {"x":7}'
    echo '{"x":7}' >laws/double.cases
    sed -i 's/ + (c\["x"\] > 6)//; s/c\["x"\] + c\["x"\]/c["x"] * 2/' laws/double.py
    spak build invariant/double
    assert_exit 0
    assert_contains err '1 that broke it once'
    assert_contains out/invariant/double.json '"regression": 1'
    echo 'not a case' >>laws/double.cases
    spak build invariant/double
    assert_exit 1
    assert_contains err 'laws/double.cases'
}

# The law is wrong at one place in a thousand: chance finds it once, in the scope that counts all cases, and from then on it is known.
rare_project() {
    law_project
    law 'int(0, 999)' >spakfile
    echo 'target "laws" { "invariant/double", default = true }' >>spakfile
    sed -i "s/scope = .*/scope = { ${1} },/" spakfile
}

test_a_case_that_broke_the_law_once_is_kept_without_being_asked() {
    rare_project 'random = 3'
    spak build
    assert_exit 0
    cp out/invariant/double.json "$scratch/lucky.json"
    cp laws/double.py "$scratch/right.py"
    sed -i 's/ + c\["x"\]/& + (c["x"] == 700)/' laws/double.py
    spak build
    assert_exit 0 # three cases do not find it
    sed -i 's/random = 3/exhaustive = 1000/' spakfile
    spak build
    assert_exit 3
    assert_contains err 'case:  {"x":700}'
    git show spak/laws:protocol/journal >"$scratch/journal"
    assert_contains "$scratch/journal" 'invariant double 2 refuted - tape 700 case {"x":700}'
    spak status
    assert_contains out 'double  refuted, ' ', case {"x":700}'
    # Also where the store has a proof from before.
    sed -i 's/exhaustive = 1000/random = 3/' spakfile
    spak build
    assert_exit 3
    assert_contains err 'case:  {"x":700}'
    # Also where the engine's own state is gone.
    rm -rf out
    spak build
    assert_exit 3
    assert_contains err 'case:  {"x":700}'
    # A law that holds there is proved as if nobody had known.
    cp "$scratch/right.py" laws/double.py
    spak build
    assert_exit 0
    cmp out/invariant/double.json "$scratch/lucky.json" || fail 'the proof tells of a case that did not break it'
    # A law about other things has no such case.
    sed -i 's/int(0, 999)/int(0, 9)/; s/random = 3/exhaustive = 10/' spakfile
    spak build
    assert_exit 0
}

test_a_relation_without_an_oracle_stands_on_a_rung_of_its_own() {
    law_project
    sed -i 's/scope = .*/scope = { random = 40 }, metamorphic = true,/' spakfile
    spak build invariant/double
    assert_exit 0
    assert_contains out/invariant/double.json '"rung": "METAMORPHIC"'
}

run_tests "$0" "$@"
