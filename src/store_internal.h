/* store_internal: what the parts of store share; nobody else includes it. */
#ifndef SPAK_STORE_INTERNAL_H
#define SPAK_STORE_INTERNAL_H

#include "store.h"

#include <lmdb.h>

enum store_table { TABLE_ACTIONS, TABLE_NODES, TABLE_VALUES, TABLE_OBJECTS, TABLE_COUNT };

/* A put that is not in the tables yet: of the transaction that is open, committed to the journal,
 * or of an object that goes with the next commit. */
struct store_op {
    enum store_table table;
    struct digest key;
    struct str value; /* empty: the key goes */
};

/* Room for what a stat says, as text. */
#define SEAL_BYTES 160

struct store {
    char *dir;
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    MDB_txn *read; /* kept between reads, reset; renewing costs less than making one */
    bool reading;
    size_t touched;         /* how often somebody looked into the map */
    struct os_map map;      /* where it lies, once that was looked up */
    bool committed;         /* the state is not what its seal says any more */
    bool sealed;            /* it is the one that was left here */
    char found[SEAL_BYTES]; /* its stat when it was opened */
    bool open;              /* between store_begin and its end */
    struct arena op_arena;  /* of everything below */
    struct store_op *ops;
    size_t op_count, op_cap;
    size_t begun;            /* ops before this one are not of the transaction that is open */
    size_t journaled;        /* ops before this one are in the journal */
    struct strmap op_by_key; /* the latest op of a key */
    int journal_fd;          /* -1: not ours */
    size_t journal_bytes;
    int64_t sync_ns; /* when the journal is due to go into the tables, 0: it is empty */
};

/* Passes a fault point, trying again after EINTR; sets errno and returns -1 when it fails. */
int store_pass(const char *point);

/* store_map.c: the map may move, and is address space, not memory or disk: 0 for the size that the
 * file says. The result is LMDB's. */
int store_map_resize(struct store *s, size_t bytes);
/* Somebody looked into it. */
void store_map_touched(struct store *s);

/* store.c: one value by the digest of its name. */
int store_table_put(struct store *s, enum store_table table, const struct digest *key,
                    struct str value, struct err *e);
int store_table_remove(struct store *s, enum store_table table, const struct digest *key,
                       struct err *e);
/* Remembers a put. */
void store_add_op(struct store *s, enum store_table table, const struct digest *key,
                  struct str value);
/* Puts what is remembered into the tables, in one transaction that waits for the disk. */
int store_apply(struct store *s, struct err *e);
/* store_journal.c: takes in what a killed process left. */
int store_journal_open(struct store *s, struct err *e);
/* The value stays where it is, in the map, until store_table_done. */
int store_table_get(struct store *s, enum store_table table, const struct digest *key,
                    struct str *value, bool *found, struct err *e);
void store_table_done(struct store *s);
/* Appends it to `out` (may be NULL). */
int store_table_copy(struct store *s, enum store_table table, const struct digest *key,
                     struct buf *out, bool *found, struct err *e);
/* Calls back for every value of a table, in the order of keys. */
typedef int store_each_fn(void *ctx, struct str value, struct err *e);
int store_table_each(struct store *s, enum store_table table, store_each_fn *fn, void *ctx,
                     struct err *e);
/* The same with the keys, which may lie at odd addresses. */
typedef int store_each_key_fn(void *ctx, const struct digest *key, struct str value, struct err *e);
int store_table_each_key(struct store *s, enum store_table table, store_each_key_fn *fn, void *ctx,
                         struct err *e);

/* store_sweep.c: the path of cas/<name> where that is a folder of objects, else NULL. */
int store_objects_folder(const struct store *s, struct arena *arena, const char *name,
                         const char **out, struct err *e);
/* store_check.c: what is wrong with the pages of a state, NULL when nothing is. `transaction`: of
 * which snapshot, or one of these. */
#define STORE_NEWEST UINT64_MAX
#define STORE_HEADS (UINT64_MAX - 1) /* only the first two pages */
const char *store_check_state(const uint8_t *map, size_t len, uint64_t transaction);
/* The same for the file of a store, unless it is the one that was left here: the heads before it is
 * opened, all pages after. */
int store_check_heads(struct store *s, const char **what, struct err *e);
int store_check_pages(struct store *s, const char **what, struct err *e);
/* Notes how the state is left. */
void store_seal(const struct store *s);

/* store_record.c: values as bytes: version, payload, CRC-32. */
void store_encode_actions(const struct action_record *records, size_t count, struct buf *out);
int store_decode_actions(struct str value, struct arena *arena, struct action_record **records,
                         size_t *count, struct err *e);
void store_encode_node(const char *name, const struct node_state *state, struct buf *out);
int store_decode_node(struct str value, struct arena *arena, const char **name,
                      struct node_state *state, struct err *e);
void store_encode_value(const char *name, const void *bytes, size_t len, struct buf *out);
int store_decode_value(struct str value, struct arena *arena, const char **name, struct str *bytes,
                       struct err *e);

/* store_small.c: objects among the records. */
enum store_small { SMALL_ABSENT, SMALL_WHOLE, SMALL_DAMAGED };
enum store_small store_small_state(struct store *s, const struct digest *d);
/* Nothing of `out` is checked against the digest. */
int store_small_get(struct store *s, const struct digest *d, struct buf *out, bool *found,
                    struct err *e);
int store_small_remove(struct store *s, const struct digest *d, struct err *e);

/* store_object.c */
char *store_object_path(const struct store *s, struct arena *arena, const struct digest *d);
/* The digest that the file cas/<folder>/<name> is named after; false when it is no object. */
bool store_object_name(const char *folder, const char *name, struct digest *d);

/* store_tree.c: one line of a listing. */
struct tree_entry {
    char kind; /* 'f' file, 'x' executable file, 'l' link, 'd' folder */
    struct digest digest;
    const char *path;
};
/* Cuts the next entry off `rest`; false at the end. A listing that hash_list_tree cannot have
 * written is an error. */
int store_next_entry(struct str *rest, struct tree_entry *out, bool *found, struct err *e);

#endif
