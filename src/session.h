/* session: what every verb that looks at a project needs: its root, state, store, graph.
 *
 * Opening a session changes this process's working directory to the root, so that all paths of the
 * project are relative ones from then on. The graph comes from the snapshot while nothing it was
 * made from has changed; else the spakfile is evaluated. Prints nothing.
 *
 * Life cycle: session_open, session_load, then what the verb does, session_close. */
#ifndef SPAK_SESSION_H
#define SPAK_SESSION_H

#include "gate.h"
#include "run.h"
#include "script.h"
#include "stamps.h"

struct session_options {
    const char *dir;           /* -C, NULL: here */
    const char *file;          /* -f, NULL: the nearest spakfile here or above */
    const char *const *params; /* "name=value", NULL-terminated; NULL: none */
    const char *verb;          /* for the message of whoever waits */
    bool lock; /* this verb writes below out/: one at a time; a damaged state is healed */
    /* Called before waiting for another spak: "spak build (process 123)". May be NULL. */
    void (*waiting)(void *ctx, const char *who);
    void *waiting_ctx;
};

struct session {
    struct arena *arena;
    char *root;            /* absolute */
    const char *prefix;    /* where the user stands, relative to the root; "" for the root itself */
    const char *out_dir;   /* "out" */
    const char *state_dir; /* "out/.spak" */
    struct strs params;    /* sorted, each name once */
    struct script_options script_options;
    struct store *store;
    struct gate *gate;
    struct hash_cache *cache;
    int64_t begin_ns;      /* when the session was opened, by the clock of the files' stamps */
    struct stamps *stamps; /* of the graph's snapshot, checked; NULL: none that hold */
    struct ids moved;      /* the stamps that do not hold */
    struct graph *graph;
    struct script *script; /* NULL: the graph came from the snapshot, Lua was not started */
    struct digest stamp;
    const char *machine;
    const char *why_evaluated; /* NULL when it was not */
    size_t evaluations;
    int64_t open_ns, load_ns; /* how long the stages took */
    int lock_fd;
    struct err warning; /* a damaged state that was set aside */
};

int session_open(struct session *s, const struct session_options *o, struct arena *arena,
                 struct err *e);
/* Gets the graph, from the snapshot if that still holds. */
int session_load(struct session *s, struct err *e);
/* Evaluates the spakfile whatever the snapshot says; the graph before is freed. */
int session_evaluate(struct session *s, struct err *e);
/* Keeps the graph (with what drivers added) as the snapshot. */
int session_save(struct session *s, struct err *e);
/* Where the snapshot lies. */
char *session_snapshot(struct session *s);
/* Writes the stat cache back and gives everything up. */
int session_close(struct session *s, struct err *e);

/* session_still.c: takes the stamps of the last build and looks at every file. Without them, or
 * when the graph may have to be made anew for another reason than a file, there are none. */
int session_look(struct session *s, struct err *e);
/* True when nothing moved since a build of these names found everything clean, and traced it where
 * that is asked for: `nodes` how many. */
bool session_is_still(const struct session *s, const struct strs *names, bool traced,
                      uint32_t *nodes);
/* One a node: nothing moved that its last decision looked at; NULL when nothing is known. */
bool *session_still_nodes(struct session *s);
/* What a file of a still node holds; `ctx` is the session. False when its stamp does not say. */
bool session_still_digest(void *ctx, const char *path, struct digest *out);
/* Brings the stamps up to what this build found and made for `names`; `traced`: their traces tell
 * of it. */
int session_settle(struct session *s, struct plan *plan, const struct outcome *outcomes,
                   const struct strs *names, bool traced, struct err *e);

/* session_target.c: the nodes that names on a command line stand for: a node, a file that one
 * makes, or the end of either where only one fits. No names: the default targets. */
int session_targets(struct session *s, const struct strs *names, struct ids *out, struct err *e);

/* What a plan needs to know of this session. */
struct plan_options session_plan_options(struct session *s);
/* Fits run_options.driver; ctx is the session. */
int session_driver(void *ctx, struct graph **graph, uint32_t node, const struct outcome *outcomes,
                   const struct ids *answered, struct ids *asked, bool *done, struct err *e);

/* session_recover.c: removes what a killed spak left half-written below out/: temporary folders and
 * files that were to be renamed. */
int session_recover(struct session *s, struct err *e);

/* session_sweep.c: removes outputs below out/ that nodes made which no longer exist. `removed` gets
 * their paths. `again`: also where that was done for the same graph, so that a damaged list of them
 * is written anew. */
int session_sweep(struct session *s, const struct outcome *outcomes, bool again,
                  struct strs *removed, struct err *e);

#endif
