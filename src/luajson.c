#include "luajson.h"

#include <lauxlib.h>
#include <string.h>

/* The name of the metatable that marks an array. */
#define ARRAY_MARK "spak.json.array"
#define MAX_DEPTH 100

static void mark_array(lua_State *L)
{
    luaL_newmetatable(L, ARRAY_MARK);
    lua_setmetatable(L, -2);
}

static void push_array(lua_State *L, const json_t *value)
{
    size_t n = json_array_size(value);
    lua_createtable(L, (int)n, 0);
    mark_array(L);
    for (size_t i = 0; i < n; i++) {
        luajson_push(L, json_array_get(value, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_object(lua_State *L, const json_t *value)
{
    const char *key;
    json_t *member;
    lua_createtable(L, 0, (int)json_object_size(value));
    json_object_foreach((json_t *)value, key, member)
    {
        lua_pushstring(L, key);
        luajson_push(L, member);
        lua_rawset(L, -3);
    }
}

void luajson_push(lua_State *L, const json_t *value)
{
    luaL_checkstack(L, 4, "JSON nested too deeply");
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        push_object(L, value);
        return;
    case JSON_ARRAY:
        push_array(L, value);
        return;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        lua_pushinteger(L, (lua_Integer)json_integer_value(value));
        return;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(value));
        return;
    case JSON_NULL:
        lua_pushnil(L);
        return;
    }
}

/* The way from the root to the value at hand, for messages. */
struct trail {
    struct buf text;
    int depth;
    struct err *e;
};

static json_t *convert(lua_State *L, int index, struct trail *t);

static json_t *refuse(struct trail *t, const char *what)
{
    err_set(t->e, ERR_json_value, "%s %s", t->text.len ? t->text.ptr : "the value", what);
    return NULL;
}

static bool is_array(lua_State *L, int index)
{
    size_t n = lua_rawlen(L, index), count = 0;
    bool marked = false;
    if (lua_getmetatable(L, index)) {
        luaL_getmetatable(L, ARRAY_MARK);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count++;
    return count == n && (n > 0 || marked);
}

static json_t *convert_array(lua_State *L, int index, struct trail *t)
{
    json_t *array = json_array();
    size_t n = lua_rawlen(L, index), keep = t->text.len;
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        buf_addf(&t->text, "[%zu]", i);
        json_t *value = convert(L, lua_gettop(L), t);
        lua_pop(L, 1);
        if (!value) {
            json_decref(array);
            return NULL;
        }
        t->text.len = keep;
        json_array_append_new(array, value);
    }
    return array;
}

static json_t *convert_object(lua_State *L, int index, struct trail *t)
{
    json_t *object = json_object();
    size_t keep = t->text.len;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        json_t *value = NULL;
        if (lua_type(L, -2) != LUA_TSTRING) {
            refuse(t, "mixes a list with named fields");
        } else {
            buf_addf(&t->text, "%s%s", keep ? "." : "", lua_tostring(L, -2));
            value = convert(L, lua_gettop(L), t);
        }
        if (!value) {
            json_decref(object);
            return NULL;
        }
        t->text.len = keep;
        t->text.ptr[keep] = '\0';
        json_object_set_new_nocheck(object, lua_tostring(L, -2), value);
    }
    return object;
}

static json_t *convert_table(lua_State *L, int index, struct trail *t)
{
    if (++t->depth > MAX_DEPTH)
        return refuse(t, "is nested too deeply, or holds itself");
    luaL_checkstack(L, 6, "tables nested too deeply");
    json_t *value = is_array(L, index) ? convert_array(L, index, t) : convert_object(L, index, t);
    t->depth--;
    return value;
}

static json_t *convert(lua_State *L, int index, struct trail *t)
{
    size_t len;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TTABLE:
        return convert_table(L, index, t);
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        json_t *string = json_stringn(text, len);
        return string ? string : refuse(t, "is not UTF-8 text");
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return json_integer((json_int_t)lua_tointeger(L, index));
        json_t *real = json_real(lua_tonumber(L, index));
        return real ? real : refuse(t, "is infinite or not a number");
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TNIL:
        return json_null();
    default:
        buf_addf(&t->text, "%s is a %s", t->text.len ? "" : "the value", luaL_typename(L, index));
        return refuse(t, "and has no JSON form");
    }
}

json_t *luajson_to(lua_State *L, int index, struct err *e)
{
    struct trail t = {.e = e};
    json_t *value = convert(L, lua_absindex(L, index), &t);
    buf_release(&t.text);
    return value;
}

static int raise(lua_State *L, struct err *e)
{
    lua_pushstring(L, e->message);
    err_release(e);
    return luaL_error(L, "%s", lua_tostring(L, -1));
}

static int encode(lua_State *L, bool pretty)
{
    struct err e = {0};
    struct buf text = {0};
    luaL_checkany(L, 1);
    json_t *value = luajson_to(L, 1, &e);
    if (!value)
        return raise(L, &e);
    if (pretty)
        json_pretty(value, &text);
    else
        json_compact(value, &text);
    json_decref(value);
    lua_pushlstring(L, buf_text(&text), text.len);
    buf_release(&text);
    return 1;
}

static int lua_encode(lua_State *L)
{
    return encode(L, false);
}

static int lua_pretty(lua_State *L)
{
    return encode(L, true);
}

static int lua_decode(lua_State *L)
{
    size_t len;
    struct err e = {0};
    const char *text = luaL_checklstring(L, 1, &len);
    json_t *value = json_parse(text, len, luaL_optstring(L, 2, "JSON text"), &e);
    if (!value)
        return raise(L, &e);
    luajson_push(L, value);
    json_decref(value);
    return 1;
}

static int lua_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mark_array(L);
    return 1;
}

void luajson_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", lua_encode},
                                         {"pretty", lua_pretty},
                                         {"decode", lua_decode},
                                         {"array", lua_array},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
}
