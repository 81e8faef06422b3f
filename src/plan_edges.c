#include "plan_internal.h"

#include <stdlib.h>
#include <string.h>

/* `seen` holds for each node the last one that took it as a dependency, plus 1. */
static void add_deps(const struct graph *g, uint32_t node, uint32_t *seen, struct ids *scratch,
                     struct ids *out)
{
    scratch->len = 0;
    graph_node_deps(g, node, scratch);
    for (size_t i = 0; i < scratch->len; i++) {
        uint32_t dep = scratch->at[i];
        if (dep == GRAPH_NONE || dep == node || seen[dep] == node + 1)
            continue;
        seen[dep] = node + 1;
        ids_push(out, dep);
    }
}

static void turn_round(struct plan *plan)
{
    uint32_t count = plan->graph->node_count, edges = plan->dep_at[count];
    plan->user_at = xcalloc(count + 2, sizeof *plan->user_at);
    plan->users = xmalloc((edges + 1) * sizeof *plan->users);
    for (uint32_t i = 0; i < edges; i++)
        plan->user_at[plan->deps[i] + 2]++;
    for (uint32_t n = 0; n < count; n++)
        plan->user_at[n + 2] += plan->user_at[n + 1];
    for (uint32_t n = 0; n < count; n++)
        for (uint32_t i = plan->dep_at[n]; i < plan->dep_at[n + 1]; i++)
            plan->users[plan->user_at[plan->deps[i] + 1]++] = n;
}

void plan_edges_make(struct plan *plan)
{
    uint32_t count = plan->graph->node_count;
    struct ids deps = {0}, scratch = {0};
    uint32_t *seen = xcalloc(count + 1, sizeof *seen);
    plan->dep_at = xcalloc(count + 1, sizeof *plan->dep_at);
    for (uint32_t node = 0; node < count; node++) {
        add_deps(plan->graph, node, seen, &scratch, &deps);
        plan->dep_at[node + 1] = (uint32_t)deps.len;
    }
    free(seen);
    ids_release(&scratch);
    plan->deps = deps.at ? deps.at : xcalloc(1, sizeof *plan->deps);
    turn_round(plan);
}

void plan_edges_free(struct plan *plan)
{
    free(plan->deps);
    free(plan->dep_at);
    free(plan->users);
    free(plan->user_at);
    plan->deps = plan->dep_at = plan->users = plan->user_at = NULL;
}
