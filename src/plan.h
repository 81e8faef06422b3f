/* plan: which nodes run, in what order, and why. Spawns nothing and writes nothing; knows neither
 * Lua nor git.
 *
 * A plan is made once for the nodes that were asked for. Where everything a node depends on is
 * known its decision is final; where a dependency has to run first it is a forecast (PLAN_MAYBE),
 * and plan_decide decides the same way again when the dependency's outputs are there: an output
 * that came out the same ends the rebuild there.
 *
 * Life cycle: plan_make, then plan_decide and plan_set_outputs as nodes end, plan_grow when a
 * driver added nodes, plan_free. Decisions and their text live in the arena given to plan_make. */
#ifndef SPAK_PLAN_H
#define SPAK_PLAN_H

#include "graph.h"
#include "store.h"

/* What became of a node in a run. */
enum node_status {
    STATUS_UNWANTED, /* not asked for */
    STATUS_WAITING,
    STATUS_CLEAN,    /* nothing to do */
    STATUS_RESTORED, /* outputs came from the store */
    STATUS_RAN,      /* ran and succeeded */
    STATUS_FAILED,   /* ran and failed */
    STATUS_REFUSED,  /* the protocol refused it (exit 3) */
    STATUS_DEFERRED, /* no device here: UNMEASURED */
    STATUS_SKIPPED,  /* something it depends on failed, was refused or deferred */
    STATUS_INTERRUPTED,
};
/* "ran", "clean", ...: the word that events, JSON and traces use. */
const char *status_text(enum node_status status);

/* One node's part of a run: what trace, report and the event stream read. Everything lives in the
 * run's arena. */
struct outcome {
    enum node_status status;
    const char *why; /* one line: "input src/a.c changed", "never built"; NULL when clean */
    const struct action_record *record; /* the record in force: of this run, or the one that was
                                           found; NULL if never built */
    const char *token; /* measuring nodes: hex token of the lease, NULL otherwise */
    int64_t start_ns;  /* since the run began; -1: did not run */
    int64_t wall_ns;
    bool unsettled; /* it ran, and has to run again whatever its key says */
};

enum plan_verdict {
    PLAN_UNWANTED,
    PLAN_CLEAN,   /* what is on disk is what would be made */
    PLAN_RESTORE, /* `record` says what to take from the store */
    PLAN_RUN,
    PLAN_MAYBE,  /* a dependency has to run first; decided again then */
    PLAN_DEFER,  /* needs a device that is not here */
    PLAN_REFUSE, /* the protocol refuses it: `refusal` says why */
};
/* "run", "restore", ... */
const char *plan_verdict_text(enum plan_verdict verdict);

struct plan_entry {
    enum plan_verdict verdict;
    bool final;         /* made with everything known */
    bool sure;          /* PLAN_RUN whatever its key is, which plan_key makes when it starts */
    const char *why;    /* NULL when clean */
    uint32_t cause;     /* the node whose running makes this one run or doubtful, or GRAPH_NONE */
    struct digest base; /* the base key, where `final` */
    const struct action_record *record; /* the record in force, NULL if never built */
    const char *token;
    struct err *refusal;
    int64_t last_wall_ns; /* what it took the last time, 0 unknown */
};

struct plan_options {
    struct store *store;
    struct hash_cache *cache;
    const char *machine;
    /* One a node: nothing that its last decision looked at has moved since it was clean, so it is
     * clean if what it depends on is. NULL: nothing is known. */
    const bool *still;
    uint32_t still_count;
    /* What a file of a still node holds, without its record; false when that is not known. */
    bool (*still_digest)(void *ctx, const char *path, struct digest *out);
    void *still_ctx;
    bool force;  /* every wanted node runs */
    bool device; /* this machine has the device that NODE_DEVICE nodes need */
    /* Admits a measuring node: the token of its lease. -1 with an error of class ERR_PROTOCOL
     * refuses it. NULL: no gate. */
    int (*admit)(void *ctx, const struct graph *g, uint32_t node, struct arena *arena,
                 const char **token, struct err *e);
    void *admit_ctx;
};

struct plan {
    const struct graph *graph;
    struct plan_options options;
    struct arena *arena;
    struct plan_entry *entries; /* one a node */
    uint32_t node_count; /* of the graph as it was last taken in: it may have been freed since */
    uint32_t artifact_count;
    struct ids order; /* wanted nodes, every one after what it depends on */
    uint32_t *deps;   /* what each node depends on, as runs of node ids */
    uint32_t *dep_at; /* node_count + 1 offsets into deps */
    uint32_t *users;  /* the same edges from the other end */
    uint32_t *user_at;
    struct digest *digests;   /* one an artifact, zero: not known (yet) */
    bool *present;            /* the digest is known */
    struct plan_files *files; /* digests of discovered files, each looked up once */
};

/* Decides for `roots` and all they depend on. A source that does not exist is an error with its
 * place. */
struct plan *plan_make(const struct graph *g, const uint32_t *roots, size_t count,
                       const struct plan_options *options, struct arena *arena, struct err *e);
void plan_free(struct plan *plan);
/* The graph was replaced by one that holds it with more nodes; ids are kept. */
void plan_grow(struct plan *plan, const struct graph *g);
/* Adds wanted nodes (that a driver asked for) and decides for them. `added` gets what was not
 * wanted before, in order. */
int plan_want(struct plan *plan, const uint32_t *roots, size_t count, struct ids *added,
              struct err *e);
/* Decides for one node; everything it depends on is done. */
int plan_decide(struct plan *plan, uint32_t node, struct err *e);
/* Makes the base key of a node that is `sure`, and appends the text behind it as plan_explain does.
 */
int plan_key(struct plan *plan, uint32_t node, struct buf *out, struct err *e);
/* Appends the text behind the base key of a final decision, abridged. It is told again when it is
 * wanted: all of a large graph at once would be most of what a build holds. */
int plan_explain(struct plan *plan, uint32_t node, struct buf *out, struct err *e);
/* Looks up the record of a node that is clean because it is still. */
int plan_recall(struct plan *plan, uint32_t node, struct err *e);
/* The outputs of a node are on disk as its record says. */
void plan_set_outputs(struct plan *plan, uint32_t node, const struct action_record *record);
/* Looks at the node's sources again: false when one is not what its key says. */
int plan_inputs_hold(struct plan *plan, uint32_t node, bool *hold, const char **changed,
                     struct err *e);
/* The digest of any file or folder, looked up once a plan. */
int plan_file_digest(struct plan *plan, const char *path, struct digest *out, bool *exists,
                     struct err *e);
/* How many wanted nodes have this verdict. */
size_t plan_count(const struct plan *plan, enum plan_verdict verdict);
/* A driver's record: what it asked for and what came of it, for plan_decide to replay. */
int plan_put_driver(struct plan *plan, uint32_t driver, const struct ids *asked, struct err *e);
/* The nodes that a clean driver had asked for. */
int plan_driver_asked(struct plan *plan, uint32_t driver, struct ids *asked, bool *found,
                      struct err *e);
/* True when a wanted driver is not known to be clean: its function, so Lua, is needed. */
bool plan_needs_drivers(const struct plan *plan);

/* The canonical form of `spak plan --json`: nodes that are not clean, in order. */
json_t *plan_to_json(const struct plan *plan);

#endif
