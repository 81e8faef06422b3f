#include "project.h"

#include "../watch.h"

#include <stdio.h>

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct err late = {0};
    int rc = project_enter(c, "watch", false, &s, e);
    if (rc == 0 && c->args.len > 0)
        rc = err_set(e, ERR_usage, "watch takes no operands, but there is %s", c->args.at[0]);
    if (rc == 0 && !cmd_flag(c, "quiet"))
        fprintf(stderr, "spak: watching %s; Ctrl-C ends it\n", s.root);
    char *state_dir = arena_strdup(c->arena, s.state_dir);
    if (session_close(&s, rc < 0 ? &late : e) < 0)
        rc = -1;
    err_release(&late);
    return rc < 0 ? -1 : watch_serve(state_dir, e);
}

static const struct cmd_option options[] = {
    {'q', "quiet", CMD_FLAG, NULL, "say only what went wrong"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak watch &",
    "from now on builds of this project look only at what changed",
    "spak watch -C big/project -q &",
    "the same for a project elsewhere, without a word",
    NULL,
};

const struct cmd cmd_watch = {
    .name = "watch",
    .summary = "keep a list of what changed, so that builds look at nothing else",
    .usage = "[OPTION]...",
    .text =
        "Stays in the foreground and listens to the kernel (inotify) for changes of the files "
        "that builds of this project depend on. A build asks it and "
        "looks only at what may have changed, instead of at every file: worth it above some "
        "ten thousand files. Builds find it by "
        "themselves, and work the same without it: it may be started and ended at any "
        "time, and when it loses track (too many changes at once, a folder "
        "that was moved) the next build looks at everything.\n\nIt hears what the "
        "kernel tells. Links, and files with several names, are looked at every time. What is not "
        "told at all is a write through a memory map "
        "after the file was closed or through a name it got later, and what another machine writes "
        "to a network file "
        "system: do not watch a project where that happens.\n\nEach folder "
        "takes one of the kernel's watches "
        "(fs.inotify.max_user_watches).",
    .options = options,
    .examples = examples,
    .run = run,
};
