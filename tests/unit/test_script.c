#include "script_world.h"

static void a_node_has_what_its_table_says(void **state)
{
    struct world *w = *state;

    evaluate(w, "local h = node { 'out/h', write = 'x' }\n"
                "node { 'out/a', dir 'out/d', traced('out/t'), metrics 'out/m',\n"
                "  inputs = { 'b', { 'c', h } }, order_only = 'o', after = { h, 'out/h' }, run = { "
                "'cc', '-j', 4, { 'x', h } },\n"
                "  env = { Z = 1, A = 'x', F = true }, params = { p = 2.5 }, timeout = 1.5, reads "
                "= { 'inc' }, depfile = 'out/a.d',\n"
                "  phase = 'inner', network = true, sandbox = false, always = false, test = true, "
                "doc = 'why' }");
    const struct node *n = node_of(w, "out/a");
    const struct graph *g = w->graph;
    paths_are(w, n->outputs, "out/a out/d out/t out/m");
    paths_are(w, n->inputs, "b c out/h");
    paths_are(w, n->order_only, "o");
    assert_int_equal(n->members.len, 2);
    assert_int_equal(slice_id(g, n->members, 1), graph_find_node(g, "out/h"));
    assert_int_equal(n->argv.len, 5);
    assert_string_equal(arg_of(w, "out/a", 2), "4");
    assert_string_equal(arg_of(w, "out/a", 4), "out/h");
    assert_string_equal(slice_text(g, n->env, 0), "A");
    assert_string_equal(slice_text(g, n->env, 3), "true");
    assert_string_equal(slice_text(g, n->env, 5), "1");
    assert_string_equal(slice_text(g, n->params, 1), "2.5");
    assert_int_equal(n->timeout_ms, 1500);
    assert_string_equal(graph_text(g, n->depfile), "out/a.d");
    assert_int_equal(n->flags, NODE_INNER | NODE_NETWORK | NODE_UNSANDBOXED | NODE_TEST);
    assert_string_equal(graph_text(g, n->doc), "why");
    assert_int_equal(n->driver, GRAPH_NONE);
    const uint32_t flags[] = {0, ARTIFACT_DIRECTORY, ARTIFACT_TRACED, ARTIFACT_METRICS};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(g->artifacts[slice_id(g, n->outputs, i)].flags, flags[i]);
}

static void the_program_of_a_command_is_a_tool_or_an_input(void **state)
{
    struct world *w = *state;

    evaluate(w, "node { 'out/a', run = { 'sh', '-c', 'true' }, tools = { 'cat', 'sh' } }\n"
                "node { 'out/b', run = { './make', 'out/b' } }\n"
                "node { 'out/c', run = 'sort x | uniq', shell = true }\n"
                "node { 'out/d', run = { '/bin/sh' } }");
    const struct node *a = node_of(w, "out/a");
    const struct tool *sh = &w->graph->tools[slice_id(w->graph, a->tools, 0)];
    assert_int_equal(a->tools.len, 2);
    assert_string_equal(graph_text(w->graph, sh->name), "sh");
    assert_string_equal(arg_of(w, "out/a", 0), graph_text(w->graph, sh->path));
    assert_false(digest_is_zero(&sh->digest));
    paths_are(w, node_of(w, "out/b")->inputs, "make");
    assert_int_equal(node_of(w, "out/b")->tools.len, 0);
    assert_string_equal(arg_of(w, "out/c", 1), "-c");
    assert_string_equal(arg_of(w, "out/c", 2), "sort x | uniq");
    assert_int_equal(node_of(w, "out/d")->tools.len, 1);
}

static void a_tool_built_here_is_waited_for(void **state)
{
    struct world *w = *state;

    evaluate(w, "local gen = tool { name = 'gen', from = 'out/gen' }\n"
                "node { 'out/x', run = { gen, 'out/x' } }\nnode { 'out/y', run = { 'gen' } }\n"
                "node { 'out/gen', inputs = 'gen.c', run = { 'sh', 'gen.c' } }");
    struct ids deps = {0};
    graph_node_deps(w->graph, graph_find_node(w->graph, "out/y"), &deps);
    assert_int_equal(deps.len, 1);
    assert_int_equal(deps.at[0], graph_find_node(w->graph, "out/gen"));
    ids_release(&deps);
    assert_string_equal(arg_of(w, "out/x", 0), "out/gen");
    assert_string_equal(arg_of(w, "out/y", 0), "out/gen");
}

