/* store: content-addressed objects and records of what ran.
 *
 * Objects lie under <dir>/cas/ab/<sha256>.gz, gzip files that zcat reads, written beside and
 * renamed; what a run made and is no larger than 1 KiB lies among the records. Those lie in one
 * LMDB environment (<dir>/state.mdb): copy-on-write pages, so a kill -9 at any instant leaves the
 * last committed state. The only user of zlib and LMDB. Knows no execution. One thread at a time.
 *
 * What a crash can do. Records are synced to the disk when they are committed, those of a run
 * within five seconds (a journal holds them until then); objects are not, one fsync an object would
 * cost more than making most of them. So after a kill of the process every record and its objects
 * are there; after a power cut records of the last seconds are forgotten, and an object of that
 * time may be missing or cut short. Every read checks the digest, so that such an object is
 * never handed out: it is removed and reported as damaged (ERR_object_damaged), like one that is
 * missing (ERR_object_missing), and a caller who can make it again does: putting it heals it. */
#ifndef SPAK_STORE_H
#define SPAK_STORE_H

#include "hash.h"

/* What a command left behind. Strings live in the arena they were read into. */
struct output_record {
    const char *path;
    struct digest digest;
    uint64_t size_bytes;
    uint32_t mode;
    bool directory; /* digest is a tree's; its object lists the entries */
};
struct dep_record {
    const char *path;
    struct digest digest;
};
struct action_record {
    struct digest key; /* the full key, discovered inputs included */
    int exit_code;
    struct output_record *outputs;
    size_t output_count;
    struct dep_record *deps; /* discovered: from the depfile */
    size_t dep_count;
    struct digest log; /* captured output, an object; zero when it printed nothing */
    uint64_t log_bytes;
    int64_t wall_ns; /* notes only, never in the trace's tree */
    int64_t cpu_ns;
    uint64_t peak_bytes;
    const char *sandbox; /* "none" or what was in force */
    const char *machine; /* identity of the machine, for nodes that measure */
};

struct store;
/* Opens or makes it. A damaged state is an error (X101): a file that is not the one that was left
 * here, to the nanosecond, is looked at page by page before it is used. */
struct store *store_open(const char *dir, struct err *e);
/* Puts a damaged state out of the way, as state.mdb.damaged: what opens next makes a new one. Only
 * for who holds the project's lock. */
int store_set_aside(const char *dir, struct err *e);
void store_close(struct store *store);

/* Objects. Putting one that is there already writes nothing. */
int store_put_bytes(struct store *s, const void *bytes, size_t len, struct digest *out,
                    struct err *e);
/* `cache` learns the file's digest; NULL: nobody does. */
int store_put_file(struct store *s, const char *path, struct hash_cache *cache, struct digest *out,
                   uint64_t *size_bytes, struct err *e);
/* The same for a run, whose records are committed soon: a small object goes with them, and until
 * then is seen by this process only. */
int store_put_bytes_soon(struct store *s, const void *bytes, size_t len, struct digest *out,
                         struct err *e);
int store_put_file_soon(struct store *s, const char *path, struct hash_cache *cache,
                        struct digest *out, uint64_t *size_bytes, struct err *e);
bool store_has(struct store *s, const struct digest *d);
/* Reads it and checks its digest; a damaged or missing object is an error that names it. */
int store_get_bytes(struct store *s, const struct digest *d, struct buf *out, struct err *e);
/* Makes the file (temporary and rename), with `mode`. */
int store_get_file(struct store *s, const struct digest *d, const char *path, uint32_t mode,
                   struct err *e);
/* A folder as an object: its listing (hash_list_tree), so that its digest is hash_tree's; each file
 * and each link's text is an object of its own. Getting one replaces what is at `path`. */
int store_put_tree(struct store *s, const char *path, struct digest *out, struct err *e);
int store_get_tree(struct store *s, const struct digest *d, const char *path, struct err *e);

/* Records. `base` is the digest of a node's declared inputs: one base may have had several sets of
 * discovered inputs. */
int store_put_action(struct store *s, const struct digest *base, const struct action_record *r,
                     struct err *e);
