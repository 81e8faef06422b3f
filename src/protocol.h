/* protocol: where everything stands that the protocol speaks of, and what may be done next.
 *
 * Looks at the journal, the graph and a plan; runs nothing and decides nothing: whether a
 * measurement is admitted is the gate's word, which the plan has asked for.
 *
 * Life cycle: all strings live in the arena or in the plan, whichever dies first. */
#ifndef SPAK_PROTOCOL_H
#define SPAK_PROTOCOL_H

#include "gate.h"
#include "plan.h"

struct protocol_item {
    uint32_t node;
    enum gate_object object;
    const char *name;
    const struct gate_line *last; /* NULL: the journal does not know it */
    const char *stale;            /* why the state is of another time, NULL: it is of now */
    const char *spent;            /* what its measurements cost so far, NULL: nothing */
    const char *doubt;            /* the chain down to what fell, NULL: none */
    /* What could be done with it: "measure", "prove", ... */
    const char *act;
    enum protocol_leave {
        PROTOCOL_ALLOWED,
        PROTOCOL_REFUSED, /* `why` and `code` say by which rule */
        PROTOCOL_DONE,    /* there is nothing to do */
    } leave;
    const char *why;
    const char *code; /* "P104", "" none */
    const char *hint;
};
/* The objects among the planned nodes, invariants first. The journal was read. */
void protocol_read(struct gate *gate, const struct plan *plan, struct arena *arena,
                   struct protocol_item **out, size_t *count);

#endif
