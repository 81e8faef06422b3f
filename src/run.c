#include "run_internal.h"

#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What ended waits in memory until it is told: not all of a large build at once. */
#define ENDED_AT_MOST 1024

static bool is_counted(const struct run *r, uint32_t node)
{
    return run_node(r, node)->action != NODE_GROUP;
}

static int64_t time_left(const struct run *r, int64_t now_ns)
{
    int64_t left = r->known_ns;
    if (left <= 0)
        return -1;
    for (const struct job *job = r->jobs; job; job = job->next) {
        if (!job->begun)
            continue;
        int64_t ran = now_ns - job->start_ns, last = r->plan->entries[job->node].last_wall_ns;
        left -= ran < last ? ran : last;
    }
    return left / r->options->jobs;
}

void run_event(struct run *r, enum run_event_kind kind, uint32_t node, const struct ended *ended)
{
    struct run_progress *counts = &r->result->counts;
    int64_t now = os_monotonic_ns();
    if (!r->options->event)
        return;
    counts->running = r->running.len - r->unborn;
    counts->elapsed_ns = now - r->begin_ns;
    counts->left_ns = time_left(r, now);
    struct run_event event = {
        .kind = kind,
        .graph = run_graph(r),
        .progress = *counts,
        .node = node,
        .outcome = node == GRAPH_NONE ? NULL : &r->result->outcomes[node],
        .output = ended ? buf_text(&ended->output) : "",
        .output_len = ended ? ended->output.len : 0,
        .error = ended && ended->error.set ? &ended->error : NULL,
        .warning = ended && ended->warning.set ? &ended->warning : NULL,
        .running = r->running.at,
        .running_count = r->running.len - r->unborn,
    };
    r->options->event(r->options->event_ctx, &event);
}

static void *grown(struct arena *arena, const void *old, size_t old_len, size_t len, size_t bytes)
{
    void *now = arena_alloc(arena, (len + 1) * bytes);
    if (old_len)
        memcpy(now, old, old_len * bytes);
    return now;
}

void run_reserve(struct run *r, const struct graph *g)
{
    const struct plan *plan = r->plan;
    size_t was = r->capacity, now = g->node_count;
    if (g != plan->graph || plan->node_count != now || plan->artifact_count != g->artifact_count)
        plan_grow(r->plan, g);
    if (was == now && r->pool_used)
        return;
    r->waits = grown(r->arena, r->waits, was, now, sizeof *r->waits);
    r->blocked = grown(r->arena, r->blocked, was, now, sizeof *r->blocked);
    r->dirty = grown(r->arena, r->dirty, was, now, sizeof *r->dirty);
    r->weight_ns = grown(r->arena, r->weight_ns, was, now, sizeof *r->weight_ns);
    r->result->outcomes =
        grown(r->arena, r->result->outcomes, was, now, sizeof *r->result->outcomes);
    if (!r->pool_used)
        r->pool_used = arena_alloc(r->arena, (g->pool_count + 1) * sizeof *r->pool_used);
    r->capacity = now;
}

static bool is_over(const struct run *r, uint32_t node)
{
    return r->result->outcomes[node].status > STATUS_WAITING;
}

static bool came_about(enum node_status status)
{
    return status == STATUS_CLEAN || status == STATUS_RESTORED || status == STATUS_RAN;
}

static void add_node(struct run *r, uint32_t node)
{
    const struct plan *plan = r->plan;
    const struct plan_entry *entry = &plan->entries[node];
    struct outcome *outcome = &r->result->outcomes[node];
    *outcome = (struct outcome){.status = STATUS_WAITING, .why = entry->why, .start_ns = -1};
    for (uint32_t k = plan->dep_at[node]; k < plan->dep_at[node + 1]; k++) {
        uint32_t dep = plan->deps[k];
        r->waits[node] += !is_over(r, dep);
        r->blocked[node] |= is_over(r, dep) && !came_about(r->result->outcomes[dep].status);
    }
    if (is_counted(r, node)) {
        r->result->counts.total++;
        if (entry->verdict == PLAN_RUN || entry->verdict == PLAN_MAYBE) {
            r->result->counts.to_run++;
            r->known_ns += entry->last_wall_ns;
        }
    }
}