static void tools_may_be_optional_and_checked(void **state)
{
    struct world *w = *state;

    put(w, "bin/bad", "#!/bin/sh\nexit 1\n");
    put(w, "bin/good", "#!/bin/sh\necho good 1.2\n");
    const char *text = arena_printf(
        &w->arena,
        "assert(tool { name = 'nope-nope', optional = true } == nil)\n"
        "local t = tool { name = 'it', find = { 'nope-nope', '%s/bin/bad', '%s/bin/good' },\n"
        "  check = { 'x' }, version = { '--version' } }\n"
        "assert(t.path:match 'good$' and t.version == 'good 1.2', t.path .. t.version)\n"
        "node { 'out/a', run = { 'it' } }",
        w->root, w->root);
    evaluate(w, text);
    assert_true(text_ends_with(arg_of(w, "out/a", 0), "/bin/good"));
}

static void targets_name_nodes(void **state)
{
    struct world *w = *state;

    evaluate(w, "target 'all' { 'out/a', { 'other' }, default = true, show = 'out/a' }\n"
                "local a = node { 'out/a', write = 'x' }\ntarget 'other' { a }");
    const struct node *n = node_of(w, "all");
    assert_int_equal(n->flags, NODE_TARGET | NODE_DEFAULT);
    assert_int_equal(n->members.len, 2);
    assert_string_equal(graph_text(w->graph, n->show), "out/a");
    assert_string_equal(graph_text(w->graph, n->kind), "target");
    assert_int_equal(node_of(w, "other")->flags, NODE_TARGET);
}

static void a_node_in_hand_says_its_name(void **state)
{
    struct world *w = *state;

    evaluate(
        w,
        "local a, b = node { 'out/a', write = 'x' }, node { 'out/b', name = 'bee', write = 'y' }\n"
        "node { 'out/c', write = ('%s %s %s'):format(a.name, b.name, a.other), after = { a, b } }");
    const struct node *n = node_of(w, "out/c");
    assert_string_equal(graph_text(w->graph, n->text), "out/a bee nil");
    assert_int_equal(n->members.len, 2);
    assert_int_equal(w->graph->ids[n->members.at], graph_find_node(w->graph, "out/a"));
    assert_int_equal(w->graph->ids[n->members.at + 1], graph_find_node(w->graph, "bee"));
}

static void docs_come_from_the_comment_or_the_prose_above(void **state)
{
    struct world *w = *state;

    evaluate(w, "-- no\n\n--- One.\n--- Two.\nnode { 'out/a', write = '' }\n\n--- Far.\n\nnode { "
                "'out/b', write = '' }\n");
    assert_string_equal(graph_text(w->graph, node_of(w, "out/a")->doc), "One.\nTwo.");
    assert_string_equal(graph_text(w->graph, node_of(w, "out/b")->doc), "");
    evaluate(w, "# Study\n\nWhy.\n\n```lua\nnode { 'out/a', write = '' }\n--- Own.\nnode { "
                "'out/b', write = '' }\n```\n");
    assert_string_equal(graph_text(w->graph, node_of(w, "out/a")->doc), "# Study\n\nWhy.");
    assert_string_equal(graph_text(w->graph, node_of(w, "out/b")->doc), "Own.");
    assert_int_equal(node_of(w, "out/a")->line, 6);
}

