#define _GNU_SOURCE /* pipe2 */
#include "prove_sim.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STDERR_KEPT 2000
#define MEMORY_MAX ((uint64_t)8 << 30)

struct sim {
    pid_t pid;
    int pidfd;
    int in;  /* its stdin, -1 once closed */
    int out; /* its stdout, -1 after end of file */
    int err; /* its stderr, -1 after end of file */
    int64_t timeout_ns;
    struct buf questions;
    size_t asked; /* bytes of questions written so far */
    struct buf answers;
    size_t taken; /* bytes of answers handed out */
    size_t scanned;
    struct buf said; /* the start of its stderr */
    struct buf trouble;
    size_t answered;
};

static void trouble(struct sim *sim, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void trouble(struct sim *sim, const char *fmt, ...)
{
    if (sim->trouble.len > 0)
        return;
    va_list args;
    va_start(args, fmt);
    buf_addv(&sim->trouble, fmt, args);
    va_end(args);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int pipe_pair(int fds[2], struct err *e)
{
    if (pipe2(fds, O_CLOEXEC))
        return err_errno(e, ERR_os, "cannot make a pipe");
    return 0;
}

/* Only what an interpreter needs to start; the rest of the world is not the law's business. */
static void child_env(struct arena *arena, struct strs *env)
{
    const char *path = getenv("PATH");
    strs_push(env, arena_printf(arena, "PATH=%s", path ? path : "/usr/bin:/bin"));
    strs_push(env, "LC_ALL=C.UTF-8");
    strs_push(env, "PYTHONDONTWRITEBYTECODE=1");
    strs_push(env, "PYTHONHASHSEED=0");
    strs_push(env, "PYTHONNOUSERSITE=1");
}

static int child_argv(const struct sim_how *how, struct arena *arena, struct strs *argv,
                      struct err *e)
{
    const char *program = how->argv[0];
    if (!strchr(program, '/'))
        program = os_which(arena, program);
    if (!program)
        return err_set(e, ERR_law_spec, "the simulation's program `%s` is not on PATH",
                       how->argv[0]);
    strs_push(argv, program);
    for (size_t i = 1; how->argv[i]; i++)
        strs_push(argv, how->argv[i]);
    if (how->mutant) {
        strs_push(argv, "--mutant");
        strs_push(argv, how->mutant);
    }
    return 0;
}

/* It may read what the prover may read, and change nothing: not its own source, not the proof. */
static int confine(struct sandbox **out, struct err *e)
{
    static const char *const everything[] = {"/", NULL}, *const nothing[] = {NULL};
    struct sandbox_policy policy = {
        .read = everything, .write = nothing, .memory_bytes = MEMORY_MAX};
    return sandbox_prepare(&policy, out, e);
}

static int spawn(struct sim *sim, const struct sim_how *how, const int theirs[3], struct err *e)
{
    struct arena arena = {0};
    struct strs argv = {0}, env = {0};
    child_env(&arena, &env);
    struct sandbox *sandbox = NULL;
    int rc = child_argv(how, &arena, &argv, e);
    if (rc == 0)
        rc = confine(&sandbox, e);
    struct os_spawn spawn = {.argv = argv.at,
                             .env = env.at,
                             .stdin_fd = theirs[0],
                             .stdout_fd = theirs[1],
                             .stderr_fd = theirs[2],
                             .prepare = sandbox_apply,
                             .prepare_ctx = sandbox};
    if (rc == 0)
        rc = os_spawn(&spawn, &sim->pid, &sim->pidfd, e);
    sandbox_free(sandbox);
    strs_release(&argv);
    strs_release(&env);
    arena_release(&arena);
    return rc;
}

int sim_start(const struct sim_how *how, struct sim **out, struct err *e)
{
    struct sim *sim = xcalloc(1, sizeof(*sim));
    *sim = (struct sim){
        .pid = -1, .pidfd = -1, .in = -1, .out = -1, .err = -1, .timeout_ns = how->timeout_ns};
    int in[2] = {-1, -1}, from[2] = {-1, -1}, err[2] = {-1, -1}, rc = -1;
    if (pipe_pair(in, e) || pipe_pair(from, e) || pipe_pair(err, e))
        goto out;
    rc = spawn(sim, how, (const int[3]){in[0], from[1], err[1]}, e);
    sim->in = in[1];
    sim->out = from[0];
    sim->err = err[0];
    in[1] = from[0] = err[0] = -1;
    fcntl(sim->in, F_SETFL, O_NONBLOCK);
    fcntl(sim->out, F_SETFL, O_NONBLOCK);
    fcntl(sim->err, F_SETFL, O_NONBLOCK);
out:
    for (int i = 0; i < 2; i++) {
        close_fd(&in[i]);
        close_fd(&from[i]);
        close_fd(&err[i]);
    }
    if (rc) {
        sim_stop(sim);
        sim = NULL;
    }
    *out = sim;
    return rc;
}

void sim_ask(struct sim *sim, const char *line, size_t len)
{
    if (sim->asked == sim->questions.len) {
        buf_reset(&sim->questions);
        sim->asked = 0;
    }
    buf_add(&sim->questions, line, len);
    buf_addch(&sim->questions, '\n');
}

static void write_some(struct sim *sim)
{
    ssize_t n = write(sim->in, sim->questions.ptr + sim->asked, sim->questions.len - sim->asked);
    if (n > 0)
        sim->asked += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        close_fd(&sim->in); /* it will end or answer; reading finds out which */
}

static void read_some(int *fd, struct buf *into, size_t room)
{
    char *at = buf_reserve(into, room);
    ssize_t n = read(*fd, at, room);
    if (n > 0) {
        into->len += (size_t)n;
        into->ptr[into->len] = '\0';
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_fd(fd);
    }
}

static void read_stderr(struct sim *sim)
{
    read_some(&sim->err, &sim->said, 4096);
    if (sim->said.len > STDERR_KEPT) {
        sim->said.len = STDERR_KEPT;
        sim->said.ptr[STDERR_KEPT] = '\0';
    }
}

static int64_t deadline_of(const struct sim *sim)
{
    return os_monotonic_ns() + sim->timeout_ns;
}

/* One turn of the loop; false when the deadline has passed. Chatter on stderr does not move it. */
static bool turn(struct sim *sim, int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - os_monotonic_ns();
    if (left_ns <= 0)
        return false;
    struct pollfd fds[] = {
        {.fd = sim->asked < sim->questions.len ? sim->in : -1, .events = POLLOUT},
        {.fd = sim->out, .events = POLLIN},
        {.fd = sim->err, .events = POLLIN},
    };
    if (poll(fds, 3, (int)(left_ns / 1000000) + 1) < 0)
        return errno == EINTR;
    if (fds[0].revents)
        write_some(sim);
    if (fds[1].revents)
        read_some(&sim->out, &sim->answers, 1 << 16);
    if (fds[2].revents)
        read_stderr(sim);
    return true;
}

static bool next_line(struct sim *sim, struct str *line)
{
    char *newline = NULL;
    if (sim->scanned < sim->answers.len)
        newline = memchr(sim->answers.ptr + sim->scanned, '\n', sim->answers.len - sim->scanned);
    if (!newline) {
        sim->scanned = sim->answers.len;
        return false;
    }
    size_t end = (size_t)(newline - sim->answers.ptr);
    *line = (struct str){sim->answers.ptr + sim->taken, end - sim->taken};
    sim->taken = sim->scanned = end + 1;
    return true;
}

/* Drops what was handed out, so that the buffer stays as small as what is under way. */
static void compact(struct sim *sim)
{
    if (sim->taken == 0)
        return;
    memmove(sim->answers.ptr, sim->answers.ptr + sim->taken, sim->answers.len - sim->taken);
    sim->answers.len -= sim->taken;
    sim->scanned -= sim->taken;
    sim->taken = 0;
}

static void drain_stderr(struct sim *sim)
{
    int64_t deadline_ns = deadline_of(sim);
    while (sim->err >= 0 && sim->said.len < STDERR_KEPT && turn(sim, deadline_ns))
        ;
}

/* Waits for the end of a child that closed its output. */
static bool ended_well(struct sim *sim)
{
    struct pollfd end = {.fd = sim->pidfd, .events = POLLIN};
    if (poll(&end, 1, (int)(sim->timeout_ns / 1000000)) == 0) {
        trouble(sim, "closed its output but did not end");
        return false;
    }
    struct os_exit status = {0};
    struct err e = {0};
    int rc = os_wait(sim->pid, &status, &e);
    sim->pid = -1;
    if (rc)
        trouble(sim, "could not be waited for: %s", e.message);
    else if (status.signal)
        trouble(sim, "was ended by signal %d (%s) after %zu answers", status.signal,
                strsignal(status.signal), sim->answered);
    else if (status.code)
        trouble(sim, "ended with exit status %d after %zu answers", status.code, sim->answered);
    err_release(&e);
    if (sim->trouble.len > 0)
        drain_stderr(sim);
    return sim->trouble.len == 0;
}

bool sim_answer(struct sim *sim, struct str *line)
{
    int64_t deadline_ns = deadline_of(sim);
    if (sim->trouble.len > 0)
        return false;
    while (!next_line(sim, line)) {
        compact(sim);
        if (sim->answers.len > SIM_LINE_MAX) {
            trouble(sim, "printed a line longer than 1 MiB");
            return false;
        }
        if (sim->out < 0) {
            if (ended_well(sim))
                trouble(sim, "ended after %zu answers, with cases still unanswered", sim->answered);
            return false;
        }
        if (!turn(sim, deadline_ns)) {
            trouble(sim, "gave no answer for %.3g s, after %zu answers",
                    (double)sim->timeout_ns * 1e-9, sim->answered);
            return false;
        }
    }
    sim->answered++;
    return true;
}

bool sim_finish(struct sim *sim)
{
    int64_t deadline_ns = deadline_of(sim);
    close_fd(&sim->in);
    while (sim->trouble.len == 0 && sim->out >= 0) {
        if (sim->answers.len > sim->taken)
            break;
        if (!turn(sim, deadline_ns))
            trouble(sim, "did not end when its input ended");
    }
    if (sim->trouble.len == 0 && sim->answers.len > sim->taken)
        trouble(sim, "printed more than one line for each case");
    return sim->trouble.len == 0 && ended_well(sim);
}

const char *sim_trouble(const struct sim *sim)
{
    return buf_text(&sim->trouble);
}

const char *sim_said(const struct sim *sim)
{
    return buf_text(&sim->said);
}

void sim_stop(struct sim *sim)
{
    if (!sim)
        return;
    struct os_exit status;
    struct err e = {0};
    if (sim->pid > 0) {
        os_kill_group(sim->pid, SIGKILL);
        os_wait(sim->pid, &status, &e);
    }
    err_release(&e);
    close_fd(&sim->in);
    close_fd(&sim->out);
    close_fd(&sim->err);
    close_fd(&sim->pidfd);
    buf_release(&sim->questions);
    buf_release(&sim->answers);
    buf_release(&sim->said);
    buf_release(&sim->trouble);
    free(sim);
}
