#include "protocol.h"

#include <stdlib.h>
#include <string.h>

static const char *const acts[GATE_OBJECT_COUNT] = {
    [GATE_INVARIANT] = "prove", [GATE_HYPOTHESIS] = "reword", [GATE_GUIDE] = "issue",
    [GATE_STUDY] = "try",       [GATE_CANDIDATE] = "check",   [GATE_MEASUREMENT] = "measure",
    [GATE_VERDICT] = "judge",
};

struct reading {
    struct gate *gate;
    const struct plan *plan;
    struct arena *arena;
    uint32_t *from; /* of a search: the node that led here */
    uint32_t *queue;
    bool *seen;
};

static const struct gate_line *last_of(struct reading *r, uint32_t node)
{
    enum gate_object object;
    const char *name;
    return gate_names(r->plan->graph, node, &object, &name) ? gate_last(r->gate, object, name)
                                                            : NULL;
}

static bool fell(const struct gate_line *line)
{
    return line && (line->state == GATE_REFUTED || line->state == GATE_SUSPECT ||
                    (line->object == GATE_STUDY && line->state == GATE_REFUSED));
}

/* "invariant tiny is refuted > hypothesis fast > guide axpy", from what fell up to the node. */
static const char *chain_to(struct reading *r, uint32_t node, uint32_t fallen)
{
    const struct gate_line *line = last_of(r, fallen);
    struct buf text = {0};
    enum gate_object object;
    const char *name;
    buf_addf(&text, "%s %s is %s", gate_object_name(line->object), line->name,
             gate_state_name(line->state));
    if (text_starts_with(line->rest, "because "))
        buf_addf(&text, " (%s)", line->rest);
    for (uint32_t at = r->from[fallen]; at != GRAPH_NONE && at != node; at = r->from[at])
        if (gate_names(r->plan->graph, at, &object, &name))
            buf_addf(&text, " > %s %s", gate_object_name(object), name);
    const char *kept = arena_strdup(r->arena, buf_text(&text));
    buf_release(&text);
    return kept;
}

/* The farthest thing below a node that fell: its chain says most. */
static const char *doubt_of(struct reading *r, uint32_t node)
{
    const struct plan *plan = r->plan;
    size_t begin = 0, end = 0;
    uint32_t fallen = GRAPH_NONE;
    memset(r->seen, 0, plan->graph->node_count);
    r->from[node] = GRAPH_NONE;
    r->queue[end++] = node;
    r->seen[node] = true;
    while (begin < end) {
        uint32_t at = r->queue[begin++];
        if (at != node && fell(last_of(r, at)))
            fallen = at;
        for (uint32_t k = plan->dep_at[at]; k < plan->dep_at[at + 1]; k++) {
            uint32_t dep = plan->deps[k];
            if (r->seen[dep])
                continue;
            r->seen[dep] = true;
            r->from[dep] = at;
            r->queue[end++] = dep;
        }
    }
    if (fallen != GRAPH_NONE)
        return chain_to(r, node, fallen);
    const struct gate_line *own = last_of(r, node);
    return own && own->state == GATE_SUSPECT ? own->rest : NULL;
}

static void leave_hypothesis(struct reading *r, struct protocol_item *item)
{
    bool frozen = gate_freeze(r->gate, item->name) != NULL;
    item->leave = frozen ? PROTOCOL_REFUSED : PROTOCOL_ALLOWED;
    item->code = frozen ? "P108" : "";
    item->why = frozen ? "a lease has frozen its prediction" : "no lease has frozen it";
    item->hint = frozen ? "state a new thought as a hypothesis under another name" : "";
}

/* The nearest object of the protocol that has to come first; texts and compilations come by
 * themselves. */
