/* build: one build, from names on a command line to a trace: what the verbs build, plan and test
 * share.
 *
 * Prints nothing by itself: the run's events go to the callback of its options, and what it found
 * is in the report. */
#ifndef SPAK_BUILD_H
#define SPAK_BUILD_H

#include "session.h"
#include "trace.h"

struct build_options {
    int jobs; /* 0: as many as there are cores */
    bool keep_going;
    bool force;
    bool sandbox;
    bool trace;
    const char *trace_to; /* where the trace goes, whatever the spakfile says; NULL: as that says */
    const char *engine_version;
    run_event_fn *event;
    void *event_ctx;
};

/* A trace that was written, or the reason why not. */
struct build_trace {
    const char *target;
    struct trace_result result;
    struct err error;
};

struct build_report {
    struct strs names; /* what was asked for; none: the default targets */
    struct ids roots;
    struct digest before; /* the state of all nodes before the run; zero: not known */
    struct plan *plan;    /* borrowed graph: valid until session_close */
    struct run_result result;
    struct strs swept; /* outputs removed because nothing declares them any more */
    struct build_trace *traces;
    size_t trace_count;
    int64_t plan_ns, run_ns, trace_ns;
};

/* Loads the graph, finds the nodes and plans for them. */
int build_plan(struct session *s, const struct build_options *o, const struct strs *names,
               struct build_report *report, struct err *e);
/* Carries out what build_plan planned, and writes the traces of the targets among the roots. A
 * failed node is in the report, no error. */
int build_run(struct session *s, const struct build_options *o, struct build_report *report,
              struct err *e);
/* The exit status that the report stands for. */
int build_status(const struct build_report *report);
void build_release(struct build_report *report);

#endif
