/* When two sides agree, and where they first do not. */
#include "runner/prove_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct judge exact = {.relation = RELATION_EQUAL};
static const struct judge at_most = {.relation = RELATION_AT_MOST};

static json_t *value(const char *text)
{
    struct err e = {0};
    json_t *json = json_parse(text, strlen(text), "value", &e);
    assert_non_null(json);
    return json;
}

/* The path of the first difference, NULL when the sides agree. */
static const char *differ(const struct judge *judge, const char *lhs, const char *rhs)
{
    static char where[200];
    struct buf buf = {0};
    json_t *a = value(lhs), *b = value(rhs);
    bool agrees = judge_agrees(judge, a, b, &buf);
    strncpy(where, buf_text(&buf), sizeof(where) - 1);
    buf_release(&buf);
    json_decref(a);
    json_decref(b);
    return agrees ? NULL : where;
}

static void agree(const struct judge *judge, const char *lhs, const char *rhs)
{
    if (differ(judge, lhs, rhs))
        fail_msg("%s and %s differ", lhs, rhs);
}

static void differs(const struct judge *judge, const char *lhs, const char *rhs)
{
    if (!differ(judge, lhs, rhs))
        fail_msg("%s and %s agree", lhs, rhs);
}

static void test_equal_is_bit_exact(void **state)
{
    (void)state;
    agree(&exact, "1", "1");
    agree(&exact, "0.1", "0.1");
    differs(&exact, "0.1", "0.10000000000000002");
    differs(&exact, "0.0", "-0.0");
    agree(&exact, "-0.0", "-0.0");
    differs(&exact, "9007199254740993", "9007199254740992");
    agree(&exact, "9223372036854775807", "9223372036854775807");
    differs(&exact, "1", "2");
}

static void test_a_whole_number_equals_the_same_real(void **state)
{
    (void)state;
    agree(&exact, "3", "3.0");
    agree(&exact, "-3.0", "-3");
    differs(&exact, "3", "3.0000000000000004");
    /* Beyond 2^53 a real no longer says which whole number it is. */
    differs(&exact, "9007199254740993", "9007199254740992.0");
}

static void test_words_stand_for_numbers(void **state)
{
    (void)state;
    agree(&exact, "\"nan\"", "\"nan\"");
    agree(&exact, "\"-inf\"", "\"-inf\"");
    differs(&exact, "\"inf\"", "\"-inf\"");
    differs(&exact, "\"nan\"", "0");
    differs(&exact, "\"inf\"", "1e308");
    differs(&exact, "\"nan\"", "\"NaN\"");
}

static void test_other_values_are_equal_or_not(void **state)
{
    (void)state;
    agree(&exact, "\"3/7\"", "\"3/7\"");
    differs(&exact, "\"3/7\"", "\"6/14\"");
    agree(&exact, "true", "true");
    differs(&exact, "true", "1");
    differs(&exact, "null", "0");
    differs(&exact, "[]", "{}");
    differs(&exact, "[1]", "1");
    differs(&exact, "\"1\"", "1");
    agree(&exact, "[]", "[]");
    agree(&exact, "{}", "{}");
}

static void test_the_first_difference_has_a_path(void **state)
{
    (void)state;
    assert_string_equal(differ(&exact, "1", "2"), "");
    assert_string_equal(differ(&exact, "[1,[2,3]]", "[1,[2,4]]"), "[1][1]");
    assert_string_equal(differ(&exact, "{\"o\":1,\"l\":[0,0]}", "{\"o\":1,\"l\":[0,5]}"), ".l[1]");
    assert_string_equal(differ(&exact, "[[1],[1,2]]", "[[1],[1]]"), "[1] (2 elements against 1)");
    assert_string_equal(differ(&exact, "{\"a\":1}", "{\"b\":1}"), ".a");
    assert_string_equal(differ(&exact, "{\"a\":1}", "{\"a\":1,\"b\":1}"), " (different members)");
    assert_string_equal(differ(&exact, "[[[1]]]", "[[[2]]]"), "[0][0][0]");
}

