/* graph: what may be declared, what is refused in which words, and what a frozen graph answers. */
#include "graph_world.h"

static void a_frozen_graph_holds_what_was_declared(void **state)
{
    (void)state;
    struct graph *g = small();
    assert_int_equal(g->node_count, 4);
    assert_int_equal(g->artifact_count, 6);
    assert_string_equal(node_name(g, 1), "out/app");
    assert_string_equal(artifact_path(g, slice_id(g, g->nodes[1].inputs, 1)), "out/b.o");
    assert_string_equal(slice_text(g, g->nodes[1].argv, 0), "cc");
    assert_int_equal(node_place(g, 3).line, 4);
    assert_string_equal(node_place(g, 3).file, "spakfile");
    assert_int_equal(slice_id(g, g->nodes[0].members, 0), 1);
    graph_free(g);
}

static void names_and_paths_are_found(void **state)
{
    (void)state;
    struct graph *g = small();
    assert_int_equal(graph_find_node(g, "all"), 0);
    assert_int_equal(graph_find_node(g, "out/b.o"), 3);
    assert_int_equal(graph_find_node(g, "a.c"), GRAPH_NONE);
    assert_int_equal(graph_find_node(g, "out/b"), GRAPH_NONE);
    assert_int_equal(graph_find_artifact(g, "all"), GRAPH_NONE);
    uint32_t h = graph_find_artifact(g, "x.h");
    assert_string_equal(artifact_path(g, h), "x.h");
    assert_int_equal(g->artifacts[h].producer, GRAPH_NONE);
    assert_string_equal(graph_nearest(g, "out/ap"), "out/app");
    assert_null(graph_nearest(g, "nothing like it"));
    graph_free(g);
}

static void users_are_the_nodes_that_read_a_file(void **state)
{
    (void)state;
    struct graph *g = small();
    struct slice users = g->artifacts[graph_find_artifact(g, "x.h")].users;
    assert_int_equal(users.len, 2);
    assert_int_equal(slice_id(g, users, 0), 2);
    assert_int_equal(slice_id(g, users, 1), 3);
    assert_int_equal(g->artifacts[graph_find_artifact(g, "out/app")].users.len, 0);
    graph_free(g);
}

static void the_order_puts_dependencies_first(void **state)
{
    uint32_t order[4], at[4];

    (void)state;
    struct graph *g = small();
    graph_topological(g, order);
    for (uint32_t i = 0; i < 4; i++)
        at[order[i]] = i;
    assert_true(at[2] < at[1] && at[3] < at[1] && at[1] < at[0]);
    graph_free(g);
}

static void reach_marks_what_a_root_needs(void **state)
{
    bool mark[4];
    const uint32_t root = 2;

    (void)state;
    struct graph *g = small();
    graph_reach(g, &root, 1, mark);
    assert_true(mark[2]);
    assert_false(mark[0] || mark[1] || mark[3]);
    graph_reach(g, &(uint32_t){0}, 1, mark);
    assert_true(mark[0] && mark[1] && mark[2] && mark[3]);
    graph_free(g);
}

static void one_file_has_one_name(void **state)
{
    static const char *const same[] = {"./x/y.h",    "x//y.h", "x/./y.h",
                                       "x/z/../y.h", "x/y.h/", "z/../x/y.h"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct graph_builder *b = graph_build();
        add(b, command(1, LIST("out/a"), LIST("x/y.h", same[i])));
        struct graph *g = freeze(b);
        assert_int_equal(g->nodes[0].inputs.len, 1);
        assert_int_equal(g->artifact_count, 2);
        graph_free(g);
    }
    struct graph_builder *b = graph_build();
    add(b, command(1, LIST("out/a"), LIST("/x/../y.h", "../z", "a/../../z", "...")));
    struct graph *g = freeze(b);
    assert_int_not_equal(graph_find_artifact(g, "/y.h"), GRAPH_NONE);
    assert_int_not_equal(graph_find_artifact(g, "../z"), GRAPH_NONE);
    assert_int_not_equal(graph_find_artifact(g, "..."), GRAPH_NONE);
    assert_int_equal(g->nodes[0].inputs.len, 3);
    graph_free(g);
}

/* A program is in the command as it was written and among the inputs by its name. */
static void a_program_is_one_file_for_all_nodes(void **state)
{
    static const char *const programs[] = {"./step", "./step", "./other", "./step"};
    static const char *const outputs[] = {"out/0", "out/1", "out/2", "out/3"};
    struct graph_builder *b = graph_build();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        struct node_decl d = command((int)i + 1, LIST(outputs[i]), LIST(programs[i]));
        d.argv = LIST(programs[i], outputs[i]);
        add(b, d);
    }
    struct graph *g = freeze(b);
    for (uint32_t i = 0; i < ARRAY_LEN(programs); i++) {
        assert_int_equal(g->nodes[i].inputs.len, 1);
        assert_int_equal(g->ids[g->nodes[i].inputs.at], graph_find_artifact(g, programs[i] + 2));
        assert_string_equal(graph_text(g, g->ids[g->nodes[i].argv.at]), programs[i]);
    }
    graph_free(g);
}

