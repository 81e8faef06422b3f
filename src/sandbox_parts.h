/* sandbox_parts: what the files of sandbox know of each other, and its tests. */
#ifndef SPAK_SANDBOX_PARTS_H
#define SPAK_SANDBOX_PARTS_H

#include "sandbox.h"

#include <linux/filter.h>

/* Whether this kernel and machine can refuse system calls. */
bool sandbox_filter_supported(void);
/* The program, constant for the life of the process. */
struct sock_fprog sandbox_filter(bool network);
/* In the child, after no_new_privs. Returns an errno. */
int sandbox_filter_apply(const struct sock_fprog *program);

/* Where the child reports to, -1: to nobody. */
int *sandbox_watch_fd(struct sandbox *sandbox);
/* In the child, last: from here on its opening of files is told to who holds the other end. */
void sandbox_watch_apply(int to_fd);

/* What a kernel has, or is taken to have. */
struct sandbox_kernel {
    int landlock; /* version, 0: none */
    bool filter;
};
/* An old kernel, or one started without Landlock, has version 0. */
struct sandbox_kernel sandbox_kernel_now(void);
/* sandbox_prepare on a kernel that has no more than this. */
int sandbox_prepare_for(struct sandbox_kernel kernel, const struct sandbox_policy *policy,
                        struct sandbox **out, struct err *e);

#endif
