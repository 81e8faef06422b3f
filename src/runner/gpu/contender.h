/* contender: a kernel or a library baseline, ready to run on the sets of one shape.
 *
 * Everything that a launch needs is made beforehand for every set (arguments, copy-engine maps, a
 * library's plan), so that launches follow each other without a gap.
 *
 * Life cycle: contender_open, contender_bind for a shape's sets, contender_launch,
 * contender_unbind, any number of shapes, contender_close. */
#ifndef SPAK_RUNNER_GPU_CONTENDER_H
#define SPAK_RUNNER_GPU_CONTENDER_H

#include "plan.h"
#include "sets.h"

struct library_call; /* a library's own state */

struct contender {
    const struct study_kernel *kernel;
    const struct plan_kernel *plan;
    struct cuda *cuda;
    CUmodule module;
    const char *object; /* that the module was loaded from */
    CUfunction function;
    const struct plan_launch *launch; /* of the shape it is bound to */
    struct arena arena;
    void ***params; /* for each set */
    struct library_call *call;
    enum study_status status; /* STUDY_UNLOADABLE, STUDY_REFUSED, STUDY_UNAVAILABLE: cannot run */
    char *why;                /* for that status; NULL: nothing to say */
    char *version;            /* of a library */
    int choice;               /* what a library chose among its own, -1: it has yet to */
};

void contender_open(struct cuda *cuda, const struct study_kernel *kernel,
                    const struct plan_kernel *plan, struct contender *out);
void contender_close(struct contender *c);
/* Readies it for a shape; what it lacks is in `status`. */
void contender_bind(struct contender *c, const struct gpu_study *study, size_t shape,
                    const struct sets *sets);
void contender_unbind(struct contender *c);
/* Queues one launch on a set. */
CUresult contender_launch(struct contender *c, size_t set);
/* Records why it cannot run. */
void contender_refuse(struct contender *c, enum study_status status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* A library baseline. `bind` fills in `call` or refuses; `run` returns 0 or the library's own
 * number. */
struct library {
    const char *name;
    struct library_call *(*bind)(struct contender *c, const struct study *study,
                                 const struct study_shape *shape, const json_t *values,
                                 const struct sets *sets);
    int (*run)(struct library_call *call, size_t set);
    void (*release)(struct library_call *call);
};
extern const struct library library_cublas, library_cudnn;
/* A named value of a library's launch, or an earlier mistake: *missing gets the first name that is
 * absent. */
int64_t library_value(const json_t *values, const char *name, const char **missing);
/* The index of the buffer that a library's operand is: named by `values`, else called `name`. */
size_t library_buffer(const json_t *values, const struct study *study, const char *name);

#endif
