/* What a law may declare, and how a wrong declaration is refused. */
#include "runner/prove_spec.h"
#include "scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CASES "\"cases\":[[\"x\",{\"int\":[0,9]}]]"
#define HEAD "{\"name\":\"t/law\",\"asserts\":\"x is x\",\"sim\":[\"./sim\",\"-u\"],"
#define SCOPE "\"scope\":{\"exhaustive\":4,\"random\":100}"

static int parse(const char *text, struct spec *spec, struct err *e)
{
    return spec_parse(text, strlen(text), "law.json", spec, e);
}

static void accepts(const char *text, struct spec *spec)
{
    struct err e = {0};
    if (parse(text, spec, &e))
        fail_msg("%s: %s", text, e.message);
}

static void refuses(const char *text, const char *words)
{
    struct spec spec;
    struct err e = {0};
    assert_int_equal(parse(text, &spec, &e), -1);
    assert_int_equal(err_class(&e), ERR_USAGE);
    if (!strstr(e.message, words))
        fail_msg("\"%s\" does not say \"%s\"", e.message, words);
    err_release(&e);
    spec_release(&spec);
}

static void test_a_small_law_and_its_defaults(void **state)
{
    (void)state;
    struct spec s;
    accepts(HEAD CASES "," SCOPE "}", &s);
    assert_string_equal(s.name, "t/law");
    assert_string_equal(s.asserts, "x is x");
    assert_string_equal(s.argv[0], "./sim");
    assert_string_equal(s.argv[1], "-u");
    assert_null(s.argv[2]);
    assert_int_equal(s.fields.len, 1);
    assert_int_equal(s.exhaustive, 4);
    assert_int_equal(s.random, 100);
    assert_true(s.cap >= 10000);
    assert_int_equal(s.judge.relation, RELATION_EQUAL);
    assert_false(s.judge.bounded);
    assert_int_equal(s.mutant_count, 0);
    assert_true(s.threshold == 1.0 && s.max_skip == 0.5);
    assert_true(s.timeout_ns > 0);
    spec_release(&s);
    assert_null(s.name);
}

static void test_everything_said(void **state)
{
    (void)state;
    struct spec s;
    accepts(HEAD CASES
            ",\"scope\":{\"random\":7,\"cap\":3},\"relation\":\"at_most\",\"within\":{\"abs\":1,"
            "\"ulp32\":2},\"mutants\":[{\"name\":\"a\",\"fault\":\"b c\"}],\"threshold\":0.75,"
            "\"seed\":\"00ff\",\"max_skip\":0,\"timeout_s\":0.5}",
            &s);
    assert_int_equal(s.exhaustive, 0);
    assert_int_equal(s.cap, 3);
    assert_int_equal(s.judge.relation, RELATION_AT_MOST);
    assert_true(s.judge.bounded && s.judge.abs == 1 && s.judge.ulp32 == 2 && s.judge.rel == 0);
    assert_string_equal(s.mutants[0].fault, "b c");
    assert_true(s.threshold == 0.75 && s.max_skip == 0);
    assert_int_equal(s.timeout_ns, 500000000);
    spec_release(&s);
    accepts(HEAD CASES "," SCOPE ",\"within\":null}", &s);
    assert_false(s.judge.bounded);
    spec_release(&s);
}

static void test_what_is_missing(void **state)
{
    (void)state;
    refuses("[]", "one JSON object");
    refuses("{" CASES "}", "needs a `name`");
    refuses("{\"name\":\"x\"}", "what it `asserts`");
    refuses("{\"name\":\"x\",\"asserts\":\"y\"}", "`sim` must be");
    refuses("{\"name\":\"x\",\"asserts\":\"y\",\"sim\":[]}", "`sim` must be");
    refuses("{\"name\":\"x\",\"asserts\":\"y\",\"sim\":[1]}", "word 1 of `sim`");
    refuses(HEAD SCOPE "}", "`cases` must be");
    refuses(HEAD CASES "}", "`scope` must say");
    refuses(HEAD CASES ",\"scope\":{}}", "no case at all");
    refuses(HEAD CASES ",\"scope\":{\"random\":1,\"cap\":0}}", "no case at all");
}

