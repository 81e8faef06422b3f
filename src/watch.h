/* watch: a process that keeps a list of what changed, so that a build need not look at every file.
 *
 * It asks inotify about the folders of the stamps and answers over a socket in the engine's folder.
 * What it says is which stamps may not hold any more: a build looks at those alone. Never needed: a
 * build that gets no answer, or one about other stamps, looks at everything. The list begins when a
 * build that looked says that all stamps held (watch_clean); events that were lost, folders that
 * were moved, and new stamps end it.
 *
 * What inotify cannot see is looked at every time: links, and files with several names. What it
 * does not tell at all is in the manual of the verb: writes through mmap after the file was closed,
 * and other machines' writes to a network file system. */
#ifndef SPAK_WATCH_H
#define SPAK_WATCH_H

#include "stamps.h"

/* Serves until a signal or until the engine's folder is gone. Another one that serves there is an
 * error. */
int watch_serve(const char *state_dir, struct err *e);

/* What the list was when it was asked for. */
struct watch_answer {
    bool known;       /* `which` holds every stamp that may not hold */
    uint64_t number;  /* of the last event before the answer */
    struct ids which; /* sorted */
};
/* `known` is false where nobody serves. */
void watch_ask(const char *state_dir, const struct stamps *stamps, struct watch_answer *out);
/* All stamps were looked at after that answer, and held. */
void watch_clean(const char *state_dir, const struct stamps *stamps, uint64_t number);

#endif
