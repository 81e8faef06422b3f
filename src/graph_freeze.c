#include "graph_build.h"

#include <stdlib.h>
#include <string.h>

/* What is known while the graph is checked; arrays hold one entry a node. */
struct freeze {
    struct graph_builder *b;
    struct graph g; /* views into the builder: enough for graph_node_deps */
    uint32_t *dep_at, *deps;
    uint32_t *order;
    struct err *e;
};

static struct place place_of(const struct freeze *f, uint32_t node)
{
    const struct node *n = builder_node(f->b, node);
    return (struct place){builder_text(f->b, n->file), (int)n->line, (int)n->column};
}

static const char *name_of(const struct freeze *f, uint32_t node)
{
    return builder_text(f->b, builder_node(f->b, node)->name);
}

static const char *nearest_name(const struct freeze *f, const char *name)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;

    for (uint32_t i = 0; i < f->b->slot_count; i++) {
        const struct text_slot *slot = &f->b->slots[i];
        bool is = slot->text && (slot->node != GRAPH_NONE ||
                                 (slot->artifact != GRAPH_NONE &&
                                  builder_artifact(f->b, slot->artifact)->producer != GRAPH_NONE));
        if (!is)
            continue;
        size_t d = text_distance(name, builder_text(f->b, slot->text));
        if (d < best_distance ||
            (best && d == best_distance && strcmp(builder_text(f->b, slot->text), best) < 0)) {
            best = builder_text(f->b, slot->text);
            best_distance = d;
        }
    }
    return best;
}

static int unknown_member(struct freeze *f, const struct pending_member *p, bool source)
{
    const char *name = builder_text(f->b, p->name);
    const char *near = nearest_name(f, name);

    if (source)
        err_set(f->e, ERR_unknown_name, "\"%s\" is a source file: nothing makes it", name);
    else
        err_set(f->e, ERR_unknown_name,
                "nothing is called \"%s\", and nothing makes a file of that name", name);
    err_at(f->e, place_of(f, p->node));
    if (near && !source)
        err_hint(f->e, "did you mean \"%s\"?", near);
    else
        err_hint(f->e, "members are names of nodes and targets, and outputs of nodes");
    return -1;
}

static int resolve_members(struct freeze *f)
{
    const struct pending_member *pending = f->b->pending.at;

    for (size_t i = 0; i < f->b->pending.len; i++) {
        const char *name = builder_text(f->b, pending[i].name);
        struct text_slot *slot = builder_find(f->b, name, strlen(name));
        uint32_t node = slot ? slot->node : GRAPH_NONE;
        if (node == GRAPH_NONE && slot && slot->artifact != GRAPH_NONE)
            node = builder_artifact(f->b, slot->artifact)->producer;
        if (node == GRAPH_NONE)
            return unknown_member(f, &pending[i], slot && slot->artifact != GRAPH_NONE);
        f->b->ids.at[pending[i].at] = node;
    }
    f->b->pending.len = 0;
    return 0;
}

static int overlap(struct freeze *f, const struct artifact *inner, const struct artifact *outer)
{
    const char *in = builder_text(f->b, inner->path), *out = builder_text(f->b, outer->path);

    if (outer->flags & ARTIFACT_DIRECTORY) {
        err_set(f->e, ERR_output_overlap,
                "the output \"%s\" lies inside the directory output \"%s\"", in, out);
        err_hint(f->e, "a directory output belongs to one node, with all that is in it");
    } else {
        err_set(f->e, ERR_output_overlap, "the output \"%s\" needs a folder where \"%s\" is a file",
                in, out);
        err_hint(f->e,
                 "mark it with dir(\"%s\") if the command makes a folder, or rename one of them",
                 out);
    }
    err_at(f->e, place_of(f, inner->producer));
    if (outer->producer != inner->producer)
        err_note(f->e, place_of(f, outer->producer), "\"%s\" is made here", out);
    return -1;
}

/* Looks at every folder above the path, hashing as it goes. A source inside a made directory gets
 * that producer. 1 when something makes one of the folders, a file of that name too. */
