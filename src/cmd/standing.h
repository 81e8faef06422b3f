/* cmd/standing: what `status` and `next` share: a project, its plan and where the protocol's
 * objects stand. */
#ifndef SPAK_CMD_STANDING_H
#define SPAK_CMD_STANDING_H

#include "../protocol.h"
#include "project.h"

typedef void standing_fn(const struct cmd_context *c, const struct protocol_item *items,
                         size_t count);
/* Opens the project, plans for the operands and hands the objects over. */
int standing_run(struct cmd_context *c, const char *verb, standing_fn *print, struct err *e);
/* What both say of an object in JSON; the caller's. */
json_t *standing_json(const struct protocol_item *item);

#endif
