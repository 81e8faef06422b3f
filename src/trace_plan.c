#include "trace_parts.h"

#include <string.h>

/* What a node was to do, as lines. Deterministic: nothing here depends on what was built before. */
struct lines {
    struct trace_job *job;
    struct strs at;
};

static void add_line(struct lines *l, const char *key, const char *value, const char *more)
{
    struct buf line = {0};
    buf_addf(&line, "%s ", key);
    trace_add_value(&line, trace_neutral(l->job, value));
    if (more)
        buf_addf(&line, " %s", more);
    strs_push(&l->at, arena_strndup(l->job->arena, buf_text(&line), line.len));
    buf_release(&line);
}

static void add_pairs(struct lines *l, const char *key, struct slice pairs)
{
    const struct graph *g = l->job->run->graph;
    for (uint32_t i = 0; i + 1 < pairs.len; i += 2) {
        const char *name = slice_text(g, pairs, i), *value = slice_text(g, pairs, i + 1);
        add_line(l, key, arena_printf(l->job->arena, "%s %s", name, value), NULL);
    }
}

static void add_artifacts(struct lines *l, const char *key, struct slice artifacts)
{
    const struct graph *g = l->job->run->graph;
    for (uint32_t i = 0; i < artifacts.len; i++)
        add_line(l, key, artifact_path(g, slice_id(g, artifacts, i)), NULL);
}

/* Sources with their digest; what another node makes, and what lies outside the project, by name
 * alone. */
static int add_inputs(struct lines *l, const struct node *n, struct err *e)
{
    const struct graph *g = l->job->run->graph;
    for (uint32_t i = 0; i < n->inputs.len; i++) {
        uint32_t artifact = slice_id(g, n->inputs, i);
        const char *path = artifact_path(g, artifact);
        struct digest digest;
        bool found = false;
        char hex[DIGEST_HEX_LEN + 1];
        if (*path == '/' && trace_inside(l->job, path) == NULL)
            continue;
        if (g->artifacts[artifact].producer == GRAPH_NONE &&
            trace_artifact_digest(l->job, artifact, &digest, &found, e))
            return -1;
        if (found)
            digest_hex(&digest, hex);
        add_line(l, "in", path, found ? hex : NULL);
    }
    return 0;
}

static void add_members(struct lines *l, const struct node *n)
{
    const struct graph *g = l->job->run->graph;
    for (uint32_t i = 0; i < n->members.len; i++)
        add_line(l, "member", node_name(g, slice_id(g, n->members, i)), NULL);
}

static void add_facts_and_tools(struct lines *l, const struct node *n)
{
    const struct graph *g = l->job->run->graph;
    for (uint32_t i = 0; i < n->facts.len; i++) {
        const struct fact *f = &g->facts[slice_id(g, n->facts, i)];
        const char *value = graph_text(g, f->value);
        add_line(l, "fact", arena_printf(l->job->arena, "%s %s", graph_text(g, f->name), value),
                 NULL);
    }
    for (uint32_t i = 0; i < n->tools.len; i++)
        add_line(l, "tool", graph_text(g, g->tools[slice_id(g, n->tools, i)].name), NULL);
}

static void add_flags(struct lines *l, const struct node *n)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {{NODE_ALWAYS, "always"},       {NODE_DEVICE, "device"},
                 {NODE_INNER, "inner"},         {NODE_MEASURES, "measures"},
                 {NODE_NETWORK, "network"},     {NODE_OUTER, "outer"},
                 {NODE_SOFT_FAIL, "soft-fail"}, {NODE_UNSANDBOXED, "unsandboxed"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (n->flags & names[i].flag)
            add_line(l, "flag", names[i].name, NULL);
}

static void add_text(struct lines *l, const char *key, text_id text)
{
    if (text)
        add_line(l, key, graph_text(l->job->run->graph, text), NULL);
}

static void add_special(struct lines *l, const struct node *n)
{
    const struct graph *g = l->job->run->graph;
    char hex[DIGEST_HEX_LEN + 1];
    struct digest digest;
    if (n->action == NODE_WRITE) {
        const char *text = graph_text(g, n->text);
        hash_bytes(text, strlen(text), &digest);
        digest_hex(&digest, hex);
        add_line(l, "text", hex, NULL);
    }
    if ((n->flags & NODE_ASKED) && n->driver < g->node_count)
        add_line(l, "driver", node_name(g, n->driver), NULL);
    if ((n->flags & NODE_MEASURES) && n->guide < g->artifact_count)
        add_line(l, "guide", artifact_path(g, n->guide), NULL);
}

/* Arguments keep their order and come first; the word that names a tool or the project's folder
 * says so. */
static void add_arguments(struct trace_job *job, const struct node *n, struct buf *out)
{
    const struct graph *g = job->run->graph;
    for (uint32_t i = 0; i < n->argv.len; i++) {
        const char *word = slice_text(g, n->argv, i);
        for (uint32_t k = 0; k < n->tools.len; k++) {
            const struct tool *t = &g->tools[slice_id(g, n->tools, k)];
            if (strcmp(word, graph_text(g, t->path)) == 0)
                word = arena_printf(job->arena, "${tool:%s}", graph_text(g, t->name));
        }
        buf_addstr(out, "arg ");
        trace_add_value(out, trace_neutral(job, word));
        buf_addch(out, '\n');
    }
}

int trace_plan_text(struct trace_job *job, uint32_t node, struct buf *out, struct err *e)
{
    const struct node *n = &job->run->graph->nodes[node];
    struct lines l = {.job = job};
    add_text(&l, "depfile", n->depfile);
    add_text(&l, "dir", n->dir);
    add_pairs(&l, "env", n->env);
    add_facts_and_tools(&l, n);
    add_flags(&l, n);
    add_text(&l, "kind", n->kind);
    add_members(&l, n);
    add_artifacts(&l, "order", n->order_only);
    add_artifacts(&l, "out", n->outputs);
    add_pairs(&l, "param", n->params);
    add_artifacts(&l, "proof", n->proofs);
    add_text(&l, "stdout", n->stdout_to);
    add_special(&l, n);
    int rc = add_inputs(&l, n, e);
    strs_sort(&l.at);
    add_arguments(job, n, out);
    for (size_t i = 0; i < l.at.len; i++)
        buf_addf(out, "%s\n", l.at.at[i]);
    strs_release(&l.at);
    return rc;
}