void run_add_nodes(struct run *r, const struct ids *added)
{
    for (size_t i = 0; i < added->len; i++)
        r->result->outcomes[added->at[i]].status = STATUS_WAITING;
    for (size_t i = 0; i < added->len; i++)
        add_node(r, added->at[i]);
    for (size_t i = 0; i < added->len; i++)
        if (r->waits[added->at[i]] == 0)
            ids_push(&r->ready, added->at[i]);
    run_weigh(r);
}

struct ended *run_end(struct run *r, uint32_t node, enum node_status status)
{
    struct ended *end = xcalloc(1, sizeof *end);
    r->ended_count++;
    end->node = node;
    end->status = status;
    *r->ended_tail = end;
    r->ended_tail = &end->next;
    return end;
}

void run_fail_node(struct run *r, uint32_t node, struct err *error)
{
    struct ended *end =
        run_end(r, node, err_class(error) == ERR_PROTOCOL ? STATUS_REFUSED : STATUS_FAILED);
    err_move(&end->error, error);
}

/* Before it starts: a prediction that was not frozen when the measurement began was not made before
 * it. */
static int lease(struct run *r, uint32_t node, struct err *e)
{
    const char *token = r->plan->entries[node].token;
    if (!token || !r->options->gate)
        return 0;
    return gate_lease(r->options->gate, run_graph(r), node, token, e);
}

static int start_node(struct run *r, uint32_t node)
{
    struct err error = {0};
    run_queue_started(r, node);
    if (lease(r, node, &error) < 0 || run_start(r, node, &error) < 0)
        run_fail_node(r, node, &error);
    return 0;
}

static void run_one(struct run *r, uint32_t node)
{
    struct err error = {0};
    int rc = 0;
    if (run_node(r, node)->action == NODE_COMMAND)
        run_queue_push(r, node);
    else if (run_node(r, node)->action == NODE_WRITE)
        rc = run_write(r, node, &error);
    else
        rc = run_driver_step(r, node, &error);
    if (rc < 0)
        run_fail_node(r, node, &error);
}

/* A damaged object is no reason to fail: the node can be made again. */
static void restore_one(struct run *r, uint32_t node)
{
    struct err error = {0};
    bool kept;
    if (run_has_kept(r, node, &kept, &error) < 0) {
        run_fail_node(r, node, &error);
        return;
    }
    if (kept) {
        r->result->outcomes[node].why = "a case broke its law before";
        run_one(r, node);
        return;
    }
    if (run_restore(r, node, &error) == 0)
        return;
    err_release(&error);
    r->result->outcomes[node].why = "what the store keeps of it is damaged";
    run_one(r, node);
}

static void refuse_one(struct run *r, uint32_t node)
{
    struct plan_entry *entry = &r->plan->entries[node];
    struct ended *end = run_end(r, node, STATUS_REFUSED);
    err_move(&end->error, entry->refusal);
}

static int decide_again(struct run *r, uint32_t node, struct err *error)
{
    const struct plan_entry *entry = &r->plan->entries[node];
    if (entry->sure || (entry->final && !r->dirty[node]))
        return 0;
    int rc = plan_decide(r->plan, node, error);
    r->result->outcomes[node].why = r->plan->entries[node].why;
    return rc;
}

static bool is_driver_under_way(const struct run *r, uint32_t node)
{
    for (const struct driver *d = r->drivers; d; d = d->next)
        if (d->node == node)
            return true;
    return false;
}

/* Everything the node depends on has ended. */
static void settle(struct run *r, uint32_t node)
{
    struct err error = {0};
    if (is_driver_under_way(r, node)) {
        run_one(r, node);
        return;
    }
    if (r->blocked[node]) {
        run_end(r, node, STATUS_SKIPPED);
        return;
    }
    if (decide_again(r, node, &error) < 0) {
        run_fail_node(r, node, &error);
        return;
    }
    r->result->outcomes[node].token = r->plan->entries[node].token;
    switch (r->plan->entries[node].verdict) {
    case PLAN_CLEAN:
        run_end(r, node, STATUS_CLEAN);
        return;
    case PLAN_RESTORE:
        restore_one(r, node);
        return;
    case PLAN_DEFER:
        run_end(r, node, STATUS_DEFERRED);
        return;
    case PLAN_REFUSE:
        refuse_one(r, node);
        return;
    default:
        run_one(r, node);
    }
}

