#include "plan_internal.h"

#include <stdlib.h>
#include <string.h>

/* Nodes on their way to a decision: Kahn's order, to which a driver's old questions are added on
 * the way. */
struct walk {
    struct plan *plan;
    uint32_t *pending; /* undecided dependencies of each node */
    bool *fresh;       /* wanted in this walk and undecided */
    bool *replayed;    /* a driver whose old questions were added */
    struct ids queue;
    size_t next;
    struct ids waits; /* (asked node, driver) by turns */
    struct ids *added;
    bool from_nothing; /* the store has no record at all */
};

const char *status_text(enum node_status status)
{
    static const char *const text[] = {"unwanted", "waiting",    "clean",   "restored",
                                       "ran",      "failed",     "refused", "deferred",
                                       "skipped",  "interrupted"};
    return text[status];
}

static void *grown(struct arena *arena, const void *old, size_t old_len, size_t len, size_t bytes)
{
    void *now = arena_alloc(arena, (len + 1) * bytes);
    if (old_len)
        memcpy(now, old, old_len * bytes);
    return now;
}

static void take_graph(struct plan *plan, const struct graph *g)
{
    struct arena *arena = plan->arena;
    uint32_t artifacts = plan->artifact_count;
    plan->entries =
        grown(arena, plan->entries, plan->node_count, g->node_count, sizeof *plan->entries);
    plan->digests =
        grown(arena, plan->digests, artifacts, g->artifact_count, sizeof *plan->digests);
    plan->present =
        grown(arena, plan->present, artifacts, g->artifact_count, sizeof *plan->present);
    plan->graph = g;
    plan->node_count = g->node_count;
    plan->artifact_count = g->artifact_count;
    plan_edges_free(plan);
    plan_edges_make(plan);
}

void plan_grow(struct plan *plan, const struct graph *g)
{
    take_graph(plan, g);
}

static void start_node(struct walk *w, uint32_t node)
{
    w->fresh[node] = true;
    w->plan->entries[node].verdict = PLAN_MAYBE;
    w->plan->entries[node].cause = GRAPH_NONE;
}

/* Marks the nodes and all below them that are not wanted yet, and queues those that wait for
 * nothing. */
static void add_wanted(struct walk *w, const uint32_t *roots, size_t count)
{
    struct plan *plan = w->plan;
    struct ids found = {0};
    for (size_t i = 0; i < count; i++)
        if (plan->entries[roots[i]].verdict == PLAN_UNWANTED) {
            start_node(w, roots[i]);
            ids_push(&found, roots[i]);
        }
    for (size_t i = 0; i < found.len; i++)
        for (uint32_t k = plan->dep_at[found.at[i]]; k < plan->dep_at[found.at[i] + 1]; k++)
            if (plan->entries[plan->deps[k]].verdict == PLAN_UNWANTED) {
                start_node(w, plan->deps[k]);
                ids_push(&found, plan->deps[k]);
            }
    for (size_t i = 0; i < found.len; i++) {
        for (uint32_t k = plan->dep_at[found.at[i]]; k < plan->dep_at[found.at[i] + 1]; k++)
            w->pending[found.at[i]] += w->fresh[plan->deps[k]];
        if (w->pending[found.at[i]] == 0)
            ids_push(&w->queue, found.at[i]);
    }
    ids_release(&found);
}

static bool makes_folder(const struct graph *g, uint32_t node)
{
    for (uint32_t i = 0; i < g->nodes[node].outputs.len; i++)
        if (g->artifacts[slice_id(g, g->nodes[node].outputs, i)].flags & ARTIFACT_DIRECTORY)
            return true;
    return false;
}

/* True when the outputs of a dependency are known. What still lies in the store does for a key; not
 * for the gate, which reads it, nor for a folder, whose single files have digests only on disk. */
static bool is_settled(const struct plan *plan, uint32_t dep, bool on_disk)
{
    const struct plan_entry *entry = &plan->entries[dep];
    if (!entry->final)
        return false;
    return entry->verdict == PLAN_CLEAN ||
           (entry->verdict == PLAN_RESTORE && !on_disk && !makes_folder(plan->graph, dep));
}

