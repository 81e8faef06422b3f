#include "graph.h"

/* An empty list or text says nothing, so it is left out. */
static void put_text(json_t *o, const char *key, const char *text)
{
    if (*text)
        json_object_set_new(o, key, json_string(text));
}

static void put_list(json_t *o, const char *key, json_t *list)
{
    if (json_array_size(list))
        json_object_set_new(o, key, list);
    else
        json_decref(list);
}

static json_t *texts(const struct graph *g, struct slice s)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < s.len; i++)
        json_array_append_new(list, json_string(slice_text(g, s, i)));
    return list;
}

static json_t *paths(const struct graph *g, struct slice s)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < s.len; i++)
        json_array_append_new(list, json_string(artifact_path(g, slice_id(g, s, i))));
    return list;
}

static json_t *names(const struct graph *g, struct slice s)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < s.len; i++)
        json_array_append_new(list, json_string(node_name(g, slice_id(g, s, i))));
    return list;
}

static void put_pairs(json_t *o, const char *key, const struct graph *g, struct slice s)
{
    if (!s.len)
        return;
    json_t *pairs = json_object();
    for (uint32_t i = 0; i + 1 < s.len; i += 2)
        json_object_set_new(pairs, slice_text(g, s, i), json_string(slice_text(g, s, i + 1)));
    json_object_set_new(o, key, pairs);
}

static json_t *flag_list(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } table[] = {
        {NODE_OUTER, "outer"},
        {NODE_INNER, "inner"},
        {NODE_MEASURES, "measures"},
        {NODE_MEASURED, "measured"},
        {NODE_NETWORK, "network"},
        {NODE_CONSOLE, "console"},
        {NODE_UNSANDBOXED, "unsandboxed"},
        {NODE_ALWAYS, "always"},
        {NODE_TARGET, "target"},
        {NODE_DEFAULT, "default"},
        {NODE_SOFT_FAIL, "soft_fail"},
        {NODE_ASKED, "asked"},
        {NODE_TEST, "test"},
        {NODE_DEVICE, "device"},
        {NODE_JOBSERVER, "jobserver"},
    };
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (flags & table[i].flag)
            json_array_append_new(list, json_string(table[i].name));
    return list;
}

static json_t *place(const struct graph *g, const struct node *n)
{
    return json_pack("{s:s, s:i, s:i}", "file", graph_text(g, n->file), "line", (int)n->line,
                     "column", (int)n->column);
}

static void put_named(json_t *o, const struct graph *g, const struct node *n)
{
    json_t *tools = json_array(), *facts = json_object();

    for (uint32_t i = 0; i < n->tools.len; i++)
        json_array_append_new(tools,
                              json_string(graph_text(g, g->tools[slice_id(g, n->tools, i)].name)));
    put_list(o, "tools", tools);
    for (uint32_t i = 0; i < n->facts.len; i++) {
        const struct fact *fact = &g->facts[slice_id(g, n->facts, i)];
        json_object_set_new(facts, graph_text(g, fact->name),
                            json_string(graph_text(g, fact->value)));
    }
    if (json_object_size(facts))
        json_object_set(o, "facts", facts);
    json_decref(facts);
}

static json_t *node_json(const struct graph *g, const struct node *n)
{
    static const char *const actions[] = {"group", "command", "write", "driver"};
    json_t *o = json_object();

    put_text(o, "name", node_name(g, (uint32_t)(n - g->nodes)));
    put_text(o, "kind", graph_text(g, n->kind));
    put_text(o, "doc", graph_text(g, n->doc));
    json_object_set_new(o, "place", place(g, n));
    put_text(o, "action", actions[n->action]);
    put_list(o, "flags", flag_list(n->flags));
    put_list(o, "argv", texts(g, n->argv));
    put_pairs(o, "env", g, n->env);
    put_pairs(o, "params", g, n->params);
    put_named(o, g, n);
    put_list(o, "inputs", paths(g, n->inputs));
    put_list(o, "order_only", paths(g, n->order_only));
    put_list(o, "members", names(g, n->members));
    put_list(o, "outputs", paths(g, n->outputs));
    put_list(o, "reads", texts(g, n->reads));
    put_list(o, "proofs", paths(g, n->proofs));
    put_text(o, "depfile", graph_text(g, n->depfile));
    put_text(o, "stdout", graph_text(g, n->stdout_to));
    put_text(o, "text", graph_text(g, n->text));
    put_text(o, "show", graph_text(g, n->show));
    put_text(o, "dir", graph_text(g, n->dir));
    put_text(o, "pool", n->pool == GRAPH_NONE ? "" : graph_text(g, g->pools[n->pool].name));
    put_text(o, "guide", n->guide == GRAPH_NONE ? "" : artifact_path(g, n->guide));
    if (n->timeout_ms)
        json_object_set_new(o, "timeout_ms", json_integer(n->timeout_ms));
    return o;
}

static json_t *artifact_json(const struct graph *g, const struct artifact *a)
{
    json_t *o = json_object();

    put_text(o, "path", graph_text(g, a->path));
    put_text(o, "producer", a->producer == GRAPH_NONE ? "" : node_name(g, a->producer));
    if (a->flags & ARTIFACT_DIRECTORY)
        json_object_set_new(o, "directory", json_true());
    if (a->flags & ARTIFACT_METRICS)
        json_object_set_new(o, "metrics", json_true());
    if (a->flags & ARTIFACT_TRACED)
        json_object_set_new(o, "traced", json_true());
    if (a->flags & ARTIFACT_INSIDE)
        json_object_set_new(o, "inside", json_true());
    put_list(o, "users", names(g, a->users));
    return o;
}

static json_t *tool_json(const struct graph *g, const struct tool *t)
{
    char hex[DIGEST_HEX_LEN + 1];
    json_t *o = json_object();

    put_text(o, "name", graph_text(g, t->name));
    put_text(o, "path", graph_text(g, t->path));
    put_text(o, "version", graph_text(g, t->version));
    put_list(o, "files", texts(g, t->files));
    digest_hex(&t->digest, hex);
    put_text(o, t->artifact == GRAPH_NONE ? "digest" : "artifact",
             t->artifact == GRAPH_NONE ? hex : artifact_path(g, t->artifact));
    return o;
}

json_t *graph_to_json(const struct graph *g)
{
    json_t *o = json_object(), *nodes = json_array(), *artifacts = json_array(),
           *tools = json_array();
    json_t *facts = json_object(), *pools = json_object();

    for (uint32_t i = 0; i < g->node_count; i++)
        json_array_append_new(nodes, node_json(g, &g->nodes[i]));
    for (uint32_t i = 0; i < g->artifact_count; i++)
        json_array_append_new(artifacts, artifact_json(g, &g->artifacts[i]));
    for (uint32_t i = 0; i < g->tool_count; i++)
        json_array_append_new(tools, tool_json(g, &g->tools[i]));
    for (uint32_t i = 0; i < g->fact_count; i++)
        json_object_set_new(facts, graph_text(g, g->facts[i].name),
                            json_string(graph_text(g, g->facts[i].value)));
    for (uint32_t i = 0; i < g->pool_count; i++)
        json_object_set_new(pools, graph_text(g, g->pools[i].name),
                            json_integer(g->pools[i].depth));
    json_object_set_new(o, "nodes", nodes);
    json_object_set_new(o, "artifacts", artifacts);
    json_object_set_new(o, "tools", tools);
    json_object_set_new(o, "facts", facts);
    json_object_set_new(o, "pools", pools);
    put_text(o, "trace_to", graph_text(g, g->trace_to));
    return o;
}
