/*
 * threaded.c: packed.c over threads.
 *
 * c is cut into a grid of parts, one a thread, each a whole number of register tiles except at the
 * edges of c; a part is an independent product. Nothing is shared but a and b, so there is no
 * barrier, at the price that threads in one column of the grid pack the same b. An element of c is
 * computed by one thread, in the order packed.c has: the result does not depend on the number of
 * threads.
 */
#define _GNU_SOURCE
#include "../host/place.h"
#include "gemm_tile.h"

#ifndef THREADS_MAX
#define THREADS_MAX 256
#endif
/* multiply-adds below which a second thread costs more than it brings */
#ifndef THREAD_GRAIN
#define THREAD_GRAIN 2000000
#endif

/* what one thread does */
struct job {
    struct gemm_part part;
    struct gemm_isa isa;
    struct gemm *g;
    const struct place *place;
    pthread_t thread;
};

static void *job_work(void *job)
{
    struct job *w = job;

    w->isa.multiply(&w->part, w->g);
    return NULL;
}

static void *job_thread(void *job)
{
    place_release(((struct job *)job)->place);
    return job_work(job);
}

/* where piece x of `pieces` begins when n is cut between multiples of `unit` */
static int64_t cut(int64_t n, int64_t unit, int64_t pieces, int64_t x)
{
    int64_t units = (n + unit - 1) / unit;

    return gemm_min(n, units * x / pieces * unit);
}

/* how many rows of parts the grid of `threads` parts has: the parts are as square as can be */
static int64_t grid_rows(const struct matmul *p, int64_t threads)
{
    int64_t best = 1;

    for (int64_t r = 1; r <= threads; r++) {
        if (threads % r == 0 &&
            p->m / r + p->n / (threads / r) < p->m / best + p->n / (threads / best))
            best = r;
    }
    return best;
}

/* part x of a grid of `rows` by `columns` */
static struct gemm_part part_at(const struct matmul *p, struct gemm_isa isa, int64_t rows,
                                int64_t columns, int64_t x)
{
    int64_t i = cut(p->m, isa.rows, rows, x / columns);
    int64_t j = cut(p->n, isa.columns, columns, x % columns);

    return (struct gemm_part){
        .m = cut(p->m, isa.rows, rows, x / columns + 1) - i,
        .n = cut(p->n, isa.columns, columns, x % columns + 1) - j,
        .k = p->k,
        .a = p->a + i * p->k,
        .b = p->b + j,
        .c = p->c + i * p->n + j,
        .a_pitch = p->k,
        .b_pitch = p->n,
        .c_pitch = p->n,
    };
}

/* a part whose thread could not be had is done by the caller, after its own */
static void jobs_run(struct job *w, int64_t n)
{
    int64_t started = 1;

    while (started < n &&
           place_start(w->place, (int)started, &w[started].thread, job_thread, &w[started]) == 0)
        started++;
    job_work(&w[0]);
    for (int64_t x = started; x < n; x++)
        job_work(&w[x]);
    for (int64_t x = 1; x < started; x++)
        pthread_join(w[x].thread, NULL);
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct job w[THREADS_MAX];
    struct gemm_isa isa = gemm_isa_pick();
    struct place place = place_read();
    int64_t n, rows;
    struct matmul p;
    struct gemm *g;

    if (threads < 1 || matmul_bind(&p, dim, buf) < 0)
        return 1;
    n = gemm_min(threads, THREADS_MAX);
    n = gemm_min(n, 1 + (int64_t)((double)p.m * (double)p.n * (double)p.k / THREAD_GRAIN));
    rows = grid_rows(&p, n);
    g = aligned_alloc(64, (size_t)n * sizeof *g);
    if (g == NULL)
        return 1;
    for (int64_t x = 0; x < n; x++)
        w[x] = (struct job){
            .part = part_at(&p, isa, rows, n / rows, x), .isa = isa, .g = g + x, .place = &place};
    jobs_run(w, n);
    free(g);
    return 0;
}
