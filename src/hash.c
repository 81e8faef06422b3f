#include "hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BLOCK_BYTES 64

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

bool digest_is_zero(const struct digest *d)
{
    static const struct digest zero;

    return digest_equal(d, &zero);
}

void digest_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[d->bytes[i] >> 4];
        out[2 * i + 1] = digits[d->bytes[i] & 15];
    }
    out[DIGEST_HEX_LEN] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool digest_from_hex(const char *hex, struct digest *out)
{
    struct digest digest;

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        int high = hex_value(hex[2 * i]);
        int low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);

        if (low < 0)
            return false;
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (hex[DIGEST_HEX_LEN] != '\0')
        return false;
    *out = digest;
    return true;
}

/* libcrypto fails here only when it is broken or memory is gone: neither is the user's to mend. */
static void must(int rc)
{
    if (rc != 1)
        BUG("libcrypto cannot compute a digest");
}

static void begin(struct hasher *h, const EVP_MD *kind)
{
    h->state = EVP_MD_CTX_new();
    must(h->state != NULL);
    must(EVP_DigestInit_ex(h->state, kind, NULL));
}

void hash_init(struct hasher *h)
{
    begin(h, EVP_sha256());
}

void hash_init_sha1(struct hasher *h)
{
    begin(h, EVP_sha1());
}

void hash_add(struct hasher *h, const void *bytes, size_t len)
{
    must(EVP_DigestUpdate(h->state, bytes, len));
}

void hash_final(struct hasher *h, struct digest *out)
{
    *out = (struct digest){{0}};
    must(EVP_DigestFinal_ex(h->state, out->bytes, NULL));
    EVP_MD_CTX_free(h->state);
    h->state = NULL;
}

void hash_bytes(const void *bytes, size_t len, struct digest *out)
{
    must(EVP_Digest(bytes, len, out->bytes, NULL, EVP_sha256(), NULL));
}

/* One of the two hashes of an HMAC. */
static void hash_padded(const char *key, uint8_t pad, const void *bytes, size_t len,
                        struct digest *out)
{
    uint8_t block[KEY_BLOCK_BYTES] = {0};
    struct hasher h;

    memcpy(block, key, strnlen(key, sizeof block));
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= pad;
    hash_init(&h);
    hash_add(&h, block, sizeof block);
    hash_add(&h, bytes, len);
    hash_final(&h, out);
}

void hash_keyed(const char *key, const void *bytes, size_t len, struct digest *out)
{
    struct digest inner;

    hash_padded(key, 0x36, bytes, len, &inner);
    hash_padded(key, 0x5c, inner.bytes, sizeof inner.bytes, out);
}

int hash_file(const char *path, struct digest *out, struct err *e)
{
    enum { PIECE_BYTES = 1 << 17 };
    struct hasher hasher;
    size_t got;
    char *piece;
    int fd;
    int rc;

    *out = (struct digest){0};
    if (os_open_read(path, &fd, e) < 0)
        return -1;
    piece = xmalloc(PIECE_BYTES);
    hash_init(&hasher);
    do {
        rc = os_read_fd(fd, piece, PIECE_BYTES, &got, path, e);
        hash_add(&hasher, piece, got);
    } while (rc == 0 && got > 0);
    hash_final(&hasher, out);
    free(piece);
    close(fd);
    return rc;
}

/* One walk over a folder: paths below it, in the order of a queue, so that no depth can exhaust the
 * stack. */
struct walk {
    const char *root;
    struct hash_cache *cache;
    struct arena arena;
    struct strs folders; /* relative to root, "" first; grows while it is worked off */
    struct strs lines;   /* "PATH\0MODE DIGEST", so that sorting the lines sorts the paths */
};

static const char *below(struct walk *w, const char *folder, const char *name)
{
    return *folder ? arena_printf(&w->arena, "%s/%s", folder, name) : name;
}

static void add_line(struct walk *w, const char *path, const char *mode,
                     const struct digest *digest)
{
    char hex[DIGEST_HEX_LEN + 1];
    size_t len = strlen(path) + 1;
    char *line;

    digest_hex(digest, hex);
    line = arena_alloc(&w->arena, len + 6 + 1 + DIGEST_HEX_LEN + 1);
    memcpy(line, path, len);
    memcpy(line + len, mode, 6);
    line[len + 6] = ' ';
    memcpy(line + len + 7, hex, sizeof(hex));
    strs_push(&w->lines, line);
}

static int digest_link(const char *path, struct digest *out, struct err *e)
{
    char text[4096];
    ssize_t len = readlink(path, text, sizeof(text));

    if (len < 0)
        return err_errno(e, ERR_os, "cannot read the link %s", path);
    hash_bytes(text, (size_t)len, out);
    return 0;
}

static int add_entry(struct walk *w, const char *path, struct err *e)
{
    const char *full = arena_printf(&w->arena, "%s/%s", w->root, path);
    struct digest digest = {0};
    struct os_stat stat;
    const char *mode;
    bool exists = true;
    int rc;

    if (os_lstat(full, &stat, e) < 0)
        return -1;
    switch (stat.kind) {
    case OS_DIR:
        strs_push(&w->folders, path);
        mode = "040000";
        rc = 0;
        break;
    case OS_LINK:
        mode = "120000";
        rc = digest_link(full, &digest, e);
        break;
    case OS_FILE:
        mode = stat.executable ? "100755" : "100644";
        rc = w->cache ? hash_cache_digest(w->cache, full, &digest, &exists, e)
                      : hash_file(full, &digest, e);
        break;
    case OS_ABSENT:
        return 0; /* removed since it was listed */
    default:
        return err_set(e, ERR_odd_file, "%s is neither a file, a folder nor a link", full);
    }
    if (rc == 0 && exists)
        add_line(w, path, mode, &digest);
    return rc;
}

static int walk_folder(struct walk *w, const char *folder, struct err *e)
{
    const char *full = *folder ? arena_printf(&w->arena, "%s/%s", w->root, folder) : w->root;
    struct strs names = {0};
    int rc = os_list(full, &w->arena, &names, e);

    for (size_t i = 0; rc == 0 && i < names.len; i++)
        rc = add_entry(w, below(w, folder, names.at[i]), e);
    strs_release(&names);
    return rc;
}

int hash_list_tree(const char *path, struct hash_cache *cache, struct buf *out, struct err *e)
{
    struct walk w = {.root = path, .cache = cache};
    int rc = 0;

    strs_push(&w.folders, "");
    for (size_t i = 0; rc == 0 && i < w.folders.len; i++)
        rc = walk_folder(&w, w.folders.at[i], e);
    strs_sort(&w.lines);
    for (size_t i = 0; rc == 0 && i < w.lines.len; i++) {
        const char *line = w.lines.at[i];

        buf_addf(out, "%s %s", line + strlen(line) + 1, line);
        buf_addch(out, '\0');
    }
    strs_release(&w.folders);
    strs_release(&w.lines);
    arena_release(&w.arena);
    return rc;
}

int hash_tree(const char *path, struct digest *out, struct err *e)
{
    struct buf listing = {0};
    int rc = hash_list_tree(path, NULL, &listing, e);

    *out = (struct digest){0};
    if (rc == 0)
        hash_bytes(buf_text(&listing), listing.len, out);
    buf_release(&listing);
    return rc;
}
