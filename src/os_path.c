#include "os.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *os_realpath(struct arena *arena, const char *path, struct err *e)
{
    char *found = realpath(path, NULL);
    char *copy;

    if (!found) {
        err_errno(e, ERR_os, "cannot resolve %s", path);
        return NULL;
    }
    copy = arena_strdup(arena, found);
    free(found);
    return copy;
}

char *os_getcwd(struct arena *arena, struct err *e)
{
    char *found = getcwd(NULL, 0);
    char *copy;

    if (!found) {
        err_errno(e, ERR_os, "cannot tell the working directory");
        err_hint(e, "it may have been removed: change to a folder that exists");
        return NULL;
    }
    copy = arena_strdup(arena, found);
    free(found);
    return copy;
}

/* Takes back the last component of `out`, unless there is none to take or it is a "..". */
static bool fold_last(struct buf *out, bool absolute)
{
    size_t at = out->len;

    while (at > 0 && out->ptr[at - 1] != '/')
        at--;
    if (out->len - at == 2 && memcmp(out->ptr + at, "..", 2) == 0)
        return false;
    if (out->len == at)
        return absolute; /* "/.." is "/" */
    out->len = at > 1 ? at - 1 : at;
    out->ptr[out->len] = '\0';
    return true;
}

static void add_component(struct buf *out, struct str part, bool absolute)
{
    if (part.len == 0 || str_equal(part, str_of(".")))
        return;
    if (str_equal(part, str_of("..")) && fold_last(out, absolute))
        return;
    if (out->len > 0 && out->ptr[out->len - 1] != '/')
        buf_addch(out, '/');
    buf_add(out, part.ptr, part.len);
}

static void add_components(struct buf *out, const char *path, bool absolute)
{
    struct str rest = str_of(path);
    struct str part;

    while (str_split(&rest, '/', &part))
        add_component(out, part, absolute);
}

char *os_join(struct arena *arena, const char *dir, const char *path)
{
    const char *first = path[0] == '/' ? path : dir;
    bool absolute = first[0] == '/';
    struct buf out = {0};
    char *joined;

    if (absolute)
        buf_addch(&out, '/');
    if (first == dir)
        add_components(&out, dir, absolute);
    add_components(&out, path, absolute);
    joined = arena_strdup(arena, out.len > 0 ? out.ptr : ".");
    buf_release(&out);
    return joined;
}

char *os_dirname(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return arena_strdup(arena, ".");
    if (slash == path)
        return arena_strdup(arena, "/");
    return arena_strndup(arena, path, (size_t)(slash - path));
}

char *os_self(struct arena *arena, struct err *e)
{
    static const char deleted[] = " (deleted)";
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len < 0) {
        err_errno(e, ERR_os, "cannot tell the path of the running program");
        err_hint(e, "SPAK needs /proc to be mounted");
        return NULL;
    }
    path[len] = '\0';
    /* A build of SPAK by SPAK replaces the file under the running program: the new one is meant. */
    if (access(path, F_OK) != 0 && text_ends_with(path, deleted))
        path[(size_t)len - (sizeof(deleted) - 1)] = '\0';
    return arena_strdup(arena, path);
}

static bool is_program(const char *path)
{
    struct err ignored = {0};
    struct os_stat stat;

    if (os_stat(path, &stat, &ignored) < 0) {
        err_release(&ignored);
        return false;
    }
    return stat.kind == OS_FILE && access(path, X_OK) == 0;
}

char *os_which(struct arena *arena, const char *name)
{
    const char *list = getenv("PATH");
    struct str rest;
    struct str dir;

    if (strchr(name, '/'))
        return is_program(name) ? arena_strdup(arena, name) : NULL;
    rest = str_of(list ? list : "/usr/local/bin:/usr/bin:/bin");
    while (*name && str_split(&rest, ':', &dir)) {
        char *path = dir.len > 0 ? arena_printf(arena, "%.*s/%s", (int)dir.len, dir.ptr, name)
                                 : arena_printf(arena, "./%s", name);

        if (is_program(path))
            return path;
    }
    return NULL;
}
