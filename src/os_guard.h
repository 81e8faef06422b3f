/* os_guard: the part of the guard that os_spawn needs. */
#ifndef SPAK_OS_GUARD_H
#define SPAK_OS_GUARD_H

#include "os.h"

/* In the child, before anything it starts can outlive it: plain stores only. A full table watches
 * no more. */
void os_guard_watch(struct os_guard *guard, pid_t pid);

#endif
