#include "trace_world.h"

/* --- reading --- */

static struct trace *open_trace(struct world *w)
{
    struct err e = {0};
    struct trace *t = trace_open(root_of(w), "out", w->trace_to, &e);
    ok(0, &e);
    return t;
}

static void reading_back(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    repository(w);
    w->with_bench = true;
    full_run(w);
    w->flag = "-O3";
    full_run(w);
    struct trace *t = open_trace(w);
    struct trace_entry *entries, one;
    size_t count;
    ok(trace_log(t, "hello", 0, &w->arena, &entries, &count, &e), &e);
    assert_int_equal(count, 2);
    assert_text(entries[0].commit, w->result.commit);
    assert_text(entries[0].subject, "hello: flags of out/hello.o (ok)");
    assert_text(entries[0].status, "ok");
    assert_text(entries[0].nodes, "run=4 reused=0 failed=0");
    assert_text(entries[0].source, sh(w, "git -C p rev-parse main"));
    assert_false(entries[0].source_dirty);
    assert_int_equal(entries[0].metrics.len, 1);
    assert_text(entries[0].metrics.at[0], "fmha.fused ns 100");
    assert_true(entries[0].time >= time(NULL) - 60);
    for (size_t i = 0; i < count; i++)
        strs_release(&entries[i].metrics);
    ok(trace_log(t, "hello", 1, &w->arena, &entries, &count, &e), &e);
    assert_int_equal(count, 1);
    strs_release(&entries[0].metrics);
    ok(trace_resolve(t, "hello~1", &w->arena, &one, &e), &e);
    assert_text(one.subject, "hello: first run, fmha.fused 100 ns (ok)");
    strs_release(&one.metrics);
    ok(trace_resolve(t, arena_strndup(&w->arena, w->result.commit, 8), &w->arena, &one, &e), &e);
    assert_text(one.commit, w->result.commit);
    strs_release(&one.metrics);
    struct buf text = {0};
    bool found;
    ok(trace_read(t, one.commit, "plan/out/hello.o", &text, &found, &e), &e);
    assert_true(found);
    assert_holds(text.ptr, "arg -O3\n");
    ok(trace_read(t, one.commit, "plan/nowhere", &text, &found, &e), &e);
    assert_false(found);
    ok(trace_read(t, one.commit, "plan", &text, &found, &e), &e);
    assert_false(found);
    struct strs paths = {0};
    ok(trace_list(t, one.commit, "plan/", &w->arena, &paths, &e), &e);
    assert_int_equal(paths.len, 5);
    assert_text(paths.at[0], "plan/hello");
    paths.len = 0;
    ok(trace_list(t, one.commit, "nowhere", &w->arena, &paths, &e), &e);
    assert_int_equal(paths.len, 0);
    strs_release(&paths);
    buf_release(&text);
    trace_close(t);
}

static void unknown_revisions_say_what_is_near(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    struct trace_entry one;
    repository(w);
    full_run(w);
    struct trace *t = open_trace(w);
    assert_int_equal(trace_resolve(t, "helo", &w->arena, &one, &e), -1);
    assert_int_equal(e.code, ERR_trace_revision);
    assert_text(e.hint, "did you mean \"hello\"?");
    err_release(&e);
    assert_int_equal(trace_resolve(t, "hello~7", &w->arena, &one, &e), -1);
    assert_holds(e.hint, "not that long");
    err_release(&e);
    assert_int_equal(trace_resolve(t, "main", &w->arena, &one, &e), -1);
    assert_int_equal(e.code, ERR_trace_content);
    err_release(&e);
    assert_int_equal(trace_resolve(t, "hello^{/", &w->arena, &one, &e), -1);
    err_release(&e);
    trace_close(t);
}

static void a_clone_reads_the_traces_of_its_origin(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    struct strs set = {0};
    repository(w);
    full_run(w);
    sh(w, "git clone -q p clone 2>&1");
    assert_text(sh(w, "git -C clone log --format=%%s origin/spak/hello"), "hello: first run (ok)");
    struct trace *t = trace_open(arena_printf(&w->arena, "%s/clone", w->top), "out", NULL, &e);
    ok(0, &e);
    struct trace_entry one;
    ok(trace_resolve(t, "hello", &w->arena, &one, &e), &e);
    assert_text(one.commit, w->result.commit);
    ok(trace_share(t, &w->arena, &set, &e), &e);
    assert_int_equal(set.len, 4);
    ok(trace_share(t, &w->arena, &set, &e), &e);
    assert_int_equal(set.len, 4);
    sh(w, "git -C clone fetch -q");
    assert_text(sh(w, "git -C clone notes --ref refs/notes/origin/spak/run show origin/spak/hello"),
                sh(w, "git -C p notes --ref spak/run show spak/hello"));
    strs_release(&set);
    trace_close(t);
}

