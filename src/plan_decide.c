#include "key.h"
#include "plan_internal.h"

#include <stdlib.h>
#include <string.h>

/* One decision in the making; `scratch` holds what only the decision needs. */
struct decision {
    struct plan *plan;
    uint32_t node;
    struct plan_entry *entry;
    struct arena scratch;
    struct buf text;
    struct node_state state;
    bool known; /* the store has a state for the node */
};

const char *plan_verdict_text(enum plan_verdict verdict)
{
    static const char *const text[] = {"unwanted", "clean", "restore", "run",
                                       "maybe",    "defer", "refuse"};
    return text[verdict];
}

/* The name in the same folder, or of another artifact, that is nearest to a path that does not
 * exist. */
static const char *nearest_path(struct plan *plan, const char *path)
{
    const struct graph *g = plan->graph;
    size_t best = 3 + strlen(path) / 8;
    const char *found = NULL;
    struct strs names = {0};
    struct err ignored = {0};
    char *dir = os_dirname(plan->arena, path);
    if (os_list(dir, plan->arena, &names, &ignored) < 0)
        err_release(&ignored);
    for (size_t i = 0; i < names.len; i++) {
        const char *name = os_join(plan->arena, dir, names.at[i]);
        size_t distance = text_distance(path, name);
        if (distance < best)
            best = distance, found = name;
    }
    for (uint32_t i = 0; i < g->artifact_count; i++) {
        size_t distance = g->artifacts[i].producer == GRAPH_NONE
                              ? best
                              : text_distance(path, artifact_path(g, i));
        if (distance < best)
            best = distance, found = artifact_path(g, i);
    }
    strs_release(&names);
    return found;
}

static int missing_input(struct plan *plan, uint32_t node, uint32_t artifact, struct err *e)
{
    const char *path = artifact_path(plan->graph, artifact);
    const char *near = nearest_path(plan, path);
    err_set(e, ERR_input_missing, "%s needs %s, which does not exist and which nothing makes",
            node_name(plan->graph, node), path);
    err_at(e, node_place(plan->graph, node));
    if (near)
        return err_hint(e, "did you mean %s?", near);
    return err_hint(e, "make the file, or declare a node that has it among its outputs");
}

static int source_digest(struct plan *plan, uint32_t node, uint32_t artifact, struct err *e)
{
    bool exists;
    if (plan->present[artifact] || plan->graph->artifacts[artifact].producer != GRAPH_NONE)
        return 0;
    if (plan_file_digest(plan, artifact_path(plan->graph, artifact), &plan->digests[artifact],
                         &exists, e) < 0)
        return -1;
    if (!exists)
        return missing_input(plan, node, artifact, e);
    plan->present[artifact] = true;
    return 0;
}

int plan_check_sources(struct plan *plan, uint32_t node, struct err *e)
{
    const struct graph *g = plan->graph;
    const struct node *n = &g->nodes[node];
    const struct slice slices[] = {n->inputs, n->order_only, n->proofs};
    for (size_t s = 0; s < ARRAY_LEN(slices); s++)
        for (uint32_t i = 0; i < slices[s].len; i++)
            if (source_digest(plan, node, slice_id(g, slices[s], i), e) < 0)
                return -1;
    return n->guide == GRAPH_NONE ? 0 : source_digest(plan, node, n->guide, e);
}

static struct action_record *keep_record(struct arena *arena, const struct action_record *from)
{
    struct action_record *r = arena_memdup(arena, from, sizeof *r);
    r->outputs = arena_memdup(arena, from->outputs, from->output_count * sizeof *r->outputs);
    r->deps = arena_memdup(arena, from->deps, from->dep_count * sizeof *r->deps);
    for (size_t i = 0; i < r->output_count; i++)
        r->outputs[i].path = arena_strdup(arena, r->outputs[i].path);
    for (size_t i = 0; i < r->dep_count; i++)
        r->deps[i].path = arena_strdup(arena, r->deps[i].path);
    r->sandbox = from->sandbox ? arena_strdup(arena, from->sandbox) : NULL;
    r->machine = from->machine ? arena_strdup(arena, from->machine) : NULL;
    return r;
}

