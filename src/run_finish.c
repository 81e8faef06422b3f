#include "gate.h"
#include "key.h"
#include "run_internal.h"

#include <string.h>

#define SHOWN_BYTES 65536 /* of an output that took a failed command's stdout */
#define SKIPPED_EXIT 77   /* what a test says that finds no tool or device it needs */

struct node_state *run_state(struct run *r, uint32_t node, bool failed)
{
    const struct plan_entry *entry = &r->plan->entries[node];
    struct node_state *state = arena_alloc(r->arena, sizeof *state);
    state->base = entry->base;
    state->failed = failed;
    state->record.key = entry->base;
    state->record.sandbox = "none";
    state->record.machine =
        run_node(r, node)->flags & NODE_MEASURES ? r->plan->options.machine : "";
    return state;
}

void run_remove_outputs(struct run *r, uint32_t node)
{
    const struct graph *g = run_graph(r);
    const struct node *n = &g->nodes[node];
    struct err ignored = {0};
    for (uint32_t i = 0; i < n->outputs.len; i++)
        if (os_remove(artifact_path(g, slice_id(g, n->outputs, i)), &ignored) < 0)
            err_release(&ignored);
    if (n->depfile && os_remove(graph_text(g, n->depfile), &ignored) < 0)
        err_release(&ignored);
}

static int output_missing(struct run *r, uint32_t node, const char *path, const char *how,
                          struct err *e)
{
    err_set(e, ERR_output_missing, "%s succeeded but %s %s", node_name(run_graph(r), node), how,
            path);
    err_at(e, node_place(run_graph(r), node));
    return err_hint(e, "let the command write %s, or take it out of the declaration's outputs",
                    path);
}

static int collect_folder(struct run *r, const char *path, struct output_record *out, struct err *e)
{
    out->directory = true;
    out->mode = 0755;
    return store_put_tree(r->options->store, path, &out->digest, e);
}

static int collect_one(struct run *r, uint32_t node, const struct artifact *a, bool must,
                       struct output_record *out, bool *found, struct err *e)
{
    const char *path = graph_text(run_graph(r), a->path);
    bool folder = a->flags & ARTIFACT_DIRECTORY;
    struct os_stat stat;
    *found = false;
    out->path = arena_strdup(r->arena, path); /* the graph may be replaced while the run is on */
    if (os_stat(path, &stat, e) < 0)
        return -1;
    if (stat.kind == OS_ABSENT || sandbox_still_reserved(&stat))
        return must ? output_missing(r, node, path, "did not make", e) : 0;
    if ((stat.kind == OS_DIR) != folder)
        return output_missing(r, node, path,
                              folder ? "made a file where it promises the folder"
                                     : "made a folder where it promises the file",
                              e);
    *found = true;
    if (folder)
        return collect_folder(r, path, out, e);
    out->mode = stat.mode & 0777;
    return store_put_file_soon(r->options->store, path, r->options->cache, &out->digest,
                               &out->size_bytes, e);
}

int run_collect_outputs(struct run *r, uint32_t node, bool must, struct action_record *record,
                        struct err *e)
{
    const struct graph *g = run_graph(r);
    struct slice outputs = g->nodes[node].outputs;
    record->outputs = arena_alloc(r->arena, (outputs.len + 1) * sizeof *record->outputs);
    record->output_count = 0;
    for (uint32_t i = 0; i < outputs.len; i++) {
        bool found;
        if (collect_one(r, node, &g->artifacts[slice_id(g, outputs, i)], must,
                        &record->outputs[record->output_count], &found, e) < 0)
            return -1;
        record->output_count += found;
    }
    return 0;
}

static bool changed_since(const struct action_record *record, int64_t since_ns, const char **path)
{
    for (size_t i = 0; i < record->dep_count; i++) {
        struct os_stat stat;
        struct err ignored = {0};
        *path = record->deps[i].path;
        if (os_stat(*path, &stat, &ignored) < 0) {
            err_release(&ignored);
            return true;
        }
        if (stat.kind == OS_ABSENT || stat.ctime_ns > since_ns)
            return true;
    }
    return false;
}

/* A result of inputs that were edited meanwhile is used but not recorded: nobody can say what its
 * key is. */
static int check_inputs(struct run *r, struct job *job, struct ended *end, struct err *e)
{
    bool hold;
    const char *path = NULL;
    if (plan_inputs_hold(r->plan, job->node, &hold, &path, e) < 0)
        return -1;
    if (hold && !changed_since(&end->state->record, job->started_wall_ns, &path))
        return 0;
    err_set(&end->warning, ERR_input_changed, "%s changed while %s was reading it", path,
            node_name(run_graph(r), job->node));
    err_hint(&end->warning, "build again: what was made now is not recorded");
    end->reusable = false;
    end->state->failed = true;
    return 0;
}

static int put_log(struct run *r, struct job *job, struct action_record *record, struct err *e)
{
    record->log_bytes = job->output.len;
    if (job->output.len == 0)
        return 0;
    return store_put_bytes_soon(r->options->store, job->output.ptr, job->output.len, &record->log,
                                e);
}

static void fill_record(struct run *r, const struct job *job, struct action_record *record)
{
    const struct os_exit *status = &job->exit;
    record->exit_code = status->signal ? 128 + status->signal : status->code;
    record->wall_ns = job->end_ns - job->start_ns;
    record->cpu_ns = status->user_ns + status->system_ns;
    record->peak_bytes = status->peak_bytes;
    record->sandbox = job->sandbox ? r->sandbox_text : "none";
}

