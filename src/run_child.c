#define _GNU_SOURCE
#include "run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Old outputs are unlinked, never written into: whoever still reads or has linked one keeps what it
 * had. */
static int clear_outputs(struct run *r, uint32_t node, struct err *e)
{
    const struct graph *g = run_graph(r);
    const struct node *n = &g->nodes[node];
    for (uint32_t i = 0; i < n->outputs.len; i++) {
        const struct artifact *a = &g->artifacts[slice_id(g, n->outputs, i)];
        const char *path = graph_text(g, a->path);
        bool folder = a->flags & ARTIFACT_DIRECTORY;
        if (os_remove(path, e) < 0 || (folder ? os_mkdirs(path, e) : os_mkdirs_for(path, e)) < 0)
            return -1;
    }
    if (!n->depfile)
        return 0;
    const char *depfile = graph_text(g, n->depfile);
    return os_remove(depfile, e) < 0 ? -1 : os_mkdirs_for(depfile, e);
}

static int open_stdout(struct run *r, const struct node *n, int *fd, struct err *e)
{
    const char *path = graph_text(run_graph(r), n->stdout_to);
    *fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return *fd < 0 ? err_errno(e, ERR_os, "cannot write %s", path) : 0;
}

/* What the command hears and says; the pipe is made when it is born. */
static int open_ends(struct run *r, struct job *job, struct err *e)
{
    const struct node *n = run_node(r, job->node);
    bool console = n->flags & NODE_CONSOLE;
    job->how.stdin_fd = console ? 0 : r->null_fd;
    job->how.stdout_fd = console ? 1 : -1;
    job->how.stderr_fd = console ? 2 : -1;
    job->how.same_group = console;
    job->how.guard = r->guard;
    job->how.altered_signals = r->altered_signals;
    return n->stdout_to ? open_stdout(r, n, &job->how.stdout_fd, e) : 0;
}

static int prepare(struct run *r, struct job *job, struct err *e)
{
    const struct graph *g = run_graph(r);
    const struct node *n = &g->nodes[job->node];
    if (r->plan->entries[job->node].sure && plan_key(r->plan, job->node, &job->explanation, e) < 0)
        return -1;
    if (clear_outputs(r, job->node, e) < 0 || run_scratch_take(r, job, e) < 0)
        return -1;
    job->how.argv = run_argv(r, job->node, job, e);
    if (!job->how.argv)
        return -1;
    if (r->options->gate &&
        gate_kept(r->options->gate, g, job->node, &job->arena, &job->kept, e) < 0)
        return -1;
    job->how.env = run_env(r, job->node, job);
    if (n->dir)
        job->how.dir = os_join(&job->arena, r->options->root, graph_text(g, n->dir));
    if (run_policy(r, job->node, job, e) < 0)
        return -1;
    if (job->sandbox) {
        job->how.prepare = sandbox_apply;
        job->how.prepare_ctx = job->sandbox;
    }
    if (job->sandbox && (n->flags & NODE_OUTER) &&
        sandbox_watch_start(job->sandbox, &job->watch, e) < 0)
        return -1;
    return r->guard ? 0 : os_guard_start(&r->guard, e);
}

void run_start_failed(struct run *r, struct job *job, struct err *e)
{
    uint32_t node = job->node;
    err_at(e, node_place(run_graph(r), node));
    run_job_free(r, job);
    run_remove_outputs(r, node);
}

int run_start(struct run *r, uint32_t node, struct err *e)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->node = node;
    job->pidfd = job->pipe_fd = -1;
    if (prepare(r, job, e) < 0 || open_ends(r, job, e) < 0 || run_hands_start(r, job, e) < 0) {
        run_start_failed(r, job, e);
        return -1;
    }
    return 0;
}

void run_job_free(struct run *r, struct job *job)
{
    if (job->pidfd >= 0)
        close(job->pidfd);
    if (job->pipe_fd >= 0)
        close(job->pipe_fd);
    run_scratch_give(r, job);
    sandbox_watch_end(job->watch, &job->arena);
    sandbox_free(job->sandbox);
    buf_release(&job->output);
    buf_release(&job->explanation);
    arena_release(&job->arena);
    free(job);
}

/* Most commands print nothing: no room is made for them. */
bool run_job_read(struct job *job)
{
    char chunk[1 << 16];
    for (;;) {
        ssize_t n = read(job->pipe_fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        buf_add(&job->output, chunk, (size_t)n);
        if (job->output.len > RUN_OUTPUT_LIMIT_BYTES) {
            job->flooded = true;
            job->output.len = RUN_OUTPUT_KEPT_BYTES;
            job->output.ptr[job->output.len] = '\0';
            return false;
        }
    }
}

void run_job_end(struct job *job, int64_t now_ns)
{
    if (job->kill_ns && now_ns >= job->kill_ns) {
        job->kill_ns = now_ns + RUN_GRACE_NS;
        os_kill_group(job->pid, SIGKILL);
        return;
    }
    if (job->kill_ns)
        return;
    job->kill_ns = now_ns + RUN_GRACE_NS;
    os_kill_group(job->pid, SIGTERM);
    os_kill_group(job->pid, SIGCONT);
}
