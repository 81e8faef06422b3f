/* stamps_parts: the file of stamps, for who writes it and who maps it. */
#ifndef SPAK_STAMPS_PARTS_H
#define SPAK_STAMPS_PARTS_H

#include "stamps.h"

#include <stdatomic.h>

#define STAMPS_MAGIC "SPAKST1"

enum { STAMPS_REQUESTS = 16, STAMPS_COVERED = 0xa5 };

struct stamps_request {
    struct digest request;
    uint32_t nodes;
    uint32_t used; /* 0: an empty place */
};

/* What follows: folders, looks, facts, users, values, cover, text; each begins at a multiple of 8.
 */
struct stamps_header {
    char magic[8];
    uint64_t id;
    struct digest key;
    uint32_t folder_count, stamp_count, user_count, value_count, node_count, text_bytes;
    uint64_t total_bytes;
    uint64_t check; /* over everything before it, the folders and the values */
    struct stamps_request requests[STAMPS_REQUESTS];
    uint32_t next_request;
};

struct stamps_folder {
    uint32_t path;
    uint32_t first, count; /* its stamps, sorted by name */
};

/* What is compared, apart from what is only wanted when it differs. All zero matches no file. */
struct stamps_look {
    uint64_t inode;
    uint64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint32_t name;
    uint32_t kind;
};
struct stamps_fact {
    struct digest digest;
    uint32_t folder;
    uint32_t users, user_count;
};
struct stamps_value {
    struct digest digest;
    uint32_t what;
    uint32_t kind;
};

struct stamps {
    char *path;
    int fd;
    atomic_bool lost; /* the file could not be written and was removed */
    size_t bytes;
    struct stamps_header *header;
    const struct stamps_folder *folders;
    struct stamps_look *looks;
    struct stamps_fact *facts;
    const uint32_t *users;
    const struct stamps_value *values;
    uint8_t *cover;
    const char *text;
};

size_t stamps_layout_bytes(const struct stamps_header *h);
uint64_t stamps_checksum(const struct stamps *s);
/* Writes what was changed within the mapping to the file, before anything that is put later. */
void stamps_put(struct stamps *s, const void *at, size_t bytes);
/* Marks of one state of a file. */
void stamps_set_look(struct stamps_look *look, const struct os_stat *stat);

#endif
