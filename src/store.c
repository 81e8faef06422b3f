#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* It doubles when it is full. */
#define FIRST_MAP_BYTES ((size_t)64 << 20)

/* As many sets of discovered inputs as are remembered for one base. */
#define MAX_ACTIONS 8

int store_pass(const char *point)
{
    int fault;

    do {
        fault = os_fault(point);
    } while (fault == EINTR);
    if (fault)
        errno = fault;
    return fault ? -1 : 0;
}

static bool is_damage(int rc)
{
    return rc == MDB_CORRUPTED || rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH ||
           rc == MDB_PAGE_NOTFOUND || rc == MDB_INCOMPATIBLE || rc == MDB_PANIC;
}

static int damaged_state(const struct store *s, const char *what, struct err *e)
{
    err_set(e, ERR_state_damaged, "%s/state.mdb is damaged: %s", s->dir, what);
    return err_hint(
        e,
        "remove %s/state.mdb, or let `spak build` set it aside: everything is built once more, "
        "and nothing else is lost",
        s->dir);
}

static int fail(const struct store *s, const char *verb, int rc, struct err *e)
{
    if (is_damage(rc))
        return damaged_state(s, mdb_strerror(rc), e);
    err_set(e, ERR_state_failed, "cannot %s %s/state.mdb: %s", verb, s->dir, mdb_strerror(rc));
    if (rc == ENOSPC || rc == EDQUOT)
        err_hint(e,
                 "free some space on that file system; nothing that was recorded before is lost");
    else if (rc == EROFS || rc == EACCES || rc == EPERM)
        err_hint(e, "SPAK keeps what it knows in %s and must be able to write there", s->dir);
    return -1;
}

/* A map that is longer than its file (a copy cut short, a disk that was full) would end in SIGBUS
 * at some read. */
static int check_length(struct store *s, const char *path, struct err *e)
{
    struct os_stat stat;
    MDB_envinfo info;
    MDB_stat pages;

    mdb_env_info(s->env, &info);
    mdb_env_stat(s->env, &pages);
    if (os_stat(path, &stat, e) < 0)
        return -1;
    if (info.me_last_txnid > 0 &&
        stat.size_bytes < (info.me_last_pgno + 1) * (uint64_t)pages.ms_psize)
        return damaged_state(s, "the file is shorter than what it should hold", e);
    return 0;
}

static int open_tables(struct store *s, struct err *e)
{
    static const char *const names[] = {"actions", "nodes", "values", "objects"};
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc)
        return fail(s, "open", rc, e);
    for (int i = 0; rc == 0 && i < TABLE_COUNT; i++)
        rc = mdb_dbi_open(txn, names[i], MDB_CREATE, &s->tables[i]);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return rc ? fail(s, "open", rc, e) : 0;
}

/* LMDB leaves its descriptors open to children; a command that inherits one could write our state
 * from inside of its sandbox. */
static int keep_from_children(const char *path, struct err *e)
{
    struct arena arena = {0};
    struct strs names = {0};
    struct stat ours;
    struct stat other;
    int rc = os_list("/proc/self/fd", &arena, &names, e);

    if (rc == 0 && stat(path, &ours) < 0)
        rc = err_errno(e, ERR_os, "cannot look at %s", path);
    for (size_t i = 0; rc == 0 && i < names.len; i++) {
        int fd = (int)strtol(names.at[i], NULL, 10);

        if (fstat(fd, &other) == 0 && other.st_dev == ours.st_dev && other.st_ino == ours.st_ino)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    strs_release(&names);
    arena_release(&arena);
    return rc;
}

static int open_env(struct store *s, const char *path, struct err *e)
{
    int rc = mdb_env_create(&s->env);
    int dead;

    if (rc == 0)
        rc = mdb_env_set_maxdbs(s->env, TABLE_COUNT);
    if (rc == 0)
        rc = store_map_resize(s, FIRST_MAP_BYTES);
    if (rc == 0 && store_pass("store_open") < 0)
        rc = errno;
    if (rc == 0)
        rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOTLS, 0644);
    if (rc)
        return fail(s, "open", rc, e);
    /* Readers that were killed would keep old pages alive for ever. */
    mdb_reader_check(s->env, &dead);
    return keep_from_children(path, e);
}

