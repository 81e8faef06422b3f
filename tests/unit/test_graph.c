#include "graph_build.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIST(...) list((const char *const[]){__VA_ARGS__, NULL})

/* Lists live until the end of the test program's case. */
static struct strs kept[256];
static size_t kept_count;

static struct strs list(const char *const *items)
{
    struct strs *out = &kept[kept_count++];
    assert_true(kept_count < ARRAY_LEN(kept));
    for (; *items; items++)
        strs_push(out, *items);
    return *out;
}

static int teardown(void **state)
{
    (void)state;
    while (kept_count)
        strs_release(&kept[--kept_count]);
    return 0;
}

static struct node_decl command(int line, struct strs outputs, struct strs inputs)
{
    return (struct node_decl){
        .kind = "node",
        .place = {"spakfile", line, 1},
        .action = NODE_COMMAND,
        .argv = LIST("cc"),
        .outputs = outputs,
        .inputs = inputs,
        .driver = GRAPH_NONE,
    };
}

static struct node_decl group(int line, const char *name, struct strs members)
{
    return (struct node_decl){.name = name,
                              .kind = "target",
                              .place = {"spakfile", line, 1},
                              .action = NODE_GROUP,
                              .members = members,
                              .flags = NODE_TARGET,
                              .driver = GRAPH_NONE};
}

static uint32_t add(struct graph_builder *b, struct node_decl d)
{
    struct err e = {0};
    uint32_t id = graph_add_node(b, &d, &e);
    if (e.set)
        fail_msg("%s", e.message);
    return id;
}

static struct graph *freeze(struct graph_builder *b)
{
    struct err e = {0};
    struct graph *g = graph_freeze(b, &e);
    if (e.set)
        fail_msg("%s", e.message);
    assert_true(graph_is_sound(g));
    return g;
}

/* The graph is refused with this code, message and hint. */
static void refused(struct graph_builder *b, enum err_code code, const char *message,
                    const char *hint, int line)
{
    struct err e = {0};
    assert_null(graph_freeze(b, &e));
    assert_int_equal(e.code, code);
    assert_string_equal(e.message, message);
    if (hint)
        assert_string_equal(e.hint, hint);
    assert_int_equal(e.place.line, line);
    err_release(&e);
}

static void declaration_refused(struct graph_builder *b, struct node_decl d, enum err_code code,
                                const char *message)
{
    struct err e = {0};
    assert_int_equal(graph_add_node(b, &d, &e), GRAPH_NONE);
    assert_int_equal(e.code, code);
    assert_string_equal(e.message, message);
    assert_string_equal(e.place.file, "spakfile");
    err_release(&e);
}

/* a.c -> a.o, b.c -> b.o, both -> app; target all. */
static struct graph *small(void)
{
    struct graph_builder *b = graph_build();
    add(b, group(1, "all", LIST("out/app")));
    add(b, command(2, LIST("out/app"), LIST("out/a.o", "out/b.o")));
    add(b, command(3, LIST("out/a.o"), LIST("a.c", "x.h")));
    add(b, command(4, LIST("out/b.o"), LIST("b.c", "x.h")));
    return freeze(b);
}

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

static char *json_of(const struct graph *g)
{
    struct buf text = {0};
    json_t *value = graph_to_json(g);
    json_pretty(value, &text);
    json_decref(value);
    return text.ptr;
}

static void thawing_keeps_every_id(void **state)
{
    (void)state;
    struct graph *g = small();
    struct graph_builder *b = graph_thaw(g);
    struct node_decl d = command(9, LIST("out/new"), LIST("out/app", "x.h"));
    d.flags = NODE_ASKED;
    assert_int_equal(add(b, d), 4);
    struct graph *larger = freeze(b);
    for (uint32_t i = 0; i < g->node_count; i++)
        assert_string_equal(node_name(larger, i), node_name(g, i));
    for (uint32_t i = 0; i < g->artifact_count; i++)
        assert_string_equal(artifact_path(larger, i), artifact_path(g, i));
    assert_int_equal(larger->artifacts[graph_find_artifact(larger, "x.h")].users.len, 3);
    assert_int_equal(graph_find_node(larger, "out/new"), 4);

    struct graph *again = freeze(graph_thaw(g));
    char *before = json_of(g), *after = json_of(again);
    assert_string_equal(before, after);
    free(before);
    free(after);
    graph_free(again);
    graph_free(larger);
    graph_free(g);
}

