/* sandbox: what a child process may touch.
 *
 * A policy is a value: paths it may read, paths it may write, whether it may reach a network or a device. It is
 * prepared in the parent and applied in the child between fork and exec, where only system calls are allowed. Files by Landlock,
 * sockets by seccomp. Does not know nodes. */
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

struct sandbox_policy {
    const char *const *read;  /* NULL-terminated; files, or folders with all below; missing ones are ignored */
    const char *const *write; /* files or folders that may be written, created and removed */
    bool network;
    bool devices;       /* accelerators: /dev/nvidia*, /dev/dri, /dev/kfd */
    uint64_t memory_bytes; /* 0: no limit */
    uint64_t file_bytes;
    uint64_t processes;
};
struct sandbox; /* a prepared policy */
int sandbox_prepare(const struct sandbox_policy *policy, struct sandbox **out, struct err *e);
/* In the child; ctx is a struct sandbox *. Fits os_spawn.prepare. Returns an errno. */
int sandbox_apply(void *ctx);
void sandbox_free(struct sandbox *sandbox);

/* The folders of a system that a tool needs to start: /usr, /lib*, /bin, parts of /etc, /dev/null ... */
const char *const *sandbox_system_paths(void);

/* Runs the command again, traced, under the same sandbox, to learn which existing paths below `root` it was refused; adds each once,
 * relative to root. Output of the run is thrown away. Finds nothing, without an error, where tracing is not allowed. */
int sandbox_find_refused(const struct os_spawn *how, const char *root, int64_t timeout_ns, struct arena *arena,
                         struct strs *refused, struct err *e);

#endif
