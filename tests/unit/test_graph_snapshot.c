/* graph: what was frozen comes back, thawed, from a snapshot and as JSON; damage is noticed. */
#include "graph_world.h"

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
    assert_non_null(back->memory);
    char *before = json_of(g), *after = json_of(back);
    assert_string_equal(before, after);
    assert_int_equal(back->read_count, 2);
    assert_true(digest_equal(&back->reads[1].digest, &g->reads[1].digest));
    assert_int_equal(graph_find_node(back, "out/7"), graph_find_node(g, "out/7"));
    graph_rest(g); /* nothing is lost, neither of a graph that lies in memory */
    graph_rest(back);
    free(after);
    after = json_of(back);
    assert_string_equal(before, after);
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
        struct graph view;
        if (graph_point(&view, copy, file.len)) {
            graph_seal(&h, &view);
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

int main(void)
{
    const char *folder = getenv("TMPDIR");

    if (chdir(folder && *folder ? folder : "/tmp"))
        return 1;
#define TEST(function) cmocka_unit_test_teardown(function, teardown)
    const struct CMUnitTest tests[] = {
        TEST(thawing_keeps_every_id),
        TEST(a_thawed_graph_still_knows_its_names),
        TEST(a_snapshot_comes_back_as_it_was),
        TEST(a_damaged_snapshot_does_not_load),
        TEST(a_forged_snapshot_loads_only_if_it_is_a_graph),
        TEST(json_says_what_matters),
        TEST(an_empty_graph_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
