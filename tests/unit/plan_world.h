/* plan_world: a project whose nodes are run by hand, for the tests of what is planned. */
#ifndef PLAN_WORLD_H
#define PLAN_WORLD_H

#include "key.h"
#include "plan.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A world: a folder with sources, a store and a graph. Nodes "run" by world_run, which writes
 * outputs and records as the run stage does. */
struct world {
    char dir[512];
    struct arena arena;
    struct store *store;
    struct hash_cache *cache;
    struct graph_builder *builder;
    struct graph *graph;
    struct plan *plan;
    struct plan_options options;
};

static inline void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s", e->set ? e->message : "-1 without an error");
}

static inline void put(const char *path, const char *text)
{
    struct err e = {0};
    ok(os_mkdirs_for(path, &e), &e);
    ok(os_write(path, text, strlen(text), 0644, &e), &e);
}

static inline void open_world(struct world *w)
{
    struct err e = {0};
    char *dir = scratch_template("plan");
    *w = (struct world){0};
    snprintf(w->dir, sizeof(w->dir), "%s", dir);
    free(dir);
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(chdir(w->dir), 0);
    w->store = store_open("out/.spak", &e);
    ok(w->store ? 0 : -1, &e);
    w->cache = hash_cache_open("out/.spak/stat");
    w->options = (struct plan_options){.store = w->store, .cache = w->cache, .machine = "m"};
    w->builder = graph_build();
}

static inline void close_plan(struct world *w)
{
    plan_free(w->plan);
    w->plan = NULL;
}

static inline void close_world(struct world *w)
{
    struct err e = {0};
    close_plan(w);
    if (w->graph)
        graph_free(w->graph);
    store_close(w->store);
    hash_cache_close(w->cache);
    assert_int_equal(chdir("/"), 0);
    ok(os_remove(w->dir, &e), &e);
    arena_release(&w->arena);
}

/* "out/a.o <- a.c b.h": a command with one output and these inputs. */
static inline struct node_decl decl(const char *output, const char *inputs, struct arena *arena)
{
    struct node_decl d = {
        .name = output, .kind = "node", .doc = "", .action = NODE_COMMAND, .driver = GRAPH_NONE};
    struct str rest = str_of(inputs), word;
    d.place = (struct place){"spakfile", 7, 1};
    while (str_split(&rest, ' ', &word))
        if (word.len)
            strs_push(&d.inputs, arena_strndup(arena, word.ptr, word.len));
    strs_push(&d.outputs, output);
    strs_push(&d.argv, "/bin/make-it");
    strs_push(&d.argv, output);
    return d;
}

static inline void release_decl(struct node_decl *d)
{
    struct strs *const lists[] = {&d->argv,   &d->inputs,     &d->outputs, &d->members,
                                  &d->proofs, &d->order_only, &d->params};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        strs_release(lists[i]);
}

static inline void add(struct world *w, struct node_decl *d)
{
    struct err e = {0};
    if (graph_add_node(w->builder, d, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    release_decl(d);
}

static inline void command(struct world *w, const char *output, const char *inputs)
{
    struct node_decl d = decl(output, inputs, &w->arena);
    add(w, &d);
}

static inline void freeze(struct world *w)
{
    struct err e = {0};
    w->graph = graph_freeze(w->builder, &e);
    if (!w->graph)
        fail_msg("%s", e.message);
}

static inline uint32_t node(struct world *w, const char *name)
{
    uint32_t id = graph_find_node(w->graph, name);
    assert_int_not_equal(id, GRAPH_NONE);
    return id;
}

static inline void plan(struct world *w, const char *root)
{
    struct err e = {0};
    uint32_t id = node(w, root);
    close_plan(w);
    w->plan = plan_make(w->graph, &id, 1, &w->options, &w->arena, &e);
    ok(w->plan ? 0 : -1, &e);
}

static inline const struct plan_entry *entry(struct world *w, const char *name)
{
    return &w->plan->entries[node(w, name)];
}

static inline void assert_verdict(struct world *w, const char *name, enum plan_verdict verdict,
                                  const char *why)
{
    const struct plan_entry *x = entry(w, name);
    if (x->verdict != verdict)
        fail_msg("%s: %s (%s), not %s", name, plan_verdict_text(x->verdict), x->why ? x->why : "",
                 plan_verdict_text(verdict));
    if (why)
        assert_string_equal(x->why, why);
    else
        assert_null(x->why);
}

/* The text behind the node's key. */
static inline const char *explained(struct world *w, uint32_t id)
{
    struct err e = {0};
    struct buf text = {0};
    ok(plan_explain(w->plan, id, &text, &e), &e);
    const char *kept = arena_strdup(&w->arena, buf_text(&text));
    buf_release(&text);
    return kept;
}

/* What a run does with a node: its output gets `content`, and the record is written; `dep` is a
 * discovered input. */
static inline void made(struct world *w, const char *name, const char *content, const char *dep)
{
    struct err e = {0};
    uint32_t id = node(w, name);
    struct node_state state = {0};
    struct output_record *out = arena_alloc(&w->arena, sizeof *out); /* the plan keeps the record */
    struct dep_record *found = arena_alloc(&w->arena, sizeof *found);
    bool exists;
    out->path = name;
    out->mode = 0644;
    found->path = dep;
    ok(plan_decide(w->plan, id, &e), &e);
    put(name, content);
    state.base = w->plan->entries[id].base;
    state.explanation = explained(w, id);
    ok(store_put_file(w->store, name, NULL, &out->digest, &out->size_bytes, &e), &e);
    state.record.outputs = out;
    state.record.output_count = 1;
    state.record.wall_ns = 1000;
    if (dep) {
        ok(plan_file_digest(w->plan, dep, &found->digest, &exists, &e), &e);
        state.record.deps = found;
        state.record.dep_count = 1;
    }
    key_full(&state.base, state.record.deps, state.record.dep_count, &state.record.key);
    ok(store_put_action(w->store, &state.base, &state.record, &e), &e);
    ok(store_put_node(w->store, name, &state, &e), &e);
    plan_set_outputs(w->plan, id, arena_memdup(&w->arena, &state.record, sizeof state.record));
}

/* a.c -> out/a.o -> out/app, all built. */
static inline void built_chain(struct world *w)
{
    open_world(w);
    put("a.c", "int a;");
    command(w, "out/a.o", "a.c");
    command(w, "out/app", "out/a.o");
    freeze(w);
    plan(w, "out/app");
    made(w, "out/a.o", "object a", NULL);
    made(w, "out/app", "app", NULL);
}

#endif
