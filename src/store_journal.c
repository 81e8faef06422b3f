#include "store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* A commit that waits for the disk costs as much as ten small commands. So a run's commits go to a
 * journal first, which a kill of the process cannot undo, and into the tables some seconds later,
 * as late as the file system writes what commands made. The journal is empty whenever the tables
 * hold everything; who opens a store whose journal is not, and nobody's, puts it into the tables.
 *
 * A group, one a commit: length of the payload, its CRC-32, then for each put the table, the digest
 * of the name, the length and the bytes of the value. A group cut short was never committed. */
#define SYNC_EVERY_NS INT64_C(5000000000)
#define SYNC_EVERY_BYTES ((size_t)4 << 20)
#define HEAD_BYTES 8
#define PUT_BYTES (1 + DIGEST_BYTES + 4)

static char *journal_path(const struct store *s, struct arena *arena)
{
    return arena_printf(arena, "%s/journal", s->dir);
}

static void add_number(struct buf *out, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        buf_addch(out, (char)(number >> (8 * i)));
}

static uint32_t number_at(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t checksum(const char *bytes, size_t len)
{
    return (uint32_t)crc32_z(0, (const Bytef *)bytes, len);
}

static void encode_group(const struct store *s, struct buf *out)
{
    uint32_t crc;

    buf_add(out, "\0\0\0\0\0\0\0\0", HEAD_BYTES);
    for (size_t i = s->journaled; i < s->op_count; i++) {
        const struct store_op *op = &s->ops[i];

        buf_addch(out, (char)op->table);
        buf_add(out, op->key.bytes, DIGEST_BYTES);
        add_number(out, (uint32_t)op->value.len);
        buf_add(out, op->value.ptr, op->value.len);
    }
    crc = checksum(out->ptr + HEAD_BYTES, out->len - HEAD_BYTES);
    for (int i = 0; i < 4; i++) {
        out->ptr[i] = (char)((out->len - HEAD_BYTES) >> (8 * i));
        out->ptr[4 + i] = (char)(crc >> (8 * i));
    }
}

/* Nobody else writes to a journal that we hold. */
static int hold_journal(struct store *s, bool *held, struct err *e)
{
    struct arena arena = {0};
    bool elsewhere = false;
    int rc = 0;

    if (s->journal_fd < 0)
        rc = os_lock_try(journal_path(s, &arena), &s->journal_fd, &elsewhere, e);
    *held = rc == 0 && !elsewhere;
    arena_release(&arena);
    return rc;
}

static int append(struct store *s, struct err *e)
{
    struct arena arena = {0};
    struct buf group = {0};
    int rc;

    encode_group(s, &group);
    rc = os_write_fd(s->journal_fd, group.ptr, group.len, journal_path(s, &arena), e);
    if (rc == 0) {
        s->journal_bytes += group.len;
        s->journaled = s->op_count;
    } else if (ftruncate(s->journal_fd, (off_t)s->journal_bytes) == 0) {
        lseek(s->journal_fd, (off_t)s->journal_bytes, SEEK_SET);
    }
    buf_release(&group);
    arena_release(&arena);
    return rc;
}

int store_commit_soon(struct store *s, struct err *e)
{
    bool held;

    if (!s->open)
        BUG("store_commit_soon outside of a transaction");
    if (store_pass("store_commit") < 0) {
        err_errno(e, ERR_state_failed, "cannot write to %s/journal", s->dir);
        store_abort(s);
        return -1;
    }
    if (hold_journal(s, &held, e) < 0 || (held && append(s, e) < 0)) {
        store_abort(s);
        return -1;
    }
    s->open = false;
    if (s->sync_ns == 0)
        s->sync_ns = os_monotonic_ns() + SYNC_EVERY_NS;
    if (held && s->journal_bytes < SYNC_EVERY_BYTES && os_monotonic_ns() < s->sync_ns)
        return 0;
    return store_sync(s, e);
}

int store_sync(struct store *s, struct err *e)
{
    if (s->open)
        BUG("store_sync inside of a transaction");
    s->sync_ns = 0;
    if (s->op_count > 0 && store_apply(s, e) < 0)
        return -1;
    if (s->journal_bytes > 0 && ftruncate(s->journal_fd, 0) < 0)
        return err_errno(e, ERR_state_failed, "cannot empty %s/journal", s->dir);
    if (s->journal_bytes > 0)
        lseek(s->journal_fd, 0, SEEK_SET);
    s->journal_bytes = 0;
    return 0;
}

/* Takes one group off `rest`; false at the end of what was committed. */
static bool take_group(struct store *s, struct str *rest)
{
    struct str group;

    if (rest->len < HEAD_BYTES || rest->len - HEAD_BYTES < number_at(rest->ptr))
        return false;
    group = (struct str){rest->ptr + HEAD_BYTES, number_at(rest->ptr)};
    if (checksum(group.ptr, group.len) != number_at(rest->ptr + 4))
        return false;
    *rest = (struct str){group.ptr + group.len, rest->len - HEAD_BYTES - group.len};
    while (group.len >= PUT_BYTES) {
        uint32_t len = number_at(group.ptr + 1 + DIGEST_BYTES);
        struct digest key;

        if (len > group.len - PUT_BYTES || (unsigned char)group.ptr[0] >= TABLE_COUNT)
            return false;
        memcpy(key.bytes, group.ptr + 1, DIGEST_BYTES);
        store_add_op(s, (enum store_table)group.ptr[0], &key,
                     (struct str){group.ptr + PUT_BYTES, len});
        group = (struct str){group.ptr + PUT_BYTES + len, group.len - PUT_BYTES - len};
    }
    return true;
}

static int replay(struct store *s, const char *path, struct err *e)
{
    struct buf bytes = {0};
    int rc = os_read(path, &bytes, e);
    struct str rest = {buf_text(&bytes), bytes.len};

    while (rc == 0 && take_group(s, &rest))
        ;
    s->journal_bytes = bytes.len;
    if (rc == 0)
        rc = store_sync(s, e);
    buf_release(&bytes);
    return rc;
}

int store_journal_open(struct store *s, struct err *e)
{
    struct arena arena = {0};
    const char *path = journal_path(s, &arena);
    struct os_stat stat;
    bool held;
    int rc = os_stat(path, &stat, e);

    if (rc == 0 && stat.kind == OS_FILE && stat.size_bytes > 0) {
        rc = hold_journal(s, &held, e);
        if (rc == 0 && held)
            rc = replay(s, path, e);
        os_unlock(&s->journal_fd);
    }
    arena_release(&arena);
    return rc;
}