static void places_are_those_of_the_users_call(void **state)
{
    struct world *w = *state;

    put(w, "rules/two.lua",
        "local function both(a)\n  node { a[1] .. '1', write = '' }\n  return node { a[1] .. '2', "
        "write = '' }\nend\n"
        "return { name = 'two', shape = { { type = 'string' } }, make = both }\n");
    put(w, "rules/four.lua",
        "use 'two'\nreturn { name = 'four', shape = { { type = 'string' } }, make = function(a)\n"
        "  two { a[1] .. 'x' }\n  finally(function() node { a[1] .. 'late', write = '' } end)\nend "
        "}\n");
    evaluate(w, "use 'four' 'two'\n\n  four {\n  'out/f' }\nlocal x = two { 'out/t' }\n"
                "rule { name = 'own', shape = {}, make = function()\n node { 'out/own', write = '' "
                "} end }\nown {}\n");
    const struct {
        const char *name, *kind;
        int line, column;
    } wanted[] = {{"out/fx1", "two", 3, 3},
                  {"out/fx2", "two", 3, 3},
                  {"out/t2", "two", 5, 11},
                  {"out/flate", "node", 3, 3},
                  {"out/own", "own", 8, 1}};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        const struct node *n = node_of(w, wanted[i].name);
        assert_string_equal(graph_text(w->graph, n->file), "spakfile");
        assert_int_equal(n->line, wanted[i].line);
        assert_int_equal(n->column, wanted[i].column);
        assert_string_equal(graph_text(w->graph, n->kind), wanted[i].kind);
    }
}

static void wrong_arguments_are_refused_in_the_same_words(void **state)
{
    struct world *w = *state;
    static const char rule[] = "return { name = 'r', shape = { [1] = { type = 'path', required = "
                               "true }, who = { type = 'string', doc = 'whom' },"
                               " list = { type = 'strings' }, mood = { type = 'string', one_of = { "
                               "'a', 'b' } } }, make = function(a)"
                               " if a.who == 'bad' then fail('`who` is bad', { field = 'who', hint "
                               "= 'be good' }) end end }";

    put(w, "rules/r.lua", rule);
    refused(w, "use 'r'\nr { 'x',\n  woh = 'y' }",
            "S102 spakfile:3:3 `r` has no field `woh` | did you mean `who`?");
    refused(
        w, "use 'r'\nr { 'x', who = 3 }",
        "S103 spakfile:2:10 `who` of `r` has to be a text, not the number 3 | `who` of `r`: whom");
    refused(w, "use 'r'\nr { who = 'x' }", "S103 spakfile:2:1 `r` needs a path by position");
    refused(w, "use 'r'\nr 'x'",
            "S103 spakfile:2:1 `r` takes a table, not the text \"x\" | write r { ... }");
    refused(w, "use 'r'\nr { 'x', 'y' }",
            "S103 spakfile:2:1 `r` takes one value by position | every other value has a name: "
            "name = value");
    refused(w, "use 'r'\nr { 'x', list = { 'a', { true } } }",
            "S103 spakfile:2:10 `list` of `r` has to be a text or a list of texts, not one with "
            "true as item 1");
    refused(w, "use 'r'\nr { 'x', mood = 'c' }",
            "S103 spakfile:2:10 `mood` of `r` has to be one of \"a\", \"b\", not the text \"c\"");
    refused(w, "use 'r'\n\nr { 'x', who = 'bad' }", "S103 spakfile:3:10 `who` is bad | be good");
    refused(w, "node { 'out/x', write = '', timeout = 'soon' }",
            "S103 spakfile:1:29 `timeout` of `node` has to be a number, not the text \"soon\" | "
            "`timeout` of `node`: seconds, after which "
            "it is stopped and has failed");
    refused(w, "node { 'out/x', wriet = '' }",
            "S102 spakfile:1:17 `node` has no field `wriet` | did you mean `write`?");
    refused(w, "node 'x'",
            "S103 spakfile:1:1 `node` takes a table, not the text \"x\" | write node { ... }");
}

static void a_fault_in_a_rule_shows_both_places(void **state)
{
    struct world *w = *state;

    put(w, "rules/r.lua",
        "return { name = 'r', shape = {}, make = function(a)\n  local t\n  return t.x\nend }");
    refused(w, "use 'r'\n\n  r {}", "S114 spakfile:3:3 attempt to index a nil value (local 't')");
    assert_non_null(w->err.notes);
    assert_int_equal(w->err.notes->place.line, 3);
    assert_true(text_ends_with(w->err.notes->place.file, "rules/r.lua"));
    put(w, "rules/r.lua",
        "return { name = 'r', shape = {}, make = function(a)\n  node { 'out/x', inptus = 'y' "
        "}\nend }");
    refused(w, "use 'r'\nr {}",
            "S102 spakfile:2:1 `node` has no field `inptus` | did you mean `inputs`?");
    assert_int_equal(w->err.notes->place.line, 2);
    assert_int_equal(w->err.notes->place.column, 19);
}

