#!/bin/sh
# SPAK from a fresh clone. Finds what it needs or installs it, compiles stage 0 with cc, lets that build
# the real spak by the project's own spakfile, and runs out/bin/spak with the arguments given here:
#
#     ./bootstrap.sh build fmha        ./bootstrap.sh test        ./bootstrap.sh     (the same as: build)
#
# With nothing to install or compile it only hands over. Exit status: 2 when something is missing that
# it cannot install, else that of cc or spak.
set -eu
unset CDPATH
case $0 in */*) cd "${0%/*}" ;; esac

stage0=out/stage0
found=$stage0/found # the grades of needs that were all met when it was last looked
log=$stage0/install.log

# grade  what it is   its packages in apt-get, dnf, pacman and zypper; the grade lint is optional
needs() {
    cat <<'END'
build cc            gcc,libc6-dev     gcc,glibc-devel      gcc               gcc,glibc-devel
build pkg-config    pkg-config        pkgconf-pkg-config   pkgconf           pkg-config
build lua           liblua5.4-dev     lua-devel            lua               lua54-devel
build libgit2       libgit2-dev       libgit2-devel        libgit2           libgit2-devel
build zlib          zlib1g-dev        zlib-devel           zlib              zlib-devel
build lmdb          liblmdb-dev       lmdb-devel           lmdb              lmdb-devel
build jansson       libjansson-dev    jansson-devel        jansson           libjansson-devel
build libcrypto     libssl-dev        openssl-devel        openssl           libopenssl-devel
build openblas      libopenblas-dev   openblas-devel       openblas          openblas_pthreads-devel
build git           git               git-core             git               git-core
build numpy         python3-numpy     python3-numpy        python-numpy      python3-numpy
test  cmocka        libcmocka-dev     libcmocka-devel      cmocka            libcmocka-devel
test  perl          perl              perl-interpreter     perl              perl
test  pgrep         procps            procps-ng            procps-ng         procps
lint  clang         clang             clang                clang             clang
lint  clang-format  clang-format      clang-tools-extra    clang             clang-tools
lint  clang-tidy    clang-tidy        clang-tools-extra    clang             clang-tools
lint  luacheck      lua-check         lua-luacheck         luacheck          lua54-luacheck
lint  shellcheck    shellcheck        ShellCheck           shellcheck        ShellCheck
END
}

say() {
    echo "bootstrap.sh: $*" >&2
}

compiles() {
    # shellcheck disable=SC2086
    printf '%s\nint main(void) { return 0; }\n' "$1" | ${CC:-cc} -x c - $2 -o "$stage0/probe" 2>/dev/null
}

lua_module() {
    for module in lua5.4 lua-5.4 lua54 lua; do
        pkg-config --exists "$module >= 5.4" "$module < 5.5" && echo "$module" && return
    done
    return 1
}

has() {
    case $1 in
    cc) compiles '#include <stdio.h>' '' ;;
    lmdb) compiles '#include <lmdb.h>' -llmdb ;;
    lua) lua_module >/dev/null ;;
    numpy) python3 -c 'import numpy' || /usr/bin/python3 -c 'import numpy' ;;
    libgit2 | zlib | jansson | libcrypto | openblas | cmocka) pkg-config --exists "$1" ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

# Sets `missing` to what is not there of the grades given and `packages` to what brings it; $1 is the packages' column.
look_for() {
    column=$1 missing='' packages=''
    shift
    while read -r grade name columns; do
        case " $* " in *" $grade "*) ;; *) continue ;; esac
        has "$name" && continue
        missing="$missing $name"
        # shellcheck disable=SC2086
        packages="$packages $(set -- $columns && eval "echo \${$column}" | tr , ' ')"
    done <<END
$(needs)
END
}

# Installs what is missing of the grades given; fails, having said what to type, when it cannot.
ensure() {
    column=1 command='apt-get update -qq && env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends'
    if command -v apt-get; then :
    elif command -v dnf; then column=2 command='dnf install -y'
    elif command -v pacman; then column=3 command='pacman -Sy --needed --noconfirm'
    elif command -v zypper; then column=4 command='zypper --non-interactive install'
    fi >/dev/null
    look_for "$column" "$@"
    [ -z "$missing" ] && return
    say "missing:$missing"
    if [ "$(id -u)" = 0 ]; then as_root='sh -c'
    elif sudo -n true 2>/dev/null; then as_root='sudo -n sh -c'
    else as_root=false
    fi
    if [ "$as_root" != false ]; then
        say "installing:$packages"
        # shellcheck disable=SC2086
        $as_root "$command$packages" >"$log" 2>&1 </dev/null || tail -n 5 "$log" >&2
        look_for "$column" "$@"
        [ -z "$missing" ] && return
        say "still missing:$missing ($log has the installer's words)"
    fi
    printf 'Type this, then run the same command again:\n    sudo sh -c "%s%s"\n' "$command" "$packages" >&2
    return 1
}

# Compiles the C files of src/$1; the compiler leaves an object where it stands, $2 is the way up from there.
compile_in() {
    # shellcheck disable=SC2086
    (cd "$stage0/o/$1" && printf '%s\n' "$2/src/$1"*.c |
        xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 2 ${CC:-cc} $flags "-I$2/src" -c)
}

compile_stage0() {
    modules="$(lua_module) libgit2 zlib jansson libcrypto"
    # shellcheck disable=SC2086
    flags="-std=gnu11 -O1 -w $(pkg-config --cflags $modules)"
    say "compiling stage 0 with ${CC:-cc}"
    rm -rf "$stage0/o" && mkdir -p "$stage0/o/cmd"
    compile_in '' ../../..
    compile_in cmd/ ../../../..
    # shellcheck disable=SC2046,SC2086
    ${CC:-cc} -o "$stage0/spak" "$stage0"/o/*.o "$stage0"/o/cmd/*.o $(pkg-config --libs $modules) -llmdb -lm -lpthread
}

wanted=build
[ "${1-}" != test ] || wanted='build test lint'
mkdir -p "$stage0"
if [ -z "$(find "$found" -newer bootstrap.sh 2>/dev/null)" ] || ! grep -q "$wanted" "$found"; then
    # shellcheck disable=SC2086
    ensure ${wanted% lint} || exit 2
    case $wanted in *lint) ensure lint || say "going on without:$missing; the tests that use them are skipped" ;; esac
    echo "$wanted" >"$found"
fi
if ! [ -x out/bin/spak ] || ! out/bin/spak build -q --no-trace spak; then
    compile_stage0
    "$stage0/spak" build -q --no-trace spak
fi
[ $# -gt 0 ] || set -- build
exec out/bin/spak "$@"
