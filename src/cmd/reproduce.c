#include "project.h"

#include "../repro.h"
#include "../sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTED_MAX 12

/* One reproduction from its command line to its finding. */
struct work {
    struct cmd_context *c;
    struct repro_place place;
    const char *repository; /* what --from was fetched into, NULL without */
    const char *root;       /* the project around the user, else where the user stands */
    double margin;          /* 0: as recorded */
    const char *spakfile;
    struct trace_entry recorded;
    struct strs params;
    size_t files;
    struct repro_obstacle obstacle;
    struct repro_finding finding;
    bool compared;
    const char *note; /* the line, NULL when it was not written */
};

/* Only where to look for a trace: nothing of the folder is evaluated, for a clone may be a
 * stranger's. */
static int find_root(struct cmd_context *c, const char **root, struct err *e)
{
    const char *dir = cmd_value(c, "directory");
    if (dir && chdir(dir))
        return err_errno(e, ERR_spakfile_missing, "cannot work in %s", dir);
    const char *here = os_getcwd(c->arena, e);
    *root = here;
    while (here) {
        struct os_stat st;
        if (os_stat(os_join(c->arena, here, "spakfile"), &st, e))
            return -1;
        if (st.kind == OS_FILE) {
            *root = here;
            return 0;
        }
        if (!strcmp(here, "/"))
            return 0;
        here = os_dirname(c->arena, here);
    }
    return -1;
}

static struct trace *open_recorded(struct work *w, struct err *e)
{
    const char *root = w->repository ? w->place.top : w->root;
    struct trace *t = trace_open(root, "out", w->repository, e);
    if (!t)
        err_hint(e, "stand in a clone of the project, or name a repository or bundle with --from");
    return t;
}

static int read_margin(struct cmd_context *c, double *margin, struct err *e)
{
    const char *text = cmd_value(c, "margin");
    char *end = NULL;
    double percent = text ? strtod(text, &end) : 0;
    if (text && (end == text || *end || !(percent > 0 && percent < 100)))
        return err_set(e, ERR_usage, "--margin %s: a percentage above 0 and below 100 is wanted",
                       text);
    *margin = percent / 100;
    return 0;
}

static int resolve(struct work *w, struct trace *t, struct err *e)
{
    if (trace_resolve(t, w->c->args.at[0], w->c->arena, &w->recorded, e))
        return -1;
    if (*w->recorded.target)
        return 0;
    return err_set(e, ERR_trace_content, "%.12s does not say which target it is of",
                   w->recorded.commit);
}

/* The recorded trace is closed again before anything is run: the process that runs a stranger's
 * commands holds none of it open. */
static int unpack(struct work *w, struct err *e)
{
    struct trace *t = open_recorded(w, e);
    int rc = t ? resolve(w, t, e) : -1;
    if (rc == 0)
        rc = repro_unpack(t, w->recorded.commit, &w->place, w->c->arena, &w->files, e);
    if (rc == 0)
        rc = repro_params(t, w->recorded.commit, w->c->arena, &w->params, e);
    if (rc == 0)
        rc = repro_spakfile(t, w->recorded.commit, w->c->arena, &w->spakfile, e);
    trace_close(t);
    return rc;
}

static int run_build(struct work *w, struct err *e)
{
    struct cmd_context *c = w->c;
    struct build_options b;
    if (project_build_options(c, &b, e) < 0)
        return -1;
    struct console *console = project_console(c, &b);
    struct repro_options o = {.jobs = b.jobs,
                              .sandbox = b.sandbox,
                              .trust = cmd_flag(c, "trust"),
                              .engine_version = SPAK_VERSION,
                              .spakfile = w->spakfile};
    o.event = b.event;
    o.event_ctx = b.event_ctx;
    if (!c->json && !cmd_flag(c, "quiet"))
        fprintf(stderr, "spak: reproducing %s %.12s in %s (%zu files)\n",
                repro_printable(c->arena, w->recorded.target), w->recorded.commit, w->place.top,
                w->files);
    int rc = repro_build(&w->place, &w->recorded, &w->params, &o, c->arena, &w->obstacle, e);
    console_close(console);
    return rc;
}

