#include "cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Elements of an output that are looked at for the influence of an input. */
#define INFLUENCE_PROBES 2000

struct admission {
    struct cpu_checker checker;
    json_t *tries;
    size_t wrong, caught; /* tries that had to fail, and those that did */
    bool honest;          /* the reference passed its own check */
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
    bool passed = json_array_size(faults) == 0;
    if (honest)
        a->honest = passed;
    a->wrong += !honest;
    a->caught += !honest && !passed;
    json_t *first = passed ? json_null() : json_incref(json_array_get(faults, 0));
    json_array_append_new(a->tries, json_pack("{s:s, s:s, s:s, s:o}", "name", name, "expected",
                                              honest ? "PASS" : "FAIL", "got",
                                              passed ? "PASS" : "FAIL", "fault", first));
    if (passed != honest)
        fprintf(stderr, "%s %s\n", name,
                honest ? "fails: the reference does not agree with itself" : "passes the check");
    json_decref(faults);
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
    for (const char *const *trick = cpu_tricks(); *trick; trick++) {
        struct study_kernel spoiled = honest;
        spoiled.trick = *trick;
        if (try_one(a, &spoiled, *trick, false, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < spec->kernel_count; i++) {
        struct study_kernel without = spec->kernels[i];
        without.trick = CPU_AS_IT_IS;
        if (try_one(a, &without, without.name, false, e) < 0)
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

static bool moved(const struct study *spec, const struct probe *before, const struct probe *after)
{
    if (!isfinite(before->value) || !isfinite(after->value))
        return false;
    return fabs(before->value - after->value) > spec->bound * (before->scale + after->scale);
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

static int try_inputs(struct admission *a, json_t *inputs, bool *all, struct err *e)
{
    const struct study *spec = a->checker.spec;
    *all = true;
    for (size_t i = 0; i < spec->input_count; i++) {
        bool found = false;
        for (size_t k = 0; k < spec->shape_count && !found; k++)
            if (influence(a, &spec->shapes[k], i, &found, e) < 0)
                return -1;
        if (!found)
            fprintf(stderr, "input %s changes no output on any shape\n", spec->buffer[i]);
        *all = *all && found;
        json_object_set_new(inputs, spec->buffer[i], json_boolean(found));
    }
    return 0;
}

/* The same cases in every run: they follow from the reference. */
static int seed(struct admission *a, struct err *e)
{
    struct study_kernel reference = {.name = "reference", .object = a->checker.spec->reference};
    struct buf commitment = {0};
    int rc = study_commit(&reference, &commitment, e);
    a->checker.rng.state = study_draw("", buf_text(&commitment));
    buf_release(&commitment);
    return rc;
}

int cpu_admit(const struct study *spec, const char *self, json_t **result, bool *passed,
              struct err *e)
{
    struct admission a = {.checker = {.spec = spec, .self = self}, .tries = json_array()};
    json_t *inputs = json_object();
    bool all = false;
    int rc = seed(&a, e);
    if (rc == 0)
        rc = cpu_reference_open(spec->reference, &a.checker.reference, e);
    if (rc == 0)
        rc = try_all(&a, e);
    if (rc == 0)
        rc = try_inputs(&a, inputs, &all, e);
    *passed = rc == 0 && all && a.honest && a.caught == a.wrong;
    if (rc == 0) {
        fprintf(stderr, "%s: %s, %zu of %zu wrong candidates caught\n", spec->op,
                *passed ? "admitted" : "refused", a.caught, a.wrong);
        *result =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:O, s:O}", "name", spec->op, "op", spec->op,
                      "status", *passed ? "admitted" : "refused", "caught", (json_int_t)a.caught,
                      "wrong", (json_int_t)a.wrong, "tries", a.tries, "inputs", inputs);
    }
    json_decref(inputs);
    json_decref(a.tries);
    cpu_reference_close(&a.checker.reference);
    return rc;
}
