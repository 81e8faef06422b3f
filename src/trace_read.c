#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

#define NEAR_MAX 3

/* The local branch of a target, else that of a remote: a fresh clone has only those. */
static int find_branch(struct trace *t, const char *target, git_oid *out)
{
    struct arena scratch = {0};
    const char *ref = trace_ref_name(&scratch, target);
    int rc = git_reference_name_to_id(out, t->repo, ref);
    git_strarray remotes = {0};
    if (rc && git_remote_list(&remotes, t->repo) == 0) {
        for (size_t i = 0; rc && i < remotes.count; i++)
            rc = git_reference_name_to_id(out, t->repo,
                                          arena_printf(&scratch, "refs/remotes/%s/%s",
                                                       remotes.strings[i],
                                                       ref + strlen("refs/heads/")));
        git_strarray_dispose(&remotes);
    }
    arena_release(&scratch);
    return rc;
}

/* "fmha~2" is the target fmha and the walk "~2", unless there is a target of just that name. */
static bool resolve_target(struct trace *t, const char *revision, git_oid *out)
{
    char hex[GIT_OID_HEXSZ + 1];
    struct arena scratch = {0};
    git_object *object = NULL;
    size_t name = strlen(revision);
    git_oid tip;
    bool found = name > 0 && find_branch(t, revision, &tip) == 0;
    if (!found && (name = strcspn(revision, "~^")) > 0)
        found = find_branch(t, arena_strndup(&scratch, revision, name), &tip) == 0;
    if (found) {
        git_oid_tostr(hex, sizeof(hex), &tip);
        const char *spec = arena_printf(&scratch, "%s%s^{commit}", hex, revision + name);
        found = git_revparse_single(&object, t->repo, spec) == 0;
    }
    if (found)
        *out = *git_object_id(object);
    git_object_free(object);
    arena_release(&scratch);
    return found;
}

static bool resolve_revision(struct trace *t, const char *revision, git_oid *out)
{
    git_object *object = NULL, *commit = NULL;
    bool found = git_revparse_single(&object, t->repo, revision) == 0 &&
                 git_object_peel(&commit, object, GIT_OBJECT_COMMIT) == 0;
    if (found)
        *out = *git_object_id(commit);
    git_object_free(object);
    git_object_free(commit);
    return found;
}

static int unknown_revision(struct trace *t, const char *revision, struct err *e)
{
    struct arena scratch = {0};
    struct strs targets = {0};
    struct err quiet = {0};
    const char *nearest = NULL;
    size_t best = NEAR_MAX + 1;
    if (trace_targets(t, &scratch, &targets, &quiet))
        err_release(&quiet);
    const char *name = arena_strndup(&scratch, revision, strcspn(revision, "~^"));
    for (size_t i = 0; i < targets.len; i++) {
        size_t distance = text_distance(name, targets.at[i]);
        if (distance < best) {
            best = distance;
            nearest = targets.at[i];
        }
    }
    err_set(e, ERR_trace_revision, "there is no trace \"%s\"", revision);
    if (nearest && best == 0)
        err_hint(e, "%s has a trace, but its history is not that long", nearest);
    else if (nearest)
        err_hint(e, "did you mean \"%s\"?", nearest);
    else if (targets.len == 0)
        err_hint(e, "no target has a trace yet: `spak build TARGET` makes one");
    else
        err_hint(e, "`spak log` lists the targets that have a trace");
    strs_release(&targets);
    arena_release(&scratch);
    return -1;
}

/* A message may come from a stranger, and its readers print it to terminals. */
static char *printable(struct arena *arena, const char *text)
{
    char *out = arena_strdup(arena, text);
    for (char *p = out; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
            *p = '?';
    return out;
}

static void fill_entry(git_commit *commit, struct arena *arena, struct trace_entry *out)
{
    const char *raw = git_commit_message(commit);
    const char *message = printable(arena, raw ? raw : "");
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof(hex), git_commit_id(commit));
    const char *end = strchr(message, '\n');
    const char *dirty = trace_trailer(arena, message, "Spak-Source-Dirty");
    const char *status = trace_trailer(arena, message, "Spak-Status");
    const char *nodes = trace_trailer(arena, message, "Spak-Nodes");
    const char *source = trace_trailer(arena, message, "Spak-Source");
    const char *target = trace_trailer(arena, message, "Spak-Target");
    const char *machine = trace_trailer(arena, message, "Spak-Machine");
    const git_signature *author = git_commit_author(commit);
    *out = (struct trace_entry){.commit = arena_strdup(arena, hex)};
    out->author = printable(arena, author && author->name ? author->name : "");
    out->subject = arena_strndup(arena, message, end ? (size_t)(end - message) : strlen(message));
    out->body = arena_strdup(arena, end ? end + strspn(end, "\n") : "");
    out->status = status ? status : "";
    out->nodes = nodes ? nodes : "";
    out->source = source ? source : "";
    out->target = target ? target : "";
    out->machine = machine ? machine : "";
    out->source_dirty = dirty && strcmp(dirty, "yes") == 0;
    out->time = git_commit_time(commit);
    trace_trailers(arena, message, "Spak-Metric", &out->metrics);
}

