#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

/* Which objects of the store the traces name. Runs share most of their trees, so a tree or file
 * that was read for a later run is not read again for an earlier one. */

struct named_walk {
    struct trace *trace;
    struct arena *arena;
    struct strmap kept;  /* commits, by hex */
    struct strmap seen;  /* trees and files, by hex */
    struct strs commits; /* hex, latest first */
    trace_named_fn *fn;
    void *ctx;
    struct trace_named now;
    const char *top; /* below which the walk is: "out", "measure/x/nodes" */
    struct err *e;
};

static char *hex_of(struct arena *arena, const git_oid *id)
{
    char hex[GIT_OID_HEXSZ + 1];
    return arena_strdup(arena, git_oid_tostr(hex, sizeof(hex), id));
}

/* True the first time. */
static bool is_new(struct named_walk *w, struct strmap *map, const git_oid *id)
{
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof(hex), id);
    if (strmap_get(map, hex) != STRMAP_NONE)
        return false;
    strmap_set(map, arena_strdup(w->arena, hex), 1);
    return true;
}

static bool is_trace_commit(git_commit *commit)
{
    struct arena scratch = {0};
    const char *message = git_commit_message(commit);
    bool is = message && trace_trailer(&scratch, message, "Spak-Format");
    arena_release(&scratch);
    return is;
}

/* The commit that a tag or a note leads to, NULL when it is no trace. */
static git_commit *lookup_trace(struct named_walk *w, const git_oid *id)
{
    git_object *object = NULL, *commit = NULL;
    if (git_object_lookup(&object, w->trace->repo, id, GIT_OBJECT_ANY) == 0)
        git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
    git_object_free(object);
    if (commit && !is_trace_commit((git_commit *)commit)) {
        git_object_free(commit);
        commit = NULL;
    }
    return (git_commit *)commit;
}

/* A run and, at most `limit` of them (0: all), those before it. */
static void keep_history(struct named_walk *w, const git_oid *tip, size_t limit)
{
    git_commit *commit = lookup_trace(w, tip), *parent = NULL;
    for (size_t n = 1; commit; n++) {
        if (is_new(w, &w->kept, git_commit_id(commit)))
            strs_push(&w->commits, hex_of(w->arena, git_commit_id(commit)));
        else if (limit == 0)
            break; /* and with it all before it */
        bool more = (limit == 0 || n < limit) && git_commit_parent(&parent, commit, 0) == 0;
        git_commit_free(commit);
        commit = more ? parent : NULL;
    }
    git_commit_free(commit);
}

static int keep_notes(struct named_walk *w, const char *ref, size_t limit, struct err *e)
{
    git_note_iterator *it = NULL;
    git_oid note, annotated;
    int rc = git_note_iterator_new(&it, w->trace->repo, ref);
    while (rc == 0 && git_note_next(&note, &annotated, it) == 0)
        keep_history(w, &annotated, limit);
    git_note_iterator_free(it);
    return rc ? trace_git_error(e, ERR_trace_content, "cannot read the notes %s", ref) : 0;
}

/* Every run has a note of when it ran; only other notes say that somebody cares for it. */
static int keep_ref(struct named_walk *w, const char *name, size_t limit, struct err *e)
{
    git_oid id;
    if (text_starts_with(name, "refs/notes/") && strstr(name, "/spak/"))
        return limit && text_ends_with(name, "/run") ? 0 : keep_notes(w, name, limit ? 1 : 0, e);
    if (git_reference_name_to_id(&id, w->trace->repo, name))
        return 0; /* a symbolic ref that leads nowhere */
    if (text_starts_with(name, "refs/tags/"))
        keep_history(w, &id, limit ? 1 : 0);
    else if (strstr(name, "/spak/"))
        keep_history(w, &id, limit);
    return 0;
}

static int keep_refs(struct named_walk *w, size_t limit, struct err *e)
{
    git_strarray names = {0};
    int rc = 0;
    if (git_reference_list(&names, w->trace->repo))
        return trace_git_error(e, ERR_trace_repository, "cannot list the branches");
    for (size_t i = 0; rc == 0 && i < names.count; i++)
        rc = keep_ref(w, names.strings[i], limit, e);
    git_strarray_dispose(&names);
    return rc;
}

