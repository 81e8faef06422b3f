/* worker: the process that owns the device's context and runs candidates in it.
 *
 * It says on a pipe what it is about to run and what came of it, one JSON object a line, because a
 * kernel that faults or hangs takes the context with it: whoever started the worker then knows whom
 * to blame, and starts another.
 *
 *     {"device": {...}}                                      once
 *     {"launch": K, "shape": S, "fill": F, "limit_s": T}     from here kernel K is to blame
 *     {"returned": true}                                     until here
 *     {"crashed": "..."}                                     the device's word for it; the end
 *     {"done": N, "result": {...}}                           kernel N of a check, shape N of a
 *                                                            bench, all of an admission
 *     {"error": "R104", "message": "..."}                    of the runner itself; the end */
#ifndef SPAK_RUNNER_GPU_WORKER_H
#define SPAK_RUNNER_GPU_WORKER_H

#include "conditions.h"
#include "contender.h"
#include "reference.h"

struct worker {
    struct cuda cuda;
    struct gpu_study study;
    struct device_tools tools;
    struct reference reference;
    struct conditions conditions;
    uint64_t seed;  /* of a bench: what hidden shapes are drawn with */
    struct rng rng; /* of what is launched next */
    struct arena arena;
    int report_fd;
    size_t from;        /* the kernel or the shape to begin with */
    const json_t *lost; /* the status of each kernel that took a worker with it, by its name */
};

/* The body of the process: `state` is {"seed", "from", "lost"}. Returns its exit status. */
int worker_main(const char *job, const char *spec_path, const char *state, int report_fd);

/* Sends a message and takes it. */
void worker_say(struct worker *w, json_t *message);
/* Before and after a kernel runs. */
void worker_says_launch(struct worker *w, size_t kernel, size_t shape, enum study_fill fill);
/* Waits for the stream; a fault of the device is said and ends the process. */
void worker_await(struct worker *w);
/* Ends the process for a fault of the device that a call has answered with. */
void worker_crash(struct worker *w, CUresult result);

/* Looks at what a launch left in the first set, and judges it against the reference. */
int worker_judge(struct worker *w, struct sets *sets, enum study_fill fill, double *worst,
                 struct study_fault *fault, struct err *e);
/* A kernel on the study's shapes (`declared`) and on hidden ones that are drawn here, among those
 * it runs on. Appends what went wrong to `faults`, one a shape. */
int worker_try(struct worker *w, size_t kernel, bool declared, json_t *faults, double *worst,
               struct err *e);

/* The jobs, from `from` on. */
int worker_admit(struct worker *w, struct err *e);
int worker_check(struct worker *w, struct err *e);
int worker_bench(struct worker *w, struct err *e);

#endif
