#include "bind.h"
#include "luajson.h"

#include <stdio.h>
#include <string.h>

const char *bind_text(lua_State *L, int index, const char *what)
{
    struct script *s = script_of(L);
    size_t len;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;
    struct place user, rule;

    if (text && strlen(text) == len)
        return text;
    script_where(L, &user, &rule);
    if (text)
        err_set(&s->err, ERR_wrong_argument, "%s holds a NUL byte", what);
    else
        err_set(&s->err, ERR_wrong_argument, "%s has to be a text, not a %s", what,
                luaL_typename(L, index));
    err_at(&s->err, user);
    if (rule.file)
        err_note(&s->err, rule, "here in the rule");
    script_raise(L);
}

bool bind_is(lua_State *L, int index, const char *metatable)
{
    if (!lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, metatable);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static const char *field(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    return lua_tostring(L, -1);
}

/* engine.fail { code =, message =, hint =, word =, blame = "caller" }: an error about the call that
 * the spakfile made. `word` is looked for in that call; blame says that the rule knows it to be the
 * user's fault, so that its own line is of no interest. */
static int bind_fail(lua_State *L)
{
    struct script *s = script_of(L);
    struct place user, rule;

    luaL_checktype(L, 1, LUA_TTABLE);
    const char *name = field(L, 1, "code"), *message = field(L, 1, "message"),
               *hint = field(L, 1, "hint");
    const char *word = field(L, 1, "word"), *blame = field(L, 1, "blame");
    const struct err_info *info = name ? err_find(name) : NULL;
    enum err_code code = ERR_lua_error;
    for (int i = 0; info && i < ERR_CODE_COUNT; i++)
        if (err_info((enum err_code)i) == info)
            code = (enum err_code)i;
    script_where(L, &user, &rule);
    bool in_rule = rule.file && !(blame && !strcmp(blame, "caller"));
    if (word)
        script_locate(s, in_rule ? &rule : &user, word);
    err_set(&s->err, code, "%s", message ? message : "the rule refuses this");
    err_at(&s->err, user.file ? user : rule);
    if (in_rule)
        err_note(&s->err, rule, "here in the rule");
    if (hint)
        err_hint(&s->err, "%s", hint);
    script_raise(L);
}

/* engine.rule(name): the rule at work from now on, "node" for none; returns the one before. What
 * the outermost rule does, it does where it was called, also when it is written in the spakfile
 * itself. */
static int bind_rule(lua_State *L)
{
    struct script *s = script_of(L);
    const char *before = s->rule, *name = bind_text(L, 1, "a rule's name");
    struct place rule;

    if (!strcmp(name, "node"))
        s->call = (struct place){0};
    else if (!s->call.file)
        script_where(L, &s->call, &rule);
    lua_pushstring(L, before);
    s->rule = script_intern(s, name);
    return 1;
}

/* engine.at(file, line): where Lua is said to be while no file of the user's is being evaluated. */
static int bind_at(lua_State *L)
{
    struct script *s = script_of(L);
    const struct script_file *f = script_file(s, bind_text(L, 1, "a file"));

    s->at = (struct place){f ? f->name : NULL, (int)luaL_checkinteger(L, 2), 0};
    return 0;
}

/* engine.here(): file, line and doc of the call in the spakfile. */
static int bind_here(lua_State *L)
{
    struct script *s = script_of(L);
    struct place user, rule;

    script_where(L, &user, &rule);
    lua_pushstring(L, user.file ? user.file : "");
    lua_pushinteger(L, user.line);
    const char *doc = script_doc(s, user, &s->scratch);
    lua_pushstring(L, doc ? doc : "");
    arena_release(&s->scratch);
    return 3;
}

static bool is_file(struct script *s, const char *path)
{
    struct os_stat st;
    struct err e = {0};
    bool file =
        os_stat(os_join(&s->arena, s->options.root, path), &st, &e) == 0 && st.kind == OS_FILE;

    err_release(&e);
    return file;
}

/* engine.find_rule(name): the path of a file in the first folder of rules that has it, or nil. */
static int bind_find_rule(lua_State *L)
{
    struct script *s = script_of(L);
    const char *name = bind_text(L, 1, "a rule's name");

    for (const char *const *dir = s->options.rule_dirs; *dir; dir++) {
        const char *path = arena_printf(&s->arena, "%s/%s", *dir, name);
        if (!is_file(s, path))
            continue;
        lua_pushstring(L, script_name(s, path));
        return 1;
    }
    lua_pushnil(L);
    return 1;
}

/* engine.rule_names(): what use could load, for hints. */
static int bind_rule_names(lua_State *L)
{
    struct script *s = script_of(L);
    struct strs names = {0};
    struct err e = {0};
    lua_Integer n = 0;

    lua_newtable(L);
    for (const char *const *dir = s->options.rule_dirs; *dir; dir++) {
        names.len = 0;
        if (os_list(os_join(&s->arena, s->options.root, *dir), &s->arena, &names, &e) < 0)
            err_release(&e);
        for (size_t i = 0; i < names.len; i++)
            if (text_ends_with(names.at[i], ".lua")) {
                lua_pushlstring(L, names.at[i], strlen(names.at[i]) - 4);
                lua_rawseti(L, -2, ++n);
            }
    }
    strs_release(&names);
    return 1;
}

/* engine.load(path, kind, environment): the file as a function. */
static int bind_load(lua_State *L)
{
    static const char *const kinds[] = {"engine", "rule", "user", NULL};
    struct script *s = script_of(L);
    const char *path = bind_text(L, 1, "a path");
    enum file_kind kind = (enum file_kind)luaL_checkoption(L, 2, NULL, kinds);

    lua_settop(L, 3);
    if (kind == FILE_ENGINE)
        path = arena_printf(&s->arena, "%s/%s.lua", s->options.lua_dir, path);
    if (script_load(s, L, path, kind, &s->err) < 0)
        script_raise(L);
    if (!lua_isnoneornil(L, 3)) {
        lua_pushvalue(L, 3);
        if (!lua_setupvalue(L, -2, 1))
            lua_pop(L, 1);
    }
    return 1;
}

static int bind_is_file(lua_State *L)
{
    lua_pushboolean(L, is_file(script_of(L), bind_text(L, 1, "a path")));
    return 1;
}

/* engine.params(): every -D as a table from name to value. */
static int bind_params(lua_State *L)
{
    struct script *s = script_of(L);

    lua_newtable(L);
    for (const char *const *p = s->options.params; *p; p++) {
        const char *equal = strchr(*p, '=');
        if (!equal)
            continue;
        lua_pushlstring(L, *p, (size_t)(equal - *p));
        lua_pushstring(L, equal + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

static int bind_note(lua_State *L)
{
    struct place user, rule;

    script_where(L, &user, &rule);
    fprintf(stderr, "%s:%d: %s\n", user.file ? user.file : "?", user.line,
            bind_text(L, 1, "a note"));
    return 0;
}

/* engine.distance(a, b): how far two words are apart. */
static int bind_distance(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)text_distance(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* Addresses differ from run to run: what %p shows. */
static bool shows_address(const char *f)
{
    while ((f = strchr(f, '%'))) {
        f += 1 + strspn(f + 1, "-+ #0123456789.");
        if (*f == 'p')
            return true;
        f += *f == '%';
    }
    return false;
}

/* A text in the making that gives up when it gets long. */
struct short_text {
    char at[256];
    size_t len;
};

static bool add_bytes(struct short_text *t, const char *bytes, size_t len)
{
    if (len > sizeof(t->at) - t->len)
        return false;
    memcpy(t->at + t->len, bytes, len);
    t->len += len;
    return true;
}

static bool add_integer(struct short_text *t, lua_Integer number)
{
    char digits[24], *p = digits + sizeof(digits);
    lua_Unsigned left = number < 0 ? 0 - (lua_Unsigned)number : (lua_Unsigned)number;

    do
        *--p = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--p = '-';
    return add_bytes(t, p, (size_t)(digits + sizeof(digits) - p));
}

static bool add_argument(lua_State *L, struct short_text *t, char kind, int arg)
{
    size_t len;

    if (kind == 'd' && lua_isinteger(L, arg))
        return add_integer(t, lua_tointeger(L, arg));
    if (kind != 's' || lua_type(L, arg) != LUA_TSTRING)
        return false;
    const char *text = lua_tolstring(L, arg, &len);
    return add_bytes(t, text, len);
}

/* Most of what a spakfile formats is a path of texts and numbers. False, with nothing done, when it
 * is something else, an error too: that is for Lua to say. */
static bool format_path(lua_State *L)
{
    struct short_text t; /* not cleared: that would cost more than the rest */
    size_t len;
    int arg = 1;

    t.len = 0;
    if (lua_type(L, 1) != LUA_TSTRING)
        return false;
    const char *f = lua_tolstring(L, 1, &len), *end = f + len;
    while (f < end) {
        const char *percent = memchr(f, '%', (size_t)(end - f));
        if (!add_bytes(&t, f, (size_t)((percent ? percent : end) - f)))
            return false;
        if (!percent)
            break;
        f = percent + 2; /* a text of Lua's has a NUL behind it */
        if (!add_argument(L, &t, percent[1], ++arg))
            return false;
    }
    lua_pushlstring(L, t.at, t.len);
    return true;
}

/* string.format (the first upvalue, a function of C that has none itself) of what plain (the
 * second) makes of tables and functions. A spakfile of many nodes calls hardly anything as often.
 */
static int format_plain(lua_State *L)
{
    int n = lua_gettop(L);

    if (format_path(L))
        return 1;
    if (lua_type(L, 1) == LUA_TSTRING && shows_address(lua_tostring(L, 1)))
        return luaL_error(L, "%%p is an address, which differs from run to run");
    for (int i = 2; i <= n; i++) {
        if (lua_type(L, i) < LUA_TTABLE)
            continue;
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        lua_replace(L, i);
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* engine.formatter(string.format, plain): string.format without addresses. */
static int bind_formatter(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushcclosure(L, format_plain, 2);
    return 1;
}

/* engine.hooks { complain =, tool =, driver = }: functions of Lua that C calls back. */
static int bind_hooks(lua_State *L)
{
    struct script *s = script_of(L);
    struct {
        const char *name;
        int *ref;
    } hooks[] = {{"complain", &s->complain_ref},
                 {"prepare", &s->prepare_ref},
                 {"tool", &s->tool_ref},
                 {"driver", &s->driver_ref},
                 {"commands", &s->commands_ref}};

    for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
        lua_getfield(L, 1, hooks[i].name);
        *hooks[i].ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

static const char *const marks[] = {BIND_NODE, BIND_PATH, BIND_TOOL};

/* A node reads as its first output, a mark as its path, a tool as its name. */
static int bind_tostring(lua_State *L)
{
    lua_settop(L, 1);
    lua_rawgeti(L, 1, 1);
    if (lua_isnil(L, -1))
        field(L, 1, "path");
    if (bind_is(L, 1, BIND_TOOL) || lua_isnil(L, -1))
        field(L, 1, "name");
    return 1;
}

/* A node without a name of its own is called after its first output. */
static int bind_name_of_node(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING && !strcmp(lua_tostring(L, 2), "name"))
        lua_rawgeti(L, 1, 1);
    else
        lua_pushnil(L);
    return 1;
}

static void open_metatables(lua_State *L)
{
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        luaL_newmetatable(L, marks[i]);
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
        lua_pushcfunction(L, bind_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pop(L, 1);
    }
    luaL_getmetatable(L, BIND_NODE);
    lua_pushcfunction(L, bind_name_of_node);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* engine.mark_of(value): "node", "path", "tool" or nil. */
static int bind_mark_of(lua_State *L)
{
    for (size_t i = 0; lua_type(L, 1) == LUA_TTABLE && i < ARRAY_LEN(marks); i++)
        if (bind_is(L, 1, marks[i])) {
            lua_pushstring(L, marks[i] + sizeof("spak.") - 1);
            return 1;
        }
    lua_pushnil(L);
    return 1;
}

/* engine.mark(table): makes it the mark of an output. */
static int bind_mark(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, BIND_PATH);
    return 1;
}

/* An error of the JSON module is Lua's; the rest of the table comes from the other files. */
void bind_open(struct script *s, lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"fail", bind_fail},           {"at", bind_at},
        {"rule", bind_rule},           {"here", bind_here},
        {"find_rule", bind_find_rule}, {"rule_names", bind_rule_names},
        {"load", bind_load},           {"is_file", bind_is_file},
        {"params", bind_params},       {"note", bind_note},
        {"distance", bind_distance},   {"formatter", bind_formatter},
        {"hooks", bind_hooks},         {"mark", bind_mark},
        {"mark_of", bind_mark_of},     {NULL, NULL},
    };

    (void)s;
    luaL_newlib(L, functions);
    open_metatables(L);
    luajson_open(L);
    lua_setfield(L, -2, "json");
    bind_open_node(L);
    bind_open_read(L);
}
