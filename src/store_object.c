#include "store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define PIECE_BYTES ((size_t)128 << 10)

/* A gzip header and trailer: nothing shorter is an object. */
#define LEAST_BYTES 18

/* windowBits of zlib: the largest window, plus 16 for the gzip format. */
#define GZIP_WINDOW (15 + 16)

char *store_object_path(const struct store *s, struct arena *arena, const struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(d, hex);
    return arena_printf(arena, "%s/cas/%.2s/%s.gz", s->dir, hex, hex);
}

bool store_object_name(const char *folder, const char *name, struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1] = "";

    if (strlen(name) != DIGEST_HEX_LEN + 3 || !text_ends_with(name, ".gz") ||
        strncmp(name, folder, 2) != 0)
        return false;
    memcpy(hex, name, DIGEST_HEX_LEN);
    return digest_from_hex(hex, d);
}

bool store_lost_object(const struct err *e)
{
    return e->set && (e->code == ERR_object_missing || e->code == ERR_object_damaged ||
                      e->code == ERR_tree_damaged);
}

static bool object_is_there(const char *path)
{
    struct err ignored = {0};
    struct os_stat stat;

    if (os_stat(path, &stat, &ignored) < 0) {
        err_release(&ignored);
        return false;
    }
    return stat.kind == OS_FILE && stat.size_bytes >= LEAST_BYTES;
}

/* A damaged small object hides a file of the same content, here as where it is read: then whoever
 * asks puts it again. */
bool store_has(struct store *s, const struct digest *d)
{
    struct arena arena = {0};
    enum store_small small = store_small_state(s, d);
    bool there = small == SMALL_WHOLE ||
                 (small == SMALL_ABSENT && object_is_there(store_object_path(s, &arena, d)));

    arena_release(&arena);
    return there;
}

/* An object on its way in: compressed into a temporary, hashed as it passes. */
struct packer {
    z_stream z;
    struct hasher hasher;
    const char *path;
    char *temp;
    int fd;
    uint64_t size_bytes;
    unsigned char *out;
};

