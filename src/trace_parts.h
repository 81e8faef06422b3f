/* trace_parts: what the files of the trace share among themselves. Nobody else includes it.
 *
 * A commit is made in four steps: the sources become a tree (trace_source), the graph and its
 * outcomes become a list of files (trace_nodes, trace_measure), the list becomes trees over the
 * parent's (trace_batch), and the message says what moved (trace_message). Only what the parent
 * does not hold already is written. */
#ifndef SPAK_TRACE_PARTS_H
#define SPAK_TRACE_PARTS_H

#include "trace.h"
#include <git2.h>

/* Sets the error with git's own words behind the message; returns -1. */
int trace_git_error(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

struct trace {
    git_repository *repo;   /* where the trace goes */
    git_repository *source; /* the repository around the project: `repo` itself, another, or NULL */
    char
        *prefix; /* the project's folder in the source's work tree, "" or with a slash at the end */
    char *where; /* "" for the repository around the project, else a path */
};
/* Finds the repository; `create` makes the one of its own where there is none. NULL if and only if
 * e is set. */
struct trace *trace_find(const char *root, const char *out_dir, const char *trace_to, bool create,
                         struct err *e);
bool trace_is_off(const char *trace_to);

/* A name as a path in a tree: no "..", no ".git", no empty part, nothing that two names share. */
char *trace_safe_path(struct arena *arena, const char *name);
/* refs/heads/spak/<target>, with what git refuses in a ref encoded. */
char *trace_ref_name(struct arena *arena, const char *target);
/* The target that such a ref's last part stands for. */
char *trace_unsafe_ref(struct arena *arena, const char *text);
/* A value on one line: control characters and backslashes escaped. */
void trace_add_value(struct buf *out, const char *text);

/* Stands before the outcome of a node that measured. Its digests are others in every run: the NUL
 * keeps them out of every textual diff, and trace_read takes it off again. */
#define TRACE_NODE_HEAD "\0spak-node 1\n"

/* A file on its way into a tree. */
struct trace_file {
    const char *path;
    uint32_t mode; /* 0: remove it */
    git_oid id;
    const char *bytes; /* NULL: the object is there already */
    size_t len;
};
struct trace_files {
    struct trace_file *at;
    size_t len;
    size_t cap;
};
/* Adds a regular file; `bytes` must live until the flush. */
int trace_files_add(struct trace_files *files, const char *path, const char *bytes, size_t len,
                    struct err *e);
void trace_files_add_id(struct trace_files *files, const char *path, uint32_t mode,
                        const git_oid *id);
void trace_files_sort(struct trace_files *files);
void trace_files_release(struct trace_files *files);

struct trace_object {
    git_oid id;
    git_object_t type;
    const void *bytes;
    size_t len;
};
/* Objects that wait to be written: all at once, as loose objects or as one pack. */
struct trace_batch {
    git_repository *repo;
    struct arena *arena;
    struct trace_object *objects;
    size_t len;
    size_t cap;
    uint32_t *slots; /* open addressing by id */
    size_t slot_count;
};
/* Adds an object; bytes are borrowed until the flush. One that waits already is not added twice. */
void trace_batch_put(struct trace_batch *b, const git_oid *id, git_object_t type, const void *bytes,
                     size_t len);
/* Lays sorted `files` over `base` (NULL: over nothing) and gives the tree's id. What `prior` holds
 * already is not written again. `empty` when nothing is left, and no tree then. */
int trace_batch_tree(struct trace_batch *b, git_repository *base_repo, const git_oid *base,
                     const git_oid *prior, const struct trace_files *files, git_oid *out,
                     bool *empty, struct err *e);
/* Takes what hangs below a tree of another repository, where this one lacks it. */
int trace_batch_import(struct trace_batch *b, git_repository *from, const git_oid *tree,
                       struct err *e);
/* Writes what waits and forgets it. */
int trace_batch_flush(struct trace_batch *b, struct err *e);
void trace_batch_release(struct trace_batch *b);
/* trace_pack.c: writes what waits as one pack; 0, or libgit2's code with its error set. */
int trace_pack_write(const struct trace_batch *b);

enum trace_use {
    TRACE_SAME = 1, /* by nodes that are clean, whose keys hold its digest */
    TRACE_LOOK,     /* by somebody who may have seen it change */
};

/* Everything that one commit is made of. */
struct trace_job {
    const struct trace_run *run;
    struct trace *trace;
    struct arena *arena;
    bool *mark;             /* by node: reachable from the target */
    const char **paths;     /* by node: its path below plan/ and out/ */
    struct digest *digests; /* by artifact */
    uint8_t *digest_state;  /* by artifact: unknown, there, absent */
    struct strmap used;     /* sources that the run read, relative to the root; an enum trace_use */
    struct strs used_list;
    bool *noted;              /* by artifact: it is in `used` as far as clean nodes go */
    bool told;                /* the files are made */
    bool since;               /* the parent holds the texts of every clean node */
    enum trace_use use;       /* of the node at hand */
    struct strs outside;      /* "path sha256" of files read outside the project */
    struct trace_files files; /* what does not depend on the parent */
    struct trace_metric *metrics;
    size_t metric_count;
    size_t metric_cap;
    bool measured; /* some node measured, or was to */
    size_t ran, reused, failed, pending;
    const char *first_failed;
    struct err warning; /* a signature that is wanted and was not made */
};
/* trace_since.c: what the commit before holds already. Whether it can be relied on, given the
 * branch's tip. */
void trace_since_check(struct trace_job *job, const git_commit *tip);
/* The tip holds what the node's texts would be. */
bool trace_since_has(const struct trace_job *job, uint32_t node);
/* Whether a run after this one may rely on its trace. */
bool trace_since_next(const struct trace_job *job);
/* Cuts `files` (sorted) below a folder out and lays them over that folder of the tip, which gets
 * added to `files` in their stead. */
int trace_since_overlay(struct trace_job *job, struct trace_batch *b, const git_oid *prior,
                        const char *folder, struct trace_files *files, struct err *e);
/* The files of a tree with their ids, sorted by path. */
int trace_since_files(struct trace_job *job, const git_oid *tree, struct trace_files *out,
                      struct err *e);
/* The record behind a node's outcome, NULL when it has none. */
int trace_record(struct trace_job *job, uint32_t node, const struct action_record **out,
                 struct err *e);

/* The status that the commit carries. */
const char *trace_status(const struct trace_job *job);
/* Fills paths, used, files and the counts. */
int trace_nodes(struct trace_job *job, struct err *e);
/* The digest of an artifact as the run knows it; false when it has none. */
int trace_artifact_digest(struct trace_job *job, uint32_t artifact, struct digest *out, bool *found,
                          struct err *e);

/* The path relative to the root, NULL when it lies outside the project. */
const char *trace_inside(const struct trace_job *job, const char *path);
/* The text with the project's own folder written as ${root}. */
const char *trace_neutral(struct trace_job *job, const char *text);
/* Appends what a node was to do. */
int trace_plan_text(struct trace_job *job, uint32_t node, struct buf *out, struct err *e);

struct trace_source {
    git_oid tree;
    bool empty;
    char commit[GIT_OID_HEXSZ + 1]; /* "" where there is none */
    bool dirty;
};
int trace_source_tree(struct trace_job *job, struct trace_batch *b, const git_oid *prior,
                      struct trace_source *out, struct err *e);

/* trace_sign.c: the signature that git's configuration wants a commit of this content to carry;
 * nothing is added where it wants none. */
int trace_sign(git_repository *repo, const git_signature *who, struct str content, struct buf *out,
               struct err *e);

struct trace_metric {
    const char *name;
    double margin; /* a reproduction within it is equivalent */
    const char *unit;
    double median, lo, hi;
    long long n;
    const float *samples;
    size_t sample_count;
    bool moved; /* its line was written anew */
    const char *line;
};
/* Reads one metrics file; false (no error) when its content makes no sense. */
bool trace_metrics_read(struct trace_job *job, const char *text, size_t len, const char *name);
/* Sorts the metrics and adds machine and samples.bin to the files. */
int trace_measure(struct trace_job *job, struct err *e);
/* The summary over the parent's: a line stays while the new interval meets the old or the change is
 * below the threshold. */
void trace_summary(struct trace_job *job, const char *old, struct buf *out);

/* The message of the commit `tree` over `parent` (NULL: the first). */
int trace_message(const struct trace_job *job, const struct trace_source *source,
                  git_commit *parent, const git_oid *tree, struct buf *out, struct err *e);
/* A trailer's value in a message, NULL when absent. */
char *trace_trailer(struct arena *arena, const char *message, const char *key);
/* Every value of a trailer that may be repeated. */
void trace_trailers(struct arena *arena, const char *message, const char *key, struct strs *out);

/* Author and committer: git's configuration, else spak <spak@localhost>. */
int trace_identity(git_repository *repo, const char *role, git_signature **out, struct err *e);
/* Moves a ref from one commit (NULL: from not being there) to another, or not at all: `lost` when
 * somebody else was faster or holds its lock. */
int trace_move_ref(git_repository *repo, const char *name, const git_oid *from, const git_oid *to,
                   const char *why, bool *lost, struct err *e);
/* Writes the note of a run beside its commit. */
int trace_note(const struct trace_job *job, const git_oid *commit, struct err *e);

/* A file of a tree, when it is one and below `limit` bytes. */
bool trace_tree_text(git_repository *repo, const git_tree *tree, const char *path, size_t limit,
                     struct buf *out);

#endif
