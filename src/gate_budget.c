#include "gate_parts.h"

#include <string.h>

#define SPENT "gate/spent"

/* What can be spent, as the member of an allowance and as it is told. */
static const struct {
    const char *name, *unit;
} coins[] = {{"tries", ""}, {"wall", " s wall"}, {"cpu", " s CPU"}, {"device", " s device"}};

static json_t *read_spent(struct gate *gate, struct err *e)
{
    struct buf text = {0};
    bool found;
    json_t *spent = NULL;
    if (store_get_value(gate->options.store, SPENT, &text, &found, e) == 0)
        spent = found ? json_parse(buf_text(&text), text.len, SPENT, e) : json_object();
    buf_release(&text);
    return spent;
}

static int write_spent(struct gate *gate, const json_t *spent, struct err *e)
{
    struct buf text = {0};
    json_compact(spent, &text);
    int rc = store_put_value(gate->options.store, SPENT, text.ptr, text.len, e);
    buf_release(&text);
    return rc;
}

static void add(json_t *spent, const char *key, const double amount[])
{
    json_t *purse = json_object_get(spent, key);
    if (!purse) {
        purse = json_object();
        json_object_set_new(spent, key, purse);
    }
    for (size_t i = 0; i < ARRAY_LEN(coins); i++)
        json_object_set_new(purse, coins[i].name,
                            json_real(json_num(purse, coins[i].name, 0) + amount[i]));
}

static char *purse_of(struct arena *arena, enum gate_object object, const char *name)
{
    return arena_printf(arena, "%s %s", gate_object_name(object), name);
}

/* The node's own purse and those of the hypotheses that it tests. */
static int add_all(struct gate *gate, const struct graph *g, uint32_t node, const double amount[],
                   struct err *e)
{
    struct arena arena = {0};
    struct ids files = {0};
    json_t *spent = read_spent(gate, e);
    int rc = spent ? 0 : -1;
    gate_hypotheses(g, node, &files);
    if (spent)
        add(spent, purse_of(&arena, GATE_MEASUREMENT, node_name(g, node)), amount);
    for (size_t i = 0; spent && i < files.len; i++) {
        struct hypothesis h;
        struct err ignored = {0};
        if (hypothesis_read(artifact_path(g, files.at[i]), &arena, &h, &ignored) == 0)
            add(spent, purse_of(&arena, GATE_HYPOTHESIS, h.name), amount);
        hypothesis_release(&h);
        err_release(&ignored);
    }
    if (rc == 0)
        rc = write_spent(gate, spent, e);
    json_decref(spent);
    ids_release(&files);
    arena_release(&arena);
    return rc;
}

int gate_count_try(struct gate *gate, const struct graph *g, uint32_t node, struct err *e)
{
    return add_all(gate, g, node, (const double[]){1, 0, 0, 0}, e);
}

int gate_spend(struct gate *gate, const struct graph *g, uint32_t node, int64_t wall_ns,
               int64_t cpu_ns, struct err *e)
{
    double wall = (double)wall_ns / 1e9, cpu = (double)cpu_ns / 1e9;
    bool device = g->nodes[node].flags & NODE_DEVICE;
    if (!(g->nodes[node].flags & NODE_MEASURES))
        return 0;
    return add_all(gate, g, node, (const double[]){0, wall, cpu, device ? wall : 0}, e);
}

/* What an allowance has left of nothing: "3 of 3 tries, 12.1 of 60 s wall"; NULL when all is well.
 */
static const char *overdrawn(const json_t *allow, const json_t *purse, struct arena *arena)
{
    struct buf text = {0};
    bool over = false;
    for (size_t i = 0; i < ARRAY_LEN(coins); i++) {
        const json_t *limit = json_object_get(allow, coins[i].name);
        double had = json_num(purse, coins[i].name, 0);
        if (!json_is_number(limit))
            continue;
        over = over || had >= json_number_value(limit);
        buf_addf(&text, "%s%.4g of %.4g%s%s", text.len ? ", " : "", had, json_number_value(limit),
                 i == 0 ? " tries" : "", coins[i].unit);
    }
    const char *said = over ? arena_strdup(arena, buf_text(&text)) : NULL;
    buf_release(&text);
    return said;
}

static json_t *allowance(const char *path)
{
    struct buf text = {0};
    struct err ignored = {0};
    json_t *root = NULL;
    if (os_read(path, &text, &ignored) == 0)
        root = json_parse(buf_text(&text), text.len, path, &ignored);
    buf_release(&text);
    err_release(&ignored);
    return root;
}

static int refuse_spending(const struct graph *g, uint32_t node, const char *whose,
                           const char *name, const char *said, struct err *e)
{
    err_set(e, ERR_budget_spent, "%s %s has spent what it was allowed: %s", whose, name, said);
    err_hint(e, "what was found so far is the result; more is allowed where it is declared "
                "(allow = { ... }), and the difference is in git");
    return err_at(e, node_place(g, node));
}

static int check_file(const struct graph *g, uint32_t node, const char *path, const json_t *spent,
                      struct arena *arena, struct err *e)
{
    json_t *root = allowance(path);
    const json_t *inner = json_object_get(root, "allow");
    const char *name = json_text(root, "name", "");
    const char *whose = json_text(root, "of", "hypothesis");
    const char *said =
        overdrawn(inner, json_object_get(spent, arena_printf(arena, "%s %s", whose, name)), arena);
    int rc = said ? refuse_spending(g, node, whose, name, said, e) : 0;
    json_decref(root);
    return rc;
}

int gate_afford(struct gate *gate, const struct graph *g, uint32_t node, struct err *e)
{
    struct arena arena = {0};
    struct ids files = {0};
    struct slice before = g->nodes[node].order_only;
    json_t *spent = read_spent(gate, e);
    int rc = spent ? 0 : -1;
    gate_hypotheses(g, node, &files);
    for (uint32_t i = 0; i < before.len; i++) {
        uint32_t producer = g->artifacts[slice_id(g, before, i)].producer;
        if (producer != GRAPH_NONE && !strcmp(graph_text(g, g->nodes[producer].kind), "allowance"))
            ids_push(&files, slice_id(g, before, i));
    }
    for (size_t i = 0; rc == 0 && i < files.len; i++)
        rc = check_file(g, node, artifact_path(g, files.at[i]), spent, &arena, e);
    json_decref(spent);
    ids_release(&files);
    arena_release(&arena);
    return rc;
}

const char *gate_spent(struct gate *gate, enum gate_object object, const char *name,
                       struct arena *arena)
{
    struct err ignored = {0};
    json_t *spent = read_spent(gate, &ignored);
    const json_t *purse = json_object_get(spent, purse_of(arena, object, name));
    struct buf text = {0};
    for (size_t i = 0; purse && i < ARRAY_LEN(coins); i++)
        if (json_num(purse, coins[i].name, 0) > 0)
            buf_addf(&text, "%s%.4g%s%s", i ? ", " : "", json_num(purse, coins[i].name, 0),
                     i == 0 ? " tries" : "", coins[i].unit);
    const char *said = text.len ? arena_strdup(arena, buf_text(&text)) : NULL;
    buf_release(&text);
    json_decref(spent);
    err_release(&ignored);
    return said;
}
