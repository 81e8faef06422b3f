#include "cpu.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>

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
static enum cpu_status scan(const struct cpu_spec *spec, const struct cpu_shape *shape,
                            const struct cpu_memory *m, uint32_t poison, struct cpu_fault *fault)
{
    for (size_t i = spec->input_count; i < spec->buffer_count; i++) {
        const uint32_t *bits = m->buf[i];
        for (size_t k = 0; k < shape->elements[i]; k++) {
            if ((bits[k] & 0x7f800000u) != 0x7f800000u || (bits[k] & 0x7fffffu) == 0)
                continue;
            enum cpu_status status = bits[k] == poison ? CPU_UNWRITTEN : CPU_NOT_FINITE;
            *fault = (struct cpu_fault){
                .status = status, .buffer = spec->buffer[i], .index = k, .got = NAN};
            return status;
        }
    }
    return CPU_PASS;
}

static bool judge_element(const struct cpu_spec *spec, const struct cpu_shape *shape,
                          const struct cpu_reference *reference, const struct cpu_memory *m,
                          bool exact, size_t buffer, size_t index, double *worst,
                          struct cpu_fault *fault)
{
    double want = NAN, scale = NAN;
    double got = (double)((const float *)m->buf[buffer])[index];
    if (reference->at(shape->dim, m->buf, (int)(buffer - spec->input_count), (int64_t)index, &want,
                      &scale) != 0)
        return true;
    double allowed = exact ? 0 : spec->bound * scale;
    bool same = exact || isinf(want) ? got == (double)(float)want : fabs(got - want) <= allowed;
    if (allowed > 0 && isfinite(want) && fabs(got - want) / allowed > *worst)
        *worst = fabs(got - want) / allowed;
    if (!same)
        *fault = (struct cpu_fault){CPU_WRONG, spec->buffer[buffer], index, got, want, allowed};
    return same;
}

enum cpu_status cpu_judge(const struct cpu_spec *spec, const struct cpu_shape *shape,
                          const struct cpu_reference *reference, const struct cpu_memory *m,
                          uint32_t poison, bool exact, size_t probes, struct rng *rng,
                          double *worst, struct cpu_fault *fault)
{
    enum cpu_status status = scan(spec, shape, m, poison, fault);
    if (status != CPU_PASS)
        return status;
    for (size_t i = spec->input_count; i < spec->buffer_count; i++) {
        size_t n = shape->elements[i];
        size_t count = probes && probes < n ? probes : n;
        for (size_t k = 0; k < count; k++) {
            size_t index = count == n ? k : (size_t)rng_below(rng, n);
            if (!judge_element(spec, shape, reference, m, exact, i, index, worst, fault))
                return CPU_WRONG;
        }
    }
    return CPU_PASS;
}

/* Elements judged for each output in a check: all of a small shape, a large sample of a large one.
 */
#define CHECK_PROBES 20000

struct check {
    const struct cpu_spec *spec;
    const char *self;
    struct cpu_reference reference;
    struct rng rng;
};

static enum cpu_status check_one(struct check *c, const struct cpu_shape *shape, enum cpu_fill fill,
                                 struct cpu_memory *m, struct cpu_child *child, double *worst,
                                 struct cpu_fault *fault)
{
    int64_t ignored_ns;
    cpu_fill_inputs(c->spec, shape, fill, &c->rng, m);
    uint32_t poison = cpu_poison(c->spec, shape, &c->rng, m);
    enum cpu_status status = cpu_child_launch(child, c->spec->timeout_s, &ignored_ns);
    if (status != CPU_PASS) {
        *fault = (struct cpu_fault){.status = status};
        return status;
    }
    bool exact = fill == FILL_INTEGER && shape->exact;
    return cpu_judge(c->spec, shape, &c->reference, m, poison, exact, CHECK_PROBES, &c->rng, worst,
                     fault);
}

static const struct {
    enum cpu_fill fill;
    const char *name;
} fills[] = {
    {FILL_NORMAL, "normal"}, {FILL_LARGE, "large"}, {FILL_INTEGER, "integer"}, {FILL_ONES, "ones"}};

static json_t *fault_json(const struct cpu_shape *shape, const char *fill,
                          const struct cpu_fault *fault, int signal)
{
    json_t *j = json_pack("{s:s, s:s, s:s}", "shape", shape->name, "fill", fill, "status",
                          cpu_status_name(fault->status));
    if (fault->status == CPU_CRASHED)
        json_object_set_new(j, "signal", json_integer(signal));
    if (fault->buffer) {
        json_object_set_new(j, "buffer", json_string(fault->buffer));
        json_object_set_new(j, "index", json_integer((json_int_t)fault->index));
    }
    if (fault->status == CPU_WRONG) {
        struct buf text = {0};
        buf_addf(&text, "got %.9g, the reference says %.9g, allowed difference %.3g", fault->got,
                 fault->want, fault->allowed);
        json_object_set_new(j, "detail", json_string(buf_text(&text)));
        buf_release(&text);
    }
    return j;
}

static int check_shape(struct check *c, const struct cpu_shape *shape,
                       const struct cpu_kernel *kernel, json_t *faults, double *worst,
                       struct err *e)
{
    struct cpu_memory m;
    struct cpu_child child;
    if (cpu_memory_make(c->spec, shape, &m, e) < 0)
        return -1;
    int rc = cpu_child_start(c->self, c->spec, shape, kernel, &m, &child, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(fills); i++) {
        struct cpu_fault fault = {0};
        if (check_one(c, shape, fills[i].fill, &m, &child, worst, &fault) == CPU_PASS)
            continue;
        json_array_append_new(faults, fault_json(shape, fills[i].name, &fault, child.signal));
        break;
    }
    if (rc == 0)
        cpu_child_end(&child);
    cpu_memory_release(&m);
    return rc;
}

static int check_kernel(struct check *c, const struct cpu_kernel *kernel, json_t *result,
                        bool *passed, struct err *e)
{
    json_t *faults = json_array();
    double worst = 0;
    for (size_t i = 0; i < c->spec->shape_count; i++)
        if (check_shape(c, &c->spec->shapes[i], kernel, faults, &worst, e) < 0) {
            json_decref(faults);
            return -1;
        }
    bool pass = json_array_size(faults) == 0;
    *passed = *passed && pass;
    /* How near the bound it came depends on the vector unit of this machine, so it goes to the log
     * and not into the result. */
    fprintf(stderr, "%s: %s, worst error %.3f of the bound over %zu shapes and %zu distributions\n",
            kernel->name, pass ? "PASS" : "REJECTED", worst, c->spec->shape_count,
            ARRAY_LEN(fills));
    json_object_set_new(result, kernel->name,
                        json_pack("{s:s, s:i, s:i, s:o}", "status", pass ? "PASS" : "REJECTED",
                                  "shapes", (int)c->spec->shape_count, "fills",
                                  (int)ARRAY_LEN(fills), "faults", faults));
    return 0;
}

int cpu_check(const struct cpu_spec *spec, const char *self, json_t **result, bool *passed,
              struct err *e)
{
    struct check c = {.spec = spec, .self = self, .rng = {spec->seed}};
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
    *result = json_pack("{s:s, s:s, s:o}", "op", spec->op, "status", *passed ? "PASS" : "REJECTED",
                        "kernels", kernels);
    return 0;
}
