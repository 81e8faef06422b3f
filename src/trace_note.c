#include "trace_parts.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOTES_REF "refs/notes/spak/run"
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

static int notes_tip(git_repository *repo, git_commit **out, struct err *e)
{
    git_oid id;
    *out = NULL;
    int rc = git_reference_name_to_id(&id, repo, NOTES_REF);
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc == 0)
        rc = git_commit_lookup(out, repo, &id);
    return rc ? trace_git_error(e, ERR_trace_content, NOTES_REF " does not lead to a sound commit")
              : 0;
}

static int try_note(git_repository *repo, const git_signature *who, const git_oid *commit,
                    const char *text, bool *lost, struct err *e)
{
    git_commit *parent = NULL;
    git_oid notes;
    if (notes_tip(repo, &parent, e))
        return -1;
    int rc = git_note_commit_create(&notes, NULL, repo, parent, who, who, commit, text, 1);
    if (rc)
        rc = trace_git_error(e, ERR_trace_ref, "cannot write the note of the run");
    else
        rc = trace_move_ref(repo, NOTES_REF, parent ? git_commit_id(parent) : NULL, &notes,
                            "spak: note", lost, e);
    git_commit_free(parent);
    return rc;
}

int trace_note(const struct trace_job *job, const git_oid *commit, struct err *e)
{
    int64_t deadline_ns = os_monotonic_ns() + PATIENCE_NS;
    git_signature *who = NULL;
    struct buf text = {0};
    bool lost = true;
    int rc = trace_identity(job->trace->repo, "COMMITTER", &who, e);
    if (rc)
        return -1;
    note_text(job, &text);
    for (int tries = 0; rc == 0 && lost && os_monotonic_ns() < deadline_ns; tries++) {
        if (tries)
            wait_a_little(tries);
        rc = try_note(job->trace->repo, who, commit, buf_text(&text), &lost, e);
    }
    git_signature_free(who);
    buf_release(&text);
    if (rc == 0 && lost)
        rc = err_set(e, ERR_trace_ref, NOTES_REF " was moved or locked by others for too long");
    return rc;
}
