/*
 * fused_threads.c: fused_simd.c over threads.
 *
 * Two phases with a barrier between them: all keys and values are packed, then tiles of queries
 * are handed out one by one. A causal tile costs as much as it sees, so within a head the longest
 * come first and the last tile handed out is a short one. A tile is computed by one thread from
 * first to last key: the result does not depend on the number of threads.
 */
#define _GNU_SOURCE
#include "../host/place.h"
#include "simd_tile.h"

#include <stdatomic.h>

#ifndef THREADS_MAX
#define THREADS_MAX 256
#endif

/* one call: shape, packed operands, and what has been handed out */
struct job {
    struct fmha p;
    struct tile_isa isa;
    float *kv;
    struct tile *tiles;
    struct place place;
    pthread_mutex_t start;
    pthread_barrier_t packed;
    atomic_int seat;
    atomic_llong pack_next, attend_next;
};

/* the packed keys of head g, counted over b * hkv; its values lie skv * d behind */
static float *job_head(const struct job *w, int64_t g)
{
    return w->kv + 2 * g * w->p.skv * w->p.d;
}

static void job_pack(struct job *w)
{
    const struct fmha *p = &w->p;
    int64_t tiles = (p->skv + BLOCK_N - 1) / BLOCK_N, n = p->b * p->hkv * tiles, x;

    while ((x = atomic_fetch_add(&w->pack_next, 1)) < n) {
        int64_t g = x / tiles;
        float *k = job_head(w, g);

        tile_pack(p, g / p->hkv, g % p->hkv * (p->hq / p->hkv), x % tiles * BLOCK_N, w->isa.rows, k,
                  k + p->skv * p->d);
    }
}

static void job_attend(struct job *w, struct tile *t)
{
    const struct fmha *p = &w->p;
    int64_t tiles = (p->sq + w->isa.lanes - 1) / w->isa.lanes, n = p->b * p->hq * tiles, x;

    while ((x = atomic_fetch_add(&w->attend_next, 1)) < n) {
        int64_t b = x / tiles / p->hq, h = x / tiles % p->hq;
        const float *k = job_head(w, b * p->hkv + h / (p->hq / p->hkv));
        int64_t i = (tiles - 1 - x % tiles) * w->isa.lanes;

        w->isa.attend(p, (struct tile_at){b, h, i, k, k + p->skv * p->d}, t);
    }
}

static void *job_work(void *job)
{
    struct job *w = job;

    /* the barrier exists once the caller has let go of the mutex */
    pthread_mutex_lock(&w->start);
    pthread_mutex_unlock(&w->start);
    job_pack(w);
    pthread_barrier_wait(&w->packed);
    job_attend(w, w->tiles + atomic_fetch_add(&w->seat, 1));
    return NULL;
}

static void *job_thread(void *job)
{
    place_release(&((struct job *)job)->place);
    return job_work(job);
}

/* as many threads as could be had take part */
static void job_run(struct job *w, int threads)
{
    pthread_t other[THREADS_MAX];
    int n = 0;

    pthread_mutex_init(&w->start, NULL);
    pthread_mutex_lock(&w->start);
    while (n < threads - 1 && place_start(&w->place, n + 1, &other[n], job_thread, w) == 0)
        n++;
    pthread_barrier_init(&w->packed, NULL, (unsigned)n + 1);
    pthread_mutex_unlock(&w->start);
    job_work(w);
    while (n > 0)
        pthread_join(other[--n], NULL);
    pthread_barrier_destroy(&w->packed);
    pthread_mutex_destroy(&w->start);
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct job w = {.isa = tile_isa_pick(), .place = place_read()};
    int failed = 1;

    if (threads < 1 || fmha_bind(&w.p, dim, buf) < 0)
        return 1;
    threads = threads > THREADS_MAX ? THREADS_MAX : threads;
    w.kv = malloc(2 * (size_t)(w.p.b * w.p.hkv * w.p.skv * w.p.d) * sizeof *w.kv);
    w.tiles = aligned_alloc(64, (size_t)threads * sizeof *w.tiles);
    if (w.kv != NULL && w.tiles != NULL) {
        job_run(&w, threads);
        failed = 0;
    }
    free(w.tiles);
    free(w.kv);
    return failed;
}