static void count_status(struct run_progress *counts, enum node_status status)
{
    size_t *const by_status[] = {
        [STATUS_CLEAN] = &counts->clean,     [STATUS_RESTORED] = &counts->restored,
        [STATUS_RAN] = &counts->ran,         [STATUS_FAILED] = &counts->failed,
        [STATUS_REFUSED] = &counts->refused, [STATUS_DEFERRED] = &counts->deferred,
        [STATUS_SKIPPED] = &counts->skipped, [STATUS_INTERRUPTED] = &counts->interrupted,
    };
    counts->done++;
    ++*by_status[status];
}

static void release_users(struct run *r, uint32_t node, enum node_status status)
{
    const struct plan *plan = r->plan;
    for (uint32_t k = plan->user_at[node]; k < plan->user_at[node + 1]; k++) {
        uint32_t user = plan->users[k];
        if (plan->entries[user].verdict == PLAN_UNWANTED || is_over(r, user))
            continue;
        r->blocked[user] |= !came_about(status);
        r->dirty[user] |= status == STATUS_RAN || r->dirty[node];
        if (--r->waits[user] == 0)
            ids_push(&r->ready, user);
    }
}

static void tell(struct run *r, struct ended *end)
{
    struct outcome *outcome = &r->result->outcomes[end->node];
    const struct plan_entry *entry = &r->plan->entries[end->node];
    bool expected = !is_over(r, end->node) && outcome->status == STATUS_WAITING;
    outcome->status = end->status;
    outcome->record = end->state ? &end->state->record : entry->record;
    outcome->unsettled = end->state && end->state->failed;
    if (end->status == STATUS_CLEAN)
        outcome->why = NULL;
    if (came_about(end->status) && end->state)
        plan_set_outputs(r->plan, end->node, &end->state->record);
    run_queue_ended(r, end->node);
    if (is_counted(r, end->node) && expected) {
        count_status(&r->result->counts, end->status);
        run_event(r, RUN_FINISH, end->node, end);
    }
    if (!r->options->keep_going && (end->status == STATUS_FAILED || end->status == STATUS_REFUSED))
        r->stopping = true;
    release_users(r, end->node, end->status);
    run_driver_answer(r, end->node);
}

static void free_ended(struct ended *end)
{
    buf_release(&end->output);
    buf_release(&end->explanation);
    err_release(&end->error);
    err_release(&end->warning);
    free(end);
}

static int flush_ended(struct run *r, struct err *e)
{
    if (run_record_ended(r, e) < 0)
        return -1;
    struct ended *list = r->ended;
    r->ended = NULL;
    r->ended_tail = &r->ended;
    r->ended_count = 0;
    while (list) {
        struct ended *end = list;
        list = end->next;
        tell(r, end);
        free_ended(end);
    }
    return 0;
}

struct job *run_unlink_job(struct job **list, struct job *job)
{
    while (*list != job)
        list = &(*list)->next;
    *list = job->next;
    return job;
}

/* What the command left behind. */
static void finish(struct run *r, struct job *job)
{
    run_finish_job(r, job);
    run_job_free(r, job);
}

/* Goes on until nothing more can be said without waiting for a child. What can start starts before
 * what is over is collected, one at a time, for another may end meanwhile; but no more may be over
 * than run at once. */
static int advance(struct run *r, struct err *e)
{
    bool finished = false;
    for (;;) {
        while (r->ready_next < r->ready.len && r->ended_count < ENDED_AT_MOST)
            if (r->stopping)
                r->ready_next = r->ready.len;
            else
                settle(r, r->ready.at[r->ready_next++]);
        if (r->ended) {
            if (flush_ended(r, e) < 0)
                return -1;
            continue;
        }
        uint32_t node = r->over_count < (size_t)r->options->jobs ? run_queue_pop(r) : GRAPH_NONE;
        if (node != GRAPH_NONE) {
            start_node(r, node);
            continue;
        }
        if (!r->over || finished)
            return 0;
        r->over_count--;
        finish(r, run_unlink_job(&r->over, r->over));
        finished = r->over_count < (size_t)r->options->jobs;
    }
}

/* Collecting what a command left takes about as long as starting another, so that one goes first.
 * Not where the end may stop the run, where the terminal changes hands, or where somebody asked for
 * one thing at a time. */
static bool may_wait(const struct run *r, const struct job *job)
{
    uint32_t flags = run_node(r, job->node)->flags;
    return r->options->jobs > 1 && job->exit.code == 0 && !job->timed_out && !job->flooded &&
           !(flags & (NODE_CONSOLE | NODE_MEASURES));
}

