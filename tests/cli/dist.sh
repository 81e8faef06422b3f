#!/bin/sh
# The tarball of `spak build dist`, unpacked somewhere: it takes nothing from this machine but the C library.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")/../.." && pwd)
tarball=${DIST:-$(ls "$here"/out/dist/spak-*.tar.gz)}
unset SPAK_HOME

unpack() {
    rm -rf "$scratch/opt"
    mkdir "$scratch/opt"
    tar -xzf "$tarball" -C "$scratch/opt"
    top=$(echo "$scratch"/opt/spak-*)
    SPAK=$top/bin/spak
}

# The loader's view of every program: which file each library comes from.
test_libraries_come_from_the_tarball() {
    unpack
    for program in "$top"/bin/*; do
        ldd "$program" >"$scratch/out"
        assert_lacks out 'not found'
        sed -n 's|.* => \(/.*\) (0x.*|\1|p' "$scratch/out" | while read -r path; do
            case $path in
            "$top"/*) ;;
            */libc.so.6 | */libm.so.6 | */libpthread.so.0 | */libdl.so.2 | */librt.so.1 | */libresolv.so.2) ;;
            *) fail "${program##*/} takes $path" ;;
            esac
        done
    done
}

test_same_content_is_same_bytes() {
    unpack
    tar -tvzf "$tarball" --full-time --numeric-owner >"$scratch/out"
    assert_lacks out ' 1000/' '2026' '2025'
    cut -c1-10 "$scratch/out" | sort -u >"$scratch/modes"
    assert_file "$scratch/modes" '-rw-r--r--
-rwxr-xr-x
drwxr-xr-x'
    assert_equal "$(head -c 10 "$tarball" | od -An -tx1 | cut -c1-25 | tr -d ' ')" 1f8b080000000000 'the time in the gzip header'
}

test_a_project_in_c() {
    unpack
    project '-- hello
use "cc"
cc { "out/bin/hello", sources = { "hello.c" } }
target "hello" { "out/bin/hello", default = true }'
    printf '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n' >hello.c
    spak build
    assert_exit 0
    assert_equal "$(out/bin/hello)" hello 'what it prints'
    spak log
    assert_contains out 'hello: first run'
    spak build --json
    assert_ran ''
}

test_an_invariant_is_verified() {
    command -v python3 >/dev/null || exit 0
    unpack
    project 'use "invariant"
invariant "double" {
  asserts = "doubling is adding",
  sim = "laws/double.py",
  mutants = "laws/double.mutants",
  cases = { { "x", int(0, 9) } },
  scope = { exhaustive = 10 },
}'
    put laws/law.py <"$top/invariants/law.py"
    put laws/double.mutants 'plus_one  adds one'
    put laws/double.py <<'END'
import law
def sides(c):
    return 2 * c["x"] + law.fault("plus_one"), c["x"] + c["x"]
law.run(sides)
END
    spak build invariant/double
    assert_exit 0
    assert_contains out/invariant/double.json '"status": "verified"'
}

# A root folder with the C library, a shell and cp, and nothing else: no packages, no git, no /usr/lib of this machine.
test_a_machine_with_nothing() {
    unpack
    root=$scratch/root
    mkdir -p "$root/proc" "$root/tmp" "$root/dev" "$root/bin" "$root/usr/bin" "$root/home/p"
    mv "$top" "$root/home/spak"
    for program in sh cp; do
        cp -L "$(command -v $program)" "$root/bin/"
    done
    { ldd "$root/home/spak/bin/spak"; ldd "$root/bin/cp"; ldd "$root/bin/sh"; } | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' | sort -u |
        while read -r library; do
            case $library in "$root"*) continue ;; esac
            mkdir -p "$root${library%/*}"
            cp -L "$library" "$root$library"
        done
    : >"$root/dev/null"
    mkdir "$root/home/p/rules"
    echo text >"$root/home/p/a"
    echo 'return function(step) step.write("b", step.read("a")) end' >"$root/home/p/rules/copy.lua"
    echo 'use "step"
step "copy" { script = "copy.lua", inputs = { a = "a" }, outputs = { b = "out/b" } }
node { "out/c", inputs = { "out/b" }, run = { "cp", "out/b", "out/c" } }
target "c" { "out/c", default = true }' >"$root/home/p/spakfile"
    # shellcheck disable=SC2016
    inside='mount --rbind /proc "$0/proc" && exec chroot "$0" "$@"' # the loader asks /proc where a program lies
    if ! unshare -rm sh -c "$inside" "$root" /bin/sh -c : 2>/dev/null; then
        echo "this machine allows no chroot"
        exit 0
    fi
    unshare -rm sh -c "$inside" "$root" /home/spak/bin/spak build -C /home/p >"$scratch/out" 2>"$scratch/err" || fail "it does not run"
    assert_file "$root/home/p/out/c" text
    unshare -rm sh -c "$inside" "$root" /home/spak/bin/spak reproduce -C /home/p c >"$scratch/out" 2>"$scratch/err" || fail "it does not reproduce"
    assert_contains out IDENTICAL
}

run_tests "$0" "$@"
