#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

int store_objects_folder(const struct store *s, struct arena *arena, const char *name,
                         const char **out, struct err *e)
{
    const char *path = arena_printf(arena, "%s/cas/%s", s->dir, name);
    struct os_stat stat;
    int rc = os_lstat(path, &stat, e);

    *out = rc == 0 && stat.kind == OS_DIR && strlen(name) == 2 ? path : NULL;
    return rc;
}

int store_objects(struct store *s, struct arena *arena, struct store_object **out, size_t *count,
                  struct err *e)
{
    const char *cas = arena_printf(arena, "%s/cas", s->dir);
    struct strs folders = {0};
    struct os_stat stat;
    size_t cap = 0;
    int rc = os_stat(cas, &stat, e);

    *out = NULL;
    *count = 0;
    if (rc == 0 && stat.kind == OS_DIR)
        rc = os_list(cas, arena, &folders, e);
    for (size_t i = 0; rc == 0 && i < folders.len; i++) {
        const char *folder;
        struct strs names = {0};

        rc = store_objects_folder(s, arena, folders.at[i], &folder, e);
        if (rc == 0 && folder)
            rc = os_list(folder, arena, &names, e);
        for (size_t k = 0; rc == 0 && k < names.len; k++) {
            struct store_object object = {0};

            if (!store_object_name(folders.at[i], names.at[k], &object.digest))
                continue;
            rc = os_stat(os_join(arena, folder, names.at[k]), &stat, e);
            object.stored_bytes = stat.size_bytes;
            if (*count == cap) {
                cap = cap ? cap * 2 : 64;
                *out = xrealloc(*out, cap * sizeof(**out));
            }
            (*out)[(*count)++] = object;
        }
        strs_release(&names);
    }
    strs_release(&folders);
    struct store_object *found = *out;
    *out = found ? arena_memdup(arena, found, *count * sizeof(*found)) : NULL;
    free(found);
    return rc;
}

int store_folder_objects(struct store *s, const struct digest *listing, store_digest_fn *fn,
                         void *ctx, struct err *e)
{
    struct buf text = {0};
    struct tree_entry entry;
    struct str rest;
    bool found = true;
    int rc = store_get_bytes(s, listing, &text, e);

    rest = (struct str){buf_text(&text), text.len};
    while (rc == 0 && found) {
        rc = store_next_entry(&rest, &entry, &found, e);
        if (rc == 0 && found && entry.kind != 'd')
            rc = fn(ctx, &entry.digest, false, e);
    }
    buf_release(&text);
    return rc;
}

static int tell_record(const struct action_record *r, store_digest_fn *fn, void *ctx, struct err *e)
{
    int rc = digest_is_zero(&r->log) ? 0 : fn(ctx, &r->log, false, e);

    for (size_t i = 0; rc == 0 && i < r->output_count; i++)
        if (!digest_is_zero(&r->outputs[i].digest))
            rc = fn(ctx, &r->outputs[i].digest, r->outputs[i].directory, e);
    return rc;
}

struct telling {
    store_digest_fn *fn;
    void *ctx;
};

/* A record that cannot be read keeps nothing: what it named is built again. */
static int tell_node(void *ctx, struct str value, struct err *e)
{
    struct telling *t = ctx;
    struct node_state state;
    struct arena arena = {0};
    struct err unreadable = {0};
    const char *name;
    int rc = 0;

    if (store_decode_node(value, &arena, &name, &state, &unreadable) < 0)
        err_release(&unreadable);
    else
        rc = tell_record(&state.record, t->fn, t->ctx, e);
    arena_release(&arena);
    return rc;
}

int store_needed(struct store *s, store_digest_fn *fn, void *ctx, struct err *e)
{
    struct telling t = {fn, ctx};

    return store_table_each(s, TABLE_NODES, tell_node, &t, e);
}

/* Records to write anew, collected first: a cursor does not outlive writing. */
struct shrunk {
    struct digest key;
    struct buf value; /* empty: the record goes */
};
struct forgetting {
    store_goes_fn *goes;
    void *ctx;
    struct shrunk *at;
    size_t len;
    size_t dropped;
};

static bool loses_an_object(const struct forgetting *f, const struct action_record *r)
{
    if (!digest_is_zero(&r->log) && f->goes(f->ctx, &r->log))
        return true;
    for (size_t i = 0; i < r->output_count; i++)
        if (!digest_is_zero(&r->outputs[i].digest) && f->goes(f->ctx, &r->outputs[i].digest))
            return true;
    return false;
}

static int shrink(void *ctx, const struct digest *key, struct str value, struct err *e)
{
    struct forgetting *f = ctx;
    struct action_record *records = NULL;
    struct arena arena = {0};
    struct err unreadable = {0};
    size_t count = 0;
    size_t kept = 0;

    (void)e;
    if (store_decode_actions(value, &arena, &records, &count, &unreadable) < 0) {
        err_release(&unreadable);
        count = 1; /* the whole record is of no use */
        kept = 0;
    } else {
        for (size_t i = 0; i < count; i++)
            if (!loses_an_object(f, &records[i]))
                records[kept++] = records[i];
    }
    if (kept < count) {
        f->at = xrealloc(f->at, (f->len + 1) * sizeof(*f->at));
        f->at[f->len] = (struct shrunk){.key = *key};
        if (kept > 0)
            store_encode_actions(records, kept, &f->at[f->len].value);
        f->len++;
        f->dropped += count - kept;
    }
    arena_release(&arena);
    return 0;
}

int store_forget(struct store *s, store_goes_fn *goes, void *ctx, size_t *dropped, struct err *e)
{
    struct forgetting f = {.goes = goes, .ctx = ctx};
    int rc = store_table_each_key(s, TABLE_ACTIONS, shrink, &f, e);

    if (rc == 0 && f.len > 0) {
        rc = store_begin(s, e);
        for (size_t i = 0; rc == 0 && i < f.len; i++) {
            struct str value = {f.at[i].value.ptr, f.at[i].value.len};

            rc = f.at[i].value.len > 0 ? store_table_put(s, TABLE_ACTIONS, &f.at[i].key, value, e)
                                       : store_table_remove(s, TABLE_ACTIONS, &f.at[i].key, e);
        }
        if (rc == 0)
            rc = store_commit(s, e);
        else
            store_abort(s);
    }
    for (size_t i = 0; i < f.len; i++)
        buf_release(&f.at[i].value);
    free(f.at);
    *dropped = f.dropped;
    return rc;
}

int store_remove(struct store *s, const struct digest *d, struct err *e)
{
    struct arena arena = {0};
    int rc = os_remove(store_object_path(s, &arena, d), e);

    arena_release(&arena);
    return rc;
}
