#define _GNU_SOURCE
#include "run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* So many commands are prepared before there is room for them, and the run hears of those that
 * ended when half are left: each time that it wakes up it takes a processor, the next command is
 * put beside another one, and the kernel does not move what lives this short. */
#define AHEAD 16

/* What takes longer gains nothing, and who is prepared early is not chosen among all that are ready
 * later. */
#define BRIEF_NS (5 * INT64_C(1000000))

/* What waits so long for its turn is not to wait any longer. */
#define LATE_NS (10 * BRIEF_NS)

/* vfork holds up who calls it until the child executes its program, which of a small command is
 * half of its life; and when it ends, the next one waits until the run has time. So each of these
 * threads starts a command, sees its end and starts the next, and the run prepares and collects
 * beside them. They live until the last command is over, for their children die with them. */
struct hands {
    int fd; /* an eventfd: readable when there is news */
    size_t count;
    pthread_t *threads;
    struct os_processors *processors; /* NULL: there is not one for each thread */
    pthread_mutex_t mutex;            /* over what follows, and the stage of every job */
    pthread_cond_t work;
    pthread_cond_t quiet;
    struct job *asked; /* oldest first */
    size_t asked_count;
    size_t idle;
    size_t births; /* under way just now */
    int placed;    /* threads that have a processor of their own */
    bool held;     /* nothing is started: one failed, and the run has not said what that means */
    bool over;
};

/* Only now: each descriptor that is open when a command is born is copied to it, and closed again
 * when it executes its program. */
static int open_pipe(struct job *job, struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, ERR_os, "cannot make a pipe");
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    job->pipe_fd = ends[0];
    job->how.stderr_fd = ends[1];
    if (job->how.stdout_fd < 0)
        job->how.stdout_fd = ends[1];
    return 0;
}

static void close_ends(const struct job *job)
{
    int err_fd = job->how.stderr_fd, out_fd = job->how.stdout_fd;
    if (err_fd > 2)
        close(err_fd);
    if (out_fd > 2 && out_fd != err_fd)
        close(out_fd);
}

/* Whoever calls it: the run, or a thread. */
static void bear(struct job *job)
{
    int *pidfd = job->handed ? NULL : &job->pidfd;
    bool heard = job->how.stderr_fd < 0;
    if ((heard && open_pipe(job, &job->birth_error) < 0) ||
        os_spawn(&job->how, &job->pid, pidfd, &job->birth_error) < 0)
        job->pid = 0;
    job->start_ns = os_monotonic_ns();
    job->how.guard = NULL;
    close_ends(job);
}

static void tell(const struct hands *h)
{
    static const uint64_t one = 1;
    if (write(h->fd, &one, sizeof one) < 0 && errno != EAGAIN)
        BUG("the run cannot be told");
}

static void set_stage(struct hands *h, struct job *job, enum job_stage stage, bool hold)
{
    pthread_mutex_lock(&h->mutex);
    job->stage = stage;
    h->held |= hold;
    bool urgent = h->held || h->asked_count <= AHEAD / 2;
    pthread_cond_signal(&h->quiet);
    pthread_mutex_unlock(&h->mutex);
    if (urgent)
        tell(h);
}

/* Once its end is told the job may be gone. */
static void see_end(struct hands *h, struct job *job)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    job->end_ns = os_monotonic_ns();
    set_stage(h, job, JOB_ENDED, info.si_code != CLD_EXITED || info.si_status != 0);
}

static void attend(struct hands *h, struct job *job)
{
    job->how.processors = h->processors;
    bear(job);
    pthread_mutex_lock(&h->mutex);
    h->births--;
    if (h->births == 0)
        pthread_cond_signal(&h->quiet);
    job->stage = JOB_BORN;
    pthread_mutex_unlock(&h->mutex);
    if (job->pid == 0) {
        set_stage(h, job, JOB_ENDED, true);
        return;
    }
    see_end(h, job);
}

static void *hand(void *ctx)
{
    struct hands *h = ctx;
    pthread_mutex_lock(&h->mutex);
    if (h->processors)
        os_processors_use_one(h->processors, h->placed++);
    for (;;) {
        h->idle++;
        while (!h->over && (h->held || !h->asked))
            pthread_cond_wait(&h->work, &h->mutex);
        h->idle--;
        if (h->over)
            break;
        struct job *job = h->asked;
        h->asked = job->next_asked;
        h->asked_count--;
        h->births++;
        pthread_mutex_unlock(&h->mutex);
        attend(h, job);
        pthread_mutex_lock(&h->mutex);
    }
    pthread_mutex_unlock(&h->mutex);
    return NULL;
}

