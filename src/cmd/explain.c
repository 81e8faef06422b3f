#include "../json.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

static const char *class_text(enum err_class class)
{
    switch (class) {
    case ERR_NODE:
        return "a node failed";
    case ERR_PROTOCOL:
        return "the protocol refused";
    case ERR_INTERRUPT:
        return "interrupted";
    case ERR_USAGE:
    case ERR_NONE:
        break;
    }
    return "command line, spakfile or machine";
}

/* People write unknown-name where the table must say unknown_name. */
static const char *spoken(const char *name, struct buf *out)
{
    buf_reset(out);
    for (; *name; name++)
        buf_addch(out, *name == '_' ? '-' : *name);
    return buf_text(out);
}

static void print_json(const struct err_info *info, const char *name)
{
    struct buf out = {0};
    json_t *o = json_object();

    json_object_set_new(o, "code", json_string(info->id));
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "title", json_string(info->title));
    json_object_set_new(o, "exit", json_integer(info->class));
    json_object_set_new(o, "text", json_string(info->text));
    json_compact(o, &out);
    puts(out.ptr);
    json_decref(o);
    buf_release(&out);
}

static void print_long(const struct err_info *info, const char *name)
{
    struct buf out = {0};

    buf_addf(&out, "%s %s: %s\n\n", info->id, name, info->title);
    text_wrap(info->text, "", 80, &out);
    buf_addf(&out, "\nExit status %d: %s.\n", (int)info->class, class_text(info->class));
    fwrite(out.ptr, 1, out.len, stdout);
    buf_release(&out);
}

static void list(const struct cmd_context *c)
{
    struct buf name = {0};

    for (int code = 0; code < ERR_CODE_COUNT; code++) {
        const struct err_info *info = err_info((enum err_code)code);

        if (c->json)
            print_json(info, spoken(info->name, &name));
        else if (cmd_flag(c, "plain"))
            printf("%s\t%s\n", info->id, info->title);
        else
            printf("%s  %-24s %s\n", info->id, spoken(info->name, &name), info->title);
    }
    buf_release(&name);
}

static int unknown_code(const char *word, struct err *e)
{
    struct buf name = {0};
    const char *near = NULL;
    size_t best = 4;

    for (int code = 0; code < ERR_CODE_COUNT; code++) {
        const struct err_info *info = err_info((enum err_code)code);
        size_t by_name = text_distance(word, spoken(info->name, &name));

        if (by_name < best && by_name < strlen(word)) {
            best = by_name;
            near = info->id;
        }
    }
    buf_release(&name);
    err_set(e, ERR_usage, "there is no diagnostic \"%s\"", word);
    if (near)
        return err_hint(e, "did you mean %s, %s?", near, err_find(near)->title);
    return err_hint(e, "`spak explain list` shows them all");
}

static int run(struct cmd_context *c, struct err *e)
{
    struct buf name = {0};

    if (c->args.len == 0 || strcmp(c->args.at[0], "list") == 0) {
        list(c);
        return 0;
    }
    for (size_t i = 0; i < c->args.len; i++) {
        const struct err_info *info = err_find(c->args.at[i]);

        if (!info) {
            buf_release(&name);
            return unknown_code(c->args.at[i], e);
        }
        if (i > 0 && !c->json)
            puts("");
        if (c->json)
            print_json(info, spoken(info->name, &name));
        else
            print_long(info, spoken(info->name, &name));
    }
    buf_release(&name);
    return 0;
}

static const struct cmd_option options[] = {
    {0, "json", CMD_FLAG, NULL, "print JSON, one value a line"},
    {0, "plain", CMD_FLAG, NULL, "print each code, a tab and its title, for scripts"},
    {0},
};
static const char *const examples[] = {
    "spak explain S101",
    "explain the diagnostic that was shown as error[S101]",
    "spak explain list",
    "list every diagnostic",
    NULL,
};

const struct cmd cmd_explain = {
    .name = "explain",
    .summary = "say what a diagnostic means and what to do about it",
    .usage = "[CODE|NAME|list]...",
    .text =
        "Every error and warning carries a code in brackets. The explanation says what it means, "
        "why SPAK insists, and how to go on. Names work like codes.",
    .options = options,
    .examples = examples,
    .run = run,
};
