/* stamps: how every file looked when the nodes that depend on it were known to be clean.
 *
 * A file that is mapped, so that a build in which nothing moved costs one stat a file, spread over
 * the cores, and nothing else: no graph, no keys, no records. A stamp names its users, so that a
 * build in which little moved decides for those alone. Never trusted further than the disk agrees:
 * what looks different is read, and what reads different is moved. Losing the file costs time only.
 *
 * A stamp may be written where another stands (stamps_renew); the order of the writes makes a kill
 * between them leave a stamp that matches no file. A disk that takes no write costs the file, never
 * the build: what is mapped says on what was written last. After a power cut nothing is left to
 * trust: the key holds the boot's number. Knows neither graph nor plan. */
#ifndef SPAK_STAMPS_H
#define SPAK_STAMPS_H

#include "hash.h"

enum stamp_kind {
    STAMP_FILE,   /* holds what the digest says */
    STAMP_EXACT,  /* looks the same to the last nanosecond: folders, and what lies in folders */
    STAMP_ABSENT, /* is not there */
};

/* The user that is no node: the graph itself was made from the file. */
#define STAMP_GRAPH UINT32_MAX
#define STAMP_NONE UINT32_MAX

struct stamps;

/* Making one. Paths and values are borrowed until stamps_write. */
struct stamps_builder;
struct stamps_builder *stamps_build(uint32_t node_count);
/* The id of a path's stamp; a path has one stamp, of the kind and digest given first. `digest` is
 * for STAMP_FILE. */
uint32_t stamps_add(struct stamps_builder *b, const char *path, enum stamp_kind kind,
                    const struct digest *digest);
void stamps_add_user(struct stamps_builder *b, uint32_t stamp, uint32_t user);
/* Something to ask for that is no file: of `kind`, whose digest was this. */
void stamps_add_value(struct stamps_builder *b, uint32_t kind, const char *what,
                      const struct digest *digest);
/* The node is clean as long as its stamps hold. */
void stamps_cover(struct stamps_builder *b, uint32_t node);
/* Writes. A file of which the cache does not know how it looked with its digest gets a stamp that
 * matches nothing, as does one that is to look the same and was changed since `since_ns`. */
int stamps_write(struct stamps_builder *b, const char *path, const struct digest *key,
                 struct hash_cache *cache, int64_t since_ns, struct err *e);
void stamps_discard(struct stamps_builder *b);

/* NULL, without an error, when it is absent, of another key or damaged. Without a key any will do.
 */
struct stamps *stamps_map(const char *path, const struct digest *key);
void stamps_free(struct stamps *s);
/* Looks at every file on so many threads; `moved` gets those that are not as their stamps say,
 * sorted. A file that was only touched gets a new stamp. */
int stamps_check(struct stamps *s, int threads, struct hash_cache *cache, struct ids *moved,
                 struct err *e);
/* The same for some of them. */
int stamps_check_some(struct stamps *s, const struct ids *which, struct hash_cache *cache,
                      struct ids *moved, struct err *e);

/* Gives back their memory; what is looked at again is read again. */
void stamps_rest(struct stamps *s);

uint32_t stamps_count(const struct stamps *s);
/* STAMP_NONE when there is none. */
uint32_t stamps_find(const struct stamps *s, const char *path);
char *stamps_path(const struct stamps *s, uint32_t stamp, struct arena *arena);
void stamps_digest(const struct stamps *s, uint32_t stamp, struct digest *out);
enum stamp_kind stamps_kind(const struct stamps *s, uint32_t stamp);
/* The users of a stamp: nodes, or STAMP_GRAPH. */
const uint32_t *stamps_users(const struct stamps *s, uint32_t stamp, uint32_t *count);
bool stamps_has_user(const struct stamps *s, uint32_t stamp, uint32_t user);
/* Makes the stamp say what is there now, if that has this digest (NULL: whatever it is, unless it
 * was changed since `since_ns`); else one that matches nothing. */
int stamps_renew(struct stamps *s, uint32_t stamp, const struct digest *digest,
                 struct hash_cache *cache, int64_t since_ns, struct err *e);
bool stamps_covers(const struct stamps *s, uint32_t node);
void stamps_set_cover(struct stamps *s, uint32_t node, bool covered);

/* The i-th value; false behind the last. */
bool stamps_value(const struct stamps *s, uint32_t i, uint32_t *kind, const char **what,
                  struct digest *digest);

/* Requests that were found clean as a whole: by the digest of what was asked for. */
bool stamps_knows(const struct stamps *s, const struct digest *request, uint32_t *nodes);
void stamps_remember(struct stamps *s, const struct digest *request, uint32_t nodes);
void stamps_forget_requests(struct stamps *s);

/* The folders whose files have stamps: what somebody who waits for changes has to watch. */
uint32_t stamps_folder_count(const struct stamps *s);
const char *stamps_folder(const struct stamps *s, uint32_t folder);
/* The numbers and names of its stamps. */
void stamps_in_folder(const struct stamps *s, uint32_t folder, uint32_t *first, uint32_t *count);
const char *stamps_name(const struct stamps *s, uint32_t stamp);
/* The stamp of a name in a folder; STAMP_NONE when there is none. */
uint32_t stamps_find_in(const struct stamps *s, uint32_t folder, const char *name);
/* Another file has another number. */
uint64_t stamps_id(const struct stamps *s);

#endif