/* Signals are the run's. But SIGCHLD is nobody's: where the thread that bore the child does not
 * block it the kernel throws it away, and otherwise wakes the run with each command's end. */
static bool add_hand(struct hands *h)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&h->threads[h->count], NULL, hand, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    h->count += rc == 0;
    return rc == 0;
}

/* Left to itself the kernel puts a thread that is to start the next command behind the command that
 * runs, beside a processor that has nothing to do, and moves neither: both live too short. With
 * fewer threads than processors it finds an idle one, and with more there is no better place. */
static struct os_processors *one_for_each(size_t threads)
{
    struct os_processors *all = os_processors();
    if (os_processors_count(all) == (int)threads)
        return all;
    os_processors_free(all);
    return NULL;
}

static struct hands *open_hands(size_t at_most)
{
    struct hands *h = xcalloc(1, sizeof *h);
    h->threads = xcalloc(at_most, sizeof *h->threads);
    h->processors = one_for_each(at_most);
    h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&h->mutex, NULL);
    pthread_cond_init(&h->work, NULL);
    pthread_cond_init(&h->quiet, NULL);
    return h;
}

static bool has_hand(struct run *r)
{
    size_t at_most = (size_t)r->options->jobs;
    if (!r->hands)
        r->hands = open_hands(at_most);
    struct hands *h = r->hands;
    pthread_mutex_lock(&h->mutex);
    bool more = h->idle <= r->unborn;
    pthread_mutex_unlock(&h->mutex);
    if (h->fd >= 0 && more && h->count < at_most)
        add_hand(h);
    return h->count > 0;
}

/* Not what measures, what is watched, what is given leave for, and what holds the terminal; and not
 * where somebody else has a say in how many run. */
bool run_hands_may(const struct run *r, uint32_t node)
{
    uint32_t flags = run_node(r, node)->flags;
    return r->brief && r->options->jobs > 1 && r->jobserver.take_fd < 0 &&
           !r->plan->entries[node].token &&
           !(flags & (NODE_CONSOLE | NODE_MEASURES | NODE_OUTER | NODE_INNER));
}

size_t run_hands_ahead(const struct run *r)
{
    return r->hands && r->hands->count > 0 && r->brief && r->direct == 0 ? AHEAD : 0;
}

static void begin(struct run *r, struct job *job)
{
    job->begun = true;
    if (job->timeout_ns)
        job->deadline_ns = job->start_ns + job->timeout_ns;
    r->result->outcomes[job->node].start_ns = job->start_ns - r->begin_ns;
    run_event(r, RUN_START, job->node, NULL);
}

static int start_here(struct run *r, struct job *job, struct err *e)
{
    bear(job);
    if (job->pid == 0) {
        err_move(e, &job->birth_error);
        return -1;
    }
    r->direct++;
    job->next = r->jobs;
    r->jobs = job;
    begin(r, job);
    return 0;
}

int run_hands_start(struct run *r, struct job *job, struct err *e)
{
    job->timeout_ns = (int64_t)run_node(r, job->node)->timeout_ms * 1000000;
    if (job->watch || !run_hands_may(r, job->node) || !has_hand(r))
        return start_here(r, job, e);
    job->next = r->jobs;
    r->jobs = job;
    r->unborn++;
    job->handed = true;
    pthread_mutex_lock(&r->hands->mutex);
    struct job **last = &r->hands->asked;
    while (*last)
        last = &(*last)->next_asked;
    *last = job;
    r->hands->asked_count++;
    job->stage = JOB_ASKED;
    pthread_cond_signal(&r->hands->work);
    pthread_mutex_unlock(&r->hands->mutex);
    return 0;
}

/* Who was born since the last look. */
static void look(struct run *r)
{
    pthread_mutex_lock(&r->hands->mutex);
    for (struct job *job = r->jobs; job; job = job->next)
        job->seen = job->stage;
    pthread_mutex_unlock(&r->hands->mutex);
    for (struct job *job = r->jobs; job; job = job->next)
        if (job->seen >= JOB_BORN && !job->begun && job->pid) {
            r->unborn--;
            begin(r, job);
        }
}

