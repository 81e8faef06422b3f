#include "bind_node.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct field {
    const char *name;
    enum form form;
    size_t at; /* offset in node_decl */
    uint32_t flag;
    bool hidden; /* for lua/ only */
};

static const struct field fields[] = {
    {"name", FORM_TEXT, AT(name), 0, false},
    {"kind", FORM_TEXT, AT(kind), 0, false},
    {"doc", FORM_TEXT, AT(doc), 0, false},
    {"run", FORM_RUN, 0, 0, false},
    {"shell", FORM_SHELL, 0, 0, false},
    {"inputs", FORM_PATHS, AT(inputs), 0, false},
    {"order_only", FORM_PATHS, AT(order_only), 0, false},
    {"after", FORM_NODES, AT(members), 0, false},
    {"outputs", FORM_OUTPUTS, AT(outputs), 0, false},
    {"depfile", FORM_ONE_PATH, AT(depfile), 0, false},
    {"reads", FORM_PATHS, AT(reads), 0, false},
    {"env", FORM_MAP, AT(env), 0, false},
    {"params", FORM_MAP, AT(params), 0, false},
    {"facts", FORM_LIST, AT(facts), 0, false},
    {"tools", FORM_TOOLS, AT(tools), 0, false},
    {"pool", FORM_TEXT, AT(pool), 0, false},
    {"timeout", FORM_SECONDS, 0, 0, false},
    {"write", FORM_TEXT, AT(text), 0, false},
    {"stdout", FORM_ONE_PATH, AT(stdout_to), 0, false},
    {"dir", FORM_TEXT, AT(dir), 0, false},
    {"phase", FORM_PHASE, 0, 0, false},
    {"measures", FORM_FLAG, 0, NODE_MEASURES, false},
    {"guide", FORM_ONE_PATH, AT(guide), 0, false},
    {"proofs", FORM_PATHS, AT(proofs), 0, false},
    {"network", FORM_FLAG, 0, NODE_NETWORK, false},
    {"console", FORM_FLAG, 0, NODE_CONSOLE, false},
    {"sandbox", FORM_UNFLAG, 0, NODE_UNSANDBOXED, false},
    {"always", FORM_FLAG, 0, NODE_ALWAYS, false},
    {"soft_fail", FORM_FLAG, 0, NODE_SOFT_FAIL, false},
    {"device", FORM_FLAG, 0, NODE_DEVICE, false},
    {"jobserver", FORM_FLAG, 0, NODE_JOBSERVER, false},
    {"test", FORM_FLAG, 0, NODE_TEST, false},
    {"target", FORM_FLAG, 0, NODE_TARGET, true},
    {"default", FORM_FLAG, 0, NODE_DEFAULT, true},
    {"show", FORM_ONE_PATH, AT(show), 0, true},
    {"driver", FORM_DRIVER, 0, 0, true},
};

static const size_t list_at[] = {AT(argv),    AT(env),    AT(params),     AT(facts),
                                 AT(tools),   AT(inputs), AT(order_only), AT(members),
                                 AT(outputs), AT(reads),  AT(proofs)};
_Static_assert(ARRAY_LEN(list_at) == sizeof(((struct script *)0)->lists) / sizeof(struct strs),
               "a scratch list each");

/* Takes the scratch lists, empty but with their memory. */
static void borrow(struct reading *r)
{
    for (size_t i = 0; i < ARRAY_LEN(list_at); i++) {
        r->s->lists[i].len = 0;
        *value_list(r, list_at[i]) = r->s->lists[i];
    }
    r->s->flags.len = 0;
    r->s->late.len = 0;
    r->d.output_flags = r->s->flags;
}
static void give_back(struct reading *r)
{
    for (size_t i = 0; i < ARRAY_LEN(list_at); i++)
        r->s->lists[i] = *value_list(r, list_at[i]);
    r->s->flags = r->d.output_flags;
}

static bool read_phase(struct reading *r, int index)
{
    const char *phase = lua_type(r->L, index) == LUA_TSTRING ? lua_tostring(r->L, index) : "";

    if (!strcmp(phase, "outer"))
        r->d.flags |= NODE_OUTER;
    else if (!strcmp(phase, "inner"))
        r->d.flags |= NODE_INNER;
    else
        return false;
    return true;
}

