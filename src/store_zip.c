#include "store.h"

#include <stdlib.h>
#include <zlib.h>

#define PIECE_BYTES ((size_t)1 << 20)

/* One state for all streams: to make it anew takes longer than to compress a small text. */
struct store_zip {
    z_stream z;
};

struct store_zip *store_zip_open(void)
{
    struct store_zip *zip = xcalloc(1, sizeof(*zip));

    if (deflateInit(&zip->z, 1) != Z_OK)
        BUG("zlib cannot compress");
    return zip;
}

static void add_piece(z_stream *z, const void *bytes, size_t len, int flush, struct buf *out)
{
    size_t room = deflateBound(z, len);

    z->next_in = (unsigned char *)(uintptr_t)bytes;
    z->avail_in = (uInt)len;
    do {
        z->next_out = (unsigned char *)buf_reserve(out, room);
        z->avail_out = (uInt)room;
        if (deflate(z, flush) == Z_STREAM_ERROR)
            BUG("zlib is in disorder");
        out->len += room - z->avail_out;
    } while (z->avail_out == 0);
}

void store_zip_add(struct store_zip *zip, const void *bytes, size_t len, struct buf *out)
{
    for (; len > PIECE_BYTES; len -= PIECE_BYTES, bytes = (const char *)bytes + PIECE_BYTES)
        add_piece(&zip->z, bytes, PIECE_BYTES, Z_NO_FLUSH, out);
    add_piece(&zip->z, bytes, len, Z_FINISH, out);
    if (deflateReset(&zip->z) != Z_OK)
        BUG("zlib is in disorder");
}

void store_zip_close(struct store_zip *zip)
{
    deflateEnd(&zip->z);
    free(zip);
}
