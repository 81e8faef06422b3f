#include "diag.h"
#include "scratch.h"
#include "script.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A project in a folder of its own; the language and the rules are those of the source tree. */
struct world {
    char root[512];
    struct arena arena;
    struct hash_cache *cache;
    const char *rule_dirs[3];
    const char *lua_dir;
    const char *params[8];
    struct script *script;
    struct graph *graph;
    struct err err;
};

static const char *home(struct arena *arena, const char *folder)
{
    const char *given = getenv("SPAK_HOME");
    struct err e = {0};
    char *here = os_getcwd(arena, &e);
    return os_join(arena, given ? given : here, folder);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    char *template = scratch_template("script");

    snprintf(w->root, sizeof(w->root), "%s", template);
    free(template);
    assert_non_null(mkdtemp(w->root));
    w->cache = hash_cache_open(os_join(&w->arena, w->root, "out/cache"));
    w->lua_dir = home(&w->arena, "lua");
    w->rule_dirs[0] = os_join(&w->arena, w->root, "rules");
    w->rule_dirs[1] = home(&w->arena, "rules");
    *state = w;
    return 0;
}

static void forget(struct world *w)
{
    graph_free(w->graph);
    script_close(w->script);
    err_release(&w->err);
    w->graph = NULL;
    w->script = NULL;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    forget(w);
    os_remove(w->root, &e);
    hash_cache_close(w->cache);
    arena_release(&w->arena);
    free(w);
    return 0;
}

static void put(struct world *w, const char *path, const char *text)
{
    struct err e = {0};
    const char *full = os_join(&w->arena, w->root, path);

    assert_int_equal(os_mkdirs_for(full, &e), 0);
    assert_int_equal(os_write(full, text, strlen(text), 0755, &e), 0);
}

static struct script_options options(const struct world *w)
{
    return (struct script_options){.root = w->root,
                                   .spakfile = "spakfile",
                                   .rule_dirs = w->rule_dirs,
                                   .lua_dir = w->lua_dir,
                                   .params = w->params,
                                   .cache = w->cache};
}

static bool evaluates(struct world *w, const char *text)
{
    struct script_options o = options(w);

    forget(w);
    if (text)
        put(w, "spakfile", text);
    w->script = script_evaluate(&o, &w->graph, &w->err);
    assert_int_equal(w->script == NULL, w->err.set);
    return w->script != NULL;
}

static void evaluate(struct world *w, const char *text)
{
    struct buf drawn = {0};

    if (evaluates(w, text))
        return;
    diag_draw(&w->err, DIAG_PLAIN, &drawn);
    fail_msg("%s", buf_text(&drawn));
}

/* What is drawn of the error: code, place, message, and hint or "". */
static void refused(struct world *w, const char *text, const char *wanted)
{
    struct buf got = {0};

    assert_false(evaluates(w, text));
    buf_addf(&got, "%s %s:%d:%d %s", err_info(w->err.code)->id,
             w->err.place.file ? w->err.place.file : "-", w->err.place.line, w->err.place.column,
             w->err.message);
    if (w->err.hint)
        buf_addf(&got, " | %s", w->err.hint);
    assert_string_equal(buf_text(&got), wanted);
    buf_release(&got);
}

static const struct node *node_of(const struct world *w, const char *name)
{
    uint32_t id = graph_find_node(w->graph, name);
    if (id == GRAPH_NONE)
        fail_msg("no node %s", name);
    return &w->graph->nodes[id];
}

static const char *arg_of(const struct world *w, const char *name, uint32_t i)
{
    const struct node *n = node_of(w, name);
    assert_true(i < n->argv.len);
    return slice_text(w->graph, n->argv, i);
}

static void paths_are(const struct world *w, struct slice s, const char *wanted)
{
    struct buf got = {0};

    for (uint32_t i = 0; i < s.len; i++)
        buf_addf(&got, "%s%s", i ? " " : "", artifact_path(w->graph, slice_id(w->graph, s, i)));
    assert_string_equal(buf_text(&got), wanted);
    buf_release(&got);
}

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