static void test_what_is_wrong(void **state)
{
    (void)state;
    refuses(HEAD CASES "," SCOPE ",\"tolerance\":1}", "member `tolerance`");
    refuses(HEAD CASES ",\"scope\":{\"all\":1}}", "member `all`");
    refuses(HEAD CASES ",\"scope\":{\"random\":-1}}", "whole number from 0");
    refuses(HEAD CASES ",\"scope\":{\"random\":1.5}}", "whole number from 0");
    refuses(HEAD CASES "," SCOPE ",\"relation\":\"near\"}", "not \"near\"");
    refuses(HEAD CASES "," SCOPE ",\"within\":{}}", "must name a bound");
    refuses(HEAD CASES "," SCOPE ",\"within\":{\"eps\":1}}", "member `eps`");
    refuses(HEAD CASES "," SCOPE ",\"within\":{\"abs\":-1}}", "`within.abs`");
    refuses(HEAD CASES "," SCOPE ",\"within\":{\"rel\":\"1\"}}", "`within.rel`");
    refuses(HEAD CASES "," SCOPE ",\"threshold\":0}", "`threshold`");
    refuses(HEAD CASES "," SCOPE ",\"threshold\":1.5}", "`threshold`");
    refuses(HEAD CASES "," SCOPE ",\"max_skip\":2}", "`max_skip`");
    refuses(HEAD CASES "," SCOPE ",\"timeout_s\":0}", "`timeout_s`");
    refuses(HEAD CASES "," SCOPE ",\"seed\":\"XY\"}", "hex digits");
}

static void test_wrong_mutants(void **state)
{
    (void)state;
    refuses(HEAD CASES "," SCOPE ",\"mutants\":3}", "`mutants` must be");
    refuses(HEAD CASES "," SCOPE ",\"mutants\":[{\"name\":\"a\"}]}", "the fault it stands for");
    refuses(HEAD CASES "," SCOPE ",\"mutants\":[{\"fault\":\"a\"}]}", "needs a name");
    refuses(HEAD CASES "," SCOPE ",\"mutants\":[{\"name\":\"a\",\"fault\":\"x\"},{\"name\":\"a\","
                       "\"fault\":\"y\"}]}",
            "`a` is declared twice");
    refuses(HEAD CASES "," SCOPE ",\"mutants\":\"/no/such/file\"}", "/no/such/file");
}

static void test_a_file_of_mutants(void **state)
{
    (void)state;
    char *path = scratch_template("mutants"), text[1000];
    const char lines[] = "# head\n\none   the first  fault\n\ttwo\tthe second\nlast  no newline";
    struct spec s;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, lines, strlen(lines)), strlen(lines));
    close(fd);
    snprintf(text, sizeof(text), HEAD CASES "," SCOPE ",\"mutants\":\"%s\"}", path);
    accepts(text, &s);
    assert_int_equal(s.mutant_count, 3);
    assert_string_equal(s.mutants[0].name, "one");
    assert_string_equal(s.mutants[0].fault, "the first  fault");
    assert_string_equal(s.mutants[1].name, "two");
    assert_string_equal(s.mutants[1].fault, "the second");
    assert_string_equal(s.mutants[2].fault, "no newline");
    spec_release(&s);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "alone\n", 6), 6);
    close(fd);
    refuses(text, "needs a name and the fault");
    unlink(path);
    free(path);
}

static void test_broken_json_says_where(void **state)
{
    (void)state;
    struct spec spec;
    struct err e = {0};
    assert_int_equal(parse("{\n  \"name\": }", &spec, &e), -1);
    assert_string_equal(e.place.file, "law.json");
    assert_int_equal(e.place.line, 2);
    err_release(&e);
    spec_release(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_law_and_its_defaults),
        cmocka_unit_test(test_everything_said),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_wrong_mutants),
        cmocka_unit_test(test_a_file_of_mutants),
        cmocka_unit_test(test_broken_json_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
