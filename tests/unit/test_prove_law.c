/* Laws tried on small simulations in sh: what is asked, when it stops, what shrinks, what
 * is proved. */
#include "runner/prove_law.h"

#include "runner/prove_shrink.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Answers every case by shell text that sees the line in $l, its first number in $x and the mutant
 * in $m, and may add to the left side; the right one is $x. */
#define SIM(body)                                                                                  \
    "\"sim\":[\"sh\",\"-c\",\"m=${2:-none}; while read -r l; do x=${l#*:}; x=${x%%[!0-9-]*}; "     \
    "lhs=${x:-0}; " body                                                                           \
    "; echo \\\"{\\\\\\\"lhs\\\\\\\":$lhs,\\\\\\\"rhs\\\\\\\":${x:-0}}\\\"; done\",\"sim\"],"
#define ADD_ONE "lhs=$((lhs + 1))"
#define OFF "[ $m = off ] && " ADD_ONE
#define LAW "{\"name\":\"t/law\",\"asserts\":\"x is x\",\"timeout_s\":5,"
#define ONE_INT "\"cases\":[[\"x\",{\"int\":[0,999]}]],"
#define MUTANT "\"mutants\":[{\"name\":\"off\",\"fault\":\"is off by one\"}]"

static void read_spec(const char *text, struct spec *spec)
{
    struct err e = {0};
    if (spec_parse(text, strlen(text), "law", spec, &e))
        fail_msg("%s: %s", text, e.message);
}

static void prove(const char *text, struct spec *spec, struct proof *proof)
{
    struct err e = {0};
    *proof = (struct proof){0};
    read_spec(text, spec);
    if (law_prove(spec, proof, &e))
        fail_msg("%s", e.message);
}

static void release(struct spec *spec, struct proof *proof)
{
    proof_release(proof, spec);
    spec_release(spec);
}

static json_t *proof_value(const struct proof *proof, const struct spec *spec)
{
    struct buf text = {0};
    struct err e = {0};
    proof_json(proof, spec, &text);
    json_t *json = json_parse(text.ptr, text.len, "proof", &e);
    assert_non_null(json);
    buf_release(&text);
    return json;
}

static void test_a_law_that_holds(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM(OFF) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":20,\"random\":50}}", &s, &p);
    if (p.status != LAW_VERIFIED)
        fail_msg("%s", buf_text(&p.reason));
    assert_string_equal(proof_rung(&p, &s), "PROVED");
    assert_int_equal(p.law.exhaustive, 21);
    assert_int_equal(p.law.random, 50);
    assert_int_equal(p.killed, 1);
    assert_string_equal(buf_text(&p.kills[0].given), "{\"x\":0}");
    json_t *json = proof_value(&p, &s);
    assert_string_equal(json_text(json, "status", ""), "verified");
    assert_true(json_is_null(json_object_get(json, "counterexample")));
    const json_t *mutant = json_array_get(json_object_get(json, "mutants"), 0);
    assert_true(json_is_true(json_object_get(mutant, "killed")));
    assert_int_equal(json_int(json_object_get(mutant, "case"), "x", -1), 0);
    assert_int_equal(json_int(json_object_get(json, "cases"), "exhaustive", -1), 21);
    json_decref(json);
    release(&s, &p);
}

static void test_a_late_fault_is_found_in_the_scope(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM("[ $x = 700 ] && " OFF) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":999}}", &s,
          &p);
    assert_int_equal(p.status, LAW_VERIFIED);
    assert_string_equal(buf_text(&p.kills[0].given), "{\"x\":700}");
    release(&s, &p);
    /* ... and is a survivor where the scope ends before it. */
    prove(LAW SIM("[ $x = 700 ] && " OFF) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":699}}", &s,
          &p);
    assert_int_equal(p.status, LAW_UNVERIFIED);
    assert_non_null(strstr(buf_text(&p.reason), "off (is off by one)"));
    assert_string_equal(proof_rung(&p, &s), "NONE");
    release(&s, &p);
}

