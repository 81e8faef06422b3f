#include "session.h"

#include <stdlib.h>
#include <string.h>

/* A value of the store lists, for each spakfile, what its graph made at its last build: `path`,
 * tab, `node`, tab, the driver that asked for the node or nothing. What stands there and not in the
 * graph of today was made by us for a declaration that is gone. A second one is the snapshot that
 * the list was made from. What -f builds leaves the outputs of other spakfiles alone. */
static const char *list_name(struct session *s)
{
    return arena_printf(s->arena, "outputs of %s", s->script_options.spakfile);
}

static const char *swept_name(struct session *s)
{
    return arena_printf(s->arena, "swept for %s", s->script_options.spakfile);
}

struct made {
    const char *path, *node, *driver;
};

static bool parse_made(struct arena *arena, struct str line, struct made *out)
{
    struct str rest = line, path, node, driver = {"", 0};
    if (!str_split(&rest, '\t', &path) || !str_split(&rest, '\t', &node))
        return false;
    str_split(&rest, '\t', &driver);
    out->path = arena_strndup(arena, path.ptr, path.len);
    out->node = arena_strndup(arena, node.ptr, node.len);
    out->driver = arena_strndup(arena, driver.ptr, driver.len);
    return true;
}

static void list_outputs(const struct graph *g, struct buf *out)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct node *n = &g->nodes[i];
        bool asked = (n->flags & NODE_ASKED) && n->driver < g->node_count;
        for (uint32_t k = 0; k < n->outputs.len; k++)
            buf_addf(out, "%s\t%s\t%s\n", artifact_path(g, slice_id(g, n->outputs, k)),
                     node_name(g, i), asked ? node_name(g, n->driver) : "");
    }
}

/* A driver that did not run today may still ask for what it asked for before. */
static bool may_be_asked(const struct session *s, const struct outcome *outcomes,
                         const struct made *m)
{
    uint32_t driver = *m->driver ? graph_find_node(s->graph, m->driver) : GRAPH_NONE;
    return driver != GRAPH_NONE && outcomes[driver].status != STATUS_RAN;
}

static bool is_gone(const struct session *s, const struct outcome *outcomes, const struct made *m)
{
    uint32_t artifact = graph_find_artifact(s->graph, m->path);
    bool declared = artifact != GRAPH_NONE;
    return !declared && text_starts_with(m->path, "out/") &&
           !text_starts_with(m->path, "out/.spak") && !may_be_asked(s, outcomes, m);
}

/* Only what is on disk as we left it is ours to remove. */
static int is_ours(struct session *s, const struct made *m, bool *ours, struct err *e)
{
    struct node_state state;
    bool found, exists;
    struct digest now;
    *ours = false;
    if (store_recall_node(s->store, m->node, s->arena, &state, &found, e) < 0)
        return -1;
    for (size_t i = 0; found && i < state.record.output_count; i++) {
        if (strcmp(state.record.outputs[i].path, m->path) != 0)
            continue;
        if (hash_cache_digest(s->cache, m->path, &now, &exists, e) < 0)
            return -1;
        *ours = exists && digest_equal(&now, &state.record.outputs[i].digest);
    }
    return 0;
}

static int sweep_list(struct session *s, const struct outcome *outcomes, struct str list,
                      struct strs *removed, struct err *e)
{
    struct str line;
    struct made m;
    while (str_split(&list, '\n', &line)) {
        bool ours;
        if (!parse_made(s->arena, line, &m) || !is_gone(s, outcomes, &m))
            continue;
        if (is_ours(s, &m, &ours, e) < 0 || (ours && os_remove(m.path, e) < 0))
            return -1;
        if (ours)
            strs_push(removed, m.path);
    }
    return 0;
}

static int was_swept(struct session *s, uint64_t *id, bool *swept, struct err *e)
{
    struct buf before = {0};
    bool found = false;
    bool saved = graph_id(session_snapshot(s), &s->stamp, id);
    int rc = store_recall_value(s->store, swept_name(s), &before, &found, e);
    *swept = saved && found && before.len == sizeof *id && !memcmp(before.ptr, id, sizeof *id);
    buf_release(&before);
    return rc;
}

/* Together: each commit waits for the disk. */
static int remember(struct session *s, const struct buf *list, uint64_t id, struct err *e)
{
    if (store_begin(s->store, e) < 0)
        return -1;
    if ((list && store_put_value(s->store, list_name(s), buf_text(list), list->len, e) < 0) ||
        store_put_value(s->store, swept_name(s), &id, sizeof id, e) < 0) {
        store_abort(s->store);
        return -1;
    }
    return store_commit(s->store, e);
}

static int sweep(struct session *s, const struct outcome *outcomes, uint64_t id,
                 struct strs *removed, struct err *e)
{
    struct buf before = {0}, now = {0};
    bool found = false;
    list_outputs(s->graph, &now);
    int rc = store_recall_value(s->store, list_name(s), &before, &found, e);
    bool same = before.len == now.len && (now.len == 0 || !memcmp(before.ptr, now.ptr, now.len));
    if (rc == 0 && !same)
        rc = sweep_list(s, outcomes, (struct str){buf_text(&before), before.len}, removed, e);
    if (rc == 0)
        rc = remember(s, same ? NULL : &now, id, e);
    buf_release(&before);
    buf_release(&now);
    return rc;
}

int session_sweep(struct session *s, const struct outcome *outcomes, bool again,
                  struct strs *removed, struct err *e)
{
    uint64_t id;
    bool swept;
    if (was_swept(s, &id, &swept, e) < 0)
        return -1;
    return swept && !again ? 0 : sweep(s, outcomes, id, removed, e);
}
