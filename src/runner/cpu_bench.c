#include "cpu.h"

#include <stdlib.h>
#include <string.h>

/* Elements of each output judged after every timed launch; the whole output is scanned for poison
 * and NaN. */
#define BENCH_PROBES 48
/* A launch that beats the multiply-add roofline by more than the roofline's own scatter did not do
 * the work. */
#define ROOFLINE_SLACK 1.05

struct contender {
    const struct study_kernel *kernel;
    const char *name;
    struct cpu_child child;
    enum study_status status;
    struct study_fault fault;
    double *samples_ns;
    size_t count;
    bool barred; /* wrong on a hidden shape */
};

struct bench {
    const struct study *spec;
    const char *self;
    struct cpu_reference reference;
    struct rng rng;
    double peak_gflops[2]; /* one thread, all threads that any kernel uses */
    int threads;
    struct study_lot lot;
    struct arena arena;
    struct contender *contenders;
    size_t count;
};

/* The contenders: every kernel, and the control a second time. */
static void line_up(struct bench *b)
{
    const struct study *spec = b->spec;
    b->contenders = arena_alloc(&b->arena, (spec->kernel_count + 1) * sizeof *b->contenders);
    for (size_t i = 0; i < spec->kernel_count; i++)
        b->contenders[b->count++] =
            (struct contender){.kernel = &spec->kernels[i], .name = spec->kernels[i].name};
    for (size_t i = 0; spec->control && i < spec->kernel_count; i++)
        if (strcmp(spec->kernels[i].name, spec->control) == 0)
            b->contenders[b->count++] =
                (struct contender){.kernel = &spec->kernels[i], .name = "A/A control"};
    for (size_t i = 0; i < b->count; i++)
        b->contenders[i].samples_ns = arena_alloc(&b->arena, spec->max_blocks * sizeof(double));
}

static bool is_above_roofline(const struct bench *b, const struct study_shape *shape,
                              const struct contender *c, double wall_ns)
{
    double roofline = cpu_roofline_gflops(b->peak_gflops[0], c->kernel->threads);
    return shape->flops > roofline * ROOFLINE_SLACK * wall_ns;
}

/* A peak that was taken while the clock was slow, or while somebody else used the core, is no
 * ground to call anything impossible: it is taken again before that is said. */
static bool is_impossible(struct bench *b, const struct study_shape *shape,
                          const struct contender *c, double wall_ns)
{
    if (!is_above_roofline(b, shape, c, wall_ns))
        return false;
    double again = cpu_peak_gflops(1);
    if (again > b->peak_gflops[0])
        b->peak_gflops[0] = again;
    return is_above_roofline(b, shape, c, wall_ns);
}

/* One launch on inputs that were never seen before, judged. */
static double launch(struct bench *b, const struct study_shape *shape, struct contender *c,
                     struct cpu_memory *m)
{
    int64_t wall_ns = 0;
    double worst = 0;
    cpu_fill_inputs(b->spec, shape, FILL_NORMAL, &b->rng, m);
    uint32_t poison = cpu_poison(&b->rng, m);
    c->status = cpu_child_launch(&c->child, b->spec->timeout_s, &wall_ns);
    if (c->status == STUDY_PASS)
        c->status = cpu_judge(b->spec, shape, &b->reference, m, poison, false, BENCH_PROBES,
                              &b->rng, &worst, &c->fault);
    if (c->status == STUDY_PASS && is_impossible(b, shape, c, (double)wall_ns))
        c->status = STUDY_IMPOSSIBLE;
    return (double)wall_ns;
}

static int start_all(struct bench *b, const struct study_shape *shape, const struct cpu_memory *m,
                     struct err *e)
{
    for (size_t i = 0; i < b->count; i++) {
        struct contender *c = &b->contenders[i];
        c->child = (struct cpu_child){.pidfd = -1, .to_fd = -1, .from_fd = -1};
        c->count = 0;
        c->status = c->barred ? STUDY_REJECTED : study_admit(shape, c->kernel);
        if (c->status != STUDY_PASS)
            continue;
        if (cpu_child_start(b->self, b->spec, shape, c->kernel, m, &c->child, e) < 0)
            return -1;
        c->status = c->child.status;
    }
    return 0;
}

/* Two launches each before the clock counts: pages are mapped, the clock speed has settled. Returns
 * how many blocks fit the budget. */
