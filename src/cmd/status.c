#include "standing.h"

#include <stdio.h>
#include <string.h>

static const char *state_of(const struct protocol_item *item)
{
    if (!item->last)
        return "proposed";
    return gate_state_name(item->last->state);
}

static void print_json(const struct protocol_item *item)
{
    json_t *o = standing_json(item);
    json_object_set_new(o, "state", json_string(state_of(item)));
    json_object_set_new(o, "number", json_integer(item->last ? item->last->number : 0));
    if (item->last && !digest_is_zero(&item->last->digest)) {
        char hex[DIGEST_HEX_LEN + 1];
        digest_hex(&item->last->digest, hex);
        json_object_set_new(o, "digest", json_string(hex));
    }
    if (item->last && *item->last->rest)
        json_object_set_new(o, "note", json_string(item->last->rest));
    if (item->spent)
        json_object_set_new(o, "spent", json_string(item->spent));
    if (item->stale)
        json_object_set_new(o, "stale", json_string(item->stale));
    if (item->doubt)
        json_object_set_new(o, "doubt", json_string(item->doubt));
    project_print_json(o);
}

/* What a line of the journal says beside the state; the decisions that draw a case are the
 * prover's. */
static const char *words_of(const struct gate_line *line)
{
    const char *given = text_starts_with(line->rest, "tape ") ? strstr(line->rest, " case ") : NULL;
    return given ? given + 1 : line->rest;
}

static void print_line(const struct protocol_item *item, size_t width)
{
    printf("%-11s  %-*s  %s", gate_object_name(item->object), (int)width, item->name,
           state_of(item));
    bool refuted = item->last && item->last->state == GATE_REFUTED;
    if (item->stale)
        printf(", stale: %s", item->stale);
    if (item->last && *item->last->rest && !item->doubt && (refuted || !item->stale))
        printf(", %s", words_of(item->last));
    if (item->spent && (item->object == GATE_MEASUREMENT || strstr(item->spent, " of ")))
        printf(", spent %s", item->spent);
    if (item->doubt)
        printf("\n%*s  in doubt: %s", 11, "", item->doubt);
    putchar('\n');
}

static void print(const struct cmd_context *c, const struct protocol_item *items, size_t count)
{
    size_t width = 0;
    for (size_t i = 0; i < count; i++)
        width = strlen(items[i].name) > width ? strlen(items[i].name) : width;
    for (size_t i = 0; i < count; i++)
        if (c->json)
            print_json(&items[i]);
        else
            print_line(&items[i], width);
    if (count == 0 && !c->json)
        fputs("nothing here is the protocol's affair: no invariant, hypothesis, guide, candidate "
              "or measurement\n",
              stdout);
}

static int run(struct cmd_context *c, struct err *e)
{
    return standing_run(c, "status", print, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "spak status fmha",
    "the invariants, hypotheses, candidates and measurements of fmha",
    "spak status --json",
    "one object a line, for programs",
    NULL,
};

const struct cmd cmd_status = {
    .name = "status",
    .summary = "show where a study stands",
    .usage = "[OPTION]... [TARGET]...",
    .text =
        "Lists what the protocol speaks of (invariants, hypotheses, guides, studies, candidates, "
        "measurements, verdicts), each with the last state that the journal has for it. A state is "
        "stale when something it was reached from has changed, and in doubt when it rests on "
        "something that fell: then the chain down to that is shown. The whole journal is in every "
        "trace: git show spak/TARGET:protocol/journal.",
    .options = options,
    .examples = examples,
    .run = run,
};
