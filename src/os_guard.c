#define _GNU_SOURCE
#include "os_guard.h"

#include "os_arch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WATCHED_AT_MOST = 1000 };

/* Shared with the guard, so that what the engine wrote last is what the guard finds. */
struct os_guard {
    pid_t pid;
    int alive_fd; /* nobody writes to it: its end is the news */
    _Atomic pid_t watched[WATCHED_AT_MOST];
};

static void swap(struct os_guard *guard, pid_t old, pid_t new)
{
    for (size_t i = 0; i < WATCHED_AT_MOST; i++) {
        pid_t expected = old;

        if (atomic_load_explicit(&guard->watched[i], memory_order_relaxed) == old &&
            atomic_compare_exchange_strong(&guard->watched[i], &expected, new))
            return;
    }
}

void os_guard_watch(struct os_guard *guard, pid_t pid)
{
    swap(guard, 0, pid);
}

void os_guard_forget(struct os_guard *guard, pid_t pid)
{
    swap(guard, pid, 0);
}

/* Holds nothing that the engine holds (its locks would outlive it) and hears nothing that a
 * terminal sends. */
static _Noreturn void guard_main(struct os_guard *guard, int engine_fd)
{
    sigset_t all;
    ssize_t n;
    char byte;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "spak-guard");
    if (chdir("/") < 0)
        _exit(1);
    dup2(engine_fd, 0);
    if (syscall(OS_CALL_CLOSE_RANGE, 1, ~0U, 0) < 0)
        for (int fd = 1; fd < 1024; fd++)
            close(fd);
    do
        n = read(0, &byte, 1);
    while (n > 0 || (n < 0 && errno == EINTR));
    for (size_t i = 0; i < WATCHED_AT_MOST; i++)
        if (guard->watched[i] > 1)
            kill(-guard->watched[i], SIGKILL);
    _exit(0);
}

int os_guard_start(struct os_guard **out, struct err *e)
{
    struct os_guard *guard =
        mmap(NULL, sizeof *guard, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];
    pid_t pid;

    if (guard == MAP_FAILED)
        return err_errno(e, ERR_os, "cannot map memory for the guard");
    if (pipe2(ends, O_CLOEXEC) < 0) {
        err_errno(e, ERR_os, "cannot make a pipe");
        munmap(guard, sizeof *guard);
        return -1;
    }
    guard->alive_fd = ends[1];
    /* Stored by this side alone: the guard's own copy of the answer is 0. */
    pid = fork();
    if (pid == 0)
        guard_main(guard, ends[0]);
    guard->pid = pid;
    close(ends[0]);
    if (pid < 0) {
        err_errno(e, ERR_os, "cannot start the guard");
        close(ends[1]);
        munmap(guard, sizeof *guard);
        return -1;
    }
    *out = guard;
    return 0;
}

void os_guard_stop(struct os_guard *guard)
{
    if (!guard)
        return;
    for (size_t i = 0; i < WATCHED_AT_MOST; i++)
        guard->watched[i] = 0;
    close(guard->alive_fd);
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    munmap(guard, sizeof *guard);
}
