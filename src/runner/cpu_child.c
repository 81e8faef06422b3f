#define _GNU_SOURCE
#include "cpu.h"
#include "sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One byte each way. */
enum { SAY_LAUNCH = 'L', SAY_READY = 'R', SAY_DONE = 'D', SAY_REFUSED = 'N', SAY_UNLOADABLE = 'U' };
/* The words of the child's command line. */
enum {
    ARG_OBJECT = 2,
    ARG_TRICK,
    ARG_INPUT_FD,
    ARG_OUTPUT_FD,
    ARG_THREADS,
    ARG_INPUTS,
    ARG_BUFFERS,
    ARG_ELEMENTS, /* one a buffer, then the dims */
};
/* Room for code, threads' stacks and packed copies: what a candidate takes beyond that is refused.
 */
#define CHILD_MEMORY_BYTES (UINT64_C(4) << 30)
/* Going on and standing still cost processor time that is not on the clock, at most so much a
 * launch on the average. */
#define CPU_SLACK 1.05
#define CPU_SLACK_NS 100000
#define CPU_SLACK_ONCE_NS 1000000
/* The numbers of the two shared memories in the child. */
#define CHILD_FD_COUNT 2

static void add_number(struct arena *arena, struct strs *argv, long long value)
{
    strs_push(argv, arena_printf(arena, "%lld", value));
}

static void child_argv(struct arena *arena, const char *self, const struct study *spec,
                       const struct study_shape *shape, const struct study_kernel *kernel,
                       const struct cpu_memory *m, struct strs *argv)
{
    strs_push(argv, self);
    strs_push(argv, "--child");
    strs_push(argv, kernel->object);
    strs_push(argv, kernel->trick ? kernel->trick : "");
    add_number(arena, argv, m->input_fd);
    add_number(arena, argv, m->output_fd);
    add_number(arena, argv, kernel->threads);
    add_number(arena, argv, (long long)spec->input_count);
    add_number(arena, argv, (long long)spec->buffer_count);
    for (size_t i = 0; i < spec->buffer_count; i++)
        add_number(arena, argv, (long long)shape->elements[i]);
    for (size_t i = 0; i < spec->dim_count; i++)
        add_number(arena, argv, shape->dim[i]);
}

/* What any C program has, wherever the runner's own C library lies; a tool that packs code for the
 * Nix or Guix store has each library in a folder of its own. */
static const char *const plain_libraries[] = {"libm.so.6",    "libmvec.so.1",   "libpthread.so.0",
                                              "libdl.so.2",   "librt.so.1",     "libgcc_s.so.1",
                                              "libgomp.so.1", "libatomic.so.1", NULL};
static const char *const loader_paths[] = {"/etc/ld.so.cache", "/nix/store", "/gnu/store", NULL};

struct own_files {
    struct arena *arena;
    struct strs *out;
};

static int add_own_file(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct own_files *own = ctx;
    (void)size;
    if (!info->dlpi_name || info->dlpi_name[0] != '/')
        return 0;
    strs_push(own->out, arena_strdup(own->arena, info->dlpi_name));
    if (strstr(info->dlpi_name, "/libc.so") || strstr(info->dlpi_name, "/libc-"))
        for (const char *const *name = plain_libraries; *name; name++)
            strs_push(own->out,
                      os_join(own->arena, os_dirname(own->arena, info->dlpi_name), *name));
    return 0;
}

/* What a candidate finds on the machine: what this program is made of. Only a baseline may hand its
 * work to a library. */
static void add_machine(struct arena *arena, const struct study_kernel *kernel, struct strs *out)
{
    struct own_files own = {arena, out};
    const char *const *paths = kernel->libraries ? sandbox_system_paths() : loader_paths;
    for (; *paths; paths++)
        strs_push(out, *paths);
    if (!kernel->libraries)
        dl_iterate_phdr(add_own_file, &own);
}

