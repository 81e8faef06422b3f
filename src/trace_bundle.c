#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

/* A git bundle is a header of refs and one pack behind it, so that git fetch reads what is written
 * here, and what git bundle create writes can be read. */

#define MAGIC "# v2 git bundle\n"
#define REFS_MAX 16

static int add_to_buf(void *bytes, size_t len, void *payload)
{
    buf_add(payload, bytes, len);
    return 0;
}

static int add_tip(git_revwalk *walk, const char *name, const git_oid *id, struct buf *header)
{
    char hex[GIT_OID_HEXSZ + 1];
    buf_addf(header, "%s %s\n", git_oid_tostr(hex, sizeof(hex), id), name);
    return git_revwalk_push(walk, id);
}

static int add_notes(git_revwalk *walk, git_repository *repo, struct buf *header)
{
    git_reference_iterator *it = NULL;
    const char *name;
    git_oid id;
    int rc = git_reference_iterator_glob_new(&it, repo, "refs/notes/spak/*");
    while (rc == 0 && git_reference_next_name(&name, it) == 0)
        if (git_reference_name_to_id(&id, repo, name) == 0)
            rc = add_tip(walk, name, &id, header);
    git_reference_iterator_free(it);
    return rc;
}

int trace_bundle(struct trace *t, const char *target, const char *commit, struct buf *out,
                 struct err *e)
{
    struct arena scratch = {0};
    git_packbuilder *pack = NULL;
    git_revwalk *walk = NULL;
    git_oid tip;
    size_t start = out->len;
    buf_addstr(out, MAGIC);
    int rc = git_oid_fromstr(&tip, commit);
    if (rc == 0)
        rc = git_packbuilder_new(&pack, t->repo);
    if (rc == 0)
        rc = git_revwalk_new(&walk, t->repo);
    if (rc == 0)
        rc = add_tip(walk, trace_ref_name(&scratch, target), &tip, out);
    if (rc == 0)
        rc = add_notes(walk, t->repo, out);
    buf_addch(out, '\n');
    if (rc == 0)
        rc = git_packbuilder_insert_walk(pack, walk);
    if (rc == 0)
        rc = git_packbuilder_foreach(pack, add_to_buf, out);
    git_revwalk_free(walk);
    git_packbuilder_free(pack);
    arena_release(&scratch);
    if (rc == 0)
        return 0;
    out->len = start;
    return trace_git_error(e, ERR_trace_repository, "cannot bundle the trace of %s", target);
}

struct bundle_ref {
    git_oid id;
    const char *name;
};
struct bundle {
    struct bundle_ref refs[REFS_MAX];
    size_t count;
    struct str pack;
};

static int refuse(struct err *e, const char *why)
{
    err_set(e, ERR_trace_content, "the bundle cannot be taken in: %s", why);
    return err_hint(e, "`spak bundle` makes one; `git bundle list-heads` shows what it holds");
}

static int parse_ref(struct bundle *b, struct arena *arena, struct str line, struct err *e)
{
    struct bundle_ref *ref = &b->refs[b->count];
    if (line.len > 0 && *line.ptr == '-')
        return refuse(e, "it builds on commits that it does not hold");
    if (b->count == REFS_MAX)
        return refuse(e, "it has too many refs");
    if (line.len < GIT_OID_HEXSZ + 2 || line.ptr[GIT_OID_HEXSZ] != ' ' ||
        git_oid_fromstrn(&ref->id, line.ptr, GIT_OID_HEXSZ))
        return refuse(e, "its header is damaged");
    ref->name = arena_strndup(arena, line.ptr + GIT_OID_HEXSZ + 1, line.len - GIT_OID_HEXSZ - 1);
    int valid = 0;
    if (git_reference_name_is_valid(&valid, ref->name) || !valid ||
        (!text_starts_with(ref->name, "refs/heads/spak/") &&
         !text_starts_with(ref->name, "refs/notes/spak/")))
        return refuse(e, "it holds a ref that is no trace's");
    b->count++;
    return 0;
}

static int parse_bundle(struct bundle *b, struct arena *arena, struct str text, struct err *e)
{
    struct str line;
    size_t magic = strlen(MAGIC);
    if (text.len < magic || memcmp(text.ptr, MAGIC, magic) != 0)
        return refuse(e, "it is no git bundle of version 2");
    text.ptr += magic;
    text.len -= magic;
    while (str_split(&text, '\n', &line)) {
        if (line.len == 0) {
            b->pack = text;
            return b->count ? 0 : refuse(e, "it holds no branch");
        }
        if (parse_ref(b, arena, line, e))
            return -1;
    }
    return refuse(e, "its header is damaged");
}

