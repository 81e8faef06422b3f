#include "json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *parsed(const char *text)
{
    struct err e = {0};
    json_t *value = json_parse(text, strlen(text), "t.json", &e);

    if (!value)
        fail_msg("%s: %s", text, e.message);
    return value;
}

static void assert_compact(const char *text, const char *expected)
{
    struct buf out = {0};
    json_t *value = parsed(text);

    json_compact(value, &out);
    assert_string_equal(buf_text(&out), expected);
    json_decref(value);
    buf_release(&out);
}

static void assert_refused(const char *text, int line, int column)
{
    struct err e = {0};

    if (json_parse(text, strlen(text), "t.json", &e))
        fail_msg("accepted: %s", text);
    assert_int_equal(e.code, ERR_json_syntax);
    assert_string_equal(e.place.file, "t.json");
    if (e.place.line != line || e.place.column != column)
        fail_msg("%s: %d:%d: %s", text, e.place.line, e.place.column, e.message);
    err_release(&e);
}

static void compact_sorts_keys_by_bytes(void **state)
{
    (void)state;
    assert_compact(" { \"b\" : 1, \"a\" : [ true, false, null ], \"B\" : {} } ",
                   "{\"B\":{},\"a\":[true,false,null],\"b\":1}");
    assert_compact("{\"\\u00e0\":1,\"z\":2}", "{\"z\":2,\"\xc3\xa0\":1}");
}

static void any_value_may_stand_alone(void **state)
{
    (void)state;
    assert_compact("3", "3");
    assert_compact("\"x\"", "\"x\"");
    assert_compact("null", "null");
    assert_compact("[]", "[]");
}

static void pretty_indents_by_two(void **state)
{
    struct buf out = {0};
    json_t *value = parsed("{\"b\":[1,{\"c\":2.5}],\"a\":{},\"d\":[]}");

    (void)state;
    json_pretty(value, &out);
    assert_string_equal(out.ptr, "{\n"
                                 "  \"a\": {},\n"
                                 "  \"b\": [\n"
                                 "    1,\n"
                                 "    {\n"
                                 "      \"c\": 2.5\n"
                                 "    }\n"
                                 "  ],\n"
                                 "  \"d\": []\n"
                                 "}\n");
    json_decref(value);
    buf_release(&out);
}

static void output_is_appended(void **state)
{
    struct buf out = {0};
    json_t *value = parsed("[1]");

    (void)state;
    buf_addstr(&out, "x=");
    json_compact(value, &out);
    assert_string_equal(out.ptr, "x=[1]");
    json_decref(value);
    buf_release(&out);
}

static void reals_are_short_and_stay_reals(void **state)
{
    (void)state;
    assert_compact("0.1", "0.1");
    assert_compact("1.0", "1.0");
    assert_compact("-0.0", "-0.0");
    assert_compact("1e3", "1000.0");
    assert_compact("1e300", "1e+300");
    assert_compact("0.30000000000000004", "0.30000000000000004");
    assert_compact("5e-324", "4.94065645841247e-324");
}

static void reals_read_back_as_the_same_bits(void **state)
{
    struct rng rng = {11};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct buf out = {0};
        uint64_t bits = rng_next(&rng);
        json_t *value;
        json_t *again;
        double number;

        memcpy(&number, &bits, sizeof(number));
        if (!isfinite(number))
            continue;
        value = json_real(number);
        json_compact(value, &out);
        again = parsed(out.ptr);
        assert_true(json_is_real(again));
        assert_true(json_real_value(again) == number);
        json_decref(value);
        json_decref(again);
        buf_release(&out);
    }
}

static void integers_keep_64_bits(void **state)
{
    (void)state;
    assert_compact("9223372036854775807", "9223372036854775807");
    assert_compact("-9223372036854775808", "-9223372036854775808");
    assert_refused("9223372036854775808", 1, 1);
}

static void strings_are_escaped_as_little_as_possible(void **state)
{
    (void)state;
    assert_compact("\"\\u0001\\b\\t\\n\\f\\r\\u000b\\\"\\\\\\/\\u001f\"",
                   "\"\\u0001\\b\\t\\n\\f\\r\\u000b\\\"\\\\/\\u001f\"");
    assert_compact("\"\\u20ac \\ud83d\\ude00\"", "\"\xe2\x82\xac \xf0\x9f\x98\x80\"");
}

