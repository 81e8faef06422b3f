#include "bind_node.h"

#include <stdlib.h>
#include <string.h>

/* NULL when it holds a NUL byte. */
static const char *plain_text(lua_State *L, int index)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);

    return strlen(text) == len ? text : NULL;
}

/* A number becomes text in scratch memory, because Lua's own is gone when the stack is popped. NULL
 * when it is neither. */
const char *value_scalar(struct reading *r, int index)
{
    switch (lua_type(r->L, index)) {
    case LUA_TSTRING:
        return plain_text(r->L, index);
    case LUA_TNUMBER: {
        lua_pushvalue(r->L, index);
        const char *copy = arena_strdup(&r->s->decl_scratch, lua_tostring(r->L, -1));
        lua_pop(r->L, 1);
        return copy;
    }
    case LUA_TBOOLEAN:
        return lua_toboolean(r->L, index) ? "true" : "false";
    }
    return NULL;
}

/* The text stays alive: it is the value of a field of a table that is. */
static const char *field_text(struct reading *r, int table, const char *name)
{
    lua_pushstring(r->L, name);
    lua_rawget(r->L, table);
    const char *text = lua_type(r->L, -1) == LUA_TSTRING ? lua_tostring(r->L, -1) : NULL;
    lua_pop(r->L, 1);
    return text;
}

static bool field_true(lua_State *L, int table, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, table);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

void value_output(struct reading *r, const char *path, uint32_t flags)
{
    strs_push(&r->d.outputs, path);
    ids_push(&r->d.output_flags, flags);
}

static bool read_list(struct reading *r, int index, enum form form, size_t at, int depth);

/* The outputs of a node are its table's list part. */
static bool read_node(struct reading *r, int index, enum form form, size_t at)
{
    const char *name = form == FORM_NODES ? field_text(r, index, "name") : NULL;

    if (form == FORM_OUTPUTS || form == FORM_LIST || form == FORM_TOOLS)
        return false;
    if (name) {
        strs_push(value_list(r, at), name);
        return true;
    }
    size_t n = form == FORM_NODES ? 1 : lua_rawlen(r->L, index);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(r->L, index, (lua_Integer)i);
        strs_push(value_list(r, at), lua_tostring(r->L, -1));
        if (form == FORM_RUN)
            strs_push(&r->s->late, lua_tostring(r->L, -1));
        lua_pop(r->L, 1);
        if (form == FORM_RUN)
            break;
    }
    return n > 0;
}

static bool read_mark(struct reading *r, int index, enum form form, size_t at)
{
    const char *path = field_text(r, index, "path");
    uint32_t flags = (field_true(r->L, index, "directory") ? ARTIFACT_DIRECTORY : 0) |
                     (field_true(r->L, index, "traced") ? ARTIFACT_TRACED : 0) |
                     (field_true(r->L, index, "metrics") ? ARTIFACT_METRICS : 0);

    if (!path)
        return false;
    if (form == FORM_OUTPUTS)
        value_output(r, path, flags);
    else
        strs_push(value_list(r, at), path);
    return form != FORM_TOOLS;
}

static bool read_tool(struct reading *r, int index, enum form form, size_t at)
{
    const char *name = field_text(r, index, "name");

    if (!name || (form != FORM_RUN && form != FORM_TOOLS))
        return false;
    strs_push(value_list(r, at), name);
    return true;
}

static bool read_text(struct reading *r, const char *text, enum form form, size_t at)
{
    if (!text || (!*text && form != FORM_RUN))
        return false;
    if (form == FORM_OUTPUTS)
        value_output(r, text, 0);
    else
        strs_push(value_list(r, at), text);
    return true;
}

static bool read_item(struct reading *r, int index, enum form form, size_t at, int depth)
{
    if (lua_type(r->L, index) == LUA_TTABLE) {
        if (bind_is(r->L, index, BIND_NODE))
            return read_node(r, index, form, at);
        if (bind_is(r->L, index, BIND_PATH))
            return read_mark(r, index, form, at);
        if (bind_is(r->L, index, BIND_TOOL))
            return read_tool(r, index, form, at);
        return read_list(r, index, form, at, depth + 1);
    }
    return lua_type(r->L, index) != LUA_TBOOLEAN && read_text(r, value_scalar(r, index), form, at);
}

/* What the list gave the last time; outputs have flags beside them. */
static bool read_again(struct reading *r, const void *table, enum form form, size_t at)
{
    if (table != r->last.table || form == FORM_OUTPUTS || at == r->last.at)
        return false;
    for (size_t i = 0; i < r->last.len; i++)
        strs_push(value_list(r, at), value_list(r, r->last.at)->at[r->last.from + i]);
    return true;
}

/* Lists may hold lists, as { "a", glob "b*" } does. */
static bool read_list(struct reading *r, int index, enum form form, size_t at, int depth)
{
    const void *table = lua_topointer(r->L, index);
    size_t n = lua_rawlen(r->L, index), count = 0, texts = 0, from = value_list(r, at)->len;

    if (depth > 8)
        return false;
    if (read_again(r, table, form, at))
        return true;
    luaL_checkstack(r->L, 6, "lists nested too deeply");
    for (size_t i = 1; i <= n; i++) {
        bool is_text = lua_rawgeti(r->L, index, (lua_Integer)i) == LUA_TSTRING;
        const char *text = is_text ? plain_text(r->L, -1) : NULL;
        bool fits = is_text ? read_text(r, text, form, at)
                            : read_item(r, lua_gettop(r->L), form, at, depth);
        texts += text && *text;
        lua_pop(r->L, 1);
        if (!fits)
            return false;
    }
    for (lua_pushnil(r->L); lua_next(r->L, index); lua_pop(r->L, 1))
        count++;
    if (count != n)
        return false;
    if (texts == n && form != FORM_OUTPUTS)
        r->last = (struct seen_list){table, at, from, n};
    return true;
}

bool value_items(struct reading *r, int index, enum form form, size_t at)
{
    return read_item(r, index, form, at, 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool value_map(struct reading *r, int index, size_t at)
{
    struct strs *out = value_list(r, at);

    if (lua_type(r->L, index) != LUA_TTABLE)
        return false;
    for (lua_pushnil(r->L); lua_next(r->L, index); lua_pop(r->L, 1)) {
        const char *value = value_scalar(r, lua_gettop(r->L));
        if (lua_type(r->L, -2) != LUA_TSTRING || !value) {
            lua_pop(r->L, 2);
            return false;
        }
        strs_push(out, lua_tostring(r->L, -2));
        strs_push(out, value);
    }
    if (out->len)
        qsort(out->at, out->len / 2, 2 * sizeof(*out->at), by_name);
    return true;
}

bool value_path(struct reading *r, int index, const char **out)
{
    if (lua_type(r->L, index) == LUA_TTABLE && bind_is(r->L, index, BIND_PATH)) {
        *out = field_text(r, index, "path");
    } else if (lua_type(r->L, index) == LUA_TTABLE && bind_is(r->L, index, BIND_NODE)) {
        lua_rawgeti(r->L, index, 1);
        *out = lua_type(r->L, -1) == LUA_TSTRING ? lua_tostring(r->L, -1) : NULL;
        lua_pop(r->L, 1);
    } else {
        *out = lua_type(r->L, index) == LUA_TSTRING ? value_scalar(r, index) : NULL;
    }
    return *out && **out;
}
