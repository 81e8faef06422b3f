#include "trace_world.h"

/* What was told: "PATH NODE COMMIT-SUBJECT", in order. */
struct told {
    struct arena *arena;
    struct strs at;
    size_t folders;
};

static int tell(void *ctx, const struct trace_named *n, struct err *e)
{
    struct told *t = ctx;
    (void)e;
    strs_push(&t->at, arena_printf(t->arena, "%s %s", *n->path ? n->path : "log", n->node));
    t->folders += n->folder;
    return 0;
}

static int stop(void *ctx, const struct trace_named *n, struct err *e)
{
    (void)ctx;
    return err_set(e, ERR_usage, "enough of %s", n->path);
}

static const char *all_of(struct told *t)
{
    struct buf text = {0};
    strs_sort(&t->at);
    for (size_t i = 0; i < t->at.len; i++)
        buf_addf(&text, "%s%s", i ? ", " : "", t->at.at[i]);
    const char *all = arena_strdup(t->arena, buf_text(&text));
    buf_release(&text);
    strs_release(&t->at);
    return all;
}

static struct trace *opened(struct world *w)
{
    struct err e = {0};
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(0, &e);
    return t;
}

static const char *kept(struct world *w, size_t keep, bool lost)
{
    struct told told = {.arena = &w->arena};
    struct err e = {0};
    struct trace *t = opened(w);
    ok(trace_named_kept(t, keep, lost, &w->arena, tell, &told, &e), &e);
    trace_close(t);
    return all_of(&told);
}

/* Three runs, each with an object of its own. */
static void three_runs(struct world *w)
{
    static const char *const objects[] = {"object one", "object two", "object three"};
    repository(w);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        w->object = objects[i];
        put("p/hello.c", objects[i]);
        full_run(w);
    }
    assert_commits(w, "p", "3");
}

static void one_run_names_its_outputs(void **state)
{
    struct world *w = *state;
    struct told told = {.arena = &w->arena};
    struct err e = {0};
    repository(w);
    full_run(w);
    struct trace *t = opened(w);
    ok(trace_named_by(t, w->result.commit, &w->arena, tell, &told, &e), &e);
    trace_close(t);
    assert_text(all_of(&told),
                "out/guide.md out/guide.md, out/hello out/hello, out/hello.o out/hello.o");
}

static void what_measured_is_named_too(void **state)
{
    struct world *w = *state;
    struct told told = {.arena = &w->arena};
    struct err e = {0};
    repository(w);
    w->with_bench = true;
    full_run(w);
    struct trace *t = opened(w);
    ok(trace_named_by(t, w->result.commit, &w->arena, tell, &told, &e), &e);
    trace_close(t);
    assert_holds(all_of(&told), "out/bench.json out/bench.json");
}

static void the_log_of_a_failure_is_named(void **state)
{
    struct world *w = *state;
    struct told told = {.arena = &w->arena};
    struct err e = {0};
    repository(w);
    begin_run(w);
    uint32_t node = graph_find_node(w->graph, "out/hello.o");
    struct action_record *r = arena_memdup(&w->arena, w->outcomes[node].record, sizeof(*r));
    r->exit_code = 1;
    r->log_bytes = 4;
    ok(store_put_bytes(w->store, "oops", 4, &r->log, &e), &e);
    w->outcomes[node].record = r;
    w->outcomes[node].status = STATUS_FAILED;
    w->run.failed = true;
    commit_run(w);
    struct trace *t = opened(w);
    ok(trace_named_by(t, w->result.commit, &w->arena, tell, &told, &e), &e);
    trace_close(t);
    const char *all = all_of(&told);
    assert_holds(all, "log out/hello.o");
    assert_lacks(all, "out/hello.o out/hello.o");
}

static void what_runs_share_is_told_once(void **state)
{
    struct world *w = *state;
    three_runs(w);
    assert_text(kept(w, 0, false),
                "out/guide.md out/guide.md, out/hello out/hello, out/hello out/hello, "
                "out/hello out/hello, out/hello.o out/hello.o, out/hello.o out/hello.o, "
                "out/hello.o out/hello.o");
    assert_text(kept(w, 0, true), "");
}