static void assert_quoted(const char *text, const char *expected)
{
    struct buf out = {0};
    json_t *value;

    json_quote(text, &out);
    assert_string_equal(out.ptr, expected);
    value = parsed(out.ptr);
    assert_true(json_is_string(value));
    json_decref(value);
    buf_release(&out);
}

static void quote_replaces_what_is_not_utf8(void **state)
{
    (void)state;
    assert_quoted("", "\"\"");
    assert_quoted("a\"b\n", "\"a\\\"b\\n\"");
    assert_quoted("\xff", "\"\xef\xbf\xbd\"");
    assert_quoted("a\x80z", "\"a\xef\xbf\xbdz\"");
    assert_quoted("\xc3", "\"\xef\xbf\xbd\"");                                 /* cut short */
    assert_quoted("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 /* overlong */
    assert_quoted("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* surrogate */
    assert_quoted("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_quoted("\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
    assert_quoted("\xdf\xbf\xef\xbf\xbf", "\"\xdf\xbf\xef\xbf\xbf\"");
}

/* Whatever bytes a program printed, the quoted form must be JSON. */
static void quote_of_random_bytes_parses(void **state)
{
    struct rng rng = {5};

    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct buf out = {0};
        char text[9] = {0};
        json_t *value;

        for (int k = 0; k < 8; k++)
            text[k] = (char)rng_below(&rng, 256);
        json_quote(text, &out);
        value = parsed(out.ptr);
        json_decref(value);
        buf_release(&out);
    }
}

static void syntax_errors_point_at_the_culprit(void **state)
{
    (void)state;
    assert_refused("{\n  \"a\": 1,\n  oops\n}", 3, 3);
    assert_refused("[1,]", 1, 4);
    assert_refused("[1 2]", 1, 4);
    assert_refused("{\"a\":1,\"a\":2}", 1, 8);
    assert_refused("[1] x", 1, 5);
    assert_refused("[\"\xc3\xa0\xc3\xa0\", oops]", 1, 10); /* a column counts bytes */
    assert_refused("[\"a\n\"]", 1, 2);
}

static void an_early_end_has_a_hint(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(json_parse("{\"a\": [1,", 9, "t.json", &e));
    assert_non_null(strstr(e.message, "end of file"));
    assert_non_null(strstr(e.hint, "too early"));
    err_release(&e);
    assert_null(json_parse("", 0, "t.json", &e));
    assert_int_equal(e.place.line, 1);
    assert_int_equal(e.place.column, 1);
    err_release(&e);
}

static void deep_nesting_is_refused_not_a_crash(void **state)
{
    char *deep = xmalloc(100001);
    struct err e = {0};

    (void)state;
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    assert_null(json_parse(deep, 100000, "t.json", &e));
    assert_true(e.set);
    err_release(&e);
    free(deep);
}

static void members_have_fallbacks(void **state)
{
    json_t *value = parsed("{\"t\":\"x\",\"i\":3,\"r\":2.5}");

    (void)state;
    assert_string_equal(json_text(value, "t", "f"), "x");
    assert_string_equal(json_text(value, "i", "f"), "f");
    assert_null(json_text(value, "none", NULL));
    assert_true(json_num(value, "r", 0) == 2.5);
    assert_true(json_num(value, "i", 0) == 3);
    assert_true(json_num(value, "t", -1) == -1);
    assert_int_equal(json_int(value, "i", 0), 3);
    assert_int_equal(json_int(value, "r", 7), 7);
    assert_int_equal(json_int(NULL, "i", 7), 7);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_sorts_keys_by_bytes),
        cmocka_unit_test(any_value_may_stand_alone),
        cmocka_unit_test(pretty_indents_by_two),
        cmocka_unit_test(output_is_appended),
        cmocka_unit_test(reals_are_short_and_stay_reals),
        cmocka_unit_test(reals_read_back_as_the_same_bits),
        cmocka_unit_test(integers_keep_64_bits),
        cmocka_unit_test(strings_are_escaped_as_little_as_possible),
        cmocka_unit_test(quote_replaces_what_is_not_utf8),
        cmocka_unit_test(quote_of_random_bytes_parses),
        cmocka_unit_test(syntax_errors_point_at_the_culprit),
        cmocka_unit_test(an_early_end_has_a_hint),
        cmocka_unit_test(deep_nesting_is_refused_not_a_crash),
        cmocka_unit_test(members_have_fallbacks),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
