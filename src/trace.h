/* trace: a run as a git commit, and back. The only user of libgit2; starts no process but the one
 * that signs commits where git's configuration asks for it.
 *
 * One commit a run on refs/heads/spak/<target> of the repository around the project (a linked
 * worktree, a shallow clone, a detached HEAD will do), or of out/.spak/trace.git where there is
 * none. Never touches the index, the working tree, HEAD or another branch. A run whose tree equals
 * its parent's commits nothing. */
#ifndef SPAK_TRACE_H
#define SPAK_TRACE_H

#include "plan.h"

struct trace_run {
    const struct graph *graph;
    const struct outcome *outcomes; /* one a node */
    const char *target;             /* the branch is spak/<target> */
    uint32_t target_node;
    const char *root;    /* absolute path of the project */
    const char *out_dir; /* relative to the root: "out" */
    const char *machine; /* host_machine() */
    const char *sandbox; /* "none", "landlock-7 seccomp" */
    const char *engine_version;
    bool failed;
    bool interrupted;
    struct store *store; /* for small text outputs and logs */
    struct hash_cache *cache;
    const char *const *params; /* -D name=value, NULL-terminated, sorted */
    const char *spakfile;      /* relative to the root; NULL: "spakfile" */
    int64_t wall_ns;           /* for the note only */
    const char *spent;         /* by measurements, JSON, for the note only; NULL or "": nothing */
    const char *journal;       /* of the protocol; the lines about the target go into the trace */
    const char *trace_to;      /* overrules the spakfile; NULL: where that says */
    /* The commit whose trace says of every clean node what one of this run would say; NULL: none.
     * Looked at only while it is the branch's tip. */
    const char *since;
    /* The record of a clean node that its outcome lacks; NULL: there is none. */
    int (*recall)(void *ctx, uint32_t node, const struct action_record **out, struct err *e);
    void *recall_ctx;
};

/* What a metric may differ by and still be the same, where a metrics file says nothing else. */
#define TRACE_MARGIN 0.05

struct trace_result {
    bool committed; /* false: nothing had changed, or the trace is off */
    char commit[65];
    char whole[65];     /* a tip that the next run's `since` may be, "" where it may not */
    char ref[256];      /* "spak/fmha" */
    const char *where;  /* "" the repository around, else a path */
    struct err warning; /* what did not keep the trace from being written; the caller releases it */
};
/* Writes the commit and the note; two builds at once both get theirs (the loser of the race
 * re-parents). */
int trace_commit(const struct trace_run *run, struct arena *arena, struct trace_result *out,
                 struct err *e);

/* Reading back. A revision is a commit hash, a ref, "fmha", "fmha~2": a target name stands for its
 * branch. */
struct trace; /* an open repository */
struct trace *trace_open(const char *root, const char *out_dir, const char *trace_to,
                         struct err *e);
void trace_close(struct trace *t);
struct trace_entry {
    const char *commit; /* hex */
    const char *target;
    const char *machine; /* Spak-Machine: measure/<machine>/ is this run's */
    const char *author;  /* a name, as the commit has it */
    const char *subject;
    const char *status; /* ok, failed, partial */
    const char *body;
    int64_t time;      /* seconds */
    const char *nodes; /* Spak-Nodes */
    const char *source;
    bool source_dirty;
    struct strs metrics; /* "fmha.fused gflops 21.3" */
};
/* The history of a target, latest first, at most `limit` (0: all). */
int trace_log(struct trace *t, const char *target, size_t limit, struct arena *arena,
              struct trace_entry **out, size_t *count, struct err *e);
int trace_resolve(struct trace *t, const char *revision, struct arena *arena,
                  struct trace_entry *out, struct err *e);
/* One file of a commit's tree ("plan/out/hello.o"); found=false when absent. */
int trace_read(struct trace *t, const char *commit, const char *path, struct buf *out, bool *found,
               struct err *e);
/* All blob paths of a commit's tree below a folder, sorted. */
int trace_list(struct trace *t, const char *commit, const char *under, struct arena *arena,
               struct strs *out, struct err *e);
/* What differs between the trees of two commits below a folder ("plan"; "" for all of it), sorted
 * by path. Equal folders are not opened. */
struct trace_change {
    const char *path; /* from the top of the tree */
    bool before;      /* the first commit has it */
    bool after;       /* the second has it */
};
int trace_changed(struct trace *t, const char *a, const char *b, const char *under,
                  struct arena *arena, struct trace_change **out, size_t *count, struct err *e);
/* The hunks that lead from one text to another (a unified diff without its two file lines), and how
 * many lines they add and remove. Bytes that are no text make `binary` true and no hunks. */
struct trace_patch {
    const char *hunks;
    size_t added, removed;
    bool binary;
};
int trace_patch(struct str before, struct str after, struct arena *arena, struct trace_patch *out,
                struct err *e);
/* The targets that have a branch. */
int trace_targets(struct trace *t, struct arena *arena, struct strs *out, struct err *e);

/* A tree as git holds it, whatever its author put in: a name may be "..", hold a slash or be no
 * UTF-8. Judge before use. */
