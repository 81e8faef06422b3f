#!/bin/sh
# The first project of README.md does what README.md says of it.
. "$(dirname "$0")/lib.sh"
page=$(cd "$(dirname "$0")/../.." && pwd)/README.md

test_the_first_project_builds() {
    # shellcheck disable=SC2016
    sed -n '/^```lua$/,/^```$/{/^```/d;p;}' "$page" >"$scratch/block"
    [ -s "$scratch/block" ] || fail 'README.md has no block of Lua'
    project - <"$scratch/block"
    put hello.c <<'END'
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
END
    spak build greeting
    assert_exit 0
    assert_file out/greeting.txt hello
    git rev-parse -q --verify spak/greeting >/dev/null || fail 'no trace on spak/greeting'
    echo '/* a comment at the end */' >>hello.c
    spak build --json greeting
    assert_exit 0
    assert_ran out/obj/hello/hello.c.o
    spak plan --why greeting
    assert_contains out '0 to run'
}

run_tests "$0" "$@"
