#!/bin/sh
# Commands so short that threads start the next one while the run collects the last.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# So many of them; number $2 does $3 instead, with more fields $4 for each.
brief_project() {
    project "
        for i = 1, $1 do
          local say = i == $2 and [[$3]] or ('echo %d >>said; echo %d >out/%d'):format(i, i, i)
          node { ('out/%d'):format(i), sandbox = false, run = { 'sh', '-c', say }, $4 }
        end"
}

said() {
    sort -u said | wc -l
}

test_all_run_once() {
    brief_project 300 0
    spak build -j3
    assert_exit 0
    assert_equal "$(wc -l <said)" 300 'commands'
    spak build -j3 --json
    assert_equal "$(wc -l <said)" 300 'commands'
}

test_no_more_at_once_than_j() {
    project '
        for i = 1, 200 do
          local say = ("mkdir busy/%d; ls busy | wc -l >out/%d; rmdir busy/%d"):format(i, i, i)
          node { ("out/%d"):format(i), sandbox = false, run = { "sh", "-c", say } }
        end'
    mkdir busy
    spak build -j2
    assert_exit 0
    assert_equal "$(cat out/* | sort -n | tail -n 1)" 2 'the most at once'
}

# A thread that starts them stays on one processor; they do not.
test_each_may_run_on_all_processors() {
    project '
        for i = 1, 60 do
          node { ("out/%d"):format(i), sandbox = false, run = { "sh", "-c", ("nproc >out/%d"):format(i) } }
        end'
    spak build "-j$(nproc)"
    assert_exit 0
    assert_equal "$(cat out/* | sort -u)" "$(nproc)" 'processors'
}

# The start of each is told before its end, and none twice.
test_events() {
    brief_project 200 0
    spak build -j2 --json
    assert_equal "$(grep -c '"event":"start"' "$scratch/out")" 200 'starts'
    assert_equal "$(grep -c '"event":"finish"' "$scratch/out")" 200 'ends'
}

# Besides those before it there may be one on the other thread, and one that was about to start when it failed.
test_a_failure_starts_nothing_more() {
    brief_project 300 150 'exit 3'
    spak build -j2
    assert_exit 1
    assert_contains err 'failed with exit status 3'
    [ "$(said)" -le 155 ] || fail "$(said) commands ran"
    spak build -j2 -k
    assert_exit 1
    assert_equal "$(said)" 299 'commands'
}

test_one_that_cannot_start() {
    brief_project 300 0
    put bad '#!/bin/nosuch'
    chmod +x bad
    echo 'node { "out/bad", sandbox = false, run = { "./bad" } }' >>spakfile
    spak build -j2 -k
    assert_exit 1
    assert_contains err 'cannot run ./bad: its interpreter /bin/nosuch does not exist'
    assert_equal "$(said)" 300 'commands'
}

test_what_they_print_does_not_stop_them() {
    brief_project 60 30 'head -c 300000 /dev/zero | tr "\0" x; echo 30 >out/30'
    spak build -j2
    assert_exit 0
    assert_file out/30 30
}

test_one_that_takes_too_long() {
    brief_project 200 100 'sleep 3251' 'timeout = 0.5'
    spak build -j2 -k
    assert_exit 1
    assert_contains err 'sleep 3251'
    assert_equal "$(said)" 199 'commands'
}

# Those that were prepared meanwhile are taken back, and run in their turn.
test_long_ones_among_them() {
    project '
        for i = 1, 120 do
          local say = ("echo %d >>said; echo %d >out/%d"):format(i, i, i)
          node { ("out/%d"):format(i), sandbox = false, run = { "sh", "-c", (i % 40 < 2 and "sleep 0.2; " or "") .. say } }
        end'
    spak build -j2
    assert_exit 0
    assert_contains err '120 ran'
    assert_equal "$(wc -l <said)" 120 'commands'
    assert_equal "$(said)" 120 'different ones'
    assert_file out/120 120
}

test_ctrl_c_in_the_middle() {
    brief_project 3000 20 'touch started; sleep 3252'
    perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$SPAK" build -j2 >"$scratch/out" 2>"$scratch/err" </dev/null &
    pid=$!
    for _ in $(seq 200); do
        [ ! -e started ] || break
        sleep 0.02
    done
    kill -INT "$pid"
    status=0
    wait "$pid" || status=$?
    assert_equal "$status" 130 'the exit status'
    ! pgrep -f 'sleep 3252' >/dev/null || fail 'sleep 3252 still runs'
    ran=$(wc -l <said)
    sleep 0.2
    assert_equal "$(wc -l <said)" "$ran" 'commands after the end'
}

run_tests "$0" "$@"
