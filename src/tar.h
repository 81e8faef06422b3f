/* tar: plain ustar archives of regular files, written and read piece by piece.
 *
 * Written the same bytes for the same content: no times, owners or other modes than 0644. Read with
 * distrust: an entry that is no regular file, or whose name is absolute, empty or has a part "..",
 * is an error. Knows nothing of what the files are.
 *
 * Life cycle: tar_create, tar_add..., tar_finish (or tar_drop); tar_open, tar_next with tar_read or
 * tar_save after each, tar_close. */
#ifndef SPAK_TAR_H
#define SPAK_TAR_H

#include "os.h"

struct tar_writer {
    const char *path;
    char *temp;
    int fd;
};
int tar_create(struct tar_writer *w, const char *path, struct err *e);
int tar_add(struct tar_writer *w, const char *name, const void *bytes, size_t len, struct err *e);
/* Puts the archive in its place. A finish that fails has dropped. */
int tar_finish(struct tar_writer *w, struct err *e);
/* Leaves nothing behind; fine after a finish. */
void tar_drop(struct tar_writer *w);

struct tar_reader {
    const char *path;
    int fd;
    uint64_t left;        /* of the present entry's content */
    unsigned int padding; /* behind it */
};
struct tar_entry {
    char name[101];
    uint64_t size_bytes;
};
int tar_open(struct tar_reader *r, const char *path, struct err *e);
/* The next entry, past what was not read of the one before; found=false at the end. */
int tar_next(struct tar_reader *r, struct tar_entry *out, bool *found, struct err *e);
/* Appends the entry's content, when that is at most `limit` bytes. */
int tar_read(struct tar_reader *r, uint64_t limit, struct buf *out, struct err *e);
/* Writes the entry's content to a file. */
int tar_save(struct tar_reader *r, const char *path, struct err *e);
void tar_close(struct tar_reader *r);

#endif
