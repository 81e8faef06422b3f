#include "project.h"

#include <stdio.h>
#include <string.h>

/* "out/app: out/a.o may change", then what lies behind it, one line each, down to the change
 * itself. */
static void print_chain(const struct plan *plan, uint32_t node)
{
    const struct graph *g = plan->graph;
    uint32_t cause = plan->entries[node].cause;
    for (size_t depth = 0; cause != GRAPH_NONE && depth < plan->order.len; depth++) {
        const struct plan_entry *entry = &plan->entries[cause];
        if (g->nodes[cause].action != NODE_GROUP)
            printf("          because %s: %s\n", node_name(g, cause), entry->why ? entry->why : "");
        cause = entry->cause;
    }
}

static void print_text(struct cmd_context *c, const struct plan *plan)
{
    for (size_t i = 0; i < plan->order.len; i++) {
        uint32_t node = plan->order.at[i];
        const struct plan_entry *entry = &plan->entries[node];
        if (entry->verdict == PLAN_CLEAN || plan->graph->nodes[node].action == NODE_GROUP)
            continue;
        printf("%-7s %s", plan_verdict_text(entry->verdict), node_name(plan->graph, node));
        if (cmd_flag(c, "why"))
            printf(": %s", entry->why ? entry->why : "");
        putchar('\n');
        if (cmd_flag(c, "why"))
            print_chain(plan, node);
    }
    printf("%zu to run, %zu may have to run, %zu to restore, %zu up to date\n",
           plan_count(plan, PLAN_RUN), plan_count(plan, PLAN_MAYBE), plan_count(plan, PLAN_RESTORE),
           plan_count(plan, PLAN_CLEAN));
}

static void print_json(const struct plan *plan)
{
    json_t *nodes = plan_to_json(plan), *node;
    size_t i;
    json_array_foreach(nodes, i, node) project_print_json(json_incref(node));
    json_decref(nodes);
}

static int plan(struct cmd_context *c, struct session *s, struct build_report *report,
                struct err *e)
{
    struct build_options o = {.force = cmd_flag(c, "force")};
    if (build_plan(s, &o, &c->args, report, e) < 0)
        return -1;
    if (c->json)
        print_json(report->plan);
    else
        print_text(c, report->plan);
    return 0;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct build_report report = {0};
    int rc = project_open(c, "plan", true, &s, e);
    if (rc == 0)
        rc = plan(c, &s, &report, e);
    build_release(&report);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}

static const struct cmd_option options[] = {
    {'w', "why", CMD_FLAG, NULL, "say for each node why, and what lies behind it"},
    {'B', "force", CMD_FLAG, NULL, "as if every node had to run"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak plan",
    "what a build would do now",
    "spak plan --why fmha",
    "why each node of fmha would run",
    "spak plan --json",
    "one object a node, for programs",
    NULL,
};

const struct cmd cmd_plan = {
    .name = "plan",
    .summary = "say what a build would run, and why",
    .usage = "[OPTION]... [TARGET|FILE|NODE]...",
    .text = "Decides as a build would, and runs nothing. A node is to run, to be restored from the "
            "store, or may have to run: then something it depends "
            "on has to run first, and if that comes out the same, the node is left alone.",
    .options = options,
    .examples = examples,
    .run = run,
};
