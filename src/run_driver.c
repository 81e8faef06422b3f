#include "run_internal.h"

#include <stdlib.h>

static struct driver *find_driver(struct run *r, uint32_t node)
{
    struct driver *d = r->drivers;
    while (d && d->node != node)
        d = d->next;
    return d;
}

static struct driver *add_driver(struct run *r, uint32_t node)
{
    struct driver *d = xcalloc(1, sizeof *d);
    d->node = node;
    d->next = r->drivers;
    r->drivers = d;
    return d;
}

static bool is_over(enum node_status status)
{
    return status != STATUS_UNWANTED && status != STATUS_WAITING;
}

static int no_function(struct run *r, uint32_t node, struct err *e)
{
    err_set(e, ERR_driver_stuck, "%s has to run, but its function is not loaded",
            node_name(run_graph(r), node));
    return err_at(e, node_place(run_graph(r), node));
}

static int end_driver(struct run *r, struct driver *d)
{
    struct node_state *state = run_state(r, d->node, false);
    run_end(r, d->node, STATUS_RAN)->state = state;
    return 0;
}

static int ask_more(struct run *r, struct driver *d, const struct ids *asked, struct err *e)
{
    struct ids added = {0};
    int rc = plan_want(r->plan, asked->at, asked->len, &added, e);
    if (rc == 0) {
        run_add_nodes(r, &added);
        for (size_t i = 0; i < asked->len; i++) {
            ids_push(&d->asked, asked->at[i]);
            d->open += !is_over(r->result->outcomes[asked->at[i]].status);
        }
        if (d->open == 0)
            ids_push(&r->ready, d->node);
    }
    ids_release(&added);
    return rc;
}

/* Starts or resumes the function. The graph may be another one afterwards, and the old one gone. */
int run_driver_step(struct run *r, uint32_t node, struct err *e)
{
    struct driver *d = find_driver(r, node);
    struct ids asked = {0}, answers = {0};
    bool done = false, first = !d;
    if (!r->options->driver)
        return no_function(r, node, e);
    if (first)
        d = add_driver(r, node);
    run_hands_recall(r);
    for (; d->answered < d->asked.len; d->answered++)
        ids_push(&answers, d->asked.at[d->answered]);
    int rc = r->options->driver(r->options->driver_ctx, r->graph_slot, node, r->result->outcomes,
                                first ? NULL : &answers, &asked, &done, e);
    run_reserve(r, *r->graph_slot);
    if (rc == 0)
        rc = done ? end_driver(r, d) : ask_more(r, d, &asked, e);
    ids_release(&asked);
    ids_release(&answers);
    return rc;
}

void run_driver_answer(struct run *r, uint32_t node)
{
    for (struct driver *d = r->drivers; d; d = d->next)
        for (size_t i = d->answered; i < d->asked.len; i++)
            if (d->asked.at[i] == node && d->open > 0 && --d->open == 0)
                ids_push(&r->ready, d->node);
}

void run_drivers_free(struct run *r)
{
    while (r->drivers) {
        struct driver *d = r->drivers;
        r->drivers = d->next;
        ids_release(&d->asked);
        free(d);
    }
}
