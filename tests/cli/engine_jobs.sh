#!/bin/sh
# How many commands run at once: -j, pools, what measures, GNU make's jobserver on both sides; and one build at a time.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# A command that says how many of its like ran at the same time: busy NAME writes the most it saw to out/NAME.
busy_script() {
    put busy '#!/bin/sh
: >"busy.d/$1"
most=0
for _ in 1 2 3 4 5 6; do
    n=$(ls busy.d | wc -l)
    [ "$n" -le "$most" ] || most=$n
    sleep 0.03
done
rm "busy.d/$1"
echo "$most" >"out/$1"'
    chmod +x busy
    mkdir busy.d
}

# Four of them, with more fields for each node.
busy_project() {
    project "
        $1
        for _, name in ipairs { 'a', 'b', 'c', 'd' } do
          node { 'out/' .. name, inputs = { 'busy' }, sandbox = false, run = { './busy', name }, $2 }
        end"
    busy_script
}

most_at_once() {
    sort -n out/a out/b out/c out/d | tail -n 1
}

test_j_limits() {
    busy_project '' ''
    spak build -j1
    assert_equal "$(most_at_once)" 1 'the most at once'
    spak build -j3 -B
    assert_equal "$(most_at_once)" 3 'the most at once'
}

test_pool() {
    busy_project 'pool("two", 2)' 'pool = "two"'
    spak build -j4
    assert_equal "$(most_at_once)" 2 'the most at once'
}

test_console_is_a_pool_of_one() {
    busy_project '' 'console = true'
    spak build -j4
    assert_equal "$(most_at_once)" 1 'the most at once'
}

test_longest_first() {
    project '
        for _, n in ipairs { "1", "3", "2" } do
          node { "out/" .. n, always = true, run = { "sh", "-c", "sleep 0." .. n .. "; touch out/" .. n } }
        end'
    spak build
    spak build -j1 --json
    assert_equal "$(sed -n '/"event":"start"/s/.*"node":"out.\([0-9]\)".*/\1/p' "$scratch/out" | tr '\n' ' ')" '3 2 1 ' 'the order'
}

make_needed() {
    command -v make >/dev/null || {
        echo 'make is not installed'
        return 1
    }
}

test_client_of_make() {
    make_needed || return 0
    busy_project '' ''
    put Makefile 'all:
	+"$(SPAK)" build --no-trace'
    make -j2 SPAK="$SPAK" >"$scratch/out" 2>&1 || fail 'make failed'
    assert_equal "$(most_at_once)" 2 'the most at once'
}

test_client_gives_all_tokens_back() {
    make_needed || return 0
    busy_project '' ''
    put Makefile 'all: first second
first:
	+"$(SPAK)" build --no-trace
second: first
	+"$(SPAK)" build --no-trace -B
	rm -f busy.d/*
	+$(MAKE) -f Makefile a b c
a b c:
	./busy $@
.PHONY: all first second a b c'
    make -j3 SPAK="$SPAK" >"$scratch/out" 2>&1 || fail 'make failed'
    assert_equal "$(sort -n out/a out/b out/c | tail -n 1)" 3 'the most at once'
}

test_client_gives_tokens_back_on_ctrl_c() {
    make_needed || return 0
    project '
        for _, n in ipairs { "a", "b", "c" } do
          node { "out/" .. n, sandbox = false, run = { "sh", "-c", "touch started." .. n .. "; sleep 3230" } }
        end'
    # The test is the make: it holds two tokens in a pipe and counts them afterwards.
    put client.pl 'use POSIX;
my ($r, $w) = POSIX::pipe();
POSIX::write($w, "ab", 2);
my $pid = fork();
if (!$pid) {
    $SIG{INT} = "DEFAULT";
    $ENV{MAKEFLAGS} = "-j --jobserver-auth=$r,$w";
    open(STDOUT, ">", "/dev/null"); open(STDERR, ">", "/dev/null");
    exec @ARGV;
}
for (1 .. 200) {
    last if -e "started.a" && -e "started.b" && -e "started.c";
    select(undef, undef, undef, 0.05);
}
kill "INT", $pid;
waitpid($pid, 0);
POSIX::close($w);
my $n = POSIX::read($r, my $left, 10);
print "exit ", $? >> 8, " tokens ", join("", sort split //, $left), "\n";'
    perl client.pl "$SPAK" build >found
    assert_file found 'exit 130 tokens ab'
}

test_client_by_fifo() {
    busy_project '' ''
    mkfifo tokens
    exec 8<>tokens
    printf '+' >&8
    MAKEFLAGS=" -j2 --jobserver-auth=fifo:$PWD/tokens" spak build
    assert_exit 0
    assert_equal "$(most_at_once)" 2 'the most at once'
    assert_equal "$(dd bs=1 count=1 <&8 2>/dev/null)" + 'the token'
}

test_j_leaves_the_jobserver() {
    busy_project '' ''
    MAKEFLAGS=' -j2 --jobserver-auth=93,94' spak build -j3
    assert_equal "$(most_at_once)" 3 'the most at once'
    MAKEFLAGS=' -j2 --jobserver-auth=93,94' spak build -B # closed descriptors: not below a + line
    assert_exit 0
}

test_server_for_make() {
    make_needed || return 0
    project '
        node { "out/made", inputs = { "Makefile", "busy" }, sandbox = false, jobserver = true,
          run = { "make", "-s", "all" } }'
    busy_script
    put Makefile 'all: a b c d
	cat out/a out/b out/c out/d > out/made
a b c d:
	./busy $@
.PHONY: all a b c d'
    mkdir -p out
    spak build -j3
    assert_exit 0
    assert_lacks err 'warning'
    assert_equal "$(most_at_once)" 3 'the most at once'
}

test_what_measures_runs_alone() {
    project '
        pool("x", 9)
        for _, name in ipairs { "a", "b", "c" } do
          node { "out/" .. name, inputs = { "busy" }, sandbox = false, run = { "./busy", name } }
        end
        node { "out/guide", kind = "guide", write = "intent" }
        node { "out/d", inputs = { "busy" }, sandbox = false, measures = true, guide = "out/guide", proofs = "out/invariant/tiny.json", run = { "./busy", "d" } }'
    law
    busy_script
    spak build -j4
    assert_exit 0
    assert_file out/d 1
}

test_two_builds_at_once() {
    project 'node { "out/x", run = { "sh", "-c", "sleep 0.5; touch out/x" } }'
    "$SPAK" build >first 2>&1 &
    pid=$!
    sleep 0.25
    spak build --json
    assert_exit 0
    assert_contains out '"event":"wait"' "spak build (process $pid)"
    assert_ran ''
    wait "$pid" || fail 'the first build failed'
    "$SPAK" build -B >first 2>&1 &
    sleep 0.25
    spak build
    assert_contains err 'spak: waiting for spak build (process '
    wait
}

run_tests "$0" "$@"
