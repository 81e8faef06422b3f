#include "script_state.h"

#include <stdlib.h>
#include <string.h>

/* A name is looked for along PATH, a path is taken as it is; NULL when nothing runs there. */
static const char *resolve(struct arena *arena, const char *candidate)
{
    struct err e = {0};
    const char *found = candidate;

    if (!strchr(candidate, '/'))
        found = os_which(arena, candidate);
    char *real = found ? os_realpath(arena, found, &e) : NULL;
    err_release(&e);
    return real;
}

char *script_tool_text(struct arena *arena, const char *name, const char *const *candidates,
                       const char *path, const struct strs *files)
{
    struct buf text = {0};
    const char *chosen = path ? resolve(arena, path) : NULL;

    buf_addf(&text, "%s\n", name);
    for (; *candidates; candidates++) {
        const char *real = resolve(arena, *candidates);
        buf_addf(&text, "?%s\t%s\n", *candidates, real ? real : "");
        if (chosen && real && !strcmp(real, chosen))
            break;
    }
    for (size_t i = 0; files && i < files->len; i++)
        buf_addf(&text, "=%s\n", files->at[i]);
    char *copy = arena_strdup(arena, buf_text(&text));
    buf_release(&text);
    return copy;
}

static bool resolves_as_before(struct arena *arena, struct str line)
{
    const char *tab = memchr(line.ptr, '\t', line.len);

    if (!tab)
        return false;
    const char *candidate = arena_strndup(arena, line.ptr + 1, (size_t)(tab - line.ptr - 1));
    const char *real = resolve(arena, candidate);
    return str_equal(str_of(real ? real : ""),
                     (struct str){tab + 1, (size_t)(line.ptr + line.len - tab - 1)});
}

int script_tool_digest(const char *text, struct hash_cache *cache, struct arena *arena,
                       struct digest *out, struct err *e)
{
    struct str rest = str_of(text), line;
    struct hasher h;
    struct digest d;
    bool exists, same = true;
    int r = 0;

    hash_init(&h);
    hash_add(&h, text, strlen(text));
    while (r == 0 && str_split(&rest, '\n', &line)) {
        if (line.len && line.ptr[0] == '?')
            same = same && resolves_as_before(arena, line);
        if (!line.len || line.ptr[0] != '=')
            continue;
        r = hash_cache_digest(cache, arena_strndup(arena, line.ptr + 1, line.len - 1), &d, &exists,
                              e);
        if (r == 0)
            hash_add(&h, d.bytes, sizeof(d.bytes));
    }
    hash_final(&h, out);
    if (!same)
        *out = (struct digest){0};
    return r;
}

static const char *param_value(const struct script_options *o, const char *name)
{
    size_t n = strlen(name);
    const char *value = NULL;

    for (const char *const *p = o->params; p && *p; p++)
        if (!strncmp(*p, name, n) && (*p)[n] == '=')
            value = *p + n + 1;
    return value;
}

static void value_digest(const char *value, struct digest *out)
{
    *out = (struct digest){0};
    if (value)
        script_text_digest(value, out);
}

static int digest_now(const struct script_options *o, enum read_kind kind, const char *what,
                      struct arena *arena, struct digest *now, struct err *e)
{
    struct strs list = {0};
    bool exists;
    int r = 0;

    switch (kind) {
    case READ_FILE:
        return hash_cache_digest(o->cache, os_join(arena, o->root, what), now, &exists, e);
    case READ_GLOB:
        r = script_glob(o->root, what, arena, &list, NULL, e);
        script_list_digest(&list, now);
        strs_release(&list);
        return r;
    case READ_TOOL:
        return script_tool_digest(what, o->cache, arena, now, e);
    case READ_FACT:
        value_digest(host_fact(arena, what), now);
        return 0;
    case READ_PARAM:
        value_digest(param_value(o, what), now);
        return 0;
    case READ_ENV:
        value_digest(getenv(what), now);
        return 0;
    }
    return 0;
}

int script_still_valid(const struct graph *g, const struct script_options *o, bool *valid,
                       struct arena *arena, const char **why, struct err *e)
{
    static const char *const kinds[] = {"file", "the files matching",  "fact", "parameter",
                                        "tool", "environment variable"};

    *valid = true;
    for (uint32_t i = 0; i < g->read_count && *valid; i++) {
        const struct read *r = &g->reads[i];
        const char *what = graph_text(g, r->what);
        struct digest now;
        if (digest_now(o, r->kind, what, arena, &now, e) < 0)
            return -1;
        *valid = digest_equal(&now, &r->digest);
        if (!*valid && why)
            *why = arena_printf(arena, "%s %.*s changed", kinds[r->kind], (int)strcspn(what, "\n"),
                                what);
    }
    return 0;
}

int script_value_holds(const struct script_options *o, enum read_kind kind, const char *what,
                       const struct digest *digest, struct arena *arena, bool *holds, struct err *e)
{
    struct digest now;

    if (digest_now(o, kind, what, arena, &now, e) < 0)
        return -1;
    *holds = digest_equal(&now, digest);
    return 0;
}

/* As it is spelled everywhere else: relative where it lies below the root. */
static const char *below_root(const struct script_options *o, const char *path)
{
    size_t len = strlen(o->root);

    if (strncmp(path, o->root, len) != 0)
        return path;
    if (path[len] == '\0')
        return ".";
    return path[len] == '/' ? path + len + 1 : path;
}

static int each_folder(const struct script_options *o, const char *pattern,
                       const struct script_reads *to, struct arena *arena, struct err *e)
{
    struct strs list = {0}, seen = {0};
    int r = script_glob(o->root, pattern, arena, &list, &seen, e);

    for (size_t i = 0; r == 0 && i < seen.len; i++)
        to->folder(to->ctx, below_root(o, seen.at[i]));
    strs_release(&list);
    strs_release(&seen);
    return r;
}

int script_each_read(const struct graph *g, const struct script_options *o,
                     const struct script_reads *to, struct arena *arena, struct err *e)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < g->read_count; i++) {
        const struct read *read = &g->reads[i];
        const char *what = graph_text(g, read->what);

        if (read->kind == READ_FILE)
            to->file(to->ctx, below_root(o, os_join(arena, o->root, what)), &read->digest);
        else if (read->kind == READ_GLOB)
            r = each_folder(o, what, to, arena, e);
        else
            to->value(to->ctx, read->kind, what, &read->digest);
    }
    return r;
}
