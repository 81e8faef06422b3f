#!/bin/sh
# layers.py finds each kind of fault that it is there to find, and no fault in sources that keep to the table.
set -eu
layers=$(cd "$(dirname "$0")" && pwd)/layers.py
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir -p src/cmd src/runner
{
    echo '| layer | module | job | may not know |'
    echo '|---|---|---|---|'
    for row in '0 base' '1 err' '2 json' '2 os' '4 store' '4 graph' '5 luajson' '6 script' '7 trace' '8 run' '9 cmd/*.c'; do
        echo "| ${row%% *} | ${row#* } | | |"
    done
} >src/README.md

sources() { # a file and its text, beside what is always there
    rm -rf src/*.[ch] src/cmd/* src/runner/*
    echo '#include "base.h"' >src/err.h
    : >src/base.h
    : >src/store.h
    : >src/graph.h
    : >src/cmd/cmd.h
    : >src/cmd/log.h
    : >src/runner/cpu.h
    echo 'const struct cmd cmd_log = {0};' >src/cmd/log.c
    [ $# = 0 ] || printf '%s\n' "$2" >"src/$1"
    find src -name '*.[ch]' | sort
}

clean() {
    files=$(sources "$@")
    # shellcheck disable=SC2086
    python3 "$layers" src/README.md $files >log || { echo "FAIL: refused $*"; cat log; exit 1; }
}

refused() { # words of the complaint, file, text
    words=$1
    shift
    files=$(sources "$@")
    # shellcheck disable=SC2086
    if python3 "$layers" src/README.md $files >log; then
        echo "FAIL: accepted $*"
        exit 1
    fi
    grep -F "src/$1:" log | grep -qF "$words" || { echo "FAIL: $*: no word of \"$words\""; cat log; exit 1; }
}

clean
clean store_read.c '#include "store.h"'
clean cmd/build.c '#include "../graph.h"'
clean cmd/build.c '#include "cmd.h"'
clean runner/cpu_child.c '#include "cpu.h"'
clean runner/cpu_child.c '#include "../err.h"'
clean trace.c '#include <git2.h>'
clean os_linux.c '#ifdef __linux__'
clean graph.h '#ifndef SPAK_GRAPH_H'
refused 'base (layer 0) must not include err (layer 1)' base.c '#include "err.h"'
refused 'store (layer 4) must not include graph (layer 4)' store.c '#include "graph.h"'
refused 'no module of the table owns this file' stray.c ''
refused 'belongs to no module of the table' store.c '#include "stray.h"'
refused 'must not include a program' store.c '#include "runner/cpu.h"'
refused 'must not include a program' runner/prove.c '#include "cpu.h"'
refused 'a program under src/runner must not include graph' runner/cpu_child.c '#include "../graph.h"'
refused '<git2.h> belongs to trace' store.c '#include <git2.h>'
refused '<lua.h> belongs to' graph.c '#include <lua.h>'
refused 'conditional compilation outside os' graph.c '#ifdef __linux__'
refused 'verbs do not know each other' cmd/build.c '#include "log.h"'
echo 'layers.py finds what it is there to find'