static void globs_are_sorted_and_do_not_see_out(void **state)
{
    struct world *w = *state;
    static const char *const files[] = {"src/b.c",     "src/a.c", "src/x/c.c",
                                        "src/x/y/d.c", "src/a.h", "src/.hid.c",
                                        "out/e.c",     "f.c",     ".git/g.c"};

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(w, files[i], "");
    evaluate(w, "local function is(list, wanted) assert(table.concat(list, ' ') == wanted, "
                "table.concat(list, ' ')) end\n"
                "is(glob 'src/*.c', 'src/a.c src/b.c')\n"
                "is(glob '**/*.c', 'f.c src/a.c src/b.c src/x/c.c src/x/y/d.c')\n"
                "is(glob 'src/**/*.c', 'src/a.c src/b.c src/x/c.c src/x/y/d.c')\n"
                "is(glob 'src/**', 'src/a.c src/a.h src/b.c src/x/c.c src/x/y/d.c')\n"
                "is(glob 'src/**/y/*.c', 'src/x/y/d.c')\n"
                "is(glob 'src/a.{h,c}', 'src/a.c src/a.h')\n"
                "is(glob 'src/[!b].c', 'src/a.c')\n"
                "is(glob 'src/?.h', 'src/a.h')\n"
                "is(glob 'out/*', '') is(glob 'nothing/*', '') is(glob 'src/a.c', 'src/a.c') "
                "is(glob 'src', '')\n"
                "is(glob { '*.c', 'src/*', except = { 'src/a.*' } }, 'f.c src/b.c')");
}

static bool valid(struct world *w, const char **why)
{
    struct script_options o = options(w);
    struct err e = {0};
    bool is = false;

    assert_int_equal(script_still_valid(w->graph, &o, &is, &w->arena, why, &e), 0);
    return is;
}

static void a_snapshot_holds_until_something_that_was_read_changes(void **state)
{
    struct world *w = *state;
    const char *why = NULL;
    static const char text[] = "include 'sub.lua'\nlocal v = read 'version'\nglob "
                               "'src/*.c'\nparam('n', 1)\nenv 'CFLAGS'\nfact 'os'\n"
                               "use 'r'\nnode { 'out/x', run = { 'sh' } }";

    unsetenv("CFLAGS");
    put(w, "sub.lua", "return 1");
    put(w, "version", "1");
    put(w, "src/a.c", "");
    put(w, "rules/r.lua", "return { name = 'r', shape = {}, make = function() end }");
    evaluate(w, text);
    assert_true(valid(w, &why));
    put(w, "src/a.c", "changed, and not read");
    assert_true(valid(w, &why));

    put(w, "version", "2");
    assert_false(valid(w, &why));
    assert_string_equal(why, "file version changed");
    evaluate(w, text);
    put(w, "sub.lua", "return 2");
    assert_false(valid(w, &why));
    evaluate(w, text);
    put(w, "src/b.c", "");
    assert_false(valid(w, &why));
    assert_string_equal(why, "the files matching src/*.c changed");
    evaluate(w, text);
    w->params[0] = "n=2";
    assert_false(valid(w, &why));
    assert_string_equal(why, "parameter n changed");
    evaluate(w, text);
    assert_true(valid(w, &why));
    setenv("CFLAGS", "-O1", 1);
    assert_false(valid(w, &why));
    unsetenv("CFLAGS");
    put(w, "rules/r.lua", "return { name = 'r', shape = {}, make = function() return 1 end }");
    assert_false(valid(w, &why));
    assert_string_equal(why, "file rules/r.lua changed");
    evaluate(w, text);
    put(w, "spakfile", "");
    assert_false(valid(w, &why));
    w->params[0] = NULL;
}

static void a_tool_that_is_replaced_or_found_elsewhere_is_noticed(void **state)
{
    struct world *w = *state;
    const char *why = NULL, *old = getenv("PATH");
    const char *first = os_join(&w->arena, w->root, "p1"),
               *second = os_join(&w->arena, w->root, "p2");

    setenv("PATH", arena_printf(&w->arena, "%s:%s:%s", first, second, old), 1);
    put(w, "p2/mytool", "#!/bin/sh\n");
    evaluate(w, "node { 'out/x', run = { 'mytool' } }\nassert(tool { name = 'never-there', "
                "optional = true } == nil)");
    assert_true(valid(w, &why));
    put(w, "p2/mytool", "#!/bin/sh\n# new\n");
    assert_false(valid(w, &why));
    assert_string_equal(why, "tool mytool changed");
    evaluate(w, NULL);
    assert_true(valid(w, &why));
    put(w, "p1/mytool", "#!/bin/sh\n# new\n");
    assert_false(valid(w, &why));
    evaluate(w, NULL);
    put(w, "p1/never-there", "#!/bin/sh\n");
    assert_false(valid(w, &why));
    setenv("PATH", arena_strdup(&w->arena, old), 1);
}

