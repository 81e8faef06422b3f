#include "diff_text.h"

#include "../diag.h"
#include "history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The two commits, as hex. */
struct sides {
    const char *before;
    const char *after;
};

static json_t *text_json(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    return value ? value : json_null();
}

/* JSON has no NaN and no infinity: what is not known is null. */
static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *lines_json(const struct diff_lines *lines)
{
    json_t *list = json_array();
    for (size_t i = 0; i < lines->len; i++) {
        char sign[] = {lines->at[i].sign, 0};
        json_array_append_new(list, json_pack("[s, o]", sign, text_json(lines->at[i].text)));
    }
    return list;
}

static const char *how(bool before, bool after)
{
    return !before ? "added" : !after ? "removed" : "changed";
}

static json_t *texts_json(const struct diff_text *texts, size_t count, bool sources)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct diff_text *t = &texts[i];
        json_t *o =
            json_pack("{s:o, s:s, s:b, s:I, s:I}", "path", text_json(t->path), "how",
                      how(t->before, t->after), "binary", t->patch.binary, "lines_added",
                      (json_int_t)t->patch.added, "lines_removed", (json_int_t)t->patch.removed);
        if (sources)
            json_object_set_new(o, "readers", json_integer(t->readers));
        else
            json_object_set_new(o, "machine", text_json(t->machine));
        json_object_set_new(o, "hunks", text_json(t->patch.hunks));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *inputs_json(const struct diff_node *n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->input_count; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:o}", "path", text_json(n->inputs[i].path),
                                        "before", text_json(n->inputs[i].before), "after",
                                        text_json(n->inputs[i].after)));
    return list;
}

/* The nodes from the one where it began to this one. */
static json_t *chain_json(const struct diff *d, uint32_t node)
{
    json_t *list = json_array();
    for (uint32_t at = node; at != DIFF_NONE; at = d->nodes[at].cause) {
        json_array_insert_new(list, 0, text_json(d->nodes[at].name));
        if (d->nodes[at].cause == DIFF_NONE && d->nodes[at].cause_input)
            json_array_insert_new(list, 0, text_json(d->nodes[at].cause_input));
    }
    return list;
}

static json_t *nodes_json(const struct diff *d)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < d->node_count; i++) {
        const struct diff_node *n = &d->nodes[i];
        json_array_append_new(
            list,
            json_pack("{s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "node", text_json(n->name), "why",
                      diff_why_name(n->why), "measured", n->measured, "state_before",
                      text_json(n->state_before), "state_after", text_json(n->state_after), "plan",
                      lines_json(&n->plan), "inputs", inputs_json(n), "chain", chain_json(d, i)));
    }
    return list;
}

static json_t *code_json(const struct diff_code *code)
{
    json_t *functions = json_array();
    if (!code) {
        json_decref(functions);
        return json_null();
    }
    for (size_t i = 0; i < code->len; i++)
        json_array_append_new(functions,
                              json_pack("{s:o, s:I, s:I}", "name", text_json(code->at[i].name),
                                        "before", (json_int_t)code->at[i].before, "after",
                                        (json_int_t)code->at[i].after));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "added", (json_int_t)code->added,
                     "removed", (json_int_t)code->removed, "resized", (json_int_t)code->resized,
                     "rewritten", (json_int_t)code->rewritten, "same", (json_int_t)code->same,
                     "bytes_before", (json_int_t)code->bytes_before, "bytes_after",
                     (json_int_t)code->bytes_after, "functions", functions);
}

static json_t *objects_json(const struct diff *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->object_count; i++) {
        const struct diff_object *o = &d->objects[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:I, s:I, s:b, s:o}", "path",
                                              text_json(o->path), "before", text_json(o->before),
                                              "after", text_json(o->after), "bytes_before",
                                              (json_int_t)o->bytes_before, "bytes_after",
                                              (json_int_t)o->bytes_after, "measured", o->measured,
                                              "code", code_json(o->code)));
    }
    return list;
}

