#include "trace_world.h"

/* --- messages and notes --- */

static void the_message_says_what_changed(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    assert_text(sh(w, "git -C p log -1 --format=%%s spak/hello"), "hello: first run (ok)");
    put("p/hello.c", "changed\n");
    w->flag = "-O3";
    begin_run(w);
    w->outcomes[graph_find_node(w->graph, "out/guide.md")].status = STATUS_CLEAN;
    commit_run(w);
    assert_text(sh(w, "git -C p log -1 --format=%%s spak/hello"), "hello: hello.c and 1 more (ok)");
    const char *body = sh(w, "git -C p log -1 --format=%%b spak/hello");
    assert_holds(
        body, "Changed since parent: hello.c, flags of out/hello.o. 2 nodes ran, "
              "1\nreused.\n\nSpak-Format: 1\nSpak-Target: hello\nSpak-Status: ok\nSpak-Source: ");
    assert_text(sh(w, "git -C p log -1 --format=%%B spak/hello | git interpret-trailers --parse | "
                      "cut -d: -f1"),
                "Spak-Format\nSpak-Target\nSpak-Status\nSpak-Source\nSpak-Source-Dirty\nSpak-"
                "Nodes\nSpak-Machine");
}

static void lines_of_the_message_are_short(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    for (int i = 0; i < 12; i++)
        put(arena_printf(&w->arena,
                         "p/a_rather_long_folder_name/and_a_rather_long_file_name_\xc3\xa9_%d.c",
                         i),
            "x");
    put("p/hello.c", "changed\n");
    sh(w, "git -C p add -A");
    full_run(w);
    assert_true(atoi(sh(w, "git -C p log -1 --format=%%s spak/hello | LC_ALL=C.UTF-8 wc -L")) <=
                72);
    assert_holds(sh(w, "git -C p log -1 --format=%%s spak/hello"), "... (ok)");
    assert_holds(sh(w, "git -C p log -1 --format=%%b spak/hello | tr '\\n' ' '"), "and 8 more");
}

static void identity_comes_from_git(void **state)
{
    struct world *w = *state;
    repository(w);
    setenv("SOURCE_DATE_EPOCH", "1234567890", 1);
    full_run(w);
    assert_text(sh(w, "git -C p log -1 --format='%%an <%%ae> %%at %%ct' spak/hello"),
                "Ann <ann@example.org> 1234567890 1234567890");
    setenv("GIT_AUTHOR_NAME", "Bob", 1);
    w->flag = "-O3";
    full_run(w);
    assert_text(sh(w, "git -C p log -1 --format='%%an %%cn' spak/hello"), "Bob Ann");
}

static void the_note_has_time_and_host(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    const char *note = sh(w, "git -C p notes --ref spak/run show spak/hello");
    struct err e = {0};
    json_t *json = json_parse(note, strlen(note), "note", &e);
    ok(0, &e);
    assert_int_equal(json_int(json, "wall_ns", 0), 1000000);
    assert_int_equal(json_int(json_object_get(json, "nodes_wall_ns"), "out/hello.o", 0), 7);
    assert_int_equal(strlen(json_text(json, "start", "")), 20);
    assert_non_null(json_text(json, "host", NULL));
    json_decref(json);
}

/* --- names --- */

static void odd_names_become_sound_paths(void **state)
{
    static const char *const names[] = {"a",      "a/b",         "a%node",      "../up",
                                        "x/../y", ".git/config", "GIT~1",       ".GiT",
                                        "x//y",   "/abs",        "end/",        "files/z",
                                        "b\\c",   "new\nline",   "\xc3\xa9",    ".g\xe2\x80\x8cit",
                                        ".",      "c/.git",      ".gitmodules", "d:e"};
    struct world *w = *state;
    struct err e = {0};
    repository(w);
    struct graph_builder *b = graph_build();
    struct node_decl all = {
        .name = "hello", .kind = "target", .action = NODE_GROUP, .driver = GRAPH_NONE};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct node_decl d = {
            .name = names[i], .kind = "node", .action = NODE_COMMAND, .driver = GRAPH_NONE};
        strs_push(&d.argv, "true");
        graph_add_node(b, &d, &e);
        ok(0, &e);
        strs_push(&all.members, names[i]);
        strs_release(&d.argv);
    }
    graph_add_node(b, &all, &e);
    strs_release(&all.members);
    begin_run(w);
    struct graph *odd = graph_freeze(b, &e);
    ok(0, &e);
    struct outcome *outcomes = arena_alloc(&w->arena, odd->node_count * sizeof(*outcomes));
    struct action_record empty = {0};
    for (uint32_t i = 0; i < odd->node_count; i++)
        outcomes[i] = (struct outcome){.status = STATUS_RAN, .record = &empty};
    w->run.graph = odd;
    w->run.outcomes = outcomes;
    w->run.target_node = graph_find_node(odd, "hello");
    commit_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C p ls-tree -r --name-only spak/hello out | wc -l"),
                arena_printf(&w->arena, "%zu", ARRAY_LEN(names)));
    assert_text(sh(w, "git -C p ls-tree -r --name-only spak/hello plan | wc -l"),
                arena_printf(&w->arena, "%zu", ARRAY_LEN(names) + 1));
    assert_text(sh(w, "git -C p cat-file -t spak/hello:out/a%%node"), "blob");
    assert_text(sh(w, "git -C p cat-file -t spak/hello:out/a/b"), "blob");
    assert_sound(w, "p");
    sh(w, "git -C p worktree add -q ../checkout spak/hello 2>&1");
    graph_free(odd);
}

static void odd_targets_become_sound_refs(void **state)
{
    static const char *const names[] = {"a b", "a..b",  ".x", "x.lock", "a~1",
                                        "@{",  "-dash", "q?", "v1.",    "x/.y"};
    struct world *w = *state;
    repository(w);
    begin_run(w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        w->run.target = names[i];
        commit_run(w);
        assert_true(w->result.committed);
        sh(w, "git -C p check-ref-format 'refs/heads/%s'", w->result.ref);
    }
    struct err e = {0};
    struct strs targets = {0};
    struct trace *t = trace_open(w->run.root, "out", NULL, &e);
    ok(0, &e);
    ok(trace_targets(t, &w->arena, &targets, &e), &e);
    assert_int_equal(targets.len, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct trace_entry *entries;
        size_t count;
        ok(trace_log(t, names[i], 0, &w->arena, &entries, &count, &e), &e);
        assert_int_equal(count, 1);
    }
    strs_release(&targets);
    trace_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_message_says_what_changed), T(lines_of_the_message_are_short),
        T(identity_comes_from_git),       T(the_note_has_time_and_host),
        T(odd_names_become_sound_paths),  T(odd_targets_become_sound_refs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
