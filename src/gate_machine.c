#include "gate_parts.h"

#include <string.h>

static const char *const object_names[] = {
    [GATE_INVARIANT] = "invariant", [GATE_HYPOTHESIS] = "hypothesis",
    [GATE_GUIDE] = "guide",         [GATE_STUDY] = "study",
    [GATE_CANDIDATE] = "candidate", [GATE_MEASUREMENT] = "measurement",
    [GATE_VERDICT] = "verdict",
};
static const char *const state_names[] = {
    [GATE_NONE] = "none",           [GATE_VERIFIED] = "verified",   [GATE_REFUTED] = "refuted",
    [GATE_OPEN] = "open",           [GATE_FROZEN] = "frozen",       [GATE_VALIDATED] = "validated",
    [GATE_FALSIFIED] = "falsified", [GATE_UNDECIDED] = "undecided", [GATE_SUSPECT] = "suspect",
    [GATE_ISSUED] = "issued",       [GATE_ADMITTED] = "admitted",   [GATE_PASSED] = "passed",
    [GATE_REJECTED] = "rejected",   [GATE_LEASED] = "leased",       [GATE_MEASURED] = "measured",
    [GATE_FAILED] = "failed",       [GATE_REFUSED] = "refused",     [GATE_GIVEN] = "given",
};

/* The nodes of a kind are called prefix and name. */
static const struct {
    const char *kind, *prefix;
    enum gate_object object;
} kinds[] = {
    {"invariant", "invariant/", GATE_INVARIANT},
    {"hypothesis", "hypothesis/", GATE_HYPOTHESIS},
    {"guide", "guide/", GATE_GUIDE},
    {"admission", "admission/", GATE_STUDY},
    {"check", "check/", GATE_CANDIDATE},
    {"verdict", "verdict/", GATE_VERDICT},
};

#define S(state) (1u << GATE_##state)
enum {
    JUDGED = S(VALIDATED) | S(FALSIFIED) | S(UNDECIDED),
    TRIED = S(PASSED) | S(REJECTED) | S(FAILED),
};
/* From which states each state of an object may be reached. What is not here never happens: a
 * measurement without a lease, a verdict on a hypothesis that no lease froze. Nor is a prediction
 * open again that a lease has frozen, whatever it went through since (gate_step). */
static const unsigned may_come_from[GATE_OBJECT_COUNT][GATE_STATE_COUNT] = {
    [GATE_INVARIANT] = {[GATE_VERIFIED] = S(NONE) | S(VERIFIED) | S(REFUTED) | S(FAILED),
                        [GATE_REFUTED] = S(NONE) | S(VERIFIED) | S(REFUTED) | S(FAILED),
                        [GATE_FAILED] = S(NONE) | S(VERIFIED) | S(REFUTED) | S(FAILED)},
    [GATE_HYPOTHESIS] = {[GATE_OPEN] = S(NONE) | S(OPEN) | S(SUSPECT),
                         [GATE_FROZEN] = S(NONE) | S(OPEN) | S(SUSPECT),
                         [GATE_VALIDATED] = S(FROZEN) | JUDGED | S(SUSPECT),
                         [GATE_FALSIFIED] = S(FROZEN) | JUDGED | S(SUSPECT),
                         [GATE_UNDECIDED] = S(FROZEN) | JUDGED | S(SUSPECT),
                         [GATE_SUSPECT] = S(OPEN) | S(FROZEN) | JUDGED | S(SUSPECT)},
    [GATE_GUIDE] = {[GATE_ISSUED] = S(NONE) | S(ISSUED) | S(REFUSED) | S(FAILED),
                    [GATE_REFUSED] = S(NONE) | S(ISSUED) | S(REFUSED) | S(FAILED),
                    [GATE_FAILED] = S(NONE) | S(ISSUED) | S(REFUSED) | S(FAILED)},
    [GATE_STUDY] = {[GATE_ADMITTED] = S(NONE) | S(ADMITTED) | S(REFUSED) | S(FAILED),
                    [GATE_REFUSED] = S(NONE) | S(ADMITTED) | S(REFUSED) | S(FAILED),
                    [GATE_FAILED] = S(NONE) | S(ADMITTED) | S(REFUSED) | S(FAILED)},
    [GATE_CANDIDATE] = {[GATE_PASSED] = S(NONE) | TRIED,
                        [GATE_REJECTED] = S(NONE) | TRIED,
                        [GATE_FAILED] = S(NONE) | TRIED},
    [GATE_MEASUREMENT] = {[GATE_LEASED] =
                              S(NONE) | S(LEASED) | S(MEASURED) | S(FAILED) | S(REFUSED),
                          [GATE_MEASURED] = S(LEASED),
                          [GATE_FAILED] = S(LEASED) | S(MEASURED),
                          [GATE_REFUSED] =
                              S(NONE) | S(LEASED) | S(MEASURED) | S(FAILED) | S(REFUSED)},
    [GATE_VERDICT] = {[GATE_GIVEN] = S(NONE) | S(GIVEN) | S(FAILED),
                      [GATE_FAILED] = S(NONE) | S(GIVEN) | S(FAILED)},
};
#undef S

const char *gate_object_name(enum gate_object object)
{
    return object_names[object];
}

const char *gate_state_name(enum gate_state state)
{
    return state_names[state];
}

bool gate_may_follow(enum gate_object object, enum gate_state from, enum gate_state to)
{
    return may_come_from[object][to] >> from & 1;
}

bool gate_names(const struct graph *g, uint32_t node, enum gate_object *object, const char **name)
{
    const struct node *n = &g->nodes[node];
    const char *kind = graph_text(g, n->kind);
    *name = node_name(g, node);
    *object = GATE_MEASUREMENT;
    if (n->flags & NODE_MEASURES)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0) {
            *object = kinds[i].object;
            if (text_starts_with(*name, kinds[i].prefix))
                *name += strlen(kinds[i].prefix);
            return true;
        }
    return false;
}
