#!/bin/sh
# Compiled artifacts are a function of the sources: not of the folder, the time, the user, -j, the locale, the
# umask, the host's name or the order of files. Two builds that differ in all of them leave the same out/.
set -eu
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")/../.." && pwd)

other_locale() {
    locale -a 2>/dev/null | grep -iE 'utf-?8' | head -n 1 | grep . || echo POSIX
}

# Copies the sources to the folder $1: written in the opposite order, with another date and other rights.
copy_elsewhere() {
    mkdir -p "$1"
    git ls-files -z | LC_ALL=C sort -rz | tar -c --null --no-recursion -T - --mtime=2001-02-03 -f - | tar -C "$1" -xf -
    chmod -R a+rwX "$1"
}

# Prints the words that run a command as another user on a host of another name, as far as this user may.
as_somebody_else() {
    if unshare -u sh -c 'echo elsewhere >/proc/sys/kernel/hostname' 2>/dev/null; then
        # shellcheck disable=SC2016
        printf '%s\n' unshare -u sh -c 'echo elsewhere >/proc/sys/kernel/hostname; exec "$@"' sh
    fi
    if chown 65534 "$1" 2>/dev/null && setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$SPAK" 2>/dev/null; then
        chown -R 65534:65534 "$1"
        printf '%s\n' setpriv --reuid 65534 --regid 65534 --clear-groups
    fi
}

# Builds target x in $1 with everything different that must not matter. Its trace lies in its own out/.
build_elsewhere() {
    as_somebody_else "$1" >"$scratch/somebody"
    (
        umask 077
        set -- env LC_ALL="$(other_locale)" LANGUAGE=de TZ=Asia/Kathmandu HOME="$1" USER=nobody LOGNAME=nobody COLUMNS=40 \
            SPAK_HOME="${SPAK_HOME-$here}" "$SPAK" build x -C "$1" -j7
        words=$(tac "$scratch/somebody")
        IFS='
'
        for word in $words; do
            set -- "$word" "$@"
        done
        exec "$@"
    ) >"$scratch/out" 2>"$scratch/err" </dev/null || fail "the second build ended with $?"
}

# Builds here and there, and compares the trees of the two traces.
assert_identical() {
    put .gitignore /out/
    git add -A
    git -c user.name=Ann -c user.email=ann@example.org commit -qm first
    spak build x -j1
    assert_exit 0
    chmod 755 "$scratch"
    there=$scratch/another/rather/longer/folder
    copy_elsewhere "$there"
    build_elsewhere "$there"
    ! grep -q setpriv "$scratch/somebody" || assert_equal "$(stat -c %u "$there/out/.spak")" 65534 'who built the other'
    printf '[safe]\n\tdirectory = *\n' >"$HOME/.gitconfig"
    git fetch -q "$there/out/.spak/trace.git" spak/x:second
    assert_equal "$(git diff spak/x second -- out plan)" '' 'what differs'
    assert_equal "$(git rev-parse second:out)" "$(git rev-parse spak/x:out)" 'out/ of the other build'
    assert_equal "$(git rev-parse second:plan)" "$(git rev-parse spak/x:plan)" 'plan/ of the other build'
    rm -rf "$HOME/.gitconfig" "$scratch/another"
}

test_c_programs_and_libraries() {
    project - <<'END'
use "cc"
cc { "out/static/libutil.a", kind = "static", sources = { "lib/one.c", "lib/two.c", "lib/three.c" }, flags = { "-O2", "-g" } }
cc { "out/dynamic/libutil.so", kind = "shared", sources = { "lib/one.c", "lib/two.c", "lib/three.c" }, flags = { "-O2", "-g" } }
cc { "out/bin/hello", sources = { "hello.c" }, libs = { "out/static/libutil.a" }, includes = { "lib" }, flags = { "-O2", "-g" } }
target "x" { "out/bin/hello", "out/dynamic/libutil.so" }
END
    for name in one two three; do
        put "lib/$name.c" "#include \"util.h\"
const char *$name(void) { return __FILE__ \":$name\"; }"
    done
    put lib/util.h 'const char *one(void); const char *two(void); const char *three(void);'
    put hello.c '#include "util.h"
#include <assert.h>
#include <stdio.h>
int main(int argc, char **argv) { assert(argc < 9); (void)argv; return printf("%s %s%s%s\n", __FILE__, one(), two(), three()) < 0; }'
    assert_identical
    assert_lacks out/bin/hello "$PWD"
}

# The clock of a build is that of its sources, not of the wall.
test_dates_in_the_source() {
    project 'use "cc"
cc { "out/dated", sources = { "dated.c" } }
target "x" { "out/dated" }'
    put dated.c '#include <stdio.h>
int main(void) { return puts(__DATE__ " " __TIME__) < 0; }'
    assert_identical
}

# What a study of this project compiles: its candidates and the references that judge them.
assert_study_identical() {
    PATH=${SPAK%/*}:$PATH
    export PATH
    project "include \"kernels/$1/README.md\""
    mkdir kernels src
    cp -R "$here/kernels/$1" "$here/kernels/device" "$here/kernels/host" kernels/
    cp -R "$here/src/runner" src/
    cp -R "$here/invariants" .
    spak plan "$1"
    sed -n 's/^run  *\(out\/kernel\/.*\)$/  "\1",/p' "$scratch/out" >"$scratch/compiled"
    [ "$(wc -l <"$scratch/compiled")" -ge 5 ] || fail 'hardly anything is compiled'
    {
        echo 'target "x" {'
        cat "$scratch/compiled"
        echo '}'
    } >>spakfile
    assert_identical
}

test_candidates_of_fmha() {
    assert_study_identical fmha
}

test_candidates_of_matmul() {
    assert_study_identical matmul
}

test_a_tarball() {
    project 'use "cc" "dist"
cc { "out/bin/hello", sources = { "hello.c" }, ldflags = { "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib", "-Wl,--no-as-needed" }, libs = { "z" } }
target "x" { dist { "out/dist/hello-1.0.tar.gz", programs = { "out/bin/hello" }, files = { "docs/one", "docs/two" } } }'
    put hello.c '#include <stdio.h>
int main(void) { return puts("hello") < 0; }'
    put docs/one one
    put docs/two two
    assert_identical
    tar -tzf out/dist/hello-1.0.tar.gz >"$scratch/out"
    assert_contains out hello-1.0/bin/hello hello-1.0/lib/libz.so.1 hello-1.0/docs/two
}

test_cubins() {
    if ! command -v nvcc >/dev/null && ! [ -x /usr/local/cuda/bin/nvcc ]; then
        echo 'no nvcc: cubins are not compared on this machine'
        exit 0
    fi
    project 'use "cubin"
cubin { "out/k.cubin", source = "k.cu" }
target "x" { "out/k.cubin" }'
    # What has internal linkage is called after the file's whole name, in the line table and, kept out of line, as a symbol.
    put k.cu 'static __device__ unsigned at(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
static __device__ __noinline__ float twice_of(float x) { return x * 2; }
extern "C" __global__ void twice(float *x, int n) {
    __shared__ float room[32];
    room[threadIdx.x % 32] = twice_of(x[0]);
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = twice_of(x[i]) + at(&room[i % 32]) + room[i % 32];
}'
    assert_identical
    assert_lacks out/k.cubin "$PWD"
}

run_tests "$0" "$@"