static int check_pages(struct store *s, int check(struct store *, const char **, struct err *),
                       struct err *e)
{
    const char *what;

    if (check(s, &what, e) < 0)
        return -1;
    return what ? damaged_state(s, what, e) : 0;
}

int store_set_aside(const char *dir, struct err *e)
{
    struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/state.mdb", dir);
    int rc = os_rename(path, arena_printf(&arena, "%s.damaged", path), e);

    if (rc == 0)
        rc = os_remove(arena_printf(&arena, "%s-lock", path), e);
    arena_release(&arena);
    return rc;
}

struct store *store_open(const char *dir, struct err *e)
{
    struct store *s = xcalloc(1, sizeof(*s));
    struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/state.mdb", dir);
    int rc;

    s->dir = xstrdup(dir);
    s->journal_fd = -1;
    rc = os_mkdirs(dir, e);
    if (rc == 0)
        rc = check_pages(s, store_check_heads, e);
    if (rc == 0)
        rc = open_env(s, path, e);
    if (rc == 0)
        rc = check_length(s, path, e);
    if (rc == 0)
        rc = check_pages(s, store_check_pages, e);
    if (rc == 0)
        rc = open_tables(s, e);
    if (rc == 0)
        rc = store_journal_open(s, e);
    if (rc < 0) {
        store_close(s);
        s = NULL;
    }
    arena_release(&arena);
    return s;
}

/* What could not be synced is in the journal. */
void store_close(struct store *store)
{
    struct err ignored = {0};

    if (!store)
        return;
    if (store->open)
        store_abort(store);
    if (store->op_count > 0 && store_sync(store, &ignored) < 0)
        err_release(&ignored);
    os_unlock(&store->journal_fd);
    if (store->read)
        mdb_txn_abort(store->read);
    if (store->env)
        mdb_env_close(store->env);
    if (store->env && store->committed)
        store_seal(store);
    arena_release(&store->op_arena);
    strmap_release(&store->op_by_key);
    free(store->ops);
    free(store->dir);
    free(store);
}

/* A table and a digest as a key of op_by_key. */
struct op_key {
    char text[1 + DIGEST_HEX_LEN + 1];
};

static struct op_key op_key(enum store_table table, const struct digest *key)
{
    struct op_key k = {{(char)('0' + table)}};

    digest_hex(key, k.text + 1);
    return k;
}

static void index_op(struct store *s, const struct store_op *op, size_t at)
{
    struct op_key key = op_key(op->table, &op->key);

    strmap_set(&s->op_by_key, arena_strdup(&s->op_arena, key.text), (uint32_t)at);
}

void store_add_op(struct store *s, enum store_table table, const struct digest *key,
                  struct str value)
{
    if (s->op_count == s->op_cap) {
        s->op_cap = s->op_cap ? 2 * s->op_cap : 64;
        s->ops = xrealloc(s->ops, s->op_cap * sizeof(*s->ops));
    }
    s->ops[s->op_count] = (struct store_op){
        table, *key, {arena_memdup(&s->op_arena, value.ptr, value.len), value.len}};
    index_op(s, &s->ops[s->op_count], s->op_count);
    s->op_count++;
}

/* Forgets the ops from `count` on. */
static void forget_ops(struct store *s, size_t count)
{
    strmap_release(&s->op_by_key);
    s->op_count = count;
    if (s->journaled > count)
        s->journaled = count;
    if (count == 0)
        arena_release(&s->op_arena);
    for (size_t i = 0; i < count; i++)
        index_op(s, &s->ops[i], i);
}

int store_begin(struct store *s, struct err *e)
{
    (void)e;
    if (s->open || s->reading)
        BUG("store_begin inside of a transaction");
    s->open = true;
    s->begun = s->op_count;
    return 0;
}

void store_abort(struct store *s)
{
    if (s->open)
        forget_ops(s, s->begun);
    s->open = false;
}

