#include "history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What `git bisect run` reads out of an exit status. It takes 1 to 127 for "bad", so an expression
 * that cannot be read must end above that: 128 stops the bisection instead of blaming a commit. */
enum {
    HOLDS = 0,
    DOES_NOT = 1,
    SKIP = 125,
    ABORT = 128,
};
#define NEAR_MAX 6

struct claim {
    const char *metric;
    const char *op;
    double number;
};

static int bad_claim(const char *text, const char *why, struct err *e)
{
    err_set(e, ERR_usage, "\"%s\" %s", text, why);
    return err_hint(e, "a metric, one of >= > <= < == != and a number: "
                       "'fmha.fused.s2048.gflops >= 20'");
}

static const char *find_op(struct str op)
{
    static const char *const ops[] = {">=", ">", "<=", "<", "==", "!="};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (str_equal(op, str_of(ops[i])))
            return ops[i];
    return NULL;
}

/* The last operator parts them: a metric's name may hold a "=" of its own. */
static int parse_claim(const char *text, struct arena *arena, struct claim *out, struct err *e)
{
    size_t end = strlen(text), start;
    char *rest;
    while (end && !strchr("<>=!", text[end - 1]))
        end--;
    for (start = end; start && strchr("<>=!", text[start - 1]);)
        start--;
    if (end == 0)
        return bad_claim(text, "compares nothing", e);
    out->op = find_op((struct str){text + start, end - start});
    if (!out->op)
        return bad_claim(text, "has no comparison that I know", e);
    struct str name = str_trim((struct str){text, start});
    if (name.len == 0 || memchr(name.ptr, ' ', name.len))
        return bad_claim(text, "does not begin with the name of one metric", e);
    out->metric = arena_strndup(arena, name.ptr, name.len);
    out->number = strtod(text + end, &rest);
    if (rest == text + end || rest[strspn(rest, " ")] || !isfinite(out->number))
        return bad_claim(text, "does not end in a number", e);
    return 0;
}

static bool claim_holds(const struct claim *claim, double value)
{
    bool equal = !(value < claim->number) && !(value > claim->number);
    switch (claim->op[0]) {
    case '>':
        return value > claim->number || (claim->op[1] && equal);
    case '<':
        return value < claim->number || (claim->op[1] && equal);
    case '=':
        return equal;
    default:
        return !equal;
    }
}

/* "metric unit median ...": by its name, or by its name and unit as one. */
static bool is_metric(struct str line, const char *wanted, struct arena *arena, const char **name,
                      double *median)
{
    struct str word, unit, number;
    if (!str_split(&line, ' ', &word) || !str_split(&line, ' ', &unit) ||
        !str_split(&line, ' ', &number))
        return false;
    *name = arena_strndup(arena, word.ptr, word.len);
    *median = strtod(arena_strndup(arena, number.ptr, number.len), NULL);
    return strcmp(*name, wanted) == 0 ||
           strcmp(arena_printf(arena, "%s.%.*s", *name, (int)unit.len, unit.ptr), wanted) == 0;
}

/* The value that the run's own machine has in the summary; `nearest` when there is none. */
static bool find_value(const char *summary, const char *wanted, struct arena *arena, double *value,
                       const char **nearest)
{
    struct str rest = str_of(summary), line;
    size_t best = NEAR_MAX;
    *nearest = NULL;
    while (str_split(&rest, '\n', &line)) {
        const char *name = "";
        if (is_metric(line, wanted, arena, &name, value))
            return true;
        size_t distance = *name ? text_distance(wanted, name) : best;
        if (distance < best) {
            best = distance;
            *nearest = name;
        }
    }
    return false;
}

static void tell(struct cmd_context *c, const struct trace_entry *entry, const struct claim *claim,
                 double value, const char *why)
{
    static const struct {
        int status;
        const char *word;
    } words[] = {{HOLDS, "holds"}, {DOES_NOT, "does not hold"}, {SKIP, "cannot be told"}};
    const char *word = words[c->status == HOLDS ? 0 : c->status == DOES_NOT ? 1 : 2].word;
    if (c->json) {
        json_t *number = isfinite(value) ? json_real(value) : json_null();
        project_print_json(json_pack("{s:s, s:s, s:o, s:s, s:f, s:s}", "commit", entry->commit,
                                     "metric", claim->metric, "value", number, "op", claim->op,
                                     "number", claim->number, "verdict", word));
        return;
    }
    printf("%.10s  %s %s %.6g %s", entry->commit, claim->metric, claim->op, claim->number, word);
    if (isfinite(value))
        printf(": it is %.6g", value);
    printf("%s%s\n", *why ? ": " : "", why);
}

