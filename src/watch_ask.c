#include "watch_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Shorter than looking at everything takes where that matters. */
enum { PATIENCE_MS = 500 };

bool watch_address(const char *state_dir, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    return snprintf(out->sun_path, sizeof(out->sun_path), "%s/watch", state_dir) <
           (int)sizeof(out->sun_path);
}

void watch_be_patient(int fd, int milliseconds)
{
    struct timeval limit = {milliseconds / 1000, milliseconds % 1000 * 1000};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

bool watch_send(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool watch_receive(int fd, void *bytes, size_t len)
{
    char *at = bytes;

    while (len > 0) {
        ssize_t n = recv(fd, at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* -1 where nobody serves. */
static int request(const char *state_dir, const struct watch_request *what)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    watch_be_patient(fd, PATIENCE_MS);
    if (watch_address(state_dir, &address) &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        watch_send(fd, what, sizeof(*what)))
        return fd;
    close(fd);
    return -1;
}

static bool take_reply(int fd, const struct stamps *stamps, struct watch_answer *out)
{
    struct watch_reply reply;

    if (!watch_receive(fd, &reply, sizeof(reply)) || reply.stamps != stamps_id(stamps) ||
        reply.count > stamps_count(stamps))
        return false;
    out->number = reply.number;
    out->which.at = xmalloc((reply.count + 1) * sizeof(*out->which.at));
    out->which.cap = reply.count + 1;
    out->which.len = reply.count;
    if (!watch_receive(fd, out->which.at, reply.count * sizeof(*out->which.at)))
        return false;
    for (uint32_t i = 0; i < reply.count; i++)
        if (out->which.at[i] >= stamps_count(stamps))
            return false;
    return reply.known == 1;
}

void watch_ask(const char *state_dir, const struct stamps *stamps, struct watch_answer *out)
{
    struct watch_request ask = {.kind = WATCH_ASK, .stamps = stamps_id(stamps)};
    int fd = request(state_dir, &ask);

    *out = (struct watch_answer){0};
    if (fd < 0)
        return;
    out->known = take_reply(fd, stamps, out);
    close(fd);
}

void watch_clean(const char *state_dir, const struct stamps *stamps, uint64_t number)
{
    struct watch_request clean = {
        .kind = WATCH_CLEAN, .stamps = stamps_id(stamps), .number = number};
    int fd = request(state_dir, &clean);

    if (fd >= 0)
        close(fd);
}
