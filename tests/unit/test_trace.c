#include "trace_world.h"

/* --- the tree --- */

static void a_clean_run_has_the_tree_of_head(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    assert_true(w->result.committed);
    assert_text(w->result.ref, "spak/hello");
    assert_text(w->result.where, "");
    assert_text(sh(w, "git -C p rev-parse spak/hello"), w->result.commit);
    assert_text(sh(w, "git -C p rev-parse spak/hello:src"),
                sh(w, "git -C p rev-parse HEAD^{tree}"));
    assert_sound(w, "p");
    assert_text(sh(w, "git -C p status --porcelain"), "");
}

static void the_tree_holds_plan_out_and_env(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    const char *files = sh(w, "git -C p ls-tree -r --name-only spak/hello plan out env measure");
    assert_text(files, "env/toolchain\nout/files/out/guide.md\nout/out/guide.md\nout/out/hello\n"
                       "out/out/hello.o\nplan/hello\nplan/out/guide.md\nplan/out/hello\n"
                       "plan/out/hello.o");
    const char *plan = sh(w, "git -C p show spak/hello:plan/out/hello.o");
    assert_holds(plan, "arg ${tool:cc}\narg -O2\narg -c\narg hello.c\narg -I${root}/include\n");
    assert_holds(plan, "env LC_ALL C\n");
    const char *hello_c = sh(w, "sha256sum <p/hello.c | cut -d' ' -f1");
    assert_holds(plan, arena_printf(&w->arena, "in hello.c %s\n", hello_c));
    assert_holds(plan, "kind cc\nout out/hello.o\ntool cc");
    const char *link = sh(w, "git -C p show spak/hello:plan/out/hello");
    assert_holds(link, "\nin out/hello.o\n");
    const char *made = sh(w, "git -C p show spak/hello:out/out/hello.o");
    assert_holds(made, "exit 0\n");
    const char *object = sh(w, "printf 'object one' | sha256sum | cut -d' ' -f1");
    assert_holds(made, arena_printf(&w->arena, "out out/hello.o %s 10\nstate ok", object));
    assert_holds(sh(w, "git -C p show spak/hello:out/out/hello"),
                 arena_printf(&w->arena, "in out/hello.o %s\n", object));
    assert_holds(sh(w, "git -C p show spak/hello:env/toolchain"), "cc cc 12.2 ");
    assert_holds(sh(w, "git -C p show spak/hello:env/toolchain"), "\nsandbox none\nspak 1");
    assert_text(sh(w, "git -C p show spak/hello:out/files/out/guide.md"), "out/guide.md");
}

static void nothing_of_this_machine_is_in_the_tree(void **state)
{
    struct world *w = *state;
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    repository(w);
    w->with_bench = true;
    full_run(w);
    const char *all =
        sh(w, "cd p && for f in $(git ls-tree -r --name-only spak/hello plan out env measure); "
              "do echo $f; git show spak/hello:$f | tr -d '\\000'; done");
    assert_lacks(all, w->top);
    assert_lacks(all, "/usr/bin");
    assert_lacks(all, sh(w, "date +%%Y-"));
    if (strlen(host) > 3)
        assert_lacks(all, host);
    assert_text(
        sh(w,
           "cd p && git grep -I -E '(^|[ =])/[a-z]+/' spak/hello -- plan out env measure || true"),
        "");
}

static void every_line_is_key_value_and_sorted(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    assert_text(sh(w, "cd p && for f in $(git ls-tree -r --name-only spak/hello plan out/out); do "
                      "git show spak/hello:$f | grep -v '^arg ' | LC_ALL=C sort -c 2>&1; done"),
                "");
    assert_text(sh(w, "cd p && git grep -v -E '^[a-z-]+ .+$' spak/hello -- plan out/out || true"),
                "");
}

static void the_same_state_gives_the_same_tree_anywhere(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    const char *first = sh(w, "git -C p rev-parse spak/hello^{tree}");
    sh(w, "git clone -q p elsewhere 2>&1");
    begin_run_at(w, arena_printf(&w->arena, "%s/elsewhere", w->top));
    for (uint32_t i = 0; i < w->graph->node_count; i++)
        w->outcomes[i].status = i % 2 ? STATUS_CLEAN : STATUS_RESTORED;
    commit_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C elsewhere rev-parse spak/hello^{tree}"), first);
}

/* --- the branch --- */

