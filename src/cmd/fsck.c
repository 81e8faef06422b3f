#include "project.h"

#include <stdio.h>

struct faults {
    struct cmd_context *c;
    size_t count;
};

static void tell_fault(void *ctx, const char *what, const char *heal)
{
    struct faults *f = ctx;
    f->count++;
    if (f->c->json)
        project_print_json(
            json_pack("{s:s, s:s, s:s}", "event", "fault", "what", what, "heal", heal ? heal : ""));
    else
        printf("fault: %s\n  heal: %s\n", what, heal ? heal : "build again");
}

static int check(struct cmd_context *c, struct session *s, struct err *e)
{
    struct faults faults = {.c = c};
    size_t objects = 0, records = 0;
    if (store_fsck(s->store, tell_fault, &faults, &objects, &records, e) < 0)
        return -1;
    if (c->json)
        project_print_json(json_pack("{s:s, s:I, s:I, s:I}", "event", "fsck", "objects",
                                     (json_int_t)objects, "records", (json_int_t)records, "faults",
                                     (json_int_t)faults.count));
    else
        printf("%zu objects, %zu records, %zu faults\n", objects, records, faults.count);
    c->status = faults.count ? ERR_NODE : 0;
    return 0;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct session_options o = {.dir = cmd_value(c, "directory"),
                                .file = cmd_value(c, "file"),
                                .verb = "fsck",
                                .lock = true};
    int rc = session_open(&s, &o, c->arena, e);
    if (rc == 0)
        rc = check(c, &s, e);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}

static const struct cmd_option options[] = {
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak fsck",
    "check the store of this project",
    NULL,
};

const struct cmd cmd_fsck = {
    .name = "fsck",
    .summary = "check that the store is whole",
    .usage = "[OPTION]...",
    .text = "Reads every object, compares it with its digest, and checks that what the records "
            "name is there. For each fault it says what heals it. "
            "Exit status 1 when there is a fault.",
    .options = options,
    .examples = examples,
    .run = run,
};
