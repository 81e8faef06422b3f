/* spak-lua STEP.lua [--in NAME=PATH]... [--out NAME=PATH]... [--arg NAME=VALUE]...
 *
 * Runs one step of a rule: a Lua file that returns a function of `step`, in a closed environment.
 * The function reads the inputs and writes the outputs that the command line names, and is
 * otherwise pure: no files, clock, randomness or code from text. */
#include "diag.h"
#include "guide.h"
#include "hash.h"
#include "luajson.h"
#include "stat.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The state's registry holds the step under this address. */
static const char step_key;

struct named {
    const char *name;
    const char *value;
};
struct step {
    struct named in[512], out[64], arg[64];
    size_t in_count, out_count, arg_count;
    const char *script;
    struct err err; /* set by a function that failed; takes precedence over Lua's own message */
};

static struct step *step_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &step_key);
    struct step *step = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return step;
}

/* Leaves through Lua with the step's error. */
static int fail(lua_State *L)
{
    return luaL_error(L, "%s", step_of(L)->err.message);
}

static const char *find(const struct named *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].value;
    return NULL;
}

static const char *input_path(lua_State *L, const char *name)
{
    struct step *step = step_of(L);
    const char *path = find(step->in, step->in_count, name);
    if (!path)
        luaL_error(L, "this step has no input named `%s`", name);
    return path;
}

static void push_json_file(lua_State *L, const char *path)
{
    struct step *step = step_of(L);
    struct buf text = {0};
    json_t *value = NULL;
    if (os_read(path, &text, &step->err) == 0)
        value = json_parse(buf_text(&text), text.len, path, &step->err);
    buf_release(&text);
    if (!value)
        fail(L);
    luajson_push(L, value);
    json_decref(value);
}

static int step_read(lua_State *L)
{
    struct buf text = {0};
    if (os_read(input_path(L, luaL_checkstring(L, 1)), &text, &step_of(L)->err) < 0)
        return fail(L);
    lua_pushlstring(L, buf_text(&text), text.len);
    buf_release(&text);
    return 1;
}

static int step_json(lua_State *L)
{
    push_json_file(L, input_path(L, luaL_checkstring(L, 1)));
    return 1;
}

/* Inputs named "proof", "proof:a", "proof:b" ..., in the order of the command line. */
static bool in_group(const char *name, const char *group)
{
    size_t n = strlen(group);
    return strncmp(name, group, n) == 0 && (name[n] == '\0' || name[n] == ':');
}

static int step_json_all(lua_State *L)
{
    struct step *step = step_of(L);
    const char *group = luaL_checkstring(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < step->in_count; i++)
        if (in_group(step->in[i].name, group)) {
            push_json_file(L, step->in[i].value);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        }
    return 1;
}

/* The names of a group's inputs, for steps that need the digests too. */
static int step_names(lua_State *L)
{
    struct step *step = step_of(L);
    const char *group = luaL_checkstring(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < step->in_count; i++)
        if (in_group(step->in[i].name, group)) {
            lua_pushstring(L, step->in[i].name);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        }
    return 1;
}

static int step_digest(lua_State *L)
{
    struct digest digest;
    char hex[DIGEST_HEX_LEN + 1];
    if (hash_file(input_path(L, luaL_checkstring(L, 1)), &digest, &step_of(L)->err) < 0)
        return fail(L);
    digest_hex(&digest, hex);
    lua_pushstring(L, hex);
    return 1;
}

static int step_write(lua_State *L)
{
    size_t len;
    struct step *step = step_of(L);
    const char *name = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
    const char *path = find(step->out, step->out_count, name);
    if (!path)
        return luaL_error(L, "this step has no output named `%s`", name);
    if (os_write_in_place(path, text, len, &step->err) < 0)
        return fail(L);
    return 0;
}

static int step_arg(lua_State *L)
{
    struct step *step = step_of(L);
    lua_pushstring(L, find(step->arg, step->arg_count, luaL_checkstring(L, 1)));
    return 1;
}

static int step_lint_guide(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    if (guide_lint(text, len, luaL_optstring(L, 2, "guide"), &step_of(L)->err) < 0)
        return fail(L);
    return 0;
}

/* stat: what the engine computes from samples; Lua never does. */

static size_t samples(lua_State *L, int index, double *out, size_t max)
{
    luaL_checktype(L, index, LUA_TTABLE);
    size_t n = lua_rawlen(L, index);
    if (n < 2 || n > max)
        return (size_t)luaL_error(L, "2 to %d samples are needed, not %d", (int)max, (int)n);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        out[i] = luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    return n;
}

#define MAX_SAMPLES 10000

static int push_interval(lua_State *L, const struct stat_interval *interval, size_t n)
{
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, interval->median);
    lua_setfield(L, -2, "median");
    lua_pushnumber(L, interval->lo);
    lua_setfield(L, -2, "lo");
    lua_pushnumber(L, interval->hi);
    lua_setfield(L, -2, "hi");
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, "n");
    return 1;
}

static int lua_stat_ratio(lua_State *L)
{
    double *a = lua_newuserdata(L, MAX_SAMPLES * sizeof *a),
           *b = lua_newuserdata(L, MAX_SAMPLES * sizeof *b);
    size_t n = samples(L, 1, a, MAX_SAMPLES);
    if (samples(L, 2, b, MAX_SAMPLES) != n)
        return luaL_error(L, "paired samples must be as many on both sides");
    struct stat_interval interval = stat_ratio(a, b, n, (uint64_t)luaL_checkinteger(L, 3));
    return push_interval(L, &interval, n);
}

