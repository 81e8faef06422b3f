/* hash: SHA-256 of bytes, files and trees, and a cache from a file's stat to its digest.
 *
 * The only user of libcrypto. Does not know the graph. */
#ifndef SPAK_HASH_H
#define SPAK_HASH_H

#include "os.h"

#define DIGEST_BYTES 32
#define DIGEST_HEX_LEN 64

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);
/* Writes 64 lower-case hex digits and a NUL. */
void digest_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1]);
/* False when `hex` is not 64 hex digits. */
bool digest_from_hex(const char *hex, struct digest *out);

/* A digest in the making; hash_init before, hash_final after, once each. */
struct hasher {
    void *state;
};
void hash_init(struct hasher *h);
void hash_add(struct hasher *h, const void *bytes, size_t len);
void hash_final(struct hasher *h, struct digest *out);

void hash_bytes(const void *bytes, size_t len, struct digest *out);
int hash_file(const char *path, struct digest *out, struct err *e);
/* A folder: digest over the sorted list of (mode, path, digest) lines below it; links by their text. */
int hash_tree(const char *path, struct digest *out, struct err *e);

/* path -> (stat, digest). An entry is used only if mtime, ctime, size and inode are the same and the file was not
 * touched within a clock tick of being hashed. Kept in one file, replaced as a whole; losing it costs only time. */
struct hash_cache;
/* Loads it; an absent, short or damaged file is an empty cache. */
struct hash_cache *hash_cache_open(const char *path);
/* The digest of a file or folder, from the cache when that is safe. `exists` is false for a missing path (no error, zero digest). */
int hash_cache_digest(struct hash_cache *cache, const char *path, struct digest *out, bool *exists,
                      struct err *e);
/* Writes it back if it changed. */
int hash_cache_save(struct hash_cache *cache, struct err *e);
/* How many files were read and hashed since it was opened, for --stats and tests. */
size_t hash_cache_misses(const struct hash_cache *cache);
void hash_cache_close(struct hash_cache *cache);

#endif