static int packer_open(struct packer *p, const char *path, struct err *e)
{
    *p = (struct packer){.path = path, .fd = -1};
    if (store_pass("store_put") < 0)
        return err_errno(e, ERR_os, "cannot write %s", path);
    if (os_mkdirs_for(path, e) < 0 || os_temp_open(path, 0444, &p->temp, &p->fd, e) < 0)
        return -1;
    /* Level 1: outputs are read far more rarely than written, and the disk is slower than this. */
    if (deflateInit2(&p->z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        BUG("zlib cannot compress");
    p->out = xmalloc(PIECE_BYTES);
    hash_init(&p->hasher);
    return 0;
}

static int packer_add(struct packer *p, const void *bytes, size_t len, int flush, struct err *e)
{
    p->z.next_in = (unsigned char *)(uintptr_t)bytes;
    p->z.avail_in = (uInt)len;
    p->size_bytes += len;
    hash_add(&p->hasher, bytes, len);
    do {
        p->z.next_out = p->out;
        p->z.avail_out = (uInt)PIECE_BYTES;
        if (deflate(&p->z, flush) == Z_STREAM_ERROR)
            BUG("zlib is in disorder");
        if (os_write_fd(p->fd, p->out, PIECE_BYTES - p->z.avail_out, p->path, e) < 0)
            return -1;
    } while (p->z.avail_out == 0);
    return 0;
}

/* Gives the digest of what passed; the temporary is still there. */
static void packer_close(struct packer *p, struct digest *digest)
{
    deflateEnd(&p->z);
    hash_final(&p->hasher, digest);
    free(p->out);
}

int store_put_bytes(struct store *s, const void *bytes, size_t len, struct digest *out,
                    struct err *e)
{
    struct arena arena = {0};
    struct packer packer;
    struct digest digest;
    const char *path;
    int rc = 0;

    hash_bytes(bytes, len, out);
    path = store_object_path(s, &arena, out);
    if (object_is_there(path))
        goto out;
    rc = packer_open(&packer, path, e);
    if (rc < 0)
        goto out;
    for (size_t at = 0; rc == 0 && at < len; at += PIECE_BYTES) {
        size_t piece = len - at < PIECE_BYTES ? len - at : PIECE_BYTES;

        rc = packer_add(&packer, (const char *)bytes + at, piece, Z_NO_FLUSH, e);
    }
    if (rc == 0)
        rc = packer_add(&packer, "", 0, Z_FINISH, e);
    packer_close(&packer, &digest);
    if (rc == 0)
        rc = os_temp_keep(path, packer.temp, packer.fd, false, e);
    else
        os_temp_drop(packer.temp, packer.fd);
out:
    arena_release(&arena);
    return rc;
}

static int pack_file(struct packer *p, const char *path, struct err *e)
{
    char *piece = xmalloc(PIECE_BYTES);
    size_t got;
    int fd;
    int rc = os_open_read(path, &fd, e);

    if (rc == 0) {
        do {
            rc = os_read_fd(fd, piece, PIECE_BYTES, &got, path, e);
            if (rc == 0)
                rc = packer_add(p, piece, got, got > 0 ? Z_NO_FLUSH : Z_FINISH, e);
        } while (rc == 0 && got > 0);
        close(fd);
    }
    free(piece);
    return rc;
}

static int digest_of(const char *path, struct hash_cache *cache, struct hash_look *out,
                     struct err *e)
{
    if (cache && hash_cache_look(cache, path, out, e) < 0)
        return -1;
    if (cache && out->stat.kind == OS_FILE)
        return 0;
    return hash_file(path, &out->digest, e) < 0 ? -1 : os_stat(path, &out->stat, e);
}

/* One attempt: the digest decides the name before the content is read a second time, so the content
 * may have moved meanwhile. */
static int put_file_once(struct store *s, const char *path, struct hash_cache *cache,
                         struct digest *out, uint64_t *size_bytes, bool *stored, struct err *e)
{
    struct arena arena = {0};
    struct packer packer;
    struct hash_look look;
    struct digest packed;
    const char *object;

    *stored = false;
    if (digest_of(path, cache, &look, e) < 0)
        return -1;
    *out = look.digest;
    object = store_object_path(s, &arena, out);
    *size_bytes = look.stat.size_bytes;
    int rc = 0;
    *stored = object_is_there(object);
    if (*stored)
        goto out;
    rc = packer_open(&packer, object, e);
    if (rc < 0)
        goto out;
    rc = pack_file(&packer, path, e);
    packer_close(&packer, &packed);
    *size_bytes = packer.size_bytes;
    *stored = rc == 0 && digest_equal(out, &packed);
    if (*stored)
        rc = os_temp_keep(object, packer.temp, packer.fd, false, e);
    else
        os_temp_drop(packer.temp, packer.fd);
out:
    arena_release(&arena);
    return rc;
}

int store_put_file(struct store *s, const char *path, struct hash_cache *cache, struct digest *out,
                   uint64_t *size_bytes, struct err *e)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        bool stored;

        if (put_file_once(s, path, cache, out, size_bytes, &stored, e) < 0)
            return -1;
        if (stored)
            return 0;
    }
    err_set(e, ERR_input_moving, "%s changes while it is being stored", path);
    return err_hint(e, "a process that its command left behind may still be writing it");
}

typedef int sink_fn(void *ctx, const void *bytes, size_t len, struct err *e);

/* An object on its way out: hashed as it passes to the sink. */
struct unpacker {
    z_stream z;
    struct hasher hasher;
    sink_fn *sink;
    void *ctx;
    bool ended; /* the gzip trailer was seen, and matched */
    bool bad;
    unsigned char *out;
};

static int unpack_piece(struct unpacker *u, unsigned char *bytes, size_t len, struct err *e)
{
    u->z.next_in = bytes;
    u->z.avail_in = (uInt)len;
    while (!u->bad && (u->z.avail_in > 0 || u->z.avail_out == 0)) {
        int rc;

        if (u->ended) {
            u->bad = true; /* bytes after the end */
            break;
        }
        u->z.next_out = u->out;
        u->z.avail_out = (uInt)PIECE_BYTES;
        rc = inflate(&u->z, Z_NO_FLUSH);
        u->ended = rc == Z_STREAM_END;
        u->bad = rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR;
        hash_add(&u->hasher, u->out, PIECE_BYTES - u->z.avail_out);
        if (u->sink(u->ctx, u->out, PIECE_BYTES - u->z.avail_out, e) < 0)
            return -1;
        if (u->ended)
            u->z.avail_out = 1; /* nothing is waiting to come out */
    }
    return 0;
}

static int unpack_fd(struct unpacker *u, int fd, const char *path, struct err *e)
{
    unsigned char *piece = xmalloc(PIECE_BYTES);
    size_t got;
    int rc;

    do {
        rc = os_read_fd(fd, piece, PIECE_BYTES, &got, path, e);
        if (rc == 0)
            rc = unpack_piece(u, piece, got, e);
    } while (rc == 0 && got > 0 && !u->bad);
    free(piece);
    return rc;
}

static int object_error(struct err *e, enum err_code code, const char *path, const char *what)
{
    err_set(e, code, "the object %s %s", path, what);
    return err_hint(e,
                    "build what made it again: that puts it back; `spak fsck` checks the others");
}

