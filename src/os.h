/* os: files, time, processes, locks. The only file with #if for a platform.
 *
 * Every call that can fail on a broken disk passes a fault point (os_fault): with
 * SPAK_FAULT=NAME:N:ACTION in the environment the N-th passage through NAME fails with ENOSPC, EIO
 * or EINTR, or kills the process. Knows neither Lua nor git nor what a node is. Paths are bytes. */
#ifndef SPAK_OS_H
#define SPAK_OS_H

#include "err.h"
#include <sys/types.h>

enum os_kind { OS_ABSENT, OS_FILE, OS_DIR, OS_LINK, OS_OTHER };

/* What a stat says, and no more than what identifies a state of a file. */
struct os_stat {
    enum os_kind kind;
    bool executable;
    uint32_t mode;
    uint64_t device;
    uint64_t inode;
    uint64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
};

/* A missing file is no error: kind is OS_ABSENT. Follows links; os_lstat does not. */
int os_stat(const char *path, struct os_stat *out, struct err *e);
int os_lstat(const char *path, struct os_stat *out, struct err *e);
/* Opens a folder for os_stat_at and nothing else; the caller closes it. -1 when there is none: no
 * error, what lies in it is absent. */
int os_open_folder(const char *path);
/* os_stat of a name in an open folder, without words: false where the system cannot tell. */
bool os_stat_at(int folder, const char *name, struct os_stat *out);
/* Appends the whole file. */
int os_read(const char *path, struct buf *out, struct err *e);
/* Writes a temporary beside it (OS_TEMP_PREFIX and a random name) and renames: readers see the old
 * or the new, never a part, and a failure leaves the old. Only a killed process leaves the
 * temporary behind. Makes no folder. */
#define OS_TEMP_PREFIX ".spak-tmp-"
int os_write(const char *path, const void *bytes, size_t len, uint32_t mode, struct err *e);
/* The same, with fsync of file and folder before it returns. */
int os_write_durable(const char *path, const void *bytes, size_t len, uint32_t mode, struct err *e);
/* Writes into the file itself, for programs in a sandbox that grants the file and nothing beside
 * it. A crash leaves a part. */
int os_write_in_place(const char *path, const void *bytes, size_t len, struct err *e);
/* Copies the content; written like os_write does. */
int os_copy(const char *from, const char *to, uint32_t mode, struct err *e);
int os_rename(const char *from, const char *to, struct err *e);
/* Makes the folder and those above it. */
int os_mkdirs(const char *path, struct err *e);
/* Makes the folders above a file. */
int os_mkdirs_for(const char *path, struct err *e);
/* Starts the temporary of a file that is written piece by piece: `fd` to write to, `temp` its name.
 * Then either os_temp_keep, which closes and renames it (and fsyncs when `durable`), or
 * os_temp_drop, which closes and removes it. A keep that fails has dropped. */
int os_temp_open(const char *path, uint32_t mode, char **temp, int *fd, struct err *e);
int os_temp_keep(const char *path, char *temp, int fd, bool durable, struct err *e);
void os_temp_drop(char *temp, int fd);
/* Writes all of it to a descriptor; `path` is for messages. */
int os_write_fd(int fd, const void *bytes, size_t len, const char *path, struct err *e);
/* The same from an offset on, over what stands there. */
int os_write_at(int fd, const void *bytes, size_t len, uint64_t offset, const char *path,
                struct err *e);
/* Opens a file to read piece by piece; the caller closes it. */
int os_open_read(const char *path, int *fd, struct err *e);
/* Reads up to `len` bytes; *got is 0 at the end. */
int os_read_fd(int fd, void *bytes, size_t len, size_t *got, const char *path, struct err *e);
/* The first shared mapping of the file in this process; false when there is none. */
struct os_map {
    void *at;
    size_t bytes;
};
bool os_map_find(int fd, struct os_map *out);
/* Gives back the memory that it holds; what is looked at again is read again. */
void os_map_rest(const struct os_map *map);
/* Removes a file or a whole tree, never following links; absent is fine. */
int os_remove(const char *path, struct err *e);
/* The names in a folder, sorted by bytes, without . and ..; strings live in the arena. */
int os_list(const char *path, struct arena *arena, struct strs *out, struct err *e);
/* The absolute path without links; NULL if and only if e is set. */
char *os_realpath(struct arena *arena, const char *path, struct err *e);
char *os_getcwd(struct arena *arena, struct err *e);
/* Lexical: joins, folds . and .. and //; an absolute `path` replaces `dir`. */
char *os_join(struct arena *arena, const char *dir, const char *path);
/* The part before the last slash, "." when there is none. */
char *os_dirname(struct arena *arena, const char *path);
/* The absolute path of the running program. */
char *os_self(struct arena *arena, struct err *e);
/* Finds an executable along PATH; NULL when there is none. */
char *os_which(struct arena *arena, const char *name);