static int begin_write(struct store *s, MDB_txn **txn)
{
    int rc = mdb_txn_begin(s->env, NULL, 0, txn);

    if (rc == MDB_MAP_RESIZED) { /* another process made it grow */
        store_map_resize(s, 0);
        rc = mdb_txn_begin(s->env, NULL, 0, txn);
    }
    return rc;
}

static int apply_one(struct store *s, MDB_txn *txn, const struct store_op *op)
{
    MDB_val key = {DIGEST_BYTES, (void *)(uintptr_t)op->key.bytes};
    MDB_val value = {op->value.len, (void *)(uintptr_t)op->value.ptr};
    int rc;

    if (op->value.len == 0) {
        rc = mdb_del(txn, s->tables[op->table], &key, NULL);
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    return mdb_put(txn, s->tables[op->table], &key, &value, 0);
}

static int apply_all(struct store *s)
{
    MDB_txn *txn;
    int rc = begin_write(s, &txn);

    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < s->op_count; i++) {
        rc = apply_one(s, txn, &s->ops[i]);
        store_map_touched(s);
    }
    s->committed = true;
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* A map that is full is doubled, which needs the transaction gone, and everything is put again. */
int store_apply(struct store *s, struct err *e)
{
    MDB_envinfo info;
    int rc = apply_all(s);

    while (rc == MDB_MAP_FULL) {
        mdb_env_info(s->env, &info);
        rc = store_map_resize(s, info.me_mapsize * 2);
        if (rc)
            return fail(s, "grow", rc, e);
        rc = apply_all(s);
    }
    if (rc)
        return fail(s, "write to", rc, e);
    forget_ops(s, 0);
    return 0;
}

int store_commit(struct store *s, struct err *e)
{
    int rc = 0;

    if (!s->open)
        BUG("store_commit outside of a transaction");
    if (store_pass("store_commit") < 0)
        rc = fail(s, "write to", errno, e);
    if (rc == 0)
        rc = store_apply(s, e);
    if (rc < 0) {
        store_abort(s);
        return -1;
    }
    s->open = false;
    return store_sync(s, e);
}

int store_table_put(struct store *s, enum store_table table, const struct digest *key,
                    struct str value, struct err *e)
{
    bool alone = !s->open;

    if (alone && store_begin(s, e) < 0)
        return -1;
    store_add_op(s, table, key, value);
    return alone ? store_commit(s, e) : 0;
}

int store_table_remove(struct store *s, enum store_table table, const struct digest *key,
                       struct err *e)
{
    return store_table_put(s, table, key, (struct str){"", 0}, e);
}

static int begin_read(struct store *s, MDB_txn **txn, struct err *e)
{
    int rc;

    rc = s->read ? mdb_txn_renew(s->read) : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->read);
    if (rc == MDB_MAP_RESIZED) {
        store_map_resize(s, 0);
        rc = s->read ? mdb_txn_renew(s->read) : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->read);
    }
    *txn = s->read;
    s->reading = rc == 0;
    return rc ? fail(s, "read", rc, e) : 0;
}

void store_table_done(struct store *s)
{
    if (s->reading) {
        mdb_txn_reset(s->read);
        store_map_touched(s);
    }
    s->reading = false;
}

static bool find_op(struct store *s, enum store_table table, const struct digest *key,
                    struct str *value)
{
    struct op_key wanted = op_key(table, key);
    uint32_t at = s->op_count > 0 ? strmap_get(&s->op_by_key, wanted.text) : STRMAP_NONE;

    if (at != STRMAP_NONE)
        *value = s->ops[at].value;
    return at != STRMAP_NONE;
}

/* Also while a cursor is under way: what it reads is in the same snapshot. */
int store_table_copy(struct store *s, enum store_table table, const struct digest *key,
                     struct buf *out, bool *found, struct err *e)
{
    MDB_val k = {DIGEST_BYTES, (void *)(uintptr_t)key->bytes};
    MDB_val v = {0, NULL};
    MDB_txn *txn = s->read;
    struct str value = {0};
    bool within = s->reading;
    int rc;