/* A test that is skipped made nothing, and may find tomorrow what it lacks today. */
static bool is_skip(const struct node *n, const struct os_exit *status)
{
    return (n->flags & NODE_TEST) && status->code == SKIPPED_EXIT;
}

static int take_success(struct run *r, struct job *job, struct ended *end, struct err *e)
{
    struct action_record *record = &end->state->record;
    if (is_skip(run_node(r, job->node), &job->exit)) {
        end->state->failed = true;
        return run_collect_outputs(r, job->node, false, record, e);
    }
    if (run_collect_outputs(r, job->node, true, record, e) < 0 ||
        run_take_depfile(r, job, record, e) < 0)
        return -1;
    key_full(&end->state->base, record->deps, record->dep_count, &record->key);
    end->reusable = true;
    return check_inputs(r, job, end, e);
}

static bool is_outcome(const struct node *n, const struct os_exit *status)
{
    return status->code == 0 || (status->code == 1 && (n->flags & NODE_SOFT_FAIL)) ||
           is_skip(n, status);
}

/* A refuted law's proof holds the counterexample: it stays on disk and in the record. */
static enum node_status take_failure(struct run *r, struct job *job, struct ended *end)
{
    struct err ignored = {0};
    end->reusable = false;
    end->state->failed = true;
    if (end->error.code != ERR_invariant_refused && end->error.code != ERR_study_refused) {
        end->state->record.output_count = 0;
        run_remove_outputs(r, job->node);
        return err_class(&end->error) == ERR_PROTOCOL ? STATUS_REFUSED : STATUS_FAILED;
    }
    if (run_collect_outputs(r, job->node, false, &end->state->record, &ignored) < 0)
        err_release(&ignored);
    return STATUS_REFUSED;
}

static bool is_interrupted(const struct run *r, const struct job *job)
{
    return r->result->interrupted && !job->timed_out && !job->flooded &&
           (job->exit.signal || job->kill_ns);
}

/* An output that took what a failed command printed goes with the others; what it said must not. */
static void show_stdout(struct run *r, const struct node *n, struct job *job)
{
    const char *path = graph_text(run_graph(r), n->stdout_to);
    struct os_stat stat = {0};
    struct err ignored = {0};
    if (n->stdout_to && os_stat(path, &stat, &ignored) == 0 && stat.size_bytes <= SHOWN_BYTES)
        os_read(path, &job->output, &ignored);
    err_release(&ignored);
}

void run_finish_job(struct run *r, struct job *job)
{
    const struct node *n = run_node(r, job->node);
    struct ended *end = run_end(r, job->node, STATUS_RAN);
    bool cut = job->timed_out || job->flooded;
    job->device = sandbox_watch_end(job->watch, &job->arena);
    job->watch = NULL;
    if (is_interrupted(r, job)) {
        end->status = STATUS_INTERRUPTED;
        run_remove_outputs(r, job->node);
        return;
    }
    end->state = run_state(r, job->node, false);
    fill_record(r, job, &end->state->record);
    r->result->outcomes[job->node].wall_ns = end->state->record.wall_ns;
    if (cut || !is_outcome(n, &job->exit)) {
        show_stdout(r, n, job);
        run_explain_failure(r, job, &end->error);
    } else if (job->device) {
        run_refuse_device(r, job, &end->error);
    } else {
        take_success(r, job, end, &end->error);
    }
    if (end->error.set)
        end->status = take_failure(r, job, end);
    if (put_log(r, job, &end->state->record, end->error.set ? &end->warning : &end->error) < 0)
        end->status = STATUS_FAILED;
    end->output = job->output;
    end->explanation = job->explanation;
    job->output = job->explanation = (struct buf){0};
}

int run_write(struct run *r, uint32_t node, struct err *e)
{
    const struct graph *g = run_graph(r);
    const struct node *n = &g->nodes[node];
    const char *text = graph_text(g, n->text);
    struct node_state *state = run_state(r, node, false);
    if (n->outputs.len != 1) {
        err_set(e, ERR_output_missing, "%s writes a text but has %u outputs", node_name(g, node),
                n->outputs.len);
        return err_at(e, node_place(g, node));
    }
    const char *path = artifact_path(g, slice_id(g, n->outputs, 0));
    if (os_remove(path, e) < 0 || os_mkdirs_for(path, e) < 0 ||
        os_write(path, text, strlen(text), 0644, e) < 0 ||
        run_collect_outputs(r, node, true, &state->record, e) < 0)
        return -1;
    key_full(&state->base, NULL, 0, &state->record.key);
    struct ended *end = run_end(r, node, STATUS_RAN);
    end->state = state;
    end->reusable = true;
    return 0;
}

static int restore_output(struct run *r, const struct output_record *out, struct err *e)
{
    struct digest now;
    bool exists;
    if (hash_cache_digest(r->options->cache, out->path, &now, &exists, e) < 0)
        return -1;
    if (exists && digest_equal(&now, &out->digest))
        return 0;
    if (os_remove(out->path, e) < 0 || os_mkdirs_for(out->path, e) < 0)
        return -1;
    if (out->directory)
        return store_get_tree(r->options->store, &out->digest, out->path, e);
    return store_get_file(r->options->store, &out->digest, out->path, out->mode, e);
}

int run_restore(struct run *r, uint32_t node, struct err *e)
{
    const struct action_record *record = r->plan->entries[node].record;
    for (size_t i = 0; i < record->output_count; i++)
        if (restore_output(r, &record->outputs[i], e) < 0)
            return -1;
    struct ended *end = run_end(r, node, STATUS_RESTORED);
    end->state = run_state(r, node, false);
    end->state->record = *record;
    return 0;
}