int64_t os_monotonic_ns(void);
int64_t os_wall_ns(void);
/* The clock that the kernel stamps files by: it stands still within a tick. */
int64_t os_stamp_ns(void);
/* How many cores this process may keep busy: no more than it may run on, and than its container's
 * share. */
int os_cores(void);

/* The processors that the calling thread may run on; NULL where the kernel does not say. */
struct os_processors *os_processors(void);
void os_processors_free(struct os_processors *processors);
int os_processors_count(const struct os_processors *processors);
/* The calling thread, and what it starts, runs nowhere but on the `which`-th of them, from 0; or on
 * all of them again, by one system call. */
void os_processors_use_one(const struct os_processors *processors, int which);
void os_processors_use_all(const struct os_processors *processors);

/* Calls `fn` once after so long, in a signal handler of this thread (SIGALRM), unless it is cleared
 * before; one at a time. NULL where there is no timer to be had. */
struct os_alarm *os_alarm_set(int64_t after_ns, void (*fn)(void *ctx), void *ctx);
void os_alarm_clear(struct os_alarm *alarm);

/* An advisory lock on a file, freed by the kernel when the process dies. -1 is "not held". */
int os_lock_try(const char *path, int *fd, bool *held_elsewhere, struct err *e);
int os_lock_wait(const char *path, int *fd, struct err *e);
void os_unlock(int *fd);

/* A child process.
 *
 * It starts in a process group of its own, with default signals, umask 022 and no descriptor but
 * the three and keep_fds. It dies with the thread that called os_spawn (spawn from a thread that
 * lives as long as the child may), and os_wait kills what it left behind in its group. What it
 * started lives on when this process is killed by SIGKILL, unless a guard watches: so Ctrl-C is
 * os_kill_group, and kill -9 is the guard's. Only a process that leaves its group and outlives its
 * parent escapes both. */
struct os_spawn {
    const char *const *argv; /* NULL-terminated; argv[0] is a path, no search */
    const char *const *env;  /* NULL-terminated NAME=value, the whole environment */
    const char *dir;         /* working directory, NULL: this one */
    int stdin_fd;            /* -1: /dev/null */
    int stdout_fd;           /* -1: /dev/null */
    int stderr_fd;           /* -1: /dev/null */
    const int *keep_fds; /* further descriptors that stay open, at their own numbers, 3 or above */
    size_t keep_count;
    bool same_group; /* stay in the caller's process group, with its umask (console commands) */
    struct os_guard *guard; /* kills the group when this process dies; NULL: nobody does */
    const struct os_processors *processors; /* where it may run; NULL: where the caller may */
    uint64_t altered_signals; /* what os_altered_signals said, to spare the child 60 system calls;
                                 0: nobody asked */
    /* Runs in the child just before exec, memory shared with the parent: system calls only. Returns
     * an errno. */
    int (*prepare)(void *ctx);
    void *prepare_ctx;
};
/* Starts it; `pidfd`, which may be NULL, becomes readable when it ends. A program that cannot be
 * executed is an error here (N107), not an exit status. */
int os_spawn(const struct os_spawn *how, pid_t *pid, int *pidfd, struct err *e);

struct os_exit {
    int code;   /* exit status, or -1 when a signal ended it */
    int signal; /* the signal, or 0 */
    int64_t user_ns;
    int64_t system_ns;
    uint64_t peak_bytes;
};
/* Waits for the end, kills the rest of its group and collects it: pipes that the group held are at
 * their end afterwards. */
int os_wait(pid_t pid, struct os_exit *out, struct err *e);
/* The signals that this process ignores or handles, as bits; a child takes all as a fresh process
 * does. */
uint64_t os_altered_signals(void);
/* Signals the whole group; a group that is gone is fine. */
void os_kill_group(pid_t pid, int signal);

/* A process beside this one that outlives it by a moment: when this process dies, in whatever way,
 * it kills the groups of children that are still running. One for a run; costs a fork, and no
 * system call for a child. */
struct os_guard;
int os_guard_start(struct os_guard **out, struct err *e);
/* Call before os_wait of a guarded child: afterwards its number may be another's. */
void os_guard_forget(struct os_guard *guard, pid_t pid);
/* Ends the guard without killing; NULL is fine. */
void os_guard_stop(struct os_guard *guard);

/* Runs to the end, without a shell and without a sandbox, and collects stdout (and stderr when
 * `both`). */
int os_capture(const char *const *argv, bool both, struct buf *out, struct os_exit *status,
               struct err *e);

/* Passes a fault point: 0, or the errno that the environment asks this passage to fail with. A name
 * that os_fault_points lacks is a bug. */
int os_fault(const char *point);
/* Every fault point, sorted, NULL-terminated: what a fault-injection test goes through. */
const char *const *os_fault_points(void);

#endif
