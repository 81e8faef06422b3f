#include "script_state.h"

#include <stdlib.h>
#include <string.h>

#define STEP_LIMIT 1000000000
#define STEPS_A_LOOK 100000
/* Counting steps is a tenth of a large evaluation: without a limit of its own, one that is over
 * before is not counted. */
#define COUNT_AFTER_NS INT64_C(1000000000)

struct script *script_of(lua_State *L)
{
    return *(struct script **)lua_getextraspace(L);
}

void script_raise(lua_State *L)
{
    if (!script_of(L)->err.set)
        BUG("leaving Lua without an error");
    lua_pushliteral(L, "the script's own error says it");
    lua_error(L);
    abort();
}

static void look(lua_State *L, lua_Debug *ar)
{
    struct script *s = script_of(L);
    struct place user, rule;

    (void)ar;
    s->steps_left -= STEPS_A_LOOK;
    if (s->steps_left > 0)
        return;
    script_where(L, &user, &rule);
    err_set(&s->err, ERR_endless_loop, "stopped after %lld steps", (long long)s->steps);
    err_at(&s->err, user);
    if (rule.file)
        err_note(&s->err, rule, "here in the rule");
    err_hint(&s->err, "if this is meant, allow more with -D spak.steps=%lld",
             (long long)s->steps * 10);
    script_raise(L);
}

/* Lua allows this in a signal handler. */
static void count_steps(void *L)
{
    lua_sethook(L, look, LUA_MASKCOUNT, STEPS_A_LOOK);
}

/* Lua puts "file:line: " before its own messages, with long names cut short. */
static const char *without_position(const char *text)
{
    const char *p = strchr(text, ':');

    for (; p; p = strchr(p + 1, ':')) {
        const char *q = p + 1;
        while (*q >= '0' && *q <= '9')
            q++;
        if (q > p + 1 && q[0] == ':' && q[1] == ' ')
            return q + 2;
    }
    return text;
}

/* The word between single quotes of Lua's message: "attempt to call a nil value (field 'x')". */
static void point_at_quoted(const struct script *s, struct place *place, const char *text)
{
    const char *from = strchr(text, '\''), *to = from ? strchr(from + 1, '\'') : NULL;
    struct buf word = {0};

    if (to) {
        buf_add(&word, from + 1, (size_t)(to - from - 1));
        int column = script_column(s, *place, buf_text(&word));
        place->column = column;
    }
    buf_release(&word);
}

static void describe(struct script *s, lua_State *L, const char *text)
{
    struct place user, rule;

    script_where(L, &user, &rule);
    err_set(&s->err, ERR_lua_error, "%s", user.file ? without_position(text) : text);
    if (!rule.file && user.file)
        point_at_quoted(s, &user, text);
    err_at(&s->err, user);
    if (rule.file)
        err_note(&s->err, rule, "it happened here, in a rule");
    if (!user.file && !rule.file)
        err_hint(&s->err,
                 "this is SPAK's own language (%s), which belongs to another version than "
                 "the program, it seems: after an update, ./bootstrap.sh builds the two together",
                 s->options.lua_dir);
}

int script_handler(lua_State *L)
{
    struct script *s = script_of(L);

    if (s->err.set)
        return 1;
    bool is_text = lua_type(L, 1) == LUA_TSTRING;
    describe(s, L,
             is_text ? lua_tostring(L, 1) : "error() was called with something other than a text");
    return 1;
}

