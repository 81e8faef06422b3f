#include "text.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80 };

/* What a person wants to do, and the verbs for it. A verb that no group names is listed last. */
static const struct group {
    const char *title;
    const char *verbs;
} groups[] = {
    {"build", " build test plan watch "},
    {"look at results", " log show diff bisect-check targets status next knowledge "},
    {"keep and believe them", " reproduce attest verify export bundle unbundle fsck gc init "},
    {"find out more", " help explain version completion man "},
};

static bool in_group(const struct group *group, const char *verb)
{
    char padded[64];

    snprintf(padded, sizeof(padded), " %s ", verb);
    return strstr(group->verbs, padded) != NULL;
}

static bool in_any_group(const char *verb)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (in_group(&groups[i], verb))
            return true;
    }
    return false;
}

static void list_group(const struct group *group, const char *title, struct buf *out)
{
    size_t start = out->len;

    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++) {
        if ((*cmd)->hidden || (group ? !in_group(group, (*cmd)->name) : in_any_group((*cmd)->name)))
            continue;
        if (out->len == start)
            buf_addf(out, "\n%s:\n", title);
        buf_addf(out, "  %-13s %s\n", (*cmd)->name, (*cmd)->summary);
    }
}

static void list_verbs(struct buf *out)
{
    buf_addstr(out, "usage: spak VERB [OPTION]... [ARGUMENT]...\n\n");
    text_wrap("SPAK builds engineering results that can be believed: it runs what changed, checks "
              "what must "
              "hold, measures what is claimed, and keeps a trace of it in git.",
              "", WIDTH, out);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        list_group(&groups[i], groups[i].title, out);
    list_group(NULL, "other", out);
    buf_addstr(out, "\n`spak help VERB` shows a verb's options and examples.\n"
                    "exit status: 0 done, 1 a node failed, 2 wrong usage or spakfile,\n"
                    "             3 an invariant or the protocol refused, 130 interrupted\n");
}

/* For completion: a verb, a tab, its summary. */
static void list_plain(struct buf *out)
{
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++) {
        if (!(*cmd)->hidden)
            buf_addf(out, "%s\t%s\n", (*cmd)->name, (*cmd)->summary);
    }
}

static void add_options(const struct cmd *cmd, struct buf *out)
{
    struct buf left = {0};

    if (!cmd->options || !cmd->options->name)
        return;
    buf_addstr(out, "\noptions:\n");
    for (const struct cmd_option *o = cmd->options; o->name; o++) {
        buf_reset(&left);
        text_option(o, &left);
        buf_addf(out, left.len > 24 ? "  %s\n%28s%s\n" : "  %-24s  %s%s\n", buf_text(&left),
                 left.len > 24 ? "" : o->help, left.len > 24 ? o->help : "");
    }
    buf_release(&left);
}

static void add_examples(const struct cmd *cmd, struct buf *out)
{
    if (!cmd->examples || !cmd->examples[0])
        return;
    buf_addstr(out, "\nexamples:\n");
    for (const char *const *e = cmd->examples; e[0] && e[1]; e += 2)
        buf_addf(out, "  %s\n      %s\n", e[0], e[1]);
}

static void describe(const struct cmd *cmd, struct buf *out)
{
    buf_addf(out, "spak %s: %s\n\nusage: spak %s%s%s\n", cmd->name, cmd->summary, cmd->name,
             cmd->usage && *cmd->usage ? " " : "", cmd->usage ? cmd->usage : "");
    if (cmd->text && *cmd->text) {
        buf_addch(out, '\n');
        text_wrap(cmd->text, "", WIDTH, out);
    }
    add_options(cmd, out);
    add_examples(cmd, out);
}

static int unknown_verb(const char *verb, struct err *e)
{
    const char *near = NULL;
    size_t best = 4;

    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++) {
        size_t distance = text_distance(verb, (*cmd)->name);

        if (!(*cmd)->hidden && distance < best && distance < strlen(verb)) {
            best = distance;
            near = (*cmd)->name;
        }
    }
    err_set(e, ERR_verb_unknown, "spak has no verb %s", verb);
    if (near)
        return err_hint(e, "did you mean spak %s?", near);
    return err_hint(e, "`spak help` lists the verbs");
}

static int run(struct cmd_context *c, struct err *e)
{
    struct buf out = {0};
    int rc = 0;

    if (cmd_flag(c, "plain"))
        list_plain(&out);
    else if (c->args.len == 0)
        list_verbs(&out);
    for (size_t i = 0; i < c->args.len && rc == 0; i++) {
        const struct cmd *cmd = cmd_find(c->args.at[i]);

        if (i > 0)
            buf_addch(&out, '\n');
        if (cmd)
            describe(cmd, &out);
        else
            rc = unknown_verb(c->args.at[i], e);
    }
    if (rc == 0)
        fwrite(buf_text(&out), 1, out.len, stdout);
    buf_release(&out);
    return rc;
}

static const struct cmd_option options[] = {
    {0, "plain", CMD_FLAG, NULL, "print each verb, a tab and its summary, for scripts"},
    {0},
};
static const char *const examples[] = {
    "spak help", "list the verbs", "spak help build", "show what build can do", NULL,
};

const struct cmd cmd_help = {
    .name = "help",
    .summary = "list the verbs, or explain one",
    .usage = "[VERB]...",
    .options = options,
    .examples = examples,
    .run = run,
};
