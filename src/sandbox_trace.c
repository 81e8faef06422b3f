#define _GNU_SOURCE
#include "sandbox.h"

#include "os_arch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Linux 5.3, written out for older C libraries. */
enum { TRACE_GET_SYSCALL_INFO = 0x420e, TRACE_AT_ENTRY = 1, TRACE_AT_EXIT = 2 };
enum {
    TRACE_OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                    PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL
};

struct syscall_info {
    uint8_t op;
    uint8_t pad[3];
    uint32_t arch;
    uint64_t instruction_pointer;
    uint64_t stack_pointer;
    union {
        struct {
            uint64_t nr;
            uint64_t args[6];
        } entry;
        struct {
            int64_t value;
            uint8_t is_error;
        } exit;
        uint64_t room[16]; /* what newer kernels add */
    };
};

/* A thread of the command, and the call it is in. */
struct tracee {
    pid_t tid;
    int64_t call; /* OS_NO_CALL between calls, or in one of another machine's numbering */
    uint64_t args[6];
};

/* Everything the tracing thread works on; the caller looks at it only after joining. */
struct tracer {
    struct os_spawn how;
    int (*prepare)(void *ctx);
    void *prepare_ctx;
    const char *root;      /* as the caller named it */
    const char *root_real; /* without links */
    struct arena *arena;
    struct sandbox_refusals *found;
    struct tracee *tracees;
    size_t count;
    size_t cap;
    _Atomic pid_t leader;
    atomic_bool stop;
    int done_fd; /* closed at the end */
};

enum want { WANT_READ, WANT_WRITE, WANT_BY_FLAGS, WANT_BY_HOW };

/* Which argument is a path, relative to which descriptor argument (-1: the working directory). */
struct call {
    int64_t number;
    int dir_arg;
    int path_arg;
    int flags_arg;
    enum want want;
};
static const struct call calls[] = {
    {SYS_openat, 0, 1, 2, WANT_BY_FLAGS},    {OS_CALL_OPEN, -1, 0, 1, WANT_BY_FLAGS},
    {OS_CALL_OPENAT2, 0, 1, 2, WANT_BY_HOW}, {OS_CALL_CREAT, -1, 0, 0, WANT_WRITE},
    {SYS_execve, -1, 0, 0, WANT_READ},       {SYS_execveat, 0, 1, 0, WANT_READ},
    {SYS_truncate, -1, 0, 0, WANT_WRITE},    {OS_CALL_UNLINK, -1, 0, 0, WANT_WRITE},
    {SYS_unlinkat, 0, 1, 0, WANT_WRITE},     {OS_CALL_RMDIR, -1, 0, 0, WANT_WRITE},
    {OS_CALL_MKDIR, -1, 0, 0, WANT_WRITE},   {SYS_mkdirat, 0, 1, 0, WANT_WRITE},
    {OS_CALL_RENAME, -1, 1, 0, WANT_WRITE},  {OS_CALL_RENAMEAT, 2, 3, 0, WANT_WRITE},
    {SYS_renameat2, 2, 3, 0, WANT_WRITE},    {OS_CALL_LINK, -1, 1, 0, WANT_WRITE},
    {SYS_linkat, 2, 3, 0, WANT_WRITE},       {OS_CALL_SYMLINK, -1, 1, 0, WANT_WRITE},
    {SYS_symlinkat, 1, 2, 0, WANT_WRITE},
};

static const struct call *find_call(int64_t number)
{
    for (size_t i = 0; number != OS_NO_CALL && i < ARRAY_LEN(calls); i++)
        if (calls[i].number == number)
            return &calls[i];
    return NULL;
}

static struct tracee *find_tracee(struct tracer *t, pid_t tid)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->tracees[i].tid == tid)
            return &t->tracees[i];
    return NULL;
}

static struct tracee *add_tracee(struct tracer *t, pid_t tid)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->tracees = xrealloc(t->tracees, t->cap * sizeof *t->tracees);
    }
    t->tracees[t->count] = (struct tracee){.tid = tid, .call = OS_NO_CALL};
    return &t->tracees[t->count++];
}

static void drop_tracee(struct tracer *t, pid_t tid)
{
    struct tracee *gone = find_tracee(t, tid);

    if (gone)
        *gone = t->tracees[--t->count];
}

/* Returns how many bytes could be read. In two parts, because the second page may not be there and
 * a part is read whole or not at all. */
static size_t peek(pid_t tid, uint64_t address, void *out, size_t bytes)
{
    size_t first = 4096 - address % 4096;
    size_t split = first < bytes ? first : bytes;
    struct iovec here = {out, bytes};
    struct iovec there[2] = {{(void *)(uintptr_t)address, split},
                             {(void *)(uintptr_t)(address + split), bytes - split}};
    ssize_t n = process_vm_readv(tid, &here, 1, there, 2, 0);

    return n < 0 ? 0 : (size_t)n;
}