static size_t warm_up(struct bench *b, const struct study_shape *shape, struct cpu_memory *m)
{
    double block_ns = 1;
    for (int round = 0; round < 2; round++) {
        int64_t start = os_monotonic_ns();
        for (size_t i = 0; i < b->count; i++)
            if (b->contenders[i].status == STUDY_PASS)
                launch(b, shape, &b->contenders[i], m);
        block_ns = (double)(os_monotonic_ns() - start);
    }
    return study_blocks(b->spec, block_ns);
}

static void run_block(struct bench *b, const struct study_shape *shape, struct cpu_memory *m,
                      size_t *order)
{
    study_shuffle(&b->rng, order, b->count);
    for (size_t i = 0; i < b->count; i++) {
        struct contender *c = &b->contenders[order[i]];
        if (c->status != STUDY_PASS)
            continue;
        double ns = launch(b, shape, c, m);
        if (c->status == STUDY_PASS)
            c->samples_ns[c->count++] = ns;
    }
}

static json_t *shape_json(const struct bench *b, const struct study_shape *shape, size_t blocks)
{
    json_t *kernels = json_object();
    for (size_t i = 0; i < b->count; i++) {
        const struct contender *c = &b->contenders[i];
        json_t *j = study_samples_json(c->status, c->samples_ns, c->count, &c->fault);
        json_object_set_new(j, "threads", json_integer(c->kernel->threads));
        json_object_set_new(kernels, c->name, j);
    }
    return study_shape_json(b->spec, shape, blocks, kernels);
}

static int bench_shape(struct bench *b, const struct study_shape *shape, json_t *shapes,
                       struct err *e)
{
    struct cpu_memory m;
    size_t *order = arena_alloc(&b->arena, b->count * sizeof *order);
    if (cpu_memory_make(b->spec, shape, &m, e) < 0)
        return -1;
    int rc = start_all(b, shape, &m, e);
    if (rc == 0) {
        size_t blocks = warm_up(b, shape, &m);
        for (size_t i = 0; i < blocks; i++)
            run_block(b, shape, &m, order);
        json_array_append_new(shapes, shape_json(b, shape, blocks));
    }
    for (size_t i = 0; i < b->count; i++)
        cpu_child_end(&b->contenders[i].child);
    cpu_memory_release(&m);
    return rc;
}

/* Who was right on the declared shapes alone is not timed at all. */
static int try_hidden(struct bench *b, struct err *e)
{
    struct study hidden = *b->spec;
    hidden.shape_count = 0;
    struct cpu_checker checker = {
        .spec = &hidden, .self = b->self, .reference = b->reference, .rng = b->rng};
    for (size_t i = 0; i < b->count && hidden.hidden_drawn; i++) {
        struct contender *c = &b->contenders[i];
        json_t *faults = json_array();
        double worst = 0;
        checker.rng = b->rng; /* the same shapes for all */
        int rc = c->kernel->check ? cpu_try(&checker, c->kernel, true, faults, &worst, e) : 0;
        c->barred = json_array_size(faults) > 0;
        json_decref(faults);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int cpu_bench(const struct study *spec, const char *self, json_t **result, struct err *e)
{
    struct bench b = {.spec = spec, .self = self, .threads = 1};
    json_t *shapes = json_array();
    int rc = -1;
    if (study_lot_draw(spec, &b.lot, e) < 0 ||
        cpu_reference_open(spec->reference, &b.reference, e) < 0)
        goto out;
    b.rng.state = b.lot.seed;
    for (size_t i = 0; i < spec->kernel_count; i++)
        if (spec->kernels[i].threads > b.threads)
            b.threads = spec->kernels[i].threads;
    b.peak_gflops[0] = cpu_peak_gflops(1);
    b.peak_gflops[1] = cpu_peak_gflops(b.threads);
    line_up(&b);
    if (try_hidden(&b, e) < 0)
        goto out;
    for (size_t i = 0; i < spec->shape_count; i++)
        if (bench_shape(&b, &spec->shapes[i], shapes, e) < 0)
            goto out;
    *result = json_pack("{s:s, s:o, s:s?, s:i, s:f, s:f, s:O}", "op", spec->op, "draw",
                        study_lot_json(&b.lot), "control", spec->control, "threads", b.threads,
                        "peak_gflops_1", b.peak_gflops[0], "peak_gflops_n", b.peak_gflops[1],
                        "shapes", shapes);
    rc = 0;
out:
    json_decref(shapes);
    cpu_reference_close(&b.reference);
    buf_release(&b.lot.commitment);
    arena_release(&b.arena);
    return rc;
}
