/*
 * candidate.h: what a kernel variant for the CPU looks like from outside.
 *
 * A candidate is one C file built into a shared object. The runner loads it, owns every buffer
 * and the clock, and calls it. A candidate must not keep anything from one call to the next
 * that depends on its inputs, must not read a clock, write a file or print, and must not touch
 * a byte outside the buffers it was given and the scratch memory it frees before it returns.
 *
 * Life cycle: dlopen, dlsym("candidate"), any number of calls, dlclose. Calls never overlap.
 */
#ifndef CANDIDATE_H
#define CANDIDATE_H

#include <stdint.h>

/* name of the function every candidate exports */
#define CANDIDATE_SYMBOL "candidate"

/*
 * The kernel: dim holds the values of the shape in the order the study declares them, buf the
 * buffers in the order the study declares them (inputs, then outputs), threads >= 1 how many
 * threads it may run on, the calling one included; a serial variant ignores it. Inputs are not to
 * be written. Every element of every output is written. Buffers are aligned for their element
 * type and promise no more. Returns 0, or non-zero when it refuses the shape or finds no memory,
 * and the outputs are then undefined.
 */
typedef int candidate_fn(const int64_t *dim, void *const *buf, int threads);

/* name of the function that the runner judges launches by */
#define CANDIDATE_AT_SYMBOL "reference_at"

/*
 * One element of output number `output` (0 is the first output), at flat index `index`, in fp64
 * from the float inputs; `scale` gets the size that its rounding error is measured against (for a
 * sum of products the sum of their absolute values). Elements that must come out exactly (a masked
 * row) have scale 0.
 */
typedef int candidate_reference_at_fn(const int64_t *dim, void *const *buf, int output,
                                      int64_t index, double *value, double *scale);

#endif
