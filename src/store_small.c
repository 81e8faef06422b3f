#include "store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file of its own costs more than the commands that make most small outputs: a new inode, a
 * temporary, a rename, compression that gains nothing. What a run makes is put beside its records
 * instead, and reaches the disk with them. Not what others must see at once. */
#define SMALL_BYTES 1024

/* Puts that nobody commits (a run does, every few seconds) are not piled up. */
#define PENDING_AT_MOST 16384

/* The first byte of a value: that of an empty object would mean that it goes. */
#define MARK '\1'

/* Not while a cursor is under way: the map may have to move. */
static int spill(struct store *s, struct err *e)
{
    bool full = s->op_count - s->journaled > PENDING_AT_MOST;

    return full && !s->open && !s->reading ? store_sync(s, e) : 0;
}

static int put_small(struct store *s, const struct digest *d, const void *bytes, size_t len,
                     struct err *e)
{
    char value[1 + SMALL_BYTES] = {MARK};

    if (store_pass("store_put") < 0)
        return err_errno(e, ERR_state_failed, "cannot write to %s/state.mdb", s->dir);
    memcpy(value + 1, bytes, len);
    store_add_op(s, TABLE_OBJECTS, d, (struct str){value, 1 + len});
    return spill(s, e);
}

int store_put_bytes_soon(struct store *s, const void *bytes, size_t len, struct digest *out,
                         struct err *e)
{
    if (len > SMALL_BYTES)
        return store_put_bytes(s, bytes, len, out, e);
    hash_bytes(bytes, len, out);
    return store_has(s, out) ? 0 : put_small(s, out, bytes, len, e);
}

/* Between the stat, the digest and the reading the file may have moved, and grown: then it is put
 * as any other. */
int store_put_file_soon(struct store *s, const char *path, struct hash_cache *cache,
                        struct digest *out, uint64_t *size_bytes, struct err *e)
{
    struct hash_look look;
    struct digest digest;
    struct buf content = {0};
    int rc = hash_cache_read(cache, path, SMALL_BYTES, &content, &look, e);
    bool small = rc == 0 && look.stat.kind == OS_FILE && look.stat.size_bytes <= SMALL_BYTES;
    if (small && !store_has(s, &look.digest)) {
        if (content.len == 0)
            rc = os_read(path, &content, e);
        hash_bytes(buf_text(&content), content.len, &digest);
        small = content.len == look.stat.size_bytes && digest_equal(&digest, &look.digest);
        if (rc == 0 && small)
            rc = put_small(s, &digest, buf_text(&content), content.len, e);
    }
    buf_release(&content);
    *out = look.digest;
    *size_bytes = look.stat.size_bytes;
    return rc < 0 || small ? rc : store_put_file(s, path, cache, out, size_bytes, e);
}

int store_small_get(struct store *s, const struct digest *d, struct buf *out, bool *found,
                    struct err *e)
{
    struct buf value = {0};
    int rc = store_table_copy(s, TABLE_OBJECTS, d, &value, found, e);

    if (*found && value.len > 0)
        buf_add(out, value.ptr + 1, value.len - 1);
    buf_release(&value);
    return rc;
}

enum store_small store_small_state(struct store *s, const struct digest *d)
{
    struct buf content = {0};
    struct digest digest;
    struct err ignored = {0};
    bool found;

    if (store_small_get(s, d, &content, &found, &ignored) < 0)
        err_release(&ignored);
    hash_bytes(buf_text(&content), content.len, &digest);
    buf_release(&content);
    return !found ? SMALL_ABSENT : digest_equal(&digest, d) ? SMALL_WHOLE : SMALL_DAMAGED;
}

int store_small_remove(struct store *s, const struct digest *d, struct err *e)
{
    bool found;
    int rc = store_table_copy(s, TABLE_OBJECTS, d, NULL, &found, e);

    if (rc == 0 && found)
        store_add_op(s, TABLE_OBJECTS, d, (struct str){"", 0});
    return rc ? rc : spill(s, e);
}
