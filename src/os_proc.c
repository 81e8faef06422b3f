#define _GNU_SOURCE
#include "os.h"

#include "os_arch.h"
#include "os_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLOSE_RANGE_ON_EXEC = 1 << 2, FDS_AT_MOST = 1 << 16, BUSY_TRIES = 8 };

enum stage { STAGE_FDS, STAGE_DIR, STAGE_PREPARE, STAGE_EXEC };

/* What parent and child share while the parent is suspended. The child fills in the last two. */
struct birth {
    const struct os_spawn *how;
    sigset_t mask; /* of the parent, when it called */
    pid_t parent;
    volatile enum stage stage;
    volatile int error;
};

/* The first signals are counted from 1, the last is 64 on every Linux but MIPS. */
static uint64_t signal_bit(int sig)
{
    return UINT64_C(1) << ((sig - 1) & 63);
}

uint64_t os_altered_signals(void)
{
    struct sigaction now;
    uint64_t altered = 0;

    for (int sig = 1; sig < NSIG; sig++)
        if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_DFL)
            altered |= signal_bit(sig);
    return altered;
}

/* Handlers must be gone before the mask opens: they would run in memory that the parent owns. */
static void reset_signals(uint64_t altered)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        if (altered == 0 || (altered & signal_bit(sig)))
            sigaction(sig, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_on_exec_from(int first)
{
    struct rlimit limit;

    if (syscall(OS_CALL_CLOSE_RANGE, first, ~0U, CLOSE_RANGE_ON_EXEC) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > FDS_AT_MOST)
        limit.rlim_cur = FDS_AT_MOST;
    for (int fd = first; fd < (int)limit.rlim_cur; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Every descriptor is first moved above 2, so that no dup2 overwrites one that is still to be used.
 */
static int child_fds(const struct os_spawn *how)
{
    int fds[3] = {how->stdin_fd, how->stdout_fd, how->stderr_fd};
    int null_fd = -1;

    for (int i = 0; i < 3; i++) {
        if (fds[i] < 0 && null_fd < 0)
            null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fds[i] < 0)
            fds[i] = null_fd;
        if (fds[i] >= 0 && fds[i] < 3)
            fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0)
            return errno;
    }
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            return errno;
    close_on_exec_from(3);
    for (size_t i = 0; i < how->keep_count; i++)
        if (fcntl(how->keep_fds[i], F_SETFD, 0) < 0)
            return errno;
    return 0;
}

/* Somebody else's child may for a moment hold the file open for writing that we just wrote and
 * closed: between its fork and its exec. */
static int exec_patiently(const struct os_spawn *how)
{
    struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < BUSY_TRIES; i++) {
        execve(how->argv[0], (char *const *)how->argv, (char *const *)how->env);
        if (errno != ETXTBSY)
            break;
        nanosleep(&pause, NULL);
        pause.tv_nsec *= 2;
    }
    return errno;
}

/* Only system calls: the memory, the stack above and every lock in it are the parent's. */
static int child_setup(struct birth *birth)
{
    const struct os_spawn *how = birth->how;
    int error;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != birth->parent)
        _exit(127);
    if (!how->same_group) {
        setpgid(0, 0);
        umask(022);
    }
    if (how->guard)
        os_guard_watch(how->guard, getpid());
    reset_signals(how->altered_signals);
    if (how->processors)
        os_processors_use_all(how->processors);
    birth->stage = STAGE_FDS;
    error = child_fds(how);
    if (error)
        return error;
    birth->stage = STAGE_DIR;
    if (how->dir && chdir(how->dir) < 0)
        return errno;
    birth->stage = STAGE_PREPARE;
    error = how->prepare ? how->prepare(how->prepare_ctx) : 0;
    if (error)
        return error;
    birth->stage = STAGE_EXEC;
    return exec_patiently(how);
}

static _Noreturn void child_run(struct birth *birth)
{
    birth->error = child_setup(birth);
    _exit(127);
}

/* vfork: its cost does not grow with the engine's memory, and the child tells by plain memory why
 * it could not exec. posix_spawn has no room for `prepare`. */
