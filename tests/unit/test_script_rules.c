#include "script_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
