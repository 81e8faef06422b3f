#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

/* Trees as a stranger may have made them: everything is looked at by its header before it is read,
 * and nothing is read twice for being named twice. */

/* A tree object above this size has more entries than any limit. */
#define TREE_MAX_BYTES (64u << 20)

struct walk {
    struct trace *trace;
    struct arena *arena;
    const struct trace_limits *limits;
    struct trace_item *items;
    size_t len;
    size_t cap;
    uint64_t bytes;
};

/* A folder that waits to be opened: `at` is its item, or none for the top. */
struct waiting {
    git_oid id;
    const char *path;
    uint32_t depth;
};

static int beyond(struct err *e, const char *what, unsigned long long limit, const char *path)
{
    err_set(e, ERR_trace_size, "the trace's sources have more than %llu %s (at %s)", limit, what,
            path);
    return err_hint(e, "nothing was written; look at it with git ls-tree, which unpacks nothing");
}

static int header_of(struct walk *w, const git_oid *id, git_object_t wanted, const char *path,
                     size_t *size, struct err *e)
{
    git_odb *odb = NULL;
    git_object_t type = GIT_OBJECT_INVALID;
    int rc = git_repository_odb(&odb, w->trace->repo);
    if (rc == 0)
        rc = git_odb_read_header(size, &type, odb, id);
    git_odb_free(odb);
    if (rc)
        return trace_git_error(e, ERR_trace_content, "%s is missing from the repository", path);
    if (type != wanted)
        return err_set(e, ERR_trace_content, "%s is another kind of object than its tree says",
                       path);
    return 0;
}

static int add_blob_size(struct walk *w, struct trace_item *item, const git_oid *id, struct err *e)
{
    size_t size = 0;
    if (header_of(w, id, GIT_OBJECT_BLOB, item->path, &size, e))
        return -1;
    item->size_bytes = size;
    w->bytes += size;
    if (w->bytes > w->limits->bytes || w->bytes < size)
        return beyond(e, "bytes", w->limits->bytes, item->path);
    return 0;
}

static int add_item(struct walk *w, const struct waiting *folder, const git_tree_entry *entry,
                    struct waiting *below, bool *is_folder, struct err *e)
{
    char hex[GIT_OID_HEXSZ + 1];
    const char *name = git_tree_entry_name(entry);
    if (w->len == w->limits->entries)
        return beyond(e, "entries", w->limits->entries, folder->path);
    if (w->len == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->items = xrealloc(w->items, w->cap * sizeof(*w->items));
    }
    struct trace_item *item = &w->items[w->len++];
    git_oid_tostr(hex, sizeof(hex), git_tree_entry_id(entry));
    *item = (struct trace_item){.depth = folder->depth + 1};
    item->id = arena_strdup(w->arena, hex);
    item->mode = (uint32_t)git_tree_entry_filemode_raw(entry);
    item->path = *folder->path ? arena_printf(w->arena, "%s/%s", folder->path, name)
                               : arena_strdup(w->arena, name);
    item->name = item->path + strlen(item->path) - strlen(name);
    if (item->depth > w->limits->depth)
        return beyond(e, "folders in each other", w->limits->depth, item->path);
    *is_folder = (item->mode & 0170000) == 0040000;
    if (*is_folder)
        *below = (struct waiting){*git_tree_entry_id(entry), item->path, item->depth};
    else if ((item->mode & 0170000) != 0160000)
        return add_blob_size(w, item, git_tree_entry_id(entry), e);
    return 0;
}

struct stack {
    struct waiting *at;
    size_t len;
    size_t cap;
};

static void push(struct stack *s, const struct waiting *item)
{
    if (s->len == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 32;
        s->at = xrealloc(s->at, s->cap * sizeof(*s->at));
    }
    s->at[s->len++] = *item;
}

static int open_folder(struct walk *w, const struct waiting *folder, struct stack *stack,
                       struct err *e)
{
    git_tree *tree = NULL;
    size_t size = 0;
    int rc = header_of(w, &folder->id, GIT_OBJECT_TREE, folder->path, &size, e);
    if (rc == 0 && size > TREE_MAX_BYTES)
        rc = beyond(e, "bytes in one folder's listing", TREE_MAX_BYTES, folder->path);
    if (rc == 0 && git_tree_lookup(&tree, w->trace->repo, &folder->id))
        rc = trace_git_error(e, ERR_trace_content, "the folder \"%s\" of the trace is damaged",
                             folder->path);
    for (size_t i = 0; rc == 0 && i < git_tree_entrycount(tree); i++) {
        struct waiting below;
        bool is_folder = false;
        rc = add_item(w, folder, git_tree_entry_byindex(tree, i), &below, &is_folder, e);
        if (rc == 0 && is_folder)
            push(stack, &below);
    }
    git_tree_free(tree);
    return rc;
}

/* The id that a path has in a commit's tree; its parts are ours, never a stranger's. */
static int find_id(struct trace *t, const char *commit, const char *path, git_oid *id, bool *found,
                   struct err *e)
{
    git_commit *made = NULL;
    git_tree *tree = NULL;
    git_tree_entry *entry = NULL;
    git_oid at;
    *found = false;
    if (git_oid_fromstr(&at, commit) || git_commit_lookup(&made, t->repo, &at) ||
        git_commit_tree(&tree, made)) {
        git_commit_free(made);
        return trace_git_error(e, ERR_trace_content, "cannot read the tree of %s", commit);
    }
    int rc = git_tree_entry_bypath(&entry, tree, path);
    if (rc == 0) {
        *id = *git_tree_entry_id(entry);
        *found = true;
    }
    git_tree_entry_free(entry);
    git_tree_free(tree);
    git_commit_free(made);
    return rc && rc != GIT_ENOTFOUND
               ? trace_git_error(e, ERR_trace_content, "cannot read %s of %s", path, commit)
               : 0;
}

int trace_items(struct trace *t, const char *commit, const char *under,
                const struct trace_limits *limits, struct arena *arena, struct trace_item **out,
                size_t *count, struct err *e)
{
    struct walk w = {.trace = t, .arena = arena, .limits = limits};
    struct stack stack = {0};
    struct waiting top = {.path = ""};
    bool found;
    int rc = find_id(t, commit, under, &top.id, &found, e);
    if (rc == 0 && found)
        push(&stack, &top);
    while (rc == 0 && stack.len) {
        struct waiting folder = stack.at[--stack.len];
        rc = open_folder(&w, &folder, &stack, e);
    }
    *out = w.len ? arena_memdup(arena, w.items, w.len * sizeof(*w.items)) : NULL;
    *count = rc ? 0 : w.len;
    free(stack.at);
    free(w.items);
    return rc;
}

int trace_blob(struct trace *t, const char *id, struct buf *out, struct err *e)
{
    git_blob *blob = NULL;
    git_oid oid;
    if (git_oid_fromstr(&oid, id) || git_blob_lookup(&blob, t->repo, &oid))
        return trace_git_error(e, ERR_trace_content, "cannot read the object %s", id);
    buf_add(out, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    return 0;
}

int trace_path_id(struct trace *t, const char *commit, const char *path, char out[65],
                  struct err *e)
{
    git_oid id;
    bool found;
    out[0] = 0;
    if (find_id(t, commit, path, &id, &found, e))
        return -1;
    if (found)
        git_oid_tostr(out, 65, &id);
    return 0;
}