static void fail(struct run *r, struct job *job)
{
    struct err error = {0};
    uint32_t node = job->node;
    r->unborn--;
    run_unlink_job(&r->jobs, job);
    err_move(&error, &job->birth_error);
    run_start_failed(r, job, &error);
    run_fail_node(r, node, &error);
}

int run_hands_take(struct run *r, struct err *e)
{
    uint64_t count;
    struct job *next;
    if (!r->hands)
        return 0;
    if (read(r->hands->fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
        return err_errno(e, ERR_os, "cannot wait for commands");
    look(r);
    for (struct job *job = r->jobs; job; job = next) {
        next = job->next;
        if (job->seen == JOB_ENDED && job->pid == 0)
            fail(r, job);
        else if (job->seen == JOB_ENDED && run_reap(r, job, e) < 0)
            return -1;
    }
    return 0;
}

int run_hands_fd(const struct run *r)
{
    return r->hands ? r->hands->fd : -1;
}

bool run_hands_young(const struct job *job, int64_t now_ns)
{
    return job->handed && (!job->begun || now_ns - job->start_ns < BRIEF_NS);
}

int64_t run_hands_nap_ns(const struct run *r, int64_t now_ns)
{
    for (const struct job *job = r->jobs; job; job = job->next)
        if (run_hands_young(job, now_ns))
            return BRIEF_NS;
    return INT64_MAX;
}

void run_hands_hold(struct run *r)
{
    struct hands *h = r->hands;
    if (!h)
        return;
    pthread_mutex_lock(&h->mutex);
    h->held = true;
    while (h->births > 0)
        pthread_cond_wait(&h->quiet, &h->mutex);
    pthread_mutex_unlock(&h->mutex);
    look(r);
}

void run_hands_recall(struct run *r)
{
    struct job *asked, *next;
    if (!r->hands || r->unborn == 0)
        return;
    run_hands_hold(r);
    pthread_mutex_lock(&r->hands->mutex);
    asked = r->hands->asked;
    r->hands->asked = NULL;
    r->hands->asked_count = 0;
    pthread_mutex_unlock(&r->hands->mutex);
    for (struct job *job = asked; job; job = next) {
        uint32_t node = job->node;
        next = job->next_asked;
        r->unborn--;
        close_ends(job);
        run_job_free(r, run_unlink_job(&r->jobs, job));
        run_queue_ended(r, node);
        run_queue_push(r, node);
    }
}

void run_hands_recall_late(struct run *r, int64_t now_ns)
{
    bool late = false;
    for (const struct job *job = r->jobs; job; job = job->next)
        late |= job->handed && job->begun && now_ns - job->start_ns > LATE_NS;
    if (!late || r->unborn == 0)
        return;
    r->brief = false;
    run_hands_recall(r);
}

/* A failure that was seen by a thread and not by the run yet holds on. */
void run_hands_go(struct run *r)
{
    bool news = false;
    if (!r->hands)
        return;
    pthread_mutex_lock(&r->hands->mutex);
    for (const struct job *job = r->jobs; job; job = job->next)
        news |= job->stage == JOB_ENDED;
    if (r->hands->held && !news) {
        r->hands->held = false;
        pthread_cond_broadcast(&r->hands->work);
    }
    pthread_mutex_unlock(&r->hands->mutex);
}

void run_hands_await(struct run *r, const struct job *job)
{
    if (!job->handed)
        return;
    pthread_mutex_lock(&r->hands->mutex);
    while (job->stage != JOB_ENDED)
        pthread_cond_wait(&r->hands->quiet, &r->hands->mutex);
    pthread_mutex_unlock(&r->hands->mutex);
}

void run_hands_note(struct run *r, const struct job *job)
{
    r->brief = job->end_ns - job->start_ns < BRIEF_NS;
    r->direct -= !job->handed;
}

void run_hands_close(struct run *r)
{
    struct hands *h = r->hands;
    if (!h)
        return;
    pthread_mutex_lock(&h->mutex);
    h->over = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->mutex);
    for (size_t i = 0; i < h->count; i++)
        pthread_join(h->threads[i], NULL);
    pthread_mutex_destroy(&h->mutex);
    pthread_cond_destroy(&h->work);
    pthread_cond_destroy(&h->quiet);
    if (h->fd >= 0)
        close(h->fd);
    os_processors_free(h->processors);
    free(h->threads);
    free(h);
    r->hands = NULL;
}