static int compare(struct work *w, struct err *e)
{
    struct trace_entry entry = {0};
    struct err none = {0};
    struct arena *arena = w->c->arena;
    struct trace *t = open_recorded(w, e);
    struct trace *again = t ? trace_open(w->place.project, "out",
                                         arena_printf(arena, "%s/trace.git", w->place.top), &none)
                            : NULL;
    int rc = t ? 0 : -1;
    err_release(&none);
    if (t && !again)
        w->obstacle =
            (struct repro_obstacle){true, "no node of the target could be built on this machine"};
    if (again)
        rc = trace_resolve(again, w->recorded.target, arena, &entry, e);
    if (again && rc == 0) {
        struct repro_side before = {t, &w->recorded}, after = {again, &entry};
        w->compared = true;
        rc = repro_compare(&before, &after, w->margin, arena, &w->finding, e);
    }
    strs_release(&entry.metrics);
    trace_close(again);
    trace_close(t);
    return rc;
}

static void take_obstacle(struct work *w)
{
    w->finding.margin = w->margin > 0 ? w->margin : TRACE_MARGIN;
    w->finding.margin_least = w->finding.margin;
    w->finding.verdict = REPRO_NOT_COMPARABLE;
    strs_push(&w->finding.reasons, w->obstacle.text);
}

/* The note goes to the user's own repository, if that has the commit; what --from fetched is thrown
 * away. */
static int write_note(struct work *w, struct err *e)
{
    struct arena *arena = w->c->arena;
    struct err none = {0};
    struct trace_entry mine = {0};
    char *line = repro_note_line(&w->finding, host_machine(arena), SPAK_VERSION,
                                 os_wall_ns() / 1000000000, arena);
    if (cmd_flag(w->c, "no-note") ||
        !strcmp(w->finding.reasons.len ? w->finding.reasons.at[0] : "", "interrupted"))
        return 0;
    struct trace *t = trace_open(w->root, "out", NULL, &none);
    int rc = 0;
    if (t && trace_resolve(t, w->recorded.commit, arena, &mine, &none) == 0) {
        rc = trace_note_add(t, "verify", w->recorded.commit, line, e);
        w->note = rc ? NULL : line;
    }
    strs_release(&mine.metrics);
    err_release(&none);
    trace_close(t);
    return rc;
}

static void print_list(const char *title, const struct strs *list)
{
    if (list->len)
        printf("%s\n", title);
    for (size_t i = 0; i < list->len && i < LISTED_MAX; i++)
        printf("    %s\n", list->at[i]);
    if (list->len > LISTED_MAX)
        printf("    and %zu more\n", list->len - LISTED_MAX);
}

static void print_counts(const struct work *w)
{
    const struct repro_finding *f = &w->finding;
    size_t within = 0;
    for (size_t i = 0; i < f->metric_count; i++)
        within += f->metrics[i].state == REPRO_WITHIN;
    printf("  out/      %zu of %zu nodes bit-identical", f->same, f->nodes);
    if (f->apart)
        printf(", %zu that this machine cannot build", f->apart);
    putchar('\n');
    if (f->proofs)
        printf("  proofs    %zu of %zu verified again\n", f->verified, f->proofs);
    if (f->measured)
        printf("  measure/  %zu of %zu metrics within %s %%\n", within, f->metric_count,
               repro_margin_text(f, w->c->arena));
}

static void print_human(const struct work *w)
{
    const struct repro_finding *f = &w->finding;
    printf("%s %.12s: %s\n", repro_printable(w->c->arena, w->recorded.target), w->recorded.commit,
           repro_verdict_text(f->verdict));
    if (w->compared)
        print_counts(w);
    print_list("  because", &f->reasons);
    if (f->chain.len) {
        printf("  from what changed to the first output that differs\n    ");
        for (size_t i = 0; i < f->chain.len; i++)
            printf("%s%s", i ? "\n    -> " : "", f->chain.at[i]);
        putchar('\n');
    }
    print_list("  nodes that came out differently", &f->different);
    if (w->compared && !f->environment.len)
        printf("  environment: as recorded\n");
    print_list("  environment that differs", &f->environment);
    if (w->note)
        printf("  noted in refs/notes/spak/verify\n");
    if (w->place.keep)
        printf("  kept in %s\n", w->place.top);
}

static json_t *list_json(const struct strs *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->len; i++)
        json_array_append_new(out, json_string(list->at[i]));
    return out;
}

