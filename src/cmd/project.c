#include "project.h"

#include "../diag.h"
#include "../sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void project_print_json(json_t *event)
{
    struct buf text = {0};
    json_compact(event, &text);
    buf_addch(&text, '\n');
    fwrite(text.ptr, 1, text.len, stdout);
    fflush(stdout);
    buf_release(&text);
    json_decref(event);
}

static void say_waiting(void *ctx, const char *who)
{
    struct cmd_context *c = ctx;
    if (!c->json) {
        fprintf(stderr, "spak: waiting for %s, which works in the same out/\n", who);
        return;
    }
    project_print_json(json_pack("{s:s, s:s}", "event", "wait", "holder", who));
}

static void tell_graph(const struct session *s)
{
    project_print_json(json_pack(
        "{s:s, s:I, s:I, s:b}", "event", "graph", "nodes", (json_int_t)s->graph->node_count,
        "artifacts", (json_int_t)s->graph->artifact_count, "evaluated", s->evaluations > 0));
}

static void warn(const struct cmd_context *c, const struct err *e)
{
    struct buf text = {0};
    diag_draw_warning(e, c->colour ? DIAG_COLOUR : DIAG_PLAIN, &text);
    fputs(buf_text(&text), stderr);
    buf_release(&text);
}

int project_enter(struct cmd_context *c, const char *verb, bool lock, struct session *s,
                  struct err *e)
{
    struct strs params = {0};
    cmd_values(c, "define", &params);
    struct session_options o = {
        .dir = cmd_value(c, "directory"),
        .file = cmd_value(c, "file"),
        .params = params.at,
        .verb = verb,
        .lock = lock,
        .waiting = say_waiting,
        .waiting_ctx = c,
    };
    int rc = session_open(s, &o, c->arena, e);
    strs_release(&params);
    if (s->warning.set)
        warn(c, &s->warning);
    return rc;
}

int project_load(struct cmd_context *c, bool lock, struct session *s, struct err *e)
{
    int rc = session_load(s, e);
    if (rc == 0 && c->json && lock)
        tell_graph(s);
    return rc;
}

int project_open(struct cmd_context *c, const char *verb, bool lock, struct session *s,
                 struct err *e)
{
    return project_enter(c, verb, lock, s, e) < 0 ? -1 : project_load(c, lock, s, e);
}

static int parse_jobs(const char *text, int *jobs, struct err *e)
{
    char *end;
    errno = 0;
    long n = text ? strtol(text, &end, 10) : 0;
    if (text && (*end || end == text || errno || n < 1 || n > 4096)) {
        err_set(e, ERR_usage, "-j %s: the number of commands at once is 1 to 4096", text);
        return err_hint(e, "for example -j4; without -j there is one a core");
    }
    *jobs = (int)n;
    return 0;
}

int project_build_options(struct cmd_context *c, struct build_options *o, struct err *e)
{
    *o = (struct build_options){
        .keep_going = cmd_flag(c, "keep-going"),
        .force = cmd_flag(c, "force"),
        .sandbox = !cmd_flag(c, "no-sandbox"),
        .trace = !cmd_flag(c, "no-trace"),
        .engine_version = SPAK_VERSION,
    };
    return parse_jobs(cmd_value(c, "jobs"), &o->jobs, e);
}

struct console *project_console(struct cmd_context *c, struct build_options *o)
{
    struct console_options options = {
        .fd = c->json ? STDOUT_FILENO : STDERR_FILENO,
        .live = !c->json && isatty(STDERR_FILENO),
        .colour = c->colour,
        .quiet = cmd_flag(c, "quiet"),
        .verbose = cmd_flag(c, "verbose"),
        .json = c->json,
    };
    struct console *console = console_open(&options);
    o->event = console_event;
    o->event_ctx = console;
    if (o->sandbox && sandbox_supported(NULL) == SANDBOX_NONE && !c->json)
        fputs("spak: warning: this kernel has no Landlock: commands run without a sandbox\n",
              stderr);
    return console;
}

void project_tell_still(struct cmd_context *c, uint32_t nodes, int64_t elapsed_ns)
{
    struct build_options o = {0};
    struct console *console = project_console(c, &o);
    struct run_event end = {.kind = RUN_END,
                            .node = GRAPH_NONE,
                            .progress = {.total = nodes,
                                         .done = nodes,
                                         .clean = nodes,
                                         .elapsed_ns = elapsed_ns,
                                         .left_ns = -1}};
    console_event(console, &end);
    console_close(console);
}

static void tell_trace_json(const struct build_trace *t)
{
    json_t *event = json_pack("{s:s, s:s, s:b}", "event", "trace", "target", t->target, "committed",
                              t->result.committed);
    if (t->result.committed) {
        json_object_set_new(event, "commit", json_string(t->result.commit));
        json_object_set_new(event, "ref", json_string(t->result.ref));
    }
    if (t->error.set)
        json_object_set_new(event, "error", json_string(t->error.message));
    if (t->result.warning.set)
        json_object_set_new(event, "warning", json_string(t->result.warning.message));
    project_print_json(event);
}

static void tell_trace(struct cmd_context *c, const struct build_trace *t)
{
    if (c->json) {
        tell_trace_json(t);
        return;
    }
    if (t->error.set)
        warn(c, &t->error);
    else if (t->result.committed && !cmd_flag(c, "quiet"))
        fprintf(stderr, "spak: %s %.12s\n", t->result.ref, t->result.commit);
    if (t->result.warning.set)
        warn(c, &t->result.warning);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void tell_stats(const struct session *s, const struct build_report *report)
{
    fprintf(stderr,
            "spak: lua evaluated: %s%s%s\n"
            "spak: files hashed: %zu; nodes: %u\n"
            "spak: open %.1f ms, load %.1f ms, plan %.1f ms, run %.1f ms, trace %.1f ms\n",
            s->evaluations ? "yes, " : "no",
            s->evaluations && s->why_evaluated ? s->why_evaluated : "",
            s->evaluations && !s->why_evaluated ? "asked to" : "", hash_cache_misses(s->cache),
            s->graph->node_count, ms(s->open_ns), ms(s->load_ns), ms(report->plan_ns),
            ms(report->run_ns), ms(report->trace_ns));
}

static void tell_stats_json(const struct session *s, const struct build_report *report)
{
    project_print_json(
        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "event", "stats", "evaluated",
                  s->evaluations > 0, "files_hashed", (json_int_t)hash_cache_misses(s->cache),
                  "open_ns", (json_int_t)s->open_ns, "load_ns", (json_int_t)s->load_ns, "plan_ns",
                  (json_int_t)report->plan_ns, "run_ns", (json_int_t)report->run_ns, "trace_ns",
                  (json_int_t)report->trace_ns));
}

void project_tell(struct cmd_context *c, const struct session *s, const struct build_report *report)
{
    for (size_t i = 0; i < report->swept.len && cmd_flag(c, "verbose") && !c->json; i++)
        fprintf(stderr, "spak: removed %s: nothing makes it any more\n", report->swept.at[i]);
    for (size_t i = 0; i < report->trace_count; i++)
        tell_trace(c, &report->traces[i]);
    if (cmd_flag(c, "stats") && c->json)
        tell_stats_json(s, report);
    else if (cmd_flag(c, "stats"))
        tell_stats(s, report);
    if (c->json)
        project_print_json(
            json_pack("{s:s, s:i}", "event", "done", "status", build_status(report)));
}
