#include "project.h"

#include <stdio.h>
#include <string.h>

/* The first sentence of the prose above a declaration, on one line. */
static void add_sentence(const char *doc, struct buf *out)
{
    for (; *doc; doc++) {
        if (*doc == '.' && (doc[1] == ' ' || doc[1] == '\n' || !doc[1]))
            return;
        if (*doc == '\n' && doc[1] == '\n')
            return;
        buf_addch(out, *doc == '\n' || *doc == '\t' ? ' ' : *doc);
    }
}

static void add_json(const struct graph *g, uint32_t node, struct buf *out)
{
    const struct node *n = &g->nodes[node];
    json_t *o = json_object();

    json_object_set_new(o, "name", json_string(node_name(g, node)));
    json_object_set_new(o, "kind", json_string(graph_text(g, n->kind)));
    json_object_set_new(o, "default", json_boolean(n->flags & NODE_DEFAULT));
    json_object_set_new(o, "doc", json_string(graph_text(g, n->doc)));
    json_compact(o, out);
    buf_addch(out, '\n');
    json_decref(o);
}

static void add_line(const struct cmd_context *c, const struct graph *g, uint32_t node,
                     size_t width, struct buf *out)
{
    const struct node *n = &g->nodes[node];
    struct buf doc = {0};

    add_sentence(graph_text(g, n->doc), &doc);
    if (cmd_flag(c, "plain"))
        buf_addf(out, "%s\t%s\n", node_name(g, node), buf_text(&doc));
    else if (doc.len)
        buf_addf(out, "%-*s  %s%s\n", (int)width, node_name(g, node), doc.ptr,
                 n->flags & NODE_DEFAULT ? " (default)" : "");
    else
        buf_addf(out, "%s%s\n", node_name(g, node), n->flags & NODE_DEFAULT ? "  (default)" : "");
    buf_release(&doc);
}

static bool is_listed(const struct cmd_context *c, const struct node *node)
{
    return node->flags & NODE_TARGET || cmd_flag(c, "all");
}

static void print(const struct cmd_context *c, const struct graph *g)
{
    struct buf out = {0};
    size_t width = 0;

    for (uint32_t i = 0; i < g->node_count; i++) {
        if (is_listed(c, &g->nodes[i]) && strlen(node_name(g, i)) > width)
            width = strlen(node_name(g, i));
    }
    for (uint32_t i = 0; i < g->node_count; i++) {
        if (!is_listed(c, &g->nodes[i]))
            continue;
        if (c->json)
            add_json(g, i, &out);
        else
            add_line(c, g, i, width < 32 ? width : 32, &out);
    }
    fwrite(buf_text(&out), 1, out.len, stdout);
    buf_release(&out);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    int rc = project_open(c, "targets", false, &s, e);

    if (rc == 0)
        print(c, s.graph);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}

static const struct cmd_option options[] = {
    {'a', "all", CMD_FLAG, NULL, "every node, not only the targets"},
    {0, "plain", CMD_FLAG, NULL, "print each name, a tab and what it is, for scripts"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak targets",
    "what `spak build` can be asked for",
    "spak targets --all --json",
    "every node, for a program",
    NULL,
};

const struct cmd cmd_targets = {
    .name = "targets",
    .summary = "list what can be built",
    .usage = "[OPTION]...",
    .text =
        "Lists the targets that the spakfile declares, each with the first sentence of the prose "
        "above its declaration.",
    .options = options,
    .examples = examples,
    .run = run,
};