int plan_recall(struct plan *plan, uint32_t node, struct err *e)
{
    struct plan_entry *entry = &plan->entries[node];
    struct arena scratch = {0};
    struct node_state state;
    bool known = false;
    int rc = 0;
    if (!entry->record && plan->graph->nodes[node].action != NODE_GROUP)
        rc = store_recall_node(plan->options.store, node_name(plan->graph, node), &scratch, &state,
                               &known, e);
    if (known) {
        entry->record = keep_record(plan->arena, &state.record);
        plan_set_outputs(plan, node, entry->record);
    }
    arena_release(&scratch);
    return rc;
}

/* The records of all members of a large link, decoded, are most of what a small change costs. */
static bool recall_still(struct plan *plan, uint32_t artifact, uint32_t producer)
{
    const struct plan_options *o = &plan->options;
    if (!o->still || !o->still_digest || producer >= o->still_count || !o->still[producer])
        return false;
    plan->present[artifact] = o->still_digest(o->still_ctx, artifact_path(plan->graph, artifact),
                                              &plan->digests[artifact]);
    return plan->present[artifact];
}

/* What is neither a source nor an output of a record lies in a folder that another node makes. */
static int lookup_digest(void *ctx, uint32_t artifact, struct digest *out, struct err *e)
{
    struct decision *d = ctx;
    struct plan *plan = d->plan;
    if (plan->present[artifact]) {
        *out = plan->digests[artifact];
        return 0;
    }
    uint32_t producer = plan->graph->artifacts[artifact].producer;
    bool exists;
    if (producer != GRAPH_NONE && plan->entries[producer].verdict == PLAN_CLEAN &&
        !recall_still(plan, artifact, producer) && plan_recall(plan, producer, e) < 0)
        return -1;
    *out = plan->digests[artifact];
    if (plan->present[artifact])
        return 0;
    if (hash_cache_digest(plan->options.cache, artifact_path(plan->graph, artifact), out, &exists,
                          e) < 0)
        return -1;
    return exists ? 0 : missing_input(plan, d->node, artifact, e);
}

/* The text and the base key from one traversal: the key is the digest of the text. */
static int describe(struct decision *d, struct err *e)
{
    struct key_lookups lookups = {.digest = lookup_digest,
                                  .ctx = d,
                                  .token = d->entry->token,
                                  .machine = d->plan->options.machine};
    if (key_explain(d->plan->graph, d->node, &lookups, &d->text, e) < 0)
        return -1;
    hash_bytes(d->text.ptr, d->text.len, &d->entry->base);
    return 0;
}

int plan_key(struct plan *plan, uint32_t node, struct buf *out, struct err *e)
{
    struct decision d = {.plan = plan, .node = node, .entry = &plan->entries[node]};
    int rc = describe(&d, e);
    if (rc == 0)
        key_abridge(buf_text(&d.text), out);
    d.entry->final = true;
    buf_release(&d.text);
    return rc;
}

/* A file that was changed meanwhile does not change what the key was made of. */
int plan_explain(struct plan *plan, uint32_t node, struct buf *out, struct err *e)
{
    struct digest base = plan->entries[node].base;
    int rc = plan_key(plan, node, out, e);
    plan->entries[node].base = base;
    return rc;
}

static void set(struct decision *d, enum plan_verdict verdict, const char *why)
{
    d->entry->verdict = verdict;
    d->entry->why = why;
}

/* A discovered file that this build makes counts as it will be, not as it lies there now. */
static int dep_digest(struct plan *plan, const char *path, struct digest *out, bool *exists,
                      struct err *e)
{
    uint32_t artifact = graph_find_artifact(plan->graph, path);
    if (artifact != GRAPH_NONE && plan->present[artifact]) {
        *out = plan->digests[artifact];
        *exists = true;
        return 0;
    }
    return plan_file_digest(plan, path, out, exists, e);
}

/* `changed` gets the reason when a discovered input is not as the record has it, else NULL. */
static int check_deps(struct decision *d, const struct action_record *r, const char **changed,
                      struct err *e)
{
    *changed = NULL;
    for (size_t i = 0; i < r->dep_count && !*changed; i++) {
        struct digest now;
        bool exists;
        if (dep_digest(d->plan, r->deps[i].path, &now, &exists, e) < 0)
            return -1;
        if (!exists || !digest_equal(&now, &r->deps[i].digest))
            *changed = arena_printf(d->plan->arena, "discovered input %s %s", r->deps[i].path,
                                    exists ? "changed" : "is gone");
    }
    return 0;
}

