#include "fuzz.h"

#include "tar.h"
#include <string.h>

/* Headers have NULs, which a seed cannot hold: the text is laid out as an archive of one entry,
 * name and content cut from it. */
static const char *const seeds[] = {
    "objects/ab/cdef\n0000644\n00000000005\nhello",
    "../../etc/passwd\n0000777\n77777777777\nroot",
    "/absolute\n0000644\n\xff\xff\xff\xff\n",
    "a\n0000644\n00000001000\n",
    NULL,
};

static void add_field(struct buf *out, struct str *rest, size_t width)
{
    struct str piece = {"", 0};

    str_split(rest, '\n', &piece);
    if (piece.len > width)
        piece.len = width;
    buf_add(out, piece.ptr, piece.len);
    for (size_t i = piece.len; i < width; i++)
        buf_addch(out, 0);
}

static void layout(const char *bytes, size_t len, struct buf *out)
{
    struct str rest = {bytes, len};
    unsigned int sum = 8 * ' ';

    add_field(out, &rest, 100);
    add_field(out, &rest, 8);
    for (int i = 0; i < 16; i++)
        buf_addch(out, '0');
    add_field(out, &rest, 12);
    buf_addstr(out, "00000000000");
    buf_addch(out, 0);
    size_t sum_at = out->len;
    buf_addstr(out, "        0");
    while (out->len < 257)
        buf_addch(out, 0);
    buf_add(out,
            "ustar\0"
            "00",
            8);
    while (out->len < 512)
        buf_addch(out, 0);
    for (size_t i = 0; i < 512; i++)
        sum += i >= sum_at && i < sum_at + 8 ? 0 : (unsigned char)out->ptr[i];
    snprintf(out->ptr + sum_at, 8, "%06o", sum);
    buf_add(out, rest.ptr, rest.len);
    while (out->len % 512 && len % 3)
        buf_addch(out, 0);
}

static void one(const char *bytes, size_t len)
{
    struct buf archive = {0}, content = {0};
    struct tar_reader reader;
    struct tar_entry entry;
    struct err e = {0};
    bool found = true;

    layout(bytes, len, &archive);
    const char *path = fuzz_file(archive.ptr, archive.len);
    if (tar_open(&reader, path, &e) < 0) {
        fuzz_refused(&e);
    } else {
        while (found && !e.set) {
            buf_reset(&content);
            if (tar_next(&reader, &entry, &found, &e) < 0 || !found)
                continue;
            fuzz_expect(memchr(entry.name, 0, sizeof entry.name) != NULL, "a name without an end");
            if (tar_read(&reader, 1 << 20, &content, &e) == 0)
                fuzz_expect(content.len == entry.size_bytes, "an entry of another size");
        }
        if (e.set)
            fuzz_refused(&e);
        tar_close(&reader);
    }
    buf_release(&archive);
    buf_release(&content);
}

const struct fuzz_target fuzz_target = {"tar", seeds, one, 3000};
