#include "cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Elements of an output that are looked at for the influence of an input. */
#define INFLUENCE_PROBES 2000

struct admission {
    struct cpu_checker checker;
    struct study_admission study;
};

static int try_one(struct admission *a, const struct study_kernel *kernel, const char *name,
                   bool honest, struct err *e)
{
    json_t *faults = json_array();
    double worst = 0;
    if (cpu_try(&a->checker, kernel, !honest, faults, &worst, e) < 0) {
        json_decref(faults);
        return -1;
    }
    study_admission_try(&a->study, name, honest, faults);
    return 0;
}

/* The reference itself, what the runner makes of it, and the references that leave something out.
 */
static int try_all(struct admission *a, struct err *e)
{
    const struct study *spec = a->checker.spec;
    struct study_kernel honest = {
        .name = "reference", .object = spec->reference, .threads = 1, .trick = CPU_AS_IT_IS};
    if (try_one(a, &honest, honest.name, true, e) < 0)
        return -1;
    for (const char *const *trick = study_tricks(); *trick; trick++) {
        struct study_kernel spoiled = honest;
        spoiled.trick = *trick;
        if (try_one(a, &spoiled, *trick, false, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < spec->kernel_count; i++) {
        struct study_kernel without = spec->kernels[i];
        bool same;
        without.trick = CPU_AS_IT_IS;
        if (study_admission_without(&a->study, &without, &same, e) < 0 ||
            (!same && try_one(a, &without, without.name, false, e) < 0))
            return -1;
    }
    return 0;
}

struct probe {
    size_t buffer, index;
    double value, scale;
};

static void look(struct admission *a, const struct study_shape *shape, const struct cpu_memory *m,
                 struct probe *p)
{
    size_t output = p->buffer - a->checker.spec->input_count;
    p->value = p->scale = 0;
    a->checker.reference.at(shape->dim, m->buf, (int)output, (int64_t)p->index, &p->value,
                            &p->scale);
}

/* Whether the check would notice that one answer stands in place of the other. */
static bool moved(const struct study *spec, const struct probe *before, const struct probe *after)
{
    double allowed;
    if (!isfinite(before->value) || !isfinite(after->value))
        return false;
    return !study_accepts(DTYPE_F32, false, spec->bound, after->value, before->value,
                          before->scale + after->scale, &allowed);
}

static void refill(const struct study *spec, const struct study_shape *shape, size_t input,
                   struct rng *rng, struct cpu_memory *m)
{
    float *at = m->buf[input];
    for (size_t i = 0; i < shape->elements[input]; i++)
        at[i] = (float)(4 * rng_unit(rng) - 2);
    (void)spec;
}

/* Whether other values of one input give other outputs on a shape. */
static int influence(struct admission *a, const struct study_shape *shape, size_t input,
                     bool *found, struct err *e)
{
    const struct study *spec = a->checker.spec;
    struct cpu_memory m;
    struct probe *probes = xcalloc(INFLUENCE_PROBES, sizeof *probes);
    if (cpu_memory_make(spec, shape, &m, e) < 0) {
        free(probes);
        return -1;
    }
    cpu_fill_inputs(spec, shape, FILL_NORMAL, &a->checker.rng, &m);
    for (size_t i = 0; i < INFLUENCE_PROBES; i++) {
        struct probe *p = &probes[i];
        p->buffer = spec->input_count + i % (spec->buffer_count - spec->input_count);
        p->index = (size_t)rng_below(&a->checker.rng, shape->elements[p->buffer]);
        look(a, shape, &m, p);
    }
    refill(spec, shape, input, &a->checker.rng, &m);
    for (size_t i = 0; i < INFLUENCE_PROBES && !*found; i++) {
        struct probe now = probes[i];
        look(a, shape, &m, &now);
        *found = moved(spec, &probes[i], &now);
    }
    cpu_memory_release(&m);
    free(probes);
    return 0;
}

static int try_inputs(struct admission *a, struct err *e)
{
    const struct study *spec = a->checker.spec;
    for (size_t i = 0; i < spec->input_count; i++) {
        bool found = false;
        for (size_t k = 0; k < spec->shape_count && !found; k++)
            if (influence(a, &spec->shapes[k], i, &found, e) < 0)
                return -1;
        study_admission_input(&a->study, i, found);
    }
    return 0;
}

int cpu_admit(const struct study *spec, const char *self, json_t **result, bool *passed,
              struct err *e)
{
    struct admission a = {.checker = {.spec = spec, .self = self}};
    const struct study_kernel reference = {
        .name = "reference", .objects = &spec->reference, .object_count = 1};
    study_admission_open(spec, &a.study);
    /* The same cases in every run: they follow from the reference. */
    int rc = study_seed_from(&reference, &a.checker.rng, e);
    if (rc == 0)
        rc = cpu_reference_open(spec->reference, &a.checker.reference, e);
    if (rc == 0)
        rc = try_all(&a, e);
    if (rc == 0)
        rc = try_inputs(&a, e);
    json_t *said = study_admission_close(&a.study, passed);
    if (rc == 0)
        *result = said;
    else
        json_decref(said);
    cpu_reference_close(&a.checker.reference);
    return rc;
}