static json_t *metrics_json(const struct diff *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->metric_count; i++) {
        const struct diff_metric *m = &d->metrics[i];
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:b}",
                            "metric", text_json(m->name), "unit", text_json(m->unit), "machine",
                            text_json(m->machine), "before", number_json(m->before), "after",
                            number_json(m->after), "ratio", number_json(m->ratio.median), "lo",
                            number_json(m->ratio.lo), "hi", number_json(m->ratio.hi), "n_before",
                            (json_int_t)m->n_before, "n_after", (json_int_t)m->n_after, "p",
                            number_json(m->p), "moved", m->moved));
    }
    return list;
}

static json_t *verdicts_json(const struct diff *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->verdict_count; i++) {
        const struct diff_verdict *v = &d->verdicts[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o}", "file",
                                              text_json(v->file), "machine", text_json(v->machine),
                                              "what", text_json(v->what), "before",
                                              text_json(v->before), "after", text_json(v->after)));
    }
    return list;
}

static json_t *run_json(const struct trace_entry *run)
{
    json_t *o = history_json(run);
    json_object_del(o, "metrics");
    json_object_set_new(o, "target", text_json(run->target));
    json_object_set_new(o, "machine", text_json(run->machine));
    return o;
}

static json_t *diff_json(const struct diff *d)
{
    json_t *env = json_object(), *machines = json_object();
    for (size_t i = 0; i < d->env_count; i++)
        json_object_set_new(env, d->env[i].file, lines_json(&d->env[i].lines));
    for (size_t i = 0; i < d->machine_count; i++)
        json_object_set_new(machines, d->machines[i].name,
                            json_string(d->machines[i].before ? "before" : "after"));
    return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "before",
                     run_json(&d->a), "after", run_json(&d->b), "differs", diff_differs(d),
                     "sources", texts_json(d->sources, d->source_count, true), "environment", env,
                     "nodes", nodes_json(d), "outputs", objects_json(d), "texts",
                     texts_json(d->texts, d->text_count, false), "metrics", metrics_json(d),
                     "verdicts", verdicts_json(d), "not_compared", machines);
}

static bool is_target(struct trace *t, struct arena *arena, const char *name)
{
    struct strs targets = {0};
    struct err quiet = {0};
    bool found = false;
    if (trace_targets(t, arena, &targets, &quiet))
        err_release(&quiet);
    for (size_t i = 0; i < targets.len; i++)
        found |= strcmp(targets.at[i], name) == 0;
    strs_release(&targets);
    return found;
}

static int last_two(struct cmd_context *c, struct trace *t, const char *target, struct sides *out,
                    struct err *e)
{
    struct trace_entry *entries;
    size_t count;
    if (trace_log(t, target, 2, c->arena, &entries, &count, e))
        return -1;
    for (size_t i = 0; i < count; i++)
        strs_release(&entries[i].metrics);
    if (count < 2) {
        err_set(e, ERR_trace_revision, "%s has one run only: there is nothing to compare it with",
                target);
        return err_hint(e, "`spak show %s` shows it; two revisions compare any two runs", target);
    }
    *out = (struct sides){entries[1].commit, entries[0].commit};
    return 0;
}

/* The one target that has a trace; of several, the one that is built by default. */
static int default_target(struct cmd_context *c, struct session *s, struct trace *t,
                          const char **out, struct err *e)
{
    struct strs targets = {0}, none = {0};
    struct ids defaults = {0};
    struct err quiet = {0};
    if (trace_targets(t, c->arena, &targets, e))
        return -1;
    *out = targets.len == 1 ? targets.at[0] : NULL;
    if (!*out && s->graph && session_targets(s, &none, &defaults, &quiet) == 0 &&
        defaults.len == 1 && is_target(t, c->arena, node_name(s->graph, defaults.at[0])))
        *out = node_name(s->graph, defaults.at[0]);
    err_release(&quiet);
    ids_release(&defaults);
    if (!*out && targets.len == 0) {
        err_set(e, ERR_trace_revision, "no target has a trace yet");
        err_hint(e, "`spak build TARGET` makes one");
    } else if (!*out) {
        err_set(e, ERR_trace_revision, "%zu targets have a trace: say which", targets.len);
        err_hint(e, "for example spak diff %s; `spak log` lists them", targets.at[0]);
    }
    strs_release(&targets);
    return *out ? 0 : -1;
}