static void there_is_no_trace_before_the_first_run(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    write_sources("p");
    assert_null(trace_open(root_of(w), "out", NULL, &e));
    assert_int_equal(e.code, ERR_trace_revision);
    err_release(&e);
    assert_text(sh(w, "test -e p/out || echo none"), "none");
    assert_null(trace_open(root_of(w), "out", "off", &e));
    assert_int_equal(e.code, ERR_trace_repository);
    err_release(&e);
}

/* --- size --- */

static struct graph *many_nodes(struct world *w, int count)
{
    struct err e = {0};
    struct graph_builder *b = graph_build();
    struct node_decl all = {
        .name = "hello", .kind = "target", .action = NODE_GROUP, .driver = GRAPH_NONE};
    add_cc(w, b);
    for (int i = 0; i < count; i++) {
        const char *name = arena_printf(&w->arena, "out/d%02d/n%05d.o", i % 100, i);
        add_node(w, b, name, 0, arena_printf(&w->arena, "/usr/bin/cc -c %d", i), "hello.c", 0);
        strs_push(&all.members, name);
    }
    graph_add_node(b, &all, &e);
    ok(0, &e);
    strs_release(&all.members);
    struct graph *g = graph_freeze(b, &e);
    ok(0, &e);
    return g;
}

static void use_graph(struct world *w, struct graph *g)
{
    struct action_record *records = arena_alloc(&w->arena, g->node_count * sizeof(*records));
    struct output_record *outputs = arena_alloc(&w->arena, g->node_count * sizeof(*outputs));
    w->outcomes = arena_alloc(&w->arena, g->node_count * sizeof(*w->outcomes));
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct node *n = &g->nodes[i];
        outputs[i].path = n->outputs.len ? artifact_path(g, slice_id(g, n->outputs, 0)) : "";
        hash_bytes(&i, sizeof(i), &outputs[i].digest);
        records[i] = (struct action_record){.outputs = &outputs[i], .output_count = n->outputs.len};
        w->outcomes[i] = (struct outcome){.status = STATUS_RAN, .record = &records[i]};
    }
    w->run.graph = g;
    w->run.outcomes = w->outcomes;
    w->run.target_node = graph_find_node(g, "hello");
}

static size_t count_objects(struct world *w)
{
    return (size_t)atol(sh(w, "git -C p count-objects | cut -d' ' -f1"));
}

static void commit_timed(struct world *w, const char *what)
{
    int64_t begin = os_monotonic_ns();
    commit_run(w);
    if (getenv("SPAK_TEST_VERBOSE"))
        fprintf(stderr, "%s: %.1f ms\n", what, (double)(os_monotonic_ns() - begin) / 1e6);
    assert_true(w->result.committed);
}

/* What is written is in proportion to what changed: 3 blobs, the folders above them, the root, the
 * commit and the note. */
static void many_nodes_go_into_one_pack_and_few_changes_into_few_objects(void **state)
{
    struct world *w = *state;
    int count = getenv("SPAK_TEST_NODES") ? atoi(getenv("SPAK_TEST_NODES")) : 1000;
    repository(w);
    begin_run(w);
    struct graph *g = many_nodes(w, count);
    use_graph(w, g);
    commit_timed(w, "first commit");
    assert_text(sh(w, "ls p/.git/objects/pack/*.pack | wc -l"), "1");
    assert_text(sh(w, "git -C p ls-tree -r --name-only spak/hello out | wc -l"),
                arena_printf(&w->arena, "%d", count));
    size_t before = count_objects(w);
    for (uint32_t i = 0; i < 3; i++)
        hash_bytes("changed", 7, &w->outcomes[i].record->outputs[0].digest);
    commit_timed(w, "3 nodes changed");
    assert_in_range(count_objects(w) - before, 8, 14);
    assert_text(sh(w, "git -C p diff --name-only spak/hello~ spak/hello | wc -l"), "3");
    assert_sound(w, "p");
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reading_back),
        T(unknown_revisions_say_what_is_near),
        T(a_clone_reads_the_traces_of_its_origin),
        T(there_is_no_trace_before_the_first_run),
        T(many_nodes_go_into_one_pack_and_few_changes_into_few_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
