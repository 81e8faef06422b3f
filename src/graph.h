/* graph: what the spakfile declared, as data.
 *
 * Nodes, artifacts, tools, facts and pools by dense id. A frozen graph is a handful of flat arrays
 * that refer to each other by index and to text by offset, so it is written to a file and mapped
 * back as it stands: loading parses nothing. It holds no pointers, no Lua and no state of the disk;
 * stages after it take it as const.
 *
 * Life cycle: a builder takes declarations (each may fail, with the place of both sides),
 * graph_freeze checks the whole (cycles, inputs nobody makes are left to plan) and makes the graph.
 * graph_thaw starts a builder from a graph, keeping every id: that is how a driver adds nodes while
 * the run is on. */
#ifndef SPAK_GRAPH_H
#define SPAK_GRAPH_H

#include "hash.h"
#include "json.h"

#define GRAPH_NONE UINT32_MAX

/* An offset into the graph's text; 0 is the empty text. */
typedef uint32_t text_id;

/* A run of entries in the graph's id array. */
struct slice {
    uint32_t at;
    uint32_t len;
};

enum node_action {
    NODE_GROUP,   /* runs nothing: a name for its inputs and members */
    NODE_COMMAND, /* an argv */
    NODE_WRITE,   /* writes `text` to its one output */
    NODE_DRIVER,  /* a Lua function that asks for more nodes while the run is on */
};

enum node_flag {
    NODE_OUTER = 1 << 0,    /* planning: no accelerator is visible */
    NODE_INNER = 1 << 1,    /* execution: guides and proofs are read-only */
    NODE_MEASURES = 1 << 2, /* its outputs are measurements: needs a lease, runs alone, never
                               restored from another machine */
    NODE_MEASURED = 1 << 3, /* derived when frozen: it or something it depends on measures, so its
                               outputs differ run to run */
    NODE_NETWORK = 1 << 4,
    NODE_CONSOLE = 1 << 5, /* owns the terminal while it runs */
    NODE_UNSANDBOXED = 1 << 6,
    NODE_ALWAYS = 1 << 7,  /* runs every time it is asked for */
    NODE_TARGET = 1 << 8,  /* declared by target{}: listed in help, has a trace branch */
    NODE_DEFAULT = 1 << 9, /* built when no target is named */
    NODE_SOFT_FAIL =
        1 << 10,          /* exit 1 is an outcome to record, not a failed build (a refuted check) */
    NODE_ASKED = 1 << 11, /* added by a driver */
    NODE_TEST = 1 << 12,  /* counted by `spak test` */
    NODE_DEVICE = 1 << 13,    /* may see the accelerators */
    NODE_JOBSERVER = 1 << 14, /* gets the jobserver: it runs make, cargo, spak ... */
};

struct node {
    text_id name; /* unique: "out/hello.o", "invariant/fmha/merge" */
    text_id kind; /* the rule that made it: "cc", "invariant"; "node" for a plain one */
    text_id doc;  /* the prose above its declaration, or what the rule says */
    text_id file; /* place of declaration */
    uint32_t line;
    uint32_t column;
    uint32_t action; /* enum node_action */
    uint32_t flags;  /* enum node_flag */
    struct slice
        argv; /* text ids; ${root}, ${tmp} and ${out} are filled in at start, after the key */
    struct slice env;    /* text ids, NAME and value by turns, sorted by NAME */
    struct slice params; /* text ids, name and value by turns, sorted: what rules want in the key
                            and the trace */
    struct slice facts;  /* fact ids that the key holds */
    struct slice tools;  /* tool ids; argv[0] is tools[0]'s path when the command names a tool */
    struct slice inputs; /* artifact ids, in the order given */
    struct slice order_only; /* artifact ids: made before, not in the key */
    struct slice
        members; /* node ids: a group's members; for others, nodes that must be done before */
    struct slice outputs; /* artifact ids */
    struct slice reads;  /* text ids: folders the command may read, what it really read being in the
                            depfile */
    text_id depfile;     /* 0: none */
    text_id stdout_to;   /* 0, or the output that gets the command's stdout */
    text_id text;        /* NODE_WRITE: the content */
    text_id show;        /* 0, or an artifact printed at the end of a build of this target */
    text_id dir;         /* 0, or the working directory relative to the root */
    uint32_t pool;       /* pool id or GRAPH_NONE */
    uint32_t driver;     /* NODE_DRIVER: number of its function in the Lua state; NODE_ASKED: its
                            driver's node id; else GRAPH_NONE */
    uint32_t guide;      /* NODE_MEASURES: artifact id of its guide, or GRAPH_NONE */
    struct slice proofs; /* NODE_MEASURES: artifact ids of the proofs its token covers */
    uint32_t timeout_ms; /* 0: none */
    uint32_t reserved;
};