/* The records of a base, latest first, at most 8. */
int store_get_actions(struct store *s, const struct digest *base, struct arena *arena,
                      struct action_record **out, size_t *count, struct err *e);
/* What a node, by name, was last built as: base and full key and the record. found=false when
 * never. */
struct node_state {
    struct digest base;
    struct action_record record;
    bool failed; /* the last attempt failed */
    const char
        *explanation; /* the canonical description behind base, for "why": compared line by line */
};
int store_put_node(struct store *s, const char *name, const struct node_state *state,
                   struct err *e);
int store_get_node(struct store *s, const char *name, struct arena *arena, struct node_state *out,
                   bool *found, struct err *e);
/* Whether anything was ever recorded of a node or an action. */
int store_has_records(struct store *s, bool *out, struct err *e);
/* The same for who can build again: a damaged record is none, and the next put takes its place. */
int store_recall_actions(struct store *s, const struct digest *base, struct arena *arena,
                         struct action_record **out, size_t *count, struct err *e);
int store_recall_node(struct store *s, const char *name, struct arena *arena,
                      struct node_state *out, bool *found, struct err *e);
/* Small named values: leases, the last trace commit, a driver's record. */
int store_put_value(struct store *s, const char *name, const void *bytes, size_t len,
                    struct err *e);
int store_get_value(struct store *s, const char *name, struct buf *out, bool *found, struct err *e);
/* The same for who can do without: a damaged value is none. */
int store_recall_value(struct store *s, const char *name, struct buf *out, bool *found,
                       struct err *e);
/* Several puts as one transaction: all or none. Nesting is a bug. */
int store_begin(struct store *s, struct err *e);
/* After a put of a transaction failed, abort is the only way on. A failed commit has aborted. */
int store_commit(struct store *s, struct err *e);
void store_abort(struct store *s);
/* A commit that a kill of this process cannot undo, but a power cut of the next five seconds can.
 * Seen by this process at once, by others after store_sync. */
int store_commit_soon(struct store *s, struct err *e);
/* Waits until everything that was committed is on the disk. */
int store_sync(struct store *s, struct err *e);

/* Is this error one that making the object again would heal? */
bool store_lost_object(const struct err *e);

/* Re-hashes every object and checks that every record's objects are there; calls back for each
 * fault. */
typedef void store_fault_fn(void *ctx, const char *what, const char *heal);
int store_fsck(struct store *s, store_fault_fn *fault, void *ctx, size_t *objects, size_t *records,
               struct err *e);

/* store_sweep.c: what is there, what is needed, and getting rid of the rest. A record goes before
 * the objects that it names, so that a crash in between leaves objects that nobody names, never a
 * name without its object. */
struct store_object {
    struct digest digest;
    uint64_t stored_bytes; /* on the disk */
};
/* Every object, by file name; none is read. */
int store_objects(struct store *s, struct arena *arena, struct store_object **out, size_t *count,
                  struct err *e);
/* Reads one object without keeping it and leaves it where it is, damaged or not; the error is that
 * of store_get_bytes. */
int store_check_object(struct store *s, const struct digest *d, struct err *e);
/* `folder`: the object lists others. */
typedef int store_digest_fn(void *ctx, const struct digest *d, bool folder, struct err *e);
/* The objects that the nodes' present states name. */
int store_needed(struct store *s, store_digest_fn *fn, void *ctx, struct err *e);
/* The objects that the listing of a folder names. */
int store_folder_objects(struct store *s, const struct digest *listing, store_digest_fn *fn,
                         void *ctx, struct err *e);
/* Drops the records of actions that name an object that goes, all in one transaction. */
typedef bool store_goes_fn(void *ctx, const struct digest *d);
int store_forget(struct store *s, store_goes_fn *goes, void *ctx, size_t *dropped, struct err *e);
int store_remove(struct store *s, const struct digest *d, struct err *e);

/* store_zip.c: bytes as zlib streams, each for itself, which is what git keeps objects as. */
struct store_zip;
struct store_zip *store_zip_open(void);
/* Appends the bytes as one stream. */
void store_zip_add(struct store_zip *zip, const void *bytes, size_t len, struct buf *out);
void store_zip_close(struct store_zip *zip);

#endif