static void commands_are_lists(void **state)
{
    struct world *w = *state;

    assert_false(evaluates(w, "node { 'out/x', run = 'a b' }"));
    assert_int_equal(w->err.code, ERR_wrong_argument);
    assert_int_equal(w->err.place.column, 17);
    static const char *const bad[] = {
        "node { 'out/x', run = {} }",
        "node { 'out/x', run = { 'sh' }, write = '' }",
        "node { 'out/x', 'out/y', write = '' }",
        "node { 'out/x' }",
        "node { 'out/x', run = { 'a', 'b' }, shell = true }",
        "node { name = '' }",
        "node { 'out/x', write = 'a\\0b' }",
        "node { 'out/x', write = '', env = { 'x' } }",
        "node { 'out/x', write = '', inputs = { '' } }",
        "node { 'out/x', write = '', timeout = -1 }",
        "node { 'out/x', write = '', inputs = { x = 'y' } }",
        "node { 'out/x', [2.5] = 'y', write = '' }",
        "node { 'out/x', [true] = 'y', write = '' }",
        "target('x') { 3.5 }",
        "target(3) { }",
        "glob(3)",
        "pool('x', 0)",
        "driver { 'd' }",
        "driver { run = function() end }",
        "tool { find = 'x' }",
        "json.encode(print)",
        "trace_to(3)",
        "dir(3)",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (evaluates(w, bad[i]))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err_class(&w->err), ERR_USAGE);
        assert_string_equal(w->err.place.file, "spakfile");
        assert_int_equal(w->err.place.line, 1);
    }
}

static void unknown_names_are_told_with_the_nearest(void **state)
{
    struct world *w = *state;

    put(w, "rules/shout.lua", "return { name = 'shout', shape = {}, make = function() end }");
    refused(w, "local x = 1\nnoed { }",
            "S101 spakfile:2:1 nothing is called `noed` here | did you mean `node`?");
    refused(w, "shout { }",
            "S101 spakfile:1:1 nothing is called `shout` here | a rule of that name can be loaded: "
            "use \"shout\"");
    refused(w, "use 'shuot'",
            "S107 spakfile:1:6 no rule is called \"shuot\" | did you mean \"shout\"?");
    refused(w, "x = 1", "S118 spakfile:1:1 `x` is not declared | write local x = ...");
    refused(w, "string.lenn 'x'",
            "S101 spakfile:1:8 nothing is called `string.lenn` here | did you mean `string.len`?");
    refused(w, "target 'a' {\n  'out/b',\n}\nnode { 'out/bb', write = '' }",
            "S101 spakfile:2:4 nothing is called \"out/b\", and nothing makes a file of that name "
            "| did you mean \"out/bb\"?");
    refused(w, "node { 'out/x', write = '', facts = 'oss' }",
            "S101 spakfile:1:38 no fact is called \"oss\" on this machine | did you mean \"os\"?");
    refused(w, "\ntarget 'x'",
            "S120 spakfile:2:9 `target \"x\"` has no table after it | write target \"x\" { ... }");
}

