#include "bind.h"

#include <stdlib.h>
#include <string.h>

static _Noreturn void fail(lua_State *L, struct place *user)
{
    struct script *s = script_of(L);
    struct place place, rule;

    script_where(L, &place, &rule);
    if (user)
        place = *user;
    err_at(&s->err, place);
    if (rule.file)
        err_note(&s->err, rule, "here in the rule");
    arena_release(&s->scratch);
    script_raise(L);
}

static void push_list(lua_State *L, const struct strs *list)
{
    lua_createtable(L, (int)list->len, 0);
    for (size_t i = 0; i < list->len; i++) {
        lua_pushstring(L, list->at[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* Reads a list of texts into scratch memory, NULL-terminated. */
static const char *const *read_texts(lua_State *L, int index)
{
    struct script *s = script_of(L);

    if (lua_type(L, index) != LUA_TTABLE)
        return NULL;
    size_t n = lua_rawlen(L, index);
    const char **list = arena_alloc(&s->scratch, (n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        list[i] = arena_strdup(&s->scratch, bind_text(L, -1, "an item of this list"));
        lua_pop(L, 1);
    }
    return list;
}

static const char *const *field_texts(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    const char *const *list = read_texts(L, lua_gettop(L));
    lua_pop(L, 1);
    return list;
}

/* engine.glob(pattern): the files that match, sorted; recorded. */
static int bind_glob(lua_State *L)
{
    struct script *s = script_of(L);
    const char *pattern = bind_text(L, 1, "a pattern");
    struct strs *found = &s->lists[0];
    struct digest digest;

    found->len = 0;
    if (script_glob(s->options.root, pattern, &s->scratch, found, NULL, &s->err) < 0)
        fail(L, NULL);
    script_list_digest(found, &digest);
    script_record(s, READ_GLOB, pattern, &digest);
    push_list(L, found);
    arena_release(&s->scratch);
    return 1;
}

static int bind_match(lua_State *L)
{
    lua_pushboolean(L, script_match(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* engine.read(path): the text of a source, or nil when there is none; recorded either way. */
static int bind_read(lua_State *L)
{
    struct script *s = script_of(L);
    const char *path = bind_text(L, 1, "a path");
    const char *full = os_join(&s->scratch, s->options.root, path);
    struct os_stat st;
    struct buf text = {0};

    if (script_record_file(s, path, &s->err) < 0 || os_stat(full, &st, &s->err) < 0)
        fail(L, NULL);
    if (st.kind == OS_ABSENT) {
        lua_pushnil(L);
    } else {
        if (os_read(full, &text, &s->err) < 0)
            fail(L, NULL);
        lua_pushlstring(L, buf_text(&text), text.len);
        buf_release(&text);
    }
    arena_release(&s->scratch);
    return 1;
}

/* engine.output(path): the text of something that a driver's node made; not recorded: the driver's
 * record is. */
static int bind_output(lua_State *L)
{
    struct script *s = script_of(L);
    struct buf text = {0};

    if (os_read(os_join(&s->scratch, s->options.root, bind_text(L, 1, "a path")), &text, &s->err) <
        0)
        fail(L, NULL);
    lua_pushlstring(L, buf_text(&text), text.len);
    buf_release(&text);
    arena_release(&s->scratch);
    return 1;
}

/* engine.watch(path): a file on which the graph depends although its text is not looked at. */
static int bind_watch(lua_State *L)
{
    struct script *s = script_of(L);

    if (script_record_file(s, bind_text(L, 1, "a path"), &s->err) < 0)
        fail(L, NULL);
    return 0;
}

static void record_value(struct script *s, enum read_kind kind, const char *name, const char *value)
{
    struct digest digest = {0};

    if (value)
        script_text_digest(value, &digest);
    script_record(s, kind, name, &digest);
}

/* engine.fact(name): its value, or nil; recorded, and declared for nodes to name. */
static int bind_fact(lua_State *L)
{
    struct script *s = script_of(L);
    const char *name = bind_text(L, 1, "a fact's name");
    const char *value = host_fact(&s->arena, name);

    record_value(s, READ_FACT, name, value);
    if (value && graph_add_fact(script_builder(s), name, value, &s->err) < 0)
        fail(L, NULL);
    lua_pushstring(L, value);
    return 1;
}

/* engine.facts(): the names there are, for hints. */
static int bind_facts(lua_State *L)
{
    struct script *s = script_of(L);
    struct strs names = {0};

    host_fact_names(&s->scratch, &names);
    push_list(L, &names);
    strs_release(&names);
    arena_release(&s->scratch);
    return 1;
}

/* engine.env(name): the variable, or nil; recorded. Which may be asked for is Lua's to say. */
static int bind_env(lua_State *L)
{
    const char *name = bind_text(L, 1, "a variable's name"), *value = getenv(name);

    record_value(script_of(L), READ_ENV, name, value);
    lua_pushstring(L, value);
    return 1;
}

/* engine.record_param(name, value) */
static int bind_record_param(lua_State *L)
{
    const char *value = lua_isnoneornil(L, 2) ? NULL : bind_text(L, 2, "a value");

    record_value(script_of(L), READ_PARAM, bind_text(L, 1, "a parameter's name"), value);
    return 0;
}

static int bind_pool(lua_State *L)
{
    struct script *s = script_of(L);
    lua_Integer depth = luaL_checkinteger(L, 2);

    if (graph_add_pool(script_builder(s), bind_text(L, 1, "a pool's name"), (uint32_t)depth,
                       &s->err) < 0)
        fail(L, NULL);
    return 0;
}

static int bind_trace_to(lua_State *L)
{
    graph_set_trace(script_builder(script_of(L)), bind_text(L, 1, "where the trace goes"));
    return 0;
}

/* A list of lists: the arguments that make a tool name its parts. */
static const char *const *const *field_lists(lua_State *L, int table, const char *name)
{
    struct script *s = script_of(L);
    const char *const **lists = NULL;

    lua_getfield(L, table, name);
    if (lua_type(L, -1) == LUA_TTABLE) {
        size_t n = lua_rawlen(L, -1);
        lists = arena_alloc(&s->scratch, (n + 1) * sizeof(*lists));
        for (size_t i = 0; i < n; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            lists[i] = read_texts(L, lua_gettop(L));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    return lists;
}

static void push_tool(lua_State *L, const char *name, const struct host_tool *tool)
{
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(&tool->digest, hex);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, tool->path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, tool->version);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, hex);
    lua_setfield(L, -2, "digest");
    luaL_setmetatable(L, BIND_TOOL);
}

static int record_tool(struct script *s, const char *name, const char *const *candidates,
                       const struct host_tool *tool, bool found)
{
    struct strs none = {0};
    struct digest digest;
    const char *text = script_tool_text(&s->scratch, name, candidates, found ? tool->path : NULL,
                                        found ? &tool->files : &none);

    if (script_tool_digest(text, s->options.cache, &s->scratch, &digest, &s->err) < 0)
        return -1;
    script_record(s, READ_TOOL, text, &digest);
    return 0;
}

/* The programs that come with the engine lie beside it, wherever it was unpacked; PATH comes after.
 */
static const char *const *beside_engine(struct script *s, const char *name,
                                        const char *const *candidates)
{
    bool plain = candidates && candidates[0] && !candidates[1] && !strcmp(candidates[0], name);
    char *self = plain && text_starts_with(name, "spak-") ? os_self(&s->scratch, &s->err) : NULL;

    if (!self)
        return candidates;
    const char **both = arena_alloc(&s->scratch, 3 * sizeof(*both));
    both[0] = os_join(&s->scratch, os_dirname(&s->scratch, self), name);
    both[1] = name;
    return both;
}

/* engine.find_tool { name, find, version, check, parts }: the tool, or nil; recorded and declared.
 */
static int bind_find_tool(lua_State *L)
{
    struct script *s = script_of(L);
    struct host_tool tool = {0};
    bool found = false;

    lua_getfield(L, 1, "name");
    const char *name = bind_text(L, -1, "a tool's name");
    struct host_tool_query q = {
        .name = name,
        .candidates = beside_engine(s, name, field_texts(L, 1, "find")),
        .version_args = field_texts(L, 1, "version"),
        .check_args = field_texts(L, 1, "check"),
        .part_args = field_lists(L, 1, "parts"),
    };
    if (host_find_tool(&q, s->options.cache, &s->scratch, &tool, &found, &s->err) < 0 ||
        record_tool(s, name, q.candidates, &tool, found) < 0)
        fail(L, NULL);
    if (!found) {
        arena_release(&s->scratch);
        lua_pushnil(L);
        return 1;
    }
    struct tool_decl decl = {name,       tool.path,   tool.version ? tool.version : "",
                             tool.files, tool.digest, false};
    if (graph_add_tool(script_builder(s), &decl, &s->err) < 0)
        fail(L, NULL);
    push_tool(L, name, &tool);
    strs_release(&tool.files);
    arena_release(&s->scratch);
    return 1;
}

/* engine.built_tool(name, path): a tool that the project makes. */
static int bind_built_tool(lua_State *L)
{
    struct script *s = script_of(L);
    struct tool_decl decl = {.name = bind_text(L, 1, "a tool's name"),
                             .path = bind_text(L, 2, "a path"),
                             .version = "",
                             .artifact = true};
    struct host_tool tool = {.path = decl.path, .version = ""};

    if (graph_add_tool(script_builder(s), &decl, &s->err) < 0)
        fail(L, NULL);
    push_tool(L, decl.name, &tool);
    return 1;
}

/* Runs the program found for argv[0] and leaves its output; the answer holds while the program is
 * the same. */
static int probe(struct script *s, const char *const *argv, struct buf *out, struct os_exit *status)
{
    const char *candidates[] = {argv[0], NULL};
    struct strs files = {0};
    struct buf name = {0};
    struct digest digest;
    const char *found = strchr(argv[0], '/') ? argv[0] : os_which(&s->scratch, argv[0]);
    char *real = found ? os_realpath(&s->scratch, found, &s->err) : NULL;
    size_t n = 0;

    if (s->err.set)
        return -1;
    if (!real)
        return err_set(&s->err, ERR_probe_failed, "the program `%s` is not here", argv[0]);
    for (; argv[n]; n++)
        buf_addf(&name, "%s%s", n ? " " : "", argv[n]);
    strs_push(&files, real);
    const char *text = script_tool_text(&s->scratch, buf_text(&name), candidates, real, &files);
    strs_release(&files);
    buf_release(&name);
    if (script_tool_digest(text, s->options.cache, &s->scratch, &digest, &s->err) < 0)
        return -1;
    script_record(s, READ_TOOL, text, &digest);
    const char **full = arena_memdup(&s->scratch, argv, (n + 1) * sizeof(*argv));
    full[0] = found;
    return os_capture(full, true, out, status, &s->err);
}

/* engine.probe(argv): what the program prints, and its exit status. */
static int bind_probe(lua_State *L)
{
    struct script *s = script_of(L);
    struct buf out = {0};
    struct os_exit status = {0};
    const char *const *argv = read_texts(L, 1);

    if (!argv || !argv[0])
        return luaL_error(L, "probe takes a list of texts, the program first");
    if (probe(s, argv, &out, &status) < 0) {
        buf_release(&out);
        fail(L, NULL);
    }
    lua_pushlstring(L, buf_text(&out), out.len);
    lua_pushinteger(L, status.code);
    buf_release(&out);
    arena_release(&s->scratch);
    return 2;
}

void bind_open_read(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"glob", bind_glob},
        {"match", bind_match},
        {"read", bind_read},
        {"output", bind_output},
        {"watch", bind_watch},
        {"fact", bind_fact},
        {"facts", bind_facts},
        {"env", bind_env},
        {"record_param", bind_record_param},
        {"pool", bind_pool},
        {"trace_to", bind_trace_to},
        {"find_tool", bind_find_tool},
        {"built_tool", bind_built_tool},
        {"probe", bind_probe},
        {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
