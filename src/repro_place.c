#include "repro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A study is some thousand files; these leave room for a hundred times that and end before a disk
 * does. */
static const struct trace_limits limits = {.entries = 200000, .depth = 64, .bytes = 4ull << 30};

static int fresh_folder(const char *keep, struct arena *arena, char **top, struct err *e)
{
    struct strs names = {0};
    const char *tmp = getenv("TMPDIR");
    if (!keep) {
        *top = arena_printf(arena, "%s/spak-reproduce-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
        return mkdtemp(*top)
                   ? 0
                   : err_errno(e, ERR_os, "cannot make a folder in %s", tmp ? tmp : "/tmp");
    }
    if (os_mkdirs(keep, e) || os_list(keep, arena, &names, e))
        return -1;
    bool empty = names.len == 0;
    strs_release(&names);
    *top = arena_strdup(arena, keep);
    if (empty)
        return 0;
    err_set(e, ERR_usage, "--keep %s: the folder is not empty", keep);
    return err_hint(e, "a reproduction starts from nothing; name a folder that is not there yet");
}

int repro_place(const char *keep, struct arena *arena, struct repro_place *out, struct err *e)
{
    char *top = NULL;
    *out = (struct repro_place){.keep = keep != NULL};
    if (fresh_folder(keep, arena, &top, e))
        return -1;
    out->top = os_realpath(arena, top, e);
    if (!out->top)
        return -1;
    out->project = arena_printf(arena, "%s/src", out->top);
    return os_mkdirs(out->project, e) || os_mkdirs(arena_printf(arena, "%s/home", out->top), e) ? -1
                                                                                                : 0;
}

void repro_remove(const struct repro_place *place)
{
    struct err ignored = {0};
    if (place->top && !place->keep && os_remove(place->top, &ignored))
        err_release(&ignored);
}

/* Git as it comes out of the box: nobody's configuration, hooks, helpers or prompts. */
static void closed_environment(const struct repro_place *place, struct arena *arena,
                               struct strs *env)
{
    static const char *const passed[] = {"PATH", "SSH_AUTH_SOCK", "https_proxy", "http_proxy",
                                         "TMPDIR"};
    static const char *const fixed[] = {"GIT_CONFIG_NOSYSTEM=1",
                                        "GIT_CONFIG_GLOBAL=/dev/null",
                                        "GIT_TERMINAL_PROMPT=0",
                                        "GIT_ASKPASS=/bin/false",
                                        "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
                                        "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh",
                                        "GIT_ATTR_NOSYSTEM=1",
                                        "GIT_NO_REPLACE_OBJECTS=1",
                                        "LC_ALL=C"};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        strs_push(env, fixed[i]);
    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        if (getenv(passed[i]))
            strs_push(env, arena_printf(arena, "%s=%s", passed[i], getenv(passed[i])));
    strs_push(env, arena_printf(arena, "HOME=%s/home", place->top));
}

static int fetch_failed(const char *from, const struct buf *words, struct err *e)
{
    struct arena scratch = {0};
    struct str text = str_trim((struct str){buf_text(words), words->len});
    const char *line = arena_strndup(&scratch, text.ptr, text.len > 600 ? 600 : text.len);
    err_set(e, ERR_trace_fetch, "cannot fetch from %s: %s", from,
            *line ? line : "git says nothing");
    err_hint(e, "name a repository's address or path, or a bundle made with `git bundle create`");
    arena_release(&scratch);
    return -1;
}

/* Runs git to the end; what it says is only kept for the error. */
static int run_git(const struct repro_place *place, const char *from, const char *const *argv,
                   struct arena *arena, struct err *e)
{
    struct strs env = {0};
    struct buf words = {0};
    struct os_exit status = {0};
    char *log = arena_printf(arena, "%s/git.log", place->top);
    pid_t pid;
    int pidfd = -1, rc = -1, fd = -1;
    char *temp = NULL;
    closed_environment(place, arena, &env);
    struct os_spawn how = {
        .argv = argv, .env = env.at, .stdin_fd = -1, .stdout_fd = -1, .same_group = true};
    if (os_temp_open(log, 0600, &temp, &fd, e))
        goto out;
    how.stderr_fd = fd;
    rc = os_spawn(&how, &pid, &pidfd, e);
    if (rc == 0) {
        close(pidfd);
        rc = os_wait(pid, &status, e);
    }
    if (rc == 0)
        rc = os_temp_keep(log, temp, fd, false, e);
    else
        os_temp_drop(temp, fd);
    if (rc == 0 && status.code != 0)
        rc = os_read(log, &words, e) ? -1 : fetch_failed(from, &words, e);
out:
    buf_release(&words);
    strs_release(&env);
    return rc;
}

/* A path counts from where the user stands, also where a git that works elsewhere reads it. */
static int source_of(const char *from, struct arena *arena, const char **out, struct err *e)
{
    struct os_stat st;
    *out = from;
    if (*from == '-') {
        err_set(e, ERR_trace_fetch, "--from %s is no address and no path", from);
        return err_hint(e, "a path that starts with a dash is written ./%s", from);
    }
    if (os_stat(from, &st, e))
        return -1;
    if (st.kind == OS_ABSENT)
        return 0;
    *out = os_realpath(arena, from, e);
    return *out ? 0 : -1;
}

int repro_fetch(const struct repro_place *place, const char *from, struct arena *arena,
                char **repository, struct err *e)
{
    const char *git = os_which(arena, "git"), *source;
    *repository = arena_printf(arena, "%s/from.git", place->top);
    if (!git) {
        err_set(e, ERR_trace_fetch, "--from needs the program git, which is not here");
        return err_hint(e, "install git, or run this in a clone without --from");
    }
    if (source_of(from, arena, &source, e))
        return -1;
    const char *const init[] = {git, "init", "--quiet", "--bare", "--template=", *repository, NULL};
    const char *const fetch[] = {git,
                                 "-C",
                                 *repository,
                                 "-c",
                                 "core.hooksPath=/dev/null",
                                 "-c",
                                 "credential.helper=",
                                 "-c",
                                 "fetch.recurseSubmodules=false",
                                 "fetch",
                                 "--quiet",
                                 "--no-tags",
                                 "--no-write-fetch-head",
                                 source,
                                 "+refs/*:refs/*",
                                 NULL};
    if (run_git(place, from, init, arena, e) || run_git(place, from, fetch, arena, e))
        return -1;
    return 0;
}

static int read_link_blob(void *ctx, const struct trace_item *item, struct buf *target,
                          struct err *e)
{
    return trace_blob(ctx, item->id, target, e);
}

static bool is_output(const struct trace_item *item)
{
    return !strcmp(item->path, "out") || text_starts_with(item->path, "out/");
}

static int write_item(struct trace *t, const struct trace_item *item, const char *full,
                      struct err *e)
{
    struct buf bytes = {0};
    int rc = trace_blob(t, item->id, &bytes, e);
    if (rc == 0 && item->mode == 0120000) {
        if (symlink(buf_text(&bytes), full))
            rc = err_errno(e, ERR_os, "cannot make the link %s", full);
    } else if (rc == 0) {
        rc = os_write(full, buf_text(&bytes), bytes.len, item->mode == 0100755 ? 0755 : 0644, e);
    }
    buf_release(&bytes);
    return rc;
}

/* Links come last: while files are written there is none that a path could follow. */
static int write_items(struct trace *t, const struct trace_item *items, size_t count,
                       const struct repro_place *place, size_t *files, struct err *e)
{
    struct arena scratch = {0};
    int rc = 0;
    for (int links = 0; links <= 1; links++)
        for (size_t i = 0; rc == 0 && i < count; i++) {
            const char *full = arena_printf(&scratch, "%s/%s", place->project, items[i].path);
            if (is_output(&items[i]) || (items[i].mode == 0120000) != links)
                continue;
            if (items[i].mode == 0040000) {
                rc = os_mkdirs(full, e);
                continue;
            }
            rc = write_item(t, &items[i], full, e);
            *files += 1;
        }
    arena_release(&scratch);
    return rc;
}

int repro_unpack(struct trace *t, const char *commit, const struct repro_place *place,
                 struct arena *arena, size_t *files, struct err *e)
{
    struct trace_item *items;
    size_t count;
    *files = 0;
    if (trace_items(t, commit, "src", &limits, arena, &items, &count, e) ||
        repro_check(items, count, read_link_blob, t, e))
        return -1;
    if (count == 0)
        return err_set(e, ERR_trace_content, "%.12s holds no sources", commit);
    return write_items(t, items, count, place, files, e);
}
