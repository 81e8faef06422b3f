/* Lua values to JSON and back, and what has no JSON form. */
#include "luajson.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luajson_open(L);
    lua_setglobal(L, "json");
    *state = L;
    return 0;
}

static int teardown(void **state)
{
    lua_close(*state);
    return 0;
}

/* Runs a chunk that returns text. */
static void gives(void **state, const char *chunk, const char *want)
{
    lua_State *L = *state;
    if (luaL_dostring(L, chunk) != LUA_OK)
        fail_msg("%s: %s", chunk, lua_tostring(L, -1));
    assert_string_equal(lua_tostring(L, -1), want);
    lua_settop(L, 0);
}

static void fails(void **state, const char *chunk, const char *part)
{
    lua_State *L = *state;
    assert_int_not_equal(luaL_dostring(L, chunk), LUA_OK);
    if (!strstr(lua_tostring(L, -1), part))
        fail_msg("`%s` does not say `%s`", lua_tostring(L, -1), part);
    lua_settop(L, 0);
}

static void test_scalars(void **state)
{
    gives(state, "return json.encode(1)", "1");
    gives(state, "return json.encode(1.5)", "1.5");
    gives(state, "return json.encode(-3)", "-3");
    gives(state, "return json.encode(true)", "true");
    gives(state, "return json.encode(nil)", "null");
    gives(state, "return json.encode('a\"b\\n')", "\"a\\\"b\\n\"");
    gives(state, "return math.type(json.decode('7'))", "integer");
    gives(state, "return math.type(json.decode('7.0'))", "float");
}

static void test_tables(void **state)
{
    gives(state, "return json.encode{1, 2, {3}}", "[1,2,[3]]");
    gives(state, "return json.encode{b = 1, a = {}}", "{\"a\":{},\"b\":1}");
    gives(state, "return json.encode(json.array{})", "[]");
    gives(state, "return json.encode(json.decode('[]'))", "[]");
    gives(state, "return json.encode(json.decode('{}'))", "{}");
    gives(state, "return json.encode(json.decode('{\"a\":[1,{\"b\":[]}],\"c\":\"x\"}'))",
          "{\"a\":[1,{\"b\":[]}],\"c\":\"x\"}");
}

static void test_numbers_keep_their_bits(void **state)
{
    gives(state, "local x = 0.1 + 0.2; return tostring(json.decode(json.encode(x)) == x)", "true");
    gives(state, "local x = 2^-1074; return tostring(json.decode(json.encode(x)) == x)", "true");
    gives(state, "return tostring(json.decode(json.encode(math.maxinteger)) == math.maxinteger)",
          "true");
}

static void test_no_json_form(void **state)
{
    fails(state, "json.encode{a = {1, print}}", "a[2] is a function");
    fails(state, "json.encode{1, x = 2}", "mixes a list with named fields");
    fails(state, "json.encode{[3] = 1}", "mixes");
    fails(state, "json.encode(0/0)", "not a number");
    fails(state, "json.encode{deep = {1/0}}", "deep[1]");
    fails(state, "json.encode('\\xff')", "UTF-8");
    fails(state, "local t = {}; t.t = t; json.encode(t)", "nested too deeply");
    fails(state, "json.encode()", "value expected");
}

static void test_decode_errors_say_where(void **state)
{
    fails(state, "json.decode('{\"a\": }', 'x.json')", "json");
    fails(state, "json.decode('')", "");
    fails(state, "json.decode('[1,2')", "");
}

static void test_pretty_ends_with_a_newline(void **state)
{
    gives(state, "return json.pretty{a = 1}", "{\n  \"a\": 1\n}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scalars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_keep_their_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_json_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_decode_errors_say_where, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pretty_ends_with_a_newline, setup, teardown),
    };
    return cmocka_run_group_tests_name("luajson", tests, NULL, NULL);
}
