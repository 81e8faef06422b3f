/* sandbox_filter: the seccomp program of a sandbox. Part of sandbox. */
#ifndef SPAK_SANDBOX_FILTER_H
#define SPAK_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>

/* Whether this kernel and machine can refuse system calls. */
bool sandbox_filter_supported(void);
/* The program, constant for the life of the process. */
struct sock_fprog sandbox_filter(bool network);
/* In the child, after no_new_privs. Returns an errno. */
int sandbox_filter_apply(const struct sock_fprog *program);

#endif
