#include "trace_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Larger files are streamed into the object store instead of waiting in memory. */
#define MEMORY_MAX_BYTES (32u << 20)

/* A snapshot in the making. */
struct snapshot {
    struct trace_job *job;
    struct trace_batch *batch;
    struct trace_files files;
    struct trace_source *out;
};

static bool used(const struct trace_job *job, const char *path)
{
    return strmap_get(&job->used, path) != STRMAP_NONE;
}

/* Outputs are no sources, wherever they lie. */
static bool is_output(const struct trace_job *job, const char *path)
{
    const char *out = job->run->out_dir;
    size_t len = strlen(out);
    if (strncmp(path, out, len) == 0 && path[len] == '/')
        return true;
    uint32_t artifact = graph_find_artifact(job->run->graph, path);
    return artifact != GRAPH_NONE && job->run->graph->artifacts[artifact].producer != GRAPH_NONE;
}

static bool holds_git_folder(const char *path)
{
    struct str rest = str_of(path), part;
    while (str_split(&rest, '/', &part))
        if (part.len == 4 && strncasecmp(part.ptr, ".git", 4) == 0)
            return true;
    return false;
}

static int add_link(struct snapshot *s, const char *path, const char *full, struct err *e)
{
    char target[PATH_MAX];
    ssize_t len = readlink(full, target, sizeof(target));
    if (len < 0)
        return err_errno(e, ERR_os, "cannot read the link %s", full);
    char *bytes = arena_memdup(s->job->arena, target, (size_t)len);
    if (trace_files_add(&s->files, path, bytes, (size_t)len, e))
        return -1;
    s->files.at[s->files.len - 1].mode = GIT_FILEMODE_LINK;
    return 0;
}

/* Line endings and the like, as `git add` would convert them. */
static bool has_filter(const struct snapshot *s, const char *path)
{
    git_filter_list *filters = NULL;
    git_repository *source = s->job->trace->source;
    if (!source)
        return false;
    bool has = git_filter_list_load(&filters, source, NULL, path, GIT_FILTER_TO_ODB, 0) == 0 &&
               filters != NULL;
    git_filter_list_free(filters);
    return has;
}

static int add_streamed(struct snapshot *s, const char *path, const char *full, const char *in_repo,
                        bool filtered, uint32_t mode, struct err *e)
{
    git_oid id;
    struct trace *t = s->job->trace;
    int rc = filtered ? git_blob_create_from_workdir(&id, t->source, in_repo)
                      : git_blob_create_from_disk(&id, t->repo, full);
    if (rc)
        return trace_git_error(e, ERR_trace_repository, "cannot store %s", path);
    trace_files_add_id(&s->files, path, mode, &id);
    return 0;
}

static uint32_t mode_of(const struct os_stat *st)
{
    return st->executable ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
}

static int add_regular(struct snapshot *s, const char *path, const char *full,
                       const struct os_stat *st, struct err *e)
{
    struct arena *arena = s->job->arena;
    uint32_t mode = mode_of(st);
    const char *in_repo = arena_printf(arena, "%s%s", s->job->trace->prefix, path);
    bool filtered = has_filter(s, in_repo);
    if (filtered || st->size_bytes > MEMORY_MAX_BYTES)
        return add_streamed(s, path, full, in_repo, filtered, mode, e);
    struct buf bytes = {0};
    int rc = os_read(full, &bytes, e);
    if (rc == 0)
        rc = trace_files_add(&s->files, path, arena_memdup(arena, buf_text(&bytes), bytes.len),
                             bytes.len, e);
    buf_release(&bytes);
    if (rc == 0)
        s->files.at[s->files.len - 1].mode = mode;
    return rc;
}

/* The state of `path` on disk becomes its state in the tree; what is not there goes. */
static int snapshot_path(struct snapshot *s, const char *path, struct err *e)
{
    const char *full = os_join(s->job->arena, s->job->run->root, path);
    struct os_stat st;
    if (holds_git_folder(path))
        return 0;
    if (os_lstat(full, &st, e))
        return -1;
    if (st.kind == OS_LINK)
        return add_link(s, path, full, e);
    if (st.kind == OS_FILE)
        return add_regular(s, path, full, &st, e);
    if (st.kind == OS_ABSENT)
        trace_files_add_id(&s->files, path, 0, NULL);
    return 0;
}