static int write_pack(git_repository *repo, struct str pack, struct err *e)
{
    git_odb *odb = NULL;
    git_odb_writepack *writer = NULL;
    git_indexer_progress progress = {0};
    int rc = git_repository_odb(&odb, repo);
    if (rc == 0)
        rc = git_odb_write_pack(&writer, odb, NULL, NULL);
    if (rc == 0)
        rc = writer->append(writer, pack.ptr, pack.len, &progress);
    if (rc == 0)
        rc = writer->commit(writer, &progress);
    if (writer)
        writer->free(writer);
    git_odb_free(odb);
    return rc ? trace_git_error(e, ERR_trace_content, "the bundle's objects are damaged") : 0;
}

/* Every run of the bundle down to what was here before, each with its tree. */
static int check_history(struct trace *t, const struct bundle_ref *ref, struct arena *arena,
                         struct err *e)
{
    git_commit *commit = NULL, *parent = NULL;
    git_tree *tree = NULL;
    int rc = git_commit_lookup(&commit, t->repo, &ref->id);
    while (rc == 0 && commit) {
        const char *target = trace_trailer(arena, git_commit_message(commit), "Spak-Target");
        if (!target || strcmp(trace_ref_name(arena, target), ref->name) != 0) {
            git_commit_free(commit);
            return refuse(e, "a commit on its branch is no trace of that target");
        }
        rc = git_commit_tree(&tree, commit);
        git_tree_free(tree);
        tree = NULL;
        parent = NULL;
        if (rc == 0 && git_commit_parentcount(commit) > 0)
            rc = git_commit_parent(&parent, commit, 0);
        git_commit_free(commit);
        commit = parent;
    }
    git_commit_free(commit);
    return rc ? trace_git_error(e, ERR_trace_content, "the bundle's history is not whole") : 0;
}

static int refuse_diverged(const char *name, const git_oid *theirs, struct err *e)
{
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof(hex), theirs);
    const char *branch = name + strlen("refs/heads/");
    err_set(e, ERR_trace_ref, "%s has runs that the bundle lacks, and the bundle has others",
            branch);
    return err_hint(e, "its runs are here now: git branch %s-theirs %.12s keeps them beside yours",
                    branch, hex);
}

static int take_branch(struct trace *t, const struct bundle_ref *ref, struct arena *arena,
                       struct trace_taken *out, struct err *e)
{
    char hex[GIT_OID_HEXSZ + 1];
    git_reference *branch = NULL;
    git_oid ours;
    bool lost = false;
    if (check_history(t, ref, arena, e))
        return -1;
    out->ref = ref->name + strlen("refs/heads/");
    out->commit = arena_strdup(arena, git_oid_tostr(hex, sizeof(hex), &ref->id));
    bool exists = git_reference_lookup(&branch, t->repo, ref->name) == 0 &&
                  git_reference_name_to_id(&ours, t->repo, ref->name) == 0;
    bool checked_out = exists && git_branch_is_checked_out(branch) == 1;
    git_reference_free(branch);
    if (exists &&
        (git_oid_equal(&ours, &ref->id) || git_graph_descendant_of(t->repo, &ours, &ref->id) == 1))
        return 0;
    if (exists && git_graph_descendant_of(t->repo, &ref->id, &ours) != 1)
        return refuse_diverged(ref->name, &ref->id, e);
    if (checked_out) {
        err_set(e, ERR_trace_ref, "%s is checked out: taking the bundle in would move HEAD",
                out->ref);
        return err_hint(e, "switch to another branch (git switch -)");
    }
    if (trace_move_ref(t->repo, ref->name, exists ? &ours : NULL, &ref->id, "spak: unbundle", &lost,
                       e))
        return -1;
    if (lost)
        return err_set(e, ERR_trace_ref, "%s moved at the same time", out->ref);
    out->moved = true;
    return 0;
}

static bool has_line(struct str text, struct str line)
{
    struct str have;
    while (str_split(&text, '\n', &have))
        if (str_equal(have, line))
            return true;
    return false;
}

static int merge_note(struct trace *t, const char *ref, const git_oid *commit, git_note *theirs,
                      struct err *e)
{
    char hex[GIT_OID_HEXSZ + 1];
    struct arena scratch = {0};
    git_note *ours = NULL;
    struct str rest = str_of(git_note_message(theirs)), line;
    int rc = 0;
    if (git_note_read(&ours, t->repo, ref, commit))
        ours = NULL;
    git_oid_tostr(hex, sizeof(hex), commit);
    while (rc == 0 && str_split(&rest, '\n', &line))
        if (line.len && !(ours && has_line(str_of(git_note_message(ours)), line)))
            rc = trace_note_add(t, ref + strlen("refs/notes/spak/"), hex,
                                arena_strndup(&scratch, line.ptr, line.len), e);
    git_note_free(ours);
    arena_release(&scratch);
    return rc;
}

