#include "key.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    const struct graph *g;
    const struct node *node;
    const struct key_lookups *lookups;
    key_sink_fn *sink;
    void *sink_ctx;
    struct buf line;
};

static void add_escaped(struct buf *out, const char *value)
{
    for (;; value++) {
        size_t plain = strcspn(value, "\\\n");
        buf_add(out, value, plain);
        value += plain;
        if (!*value)
            return;
        buf_addstr(out, *value == '\n' ? "\\n" : "\\\\");
    }
}

static void end_line(struct walk *w)
{
    buf_addch(&w->line, '\n');
    w->sink(w->sink_ctx, w->line.ptr, w->line.len);
    buf_reset(&w->line);
}

static void emit(struct walk *w, const char *key, const char *value)
{
    buf_addstr(&w->line, key);
    buf_addch(&w->line, ' ');
    add_escaped(&w->line, value);
    end_line(w);
}

static void emit_named(struct walk *w, const char *key, const char *name, const char *value)
{
    buf_addstr(&w->line, key);
    buf_addch(&w->line, ' ');
    add_escaped(&w->line, name);
    buf_addch(&w->line, ' ');
    add_escaped(&w->line, value);
    end_line(w);
}

/* A tool that moved without changing is the same tool: its name stands for its path. */
static void walk_argv(struct walk *w)
{
    const struct graph *g = w->g;
    for (uint32_t i = 0; i < w->node->argv.len; i++) {
        const char *arg = slice_text(g, w->node->argv, i);
        const struct tool *tool =
            i == 0 && w->node->tools.len ? &g->tools[slice_id(g, w->node->tools, 0)] : NULL;
        if (tool && !strcmp(arg, graph_text(g, tool->path)))
            emit_named(w, "argv", "${tool}", graph_text(g, tool->name));
        else
            emit(w, "argv", arg);
    }
}

static void walk_pairs(struct walk *w, const char *key, struct slice pairs)
{
    for (uint32_t i = 0; i + 1 < pairs.len; i += 2)
        emit_named(w, key, slice_text(w->g, pairs, i), slice_text(w->g, pairs, i + 1));
}

static void walk_facts(struct walk *w)
{
    for (uint32_t i = 0; i < w->node->facts.len; i++) {
        const struct fact *fact = &w->g->facts[slice_id(w->g, w->node->facts, i)];
        emit_named(w, "fact", graph_text(w->g, fact->name), graph_text(w->g, fact->value));
    }
}

/* Only flags that change what the command can see or what its end means. */
static void walk_flags(struct walk *w)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } flags[] = {
        {NODE_DEVICE, "device"},   {NODE_INNER, "inner"}, {NODE_MEASURES, "measures"},
        {NODE_NETWORK, "network"}, {NODE_OUTER, "outer"}, {NODE_SOFT_FAIL, "soft_fail"},
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (w->node->flags & flags[i].flag)
            emit(w, "flag", flags[i].name);
}

/* An artifact under way to its line. */
struct named {
    const char *path;
    uint32_t artifact;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->path, ((const struct named *)b)->path);
}

/* Sorted by path and without doubles, so that the order of a declaration does not matter; the
 * caller frees it. */
static struct named *sorted(const struct graph *g, struct slice artifacts, size_t *count)
{
    struct named *all = xmalloc((artifacts.len + 1) * sizeof *all);
    for (uint32_t i = 0; i < artifacts.len; i++) {
        uint32_t id = slice_id(g, artifacts, i);
        all[i] = (struct named){artifact_path(g, id), id};
    }
    qsort(all, artifacts.len, sizeof *all, by_path);
    *count = 0;
    for (uint32_t i = 0; i < artifacts.len; i++)
        if (*count == 0 || all[*count - 1].artifact != all[i].artifact)
            all[(*count)++] = all[i];
    return all;
}

static void emit_input(struct walk *w, const char *path, const struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    emit_named(w, "in", path, hex);
}

static int walk_inputs(struct walk *w, struct err *e)
{
    size_t count;
    struct named *inputs = sorted(w->g, w->node->inputs, &count);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct digest d;
        rc = w->lookups->digest(w->lookups->ctx, inputs[i].artifact, &d, e);
        if (rc == 0)
            emit_input(w, inputs[i].path, &d);
    }
    free(inputs);
    return rc;
}