static pid_t give_birth(struct birth *birth)
{
    sigset_t all;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &birth->mask);
    pid = vfork();
    if (pid == 0)
        child_run(birth); // NOLINT(clang-analyzer-unix.Vfork): system calls only, no return
    pthread_sigmask(SIG_SETMASK, &birth->mask, NULL);
    return pid;
}

/* Reads the interpreter out of "#! /path/of/it -x"; "" when the file does not start so. */
static void script_interpreter(const char *program, char *out, size_t out_bytes)
{
    FILE *file = fopen(program, "re");
    char line[256] = "";
    size_t at;

    *out = '\0';
    if (!file)
        return;
    if (fgets(line, sizeof line, file) && line[0] == '#' && line[1] == '!') {
        at = 2 + strspn(line + 2, " \t");
        snprintf(out, out_bytes, "%.*s", (int)strcspn(line + at, " \t\r\n"), line + at);
    }
    fclose(file);
}

static int missing_part(const char *program, struct err *e)
{
    char interpreter[256];

    script_interpreter(program, interpreter, sizeof interpreter);
    if (*interpreter) {
        err_set(e, ERR_command_start, "cannot run %s: its interpreter %s does not exist", program,
                interpreter);
        return err_hint(e, "install %s, or correct the first line of %s", interpreter, program);
    }
    err_set(e, ERR_command_start, "cannot run %s: the dynamic loader it asks for does not exist",
            program);
    return err_hint(e, "it was built for another system or C library: `file %s` says which",
                    program);
}

static int exec_refused(const struct os_spawn *how, const char *program, const struct os_stat *stat,
                        struct err *e)
{
    if (stat->kind == OS_DIR)
        return err_set(e, ERR_command_start, "cannot run %s: it is a folder", program);
    if (stat->kind != OS_ABSENT && !stat->executable) {
        err_set(e, ERR_command_start, "cannot run %s: it is not executable", program);
        return err_hint(e, "chmod +x %s, or name the interpreter before it in the command",
                        program);
    }
    err_set(e, ERR_command_start, "cannot run %s: permission denied", program);
    if (how->prepare)
        err_hint(e,
                 "the sandbox lets a command execute only the toolchain and its declared inputs: "
                 "declare %s, and the interpreter it names, as an input or a tool",
                 program);
    return -1;
}

static int too_long(const struct os_spawn *how, const char *program, struct err *e)
{
    size_t bytes = 0;

    for (const char *const *arg = how->argv; *arg; arg++)
        bytes += strlen(*arg) + 1;
    for (const char *const *var = how->env; *var; var++)
        bytes += strlen(*var) + 1;
    err_set(e, ERR_command_start,
            "cannot run %s: its arguments and environment are too long, %zu bytes", program, bytes);
    return err_hint(e, "pass the arguments in a file: most compilers and linkers take @FILE");
}

static int exec_failed(const struct os_spawn *how, int error, struct err *e)
{
    struct arena arena = {0};
    struct err ignored = {0};
    struct os_stat stat = {0};
    const char *program = how->argv[0];
    const char *path = how->dir ? os_join(&arena, how->dir, program) : program;

    os_stat(path, &stat, &ignored);
    err_release(&ignored);
    if (error == ENOENT && stat.kind == OS_ABSENT)
        err_set(e, ERR_command_start, "cannot run %s: there is no such file", program);
    else if (error == ENOENT)
        missing_part(path, e);
    else if (error == EACCES)
        exec_refused(how, path, &stat, e);
    else if (error == E2BIG)
        too_long(how, program, e);
    else if (error == ENOEXEC) {
        err_set(e, ERR_command_start, "cannot run %s: it is no program for this machine", program);
        err_hint(e, "a script says on its first line what runs it, for example #!/bin/sh");
    } else {
        errno = error;
        err_errno(e, ERR_command_start, "cannot run %s", program);
    }
    arena_release(&arena);
    return -1;
}

static int birth_failed(const struct birth *birth, struct err *e)
{
    const struct os_spawn *how = birth->how;

    if (birth->stage == STAGE_EXEC)
        return exec_failed(how, birth->error, e);
    errno = birth->error;
    if (birth->stage == STAGE_DIR)
        return err_errno(e, ERR_command_start, "cannot run %s in the folder %s", how->argv[0],
                         how->dir);
    if (birth->stage == STAGE_PREPARE)
        return err_errno(e, ERR_command_start, "cannot restrict %s to its sandbox", how->argv[0]);
    return err_errno(e, ERR_command_start, "cannot give %s its descriptors", how->argv[0]);
}

