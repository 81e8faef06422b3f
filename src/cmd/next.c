#include "standing.h"

#include <stdio.h>
#include <string.h>

static const char *const headings[] = {
    [PROTOCOL_ALLOWED] = "allowed now",
    [PROTOCOL_REFUSED] = "not allowed",
    [PROTOCOL_DONE] = "nothing to do",
};
static const char *const words[] = {
    [PROTOCOL_ALLOWED] = "allowed",
    [PROTOCOL_REFUSED] = "refused",
    [PROTOCOL_DONE] = "done",
};

static void print_json(const struct protocol_item *item)
{
    json_t *o = standing_json(item);
    json_object_set_new(o, "act", json_string(item->act));
    json_object_set_new(o, "leave", json_string(words[item->leave]));
    json_object_set_new(o, "why", json_string(item->why));
    if (item->spent)
        json_object_set_new(o, "spent", json_string(item->spent));
    if (*item->code)
        json_object_set_new(o, "code", json_string(item->code));
    if (*item->hint)
        json_object_set_new(o, "hint", json_string(item->hint));
    project_print_json(o);
}

static void print_line(const struct protocol_item *item)
{
    printf("  %-8s %s %s: %s%s%s", item->act, gate_object_name(item->object), item->name,
           item->code, *item->code ? " " : "", item->why);
    if (item->spent && strstr(item->spent, " of ")) /* there is a limit */
        printf(", spent %s", item->spent);
    putchar('\n');
    if (*item->hint)
        printf("           help: %s\n", item->hint);
}

static void print_part(const struct protocol_item *items, size_t count, enum protocol_leave leave)
{
    bool headed = false;
    for (size_t i = 0; i < count; i++) {
        if (items[i].leave != leave)
            continue;
        if (!headed)
            puts(headings[leave]);
        headed = true;
        print_line(&items[i]);
    }
}

static void print(const struct cmd_context *c, const struct protocol_item *items, size_t count)
{
    for (size_t i = 0; i < count && c->json; i++)
        print_json(&items[i]);
    for (size_t i = 0; i < ARRAY_LEN(headings) && !c->json; i++)
        if (i != PROTOCOL_DONE || cmd_flag(c, "all"))
            print_part(items, count, (enum protocol_leave)i);
}

static int run(struct cmd_context *c, struct err *e)
{
    return standing_run(c, "next", print, e);
}

static const struct cmd_option options[] = {
    {'a', "all", CMD_FLAG, NULL, "also what is up to date"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak next fmha",
    "what may be done for fmha now, and what not",
    "spak next fmha --json",
    "the same for an agent",
    NULL,
};

const struct cmd cmd_next = {
    .name = "next",
    .summary = "say what the protocol allows now, and for the rest why not",
    .usage = "[OPTION]... [TARGET]...",
    .text =
        "For each invariant, hypothesis, guide, study, candidate, measurement and verdict: what "
        "could be done with it, and whether the protocol allows it now. What it does not allow "
        "comes with the code of the rule (`spak explain CODE`) and with what to do about it, or "
        "with what has to come first. Where there is a budget, what is spent of it is told. Runs "
        "nothing.",
    .options = options,
    .examples = examples,
    .run = run,
};