static void probes_are_recorded(void **state)
{
    struct world *w = *state;
    const char *why = NULL;

    put(w, "bin/ask", "#!/bin/sh\necho $1\nexit ${2:-0}\n");
    put(w, "rules/r.lua",
        arena_printf(&w->arena,
                     "return { name = 'r', shape = {}, make = function()\n"
                     "assert(probe { '%s/bin/ask', 'hi' } == 'hi\\n')\n"
                     "local text, code = probe { '%s/bin/ask', 'no', '3', status = true "
                     "}\nassert(code == 3)\nend }",
                     w->root, w->root));
    evaluate(w, "use 'r'\nr {}");
    assert_true(valid(w, &why));
    put(w, "bin/ask", "#!/bin/sh\necho other\n");
    assert_false(valid(w, &why));
    put(w, "rules/r.lua",
        "return { name = 'r', shape = {}, make = function() probe { 'no-such-program' } end }");
    refused(w, "use 'r'\nr {}", "S122 spakfile:2:1 the program `no-such-program` is not here");
}

static void includes_are_evaluated_once_and_share_rules(void **state)
{
    struct world *w = *state;

    put(w, "rules/r.lua",
        "return { name = 'r', shape = {}, gives = { two = function() return 2 end }, make = "
        "function() return node { 'out/r', write = '' } end }");
    put(w, "a/README.md",
        "# A\n\nIt is so.\n\n```lua\nr {}\nreturn { dir = here().dir, doc = here().doc, two = "
        "two() }\n```\n");
    evaluate(w, "use 'r'\nlocal a = include 'a/README.md'\nassert(a.dir == 'a' and a.doc == '# "
                "A\\n\\nIt is so.' and a.two == 2)\n"
                "assert(include 'a/README.md' == a)");
    assert_string_equal(graph_text(w->graph, node_of(w, "out/r")->file), "a/README.md");
    assert_int_equal(node_of(w, "out/r")->line, 6);
    refused(w, "include 'b'",
            "S119 spakfile:1:10 there is no file \"b\" | paths are relative to the project's root, "
            "also in an included file");
    put(w, "c", "include 'd'");
    put(w, "d", "include 'c'");
    refused(w, "include 'c'", "S119 d:1:10 \"c\" includes itself");
    refused(w, "include 'spakfile'", "S119 spakfile:1:10 \"spakfile\" includes itself");
}

static void rules_that_are_not_rules_are_refused(void **state)
{
    struct world *w = *state;

    put(w, "rules/r.lua", "return 3");
    assert_false(evaluates(w, "use 'r'"));
    assert_int_equal(w->err.code, ERR_bad_rule);
    put(w, "rules/r.lua", "return { name = 'r', shape = {} }");
    refused(
        w, "use 'r'",
        "S103 spakfile:1:1 `rule` needs the field `make` | make: called with the checked fields");
    put(w, "rules/r.lua", "use 'r'");
    assert_false(evaluates(w, "use 'r'"));
    assert_int_equal(w->err.code, ERR_bad_rule);
    assert_false(evaluates(w, "rule { name = 'node', shape = {}, make = function() end }"));
    assert_int_equal(w->err.code, ERR_bad_rule);
    put(w, "rules/r.lua",
        "return { name = 'r', shape = { x = { type = 'strnig' } }, make = function() end }");
    assert_false(evaluates(w, "use 'r'\nr { x = 1 }"));
    assert_int_equal(w->err.code, ERR_bad_rule);
}

static uint32_t step(struct world *w, const struct driver_result *results, size_t count,
                     struct ids *asked, bool *done)
{
    asked->len = 0;
    return (uint32_t)script_driver_step(w->script, &w->graph, graph_find_node(w->graph, "d"),
                                        results, count, asked, done, &w->err);
}