/* The order of outputs does not matter to what is in them; whether one is a folder does. */
static void walk_outputs(struct walk *w)
{
    size_t count;
    struct named *outputs = sorted(w->g, w->node->outputs, &count);
    for (size_t i = 0; i < count; i++) {
        bool folder = w->g->artifacts[outputs[i].artifact].flags & ARTIFACT_DIRECTORY;
        emit(w, folder ? "out/" : "out", outputs[i].path);
    }
    free(outputs);
}

static void walk_reads(struct walk *w)
{
    for (uint32_t i = 0; i < w->node->reads.len; i++)
        emit(w, "read", slice_text(w->g, w->node->reads, i));
}

static void walk_text(struct walk *w)
{
    const char *text = graph_text(w->g, w->node->text);
    char hex[DIGEST_HEX_LEN + 1];
    struct digest d;
    hash_bytes(text, strlen(text), &d);
    digest_hex(&d, hex);
    emit(w, "text", hex);
}

static int walk_tools(struct walk *w, struct err *e)
{
    for (uint32_t i = 0; i < w->node->tools.len; i++) {
        const struct tool *tool = &w->g->tools[slice_id(w->g, w->node->tools, i)];
        struct digest d = tool->digest;
        if (tool->artifact != GRAPH_NONE &&
            w->lookups->digest(w->lookups->ctx, tool->artifact, &d, e) < 0)
            return -1;
        char hex[DIGEST_HEX_LEN + 1];
        digest_hex(&d, hex);
        struct buf value = {0};
        buf_addf(&value, "%s %s", hex, graph_text(w->g, tool->version));
        emit_named(w, "tool", graph_text(w->g, tool->name), buf_text(&value));
        buf_release(&value);
    }
    return 0;
}

static int walk_lines(struct walk *w, struct err *e)
{
    const struct graph *g = w->g;
    const struct node *node = w->node;
    walk_argv(w);
    if (node->depfile)
        emit(w, "depfile", graph_text(g, node->depfile));
    if (node->dir)
        emit(w, "dir", graph_text(g, node->dir));
    walk_pairs(w, "env", node->env);
    walk_facts(w);
    walk_flags(w);
    if (walk_inputs(w, e) < 0)
        return -1;
    emit(w, "kind", graph_text(g, node->kind));
    if ((node->flags & NODE_MEASURES) && w->lookups->machine)
        emit(w, "machine", w->lookups->machine);
    walk_outputs(w);
    walk_pairs(w, "param", node->params);
    walk_reads(w);
    if (node->stdout_to)
        emit(w, "stdout", graph_text(g, node->stdout_to));
    if (node->action == NODE_WRITE)
        walk_text(w);
    if ((node->flags & NODE_MEASURES) && w->lookups->token)
        emit(w, "token", w->lookups->token);
    return walk_tools(w, e);
}

int key_walk(const struct graph *g, uint32_t node, const struct key_lookups *lookups,
             key_sink_fn *sink, void *sink_ctx, struct err *e)
{
    struct walk w = {
        .g = g, .node = &g->nodes[node], .lookups = lookups, .sink = sink, .sink_ctx = sink_ctx};
    int rc = walk_lines(&w, e);
    buf_release(&w.line);
    return rc;
}

static void sink_hash(void *ctx, const char *line, size_t len)
{
    hash_add(ctx, line, len);
}

int key_base(const struct graph *g, uint32_t node, const struct key_lookups *lookups,
             struct digest *out, struct err *e)
{
    struct hasher h;
    hash_init(&h);
    int rc = key_walk(g, node, lookups, sink_hash, &h, e);
    hash_final(&h, out);
    return rc;
}

static void sink_text(void *ctx, const char *line, size_t len)
{
    buf_add(ctx, line, len);
}

int key_explain(const struct graph *g, uint32_t node, const struct key_lookups *lookups,
                struct buf *out, struct err *e)
{
    return key_walk(g, node, lookups, sink_text, out, e);
}

void key_full(const struct digest *base, const struct dep_record *deps, size_t count,
              struct digest *out)
{
    struct hasher h;
    hash_init(&h);
    hash_add(&h, base->bytes, DIGEST_BYTES);
    for (size_t i = 0; i < count; i++) {
        hash_add(&h, deps[i].path, strlen(deps[i].path) + 1);
        hash_add(&h, deps[i].digest.bytes, DIGEST_BYTES);
    }
    hash_final(&h, out);
}