enum artifact_flag {
    ARTIFACT_DIRECTORY = 1 << 0,
    ARTIFACT_METRICS = 1 << 1, /* JSON metrics, the trace's measure/ summary comes from here */
    ARTIFACT_TRACED = 1 << 2,  /* small text that the trace keeps whole */
    ARTIFACT_INSIDE = 1 << 3,  /* derived when frozen: lies in a directory that its producer makes,
                                  no output of its own */
};
struct artifact {
    text_id path;      /* relative to the root, or absolute */
    uint32_t producer; /* node id, GRAPH_NONE for a source */
    uint32_t flags;
    struct slice users; /* node ids, derived when frozen */
};

/* A program that commands run: its digest is part of their keys. */
struct tool {
    text_id name;         /* "cc" */
    text_id path;         /* absolute, links resolved; or the artifact path of a tool built here */
    text_id version;      /* one line */
    struct slice files;   /* text ids: every file that makes up the tool (driver, cc1, as, ld) */
    struct digest digest; /* over name and content of those files */
    uint32_t artifact;    /* artifact id when the project itself builds the tool, else GRAPH_NONE */
};
struct fact {
    text_id name;
    text_id value;
};
struct pool {
    text_id name;
    uint32_t depth;
};

/* Something read while the spakfile was evaluated: the snapshot holds while all are unchanged. */
enum read_kind { READ_FILE, READ_GLOB, READ_FACT, READ_PARAM, READ_TOOL, READ_ENV };
struct read {
    uint32_t kind;
    text_id what;         /* path, pattern, fact name, parameter name */
    struct digest digest; /* of what it was: content, list of matches, value */
};

/* What a text names: one slot of the open-addressing table that finds nodes and artifacts. */
struct graph_name {
    text_id text; /* 0: an empty slot */
    uint32_t node;
    uint32_t artifact;
};

struct graph {
    const struct node *nodes;
    uint32_t node_count;
    const struct artifact *artifacts;
    uint32_t artifact_count;
    const struct tool *tools;
    uint32_t tool_count;
    const struct fact *facts;
    uint32_t fact_count;
    const struct pool *pools;
    uint32_t pool_count;
    const struct read *reads;
    uint32_t read_count;
    const uint32_t *ids;
    uint32_t id_count;
    const uint32_t *order; /* node ids, each after what it depends on; node_count entries */
    const struct graph_name *names;
    uint32_t name_count; /* slots, a power of two */
    uint32_t users_at;   /* where the ids of artifacts' users begin: the part that is derived */
    const char *text;
    uint32_t text_bytes;
    text_id trace_to; /* setting: where the trace goes: 0 = the default, "off", or a path to a
                         repository */
    void *memory;     /* the mapping that all of it lies in; NULL: each array is a block */
    size_t memory_bytes;
};

