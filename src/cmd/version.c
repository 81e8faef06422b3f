#include "../sandbox.h"
#include "cmd.h"

#include <stdio.h>

static int run(struct cmd_context *c, struct err *e)
{
    const char *sandbox;

    (void)e;
    sandbox_supported(&sandbox);
    if (c->json)
        printf("{\"sandbox\":\"%s\",\"version\":\"%s\"}\n", sandbox, SPAK_VERSION);
    else
        printf("spak %s\nsandbox %s\n", SPAK_VERSION, sandbox);
    return 0;
}

static const struct cmd_option options[] = {
    {0, "json", CMD_FLAG, NULL, "print JSON, one value a line"},
    {0},
};
static const char *const examples[] = {
    "spak version",
    "which spak this is, and what this kernel can enforce",
    NULL,
};

const struct cmd cmd_version = {
    .name = "version",
    .summary = "print the version and what the sandbox can do here",
    .usage = "[--json]",
    .options = options,
    .examples = examples,
    .run = run,
};
