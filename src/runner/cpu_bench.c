#include "cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Elements of each output judged after every timed launch; the whole output is scanned for poison
 * and NaN. */
#define BENCH_PROBES 48
/* A launch that beats the multiply-add roofline by more than the roofline's own scatter did not do
 * the work. */
#define ROOFLINE_SLACK 1.05

struct contender {
    const struct cpu_kernel *kernel;
    const char *name;
    struct cpu_child child;
    enum cpu_status status;
    struct cpu_fault fault;
    double *samples_ns;
    size_t count;
    double warm_ns;
};

struct bench {
    const struct cpu_spec *spec;
    const char *self;
    struct cpu_reference reference;
    struct rng rng;
    double peak_gflops[2]; /* one thread, all threads that any kernel uses */
    int threads;
    struct arena arena;
    struct contender *contenders;
    size_t count;
};

static enum cpu_status status_from_check(const struct cpu_shape *shape,
                                         const struct cpu_kernel *kernel)
{
    for (size_t i = 0; i < shape->without.len; i++)
        if (strcmp(shape->without.at[i], kernel->name) == 0)
            return CPU_UNMEASURED;
    if (!kernel->check)
        return CPU_PASS;
    struct buf text = {0};
    struct err e = {0};
    enum cpu_status status = CPU_REJECTED;
    json_t *root = NULL;
    if (os_read(kernel->check, &text, &e) == 0 &&
        (root = json_parse(buf_text(&text), text.len, kernel->check, &e))) {
        const json_t *entry = json_object_get(json_object_get(root, "kernels"), kernel->name);
        if (strcmp(json_text(entry, "status", ""), "PASS") == 0)
            status = CPU_PASS;
    }
    json_decref(root);
    buf_release(&text);
    err_release(&e);
    return status;
}

/* The contenders: every kernel, and the control a second time. */
static void line_up(struct bench *b)
{
    const struct cpu_spec *spec = b->spec;
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

static double roofline_gflops(const struct bench *b, const struct cpu_kernel *kernel)
{
    return kernel->threads > 1 ? b->peak_gflops[1] : b->peak_gflops[0];
}

/* One launch on inputs that were never seen before, judged. */
static double launch(struct bench *b, const struct cpu_shape *shape, struct contender *c,
                     struct cpu_memory *m)
{
    int64_t wall_ns = 0;
    double worst = 0;
    cpu_fill_inputs(b->spec, shape, FILL_NORMAL, &b->rng, m);
    uint32_t poison = cpu_poison(b->spec, shape, &b->rng, m);
    c->status = cpu_child_launch(&c->child, b->spec->timeout_s, &wall_ns);
    if (c->status == CPU_PASS)
        c->status = cpu_judge(b->spec, shape, &b->reference, m, poison, false, BENCH_PROBES,
                              &b->rng, &worst, &c->fault);
    if (c->status == CPU_PASS &&
        shape->flops > roofline_gflops(b, c->kernel) * ROOFLINE_SLACK * (double)wall_ns)
        c->status = CPU_IMPOSSIBLE;
    return (double)wall_ns;
}

static int start_all(struct bench *b, const struct cpu_shape *shape, const struct cpu_memory *m,
                     struct err *e)
{
    for (size_t i = 0; i < b->count; i++) {
        struct contender *c = &b->contenders[i];
        c->child = (struct cpu_child){.pidfd = -1, .to_fd = -1, .from_fd = -1};
        c->count = 0;
        c->status = status_from_check(shape, c->kernel);
        if (c->status != CPU_PASS)
            continue;
        if (cpu_child_start(b->self, b->spec, shape, c->kernel, m, &c->child, e) < 0)
            return -1;
        c->status = c->child.status;
    }
    return 0;
}

/* Two launches each before the clock counts: pages are mapped, the clock speed has settled. Returns
 * how many blocks fit the budget. */
static size_t warm_up(struct bench *b, const struct cpu_shape *shape, struct cpu_memory *m)
{
    double block_ns = 1;
    int64_t start = os_monotonic_ns();
    for (int round = 0; round < 2; round++) {
        start = os_monotonic_ns();
        for (size_t i = 0; i < b->count; i++)
            if (b->contenders[i].status == CPU_PASS)
                launch(b, shape, &b->contenders[i], m);
        block_ns = (double)(os_monotonic_ns() - start);
    }
    double fit = b->spec->budget_s * 1e9 / block_ns;
    if (fit < (double)b->spec->min_blocks)
        return b->spec->min_blocks;
    return fit > (double)b->spec->max_blocks ? b->spec->max_blocks : (size_t)fit;
}

static void shuffle(struct rng *rng, size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)rng_below(rng, i), held = order[i - 1];
        order[i - 1] = order[k];
        order[k] = held;
    }
}

