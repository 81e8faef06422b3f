#include "trace_parts.h"

#include <string.h>

/* One side of a comparison; NULL stands for an empty folder. */
static int open_side(struct trace *t, const char *commit, const char *under, git_tree **out,
                     struct err *e)
{
    git_object *object = NULL, *found = NULL;
    git_tree_entry *entry = NULL;
    *out = NULL;
    int rc = git_revparse_single(&object, t->repo, commit);
    if (rc == 0)
        rc = git_object_peel(&found, object, GIT_OBJECT_TREE);
    if (rc == 0 && *under) {
        rc = git_tree_entry_bypath(&entry, (git_tree *)found, under);
        git_object_free(found);
        found = NULL;
        if (rc == 0 && git_tree_entry_type(entry) == GIT_OBJECT_TREE)
            rc = git_tree_lookup(out, t->repo, git_tree_entry_id(entry));
        else if (rc == GIT_ENOTFOUND)
            rc = 0;
    }
    if (found)
        *out = (git_tree *)found;
    git_tree_entry_free(entry);
    git_object_free(object);
    return rc ? trace_git_error(e, ERR_trace_content, "cannot read the tree of %s", commit) : 0;
}

static void collect(const git_diff *diff, const char *under, struct arena *arena,
                    struct trace_change **out, size_t *count)
{
    size_t total = git_diff_num_deltas(diff);
    struct trace_change *at = arena_alloc(arena, (total + 1) * sizeof(*at));
    for (size_t i = 0; i < total; i++) {
        const git_diff_delta *d = git_diff_get_delta(diff, i);
        const char *path = d->new_file.path ? d->new_file.path : d->old_file.path;
        at[i].path = arena_printf(arena, "%s%s%s", under, *under ? "/" : "", path);
        at[i].before = d->status != GIT_DELTA_ADDED;
        at[i].after = d->status != GIT_DELTA_DELETED;
    }
    *out = at;
    *count = total;
}

int trace_changed(struct trace *t, const char *a, const char *b, const char *under,
                  struct arena *arena, struct trace_change **out, size_t *count, struct err *e)
{
    git_diff_options options;
    git_tree *before = NULL, *after = NULL;
    git_diff *diff = NULL;
    *out = NULL;
    *count = 0;
    git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.flags = GIT_DIFF_INCLUDE_TYPECHANGE | GIT_DIFF_SKIP_BINARY_CHECK;
    int rc = open_side(t, a, under, &before, e);
    if (rc == 0)
        rc = open_side(t, b, under, &after, e);
    if (rc == 0 && (before || after)) {
        rc = git_diff_tree_to_tree(&diff, t->repo, before, after, &options);
        if (rc)
            trace_git_error(e, ERR_trace_content, "cannot compare %.10s with %.10s", a, b);
        else
            collect(diff, under, arena, out, count);
    }
    git_diff_free(diff);
    git_tree_free(before);
    git_tree_free(after);
    return rc ? -1 : 0;
}

static int add_line(const git_diff_delta *delta, const git_diff_hunk *hunk,
                    const git_diff_line *line, void *ctx)
{
    struct buf *out = ctx;
    (void)delta;
    (void)hunk;
    switch (line->origin) {
    case GIT_DIFF_LINE_CONTEXT:
    case GIT_DIFF_LINE_ADDITION:
    case GIT_DIFF_LINE_DELETION:
        buf_addch(out, line->origin);
        break;
    case GIT_DIFF_LINE_FILE_HDR:
    case GIT_DIFF_LINE_BINARY:
        return 0;
    default:
        break;
    }
    buf_add(out, line->content, line->content_len);
    return 0;
}

int trace_patch(struct str before, struct str after, struct arena *arena, struct trace_patch *out,
                struct err *e)
{
    git_diff_options options;
    git_patch *patch = NULL;
    struct buf text = {0};
    *out = (struct trace_patch){.hunks = ""};
    git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    int rc = git_patch_from_buffers(&patch, before.ptr, before.len, "a", after.ptr, after.len, "b",
                                    &options);
    if (rc == 0)
        rc = git_patch_print(patch, add_line, &text);
    if (rc == 0)
        rc = git_patch_line_stats(NULL, &out->added, &out->removed, patch);
    if (rc)
        trace_git_error(e, ERR_trace_content, "cannot compare two texts");
    else
        out->binary = git_patch_get_delta(patch)->flags & GIT_DIFF_FLAG_BINARY;
    out->hunks = arena_strndup(arena, buf_text(&text), text.len);
    buf_release(&text);
    git_patch_free(patch);
    return rc ? -1 : 0;
}
