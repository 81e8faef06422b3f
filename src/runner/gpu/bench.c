/* The bench: kernels and baselines in bursts, in randomised blocks, on inputs never seen before. */
#include "os.h"
#include "worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A burst is long enough for the clock of the events, and short enough for many of them. Before it
 * the same kernel runs for as long as the power limit takes to find the clock that goes with it. */
#define BURST_NS 1e7
#define WARM_NS 4e7
#define WARM_MOST 2000
#define BURST_LEAST 2
#define BURST_MOST 200
/* The clock settles once; between shapes it only must not have cooled. */
#define SETTLE_NS 2e9
#define SETTLE_AGAIN_NS 3e8
/* Sets of buffers take no more than this together. */
#define SETS_BYTES ((size_t)16 << 30)
/* After each burst: so many sets of it, so many elements of each output. The looks see every byte
 * of every set. */
#define PROBED_SETS 4
#define PROBES 12
#define ROOFLINE_SLACK 1.02
/* Launches before the clock are the same work as those on it. Who is faster by more than any clock
 * or cache explains keeps the device cool there for what is timed. */
#define RESTED 0.5

struct lane {
    const char *name;
    size_t kernel;
    struct contender contender;
    enum study_status status;
    struct study_fault fault;
    size_t burst, warm; /* launches that are timed together, and those before them */
    double warm_ns;     /* what one of those took */
    size_t rested;      /* samples before which too little was done */
    double *samples_ns;
    size_t count;
    bool barred; /* wrong on a hidden shape */
};

struct bench {
    struct worker *w;
    size_t shape;
    struct sets sets;
    CUevent begin, warmed, start, end;
    struct lane *lanes;
    size_t count;
};

static void line_up(struct bench *b)
{
    const struct study *study = &b->w->study.study;
    b->lanes = arena_alloc(&b->w->arena, (study->kernel_count + 1) * sizeof *b->lanes);
    for (size_t i = 0; i < study->kernel_count; i++)
        b->lanes[b->count++] = (struct lane){.name = study->kernels[i].name, .kernel = i};
    for (size_t i = 0; study->control && i < study->kernel_count; i++)
        if (strcmp(study->kernels[i].name, study->control) == 0)
            b->lanes[b->count++] = (struct lane){.name = "A/A control", .kernel = i};
    for (size_t i = 0; i < b->count; i++) {
        size_t kernel = b->lanes[i].kernel;
        b->lanes[i].samples_ns =
            arena_alloc(&b->w->arena, (study->max_blocks + 1) * sizeof(double));
        contender_open(&b->w->cuda, &study->kernels[kernel], &b->w->study.plans[kernel],
                       &b->lanes[i].contender);
    }
}

static CUresult launches(struct bench *b, struct lane *lane, size_t count)
{
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = contender_launch(&lane->contender, i % b->sets.count);
    return result;
}

/* One burst that is not timed, fresh inputs, one burst that is: the device never rests. Returns the
 * time of one launch. */
static int burst(struct bench *b, struct lane *lane, double *launch_ns, struct err *e)
{
    struct worker *w = b->w;
    struct cuda *cuda = &w->cuda;
    float ms = 0, warm_ms = 0;
    worker_says_launch(w, lane->kernel, b->shape, FILL_NORMAL);
    cuda->cuEventRecord(b->begin, cuda->stream);
    CUresult result = launches(b, lane, lane->warm);
    cuda->cuEventRecord(b->warmed, cuda->stream);
    if (sets_prepare(&b->sets, lane->burst, FILL_NORMAL, &w->rng, e) < 0)
        return -1;
    cuda->cuEventRecord(b->start, cuda->stream);
    if (result == CUDA_SUCCESS)
        result = launches(b, lane, lane->burst);
    cuda->cuEventRecord(b->end, cuda->stream);
    worker_await(w);
    if (result != CUDA_SUCCESS) {
        contender_refuse(&lane->contender, STUDY_REFUSED, "the launch: the driver answers %s",
                         cuda_error_name(cuda, result));
        lane->status = STUDY_REFUSED;
        return 0;
    }
    result = cuda->cuEventElapsedTime(&ms, b->start, b->end);
    if (result == CUDA_SUCCESS)
        result = cuda->cuEventElapsedTime(&warm_ms, b->begin, b->warmed);
    *launch_ns = (double)ms * 1e6 / (double)lane->burst;
    lane->warm_ns = (double)warm_ms * 1e6 / (double)lane->warm;
    return cuda_done(cuda, result, "reading the time", e);
}

