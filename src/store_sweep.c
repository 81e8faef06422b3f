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

struct found {
    struct store_object *at;
    size_t count;
    size_t cap;
};

static void add_object(struct found *f, const struct digest *d, uint64_t stored_bytes)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->at = xrealloc(f->at, f->cap * sizeof(*f->at));
    }
    f->at[f->count++] = (struct store_object){*d, stored_bytes};
}

static int add_small(void *ctx, const struct digest *key, struct str value, struct err *e)
{
    struct digest d;

    (void)e;
    memcpy(&d, key, sizeof(d)); /* it may lie at an odd address */
    add_object(ctx, &d, value.len);
    return 0;
}

static int add_files(struct store *s, struct arena *arena, struct found *f, struct err *e)
{
    const char *cas = arena_printf(arena, "%s/cas", s->dir);
    struct strs folders = {0};
    struct os_stat stat;
    int rc = os_stat(cas, &stat, e);

    if (rc == 0 && stat.kind == OS_DIR)
        rc = os_list(cas, arena, &folders, e);
    for (size_t i = 0; rc == 0 && i < folders.len; i++) {
        const char *folder;
        struct strs names = {0};

        rc = store_objects_folder(s, arena, folders.at[i], &folder, e);
        if (rc == 0 && folder)
            rc = os_list(folder, arena, &names, e);
        for (size_t k = 0; rc == 0 && k < names.len; k++) {
            struct digest d;

            if (!store_object_name(folders.at[i], names.at[k], &d))
                continue;
            rc = os_stat(os_join(arena, folder, names.at[k]), &stat, e);
            add_object(f, &d, stat.size_bytes);
        }
        strs_release(&names);
    }
    strs_release(&folders);
    return rc;
}

static int by_digest(const void *a, const void *b)
{
    const struct store_object *x = a, *y = b;

    return memcmp(x->digest.bytes, y->digest.bytes, DIGEST_BYTES);
}

/* One may be there twice: small among the records, and as a file. */
static void unite(struct found *f)
{
    size_t kept = 0;

    if (f->count > 0)
        qsort(f->at, f->count, sizeof(*f->at), by_digest);
    for (size_t i = 0; i < f->count; i++) {
        if (kept > 0 && by_digest(&f->at[kept - 1], &f->at[i]) == 0)
            f->at[kept - 1].stored_bytes += f->at[i].stored_bytes;
        else
            f->at[kept++] = f->at[i];
    }
    f->count = kept;
}

int store_objects(struct store *s, struct arena *arena, struct store_object **out, size_t *count,
                  struct err *e)
{
    struct found f = {0};
    int rc = add_files(s, arena, &f, e);

    if (rc == 0)
        rc = store_table_each_key(s, TABLE_OBJECTS, add_small, &f, e);
    unite(&f);
    *count = f.count;
    *out = f.at ? arena_memdup(arena, f.at, f.count * sizeof(*f.at)) : NULL;
    free(f.at);
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

    if (rc == 0)
        rc = store_small_remove(s, d, e);
    arena_release(&arena);
    return rc;
}
