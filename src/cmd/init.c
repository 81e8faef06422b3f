#include "history.h"

#include <stdio.h>
#include <string.h>

static void print_set(struct cmd_context *c, const struct strs *set, const struct strs *remotes)
{
    for (size_t i = 0; i < set->len && !c->json; i++)
        printf("set %s\n", set->at[i]);
    if (c->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < set->len; i++)
            json_array_append_new(list, json_string(set->at[i]));
        project_print_json(json_pack("{s:o}", "set", list));
    } else if (remotes->len == 0) {
        puts("nothing to set: the trace's repository has no remote yet");
    } else if (set->len == 0) {
        puts("nothing to set: traces and notes travel already");
    } else {
        printf("`git fetch` and `git push` now carry traces and notes; after a fetch, "
               "`git notes --ref spak/run merge -s cat_sort_uniq refs/notes/%s/spak/run` takes in "
               "the others'\n",
               remotes->at[0]);
    }
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct trace *t = NULL;
    struct strs set = {0}, remotes = {0};
    int rc = history_open(c, "init", &s, &t, e);
    if (rc == 0)
        rc = trace_share(t, c->arena, &set, e);
    if (rc == 0)
        rc = trace_remotes(t, c->arena, &remotes, e);
    if (rc == 0)
        print_set(c, &set, &remotes);
    strs_release(&set);
    strs_release(&remotes);
    return history_close(&s, t, rc, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "spak init",
    "let fetch and push of every remote carry traces and notes",
    NULL,
};

const struct cmd cmd_init = {
    .name = "init",
    .summary = "set up git so that traces and notes are shared",
    .usage = "[OPTION]...",
    .text =
        "git clones the branches spak/<target> like any other, but neither pushes them unasked nor "
        "carries notes. This adds refspecs to every remote in the repository's own configuration, "
        "and prints each line it adds. A remote that had no push refspecs also gets \"HEAD\", so "
        "that a plain `git push` still pushes the current branch.",
    .options = options,
    .examples = examples,
    .run = run,
};
