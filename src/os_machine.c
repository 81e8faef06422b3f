#define _GNU_SOURCE
#include "os.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t os_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t os_stamp_ns(void)
{
    return clock_ns(CLOCK_REALTIME_COARSE);
}

int64_t os_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

struct os_processors {
    size_t bytes;
    int limit, count;
    cpu_set_t *set;
};

/* The set grows until the kernel's fits: machines with more than 1024 cores exist. */
struct os_processors *os_processors(void)
{
    struct os_processors *p = xcalloc(1, sizeof *p);

    for (p->limit = 1024; p->limit <= 1 << 20; p->limit *= 4) {
        p->bytes = CPU_ALLOC_SIZE(p->limit);
        p->set = CPU_ALLOC(p->limit);
        if (p->set && sched_getaffinity(0, p->bytes, p->set) == 0) {
            p->count = CPU_COUNT_S(p->bytes, p->set);
            return p;
        }
        CPU_FREE(p->set);
    }
    free(p);
    return NULL;
}

void os_processors_free(struct os_processors *p)
{
    if (p)
        CPU_FREE(p->set);
    free(p);
}

int os_processors_count(const struct os_processors *p)
{
    return p ? p->count : 0;
}

void os_processors_use_one(const struct os_processors *p, int which)
{
    cpu_set_t *one = CPU_ALLOC(p->limit);
    int at = -1;

    if (!one)
        return;
    CPU_ZERO_S(p->bytes, one);
    do
        at++;
    while (!CPU_ISSET_S(at, p->bytes, p->set) || which-- > 0);
    CPU_SET_S(at, p->bytes, one);
    sched_setaffinity(0, p->bytes, one);
    CPU_FREE(one);
}

void os_processors_use_all(const struct os_processors *p)
{
    sched_setaffinity(0, p->bytes, p->set);
}

static int cores_by_affinity(void)
{
    struct os_processors *p = os_processors();
    int count = os_processors_count(p);

    os_processors_free(p);
    return count > 0 ? count : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* A container's share of the machine, rounded up; 0 when there is no limit. */
static int cores_by_quota(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    char text[64] = "";
    char *end;
    long quota;
    long period;

    if (!file)
        return 0;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    quota = strtol(text, &end, 10);
    period = end == text ? 0 : strtol(end, NULL, 10);
    if (quota <= 0 || period <= 0)
        return 0;
    return (int)((quota + period - 1) / period);
}

int os_cores(void)
{
    int cores = cores_by_affinity();
    int quota = cores_by_quota();

    if (quota > 0 && quota < cores)
        cores = quota;
    return cores > 0 ? cores : 1;
}
