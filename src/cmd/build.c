#include "project.h"

#include <stdio.h>
#include <string.h>

/* What a target wants to be read at the end: the table of a study. */
static void show_target(const struct session *s, uint32_t node)
{
    const struct graph *g = s->graph;
    struct buf text = {0};
    struct err ignored = {0};
    if (!g->nodes[node].show)
        return;
    if (os_read(graph_text(g, g->nodes[node].show), &text, &ignored) < 0)
        err_release(&ignored);
    fwrite(buf_text(&text), 1, text.len, stdout);
    fflush(stdout); /* what is said next goes to the other stream */
    buf_release(&text);
}

static void dry_run(struct cmd_context *c, const struct build_report *report)
{
    const struct plan *plan = report->plan;
    size_t count = 0;
    if (c->json) {
        project_print_json(json_pack("{s:s, s:o}", "event", "plan", "nodes", plan_to_json(plan)));
        return;
    }
    for (size_t i = 0; i < plan->order.len; i++) {
        uint32_t node = plan->order.at[i];
        const struct plan_entry *entry = &plan->entries[node];
        if (entry->verdict == PLAN_CLEAN || plan->graph->nodes[node].action == NODE_GROUP)
            continue;
        printf("%-7s %s: %s\n", plan_verdict_text(entry->verdict), node_name(plan->graph, node),
               entry->why ? entry->why : "");
        count++;
    }
    if (count == 0 && !cmd_flag(c, "quiet"))
        puts("nothing to do");
}

static int build(struct cmd_context *c, struct session *s, struct build_report *report,
                 struct err *e)
{
    struct build_options o;
    if (project_build_options(c, &o, e) < 0 || build_plan(s, &o, &c->args, report, e) < 0)
        return -1;
    if (cmd_flag(c, "dry-run")) {
        dry_run(c, report);
        return 0;
    }
    struct console *console = project_console(c, &o);
    int rc = build_run(s, &o, report, e);
    console_close(console);
    if (rc < 0)
        return -1;
    c->status = build_status(report);
    for (size_t i = 0; i < report->roots.len && c->status == 0 && !c->json && !cmd_flag(c, "quiet");
         i++)
        show_target(s, report->roots.at[i]);
    project_tell(c, s, report);
    return 0;
}

/* Whoever wants to hear of every node has every node decided for. */
static bool wants_each_node(const struct cmd_context *c)
{
    return c->json || cmd_flag(c, "force");
}

static bool is_still(struct cmd_context *c, const struct session *s, int64_t begin_ns)
{
    uint32_t nodes;
    if (cmd_flag(c, "dry-run") || cmd_flag(c, "stats") || cmd_flag(c, "verbose") ||
        !session_is_still(s, &c->args, !cmd_flag(c, "no-trace"), &nodes))
        return false;
    project_tell_still(c, nodes, os_monotonic_ns() - begin_ns);
    return true;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct build_report report = {0};
    int64_t begin_ns = os_monotonic_ns();
    int rc = project_enter(c, "build", true, &s, e);
    if (rc == 0 && !wants_each_node(c))
        rc = session_look(&s, e);
    if (rc == 0 && is_still(c, &s, begin_ns))
        goto out;
    if (rc == 0)
        rc = project_load(c, true, &s, e);
    if (rc == 0)
        rc = build(c, &s, &report, e);
out:
    build_release(&report);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}

static const struct cmd_option options[] = {
    {'n', "dry-run", CMD_FLAG, NULL, "only say what would run, and why"},
    CMD_BUILD_OPTIONS,
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak build",
    "build the default targets",
    "spak build fmha",
    "build a target and commit its trace to the branch spak/fmha",
    "spak build out/hello.o",
    "build one file",
    "spak build -n",
    "say what would run, and why",
    "spak build -k -j4",
    "four commands at once, and go on after a failure",
    "spak build -D debug=1",
    "set a parameter that the spakfile reads",
    NULL,
};

const struct cmd cmd_build = {
    .name = "build",
    .summary = "build targets, and commit a trace of it",
    .usage = "[OPTION]... [TARGET|FILE|NODE]...",
    .text = "Builds what is named, or the default targets: runs the commands whose inputs, "
            "arguments or tools have changed, restores what was "
            "built before in the same way, and leaves the rest alone. A name may be a target, a "
            "node or a file; its end is enough "
            "where only one fits.\n\nAfterwards each named target gets a commit on its branch "
            "spak/TARGET that holds what was run, with what, "
            "and what came of it.\n\nExit status: 0 done, 1 a node failed, 2 wrong usage or "
            "spakfile, 3 an invariant or the protocol refused, 130 interrupted.",
    .options = options,
    .examples = examples,
    .run = run,
};
