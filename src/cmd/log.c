#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_DEFAULT 20

/* A run in a list that may hold those of several targets. */
struct line {
    const char *target;
    struct trace_entry entry;
};
struct lines {
    struct line *at;
    size_t len;
};

static int read_limit(struct cmd_context *c, size_t *limit, struct err *e)
{
    const char *text = cmd_value(c, "number");
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : LISTED_DEFAULT;
    *limit = (size_t)n;
    if (!text || (*text >= '0' && *text <= '9' && *end == 0))
        return 0;
    err_set(e, ERR_usage, "\"%s\" is no number of runs", text);
    return err_hint(e, "spak log -n 5; 0 shows them all");
}

static int add_target(struct trace *t, const char *target, size_t limit, struct arena *arena,
                      struct lines *lines, struct err *e)
{
    struct trace_entry *entries;
    size_t count;
    if (trace_log(t, target, limit, arena, &entries, &count, e))
        return -1;
    lines->at = xrealloc(lines->at, (lines->len + count + 1) * sizeof(*lines->at));
    for (size_t i = 0; i < count; i++)
        lines->at[lines->len++] = (struct line){target, entries[i]};
    return 0;
}

/* Latest first. Branches are sorted already, so inserting keeps their order within a second, and
 * moves little. */
static void merge_by_time(struct lines *lines)
{
    struct line *at = lines->at;
    for (size_t i = 1; i < lines->len; i++) {
        struct line moving = at[i];
        size_t k = i;
        for (; k > 0 && at[k - 1].entry.time < moving.entry.time; k--)
            at[k] = at[k - 1];
        at[k] = moving;
    }
}

static const char *colour_of(const struct cmd_context *c, const char *status)
{
    if (!c->colour)
        return "";
    return strcmp(status, "ok") == 0       ? "\033[32m"
           : strcmp(status, "failed") == 0 ? "\033[31m"
                                           : "\033[33m";
}

/* The subject without the status at its end, which has a column of its own. */
static int subject_len(const struct trace_entry *entry)
{
    size_t len = strlen(entry->subject);
    const char *tail = strrchr(entry->subject, '(');
    if (tail && tail > entry->subject && entry->subject[len - 1] == ')')
        return (int)(tail - entry->subject - 1);
    return (int)len;
}

static void print_line(struct cmd_context *c, const struct line *l)
{
    const struct trace_entry *entry = &l->entry;
    printf("%.10s  %s%-7s%s  %s  %.*s", entry->commit, colour_of(c, entry->status), entry->status,
           c->colour ? "\033[0m" : "", history_date(c->arena, entry->time), subject_len(entry),
           entry->subject);
    for (size_t i = 0; i < entry->metrics.len; i++)
        printf("%s%s", i ? ", " : "  [", entry->metrics.at[i]);
    puts(entry->metrics.len ? "]" : "");
}

static void print_lines(struct cmd_context *c, const struct lines *lines, size_t limit)
{
    for (size_t i = 0; i < lines->len && (limit == 0 || i < limit); i++) {
        if (!c->json) {
            print_line(c, &lines->at[i]);
            continue;
        }
        json_t *o = history_json(&lines->at[i].entry);
        json_object_set_new(o, "target", json_string(lines->at[i].target));
        project_print_json(o);
    }
}

static int collect(struct cmd_context *c, struct trace *t, size_t limit, struct lines *lines,
                   struct err *e)
{
    struct strs targets = {0};
    int rc = 0;
    if (c->args.len == 0)
        rc = trace_targets(t, c->arena, &targets, e);
    for (size_t i = 0; i < c->args.len; i++)
        strs_push(&targets, c->args.at[i]);
    for (size_t i = 0; rc == 0 && i < targets.len; i++)
        rc = add_target(t, targets.at[i], limit, c->arena, lines, e);
    if (rc == 0 && targets.len == 0) {
        rc = err_set(e, ERR_trace_revision, "no target has a trace yet");
        err_hint(e, "`spak build TARGET` makes one");
    }
    strs_release(&targets);
    return rc;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct trace *t = NULL;
    struct lines lines = {0};
    size_t limit;
    int rc = read_limit(c, &limit, e);
    if (rc)
        return rc;
    rc = history_open(c, "log", &s, &t, e);
    if (rc == 0)
        rc = collect(c, t, limit, &lines, e);
    if (rc == 0) {
        merge_by_time(&lines);
        print_lines(c, &lines, limit);
    }
    for (size_t i = 0; i < lines.len; i++)
        strs_release(&lines.at[i].entry.metrics);
    free(lines.at);
    return history_close(&s, t, rc, e);
}

static const struct cmd_option options[] = {
    {'n', "number", CMD_VALUE, "N", "show the last N runs (default: 20; 0: all)"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak log",
    "the last runs of all targets",
    "spak log fmha -n 5",
    "the last five runs of one",
    "git log --stat spak/fmha",
    "the same by git's own means: every run is a commit",
    NULL,
};

const struct cmd cmd_log = {
    .name = "log",
    .summary = "list the runs that left a trace, latest first",
    .usage = "[OPTION]... [TARGET]...",
    .text =
        "One line a run: commit, status, date, what it was about and what it measured. Traces are "
        "commits on the branches spak/<target>; in a clone those of its remotes count too.",
    .options = options,
    .examples = examples,
    .run = run,
};
