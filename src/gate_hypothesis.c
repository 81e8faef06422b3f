#include "gate_parts.h"

#include <string.h>

/* Strongest last. */
static const char *const rungs[] = {"ASSERTED", "STATISTICAL", "METAMORPHIC", "PROPERTY", "PROVED"};

int gate_rung(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(rungs); i++)
        if (strcmp(rungs[i], name) == 0)
            return (int)i;
    return -1;
}

static json_t *read_json(const char *path, struct err *e)
{
    struct buf text = {0};
    json_t *root = NULL;
    if (os_read(path, &text, e) == 0)
        root = json_parse(buf_text(&text), text.len, path, e);
    buf_release(&text);
    return root;
}

const char *gate_member(const char *path, const char *key, struct arena *arena)
{
    struct err ignored = {0};
    json_t *root = read_json(path, &ignored);
    const char *text = root ? json_text(root, key, NULL) : NULL;
    text = text ? arena_strdup(arena, text) : NULL;
    json_decref(root);
    err_release(&ignored);
    return text;
}

/* The reason may be put in better words after the measurement; what was predicted, and from what,
 * may not. */
static void digest_of(const struct hypothesis *h, struct digest *out)
{
    struct hasher hash;
    hash_init(&hash);
    hash_add(&hash, h->predicts, strlen(h->predicts) + 1);
    for (size_t i = 0; i < h->rests_on.len; i++) {
        hash_add(&hash, h->rests_on.at[i], strlen(h->rests_on.at[i]) + 1);
        hash_add(&hash, h->rungs.at[i], strlen(h->rungs.at[i]) + 1);
    }
    hash_final(&hash, out);
}

int hypothesis_read(const char *path, struct arena *arena, struct hypothesis *out, struct err *e)
{
    *out = (struct hypothesis){0};
    json_t *root = read_json(path, e);
    if (!root)
        return -1;
    const json_t *laws = json_object_get(root, "rests_on"), *needs = json_object_get(root, "needs");
    out->name = arena_strdup(arena, json_text(root, "name", ""));
    out->predicts = arena_strdup(arena, json_text(root, "predicts", ""));
    for (size_t i = 0; i < json_array_size(laws); i++) {
        const char *law = json_string_value(json_array_get(laws, i));
        if (!law)
            continue;
        strs_push(&out->rests_on, arena_strdup(arena, law));
        strs_push(&out->rungs, arena_strdup(arena, json_text(needs, law, "")));
    }
    digest_of(out, &out->digest);
    json_decref(root);
    return 0;
}

void hypothesis_release(struct hypothesis *h)
{
    strs_release(&h->rests_on);
    strs_release(&h->rungs);
}

static void add_hypotheses(const struct graph *g, struct slice artifacts, struct ids *out)
{
    for (uint32_t i = 0; i < artifacts.len; i++) {
        uint32_t artifact = slice_id(g, artifacts, i), producer = g->artifacts[artifact].producer;
        if (producer != GRAPH_NONE && !ids_contains(out, artifact) &&
            strcmp(graph_text(g, g->nodes[producer].kind), "hypothesis") == 0)
            ids_push(out, artifact);
    }
}

void gate_hypotheses(const struct graph *g, uint32_t node, struct ids *out)
{
    const struct node *n = &g->nodes[node];
    uint32_t maker = n->guide == GRAPH_NONE ? GRAPH_NONE : g->artifacts[n->guide].producer;
    add_hypotheses(g, n->inputs, out);
    if (maker != GRAPH_NONE)
        add_hypotheses(g, g->nodes[maker].inputs, out);
}
