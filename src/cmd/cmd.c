#include "cmd.h"

#include <stdlib.h>
#include <string.h>

struct cmd_given {
    const struct cmd_option *option;
    const char *value; /* NULL for a flag */
};

const struct cmd *const *cmd_table(void)
{
#define CMD_ENTRY(verb) &cmd_##verb,
    static const struct cmd *const table[] = {CMD_VERBS(CMD_ENTRY) NULL};
#undef CMD_ENTRY
    return table;
}

const struct cmd *cmd_find(const char *name)
{
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++)
        if (!strcmp((*cmd)->name, name))
            return *cmd;
    return NULL;
}

static const struct cmd_option *find_long(const struct cmd *cmd, struct str name)
{
    for (const struct cmd_option *o = cmd->options; o && o->name; o++)
        if (str_equal(str_of(o->name), name))
            return o;
    return NULL;
}

static const struct cmd_option *find_letter(const struct cmd *cmd, char letter)
{
    for (const struct cmd_option *o = cmd->options; o && o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static int unknown_option(const struct cmd *cmd, const char *arg, struct str name, struct err *e)
{
    const char *near = NULL;
    size_t best = 3;
    char *text = xmalloc(name.len + 1);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    for (const struct cmd_option *o = cmd->options; o && o->name && name.len > 1; o++)
        if (text_distance(text, o->name) < best) {
            best = text_distance(text, o->name);
            near = o->name;
        }
    free(text);
    err_set(e, ERR_usage, "spak %s has no option %s", cmd->name, arg);
    if (near)
        return err_hint(e, "did you mean --%s?", near);
    return err_hint(e, "`spak help %s` lists its options", cmd->name);
}

static void give(struct cmd_context *c, const struct cmd_option *option, const char *value)
{
    c->given = xrealloc(c->given, (c->given_count + 1) * sizeof *c->given);
    c->given[c->given_count++] = (struct cmd_given){option, value};
}

/* The words of the command line and how far they are read. */
struct words {
    const struct cmd *cmd;
    int argc;
    char *const *argv;
    int at;
    struct cmd_context *c;
};

static int needs_value(const struct words *w, const struct cmd_option *o, struct err *e)
{
    err_set(e, ERR_usage, "the option %s needs a value: %s", w->argv[w->at], o->arg);
    return err_hint(e, "`spak help %s` shows its options with examples", w->cmd->name);
}

static int take_long(struct words *w, struct err *e)
{
    const char *arg = w->argv[w->at] + 2, *equals = strchr(arg, '=');
    struct str name = {arg, equals ? (size_t)(equals - arg) : strlen(arg)};
    const struct cmd_option *o = find_long(w->cmd, name);
    if (!o)
        return unknown_option(w->cmd, w->argv[w->at], name, e);
    if (o->form == CMD_FLAG && equals)
        return err_set(e, ERR_usage, "the option --%s takes no value", o->name);
    if (o->form == CMD_FLAG || equals) {
        give(w->c, o, equals ? equals + 1 : NULL);
        return 0;
    }
    if (w->at + 1 == w->argc)
        return needs_value(w, o, e);
    give(w->c, o, w->argv[++w->at]);
    return 0;
}

/* "-kj4" is "-k -j 4". */
static int take_letters(struct words *w, struct err *e)
{
    for (const char *p = w->argv[w->at] + 1; *p; p++) {
        const struct cmd_option *o = find_letter(w->cmd, *p);
        if (!o)
            return unknown_option(w->cmd, w->argv[w->at], (struct str){p, 1}, e);
        if (o->form == CMD_FLAG) {
            give(w->c, o, NULL);
            continue;
        }
        if (p[1]) {
            give(w->c, o, p + 1);
            return 0;
        }
        if (w->at + 1 == w->argc)
            return needs_value(w, o, e);
        give(w->c, o, w->argv[++w->at]);
        return 0;
    }
    return 0;
}

int cmd_parse(const struct cmd *cmd, int argc, char *const *argv, struct cmd_context *c,
              struct err *e)
{
    struct words w = {.cmd = cmd, .argc = argc, .argv = argv, .c = c};
    bool only_operands = false;
    for (; w.at < argc; w.at++) {
        const char *arg = argv[w.at];
        int rc = 0;
        if (only_operands || arg[0] != '-' || arg[1] == '\0')
            strs_push(&c->args, arg);
        else if (!strcmp(arg, "--"))
            only_operands = true;
        else
            rc = arg[1] == '-' ? take_long(&w, e) : take_letters(&w, e);
        if (rc < 0)
            return -1;
    }
    return 0;
}

bool cmd_flag(const struct cmd_context *c, const char *name)
{
    for (size_t i = 0; i < c->given_count; i++)
        if (!strcmp(c->given[i].option->name, name))
            return true;
    return false;
}

const char *cmd_value(const struct cmd_context *c, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < c->given_count; i++)
        if (!strcmp(c->given[i].option->name, name))
            value = c->given[i].value;
    return value;
}

void cmd_values(const struct cmd_context *c, const char *name, struct strs *out)
{
    for (size_t i = 0; i < c->given_count; i++)
        if (!strcmp(c->given[i].option->name, name))
            strs_push(out, c->given[i].value);
}
