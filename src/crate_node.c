#include "crate_parts.h"

#include <string.h>

const char *crate_tool_id(struct arena *arena, const char *tool)
{
    return tool ? crate_id(arena, "tool", tool) : "#spak";
}

static bool is_done(const struct crate_node *n)
{
    return strcmp(n->state, "ok") == 0;
}

/* What was refused or skipped never ran: it is a step without an action. */
static bool has_run(const struct crate_node *n)
{
    return is_done(n) || strcmp(n->state, "failed") == 0;
}

/* "PATH DIGEST"; the digest is "-" for what was not there. */
static const char *input_id(struct crate_graph *g, const char *line)
{
    const char *space = strrchr(line, ' ');
    if (!space)
        return NULL;
    const char *raw = arena_strndup(g->arena, line, (size_t)(space - line));
    return crate_file_id(g, trace_value(g->arena, str_of(raw), NULL), space + 1);
}

/* "NAME VALUE" as a PropertyValue of this node. */
static json_t *property(struct crate_graph *g, const struct crate_node *n, const char *kind,
                        const char *line)
{
    struct str rest = str_of(line), name;
    str_split(&rest, ' ', &name);
    const char *key = arena_strndup(g->arena, name.ptr, name.len);
    const char *id = crate_id(g->arena, kind, arena_printf(g->arena, "%s/%s", n->name, key));
    crate_add(g, json_pack("{s:s, s:s, s:s, s:s}", "@id", id, "@type", "PropertyValue", "name", key,
                           "value", trace_value(g->arena, rest, NULL)));
    return crate_ref(id);
}

static json_t *inputs_of(struct crate_graph *g, const struct crate_node *n, struct crate_run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->inputs.len; i++) {
        const char *id = input_id(g, n->inputs.at[i]);
        if (!id)
            continue;
        json_array_append_new(list, crate_ref(id));
        const char *space = strrchr(n->inputs.at[i], ' ');
        const char *path =
            arena_strndup(g->arena, n->inputs.at[i], (size_t)(space - n->inputs.at[i]));
        if (!crate_find_output(g->crate, trace_value(g->arena, str_of(path), NULL)))
            json_object_set_new(run->used, id, json_true());
    }
    for (size_t i = 0; i < n->settings.len; i++)
        json_array_append_new(list, property(g, n, "setting", n->settings.at[i]));
    return list;
}

static json_t *outputs_of(struct crate_graph *g, const struct crate_node *n, struct crate_run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->output_count; i++) {
        const char *id = crate_output_id(g, &g->crate->outputs[n->outputs[i]]);
        json_array_append_new(list, crate_ref(id));
        json_object_set_new(run->made, id, json_true());
    }
    return list;
}

static void set_list(json_t *object, const char *key, json_t *list)
{
    if (json_array_size(list))
        json_object_set_new(object, key, list);
    else
        json_decref(list);
}

static json_t *variables_of(struct crate_graph *g, const struct crate_node *n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->variables.len; i++)
        json_array_append_new(list, property(g, n, "environment", n->variables.at[i]));
    return list;
}

static void add_action(struct crate_graph *g, const struct crate_node *n, const char *step,
                       struct crate_run *run)
{
    const char *id = crate_id(g->arena, "action", n->name);
    const char *control = crate_id(g->arena, "control", n->name);
    json_t *action = json_pack("{s:s, s:s, s:s, s:o, s:o}", "@id", id, "@type", "CreateAction",
                               "name", arena_printf(g->arena, "run of %s", n->name), "instrument",
                               crate_ref(crate_tool_id(g->arena, n->tool)), "actionStatus",
                               crate_ref(is_done(n) ? "http://schema.org/CompletedActionStatus"
                                                    : "http://schema.org/FailedActionStatus"));
    if (*n->command)
        json_object_set_new(action, "description", json_string(n->command));
    if (!is_done(n) && n->exit)
        json_object_set_new(action, "error",
                            json_string(arena_printf(g->arena, "exit status %s", n->exit)));
    set_list(action, "object", inputs_of(g, n, run));
    set_list(action, "result", outputs_of(g, n, run));
    set_list(action, "environment", variables_of(g, n));
    crate_add(g, action);
    crate_add(g, json_pack("{s:s, s:s, s:s, s:o, s:o}", "@id", control, "@type", "ControlAction",
                           "name", arena_printf(g->arena, "orchestration of %s", n->name),
                           "instrument", crate_ref(step), "object", crate_ref(id)));
    json_array_append_new(run->actions, crate_ref(id));
    json_array_append_new(run->controls, crate_ref(control));
}

void crate_add_nodes(struct crate_graph *g, struct crate_run *run)
{
    json_t *tools = json_object();
    const char *tool;
    json_t *unused;
    for (size_t i = 0; i < g->crate->node_count; i++) {
        const struct crate_node *n = &g->crate->nodes[i];
        const char *step = crate_id(g->arena, "step", n->name);
        if (!n->command_or_text)
            continue;
        tool = crate_tool_id(g->arena, n->tool);
        json_object_set_new(tools, tool, json_true());
        crate_add(g, json_pack("{s:s, s:s, s:s, s:o}", "@id", step, "@type", "HowToStep", "name",
                               n->name, "workExample", crate_ref(tool)));
        json_array_append_new(run->steps, crate_ref(step));
        if (has_run(n))
            add_action(g, n, step, run);
    }
    json_object_foreach(tools, tool, unused) json_array_append_new(run->tools, crate_ref(tool));
    json_decref(tools);
}