static void test_a_counterexample_is_shrunk(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM("[ $x -ge 123 ] && " ADD_ONE) ONE_INT MUTANT
          ",\"scope\":{\"random\":500},\"seed\":\"1\"}",
          &s, &p);
    assert_int_equal(p.status, LAW_REFUTED);
    assert_string_equal(buf_text(&p.law.broken.given), "{\"x\":123}");
    assert_string_equal(buf_text(&p.law.broken.lhs), "124");
    assert_string_equal(buf_text(&p.law.broken.rhs), "123");
    assert_true(p.shrunk_from.len > 0);
    assert_null(p.kills); /* mutants of a false law mean nothing */
    json_t *json = proof_value(&p, &s);
    const json_t *c = json_object_get(json, "counterexample");
    assert_int_equal(json_int(json_object_get(c, "case"), "x", -1), 123);
    assert_int_equal(json_int(c, "lhs", -1), 124);
    assert_non_null(json_object_get(c, "shrunk_from"));
    json_decref(json);
    release(&s, &p);
}

/* It refutes what chance would not, and where it does not it leaves no trace: neither in the counts
 * nor in what kills a mutant. */
static void test_a_case_of_an_earlier_proof(void **state)
{
    (void)state;
    struct spec s;
    struct proof p = {0};
    struct err e = {0};
    read_spec(LAW SIM("[ $x = 700 ] && " ADD_ONE "; " OFF) ONE_INT MUTANT
              ",\"scope\":{\"random\":3}}",
              &s);
    spec_keep(&s, "699 700");
    assert_int_equal(law_prove(&s, &p, &e), 0);
    assert_int_equal(p.status, LAW_REFUTED);
    assert_string_equal(buf_text(&p.law.broken.given), "{\"x\":700}");
    release(&s, &p);
    struct proof with = {0}, without = {0};
    struct buf said[2] = {{0}};
    read_spec(LAW SIM(OFF) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":20,\"random\":9}}", &s);
    assert_int_equal(law_prove(&s, &without, &e), 0);
    proof_json(&without, &s, &said[0]);
    spec_keep(&s, "699 700");
    assert_int_equal(law_prove(&s, &with, &e), 0);
    proof_json(&with, &s, &said[1]);
    assert_string_equal(buf_text(&said[1]), buf_text(&said[0]));
    buf_release(&said[0]);
    buf_release(&said[1]);
    proof_release(&without, &s);
    release(&s, &with);
}

static void test_a_list_loses_what_does_not_matter(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM("case $l in *8*b*9*) " ADD_ONE
                  ";; esac") "\"cases\":[[\"n\",{\"int\":[0,12]}],[\"a\",{\"list\":{"
                             "\"int\":[0,9]},\"len\":\"n\"}],"
                             "[\"b\",{\"list\":{\"int\":[0,9]},\"len\":\"n\"}]]," MUTANT
                             ",\"scope\":{\"random\":800},\"seed\":\"2\"}",
          &s, &p);
    assert_int_equal(p.status, LAW_REFUTED);
    assert_string_equal(buf_text(&p.law.broken.given), "{\"n\":1,\"a\":[8],\"b\":[9]}");
    release(&s, &p);
}

static void test_the_smallest_case_is_not_called_shrunk(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM(ADD_ONE) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":3}}", &s, &p);
    assert_int_equal(p.status, LAW_REFUTED);
    assert_string_equal(buf_text(&p.law.broken.given), "{\"x\":0}");
    assert_int_equal(p.shrunk_from.len, 0);
    release(&s, &p);
}

static void test_reals_shrink_to_plain_numbers(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM("case $l in *-*) " ADD_ONE
                  ";; esac") "\"cases\":[[\"x\",{\"list\":{\"real\":\"normal\"},"
                             "\"len\":[0,9]}]]," MUTANT ",\"scope\":{\"random\":50}}",
          &s, &p);
    assert_int_equal(p.status, LAW_REFUTED);
    assert_string_equal(buf_text(&p.law.broken.given), "{\"x\":[-1.0]}");
    release(&s, &p);
}