static bool is_trace(git_commit *commit, struct arena *arena)
{
    return trace_trailer(arena, git_commit_message(commit), "Spak-Format") != NULL;
}

int trace_resolve(struct trace *t, const char *revision, struct arena *arena,
                  struct trace_entry *out, struct err *e)
{
    git_commit *commit = NULL;
    git_oid id;
    *out = (struct trace_entry){0};
    if (!resolve_target(t, revision, &id) && !resolve_revision(t, revision, &id))
        return unknown_revision(t, revision, e);
    if (git_commit_lookup(&commit, t->repo, &id))
        return trace_git_error(e, ERR_trace_content, "cannot read the commit %s", revision);
    int rc = 0;
    if (is_trace(commit, arena)) {
        fill_entry(commit, arena, out);
    } else {
        rc = err_set(e, ERR_trace_content, "%s is a commit, but not a trace", revision);
        err_hint(e,
                 "traces lie on the branches spak/<target>: `git branch --list --all '*spak/*'`");
    }
    git_commit_free(commit);
    return rc;
}

int trace_log(struct trace *t, const char *target, size_t limit, struct arena *arena,
              struct trace_entry **out, size_t *count, struct err *e)
{
    struct trace_entry *entries = NULL;
    size_t len = 0, cap = 0;
    git_commit *commit = NULL, *parent = NULL;
    git_oid id;
    int rc = 0;
    *out = NULL;
    *count = 0;
    if (!resolve_target(t, target, &id))
        return unknown_revision(t, target, e);
    if (git_commit_lookup(&commit, t->repo, &id))
        return trace_git_error(e, ERR_trace_content, "cannot read the trace of %s", target);
    while (commit && (limit == 0 || len < limit)) {
        if (len == cap) {
            cap = cap ? cap * 2 : 16;
            entries = xrealloc(entries, cap * sizeof(*entries));
        }
        fill_entry(commit, arena, &entries[len++]);
        rc = git_commit_parentcount(commit) ? git_commit_parent(&parent, commit, 0) : GIT_ENOTFOUND;
        git_commit_free(commit);
        commit = rc ? NULL : parent;
    }
    git_commit_free(commit);
    /* A parent that is not here ends the history of a shallow clone, and is no fault. */
    *out = len ? arena_memdup(arena, entries, len * sizeof(*entries)) : NULL;
    *count = len;
    free(entries);
    return rc && rc != GIT_ENOTFOUND
               ? trace_git_error(e, ERR_trace_content, "the history of %s is damaged", target)
               : 0;
}

static int open_tree(struct trace *t, const char *commit, git_tree **out, struct err *e)
{
    git_commit *found = NULL;
    git_oid id;
    if (git_oid_fromstr(&id, commit) || git_commit_lookup(&found, t->repo, &id))
        return trace_git_error(e, ERR_trace_content, "cannot read the commit %s", commit);
    int rc = git_commit_tree(out, found);
    git_commit_free(found);
    return rc ? trace_git_error(e, ERR_trace_content, "cannot read the tree of %s", commit) : 0;
}

static void add_blob(const git_blob *blob, const char *path, struct buf *out)
{
    const char *bytes = git_blob_rawcontent(blob);
    size_t len = (size_t)git_blob_rawsize(blob), head = sizeof(TRACE_NODE_HEAD) - 1;
    bool outcome = text_starts_with(path, "measure/") && strstr(path, "/nodes/") && len >= head &&
                   memcmp(bytes, TRACE_NODE_HEAD, head) == 0;
    buf_add(out, outcome ? bytes + head : bytes, outcome ? len - head : len);
}