static void an_output_has_one_producer(void **state)
{
    struct err e = {0};

    (void)state;
    struct graph_builder *b = graph_build();
    add(b, command(1, LIST("out/a", "out/b"), LIST("x")));
    struct node_decl d = command(2, LIST("out/c", "./out/b"), LIST("x"));
    assert_int_equal(graph_add_node(b, &d, &e), GRAPH_NONE);
    assert_int_equal(e.code, ERR_duplicate_output);
    assert_string_equal(e.message, "two declarations make \"out/b\"");
    assert_int_equal(e.place.line, 2);
    assert_non_null(e.notes);
    assert_int_equal(e.notes->place.line, 1);
    err_release(&e);
    declaration_refused(b, command(3, LIST("out/a"), LIST("x")), ERR_duplicate_output,
                        "two declarations make \"out/a\"");
    declaration_refused(b, command(4, LIST("out/d", "out/d"), LIST("x")), ERR_duplicate_output,
                        "the output \"out/d\" is listed twice");
    /* What was refused can be declared in another way. */
    add(b, command(5, LIST("out/c", "out/d"), LIST("x")));
    struct graph *g = freeze(b);
    assert_int_equal(g->node_count, 2);
    assert_int_equal(g->artifacts[graph_find_artifact(g, "out/d")].producer, 1);
    graph_free(g);
}

static void outputs_lie_in_the_project(void **state)
{
    static const char *const bad[] = {"/etc/x", "../x", "out/../../x", ".", "out/.."};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        struct graph_builder *b = graph_build();
        struct node_decl d = command(1, LIST(bad[i]), LIST("x"));
        assert_int_equal(graph_add_node(b, &d, &e), GRAPH_NONE);
        assert_int_equal(e.code, ERR_bad_path);
        err_release(&e);
        graph_discard(b);
    }
}

static void names_are_unique(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    add(b, group(1, "all", LIST("all2")));
    declaration_refused(b, group(2, "all", LIST("x")), ERR_duplicate_name,
                        "two declarations are called \"all\"");
    struct node_decl nameless = group(3, NULL, LIST("x"));
    declaration_refused(b, nameless, ERR_wrong_argument, "a node without an output needs a name");
    graph_discard(b);

    b = graph_build();
    add(b, group(1, "out/x", LIST("out/y")));
    struct node_decl d = command(2, LIST("out/y", "out/x"), LIST("s"));
    add(b, d);
    refused(b, ERR_duplicate_name, "\"out/x\" is the name of one node and an output of another",
            NULL, 1);
}

static void members_may_come_later_and_have_to_exist(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    add(b, group(1, "all", LIST("out/ap")));
    add(b, command(2, LIST("out/app"), LIST("a.c")));
    refused(b, ERR_unknown_name,
            "nothing is called \"out/ap\", and nothing makes a file of that name",
            "did you mean \"out/app\"?", 1);

    b = graph_build();
    add(b, group(1, "all", LIST("a.c")));
    add(b, command(2, LIST("out/app"), LIST("a.c")));
    refused(b, ERR_unknown_name, "\"a.c\" is a source file: nothing makes it",
            "members are names of nodes and targets, and outputs of nodes", 1);
}

static void an_input_is_a_file(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    add(b, group(1, "all", LIST("out/app")));
    add(b, command(2, LIST("out/app"), LIST("a.c")));
    add(b, command(3, LIST("out/b"), LIST("all")));
    refused(b, ERR_unknown_name, "the input \"all\" is a node, not a file",
            "inputs are files: name an output of it, or use after = { \"all\" }", 3);
}

static void a_cycle_is_drawn_whole(void **state)
{
    struct err e = {0};

    (void)state;
    struct graph_builder *b = graph_build();
    add(b, command(1, LIST("out/free"), LIST("a.c")));
    add(b, command(2, LIST("out/a"), LIST("out/c", "out/free")));
    add(b, command(3, LIST("out/b"), LIST("out/a")));
    add(b, command(4, LIST("out/c"), LIST("out/b")));
    add(b, command(5, LIST("out/end"), LIST("out/a")));
    assert_null(graph_freeze(b, &e));
    assert_int_equal(e.code, ERR_cycle);
    assert_string_equal(e.message, "these need each other: out/a -> out/c -> out/b -> out/a");
    assert_int_equal(e.place.line, 2);
    const int lines[] = {2, 4, 3};
    const struct err_note *note = e.notes;
    for (size_t i = 0; i < 3; i++, note = note->next)
        assert_int_equal(note->place.line, lines[i]);
    assert_null(note);
    err_release(&e);

    b = graph_build();
    add(b, command(1, LIST("out/self"), LIST("out/self")));
    refused(b, ERR_cycle, "these need each other: out/self -> out/self", NULL, 1);
}