static int check(struct cmd_context *c, struct trace *t, const char *revision,
                 const struct claim *claim, struct err *e)
{
    struct trace_entry entry;
    struct buf summary = {0};
    const char *why = "", *nearest = NULL;
    double value = NAN;
    bool found;
    if (trace_resolve(t, revision, c->arena, &entry, e))
        return -1;
    strs_release(&entry.metrics);
    const char *path = arena_printf(c->arena, "measure/%s/summary", entry.machine);
    int rc = trace_read(t, entry.commit, path, &summary, &found, e);
    c->status = SKIP;
    if (rc == 0 && strcmp(entry.status, "ok") != 0)
        why = arena_printf(c->arena, "the run is %s", entry.status);
    else if (rc == 0 && find_value(buf_text(&summary), claim->metric, c->arena, &value, &nearest))
        c->status = claim_holds(claim, value) ? HOLDS : DOES_NOT;
    else if (rc == 0)
        why = nearest ? arena_printf(c->arena, "the run has no such metric; is it %s?", nearest)
                      : "the run has no such metric";
    if (rc == 0)
        tell(c, &entry, claim, c->status == SKIP ? NAN : value, why);
    buf_release(&summary);
    return rc;
}

/* A bisection checks traces out, whose top has no spakfile: the repository around is enough there.
 */
static int check_head(struct cmd_context *c, const struct claim *claim, struct err *e)
{
    const char *dir = cmd_value(c, "directory");
    char *here = os_getcwd(c->arena, e);
    struct trace *t =
        here ? trace_open(os_join(c->arena, here, dir ? dir : "."), "out", NULL, e) : NULL;
    int rc = t ? check(c, t, "HEAD", claim, e) : -1;
    trace_close(t);
    return rc;
}

static int check_named(struct cmd_context *c, const struct claim *claim, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct trace *t = NULL;
    int rc = history_open(c, "bisect-check", &s, &t, e);
    if (rc == 0)
        rc = check(c, t, c->args.at[1], claim, e);
    return history_close(&s, t, rc, e);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct claim claim = {0};
    if (c->args.len < 1 || c->args.len > 2) {
        err_set(e, ERR_usage, "bisect-check takes an expression in quotes and at most one trace");
        return err_hint(e, "git bisect run spak bisect-check 'fmha.fused.s2048.gflops >= 20'");
    }
    if (parse_claim(c->args.at[0], c->arena, &claim, e))
        return -1;
    return c->args.len == 2 ? check_named(c, &claim, e) : check_head(c, &claim, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "git worktree add /tmp/b spak/fmha && cd /tmp/b",
    "a scratch work tree, so that the project stays as it is",
    "git bisect start spak/fmha 5f3a9c1",
    "the latest run is bad, that one was good",
    "git bisect run spak bisect-check 'fmha.fused.s2048.gflops >= 20'",
    "finds the first run where it does not hold",
    "spak bisect-check 'fmha.fused.s2048.gflops >= 20' fmha~3",
    "asks one run",
    NULL,
};

const struct cmd cmd_bisect_check = {
    .name = "bisect-check",
    .summary = "say by exit status whether a metric is as wanted",
    .usage = "[OPTION]... EXPRESSION [TRACE]",
    .text =
        "The expression is a metric, one of >= > <= < == != and a number. It is held against the "
        "summary of the run that is checked out (HEAD), or of TRACE. The summary is sticky: what "
        "moved within noise reads as before, and does not turn a bisection.\n\n"
        "Exit status, as `git bisect run` reads it: 0 it holds, 1 it does not, 125 the run failed, "
        "is incomplete or has no such metric (git skips it), 128 the question itself is wrong. It "
        "is 128 and not 2 because git takes 2 for a bad commit and would blame an innocent one.",
    .options = options,
    .examples = examples,
    .error_status = ABORT,
    .run = run,
};