    *found = false;
    if (find_op(s, table, key, &value)) {
        *found = value.len > 0;
    } else {
        if (!within && begin_read(s, &txn, e) < 0)
            return -1;
        rc = mdb_get(txn, s->tables[table], &k, &v);
        *found = rc == 0;
        value = (struct str){v.mv_data, v.mv_size};
        if (rc && rc != MDB_NOTFOUND) {
            if (!within)
                store_table_done(s);
            return fail(s, "read", rc, e);
        }
    }
    if (*found && out)
        buf_add(out, value.ptr, value.len);
    if (!within)
        store_table_done(s);
    return 0;
}

int store_table_get(struct store *s, enum store_table table, const struct digest *key,
                    struct str *value, bool *found, struct err *e)
{
    MDB_val k = {DIGEST_BYTES, (void *)(uintptr_t)key->bytes};
    MDB_val v = {0, NULL};
    MDB_txn *txn;
    int rc;

    *found = false;
    if (find_op(s, table, key, value)) {
        *found = value->len > 0;
        return 0;
    }
    if (begin_read(s, &txn, e) < 0)
        return -1;
    rc = mdb_get(txn, s->tables[table], &k, &v);
    if (rc && rc != MDB_NOTFOUND) {
        store_table_done(s);
        return fail(s, "read", rc, e);
    }
    *found = rc == 0;
    *value = (struct str){v.mv_data, v.mv_size};
    return 0;
}

int store_table_each_key(struct store *s, enum store_table table, store_each_key_fn *fn, void *ctx,
                         struct err *e)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    MDB_val k;
    MDB_val v;
    int rc;
    int result = 0;

    if ((s->op_count > 0 && store_sync(s, e) < 0) || begin_read(s, &txn, e) < 0)
        return -1;
    rc = mdb_cursor_open(txn, s->tables[table], &cursor);
    while (rc == 0 && result == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        if (rc == 0 && k.mv_size == DIGEST_BYTES)
            result = fn(ctx, k.mv_data, (struct str){v.mv_data, v.mv_size}, e);
        else if (rc && rc != MDB_NOTFOUND)
            result = fail(s, "read", rc, e);
    }
    if (rc == 0 || rc == MDB_NOTFOUND)
        mdb_cursor_close(cursor);
    store_table_done(s);
    return result;
}

struct without_key {
    store_each_fn *fn;
    void *ctx;
};

static int drop_key(void *ctx, const struct digest *key, struct str value, struct err *e)
{
    const struct without_key *w = ctx;

    (void)key;
    return w->fn(w->ctx, value, e);
}

int store_table_each(struct store *s, enum store_table table, store_each_fn *fn, void *ctx,
                     struct err *e)
{
    struct without_key w = {fn, ctx};

    return store_table_each_key(s, table, drop_key, &w, e);
}

/* The records of a base that can be read. When some cannot, the new record simply takes their
 * place. */
static size_t old_actions(struct store *s, const struct digest *base, struct arena *arena,
                          struct action_record **out)
{
    struct err ignored = {0};
    size_t count = 0;

    if (store_get_actions(s, base, arena, out, &count, &ignored) < 0)
        count = 0;
    err_release(&ignored);
    return count;
}

int store_put_action(struct store *s, const struct digest *base, const struct action_record *r,
                     struct err *e)
{
    struct action_record records[MAX_ACTIONS] = {*r};
    struct action_record *old = NULL;
    struct arena arena = {0};
    struct buf value = {0};
    size_t old_count = old_actions(s, base, &arena, &old);
    size_t count = 1;
    int rc;

    for (size_t i = 0; i < old_count && count < MAX_ACTIONS; i++) {
        if (!digest_equal(&old[i].key, &r->key))
            records[count++] = old[i];
    }
    store_encode_actions(records, count, &value);
    rc = store_table_put(s, TABLE_ACTIONS, base, (struct str){value.ptr, value.len}, e);
    buf_release(&value);
    arena_release(&arena);
    return rc;
}

int store_get_actions(struct store *s, const struct digest *base, struct arena *arena,
                      struct action_record **out, size_t *count, struct err *e)
{
    struct str value;
    bool found;
    int rc;

