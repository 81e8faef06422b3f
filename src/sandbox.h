/* sandbox: what a child process may touch.
 *
 * A policy is a value: paths it may read, paths it may write, whether it may reach a network or a
 * device. It is prepared in the parent and applied in the child between fork and exec, where only
 * system calls are allowed. Files by Landlock, sockets by seccomp, limits by setrlimit. Works for
 * ordinary users, inside another sandbox, and on kernels that have only part of it. Does not know
 * nodes.
 *
 * How a command writes its outputs. Landlock gives rights to what exists, a folder's to all below
 * it, and cannot take any back for one entry: rights to create files in a folder are rights over
 * everybody's files there. So there are two ways, and a caller picks one an output:
 *
 * - Reserve it (sandbox_reserve): an empty file that the policy names and the command writes in
 * place. The tightest: nothing else in its folder can be read, changed or removed. cc, as, ld,
 * clang, python's open, cp, tar, redirection and touch work so. What was not written is known
 * afterwards (sandbox_still_reserved). A tool that keeps the mode of what it overwrites (cp without
 * -p) makes no executable.
 * - Give it a folder: the policy names the folder and the command may do everything below it. Right
 * for an output that is a folder, and for tools that write beside their output and rename: ar,
 * ranlib, strip, sed -i, mv, install, ln, lld, mold. Give it when the folder has no output of
 * another command and no source in it.
 *
 * Root loses the powers by which it could look into other processes or reach the kernel and the
 * network past the rules; those over files the rules bind.
 *
 * What no policy covers: stat, readlink and access tell whether any file exists; mode, owner and
 * times of a file may be changed by whom it belongs to; a unix socket in the file system may be
 * connected to; what /dev/shm holds is shared, unless the policy is alone. A command's output must
 * come through a pipe if it is to open /dev/stdout or /dev/stderr: what is behind them is checked
 * as a file. */
#ifndef SPAK_SANDBOX_H
#define SPAK_SANDBOX_H

#include "os.h"

enum sandbox_level {
    SANDBOX_NONE, /* the kernel has nothing; one warning, and the trace says so */
    SANDBOX_FILES,
    SANDBOX_FULL, /* files and network */
};
/* What this kernel can do; `text` (may be NULL) gets "none" or "landlock-7 seccomp". */
enum sandbox_level sandbox_supported(const char **text);

/* Null devices, terminals, /dev/shm, /proc and /sys are always allowed and need not be named.
 * Memory, file size and processes (all of the user's) are limits of setrlimit, 0 for none. There
 * are never core dumps. */
struct sandbox_policy {
    /* Lists end with NULL. Files, or folders with all below; missing ones are ignored. */
    const char *const *read;
    /* Folders with all below, or files that exist; a missing one is an error. */
    const char *const *write;
    /* Folders whose names may be listed, with those below, but not read; may be NULL. */
    const char *const *list;
    bool network;
    bool alone;            /* no /dev/shm */
    bool devices;          /* accelerators: /dev/nvidia*, /dev/dri, /dev/kfd, and the names in /dev;
                            * writes to /proc */
    uint64_t memory_bytes; /* of address space */
    uint64_t file_bytes;
    uint64_t processes;
};
struct sandbox; /* a prepared policy */
/* May be freed as soon as the child was started, and applied to as many children as wanted. */
int sandbox_prepare(const struct sandbox_policy *policy, struct sandbox **out, struct err *e);
/* In the child; ctx is a struct sandbox *. Fits os_spawn.prepare. Returns an errno. */
int sandbox_apply(void *ctx);
void sandbox_free(struct sandbox *sandbox);

/* The folders of a system that a tool needs to start, for policy.read: /usr, /lib*, /bin, parts of
 * /etc. NULL-terminated. */
const char *const *sandbox_system_paths(void);
/* Whether a path is that of an accelerator, or of a folder of such: /dev/nvidia0, /dev/dri/card0.
 */
bool sandbox_is_accelerator(const char *path);

/* Sees a command reach for an accelerator under a policy that has none, also one that goes on
 * without. Only where the machine has one; costs a few microseconds a file that is opened. A
 * thread, from before the command starts until it has ended; NULL where there is nothing to see or
 * this kernel cannot tell. The sandbox outlives it. */
struct sandbox_watch;
int sandbox_watch_start(struct sandbox *sandbox, struct sandbox_watch **out, struct err *e);
/* The first accelerator that was reached for, NULL for none. Frees the watch. */
const char *sandbox_watch_end(struct sandbox_watch *watch, struct arena *arena);

/* Replaces what is at `path` by an empty file dated 1970. Its folder must exist. */
int sandbox_reserve(const char *path, struct err *e);
/* Whether a command left a reserved file as it was: it did not make its output. An empty output
 * that was written is told apart by its date. */
bool sandbox_still_reserved(const struct os_stat *stat);

/* What a command was refused, each path once, in order, relative to `root` and below it. */
struct sandbox_refusals {
    struct strs read;    /* files that exist, to read or to execute */
    struct strs list;    /* folders that exist, to list: many programs look and go on without */
    struct strs write;   /* to write, create, rename or remove, whether or not they exist */
    struct strs outside; /* what exists beyond the root, by its whole path, to do anything with */
};
/* Runs the command again, traced, under the same sandbox, with its input and output at /dev/null,
 * and sees which system calls end with EACCES. Finds nothing, without an error, where tracing is
 * not allowed; after the time-out what it found so far. Strings live in the arena. */
int sandbox_find_refusals(const struct os_spawn *how, const char *root, int64_t timeout_ns,
                          struct arena *arena, struct sandbox_refusals *out, struct err *e);
void sandbox_refusals_release(struct sandbox_refusals *refusals);
/* The same, only what it was refused to read. */
int sandbox_find_refused(const struct os_spawn *how, const char *root, int64_t timeout_ns,
                         struct arena *arena, struct strs *refused, struct err *e);

#endif
