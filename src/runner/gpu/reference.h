/* reference: what the outputs of a launch should be, element by element, computed on the device
 * after the candidate is done.
 *
 * A study's reference.cu exports `reference_at(dims, inputs, index, count, output, value, scale)`:
 * in fp64, one block an element. `scale` is the size that rounding errors of the element are
 * measured against. An output may be off by bound * scale, and by half a unit in the last place of
 * its type.
 *
 * Life cycle: reference_open, any number of judgements, end of the process. */
#ifndef SPAK_RUNNER_GPU_REFERENCE_H
#define SPAK_RUNNER_GPU_REFERENCE_H

#include "sets.h"

struct reference {
    const struct device_tools *tools;
    CUfunction at;
    CUdeviceptr dims, inputs, index, value, scale, got;
};
int reference_open(const struct device_tools *tools, const char *object, struct reference *out,
                   struct err *e);
/* So many elements at once. */
#define REFERENCE_MAX_PROBES 32768
/* Leaves what the elements at `index` of an output should be in `value` and `scale`, for the inputs
 * that lie at these addresses; queued, not waited for. */
CUresult reference_values(const struct reference *r, const struct sets *sets,
                          const uint64_t *address, size_t output, const int64_t *index,
                          size_t count);
/* The same, fetched. */
CUresult reference_fetch(const struct reference *r, const struct sets *sets,
                         const uint64_t *address, size_t output, const int64_t *index, size_t count,
                         double *value, double *scale);
/* Judges `probes` random elements of each output of a set, all of them where there are no more; the
 * first that is wrong is `fault`. `worst` grows to the largest share of the allowed difference.
 * Returns a fault of the device. */
CUresult reference_judge(const struct reference *r, const struct sets *sets, size_t set, bool exact,
                         size_t probes, struct rng *rng, double *worst, struct study_fault *fault);

#endif
