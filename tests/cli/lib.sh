# The harness of the CLI tests: temporary projects, runs of spak, assertions. A test script sources it,
# defines functions named test_..., and ends with run_tests:
#
#     . "$(dirname "$0")/lib.sh"
#     test_missing_input_is_named() {
#         project 'node { "out/x", inputs = { "nowhere" }, run = { "true" } }'
#         spak build
#         assert_exit 2
#         assert_contains err 'nowhere'
#     }
#     run_tests "$0" "$@"
#
# Each test runs in a shell of its own, in a project of its own, with a HOME where git knows nobody.
# SPAK is the path of the program under test.
# shellcheck shell=sh
SPAK=${SPAK:-$(cd "$(dirname "$0")/../.." && pwd)/out/bin/spak}
LC_ALL=C NO_COLOR=1 TERM=dumb TZ=UTC GIT_CONFIG_NOSYSTEM=1
export LC_ALL NO_COLOR TERM TZ GIT_CONFIG_NOSYSTEM
unset MAKEFLAGS MFLAGS GIT_DIR GIT_WORK_TREE SOURCE_DATE_EPOCH

# Makes a project in a fresh folder, a repository of its own, and goes there; the text is its spakfile (stdin: -).
project() {
    dir=$(mktemp -d "$scratch/p.XXXXXX")
    cd "$dir" || exit 1
    git -c init.defaultBranch=main init -q
    if [ "${1--}" = - ]; then cat >spakfile; else printf '%s\n' "$1" >spakfile; fi
}

# Declares a law that holds, for measurements to rest on; its proof is out/invariant/tiny.json.
law() {
    cat >>spakfile <<'END'
use "invariant"
invariant "tiny" {
  asserts = "doubling is adding a number to itself",
  sim = { "sh", "-c", [=[
    while read -r case; do
      x=${case##*:} x=${x%?}
      lhs=$((2 * x))
      [ "${2:-}" != plus_one ] || lhs=$((lhs + 1))
      printf '{"lhs": %d, "rhs": %d}\n' "$lhs" "$((x + x))"
    done
  ]=], "sim" },
  mutants = { { name = "plus_one", fault = "adds one" } },
  cases = { { "x", int(-9, 9) } },
  scope = { exhaustive = 19 },
}
END
}

# Writes a file (making its folder): put PATH TEXT, or the text on stdin.
put() {
    mkdir -p "$(dirname "$1")"
    if [ $# -gt 1 ]; then printf '%s\n' "$2" >"$1"; else cat >"$1"; fi
}

# Runs spak and keeps what it said in $scratch/out and $scratch/err, and its exit status in $status.
spak() {
    status=0
    "$SPAK" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
}

fail() {
    echo "FAIL: $*"
    for stream in out err; do
        [ ! -s "$scratch/$stream" ] || sed "30q; s/^/    $stream: /" "$scratch/$stream"
    done
    exit 1
}

assert_exit() {
    [ "$status" = "$1" ] || fail "exit status $status, not $1"
}

# assert_contains out|err|FILE TEXT...: each text is somewhere in it.
assert_contains() {
    where=$(stream_path "$1")
    shift
    for text in "$@"; do
        grep -qF -e "$text" "$where" || fail "no \"$text\" in ${where##*/}"
    done
}

assert_lacks() {
    where=$(stream_path "$1")
    shift
    for text in "$@"; do
        ! grep -qF -e "$text" "$where" || fail "\"$text\" is in ${where##*/}"
    done
}

stream_path() {
    case $1 in out | err) echo "$scratch/$1" ;; *) echo "$1" ;; esac
}

# assert_file PATH TEXT: the file holds that text and nothing else.
assert_file() {
    [ -f "$1" ] || fail "$1 is not there"
    [ "$(cat "$1")" = "$2" ] || fail "$1 holds \"$(cat "$1")\", not \"$2\""
}

assert_absent() {
    [ ! -e "$1" ] || fail "$1 is there"
}

# assert_equal FOUND EXPECTED WHAT
assert_equal() {
    [ "$1" = "$2" ] || fail "${3:-value} is \"$1\", not \"$2\""
}

# The nodes that the last `spak build --json` really ran, in order of name, on one line.
nodes_that_ran() {
    sed -n '/"event":"finish"/{/"status":"ran"/s/.*"node":"\([^"]*\)".*/\1/p;}' "$scratch/out" |
        LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}

assert_ran() {
    assert_equal "$(nodes_that_ran)" "$*" 'what ran'
}

# Runs every function test_... of the script, and fails when one fails. Names after the script pick some.
run_tests() {
    script=$1
    shift
    # shellcheck disable=SC2046
    [ $# -gt 0 ] || set -- $(sed -n 's/^\(test_[A-Za-z0-9_]*\)().*/\1/p' "$script")
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT TERM
    HOME=$scratch/home
    export HOME
    mkdir "$HOME"
    passed=0 failed=0
    for name; do
        rm -f "$scratch/out" "$scratch/err"
        set +e # within a condition the shell would forget about -e
        (set -e; "$name") >"$scratch/log" 2>&1
        outcome=$?
        set -e
        if [ "$outcome" = 0 ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "$name"
            sed 's/^/  /' "$scratch/log"
        fi
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