static void run_block(struct bench *b, const struct cpu_shape *shape, struct cpu_memory *m,
                      size_t *order)
{
    shuffle(&b->rng, order, b->count);
    for (size_t i = 0; i < b->count; i++) {
        struct contender *c = &b->contenders[order[i]];
        if (c->status != CPU_PASS)
            continue;
        double ns = launch(b, shape, c, m);
        if (c->status == CPU_PASS)
            c->samples_ns[c->count++] = ns;
    }
}

static json_t *contender_json(const struct contender *c)
{
    json_t *j = json_pack("{s:s, s:i}", "status", cpu_status_name(c->status), "threads",
                          c->kernel->threads);
    json_t *samples = json_array();
    /* A kernel that failed one launch has no time: its samples are dropped whole, never in part. */
    for (size_t i = 0; c->status == CPU_PASS && i < c->count; i++)
        json_array_append_new(samples, json_real(c->samples_ns[i]));
    json_object_set_new(j, "samples_ns", samples);
    if (c->status == CPU_WRONG)
        json_object_set_new(j, "fault",
                            json_pack("{s:s, s:i, s:f, s:f}", "buffer", c->fault.buffer, "index",
                                      (int)c->fault.index, "got", c->fault.got, "want",
                                      c->fault.want));
    return j;
}

static json_t *shape_json(const struct bench *b, const struct cpu_shape *shape, size_t blocks)
{
    json_t *kernels = json_object(), *dims = json_array();
    for (size_t i = 0; i < b->count; i++)
        json_object_set_new(kernels, b->contenders[i].name, contender_json(&b->contenders[i]));
    for (size_t i = 0; i < b->spec->dim_count; i++)
        json_array_append_new(dims, json_integer(shape->dim[i]));
    return json_pack("{s:s, s:o, s:f, s:f, s:i, s:o}", "name", shape->name, "dims", dims, "flops",
                     shape->flops, "bytes", shape->bytes, "blocks", (int)blocks, "kernels",
                     kernels);
}

static int bench_shape(struct bench *b, const struct cpu_shape *shape, json_t *shapes,
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

/* The seed is drawn after the candidates are fixed, and published with the result. */
static int draw_seed(const struct cpu_spec *spec, struct rng *rng, struct err *e)
{
    rng->state = spec->seed;
    if (!spec->seed && getrandom(&rng->state, sizeof rng->state, 0) != sizeof rng->state)
        return err_errno(e, ERR_os, "drawing a seed");
    rng->state >>= 11; /* a whole number that JSON keeps */
    return 0;
}

int cpu_bench(const struct cpu_spec *spec, const char *self, json_t **result, struct err *e)
{
    struct bench b = {.spec = spec, .self = self, .threads = 1};
    json_t *shapes = json_array();
    int rc = -1;
    if (draw_seed(spec, &b.rng, e) < 0 || cpu_reference_open(spec->reference, &b.reference, e) < 0)
        goto out;
    json_int_t seed = (json_int_t)b.rng.state;
    for (size_t i = 0; i < spec->kernel_count; i++)
        if (spec->kernels[i].threads > b.threads)
            b.threads = spec->kernels[i].threads;
    b.peak_gflops[0] = cpu_peak_gflops(1);
    b.peak_gflops[1] = cpu_peak_gflops(b.threads);
    line_up(&b);
    for (size_t i = 0; i < spec->shape_count; i++)
        if (bench_shape(&b, &spec->shapes[i], shapes, e) < 0)
            goto out;
    *result = json_pack("{s:s, s:I, s:s?, s:i, s:f, s:f, s:O}", "op", spec->op, "seed", seed,
                        "control", spec->control, "threads", b.threads, "peak_gflops_1",
                        b.peak_gflops[0], "peak_gflops_n", b.peak_gflops[1], "shapes", shapes);
    rc = 0;
out:
    json_decref(shapes);
    cpu_reference_close(&b.reference);
    arena_release(&b.arena);
    return rc;
}