void script_take_error(struct script *s, lua_State *L, int status)
{
    if (s->err.set)
        return;
    if (status != LUA_ERRMEM) {
        describe(s, L,
                 lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error without a text");
        return;
    }
    err_set(&s->err, ERR_lua_memory, "evaluation needs more than one gigabyte");
    err_at(&s->err, s->memory_at);
    err_hint(&s->err, "look for a loop that grows a table or a text without end");
}

int script_call(struct script *s, lua_State *L, int args, int results)
{
    int base = lua_gettop(L) - args;

    lua_pushcfunction(L, script_handler);
    lua_insert(L, base);
    int status = lua_pcall(L, args, results, base);
    lua_remove(L, base);
    if (status == LUA_OK)
        return 0;
    script_take_error(s, L, status);
    lua_pop(L, 1);
    return -1;
}

static void open_library(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_requiref(L, name, open, 1);
    lua_pop(L, 1);
}

static int open_state(lua_State *L)
{
    struct script *s = script_of(L);

    open_library(L, LUA_GNAME, luaopen_base);
    open_library(L, LUA_STRLIBNAME, luaopen_string);
    open_library(L, LUA_TABLIBNAME, luaopen_table);
    open_library(L, LUA_MATHLIBNAME, luaopen_math);
    open_library(L, LUA_UTF8LIBNAME, luaopen_utf8);
    open_library(L, LUA_COLIBNAME, luaopen_coroutine);
    bind_open(s, L);
    lua_setglobal(L, "engine");
    return 0;
}

/* -D spak.steps=N, the one parameter that is the evaluator's own; 0: it is not given. */
static int64_t own_limit(const struct script_options *o)
{
    static const char name[] = "spak.steps=";

    for (const char *const *p = o->params; p && *p; p++)
        if (text_starts_with(*p, name) && atoll(*p + sizeof(name) - 1) > 0)
            return atoll(*p + sizeof(name) - 1);
    return 0;
}

static const char *const *copy_list(struct arena *arena, const char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    const char **copy = arena_alloc(arena, (n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = arena_strdup(arena, list[i]);
    return copy;
}

static struct script *script_new(const struct script_options *o)
{
    struct script *s = xcalloc(1, sizeof(*s));

    s->options = (struct script_options){
        .root = arena_strdup(&s->arena, o->root),
        .spakfile = arena_strdup(&s->arena, o->spakfile),
        .lua_dir = arena_strdup(&s->arena, o->lua_dir),
        .rule_dirs = copy_list(&s->arena, o->rule_dirs),
        .params = copy_list(&s->arena, o->params),
        .cache = o->cache,
    };
    s->rule = "node";
    s->driver_node = GRAPH_NONE;
    s->complain_ref = s->tool_ref = s->driver_ref = s->commands_ref = LUA_NOREF;
    s->steps = own_limit(o) ? own_limit(o) : STEP_LIMIT;
    s->steps_left = s->steps;
    s->builder = graph_build();
    s->L = lua_newstate(script_allocate, s);
    *(struct script **)lua_getextraspace(s->L) = s;
    return s;
}

struct graph_builder *script_builder(struct script *s)
{
    if (!s->builder)
        s->builder = graph_thaw(s->graph);
    return s->builder;
}

/* lua/main.lua returns the function that evaluates a spakfile. */
static int call_main(struct script *s)
{
    lua_State *L = s->L;
    struct buf path = {0};

    buf_addf(&path, "%s/main.lua", s->options.lua_dir);
    int r = script_load(s, L, buf_text(&path), FILE_ENGINE, &s->err);
    buf_release(&path);
    if (r < 0 || script_call(s, L, 0, 1) < 0)
        return -1;
    lua_pushstring(L, s->options.spakfile);
    return script_call(s, L, 1, 0);
}

static int evaluate(struct script *s)
{
    lua_State *L = s->L;
    struct os_alarm *alarm = NULL;

    lua_pushcfunction(L, open_state);
    if (script_call(s, L, 0, 0) < 0)
        return -1;
    s->running = L;
    if (own_limit(&s->options) == 0)
        alarm = os_alarm_set(COUNT_AFTER_NS, count_steps, L);
    if (!alarm)
        count_steps(L);
    int r = call_main(s);
    os_alarm_clear(alarm);
    count_steps(L); /* of drivers: their threads are made as this one is */
    return r;
}

struct script *script_evaluate(const struct script_options *o, struct graph **graph, struct err *e)
{
    struct script *s = script_new(o);

    *graph = NULL;
    if (evaluate(s) < 0) {
        script_sharpen(s, &s->err);
        err_move(e, &s->err);
        script_close(s);
        return NULL;
    }
    *graph = graph_freeze(s->builder, e);
    s->builder = NULL;
    if (*graph)
        return s;
    script_sharpen(s, e);
    script_close(s);
    return NULL;
}

void script_close(struct script *s)
{
    if (!s)
        return;
    lua_close(s->L);
    script_memory_release(&s->memory);
    if (s->builder)
        graph_discard(s->builder);
    for (size_t i = 0; i < ARRAY_LEN(s->lists); i++)
        strs_release(&s->lists[i]);
    ids_release(&s->flags);
    strs_release(&s->late);
    strmap_release(&s->file_ids);
    strmap_release(&s->reads);
    strmap_release(&s->interned);
    strs_release(&s->texts);
    arena_release(&s->decl_scratch);
    arena_release(&s->scratch);
    arena_release(&s->arena);
    err_release(&s->err);
    free(s->files);
    free(s->drivers);
    free(s);
}
