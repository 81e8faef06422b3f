/* prove_shrink: makes a counterexample as small as it gets.
 *
 * Edits the tape of a broken case (smaller decisions, lists shorter by an element), draws the case
 * again and asks the simulation whether it still breaks the law. Greedy, and bounded in the number
 * of questions. */
#ifndef SPAK_PROVE_SHRINK_H
#define SPAK_PROVE_SHRINK_H

#include "prove_inquiry.h"

/* Replaces `broken` by a smaller case that is broken too, if there is one. `repeats` is false when
 * the case did not break the law a second time: then the simulation is not a function of its case.
 */
int shrink(const struct spec *spec, struct broken *broken, bool *repeats, struct err *e);

#endif