static void a_thawed_graph_still_knows_its_names(void **state)
{
    (void)state;
    struct graph *g = small();
    struct graph_builder *b = graph_thaw(g);
    declaration_refused(b, command(9, LIST("out/a.o"), LIST("x")), ERR_duplicate_output,
                        "two declarations make \"out/a.o\"");
    declaration_refused(b, group(9, "all", LIST("x")), ERR_duplicate_name,
                        "two declarations are called \"all\"");
    graph_discard(b);
    graph_free(g);
}

static const char snapshot[] = "spak-test-graph.snapshot";

static struct graph *rich(void)
{
    struct err e = {0};
    struct digest digest;
    struct tool_decl cc = {.name = "cc",
                           .path = "/usr/bin/cc",
                           .version = "12",
                           .files = LIST("/usr/bin/cc", "/usr/bin/ld"),
                           .digest = {{7}}};
    struct graph_builder *b = graph_build();

    hash_bytes("x", 1, &digest);
    graph_add_tool(b, &cc, &e);
    graph_add_fact(b, "os", "linux", &e);
    graph_add_pool(b, "link", 1, &e);
    graph_add_read(b, READ_FILE, "spakfile", &digest);
    graph_add_read(b, READ_GLOB, "src/*.c", &digest);
    graph_set_trace(b, "off");
    for (int i = 0; i < 20; i++) {
        char out[32], in[32];
        snprintf(out, sizeof(out), "out/%d", i);
        snprintf(in, sizeof(in), "out/%d", i - 1);
        struct node_decl d = command(i + 1, LIST(out), LIST(i ? in : "source", "x.h"));
        d.env = LIST("A", "1", "B", "2");
        d.params = LIST("p", "q");
        d.tools = LIST("cc");
        d.facts = LIST("os");
        d.reads = LIST("include");
        d.pool = "link";
        d.doc = "a thing";
        d.depfile = "out/x.d";
        d.guide = "out/guide";
        d.proofs = LIST("out/proof");
        d.timeout_ms = 5000;
        add(b, d);
    }
    add(b, group(40, "all", LIST("out/19")));
    return freeze(b);
}

static void a_snapshot_comes_back_as_it_was(void **state)
{
    struct err e = {0};
    const struct digest stamp = {{1}}, other = {{2}};

    (void)state;
    struct graph *g = rich();
    assert_int_equal(graph_save(g, snapshot, &stamp, &e), 0);
    assert_null(graph_load(snapshot, &other));
    assert_null(graph_load("spak-test-graph.absent", &stamp));
    struct graph *back = graph_load(snapshot, &stamp);
    assert_non_null(back);
    assert_true(back->mapped);
    char *before = json_of(g), *after = json_of(back);
    assert_string_equal(before, after);
    assert_int_equal(back->read_count, 2);
    assert_true(digest_equal(&back->reads[1].digest, &g->reads[1].digest));
    assert_int_equal(graph_find_node(back, "out/7"), graph_find_node(g, "out/7"));
    /* A mapped graph can be saved and thawed like any other. */
    assert_int_equal(graph_save(back, snapshot, &other, &e), 0);
    struct graph *thawed = freeze(graph_thaw(back));
    free(after);
    after = json_of(thawed);
    assert_string_equal(before, after);
    free(before);
    free(after);
    graph_free(thawed);
    graph_free(back);
    graph_free(g);
    unlink(snapshot);
}

static void use_all(const struct graph *g)
{
    uint32_t *order = xmalloc((g->node_count + 1) * sizeof(*order));
    bool *mark = xmalloc(g->node_count + 1);
    char *text = json_of(g);

    graph_topological(g, order);
    if (g->node_count)
        graph_reach(g, &(uint32_t){0}, 1, mark);
    graph_find_node(g, "out/7");
    graph_find_artifact(g, "no such");
    free(text);
    free(mark);
    free(order);
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    struct err e = {0};
    assert_int_equal(os_write(path, bytes, len, 0644, &e), 0);
}

/* Any single flipped bit is noticed. */
static void a_damaged_snapshot_does_not_load(void **state)
{
    struct err e = {0};
    struct buf file = {0};
    const struct digest stamp = {{1}};
    struct rng rng = {42};

    (void)state;
    struct graph *g = rich();
    assert_int_equal(graph_save(g, snapshot, &stamp, &e), 0);
    assert_int_equal(os_read(snapshot, &file, &e), 0);
    for (int i = 0; i < 400; i++) {
        size_t at = (size_t)(i < 200 ? (uint64_t)i % sizeof(struct graph_header)
                                     : rng_below(&rng, file.len));
        char bit = (char)(1 << rng_below(&rng, 8));
        file.ptr[at] ^= bit;
        write_file(snapshot, file.ptr, file.len);
        assert_null(graph_load(snapshot, &stamp));
        file.ptr[at] ^= bit;
    }
    for (size_t len = 0; len < file.len; len += 1 + len / 3) {
        write_file(snapshot, file.ptr, len);
        assert_null(graph_load(snapshot, &stamp));
    }
    buf_release(&file);
    graph_free(g);
    unlink(snapshot);
}

