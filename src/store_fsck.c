#include "store_internal.h"

#include <string.h>

/* What one check carries along. Objects found whole are remembered, so that each is read once
 * however many records name it. */
struct check {
    struct store *s;
    store_fault_fn *fault;
    void *ctx;
    struct arena arena;
    struct strmap whole; /* by hex digest */
    const char *heal;    /* what puts back what the record at hand names */
    size_t objects;
    size_t records;
};

static void report(struct check *c, const char *heal, struct err *why)
{
    c->fault(c->ctx, why->message, heal);
    err_release(why);
}

/* A file in cas/ that is no object: left by a process that was killed, or put there by hand. */
static void report_stray(struct check *c, const char *path)
{
    const char *what = arena_printf(&c->arena, "%s is no object", path);
    bool temporary = strstr(path, "/" OS_TEMP_PREFIX) != NULL;

    c->fault(c->ctx, what, temporary ? "a killed build left it: remove it" : "remove it");
}

static void check_object(struct check *c, const struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1];
    struct err why = {0};

    c->objects++;
    digest_hex(d, hex);
    if (store_check_object(c->s, d, &why) < 0)
        report(c, "what needs it is named below; `spak gc` removes it when nothing does", &why);
    else
        strmap_set(&c->whole, arena_strdup(&c->arena, hex), 1);
}

static void check_object_file(struct check *c, const char *folder, const char *name)
{
    const char *path = arena_printf(&c->arena, "%s/cas/%s/%s", c->s->dir, folder, name);
    struct digest d;

    if (!store_object_name(folder, name, &d)) {
        report_stray(c, path);
        return;
    }
    check_object(c, &d);
}

static int check_small(void *ctx, const struct digest *key, struct str value, struct err *e)
{
    struct digest d;

    (void)value;
    (void)e;
    memcpy(&d, key, sizeof(d)); /* it may lie at an odd address */
    check_object(ctx, &d);
    return 0;
}

static int check_objects(struct check *c, struct err *e)
{
    const char *cas = arena_printf(&c->arena, "%s/cas", c->s->dir);
    struct strs folders = {0};
    struct os_stat stat;
    int rc = os_stat(cas, &stat, e);

    if (rc == 0 && stat.kind == OS_DIR)
        rc = os_list(cas, &c->arena, &folders, e);
    for (size_t i = 0; rc == 0 && i < folders.len; i++) {
        struct strs names = {0};
        const char *folder;

        rc = store_objects_folder(c->s, &c->arena, folders.at[i], &folder, e);
        if (rc == 0 && folder)
            rc = os_list(folder, &c->arena, &names, e);
        else if (rc == 0)
            report_stray(c, arena_printf(&c->arena, "%s/%s", cas, folders.at[i]));
        for (size_t k = 0; rc == 0 && k < names.len; k++)
            check_object_file(c, folders.at[i], names.at[k]);
        strs_release(&names);
    }
    strs_release(&folders);
    return rc;
}

static bool is_whole(const struct check *c, const struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(d, hex);
    return strmap_get(&c->whole, hex) != STRMAP_NONE;
}

static void report_lost(struct check *c, const char *owner, const char *what)
{
    c->fault(c->ctx, arena_printf(&c->arena, "%s: the store lacks %s", owner, what), c->heal);
}

/* The listing of a folder is whole; are the files that it lists? */
static void check_tree(struct check *c, const char *owner, const struct output_record *o)
{
    struct buf listing = {0};
    struct tree_entry entry;
    struct err why = {0};
    struct str rest;
    bool found = true;

    if (store_get_bytes(c->s, &o->digest, &listing, &why) < 0) {
        report(c, c->heal, &why);
        return;
    }
    rest = (struct str){buf_text(&listing), listing.len};
    while (found) {
        if (store_next_entry(&rest, &entry, &found, &why) < 0) {
            report(c, c->heal, &why);
            break;
        }
        if (found && entry.kind != 'd' && !is_whole(c, &entry.digest))
            report_lost(c, owner, arena_printf(&c->arena, "%s/%s", o->path, entry.path));
    }
    buf_release(&listing);
}

static void check_record(struct check *c, const char *owner, const struct action_record *r)
{
    c->records++;
    for (size_t i = 0; i < r->output_count; i++) {
        const struct output_record *o = &r->outputs[i];

        if (digest_is_zero(&o->digest))
            continue;
        if (!is_whole(c, &o->digest))
            report_lost(c, owner, o->path);
        else if (o->directory)
            check_tree(c, owner, o);
    }
    if (!digest_is_zero(&r->log) && !is_whole(c, &r->log))
        report_lost(c, owner, "its captured output");
}

static const char heal_state[] = "remove state.mdb: everything is built once more";

static int check_actions(void *ctx, struct str value, struct err *e)
{
    struct check *c = ctx;
    struct action_record *records;
    struct arena arena = {0};
    struct err why = {0};
    size_t count;

    (void)e;
    c->heal = "nothing to do: when it is wanted, it is built again";
    if (store_decode_actions(value, &arena, &records, &count, &why) < 0)
        report(c, heal_state, &why);
    else
        for (size_t i = 0; i < count; i++)
            check_record(c,
                         count > 0 && records[i].output_count > 0 ? records[i].outputs[0].path
                                                                  : "a record",
                         &records[i]);
    arena_release(&arena);
    return 0;
}

static int check_node(void *ctx, struct str value, struct err *e)
{
    struct check *c = ctx;
    struct node_state state;
    struct arena arena = {0};
    struct err why = {0};
    const char *name;

    (void)e;
    if (store_decode_node(value, &arena, &name, &state, &why) < 0)
        report(c, heal_state, &why);
    else {
        c->heal = arena_printf(&c->arena,
                               strchr(name, ' ') ? "spak build -B '%s'" : "spak build -B %s", name);
        check_record(c, name, &state.record);
    }
    arena_release(&arena);
    return 0;
}

static int check_value(void *ctx, struct str value, struct err *e)
{
    struct check *c = ctx;
    struct arena arena = {0};
    struct err why = {0};
    struct str bytes;
    const char *name;

    (void)e;
    c->records++;
    if (store_decode_value(value, &arena, &name, &bytes, &why) < 0)
        report(c, heal_state, &why);
    arena_release(&arena);
    return 0;
}

int store_fsck(struct store *s, store_fault_fn *fault, void *ctx, size_t *objects, size_t *records,
               struct err *e)
{
    struct check c = {.s = s, .fault = fault, .ctx = ctx};
    int rc = check_objects(&c, e);

    if (rc == 0)
        rc = store_table_each_key(s, TABLE_OBJECTS, check_small, &c, e);
    if (rc == 0)
        rc = store_table_each(s, TABLE_ACTIONS, check_actions, &c, e);
    if (rc == 0)
        rc = store_table_each(s, TABLE_NODES, check_node, &c, e);
    if (rc == 0)
        rc = store_table_each(s, TABLE_VALUES, check_value, &c, e);
    *objects = c.objects;
    *records = c.records;
    strmap_release(&c.whole);
    arena_release(&c.arena);
    return rc;
}