static uint32_t first_before(struct reading *r, uint32_t node)
{
    const struct plan *plan = r->plan;
    size_t begin = 0, end = 0;
    enum gate_object object;
    const char *name;
    memset(r->seen, 0, plan->graph->node_count);
    r->queue[end++] = node;
    while (begin < end) {
        uint32_t at = r->queue[begin++];
        bool is_object = gate_names(plan->graph, at, &object, &name);
        if (at != node && is_object && object != GATE_HYPOTHESIS &&
            plan->entries[at].verdict != PLAN_CLEAN)
            return at;
        for (uint32_t k = plan->dep_at[at]; k < plan->dep_at[at + 1]; k++)
            if (!r->seen[plan->deps[k]]) {
                r->seen[plan->deps[k]] = true;
                r->queue[end++] = plan->deps[k];
            }
    }
    return GRAPH_NONE;
}

static void leave_planned(struct reading *r, struct protocol_item *item)
{
    const struct plan_entry *entry = &r->plan->entries[item->node];
    item->why = entry->why ? entry->why : "up to date";
    item->leave = PROTOCOL_ALLOWED;
    if (entry->verdict == PLAN_CLEAN) {
        item->leave = PROTOCOL_DONE;
    } else if (entry->verdict == PLAN_REFUSE) {
        item->leave = PROTOCOL_REFUSED;
        item->code = err_info(entry->refusal->code)->id;
        item->why = entry->refusal->message;
        item->hint = entry->refusal->hint ? entry->refusal->hint : "";
    } else if (entry->verdict == PLAN_DEFER) {
        item->leave = PROTOCOL_REFUSED;
    } else {
        uint32_t first = first_before(r, item->node);
        if (first == GRAPH_NONE)
            return;
        item->leave = PROTOCOL_REFUSED;
        item->why = arena_printf(r->arena, "%s comes first", node_name(r->plan->graph, first));
    }
}

/* A lease that would be granted but for the budget. */
static void leave_budget(struct reading *r, struct protocol_item *item)
{
    struct err e = {0};
    if (item->object != GATE_MEASUREMENT || item->leave != PROTOCOL_ALLOWED)
        return;
    if (gate_afford(r->gate, r->plan->graph, item->node, &e) < 0 && err_class(&e) == ERR_PROTOCOL) {
        item->leave = PROTOCOL_REFUSED;
        item->code = err_info(e.code)->id;
        item->why = arena_strdup(r->arena, e.message);
        item->hint = e.hint ? arena_strdup(r->arena, e.hint) : "";
    }
    err_release(&e);
}

static void read_item(struct reading *r, struct protocol_item *item)
{
    const struct plan_entry *entry = &r->plan->entries[item->node];
    item->last = gate_last(r->gate, item->object, item->name);
    item->act = acts[item->object];
    item->code = item->hint = "";
    item->doubt = doubt_of(r, item->node);
    item->spent = gate_spent(r->gate, r->plan->graph, item->node, r->arena);
    if (item->last && entry->verdict != PLAN_CLEAN && entry->verdict != PLAN_REFUSE)
        item->stale = entry->why;
    if (item->object == GATE_HYPOTHESIS)
        leave_hypothesis(r, item);
    else
        leave_planned(r, item);
    leave_budget(r, item);
}

static int by_object(const void *a, const void *b)
{
    const struct protocol_item *x = a, *y = b;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    return strcmp(x->name, y->name);
}

void protocol_read(struct gate *gate, const struct plan *plan, struct arena *arena,
                   struct protocol_item **out, size_t *count)
{
    uint32_t nodes = plan->graph->node_count;
    struct reading r = {.gate = gate, .plan = plan, .arena = arena};
    r.from = arena_alloc(arena, (nodes + 1) * sizeof *r.from);
    r.queue = arena_alloc(arena, (nodes + 1) * sizeof *r.queue);
    r.seen = arena_alloc(arena, nodes + 1);
    *out = arena_alloc(arena, (plan->order.len + 1) * sizeof **out);
    *count = 0;
    for (size_t i = 0; i < plan->order.len; i++) {
        struct protocol_item *item = &(*out)[*count];
        item->node = plan->order.at[i];
        if (!gate_names(plan->graph, item->node, &item->object, &item->name))
            continue;
        read_item(&r, item);
        ++*count;
    }
    qsort(*out, *count, sizeof **out, by_object);
}