static int place_in_directory(struct freeze *f, struct artifact *a)
{
    const char *path = builder_text(f->b, a->path);
    int made = 0;

    for (const char *p = strchr(path + 1, '/'); path[0] && p; p = strchr(p + 1, '/')) {
        const struct text_slot *slot = builder_find(f->b, path, (size_t)(p - path));
        if (!slot || slot->artifact == GRAPH_NONE)
            continue;
        const struct artifact *outer = builder_artifact(f->b, slot->artifact);
        if (outer->producer == GRAPH_NONE)
            continue;
        made = 1;
        if (a->producer != GRAPH_NONE && !(a->flags & ARTIFACT_INSIDE))
            return overlap(f, a, outer);
        if (outer->flags & ARTIFACT_DIRECTORY) {
            a->producer = outer->producer;
            a->flags |= ARTIFACT_INSIDE;
        }
    }
    return made;
}

static bool same_folder(const char *path, size_t folder, const char *other)
{
    return other && !strncmp(path, other, folder) && !strchr(other + folder, '/');
}

/* Where nothing makes a folder above one file, nothing does above its neighbours. Of the folders
 * met last one such file each is remembered. */
static int check_folders(struct freeze *f)
{
    const char *checked[256] = {0};

    for (uint32_t i = 0; i < f->b->artifacts.len; i++) {
        struct artifact *a = builder_artifact(f->b, i);
        const char *path = builder_text(f->b, a->path), *slash = strrchr(path, '/');
        size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
        const char **last = &checked[graph_hash(path, folder) % ARRAY_LEN(checked)];
        if (same_folder(path, folder, *last))
            continue;
        int made = place_in_directory(f, a);
        if (made < 0)
            return -1;
        if (!made)
            *last = path;
    }
    return 0;
}

/* The first input of that name, to say where the slip is. */
static int input_is_node(struct freeze *f, uint32_t artifact, uint32_t node)
{
    const char *path = builder_text(f->b, builder_artifact(f->b, artifact)->path);

    for (uint32_t n = 0; n < f->b->nodes.len; n++) {
        struct slice in = builder_node(f->b, n)->inputs;
        for (uint32_t i = 0; i < in.len; i++) {
            if (f->b->ids.at[in.at + i] != artifact)
                continue;
            err_set(f->e, ERR_unknown_name, "the input \"%s\" is a node, not a file", path);
            err_at(f->e, place_of(f, n));
            err_note(f->e, place_of(f, node), "the node is declared here");
            return err_hint(
                f->e, "inputs are files: name an output of it, or use after = { \"%s\" }", path);
        }
    }
    return 0;
}

/* Texts that name both a node and a file: they have to mean the same. Of several slips the first
 * declared is told. */
static int check_names(struct freeze *f)
{
    uint32_t worst = GRAPH_NONE;

    for (uint32_t i = 0; i < f->b->slot_count; i++) {
        const struct text_slot *slot = &f->b->slots[i];
        if (slot->text && slot->node != GRAPH_NONE && slot->artifact != GRAPH_NONE &&
            slot->artifact < worst &&
            builder_artifact(f->b, slot->artifact)->producer != slot->node)
            worst = slot->artifact;
    }
    if (worst == GRAPH_NONE)
        return 0;
    const struct artifact *a = builder_artifact(f->b, worst);
    const char *path = builder_text(f->b, a->path);
    uint32_t node = builder_find(f->b, path, strlen(path))->node;
    if (a->producer == GRAPH_NONE)
        return input_is_node(f, worst, node);
    err_set(f->e, ERR_duplicate_name, "\"%s\" is the name of one node and an output of another",
            path);
    err_at(f->e, place_of(f, node));
    return err_note(f->e, place_of(f, a->producer), "the file is made here");
}