int trace_read(struct trace *t, const char *commit, const char *path, struct buf *out, bool *found,
               struct err *e)
{
    git_tree *tree = NULL;
    git_tree_entry *entry = NULL;
    git_blob *blob = NULL;
    *found = false;
    if (open_tree(t, commit, &tree, e))
        return -1;
    int rc = git_tree_entry_bypath(&entry, tree, path);
    if (rc == 0 && git_tree_entry_type(entry) == GIT_OBJECT_BLOB) {
        rc = git_blob_lookup(&blob, t->repo, git_tree_entry_id(entry));
        *found = rc == 0;
        if (rc)
            trace_git_error(e, ERR_trace_content, "cannot read %s of %s", path, commit);
        else
            add_blob(blob, path, out);
    } else if (rc && rc != GIT_ENOTFOUND) {
        trace_git_error(e, ERR_trace_content, "cannot read %s of %s", path, commit);
    } else {
        rc = 0;
    }
    git_blob_free(blob);
    git_tree_entry_free(entry);
    git_tree_free(tree);
    return rc ? -1 : 0;
}

struct list {
    struct arena *arena;
    struct strs *out;
    const char *under;
};

static int list_entry(const char *folder, const git_tree_entry *entry, void *ctx)
{
    struct list *l = ctx;
    if (git_tree_entry_type(entry) == GIT_OBJECT_BLOB)
        strs_push(l->out,
                  arena_printf(l->arena, "%s%s%s", l->under, folder, git_tree_entry_name(entry)));
    return 0;
}

static int list_folder(struct trace *t, const git_tree *tree, const char *under, struct list *l,
                       struct err *e)
{
    git_tree_entry *entry = NULL;
    git_tree *folder = NULL;
    int rc = git_tree_entry_bypath(&entry, tree, under);
    if (rc == 0 && git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
        l->under = arena_printf(l->arena, "%s/", under);
        rc = git_tree_lookup(&folder, t->repo, git_tree_entry_id(entry));
        if (rc == 0)
            rc = git_tree_walk(folder, GIT_TREEWALK_PRE, list_entry, l);
    }
    git_tree_free(folder);
    git_tree_entry_free(entry);
    return rc && rc != GIT_ENOTFOUND
               ? trace_git_error(e, ERR_trace_content, "cannot list %s", under)
               : 0;
}

int trace_list(struct trace *t, const char *commit, const char *under, struct arena *arena,
               struct strs *out, struct err *e)
{
    struct list l = {arena, out, ""};
    git_tree *tree = NULL;
    size_t len = strlen(under);
    if (open_tree(t, commit, &tree, e))
        return -1;
    while (len && under[len - 1] == '/')
        len--;
    int rc = 0;
    if (len)
        rc = list_folder(t, tree, arena_strndup(arena, under, len), &l, e);
    else if (git_tree_walk(tree, GIT_TREEWALK_PRE, list_entry, &l))
        rc = trace_git_error(e, ERR_trace_content, "cannot list %s", commit);
    git_tree_free(tree);
    strs_sort(out);
    return rc;
}

static bool holds(const struct strs *list, const char *text)
{
    for (size_t i = 0; i < list->len; i++)
        if (strcmp(list->at[i], text) == 0)
            return true;
    return false;
}

static int add_targets(struct trace *t, const char *pattern, const char *marker,
                       struct arena *arena, struct strs *out)
{
    git_reference_iterator *it = NULL;
    const char *name;
    int rc = git_reference_iterator_glob_new(&it, t->repo, pattern);
    while (rc == 0 && git_reference_next_name(&name, it) == 0) {
        const char *target = strstr(name, marker);
        target = target ? trace_unsafe_ref(arena, target + strlen(marker)) : NULL;
        if (target && !holds(out, target))
            strs_push(out, target);
    }
    git_reference_iterator_free(it);
    return rc;
}

int trace_targets(struct trace *t, struct arena *arena, struct strs *out, struct err *e)
{
    if (add_targets(t, "refs/heads/spak/*", "refs/heads/spak/", arena, out) ||
        add_targets(t, "refs/remotes/*/spak/*", "/spak/", arena, out))
        return trace_git_error(e, ERR_trace_repository, "cannot list the branches");
    strs_sort(out);
    return 0;
}
