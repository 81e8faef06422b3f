/* graph_world: graphs made of declarations, for the tests of what they may hold and of their
 * snapshots. */
#ifndef GRAPH_WORLD_H
#define GRAPH_WORLD_H

#include "graph_build.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIST(...) list((const char *const[]){__VA_ARGS__, NULL})

/* Lists live until the end of the test program's case. */
static struct strs kept[256];
static size_t kept_count;

static inline struct strs list(const char *const *items)
{
    struct strs *out = &kept[kept_count++];
    assert_true(kept_count < ARRAY_LEN(kept));
    for (; *items; items++)
        strs_push(out, *items);
    return *out;
}

static inline int teardown(void **state)
{
    (void)state;
    while (kept_count)
        strs_release(&kept[--kept_count]);
    return 0;
}

static inline struct node_decl command(int line, struct strs outputs, struct strs inputs)
{
    return (struct node_decl){
        .kind = "node",
        .place = {"spakfile", line, 1},
        .action = NODE_COMMAND,
        .argv = LIST("cc"),
        .outputs = outputs,
        .inputs = inputs,
        .driver = GRAPH_NONE,
    };
}

static inline struct node_decl group(int line, const char *name, struct strs members)
{
    return (struct node_decl){.name = name,
                              .kind = "target",
                              .place = {"spakfile", line, 1},
                              .action = NODE_GROUP,
                              .members = members,
                              .flags = NODE_TARGET,
                              .driver = GRAPH_NONE};
}

static inline uint32_t add(struct graph_builder *b, struct node_decl d)
{
    struct err e = {0};
    uint32_t id = graph_add_node(b, &d, &e);
    if (e.set)
        fail_msg("%s", e.message);
    return id;
}

static inline struct graph *freeze(struct graph_builder *b)
{
    struct err e = {0};
    struct graph *g = graph_freeze(b, &e);
    if (e.set)
        fail_msg("%s", e.message);
    assert_true(graph_is_sound(g));
    return g;
}

/* The graph is refused with this code, message and hint. */
static inline void refused(struct graph_builder *b, enum err_code code, const char *message,
                           const char *hint, int line)
{
    struct err e = {0};
    assert_null(graph_freeze(b, &e));
    assert_int_equal(e.code, code);
    assert_string_equal(e.message, message);
    if (hint)
        assert_string_equal(e.hint, hint);
    assert_int_equal(e.place.line, line);
    err_release(&e);
}

static inline void declaration_refused(struct graph_builder *b, struct node_decl d,
                                       enum err_code code, const char *message)
{
    struct err e = {0};
    assert_int_equal(graph_add_node(b, &d, &e), GRAPH_NONE);
    assert_int_equal(e.code, code);
    assert_string_equal(e.message, message);
    assert_string_equal(e.place.file, "spakfile");
    err_release(&e);
}

/* a.c -> a.o, b.c -> b.o, both -> app; target all. */
static inline struct graph *small(void)
{
    struct graph_builder *b = graph_build();
    add(b, group(1, "all", LIST("out/app")));
    add(b, command(2, LIST("out/app"), LIST("out/a.o", "out/b.o")));
    add(b, command(3, LIST("out/a.o"), LIST("a.c", "x.h")));
    add(b, command(4, LIST("out/b.o"), LIST("b.c", "x.h")));
    return freeze(b);
}

#endif
