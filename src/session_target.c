#include "session.h"

#include <string.h>

static void add_once(struct ids *ids, uint32_t node)
{
    if (node != GRAPH_NONE && !ids_contains(ids, node))
        ids_push(ids, node);
}

static bool is_end_of(const char *whole, const char *name)
{
    size_t a = strlen(whole), b = strlen(name);
    return a > b && whole[a - b - 1] == '/' && !strcmp(whole + a - b, name);
}

/* "out/bin/hello.o" for "hello". */
static bool is_stem_of(const char *path, const char *name)
{
    const char *last = strrchr(path, '/');
    last = last ? last + 1 : path;
    size_t len = strcspn(last, ".");
    return len > 0 && len == strlen(name) && !strncmp(last, name, len);
}

static void match_suffixes(const struct graph *g, const char *name, struct ids *out)
{
    for (uint32_t i = 0; i < g->node_count; i++)
        if (is_end_of(node_name(g, i), name))
            add_once(out, i);
    for (uint32_t i = 0; i < g->artifact_count; i++)
        if (is_end_of(artifact_path(g, i), name))
            add_once(out, g->artifacts[i].producer);
    for (uint32_t i = 0; i < g->artifact_count && out->len == 0; i++)
        if (is_stem_of(artifact_path(g, i), name))
            add_once(out, g->artifacts[i].producer);
}

static uint32_t find_exact(const struct session *s, const char *name, bool *source)
{
    const struct graph *g = s->graph;
    const char *const ways[] = {name, os_join(s->arena, s->prefix, name)};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        uint32_t node = graph_find_node(g, ways[i]);
        uint32_t artifact = graph_find_artifact(g, ways[i]);
        if (node != GRAPH_NONE)
            return node;
        if (artifact != GRAPH_NONE && g->artifacts[artifact].producer != GRAPH_NONE)
            return g->artifacts[artifact].producer;
        *source |= artifact != GRAPH_NONE;
    }
    return GRAPH_NONE;
}

static void note_targets(const struct graph *g, struct err *e)
{
    struct buf text = {0};
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].flags & NODE_TARGET)
            buf_addf(&text, "%s%s", text.len ? ", " : "", node_name(g, i));
    if (text.len)
        err_note(e, (struct place){0}, "the targets are: %s", text.ptr);
    buf_release(&text);
}

static int unknown(const struct session *s, const char *name, bool source, struct err *e)
{
    const char *near = graph_nearest(s->graph, name);
    if (source)
        return err_set(e, ERR_target_unknown, "%s is a source: nothing makes it", name);
    err_set(e, ERR_target_unknown, "no target, node or file is called %s", name);
    note_targets(s->graph, e);
    return near ? err_hint(e, "did you mean %s?", near) : -1;
}

static int ambiguous(const struct session *s, const char *name, const struct ids *found,
                     struct err *e)
{
    err_set(e, ERR_target_unknown, "%s could be any of %zu nodes", name, found->len);
    for (size_t i = 0; i < found->len && i < 6; i++)
        err_note(e, node_place(s->graph, found->at[i]), "%s", node_name(s->graph, found->at[i]));
    return err_hint(e, "type more of its name");
}

static int resolve(const struct session *s, const char *name, struct ids *out, struct err *e)
{
    struct ids found = {0};
    bool source = false;
    uint32_t node = find_exact(s, name, &source);
    int rc = 0;
    if (node == GRAPH_NONE && !source)
        match_suffixes(s->graph, name, &found);
    if (found.len == 1)
        node = found.at[0];
    if (found.len > 1)
        rc = ambiguous(s, name, &found, e);
    else if (node == GRAPH_NONE)
        rc = unknown(s, name, source, e);
    else
        add_once(out, node);
    ids_release(&found);
    return rc;
}

/* No default: everything that the spakfile itself declares, except the tests. */
static void add_defaults(const struct graph *g, struct ids *out)
{
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].flags & NODE_DEFAULT)
            ids_push(out, i);
    if (out->len > 0)
        return;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].action != NODE_GROUP && !(g->nodes[i].flags & (NODE_TEST | NODE_ASKED)))
            ids_push(out, i);
}

int session_targets(struct session *s, const struct strs *names, struct ids *out, struct err *e)
{
    if (names->len == 0)
        add_defaults(s->graph, out);
    for (size_t i = 0; i < names->len; i++)
        if (resolve(s, names->at[i], out, e) < 0)
            return -1;
    return 0;
}
