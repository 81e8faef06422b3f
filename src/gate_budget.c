#include "gate_parts.h"

#include <math.h>
#include <string.h>

#define SPENT "gate/spent"

/* What can be spent, as the member of an allowance and as it is told. */
static const struct {
    const char *name, *unit;
} coins[] = {{"tries", ""}, {"wall", " s wall"}, {"cpu", " s CPU"}, {"device", " s device"}};

/* Purses only ever fill: of two that tell of one thing the fuller is the later. */
static void take_fuller(json_t *all, const json_t *more)
{
    const char *key;
    json_t *purse;
    json_object_foreach((json_t *)more, key, purse)
    {
        json_t *own = json_object_get(all, key);
        if (!own) {
            own = json_object();
            json_object_set_new(all, key, own);
        }
        for (size_t i = 0; i < ARRAY_LEN(coins); i++)
            json_object_set_new(own, coins[i].name,
                                json_real(fmax(json_num(own, coins[i].name, 0),
                                               json_num(purse, coins[i].name, 0))));
    }
}

/* A store that is new has spent nothing, the traces have. What is no JSON there is as good as not
 * there. */
static int recall(struct gate *gate, struct err *e)
{
    struct buf text = {0};
    struct str rest, line;
    if (gate->recalled)
        return 0;
    int rc = gate->options.recall_spent
                 ? gate->options.recall_spent(gate->options.recall_ctx, &text, e)
                 : 0;
    gate->recalled = json_object();
    rest = str_of(buf_text(&text));
    while (rc == 0 && str_split(&rest, '\n', &line)) {
        struct err ignored = {0};
        json_t *spent = json_parse(line.ptr, line.len, SPENT, &ignored);
        if (json_is_object(spent))
            take_fuller(gate->recalled, spent);
        json_decref(spent);
        err_release(&ignored);
    }
    buf_release(&text);
    return rc;
}

static json_t *read_spent(struct gate *gate, struct err *e)
{
    struct buf text = {0};
    bool found;
    json_t *spent = NULL;
    int rc = store_get_value(gate->options.store, SPENT, &text, &found, e);
    if (rc == 0 && found)
        spent = json_parse(buf_text(&text), text.len, SPENT, e);
    else if (rc == 0 && recall(gate, e) == 0)
        spent = json_deep_copy(gate->recalled);
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

/* "3 of 3 tries, 12.1 of 60 s wall": the limits, and what was spent where there is none; `over`:
 * nothing is left of one. NULL: nothing to tell. */
static const char *tell(const json_t *allow, const json_t *purse, bool limits_only, bool *over,
                        struct arena *arena)
{
    struct buf text = {0};
    *over = false;
    for (size_t i = 0; i < ARRAY_LEN(coins); i++) {
        const json_t *limit = json_object_get(allow, coins[i].name);
        double had = json_num(purse, coins[i].name, 0);
        if (!json_is_number(limit) && (limits_only || had <= 0))
            continue;
        buf_addf(&text, "%s%.4g", text.len ? ", " : "", had);
        if (json_is_number(limit)) {
            *over = *over || had >= json_number_value(limit);
            buf_addf(&text, " of %.4g", json_number_value(limit));
        }
        buf_addf(&text, "%s%s", i == 0 ? " tries" : "", coins[i].unit);
    }
    const char *said = text.len ? arena_strdup(arena, buf_text(&text)) : NULL;
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
    bool over;
    const char *said =
        tell(inner, json_object_get(spent, arena_printf(arena, "%s %s", whose, name)), true, &over,
             arena);
    int rc = over ? refuse_spending(g, node, whose, name, said, e) : 0;
    json_decref(root);
    return rc;
}

/* The files that say what a measurement may spend of its own. */
static void add_allowances(const struct graph *g, uint32_t node, struct ids *out)
{
    struct slice before = g->nodes[node].order_only;
    for (uint32_t i = 0; i < before.len; i++) {
        uint32_t producer = g->artifacts[slice_id(g, before, i)].producer;
        if (producer != GRAPH_NONE && !strcmp(graph_text(g, g->nodes[producer].kind), "allowance"))
            ids_push(out, slice_id(g, before, i));
    }
}

int gate_afford(struct gate *gate, const struct graph *g, uint32_t node, struct err *e)
{
    struct arena arena = {0};
    struct ids files = {0};
    json_t *spent = read_spent(gate, e);
    int rc = spent ? 0 : -1;
    gate_hypotheses(g, node, &files);
    add_allowances(g, node, &files);
    for (size_t i = 0; rc == 0 && i < files.len; i++)
        rc = check_file(g, node, artifact_path(g, files.at[i]), spent, &arena, e);
    json_decref(spent);
    ids_release(&files);
    arena_release(&arena);
    return rc;
}

const char *gate_spent(struct gate *gate, const struct graph *g, uint32_t node, struct arena *arena)
{
    struct err ignored = {0};
    struct ids files = {0};
    enum gate_object object;
    const char *name, *said = NULL;
    bool over;
    if (!gate_names(g, node, &object, &name))
        return NULL;
    if (object == GATE_MEASUREMENT)
        add_allowances(g, node, &files);
    else if (object == GATE_HYPOTHESIS && g->nodes[node].outputs.len)
        ids_push(&files, slice_id(g, g->nodes[node].outputs, 0));
    json_t *spent = read_spent(gate, &ignored);
    json_t *root = files.len ? allowance(artifact_path(g, files.at[0])) : NULL;
    said = tell(json_object_get(root, "allow"),
                json_object_get(spent, purse_of(arena, object, name)), false, &over, arena);
    json_decref(root);
    json_decref(spent);
    ids_release(&files);
    err_release(&ignored);
    return said;
}

int gate_purses(struct gate *gate, struct arena *arena, const char **out, struct err *e)
{
    struct buf text = {0};
    *out = "";
    if (gate_load(gate, e) < 0)
        return -1;
    if (gate->text.len == 0) /* nothing was ever measured */
        return 0;
    json_t *spent = read_spent(gate, e);
    int rc = spent ? 0 : -1;
    if (rc == 0 && gate->recalled) /* the next run need not ask the traces */
        rc = write_spent(gate, spent, e);
    if (rc == 0 && json_object_size(spent)) {
        json_compact(spent, &text);
        *out = arena_strdup(arena, buf_text(&text));
    }
    buf_release(&text);
    json_decref(spent);
    return rc;
}