struct trace_item {
    const char *path;    /* the names from `under` down, joined by slashes */
    const char *name;    /* the last of them */
    const char *id;      /* hex */
    uint32_t mode;       /* as in the tree: 040000, 0100644, 0120000, 0160000, ... */
    uint32_t depth;      /* 1: directly in `under` */
    uint64_t size_bytes; /* of a blob */
};
struct trace_limits {
    size_t entries;
    uint32_t depth;
    uint64_t bytes; /* of all blobs together */
};
/* Every entry below a folder of a commit, folders before what is in them; none when there is no
 * such folder. What goes beyond a limit is an error (T205) before it is read, so a small repository
 * that unfolds into a large tree costs no more than the limits. */
int trace_items(struct trace *t, const char *commit, const char *under,
                const struct trace_limits *limits, struct arena *arena, struct trace_item **out,
                size_t *count, struct err *e);
/* The content of one blob of trace_items. */
int trace_blob(struct trace *t, const char *id, struct buf *out, struct err *e);
/* The id of a folder or file of a commit, "" when absent: equal ids are equal content. */
int trace_path_id(struct trace *t, const char *commit, const char *path, char out[65],
                  struct err *e);
/* Appends the note refs/notes/spak/<name> of a commit, or where there is none that of a remote,
 * which a clone fetched. */
int trace_note_read(struct trace *t, const char *name, const char *commit, struct buf *out,
                    bool *found, struct err *e);
/* Adds a line to the note refs/notes/spak/<name> of a commit; the lines that are there stay. */
int trace_note_add(struct trace *t, const char *name, const char *commit, const char *line,
                   struct err *e);

/* An object of the store that a trace names: an output, or the log of a node that failed. Valid
 * during the call. */
struct trace_named {
    const char *commit; /* hex */
    const char *subject;
    int64_t time;
    const char *node; /* its path below out/ */
    const char *path; /* of the output; "" for a log */
    struct digest digest;
    bool folder; /* the object lists others */
};
typedef int trace_named_fn(void *ctx, const struct trace_named *named, struct err *e);
/* Those that one trace names. */
int trace_named_by(struct trace *t, const char *commit, struct arena *arena, trace_named_fn *fn,
                   void *ctx, struct err *e);
/* Those of all traces that spak/ branches (their own and those of remotes), tags or notes reach;
 * with `keep`, only the latest so many runs of each branch, and the runs that a tag or a note other
 * than "run" names. `lost`: those of the other traces instead, as far as the repository still has
 * them, latest first. What two runs share is told for the first only. */
int trace_named_kept(struct trace *t, size_t keep, bool lost, struct arena *arena,
                     trace_named_fn *fn, void *ctx, struct err *e);

/* trace_sign.c: what git's configuration says of the keys that sign: user.signingKey where
 * gpg.format is ssh (a path, or a key spelled out), and gpg.ssh.allowedSignersFile. NULL where it
 * says nothing. */
struct trace_keys {
    const char *own, *allowed;
};
int trace_keys(struct trace *t, struct arena *arena, struct trace_keys *out, struct err *e);
enum trace_signature { TRACE_UNSIGNED, TRACE_SIGNED, TRACE_BAD_SIGNATURE };
/* What `git verify-commit` makes of a commit, and its words. */
int trace_signature(struct trace *t, const char *commit, struct arena *arena,
                    enum trace_signature *out, const char **words, struct err *e);

/* trace_bundle.c: appends a git bundle of a target's branch up to a commit, with all notes of
 * traces: `git fetch` reads it too. */
int trace_bundle(struct trace *t, const char *target, const char *commit, struct buf *out,
                 struct err *e);
struct trace_taken {
    const char *ref;    /* "spak/fmha" */
    const char *commit; /* its tip in the bundle */
    bool moved;         /* false: the runs were here already */
};
/* Takes a bundle in: its branch moves forward or not at all (diverged: error T103), lines of notes
 * are added. Nothing but spak's refs is ever taken. */
int trace_unbundle(struct trace *t, struct str bundle, struct arena *arena, struct trace_taken *out,
                   struct err *e);
/* Makes a repository around a project that has none. */
int trace_create(const char *root, struct err *e);
/* Makes the sources of a trace, which lie in the work tree already, the first commit of a
 * repository that has none. */
int trace_adopt(struct trace *t, const char *commit, struct err *e);

/* The repository's own configuration, so that traces and notes travel with fetch and push of every
 * remote. Appends "key value" for each line it added; what is there already is not added again. */
int trace_share(struct trace *t, struct arena *arena, struct strs *set, struct err *e);
int trace_remotes(struct trace *t, struct arena *arena, struct strs *out, struct err *e);
/* The path of a node's file below plan/ and out/ when no node's name is also a folder's:
 * "out/hello.o". A name that is both has "%node" behind it. */
char *trace_node_path(struct arena *arena, const char *node);
/* The node's name again. */
char *trace_node_name(struct arena *arena, const char *path);
/* A value of a line as it was before it was written there; ${root} is `root`, or stays when that is
 * NULL. */
char *trace_value(struct arena *arena, struct str text, const char *root);

#endif
