#include "run_internal.h"

#include <string.h>

/* Unknown nodes count as long ones: starting a long one late costs more than starting a short one
 * early. */
#define UNKNOWN_NS (500 * INT64_C(1000000))

void run_weigh(struct run *r)
{
    const struct plan *plan = r->plan;
    for (size_t i = plan->order.len; i > 0; i--) {
        uint32_t node = plan->order.at[i - 1];
        const struct plan_entry *entry = &plan->entries[node];
        int64_t longest = 0;
        for (uint32_t k = plan->user_at[node]; k < plan->user_at[node + 1]; k++)
            if (r->weight_ns[plan->users[k]] > longest)
                longest = r->weight_ns[plan->users[k]];
        int64_t own = entry->last_wall_ns ? entry->last_wall_ns : UNKNOWN_NS;
        r->weight_ns[node] = longest + (run_node(r, node)->action == NODE_GROUP ? 0 : own);
    }
}

void run_measure_bound(struct run *r)
{
    const struct plan *plan = r->plan;
    struct run_progress *counts = &r->result->counts;
    counts->jobs = r->options->jobs;
    int64_t *chain_ns = arena_alloc(r->arena, (plan->node_count + 1) * sizeof *chain_ns);
    for (size_t i = 0; i < plan->order.len; i++) {
        uint32_t node = plan->order.at[i];
        int64_t longest = 0, own = r->result->outcomes[node].wall_ns;
        for (uint32_t k = plan->dep_at[node]; k < plan->dep_at[node + 1]; k++)
            if (chain_ns[plan->deps[k]] > longest)
                longest = chain_ns[plan->deps[k]];
        chain_ns[node] = longest + own;
        counts->work_ns += own;
        if (chain_ns[node] > counts->chain_ns)
            counts->chain_ns = chain_ns[node];
    }
}

/* Heaviest first; among equals the one declared first. */
static bool is_before(const struct run *r, uint32_t a, uint32_t b)
{
    if (r->weight_ns[a] != r->weight_ns[b])
        return r->weight_ns[a] > r->weight_ns[b];
    return a < b;
}

static void swap(struct ids *heap, size_t a, size_t b)
{
    uint32_t id = heap->at[a];
    heap->at[a] = heap->at[b];
    heap->at[b] = id;
}

static void heap_push(const struct run *r, struct ids *heap, uint32_t node)
{
    ids_push(heap, node);
    for (size_t i = heap->len - 1; i > 0 && is_before(r, heap->at[i], heap->at[(i - 1) / 2]);
         i = (i - 1) / 2)
        swap(heap, i, (i - 1) / 2);
}

static uint32_t heap_pop(const struct run *r, struct ids *heap)
{
    uint32_t top = heap->at[0];
    heap->at[0] = heap->at[--heap->len];
    for (size_t i = 0;;) {
        size_t best = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < heap->len && is_before(r, heap->at[child], heap->at[best]))
                best = child;
        if (best == i)
            return top;
        swap(heap, i, best);
        i = best;
    }
}

void run_queue_push(struct run *r, uint32_t node)
{
    heap_push(r, run_node(r, node)->flags & NODE_MEASURES ? &r->measuring : &r->queue, node);
}

/* The console is a pool of one without having been declared. */
static bool has_room(const struct run *r, uint32_t node)
{
    const struct node *n = run_node(r, node);
    if (r->running.len >= r->jobs_at_most && !run_hands_may(r, node))
        return false;
    if (n->pool != GRAPH_NONE && r->pool_used[n->pool] >= run_graph(r)->pools[n->pool].depth)
        return false;
    if (!(n->flags & NODE_CONSOLE))
        return true;
    for (size_t i = 0; i < r->running.len; i++)
        if (run_node(r, r->running.at[i])->flags & NODE_CONSOLE)
            return false;
    return true;
}

static uint32_t pop_with_room(struct run *r)
{
    struct ids full = {0};
    uint32_t found = GRAPH_NONE;
    while (r->queue.len > 0 && found == GRAPH_NONE) {
        uint32_t node = heap_pop(r, &r->queue);
        if (has_room(r, node))
            found = node;
        else
            ids_push(&full, node);
    }
    for (size_t i = 0; i < full.len; i++)
        heap_push(r, &r->queue, full.at[i]);
    ids_release(&full);
    return found;
}

/* What measures waits until nothing else is left to do: the machine is quiet then. */
uint32_t run_queue_pop(struct run *r)
{
    r->starved = false;
    if (r->stopping || r->alone || r->running.len >= r->jobs_at_most + run_hands_ahead(r))
        return GRAPH_NONE;
    bool measure = r->queue.len == 0 && r->measuring.len > 0;
    if (measure && (r->running.len > 0 || r->over))
        return GRAPH_NONE;
    if (r->queue.len == 0 && !measure)
        return GRAPH_NONE;
    r->starved = !jobserver_take(&r->jobserver, r->running.len);
    if (r->starved)
        return GRAPH_NONE;
    uint32_t node = measure ? heap_pop(r, &r->measuring) : pop_with_room(r);
    if (node == GRAPH_NONE)
        jobserver_give(&r->jobserver, r->running.len);
    return node;
}

void run_queue_started(struct run *r, uint32_t node)
{
    const struct node *n = run_node(r, node);
    ids_push(&r->running, node);
    if (n->pool != GRAPH_NONE)
        r->pool_used[n->pool]++;
    if (n->flags & NODE_MEASURES)
        r->alone = true;
}

void run_queue_ended(struct run *r, uint32_t node)
{
    const struct node *n = run_node(r, node);
    size_t at = 0;
    while (at < r->running.len && r->running.at[at] != node)
        at++;
    if (at == r->running.len)
        return;
    memmove(&r->running.at[at], &r->running.at[at + 1],
            (r->running.len - at - 1) * sizeof *r->running.at);
    r->running.len--;
    if (n->pool != GRAPH_NONE)
        r->pool_used[n->pool]--;
    if (n->flags & NODE_MEASURES)
        r->alone = false;
    jobserver_give(&r->jobserver, r->running.len);
}