static int resolve(struct cmd_context *c, struct trace *t, const char *revision, const char **out,
                   const char **target, struct err *e)
{
    struct trace_entry entry;
    if (trace_resolve(t, revision, c->arena, &entry, e))
        return -1;
    strs_release(&entry.metrics);
    *out = entry.commit;
    if (target)
        *target = entry.target;
    return 0;
}

static int find_sides(struct cmd_context *c, struct session *s, struct trace *t, struct sides *out,
                      struct err *e)
{
    const char *target = "";
    if (c->args.len == 0)
        return default_target(c, s, t, &target, e) ? -1 : last_two(c, t, target, out, e);
    if (c->args.len == 1 && is_target(t, c->arena, c->args.at[0]))
        return last_two(c, t, c->args.at[0], out, e);
    if (resolve(c, t, c->args.at[0], &out->before, &target, e))
        return -1;
    return resolve(c, t,
                   c->args.len == 2 ? c->args.at[1]
                   : *target        ? target
                                    : c->args.at[0],
                   &out->after, NULL, e);
}

static void print(struct cmd_context *c, const struct diff *d)
{
    const char *when = cmd_value(c, "color");
    bool automatic = !when || strcmp(when, "auto") == 0;
    struct diff_text_options o = {
        .all = cmd_flag(c, "all"),
        .colour = automatic ? diag_form_for(stdout) == DIAG_COLOUR : c->colour,
    };
    struct buf text = {0};
    if (c->json) {
        project_print_json(diff_json(d));
        return;
    }
    diff_text_draw(d, &o, &text);
    fwrite(buf_text(&text), 1, text.len, stdout);
    buf_release(&text);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct trace *t = NULL;
    struct sides sides = {0};
    struct diff d = {0};
    if (c->args.len > 2) {
        err_set(e, ERR_usage, "diff takes at most two traces");
        return err_hint(e, "spak diff fmha, spak diff fmha~3 fmha, spak diff 5f3a9c1 8be12f0");
    }
    int rc = history_open(c, "diff", &s, &t, e);
    if (rc == 0)
        rc = find_sides(c, &s, t, &sides, e);
    if (rc == 0)
        rc = diff_traces(t, s.store, sides.before, sides.after, c->arena, &d, e);
    if (rc == 0) {
        print(c, &d);
        c->status = cmd_flag(c, "exit-code") && diff_differs(&d);
    }
    return history_close(&s, t, rc, e);
}

static const struct cmd_option options[] = {
    {0, "all", CMD_FLAG, NULL, "show every line, not one screen"},
    {0, "exit-code", CMD_FLAG, NULL, "exit with 1 when more than noise differs"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak diff fmha",
    "the last run of fmha against the one before",
    "spak diff fmha~5",
    "five runs ago against the latest",
    "spak diff 5f3a9c1 8be12f0 --all",
    "any two runs, every line",
    "git diff spak/fmha~ spak/fmha -- plan measure",
    "the same trees by git's own means",
    NULL,
};

const struct cmd cmd_diff = {
    .name = "diff",
    .summary = "compare two runs: what changed, why, and what came of it",
    .usage = "[OPTION]... [TRACE [TRACE]]",
    .text =
        "Shows verdicts that turned, metrics that moved beyond noise, the sources and the "
        "environment that changed, the nodes that ran for it and why, and the outputs that "
        "differ. One trace is compared with the latest of its target, a target by itself with the "
        "run before its last, nothing stands for the default target.\n\n"
        "A metric has moved when the samples of both runs differ by the test of Mann and Whitney "
        "(p < 0.05 after Holm's correction over all metrics) and their medians by more than 2 %; "
        "the interval is a block bootstrap's. Where a run keeps no samples, the intervals of the "
        "summary must be apart. What was measured on different machines is not compared.\n\n"
        "The exit status is 0 when the runs could be compared.",
    .options = options,
    .examples = examples,
    .run = run,
};
