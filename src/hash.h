/* hash: SHA-256 of bytes, files and trees, and a cache from a file's stat to its digest. SHA-1 only
 * where a file of git's has to end in one.
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
/* Instead of hash_init: the first HASH_SHA1_BYTES of the digest are the SHA-1, the others zeros. */
#define HASH_SHA1_BYTES 20
void hash_init_sha1(struct hasher *h);

void hash_bytes(const void *bytes, size_t len, struct digest *out);
/* HMAC-SHA256 under a key of at most 64 bytes. */
void hash_keyed(const char *key, const void *bytes, size_t len, struct digest *out);
int hash_file(const char *path, struct digest *out, struct err *e);
/* A folder: the digest of its listing. */
int hash_tree(const char *path, struct digest *out, struct err *e);

/* Appends the listing of a folder: for everything below it, sorted by path, "MODE DIGEST PATH" and
 * a NUL. MODE is git's: 100644, 100755 for a file that somebody may execute, 120000 for a link
 * (DIGEST is of its text), 040000 for a folder (DIGEST is zeros). Digests of files come from
 * `cache` unless that is NULL. Anything that is no file, folder or link is an error. */
struct hash_cache;
int hash_list_tree(const char *path, struct hash_cache *cache, struct buf *out, struct err *e);

/* path -> (stat, digest). An entry is used only if mtime, ctime, size and inode are the same and
 * the file was not touched within a clock tick of being hashed. Kept in one file, replaced as a
 * whole; losing it costs only time. A path is looked up as it is spelled. hash_cache_digest and
 * hash_cache_misses may be called from several threads at once. */
/* Loads it; an absent, short or damaged file is an empty cache. */
struct hash_cache *hash_cache_open(const char *path);
/* The digest of a file or folder, from the cache when that is safe. `exists` is false for a missing
 * path (no error, zero digest). */
int hash_cache_digest(struct hash_cache *cache, const char *path, struct digest *out, bool *exists,
                      struct err *e);
/* The same, and the stat that the digest belongs to. `sure` is true when that stat stands for this
 * content: as long as the file looks so, it holds this. A folder is never looked into: its digest
 * is zero. */
struct hash_look {
    struct os_stat stat;
    struct digest digest;
    bool sure;
};
int hash_cache_look(struct hash_cache *cache, const char *path, struct hash_look *out,
                    struct err *e);
/* The same; a file of at most so many bytes that had to be read is appended to `content`. */
int hash_cache_read(struct hash_cache *cache, const char *path, size_t most_bytes,
                    struct buf *content, struct hash_look *out, struct err *e);
/* How the file looked when it was found to have this digest; false when it was not, or too young to
 * say. Nothing is looked at: any change since then has changed its looks. */
bool hash_cache_looked(struct hash_cache *cache, const char *path, const struct digest *digest,
                       struct os_stat *out);
/* Looks at all of them on so many threads. What is no readable file is not known afterwards: who
 * wants it looks himself, and hears why. `digests` and `known` have room for one a path. */
void hash_cache_warm(struct hash_cache *cache, const struct strs *paths, int threads,
                     struct digest *digests, bool *known);
/* Writes it back if it learned more than that costs. */
int hash_cache_save(struct hash_cache *cache, struct err *e);
/* How many files were read and hashed since it was opened, for --stats and tests. */
size_t hash_cache_misses(const struct hash_cache *cache);
void hash_cache_close(struct hash_cache *cache);

#endif
