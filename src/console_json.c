#include "console.h"

#include "diag.h"

static json_t *progress_json(const struct run_progress *p)
{
    json_t *o = json_object();
    const struct {
        const char *name;
        size_t count;
    } counts[] = {
        {"total", p->total},       {"done", p->done},       {"to_run", p->to_run},
        {"running", p->running},   {"clean", p->clean},     {"restored", p->restored},
        {"ran", p->ran},           {"failed", p->failed},   {"refused", p->refused},
        {"deferred", p->deferred}, {"skipped", p->skipped}, {"interrupted", p->interrupted},
    };

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].count));
    json_object_set_new(o, "elapsed_ns", json_integer(p->elapsed_ns));
    if (p->work_ns > 0) {
        json_object_set_new(o, "work_ns", json_integer(p->work_ns));
        json_object_set_new(o, "chain_ns", json_integer(p->chain_ns));
    }
    if (p->left_ns >= 0)
        json_object_set_new(o, "left_ns", json_integer(p->left_ns));
    return o;
}

/* Commands print what they like; JSON holds UTF-8 only, so what is none becomes U+FFFD on the way.
 */
static json_t *text_json(const char *text)
{
    struct buf quoted = {0};
    struct err e = {0};
    json_t *value;

    json_quote(text, &quoted);
    value = json_parse(quoted.ptr, quoted.len, "text", &e);
    if (!value)
        BUG("quoted text does not parse: %s", e.message);
    buf_release(&quoted);
    return value;
}

static json_t *err_json(const struct err *error)
{
    struct buf drawn = {0};
    struct err e = {0};
    json_t *value;

    diag_draw(error, DIAG_JSON, &drawn);
    value = json_parse(drawn.ptr, drawn.len, "diagnostic", &e);
    if (!value)
        BUG("a drawn diagnostic does not parse: %s", e.message);
    buf_release(&drawn);
    return value;
}

static void set_text(json_t *o, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(o, key, text_json(text));
}

static void set_node(json_t *o, const struct run_event *event)
{
    const struct graph *g = event->graph;
    const struct outcome *outcome = event->outcome;

    set_text(o, "node", node_name(g, event->node));
    set_text(o, "kind", graph_text(g, g->nodes[event->node].kind));
    if (outcome)
        set_text(o, "why", outcome->why);
}

static void set_outcome(json_t *o, const struct run_event *event)
{
    const struct outcome *outcome = event->outcome;
    struct buf output = {0};

    set_text(o, "status", status_text(outcome->status));
    set_text(o, "token", outcome->token);
    if (outcome->start_ns >= 0)
        json_object_set_new(o, "wall_ns", json_integer(outcome->wall_ns));
    if (outcome->record)
        json_object_set_new(o, "exit", json_integer(outcome->record->exit_code));
    buf_add(&output, event->output, event->output_len);
    set_text(o, "output", buf_text(&output));
    buf_release(&output);
    if (event->error)
        json_object_set_new(o, "error", err_json(event->error));
    if (event->warning)
        json_object_set_new(o, "warning", err_json(event->warning));
}

void console_event_json(const struct run_event *event, struct buf *out)
{
    static const char *const names[] = {
        [RUN_BEGIN] = "begin",
        [RUN_START] = "start",
        [RUN_FINISH] = "finish",
        [RUN_END] = "end",
    };
    json_t *o;

    if ((size_t)event->kind >= ARRAY_LEN(names) || !names[event->kind])
        return;
    o = json_object();
    json_object_set_new(o, "event", json_string(names[event->kind]));
    json_object_set_new(o, "progress", progress_json(&event->progress));
    if (event->kind == RUN_START || event->kind == RUN_FINISH)
        set_node(o, event);
    if (event->kind == RUN_FINISH)
        set_outcome(o, event);
    json_compact(o, out);
    buf_addch(out, '\n');
    json_decref(o);
}
