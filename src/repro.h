/* repro: sets a recorded run up again from its trace alone, and judges how equal it comes out.
 *
 * A trace is input from a stranger. Its sources are judged before a byte of them is written, they
 * are written by this module into a fresh folder and by nobody else, and all that is evaluated and
 * run there runs in a process of its own inside a sandbox that may write to that folder alone.
 * Never touches the user's tree. Prints nothing; what a build says goes out as the run's events.
 *
 * Life cycle: repro_fetch where the trace lies elsewhere, repro_place, repro_unpack, repro_build,
 * then repro_compare or, without any of these, repro_offline; repro_remove. Texts live in the
 * arena. */
#ifndef SPAK_REPRO_H
#define SPAK_REPRO_H

#include "build.h"

/* Judges entries of a tree before they are written: names, modes, links, collisions. Contents of
 * links come from `link`. */
typedef int repro_link_fn(void *ctx, const struct trace_item *item, struct buf *target,
                          struct err *e);
int repro_check(const struct trace_item *items, size_t count, repro_link_fn *link, void *ctx,
                struct err *e);
/* The target of a link at this depth (1: in the top folder) stays inside the tree. */
bool repro_link_stays(const char *target, size_t len, uint32_t depth);
/* Appends a text from a trace as it may be shown: control characters and bytes that are no UTF-8 as
 * \xHH. */
const char *repro_printable(struct arena *arena, const char *text);

/* A fresh folder for one reproduction: `keep` when the user named one (it must be empty or absent),
 * else a temporary one. */
struct repro_place {
    char *top;     /* absolute */
    char *project; /* top/src: the sources, and their out/ */
    bool keep;
};
int repro_place(const char *keep, struct arena *arena, struct repro_place *out, struct err *e);
void repro_remove(const struct repro_place *place);
/* Fetches from a git address, path or bundle into top/from.git, by a git that sees no configuration
 * but its own defaults; `repository` gets its path. */
int repro_fetch(const struct repro_place *place, const char *from, struct arena *arena,
                char **repository, struct err *e);
/* Writes the sources of a commit. What lies in out/ there is left out: outputs are made, not taken.
 */
int repro_unpack(struct trace *t, const char *commit, const struct repro_place *place,
                 struct arena *arena, size_t *files, struct err *e);

struct repro_options {
    int jobs;
    bool sandbox; /* false: --no-sandbox */
    bool trust;   /* run whatever the spakfile declares, without the outer sandbox */
    const char *engine_version;
    const char *spakfile; /* relative to the sources */
    run_event_fn *event;
    void *event_ctx;
};
/* What kept the build from taking place at all on this machine. */
struct repro_obstacle {
    bool present;
    char *text;
};
/* Builds the target there with the recorded parameters and leaves a trace of its own in
 * top/trace.git. A node that fails is no error: the comparison tells. A tool that is not here is an
 * obstacle. -1 for what must not or cannot be run. */
int repro_build(const struct repro_place *place, const struct trace_entry *recorded,
                const struct strs *params, const struct repro_options *o, struct arena *arena,
                struct repro_obstacle *obstacle, struct err *e);
/* The spakfile of a commit, a path of its sources. One that is none is refused (T201). */
int repro_spakfile(struct trace *t, const char *commit, struct arena *arena, const char **out,
                   struct err *e);
/* The -D parameters of a commit, in the form they were typed. */
int repro_params(struct trace *t, const char *commit, struct arena *arena, struct strs *out,
                 struct err *e);

enum repro_verdict { REPRO_IDENTICAL, REPRO_EQUIVALENT, REPRO_DIFFERENT, REPRO_NOT_COMPARABLE };
const char *repro_verdict_text(enum repro_verdict verdict);

enum repro_metric_state { REPRO_WITHIN, REPRO_BEYOND, REPRO_UNCLEAR, REPRO_UNPAIRED };
struct repro_metric {
    const char *name;
    double ratio, lo, hi; /* the median now over the recorded one, and its interval */
    double margin;
    enum repro_metric_state state;
};
struct repro_finding {
    enum repro_verdict verdict;
    struct strs reasons;     /* why the verdict is not IDENTICAL, most important first */
    struct strs chain;       /* from what changed to the first output that differs */
    struct strs environment; /* facts and tools that differ here */
    struct strs different;   /* nodes that came out differently, sorted */
    size_t nodes, same;      /* of out/, compared and bit-identical */
    size_t apart;            /* of out/, what needs a device or a tool that is not here */
    size_t proofs,
        verified;    /* invariants, and those whose recorded proof came out verified again */
    size_t measured; /* recorded nodes that measure or rest on measurements */
    bool same_out, same_plan; /* the trees out/ and plan/ have the same id */
    struct repro_metric *metrics;
    size_t metric_count;
    double margin, margin_least; /* the largest and the smallest that was used */
};
/* Compares a recorded commit with the run of another trace, usually that of repro_build. A margin
 * of 0 stands for the recorded ones. */
struct repro_side {
    struct trace *trace;
    const struct trace_entry *entry;
};
int repro_compare(const struct repro_side *recorded, const struct repro_side *again, double margin,
                  struct arena *arena, struct repro_finding *out, struct err *e);
void repro_finding_release(struct repro_finding *f);
/* "5", or "2 to 5": percent. */
char *repro_margin_text(const struct repro_finding *f, struct arena *arena);
/* The finding as the one line of refs/notes/spak/verify; `now` in seconds. */
char *repro_note_line(const struct repro_finding *f, const char *machine, const char *version,
                      int64_t now, struct arena *arena);

/* Two one-sided tests: WITHIN when the whole interval lies in 1 - margin .. 1 + margin, BEYOND when
 * none of it does. */
enum repro_metric_state repro_equivalence(double lo, double hi, double margin);

/* What the record says about itself: each decision of the gate, derived anew from recorded files
 * alone. */
struct repro_decision {
    const char *what; /* "lease of bench/fmha" */
    bool holds;
    bool known; /* false: the record does not hold enough to tell */
    const char *why;
};
struct repro_decisions {
    struct repro_decision *at;
    size_t len, cap;
};
int repro_offline(struct trace *t, const struct trace_entry *entry, struct arena *arena,
                  struct repro_decisions *out, struct err *e);
void repro_decisions_release(struct repro_decisions *d);

#endif