static bool read_seconds(struct reading *r, int index)
{
    double seconds = lua_type(r->L, index) == LUA_TNUMBER ? lua_tonumber(r->L, index) : -1;

    if (!(seconds > 0 && seconds < 4e6))
        return false;
    r->d.timeout_ms = (uint32_t)ceil(seconds * 1e3);
    return true;
}

/* The function stays in the registry; its number is the same in every evaluation. */
static bool read_driver(struct reading *r, int index)
{
    struct script *s = r->s;

    if (lua_type(r->L, index) != LUA_TFUNCTION)
        return false;
    s->drivers = xrealloc(s->drivers, (s->driver_count + 1) * sizeof(*s->drivers));
    lua_pushvalue(r->L, index);
    s->drivers[s->driver_count] =
        (struct script_driver){.function_ref = luaL_ref(r->L, LUA_REGISTRYINDEX)};
    r->d.driver = s->driver_count++;
    r->d.action = NODE_DRIVER;
    return true;
}

static bool read_flag(struct reading *r, int index, uint32_t flag, bool when)
{
    if (lua_type(r->L, index) != LUA_TBOOLEAN)
        return false;
    if (lua_toboolean(r->L, index) == when)
        r->d.flags |= flag;
    return true;
}

static bool read_field(struct reading *r, const struct field *f, int index)
{
    const char **text = (const char **)((char *)&r->d + f->at);

    switch (f->form) {
    case FORM_TEXT:
        *text = lua_type(r->L, index) == LUA_TBOOLEAN ? NULL : value_scalar(r, index);
        r->has_write = r->has_write || f->at == AT(text);
        return *text != NULL;
    case FORM_ONE_PATH:
        return value_path(r, index, text);
    case FORM_MAP:
        return value_map(r, index, f->at);
    case FORM_FLAG:
        return read_flag(r, index, f->flag, true);
    case FORM_UNFLAG:
        return read_flag(r, index, f->flag, false);
    case FORM_RUN:
        r->has_run = true;
        return value_items(r, index, FORM_RUN, AT(argv));
    case FORM_SECONDS:
        return read_seconds(r, index);
    case FORM_PHASE:
        return read_phase(r, index);
    case FORM_SHELL:
        r->shell = lua_toboolean(r->L, index);
        return lua_type(r->L, index) == LUA_TBOOLEAN;
    case FORM_DRIVER:
        return read_driver(r, index);
    case FORM_LIST:
    case FORM_PATHS:
    case FORM_NODES:
    case FORM_OUTPUTS:
    case FORM_TOOLS:
        return value_items(r, index, f->form, f->at);
    }
    return false;
}

/* The field's number by its name, from the table in the first upvalue; NULL when there is none. */
static const struct field *find_field(struct reading *r, int key)
{
    lua_pushvalue(r->L, key);
    lua_rawget(r->L, lua_upvalueindex(1));
    lua_Integer i = lua_tointeger(r->L, -1);
    lua_pop(r->L, 1);
    return i && (!r->public || !fields[i - 1].hidden) ? &fields[i - 1] : NULL;
}

/* Outputs by position come before those of `outputs`; they are read first, in order. */
static bool read_positional(struct reading *r)
{
    size_t n = lua_rawlen(r->L, 1);

    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(r->L, 1, (lua_Integer)i);
        bool fits = value_items(r, lua_gettop(r->L), FORM_OUTPUTS, AT(outputs));
        lua_pop(r->L, 1);
        if (!fits)
            return false;
    }
    return true;
}

static bool read_table(struct reading *r)
{
    lua_State *L = r->L;
    bool fits = lua_type(L, 1) == LUA_TTABLE && read_positional(r);

    if (!fits)
        return false;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_isinteger(L, -2))
            continue;
        const struct field *f =
            lua_type(L, -2) == LUA_TSTRING ? find_field(r, lua_gettop(L) - 1) : NULL;
        if (!f || !read_field(r, f, lua_gettop(L))) {
            r->bad = f ? f->name : NULL;
            lua_settop(L, 1);
            return false;
        }
    }
    return true;
}

/* Lua's checker says what is wrong, in the words it has for every rule; C only saw that something
 * is. */
