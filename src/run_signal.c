#include "run_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Signals arrive as something to read, so that no handler runs between two statements. */
static void signals_of_a_run(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGTSTP);
}

int run_signals_open(struct run *r, struct err *e)
{
    sigset_t set;
    signals_of_a_run(&set);
    r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signal_fd < 0)
        return err_errno(e, ERR_os, "cannot listen for signals");
    sigprocmask(SIG_BLOCK, &set, NULL);
    return 0;
}

void run_signals_close(struct run *r)
{
    sigset_t set;
    if (r->signal_fd < 0)
        return;
    signals_of_a_run(&set);
    close(r->signal_fd);
    r->signal_fd = -1;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void interrupt(struct run *r, int signal)
{
    int64_t now = os_monotonic_ns();
    bool again = r->result->interrupted;
    r->result->interrupted = true;
    r->result->signal = signal;
    r->stopping = true;
    run_hands_recall(r);
    run_hands_hold(r);
    for (struct job *job = r->jobs; job; job = job->next) {
        if (!job->begun)
            continue;
        if (again)
            job->kill_ns = now;
        run_job_end(job, now);
    }
}

/* Children have groups of their own, so the terminal stops only us: they are stopped and continued
 * from here, and their time-outs stand still. */
static void pause_run(struct run *r)
{
    int64_t paused = os_monotonic_ns();
    run_event(r, RUN_PAUSE, GRAPH_NONE, NULL);
    run_hands_hold(r);
    for (struct job *job = r->jobs; job; job = job->next)
        if (job->begun)
            os_kill_group(job->pid, SIGSTOP);
    raise(SIGSTOP);
    for (struct job *job = r->jobs; job; job = job->next) {
        if (job->begun)
            os_kill_group(job->pid, SIGCONT);
        if (job->deadline_ns)
            job->deadline_ns += os_monotonic_ns() - paused;
    }
    run_event(r, RUN_RESUME, GRAPH_NONE, NULL);
}

void run_signals_take(struct run *r)
{
    struct signalfd_siginfo info;
    while (read(r->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTSTP)
            pause_run(r);
        else
            interrupt(r, (int)info.ssi_signo);
    }
}