static inline const char *graph_text(const struct graph *g, text_id id)
{
    return g->text + id;
}
static inline const char *node_name(const struct graph *g, uint32_t node)
{
    return g->text + g->nodes[node].name;
}
static inline const char *artifact_path(const struct graph *g, uint32_t artifact)
{
    return g->text + g->artifacts[artifact].path;
}
/* The i-th id or text of a slice. */
static inline uint32_t slice_id(const struct graph *g, struct slice s, uint32_t i)
{
    return g->ids[s.at + i];
}
static inline const char *slice_text(const struct graph *g, struct slice s, uint32_t i)
{
    return g->text + g->ids[s.at + i];
}
struct place node_place(const struct graph *g, uint32_t node);
/* Looks in the table that the graph carries; GRAPH_NONE when absent. */
uint32_t graph_find_node(const struct graph *g, const char *name);
uint32_t graph_find_artifact(const struct graph *g, const char *path);
/* The node or output whose name is nearest to `name`, for "did you mean"; NULL when none is near.
 */
const char *graph_nearest(const struct graph *g, const char *name);
/* Appends the nodes that `node` waits for, as often as there is a reason: producers of inputs,
 * order-only inputs, guide, proofs and tools, and members. */
void graph_node_deps(const struct graph *g, uint32_t node, struct ids *out);

/* A declaration on its way in: plain C strings, borrowed for the call. Counts of 0 need no pointer.
 */
struct node_decl {
    const char *name;
    const char *kind;
    const char *doc;
    struct place place;
    enum node_action action;
    uint32_t flags;
    struct strs argv, env, params, facts, tools, inputs, order_only, members, outputs, reads,
        proofs;
    struct ids output_flags; /* artifact flags beside outputs; may be shorter */
    const char *depfile, *stdout_to, *text, *show, *dir, *pool, *guide;
    uint32_t driver;
    uint32_t timeout_ms;
};
struct tool_decl {
    const char *name, *path, *version;
    struct strs files;
    struct digest digest;
    bool artifact;
};

struct graph_builder;
struct graph_builder *graph_build(void);
struct graph_builder *graph_thaw(const struct graph *g);
/* Adds a node; GRAPH_NONE and e set for a name or an output that exists already (naming both
 * places). `members` may name nodes or outputs that are declared later. */
uint32_t graph_add_node(struct graph_builder *b, const struct node_decl *decl, struct err *e);
int graph_add_tool(struct graph_builder *b, const struct tool_decl *decl, struct err *e);
int graph_add_fact(struct graph_builder *b, const char *name, const char *value, struct err *e);
int graph_add_pool(struct graph_builder *b, const char *name, uint32_t depth, struct err *e);
void graph_add_read(struct graph_builder *b, enum read_kind kind, const char *what,
                    const struct digest *digest);
void graph_set_trace(struct graph_builder *b, const char *where);
/* Resolves members, derives users and NODE_MEASURED, refuses cycles (the message shows the whole
 * cycle with its places) and names that nothing declares (with the nearest name as a hint). Frees
 * the builder either way. */
struct graph *graph_freeze(struct graph_builder *b, struct err *e);
void graph_discard(struct graph_builder *b);

/* The snapshot. `stamp` identifies the engine and the command-line parameters; another stamp does
 * not load. */
int graph_save(const struct graph *g, const char *path, const struct digest *stamp, struct err *e);
/* NULL without an error when it is absent, of another stamp or damaged (it carries a checksum of
 * its header and exact sizes, and every index is range-checked on load). */
struct graph *graph_load(const char *path, const struct digest *stamp);
void graph_free(struct graph *g);
/* Gives back the memory of a graph that is mapped; what is looked at again is read again. For who
 * has gone through many nodes. */
void graph_rest(const struct graph *g);
/* A number that another snapshot does not have, without loading it; false when it would not load
 * for its header. */
bool graph_id(const char *path, const struct digest *stamp, uint64_t *id);

/* Nodes in an order in which every node follows what it depends on; `order` has node_count entries.
 */
void graph_topological(const struct graph *g, uint32_t *order);
/* Marks `roots` and everything they depend on. `mark` has node_count entries. */
void graph_reach(const struct graph *g, const uint32_t *roots, size_t count, bool *mark);
/* The printable form: canonical JSON of everything but the reads. */
json_t *graph_to_json(const struct graph *g);

#endif