static bool peek_text(pid_t tid, uint64_t address, char out[PATH_MAX])
{
    size_t got = peek(tid, address, out, PATH_MAX);

    return got > 0 && memchr(out, 0, got) && *out;
}

/* The folder that a relative path starts from; false when it cannot be known any more. */
static bool base_folder(pid_t tid, int dirfd, char out[PATH_MAX])
{
    char link[64];
    ssize_t n;

    if (dirfd == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%d/cwd", (int)tid);
    else
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)tid, dirfd);
    n = readlink(link, out, PATH_MAX - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

static const char *below(const char *path, const char *root)
{
    size_t len = strlen(root);

    if (len == 1)
        len = 0;
    if (strncmp(path, root, len) != 0 || path[len] != '/' || !path[len + 1])
        return NULL;
    return path + len + 1;
}

/* The path as the spakfile would name it, or else, where links lead into the root, as it is. */
static const char *relative_to_root(struct tracer *t, const char *path)
{
    struct err ignored = {0};
    const char *found = below(path, t->root_real);
    const char *real;

    if (!found)
        found = below(path, t->root);
    if (found)
        return found;
    real = os_realpath(t->arena, path, &ignored);
    err_release(&ignored);
    return real ? below(real, t->root_real) : NULL;
}

static void note_once(struct strs *list, const char *path)
{
    for (size_t i = 0; i < list->len; i++)
        if (strcmp(list->at[i], path) == 0)
            return;
    strs_push(list, path);
}

/* A file that this process may not read either was refused by its permissions, not by the sandbox.
 */
static void note_refusal(struct tracer *t, const char *path, bool write)
{
    struct err ignored = {0};
    struct os_stat stat = {0};
    const char *relative = relative_to_root(t, path);

    if (!relative) {
        if (os_stat(path, &stat, &ignored) == 0 && stat.kind != OS_ABSENT && stat.kind != OS_DIR)
            note_once(&t->found->outside, arena_strdup(t->arena, path));
        err_release(&ignored);
        return;
    }
    relative = arena_strdup(t->arena, relative);
    os_stat(path, &stat, &ignored);
    err_release(&ignored);
    if (write)
        note_once(&t->found->write, relative);
    else if (stat.kind != OS_ABSENT && access(path, R_OK) == 0)
        note_once(stat.kind == OS_DIR ? &t->found->list : &t->found->read, relative);
}

static bool asks_to_write(const struct tracee *tracee, const struct call *call)
{
    uint64_t flags = tracee->args[call->flags_arg];

    if (call->want == WANT_BY_HOW) {
        flags = 0;
        peek(tracee->tid, tracee->args[call->flags_arg], &flags, sizeof flags);
    } else if (call->want != WANT_BY_FLAGS)
        return call->want == WANT_WRITE;
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

static void refused(struct tracer *t, const struct tracee *tracee)
{
    const struct call *call = find_call(tracee->call);
    char path[PATH_MAX];
    char base[PATH_MAX] = "/";
    int dirfd;

    if (!call || !peek_text(tracee->tid, tracee->args[call->path_arg], path))
        return;
    dirfd = call->dir_arg < 0 ? AT_FDCWD : (int)tracee->args[call->dir_arg];
    if (*path != '/' && !base_folder(tracee->tid, dirfd, base))
        return;
    note_refusal(t, os_join(t->arena, base, path), asks_to_write(tracee, call));
}

/* A call that failed left its arguments and the memory they point at as they were: they are read
 * only then. */
static void at_syscall(struct tracer *t, struct tracee *tracee)
{
    struct syscall_info info = {0};

    if (ptrace((enum __ptrace_request)TRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info) <= 0)
        return;
    if (info.op == TRACE_AT_ENTRY) {
        tracee->call = info.arch == OS_AUDIT_ARCH ? (int64_t)info.entry.nr : OS_NO_CALL;
        memcpy(tracee->args, info.entry.args, sizeof tracee->args);
        return;
    }
    if (info.op == TRACE_AT_EXIT && info.exit.is_error && info.exit.value == -EACCES)
        refused(t, tracee);
    tracee->call = OS_NO_CALL;
}

/* Returns the signal to deliver. The stop that a new thread begins with is ptrace's own. */
static int at_stop(struct tracer *t, pid_t tid, int status)
{
    struct tracee *tracee = find_tracee(t, tid);
    int sig = WSTOPSIG(status);
    bool first = !tracee;

    if (first)
        tracee = add_tracee(t, tid);
    if (sig == (SIGTRAP | 0x80)) {
        at_syscall(t, tracee);
        return 0;
    }
    if (status >> 16 || (first && sig == SIGSTOP))
        return 0;
    return sig;
}

/* __WNOTHREAD: the other children of this process are not ours to collect. */
static void follow(struct tracer *t)
{
    pid_t leader = t->leader;
    int status;

    while (!t->stop) {
        pid_t tid = waitpid(-1, &status, __WALL | __WNOTHREAD);

        if (tid < 0 && errno != EINTR)
            return;
        if (tid < 0)
            continue;
        if (WIFSTOPPED(status)) {
            ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)at_stop(t, tid, status));
            continue;
        }
        drop_tracee(t, tid);
        if (tid == leader)
            return;
    }
}

