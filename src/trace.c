#include "gate.h"
#include "trace_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long others may keep winning, or a lock may stand, before it is an error. */
#define PATIENCE_NS 20000000000
#define SUMMARY_MAX_BYTES (1u << 20)
#define JOURNAL_MAX_BYTES (64u << 20)

/* The branch as it was found: the parent of the commit to be. */
struct tip {
    bool exists;
    git_oid id;
    git_commit *commit;
    git_tree *tree;
};

static void tip_release(struct tip *tip)
{
    git_commit_free(tip->commit);
    git_tree_free(tip->tree);
    *tip = (struct tip){0};
}

static int refuse_branch(const char *ref, const char *why, struct err *e)
{
    err_set(e, ERR_trace_ref, "%s %s", ref + strlen("refs/heads/"), why);
    return err_hint(e, "rename it (git branch -m) or delete it, then run the build again");
}

static int check_branch(git_reference *ref, const char *name, struct err *e)
{
    if (git_reference_type(ref) != GIT_REFERENCE_DIRECT)
        return refuse_branch(name, "is a symbolic ref: a trace would move another branch", e);
    if (git_branch_is_checked_out(ref) == 1) {
        err_set(e, ERR_trace_ref, "%s is checked out: a trace would move HEAD",
                name + strlen("refs/heads/"));
        return err_hint(e, "switch to another branch (git switch -), then run the build again");
    }
    return 0;
}

static int tip_find(git_repository *repo, const char *name, struct tip *tip, struct err *e)
{
    git_reference *ref = NULL;
    int rc = git_reference_lookup(&ref, repo, name);
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc)
        return trace_git_error(e, ERR_trace_ref, "cannot read the branch %s", name);
    rc = check_branch(ref, name, e);
    if (rc == 0) {
        tip->exists = true;
        tip->id = *git_reference_target(ref);
        if (git_commit_lookup(&tip->commit, repo, &tip->id) ||
            git_commit_tree(&tip->tree, tip->commit))
            rc = trace_git_error(e, ERR_trace_content,
                                 "the branch %s does not lead to a sound commit", name);
    }
    git_reference_free(ref);
    return rc;
}

static const git_oid *tip_entry(const struct tip *tip, const char *name)
{
    const git_tree_entry *entry = tip->tree ? git_tree_entry_byname(tip->tree, name) : NULL;
    if (!entry || git_tree_entry_filemode(entry) != GIT_FILEMODE_TREE)
        return NULL;
    return git_tree_entry_id(entry);
}

/* What was measured on other machines stays as it was. */
static int keep_other_machines(struct trace_job *job, const struct tip *tip,
                               struct trace_files *files, struct err *e)
{
    const git_oid *id = tip_entry(tip, "measure");
    git_tree *tree = NULL;
    if (!id)
        return 0;
    if (git_tree_lookup(&tree, job->trace->repo, id))
        return trace_git_error(e, ERR_trace_content, "cannot read measure/ of the previous trace");
    const char *own = trace_safe_path(job->arena, job->run->machine);
    for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        const char *name = git_tree_entry_name(entry);
        if (git_tree_entry_filemode(entry) == GIT_FILEMODE_TREE && strcmp(name, own) != 0)
            trace_files_add_id(files, arena_printf(job->arena, "measure/%s", name),
                               GIT_FILEMODE_TREE, git_tree_entry_id(entry));
    }
    git_tree_free(tree);
    return 0;
}

static int add_summary(struct trace_job *job, const struct tip *tip, struct trace_files *files,
                       struct err *e)
{
    struct buf old = {0}, new = {0};
    const char *machine = trace_safe_path(job->arena, job->run->machine);
    const char *path = arena_printf(job->arena, "measure/%s/summary", machine);
    int rc = 0;
    if (!job->measured)
        return 0;
    if (tip->tree)
        trace_tree_text(job->trace->repo, tip->tree, path, SUMMARY_MAX_BYTES, &old);
    trace_summary(job, buf_text(&old), &new);
    if (new.len)
        rc = trace_files_add(files, path, arena_memdup(job->arena, new.ptr, new.len), new.len, e);
    buf_release(&old);
    buf_release(&new);
    return rc;
}