static void the_environment_is_closed(void **state)
{
    struct world *w = *state;
    static const char *const closed[] = {
        "os.time()",
        "io.open('/etc/passwd')",
        "debug.getinfo(1)",
        "load('x')",
        "loadstring 'x'",
        "dofile 'x'",
        "require 'x'",
        "collectgarbage()",
        "string.dump(print)",
        "math.random()",
        "math.randomseed(1)",
        "pcall(print)",
        "coroutine.wrap(print)",
        "rawset({}, 1, 2)",
        "_G.x = 1",
        "next({})",
        "string.x = 1",
        "env 'USER'",
        "read 'out/x'",
    };

    for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
        if (evaluates(w, closed[i]))
            fail_msg("open: %s", closed[i]);
        if (w->err.code != ERR_closed_environment && w->err.code != ERR_bad_path)
            fail_msg("%s: %s", closed[i], w->err.message);
    }
    static const char *const broken[] = {
        "getmetatable('').__index = nil",
        "setmetatable({}, { __gc = print })",
        "string.format('%p', {})",
        "string.format('%%%d %-12p', 1, {})",
        "string.format({}, 1)",
        "string.format('%d')",
        "string.format('out/%s')",
        "string.format('%d%d', 1)",
        "string.format('100%')",
        "string.format('%d', 1.5)",
        "string.format('%d', 'a')",
        "string.format('%y', 1)",
        "string.format('%d', {})",
        "_ENV.node = 1",
        "setmetatable(_ENV, {})",
        "local e = engine",
        "import 'shape'",
        "string.rep('x', -1)()",
    };
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        if (evaluates(w, broken[i]))
            fail_msg("open: %s", broken[i]);
}

/* One table may be the value of several fields, also of some that read it otherwise. */
static void a_list_that_comes_again_is_the_same_list(void **state)
{
    struct world *w = *state;

    evaluate(w, "local l, flat = { 'a', 'b' }, { 'c' }\n"
                "node { 'out/x', inputs = { l, flat, l }, order_only = l, reads = flat,\n"
                "  run = { 'true', l, { flat, l } } }\n"
                "node { 'out/y', inputs = l, run = { 'true', flat, l } }");
    const struct node *n = &w->graph->nodes[graph_find_node(w->graph, "out/x")];
    static const char *const argv[] = {"a", "b", "c", "a", "b"};
    assert_int_equal(n->inputs.len, 3);
    assert_int_equal(n->order_only.len, 2);
    assert_int_equal(n->reads.len, 1);
    assert_int_equal(n->argv.len, 1 + ARRAY_LEN(argv));
    for (uint32_t i = 0; i < ARRAY_LEN(argv); i++)
        assert_string_equal(slice_text(w->graph, n->argv, i + 1), argv[i]);
    n = &w->graph->nodes[graph_find_node(w->graph, "out/y")];
    assert_int_equal(n->argv.len, 4);
    assert_string_equal(slice_text(w->graph, n->argv, 1), "c");
    assert_false(
        evaluates(w, "local l = { 'a', x = 1 }\nnode { 'o', inputs = l, run = { 'true', l } }"));
    assert_false(
        evaluates(w, "local l = { 'a', '' }\nnode { 'o', run = { 'true', l }, inputs = l }"));
    assert_false(evaluates(w, "local l = { 'a' }\nnode { l, inputs = l, run = { 'true', l } }"));
}

/* Short formats of texts and integers do not go through Lua's own; they say the same, and what does
 * not fit says it as ever. */
static void formats_say_what_luas_own_say(void **state)
{
    struct world *w = *state;
    static const char text[] =
        "local function same(f, expected, ...)\n"
        "  local got = f:format(...)\n"
        "  if got ~= expected then error(f .. ' gave ' .. got) end\n"
        "end\n"
        "local long = ('x'):rep(300)\n"
        "same('', '') same('plain', 'plain') same('out/d%d/s%d.o', 'out/d12/s1234.o', 12, 1234)\n"
        "same('%d %d', '-9223372036854775808 9223372036854775807', math.mininteger, "
        "math.maxinteger)\n"
        "same('%d%s', '0-7', 0, -7) same('%d', '3', 3.0) same('%d', '42', '42')\n"
        "same('%s|%s', 'a\\0b|', 'a\\0b', '') same('100%%', '100%') same('%5d|%-3s', '    7|ab ', "
        "7, 'ab')\n"
        "same('%s', long, long) same(long .. '%d', long .. '1', 1) same('%s', '1.5', 1.5)\n"
        "same('%s%s', 'nilfalse', nil, false) same('%s', '7', 7, 'not asked for')\n"
        "same('%x %q', 'ff \"a\"', 255, 'a') same('%s', 'out/y', node { 'out/y', write = '' })\n";

    evaluate(w, text);
}

