#include "cpu.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

int cpu_reference_open(const char *object, struct cpu_reference *out, struct err *e)
{
    *out = (struct cpu_reference){0};
    out->handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    if (out->handle)
        *(void **)&out->at = dlsym(out->handle, CANDIDATE_AT_SYMBOL);
    if (out->at)
        return 0;
    err_set(e, ERR_runner_reference, "%s", dlerror());
    cpu_reference_close(out);
    return err_hint(e, "a study's reference is a shared object that exports `%s`",
                    CANDIDATE_AT_SYMBOL);
}

void cpu_reference_close(struct cpu_reference *r)
{
    if (r->handle)
        dlclose(r->handle);
    *r = (struct cpu_reference){0};
}

/* Poison and NaN first, over every element: they need no reference. */
static enum study_status scan(const struct study *spec, const struct study_shape *shape,
                              const struct cpu_memory *m, uint32_t poison,
                              struct study_fault *fault)
{
    for (size_t i = spec->input_count; i < spec->buffer_count; i++) {
        const uint32_t *bits = m->buf[i];
        for (size_t k = 0; k < shape->elements[i]; k++) {
            if ((bits[k] & 0x7f800000u) != 0x7f800000u || (bits[k] & 0x7fffffu) == 0)
                continue;
            enum study_status status = bits[k] == poison ? STUDY_UNWRITTEN : STUDY_NOT_FINITE;
            *fault = (struct study_fault){
                .status = status, .buffer = spec->buffer[i], .index = k, .got = NAN};
            return status;
        }
    }
    return STUDY_PASS;
}

/* The room before, between and behind the outputs. */
static enum study_status look_beside(const struct study *spec, const struct study_shape *shape,
                                     const struct cpu_memory *m, uint32_t poison,
                                     struct study_fault *fault)
{
    const uint32_t *at = m->output_map, *end = at + m->output_bytes / sizeof *at;
    for (size_t i = spec->input_count; i <= spec->buffer_count; i++) {
        bool is_last = i == spec->buffer_count;
        const uint32_t *next = is_last ? end : m->buf[i];
        for (; at < next; at++) {
            if (*at == poison)
                continue;
            const char *beside = spec->buffer[is_last ? i - 1 : i];
            *fault =
                (struct study_fault){.status = STUDY_OUT_OF_BOUNDS, .buffer = beside, .got = NAN};
            return STUDY_OUT_OF_BOUNDS;
        }
        at += is_last ? 0 : shape->elements[i];
    }
    return STUDY_PASS;
}

static bool judge_element(const struct study *spec, const struct study_shape *shape,
                          const struct cpu_reference *reference, const struct cpu_memory *m,
                          bool exact, size_t buffer, size_t index, double *worst,
                          struct study_fault *fault)
{
    double want = NAN, scale = NAN;
    double got = (double)((const float *)m->buf[buffer])[index];
    if (reference->at(shape->dim, m->buf, (int)(buffer - spec->input_count), (int64_t)index, &want,
                      &scale) != 0)
        return true;
    double allowed;
    bool same = study_accepts(DTYPE_F32, exact, spec->bound, got, want, scale, &allowed);
    if (allowed > 0 && isfinite(want) && fabs(got - want) / allowed > *worst)
        *worst = fabs(got - want) / allowed;
    if (!same)
        *fault = (struct study_fault){STUDY_WRONG, spec->buffer[buffer], index, got, want, allowed};
    return same;
}

enum study_status cpu_judge(const struct study *spec, const struct study_shape *shape,
                            const struct cpu_reference *reference, const struct cpu_memory *m,
                            uint32_t poison, bool exact, size_t probes, struct rng *rng,
                            double *worst, struct study_fault *fault)
{
    enum study_status status = look_beside(spec, shape, m, poison, fault);
    if (status == STUDY_PASS)
        status = scan(spec, shape, m, poison, fault);
    if (status != STUDY_PASS)
        return status;
    for (size_t i = spec->input_count; i < spec->buffer_count; i++) {
        size_t n = shape->elements[i];
        size_t count = probes && probes < n ? probes : n;
        for (size_t k = 0; k < count; k++) {
            size_t index = count == n ? k : (size_t)rng_below(rng, n);
            if (!judge_element(spec, shape, reference, m, exact, i, index, worst, fault))
                return STUDY_WRONG;
        }
    }
    return STUDY_PASS;
}

