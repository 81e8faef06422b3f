#include "tar.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u
#define PIECE_BYTES (64u << 10)

/* POSIX ustar: fields by offset. */
enum {
    NAME = 0,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    SUM = 148,
    TYPE = 156,
    MAGIC = 257
};

int tar_create(struct tar_writer *w, const char *path, struct err *e)
{
    *w = (struct tar_writer){.path = path, .fd = -1};
    return os_temp_open(path, 0644, &w->temp, &w->fd, e);
}

static unsigned int checksum(const unsigned char *header)
{
    unsigned int sum = 0;
    for (unsigned int i = 0; i < BLOCK; i++)
        sum += i >= SUM && i < SUM + 8 ? ' ' : header[i];
    return sum;
}

/* A field of the header; what fills it has no terminator. */
static void put(char *header, size_t at, const void *bytes, size_t len)
{
    memcpy(header + at, bytes, len);
}

int tar_add(struct tar_writer *w, const char *name, const void *bytes, size_t len, struct err *e)
{
    static const char zeros[BLOCK];
    char h[BLOCK] = "";
    if (strlen(name) > 100 || len > 077777777777)
        BUG("tar_add: %s does not fit", name);
    put(h, NAME, name, strlen(name));
    put(h, MODE, "0000644", 8);
    put(h, UID, "0000000", 8);
    put(h, GID, "0000000", 8);
    snprintf(h + SIZE, 12, "%011llo", (unsigned long long)len);
    put(h, MTIME, "00000000000", 12);
    h[TYPE] = '0';
    put(h, MAGIC, "ustar\00000", 8);
    snprintf(h + SUM, 7, "%06o", checksum((unsigned char *)h));
    h[SUM + 7] = ' ';
    if (os_write_fd(w->fd, h, BLOCK, w->path, e) || os_write_fd(w->fd, bytes, len, w->path, e))
        return -1;
    return os_write_fd(w->fd, zeros, (BLOCK - len % BLOCK) % BLOCK, w->path, e);
}

int tar_finish(struct tar_writer *w, struct err *e)
{
    static const char zeros[2 * BLOCK];
    if (os_write_fd(w->fd, zeros, sizeof(zeros), w->path, e)) {
        tar_drop(w);
        return -1;
    }
    char *temp = w->temp;
    w->temp = NULL;
    return os_temp_keep(w->path, temp, w->fd, true, e);
}

void tar_drop(struct tar_writer *w)
{
    if (w->temp)
        os_temp_drop(w->temp, w->fd);
    w->temp = NULL;
}

int tar_open(struct tar_reader *r, const char *path, struct err *e)
{
    *r = (struct tar_reader){.path = path, .fd = -1};
    return os_open_read(path, &r->fd, e);
}

void tar_close(struct tar_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

static int damaged(const struct tar_reader *r, const char *why, struct err *e)
{
    err_set(e, ERR_bundle_damaged, "%s: %s", r->path, why);
    return err_hint(
        e,
        "`tar -tvf` shows what it holds; carry it over again, or make it again with `spak bundle`");
}

/* All of `len`, or an error. */
static int read_full(struct tar_reader *r, void *bytes, size_t len, struct err *e)
{
    size_t done = 0, got = 1;
    while (done < len && got > 0) {
        if (os_read_fd(r->fd, (char *)bytes + done, len - done, &got, r->path, e))
            return -1;
        done += got;
    }
    return done == len ? 0 : damaged(r, "the archive ends in the middle of an entry", e);
}

static bool parse_octal(const char *field, size_t len, uint64_t *out)
{
    size_t i = 0;
    *out = 0;
    while (i < len && field[i] == ' ')
        i++;
    size_t first = i;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        *out = *out << 3 | (uint64_t)(field[i] - '0');
    return i > first && (i == len || field[i] == 0 || field[i] == ' ');
}

static bool is_safe_name(const char *name)
{
    struct str rest = str_of(name), part;
    if (!*name || *name == '/')
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f || *c == '\\')
            return false;
    while (str_split(&rest, '/', &part))
        if (part.len == 0 || str_equal(part, str_of(".")) || str_equal(part, str_of("..")))
            return false;
    return true;
}

static int skip(struct tar_reader *r, struct err *e)
{
    char piece[4096];
    uint64_t left = r->left + r->padding;
    while (left > 0) {
        size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);
        if (read_full(r, piece, n, e))
            return -1;
        left -= n;
    }
    r->left = r->padding = 0;
    return 0;
}

int tar_next(struct tar_reader *r, struct tar_entry *out, bool *found, struct err *e)
{
    char h[BLOCK];
    uint64_t sum;
    *found = false;
    if (skip(r, e) || read_full(r, h, BLOCK, e))
        return -1;
    if (h[0] == 0 && checksum((unsigned char *)h) == 8 * ' ')
        return 0;
    if (memcmp(h + MAGIC, "ustar", 5) != 0 || !parse_octal(h + SUM, 8, &sum) ||
        sum != checksum((unsigned char *)h) || !parse_octal(h + SIZE, 12, &out->size_bytes))
        return damaged(r, "it is no tar archive, or a damaged one", e);
    memcpy(out->name, h + NAME, 100);
    out->name[100] = 0;
    if (h[TYPE] != '0' && h[TYPE] != 0)
        return damaged(r, "it holds something that is no regular file", e);
    if (h[345] != 0 || !is_safe_name(out->name))
        return damaged(r, "it holds a file whose name leads elsewhere", e);
    r->left = out->size_bytes;
    r->padding = (unsigned int)((BLOCK - out->size_bytes % BLOCK) % BLOCK);
    *found = true;
    return 0;
}

int tar_read(struct tar_reader *r, uint64_t limit, struct buf *out, struct err *e)
{
    if (r->left > limit)
        return damaged(r, "an entry is larger than it may be", e);
    while (r->left > 0) {
        size_t n = r->left < PIECE_BYTES ? (size_t)r->left : PIECE_BYTES;
        if (read_full(r, buf_reserve(out, n), n, e))
            return -1;
        out->len += n;
        out->ptr[out->len] = '\0';
        r->left -= n;
    }
    return 0;
}

int tar_save(struct tar_reader *r, const char *path, struct err *e)
{
    struct buf piece = {0};
    char *temp = NULL;
    int fd;
    int rc = os_temp_open(path, 0644, &temp, &fd, e);
    if (rc)
        return rc;
    while (rc == 0 && r->left > 0) {
        size_t n = r->left < PIECE_BYTES ? (size_t)r->left : PIECE_BYTES;
        rc = read_full(r, buf_reserve(&piece, n), n, e);
        if (rc == 0)
            rc = os_write_fd(fd, piece.ptr, n, path, e);
        r->left -= n;
    }
    buf_release(&piece);
    if (rc == 0)
        return os_temp_keep(path, temp, fd, false, e);
    os_temp_drop(temp, fd);
    return rc;
}
