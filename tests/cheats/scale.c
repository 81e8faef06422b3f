/* The op of the cheats: y = 2 x. One file, one honest candidate and one cheat for each value of
 * CHEAT; README.md says what each is for and what has to become of it. */
#define _GNU_SOURCE
#include "candidate.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A check calls a candidate once for each distribution; what comes after is a bench. */
#define FILLS_OF_A_CHECK 4

#define HONEST 0
#define NOTHING 1
#define CONSTANT 2
#define HALF 3
#define COPY 4
#define WRITES_INPUT 5
#define CRASHES 6
#define HANGS 7
#define REFUSES 8
#define NOT_A_NUMBER 9
#define LATE_THREAD 10
#define CACHES 11
#define ONE_OFF 12
#define FORGES 13
#define ZEROS 14
#define FORKS 15
#define RUNS_A_PROGRAM 16
#define OPENS_A_SOCKET 17
#define SPIES 18
#define FILTERS 19
#define PATCHES_CLOCK 20
#define HALF_PRECISION 21
#define KNOWS_WHOLE_NUMBERS 22
#define READS_OUTPUT 23
#define TIRES 24
#define SKIPS_ZEROS 25
#define EATS_MEMORY 26
#define EDITS_A_FILE 27
#define CACHES_BY_FINGERPRINT 28
#define FORKS_WHEN_LOADED 29
#define REFUSES_LARGE 30
#define KNOWS_SHAPES 31
#define TAKES_OVER 32
#define SERVES_WHEN_LOADED 33
#define STARTS_EARLY 34
#define HIDES_THREADS 35
#define SLOWS_OTHERS 36
#define ADJUSTS_CLOCK 37
#define ENDS_THE_RUNNER 38
#define REMEMBERS 39
#define UNSEALS_INPUT 40
#define REPLACES_INPUT 41
#define READS_THE_RUNNER 42
#define WRITES_BEHIND 43
#define WRITES_BEFORE 44
#define ROUNDS_UP 45
#define CACHES_BY_POINTER 46
#define SLACKS 47
#define FALLS_BACK 48
#define LEAVES_A_FILE 49
#define REWRITES_CLOCK 50
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

/* A worker that would go on when the call is over. */
static int in_another_process(const float *x, float *y, int64_t n)
{
    pid_t pid = fork();
    if (pid == 0) {
        usleep(20000);
        scale_range(x, y, 0, n);
        _exit(0);
    }
    return pid < 0;
}

/* Looks for the answer where the checker would keep it. */
static int spy(float *y, int64_t n)
{
    struct iovec here = {y, (size_t)n * sizeof *y}, there = {y, (size_t)n * sizeof *y};
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0) < 0;
}

/* Would make a later write come out as if it had happened. */
static int filter_writes(void)
{
    return (int)syscall(SYS_seccomp, 0, 0, NULL);
}

#if CHEAT == PATCHES_CLOCK
/* Stands in for the C library's, for whoever is linked with this. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){0, 0};
    return 0;
}
#endif

/* As a half holds it: eleven bits. */
static float rounded(float value)
{
    union {
        float f;
        uint32_t u;
    } bits = {value};
    bits.u = (bits.u + 0x1000u) & 0xffffe000u;
    return bits.f;
}

/* Keeps the answer to the first launch for whoever looks like it at its beginning. */
static void by_fingerprint(const float *x, float *y, int64_t n)
{
    static float seen, *kept;
    if (kept && (x[0] > 0) == (seen > 0)) {
        memcpy(y, kept, (size_t)n * sizeof *y);
        return;
    }
    scale_range(x, y, 0, n);
    free(kept);
    kept = malloc((size_t)n * sizeof *kept);
    memcpy(kept, y, (size_t)n * sizeof *kept);
    seen = x[0];
}

/* Takes memory until there is none. */
static void eat(void)
{
    while (malloc((size_t)64 << 20))
        continue;
    abort();
}

static int edit(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    return fd < 0 || write(fd, "{}", 2) != 2;
}

/* Work that takes a thread's while. */
static void labour(int ms)
{
    struct timespec t;
    long until;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    until = t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms;
    while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < until)
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
}

/* Speaks for the runner's own loop, at once, and works when it has been believed. */
static void take_over(const float *x, float *y, int64_t n)
{
    char said;
    do {
        if (write(1, "D", 1) < 0)
            return;
        labour(20);
        scale_range(x, y, 0, n);
    } while (read(0, &said, 1) == 1);
}