/* Nothing that a spakfile can see differs from one evaluation to the next. */
static void evaluation_is_the_same_every_time(void **state)
{
    struct world *w = *state;
    struct buf first = {0}, second = {0};
    static const char text[] =
        "local t = {}\nfor i = 1, 50 do t['k' .. i * 7919 % 101] = i end\nlocal out = {}\n"
        "for k, v in pairs(t) do out[#out + 1] = k .. '=' .. v end\n"
        "out[#out + 1] = tostring({}) .. tostring(print) .. ('%s'):format({})\n"
        "out[#out + 1] = ('%s%%p%q%5.1f%s'):format(node { 'out/y', write = '' }, 'q', 2, print)\n"
        "node { 'out/x', write = table.concat(out, ' ') }";

    for (int i = 0; i < 5; i++) {
        evaluate(w, text);
        json_t *value = graph_to_json(w->graph);
        buf_reset(&second);
        json_compact(value, &second);
        json_decref(value);
        if (i)
            assert_string_equal(buf_text(&first), buf_text(&second));
        else
            buf_addstr(&first, buf_text(&second));
    }
    assert_non_null(strstr(buf_text(&first), "tablefunctiontable"));
    assert_non_null(strstr(buf_text(&first), "out/y%p\\\"q\\\"  2.0function"));
    buf_release(&first);
    buf_release(&second);
}

static void what_runs_away_is_stopped(void **state)
{
    struct world *w = *state;

    w->params[0] = "spak.steps=1000000";
    assert_false(evaluates(w, "local x\nwhile true do\n  x = 1\nend"));
    assert_int_equal(w->err.code, ERR_endless_loop);
    assert_string_equal(w->err.message, "stopped after 1000000 steps");
    assert_string_equal(w->err.hint, "if this is meant, allow more with -D spak.steps=10000000");
    assert_in_range(w->err.place.line, 2, 3);
    w->params[0] = NULL;
    assert_false(evaluates(w, "local function f() return 1 + f() end\nf()"));
    assert_string_equal(w->err.message, "stack overflow");
    assert_false(
        evaluates(w, "local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1 << 20) .. i end"));
    assert_int_equal(w->err.code, ERR_lua_memory);
    assert_int_equal(w->err.place.line, 2);
    assert_false(evaluates(w, "local s = ('x'):rep(1 << 35)"));
    assert_false(evaluates(w, "local t = {} t[1] = t\nnode { 'out/x', write = '', inputs = t }"));
}

static void lua_errors_have_places(void **state)
{
    struct world *w = *state;

    refused(w, "local t = {}\nlocal x = t.y.z",
            "S114 spakfile:2:13 attempt to index a nil value (field 'y')");
    refused(w, "node { 'out/x'\n  write = 3 }",
            "S113 spakfile:2:3 '}' expected (to close '{' at line 1) near 'write'");
    refused(w, "\n\nerror 'no luck'", "S114 spakfile:3:1 no luck");
    refused(w, "error({})",
            "S114 spakfile:1:1 error() was called with something other than a text");
    refused(w, "# T\n\n```lua\nlocal x = \n```\n",
            "S113 spakfile:4:1 unexpected symbol near <eof>");
    refused(w, "# T\n\n```lua\nnode { 'out/x', wrte = '' }\n```\n",
            "S102 spakfile:4:17 `node` has no field `wrte` | did you mean `write`?");
    put(w, "sub/spakfile", "node { 'out/x', wrte = '' }");
    refused(w, "include 'sub/spakfile'",
            "S102 sub/spakfile:1:17 `node` has no field `wrte` | did you mean `write`?");
}

static void graph_errors_have_places(void **state)
{
    struct world *w = *state;

    refused(w, "node { 'out/a', write = '' }\nnode {\n  'out/b', 'out/a',\n  run = { 'sh' } }",
            "S104 spakfile:3:13 two declarations make \"out/a\" | every file has one producer: "
            "give one of them another output");
    assert_int_equal(w->err.notes->place.line, 1);
    refused(w,
            "node { 'out/a', inputs = 'out/b', run = { 'sh' } }\nnode { 'out/b', inputs = 'out/a', "
            "run = { 'sh' } }",
            "S106 spakfile:1:1 these need each other: out/a -> out/b -> out/a | one of these has "
            "to do without the other");
}