static void a_driver_asks_sees_and_goes_on(void **state)
{
    struct world *w = *state;
    struct ids asked = {0};
    bool done;

    evaluate(w, "node { 'out/in', write = '' }\n--- Tunes.\ndriver { 'd', inputs = 'out/in', run = "
                "function(ask)\n"
                "  local r = ask { 'out/one', write = '1', inputs = 'out/in' }\n"
                "  assert(r.exit == 0 and r.status == 'ran' and r.read 'out/one' == 'text one')\n"
                "  local two = ask { { 'out/a', write = 'a' }, { 'out/b', run = { 'sh' } } }\n"
                "  assert(#two == 2 and two[1].exit == 0 and two[2].exit == 5 and two[2].status == "
                "'failed')\n"
                "end }");
    const struct node *d = node_of(w, "d");
    assert_int_equal(d->action, NODE_DRIVER);
    assert_string_equal(graph_text(w->graph, d->doc), "Tunes.");
    uint32_t before = w->graph->node_count;

    assert_int_equal(step(w, NULL, 0, &asked, &done), 0);
    assert_false(done);
    assert_int_equal(asked.len, 1);
    assert_int_equal(asked.at[0], before);
    const struct node *one = node_of(w, "out/one");
    assert_true(one->flags & NODE_ASKED);
    assert_int_equal(one->driver, graph_find_node(w->graph, "d"));
    assert_int_equal(one->line, 4);

    put(w, "out/one", "text one");
    struct driver_result first = {asked.at[0], 0, "ran"};
    assert_int_equal(step(w, &first, 1, &asked, &done), 0);
    assert_false(done);
    assert_int_equal(asked.len, 2);
    struct driver_result two[] = {{asked.at[1], 5, "failed"}, {asked.at[0], 0, "ran"}};
    assert_int_equal(step(w, two, 2, &asked, &done), 0);
    assert_true(done);
    assert_int_equal(asked.len, 0);
    assert_int_equal(w->graph->node_count, before + 3);
    ids_release(&asked);
}

static void a_driver_that_fails_says_where(void **state)
{
    struct world *w = *state;
    struct ids asked = {0};
    bool done;

    evaluate(w, "driver { 'd', run = function(ask)\n  local t\n  t.x = 1\nend }");
    assert_int_equal((int)step(w, NULL, 0, &asked, &done), -1);
    assert_string_equal(w->err.message, "attempt to index a nil value (local 't')");
    assert_int_equal(w->err.place.line, 3);
    evaluate(w, "driver { 'd', run = function(ask)\n  ask { 'out/x', wriet = '' }\nend }");
    assert_int_equal((int)step(w, NULL, 0, &asked, &done), -1);
    assert_int_equal(w->err.code, ERR_unknown_field);
    assert_int_equal(w->err.place.line, 2);
    evaluate(w, "local x = node { 'out/x', write = '' }\ndriver { 'd', run = function(ask)\n  "
                "ask(x)\nend }");
    assert_int_equal((int)step(w, NULL, 0, &asked, &done), -1);
    assert_int_equal(w->err.code, ERR_wrong_argument);
    evaluate(w, "driver { 'd', run = function(ask)\n  ask { 'out/x', inputs = 'out/x', run = { "
                "'sh' } }\nend }");
    assert_int_equal((int)step(w, NULL, 0, &asked, &done), -1);
    assert_int_equal(w->err.code, ERR_cycle);
    assert_int_equal(w->graph->node_count, 1);
    w->params[0] = "spak.steps=1000000";
    evaluate(w, "driver { 'd', run = function(ask)\n  while true do end\nend }");
    assert_int_equal((int)step(w, NULL, 0, &asked, &done), -1);
    assert_int_equal(w->err.code, ERR_endless_loop);
    assert_int_equal(w->err.place.line, 2);
    ids_release(&asked);
}

static void two_drivers_do_not_disturb_each_other(void **state)
{
    struct world *w = *state;
    struct ids asked = {0};
    bool done;

    evaluate(w,
             "for _, n in ipairs { 'd', 'e' } do\n  driver { n, run = function(ask)\n"
             "    for i = 1, 2 do ask { ('out/%s%d'):format(n, i), write = n } end\n  end }\nend");
    for (int round = 0; round < 2; round++)
        for (const char *name = "de"; *name; name++) {
            char text[2] = {*name, 0};
            uint32_t id = graph_find_node(w->graph, text);
            struct driver_result last = {
                graph_find_node(w->graph, arena_printf(&w->arena, "out/%s1", text)), 0, "ran"};
            asked.len = 0;
            assert_int_equal(script_driver_step(w->script, &w->graph, id, round ? &last : NULL,
                                                (size_t)round, &asked, &done, &w->err),
                             0);
            assert_false(done);
            assert_string_equal(node_name(w->graph, asked.at[0]),
                                arena_printf(&w->arena, "out/%s%d", text, round + 1));
            assert_int_equal(w->graph->nodes[asked.at[0]].driver, id);
        }
    ids_release(&asked);
}

