#include "run_internal.h"

#include "gate.h"

/* A record without the text behind its key says less when asked why, and nothing wrong. */
static int put_node(struct run *r, struct ended *end, struct err *e)
{
    struct node_state state = *end->state;
    struct err ignored = {0};
    if (end->explanation.len == 0 &&
        plan_explain(r->plan, end->node, &end->explanation, &ignored) < 0)
        err_release(&ignored);
    state.explanation = buf_text(&end->explanation);
    return store_put_node(r->options->store, node_name(run_graph(r), end->node), &state, e);
}

static int record_one(struct run *r, struct ended *end, struct err *e)
{
    struct store *store = r->options->store;
    if (end->reusable && store_put_action(store, &end->state->base, &end->state->record, e) < 0)
        return -1;
    if (put_node(r, end, e) < 0)
        return -1;
    for (const struct driver *d = r->drivers; d; d = d->next)
        if (d->node == end->node && plan_put_driver(r->plan, d->node, &d->asked, e) < 0)
            return -1;
    return 0;
}

/* What the protocol writes down of an end; a measurement that was restored is none. */
static bool is_noted(const struct run *r, const struct ended *end)
{
    if (!r->options->gate)
        return false;
    if (end->status == STATUS_RESTORED)
        return !(run_node(r, end->node)->flags & NODE_MEASURES);
    return end->status == STATUS_RAN || end->status == STATUS_FAILED ||
           end->status == STATUS_REFUSED;
}

/* A planning node that broke a rule is no law that was refuted. */
static enum gate_end end_of(const struct run *r, const struct ended *end)
{
    bool outer = run_node(r, end->node)->flags & NODE_OUTER;
    bool judged = end->error.code == ERR_invariant_refused || end->error.code == ERR_study_refused;
    if (end->status == STATUS_FAILED || (end->status == STATUS_REFUSED && outer && !judged))
        return GATE_END_FAILED;
    return end->status == STATUS_REFUSED ? GATE_END_REFUSED : GATE_END_OK;
}

static int note_one(struct run *r, const struct ended *end, struct err *e)
{
    struct gate_ended how = {
        .end = end_of(r, end),
        .exit_code = end->state ? end->state->record.exit_code : 0,
        .code = err_info(end->error.code)->id,
    };
    if (end->state && gate_spend(r->options->gate, run_graph(r), end->node,
                                 end->state->record.wall_ns, end->state->record.cpu_ns, e) < 0)
        return -1;
    return gate_note(r->options->gate, run_graph(r), end->node, &how, e);
}

static int write_down(struct run *r, struct ended *end, struct err *e)
{
    if (end->state && record_one(r, end, e) < 0)
        return -1;
    return is_noted(r, end) ? note_one(r, end, e) : 0;
}

int run_record_ended(struct run *r, struct err *e)
{
    size_t count = 0;
    for (const struct ended *end = r->ended; end; end = end->next)
        count += end->state != NULL || is_noted(r, end);
    if (count == 0)
        return 0;
    if (store_begin(r->options->store, e) < 0)
        return -1;
    for (struct ended *end = r->ended; end; end = end->next)
        if (write_down(r, end, e) < 0) {
            store_abort(r->options->store);
            return -1;
        }
    return store_commit_soon(r->options->store, e);
}
