#include "project.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED_EXIT 77 /* what a test says that finds no tool or device it needs */

struct tally {
    size_t passed, failed, skipped;
};

static void add_reach(const struct plan *plan, const struct outcome *outcomes, struct tally *t)
{
    for (size_t i = 0; i < plan->order.len; i++) {
        uint32_t node = plan->order.at[i];
        const struct outcome *o = &outcomes[node];
        if (!(plan->graph->nodes[node].flags & NODE_TEST))
            continue;
        bool good =
            o->status == STATUS_RAN || o->status == STATUS_CLEAN || o->status == STATUS_RESTORED;
        if (o->status == STATUS_DEFERRED || (o->record && o->record->exit_code == SKIPPED_EXIT))
            t->skipped++;
        else if (good)
            t->passed++;
        else
            t->failed++;
    }
}

static void tell(struct cmd_context *c, const struct tally *t)
{
    if (c->json) {
        project_print_json(json_pack("{s:s, s:I, s:I, s:I}", "event", "tests", "passed",
                                     (json_int_t)t->passed, "failed", (json_int_t)t->failed,
                                     "skipped", (json_int_t)t->skipped));
        return;
    }
    printf("%zu passed, %zu failed", t->passed, t->failed);
    if (t->skipped)
        printf(", %zu skipped", t->skipped);
    putchar('\n');
}

/* The target that the project calls test or, without one, whatever is a test. */
static int name_tests(const struct session *s, struct strs *names, struct err *e)
{
    const struct graph *g = s->graph;
    if (graph_find_node(g, "test") != GRAPH_NONE) {
        strs_push(names, "test");
        return 0;
    }
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].flags & NODE_TEST)
            strs_push(names, arena_strdup(s->arena, node_name(g, i)));
    if (names->len)
        return 0;
    err_set(e, ERR_target_unknown, "this project has no tests");
    return err_hint(
        e, "use \"test\" and test \"NAME\" { program = \"...\" } in the spakfile declare one");
}

static int test(struct cmd_context *c, struct session *s, struct build_report *report,
                struct err *e)
{
    struct build_options o;
    struct tally tally = {0};
    if (c->args.len == 0 && name_tests(s, &c->args, e) < 0)
        return -1;
    if (project_build_options(c, &o, e) < 0 || build_plan(s, &o, &c->args, report, e) < 0)
        return -1;
    o.keep_going = true;
    struct console *console = project_console(c, &o);
    int rc = build_run(s, &o, report, e);
    console_close(console);
    if (rc < 0)
        return -1;
    c->status = build_status(report);
    project_tell(c, s, report);
    add_reach(report->plan, report->result.outcomes, &tally);
    tell(c, &tally);
    return 0;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct build_report report = {0};
    int rc = project_enter(c, "test", true, &s, e);
    if (rc == 0 && !c->json && !cmd_flag(c, "force"))
        rc = session_look(&s, e);
    if (rc == 0)
        rc = project_load(c, true, &s, e);
    if (rc == 0)
        rc = test(c, &s, &report, e);
    build_release(&report);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}

static const struct cmd_option options[] = {
    CMD_BUILD_OPTIONS,
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak test",
    "run every test that something has changed for",
    "spak test unit/key",
    "run one",
    "spak test -B",
    "run all of them again",
    NULL,
};

const struct cmd cmd_test = {
    .name = "test",
    .summary = "run the tests, and count them",
    .usage = "[OPTION]... [TEST]...",
    .text = "Builds the target test (without one: every test there is), or the tests named, and "
            "goes on after a failure. A test that "
            "passed before with the same inputs has passed and is not "
            "run again. The last line counts: passed, failed, skipped (exit status 77: something "
            "it needs is not here).",
    .options = options,
    .examples = examples,
    .run = run,
};
