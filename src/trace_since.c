#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

/* A run that changes little writes a commit that says little new: where the tip is known to say of
 * every clean node what this run would say, its folders are the base and the texts of other nodes
 * are laid over them. The caller of trace_commit knows that nothing changed between; here is what
 * has to hold besides. */

/* What is measured is merged with the parent's, and a kept text may vanish: such graphs are small
 * and told anew. */
static bool is_plain(const struct trace_job *job)
{
    const struct graph *g = job->run->graph;
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct node *n = &g->nodes[i];
        if (n->flags & (NODE_MEASURED | NODE_MEASURES) || n->action == NODE_DRIVER)
            return false;
        for (uint32_t k = 0; k < n->outputs.len; k++)
            if (g->artifacts[slice_id(g, n->outputs, k)].flags &
                (ARTIFACT_METRICS | ARTIFACT_TRACED))
                return false;
    }
    return true;
}

void trace_since_check(struct trace_job *job, const git_commit *tip)
{
    char hex[GIT_OID_HEXSZ + 1] = "";
    if (tip)
        git_oid_tostr(hex, sizeof(hex), git_commit_id(tip));
    job->since = tip && job->run->since && strcmp(hex, job->run->since) == 0 && is_plain(job);
}

bool trace_since_has(const struct trace_job *job, uint32_t node)
{
    return job->since && job->run->outcomes[node].status == STATUS_CLEAN;
}

/* A node that was skipped may be clean the next time, and the trace says that it was skipped. */
bool trace_since_next(const struct trace_job *job)
{
    return is_plain(job) && strcmp(trace_status(job), "ok") == 0;
}

int trace_record(struct trace_job *job, uint32_t node, const struct action_record **out,
                 struct err *e)
{
    const struct outcome *o = &job->run->outcomes[node];
    *out = o->record;
    if (*out || o->status != STATUS_CLEAN || !job->run->recall)
        return 0;
    return job->run->recall(job->run->recall_ctx, node, out, e);
}

int trace_since_overlay(struct trace_job *job, struct trace_batch *b, const git_oid *prior,
                        const char *folder, struct trace_files *files, struct err *e)
{
    struct trace_files below = {0};
    size_t kept = 0, skip = strlen(folder) + 1;
    git_oid id;
    bool empty;
    for (size_t i = 0; i < files->len; i++) {
        struct trace_file f = files->at[i];
        if (strncmp(f.path, folder, skip - 1) != 0 || f.path[skip - 1] != '/') {
            files->at[kept++] = f;
            continue;
        }
        trace_files_add_id(&below, f.path + skip, f.mode, &f.id);
        below.at[below.len - 1].bytes = f.bytes;
        below.at[below.len - 1].len = f.len;
    }
    files->len = kept;
    int rc = trace_batch_tree(b, job->trace->repo, prior, prior, &below, &id, &empty, e);
    if (rc == 0 && !empty)
        trace_files_add_id(files, folder, GIT_FILEMODE_TREE, &id);
    trace_files_release(&below);
    return rc;
}

/* A folder that waits to be listed. */
struct waiting {
    git_oid id;
    const char *path; /* with a slash at the end, "" for the top */
};
struct walk {
    struct trace_job *job;
    struct waiting *at;
    size_t len, cap;
    struct trace_files *out;
};

static void push(struct walk *w, const git_oid *id, const char *path)
{
    if (w->len == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 32;
        w->at = xrealloc(w->at, w->cap * sizeof(*w->at));
    }
    w->at[w->len++] = (struct waiting){*id, path};
}

static int list_folder(struct walk *w, const struct waiting *folder, struct err *e)
{
    git_tree *tree;
    if (git_tree_lookup(&tree, w->job->trace->repo, &folder->id))
        return trace_git_error(e, ERR_trace_content, "cannot read tree %s",
                               git_oid_tostr_s(&folder->id));
    for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        const git_oid *id = git_tree_entry_id(entry);
        uint32_t mode = git_tree_entry_filemode_raw(entry);
        bool below = mode == GIT_FILEMODE_TREE;
        char *path = arena_printf(w->job->arena, "%s%s%s", folder->path, git_tree_entry_name(entry),
                                  below ? "/" : "");
        if (below)
            push(w, id, path);
        else
            trace_files_add_id(w->out, path, mode, id);
    }
    git_tree_free(tree);
    return 0;
}

int trace_since_files(struct trace_job *job, const git_oid *tree, struct trace_files *out,
                      struct err *e)
{
    struct walk w = {.job = job, .out = out};
    int rc = 0;
    if (tree)
        push(&w, tree, "");
    while (rc == 0 && w.len) {
        struct waiting folder = w.at[--w.len];
        rc = list_folder(&w, &folder, e);
    }
    free(w.at);
    trace_files_sort(out);
    return rc;
}