/* `damaged` gets the reason when an output on disk is not the recorded one, else NULL. */
static int check_outputs(struct decision *d, const struct action_record *r, const char **damaged,
                         struct err *e)
{
    *damaged = NULL;
    for (size_t i = 0; i < r->output_count && !*damaged; i++) {
        struct digest now;
        bool exists;
        if (hash_cache_digest(d->plan->options.cache, r->outputs[i].path, &now, &exists, e) < 0)
            return -1;
        if (!exists || !digest_equal(&now, &r->outputs[i].digest))
            *damaged = arena_printf(d->plan->arena, "output %s was %s", r->outputs[i].path,
                                    exists ? "modified" : "deleted");
    }
    return 0;
}

static bool in_store(struct plan *plan, const struct action_record *r)
{
    for (size_t i = 0; i < r->output_count; i++)
        if (!store_has(plan->options.store, &r->outputs[i].digest))
            return false;
    return true;
}

/* Looks for a run of the same key, whatever was built since. */
static int find_restorable(struct decision *d, const struct action_record **found, struct err *e)
{
    struct action_record *records;
    size_t count;
    *found = NULL;
    if (store_recall_actions(d->plan->options.store, &d->entry->base, &d->scratch, &records, &count,
                             e) < 0)
        return -1;
    for (size_t i = 0; i < count && !*found; i++) {
        const char *changed;
        if (check_deps(d, &records[i], &changed, e) < 0)
            return -1;
        if (!changed && in_store(d->plan, &records[i]))
            *found = keep_record(d->plan->arena, &records[i]);
    }
    return 0;
}

/* The record of the last build has this very base key. */
static int decide_known(struct decision *d, const char **why, bool *decided, struct err *e)
{
    const char *damaged;
    if (check_deps(d, &d->state.record, why, e) < 0)
        return -1;
    if (*why)
        return 0;
    if (check_outputs(d, &d->state.record, &damaged, e) < 0)
        return -1;
    *decided = true;
    d->entry->record = keep_record(d->plan->arena, &d->state.record);
    if (!damaged)
        set(d, PLAN_CLEAN, NULL);
    else
        set(d, in_store(d->plan, d->entry->record) ? PLAN_RESTORE : PLAN_RUN, damaged);
    return 0;
}

/* What has changed since the record, NULL when nothing has. */
static const char *difference(struct decision *d)
{
    struct buf before = {0}, now = {0};
    key_abridge(d->state.explanation, &before);
    key_abridge(buf_text(&d->text), &now);
    const char *why = key_difference(d->plan->arena, buf_text(&before), buf_text(&now));
    buf_release(&before);
    buf_release(&now);
    return why;
}

static const char *reason(struct decision *d)
{
    const char *why = NULL;
    if (!d->known)
        return "never built";
    if (d->state.explanation)
        why = difference(d);
    if (!why && d->state.failed)
        return "failed the last time";
    return why ? why : "its record is of another build";
}

static int decide_changed(struct decision *d, const char *why, struct err *e)
{
    const struct action_record *found = NULL;
    why = why ? why : reason(d);
    if (find_restorable(d, &found, e) < 0)
        return -1;
    if (d->known)
        d->entry->record = keep_record(d->plan->arena, &d->state.record);
    if (found)
        d->entry->record = found;
    set(d, found ? PLAN_RESTORE : PLAN_RUN, why);
    return 0;
}

static int decide_driver(struct decision *d, struct err *e)
{
    bool holds;
    if (plan_driver_holds(d->plan, d->node, &d->entry->base, &holds, e) < 0)
        return -1;
    if (holds) {
        set(d, PLAN_CLEAN, NULL);
        return 0;
    }
    bool same = !d->known || !d->state.explanation || !difference(d);
    set(d, PLAN_RUN, same ? "what it asked for has to be asked again" : reason(d));
    return 0;
}