static uint32_t find_unsettled(const struct plan *plan, uint32_t node)
{
    bool on_disk = plan->graph->nodes[node].flags & NODE_MEASURES;
    for (uint32_t k = plan->dep_at[node]; k < plan->dep_at[node + 1]; k++)
        if (!is_settled(plan, plan->deps[k], on_disk))
            return plan->deps[k];
    return GRAPH_NONE;
}

/* A driver that may be replayed waits for what it had asked for. */
static int add_replay(struct walk *w, uint32_t driver, bool *waits, struct err *e)
{
    struct ids asked = {0};
    bool found;
    int rc = plan_driver_asked(w->plan, driver, &asked, &found, e);
    w->replayed[driver] = true;
    *waits = false;
    if (rc == 0 && found && asked.len > 0) {
        add_wanted(w, asked.at, asked.len);
        for (size_t i = 0; i < asked.len; i++)
            if (w->fresh[asked.at[i]]) {
                ids_push(&w->waits, asked.at[i]);
                ids_push(&w->waits, driver);
                w->pending[driver]++;
                *waits = true;
            }
    }
    ids_release(&asked);
    return rc;
}

static void release_one(struct walk *w, uint32_t node)
{
    if (w->fresh[node] && --w->pending[node] == 0)
        ids_push(&w->queue, node);
}

static void end_node(struct walk *w, uint32_t node)
{
    struct plan *plan = w->plan;
    w->fresh[node] = false;
    ids_push(&plan->order, node);
    if (w->added)
        ids_push(w->added, node);
    for (uint32_t k = plan->user_at[node]; k < plan->user_at[node + 1]; k++)
        release_one(w, plan->users[k]);
    for (size_t i = 0; i < w->waits.len; i += 2)
        if (w->waits.at[i] == node)
            release_one(w, w->waits.at[i + 1]);
}

/* What comes out of the store may be another output than the one the node has seen. */
static bool is_still(const struct plan *plan, uint32_t node)
{
    const struct plan_options *o = &plan->options;
    if (!o->still || node >= o->still_count || !o->still[node] || o->force)
        return false;
    for (uint32_t k = plan->dep_at[node]; k < plan->dep_at[node + 1]; k++)
        if (plan->entries[plan->deps[k]].verdict != PLAN_CLEAN)
            return false;
    return true;
}

/* Where nothing was ever recorded there is nothing to find: a command runs, and its key can wait
 * until it does, which is when others run beside its making. Whom the gate or a device may turn
 * away is looked at now. */
static bool runs_surely(const struct walk *w, uint32_t node)
{
    const struct node *n = &w->plan->graph->nodes[node];
    return w->from_nothing && n->action == NODE_COMMAND && !w->plan->options.force &&
           !(n->flags & (NODE_ALWAYS | NODE_DEVICE | NODE_MEASURES | NODE_OUTER | NODE_INNER));
}

static int visit(struct walk *w, uint32_t node, struct err *e)
{
    struct plan *plan = w->plan;
    uint32_t cause = find_unsettled(plan, node);
    bool waits = false;
    if (cause != GRAPH_NONE || runs_surely(w, node)) {
        plan->entries[node].sure = runs_surely(w, node);
        if (plan_forecast(plan, node, cause, e) < 0)
            return -1;
        end_node(w, node);
        return 0;
    }
    if (is_still(plan, node)) {
        plan->entries[node].verdict = PLAN_CLEAN;
        plan->entries[node].final = true;
        end_node(w, node);
        return 0;
    }
    if (plan->graph->nodes[node].action == NODE_DRIVER && !plan->options.force &&
        !w->replayed[node] && add_replay(w, node, &waits, e) < 0)
        return -1;
    if (waits)
        return 0;
    if (plan_decide(plan, node, e) < 0)
        return -1;
    end_node(w, node);
    return 0;
}