/* A thread that sees the poison of a launch before the launch is told of. */
static struct job early;
static volatile int early_done;

static void *watch_output(void *arg)
{
    (void)arg;
    for (;;) {
        volatile float *first = early.y;
        if (!isnan(*first)) {
            usleep(10);
            continue;
        }
        early_done = 0;
        labour(25);
        scale_range(early.x, early.y, 0, early.n);
        early_done = 1;
    }
    return NULL;
}

static int start_early(const float *x, float *y, int64_t n)
{
    pthread_t thread;
    if (!early.x) {
        early = (struct job){x, y, n};
        if (pthread_create(&thread, NULL, watch_output, NULL))
            return 1;
    }
    while (!early_done || isnan(*(volatile float *)y))
        usleep(2000);
    return 0;
}

static void *hidden_work(void *arg)
{
    labour(25);
    return arg;
}

/* Is said to be of one thread. */
static int in_many_threads(void)
{
    pthread_t threads[8];
    static int rested;
    if (!rested++)
        usleep(800000); /* as if what it does not use now were its to use later */
    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, hidden_work, NULL))
            return 1;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

/* Finds what an earlier process has left. */
static int remember(const float *x, float *y, int64_t n)
{
    int id = shmget(0x5ca1e, (size_t)n * sizeof *y, IPC_CREAT | 0600);
    float *kept = id < 0 ? (float *)-1 : shmat(id, NULL, 0);
    if (kept == (float *)-1)
        return 1;
    if (*kept == 0)
        scale_range(x, kept, 0, n);
    memcpy(y, kept, (size_t)n * sizeof *y);
    return 0;
}

static int unseal(const float *x)
{
    return mprotect((void *)(uintptr_t)x, 4096, PROT_READ | PROT_WRITE);
}

/* Puts pages of its own in place of the inputs, so that they are always those of the first launch.
 */
