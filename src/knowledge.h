/* knowledge: what the traces say about hypotheses, all runs of all targets together.
 *
 * Computed from recorded verdicts each time, never typed in and never kept: a fact is as good as
 * the runs behind it, and they are named. A run counts when it measured anew; what one run alone
 * says is an anecdote. Nothing of one machine says anything about another.
 *
 * Life cycle: strings and lists live in the arena. */
#ifndef SPAK_KNOWLEDGE_H
#define SPAK_KNOWLEDGE_H

#include "gate.h"
#include "trace.h"

struct knowledge_run {
    const char *commit;
    enum gate_state state; /* GATE_NONE: unmeasured */
    double median, lo, hi;
    long long n;
    struct knowledge_run *next; /* an older one */
};
/* One prediction on one machine. */
struct knowledge {
    const char *hypothesis;
    const char *predicts;
    const char *machine;
    const char *because;
    struct knowledge_run *runs; /* the latest first */
    size_t count;               /* of runs that decided or tried to */
    size_t of[GATE_STATE_COUNT];
    double median;      /* of the runs' medians */
    double lo, hi;      /* what all their intervals cover together */
    long long n;        /* samples of all runs */
    struct strs shapes; /* where it was measured */
    const char *doubt;  /* why the journal suspects it, NULL: it does not */
};
/* "supported", "contradicted", "contested", "open": what its runs come to. */
const char *knowledge_word(const struct knowledge *k);
int knowledge_read(struct trace *t, struct arena *arena, struct knowledge **out, size_t *count,
                   struct err *e);
void knowledge_release(struct knowledge *list, size_t count);

#endif