static int merge_notes(struct trace *t, const struct bundle_ref *ref, struct err *e)
{
    git_commit *notes = NULL;
    git_note_iterator *it = NULL;
    git_note *note = NULL;
    git_oid id, annotated;
    int rc = git_commit_lookup(&notes, t->repo, &ref->id);
    if (rc == 0)
        rc = git_note_commit_iterator_new(&it, notes);
    while (rc == 0 && !e->set && git_note_next(&id, &annotated, it) == 0) {
        rc = git_note_commit_read(&note, t->repo, notes, &annotated);
        if (rc == 0)
            merge_note(t, ref->name, &annotated, note, e);
        git_note_free(note);
        note = NULL;
    }
    git_note_iterator_free(it);
    git_commit_free(notes);
    if (rc)
        return trace_git_error(e, ERR_trace_content, "the bundle's notes %s are damaged",
                               ref->name);
    return e->set ? -1 : 0;
}

static int take_notes(struct trace *t, const struct bundle_ref *ref, struct err *e)
{
    git_oid ours;
    bool lost = false;
    bool exists = git_reference_name_to_id(&ours, t->repo, ref->name) == 0;
    if (exists && git_oid_equal(&ours, &ref->id))
        return 0;
    if (exists && git_graph_descendant_of(t->repo, &ref->id, &ours) != 1)
        return merge_notes(t, ref, e);
    return trace_move_ref(t->repo, ref->name, exists ? &ours : NULL, &ref->id, "spak: unbundle",
                          &lost, e);
}

int trace_unbundle(struct trace *t, struct str bundle, struct arena *arena, struct trace_taken *out,
                   struct err *e)
{
    struct bundle b = {0};
    *out = (struct trace_taken){0};
    int rc = parse_bundle(&b, arena, bundle, e);
    if (rc == 0)
        rc = write_pack(t->repo, b.pack, e);
    for (size_t i = 0; rc == 0 && i < b.count; i++)
        if (text_starts_with(b.refs[i].name, "refs/heads/"))
            rc = take_branch(t, &b.refs[i], arena, out, e);
    for (size_t i = 0; rc == 0 && i < b.count; i++)
        if (text_starts_with(b.refs[i].name, "refs/notes/"))
            rc = take_notes(t, &b.refs[i], e);
    if (rc == 0 && !out->ref)
        return refuse(e, "it holds no branch");
    return rc;
}

int trace_create(const char *root, struct err *e)
{
    git_repository *repo = NULL;
    git_libgit2_init();
    int rc = git_repository_open_ext(&repo, root, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (rc == GIT_ENOTFOUND)
        rc = git_repository_init(&repo, root, 0);
    if (rc)
        trace_git_error(e, ERR_trace_repository, "cannot make a git repository in %s", root);
    git_repository_free(repo);
    git_libgit2_shutdown();
    return rc ? -1 : 0;
}

static int write_index(git_repository *repo, git_tree *tree)
{
    git_index *index = NULL;
    int rc = git_repository_index(&index, repo);
    if (rc == 0)
        rc = git_index_read_tree(index, tree);
    if (rc == 0)
        rc = git_index_write(index);
    git_index_free(index);
    return rc;
}

int trace_adopt(struct trace *t, const char *commit, struct err *e)
{
    struct arena scratch = {0};
    git_signature *author = NULL, *committer = NULL;
    git_object *tree = NULL;
    git_oid id;
    const char *spec = arena_printf(&scratch, "%s:src", commit);
    const char *message = arena_printf(&scratch, "sources of the trace %.12s\n", commit);
    int rc = 0;
    if (git_repository_head_unborn(t->repo) != 1)
        return 0;
    if (trace_identity(t->repo, "AUTHOR", &author, e) == 0 &&
        trace_identity(t->repo, "COMMITTER", &committer, e) == 0) {
        rc = git_revparse_single(&tree, t->repo, spec);
        if (rc == 0)
            rc = git_commit_create_v(&id, t->repo, "HEAD", author, committer, NULL, message,
                                     (git_tree *)tree, 0);
        if (rc == 0)
            rc = write_index(t->repo, (git_tree *)tree);
        if (rc)
            trace_git_error(e, ERR_trace_repository, "cannot commit the sources of %s", commit);
    }
    git_object_free(tree);
    git_signature_free(author);
    git_signature_free(committer);
    arena_release(&scratch);
    return e->set ? -1 : 0;
}