/* Elements judged for each output in a check: all of a small shape, a large sample of a large one.
 */
#define CHECK_PROBES 20000

static enum study_status check_one(struct cpu_checker *c, const struct study_shape *shape,
                                   enum study_fill fill, struct cpu_memory *m,
                                   struct cpu_child *child, double *worst,
                                   struct study_fault *fault)
{
    int64_t ignored_ns;
    cpu_fill_inputs(c->spec, shape, fill, &c->rng, m);
    uint32_t poison = cpu_poison(&c->rng, m);
    enum study_status status = cpu_child_launch(child, c->spec->timeout_s, &ignored_ns);
    if (status != STUDY_PASS) {
        *fault = (struct study_fault){.status = status};
        return status;
    }
    bool exact = fill == FILL_INTEGER && shape->exact;
    return cpu_judge(c->spec, shape, &c->reference, m, poison, exact, CHECK_PROBES, &c->rng, worst,
                     fault);
}

static int check_shape(struct cpu_checker *c, const struct study_shape *shape,
                       const struct study_kernel *kernel, json_t *faults, double *worst,
                       struct err *e)
{
    struct cpu_memory m;
    struct cpu_child child;
    if (cpu_memory_make(c->spec, shape, &m, e) < 0)
        return -1;
    int rc = cpu_child_start(c->self, c->spec, shape, kernel, &m, &child, e);
    for (size_t i = 0; rc == 0 && i < FILL_COUNT; i++) {
        struct study_fault fault = {0};
        if (check_one(c, shape, (enum study_fill)i, &m, &child, worst, &fault) == STUDY_PASS)
            continue;
        json_t *j = study_fault_json(shape, (enum study_fill)i, &fault);
        if (fault.status == STUDY_CRASHED)
            json_object_set_new(j, "signal", json_integer(child.signal));
        json_array_append_new(faults, j);
        break;
    }
    if (rc == 0)
        cpu_child_end(&child);
    cpu_memory_release(&m);
    return rc;
}

int cpu_try(struct cpu_checker *c, const struct study_kernel *kernel, bool first, json_t *faults,
            double *worst, struct err *e)
{
    const struct study *spec = c->spec;
    size_t *hidden = xcalloc(spec->hidden_drawn + 1, sizeof *hidden);
    size_t drawn = study_draw_hidden(spec, NULL, &c->rng, hidden);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec->shape_count + drawn; i++) {
        const struct study_shape *shape =
            i < spec->shape_count ? &spec->shapes[i] : &spec->hidden[hidden[i - spec->shape_count]];
        if (!(first && json_array_size(faults)))
            rc = check_shape(c, shape, kernel, faults, worst, e);
    }
    free(hidden);
    return rc;
}

static int check_kernel(struct cpu_checker *c, const struct study_kernel *kernel, json_t *result,
                        bool *passed, struct err *e)
{
    json_t *faults = json_array();
    struct buf objects = {0};
    double worst = 0;
    if (study_seed_from(kernel, &c->rng, e) < 0 || study_objects(kernel, &objects, e) < 0 ||
        cpu_try(c, kernel, false, faults, &worst, e) < 0) {
        json_decref(faults);
        buf_release(&objects);
        return -1;
    }
    bool pass = json_array_size(faults) == 0;
    *passed = *passed && pass;
    /* How near the bound it came depends on the vector unit of this machine, so it goes to the log
     * and not into the result. */
    study_say(kernel->name, faults, worst, c->spec->shape_count + c->spec->hidden_drawn);
    json_object_set_new(result, kernel->name,
                        study_kernel_json(c->spec, buf_text(&objects), faults));
    buf_release(&objects);
    return 0;
}

int cpu_check(const struct study *spec, const char *self, json_t **result, bool *passed,
              struct err *e)
{
    struct cpu_checker c = {.spec = spec, .self = self};
    if (cpu_reference_open(spec->reference, &c.reference, e) < 0)
        return -1;
    json_t *kernels = json_object();
    int rc = 0;
    *passed = true;
    for (size_t i = 0; rc == 0 && i < spec->kernel_count; i++)
        rc = check_kernel(&c, &spec->kernels[i], kernels, passed, e);
    cpu_reference_close(&c.reference);
    if (rc < 0) {
        json_decref(kernels);
        return -1;
    }
    *result = study_check_json(spec, *passed, kernels);
    return 0;
}
