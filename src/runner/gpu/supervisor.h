/* supervisor: starts workers, watches them, and writes down what came of each kernel.
 *
 * A kernel that faults or does not come back within its time-out costs a worker and nothing else:
 * it is recorded as CRASHED or HUNG and the next worker goes on behind it (a check) or without it
 * (a bench, which begins the shape again). Holds no context of a device itself. */
#ifndef SPAK_RUNNER_GPU_SUPERVISOR_H
#define SPAK_RUNNER_GPU_SUPERVISOR_H

#include "plan.h"

/* Runs a job ("admit", "check" or "bench") on a specification. `passed` is false when a check
 * rejected a kernel, or the study was refused. */
int supervisor_run(const char *job, const char *spec_path, json_t **result, bool *passed,
                   struct err *e);

#endif