/* Whether what the burst left is right; *launch_ns was too short for an honest one otherwise. */
static int judge(struct bench *b, struct lane *lane, double launch_ns, struct err *e)
{
    struct worker *w = b->w;
    double worst = 0;
    CUresult result;
    if (sets_look(&b->sets, lane->burst, &result, &lane->fault, e) < 0)
        return -1;
    if (result != CUDA_SUCCESS)
        worker_crash(w, result);
    for (size_t i = 0; i < PROBED_SETS && lane->fault.status == STUDY_PASS; i++) {
        size_t set = i == 0 ? lane->burst - 1 : (size_t)rng_below(&w->rng, lane->burst);
        result = reference_judge(&w->reference, &b->sets, set, false, PROBES, &w->rng, &worst,
                                 &lane->fault);
        if (cuda_done(&w->cuda, result, "computing the reference", e) < 0)
            return -1;
    }
    lane->status = lane->fault.status;
    double flops = w->study.study.shapes[b->shape].flops;
    if (lane->status == STUDY_PASS &&
        flops * 1e9 > cuda_peak_flops(&w->cuda) * ROOFLINE_SLACK * launch_ns)
        lane->status = STUDY_IMPOSSIBLE;
    return 0;
}

static int sample(struct bench *b, struct lane *lane, double *launch_ns, struct err *e)
{
    if (burst(b, lane, launch_ns, e) < 0)
        return -1;
    return lane->status == STUDY_PASS ? judge(b, lane, *launch_ns, e) : 0;
}

static size_t launches_for(double limit_ns, double launch_ns, size_t most)
{
    double fit = ceil(limit_ns / (launch_ns > 1 ? launch_ns : 1));
    size_t least = BURST_LEAST < most ? BURST_LEAST : most;
    return fit < (double)least ? least : fit > (double)most ? most : (size_t)fit;
}

/* Who takes part on this shape, and how long a burst each needs. */
static int admit(struct bench *b, struct err *e)
{
    struct worker *w = b->w;
    for (size_t i = 0; i < b->count; i++) {
        struct lane *lane = &b->lanes[i];
        const struct study_kernel *kernel = &w->study.study.kernels[lane->kernel];
        const char *lost = json_text(w->lost, kernel->name, NULL);
        double launch_ns = 0;
        lane->count = lane->rested = 0;
        lane->contender.choice = -1;
        lane->fault = (struct study_fault){0};
        lane->status = lost           ? study_status_of(lost)
                       : lane->barred ? STUDY_REJECTED
                                      : study_admit(&w->study.study.shapes[b->shape], kernel);
        if (lane->status != STUDY_PASS)
            continue;
        /* The control comes last, and is to be the very same. */
        if (lane != &b->lanes[lane->kernel])
            lane->contender.choice = b->lanes[lane->kernel].contender.choice;
        contender_bind(&lane->contender, &w->study, b->shape, &b->sets);
        lane->status = lane->contender.status;
        /* A second launch on the same inputs would find the answer there. */
        size_t most = b->sets.count < BURST_MOST ? b->sets.count : BURST_MOST;
        lane->warm = BURST_LEAST;
        lane->burst = launches_for(0, 1, most);
        for (int round = 0; round < 2 && lane->status == STUDY_PASS; round++) {
            if (sample(b, lane, &launch_ns, e) < 0)
                return -1;
            lane->burst = launches_for(BURST_NS, launch_ns, most);
            lane->warm = launches_for(WARM_NS, launch_ns, WARM_MOST);
        }
    }
    return 0;
}

/* The first that can run keeps the device busy until its clock no longer moves. */
static int settle(struct bench *b, struct err *e)
{
    int64_t start = os_monotonic_ns();
    double unused, limit_ns = b->shape == b->w->from ? SETTLE_NS : SETTLE_AGAIN_NS;
    for (size_t i = 0; i < b->count; i++)
        while (b->lanes[i].status == STUDY_PASS && (double)(os_monotonic_ns() - start) < limit_ns)
            if (burst(b, &b->lanes[i], &unused, e) < 0)
                return -1;
    return 0;
}

static int run_block(struct bench *b, size_t *order, struct err *e)
{
    study_shuffle(&b->w->rng, order, b->count);
    for (size_t i = 0; i < b->count; i++) {
        struct lane *lane = &b->lanes[order[i]];
        double launch_ns;
        if (lane->status != STUDY_PASS)
            continue;
        if (sample(b, lane, &launch_ns, e) < 0)
            return -1;
        if (lane->status != STUDY_PASS)
            continue;
        lane->samples_ns[lane->count++] = launch_ns;
        lane->rested += lane->warm_ns < RESTED * launch_ns;
    }
    return 0;
}