static json_t *metrics_json(const struct repro_finding *f)
{
    static const char *const states[] = {"within", "beyond", "unclear", "unpaired"};
    json_t *out = json_array();
    for (size_t i = 0; i < f->metric_count; i++) {
        const struct repro_metric *m = &f->metrics[i];
        json_t *o = json_pack("{s:s, s:s, s:f}", "metric", m->name, "state", states[m->state],
                              "margin", m->margin);
        if (m->lo <= m->hi) {
            json_object_set_new(o, "ratio", json_real(m->ratio));
            json_object_set_new(o, "lo", json_real(m->lo));
            json_object_set_new(o, "hi", json_real(m->hi));
        }
        json_array_append_new(out, o);
    }
    return out;
}

static void print_json(const struct work *w)
{
    const struct repro_finding *f = &w->finding;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:b}", "event",
                          "reproduction", "commit", w->recorded.commit, "target",
                          repro_printable(w->c->arena, w->recorded.target), "verdict",
                          repro_verdict_text(f->verdict), "nodes", (json_int_t)f->nodes, "same",
                          (json_int_t)f->same, "proofs", (json_int_t)f->proofs, "verified",
                          (json_int_t)f->verified, "measured", (json_int_t)f->measured, "margin",
                          f->margin, "same_out", f->same_out, "same_plan", f->same_plan);
    json_object_set_new(o, "apart", json_integer((json_int_t)f->apart));
    json_object_set_new(o, "reasons", list_json(&f->reasons));
    json_object_set_new(o, "chain", list_json(&f->chain));
    json_object_set_new(o, "environment", list_json(&f->environment));
    json_object_set_new(o, "different", list_json(&f->different));
    json_object_set_new(o, "metrics", metrics_json(f));
    if (w->note)
        json_object_set_new(o, "note", json_string(w->note));
    project_print_json(o);
}

static int status_of(enum repro_verdict verdict)
{
    return verdict == REPRO_DIFFERENT ? ERR_NODE : verdict == REPRO_NOT_COMPARABLE ? ERR_USAGE : 0;
}

static int reproduce(struct work *w, struct err *e)
{
    int rc = unpack(w, e);
    if (rc == 0)
        rc = run_build(w, e);
    if (rc == 0 && !w->obstacle.present)
        rc = compare(w, e);
    if (rc == 0 && w->obstacle.present)
        take_obstacle(w);
    if (rc == 0)
        rc = write_note(w, e);
    if (rc)
        return rc;
    if (w->c->json)
        print_json(w);
    else
        print_human(w);
    w->c->status = w->obstacle.present && !strcmp(w->obstacle.text, "interrupted")
                       ? ERR_INTERRUPT
                       : status_of(w->finding.verdict);
    return 0;
}

static void print_decision(struct cmd_context *c, const struct repro_decision *d)
{
    const char *word = !d->known ? "unknown" : d->holds ? "holds" : "FAILS";
    if (!c->json)
        printf("  %-7s %s: %s\n", word, d->what, d->why);
    else
        project_print_json(json_pack("{s:s, s:s, s:s, s:s}", "event", "decision", "what", d->what,
                                     "state", word, "why", d->why));
}

static void tell_decisions(struct work *w, const struct repro_decisions *d)
{
    size_t holds = 0, fails = 0;
    for (size_t i = 0; i < d->len; i++) {
        holds += d->at[i].known && d->at[i].holds;
        fails += d->at[i].known && !d->at[i].holds;
    }
    if (!w->c->json)
        printf("%s %.12s: %zu of %zu recorded decisions hold, %zu fail, %zu cannot be derived\n",
               repro_printable(w->c->arena, w->recorded.target), w->recorded.commit, holds, d->len,
               fails, d->len - holds - fails);
    for (size_t i = 0; i < d->len; i++)
        print_decision(w->c, &d->at[i]);
    w->c->status = fails ? ERR_NODE : 0;
}

static int offline(struct work *w, struct err *e)
{
    struct repro_decisions decisions = {0};
    struct trace *t = open_recorded(w, e);
    int rc = t ? resolve(w, t, e) : -1;
    if (rc == 0)
        rc = repro_offline(t, &w->recorded, w->c->arena, &decisions, e);
    if (rc == 0)
        tell_decisions(w, &decisions);
    repro_decisions_release(&decisions);
    trace_close(t);
    return rc;
}