struct lost_commit {
    const char *hex;
    int64_t time;
};
struct lost_commits {
    struct named_walk *w;
    git_odb *odb;
    struct lost_commit *at;
    size_t len;
};

static int consider_object(const git_oid *id, void *payload)
{
    struct lost_commits *lost = payload;
    git_commit *commit = NULL;
    git_object_t type;
    size_t size;
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof(hex), id);
    if (git_odb_read_header(&size, &type, lost->odb, id) || type != GIT_OBJECT_COMMIT ||
        strmap_get(&lost->w->kept, hex) != STRMAP_NONE ||
        git_commit_lookup(&commit, lost->w->trace->repo, id))
        return 0;
    if (is_trace_commit(commit)) {
        lost->at = xrealloc(lost->at, (lost->len + 1) * sizeof(*lost->at));
        lost->at[lost->len++] =
            (struct lost_commit){arena_strdup(lost->w->arena, hex), git_commit_time(commit)};
    }
    git_commit_free(commit);
    return 0;
}

static int later_first(const void *a, const void *b)
{
    const struct lost_commit *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? 1 : -1;
    return strcmp(x->hex, y->hex);
}

/* Runs that no ref keeps are still there until git collects them, and remember what they made. */
static int find_lost(struct named_walk *w, struct err *e)
{
    struct lost_commits lost = {.w = w};
    strs_release(&w->commits);
    if (git_repository_odb(&lost.odb, w->trace->repo) ||
        git_odb_foreach(lost.odb, consider_object, &lost))
        trace_git_error(e, ERR_trace_repository, "cannot list the commits");
    if (lost.len)
        qsort(lost.at, lost.len, sizeof(*lost.at), later_first);
    for (size_t i = 0; i < lost.len; i++)
        strs_push(&w->commits, lost.at[i].hex);
    free(lost.at);
    git_odb_free(lost.odb);
    return e->set ? -1 : 0;
}

static bool cut_word(struct str *line, struct str *word)
{
    size_t at = line->len;
    while (at > 0 && line->ptr[at - 1] != ' ')
        at--;
    if (at == 0)
        return false;
    *word = (struct str){line->ptr + at, line->len - at};
    line->len = at - 1;
    return true;
}

static bool is_word(struct str s, const char *word)
{
    return str_equal(s, str_of(word));
}

/* "out PATH DIGEST BYTES[ folder| executable]", "log DIGEST BYTES" */
static bool parse_line(struct arena *arena, struct str line, struct trace_named *out)
{
    struct str word, digest;
    bool log = line.len > 4 && memcmp(line.ptr, "log ", 4) == 0;
    if (!log && (line.len <= 4 || memcmp(line.ptr, "out ", 4) != 0))
        return false;
    out->folder = false;
    if (!cut_word(&line, &word))
        return false;
    out->folder = is_word(word, "folder");
    if ((out->folder || is_word(word, "executable")) && !cut_word(&line, &word))
        return false;
    if (!cut_word(&line, &digest) || digest.len != DIGEST_HEX_LEN)
        return false;
    out->path = log || line.len <= 4 ? "" : arena_strndup(arena, line.ptr + 4, line.len - 4);
    return digest_from_hex(arena_strndup(arena, digest.ptr, digest.len), &out->digest);
}

static int tell_file(struct named_walk *w, const char *path, const git_oid *id)
{
    git_blob *blob = NULL;
    struct arena scratch = {0};
    struct str rest, line;
    int rc = 0;
    if (git_blob_lookup(&blob, w->trace->repo, id))
        return trace_git_error(w->e, ERR_trace_content, "%s of the trace is missing", path);
    rest = (struct str){git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)};
    w->now.node = path;
    while (rc == 0 && str_split(&rest, '\n', &line))
        if (parse_line(&scratch, line, &w->now))
            rc = w->fn(w->ctx, &w->now, w->e);
    git_blob_free(blob);
    arena_release(&scratch);
    return rc;
}