static int complain(struct reading *r)
{
    struct script *s = r->s;
    struct place user, rule;

    give_back(r);
    lua_rawgeti(r->L, LUA_REGISTRYINDEX, s->complain_ref);
    lua_pushvalue(r->L, 1);
    lua_call(r->L, 1, 0);
    script_where(r->L, &user, &rule);
    if (r->bad)
        script_locate(s, &user, r->bad);
    err_set(&s->err, ERR_wrong_argument, "the field `%s` of a node holds what it cannot be",
            r->bad ? r->bad : "1");
    err_at(&s->err, user);
    if (rule.file)
        err_note(&s->err, rule, "here in the rule");
    script_raise(r->L);
}

static int refuse(struct reading *r, const char *word, const char *message, const char *hint)
{
    struct script *s = r->s;
    struct place user, rule;

    give_back(r);
    script_where(r->L, &user, &rule);
    script_locate(s, rule.file ? &rule : &user, word);
    err_set(&s->err, ERR_wrong_argument, "%s", message);
    err_at(&s->err, user);
    if (rule.file)
        err_note(&s->err, rule, "here in the rule");
    err_hint(&s->err, "%s", hint);
    script_raise(r->L);
}

/* The path of the tool behind a command's name; Lua finds and declares it the first time. */
static const char *command_path(struct reading *r, const char *name)
{
    lua_State *L = r->L;

    lua_rawgeti(L, LUA_REGISTRYINDEX, r->s->commands_ref);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_rawgeti(L, LUA_REGISTRYINDEX, r->s->tool_ref);
        lua_pushstring(L, name);
        give_back(r); /* the call may not return */
        lua_call(L, 1, 0);
        lua_pushstring(L, name);
        lua_rawget(L, -2);
    }
    const char *path = lua_tostring(L, -1);
    lua_pop(L, 2);
    return path;
}

/* A name is a tool, an absolute path too; a path in the project is a file that the command needs.
 */
static void name_tools(struct reading *r)
{
    struct strs tools = {0};
    struct node_decl *d = &r->d;

    for (size_t i = 0; i < d->tools.len; i++)
        command_path(r, d->tools.at[i]);
    const char *program = d->argv.len ? d->argv.at[0] : NULL;
    if (!program || program[0] == '$')
        return;
    if (strchr(program, '/') && program[0] != '/') {
        strs_push(&d->inputs, program);
        return;
    }
    d->argv.at[0] = command_path(r, program);
    strs_push(&tools, program);
    for (size_t i = 0; i < d->tools.len; i++)
        if (strcmp(d->tools.at[i], program) != 0)
            strs_push(&tools, d->tools.at[i]);
    d->tools.len = 0;
    for (size_t i = 0; i < tools.len; i++)
        strs_push(&d->tools, tools.at[i]);
    strs_release(&tools);
}

static void settle_run(struct reading *r)
{
    struct node_decl *d = &r->d;

    if (r->shell) {
        if (d->argv.len != 1)
            refuse(r, "run", "with shell = true, `run` is one text",
                   "run = \"sort a | uniq > b\", shell = true");
        const char *text = d->argv.at[0];
        d->argv.len = 0;
        strs_push(&d->argv, "sh");
        strs_push(&d->argv, "-c");
        strs_push(&d->argv, text);
    } else if (r->has_run && d->argv.len == 1 && strpbrk(d->argv.at[0], " \t|&;<>")) {
        refuse(r, "run", "`run` is one text with blanks, which no shell will take apart",
               "write a list, run = { \"cc\", \"-c\", \"a.c\" }, or add shell = true");
    }
    if (r->has_run && !d->argv.len)
        refuse(r, "run", "`run` is empty", "a command is a list of texts, the program first");
    if (r->has_run && r->has_write)
        refuse(r, "write", "a node either runs a command or writes a text",
               "take `run` or `write` away");
    if (d->action != NODE_DRIVER)
        d->action = r->has_run ? NODE_COMMAND : r->has_write ? NODE_WRITE : NODE_GROUP;
    if (d->action == NODE_WRITE && d->outputs.len != 1)
        refuse(r, "write", "a node that writes a text has one output",
               "name it first: node { \"out/x\", write = ... }");
    if (d->action == NODE_GROUP && d->outputs.len)
        refuse(r, d->outputs.at[0], "this node has an output and nothing that makes it",
               "add run = { ... } or write = \"...\"");
}

