#include "host.h"

#include <string.h>

/* Runs `program` with these arguments. False when it could not start or did not exit with 0: the
 * candidate is not what we look for, which is no error of ours. */
static bool run(const char *program, const char *const *args, struct buf *out)
{
    struct err ignored = {0};
    struct os_exit status = {0};
    struct strs argv = {0};
    bool done;

    strs_push(&argv, program);
    for (; args && *args; args++)
        strs_push(&argv, *args);
    done = os_capture(argv.at, true, out, &status, &ignored) == 0 && status.code == 0;
    err_release(&ignored);
    strs_release(&argv);
    return done;
}

static const char *first_line_of(const char *program, const char *const *args, struct arena *arena)
{
    struct buf out = {0};
    struct str rest;
    struct str line = {"", 0};
    const char *text = "";

    if (run(program, args, &out)) {
        rest = (struct str){buf_text(&out), out.len};
        str_split(&rest, '\n', &line);
        line = str_trim(line);
        text = arena_strndup(arena, line.ptr, line.len);
    }
    buf_release(&out);
    return text;
}

/* The links of the folder are resolved, the name is kept. */
static const char *absolute(const char *path, struct arena *arena, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *dir = os_realpath(arena, os_dirname(arena, path), e);

    return dir ? os_join(arena, dir, slash ? slash + 1 : path) : NULL;
}

static bool contains(const struct strs *files, const char *path)
{
    for (size_t i = 0; i < files->len; i++) {
        if (strcmp(files->at[i], path) == 0)
            return true;
    }
    return false;
}

static int add_file(const char *path, struct arena *arena, struct strs *files, struct err *e)
{
    const char *real = os_realpath(arena, path, e);

    if (!real)
        return -1;
    if (!contains(files, real))
        strs_push(files, real);
    return 0;
}

static int add_part(const char *printed, struct arena *arena, struct strs *files, struct err *e)
{
    const char *path = strchr(printed, '/') ? printed : os_which(arena, printed);
    struct os_stat stat;

    if (!*printed || !path)
        return 0;
    if (os_stat(path, &stat, e) < 0)
        return -1;
    return stat.kind == OS_FILE ? add_file(path, arena, files, e) : 0;
}

static int digest_file(const char *path, struct hash_cache *cache, struct digest *out,
                       struct err *e)
{
    bool exists;

    if (!cache)
        return hash_file(path, out, e);
    return hash_cache_digest(cache, path, out, &exists, e);
}

/* File names without their folders: the same compiler installed elsewhere is the same tool. */
static int digest_tool(struct host_tool *tool, struct hash_cache *cache, struct err *e)
{
    char hex[DIGEST_HEX_LEN + 1];
    struct buf lines = {0};
    struct digest digest;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < tool->files.len; i++) {
        rc = digest_file(tool->files.at[i], cache, &digest, e);
        digest_hex(&digest, hex);
        buf_addf(&lines, "%s %s\n", strrchr(tool->files.at[i], '/') + 1, hex);
    }
    hash_bytes(buf_text(&lines), lines.len, &tool->digest);
    buf_release(&lines);
    return rc;
}

static int describe(const struct host_tool_query *q, const char *candidate,
                    struct hash_cache *cache, struct arena *arena, struct host_tool *out,
                    struct err *e)
{
    out->path = absolute(candidate, arena, e);
    if (!out->path || add_file(out->path, arena, &out->files, e) < 0)
        return -1;
    out->version = q->version_args ? first_line_of(out->path, q->version_args, arena) : "";
    for (const char *const *const *args = q->part_args; args && *args; args++) {
        const char *printed = first_line_of(out->path, *args, arena);

        if (add_part(printed, arena, &out->files, e) < 0)
            return -1;
    }
    return digest_tool(out, cache, e);
}

static bool passes_check(const struct host_tool_query *q, const char *candidate)
{
    struct buf ignored = {0};
    bool passes = !q->check_args || run(candidate, q->check_args, &ignored);

    buf_release(&ignored);
    return passes;
}

int host_find_tool(const struct host_tool_query *q, struct hash_cache *cache, struct arena *arena,
                   struct host_tool *out, bool *found, struct err *e)
{
    *out = (struct host_tool){.path = "", .version = ""};
    *found = false;
    for (const char *const *name = q->candidates; name && *name; name++) {
        const char *candidate = os_which(arena, *name);

        if (!candidate || !passes_check(q, candidate))
            continue;
        if (describe(q, candidate, cache, arena, out, e) < 0) {
            strs_release(&out->files);
            return err_wrap(e, "the tool %s", q->name);
        }
        *found = true;
        return 0;
    }
    return 0;
}