static int find_head(struct trace_job *job, git_tree **tree, struct trace_source *out,
                     struct err *e)
{
    git_repository *repo = job->trace->source;
    git_object *commit = NULL, *found = NULL;
    int rc = git_revparse_single(&commit, repo, "HEAD^{commit}");
    *tree = NULL;
    if (rc == GIT_ENOTFOUND || rc == GIT_EUNBORNBRANCH)
        return 0;
    if (rc)
        return trace_git_error(e, ERR_trace_repository, "cannot read HEAD");
    git_oid_tostr(out->commit, sizeof(out->commit), git_object_id(commit));
    rc = git_object_peel(&found, commit, GIT_OBJECT_TREE);
    git_object_free(commit);
    if (rc)
        return trace_git_error(e, ERR_trace_repository, "cannot read the tree of HEAD");
    *tree = (git_tree *)found;
    return 0;
}

/* Narrows HEAD's tree to the project's folder; NULL when HEAD has no such folder. */
static int narrow_to_project(struct trace_job *job, git_tree **tree, struct err *e)
{
    const char *prefix = job->trace->prefix;
    git_tree_entry *entry = NULL;
    git_tree *narrow = NULL;
    if (!*tree || !*prefix)
        return 0;
    const char *path = arena_strndup(job->arena, prefix, strlen(prefix) - 1);
    int rc = git_tree_entry_bypath(&entry, *tree, path);
    if (rc == 0 && git_tree_entry_type(entry) == GIT_OBJECT_TREE)
        rc = git_tree_lookup(&narrow, job->trace->source, git_tree_entry_id(entry));
    git_tree_entry_free(entry);
    git_tree_free(*tree);
    *tree = narrow;
    return rc && rc != GIT_ENOTFOUND
               ? trace_git_error(e, ERR_trace_repository, "cannot read %s of HEAD", path)
               : 0;
}

static int list_status(struct trace_job *job, git_status_list **out, struct err *e)
{
    git_status_options o;
    git_repository *repo = job->trace->source;
    struct arena *arena = job->arena;
    char *prefix = arena_strdup(arena, job->trace->prefix);
    if (git_status_options_init(&o, GIT_STATUS_OPTIONS_VERSION))
        return trace_git_error(e, ERR_trace_repository, "libgit2 is of another version");
    o.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
    o.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
              GIT_STATUS_OPT_DISABLE_PATHSPEC_MATCH;
    if (*prefix) {
        o.pathspec.strings = &prefix;
        o.pathspec.count = 1;
    }
    /* Kept in memory only: the folder of outputs need not be walked, whatever .gitignore says of
     * it. */
    git_ignore_add_rule(repo, arena_printf(arena, "/%s%s/\n", prefix, job->run->out_dir));
    return git_status_list_new(out, repo, &o)
               ? trace_git_error(e, ERR_trace_repository, "cannot compare the work tree with HEAD")
               : 0;
}

static const char *status_path(const git_status_entry *entry)
{
    const git_diff_delta *d =
        entry->index_to_workdir ? entry->index_to_workdir : entry->head_to_index;
    return d->new_file.path ? d->new_file.path : d->old_file.path;
}

static bool is_link_to_repository(const git_status_entry *entry, git_oid *at)
{
    const git_diff_delta *d =
        entry->index_to_workdir ? entry->index_to_workdir : entry->head_to_index;
    if (d->new_file.mode != GIT_FILEMODE_COMMIT)
        return false;
    *at = d->new_file.id;
    return true;
}

/* What git does not track is kept only if the run saw it: it could be a key or a core dump, and a
 * trace is pushed. */
static int add_untracked(struct snapshot *s, const char *path, struct err *e)
{
    if (text_ends_with(path, "/") || !used(s->job, path))
        return 0;
    return snapshot_path(s, path, e);
}

static int add_changed(struct snapshot *s, const git_status_entry *entry, struct err *e)
{
    size_t skip = strlen(s->job->trace->prefix);
    const char *full = status_path(entry);
    git_oid at;
    if (strncmp(full, s->job->trace->prefix, skip) != 0)
        return 0;
    const char *path = arena_strdup(s->job->arena, full + skip);
    if (is_output(s->job, path))
        return 0;
    if (entry->status == GIT_STATUS_WT_NEW)
        return add_untracked(s, path, e);
    if (is_link_to_repository(entry, &at)) {
        size_t len = strlen(path);
        if (len && path[len - 1] == '/')
            path = arena_strndup(s->job->arena, path, len - 1);
        if (!git_oid_is_zero(&at))
            trace_files_add_id(&s->files, path, GIT_FILEMODE_COMMIT, &at);
        return 0;
    }
    return snapshot_path(s, path, e);
}

/* Whether anything differs that the run can have seen: a tracked file, or an untracked one that it
 * used. */
static bool inputs_differ(const struct trace_job *job, git_status_list *list)
{
    size_t skip = strlen(job->trace->prefix), count = git_status_list_entrycount(list);
    for (size_t i = 0; i < count; i++) {
        const git_status_entry *entry = git_status_byindex(list, i);
        const char *path = status_path(entry);
        if (strncmp(path, job->trace->prefix, skip) != 0 || is_output(job, path + skip))
            continue;
        if (entry->status != GIT_STATUS_WT_NEW || used(job, path + skip))
            return true;
    }
    return false;
}