/* The journal only grows: what the parent holds stays as it is. */
static int add_journal(struct trace_job *job, const struct tip *tip, struct trace_files *files,
                       struct err *e)
{
    static const char path[] = "protocol/journal";
    struct buf old = {0}, now = {0};
    int rc = 0;
    if (tip->tree)
        trace_tree_text(job->trace->repo, tip->tree, path, JOURNAL_MAX_BYTES, &old);
    gate_merge(buf_text(&old), job->run->journal ? job->run->journal : "", job->run->graph,
               job->mark, &now);
    if (now.len)
        rc = trace_files_add(files, path, arena_memdup(job->arena, now.ptr, now.len), now.len, e);
    buf_release(&old);
    buf_release(&now);
    return rc;
}

static int build_tree(struct trace_job *job, const struct tip *tip, struct trace_batch *batch,
                      struct trace_source *source, git_oid *tree, struct err *e)
{
    static const char *const told[] = {"plan", "out"};
    struct trace_files files = {0};
    bool empty;
    int rc = trace_source_tree(job, batch, tip_entry(tip, "src"), source, e);
    if (rc == 0 && !source->empty)
        trace_files_add_id(&files, "src", GIT_FILEMODE_TREE, &source->tree);
    if (rc == 0)
        rc = keep_other_machines(job, tip, &files, e);
    if (rc == 0)
        rc = add_summary(job, tip, &files, e);
    if (rc == 0)
        rc = add_journal(job, tip, &files, e);
    for (size_t i = 0; rc == 0 && i < job->files.len; i++) {
        const struct trace_file *f = &job->files.at[i];
        trace_files_add_id(&files, f->path, f->mode, &f->id);
        files.at[files.len - 1].bytes = f->bytes;
        files.at[files.len - 1].len = f->len;
    }
    trace_files_sort(&files);
    const git_oid *prior = tip->tree ? git_tree_id(tip->tree) : NULL;
    for (size_t i = 0; rc == 0 && job->since && i < ARRAY_LEN(told); i++)
        rc = trace_since_overlay(job, batch, tip_entry(tip, told[i]), told[i], &files, e);
    if (rc == 0 && job->since)
        trace_files_sort(&files);
    if (rc == 0)
        rc = trace_batch_tree(batch, job->trace->repo, NULL, prior, &files, tree, &empty, e);
    trace_files_release(&files);
    return rc;
}

static bool nothing_new(const struct trace_job *job, const struct tip *tip, const git_oid *tree)
{
    if (!tip->tree || !git_oid_equal(git_tree_id(tip->tree), tree))
        return false;
    const char *old = trace_trailer(job->arena, git_commit_message(tip->commit), "Spak-Status");
    return old && strcmp(old, trace_status(job)) == 0;
}

/* A signature that is wanted and cannot be had is a warning: a run that measured cannot be had
 * again for the sake of its signature. */
static int write_signed(struct trace_job *job, const git_signature *who, const git_buf *content,
                        git_oid *out, struct err *e)
{
    struct buf signature = {0};
    err_release(&job->warning);
    git_repository *repo = job->trace->repo;
    trace_sign(repo, who, (struct str){content->ptr, content->size}, &signature, &job->warning);
    int rc = git_commit_create_with_signature(out, repo, content->ptr,
                                              signature.len ? signature.ptr : NULL, NULL);
    buf_release(&signature);
    return rc ? trace_git_error(e, ERR_trace_repository, "cannot write the trace's commit") : 0;
}

static int write_commit(struct trace_job *job, const struct tip *tip, const git_oid *tree,
                        const char *message, git_oid *out, struct err *e)
{
    git_repository *repo = job->trace->repo;
    git_signature *author = NULL, *committer = NULL;
    git_tree *root = NULL;
    git_buf content = {0};
    const git_commit *parents[] = {tip->commit};
    int rc = trace_identity(repo, "AUTHOR", &author, e);
    if (rc == 0)
        rc = trace_identity(repo, "COMMITTER", &committer, e);
    if (rc == 0 && (git_tree_lookup(&root, repo, tree) ||
                    git_commit_create_buffer(&content, repo, author, committer, NULL, message, root,
                                             tip->exists ? 1 : 0, parents)))
        rc = trace_git_error(e, ERR_trace_repository, "cannot make the trace's commit");
    if (rc == 0)
        rc = write_signed(job, committer, &content, out, e);
    git_buf_dispose(&content);
    git_tree_free(root);
    git_signature_free(author);
    git_signature_free(committer);
    return rc;
}