static void test_a_cut_scope_is_not_exhaustive(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    const char *law = LAW SIM(OFF) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":20,\"cap\":%d}}";
    char text[2000];
    snprintf(text, sizeof(text), law, 20);
    prove(text, &s, &p);
    assert_true(p.law.truncated);
    assert_int_equal(p.law.exhaustive, 20);
    assert_string_equal(proof_rung(&p, &s), "PROPERTY");
    release(&s, &p);
    snprintf(text, sizeof(text), law, 21);
    prove(text, &s, &p);
    assert_false(p.law.truncated);
    assert_int_equal(p.law.exhaustive, 21);
    assert_string_equal(proof_rung(&p, &s), "PROVED");
    release(&s, &p);
}

static void test_rungs(void **state)
{
    (void)state;
    struct spec s;
    struct proof p = {.status = LAW_VERIFIED};
    const char *law = LAW "\"sim\":[\"x\"],\"cases\":[[\"x\",{%s}]],\"scope\":{%s}%s}";
    static const char *const rows[][4] = {
        {"\"mod\":3", "\"exhaustive\":3", "", "PROVED"},
        {"\"mod\":3", "\"random\":3", "", "PROPERTY"},
        {"\"real\":\"normal\"", "\"exhaustive\":3", "", "PROPERTY"},
        {"\"mod\":3", "\"exhaustive\":3", ",\"within\":{\"ulp\":1}", "STATISTICAL"},
        {"\"mod\":3", "\"exhaustive\":3", ",\"relation\":\"at_most\"", "STATISTICAL"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[1000];
        snprintf(text, sizeof(text), law, rows[i][0], rows[i][1], rows[i][2]);
        read_spec(text, &s);
        assert_string_equal(proof_rung(&p, &s), rows[i][3]);
        spec_release(&s);
    }
}

static void test_one_case_is_vacuous(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    prove(LAW SIM(OFF) "\"cases\":[[\"x\",{\"int\":[4,4]}]]," MUTANT
                       ",\"scope\":{\"exhaustive\":3,\"random\":5}}",
          &s, &p);
    assert_int_equal(p.status, LAW_UNVERIFIED);
    assert_non_null(strstr(buf_text(&p.reason), "vacuous"));
    release(&s, &p);
}

static void test_the_proof_is_the_same_every_time(void **state)
{
    (void)state;
    struct buf first = {0}, second = {0};
    for (int i = 0; i < 2; i++) {
        struct spec s;
        struct proof p;
        prove(LAW SIM("[ $x -ge 500 ] && [ $((x % 7)) = 3 ] && " ADD_ONE) ONE_INT MUTANT
              ",\"scope\":{\"random\":300},\"seed\":\"77\"}",
              &s, &p);
        proof_json(&p, &s, i ? &second : &first);
        release(&s, &p);
    }
    assert_string_equal(buf_text(&first), buf_text(&second));
    buf_release(&first);
    buf_release(&second);
}

static void test_the_message_names_what_matters(void **state)
{
    (void)state;
    struct spec s;
    struct proof p;
    struct buf text = {0};
    prove(LAW SIM("[ $x -ge 5 ] && " ADD_ONE) ONE_INT MUTANT ",\"scope\":{\"exhaustive\":9}}", &s,
          &p);
    proof_message(&p, &s, &text);
    static const char *const words[] = {"t/law: refuted", "x is x", "{\"x\":5}", "left:  6",
                                        "right: 5"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strstr(buf_text(&text), words[i]))
            fail_msg("no \"%s\" in: %s", words[i], buf_text(&text));
    buf_release(&text);
    release(&s, &p);
}

static enum answer_kind read_answer(const char *line, const char *expected_why)
{
    struct judge exact = {0};
    struct buf why = {0};
    json_t *lhs, *rhs;
    enum answer_kind kind = answer_read(&exact, str_of(line), &lhs, &rhs, &why);
    if (expected_why && !strstr(buf_text(&why), expected_why))
        fail_msg("\"%s\" does not say \"%s\"", buf_text(&why), expected_why);
    assert_int_equal(lhs != NULL, kind == ANSWER_AGREES || kind == ANSWER_DIFFERS);
    json_decref(lhs);
    json_decref(rhs);
    buf_release(&why);
    return kind;
}

static void test_answers(void **state)
{
    (void)state;
    assert_int_equal(read_answer("{\"lhs\":1,\"rhs\":1}", NULL), ANSWER_AGREES);
    assert_int_equal(read_answer("{\"lhs\":[1,2],\"rhs\":[1,3]}", "[1]"), ANSWER_DIFFERS);
    assert_int_equal(read_answer("{\"skip\":\"odd\"}", "odd"), ANSWER_SKIPS);
    assert_int_equal(read_answer("{\"skip\":3}", "neither"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("{\"skip\":\"x\",\"lhs\":1,\"rhs\":1}", "neither"),
                     ANSWER_GARBAGE);
    assert_int_equal(read_answer("{\"lhs\":1}", "neither"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("{\"lhs\":1,\"rhs\":1,\"ok\":true}", "neither"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("{\"lhs\":NaN,\"rhs\":NaN}", "not JSON"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("PASS", "not JSON: `PASS`"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("true", "neither"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("", "not JSON"), ANSWER_GARBAGE);
    assert_int_equal(read_answer("{\"lhs\":1,\"lhs\":2,\"rhs\":1}", "not JSON"), ANSWER_GARBAGE);
}

static void test_a_simulation_answers_while_it_is_asked(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "while read -r line; do echo \"<$line>\"; done", NULL};
    struct sim_how how = {.argv = argv, .timeout_ns = 5000000000};
    struct sim *sim;
    struct err e = {0};
    struct str line;
    assert_int_equal(sim_start(&how, &sim, &e), 0);
    for (int i = 0; i < 5; i++) {
        sim_ask(sim, "a", 1);
        assert_true(sim_answer(sim, &line));
        assert_true(str_equal(line, str_of("<a>")));
    }
    sim_ask(sim, "b", 1);
    sim_ask(sim, "c", 1);
    assert_true(sim_answer(sim, &line) && str_equal(line, str_of("<b>")));
    assert_true(sim_answer(sim, &line) && str_equal(line, str_of("<c>")));
    assert_true(sim_finish(sim));
    assert_string_equal(sim_trouble(sim), "");
    sim_stop(sim);
    sim_stop(NULL);
}

static void test_pipes_that_are_full_do_not_block(void **state)
{
    (void)state;
    const char *argv[] = {"cat", NULL};
    struct sim_how how = {.argv = argv, .timeout_ns = 20000000000};
    struct sim *sim;
    struct err e = {0};
    struct str line;
    char *big = xcalloc(1, 200001);
    memset(big, 'x', 200000);
    assert_int_equal(sim_start(&how, &sim, &e), 0);
    for (int i = 0; i < 20; i++)
        sim_ask(sim, big, 200000);
    for (int i = 0; i < 20; i++) {
        assert_true(sim_answer(sim, &line));
        assert_int_equal(line.len, 200000);
    }
    assert_true(sim_finish(sim));
    sim_stop(sim);
    free(big);
}

static void test_a_simulation_is_told_its_mutant(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "read -r line; echo \"$1 $2\"", "sim", NULL};
    struct sim_how how = {.argv = argv, .mutant = "no_rescale", .timeout_ns = 5000000000};
    struct sim *sim;
    struct err e = {0};
    struct str line;
    assert_int_equal(sim_start(&how, &sim, &e), 0);
    sim_ask(sim, "{}", 2);
    assert_true(sim_answer(sim, &line));
    assert_true(str_equal(line, str_of("--mutant no_rescale")));
    sim_stop(sim);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_law_that_holds),
        cmocka_unit_test(test_a_late_fault_is_found_in_the_scope),
        cmocka_unit_test(test_a_counterexample_is_shrunk),
        cmocka_unit_test(test_a_case_of_an_earlier_proof),
        cmocka_unit_test(test_a_list_loses_what_does_not_matter),
        cmocka_unit_test(test_the_smallest_case_is_not_called_shrunk),
        cmocka_unit_test(test_reals_shrink_to_plain_numbers),
        cmocka_unit_test(test_a_cut_scope_is_not_exhaustive),
        cmocka_unit_test(test_rungs),
        cmocka_unit_test(test_one_case_is_vacuous),
        cmocka_unit_test(test_the_proof_is_the_same_every_time),
        cmocka_unit_test(test_the_message_names_what_matters),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_simulation_answers_while_it_is_asked),
        cmocka_unit_test(test_pipes_that_are_full_do_not_block),
        cmocka_unit_test(test_a_simulation_is_told_its_mutant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