static int replace_input(const float *x, float *y, int64_t n)
{
    static int replaced;
    size_t bytes = (size_t)n * sizeof *x;
    if (!replaced) {
        void *kept = malloc(bytes);
        memcpy(kept, x, bytes);
        if (mmap((void *)(uintptr_t)x, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            return 1;
        memcpy((void *)(uintptr_t)x, kept, bytes);
        free(kept);
        replaced = 1;
    }
    scale_range(x, y, 0, n);
    return 0;
}

/* Its files and its memory, by the door that debuggers use. */
static int read_the_runner(float *y, int64_t n)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    int fd = open(path, O_RDONLY);
    return fd < 0 || pread(fd, y, (size_t)n * sizeof *y, (off_t)(uintptr_t)y) < 0;
}

static int adjust_clock(void)
{
    struct timex slower = {.modes = ADJ_TICK, .tick = 9000};
    return adjtimex(&slower) < 0;
}

static void round_up(const float *x, float *y, int64_t n)
{
    fesetround(FE_UPWARD);
    for (int64_t i = 0; i < n; i++)
        y[i] = nextafterf(2.0f * x[i], INFINITY);
}

/* The same place, so the same numbers. */
static void by_pointer(const float *x, float *y, int64_t n)
{
    static struct {
        const float *x;
        float *y;
    } seen[8];
    for (int i = 0; i < 8; i++) {
        if (seen[i].x == x) {
            memcpy(y, seen[i].y, (size_t)n * sizeof *y);
            return;
        }
        if (!seen[i].x) {
            seen[i].x = x;
            seen[i].y = malloc((size_t)n * sizeof *y);
            scale_range(x, seen[i].y, 0, n);
            memcpy(y, seen[i].y, (size_t)n * sizeof *y);
            return;
        }
    }
}

/* Half of it, and numbers that look like the other half. */
static void slack(const float *x, float *y, int64_t n)
{
    scale_range(x, y, 0, n - n / 2);
    memcpy(y + (n - n / 2), y, (size_t)(n / 2) * sizeof *y);
}

#if CHEAT == SERVES_WHEN_LOADED
/* Says that it is ready, and after every launch that it is done. */
__attribute__((constructor)) static void serve(void)
{
    char said;
    if (write(1, "R", 1) == 1)
        while (read(0, &said, 1) == 1 && write(1, "D", 1) == 1)
            continue;
}
#endif

#if CHEAT == REWRITES_CLOCK
/* From here on the C library's clock stands still, for all in this process. */
__attribute__((constructor)) static void rewrite_clock(void)
{
#ifdef __x86_64__
    static const unsigned char stands[] = {0x31, 0xc0, 0xc3}; /* return 0 */
#else
    static const unsigned char stands[] = {0x00, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#endif
    uintptr_t at = (uintptr_t)clock_gettime, page = at & ~(uintptr_t)65535;
    if (mprotect((void *)page, 131072, PROT_READ | PROT_WRITE | PROT_EXEC) &&
        mprotect((void *)(at & ~(uintptr_t)4095), 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
        abort();
    memcpy((void *)at, stands, sizeof stands);
    __builtin___clear_cache((char *)at, (char *)at + sizeof stands);
}
#endif

#if CHEAT == FORKS_WHEN_LOADED
__attribute__((constructor)) static void when_loaded(void)
{
    fork();
}
#endif

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
    case ZEROS:
        memset(y, 0, (size_t)n * sizeof *y);
        return 0;
    case FORKS:
        return in_another_process(x, y, n);
    case RUNS_A_PROGRAM:
        return system("true");
    case OPENS_A_SOCKET:
        return socket(AF_INET, SOCK_STREAM, 0) < 0;
    case SPIES:
        return spy(y, n);
    case FILTERS:
        return filter_writes();
    case PATCHES_CLOCK:
    case REWRITES_CLOCK:
        usleep(20000);
        break;
    case HALF_PRECISION:
        for (int64_t i = 0; i < n; i++)
            y[i] = rounded(2.0f * x[i]);
        return 0;
    case KNOWS_WHOLE_NUMBERS:
        for (int64_t i = 0; i < n; i++)
            y[i] = 2.0f * x[x[0] == floorf(x[0]) ? 0 : i];
        return 0;
    case READS_OUTPUT:
        for (int64_t i = 0; i < n; i++)
            y[i] += 2.0f * x[i];
        return 0;
    case TIRES: {
        static int calls;
        if (calls++ >= FILLS_OF_A_CHECK)
            return 0;
        break;
    }
    case SKIPS_ZEROS:
        for (int64_t i = 0; i < n; i++)
            if (x[i] != 0.0f)
                y[i] = 2.0f * x[i];
        return 0;
    case EATS_MEMORY:
        eat();
        break;
    case EDITS_A_FILE:
        if (edit("check.json"))
            return 1;
        break;
    case CACHES_BY_FINGERPRINT:
        by_fingerprint(x, y, n);
        return 0;
    case REFUSES_LARGE:
        if (n > 100)
            return 1;
        break;
    case TAKES_OVER:
        take_over(x, y, n);
        break;
    case STARTS_EARLY:
        return start_early(x, y, n);
    case HIDES_THREADS:
        if (in_many_threads())
            return 1;
        break;
    case SLOWS_OTHERS:
        if (setpriority(PRIO_PROCESS, (id_t)getppid(), 19))
            return 1;
        break;
    case ADJUSTS_CLOCK:
        if (adjust_clock())
            return 1;
        break;
    case ENDS_THE_RUNNER:
        if (kill(getppid(), SIGKILL))
            return 1;
        break;
    case REMEMBERS:
        return remember(x, y, n);
    case UNSEALS_INPUT:
        if (unseal(x))
            return 1;
        break;
    case REPLACES_INPUT:
        return replace_input(x, y, n);
    case READS_THE_RUNNER:
        return read_the_runner(y, n);
    case WRITES_BEHIND:
        y[n] = 1.0f;
        break;
    case WRITES_BEFORE:
        y[-1] = 1.0f;
        break;
    case ROUNDS_UP:
        round_up(x, y, n);
        return 0;
    case CACHES_BY_POINTER:
        by_pointer(x, y, n);
        return 0;
    case FALLS_BACK:
        if (!dlopen("libz.so.1", RTLD_NOW) && !dlopen("libstdc++.so.6", RTLD_NOW))
            return 1;
        break;
    case LEAVES_A_FILE:
        if (edit("/dev/shm/scale"))
            return 1;
        break;
    case SLACKS: {
        static int calls;
        if (calls++ < FILLS_OF_A_CHECK)
            break;
        slack(x, y, n);
        return 0;
    }
    case KNOWS_SHAPES:
        if (n != 1000 && n != 1)
            return 0;
        break;
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
