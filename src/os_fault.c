#include "os.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keep sorted. A new point is passed by exactly one kind of system call. */
static const char *const points[] = {
    "fsync", "list",         "lock",       "mkdir",     "open",  "read",     "remove", "rename",
    "spawn", "store_commit", "store_open", "store_put", "write", "write_at", NULL,
};

static const struct {
    const char *name;
    int number;
} actions[] = {{"EINTR", EINTR}, {"EIO", EIO}, {"ENOSPC", ENOSPC}};

const char *const *os_fault_points(void)
{
    return points;
}

static bool is_point(const char *name)
{
    for (size_t i = 0; points[i]; i++) {
        if (strcmp(points[i], name) == 0)
            return true;
    }
    return false;
}

static int act(const char *action)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, action) == 0)
            return actions[i].number;
    }
    if (strcmp(action, "KILL") == 0)
        kill(getpid(), SIGKILL);
    BUG("SPAK_FAULT: unknown action \"%s\": use ENOSPC, EIO, EINTR or KILL", action);
}

/* The count of passages is the one piece of state that outlives a call: it is what "the N-th"
 * counts, over all threads. */
int os_fault(const char *point)
{
    static atomic_ulong passages;
    const char *fault = getenv("SPAK_FAULT");
    size_t len = strlen(point);
    unsigned long nth;
    char *end;

    if (!fault || !*fault)
        return 0;
    if (!is_point(point))
        BUG("os_fault: no fault point \"%s\"", point);
    if (strncmp(fault, point, len) != 0 || fault[len] != ':')
        return 0;
    nth = strtoul(fault + len + 1, &end, 10);
    if (*end != ':' || nth == 0)
        BUG("SPAK_FAULT=%s: use NAME:N:ACTION with N from 1", fault);
    if (atomic_fetch_add(&passages, 1) + 1 != nth)
        return 0;
    return act(end + 1);
}
