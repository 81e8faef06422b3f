/* The check: each kernel on each shape and fill, its outputs against the reference. */
#include "worker.h"

#include <stdio.h>

/* Elements judged for each output: all of a small shape, a large sample of a large one. */
#define CHECK_PROBES 8192

struct check {
    struct worker *w;
    size_t kernel, shape;
    struct contender contender;
    double worst;
    json_t *faults;
};

static void blame(struct check *c, enum study_fill fill, const struct study_fault *fault,
                  const char *why)
{
    json_t *j = study_fault_json(&c->w->study.study.shapes[c->shape], fill, fault);
    if (why)
        json_object_set_new(j, "detail", json_string(why));
    json_array_append_new(c->faults, j);
}

/* One launch on fresh inputs, beside NaN wherever the kernel has not written itself. */
static int check_one(struct check *c, struct sets *sets, enum study_fill fill,
                     struct study_fault *fault, struct err *e)
{
    struct worker *w = c->w;
    CUresult result;
    if (sets_prepare(sets, 1, fill, &w->rng, e) < 0 || device_dirty(&w->tools, e) < 0)
        return -1;
    worker_says_launch(w, c->kernel, c->shape, fill);
    result = contender_launch(&c->contender, 0);
    worker_await(w);
    if (result != CUDA_SUCCESS) {
        contender_refuse(&c->contender, STUDY_REFUSED, "the launch: the driver answers %s",
                         cuda_error_name(&w->cuda, result));
        *fault = (struct study_fault){.status = STUDY_REFUSED};
        return 0;
    }
    if (sets_look(sets, 1, &result, fault, e) < 0)
        return -1;
    if (result != CUDA_SUCCESS)
        worker_crash(w, result);
    if (fault->status != STUDY_PASS)
        return 0;
    bool exact = fill == FILL_INTEGER && sets->shape->exact;
    result =
        reference_judge(&w->reference, sets, 0, exact, CHECK_PROBES, &w->rng, &c->worst, fault);
    return cuda_done(&w->cuda, result, "computing the reference", e);
}

static int check_fills(struct check *c, struct sets *sets, struct err *e)
{
    for (int fill = 0; fill < FILL_COUNT; fill++) {
        struct study_fault fault;
        if (check_one(c, sets, (enum study_fill)fill, &fault, e) < 0)
            return -1;
        if (fault.status == STUDY_PASS)
            continue;
        blame(c, (enum study_fill)fill, &fault, c->contender.why);
        break;
    }
    return 0;
}

static int check_shape(struct check *c, struct err *e)
{
    struct worker *w = c->w;
    struct sets sets;
    int rc = sets_make(&w->tools, &w->study.study, &w->study.study.shapes[c->shape], 1,
                       (uint32_t)rng_next(&w->rng), &sets, e);
    if (rc == 0) {
        contender_bind(&c->contender, &w->study, c->shape, &sets);
        struct study_fault fault = {.status = c->contender.status};
        if (fault.status == STUDY_PASS)
            rc = check_fills(c, &sets, e);
        else if (fault.status != STUDY_UNMEASURED)
            blame(c, FILL_NORMAL, &fault, c->contender.why);
        contender_unbind(&c->contender);
    }
    sets_release(&sets);
    return rc;
}

static int check_kernel(struct worker *w, size_t kernel, struct err *e)
{
    struct check c = {.w = w, .kernel = kernel, .faults = json_array()};
    const struct study *study = &w->study.study;
    int rc = 0;
    contender_open(&w->cuda, &study->kernels[kernel], &w->study.plans[kernel], &c.contender);
    for (; c.shape < study->shape_count && rc == 0; c.shape++)
        rc = check_shape(&c, e);
    if (rc == 0) {
        study_say(study->kernels[kernel].name, c.faults, c.worst, study->shape_count);
        worker_say(w, json_pack("{s:i, s:o}", "done", (int)kernel, "result",
                                study_kernel_json(study, json_incref(c.faults))));
    }
    contender_close(&c.contender);
    json_decref(c.faults);
    return rc;
}

int worker_check(struct worker *w, struct err *e)
{
    for (size_t k = w->from; k < w->study.study.kernel_count; k++)
        if (check_kernel(w, k, e) < 0)
            return -1;
    return 0;
}
