/* run: executes a plan.
 *
 * One thread, one poll loop over the ends of children, their output, signals and the jobserver.
 * Knows neither git nor Lua: what a driver node asks for comes through a callback, and what happens
 * goes out as events. Prints nothing.
 *
 * Whatever ends a run (failure, a signal, a full disk), children are gone when run_execute returns,
 * half-made outputs are removed, tokens are given back and what had finished is recorded. */
#ifndef SPAK_RUN_H
#define SPAK_RUN_H

#include "gate.h"
#include "plan.h"

enum run_event_kind {
    RUN_BEGIN,  /* the plan is made: total, forecast counts */
    RUN_START,  /* a command starts */
    RUN_FINISH, /* a node ended, in whatever way; clean nodes too */
    RUN_TICK,   /* nothing happened for a while: redraw the clock */
    RUN_PAUSE,  /* about to be stopped by Ctrl-Z: give the terminal back */
    RUN_RESUME,
    RUN_END, /* the counts are final */
};

/* How far the run is. */
struct run_progress {
    size_t total;  /* wanted nodes that have something to make (groups are not counted) */
    size_t done;   /* of these, ended in whatever way */
    size_t to_run; /* expected to run, from the plan; falls when a doubtful node proves clean */
    size_t running;
    size_t clean, restored, ran, failed, refused, deferred, skipped, interrupted;
    int64_t elapsed_ns;
    int64_t left_ns; /* expected, from what nodes took the last time; -1 unknown */
    /* RUN_END: what ran took so long, one after the other; and the longest chain of nodes that wait
     * for each other. Nothing could have ended sooner than the chain, nor than the work with
     * all `jobs` at once. */
    int64_t work_ns, chain_ns;
    int jobs; /* at most so many at once */
};

struct run_event {
    enum run_event_kind kind;
    const struct graph *graph;
    struct run_progress progress;
    uint32_t node;                 /* RUN_START, RUN_FINISH */
    const struct outcome *outcome; /* RUN_START (why, start_ns), RUN_FINISH */
    const char *output; /* RUN_FINISH: what the command printed, "" nothing; shown whole */
    size_t output_len;
    const struct err *error;   /* RUN_FINISH: why it failed or was refused, NULL otherwise */
    const struct err *warning; /* RUN_FINISH: worth saying about a node that did not fail */
    const uint32_t *running;   /* the nodes that run now, oldest first */
    size_t running_count;
};
typedef void run_event_fn(void *ctx, const struct run_event *event);

struct run_options {
    const char *root; /* absolute path of the project, also the working directory of this process */
    const char *state_dir; /* relative: "out/.spak" */
    const char *out_dir;   /* relative: "out" */
    struct store *store;
    struct hash_cache *cache;
    struct gate *gate; /* keeps the journal; NULL: none is kept */
    int jobs;          /* at most so many commands at once */
    bool jobs_given;   /* -j was typed: a jobserver in the environment is not joined */
    bool keep_going;
    bool sandbox;          /* false: --no-sandbox */
    const char *makeflags; /* MAKEFLAGS of this process, NULL if unset */
    run_event_fn *event;   /* may be NULL */
    void *event_ctx;
    /* Runs or resumes a driver's function; as script_driver_step. NULL: a driver that has to run is
     * an error. */
    int (*driver)(void *ctx, struct graph **graph, uint32_t node, const struct outcome *outcomes,
                  const struct ids *answered, struct ids *asked, bool *done, struct err *e);
    void *driver_ctx;
};

/* What came of it. `outcomes` has one entry a node of `graph` and lives in the plan's arena. */
struct run_result {
    struct outcome *outcomes;
    struct run_progress counts;
    bool interrupted;
    int signal; /* what interrupted it */
};

/* Carries the plan out. A failed node is not an error of this function: it is in the result.
 * `*graph` is replaced by a larger one when drivers add nodes. -1 only when the run itself could
 * not go on (state that cannot be written). */
int run_execute(struct graph **graph, struct plan *plan, const struct run_options *options,
                struct run_result *result, struct err *e);

#endif
