/* diff: two runs, compared: which inputs changed, what ran for it, what came of it.
 *
 * Reads traces, and the store for the machine code of objects that it still has. Prints nothing and
 * runs nothing. What is equal in both trees is never opened, so the work is in proportion to what
 * changed. Text of a trace may come from a stranger: a line that makes no sense is passed over.
 *
 * Life cycle: everything lies in the arena given to diff_traces. */
#ifndef SPAK_DIFF_H
#define SPAK_DIFF_H

#include "stat.h"
#include "trace.h"

/* A line that one side has and the other has not. */
struct diff_line {
    char sign; /* '-' only before, '+' only after */
    const char *text;
};
struct diff_lines {
    struct diff_line *at;
    size_t len;
    size_t cap;
};

/* A text: a source, or a traced output. */
struct diff_text {
    const char *path;    /* in the project */
    const char *machine; /* whose measurement it is, NULL: of all */
    bool before, after;  /* is it there */
    struct trace_patch patch;
    uint32_t readers; /* sources: how many of the changed nodes read it */
};

enum diff_why {
    DIFF_NEW,      /* only the second run has the node */
    DIFF_GONE,     /* only the first has it */
    DIFF_PLAN,     /* what was to be done is another thing: lines of its own */
    DIFF_INPUTS,   /* what it reads has another content */
    DIFF_TOOL,     /* a tool that it runs is another one */
    DIFF_OUTSIDE,  /* nothing of its own, but files outside the project changed */
    DIFF_MEASURED, /* it measures, and did so again */
    DIFF_STATE,    /* the same work got done in one run and not in the other */
    DIFF_UNCAUSED, /* the same work of the same inputs left something else */
};
const char *diff_why_name(enum diff_why why);

/* An output other than before, by its digest. */
struct diff_object {
    const char *path;
    const char *before, *after; /* digests in hex, NULL: not there */
    uint64_t bytes_before, bytes_after;
    bool measured;
    bool text;              /* its text is among the texts */
    struct diff_code *code; /* NULL: no ELF object, or not in the store any more */
};

/* A file that a node read, with its digests in hex; NULL: did not read it, or it was not there. */
struct diff_input {
    const char *path;
    const char *before, *after;
};

/* A node whose plan or outcome changed. */
struct diff_node {
    const char *name; /* its file below plan/ */
    enum diff_why why;
    bool measured;                          /* its outcome differs from run to run by nature */
    const char *state_before, *state_after; /* "ok", "failed", ...; NULL: not there */
    struct diff_lines plan;    /* its own lines that changed, sources by their digest */
    struct diff_input *inputs; /* those that have another content, sorted by path */
    size_t input_count;
    size_t first_object, object_count;
    uint32_t cause; /* the node that it changed for, DIFF_NONE: a changed input or itself */
    const char *cause_input; /* where the chain starts: a source, a line of a plan or a tool; NULL:
                                there is none */
    uint32_t depth;          /* nodes from there */
    bool feeds;              /* another changed node reads what it makes */
};
#define DIFF_NONE UINT32_MAX

/* Functions of a symbol table that one side lacks or that differ. */
struct diff_function {
    const char *name;
    uint64_t before, after; /* bytes; 0: not there */
};
struct diff_code {
    struct diff_function *at; /* sorted by name */
    size_t len;
    size_t added, removed, resized, rewritten; /* rewritten: of the same size with other bytes */
    size_t same;
    uint64_t bytes_before, bytes_after;
};
/* Compares the functions of two ELF64 files; NULL when one of them is none, is damaged or has no
 * symbol table. */
struct diff_code *diff_elf(struct str before, struct str after, struct arena *arena);

struct diff_metric {
    const char *name, *unit, *machine;
    double before, after;       /* medians, of the samples where there are any */
    struct stat_interval ratio; /* after over before; NaN where only summaries are known */
    size_t n_before, n_after;   /* samples; 0: only the summary is known */
    double p;   /* Mann-Whitney, corrected after Holm over all metrics; NaN without samples */
    bool moved; /* p < 0.05 and more than 2 %; without samples, intervals apart and more than 2 % */
    bool in_before, in_after;
};

/* A hypothesis or a kernel that is judged otherwise. */
struct diff_verdict {
    const char *file, *machine;
    const char *what;           /* "hypothesis tile-128", "fused against naive" */
    const char *before, *after; /* NULL: not judged */
};

/* A file of env/ or a machine's facts. */
struct diff_env {
    const char *file; /* "toolchain", "files", "params", "machine H100" */
    struct diff_lines lines;
};

/* A machine that only one of the runs has measurements of. */
struct diff_machine {
    const char *name;
    bool before, after;
};

struct diff {
    struct trace_entry a, b;
    struct diff_text *sources;
    size_t source_count;
    struct diff_env *env;
    size_t env_count;
    struct diff_node *nodes; /* by name */
    size_t node_count;
    struct diff_object *objects; /* by node */
    size_t object_count;
    struct diff_text *texts;
    size_t text_count;
    struct diff_metric *metrics; /* what moved first, by size of the move */
    size_t metric_count;
    struct diff_verdict *verdicts;
    size_t verdict_count;
    struct diff_machine *machines;
    size_t machine_count;
    size_t shared_nodes; /* of runs of different targets: nodes that both have */
};
/* True when the runs differ in more than what measuring again brings. */
bool diff_differs(const struct diff *d);

/* Compares two commits. `store` may be NULL: then no machine code is compared. */
int diff_traces(struct trace *t, struct store *store, const char *a, const char *b,
                struct arena *arena, struct diff *out, struct err *e);

#endif
