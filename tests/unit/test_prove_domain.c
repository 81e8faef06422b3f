/* What cases are drawn: that they lie in their domains, that a scope is counted out whole, and that
 * a seed says everything about a random case. */
#include "runner/prove_domain.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct made {
    struct arena arena;
    struct fields fields;
    struct tape tape;
    struct buf line;
};

static int parse(struct made *m, const char *cases, struct err *e)
{
    *m = (struct made){0};
    json_t *json = json_parse(cases, strlen(cases), "cases", e);
    assert_non_null(json);
    int rc = fields_parse(json, &m->arena, &m->fields, e);
    json_decref(json);
    if (rc == 0)
        tape_init(&m->tape, m->fields.len);
    return rc;
}

static void must_parse(struct made *m, const char *cases)
{
    struct err e = {0};
    if (parse(m, cases, &e))
        fail_msg("%s: %s", cases, e.message);
}

static void made_release(struct made *m)
{
    tape_release(&m->tape);
    buf_release(&m->line);
    arena_release(&m->arena);
}

static void refuses(const char *cases, const char *words)
{
    struct made m;
    struct err e = {0};
    assert_int_equal(parse(&m, cases, &e), -1);
    assert_int_equal(e.code, ERR_law_spec);
    if (!strstr(e.message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", cases, e.message, words);
    err_release(&e);
    made_release(&m);
}

static const char *draw(struct made *m, enum draw_mode mode, uint64_t limit, uint64_t index)
{
    struct draw how = {.mode = mode, .limit = limit, .tape = &m->tape};
    how.rng = case_rng("5eed", index);
    buf_reset(&m->line);
    case_draw(&m->fields, &how, &m->line);
    return buf_text(&m->line);
}

static json_t *random_case(struct made *m, uint64_t index)
{
    struct err e = {0};
    const char *text = draw(m, DRAW_RANDOM, 0, index);
    json_t *json = json_parse(text, strlen(text), "case", &e);
    assert_non_null(json);
    return json;
}

/* Every case in scope, joined by blanks. */
static void counts_out(const char *cases, uint64_t limit, const char *expected)
{
    struct made m;
    struct buf all = {0};
    must_parse(&m, cases);
    do {
        buf_addstr(&all, all.len ? " " : "");
        buf_addstr(&all, draw(&m, DRAW_COUNT, limit, 0));
    } while (tape_next(&m.tape));
    assert_string_equal(buf_text(&all), expected);
    buf_release(&all);
    made_release(&m);
}

static size_t scope_size(const char *cases, uint64_t limit)
{
    struct made m;
    size_t count = 0;
    must_parse(&m, cases);
    do {
        draw(&m, DRAW_COUNT, limit, 0);
        count++;
    } while (tape_next(&m.tape));
    made_release(&m);
    return count;
}

static void test_ints_are_counted_from_zero_outward(void **state)
{
    (void)state;
    counts_out("[[\"x\",{\"int\":[-1,1]}]]", 9, "{\"x\":0} {\"x\":1} {\"x\":-1}");
    counts_out("[[\"x\",{\"int\":[-9,9]}]]", 4, "{\"x\":0} {\"x\":1} {\"x\":-1} {\"x\":2}");
    counts_out("[[\"x\",{\"int\":[-4,1]}]]", 9,
               "{\"x\":0} {\"x\":1} {\"x\":-1} {\"x\":-2} {\"x\":-3} {\"x\":-4}");
    counts_out("[[\"x\",{\"int\":[-1,3]}]]", 9,
               "{\"x\":0} {\"x\":1} {\"x\":-1} {\"x\":2} {\"x\":3}");
    counts_out("[[\"x\",{\"int\":[-7,-5]}]]", 2, "{\"x\":-5} {\"x\":-6}");
    counts_out("[[\"x\",{\"int\":[5,9]}]]", 2, "{\"x\":5} {\"x\":6}");
    counts_out("[[\"x\",{\"int\":[3,3]}]]", 5, "{\"x\":3}");
}

static void test_a_range_from_zero_reaches_its_limit(void **state)
{
    (void)state;
    counts_out("[[\"n\",{\"int\":[0,9]}]]", 2, "{\"n\":0} {\"n\":1} {\"n\":2}");
    counts_out("[[\"n\",{\"int\":[1,9]}]]", 2, "{\"n\":1} {\"n\":2}");
}

static void test_lists_follow_their_length(void **state)
{
    (void)state;
    counts_out("[[\"n\",{\"int\":[0,2]}],[\"b\",{\"bits\":\"n\"}]]", 2,
               "{\"n\":0,\"b\":[]} {\"n\":1,\"b\":[0]} {\"n\":1,\"b\":[1]} {\"n\":2,\"b\":[0,0]} "
               "{\"n\":2,\"b\":[0,1]} {\"n\":2,\"b\":[1,0]} {\"n\":2,\"b\":[1,1]}");
    counts_out("[[\"b\",{\"list\":{\"mod\":2},\"len\":[0,9]}]]", 1, "{\"b\":[]} {\"b\":[0]}");
    counts_out("[[\"b\",{\"list\":{\"mod\":3},\"len\":2}]]", 2,
               "{\"b\":[0,0]} {\"b\":[0,1]} {\"b\":[1,0]} {\"b\":[1,1]}");
    counts_out("[[\"b\",{\"list\":{\"mod\":3},\"len\":0}]]", 2, "{\"b\":[]}");
}

static void test_lengths_multiply(void **state)
{
    (void)state;
    struct made m;
    must_parse(&m, "[[\"m\",{\"int\":[1,3]}],[\"k\",{\"int\":[0,4]}],[\"a\",{\"list\":{\"mod\":7},"
                   "\"len\":\"m * k*2\"}]]");
    for (uint64_t i = 0; i < 200; i++) {
        json_t *c = random_case(&m, i);
        long long want = 2 * json_int(c, "m", -1) * json_int(c, "k", -1);
        assert_int_equal(json_array_size(json_object_get(c, "a")), want);
        json_decref(c);
    }
    made_release(&m);
}

static void test_permutations_are_all_there_once(void **state)
{
    (void)state;
    counts_out("[[\"p\",{\"perm\":3}]]", 1,
               "{\"p\":[0,1,2]} {\"p\":[0,2,1]} {\"p\":[1,0,2]} {\"p\":[1,2,0]} {\"p\":[2,0,1]} "
               "{\"p\":[2,1,0]}");
    assert_int_equal(scope_size("[[\"p\",{\"perm\":5}]]", 1), 120);
    counts_out("[[\"p\",{\"perm\":0}]]", 1, "{\"p\":[]}");
}

static void test_values_and_grids_are_walked_whole(void **state)
{
    (void)state;
    counts_out("[[\"c\",{\"choice\":[\"a\",null,[1]]}]]", 1,
               "{\"c\":\"a\"} {\"c\":null} {\"c\":[1]}");
    counts_out("[[\"g\",{\"grid\":[0,\"-inf\",2.5]}]]", 1,
               "{\"g\":0} {\"g\":\"-inf\"} {\"g\":2.5}");
    counts_out("[[\"r\",{\"record\":[[\"a\",{\"mod\":2}],[\"b\",{\"bits\":1}]]}]]", 2,
               "{\"r\":{\"a\":0,\"b\":[0]}} {\"r\":{\"a\":0,\"b\":[1]}} "
               "{\"r\":{\"a\":1,\"b\":[0]}} {\"r\":{\"a\":1,\"b\":[1]}}");
    counts_out("[[\"v\",{\"any\":[{\"mod\":2},{\"choice\":[\"x\"]}]}]]", 2,
               "{\"v\":0} {\"v\":1} {\"v\":\"x\"}");
}

static void test_reals_have_a_small_grid(void **state)
{
    (void)state;
    counts_out("[[\"x\",{\"real\":\"normal\"}]]", 3, "{\"x\":0.0} {\"x\":1.0} {\"x\":-1.0}");
    counts_out("[[\"x\",{\"real\":\"uniform\",\"scale\":4}]]", 1, "{\"x\":0.0} {\"x\":4.0}");
    counts_out("[[\"x\",{\"real\":\"extreme\"}]]", 3,
               "{\"x\":0.0} {\"x\":10000.0} {\"x\":-10000.0}");
    assert_int_equal(scope_size("[[\"x\",{\"real\":\"extreme\"}]]", 99), 8);
    assert_int_equal(scope_size("[[\"x\",{\"real\":\"normal\"}]]", 99), 4);
}

static void test_the_scope_is_a_product(void **state)
{
    (void)state;
    assert_int_equal(
        scope_size("[[\"a\",{\"mod\":9}],[\"b\",{\"int\":[1,9]}],[\"c\",{\"bits\":2}]]", 3),
        3 * 3 * 4);
    assert_int_equal(scope_size("[[\"l\",{\"list\":{\"bits\":1},\"len\":[0,5]}]]", 3),
                     1 + 2 + 4 + 8);
}

static void test_no_case_is_counted_twice(void **state)
{
    (void)state;
    struct made m;
    struct strs seen = {0};
    must_parse(&m,
               "[[\"n\",{\"int\":[0,3]}],[\"s\",{\"list\":{\"any\":[{\"int\":[1,4]},{\"choice\":"
               "[\"x\"]}]},\"len\":\"n\"}],[\"p\",{\"perm\":\"n\"}]]");
    do {
        strs_push(&seen, arena_strdup(&m.arena, draw(&m, DRAW_COUNT, 3, 0)));
    } while (tape_next(&m.tape));
    strs_sort(&seen);
    assert_int_equal(seen.len, 1 + 4 + 16 * 2 + 64 * 6);
    for (size_t i = 1; i < seen.len; i++)
        assert_string_not_equal(seen.at[i - 1], seen.at[i]);
    strs_release(&seen);
    made_release(&m);
}

static const char everything[] =
    "[[\"n\",{\"int\":[0,6]}],[\"i\",{\"int\":[-300,1000]}],[\"p\",{\"perm\":\"n\"}],"
    "[\"b\",{\"bits\":\"n\"}],[\"m\",{\"mod\":2147483647}],[\"x\",{\"real\":\"normal\",\"scale\":3}"
    "],"
    "[\"u\",{\"real\":\"uniform\",\"scale\":2}],[\"e\",{\"real\":\"extreme\"}],"
    "[\"g\",{\"grid\":[1,\"inf\"]}],[\"l\",{\"list\":{\"any\":[{\"int\":[0,5]},{\"real\":"
    "\"normal\"}]},"
    "\"len\":[1,5]}],[\"r\",{\"record\":[[\"q\",{\"choice\":[\"a\",\"b\"]}]]}]]";

static void test_a_seed_says_everything(void **state)
{
    (void)state;
    struct made a, b;
    must_parse(&a, everything);
    must_parse(&b, everything);
    for (uint64_t i = 0; i < 50; i++)
        draw(&b, DRAW_RANDOM, 0, 1000 + i); /* what was drawn before does not matter */
    for (uint64_t i = 0; i < 200; i++) {
        draw(&a, DRAW_RANDOM, 0, i);
        draw(&b, DRAW_RANDOM, 0, i);
        assert_string_equal(buf_text(&a.line), buf_text(&b.line));
    }
    struct rng one = case_rng("5eed", 1), other = case_rng("5eee", 1), third = case_rng("5eed", 2);
    uint64_t first = rng_next(&one);
    assert_true(first != rng_next(&other));
    assert_true(first != rng_next(&third));
    made_release(&a);
    made_release(&b);
}

static void test_a_tape_draws_its_case_again(void **state)
{
    (void)state;
    struct made m;
    struct tape copy;
    must_parse(&m, everything);
    tape_init(&copy, m.fields.len);
    for (uint64_t i = 0; i < 500; i++) {
        char *first = xstrdup(draw(&m, DRAW_RANDOM, 0, i));
        tape_copy(&copy, &m.tape);
        assert_string_equal(draw(&m, DRAW_REPLAY, 0, 0), first);
        for (size_t s = 0; s < copy.count; s++) {
            assert_int_equal(copy.streams[s].len, m.tape.streams[s].len);
            for (size_t at = 0; at < copy.streams[s].len; at++)
                assert_true(copy.streams[s].choice[at] == m.tape.streams[s].choice[at]);
        }
        free(first);
    }
    tape_release(&copy);
    made_release(&m);
}

static void test_a_tape_goes_through_a_word(void **state)
{
    (void)state;
    struct made m;
    struct buf word = {0};
    must_parse(&m, everything);
    for (uint64_t i = 0; i < 200; i++) {
        char *first = xstrdup(draw(&m, DRAW_RANDOM, 0, i));
        buf_reset(&word);
        tape_write(&m.tape, &word);
        assert_null(strchr(buf_text(&word), ' '));
        tape_clear(&m.tape);
        tape_read(buf_text(&word), &m.tape);
        assert_string_equal(draw(&m, DRAW_REPLAY, 0, 0), first);
        free(first);
    }
    buf_release(&word);
    made_release(&m);
}

/* A word of another law, or of nobody. */
static void test_any_word_is_a_case(void **state)
{
    static const char *const words[] = {"",
                                        ";;;;",
                                        "1;2;3;4;5;6;7;8;9;10;11;12;13;14",
                                        "-1,99999999999999999999999",
                                        "x;y",
                                        "5,5,5,",
                                        ",,,;18446744073709551615,18446744073709551615"};
    (void)state;
    struct made m;
    must_parse(&m, everything);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct err e = {0};
        tape_read(words[i], &m.tape);
        const char *text = draw(&m, DRAW_REPLAY, 0, 0);
        json_t *c = json_parse(text, strlen(text), "case", &e);
        assert_non_null(c);
        assert_in_range(json_int(c, "n", -1), 0, 6);
        json_decref(c);
    }
    made_release(&m);
}

static void test_any_tape_is_a_case(void **state)
{
    (void)state;
    struct made m;
    struct rng rng = {7};
    must_parse(&m, everything);
    for (int i = 0; i < 500; i++) {
        draw(&m, DRAW_RANDOM, 0, (uint64_t)i);
        struct stream *s = &m.tape.streams[rng_below(&rng, m.tape.count)];
        if (s->len > 0)
            s->choice[rng_below(&rng, s->len)] = rng_next(&rng);
        if (s->len > 0 && i % 2)
            s->len--;
        struct err e = {0};
        const char *text = draw(&m, DRAW_REPLAY, 0, 0);
        json_t *c = json_parse(text, strlen(text), "case", &e);
        assert_non_null(c);
        long long n = json_int(c, "n", -1), x = json_int(c, "i", 9999);
        assert_in_range(n, 0, 6);
        assert_true(x >= -300 && x <= 1000);
        assert_int_equal(json_array_size(json_object_get(c, "p")), n);
        json_decref(c);
    }
    made_release(&m);
}

static void test_an_empty_tape_is_the_simplest_case(void **state)
{
    (void)state;
    struct made m;
    must_parse(&m, everything);
    assert_string_equal(draw(&m, DRAW_REPLAY, 0, 0),
                        "{\"n\":0,\"i\":0,\"p\":[],\"b\":[],\"m\":0,\"x\":0.0,\"u\":0.0,\"e\":0.0,"
                        "\"g\":1,\"l\":[0],\"r\":{\"q\":\"a\"}}");
    made_release(&m);
}

static void test_random_cases_lie_in_their_domain(void **state)
{
    (void)state;
    struct made m;
    double top = 0, sum = 0;
    must_parse(&m, everything);
    for (uint64_t i = 0; i < 3000; i++) {
        json_t *c = random_case(&m, i);
        double x = json_num(c, "x", NAN), u = json_num(c, "u", NAN), e = json_num(c, "e", NAN);
        assert_true(fabs(x) <= 18 && fabs(u) <= 2 && fabs(e) <= 16384);
        assert_true((double)(float)x == x && (double)(float)e == e);
        top = fmax(top, fabs(e));
        sum += x;
        long long n = json_int(c, "n", -1), seen = 0;
        for (long long k = 0; k < n; k++)
            seen |= 1LL << json_integer_value(json_array_get(json_object_get(c, "p"), (size_t)k));
        assert_int_equal(seen, (1LL << n) - 1);
        json_decref(c);
    }
    assert_true(top > 8000);              /* extreme means it */
    assert_true(fabs(sum / 3000) < 0.25); /* normal is centred */
    made_release(&m);
}

static void test_random_ints_visit_the_ends(void **state)
{
    (void)state;
    struct made m;
    int low = 0, high = 0, zero = 0;
    must_parse(&m, "[[\"x\",{\"int\":[-1000000,1000000]}]]");
    for (uint64_t i = 0; i < 400; i++) {
        json_t *c = random_case(&m, i);
        long long x = json_int(c, "x", 0);
        low += x == -1000000;
        high += x == 1000000;
        zero += x == 0;
        json_decref(c);
    }
    assert_true(low > 5 && high > 5 && zero > 5);
    made_release(&m);
}

static void test_reals_are_noticed(void **state)
{
    (void)state;
    struct made m;
    must_parse(&m, everything);
    assert_true(fields_have_reals(&m.fields));
    made_release(&m);
    must_parse(&m, "[[\"x\",{\"mod\":5}],[\"g\",{\"grid\":[0.5]}]]");
    assert_false(fields_have_reals(&m.fields));
    made_release(&m);
    must_parse(&m, "[[\"x\",{\"record\":[[\"l\",{\"list\":{\"any\":[{\"real\":\"normal\"}]},"
                   "\"len\":1}]]}]]");
    assert_true(fields_have_reals(&m.fields));
    made_release(&m);
}

static void test_bad_domains_are_refused(void **state)
{
    (void)state;
    refuses("[]", "not empty");
    refuses("{\"x\":{\"int\":[0,1]}}", "list of [name, domain] pairs");
    refuses("[[\"x\"]]", "entry 1 of `cases`");
    refuses("[[\"x\",{\"int\":[0,1]}],[3,{\"int\":[0,1]}]]", "entry 2 of `cases`");
    refuses("[[\"x\",{\"int\":[0,1]}],[\"x\",{\"mod\":2}]]", "declares `x` twice");
    refuses("[[\"x\",{\"integer\":[0,1]}]]", "`x` is of no kind I know");
    refuses("[[\"x\",3]]", "of no kind I know");
    refuses("[[\"x\",{\"int\":[2,1]}]]", "lo is above hi");
    refuses("[[\"x\",{\"int\":[1]}]]", "needs a range");
    refuses("[[\"x\",{\"int\":[0,1.5]}]]", "whole number");
    refuses("[[\"x\",{\"int\":[0,99007199254740993]}]]", "beyond 2^53");
    refuses("[[\"x\",{\"choice\":[]}]]", "not empty");
    refuses("[[\"x\",{\"grid\":[1,\"big\"]}]]", "a grid with something else");
    refuses("[[\"x\",{\"real\":\"gauss\"}]]", "none of \"normal\"");
    refuses("[[\"x\",{\"real\":\"normal\",\"scale\":0}]]", "scale");
    refuses("[[\"x\",{\"mod\":1}]]", "at least 2");
    refuses("[[\"x\",{\"any\":[]}]]", "list of domains");
}

static void test_bad_lengths_are_refused(void **state)
{
    (void)state;
    refuses("[[\"x\",{\"list\":{\"mod\":2}}]]", "needs a length");
    refuses("[[\"x\",{\"list\":{\"mod\":2},\"len\":\"n\"}]]",
            "from `n`, which is not a field before");
    refuses("[[\"x\",{\"bits\":\"n\"}],[\"n\",{\"int\":[0,1]}]]", "not a field before it");
    refuses("[[\"n\",{\"mod\":4}],[\"x\",{\"bits\":\"n\"}]]", "not an int from 0 to 4096");
    refuses("[[\"n\",{\"int\":[-1,4]}],[\"x\",{\"bits\":\"n\"}]]", "not an int from 0 to 4096");
    refuses("[[\"x\",{\"bits\":5000}]]", "0 to 4096");
    refuses("[[\"x\",{\"bits\":-1}]]", "0 to 4096");
    refuses("[[\"x\",{\"list\":{\"mod\":2},\"len\":[-2,3]}]]", "0 to 4096");
    refuses("[[\"n\",{\"int\":[0,4096]}],[\"x\",{\"bits\":\"n*n\"}]]", "longer than 65536");
    refuses("[[\"n\",{\"int\":[0,2]}],[\"x\",{\"bits\":\"n*n*n*n*n\"}]]", "more than four factors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ints_are_counted_from_zero_outward),
        cmocka_unit_test(test_a_range_from_zero_reaches_its_limit),
        cmocka_unit_test(test_lists_follow_their_length),
        cmocka_unit_test(test_lengths_multiply),
        cmocka_unit_test(test_permutations_are_all_there_once),
        cmocka_unit_test(test_values_and_grids_are_walked_whole),
        cmocka_unit_test(test_reals_have_a_small_grid),
        cmocka_unit_test(test_the_scope_is_a_product),
        cmocka_unit_test(test_no_case_is_counted_twice),
        cmocka_unit_test(test_a_seed_says_everything),
        cmocka_unit_test(test_a_tape_draws_its_case_again),
        cmocka_unit_test(test_a_tape_goes_through_a_word),
        cmocka_unit_test(test_any_word_is_a_case),
        cmocka_unit_test(test_any_tape_is_a_case),
        cmocka_unit_test(test_an_empty_tape_is_the_simplest_case),
        cmocka_unit_test(test_random_cases_lie_in_their_domain),
        cmocka_unit_test(test_random_ints_visit_the_ends),
        cmocka_unit_test(test_reals_are_noticed),
        cmocka_unit_test(test_bad_domains_are_refused),
        cmocka_unit_test(test_bad_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