static void test_absolute_and_relative_bounds_add(void **state)
{
    (void)state;
    struct judge abs = {.bounded = true, .abs = 0.5}, rel = {.bounded = true, .rel = 0.1};
    struct judge both = {.bounded = true, .abs = 0.5, .rel = 0.1};
    agree(&abs, "1", "1.5");
    differs(&abs, "1", "1.51");
    agree(&rel, "10", "9");
    agree(&rel, "9", "10");
    differs(&rel, "10", "8.9");
    differs(&rel, "0", "1e-9");
    agree(&both, "10", "8.5");
    differs(&both, "10", "8.4");
    agree(&abs, "[1,[2]]", "[1.2,[1.9]]");
    assert_string_equal(differ(&abs, "[1,[2]]", "[1.2,[3]]"), "[1][0]");
}

static void test_bounds_do_not_reach_infinity_or_nan(void **state)
{
    (void)state;
    struct judge wide = {.bounded = true, .abs = 1e300, .rel = 1, .ulp = 1e18, .ulp32 = 1e18};
    agree(&wide, "\"inf\"", "\"inf\"");
    agree(&wide, "\"nan\"", "\"nan\"");
    differs(&wide, "\"inf\"", "1e308");
    differs(&wide, "\"inf\"", "\"-inf\"");
    differs(&wide, "\"nan\"", "1");
    differs(&wide, "1", "\"nan\"");
    agree(&wide, "0.0", "-0.0");
    differs(&wide, "\"a\"", "\"b\"");
}

static void test_ulps_count_doubles(void **state)
{
    (void)state;
    struct judge one = {.bounded = true, .ulp = 1}, none = {.bounded = true};
    agree(&one, "1.0", "1.0000000000000002");
    differs(&one, "1.0", "1.0000000000000004");
    agree(&one, "-1.0", "-1.0000000000000002");
    agree(&one, "5e-324", "0.0");
    agree(&one, "-5e-324", "0.0");
    differs(&one, "-5e-324", "5e-324");
    differs(&one, "1.0", "-1.0");
    differs(&none, "1.0", "1.0000000000000002");
}

static void test_ulps_count_floats(void **state)
{
    (void)state;
    struct judge two = {.bounded = true, .ulp32 = 2};
    agree(&two, "1.0", "1.0000001192092896");
    agree(&two, "1.0", "1.000000238418579");
    differs(&two, "1.0", "1.0000004768371582");
    differs(&two, "1.0", "-1.0");
}

static void test_at_most_goes_element_by_element(void **state)
{
    (void)state;
    struct judge slack = {.relation = RELATION_AT_MOST, .bounded = true, .abs = 0.1};
    agree(&at_most, "1", "1");
    agree(&at_most, "[1,-5]", "[2,0]");
    assert_string_equal(differ(&at_most, "[1,3]", "[2,2]"), "[1]");
    agree(&at_most, "\"-inf\"", "-1e308");
    agree(&at_most, "5", "\"inf\"");
    differs(&at_most, "\"inf\"", "5");
    differs(&at_most, "\"nan\"", "5");
    differs(&at_most, "5", "\"nan\"");
    differs(&at_most, "\"nan\"", "\"nan\"");
    differs(&at_most, "1.0000000000000002", "1");
    agree(&slack, "1.05", "1");
    differs(&slack, "1.2", "1");
    differs(&at_most, "[1]", "[1,2]");
    agree(&at_most, "\"same\"", "\"same\"");
    differs(&at_most, "\"a\"", "\"b\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_is_bit_exact),
        cmocka_unit_test(test_a_whole_number_equals_the_same_real),
        cmocka_unit_test(test_words_stand_for_numbers),
        cmocka_unit_test(test_other_values_are_equal_or_not),
        cmocka_unit_test(test_the_first_difference_has_a_path),
        cmocka_unit_test(test_absolute_and_relative_bounds_add),
        cmocka_unit_test(test_bounds_do_not_reach_infinity_or_nan),
        cmocka_unit_test(test_ulps_count_doubles),
        cmocka_unit_test(test_ulps_count_floats),
        cmocka_unit_test(test_at_most_goes_element_by_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