/* With the checksums made to fit, the checks of ranges stand alone: what loads can be used. */
static void a_forged_snapshot_loads_only_if_it_is_a_graph(void **state)
{
    struct err e = {0};
    struct buf file = {0};
    const struct digest stamp = {{1}};
    struct rng rng = {7};
    int loaded = 0, refusals = 0;

    (void)state;
    struct graph *g = rich();
    assert_int_equal(graph_save(g, snapshot, &stamp, &e), 0);
    assert_int_equal(os_read(snapshot, &file, &e), 0);
    char *copy = xmalloc(file.len);
    for (int i = 0; i < 3000; i++) {
        memcpy(copy, file.ptr, file.len);
        size_t from = i % 3 ? sizeof(struct graph_header) : offsetof(struct graph_header, checksum);
        for (uint64_t n = 1 + rng_below(&rng, 3); n; n--)
            copy[from + rng_below(&rng, file.len - from)] ^= (char)(1 << rng_below(&rng, 8));
        struct graph_header h;
        memcpy(&h, copy, sizeof(h));
        if (h.total_bytes == file.len) {
            graph_seal(&h, copy + sizeof(h));
            memcpy(copy, &h, sizeof(h));
        }
        write_file(snapshot, copy, file.len);
        struct graph *back = graph_load(snapshot, &stamp);
        loaded += back != NULL;
        refusals += back == NULL;
        if (back)
            use_all(back);
        graph_free(back);
    }
    assert_true(loaded > 100 && refusals > 100);
    free(copy);
    buf_release(&file);
    graph_free(g);
    unlink(snapshot);
}

static void json_says_what_matters(void **state)
{
    (void)state;
    struct graph *g = rich();
    json_t *value = graph_to_json(g);
    const json_t *node = json_array_get(json_object_get(value, "nodes"), 3);
    assert_string_equal(json_text(node, "name", ""), "out/3");
    assert_string_equal(json_text(node, "pool", ""), "link");
    assert_string_equal(json_text(node, "guide", ""), "out/guide");
    assert_string_equal(json_text(json_object_get(node, "env"), "B", ""), "2");
    assert_int_equal(json_int(json_object_get(node, "place"), "line", 0), 4);
    assert_null(json_object_get(node, "stdout"));
    assert_string_equal(json_text(value, "trace_to", ""), "off");
    assert_null(json_object_get(value, "reads"));
    json_decref(value);
    graph_free(g);
}

static void an_empty_graph_is_one(void **state)
{
    const struct digest stamp = {{1}};
    struct err e = {0};

    (void)state;
    struct graph *g = freeze(graph_build());
    assert_int_equal(g->node_count, 0);
    assert_int_equal(graph_find_node(g, "x"), GRAPH_NONE);
    assert_int_equal(graph_find_artifact(g, ""), GRAPH_NONE);
    assert_int_equal(graph_save(g, snapshot, &stamp, &e), 0);
    struct graph *back = graph_load(snapshot, &stamp);
    assert_non_null(back);
    graph_free(back);
    graph_free(g);
    unlink(snapshot);
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
    const char *folder = getenv("TMPDIR");

    if (chdir(folder && *folder ? folder : "/tmp"))
        return 1;
#define TEST(function) cmocka_unit_test_teardown(function, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_frozen_graph_holds_what_was_declared),
        TEST(names_and_paths_are_found),
        TEST(users_are_the_nodes_that_read_a_file),
        TEST(the_order_puts_dependencies_first),
        TEST(reach_marks_what_a_root_needs),
        TEST(one_file_has_one_name),
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
        TEST(thawing_keeps_every_id),
        TEST(a_thawed_graph_still_knows_its_names),
        TEST(a_snapshot_comes_back_as_it_was),
        TEST(a_damaged_snapshot_does_not_load),
        TEST(a_forged_snapshot_loads_only_if_it_is_a_graph),
        TEST(json_says_what_matters),
        TEST(an_empty_graph_is_one),
        TEST(size_is_no_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
