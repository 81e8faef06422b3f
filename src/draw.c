#include "draw.h"

#include <string.h>
#include <sys/random.h>

#define BLOCK_BYTES 64
/* What a double, and so a number in JSON, holds without rounding. */
#define SEED_BITS 53

int draw_nonce(char out[2 * DRAW_NONCE_BYTES + 1], struct err *e)
{
    struct digest fresh;
    if (getrandom(fresh.bytes, sizeof fresh.bytes, 0) != (ssize_t)sizeof fresh.bytes)
        return err_errno(e, ERR_os, "drawing a nonce");
    digest_hex(&fresh, out);
    return 0;
}

/* One of the two hashes of an HMAC. The key is shorter than a block: a nonce is 64 digits. */
static void keyed(const char *key, uint8_t pad, const void *bytes, size_t len, struct digest *out)
{
    uint8_t block[BLOCK_BYTES] = {0};
    struct hasher h;
    size_t key_len = strlen(key);
    memcpy(block, key, key_len < BLOCK_BYTES ? key_len : BLOCK_BYTES);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= pad;
    hash_init(&h);
    hash_add(&h, block, sizeof block);
    hash_add(&h, bytes, len);
    hash_final(&h, out);
}

uint64_t draw_seed(const char *nonce, const char *commitment)
{
    struct digest inner, outer;
    uint64_t seed = 0;
    keyed(nonce, 0x36, commitment, strlen(commitment), &inner);
    keyed(nonce, 0x5c, inner.bytes, sizeof inner.bytes, &outer);
    for (size_t i = 0; i < sizeof seed; i++)
        seed = seed << 8 | outer.bytes[i];
    return seed >> (64 - SEED_BITS);
}

void draw_commit(struct buf *commitment, const char *what, const char *name,
                 const struct digest *digest)
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(digest, hex);
    buf_addf(commitment, "%s %s %s\n", what, name, hex);
}
