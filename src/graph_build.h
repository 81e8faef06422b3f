/* graph_build: the builder's insides, shared by the files of graph. Nobody else includes it. */
#ifndef SPAK_GRAPH_BUILD_H
#define SPAK_GRAPH_BUILD_H

#include "graph.h"

/* A text that was seen, and what it names. */
struct text_slot {
    uint32_t hash;
    text_id text;
    uint32_t node;
    uint32_t artifact;
};

/* Where a text of the declaration at hand was met: as long as one is read, an address says the
 * same.
 */
struct recent {
    const char *address;
    uint32_t decl;
    uint32_t hash;
    uint32_t slot; /* GRAPH_NONE: only asked for */
};

/* A member that is resolved when everything is declared: ids.at[at] is its place in the node's
 * slice. */
struct pending_member {
    uint32_t node;
    uint32_t at;
    text_id name;
};

/* A growing array of `bytes`-sized entries. */
struct table {
    void *at;
    size_t len;
    size_t cap;
    size_t bytes;
};

struct graph_builder {
    struct buf text; /* texts one after the other, each with its NUL; the first is the empty one */
    struct text_slot *slots;
    uint32_t slot_count; /* a power of two */
    uint32_t texts;
    struct recent recent[1024]; /* by address */
    uint32_t decl;              /* which declaration is being read; another one once slots moved */
    bool reading;
    struct table nodes, artifacts, tools, facts, pools, reads, pending;
    struct ids ids;
    struct strmap tool_ids, fact_ids, pool_ids; /* keys live in `keys` */
    struct arena keys;
    struct buf path; /* scratch of cleaned paths */
    struct {
        text_id text;
        uint32_t artifact;
    } cleaned; /* the text cleaned last, and the file it names */
    text_id trace_to;
    bool overflow; /* more than 32-bit ids can name */
};

uint32_t graph_hash(const char *text, size_t len);
/* Adds a zeroed entry and returns it. */
void *table_push(struct table *t);

static inline struct node *builder_node(struct graph_builder *b, uint32_t id)
{
    return (struct node *)b->nodes.at + id;
}
static inline struct artifact *builder_artifact(struct graph_builder *b, uint32_t id)
{
    return (struct artifact *)b->artifacts.at + id;
}
static inline const char *builder_text(const struct graph_builder *b, text_id id)
{
    return b->text.ptr + id;
}
/* The slot of a text, NULL when it was never seen. */
struct text_slot *builder_find(const struct graph_builder *b, const char *text, size_t len);

/* What a snapshot begins with; the arrays of the graph follow. */
struct graph_header {
    char magic[8];
    uint32_t layout; /* sizes of the structs, mixed: another engine's file does not load */
    uint32_t trace_to;
    struct digest stamp;
    uint64_t total_bytes;
    uint64_t checksum; /* of everything after the header */
    uint32_t node_count, artifact_count, tool_count, fact_count, pool_count, read_count, id_count,
        name_count;
    uint32_t text_bytes, users_at;
    uint64_t header_checksum; /* of everything before it */
};
/* Points the arrays of `g` into `block`, whose header says how long each is; false when they do not
 * fit `bytes`. */
bool graph_point(struct graph *g, void *block, size_t bytes);
/* Sets magic, layout, size and both checksums of what `g` holds. */
void graph_seal(struct graph_header *h, const struct graph *g);
/* True when every index is in range, every text ends and the order is one. */
bool graph_is_sound(const struct graph *g);

#endif