/* The blocks of a Markdown file: plain ones are spakfiles, those with a path are files that the
 * others need. */
static void each_example(struct world *w, const char *file, bool files)
{
    struct buf text = {0}, block = {0};
    struct err e = {0};
    struct str rest, line;
    const char *into = NULL;
    size_t ticks = 0;
    bool inside = false;
    int count = 0;

    assert_int_equal(os_read(file, &text, &e), 0);
    rest = (struct str){buf_text(&text), text.len};
    while (str_split(&rest, '\n', &line)) {
        size_t n = 0;
        while (n < line.len && line.ptr[n] == '`')
            n++;
        if (!inside && n >= 3) {
            inside = true;
            ticks = n;
            struct str info = str_trim((struct str){line.ptr + n, line.len - n});
            into = arena_strndup(&w->arena, info.ptr, info.len);
            buf_reset(&block);
        } else if (inside && n >= ticks && n == line.len) {
            inside = false;
            if (files && text_starts_with(into, "lua "))
                put(w, into + 4, buf_text(&block));
            if (!files && !strcmp(into, "lua")) {
                evaluate(w, buf_text(&block));
                assert_true(w->graph->node_count > 0);
                count++;
            }
        } else if (inside) {
            buf_add(&block, line.ptr, line.len);
            buf_addch(&block, '\n');
        }
    }
    if (!files)
        assert_true(count >= 9);
    buf_release(&text);
    buf_release(&block);
}

static void every_example_of_the_reference_evaluates(void **state)
{
    struct world *w = *state;
    const char *file = os_join(&w->arena, w->lua_dir, "README.md");

    put(w, "version.txt", "1.0\n");
    put(w, "src/main.c", "");
    each_example(w, file, true);
    each_example(w, file, false);
}

static void the_cc_rule_makes_objects_and_links_them(void **state)
{
    struct world *w = *state;

    put(w, "src/a.c", "");
    put(w, "src/b.c", "");
    evaluate(w, "use 'cc'\ncc { 'out/bin/x', sources = glob 'src/*.c', includes = 'inc', defines = "
                "{ A = 1, B = true }, libs = { 'm', 'out/l.a' },\n"
                "  flags = { '-O1' } }\ncc { 'out/l.a', kind = 'static', sources = 'l/l.c' }\n"
                "local o = cc { kind = 'objects', sources = { 'l/m.c' } }\nassert(#o == 1 and "
                "o[1][1] == 'out/obj/objects/l/m.c.o')");
    const struct node *x = node_of(w, "out/bin/x"), *a = node_of(w, "out/obj/bin/x/src/a.c.o");
    paths_are(w, x->inputs, "out/obj/bin/x/src/a.c.o out/obj/bin/x/src/b.c.o out/l.a");
    paths_are(w, a->inputs, "src/a.c");
    assert_string_equal(graph_text(w->graph, a->depfile), "out/obj/bin/x/src/a.c.o.d");
    struct buf argv = {0};
    for (uint32_t i = 1; i < a->argv.len; i++)
        buf_addf(&argv, " %s", slice_text(w->graph, a->argv, i));
    assert_string_equal(buf_text(&argv),
                        " -c src/a.c -o out/obj/bin/x/src/a.c.o -MMD -MF out/obj/bin/x/src/a.c.o.d "
                        "-ffile-prefix-map=${root}=. -std=gnu11 -DA=1 -DB -Iinc -O1");
    buf_release(&argv);
    assert_string_equal(slice_text(w->graph, a->reads, 0), "inc");
    assert_string_equal(slice_text(w->graph, a->reads, 1), "src");
    assert_string_equal(graph_text(w->graph, a->kind), "cc");
    assert_non_null(strstr(arg_of(w, "out/l.a", 2), "ar rcsD"));
    assert_string_equal(arg_of(w, "out/l.a", 3), "out/l.a");
    evaluate(w, "use 'cc'\ncc { 'out/x', sources = 'a.c', pkg = { "
                "'no-such-module|lua5.4|lua-5.4|lua54|lua' } }");
    const struct node *linked = node_of(w, "out/x");
    assert_non_null(strstr(slice_text(w->graph, linked->argv, linked->argv.len - 1), "-llua"));
    refused(
        w, "use 'cc'\ncc { 'out/x', sources = {} }",
        "S103 spakfile:2:15 `cc` has no sources | a glob that matches nothing is an empty list");
    refused(w, "use 'cc'\ncc { 'out/x', sources = 'a.c', pkg = 'no-such-module' }",
            "S112 spakfile:2:39 pkg-config knows no module \"no-such-module\" | install the "
            "library's development package, or list other "
            "names: pkg = { \"lua5.4|lua\" }");
}

