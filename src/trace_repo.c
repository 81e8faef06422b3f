#include "trace_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* GIT_EOWNER, by value: libgit2 before 1.4.3 has no name for it. */
#define OWNER_REFUSED (-36)
#define TREE_CACHE_BYTES (16 << 20)

int trace_git_error(struct err *e, enum err_code code, const char *fmt, ...)
{
    const git_error *why = git_error_last();
    struct buf text = {0};
    va_list args;
    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    if (why && why->message && *why->message)
        buf_addf(&text, ": %s", why->message);
    err_set(e, code, "%s", buf_text(&text));
    buf_release(&text);
    return -1;
}

bool trace_is_off(const char *trace_to)
{
    return trace_to && strcmp(trace_to, "off") == 0;
}

static bool env_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

/* GIT_WORK_TREE is honoured by hand: libgit2 before 1.7 refuses to open from an environment that
 * has it. */
static int open_from_env(const char *root, git_repository **out)
{
    int rc = git_repository_open_ext(out, getenv("GIT_DIR"), GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (rc)
        return rc;
    if (env_set("GIT_WORK_TREE"))
        return git_repository_set_workdir(*out, getenv("GIT_WORK_TREE"), 0);
    if (!git_repository_workdir(*out))
        return git_repository_set_workdir(*out, root, 0);
    return 0;
}

static int open_around(const char *root, git_repository **out, struct err *e)
{
    *out = NULL;
    int rc = env_set("GIT_DIR")
                 ? open_from_env(root, out)
                 : git_repository_open_ext(out, root, GIT_REPOSITORY_OPEN_FROM_ENV, NULL);
    if (rc == 0)
        return 0;
    git_repository_free(*out);
    *out = NULL;
    if (rc == GIT_ENOTFOUND && !env_set("GIT_DIR"))
        return 0;
    trace_git_error(e, ERR_trace_repository, "cannot open the git repository around %s", root);
    if (rc == OWNER_REFUSED)
        return err_hint(e,
                        "it belongs to another user; if you trust it: git config --global --add "
                        "safe.directory %s",
                        root);
    return err_hint(e, "repair it, or build without a trace: trace_to \"off\"");
}

/* The project's folder below the work tree; NULL when it is not below it. */
static char *find_prefix(const char *root, git_repository *repo)
{
    char top[PATH_MAX], here[PATH_MAX];
    const char *workdir = git_repository_workdir(repo);
    if (!workdir || !realpath(workdir, top) || !realpath(root, here))
        return NULL;
    size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (strncmp(here, top, len) != 0 || (here[len] && here[len] != '/'))
        return NULL;
    struct buf prefix = {0};
    buf_addstr(&prefix, here[len] ? here + len + 1 : "");
    if (prefix.len)
        buf_addch(&prefix, '/');
    char *text = xstrdup(buf_text(&prefix));
    buf_release(&prefix);
    return text;
}

static bool head_holds(git_repository *repo, const char *prefix)
{
    git_object *tree = NULL;
    git_tree_entry *entry = NULL;
    struct buf path = {0};
    buf_add(&path, prefix, strlen(prefix) - 1);
    bool holds = git_revparse_single(&tree, repo, "HEAD^{tree}") == 0 &&
                 git_tree_entry_bypath(&entry, (git_tree *)tree, path.ptr) == 0;
    git_tree_entry_free(entry);
    git_object_free(tree);
    buf_release(&path);
    return holds;
}

/* A scratch project in an ignored folder of a larger repository has nothing to do with that
 * repository. */
static bool belongs(git_repository *repo, const char *prefix)
{
    int ignored = 0;
    if (!*prefix || head_holds(repo, prefix))
        return true;
    return git_ignore_path_is_ignored(&ignored, repo, prefix) == 0 && !ignored;
}

static int attach_source(struct trace *t, const char *root, struct err *e)
{
    if (open_around(root, &t->source, e))
        return -1;
    t->prefix = t->source ? find_prefix(root, t->source) : NULL;
    if (t->source && (!t->prefix || !belongs(t->source, t->prefix))) {
        git_repository_free(t->source);
        t->source = NULL;
    }
    if (!t->source) {
        free(t->prefix);
        t->prefix = xstrdup("");
    }
    return 0;
}

static int open_own(struct trace *t, const char *path, bool create, struct err *e)
{
    t->where = xstrdup(path);
    int rc = git_repository_open_ext(&t->repo, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (rc == 0)
        return 0;
    if (rc != GIT_ENOTFOUND)
        return trace_git_error(e, ERR_trace_repository, "cannot open the trace's repository %s",
                               path);
    if (!create) {
        err_set(e, ERR_trace_revision, "there is no trace yet: %s does not exist", path);
        return err_hint(e, "`spak build TARGET` makes one");
    }
    if (git_repository_init(&t->repo, path, 1))
        return trace_git_error(e, ERR_trace_repository, "cannot make the trace's repository %s",
                               path);
    return 0;
}

static int choose_repository(struct trace *t, const char *root, const char *out_dir,
                             const char *trace_to, bool create, struct err *e)
{
    bool elsewhere = trace_to && *trace_to;
    if (t->source && !elsewhere) {
        t->repo = t->source;
        t->where = xstrdup("");
        return 0;
    }
    struct arena scratch = {0};
    const char *own = elsewhere ? trace_to : arena_printf(&scratch, "%s/.spak/trace.git", out_dir);
    int rc = open_own(t, os_join(&scratch, root, own), create, e);
    arena_release(&scratch);
    return rc;
}

struct trace *trace_find(const char *root, const char *out_dir, const char *trace_to, bool create,
                         struct err *e)
{
    struct trace *t = xcalloc(1, sizeof(*t));
    if (git_libgit2_init() < 0) {
        trace_git_error(e, ERR_trace_repository, "libgit2 does not start");
        free(t);
        return NULL;
    }
    /* Trees above 4 KiB are parsed anew at each look by default, and a folder of 10,000 nodes is
     * looked at for each of them. */
    git_libgit2_opts(GIT_OPT_SET_CACHE_OBJECT_LIMIT, GIT_OBJECT_TREE, (size_t)TREE_CACHE_BYTES);
    if (attach_source(t, root, e) || choose_repository(t, root, out_dir, trace_to, create, e)) {
        trace_close(t);
        return NULL;
    }
    return t;
}

struct trace *trace_open(const char *root, const char *out_dir, const char *trace_to, struct err *e)
{
    if (!trace_is_off(trace_to))
        return trace_find(root, out_dir, trace_to, false, e);
    err_set(e, ERR_trace_repository, "the spakfile turns the trace off");
    err_hint(e, "take `trace_to \"off\"` out of the spakfile");
    return NULL;
}

void trace_close(struct trace *t)
{
    if (!t)
        return;
    if (t->source != t->repo)
        git_repository_free(t->source);
    git_repository_free(t->repo);
    free(t->prefix);
    free(t->where);
    free(t);
    git_libgit2_shutdown();
}

static int64_t commit_seconds(int *offset_minutes)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    *offset_minutes = 0;
    long long seconds = epoch && *epoch ? strtoll(epoch, &end, 10) : -1;
    if (end && *end == 0 && seconds >= 0)
        return seconds;
    git_signature *now = NULL;
    if (git_signature_now(&now, "spak", "spak@localhost"))
        return os_wall_ns() / 1000000000;
    seconds = now->when.time;
    *offset_minutes = now->when.offset;
    git_signature_free(now);
    return seconds;
}

int trace_identity(git_repository *repo, const char *role, git_signature **out, struct err *e)
{
    int offset;
    int64_t seconds = commit_seconds(&offset);
    git_signature *configured = NULL;
    struct arena scratch = {0};
    const char *name = getenv(arena_printf(&scratch, "GIT_%s_NAME", role));
    const char *mail = getenv(arena_printf(&scratch, "GIT_%s_EMAIL", role));
    if (git_signature_default(&configured, repo))
        configured = NULL;
    if (!name || !*name)
        name = configured ? configured->name : "spak";
    if (!mail || !*mail)
        mail = configured ? configured->email : "spak@localhost";
    int rc = git_signature_new(out, name, mail, seconds, offset);
    if (rc)
        rc = git_signature_new(out, "spak", "spak@localhost", seconds, offset);
    git_signature_free(configured);
    arena_release(&scratch);
    return rc ? trace_git_error(e, ERR_trace_repository, "cannot make the commit's identity") : 0;
}
