/* cmd/history: what the verbs that read traces share. */
#ifndef SPAK_CMD_HISTORY_H
#define SPAK_CMD_HISTORY_H

#include "../trace.h"
#include "project.h"

/* Opens the project and the repository of its trace. Close both, in whatever way it ends. */
int history_open(struct cmd_context *c, const char *verb, struct session *s, struct trace **t,
                 struct err *e);
int history_close(struct session *s, struct trace *t, int rc, struct err *e);
/* A path that the user gave is relative to where the user stands, not to the root. */
const char *history_path(const struct session *s, const char *path);
/* "2025-11-03 17:05" in the time zone of whoever reads. */
const char *history_date(struct arena *arena, int64_t seconds);
/* The entry as an object. */
json_t *history_json(const struct trace_entry *entry);

#endif
