#include "script_state.h"

#include <stdlib.h>

/* Pushes what happened as a list of { node, exit, status }. */
static void push_results(lua_State *L, const struct driver_result *results, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, results[i].node);
        lua_setfield(L, -2, "node");
        lua_pushinteger(L, results[i].exit_code);
        lua_setfield(L, -2, "exit");
        lua_pushstring(L, results[i].status);
        lua_setfield(L, -2, "status");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void start(struct script *s, struct script_driver *d)
{
    d->thread = lua_newthread(s->L);
    d->thread_ref = luaL_ref(s->L, LUA_REGISTRYINDEX);
    lua_rawgeti(d->thread, LUA_REGISTRYINDEX, s->driver_ref);
    lua_rawgeti(d->thread, LUA_REGISTRYINDEX, d->function_ref);
}

/* The thread yields a list of node ids, or returns. */
static int resume(struct script *s, struct script_driver *d, const struct driver_result *results,
                  size_t count, struct ids *asked, bool *done)
{
    int values;

    if (!d->thread)
        start(s, d);
    else
        push_results(d->thread, results, count);
    s->steps_left = s->steps;
    s->running = d->thread;
    int status = lua_resume(d->thread, s->L, 1, &values);
    *done = status == LUA_OK;
    if (status == LUA_OK)
        return 0;
    if (status != LUA_YIELD) {
        script_take_error(s, d->thread, status);
        return -1;
    }
    for (lua_Integer i = 1; lua_rawgeti(d->thread, -1, i) == LUA_TNUMBER; i++) {
        ids_push(asked, (uint32_t)lua_tointeger(d->thread, -1));
        lua_pop(d->thread, 1);
    }
    lua_pop(d->thread, 1 + values);
    return 0;
}

/* What the step added becomes part of the graph. */
static int adopt(struct script *s, struct graph **graph)
{
    if (!s->builder)
        return 0;
    struct graph *larger = graph_freeze(s->builder, &s->err);
    s->builder = NULL;
    if (!larger)
        return -1;
    graph_free(*graph);
    *graph = larger;
    return 0;
}

int script_driver_step(struct script *s, struct graph **graph, uint32_t driver_node,
                       const struct driver_result *results, size_t count, struct ids *asked,
                       bool *done, struct err *e)
{
    uint32_t number = (*graph)->nodes[driver_node].driver;

    if ((*graph)->nodes[driver_node].action != NODE_DRIVER || number >= s->driver_count)
        BUG("node %u is no driver of this script", driver_node);
    s->graph = *graph;
    s->driver_node = driver_node;
    s->rule = "node";
    s->call = (struct place){0};
    int r = resume(s, &s->drivers[number], results, count, asked, done);
    if (r == 0)
        r = adopt(s, graph);
    if (s->builder)
        graph_discard(s->builder);
    s->builder = NULL;
    s->driver_node = GRAPH_NONE;
    s->graph = NULL;
    if (r < 0) {
        script_sharpen(s, &s->err);
        err_move(e, &s->err);
    }
    return r;
}