/* 1 passes over a folder, -1 ends the walk. */
static int visit(const char *folder, const git_tree_entry *entry, void *payload)
{
    struct named_walk *w = payload;
    struct arena scratch = {0};
    const char *name = git_tree_entry_name(entry);
    if (!*folder && strcmp(w->top, "out") == 0 && strcmp(name, "files") == 0)
        return 1; /* texts of a stranger's making */
    if (!is_new(w, &w->seen, git_tree_entry_id(entry)))
        return 1;
    int rc = 0;
    if (git_tree_entry_type(entry) == GIT_OBJECT_BLOB)
        rc = tell_file(w, arena_printf(&scratch, "%s%s", folder, name), git_tree_entry_id(entry));
    arena_release(&scratch);
    return rc;
}

static int walk_below(struct named_walk *w, const git_tree *top, const char *path)
{
    git_tree_entry *entry = NULL;
    git_tree *tree = NULL;
    int rc = git_tree_entry_bypath(&entry, top, path);
    if (rc == 0 && git_tree_entry_type(entry) == GIT_OBJECT_TREE &&
        is_new(w, &w->seen, git_tree_entry_id(entry))) {
        w->top = path;
        rc = git_tree_lookup(&tree, w->trace->repo, git_tree_entry_id(entry));
        if (rc == 0)
            rc = git_tree_walk(tree, GIT_TREEWALK_PRE, visit, w);
        if (rc && !w->e->set)
            trace_git_error(w->e, ERR_trace_content, "cannot read %s of %s", path, w->now.commit);
    }
    git_tree_free(tree);
    git_tree_entry_free(entry);
    return w->e->set ? -1 : 0;
}

static int walk_machines(struct named_walk *w, const git_tree *top)
{
    git_tree_entry *entry = NULL;
    git_tree *machines = NULL;
    int rc = 0;
    if (git_tree_entry_bypath(&entry, top, "measure") == 0 &&
        git_tree_entry_type(entry) == GIT_OBJECT_TREE &&
        git_tree_lookup(&machines, w->trace->repo, git_tree_entry_id(entry)) == 0)
        for (size_t i = 0; rc == 0 && i < git_tree_entrycount(machines); i++) {
            const char *name = git_tree_entry_name(git_tree_entry_byindex(machines, i));
            rc = walk_below(w, top, arena_printf(w->arena, "measure/%s/nodes", name));
        }
    git_tree_free(machines);
    git_tree_entry_free(entry);
    return rc;
}

static int walk_commit(struct named_walk *w, const char *hex)
{
    git_commit *commit = NULL;
    git_tree *tree = NULL;
    git_oid id;
    int rc = 0;
    if (git_oid_fromstr(&id, hex) || git_commit_lookup(&commit, w->trace->repo, &id) ||
        git_commit_tree(&tree, commit))
        rc = trace_git_error(w->e, ERR_trace_content, "cannot read the trace %s", hex);
    if (rc == 0) {
        const char *subject = git_commit_summary(commit);
        w->now = (struct trace_named){.commit = hex, .time = git_commit_time(commit)};
        w->now.subject = arena_strdup(w->arena, subject ? subject : "");
        rc = walk_below(w, tree, "out");
    }
    if (rc == 0)
        rc = walk_machines(w, tree);
    git_tree_free(tree);
    git_commit_free(commit);
    return rc;
}

static int walk_commits(struct named_walk *w)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->commits.len; i++)
        rc = walk_commit(w, w->commits.at[i]);
    strs_release(&w->commits);
    strmap_release(&w->kept);
    strmap_release(&w->seen);
    return rc;
}

int trace_named_by(struct trace *t, const char *commit, struct arena *arena, trace_named_fn *fn,
                   void *ctx, struct err *e)
{
    struct named_walk w = {.trace = t, .arena = arena, .fn = fn, .ctx = ctx, .e = e};
    strs_push(&w.commits, commit);
    return walk_commits(&w);
}

int trace_named_kept(struct trace *t, size_t keep, bool lost, struct arena *arena,
                     trace_named_fn *fn, void *ctx, struct err *e)
{
    struct named_walk w = {.trace = t, .arena = arena, .fn = fn, .ctx = ctx, .e = e};
    int rc = keep_refs(&w, keep, e);
    if (rc == 0 && lost)
        rc = find_lost(&w, e);
    if (rc == 0)
        return walk_commits(&w);
    strs_release(&w.commits);
    strmap_release(&w.kept);
    return rc;
}