static void params_are_typed_and_asked_for(void **state)
{
    struct world *w = *state;

    evaluate(w, "assert(param('n', 3) == 3 and param('s', 'x') == 'x' and param('b', false) == "
                "false and param('none') == nil)");
    w->params[0] = "n=7.5";
    w->params[1] = "s=a=b";
    w->params[2] = "b=true";
    evaluate(
        w,
        "assert(param('n', 3) == 7.5 and param('s', 'x') == 'a=b' and param('b', false) == true)");
    refused(w, "param('n', 1) param('ss', '') param('b', true)",
            "S111 -:0:0 nothing asks for the parameter \"s\" | did you mean -D b=...?");
    w->params[0] = "b=maybe";
    w->params[1] = w->params[2] = NULL;
    refused(w, "\nlocal x = param('b', true)",
            "S111 spakfile:2:18 the parameter \"b\" has to be true or false, not \"maybe\" | -D "
            "b=true is the default");
}

/* As after an update of the files without the program. */
static void a_language_of_another_version_is_told(void **state)
{
    struct world *w = *state;

    put(w, "other/main.lua", "local engine = ...\nengine.not_there()\n");
    w->lua_dir = os_join(&w->arena, w->root, "other");
    assert_false(evaluates(w, ""));
    assert_int_equal(w->err.code, ERR_lua_error);
    assert_non_null(strstr(w->err.hint, "./bootstrap.sh"));
    assert_non_null(strstr(w->err.hint, w->lua_dir));
}

/* Cut anywhere, a spakfile is an error or a graph, and never more than that. */
static void any_text_is_an_error_or_a_graph(void **state)
{
    struct world *w = *state;
    static const char text[] = "use 'cc' \"test\"\nlocal x = [==[ ]] ]==] -- c\n--[[ long ]] cc { "
                               "'out/x', sources = { 'a\\'b.c', \"c\" }, flags = {} }\n"
                               "target \"t\" { 'out/x', default = true }\nrule { name = 'r', shape "
                               "= { a = { type = 'string|number' } },\n"
                               "make = function(a) fail('no', { field = 'a' }) end }\nfor i = 1, 3 "
                               "do node { 'out/' .. i, write = i } end\nr { a = 3 }\n";
    struct rng rng = {3};
    char copy[sizeof(text)];

    w->params[0] = "spak.steps=1000000";
    for (int i = 0; i < 400; i++) {
        memcpy(copy, text, sizeof(text));
        if (i % 2)
            copy[rng_below(&rng, sizeof(text) - 1)] = "{}()'\"[]=- \n,x"[rng_below(&rng, 14)];
        else
            copy[rng_below(&rng, sizeof(text) - 1)] = '\0';
        evaluates(w, copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_has_what_its_table_says),
        TEST(the_program_of_a_command_is_a_tool_or_an_input),
        TEST(a_tool_built_here_is_waited_for),
        TEST(tools_may_be_optional_and_checked),
        TEST(targets_name_nodes),
        TEST(a_node_in_hand_says_its_name),
        TEST(docs_come_from_the_comment_or_the_prose_above),
        TEST(places_are_those_of_the_users_call),
        TEST(wrong_arguments_are_refused_in_the_same_words),
        TEST(a_fault_in_a_rule_shows_both_places),
        TEST(commands_are_lists),
        TEST(unknown_names_are_told_with_the_nearest),
        TEST(the_environment_is_closed),
        TEST(evaluation_is_the_same_every_time),
        TEST(a_list_that_comes_again_is_the_same_list),
        TEST(formats_say_what_luas_own_say),
        TEST(what_runs_away_is_stopped),
        TEST(lua_errors_have_places),
        TEST(graph_errors_have_places),
        TEST(params_are_typed_and_asked_for),
        TEST(a_language_of_another_version_is_told),
        TEST(any_text_is_an_error_or_a_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
