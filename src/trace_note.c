#include "trace_parts.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 20000000000

static json_t *start_time(const struct trace_job *job)
{
    char text[40];
    struct tm parts;
    time_t seconds = (time_t)((os_wall_ns() - job->run->wall_ns) / 1000000000);
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

static json_t *node_times(const struct trace_job *job)
{
    const struct graph *g = job->run->graph;
    json_t *nodes = json_object();
    for (uint32_t i = 0; i < g->node_count; i++)
        if (job->mark[i] && job->run->outcomes[i].start_ns >= 0 &&
            job->run->outcomes[i].wall_ns > 0)
            json_object_set_new_nocheck(nodes, node_name(g, i),
                                        json_integer(job->run->outcomes[i].wall_ns));
    return nodes;
}

static json_t *spent_by_then(const struct trace_job *job)
{
    struct err ignored = {0};
    json_t *spent = json_parse(job->run->spent, strlen(job->run->spent), "spent", &ignored);
    err_release(&ignored);
    return spent ? spent : json_null();
}

/* The one place for time and host: a note is not part of the tree, so two equal runs stay equal. */
static void note_text(const struct trace_job *job, struct buf *out)
{
    static const char *const slurm[] = {"SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID",
                                        "SLURM_CLUSTER_NAME"};
    char host[256] = "";
    json_t *note = json_object();
    gethostname(host, sizeof(host) - 1);
    json_object_set_new(note, "host", json_string(host));
    json_object_set_new(note, "start", start_time(job));
    json_object_set_new(note, "wall_ns", json_integer(job->run->wall_ns));
    json_object_set_new(note, "nodes_wall_ns", node_times(job));
    if (job->run->spent && *job->run->spent)
        json_object_set_new(note, "spent", spent_by_then(job));
    for (size_t i = 0; i < ARRAY_LEN(slurm); i++) {
        const char *value = getenv(slurm[i]);
        if (value)
            json_object_set_new(note, slurm[i], json_string(value));
    }
    json_compact(note, out);
    buf_addch(out, '\n');
    json_decref(note);
}

static void wait_a_little(int tries)
{
    struct timespec pause = {0, (1 + tries % 17) * 1000000L};
    nanosleep(&pause, NULL);
}

static int notes_tip(git_repository *repo, const char *ref, git_commit **out, struct err *e)
{
    git_oid id;
    *out = NULL;
    int rc = git_reference_name_to_id(&id, repo, ref);
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc == 0)
        rc = git_commit_lookup(out, repo, &id);
    return rc ? trace_git_error(e, ERR_trace_content, "%s does not lead to a sound commit", ref)
              : 0;
}

/* One note in the making; `append`: what the note says already stays above it. */
struct note {
    git_repository *repo;
    const git_signature *who;
    const char *ref;
    const git_oid *commit;
    const char *text;
    bool append;
};

static void add_old_text(const struct note *n, git_commit *notes, struct buf *out)
{
    git_note *old = NULL;
    if (n->append && notes && git_note_commit_read(&old, n->repo, notes, n->commit) == 0)
        buf_addstr(out, git_note_message(old));
    if (out->len && out->ptr[out->len - 1] != '\n')
        buf_addch(out, '\n');
    git_note_free(old);
}

static int try_note(const struct note *n, bool *lost, struct err *e)
{
    git_commit *parent = NULL;
    struct buf text = {0};
    git_oid notes;
    if (notes_tip(n->repo, n->ref, &parent, e))
        return -1;
    add_old_text(n, parent, &text);
    buf_addstr(&text, n->text);
    int rc = git_note_commit_create(&notes, NULL, n->repo, parent, n->who, n->who, n->commit,
                                    buf_text(&text), 1);
    if (rc)
        rc = trace_git_error(e, ERR_trace_ref, "cannot write the note in %s", n->ref);
    else
        rc = trace_move_ref(n->repo, n->ref, parent ? git_commit_id(parent) : NULL, &notes,
                            "spak: note", lost, e);
    buf_release(&text);
    git_commit_free(parent);
    return rc;
}

static int write_note(struct note *n, struct err *e)
{
    int64_t deadline_ns = os_monotonic_ns() + PATIENCE_NS;
    git_signature *who = NULL;
    bool lost = true;
    int rc = trace_identity(n->repo, "COMMITTER", &who, e);
    n->who = who;
    for (int tries = 0; rc == 0 && lost && os_monotonic_ns() < deadline_ns; tries++) {
        if (tries)
            wait_a_little(tries);
        rc = try_note(n, &lost, e);
    }
    git_signature_free(who);
    if (rc == 0 && lost)
        rc = err_set(e, ERR_trace_ref, "%s was moved or locked by others for too long", n->ref);
    return rc;
}

int trace_note(const struct trace_job *job, const git_oid *commit, struct err *e)
{
    struct buf text = {0};
    note_text(job, &text);
    struct note n = {.repo = job->trace->repo, .ref = "refs/notes/spak/run", .commit = commit};
    n.text = buf_text(&text);
    int rc = write_note(&n, e);
    buf_release(&text);
    return rc;
}

int trace_note_add(struct trace *t, const char *name, const char *commit, const char *line,
                   struct err *e)
{
    struct arena scratch = {0};
    git_oid id;
    if (git_oid_fromstr(&id, commit))
        return trace_git_error(e, ERR_trace_content, "%s is no commit", commit);
    struct note n = {.repo = t->repo, .commit = &id, .append = true};
    n.ref = arena_printf(&scratch, "refs/notes/spak/%s", name);
    n.text = arena_printf(&scratch, "%s\n", line);
    int rc = write_note(&n, e);
    arena_release(&scratch);
    return rc;
}

static int add_note(git_repository *repo, const char *ref, const git_oid *commit, struct buf *out,
                    bool *found, struct err *e)
{
    git_note *note = NULL;
    int rc = git_note_read(&note, repo, ref, commit);
    *found = rc == 0;
    if (rc == 0)
        buf_addstr(out, git_note_message(note));
    git_note_free(note);
    return rc == 0 || rc == GIT_ENOTFOUND
               ? 0
               : trace_git_error(e, ERR_trace_content, "cannot read the notes %s", ref);
}

int trace_note_read(struct trace *t, const char *name, const char *commit, struct buf *out,
                    bool *found, struct err *e)
{
    struct arena scratch = {0};
    git_strarray remotes = {0};
    git_oid id;
    *found = false;
    if (git_oid_fromstr(&id, commit))
        return trace_git_error(e, ERR_trace_content, "%s is no commit", commit);
    const char *ref = arena_printf(&scratch, "refs/notes/spak/%s", name);
    int rc = add_note(t->repo, ref, &id, out, found, e);
    if (rc == 0 && !*found && git_remote_list(&remotes, t->repo))
        rc = trace_git_error(e, ERR_trace_repository, "cannot list the remotes");
    for (size_t i = 0; rc == 0 && !*found && i < remotes.count; i++) {
        ref = arena_printf(&scratch, "refs/notes/%s/spak/%s", remotes.strings[i], name);
        rc = add_note(t->repo, ref, &id, out, found, e);
    }
    git_strarray_dispose(&remotes);
    arena_release(&scratch);
    return rc;
}