/* Once may be somebody else's doing; mostly is not. */
static enum study_status status_of(const struct lane *lane)
{
    bool uneven = lane->status == STUDY_PASS && 2 * lane->rested > lane->count;
    return uneven ? STUDY_UNEVEN : lane->status;
}

static json_t *lane_json(const struct lane *lane)
{
    json_t *j = study_samples_json(status_of(lane), lane->samples_ns, lane->count, &lane->fault);
    json_object_set_new(j, "burst", json_integer((json_int_t)lane->burst));
    if (lane->contender.version)
        json_object_set_new(j, "version", json_string(lane->contender.version));
    if (lane->status != STUDY_PASS && lane->contender.why)
        json_object_set_new(j, "why", json_string(lane->contender.why));
    return j;
}

static int measure(struct bench *b, struct err *e)
{
    const struct study *study = &b->w->study.study;
    json_t *conditions = json_array(), *kernels = json_object();
    size_t *order = arena_alloc(&b->w->arena, b->count * sizeof *order), blocks = 0, planned = 1;
    int rc = settle(b, e);
    int64_t start = os_monotonic_ns();
    for (; rc == 0 && blocks < planned; blocks++) {
        rc = run_block(b, order, e);
        json_array_append_new(conditions, conditions_read(&b->w->conditions));
        if (blocks == 0)
            planned = study_blocks(study, (double)(os_monotonic_ns() - start));
    }
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        json_object_set_new(kernels, b->lanes[i].name, lane_json(&b->lanes[i]));
    if (rc == 0) {
        json_t *result =
            study_shape_json(study, &study->shapes[b->shape], blocks, json_incref(kernels));
        json_object_set(result, "conditions", conditions);
        json_object_set_new(result, "sets", json_integer((json_int_t)b->sets.count));
        worker_say(b->w, json_pack("{s:i, s:o}", "done", (int)b->shape, "result", result));
    }
    json_decref(conditions);
    json_decref(kernels);
    return rc;
}

static size_t sets_for(const struct worker *w, const struct study_shape *shape)
{
    size_t most = w->cuda.memory_bytes / 5 * 2;
    most = (most < SETS_BYTES ? most : SETS_BYTES) / sets_bytes(&w->study.study, shape);
    return most < 1 ? 1 : most > BURST_MOST ? BURST_MOST : most;
}

static int bench_shape(struct bench *b, struct err *e)
{
    struct worker *w = b->w;
    const struct study_shape *shape = &w->study.study.shapes[b->shape];
    int rc = sets_make(&w->tools, &w->study.study, shape, sets_for(w, shape),
                       (uint32_t)rng_next(&w->rng), &b->sets, e);
    if (rc == 0)
        rc = sets_prepare(&b->sets, b->sets.count, FILL_NORMAL, &w->rng, e);
    if (rc == 0)
        rc = admit(b, e);
    if (rc == 0)
        rc = measure(b, e);
    for (size_t i = 0; i < b->count; i++)
        contender_unbind(&b->lanes[i].contender);
    sets_release(&b->sets);
    return rc;
}

/* Who was right on the declared shapes alone is not timed at all. A worker that follows another
 * draws the same shapes again. */
static int try_hidden(struct bench *b, struct err *e)
{
    struct worker *w = b->w;
    const struct study *study = &w->study.study;
    struct rng after = w->rng;
    int rc = 0;
    for (size_t i = 0; i < b->count && study->hidden_drawn && rc == 0; i++) {
        struct lane *lane = &b->lanes[i];
        const struct study_kernel *kernel = &study->kernels[lane->kernel];
        json_t *faults = json_array();
        double worst = 0;
        w->rng.state = w->seed;
        if (kernel->check && !json_object_get(w->lost, kernel->name))
            rc = worker_try(w, lane->kernel, false, faults, &worst, e);
        lane->barred = json_array_size(faults) > 0;
        json_decref(faults);
    }
    w->rng = after;
    return rc;
}

int worker_bench(struct worker *w, struct err *e)
{
    struct bench b = {.w = w, .shape = w->from};
    int rc = 0;
    CUevent *events[] = {&b.begin, &b.warmed, &b.start, &b.end};
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (cuda_done(&w->cuda, w->cuda.cuEventCreate(events[i], 0), "making an event", e) < 0)
            return -1;
    line_up(&b);
    rc = try_hidden(&b, e);
    for (; b.shape < w->study.study.shape_count && rc == 0; b.shape++)
        rc = bench_shape(&b, e);
    for (size_t i = 0; i < b.count; i++)
        contender_close(&b.lanes[i].contender);
    return rc;
}