static void check_arguments(const struct os_spawn *how)
{
    if (!how->argv || !how->argv[0] || !how->env)
        BUG("os_spawn without argv or environment");
    for (size_t i = 0; i < how->keep_count; i++)
        if (how->keep_fds[i] < 3)
            BUG("os_spawn cannot keep descriptor %d", how->keep_fds[i]);
}

/* Whom nobody waits for any more: dead already or about to be. */
static void discard(const struct os_spawn *how, pid_t pid)
{
    kill(pid, SIGKILL);
    if (how->guard)
        os_guard_forget(how->guard, pid);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int os_spawn(const struct os_spawn *how, pid_t *pid, int *pidfd, struct err *e)
{
    struct birth birth = {.how = how, .parent = getpid()};
    int fault = os_fault("spawn");
    pid_t child = -1;

    check_arguments(how);
    errno = fault;
    if (!fault)
        child = give_birth(&birth);
    if (child < 0)
        return err_errno(e, ERR_os, "cannot start a process for %s", how->argv[0]);
    if (birth.error) {
        discard(how, child);
        return birth_failed(&birth, e);
    }
    if (pidfd && (*pidfd = (int)syscall(OS_CALL_PIDFD_OPEN, child, 0)) < 0) {
        err_errno(e, ERR_os, "cannot watch the process of %s", how->argv[0]);
        if (errno == ENOSYS)
            err_hint(e, "SPAK needs Linux 5.3 or newer");
        os_kill_group(child, SIGKILL);
        discard(how, child);
        return -1;
    }
    *pid = child;
    return 0;
}

static int64_t timeval_ns(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000;
}

/* The dead leader's number stays taken until wait4, so its group cannot be another's when it is
 * killed. */
int os_wait(pid_t pid, struct os_exit *out, struct err *e)
{
    struct rusage usage = {0};
    siginfo_t info;
    int status = 0;
    pid_t got;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
        if (errno != EINTR)
            return err_errno(e, ERR_os, "cannot wait for process %d", (int)pid);
    os_kill_group(pid, SIGKILL);
    do
        got = wait4(pid, &status, 0, &usage);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_errno(e, ERR_os, "cannot wait for process %d", (int)pid);
    *out = (struct os_exit){
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .user_ns = timeval_ns(usage.ru_utime),
        .system_ns = timeval_ns(usage.ru_stime),
        .peak_bytes = (uint64_t)usage.ru_maxrss * 1024,
    };
    return 0;
}

/* Below 2 lie the meanings "my own group", "everybody" and init. */
void os_kill_group(pid_t pid, int signal)
{
    if (pid < 2)
        BUG("os_kill_group(%d) would reach more than one command", (int)pid);
    if (kill(-pid, signal) < 0 && errno == ESRCH)
        kill(pid, signal);
}

static int read_all(int fd, struct buf *out, struct err *e)
{
    enum { CHUNK_BYTES = 1 << 14 };

    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, CHUNK_BYTES), CHUNK_BYTES);

        if (n == 0)
            return 0;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR)
            return err_errno(e, ERR_os, "cannot read what a command prints");
        out->ptr[out->len] = '\0';
    }
}

int os_capture(const char *const *argv, bool both, struct buf *out, struct os_exit *status,
               struct err *e)
{
    struct os_spawn how = {
        .argv = argv, .env = (const char *const *)environ, .stdin_fd = -1, .same_group = true};
    int ends[2];
    int pidfd = -1;
    pid_t pid = -1;
    int rc;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, ERR_os, "cannot make a pipe");
    how.stdout_fd = ends[1];
    how.stderr_fd = both ? ends[1] : -1;
    rc = os_spawn(&how, &pid, &pidfd, e);
    close(ends[1]);
    if (rc < 0)
        goto out;
    rc = read_all(ends[0], out, e);
    if (rc < 0)
        kill(pid, SIGKILL);
    close(pidfd);
    if (rc < 0)
        discard(&how, pid);
    else
        rc = os_wait(pid, status, e);
out:
    close(ends[0]);
    return rc;
}