static int lua_stat_median(lua_State *L)
{
    double *a = lua_newuserdata(L, MAX_SAMPLES * sizeof *a);
    size_t n = samples(L, 1, a, MAX_SAMPLES);
    struct stat_interval interval = stat_median_interval(a, n, (uint64_t)luaL_checkinteger(L, 2));
    return push_interval(L, &interval, n);
}

static int lua_stat_verdict(lua_State *L)
{
    enum stat_verdict v =
        stat_verdict(luaL_checknumber(L, 1), luaL_checknumber(L, 2), luaL_checknumber(L, 3));
    lua_pushstring(L, stat_verdict_name(v));
    return 1;
}

/* The closed environment. */

static int lua_note(lua_State *L)
{
    for (int i = 1; i <= lua_gettop(L); i++) {
        fprintf(stderr, "%s%s", i > 1 ? "\t" : "", luaL_tolstring(L, i, NULL));
        lua_pop(L, 1);
    }
    fputc('\n', stderr);
    return 0;
}

static int load_file(lua_State *L, const char *path)
{
    struct step *step = step_of(L);
    struct buf text = {0}, name = {0};
    if (os_read(path, &text, &step->err) < 0)
        return fail(L);
    buf_addf(&name, "@%s", path);
    int rc = luaL_loadbufferx(L, buf_text(&text), text.len, name.ptr, "t");
    buf_release(&text);
    buf_release(&name);
    return rc == LUA_OK ? 0 : lua_error(L);
}

/* A module that lies beside the step; it is an input of the command, or the sandbox refuses it. */
static int lua_include(lua_State *L)
{
    struct arena arena = {0};
    const char *name = luaL_checkstring(L, 1);
    char *path = os_join(&arena, os_dirname(&arena, step_of(L)->script), name);
    lua_pushstring(L, path);
    arena_release(&arena);
    load_file(L, lua_tostring(L, -1));
    lua_call(L, 0, 1);
    return 1;
}

static void forget(lua_State *L, const char *table, const char *const *names)
{
    if (table)
        lua_getglobal(L, table);
    else
        lua_pushglobaltable(L);
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
    lua_pop(L, 1);
}

static void open_closed(lua_State *L)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                         {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_TABLIBNAME, luaopen_table},
                                         {LUA_MATHLIBNAME, luaopen_math},
                                         {LUA_UTF8LIBNAME, luaopen_utf8}};
    static const char *const base[] = {"dofile", "loadfile", "load", "collectgarbage", NULL};
    static const char *const string[] = {"dump", NULL};
    static const char *const math[] = {"random", "randomseed", NULL};
    static const luaL_Reg stat[] = {{"ratio", lua_stat_ratio},
                                    {"median", lua_stat_median},
                                    {"verdict", lua_stat_verdict},
                                    {NULL, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    forget(L, NULL, base);
    forget(L, "string", string);
    forget(L, "math", math);
    luajson_open(L);
    lua_setglobal(L, "json");
    luaL_newlib(L, stat);
    lua_setglobal(L, "stat");
    lua_register(L, "include", lua_include);
    lua_register(L, "print", lua_note);
}

static int body(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", step_read},
                                         {"json", step_json},
                                         {"json_all", step_json_all},
                                         {"names", step_names},
                                         {"digest", step_digest},
                                         {"write", step_write},
                                         {"arg", step_arg},
                                         {"lint_guide", step_lint_guide},
                                         {NULL, NULL}};
    const char *script = step_of(L)->script;
    open_closed(L);
    load_file(L, script);
    lua_call(L, 0, 1);
    if (!lua_isfunction(L, -1))
        return luaL_error(L, "%s: a step's file returns a function", script);
    luaL_newlib(L, functions);
    lua_call(L, 1, 0);
    return 0;
}

static int run(struct step *step)
{
    lua_State *L = luaL_newstate();
    if (!L)
        BUG("no memory for a Lua state");
    lua_pushlightuserdata(L, step);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &step_key);
    lua_pushcfunction(L, body);
    int class = 0;
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        if (step->err.set)
            diag_print(&step->err, diag_form_for(stderr));
        else
            fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        class = step->err.set ? (int)err_class(&step->err) : ERR_NODE;
    }
    lua_close(L);
    err_release(&step->err);
    return class;
}

static bool add_named(struct named *list, size_t *count, size_t max, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || *count == max)
        return false;
    *equals = '\0';
    list[(*count)++] = (struct named){text, equals + 1};
    return true;
}

int main(int argc, char **argv)
{
    static struct step step;
    bool good = argc >= 2 && argc % 2 == 0;
    for (int i = 2; good && i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--in") == 0)
            good = add_named(step.in, &step.in_count, ARRAY_LEN(step.in), argv[i + 1]);
        else if (strcmp(argv[i], "--out") == 0)
            good = add_named(step.out, &step.out_count, ARRAY_LEN(step.out), argv[i + 1]);
        else
            good = strcmp(argv[i], "--arg") == 0 &&
                   add_named(step.arg, &step.arg_count, ARRAY_LEN(step.arg), argv[i + 1]);
    }
    if (!good) {
        fputs("usage: spak-lua STEP.lua [--in NAME=PATH]... [--out NAME=PATH]... [--arg "
              "NAME=VALUE]...\n",
              stderr);
        return ERR_USAGE;
    }
    step.script = argv[1];
    return run(&step);
}