static void a_run_that_changed_nothing_commits_nothing(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    const char *refs = sh(w, "git -C p for-each-ref");
    const char *objects = sh(w, "find p/.git/objects -type f | sort");
    begin_run(w);
    for (uint32_t i = 0; i < w->graph->node_count; i++)
        w->outcomes[i].status = STATUS_CLEAN;
    commit_run(w);
    assert_false(w->result.committed);
    assert_text(w->result.commit, "");
    assert_text(sh(w, "git -C p for-each-ref"), refs);
    assert_text(sh(w, "find p/.git/objects -type f | sort"), objects);
}

static void the_only_parent_is_the_previous_trace(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    const char *first = w->result.commit;
    first = arena_strdup(&w->arena, first);
    w->flag = "-O3";
    full_run(w);
    assert_text(sh(w, "git -C p log --format=%%P spak/hello"), first);
    assert_commits(w, "p", "2");
    assert_text(sh(w, "git -C p diff --stat --name-only spak/hello~ spak/hello"),
                "plan/out/hello.o");
}

static void a_failed_run_is_committed_too(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    repository(w);
    full_run(w);
    begin_run(w);
    uint32_t node = graph_find_node(w->graph, "out/hello.o");
    struct action_record *r = arena_alloc(&w->arena, sizeof(*r));
    r->exit_code = 1;
    ok(store_put_bytes(w->store, "boom", 4, &r->log, &e), &e);
    r->log_bytes = 4;
    w->outcomes[node] = (struct outcome){.status = STATUS_FAILED, .record = r};
    w->outcomes[graph_find_node(w->graph, "out/hello")] =
        (struct outcome){.status = STATUS_SKIPPED};
    w->run.failed = true;
    commit_run(w);
    const char *made = sh(w, "git -C p show spak/hello:out/out/hello.o");
    assert_holds(made, "exit 1\n");
    assert_holds(made, arena_printf(&w->arena, "log %s 4\n",
                                    sh(w, "printf boom | sha256sum | cut -d' ' -f1")));
    assert_holds(made, "state failed");
    assert_text(sh(w, "git -C p show spak/hello:out/out/hello"), "state skipped");
    assert_text(sh(w, "git -C p log -1 --format=%%s spak/hello"),
                "hello: out/hello.o failed (failed)");
    assert_text(sh(w, "git -C p log -1 "
                      "--format='%%(trailers:key=Spak-Status,valueonly,separator=)' spak/hello"),
                "failed");
    assert_text(sh(w, "git -C p log -1 --format='%%(trailers:key=Spak-Nodes,valueonly,separator=)' "
                      "spak/hello"),
                "run=2 reused=0 failed=1");
}

static void an_interrupted_run_is_partial(void **state)
{
    struct world *w = *state;
    repository(w);
    begin_run(w);
    w->outcomes[graph_find_node(w->graph, "out/hello")] =
        (struct outcome){.status = STATUS_INTERRUPTED};
    w->run.interrupted = true;
    commit_run(w);
    assert_text(sh(w, "git -C p log -1 --format=%%s spak/hello"),
                "hello: stopped with 1 to go (partial)");
    assert_text(sh(w, "git -C p show spak/hello:out/out/hello"), "state unbuilt");
}

static void a_branch_moved_by_hand_is_continued(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    w->flag = "-O3";
    full_run(w);
    sh(w, "git -C p branch -q -f spak/hello spak/hello~");
    full_run(w);
    assert_true(w->result.committed);
    assert_commits(w, "p", "2");
    sh(w, "git -C p branch -q -f spak/hello main");
    full_run(w);
    assert_text(sh(w, "git -C p rev-parse spak/hello~"), sh(w, "git -C p rev-parse main"));
    assert_holds(sh(w, "git -C p log -1 --format=%%s spak/hello"), "first run");
    assert_sound(w, "p");
}

static void refuse(struct world *w, enum err_code code, const char *part)
{
    struct err e = {0};
    begin_run(w);
    assert_int_equal(trace_commit(&w->run, &w->arena, &w->result, &e), -1);
    assert_int_equal(e.code, code);
    assert_holds(e.message, part);
    assert_non_null(e.hint ? e.hint : e.message);
    assert_false(w->result.committed);
    err_release(&e);
}

static void a_branch_that_is_checked_out_is_left_alone(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    sh(w, "git -C p switch -q spak/hello 2>&1; mkdir -p p/out");
    write_sources("p");
    w->flag = "-O3";
    const char *before = sh(w, "git -C p rev-parse spak/hello");
    refuse(w, ERR_trace_ref, "is checked out");
    assert_text(sh(w, "git -C p rev-parse spak/hello"), before);
}