int plan_want(struct plan *plan, const uint32_t *roots, size_t count, struct ids *added,
              struct err *e)
{
    size_t nodes = plan->graph->node_count + 1;
    struct walk w = {.plan = plan,
                     .pending = xcalloc(nodes, sizeof *w.pending),
                     .fresh = xcalloc(nodes, sizeof *w.fresh),
                     .replayed = xcalloc(nodes, sizeof *w.replayed),
                     .added = added};
    int rc = store_has_records(plan->options.store, &w.from_nothing, e);
    w.from_nothing = !w.from_nothing;
    add_wanted(&w, roots, count);
    plan_look_at_sources(plan, w.fresh);
    while (rc == 0 && w.next < w.queue.len)
        rc = visit(&w, w.queue.at[w.next++], e);
    free(w.pending);
    free(w.fresh);
    free(w.replayed);
    ids_release(&w.queue);
    ids_release(&w.waits);
    graph_rest(plan->graph);
    return rc;
}

struct plan *plan_make(const struct graph *g, const uint32_t *roots, size_t count,
                       const struct plan_options *options, struct arena *arena, struct err *e)
{
    struct plan *plan = xcalloc(1, sizeof *plan);
    plan->options = *options;
    plan->arena = arena;
    plan->files = plan_files_new();
    take_graph(plan, g);
    if (plan_want(plan, roots, count, NULL, e) < 0) {
        plan_free(plan);
        return NULL;
    }
    return plan;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->entries[i].refusal) {
            err_release(plan->entries[i].refusal);
            free(plan->entries[i].refusal);
        }
    plan_edges_free(plan);
    plan_files_free(plan->files);
    ids_release(&plan->order);
    free(plan);
}

int plan_decide(struct plan *plan, uint32_t node, struct err *e)
{
    return plan_decide_final(plan, node, e);
}

void plan_set_outputs(struct plan *plan, uint32_t node, const struct action_record *record)
{
    plan->entries[node].record = record;
    for (size_t i = 0; i < record->output_count; i++) {
        uint32_t artifact = graph_find_artifact(plan->graph, record->outputs[i].path);
        if (artifact == GRAPH_NONE)
            continue;
        plan->digests[artifact] = record->outputs[i].digest;
        plan->present[artifact] = true;
    }
}

int plan_inputs_hold(struct plan *plan, uint32_t node, bool *hold, const char **changed,
                     struct err *e)
{
    const struct graph *g = plan->graph;
    struct slice inputs = g->nodes[node].inputs;
    *hold = true;
    for (uint32_t i = 0; i < inputs.len && *hold; i++) {
        uint32_t artifact = slice_id(g, inputs, i);
        struct digest now;
        bool exists;
        if (g->artifacts[artifact].producer != GRAPH_NONE)
            continue;
        if (hash_cache_digest(plan->options.cache, artifact_path(g, artifact), &now, &exists, e) <
            0)
            return -1;
        *hold = exists && digest_equal(&now, &plan->digests[artifact]);
        *changed = artifact_path(g, artifact);
    }
    return 0;
}

size_t plan_count(const struct plan *plan, enum plan_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->order.len; i++)
        count += plan->entries[plan->order.at[i]].verdict == verdict &&
                 plan->graph->nodes[plan->order.at[i]].action != NODE_GROUP;
    return count;
}

bool plan_needs_drivers(const struct plan *plan)
{
    for (size_t i = 0; i < plan->order.len; i++)
        if (plan->graph->nodes[plan->order.at[i]].action == NODE_DRIVER &&
            plan->entries[plan->order.at[i]].verdict != PLAN_CLEAN)
            return true;
    return false;
}

json_t *plan_to_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->order.len; i++) {
        uint32_t node = plan->order.at[i];
        const struct plan_entry *entry = &plan->entries[node];
        if (entry->verdict == PLAN_CLEAN || plan->graph->nodes[node].action == NODE_GROUP)
            continue;
        json_t *item = json_object();
        json_object_set_new(item, "node", json_string(node_name(plan->graph, node)));
        json_object_set_new(item, "verdict", json_string(plan_verdict_text(entry->verdict)));
        json_object_set_new(item, "why", json_string(entry->why ? entry->why : ""));
        if (entry->cause != GRAPH_NONE)
            json_object_set_new(item, "cause", json_string(node_name(plan->graph, entry->cause)));
        json_array_append_new(list, item);
    }
    return list;
}