int run_reap(struct run *r, struct job *job, struct err *e)
{
    struct job **last = &r->over;
    os_guard_forget(r->guard, job->pid);
    if (os_wait(job->pid, &job->exit, e) < 0)
        return -1;
    if (!job->end_ns)
        job->end_ns = os_monotonic_ns();
    run_hands_note(r, job);
    if (job->pipe_fd >= 0 && !job->flooded)
        run_job_read(job);
    run_unlink_job(&r->jobs, job);
    run_queue_ended(r, job->node);
    if (!may_wait(r, job)) {
        finish(r, job);
        return 0;
    }
    while (*last)
        last = &(*last)->next;
    *last = job;
    job->next = NULL;
    r->over_count++;
    return 0;
}

static int64_t next_wake(const struct run *r, int64_t now_ns)
{
    int64_t nap_ns = run_hands_nap_ns(r, now_ns);
    int64_t at = now_ns + (r->over ? 0 : nap_ns < RUN_TICK_NS ? nap_ns : RUN_TICK_NS);
    for (const struct job *job = r->jobs; job; job = job->next) {
        if (job->deadline_ns && !job->kill_ns && job->deadline_ns < at)
            at = job->deadline_ns;
        if (job->kill_ns && job->kill_ns < at)
            at = job->kill_ns;
    }
    return at > now_ns ? at - now_ns : 0;
}

static void check_deadlines(struct run *r, int64_t now_ns)
{
    for (struct job *job = r->jobs; job; job = job->next) {
        if (!job->kill_ns && job->deadline_ns && now_ns >= job->deadline_ns)
            job->timed_out = true;
        if (job->begun && (job->timed_out || job->flooded || job->kill_ns))
            run_job_end(job, now_ns);
    }
}

static size_t fill_poll(const struct run *r, struct pollfd *fds, int64_t now_ns)
{
    size_t count = 0;
    fds[count++] = (struct pollfd){.fd = r->signal_fd, .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = r->starved ? r->jobserver.take_fd : -1, .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = run_hands_fd(r), .events = POLLIN};
    for (const struct job *job = r->jobs; job; job = job->next) {
        int pipe_fd = run_hands_young(job, now_ns) ? -1 : job->pipe_fd;
        fds[count++] = (struct pollfd){.fd = job->pidfd, .events = POLLIN};
        fds[count++] = (struct pollfd){.fd = pipe_fd, .events = POLLIN};
    }
    return count;
}

static int serve_jobs(struct run *r, const struct pollfd *fds, struct err *e)
{
    size_t at = 3;
    struct job *next;
    for (struct job *job = r->jobs; job; job = next, at += 2) {
        next = job->next;
        if ((fds[at + 1].revents & (POLLIN | POLLHUP)) && !run_job_read(job)) {
            close(job->pipe_fd);
            job->pipe_fd = -1;
        }
        if ((fds[at].revents & POLLIN) && run_reap(r, job, e) < 0)
            return -1;
    }
    return 0;
}

static int wait_for_something(struct run *r, struct err *e)
{
    size_t jobs = 0;
    for (const struct job *job = r->jobs; job; job = job->next)
        jobs++;
    struct pollfd *fds = xcalloc(3 + 2 * jobs, sizeof *fds);
    int64_t now = os_monotonic_ns();
    size_t count = fill_poll(r, fds, now);
    int rc = 0;
    if (poll(fds, count, (int)((next_wake(r, now) + 999999) / 1000000)) < 0 && errno != EINTR)
        rc = err_errno(e, ERR_os, "cannot wait for commands");
    if (rc == 0)
        rc = serve_jobs(r, fds, e);
    if (rc == 0)
        rc = run_hands_take(r, e);
    if (rc == 0)
        run_signals_take(r);
    now = os_monotonic_ns();
    check_deadlines(r, now);
    if (now - r->tick_ns >= RUN_TICK_NS) {
        r->tick_ns = now;
        run_event(r, RUN_TICK, GRAPH_NONE, NULL);
    }
    free(fds);
    return rc;
}

/* Nothing runs and nothing can start, but a driver still waits: it asked for what waits for itself.
 */
static void fail_stuck(struct run *r)
{
    for (struct driver *d = r->drivers; d; d = d->next) {
        struct err error = {0};
        if (is_over(r, d->node))
            continue;
        err_set(&error, ERR_driver_stuck, "%s asked for a node that waits for it",
                node_name(run_graph(r), d->node));
        err_at(&error, node_place(run_graph(r), d->node));
        run_fail_node(r, d->node, &error);
        return;
    }
}