static void job_release(struct trace_job *job)
{
    trace_files_release(&job->files);
    strmap_release(&job->used);
    strs_release(&job->used_list);
    strs_release(&job->outside);
    free(job->metrics);
    err_release(&job->warning);
    trace_close(job->trace);
}

/* What does not depend on the parent but for what need not be said again; once, as long as that is
 * the same. */
static int tell(struct trace_job *job, const struct tip *tip, struct err *e)
{
    bool before = job->since, told = job->told;
    trace_since_check(job, tip->commit);
    if (told && job->since == before)
        return 0;
    if (told) {
        struct trace_job fresh = {
            .run = job->run, .trace = job->trace, .arena = job->arena, .since = job->since};
        job->trace = NULL;
        job_release(job);
        *job = fresh;
    }
    job->told = true;
    return trace_nodes(job, e) ? -1 : trace_measure(job, e);
}

/* One attempt over the branch as it is now. */
static int try_commit(struct trace_job *job, const char *ref, struct trace_result *out, bool *lost,
                      git_oid *commit, struct err *e)
{
    struct tip tip = {0};
    struct trace_source source = {0};
    struct trace_batch batch = {.repo = job->trace->repo, .arena = job->arena};
    struct buf message = {0};
    git_oid tree;
    *lost = false;
    int rc = tip_find(job->trace->repo, ref, &tip, e);
    if (rc == 0)
        rc = tell(job, &tip, e);
    if (rc == 0)
        rc = build_tree(job, &tip, &batch, &source, &tree, e);
    if (rc == 0 && !nothing_new(job, &tip, &tree)) {
        if ((rc = trace_batch_flush(&batch, e)) == 0 &&
            (rc = trace_message(job, &source, tip.commit, &tree, &message, e)) == 0 &&
            (rc = write_commit(job, &tip, &tree, buf_text(&message), commit, e)) == 0)
            rc = trace_move_ref(job->trace->repo, ref, tip.exists ? &tip.id : NULL, commit,
                                "spak: run", lost, e);
        out->committed = rc == 0 && !*lost;
    } else if (rc == 0) {
        *commit = tip.id;
    }
    if (rc == 0 && !*lost && trace_since_next(job))
        git_oid_tostr(out->whole, sizeof(out->whole), commit);
    buf_release(&message);
    trace_batch_release(&batch);
    tip_release(&tip);
    return rc;
}

static int commit_with_retries(struct trace_job *job, const char *ref, struct trace_result *out,
                               git_oid *commit, struct err *e)
{
    int64_t deadline_ns = os_monotonic_ns() + PATIENCE_NS;
    bool lost = true;
    for (int tries = 0; lost && os_monotonic_ns() < deadline_ns; tries++) {
        struct timespec pause = {0, (1 + tries % 13) * 1000000L};
        if (tries)
            nanosleep(&pause, NULL);
        if (try_commit(job, ref, out, &lost, commit, e))
            return -1;
    }
    if (!lost)
        return 0;
    err_set(e, ERR_trace_ref, "%s was moved or locked by others for %d seconds",
            ref + strlen("refs/heads/"), (int)(PATIENCE_NS / 1000000000));
    return err_hint(e, "if no other build and no git runs, remove the lock: %s%s.lock",
                    git_repository_commondir(job->trace->repo), ref);
}

int trace_commit(const struct trace_run *run, struct arena *arena, struct trace_result *out,
                 struct err *e)
{
    struct trace_job job = {.run = run, .arena = arena};
    const char *trace_to = run->trace_to          ? run->trace_to
                           : run->graph->trace_to ? graph_text(run->graph, run->graph->trace_to)
                                                  : NULL;
    git_oid commit;
    *out = (struct trace_result){.where = ""};
    if (trace_is_off(trace_to))
        return 0;
    job.trace = trace_find(run->root, run->out_dir, trace_to, true, e);
    if (!job.trace)
        return -1;
    const char *ref = trace_ref_name(arena, run->target);
    snprintf(out->ref, sizeof(out->ref), "%s", ref + strlen("refs/heads/"));
    out->where = arena_strdup(arena, job.trace->where);
    int rc = commit_with_retries(&job, ref, out, &commit, e);
    if (out->committed && job.warning.set)
        err_move(&out->warning, &job.warning);
    if (rc == 0 && out->committed) {
        git_oid_tostr(out->commit, sizeof(out->commit), &commit);
        rc = trace_note(&job, &commit, e);
    }
    job_release(&job);
    return rc;
}