static void two_programs_share_an_object_only_if_it_is_the_same(void **state)
{
    struct world *w = *state;

    evaluate(w, "use 'cc'\ncc { 'out/x', sources = 'a.c', objdir = 'out/o' }\ncc { 'out/y', "
                "sources = 'a.c', objdir = 'out/o' }");
    assert_int_equal(w->graph->node_count, 3);
    assert_false(evaluates(w, "use 'cc'\ncc { 'out/x', sources = 'a.c', objdir = 'out/o' }\n"
                              "cc { 'out/y', sources = 'a.c', objdir = 'out/o', flags = '-O3' }"));
    assert_int_equal(w->err.code, ERR_duplicate_output);
}

static void the_test_rule_makes_tests(void **state)
{
    struct world *w = *state;

    evaluate(w, "use 'test'\n--- Checks.\ntest 'unit/x' { program = 'out/x', args = { 'a', 1 }, "
                "env = { A = 'b' } }\nnode { 'out/x', write = '' }\n"
                "test 'y' { run = { 'sh', 'y.sh' }, inputs = 'y.sh' }");
    const struct node *x = node_of(w, "test/unit/x");
    assert_true(x->flags & NODE_TEST);
    paths_are(w, x->outputs, "out/test/unit/x.log");
    paths_are(w, x->inputs, "out/x");
    assert_string_equal(arg_of(w, "test/unit/x", 2), "1");
    assert_int_equal(x->timeout_ms, 300000);
    assert_string_equal(graph_text(w->graph, x->doc), "Checks.");
    assert_string_equal(graph_text(w->graph, x->stdout_to), "out/test/unit/x.log");
    assert_false(evaluates(w, "use 'test'\ntest 'y' { }"));
    assert_string_equal(w->err.message, "a test has either a `program` or a command to `run`");
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
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_node_has_what_its_table_says),
        TEST(the_program_of_a_command_is_a_tool_or_an_input),
        TEST(a_tool_built_here_is_waited_for),
        TEST(tools_may_be_optional_and_checked),
        TEST(targets_name_nodes),
        TEST(docs_come_from_the_comment_or_the_prose_above),
        TEST(places_are_those_of_the_users_call),
        TEST(wrong_arguments_are_refused_in_the_same_words),
        TEST(a_fault_in_a_rule_shows_both_places),
        TEST(commands_are_lists),
        TEST(unknown_names_are_told_with_the_nearest),
        TEST(the_environment_is_closed),
        TEST(evaluation_is_the_same_every_time),
        TEST(what_runs_away_is_stopped),
        TEST(lua_errors_have_places),
        TEST(graph_errors_have_places),
        TEST(params_are_typed_and_asked_for),
        TEST(globs_are_sorted_and_do_not_see_out),
        TEST(a_snapshot_holds_until_something_that_was_read_changes),
        TEST(a_tool_that_is_replaced_or_found_elsewhere_is_noticed),
        TEST(probes_are_recorded),
        TEST(includes_are_evaluated_once_and_share_rules),
        TEST(rules_that_are_not_rules_are_refused),
        TEST(a_driver_asks_sees_and_goes_on),
        TEST(a_driver_that_fails_says_where),
        TEST(two_drivers_do_not_disturb_each_other),
        TEST(every_example_of_the_reference_evaluates),
        TEST(the_cc_rule_makes_objects_and_links_them),
        TEST(two_programs_share_an_object_only_if_it_is_the_same),
        TEST(the_test_rule_makes_tests),
        TEST(any_text_is_an_error_or_a_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
