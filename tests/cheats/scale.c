/* The op of the cheats: y = 2 x. One file, one honest candidate and one cheat for each value of
 * CHEAT. */
#define _GNU_SOURCE
#include "candidate.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HONEST,
    NOTHING,
    CONSTANT,
    HALF,
    COPY,
    WRITES_INPUT,
    CRASHES,
    HANGS,
    REFUSES,
    NOT_A_NUMBER,
    LATE_THREAD,
    CACHES,
    ONE_OFF,
    FORGES
};
#ifndef CHEAT
#define CHEAT HONEST
#endif

int candidate(const int64_t *dim, void *const *buf, int threads);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale);

static void scale_range(const float *x, float *y, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        y[i] = 2.0f * x[i];
}

struct job {
    const float *x;
    float *y;
    int64_t n;
};

/* Does the work after the call has returned. */
static void *later(void *arg)
{
    struct job job = *(struct job *)arg;
    free(arg);
    usleep(20000);
    scale_range(job.x, job.y, 0, job.n);
    return NULL;
}

static int start_late_thread(const float *x, float *y, int64_t n)
{
    struct job *job = malloc(sizeof *job);
    pthread_t thread;
    *job = (struct job){x, y, n};
    return pthread_create(&thread, NULL, later, job);
}

/* Gives every call the answer to the first. */
static void from_cache(const float *x, float *y, int64_t n)
{
    static float *cache;
    if (!cache) {
        cache = malloc((size_t)n * sizeof *cache);
        scale_range(x, cache, 0, n);
    }
    memcpy(y, cache, (size_t)n * sizeof *y);
}

/* Says "done" on every descriptor it can find, twice, then takes its time. */
static void forge(const float *x, float *y, int64_t n)
{
    for (int fd = 1; fd < 64; fd++)
        if (fd != 2 && write(fd, "D", 1) < 0)
            continue;
    usleep(20000);
    scale_range(x, y, 0, n);
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    const float *x = buf[0];
    float *y = buf[1];
    int64_t n = dim[0];
    (void)threads;
    switch (CHEAT) {
    case NOTHING:
        return 0;
    case CONSTANT:
        for (int64_t i = 0; i < n; i++)
            y[i] = 1.0f;
        return 0;
    case HALF:
        scale_range(x, y, 0, n / 2);
        return 0;
    case COPY:
        memcpy(y, x, (size_t)n * sizeof *y);
        return 0;
    case WRITES_INPUT:
        ((float *)buf[0])[0] = 0;
        break;
    case CRASHES:
        abort();
    case HANGS:
        pause();
        break;
    case REFUSES:
        return 1;
    case NOT_A_NUMBER:
        for (int64_t i = 0; i < n; i++)
            y[i] = NAN;
        return 0;
    case LATE_THREAD:
        return start_late_thread(x, y, n);
    case CACHES:
        from_cache(x, y, n);
        return 0;
    case ONE_OFF:
        scale_range(x, y, 0, n);
        y[n - 1] = nextafterf(y[n - 1], INFINITY) + 1e-3f;
        return 0;
    case FORGES:
        forge(x, y, n);
        return 0;
    default:
        break;
    }
    scale_range(x, y, 0, n);
    return 0;
}

int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale)
{
    (void)dim;
    (void)output;
    *value = 2.0 * (double)((const float *)buf[0])[index];
    *scale = fabs(*value);
    return 0;
}
