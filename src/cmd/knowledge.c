#include "../knowledge.h"
#include "history.h"

#include <stdio.h>
#include <string.h>

static json_t *run_json(const struct knowledge_run *run)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:I}", "commit", run->commit, "state",
                     gate_state_name(run->state), "median", run->median, "lo", run->lo, "hi",
                     run->hi, "n", (json_int_t)run->n);
}

static void print_json(const struct knowledge *k)
{
    json_t *runs = json_array(), *shapes = json_array();
    for (const struct knowledge_run *run = k->runs; run; run = run->next)
        json_array_append_new(runs, run_json(run));
    for (size_t i = 0; i < k->shapes.len; i++)
        json_array_append_new(shapes, json_string(k->shapes.at[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:f, s:f, s:f, s:I, s:o, s:o}", "hypothesis",
                  k->hypothesis, "predicts", k->predicts, "machine", k->machine, "word",
                  knowledge_word(k), "anecdote", k->count == 1, "median", k->median, "lo", k->lo,
                  "hi", k->hi, "n", (json_int_t)k->n, "shapes", shapes, "runs", runs);
    if (k->doubt)
        json_object_set_new(o, "doubt", json_string(k->doubt));
    project_print_json(o);
}

static void print_runs(const struct knowledge *k, enum gate_state state)
{
    if (!k->of[state])
        return;
    printf("    %-10s", gate_state_name(state));
    for (const struct knowledge_run *run = k->runs; run; run = run->next)
        if (run->state == state)
            printf(" %.12s", run->commit);
    putchar('\n');
}

static void print_text(const struct knowledge *k)
{
    printf("%s: %s\n    %s%s by %zu run%s, %.4g [%.4g, %.4g], n = %lld\n    on %s", k->hypothesis,
           k->predicts, k->count == 1 ? "anecdote, " : "", knowledge_word(k), k->count,
           k->count == 1 ? "" : "s", k->median, k->lo, k->hi, k->n, k->machine);
    for (size_t i = 0; i < k->shapes.len; i++)
        printf("%s %s", i ? "," : ", shapes", k->shapes.at[i]);
    putchar('\n');
    for (int state = GATE_VALIDATED; state <= GATE_UNDECIDED; state++)
        print_runs(k, (enum gate_state)state);
    if (k->doubt)
        printf("    suspect    %s\n", k->doubt);
}

static bool is_wanted(const struct cmd_context *c, const struct knowledge *k)
{
    bool wanted = c->args.len == 0;
    for (size_t i = 0; i < c->args.len; i++) {
        size_t len = strlen(c->args.at[i]);
        wanted |= !strncmp(k->hypothesis, c->args.at[i], len) &&
                  (!k->hypothesis[len] || k->hypothesis[len] == '/');
    }
    return wanted;
}

static void print(const struct cmd_context *c, const struct knowledge *list, size_t count)
{
    size_t printed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(c, &list[i]))
            continue;
        printed++;
        if (c->json)
            print_json(&list[i]);
        else
            print_text(&list[i]);
    }
    if (!printed && !c->json)
        puts("no trace has measured a hypothesis yet");
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct trace *t = NULL;
    struct knowledge *list = NULL;
    size_t count = 0;
    int rc = history_open(c, "knowledge", &s, &t, e);
    if (rc == 0)
        rc = knowledge_read(t, c->arena, &list, &count, e);
    if (rc == 0)
        print(c, list, count);
    knowledge_release(list, count);
    return history_close(&s, t, rc, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "spak knowledge",
    "what all traces together say",
    "spak knowledge fmha --json",
    "the hypotheses whose names begin with fmha/, for programs",
    NULL,
};

const struct cmd cmd_knowledge = {
    .name = "knowledge",
    .summary = "list what the traces support, and what speaks against it",
    .usage = "[OPTION]... [STUDY|HYPOTHESIS]...",
    .text =
        "Reads the verdicts of all runs of all targets and puts together what they say about each "
        "prediction on each machine: in how many runs it held, the median of their effects with "
        "what their intervals cover, the number of samples, the shapes it was measured on, and the "
        "commits for and against it. Nothing of this is stored or can be typed in. What a single "
        "run says is called an anecdote; a hypothesis that rests on a law that fell is suspect.",
    .options = options,
    .examples = examples,
    .run = run,
};
