#include "cmd/cmd.h"
#include "diag.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int unknown_verb(const char *name, struct err *e)
{
    const char *near = NULL;
    size_t best = 3;
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++)
        if (!(*cmd)->hidden && text_distance(name, (*cmd)->name) < best) {
            best = text_distance(name, (*cmd)->name);
            near = (*cmd)->name;
        }
    err_set(e, ERR_verb_unknown, "spak has no verb %s", name);
    if (near)
        return err_hint(e, "did you mean spak %s?", near);
    return err_hint(e, "`spak help` lists the verbs; to build a target, type spak build %s", name);
}

/* `spak`, `spak -k`: build. `spak --help`, `spak build --help`: help. */
static const struct cmd *find_verb(int *argc, char ***argv, struct err *e)
{
    const char *first = *argc > 0 ? (*argv)[0] : "build";
    const char *name = first;
    if (!strcmp(first, "--help") || !strcmp(first, "-h"))
        name = "help";
    else if (!strcmp(first, "--version"))
        name = "version";
    else if (first[0] == '-')
        return cmd_find("build");
    const struct cmd *cmd = cmd_find(name);
    if (!cmd)
        unknown_verb(name, e);
    if (*argc > 0) {
        ++*argv;
        --*argc;
    }
    return cmd;
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

static int take_colour(struct cmd_context *c, struct err *e)
{
    const char *when = cmd_value(c, "color");
    c->colour = diag_form_for(stderr) == DIAG_COLOUR;
    if (!when || !strcmp(when, "auto"))
        return 0;
    c->colour = !strcmp(when, "always");
    if (!c->colour && strcmp(when, "never") != 0)
        return err_set(e, ERR_usage, "--color is auto, always or never, not %s", when);
    return 0;
}

static int run_verb(const struct cmd *cmd, int argc, char *const *argv, struct cmd_context *c,
                    struct err *e)
{
    if (asks_for_help(argc, argv) && strcmp(cmd->name, "help") != 0) {
        strs_push(&c->args, cmd->name);
        return cmd_find("help")->run(c, e);
    }
    if (cmd_parse(cmd, argc, argv, c, e) < 0)
        return -1;
    c->json = cmd_flag(c, "json");
    if (take_colour(c, e) < 0)
        return -1;
    return cmd->run(c, e);
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct err e = {0};
    struct cmd_context c = {.program = argc > 0 ? argv[0] : "spak", .arena = &arena};
    int count = argc > 0 ? argc - 1 : 0;
    char **words = argv + 1;
    const struct cmd *cmd = find_verb(&count, &words, &e);
    c.colour = diag_form_for(stderr) == DIAG_COLOUR;
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end a build */
    if (cmd)
        run_verb(cmd, count, words, &c, &e);
    fflush(stdout);
    if (e.set) {
        diag_print(&e, c.json ? DIAG_JSON : c.colour ? DIAG_COLOUR : DIAG_PLAIN);
        c.status = cmd && cmd->error_status ? cmd->error_status : (int)err_class(&e);
    }
    err_release(&e);
    strs_release(&c.args);
    free(c.given);
    arena_release(&arena);
    return c.status;
}