static int loop(struct run *r, struct err *e)
{
    for (;;) {
        if (advance(r, e) < 0)
            return -1;
        if (r->stopping) {
            run_hands_recall(r);
        } else {
            run_hands_recall_late(r, os_monotonic_ns());
            run_hands_go(r);
        }
        if (!r->jobs && !r->over && !(r->queue.len > 0 && !r->stopping)) {
            if (!r->stopping)
                fail_stuck(r);
            if (!r->ended)
                return 0;
            continue;
        }
        if (wait_for_something(r, e) < 0)
            return -1;
    }
}

static void end_all_jobs(struct run *r)
{
    run_hands_recall(r);
    run_hands_hold(r);
    while (r->over) {
        struct job *job = run_unlink_job(&r->over, r->over);
        run_remove_outputs(r, job->node);
        run_job_free(r, job);
    }
    while (r->jobs) {
        struct job *job = run_unlink_job(&r->jobs, r->jobs);
        struct os_exit status;
        struct err ignored = {0};
        if (job->begun) {
            os_kill_group(job->pid, 9);
            os_guard_forget(r->guard, job->pid);
            run_hands_await(r, job);
        }
        if (job->begun && os_wait(job->pid, &status, &ignored) < 0)
            err_release(&ignored);
        run_remove_outputs(r, job->node);
        run_job_free(r, job);
    }
}

/* Nodes that the run never reached: something before them failed, or the run was stopped. */
static void skip_rest(struct run *r)
{
    for (size_t i = 0; i < r->plan->order.len; i++) {
        uint32_t node = r->plan->order.at[i];
        if (!is_over(r, node)) {
            r->result->outcomes[node].status = STATUS_SKIPPED;
            if (is_counted(r, node))
                count_status(&r->result->counts, STATUS_SKIPPED);
        }
    }
}

static bool serves_jobs(const struct run *r)
{
    for (size_t i = 0; i < r->plan->order.len; i++)
        if (run_node(r, r->plan->order.at[i])->flags & NODE_JOBSERVER)
            return true;
    return false;
}

/* Whoever gave us a jobserver decides by its tokens. */
static size_t jobs_at_most(const struct run *r)
{
    bool guest = r->jobserver.take_fd >= 0 && !r->jobserver.ours;
    return guest ? sizeof r->jobserver.tokens : (size_t)r->options->jobs;
}

static void release_run(struct run *r)
{
    end_all_jobs(r);
    run_hands_close(r);
    if (r->null_fd >= 0)
        close(r->null_fd);
    os_guard_stop(r->guard);
    jobserver_close(&r->jobserver);
    run_signals_close(r);
    run_scratch_close(r);
    run_drivers_free(r);
    run_owners_release(r);
    while (r->ended) {
        struct ended *end = r->ended;
        r->ended = end->next;
        free_ended(end);
    }
    ids_release(&r->ready);
    ids_release(&r->queue);
    ids_release(&r->measuring);
    ids_release(&r->running);
}

int run_execute(struct graph **graph, struct plan *plan, const struct run_options *options,
                struct run_result *result, struct err *e)
{
    struct run r = {
        .graph_slot = graph,
        .plan = plan,
        .options = options,
        .result = result,
        .arena = plan->arena,
        .signal_fd = -1,
        .null_fd = -1,
        .altered_signals = os_altered_signals(),
        .jobserver = {.take_fd = -1, .give_fd = -1, .child_read_fd = -1, .child_write_fd = -1},
        .begin_ns = os_monotonic_ns()};
    struct err late = {0};
    *result = (struct run_result){0};
    r.ended_tail = &r.ended;
    sandbox_supported(&r.sandbox_text);
    run_reserve(&r, *graph);
    r.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* without, each command opens its own */
    int rc = run_signals_open(&r, e);
    if (rc == 0)
        rc = jobserver_open(&r.jobserver, options, serves_jobs(&r), e);
    r.jobs_at_most = jobs_at_most(&r);
    if (rc == 0) {
        run_add_nodes(&r, &plan->order);
        run_event(&r, RUN_BEGIN, GRAPH_NONE, NULL);
        rc = loop(&r, e);
    }
    end_all_jobs(&r);
    if (store_sync(options->store, rc < 0 ? &late : e) < 0)
        rc = -1;
    err_release(&late);
    skip_rest(&r);
    run_measure_bound(&r);
    run_event(&r, RUN_END, GRAPH_NONE, NULL);
    release_run(&r);
    return rc;
}
