#include "trace_parts.h"

#include <string.h>

/* git holds no ref beside one whose name it begins with. libgit2 looks for that only outside of
 * transactions. */
static int refuse_neighbour(const char *name, const char *other, struct err *e)
{
    err_set(e, ERR_trace_ref, "%s cannot be made beside %s: one name begins with the other", name,
            other);
    return err_hint(e, "rename the branch that is there: git branch -m %s NEW",
                    text_starts_with(other, "refs/heads/") ? other + strlen("refs/heads/") : other);
}

static int check_neighbours(git_repository *repo, const char *name, struct arena *arena,
                            struct err *e)
{
    git_reference_iterator *it = NULL;
    const char *below;
    git_oid id;
    for (const char *p = strchr(name + strlen("refs/"), '/'); p; p = strchr(p + 1, '/')) {
        char *above = arena_strndup(arena, name, (size_t)(p - name));
        if (git_reference_name_to_id(&id, repo, above) == 0)
            return refuse_neighbour(name, above, e);
    }
    const char *prefix = arena_printf(arena, "%s/", name);
    if (git_reference_iterator_new(&it, repo))
        return trace_git_error(e, ERR_trace_ref, "cannot list the refs");
    int rc = 0;
    while (rc == 0 && git_reference_next_name(&below, it) == 0)
        if (text_starts_with(below, prefix))
            rc = refuse_neighbour(name, arena_strdup(arena, below), e);
    git_reference_iterator_free(it);
    return rc;
}

/* Whether the ref is where the caller saw it. The lock is held, so it stays there. */
static bool still_at(git_repository *repo, const char *name, const git_oid *from)
{
    git_reference *ref = NULL;
    int rc = git_reference_lookup(&ref, repo, name);
    bool same = from ? rc == 0 && git_reference_type(ref) == GIT_REFERENCE_DIRECT &&
                           git_oid_equal(git_reference_target(ref), from)
                     : rc == GIT_ENOTFOUND;
    git_reference_free(ref);
    return same;
}

static int move_locked(git_repository *repo, git_transaction *tx, const char *name,
                       const git_oid *from, const git_oid *to, const char *why, bool *lost,
                       struct err *e)
{
    git_signature *who = NULL;
    *lost = !still_at(repo, name, from);
    if (*lost)
        return 0;
    if (trace_identity(repo, "COMMITTER", &who, e))
        return -1;
    int rc = git_transaction_set_target(tx, name, to, who, why);
    if (rc == 0)
        rc = git_transaction_commit(tx);
    git_signature_free(who);
    return rc ? trace_git_error(e, ERR_trace_ref, "cannot move %s", name) : 0;
}

/* A transaction and not git_reference_create: that one looks for the ref before it takes the lock,
 * so two that create the same ref at once would both succeed, and one commit would be lost. */
int trace_move_ref(git_repository *repo, const char *name, const git_oid *from, const git_oid *to,
                   const char *why, bool *lost, struct err *e)
{
    git_transaction *tx = NULL;
    struct arena scratch = {0};
    *lost = false;
    int rc = from ? 0 : check_neighbours(repo, name, &scratch, e);
    arena_release(&scratch);
    if (rc)
        return rc;
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    rc = git_transaction_new(&tx, repo);
    if (rc == 0)
        rc = git_transaction_lock_ref(tx, name);
    if (rc == GIT_ELOCKED)
        *lost = true;
    else if (rc)
        trace_git_error(e, ERR_trace_ref, "cannot lock %s", name);
    else
        rc = move_locked(repo, tx, name, from, to, why, lost, e);
    git_transaction_free(tx);
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0);
    return *lost ? 0 : rc;
}