static int decide_by_key(struct decision *d, struct err *e)
{
    const struct node *node = &d->plan->graph->nodes[d->node];
    const char *why = NULL;
    bool decided = false;
    if (plan_check_sources(d->plan, d->node, e) < 0 || describe(d, e) < 0 ||
        store_recall_node(d->plan->options.store, node_name(d->plan->graph, d->node), &d->scratch,
                          &d->state, &d->known, e) < 0)
        return -1;
    if (d->known)
        d->entry->last_wall_ns = d->state.record.wall_ns;
    if (d->plan->options.force || (node->flags & NODE_ALWAYS)) {
        set(d, PLAN_RUN, d->plan->options.force ? "forced by -B" : "runs always");
        return 0;
    }
    if (node->action == NODE_DRIVER)
        return decide_driver(d, e);
    if (d->known && !d->state.failed && digest_equal(&d->state.base, &d->entry->base) &&
        decide_known(d, &why, &decided, e) < 0)
        return -1;
    return decided ? 0 : decide_changed(d, why, e);
}

static int admit(struct decision *d, struct err *e)
{
    const struct plan_options *o = &d->plan->options;
    struct err refusal = {0};
    if (!o->admit)
        return 0;
    if (o->admit(o->admit_ctx, d->plan->graph, d->node, d->plan->arena, &d->entry->token,
                 &refusal) == 0)
        return 0;
    if (err_class(&refusal) != ERR_PROTOCOL)
        return err_move(e, &refusal);
    d->entry->verdict = PLAN_REFUSE;
    d->entry->why = arena_strdup(d->plan->arena, refusal.message);
    d->entry->refusal = xcalloc(1, sizeof *d->entry->refusal);
    return err_move(d->entry->refusal, &refusal), 0;
}

static int decide_gated(struct decision *d, struct err *e)
{
    const struct node *node = &d->plan->graph->nodes[d->node];
    if ((node->flags & (NODE_MEASURES | NODE_OUTER | NODE_INNER)) && admit(d, e) < 0)
        return -1;
    return d->entry->verdict == PLAN_REFUSE ? 0 : decide_by_key(d, e);
}

static void reset_entry(struct plan_entry *entry)
{
    if (entry->refusal)
        err_release(entry->refusal);
    free(entry->refusal);
    *entry = (struct plan_entry){
        .final = true, .cause = GRAPH_NONE, .last_wall_ns = entry->last_wall_ns};
}

int plan_decide_final(struct plan *plan, uint32_t node, struct err *e)
{
    const struct node *n = &plan->graph->nodes[node];
    struct decision d = {.plan = plan, .node = node, .entry = &plan->entries[node]};
    int rc = 0;
    reset_entry(d.entry);
    if (n->action == NODE_GROUP)
        d.entry->verdict = PLAN_CLEAN;
    else if ((n->flags & NODE_DEVICE) && !(n->flags & NODE_OUTER) && !plan->options.device)
        set(&d, PLAN_DEFER, "UNMEASURED: no device");
    else
        rc = decide_gated(&d, e);
    if (rc == 0 && d.entry->record &&
        (d.entry->verdict == PLAN_CLEAN || d.entry->verdict == PLAN_RESTORE))
        plan_set_outputs(plan, node, d.entry->record);
    buf_release(&d.text);
    arena_release(&d.scratch);
    return rc;
}

static const char *may_change(const struct plan *plan, uint32_t cause)
{
    return arena_printf(plan->arena, "%s may change", node_name(plan->graph, cause));
}

int plan_forecast(struct plan *plan, uint32_t node, uint32_t cause, struct err *e)
{
    const struct node *n = &plan->graph->nodes[node];
    struct plan_entry *entry = &plan->entries[node];
    struct arena scratch = {0};
    struct node_state state = {0};
    bool known = false, sure = entry->sure;
    reset_entry(entry);
    entry->sure = sure;
    entry->final = false;
    entry->cause = cause;
    entry->verdict = PLAN_MAYBE;
    if (n->action == NODE_GROUP) {
        entry->why = may_change(plan, cause);
        return 0;
    }
    int rc = plan_check_sources(plan, node, e);
    if (rc == 0 && !sure)
        rc = store_recall_node(plan->options.store, node_name(plan->graph, node), &scratch, &state,
                               &known, e);
    if (rc == 0 && !known) {
        entry->verdict = PLAN_RUN;
        entry->why = "never built";
    }
    if (known) {
        entry->last_wall_ns = state.record.wall_ns;
        entry->why = state.failed ? "failed the last time" : may_change(plan, cause);
        entry->record = keep_record(plan->arena, &state.record);
    }
    arena_release(&scratch);
    return rc;
}