static int add_all_changed(struct snapshot *s, git_status_list *list, struct err *e)
{
    size_t count = git_status_list_entrycount(list);
    for (size_t i = 0; i < count; i++)
        if (add_changed(s, git_status_byindex(list, i), e))
            return -1;
    return 0;
}

/* Sources that git ignores, and so never lists, are sources all the same when a node used them. */
static bool is_ignored(struct trace_job *job, const char *path)
{
    int ignored = 0;
    const char *in_repo = arena_printf(job->arena, "%s%s", job->trace->prefix, path);
    return git_ignore_path_is_ignored(&ignored, job->trace->source, in_repo) == 0 && ignored;
}

static bool tree_holds(const git_tree *tree, const char *path)
{
    git_tree_entry *entry = NULL;
    bool holds = tree && git_tree_entry_bypath(&entry, tree, path) == 0;
    git_tree_entry_free(entry);
    return holds;
}

static int add_ignored(struct snapshot *s, const git_tree *head, struct err *e)
{
    for (size_t i = 0; i < s->job->used_list.len; i++) {
        const char *path = s->job->used_list.at[i];
        if (!tree_holds(head, path) && is_ignored(s->job, path) && snapshot_path(s, path, e))
            return -1;
    }
    return 0;
}

static int snapshot_write(struct snapshot *s, const git_tree *head, const git_oid *prior,
                          struct err *e)
{
    struct trace_job *job = s->job;
    const git_oid *base = head ? git_tree_id(head) : NULL;
    bool foreign = job->trace->source && job->trace->source != job->trace->repo;
    git_repository *base_repo = job->trace->source ? job->trace->source : job->trace->repo;
    trace_files_sort(&s->files);
    if (trace_batch_tree(s->batch, base_repo, base, base && !foreign ? base : prior, &s->files,
                         &s->out->tree, &s->out->empty, e))
        return -1;
    s->out->dirty = !base || s->out->empty || !git_oid_equal(base, &s->out->tree);
    if (foreign && !s->out->empty)
        return trace_batch_import(s->batch, job->trace->source, &s->out->tree, e);
    return 0;
}

static int by_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct trace_file *)file)->path);
}

/* What a source that nobody can have seen change holds is what the parent has; whether it is a
 * program or a link is in no key. */
static int add_used(struct snapshot *s, const char *path, const struct trace_files *before,
                    struct err *e)
{
    const struct trace_file *same = NULL;
    struct os_stat st;
    if (before->len && strmap_get(&s->job->used, path) == TRACE_SAME)
        same = bsearch(path, before->at, before->len, sizeof(*before->at), by_path);
    if (same && os_lstat(os_join(s->job->arena, s->job->run->root, path), &st, e))
        return -1;
    if (!same || st.kind != OS_FILE || mode_of(&st) != same->mode)
        return snapshot_path(s, path, e);
    trace_files_add_id(&s->files, path, same->mode, &same->id);
    return 0;
}

/* Outside any repository the sources are what the run read. */
static int from_files(struct snapshot *s, const git_oid *prior, struct err *e)
{
    struct trace_files before = {0};
    int rc = s->job->since ? trace_since_files(s->job, prior, &before, e) : 0;
    for (size_t i = 0; rc == 0 && i < s->job->used_list.len; i++)
        rc = add_used(s, s->job->used_list.at[i], &before, e);
    trace_files_release(&before);
    return rc ? rc : snapshot_write(s, NULL, prior, e);
}

static int from_repository(struct snapshot *s, const git_oid *prior, struct err *e)
{
    git_status_list *list = NULL;
    git_tree *head = NULL;
    int rc = find_head(s->job, &head, s->out, e);
    if (rc == 0)
        rc = narrow_to_project(s->job, &head, e);
    if (rc == 0)
        rc = list_status(s->job, &list, e);
    if (rc == 0)
        rc = add_ignored(s, head, e);
    if (rc == 0 && (!head || s->files.len || inputs_differ(s->job, list)))
        rc = add_all_changed(s, list, e);
    if (rc == 0)
        rc = snapshot_write(s, head, prior, e);
    git_status_list_free(list);
    git_tree_free(head);
    return rc;
}

int trace_source_tree(struct trace_job *job, struct trace_batch *b, const git_oid *prior,
                      struct trace_source *out, struct err *e)
{
    struct snapshot s = {.job = job, .batch = b, .out = out};
    *out = (struct trace_source){0};
    int rc = job->trace->source ? from_repository(&s, prior, e) : from_files(&s, prior, e);
    trace_files_release(&s.files);
    return rc;
}
