#define _GNU_SOURCE
#include "run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* GNU make hands the jobserver on as --jobserver-auth=R,W (two descriptors, older makes say
 * --jobserver-fds) or as
 * --jobserver-auth=fifo:PATH. One byte in the pipe is leave for one more command; the first command
 * of each process needs none. */

/* A description of the pipe of our own: O_NONBLOCK on the shared one would break its other users.
 */
static int reopen(int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static const char *find_auth(const char *makeflags)
{
    static const char *const options[] = {"--jobserver-auth=", "--jobserver-fds="};
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(options) && !found; i++)
        for (const char *at = makeflags; (at = strstr(at, options[i])); at += strlen(options[i]))
            found = at + strlen(options[i]);
    return found;
}

static bool join_fifo(struct jobserver *s, const char *auth)
{
    char path[4096];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(auth, " \t"), auth);
    s->child_read_fd = s->child_write_fd = open(path, O_RDWR | O_CLOEXEC);
    return s->child_read_fd >= 0;
}

static bool is_open_pipe(int fd)
{
    return fd > 2 && fcntl(fd, F_GETFD) >= 0;
}

static bool join_pipe(struct jobserver *s, const char *auth)
{
    if (sscanf(auth, "%d,%d", &s->child_read_fd, &s->child_write_fd) != 2)
        return false;
    return is_open_pipe(s->child_read_fd) && is_open_pipe(s->child_write_fd);
}

static bool join(struct jobserver *s, const char *makeflags)
{
    const char *auth = makeflags ? find_auth(makeflags) : NULL;
    if (!auth)
        return false;
    bool fifo = text_starts_with(auth, "fifo:");
    if (!(fifo ? join_fifo(s, auth + 5) : join_pipe(s, auth)))
        return false;
    s->ours = false;
    return true;
}

static int serve(struct jobserver *s, int jobs, struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, ERR_os, "cannot make the pipe of the jobserver");
    s->child_read_fd = ends[0];
    s->child_write_fd = ends[1];
    s->ours = true;
    for (int i = 1; i < jobs; i++)
        if (write(ends[1], "+", 1) != 1)
            return err_errno(e, ERR_os, "cannot fill the pipe of the jobserver");
    return 0;
}

int jobserver_open(struct jobserver *s, const struct run_options *o, bool wanted, struct err *e)
{
    *s = (struct jobserver){-1, -1, -1, -1, false, 0, {0}};
    if (o->jobs_given || !join(s, o->makeflags)) {
        s->child_read_fd = s->child_write_fd = -1;
        if (!wanted)
            return 0;
        if (serve(s, o->jobs, e) < 0)
            return -1;
    }
    s->take_fd = reopen(s->child_read_fd, O_RDONLY | O_NONBLOCK);
    s->give_fd = s->child_write_fd;
    return 0;
}

bool jobserver_take(struct jobserver *s, size_t running)
{
    if (s->take_fd < 0 || running <= s->held)
        return true;
    if (s->held == sizeof s->tokens)
        return false;
    ssize_t n;
    do
        n = read(s->take_fd, &s->tokens[s->held], 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return false;
    s->held++;
    return true;
}

void jobserver_give(struct jobserver *s, size_t running)
{
    size_t needed = running ? running - 1 : 0;
    while (s->give_fd >= 0 && s->held > needed) {
        if (write(s->give_fd, &s->tokens[s->held - 1], 1) < 0 && errno == EINTR)
            continue;
        s->held--;
    }
}

void jobserver_close(struct jobserver *s)
{
    jobserver_give(s, 0);
    if (s->take_fd >= 0)
        close(s->take_fd);
    if (s->ours || s->child_read_fd == s->child_write_fd) {
        if (s->child_read_fd >= 0)
            close(s->child_read_fd);
        if (s->ours)
            close(s->child_write_fd);
    }
    s->take_fd = s->give_fd = -1;
}
