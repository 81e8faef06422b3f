/* plan: which nodes run, in what order, and why. Spawns nothing; knows neither Lua nor git. */
#ifndef SPAK_PLAN_H
#define SPAK_PLAN_H

#include "graph.h"
#include "store.h"

/* What became of a node in a run. */
enum node_status {
    STATUS_UNWANTED,    /* not asked for */
    STATUS_WAITING,
    STATUS_CLEAN,       /* nothing to do */
    STATUS_RESTORED,    /* outputs came from the store */
    STATUS_RAN,         /* ran and succeeded */
    STATUS_FAILED,      /* ran and failed */
    STATUS_REFUSED,     /* the protocol refused it (exit 3) */
    STATUS_DEFERRED,    /* no device here: UNMEASURED */
    STATUS_SKIPPED,     /* something it depends on failed, was refused or deferred */
    STATUS_INTERRUPTED,
};

/* One node's part of a run: what trace, report and the event stream read. Everything lives in the run's arena. */
struct outcome {
    enum node_status status;
    const char *why;   /* one line: "input src/a.c changed", "never built"; NULL when clean */
    const struct action_record *record; /* the record in force: of this run, or the one that was found; NULL if never built */
    const char *token; /* measuring nodes: hex token of the lease, NULL otherwise */
    int64_t start_ns;  /* since the run began; -1: did not run */
    int64_t wall_ns;
};

#endif