static int spawn_child(const char *self, const struct study_kernel *kernel, const struct strs *argv,
                       const struct cpu_memory *m, int stdin_fd, int stdout_fd,
                       struct cpu_child *out, struct err *e)
{
    /* A library's own threads spin for a while although nobody asked for them. */
    char threads[64];
    snprintf(threads, sizeof threads, "OPENBLAS_NUM_THREADS=%d", kernel->threads);
    const char *env[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", "OPENBLAS_MAIN_FREE=1", threads, NULL};
    static const char *const write[] = {NULL};
    struct arena arena = {0};
    struct strs paths = {0};
    strs_push(&paths, kernel->object);
    strs_push(&paths, self);
    add_machine(&arena, kernel, &paths);
    struct sandbox_policy policy = {
        .read = paths.at,
        .write = write,
        .alone = true,
        .memory_bytes = CHILD_MEMORY_BYTES + 8 * (m->input_bytes + m->output_bytes),
    };
    struct sandbox *sandbox = NULL;
    int keep[CHILD_FD_COUNT] = {m->input_fd, m->output_fd};
    int rc = sandbox_prepare(&policy, &sandbox, e);
    if (rc == 0) {
        struct os_spawn how = {.argv = argv->at,
                               .env = env,
                               .stdin_fd = stdin_fd,
                               .stdout_fd = stdout_fd,
                               .stderr_fd = 2,
                               .keep_fds = keep,
                               .keep_count = CHILD_FD_COUNT,
                               .prepare = sandbox_apply,
                               .prepare_ctx = sandbox};
        rc = os_spawn(&how, &out->pid, &out->pidfd, e);
    }
    sandbox_free(sandbox);
    strs_release(&paths);
    arena_release(&arena);
    return rc;
}

/* Waits for the child's next byte. */
static enum study_status await(struct cpu_child *child, double timeout_s)
{
    struct pollfd p = {.fd = child->from_fd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, (int)(timeout_s * 1000));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return STUDY_HUNG;
    char said = 0;
    if (read(child->from_fd, &said, 1) != 1)
        return STUDY_CRASHED;
    if (said == SAY_REFUSED)
        return STUDY_REFUSED;
    return said == SAY_DONE || said == SAY_READY ? STUDY_PASS : STUDY_UNLOADABLE;
}

static enum study_status lose(struct cpu_child *child, enum study_status status)
{
    child->status = status;
    if (child->pid > 0) {
        struct os_exit how = {0};
        struct err ignored = {0};
        /* A crash is read from the wait status, so the dying child is given its moment before it is
         * killed. */
        struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
        if (status != STUDY_HUNG)
            poll(&p, 1, 200);
        os_kill_group(child->pid, SIGKILL);
        os_wait(child->pid, &how, &ignored);
        err_release(&ignored);
        child->signal = how.signal;
        if (how.signal == SIGSYS && status == STUDY_CRASHED)
            status = child->status = STUDY_FORBIDDEN;
        child->pid = 0;
    }
    return status;
}

/* Until every thread of it stands still: false when it has ended instead. */
static bool halt(const struct cpu_child *child)
{
    siginfo_t info = {0};
    os_kill_group(child->pid, SIGSTOP);
    while (waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WEXITED | WNOWAIT) < 0)
        if (errno != EINTR)
            return false;
    return info.si_code == CLD_STOPPED;
}

/* All processor time that it ever took. */
static int64_t cpu_time_ns(const struct cpu_child *child)
{
    clockid_t clock;
    struct timespec t = {0};
    if (clock_getcpuclockid(child->pid, &clock) == 0)
        clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int cpu_child_start(const char *self, const struct study *spec, const struct study_shape *shape,
                    const struct study_kernel *kernel, const struct cpu_memory *m,
                    struct cpu_child *out, struct err *e)
{
    struct arena arena = {0};
    struct strs argv = {0};
    int down[2] = {-1, -1}, up[2] = {-1, -1};
    int rc = -1;
    *out = (struct cpu_child){.pidfd = -1, .to_fd = -1, .from_fd = -1, .threads = kernel->threads};
    child_argv(&arena, self, spec, shape, kernel, m, &argv);
    if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0) {
        err_errno(e, ERR_os, "making a pipe");
        goto out;
    }
    if (spawn_child(self, kernel, &argv, m, down[0], up[1], out, e) < 0)
        goto out;
    out->to_fd = down[1];
    out->from_fd = up[0];
    down[1] = up[0] = -1;
    close(up[1]);
    up[1] = -1;
    enum study_status ready = await(out, spec->timeout_s);
    if (ready != STUDY_PASS)
        lose(out, ready);
    else if (!halt(out))
        lose(out, STUDY_CRASHED);
    rc = 0;
out:
    for (int i = 0; i < 2; i++) {
        if (down[i] >= 0)
            close(down[i]);
        if (up[i] >= 0)
            close(up[i]);
    }
    strs_release(&argv);
    arena_release(&arena);
    return rc;
}