static void collect_deps(struct freeze *f)
{
    struct ids all = {0};

    f->dep_at = xmalloc((f->g.node_count + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < f->g.node_count; i++) {
        f->dep_at[i] = (uint32_t)all.len;
        graph_node_deps(&f->g, i, &all);
    }
    f->dep_at[f->g.node_count] = (uint32_t)all.len;
    f->deps = all.at;
}

/* From a node that cannot be ordered, every step leads to another such node, so a walk must meet
 * itself. */
static int draw_cycle(struct freeze *f, const uint32_t *missing)
{
    uint32_t node = 0, count = f->g.node_count;
    uint32_t *next = xmalloc(count * sizeof(*next));
    bool *seen = xcalloc(count, sizeof(*seen));
    struct buf chain = {0};

    while (!missing[node])
        node++;
    for (; !seen[node]; node = next[node]) {
        seen[node] = true;
        uint32_t d = f->dep_at[node];
        while (!missing[f->deps[d]])
            d++;
        next[node] = f->deps[d];
    }
    /* Start where the first of them was declared, so that the message is the same whatever the walk
     * met first. */
    uint32_t first = node;
    for (uint32_t i = next[node]; i != node; i = next[i])
        first = i < first ? i : first;
    buf_addstr(&chain, name_of(f, first));
    for (uint32_t i = next[first];; i = next[i]) {
        buf_addf(&chain, " -> %s", name_of(f, i));
        if (i == first)
            break;
    }
    err_set(f->e, ERR_cycle, "these need each other: %s", buf_text(&chain));
    err_at(f->e, place_of(f, first));
    uint32_t drawn = 0;
    for (uint32_t i = first; drawn < 12; i = next[i], drawn++) {
        err_note(f->e, place_of(f, i), "\"%s\" needs \"%s\"", name_of(f, i), name_of(f, next[i]));
        if (next[i] == first)
            break;
    }
    err_hint(f->e, "one of these has to do without the other");
    buf_release(&chain);
    free(next);
    free(seen);
    return -1;
}

/* Kahn's algorithm with a queue: nodes without dependencies in order of declaration, then what they
 * free. */
static int make_order(struct freeze *f)
{
    uint32_t count = f->g.node_count, edges = f->dep_at[count], done = 0;
    uint32_t *missing = xcalloc(count + 1, sizeof(*missing));
    uint32_t *user_at = xcalloc(count + 2, sizeof(*user_at));
    uint32_t *users = xmalloc((edges + 1) * sizeof(*users));
    int r = 0;

    f->order = xmalloc((count + 1) * sizeof(*f->order));
    for (uint32_t i = 0; i < edges; i++)
        user_at[f->deps[i] + 2]++;
    for (uint32_t i = 0; i < count; i++)
        user_at[i + 1] += user_at[i];
    for (uint32_t n = 0; n < count; n++) {
        missing[n] = f->dep_at[n + 1] - f->dep_at[n];
        for (uint32_t i = f->dep_at[n]; i < f->dep_at[n + 1]; i++)
            users[user_at[f->deps[i] + 1]++] = n;
        if (!missing[n])
            f->order[done++] = n;
    }
    for (uint32_t at = 0; at < done; at++) {
        uint32_t n = f->order[at];
        for (uint32_t i = user_at[n]; i < user_at[n + 1]; i++)
            if (!--missing[users[i]])
                f->order[done++] = users[i];
    }
    if (done < count)
        r = draw_cycle(f, missing);
    free(missing);
    free(user_at);
    free(users);
    return r;
}

static void derive_measured(struct freeze *f)
{
    for (uint32_t at = 0; at < f->g.node_count; at++) {
        struct node *n = builder_node(f->b, f->order[at]);
        bool measured = n->flags & NODE_MEASURES;
        for (uint32_t i = f->dep_at[f->order[at]]; !measured && i < f->dep_at[f->order[at] + 1];
             i++)
            measured = builder_node(f->b, f->deps[i])->flags & NODE_MEASURED;
        if (measured)
            n->flags |= NODE_MEASURED;
    }
}

static void count_user(struct freeze *f, struct slice s)
{
    for (uint32_t i = 0; i < s.len; i++)
        builder_artifact(f->b, f->b->ids.at[s.at + i])->users.at++;
}
static void add_user(struct freeze *f, struct slice s, uint32_t node)
{
    for (uint32_t i = 0; i < s.len; i++) {
        struct slice *users = &builder_artifact(f->b, f->b->ids.at[s.at + i])->users;
        if (!users->len || f->b->ids.at[users->at + users->len - 1] != node)
            f->b->ids.at[users->at + users->len++] = node;
    }
}

/* Counts, then fills: the users of all artifacts are the tail of the ids. */
static uint32_t derive_users(struct freeze *f)
{
    struct graph_builder *b = f->b;
    uint32_t users_at = (uint32_t)b->ids.len, at = users_at;

    for (uint32_t i = 0; i < b->artifacts.len; i++)
        builder_artifact(b, i)->users = (struct slice){0, 0};
    for (uint32_t n = 0; n < b->nodes.len; n++) {
        count_user(f, builder_node(b, n)->inputs);
        count_user(f, builder_node(b, n)->order_only);
        count_user(f, builder_node(b, n)->proofs);
    }
    for (uint32_t i = 0; i < b->artifacts.len; i++) {
        struct slice *users = &builder_artifact(b, i)->users;
        uint32_t count = users->at;
        users->at = at;
        at += count;
    }
    while (b->ids.len < at)
        ids_push(&b->ids, 0);
    for (uint32_t n = 0; n < b->nodes.len; n++) {
        add_user(f, builder_node(b, n)->inputs, n);
        add_user(f, builder_node(b, n)->order_only, n);
        add_user(f, builder_node(b, n)->proofs, n);
    }
    return users_at;
}

static void fill_names(struct graph_builder *b, struct graph_name *names, uint32_t count)
{
    for (uint32_t i = 0; i < b->slot_count; i++) {
        const struct text_slot *slot = &b->slots[i];
        if (!slot->text || (slot->node == GRAPH_NONE && slot->artifact == GRAPH_NONE))
            continue;
        uint32_t at = slot->hash & (count - 1);
        while (names[at].text)
            at = (at + 1) & (count - 1);
        names[at] = (struct graph_name){slot->text, slot->node, slot->artifact};
    }
}

/* The array becomes the graph's. */
static void *take(struct table *t)
{
    void *at = t->at;

    t->at = NULL;
    return at;
}

static void take_names(struct graph_builder *b, struct graph *g)
{
    uint32_t count = 16;

    while (3 * count < 4 * (b->nodes.len + b->artifacts.len))
        count *= 2;
    struct graph_name *names = xcalloc(count, sizeof(*names));
    fill_names(b, names, count);
    g->names = names;
    g->name_count = count;
}

/* Nothing is copied: of a million nodes that would be half a gigabyte. */
static struct graph *assemble(struct freeze *f, uint32_t users_at)
{
    struct graph_builder *b = f->b;
    struct graph *g = xcalloc(1, sizeof(*g));

    *g = (struct graph){
        .trace_to = b->trace_to,
        .node_count = (uint32_t)b->nodes.len,
        .artifact_count = (uint32_t)b->artifacts.len,
        .tool_count = (uint32_t)b->tools.len,
        .fact_count = (uint32_t)b->facts.len,
        .pool_count = (uint32_t)b->pools.len,
        .read_count = (uint32_t)b->reads.len,
        .id_count = (uint32_t)b->ids.len,
        .text_bytes = (uint32_t)b->text.len,
        .users_at = users_at,
        .nodes = take(&b->nodes),
        .artifacts = take(&b->artifacts),
        .tools = take(&b->tools),
        .facts = take(&b->facts),
        .pools = take(&b->pools),
        .reads = take(&b->reads),
        .ids = b->ids.at,
        .order = f->order,
        .text = b->text.ptr,
    };
    b->ids.at = NULL;
    b->text.ptr = NULL;
    f->order = NULL;
    take_names(b, g);
    return g;
}

/* The part of a graph that graph_node_deps looks at. */
static void view(struct freeze *f)
{
    f->g.nodes = f->b->nodes.at;
    f->g.node_count = (uint32_t)f->b->nodes.len;
    f->g.artifacts = f->b->artifacts.at;
    f->g.artifact_count = (uint32_t)f->b->artifacts.len;
    f->g.tools = f->b->tools.at;
    f->g.ids = f->b->ids.at;
    f->g.text = f->b->text.ptr;
}

static int check(struct freeze *f)
{
    if (f->b->overflow || f->b->ids.len > UINT32_MAX / 2)
        return err_set(f->e, ERR_graph_size,
                       "the graph holds more than four gigabytes of text or four billion edges");
    if (resolve_members(f) < 0 || check_folders(f) < 0 || check_names(f) < 0)
        return -1;
    view(f);
    collect_deps(f);
    return make_order(f);
}

struct graph *graph_freeze(struct graph_builder *b, struct err *e)
{
    struct freeze f = {.b = b, .e = e};
    struct graph *g = NULL;

    if (check(&f) == 0) {
        derive_measured(&f);
        g = assemble(&f, derive_users(&f));
    }
    free(f.dep_at);
    free(f.deps);
    free(f.order);
    graph_discard(b);
    return g;
}