/* Nodes that the command names come after the inputs that were declared, in whatever order Lua
 * showed the fields. */
static void settle_inputs(struct reading *r)
{
    for (size_t i = 0; i < r->s->late.len; i++)
        strs_push(&r->d.inputs, r->s->late.at[i]);
}

static void settle_stdout(struct reading *r)
{
    struct node_decl *d = &r->d;

    if (!d->stdout_to)
        return;
    for (size_t i = 0; i < d->outputs.len; i++)
        if (!strcmp(d->outputs.at[i], d->stdout_to))
            return;
    value_output(r, d->stdout_to, 0);
}

/* Leaves { outputs... } on the stack, what other declarations refer to it by, with `name` when that
 * is not the first output. */
static void push_handle(struct reading *r, uint32_t id)
{
    lua_State *L = r->L;
    const struct node_decl *d = &r->d;

    lua_createtable(L, (int)d->outputs.len, 0);
    for (size_t i = 0; i < d->outputs.len; i++) {
        lua_pushstring(L, d->outputs.at[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    if (d->name && *d->name) {
        lua_pushstring(L, d->name);
        lua_setfield(L, -2, "name");
    }
    if (d->flags & NODE_ASKED) {
        lua_pushinteger(L, id);
        lua_setfield(L, -2, "id");
    }
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_setmetatable(L, -2);
}

static void place_decl(struct reading *r, struct place *rule)
{
    struct script *s = r->s;
    struct node_decl *d = &r->d;

    script_where_line(r->L, &d->place, rule);
    if (!d->kind)
        d->kind = s->rule;
    d->place.column = script_column(s, d->place, d->flags & NODE_TARGET ? "target" : d->kind);
    if (!d->doc)
        d->doc = script_doc(s, d->place, &s->decl_scratch);
    if (s->driver_node != GRAPH_NONE) {
        d->flags |= NODE_ASKED;
        d->driver = s->driver_node;
    }
}

static void prepare(const struct reading *r)
{
    lua_State *L = r->L;

    if (lua_type(L, 1) != LUA_TTABLE)
        return;
    lua_pushliteral(L, "facts");
    if (lua_rawget(L, 1) != LUA_TNIL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, r->s->prepare_ref);
        lua_pushvalue(L, 1);
        lua_call(L, 1, 0);
    }
    lua_settop(L, 1);
}

/* engine.add(table), and node(table) with fewer fields: adds a node and returns its handle. */
static int bind_add(lua_State *L)
{
    struct reading r = {.L = L, .s = script_of(L), .public = lua_toboolean(L, lua_upvalueindex(2))};
    struct place rule;

    lua_settop(L, 1);
    r.d.driver = GRAPH_NONE;
    prepare(&r);
    borrow(&r);
    if (!read_table(&r))
        return complain(&r);
    settle_inputs(&r);
    settle_stdout(&r);
    settle_run(&r);
    name_tools(&r);
    place_decl(&r, &rule);
    uint32_t id = graph_add_node(script_builder(r.s), &r.d, &r.s->err);
    give_back(&r);
    if (id == GRAPH_NONE) {
        script_sharpen(r.s, &r.s->err);
        rule.column = script_column(r.s, rule, "");
        if (rule.file)
            err_note(&r.s->err, rule, "here in the rule");
        script_raise(L);
    }
    push_handle(&r, id);
    arena_release(&r.s->decl_scratch);
    return 1;
}

static void push_fields(lua_State *L)
{
    lua_createtable(L, 0, (int)ARRAY_LEN(fields));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        lua_pushinteger(L, (lua_Integer)i + 1);
        lua_setfield(L, -2, fields[i].name);
    }
}

void bind_open_node(lua_State *L)
{
    static const struct {
        const char *name;
        bool public;
    } functions[] = {{"node_public", true}, {"add", false}};

    push_fields(L);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        lua_pushvalue(L, -1);
        lua_pushboolean(L, functions[i].public);
        luaL_getmetatable(L, BIND_NODE);
        lua_pushcclosure(L, bind_add, 3);
        lua_setfield(L, -3, functions[i].name);
    }
    lua_pop(L, 1);
}
