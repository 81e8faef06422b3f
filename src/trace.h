/* trace: a run as a git commit, and back. The only user of libgit2; starts no processes.
 *
 * One commit a run on refs/heads/spak/<target> of the repository around the project (a linked worktree, a shallow clone, a detached
 * HEAD will do), or of out/.spak/trace.git where there is none. Never touches the index, the working tree, HEAD or another branch. A run whose
 * tree equals its parent's commits nothing. */
#ifndef SPAK_TRACE_H
#define SPAK_TRACE_H

#include "plan.h"

struct trace_run {
    const struct graph *graph;
    const struct outcome *outcomes; /* one a node */
    const char *target;             /* the branch is spak/<target> */
    uint32_t target_node;
    const char *root;               /* absolute path of the project */
    const char *out_dir;            /* relative to the root: "out" */
    const char *machine;            /* host_machine() */
    const char *sandbox;            /* "none", "landlock-7 seccomp" */
    const char *engine_version;
    bool failed;
    bool interrupted;
    struct store *store;            /* for small text outputs and logs */
    struct hash_cache *cache;
    const char *const *params;      /* -D name=value, NULL-terminated, sorted */
    int64_t wall_ns;                /* for the note only */
};

struct trace_result {
    bool committed;   /* false: nothing had changed, or the trace is off */
    char commit[65];
    char ref[256];    /* "spak/fmha" */
    const char *where; /* "" the repository around, else a path */
};
/* Writes the commit and the note; two builds at once both get theirs (the loser of the race re-parents). */
int trace_commit(const struct trace_run *run, struct arena *arena, struct trace_result *out, struct err *e);

/* Reading back. A revision is a commit hash, a ref, "fmha", "fmha~2": a target name stands for its branch. */
struct trace; /* an open repository */
struct trace *trace_open(const char *root, const char *out_dir, const char *trace_to, struct err *e);
void trace_close(struct trace *t);
struct trace_entry {
    const char *commit;   /* hex */
    const char *subject;
    const char *status;   /* ok, failed, partial */
    const char *body;
    int64_t time;         /* seconds */
    const char *nodes;    /* Spak-Nodes */
    const char *source;
    bool source_dirty;
    struct strs metrics;  /* "fmha.fused gflops 21.3" */
};
/* The history of a target, latest first, at most `limit` (0: all). */
int trace_log(struct trace *t, const char *target, size_t limit, struct arena *arena, struct trace_entry **out, size_t *count,
              struct err *e);
int trace_resolve(struct trace *t, const char *revision, struct arena *arena, struct trace_entry *out, struct err *e);
/* One file of a commit's tree ("plan/out/hello.o"); found=false when absent. */
int trace_read(struct trace *t, const char *commit, const char *path, struct buf *out, bool *found, struct err *e);
/* All blob paths of a commit's tree below a folder, sorted. */
int trace_list(struct trace *t, const char *commit, const char *under, struct arena *arena, struct strs *out, struct err *e);
/* The targets that have a branch. */
int trace_targets(struct trace *t, struct arena *arena, struct strs *out, struct err *e);

/* The repository's own configuration, so that traces and notes travel with fetch and push of every remote. Appends "key value" for each
 * line it added; what is there already is not added again. */
int trace_share(struct trace *t, struct arena *arena, struct strs *set, struct err *e);
int trace_remotes(struct trace *t, struct arena *arena, struct strs *out, struct err *e);
/* The path of a node's file below plan/ and out/ when no node's name is also a folder's: "out/hello.o". A name that is both has "%node" behind it. */
char *trace_node_path(struct arena *arena, const char *node);

#endif