    *out = NULL;
    *count = 0;
    if (store_table_get(s, TABLE_ACTIONS, base, &value, &found, e) < 0)
        return -1;
    rc = found ? store_decode_actions(value, arena, out, count, e) : 0;
    store_table_done(s);
    return rc;
}

static struct digest name_key(const char *name)
{
    struct digest key;

    hash_bytes(name, strlen(name), &key);
    return key;
}

int store_put_node(struct store *s, const char *name, const struct node_state *state, struct err *e)
{
    struct digest key = name_key(name);
    struct buf value = {0};
    int rc;

    store_encode_node(name, state, &value);
    rc = store_table_put(s, TABLE_NODES, &key, (struct str){value.ptr, value.len}, e);
    buf_release(&value);
    return rc;
}

int store_get_node(struct store *s, const char *name, struct arena *arena, struct node_state *out,
                   bool *found, struct err *e)
{
    struct digest key = name_key(name);
    const char *stored_name;
    struct str value;
    int rc;

    *out = (struct node_state){0};
    if (store_table_get(s, TABLE_NODES, &key, &value, found, e) < 0)
        return -1;
    rc = *found ? store_decode_node(value, arena, &stored_name, out, e) : 0;
    store_table_done(s);
    if (rc < 0)
        err_wrap(e, "%s", name);
    return rc;
}

int store_has_records(struct store *s, bool *out, struct err *e)
{
    MDB_stat actions = {0};
    MDB_stat nodes = {0};
    MDB_txn *txn;
    int rc;

    if (begin_read(s, &txn, e) < 0)
        return -1;
    rc = mdb_stat(txn, s->tables[TABLE_ACTIONS], &actions);
    if (rc == 0)
        rc = mdb_stat(txn, s->tables[TABLE_NODES], &nodes);
    store_table_done(s);
    *out = s->op_count > 0 || actions.ms_entries > 0 || nodes.ms_entries > 0;
    return rc ? fail(s, "read", rc, e) : 0;
}

static int forgive_damage(int rc, struct err *e)
{
    if (rc == 0 || e->code != ERR_record_damaged)
        return rc;
    err_release(e);
    return 0;
}

int store_recall_actions(struct store *s, const struct digest *base, struct arena *arena,
                         struct action_record **out, size_t *count, struct err *e)
{
    int rc = store_get_actions(s, base, arena, out, count, e);

    if (rc < 0)
        *count = 0;
    return forgive_damage(rc, e);
}

int store_recall_node(struct store *s, const char *name, struct arena *arena,
                      struct node_state *out, bool *found, struct err *e)
{
    int rc = store_get_node(s, name, arena, out, found, e);

    if (rc < 0) {
        *found = false;
        *out = (struct node_state){0};
    }
    return forgive_damage(rc, e);
}

int store_put_value(struct store *s, const char *name, const void *bytes, size_t len, struct err *e)
{
    struct digest key = name_key(name);
    struct buf value = {0};
    int rc;

    store_encode_value(name, bytes, len, &value);
    rc = store_table_put(s, TABLE_VALUES, &key, (struct str){value.ptr, value.len}, e);
    buf_release(&value);
    return rc;
}

int store_get_value(struct store *s, const char *name, struct buf *out, bool *found, struct err *e)
{
    struct digest key = name_key(name);
    struct arena arena = {0};
    const char *stored_name;
    struct str bytes;
    struct str value;
    int rc = 0;

    if (store_table_get(s, TABLE_VALUES, &key, &value, found, e) < 0)
        return -1;
    if (*found)
        rc = store_decode_value(value, &arena, &stored_name, &bytes, e);
    if (*found && rc == 0)
        buf_add(out, bytes.ptr, bytes.len);
    store_table_done(s);
    arena_release(&arena);
    return rc < 0 ? err_wrap(e, "%s", name) : 0;
}
int store_recall_value(struct store *s, const char *name, struct buf *out, bool *found,
                       struct err *e)
{
    int rc = store_get_value(s, name, out, found, e);

    if (rc < 0)
        *found = false;
    return forgive_damage(rc, e);
}
