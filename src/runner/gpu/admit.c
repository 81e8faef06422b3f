/* The admission: what is wrong on purpose, written by the runner itself in a candidate's place,
 * goes through the check. */
#include "worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A shape with more elements in its outputs is left to the candidates: each is computed in fp64. */
#define MOST_ELEMENTS ((size_t)1 << 20)
/* Elements of an output that are looked at for the influence of an input. */
#define INFLUENCE_PROBES 2000

struct admission {
    struct worker *w;
    struct sets sets; /* two: the second has other inputs */
    struct study_admission study;
    int64_t *index;
    double *value;
};

/* A way to answer: a reference, spoiled by a trick ("": not at all). */
struct answer {
    const char *trick;
    const struct reference *by;
};

/* Leaves the values of the elements at `index` in the reference's memory. */
static CUresult produce(struct admission *a, const struct answer *how, size_t output, size_t count)
{
    const struct device_tools *tools = &a->w->tools;
    const struct reference *by = how->by;
    uint64_t address[STUDY_MAX_BUFFERS];
    sets_addresses(&a->sets, strcmp(how->trick, "stale") == 0, address);
    if (!strcmp(how->trick, "zeros") || !strcmp(how->trick, "constant")) {
        for (size_t i = 0; i < count; i++)
            a->value[i] = how->trick[0] == 'z' ? 0 : 1;
        return device_put(tools, by->value, a->value, count * sizeof *a->value);
    }
    if (strcmp(how->trick, "copy") != 0)
        return reference_values(by, &a->sets, address, output, a->index, count);
    for (size_t i = 0; i < count; i++)
        a->index[i] %= (int64_t)a->sets.shape->elements[0];
    CUresult result = device_put(tools, by->index, a->index, count * sizeof *a->index);
    if (result == CUDA_SUCCESS)
        result =
            device_gather(tools, address[0], a->sets.study->dtype[0], by->index, count, by->value);
    return result;
}

static CUresult answer_output(struct admission *a, const struct answer *how, size_t output)
{
    const struct study *study = a->sets.study;
    size_t buffer = study->input_count + output, elements = a->sets.shape->elements[buffer];
    uint64_t address[STUDY_MAX_BUFFERS];
    CUresult result = CUDA_SUCCESS;
    sets_addresses(&a->sets, 0, address);
    if (!strcmp(how->trick, "half"))
        elements /= 2;
    for (size_t from = 0, count; from < elements && result == CUDA_SUCCESS; from += count) {
        count = elements - from < REFERENCE_MAX_PROBES ? elements - from : REFERENCE_MAX_PROBES;
        for (size_t i = 0; i < count; i++)
            a->index[i] = (int64_t)(from + i);
        result = produce(a, how, output, count);
        for (size_t i = 0; i < count; i++)
            a->index[i] = (int64_t)(from + i);
        if (result == CUDA_SUCCESS)
            result = device_put(&a->w->tools, how->by->index, a->index, count * sizeof *a->index);
        if (result == CUDA_SUCCESS)
            result = device_scatter(&a->w->tools, address[buffer], study->dtype[buffer],
                                    how->by->index, count, how->by->value);
    }
    return result;
}

/* One launch that is none. */
static int try_fill(struct admission *a, const struct answer *how, enum study_fill fill,
                    struct study_fault *fault, struct err *e)
{
    const struct study *study = a->sets.study;
    CUresult result = CUDA_SUCCESS;
    double worst = 0;
    if (sets_prepare(&a->sets, a->sets.count, fill, &a->w->rng, e) < 0)
        return -1;
    for (size_t i = study->input_count; i < study->buffer_count; i++)
        if (result == CUDA_SUCCESS && strcmp(how->trick, "nothing") != 0)
            result = answer_output(a, how, i - study->input_count);
    if (cuda_done(&a->w->cuda, result, "writing an answer", e) < 0)
        return -1;
    return worker_judge(a->w, &a->sets, fill, &worst, fault, e);
}

static size_t output_elements(const struct study *study, const struct study_shape *shape)
{
    size_t sum = 0;
    for (size_t i = study->input_count; i < study->buffer_count; i++)
        sum += shape->elements[i];
    return sum;
}

static int enter(struct admission *a, size_t shape, struct err *e)
{
    const struct study *study = &a->w->study.study;
    return sets_make(&a->w->tools, study, &study->shapes[shape], 2, (uint32_t)rng_next(&a->w->rng),
                     &a->sets, e);
}

static int try_shape(struct admission *a, const struct answer *how, size_t shape, json_t *faults,
                     struct err *e)
{
    int rc = enter(a, shape, e);
    struct study_fault fault = {.status = STUDY_PASS};
    for (int fill = 0; fill < FILL_COUNT && rc == 0 && fault.status == STUDY_PASS; fill++) {
        rc = try_fill(a, how, (enum study_fill)fill, &fault, e);
        if (rc == 0 && fault.status != STUDY_PASS)
            json_array_append_new(faults,
                                  study_fault_json(a->sets.shape, (enum study_fill)fill, &fault));
    }
    sets_release(&a->sets);
    return rc;
}

