/* script_world: a project in a folder of its own, and the spakfiles that are tried in it, for the
 * tests of the language and of what the rules make of it. */
#ifndef SCRIPT_WORLD_H
#define SCRIPT_WORLD_H

#include "diag.h"
#include "scratch.h"
#include "script.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A project in a folder of its own; the language and the rules are those of the source tree. */
struct world {
    char root[512];
    struct arena arena;
    struct hash_cache *cache;
    const char *rule_dirs[3];
    const char *lua_dir;
    const char *params[8];
    struct script *script;
    struct graph *graph;
    struct err err;
};

static inline const char *home(struct arena *arena, const char *folder)
{
    const char *given = getenv("SPAK_HOME");
    struct err e = {0};
    char *here = os_getcwd(arena, &e);
    return os_join(arena, given ? given : here, folder);
}

static inline int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    char *template = scratch_template("script");

    snprintf(w->root, sizeof(w->root), "%s", template);
    free(template);
    assert_non_null(mkdtemp(w->root));
    w->cache = hash_cache_open(os_join(&w->arena, w->root, "out/cache"));
    w->lua_dir = home(&w->arena, "lua");
    w->rule_dirs[0] = os_join(&w->arena, w->root, "rules");
    w->rule_dirs[1] = home(&w->arena, "rules");
    *state = w;
    return 0;
}

static inline void forget(struct world *w)
{
    graph_free(w->graph);
    script_close(w->script);
    err_release(&w->err);
    w->graph = NULL;
    w->script = NULL;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    forget(w);
    os_remove(w->root, &e);
    hash_cache_close(w->cache);
    arena_release(&w->arena);
    free(w);
    return 0;
}

static inline void put(struct world *w, const char *path, const char *text)
{
    struct err e = {0};
    const char *full = os_join(&w->arena, w->root, path);

    assert_int_equal(os_mkdirs_for(full, &e), 0);
    assert_int_equal(os_write(full, text, strlen(text), 0755, &e), 0);
}

static inline struct script_options options(const struct world *w)
{
    return (struct script_options){.root = w->root,
                                   .spakfile = "spakfile",
                                   .rule_dirs = w->rule_dirs,
                                   .lua_dir = w->lua_dir,
                                   .params = w->params,
                                   .cache = w->cache};
}

static inline bool evaluates(struct world *w, const char *text)
{
    struct script_options o = options(w);

    forget(w);
    if (text)
        put(w, "spakfile", text);
    w->script = script_evaluate(&o, &w->graph, &w->err);
    assert_int_equal(w->script == NULL, w->err.set);
    return w->script != NULL;
}

static inline void evaluate(struct world *w, const char *text)
{
    struct buf drawn = {0};

    if (evaluates(w, text))
        return;
    diag_draw(&w->err, DIAG_PLAIN, &drawn);
    fail_msg("%s", buf_text(&drawn));
}

/* What is drawn of the error: code, place, message, and hint or "". */
static inline void refused(struct world *w, const char *text, const char *wanted)
{
    struct buf got = {0};

    assert_false(evaluates(w, text));
    buf_addf(&got, "%s %s:%d:%d %s", err_info(w->err.code)->id,
             w->err.place.file ? w->err.place.file : "-", w->err.place.line, w->err.place.column,
             w->err.message);
    if (w->err.hint)
        buf_addf(&got, " | %s", w->err.hint);
    assert_string_equal(buf_text(&got), wanted);
    buf_release(&got);
}

static inline const struct node *node_of(const struct world *w, const char *name)
{
    uint32_t id = graph_find_node(w->graph, name);
    if (id == GRAPH_NONE)
        fail_msg("no node %s", name);
    return &w->graph->nodes[id];
}

static inline const char *arg_of(const struct world *w, const char *name, uint32_t i)
{
    const struct node *n = node_of(w, name);
    assert_true(i < n->argv.len);
    return slice_text(w->graph, n->argv, i);
}

static inline void paths_are(const struct world *w, struct slice s, const char *wanted)
{
    struct buf got = {0};

    for (uint32_t i = 0; i < s.len; i++)
        buf_addf(&got, "%s%s", i ? " " : "", artifact_path(w->graph, slice_id(w->graph, s, i)));
    assert_string_equal(buf_text(&got), wanted);
    buf_release(&got);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

#endif