static void members_and_order_only_inputs_make_cycles_too(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    struct node_decl d = command(1, LIST("out/a"), LIST("x"));
    d.members = LIST("group");
    add(b, d);
    add(b, group(2, "group", LIST("out/a")));
    refused(b, ERR_cycle, "these need each other: out/a -> group -> out/a", NULL, 1);

    b = graph_build();
    d = command(1, LIST("out/a"), LIST("x"));
    d.order_only = LIST("out/b");
    add(b, d);
    add(b, command(2, LIST("out/b"), LIST("out/a")));
    refused(b, ERR_cycle, "these need each other: out/a -> out/b -> out/a", NULL, 1);
}

static struct node_decl directory(int line, const char *path)
{
    static uint32_t flags[1] = {ARTIFACT_DIRECTORY};
    struct node_decl d = command(line, LIST(path), LIST("x"));
    d.output_flags = (struct ids){flags, 1, 1};
    return d;
}

static void what_lies_in_a_directory_output_is_its_nodes(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    add(b, command(1, LIST("out/use"), LIST("out/d/a/b", "out/d/c", "out/e")));
    add(b, directory(2, "out/d"));
    struct graph *g = freeze(b);
    const struct artifact *inside = &g->artifacts[graph_find_artifact(g, "out/d/a/b")];
    assert_int_equal(inside->producer, 1);
    assert_true(inside->flags & ARTIFACT_INSIDE);
    assert_int_equal(g->artifacts[graph_find_artifact(g, "out/d/c")].producer, 1);
    assert_int_equal(g->artifacts[graph_find_artifact(g, "out/e")].producer, GRAPH_NONE);
    uint32_t order[2];
    graph_topological(g, order);
    assert_int_equal(order[0], 1);
    graph_free(g);
}

static void outputs_do_not_overlap(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    add(b, command(1, LIST("out/d/a/b"), LIST("x")));
    add(b, directory(2, "out/d"));
    refused(b, ERR_output_overlap,
            "the output \"out/d/a/b\" lies inside the directory output \"out/d\"", NULL, 1);

    b = graph_build();
    add(b, command(1, LIST("out/d"), LIST("x")));
    add(b, command(2, LIST("out/d/a"), LIST("x")));
    refused(b, ERR_output_overlap,
            "the output \"out/d/a\" needs a folder where \"out/d\" is a file", NULL, 2);

    /* Siblings in one folder are looked at once: the first of them is enough. */
    b = graph_build();
    add(b, command(1, LIST("out/d/a", "out/d/b", "out/dd/c"), LIST("x")));
    add(b, directory(2, "out/dd"));
    refused(b, ERR_output_overlap,
            "the output \"out/dd/c\" lies inside the directory output \"out/dd\"", NULL, 1);

    /* A source tells nothing of them: it may lie below what is a file only once that was made. */
    b = graph_build();
    add(b, command(1, LIST("out/d"), LIST("x")));
    add(b, command(2, LIST("out/d/b"), LIST("out/d/a")));
    refused(b, ERR_output_overlap,
            "the output \"out/d/b\" needs a folder where \"out/d\" is a file", NULL, 2);
}

static void what_depends_on_a_measurement_is_measured(void **state)
{
    (void)state;
    struct graph_builder *b = graph_build();
    struct node_decl d = command(1, LIST("out/m.json"), LIST("x"));
    d.flags = NODE_MEASURES;
    add(b, d);
    add(b, command(2, LIST("out/report"), LIST("out/m.json")));
    add(b, group(3, "all", LIST("out/report", "out/other")));
    add(b, command(4, LIST("out/other"), LIST("x")));
    struct graph *g = freeze(b);
    const bool measured[] = {true, true, true, false};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(!!(g->nodes[i].flags & NODE_MEASURED), measured[i]);
    graph_free(g);
}