static int run_in_place(struct work *w, struct err *e)
{
    struct cmd_context *c = w->c;
    const char *from = cmd_value(c, "from");
    char *repository = NULL;
    if (repro_place(cmd_value(c, "keep"), c->arena, &w->place, e))
        return -1;
    int rc = from ? repro_fetch(&w->place, from, c->arena, &repository, e) : 0;
    w->repository = repository;
    if (rc == 0)
        rc = cmd_flag(c, "offline") ? offline(w, e) : reproduce(w, e);
    repro_remove(&w->place);
    return rc;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct work w = {.c = c};
    if (c->args.len != 1) {
        err_set(e, ERR_usage, "reproduce takes one run, not %zu", c->args.len);
        return err_hint(e, "a commit hash, a target, or target~2: `spak log` lists them");
    }
    if (read_margin(c, &w.margin, e) || find_root(c, &w.root, e))
        return -1;
    int rc = run_in_place(&w, e);
    strs_release(&w.params);
    strs_release(&w.recorded.metrics);
    repro_finding_release(&w.finding);
    return rc;
}

static const struct cmd_option options[] = {
    {0, "from", CMD_VALUE, "SOURCE", "fetch the trace from a git address, path or bundle"},
    {0, "offline", CMD_FLAG, NULL, "run nothing: derive the record's decisions from it again"},
    {0, "margin", CMD_VALUE, "PERCENT", "what a measurement may differ by (default: as recorded)"},
    {0, "keep", CMD_VALUE, "DIR", "reproduce in DIR, a new folder, and leave it there"},
    {0, "no-note", CMD_FLAG, NULL, "write no line to refs/notes/spak/verify"},
    {0, "trust", CMD_FLAG, NULL, "treat the trace's spakfile as your own"},
    {0, "no-sandbox", CMD_FLAG, NULL, "run commands without the sandbox"},
    {'j', "jobs", CMD_VALUE, "N", "run at most N commands at once (default: one a core)"},
    {'v', "verbose", CMD_FLAG, NULL, "show each command and why it runs"},
    {'q', "quiet", CMD_FLAG, NULL, "say only what went wrong, and the verdict"},
    {'C', "directory", CMD_VALUE, "DIR", "work as if started in DIR"},
    {0, "json", CMD_FLAG, NULL, "print JSON, one value a line"},
    {0, "color", CMD_VALUE, "WHEN", "auto, always or never (also NO_COLOR)"},
    {0},
};
static const char *const examples[] = {
    "spak reproduce fmha",
    "build the last recorded run of a target again and compare",
    "spak reproduce 1f0c9a27 --from https://example.org/study.git",
    "the same for a commit of somebody else's",
    "spak reproduce fmha --from fmha.bundle --keep again",
    "from a bundle, keeping sources and outputs to look at",
    "spak reproduce fmha --offline",
    "check without running anything that the record agrees with itself",
    NULL,
};

const struct cmd cmd_reproduce = {
    .name = "reproduce",
    .summary = "build a recorded run again from its trace, and compare",
    .usage = "[OPTION]... COMMIT|TARGET",
    .text =
        "Takes the sources out of the trace into a fresh folder, builds the same target with "
        "the same parameters there, and compares what comes "
        "out with what was recorded: outputs by digest, proofs by verifying them again, "
        "measurements by whether the interval of their "
        "ratio lies within the margin that the trace records. Your own files are not touched.\n\n"
        "IDENTICAL: every output is bit-identical and every measurement within the margin. "
        "EQUIVALENT: no result differs, but the list says what "
        "else does. DIFFERENT: what differs first, and the shortest way there from what "
        "changed. NOT COMPARABLE: another class of machine, no "
        "device, a tool that is missing, no lease here, or measurements too noisy to say. One line "
        "of it is "
        "added to the commit's note in "
        "refs/notes/spak/verify.\n\n"
        "A trace may be a stranger's: names and links that could leave the folder are refused, "
        "and evaluation and commands run in a sandbox that may "
        "write nowhere else and reaches no network.\n\n"
        "Exit status: 0 IDENTICAL or EQUIVALENT, 1 DIFFERENT or a decision that does not hold, "
        "2 NOT COMPARABLE or wrong usage, "
        "3 the trace is refused, 130 interrupted.",
    .options = options,
    .examples = examples,
    .run = run,
};
