#include "graph_build.h"

#include <string.h>

struct place node_place(const struct graph *g, uint32_t node)
{
    const struct node *n = &g->nodes[node];
    return (struct place){graph_text(g, n->file), (int)n->line, (int)n->column};
}

static const struct graph_name *find(const struct graph *g, const char *text)
{
    uint32_t hash = graph_hash(text, strlen(text)), mask = g->name_count - 1;

    for (uint32_t i = hash & mask, tries = 0; tries < g->name_count; i = (i + 1) & mask, tries++) {
        if (!g->names[i].text)
            return NULL;
        if (!strcmp(graph_text(g, g->names[i].text), text))
            return &g->names[i];
    }
    return NULL;
}

uint32_t graph_find_node(const struct graph *g, const char *name)
{
    const struct graph_name *found = find(g, name);
    return found ? found->node : GRAPH_NONE;
}

uint32_t graph_find_artifact(const struct graph *g, const char *path)
{
    const struct graph_name *found = find(g, path);
    return found ? found->artifact : GRAPH_NONE;
}

static void nearer(const char *candidate, const char *name, const char **best,
                   size_t *best_distance)
{
    size_t d = text_distance(name, candidate);

    if (d < *best_distance) {
        *best = candidate;
        *best_distance = d;
    }
}

const char *graph_nearest(const struct graph *g, const char *name)
{
    const char *best = NULL;
    size_t distance = strlen(name) / 3 + 2;

    for (uint32_t i = 0; i < g->node_count; i++)
        nearer(node_name(g, i), name, &best, &distance);
    for (uint32_t i = 0; i < g->artifact_count; i++)
        if (g->artifacts[i].producer != GRAPH_NONE)
            nearer(artifact_path(g, i), name, &best, &distance);
    return best;
}

static void push_producer(const struct graph *g, uint32_t artifact, uint32_t self, struct ids *out)
{
    uint32_t producer = g->artifacts[artifact].producer;

    /* A node that reads what lies in its own directory output waits for nobody. */
    if (producer != GRAPH_NONE &&
        !(producer == self && g->artifacts[artifact].flags & ARTIFACT_INSIDE))
        ids_push(out, producer);
}

static void push_producers(const struct graph *g, struct slice artifacts, uint32_t self,
                           struct ids *out)
{
    for (uint32_t i = 0; i < artifacts.len; i++)
        push_producer(g, slice_id(g, artifacts, i), self, out);
}

void graph_node_deps(const struct graph *g, uint32_t node, struct ids *out)
{
    const struct node *n = &g->nodes[node];

    push_producers(g, n->inputs, node, out);
    push_producers(g, n->order_only, node, out);
    push_producers(g, n->proofs, node, out);
    if (n->guide != GRAPH_NONE)
        push_producer(g, n->guide, node, out);
    for (uint32_t i = 0; i < n->tools.len; i++) {
        const struct tool *tool = &g->tools[slice_id(g, n->tools, i)];
        if (tool->artifact != GRAPH_NONE)
            push_producer(g, tool->artifact, node, out);
    }
    for (uint32_t i = 0; i < n->members.len; i++)
        ids_push(out, slice_id(g, n->members, i));
}

void graph_topological(const struct graph *g, uint32_t *order)
{
    if (g->node_count)
        memcpy(order, g->order, g->node_count * sizeof(*order));
}

/* Backwards through the order: when a node's turn comes, all that use it have had theirs. */
void graph_reach(const struct graph *g, const uint32_t *roots, size_t count, bool *mark)
{
    struct ids deps = {0};

    memset(mark, 0, g->node_count * sizeof(*mark));
    for (size_t i = 0; i < count; i++)
        mark[roots[i]] = true;
    for (uint32_t at = g->node_count; at-- > 0;) {
        if (!mark[g->order[at]])
            continue;
        deps.len = 0;
        graph_node_deps(g, g->order[at], &deps);
        for (size_t i = 0; i < deps.len; i++)
            mark[deps.at[i]] = true;
    }
    ids_release(&deps);
}