static int try_one(struct admission *a, const struct answer *how, const char *name, bool honest,
                   struct err *e)
{
    const struct study *study = &a->w->study.study;
    json_t *faults = json_array();
    int rc = 0;
    for (size_t i = 0; i < study->shape_count && rc == 0; i++)
        if (output_elements(study, &study->shapes[i]) <= MOST_ELEMENTS &&
            (honest || json_array_size(faults) == 0))
            rc = try_shape(a, how, i, faults, e);
    worker_say(a->w, json_pack("{s:b}", "returned", 1)); /* it is still there */
    if (rc == 0)
        study_admission_try(&a->study, name, honest, faults);
    else
        json_decref(faults);
    return rc;
}

/* The reference itself, what the runner makes of it, and the references that leave something out.
 */
static int try_all(struct admission *a, struct err *e)
{
    struct worker *w = a->w;
    const struct study *study = &w->study.study;
    struct answer how = {"", &w->reference};
    if (try_one(a, &how, "reference", true, e) < 0)
        return -1;
    for (const char *const *trick = study_tricks(); *trick; trick++) {
        how.trick = *trick;
        if (try_one(a, &how, *trick, false, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < study->kernel_count; i++) {
        struct reference without;
        bool same;
        if (study_admission_without(&a->study, &study->kernels[i], &same, e) < 0)
            return -1;
        if (same)
            continue;
        how = (struct answer){"", &without};
        if (reference_open(&w->tools, study->kernels[i].object, &without, e) < 0 ||
            try_one(a, &how, study->kernels[i].name, false, e) < 0)
            return -1;
    }
    return 0;
}

/* Whether the check would notice that other values of one input were used on this shape. */
static int influence(struct admission *a, size_t input, bool *found, struct err *e)
{
    struct worker *w = a->w;
    const struct study *study = a->sets.study;
    uint64_t address[STUDY_MAX_BUFFERS], other[STUDY_MAX_BUFFERS];
    double *before = a->value, *now = before + INFLUENCE_PROBES, *scale = now + INFLUENCE_PROBES;
    if (sets_prepare(&a->sets, 2, FILL_NORMAL, &w->rng, e) < 0)
        return -1;
    sets_addresses(&a->sets, 0, address);
    sets_addresses(&a->sets, 1, other);
    for (size_t b = study->input_count; b < study->buffer_count && !*found; b++) {
        size_t output = b - study->input_count;
        for (size_t i = 0; i < INFLUENCE_PROBES; i++)
            a->index[i] = (int64_t)rng_below(&w->rng, a->sets.shape->elements[b]);
        CUresult result = reference_fetch(&w->reference, &a->sets, address, output, a->index,
                                          INFLUENCE_PROBES, before, scale);
        uint64_t kept = address[input];
        address[input] = other[input];
        if (result == CUDA_SUCCESS)
            result = reference_fetch(&w->reference, &a->sets, address, output, a->index,
                                     INFLUENCE_PROBES, now, scale + INFLUENCE_PROBES);
        address[input] = kept;
        if (cuda_done(&w->cuda, result, "computing the reference", e) < 0)
            return -1;
        for (size_t i = 0; i < INFLUENCE_PROBES && !*found; i++) {
            double allowed, size = scale[i] + scale[INFLUENCE_PROBES + i];
            *found = isfinite(before[i]) && isfinite(now[i]) &&
                     !study_accepts(study->dtype[b], false, study->bound, now[i], before[i], size,
                                    &allowed);
        }
    }
    return 0;
}

static int try_inputs(struct admission *a, struct err *e)
{
    const struct study *study = &a->w->study.study;
    for (size_t i = 0; i < study->input_count; i++) {
        bool found = false;
        for (size_t k = 0; k < study->shape_count && !found; k++) {
            int rc = enter(a, k, e);
            if (rc == 0)
                rc = influence(a, i, &found, e);
            sets_release(&a->sets);
            if (rc < 0)
                return -1;
        }
        study_admission_input(&a->study, i, found);
    }
    return 0;
}

int worker_admit(struct worker *w, struct err *e)
{
    const struct study_kernel reference = {
        .name = "reference", .objects = &w->study.study.reference, .object_count = 1};
    struct admission a = {.w = w,
                          .index = xcalloc(REFERENCE_MAX_PROBES, sizeof *a.index),
                          .value = xcalloc(REFERENCE_MAX_PROBES, sizeof *a.value)};
    bool passed;
    study_admission_open(&w->study.study, &a.study);
    /* The same cases in every run: they follow from the reference. */
    int rc = study_seed_from(&reference, &w->rng, e);
    if (rc == 0)
        rc = try_all(&a, e);
    if (rc == 0)
        rc = try_inputs(&a, e);
    json_t *result = study_admission_close(&a.study, &passed);
    if (rc == 0)
        worker_say(w, json_pack("{s:i, s:O}", "done", 0, "result", result));
    json_decref(result);
    free(a.index);
    free(a.value);
    return rc;
}
