/* watch_parts: what goes over the socket, for both its ends. */
#ifndef SPAK_WATCH_PARTS_H
#define SPAK_WATCH_PARTS_H

#include "watch.h"

#include <sys/un.h>

enum watch_kind { WATCH_ASK = 0x57415348, WATCH_CLEAN };

struct watch_request {
    uint32_t kind;
    uint32_t zero;
    uint64_t stamps; /* stamps_id */
    uint64_t number;
};
/* Followed by `count` numbers of stamps. */
struct watch_reply {
    uint64_t stamps;
    uint64_t number;
    uint32_t known;
    uint32_t count;
};

/* False when the path is too long for a socket. */
bool watch_address(const char *state_dir, struct sockaddr_un *out);
/* A peer that stops in the middle is left after so long. */
void watch_be_patient(int fd, int milliseconds);
bool watch_send(int fd, const void *bytes, size_t len);
bool watch_receive(int fd, void *bytes, size_t len);

#endif
