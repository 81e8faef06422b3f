#include "history.h"

#include <stdio.h>
#include <time.h>

/* The past can be read while the spakfile is broken; only where it says to keep the trace is then
 * unknown. */
static int tolerate(const struct session *s, struct err *e)
{
    if (!s->root || s->graph || err_class(e) == ERR_INTERRUPT)
        return -1;
    fprintf(stderr,
            "spak: the spakfile does not evaluate (%s); reading the trace from its usual "
            "place\n",
            e->message);
    err_release(e);
    return 0;
}

int history_open(struct cmd_context *c, const char *verb, struct session *s, struct trace **t,
                 struct err *e)
{
    *t = NULL;
    if (project_open(c, verb, false, s, e) && tolerate(s, e))
        return -1;
    text_id to = s->graph ? s->graph->trace_to : 0;
    *t = trace_open(s->root, s->out_dir, to ? graph_text(s->graph, to) : NULL, e);
    return *t ? 0 : -1;
}

int history_close(struct session *s, struct trace *t, int rc, struct err *e)
{
    trace_close(t);
    if (session_close(s, e) < 0)
        rc = -1;
    return rc;
}

const char *history_path(const struct session *s, const char *path)
{
    return *path == '/' ? path : os_join(s->arena, s->prefix, path);
}

const char *history_date(struct arena *arena, int64_t seconds)
{
    time_t when = (time_t)seconds;
    char text[40];
    struct tm parts;
    if (!localtime_r(&when, &parts) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts))
        return "-";
    return arena_strdup(arena, text);
}

json_t *history_json(const struct trace_entry *entry)
{
    json_t *o = json_object(), *metrics = json_array();
    for (size_t i = 0; i < entry->metrics.len; i++)
        json_array_append_new(metrics, json_string(entry->metrics.at[i]));
    json_object_set_new(o, "commit", json_string(entry->commit));
    json_object_set_new(o, "status", json_string(entry->status));
    json_object_set_new(o, "subject", json_string(entry->subject));
    json_object_set_new(o, "time", json_integer(entry->time));
    json_object_set_new(o, "nodes", json_string(entry->nodes));
    json_object_set_new(o, "source", json_string(entry->source));
    json_object_set_new(o, "source_dirty", json_boolean(entry->source_dirty));
    json_object_set_new(o, "metrics", metrics);
    return o;
}
