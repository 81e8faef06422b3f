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

/* The set grows until the kernel's fits: machines with more than 1024 cores exist. */
static int cores_by_affinity(void)
{
    for (int limit = 1024; limit <= 1 << 20; limit *= 4) {
        size_t bytes = CPU_ALLOC_SIZE(limit);
        cpu_set_t *set = CPU_ALLOC(limit);
        int count = 0;

        if (!set)
            break;
        if (sched_getaffinity(0, bytes, set) == 0)
            count = CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
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