static int prepare_traced(void *ctx)
{
    struct tracer *t = ctx;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        return errno;
    return t->prepare ? t->prepare(t->prepare_ctx) : 0;
}

/* The first stop is at the exec; what is not stopped there died before. */
static bool first_stop(pid_t leader)
{
    int status;

    while (waitpid(leader, &status, __WALL) < 0)
        if (errno != EINTR)
            return false;
    return WIFSTOPPED(status) &&
           ptrace(PTRACE_SETOPTIONS, leader, NULL, (void *)(intptr_t)TRACE_OPTIONS) == 0 &&
           ptrace(PTRACE_SYSCALL, leader, NULL, NULL) == 0;
}

/* The group is gone before the thread is; what fled from it goes with the thread, by EXITKILL. */
static void end_of(struct tracer *t, pid_t leader)
{
    kill(-leader, SIGKILL);
    while (find_tracee(t, leader) || waitpid(leader, NULL, __WALL | WNOHANG) == 0) {
        pid_t tid = waitpid(-1, NULL, __WALL | __WNOTHREAD);

        if (tid < 0 && errno != EINTR)
            return;
        drop_tracee(t, tid);
    }
}

static void *trace(void *ctx)
{
    struct tracer *t = ctx;
    struct err ignored = {0};
    int pidfd = -1;
    pid_t leader = -1;
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (os_spawn(&t->how, &leader, &pidfd, &ignored) == 0) {
        t->leader = leader;
        add_tracee(t, leader);
        if (first_stop(leader))
            follow(t);
        end_of(t, leader);
        close(pidfd);
    } else if (ignored.code == ERR_command_start) {
        note_refusal(t, os_join(t->arena, t->how.dir ? t->how.dir : t->root_real, t->how.argv[0]),
                     false);
    }
    err_release(&ignored);
    close(t->done_fd);
    return NULL;
}

/* Waits until the tracing thread is through, or ends what it traces. */
static void wait_for(struct tracer *t, int done_fd, int64_t timeout_ns)
{
    int64_t deadline_ns = os_monotonic_ns() + timeout_ns;
    struct pollfd done = {.fd = done_fd, .events = POLLIN};
    int64_t left_ns = timeout_ns;

    while (left_ns > 0) {
        if (poll(&done, 1, (int)((left_ns + 999999) / 1000000)) > 0)
            return;
        left_ns = deadline_ns - os_monotonic_ns();
    }
    t->stop = true;
    if (t->leader)
        os_kill_group(t->leader, SIGKILL);
}

static int trace_in_thread(struct tracer *t, int64_t timeout_ns, struct err *e)
{
    pthread_t thread;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, ERR_os, "cannot make a pipe");
    t->done_fd = ends[1];
    errno = pthread_create(&thread, NULL, trace, t);
    if (errno) {
        err_errno(e, ERR_os, "cannot start a thread");
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    wait_for(t, ends[0], timeout_ns);
    pthread_join(thread, NULL);
    close(ends[0]);
    return 0;
}

/* A thread of its own, because a tracer is a thread, waits for all that it traces, and takes them
 * along when it ends. */
int sandbox_find_refusals(const struct os_spawn *how, const char *root, int64_t timeout_ns,
                          struct arena *arena, struct sandbox_refusals *out, struct err *e)
{
    struct tracer t = {
        .how = *how,
        .prepare = how->prepare,
        .prepare_ctx = how->prepare_ctx,
        .root = root,
        .arena = arena,
        .found = out,
    };
    int rc;

    t.root_real = os_realpath(arena, root, e);
    if (!t.root_real)
        return -1;
    t.how.stdin_fd = t.how.stdout_fd = t.how.stderr_fd = -1;
    t.how.same_group = false;
    t.how.guard = NULL; /* EXITKILL is one */
    t.how.prepare = prepare_traced;
    t.how.prepare_ctx = &t;
    rc = trace_in_thread(&t, timeout_ns, e);
    free(t.tracees);
    return rc;
}

void sandbox_refusals_release(struct sandbox_refusals *refusals)
{
    strs_release(&refusals->read);
    strs_release(&refusals->list);
    strs_release(&refusals->write);
    strs_release(&refusals->outside);
}

int sandbox_find_refused(const struct os_spawn *how, const char *root, int64_t timeout_ns,
                         struct arena *arena, struct strs *refused, struct err *e)
{
    struct sandbox_refusals found = {0};
    int rc = sandbox_find_refusals(how, root, timeout_ns, arena, &found, e);

    for (size_t i = 0; i < found.read.len; i++)
        strs_push(refused, found.read.at[i]);
    for (size_t i = 0; i < found.list.len; i++)
        strs_push(refused, found.list.at[i]);
    sandbox_refusals_release(&found);
    return rc;
}