static void hostile_branches_are_errors(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "git -C p symbolic-ref refs/heads/spak/hello refs/heads/main");
    const char *main = sh(w, "git -C p rev-parse main");
    refuse(w, ERR_trace_ref, "symbolic");
    assert_text(sh(w, "git -C p rev-parse main"), main);
    sh(w, "cd p && rm .git/refs/heads/spak/hello && git rev-parse main:hello.c "
          ">.git/refs/heads/spak/hello");
    refuse(w, ERR_trace_content, "does not lead to a sound commit");
    sh(w, "cd p && echo 1234567890123456789012345678901234567890 >.git/refs/heads/spak/hello");
    refuse(w, ERR_trace_content, "does not lead to a sound commit");
    sh(w, "cd p && rm -r .git/refs/heads/spak .git/logs/refs/heads/spak && git branch -q spak");
    refuse(w, ERR_trace_ref, "spak/hello");
}

static void odd_trees_on_the_branch_do_no_harm(void **state)
{
    struct world *w = *state;
    w->with_bench = true;
    repository(w);
    full_run(w);
    /* files where folders should be, a folder where the summary should be, a commit without
     * trailers */
    sh(w, "cd p && b=$(echo x | git hash-object -w --stdin) && t=$(printf '100644 blob %%s\\tf\\n' "
          "$b | git mktree) && "
          "m=$(printf '040000 tree %%s\\tsummary\\n' $t | git mktree) && "
          "mm=$(printf '040000 tree %%s\\ttest-machine-2c\\n100644 blob %%s\\tfile\\n' $m $b | git "
          "mktree) && "
          "r=$(printf '100644 blob %%s\\tsrc\\n100644 blob %%s\\tplan\\n040000 tree "
          "%%s\\tmeasure\\n' $b $b $mm | git mktree) && "
          "git branch -q -f spak/hello $(echo odd | git commit-tree $r -p spak/hello)");
    full_run(w);
    assert_true(w->result.committed);
    assert_commits(w, "p", "3");
    assert_text(sh(w, "git -C p diff spak/hello~2 spak/hello --stat"), "");
    assert_sound(w, "p");
}

struct racer {
    int number;
    int runs;
};

static void race(struct world *w, const struct racer *r)
{
    for (int i = 0; i < r->runs; i++) {
        w->flag = arena_printf(&w->arena, "-DRACER=%d.%d", r->number, i);
        begin_run(w);
        struct err e = {0};
        if (trace_commit(&w->run, &w->arena, &w->result, &e) || !w->result.committed) {
            fprintf(stderr, "racer %d run %d: %s\n", r->number, i, e.set ? e.message : "no commit");
            _exit(1);
        }
    }
    _exit(0);
}

static void two_that_commit_at_once_lose_nothing(void **state)
{
    struct world *w = *state;
    repository(w);
    pid_t children[2];
    for (int k = 0; k < 2; k++) {
        fflush(NULL);
        children[k] = fork();
        if (children[k] == 0) {
            sprintf(w->top + strlen(w->top), "%s", "");
            race(w, &(struct racer){k, 20});
        }
    }
    for (int k = 0; k < 2; k++) {
        int status;
        waitpid(children[k], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_commits(w, "p", "40");
    assert_text(sh(w, "git -C p log --format=%%P spak/hello | grep -c ' ' || true"), "0");
    assert_text(sh(w, "git -C p notes --ref spak/run list | wc -l"), "40");
    assert_text(
        sh(w,
           "for c in $(git -C p rev-list spak/hello); do git -C p show $c:plan/out/hello.o; done | "
           "grep -o 'RACER=.*' | sort -u | wc -l"),
        "40");
    assert_sound(w, "p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_clean_run_has_the_tree_of_head),
        T(the_tree_holds_plan_out_and_env),
        T(nothing_of_this_machine_is_in_the_tree),
        T(every_line_is_key_value_and_sorted),
        T(the_same_state_gives_the_same_tree_anywhere),
        T(a_run_that_changed_nothing_commits_nothing),
        T(the_only_parent_is_the_previous_trace),
        T(a_failed_run_is_committed_too),
        T(an_interrupted_run_is_partial),
        T(a_branch_moved_by_hand_is_continued),
        T(a_branch_that_is_checked_out_is_left_alone),
        T(hostile_branches_are_errors),
        T(odd_trees_on_the_branch_do_no_harm),
        T(two_that_commit_at_once_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