static void tools_facts_and_pools_are_named(void **state)
{
    struct err e = {0};
    struct tool_decl cc = {.name = "cc",
                           .path = "/usr/bin/cc",
                           .version = "12",
                           .files = LIST("/usr/bin/cc"),
                           .digest = {{1}}};
    struct tool_decl own = {.name = "own", .path = "./out/own", .version = "", .artifact = true};

    (void)state;
    struct graph_builder *b = graph_build();
    assert_int_equal(graph_add_tool(b, &cc, &e), 0);
    assert_int_equal(graph_add_tool(b, &cc, &e), 0);
    assert_int_equal(graph_add_tool(b, &own, &e), 0);
    assert_int_equal(graph_add_fact(b, "os", "linux", &e), 0);
    assert_int_equal(graph_add_pool(b, "link", 2, &e), 0);
    struct node_decl d = command(1, LIST("out/a"), LIST("x"));
    d.tools = LIST("own", "cc");
    d.facts = LIST("os");
    d.pool = "link";
    uint32_t user = add(b, d);
    uint32_t maker = add(b, command(2, LIST("out/own"), LIST("x")));
    d = command(3, LIST("out/b"), LIST("x"));
    d.pool = "lnik";
    declaration_refused(b, d, ERR_unknown_name, "no pool is called \"lnik\"");
    d = command(4, LIST("out/b"), LIST("x"));
    d.tools = LIST("gcc");
    declaration_refused(b, d, ERR_unknown_name, "no tool is called \"gcc\"");
    struct graph *g = freeze(b);
    assert_int_equal(g->tool_count, 2);
    assert_string_equal(graph_text(g, g->tools[slice_id(g, g->nodes[user].tools, 1)].path),
                        "/usr/bin/cc");
    assert_string_equal(graph_text(g, g->facts[slice_id(g, g->nodes[user].facts, 0)].value),
                        "linux");
    assert_int_equal(g->pools[g->nodes[user].pool].depth, 2);
    /* A tool that is built here is waited for. */
    assert_int_equal(g->order[0], maker);
    graph_free(g);
}

static void a_second_meaning_is_refused(void **state)
{
    struct err e = {0};
    struct tool_decl cc = {.name = "cc", .path = "/usr/bin/cc", .version = "", .digest = {{1}}};

    (void)state;
    struct graph_builder *b = graph_build();
    graph_add_tool(b, &cc, &e);
    cc.path = "/opt/cc";
    assert_int_equal(graph_add_tool(b, &cc, &e), -1);
    assert_int_equal(e.code, ERR_duplicate_name);
    err_release(&e);
    graph_add_pool(b, "link", 2, &e);
    assert_int_equal(graph_add_pool(b, "link", 3, &e), -1);
    assert_string_equal(e.message, "the pool \"link\" has two depths: 2 and 3");
    err_release(&e);
    graph_add_fact(b, "os", "a", &e);
    assert_int_equal(graph_add_fact(b, "os", "b", &e), -1);
    err_release(&e);
    graph_discard(b);
}

/* Ten thousand nodes in one folder with a shared input and a long list: a quadratic step would take
 * minutes. */
static void size_is_no_matter(void **state)
{
    enum { COUNT = 30000 };
    struct strs all = {0}, twice = {0};
    struct arena arena = {0};

    (void)state;
    struct graph_builder *b = graph_build();
    for (int i = 0; i < COUNT; i++) {
        const char *out = arena_printf(&arena, "out/%d.o", i),
                   *in = arena_printf(&arena, "src/%d.c", i);
        strs_push(&all, out);
        struct strs outputs = {&out, 1, 1}, inputs = {(const char *[]){in, "common.h"}, 2, 2};
        struct node_decl d = {.kind = "cc",
                              .place = {"spakfile", i + 1, 1},
                              .action = NODE_COMMAND,
                              .outputs = outputs,
                              .inputs = inputs,
                              .driver = GRAPH_NONE};
        add(b, d);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < COUNT; i++)
            strs_push(&twice, all.at[i]);
    struct node_decl d = command(COUNT + 1, LIST("out/final"), twice);
    d.members = all;
    add(b, d);
    struct graph *g = freeze(b);
    assert_int_equal(g->nodes[COUNT].inputs.len, COUNT);
    assert_int_equal(g->artifacts[graph_find_artifact(g, "common.h")].users.len, COUNT);
    graph_free(g);
    strs_release(&all);
    strs_release(&twice);
    arena_release(&arena);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_frozen_graph_holds_what_was_declared),
        TEST(names_and_paths_are_found),
        TEST(users_are_the_nodes_that_read_a_file),
        TEST(the_order_puts_dependencies_first),
        TEST(reach_marks_what_a_root_needs),
        TEST(one_file_has_one_name),
        cmocka_unit_test(a_program_is_one_file_for_all_nodes),
        TEST(an_output_has_one_producer),
        TEST(outputs_lie_in_the_project),
        TEST(names_are_unique),
        TEST(members_may_come_later_and_have_to_exist),
        TEST(an_input_is_a_file),
        TEST(a_cycle_is_drawn_whole),
        TEST(members_and_order_only_inputs_make_cycles_too),
        TEST(what_lies_in_a_directory_output_is_its_nodes),
        TEST(outputs_do_not_overlap),
        TEST(what_depends_on_a_measurement_is_measured),
        TEST(tools_facts_and_pools_are_named),
        TEST(a_second_meaning_is_refused),
        TEST(size_is_no_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
