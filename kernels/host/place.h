/* place: where the threads of a call run.
 *
 * Prohibitions: no thread is placed where the caller itself may not run. Who includes this
 * defines _GNU_SOURCE before any header.
 * Life cycle: place_read once a call, place_start for each thread beyond the caller's, and in each
 * of them place_release before the work. */
#ifndef PLACE_H
#define PLACE_H

#include <pthread.h>
#include <sched.h>

/* the CPUs this call may use, for placing threads; none where the system has no such notion */
struct place {
#ifdef __linux__
    cpu_set_t allowed;
#endif
    int count;
};

static struct place place_read(void)
{
    struct place at = {.count = 0};

#ifdef __linux__
    if (sched_getaffinity(0, sizeof at.allowed, &at.allowed) == 0)
        at.count = CPU_COUNT(&at.allowed);
#endif
    return at;
}

/* the thread starts x allowed CPUs after the caller's: a new thread may otherwise wait behind it */
static void place_attr(const struct place *at, int x, pthread_attr_t *attr)
{
#ifdef __linux__
    int cpu = sched_getcpu();
    cpu_set_t one;

    if (at->count < 2 || cpu < 0)
        return;
    for (x %= at->count; x > 0; x -= CPU_ISSET(cpu, &at->allowed) != 0)
        cpu = (cpu + 1) % CPU_SETSIZE;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_attr_setaffinity_np(attr, sizeof one, &one);
#else
    (void)at, (void)x, (void)attr;
#endif
}

/* from here on the thread may go where the caller may */
static void place_release(const struct place *at)
{
#ifdef __linux__
    if (at->count > 0)
        pthread_setaffinity_np(pthread_self(), sizeof at->allowed, &at->allowed);
#else
    (void)at;
#endif
}

/* starts thread x >= 1; 0 if it runs */
static int place_start(const struct place *at, int x, pthread_t *thread, void *(*work)(void *),
                       void *job)
{
    pthread_attr_t attr;
    int failed;

    if (pthread_attr_init(&attr) != 0)
        return 1;
    place_attr(at, x, &attr);
    failed = pthread_create(thread, &attr, work, job);
    pthread_attr_destroy(&attr);
    return failed;
}

#endif