static void the_latest_runs_can_be_kept(void **state)
{
    struct world *w = *state;
    three_runs(w);
    const char *one = kept(w, 1, false), *two = kept(w, 2, false);
    assert_text(one, "out/guide.md out/guide.md, out/hello out/hello, out/hello.o out/hello.o");
    assert_true(strlen(two) > strlen(one));
    assert_true(strlen(kept(w, 0, false)) > strlen(two));
    assert_text(kept(w, 99, false), kept(w, 0, false));
    /* the other runs are what would be lost, and they are still there */
    assert_holds(kept(w, 1, true), "out/hello.o out/hello.o");
}

static void tags_and_notes_keep_a_run(void **state)
{
    struct world *w = *state;
    three_runs(w);
    const char *one = kept(w, 1, false);
    sh(w, "cd p && git tag kept spak/hello~2");
    assert_true(strlen(kept(w, 1, false)) > strlen(one));
    sh(w, "cd p && git tag -d kept && git tag -a -m kept kept spak/hello~2");
    assert_true(strlen(kept(w, 1, false)) > strlen(one));
    sh(w, "cd p && git tag -d kept");
    assert_text(kept(w, 1, false), one);
    sh(w, "cd p && git notes --ref spak/verify add -m fine spak/hello~1");
    assert_true(strlen(kept(w, 1, false)) > strlen(one));
}

static void a_tag_on_sources_is_no_run(void **state)
{
    struct world *w = *state;
    three_runs(w);
    const char *one = kept(w, 1, false);
    sh(w, "cd p && git tag v1 main && git tag blob $(git rev-parse main:hello.c)");
    assert_text(kept(w, 1, false), one);
}

static void remote_branches_count(void **state)
{
    struct world *w = *state;
    three_runs(w);
    const char *all = kept(w, 0, false);
    sh(w, "cd p && git update-ref refs/remotes/origin/spak/hello spak/hello && "
          "git update-ref -d refs/heads/spak/hello && git remote add origin ../elsewhere");
    assert_text(kept(w, 0, false), all);
    sh(w, "cd p && git update-ref -d refs/remotes/origin/spak/hello && "
          "git update-ref -d refs/notes/spak/run");
    assert_text(kept(w, 0, false), "");
    assert_holds(kept(w, 0, true), "out/hello out/hello");
}

static void an_error_of_the_callers_ends_it(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    three_runs(w);
    struct trace *t = opened(w);
    assert_int_equal(trace_named_by(t, w->result.commit, &w->arena, stop, NULL, &e), -1);
    assert_holds(e.message, "enough of out/");
    err_release(&e);
    assert_int_equal(
        trace_named_by(t, "0123456789012345678901234567890123456789", &w->arena, stop, NULL, &e),
        -1);
    assert_int_equal(e.code, ERR_trace_content);
    err_release(&e);
    trace_close(t);
}

/* Lines that nobody of ours wrote. */
static void lines_of_a_stranger(void **state)
{
    struct world *w = *state;
    struct told told = {.arena = &w->arena};
    struct err e = {0};
    repository(w);
    full_run(w);
    const char *hex = arena_printf(&w->arena, "%064d", 7);
    put("p/lines", arena_printf(&w->arena,
                                "out\nout \nout x\nout x y z\nout %s 5\nout a %s\nout good %s 5\n"
                                "out dir %s 5 folder\nlog\nlog x\nlog %s 4\nout b %.63s 5\n"
                                "out c %s 5 folder folder\n",
                                hex, hex, hex, hex, hex, hex, hex));
    const char *commit = sh(w, "cd p && blob=$(git hash-object -w lines) && "
                               "node=$(printf '100644 blob %%s\\tx\\n' $blob | git mktree) && "
                               "top=$(printf '040000 tree %%s\\tout\\n' $node | git mktree) && "
                               "git log -1 --format=%%B spak/hello | git commit-tree $top");
    struct trace *t = opened(w);
    ok(trace_named_by(t, commit, &w->arena, tell, &told, &e), &e);
    trace_close(t);
    assert_int_equal(told.folders, 1);
    const char *all = all_of(&told);
    assert_holds(all, "good x");
    assert_holds(all, "dir x");
    assert_holds(all, "log x");
    assert_lacks(all, "b x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_run_names_its_outputs),       T(what_measured_is_named_too),
        T(the_log_of_a_failure_is_named),   T(what_runs_share_is_told_once),
        T(the_latest_runs_can_be_kept),     T(tags_and_notes_keep_a_run),
        T(a_tag_on_sources_is_no_run),      T(remote_branches_count),
        T(an_error_of_the_callers_ends_it), T(lines_of_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