static int read_file(const char *path, const struct digest *d, sink_fn *sink, void *ctx,
                     struct err *e)
{
    struct unpacker u = {.sink = sink, .ctx = ctx};
    struct os_stat stat;
    struct digest digest;
    int fd;
    int rc;

    if (os_stat(path, &stat, e) < 0)
        return -1;
    if (stat.kind == OS_ABSENT)
        return object_error(e, ERR_object_missing, path, "is missing");
    if (os_open_read(path, &fd, e) < 0)
        return -1;
    if (inflateInit2(&u.z, GZIP_WINDOW) != Z_OK)
        BUG("zlib cannot decompress");
    u.z.avail_out = 1;
    u.out = xmalloc(PIECE_BYTES);
    hash_init(&u.hasher);
    rc = unpack_fd(&u, fd, path, e);
    hash_final(&u.hasher, &digest);
    inflateEnd(&u.z);
    free(u.out);
    close(fd);
    if (rc == 0 && (u.bad || !u.ended))
        return object_error(e, ERR_object_damaged, path, "is damaged: it is not a whole gzip file");
    if (rc == 0 && !digest_equal(&digest, d))
        return object_error(e, ERR_object_damaged, path,
                            "is damaged: its content has another digest");
    return rc;
}

static int read_small(const struct store *s, const struct digest *d, const struct buf *content,
                      sink_fn *sink, void *ctx, struct err *e)
{
    struct arena arena = {0};
    struct digest digest;
    int rc = 0;

    hash_bytes(buf_text(content), content->len, &digest);
    if (digest_equal(&digest, d)) {
        rc = sink(ctx, buf_text(content), content->len, e);
    } else {
        char hex[DIGEST_HEX_LEN + 1];

        digest_hex(d, hex);
        rc = object_error(e, ERR_object_damaged,
                          arena_printf(&arena, "%.12s in %s/state.mdb", hex, s->dir),
                          "is damaged: its content has another digest");
    }
    arena_release(&arena);
    return rc;
}

static int read_object(struct store *s, const struct digest *d, sink_fn *sink, void *ctx,
                       struct err *e)
{
    struct arena arena = {0};
    struct buf content = {0};
    bool small;
    int rc = store_small_get(s, d, &content, &small, e);

    if (rc == 0 && small)
        rc = read_small(s, d, &content, sink, ctx, e);
    else if (rc == 0)
        rc = read_file(store_object_path(s, &arena, d), d, sink, ctx, e);
    buf_release(&content);
    arena_release(&arena);
    return rc;
}

/* A damaged object is of no use to anybody, and in the way of a whole one. */
static int take_object(struct store *s, const struct digest *d, sink_fn *sink, void *ctx,
                       struct err *e)
{
    int rc = read_object(s, d, sink, ctx, e);
    struct err ignored = {0};

    if (rc < 0 && e->code == ERR_object_damaged && store_remove(s, d, &ignored) < 0)
        err_release(&ignored);
    return rc;
}

static int nowhere(void *ctx, const void *bytes, size_t len, struct err *e)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    (void)e;
    return 0;
}

int store_check_object(struct store *s, const struct digest *d, struct err *e)
{
    return read_object(s, d, nowhere, NULL, e);
}

static int into_buf(void *ctx, const void *bytes, size_t len, struct err *e)
{
    (void)e;
    buf_add(ctx, bytes, len);
    return 0;
}

int store_get_bytes(struct store *s, const struct digest *d, struct buf *out, struct err *e)
{
    size_t before = out->len;
    int rc = take_object(s, d, into_buf, out, e);

    if (rc < 0 && out->ptr) {
        out->len = before;
        out->ptr[before] = '\0';
    }
    return rc;
}

struct file_sink {
    const char *path;
    int fd;
};

static int into_file(void *ctx, const void *bytes, size_t len, struct err *e)
{
    const struct file_sink *file = ctx;

    return os_write_fd(file->fd, bytes, len, file->path, e);
}

int store_get_file(struct store *s, const struct digest *d, const char *path, uint32_t mode,
                   struct err *e)
{
    struct file_sink file = {path, -1};
    char *temp = NULL;
    int rc = os_mkdirs_for(path, e);

    if (rc == 0)
        rc = os_temp_open(path, mode, &temp, &file.fd, e);
    if (rc == 0) {
        rc = take_object(s, d, into_file, &file, e);
        if (rc < 0)
            os_temp_drop(temp, file.fd);
        else
            rc = os_temp_keep(path, temp, file.fd, false, e);
    }
    return rc;
}
