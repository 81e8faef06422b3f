#!/bin/sh
# Drivers: nodes that ask for more nodes while the run is on, and what is replayed of them.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

# Halves an interval until it is small: each question depends on the answer to the one before.
search_project() {
    project '
        driver { "halving", inputs = { "limit" }, run = function(ask)
          local low, high = 0, 16
          while high - low > 1 do
            local middle = (low + high) // 2
            local r = ask { "out/try/" .. middle, inputs = { "limit" }, shell = true, soft_fail = true,
              run = "echo tried > out/try/" .. middle .. "; test " .. middle .. " -le $(cat limit)" }
            if r.exit == 0 then low = middle else high = middle end
          end
          ask { "out/found", write = tostring(low) }
        end }
        target "search" { "halving" }'
    put limit 11
}

test_it_asks_and_acts_on_answers() {
    search_project
    spak build --json
    assert_exit 0
    assert_ran halving out/found out/try/10 out/try/11 out/try/12 out/try/8
    assert_file out/found 11
}

test_nothing_changed_and_lua_is_not_needed() {
    search_project
    spak build
    spak build --json --stats
    assert_exit 0
    assert_ran ''
    assert_contains out '"evaluated":false' '"clean":6'
}

test_lost_answer_is_brought_back() {
    search_project
    spak build
    rm out/try/12
    spak build --json
    assert_exit 0
    assert_file out/try/12 tried
    spak build --json --stats
    assert_ran ''
    assert_contains out '"evaluated":false'
}

test_another_input_asks_other_questions() {
    search_project
    spak build
    put limit 3
    spak build --json
    assert_exit 0
    assert_file out/found 3
    assert_contains out 'out/try/2'
    put limit 11
    spak build
    assert_file out/found 11
}

test_another_function_asks_anew() {
    search_project
    spak build
    sed -i 's/tostring(low)/"it is " .. low/' spakfile
    spak build --json
    assert_ran halving out/found
    assert_file out/found 'it is 11'
}

test_answers_are_read() {
    project '
        driver { "d", run = function(ask)
          local first = ask { "out/a", write = "41" }
          local value = tonumber(first.read())
          local both = ask { { "out/b", write = tostring(value + 1) }, { "out/c", write = "c" } }
          ask { "out/d", write = both[1].read() .. both[2].read() }
        end }'
    spak build
    assert_exit 0
    assert_file out/d 42c
}

test_failed_question() {
    project '
        driver { "d", run = function(ask)
          local r = ask { "out/a", run = { "false" } }
          ask { "out/b", write = r.status }
        end }'
    spak build -k
    assert_exit 1
    assert_file out/b failed
}

test_after_a_driver() {
    project '
        driver { "d", run = function(ask) ask { "out/a", write = "1" } end }
        node { "out/b", after = { "d" }, run = { "touch", "out/b" } }'
    spak build --json
    assert_exit 0
    assert_ran d out/a out/b
}

test_a_driver_that_waits_for_itself() {
    project '
        driver { "d", run = function(ask) ask { "out/a", after = { "d" }, run = { "touch", "out/a" } } end }'
    spak build
    assert_exit 1
    assert_contains err 'error[N109]'
}

test_error_in_the_function() {
    project '
        driver { "d", run = function(ask)
          ask { "out/a", write = "1" }
          error "no idea"
        end }'
    spak build
    assert_exit 1
    assert_contains err 'no idea' 'spakfile:4'
}

test_killed_search_goes_on() {
    search_project
    "$SPAK" build >/dev/null 2>&1 &
    pid=$!
    sleep 0.05
    kill -9 "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    spak build
    assert_exit 0
    assert_file out/found 11
    spak build --json
    assert_ran ''
}

run_tests "$0" "$@"
