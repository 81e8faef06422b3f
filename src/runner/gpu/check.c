/* The check: each kernel on each shape and fill, its outputs against the reference. */
#include "worker.h"

#include <stdlib.h>

/* Elements judged for each output: all of a small shape, a large sample of a large one. */
#define CHECK_PROBES 8192

struct check {
    struct worker *w;
    size_t kernel, shape;
    struct contender contender;
    double *worst;
    json_t *faults;
    size_t ran; /* declared shapes that it ran on */
};

static void blame(struct check *c, enum study_fill fill, const struct study_fault *fault,
                  const char *why)
{
    json_t *j = study_fault_json(&c->w->study.study.shapes[c->shape], fill, fault);
    if (why)
        json_object_set_new(j, "detail", json_string(why));
    json_array_append_new(c->faults, j);
}

int worker_judge(struct worker *w, struct sets *sets, enum study_fill fill, double *worst,
                 struct study_fault *fault, struct err *e)
{
    CUresult result;
    if (sets_look(sets, 1, &result, fault, e) < 0)
        return -1;
    if (result != CUDA_SUCCESS)
        worker_crash(w, result);
    if (fault->status != STUDY_PASS)
        return 0;
    bool exact = fill == FILL_INTEGER && sets->shape->exact;
    result = reference_judge(&w->reference, sets, 0, exact, CHECK_PROBES, &w->rng, worst, fault);
    return cuda_done(&w->cuda, result, "computing the reference", e);
}

/* One launch on fresh inputs, beside NaN wherever the kernel has not written itself. */
static int check_one(struct check *c, struct sets *sets, enum study_fill fill,
                     struct study_fault *fault, struct err *e)
{
    struct worker *w = c->w;
    if (sets_prepare(sets, 1, fill, &w->rng, e) < 0 || device_dirty(&w->tools, e) < 0)
        return -1;
    worker_says_launch(w, c->kernel, c->shape, fill);
    CUresult result = contender_launch(&c->contender, 0);
    worker_await(w);
    if (result == CUDA_SUCCESS)
        return worker_judge(w, sets, fill, c->worst, fault, e);
    contender_refuse(&c->contender, STUDY_REFUSED, "the launch: the driver answers %s",
                     cuda_error_name(&w->cuda, result));
    *fault = (struct study_fault){.status = STUDY_REFUSED};
    return 0;
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
        c->ran += fault.status != STUDY_UNMEASURED && c->shape < w->study.study.shape_count;
        if (fault.status == STUDY_PASS)
            rc = check_fills(c, &sets, e);
        else if (fault.status != STUDY_UNMEASURED)
            blame(c, FILL_NORMAL, &fault, c->contender.why);
        contender_unbind(&c->contender);
    }
    sets_release(&sets);
    return rc;
}

/* The hidden shapes that a kernel meets: of those that it has launches for. */
static size_t draw_hidden(struct worker *w, size_t kernel, size_t *out)
{
    const struct study *study = &w->study.study;
    const struct plan_launch *launches = w->study.plans[kernel].launches + study->shape_count;
    bool *able = xcalloc(study->hidden_count + 1, sizeof *able);
    for (size_t i = 0; i < study->hidden_count; i++)
        able[i] = launches[i].present;
    size_t count = study_draw_hidden(study, able, &w->rng, out);
    free(able);
    return count;
}

/* Who runs nowhere was not tried, and who runs on no hidden shape was made for the declared ones.
 */
static void blame_absence(struct check *c, size_t shape, const char *why)
{
    const struct study_fault absent = {.status = STUDY_UNMEASURED};
    c->shape = shape;
    blame(c, FILL_NORMAL, &absent, why);
}

int worker_try(struct worker *w, size_t kernel, bool declared, json_t *faults, double *worst,
               struct err *e)
{
    struct check c = {.w = w, .kernel = kernel, .faults = faults, .worst = worst};
    const struct study *study = &w->study.study;
    size_t *hidden = xcalloc(study->hidden_drawn + 1, sizeof *hidden);
    size_t drawn = draw_hidden(w, kernel, hidden), first = declared ? 0 : study->shape_count;
    int rc = 0;
    contender_open(&w->cuda, &study->kernels[kernel], &w->study.plans[kernel], &c.contender);
    for (size_t i = first; rc == 0 && i < study->shape_count + drawn; i++) {
        bool is_hidden = i >= study->shape_count;
        c.shape = is_hidden ? study->shape_count + hidden[i - study->shape_count] : i;
        rc = check_shape(&c, e);
    }
    if (declared && c.ran == 0)
        blame_absence(&c, 0, "it runs on no shape of the check");
    else if (drawn == 0 && study->hidden_count && study->hidden_drawn)
        blame_absence(&c, study->shape_count, "it runs on no hidden shape");
    contender_close(&c.contender);
    free(hidden);
    return rc;
}

static int check_kernel(struct worker *w, size_t kernel, struct err *e)
{
    const struct study *study = &w->study.study;
    const struct study_kernel *candidate = &study->kernels[kernel];
    json_t *faults = json_array();
    struct buf objects = {0};
    double worst = 0;
    int rc = study_seed_from(candidate, &w->rng, e);
    if (rc == 0)
        rc = study_objects(candidate, &objects, e);
    if (rc == 0)
        rc = worker_try(w, kernel, true, faults, &worst, e);
    if (rc == 0) {
        study_say(candidate->name, faults, worst, study->shape_count + study->hidden_drawn);
        worker_say(w, json_pack("{s:i, s:o}", "done", (int)kernel, "result",
                                study_kernel_json(study, buf_text(&objects), json_incref(faults))));
    }
    buf_release(&objects);
    json_decref(faults);
    return rc;
}

int worker_check(struct worker *w, struct err *e)
{
    for (size_t k = w->from; k < w->study.study.kernel_count; k++)
        if (check_kernel(w, k, e) < 0)
            return -1;
    return 0;
}
