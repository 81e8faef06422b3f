/* key: what a node depends on, as a digest and as text.
 *
 * One traversal produces canonical `key value` lines, sorted by key; the digest of a node is the
 * SHA-256 of exactly that text, so an explanation and a key can never disagree. The base key covers
 * what was declared; the full key adds what the command was found to read (its depfile). Holds no
 * absolute path of the project, no time, no host name; the machine is named only for nodes that
 * measure. Does not know what will be done about it. */
#ifndef SPAK_KEY_H
#define SPAK_KEY_H

#include "graph.h"
#include "store.h"

/* What the traversal asks of its caller. */
struct key_lookups {
    /* The digest of an artifact's content; an artifact without content is an error. */
    int (*digest)(void *ctx, uint32_t artifact, struct digest *out, struct err *e);
    void *ctx;
    const char *token;   /* the lease's token, in the key of nodes that measure */
    const char *machine; /* the machine's identity, in the key of nodes that measure */
};

/* Gets each line with its newline, in order. */
typedef void key_sink_fn(void *ctx, const char *line, size_t len);

/* The traversal. Values are escaped (\\ and \n), so that one fact is one line. */
int key_walk(const struct graph *g, uint32_t node, const struct key_lookups *lookups,
             key_sink_fn *sink, void *sink_ctx, struct err *e);
/* The digest sink. */
int key_base(const struct graph *g, uint32_t node, const struct key_lookups *lookups,
             struct digest *out, struct err *e);
/* The text sink: appends what key_base digests. */
int key_explain(const struct graph *g, uint32_t node, const struct key_lookups *lookups,
                struct buf *out, struct err *e);
/* The key with what the command was found to read; `deps` are sorted by path. */
void key_full(const struct digest *base, const struct dep_record *deps, size_t count,
              struct digest *out);

/* Appends an explanation with the digests of inputs cut short, which are most of it and are only
 * compared: what a store keeps of each node. One that is short stays as it is. */
void key_abridge(const char *text, struct buf *out);
/* Says in one line what turned explanation `before` into `after`: "input src/a.c changed",
 * "argument -O3 added". NULL when they are the same. */
const char *key_difference(struct arena *arena, const char *before, const char *after);

#endif
