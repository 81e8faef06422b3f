#include "graph_build.h"

#include <stdlib.h>
#include <string.h>

static bool slice_fits(const struct graph *g, struct slice s)
{
    return (uint64_t)s.at + s.len <= g->id_count;
}

/* All ids of the slice are below `limit`. */
static bool ids_below(const struct graph *g, struct slice s, uint32_t limit)
{
    if (!slice_fits(g, s))
        return false;
    for (uint32_t i = 0; i < s.len; i++)
        if (g->ids[s.at + i] >= limit)
            return false;
    return true;
}

static bool below_or_none(uint32_t id, uint32_t limit)
{
    return id == GRAPH_NONE || id < limit;
}

static bool texts_fit(const struct graph *g, const text_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= g->text_bytes)
            return false;
    return true;
}

static bool outputs_are_own(const struct graph *g, uint32_t node)
{
    struct slice outputs = g->nodes[node].outputs;

    for (uint32_t i = 0; i < outputs.len; i++)
        if (g->artifacts[slice_id(g, outputs, i)].producer != node)
            return false;
    return true;
}

static bool node_is_sound(const struct graph *g, uint32_t id)
{
    const struct node *n = &g->nodes[id];
    const text_id texts[] = {n->name,      n->kind, n->doc,  n->file, n->depfile,
                             n->stdout_to, n->text, n->show, n->dir};

    return texts_fit(g, texts, ARRAY_LEN(texts)) && n->action <= NODE_DRIVER &&
           ids_below(g, n->argv, g->text_bytes) && ids_below(g, n->env, g->text_bytes) &&
           n->env.len % 2 == 0 && ids_below(g, n->params, g->text_bytes) &&
           n->params.len % 2 == 0 && ids_below(g, n->reads, g->text_bytes) &&
           ids_below(g, n->facts, g->fact_count) && ids_below(g, n->tools, g->tool_count) &&
           ids_below(g, n->inputs, g->artifact_count) &&
           ids_below(g, n->order_only, g->artifact_count) &&
           ids_below(g, n->proofs, g->artifact_count) &&
           ids_below(g, n->outputs, g->artifact_count) && ids_below(g, n->members, g->node_count) &&
           below_or_none(n->pool, g->pool_count) && below_or_none(n->guide, g->artifact_count) &&
           n->line <= INT32_MAX && n->column <= INT32_MAX && outputs_are_own(g, id);
}

static bool others_are_sound(const struct graph *g)
{
    for (uint32_t i = 0; i < g->artifact_count; i++) {
        const struct artifact *a = &g->artifacts[i];
        if (a->path >= g->text_bytes || !below_or_none(a->producer, g->node_count) ||
            !ids_below(g, a->users, g->node_count))
            return false;
    }
    for (uint32_t i = 0; i < g->tool_count; i++) {
        const struct tool *t = &g->tools[i];
        const text_id texts[] = {t->name, t->path, t->version};
        if (!texts_fit(g, texts, ARRAY_LEN(texts)) || !ids_below(g, t->files, g->text_bytes) ||
            !below_or_none(t->artifact, g->artifact_count))
            return false;
    }
    for (uint32_t i = 0; i < g->fact_count; i++)
        if (g->facts[i].name >= g->text_bytes || g->facts[i].value >= g->text_bytes)
            return false;
    for (uint32_t i = 0; i < g->pool_count; i++)
        if (g->pools[i].name >= g->text_bytes)
            return false;
    for (uint32_t i = 0; i < g->read_count; i++)
        if (g->reads[i].what >= g->text_bytes || g->reads[i].kind > READ_ENV)
            return false;
    return true;
}

static bool names_are_sound(const struct graph *g)
{
    if (!g->name_count || g->name_count & (g->name_count - 1))
        return false;
    for (uint32_t i = 0; i < g->name_count; i++) {
        const struct graph_name *n = &g->names[i];
        if (!n->text)
            continue;
        if (n->text >= g->text_bytes || !below_or_none(n->node, g->node_count) ||
            !below_or_none(n->artifact, g->artifact_count))
            return false;
    }
    return true;
}

/* The order names every node once, and never before what it waits for: then there is no cycle
 * either. */
static bool order_is_sound(const struct graph *g)
{
    bool *seen = xcalloc(g->node_count + 1, sizeof(*seen));
    struct ids deps = {0};
    bool sound = true;

    for (uint32_t at = 0; sound && at < g->node_count; at++) {
        uint32_t n = g->order[at];
        sound = n < g->node_count && !seen[n];
        if (!sound)
            break;
        deps.len = 0;
        graph_node_deps(g, n, &deps);
        for (size_t i = 0; i < deps.len; i++)
            sound = sound && seen[deps.at[i]];
        seen[n] = true;
    }
    ids_release(&deps);
    free(seen);
    return sound;
}

bool graph_is_sound(const struct graph *g)
{
    if (!g->text_bytes || g->text[0] || g->text[g->text_bytes - 1] ||
        g->trace_to >= g->text_bytes || g->users_at > g->id_count || !g->id_count || !g->users_at)
        return false;
    if (!others_are_sound(g) || !names_are_sound(g))
        return false;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (!node_is_sound(g, i))
            return false;
    return order_is_sound(g);
}