enum study_status cpu_child_launch(struct cpu_child *child, double timeout_s, int64_t *wall_ns)
{
    if (child->status != STUDY_PASS)
        return child->status;
    char say = SAY_LAUNCH;
    int64_t cpu_ns = cpu_time_ns(child);
    os_kill_group(child->pid, SIGCONT);
    int64_t start = os_monotonic_ns();
    if (write(child->to_fd, &say, 1) != 1)
        return lose(child, STUDY_CRASHED);
    enum study_status status = await(child, timeout_s);
    *wall_ns = os_monotonic_ns() - start;
    if (status != STUDY_PASS)
        return lose(child, status);
    /* What a thread of the candidate has not finished by now is not in the outputs that are judged.
     */
    if (!halt(child))
        return lose(child, STUDY_CRASHED);
    /* Who rests in one launch has saved nothing for the next. */
    child->overdrawn_ns = fmax(0, child->overdrawn_ns + (double)(cpu_time_ns(child) - cpu_ns) -
                                      CPU_SLACK_NS - CPU_SLACK * child->threads * (double)*wall_ns);
    return child->overdrawn_ns > CPU_SLACK_ONCE_NS ? lose(child, STUDY_FORBIDDEN) : STUDY_PASS;
}

void cpu_child_end(struct cpu_child *child)
{
    enum study_status status = child->status;
    if (child->pid > 0)
        lose(child, STUDY_HUNG);
    child->status = status;
    int *fds[] = {&child->pidfd, &child->to_fd, &child->from_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* The child's side. */

static void say(int fd, char what)
{
    if (write(fd, &what, 1) != 1)
        _exit(1);
}

static void *map_shared(int fd, size_t bytes, int prot)
{
    void *map = mmap(NULL, bytes, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        _exit(1);
    close(fd);
    return map;
}

int cpu_child_main(int argc, char **argv)
{
    if (argc < ARG_ELEMENTS)
        return 2;
    size_t elements[STUDY_MAX_BUFFERS], offset[STUDY_MAX_BUFFERS], in_bytes, out_bytes;
    int64_t dim[STUDY_MAX_DIMS] = {0};
    void *buf[STUDY_MAX_BUFFERS];
    int threads = atoi(argv[ARG_THREADS]);
    size_t inputs = (size_t)atoi(argv[ARG_INPUTS]), count = (size_t)atoi(argv[ARG_BUFFERS]);
    int dims = ARG_ELEMENTS + (int)count;
    if (count > STUDY_MAX_BUFFERS || argc < dims || argc > dims + STUDY_MAX_DIMS)
        return 2;
    for (size_t i = 0; i < count; i++)
        elements[i] = strtoull(argv[ARG_ELEMENTS + i], NULL, 10);
    for (int i = dims; i < argc; i++)
        dim[i - dims] = strtoll(argv[i], NULL, 10);
    cpu_memory_layout(elements, count, inputs, offset, &in_bytes, &out_bytes);
    char *in = map_shared(atoi(argv[ARG_INPUT_FD]), in_bytes, PROT_READ);
    char *out = map_shared(atoi(argv[ARG_OUTPUT_FD]), out_bytes, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < count; i++)
        buf[i] = (i < inputs ? in : out) + offset[i];
    if (cpu_cage() < 0)
        _exit(1);
    void *handle = dlopen(argv[ARG_OBJECT], RTLD_NOW | RTLD_LOCAL);
    struct cpu_call call = {.dim = dim,
                            .buf = buf,
                            .elements = elements,
                            .inputs = inputs,
                            .count = count,
                            .threads = threads};
    if (handle)
        *(void **)&call.candidate = dlsym(handle, CANDIDATE_SYMBOL);
    /* A reference need not be a candidate as well; nobody else is let through without being one. */
    if (handle && !call.candidate && *argv[ARG_TRICK])
        *(void **)&call.at = dlsym(handle, CANDIDATE_AT_SYMBOL);
    if (!call.candidate && !call.at) {
        dprintf(2, "%s\n", dlerror());
        say(1, SAY_UNLOADABLE);
        return 1;
    }
    say(1, SAY_READY);
    for (char said; read(0, &said, 1) == 1;)
        say(1, cpu_trick(argv[ARG_TRICK], &call) == 0 ? SAY_DONE : SAY_REFUSED);
    return 0;
}
