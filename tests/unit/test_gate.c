#include "gate.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A bench that measures under a guide and two proofs; a test forges one part before the graph is
 * frozen. */
struct world {
    char dir[512];
    struct arena arena;
    struct hash_cache *cache;
    struct store *store;
    struct gate *gate;
    struct graph *graph;
    const char *guide, *guide_kind;  /* guide NULL: the bench names none */
    const char *proof_kind, *prover; /* prover NULL: the proof is a source */
    enum node_action proof_action;
    const char *env;      /* of the prover, NULL none */
    const char *runs;     /* what the bench runs */
    bool proofless;       /* the bench names no proof */
    bool leaves_one_out;  /* it names one of two that its guide was made from */
    bool tests;           /* the guide comes from the hypothesis out/h.json */
    const char *recalled; /* what the traces remember */
};

static void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s", e->set ? e->message : "-1 without an error");
}

static void put(const char *path, const char *text)
{
    struct err e = {0};
    ok(os_mkdirs_for(path, &e), &e);
    ok(os_write(path, text, strlen(text), 0644, &e), &e);
}

static void hypothesis(const char *predicts, const char *rests_on, const char *needs)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"name\": \"fusion\", \"predicts\": \"%s\", \"rests_on\": [%s], \"needs\": {%s}}",
             predicts, rests_on, needs);
    put("out/h.json", text);
}

static void init(struct world *w)
{
    char *dir = scratch_template("gate");

    *w = (struct world){.guide = "out/guide.md",
                        .guide_kind = "guide",
                        .proof_kind = "invariant",
                        .prover = "out/bin/spak-prove",
                        .proof_action = NODE_COMMAND,
                        .runs = "out/bin/bench"};
    snprintf(w->dir, sizeof(w->dir), "%s", dir);
    free(dir);
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(chdir(w->dir), 0);
    w->cache = hash_cache_open("stat");
    put("engine/spak-prove", "the prover");
    put("out/bin/spak-prove", "the prover");
    put("tools/spak-prove", "another prover");
    put("engine/spak-cpu", "the runner");
    put("out/bin/spak-cpu", "the runner");
    put("engine/spak-gpu", "the device runner");
    put("out/bin/spak-gpu", "the device runner");
    put("tools/spak-cpu", "another runner");
    hypothesis("speedup(a, b) >= 2", "\"merge\"", "");
    put("out/guide.md", "intent");
    put("out/merge.json", "{\"status\":\"verified\"}");
    put("out/tiling.json", "{\"status\":\"verified\"}");
}

static void release(struct world *w)
{
    struct err e = {0};
    graph_free(w->graph);
    gate_close(w->gate);
    store_close(w->store);
    hash_cache_close(w->cache);
    assert_int_equal(chdir("/"), 0);
    ok(os_remove(w->dir, &e), &e);
    arena_release(&w->arena);
}

static void add(struct world *w, struct graph_builder *b, const char *name, const char *kind,
                enum node_action action, const char *program, const char *output)
{
    struct node_decl d = {
        .name = name, .kind = kind, .doc = "", .action = action, .text = "x", .driver = GRAPH_NONE};
    struct err e = {0};
    d.place = (struct place){"spakfile", 5, 1};
    strs_push(&d.outputs, output);
    if (action == NODE_COMMAND) {
        strs_push(&d.argv, program);
        strs_push(&d.argv, "spec.json");
        strs_push(&d.argv, "--out");
        strs_push(&d.argv, output);
        for (size_t i = 0; w->env && i < 2; i++)
            strs_push(&d.env, i ? "x.so" : w->env);
    } else {
        d.text = "{\"status\":\"verified\"}";
    }
    if (!strcmp(kind, "guide") && w->tests)
        strs_push(&d.inputs, "out/h.json");
    if (!strcmp(kind, "guide") && w->leaves_one_out)
        strs_push(&d.inputs, "out/merge.json");
    if (graph_add_node(b, &d, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    strs_release(&d.outputs);
    strs_release(&d.argv);
    strs_release(&d.inputs);
    strs_release(&d.env);
}

static void add_bench(struct world *w, struct graph_builder *b, const char *guide)
{
    struct node_decl d = {.name = "bench",
                          .kind = "bench",
                          .doc = "",
                          .action = NODE_COMMAND,
                          .flags = NODE_MEASURES,
                          .guide = guide,
                          .driver = GRAPH_NONE};
    struct err e = {0};
    d.place = (struct place){"spakfile", 9, 1};
    strs_push(&d.outputs, "out/time.json");
    strs_push(&d.argv, w->runs);
    strs_push(&d.argv, "bench");
    if (!w->proofless && !w->leaves_one_out)
        strs_push(&d.proofs, "out/merge.json");
    if (!w->proofless)
        strs_push(&d.proofs, "out/tiling.json");
    if (graph_add_node(b, &d, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    strs_release(&d.outputs);
    strs_release(&d.argv);
    strs_release(&d.proofs);
}

static int recall(void *ctx, struct buf *journal, struct err *e)
{
    const struct world *w = ctx;
    (void)e;
    if (w->recalled)
        buf_addstr(journal, w->recalled);
    return 0;
}

/* As a new session does. */
static void open_gate(struct world *w)
{
    struct err e = {0};
    gate_close(w->gate);
    if (!w->store)
        w->store = store_open("out/.spak", &e);
    ok(w->store ? 0 : -1, &e);
    struct gate_options options = {.store = w->store,
                                   .cache = w->cache,
                                   .programs = "engine",
                                   .out_dir = "out",
                                   .recall = recall,
                                   .recall_ctx = w};
    w->gate = gate_open(&options);
}

static void freeze(struct world *w)
{
    struct graph_builder *b = graph_build();
    struct err e = {0};
    if (w->tests)
        add(w, b, "hypothesis/fusion", "hypothesis", NODE_WRITE, NULL, "out/h.json");
    if (w->guide_kind)
        add(w, b, "guide/fmha", w->guide_kind, NODE_WRITE, NULL, "out/guide.md");
    if (w->prover)
        add(w, b, "invariant/merge", w->proof_kind, w->proof_action, w->prover, "out/merge.json");
    add(w, b, "invariant/tiling", "invariant", NODE_COMMAND, "out/bin/spak-prove",
        "out/tiling.json");
    add_bench(w, b, w->guide);
    w->graph = graph_freeze(b, &e);
    if (!w->graph)
        fail_msg("%s", e.message);
    open_gate(w);
}

static uint32_t bench_of(const struct world *w)
{
    return graph_find_node(w->graph, "bench");
}

static const char *admit(struct world *w)
{
    struct err e = {0};
    const char *token = NULL;
    if (!w->graph)
        freeze(w);
    ok(gate_admit(w->gate, w->graph, bench_of(w), &w->arena, &token, &e), &e);
    assert_int_equal(strlen(token), DIGEST_HEX_LEN);
    return token;
}

/* The bench is refused with this code; the message names `what`, and the place is the bench's. */
static void assert_refused_at(struct world *w, enum err_code code, const char *what, int line)
{
    struct err e = {0};
    const char *token = NULL;
    if (!w->graph)
        freeze(w);
    assert_int_equal(gate_admit(w->gate, w->graph, bench_of(w), &w->arena, &token, &e), -1);
    assert_string_equal(err_info(e.code)->id, err_info(code)->id);
    assert_int_equal(err_class(&e), ERR_PROTOCOL);
    if (!strstr(e.message, what))
        fail_msg("\"%s\" does not name %s", e.message, what);
    assert_int_equal(e.place.line, line);
    assert_null(token);
    err_release(&e);
}

static void assert_refused(struct world *w, enum err_code code, const char *what)
{
    assert_refused_at(w, code, what, 9);
}

static void test_admits(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    const char *first = admit(&w);
    assert_string_equal(admit(&w), first);
    release(&w);
}

static void test_one_byte_of_guide_or_proof_makes_another_token(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    const char *first = admit(&w);
    put("out/guide.md", "intent.");
    const char *second = admit(&w);
    assert_string_not_equal(first, second);
    put("out/guide.md", "intent");
    put("out/tiling.json", "{\"status\":\"verified\" }");
    assert_string_not_equal(admit(&w), first);
    assert_string_not_equal(admit(&w), second);
    put("out/tiling.json", "{\"status\":\"verified\"}");
    assert_string_equal(admit(&w), first);
    release(&w);
}

static void test_no_guide(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.guide = NULL;
    assert_refused(&w, ERR_guide_wanted, "bench");
    release(&w);
}

static void test_guide_that_something_else_made(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.guide_kind = "node";
    assert_refused(&w, ERR_guide_forged, "out/guide.md");
    release(&w);
}

static void test_guide_that_says_too_much(void **state)
{
    struct world w;
    (void)state;
    const struct {
        const char *text;
        enum err_code code;
    } guides[] = {{"tiles of 128 rows", ERR_guide_value},
                  {"for hopper", ERR_guide_architecture},
                  {"```", ERR_guide_code}};
    for (size_t i = 0; i < ARRAY_LEN(guides); i++) {
        init(&w);
        put("out/guide.md", guides[i].text);
        assert_refused_at(&w, guides[i].code, "a guide holds", 1);
        release(&w);
    }
}

static void test_guide_that_is_a_source(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.guide_kind = NULL;
    assert_refused(&w, ERR_guide_forged, "out/guide.md");
    release(&w);
}

static void test_proof_that_is_a_source(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = NULL;
    assert_refused(&w, ERR_proof_forged, "out/merge.json");
    release(&w);
}

static void test_proof_by_another_program(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = "/bin/echo";
    assert_refused(&w, ERR_proof_forged, "out/merge.json");
    release(&w);
}

static void test_proof_by_a_program_called_alike(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = "tools/not-spak-prove";
    assert_refused(&w, ERR_proof_forged, "out/merge.json");
    release(&w);
}

static void test_proof_of_another_kind(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.proof_kind = "node";
    assert_refused(&w, ERR_proof_forged, "out/merge.json");
    release(&w);
}

static void test_proof_that_was_only_written(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.proof_action = NODE_WRITE;
    assert_refused(&w, ERR_proof_forged, "out/merge.json");
    release(&w);
}

static void test_proof_that_is_not_verified(void **state)
{
    static const char *const open[] = {"refuted", "proposed", "Verified", ""};
    struct world w;
    (void)state;
    init(&w);
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"status\":\"%s\"}", open[i]);
        put("out/tiling.json", text);
        assert_refused(&w, ERR_proof_open, "invariant/tiling");
    }
    release(&w);
}

static void test_proof_that_cannot_be_read(void **state)
{
    static const char *const broken[] = {"",   "not json",       "[]",
                                         "{}", "{\"status\":1}", "{\"verified\":true}"};
    struct world w;
    struct err e = {0};
    (void)state;
    init(&w);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        put("out/merge.json", broken[i]);
        assert_refused(&w, ERR_proof_unreadable, "out/merge.json");
    }
    ok(os_remove("out/merge.json", &e), &e);
    assert_refused(&w, ERR_proof_unreadable, "out/merge.json");
    release(&w);
}

static void test_token_does_not_depend_on_the_order_of_proofs(void **state)
{
    struct digest guide, a, b;
    char one[DIGEST_HEX_LEN + 1], other[DIGEST_HEX_LEN + 1], swapped[DIGEST_HEX_LEN + 1];
    (void)state;
    hash_bytes("g", 1, &guide);
    hash_bytes("a", 1, &a);
    hash_bytes("b", 1, &b);
    gate_token(&guide, (const char *const[]){"x", "y"}, (struct digest[]){a, b}, 2, one);
    gate_token(&guide, (const char *const[]){"y", "x"}, (struct digest[]){b, a}, 2, other);
    gate_token(&guide, (const char *const[]){"x", "y"}, (struct digest[]){b, a}, 2, swapped);
    assert_string_equal(one, other);
    assert_string_not_equal(one, swapped);
    gate_token(&guide, NULL, NULL, 0, other);
    assert_string_not_equal(one, other);
}

static const char *journal(struct world *w)
{
    struct err e = {0};
    const char *text = NULL;
    ok(gate_journal(w->gate, &text, &e), &e);
    return text;
}

static void lease(struct world *w)
{
    struct err e = {0};
    const char *token = admit(w); /* builds the graph */
    ok(gate_lease(w->gate, w->graph, bench_of(w), token, &e), &e);
}

static void note(struct world *w, const char *node, enum gate_end end, int exit_code)
{
    struct err e = {0};
    struct gate_ended how = {end, exit_code, "P112"};
    ok(gate_note(w->gate, w->graph, graph_find_node(w->graph, node), &how, &e), &e);
}

static void assert_journal(struct world *w, const char *const *lines)
{
    const char *at = journal(w);
    for (; *lines; lines++) {
        if (!text_starts_with(at, *lines))
            fail_msg("\"%s\" does not follow in\n%s", *lines, journal(w));
        at = strchr(at, '\n') + 1;
    }
    assert_string_equal(at, "");
}

static void test_program_of_that_name_from_elsewhere(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = "tools/spak-prove";
    assert_refused(&w, ERR_proof_forged, "not this engine's own");
    release(&w);
}

static void test_prover_that_is_led_astray(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.env = "LD_PRELOAD";
    assert_refused(&w, ERR_proof_forged, "out/merge.json");
    release(&w);
}

static void test_measurement_that_rests_on_nothing(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.proofless = true;
    assert_refused(&w, ERR_proof_wanted, "rests on no proof");
    release(&w);
    init(&w);
    w.leaves_one_out = true;
    assert_refused(&w, ERR_proof_wanted, "leaves out out/merge.json");
    release(&w);
}

static void test_runner_without_an_admission(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.runs = "out/bin/spak-cpu";
    assert_refused(&w, ERR_study_untried, "was not tried");
    release(&w);
    init(&w);
    w.runs = "out/bin/spak-gpu";
    assert_refused(&w, ERR_study_untried, "was not tried");
    release(&w);
}

static void test_runner_of_that_name_from_elsewhere(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.runs = "tools/spak-cpu";
    assert_refused(&w, ERR_runner_forged, "not this engine's own");
    release(&w);
}

/* The same refusal again is no news, another reason is. */
static void test_a_refusal_says_by_which_rule(void **state)
{
    static const char *const lines[] = {"measurement bench 1 refused - code P112\n",
                                        "measurement bench 2 refused - code P104\n", NULL};
    struct gate_ended other = {GATE_END_REFUSED, 0, "P104"};
    struct err e = {0};
    struct world w;
    (void)state;
    init(&w);
    admit(&w); /* builds the graph */
    note(&w, "bench", GATE_END_REFUSED, 0);
    note(&w, "bench", GATE_END_REFUSED, 0);
    ok(gate_note(w.gate, w.graph, bench_of(&w), &other, &e), &e);
    assert_journal(&w, lines);
    release(&w);
}

static void test_lease_is_recorded_before_the_measurement(void **state)
{
    static const char *const lines[] = {
        "invariant merge 1 verified ",   "invariant tiling 1 verified ",
        "guide fmha 1 issued ",          "hypothesis fusion 1 open ",
        "hypothesis fusion 2 frozen ",   "measurement bench 1 leased ",
        "measurement bench 2 measured ", NULL};
    struct world w;
    (void)state;
    init(&w);
    w.tests = true;
    lease(&w);
    note(&w, "bench", GATE_END_OK, 0);
    assert_journal(&w, lines);
    lease(&w);
    note(&w, "bench", GATE_END_OK, 0);
    assert_journal(&w, lines);
    open_gate(&w);
    assert_journal(&w, lines);
    release(&w);
}

static void test_no_measurement_without_a_lease(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    freeze(&w);
    note(&w, "bench", GATE_END_OK, 0);
    assert_string_equal(journal(&w), "");
    assert_false(gate_may_follow(GATE_MEASUREMENT, GATE_NONE, GATE_MEASURED));
    assert_false(gate_may_follow(GATE_HYPOTHESIS, GATE_OPEN, GATE_VALIDATED));
    assert_false(gate_may_follow(GATE_HYPOTHESIS, GATE_FALSIFIED, GATE_OPEN));
    release(&w);
}

static void test_prediction_that_changes_after_the_lease(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.tests = true;
    freeze(&w);
    hypothesis("speedup(a, b) >= 3", "\"merge\"", "");
    lease(&w);
    hypothesis("speedup(a, b) >= 1.1", "\"merge\"", "");
    assert_refused(&w, ERR_prediction_changed, "fusion");
    hypothesis("speedup(a, b) >= 3", "", "");
    assert_refused(&w, ERR_prediction_changed, "fusion");
    hypothesis("speedup(a, b) >= 3", "\"merge\"", "");
    admit(&w);
    release(&w);
}

/* Who removes out/ removes no prediction: the traces have it. */
static void test_prediction_that_a_trace_remembers(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.tests = true;
    lease(&w);
    char *before = xstrdup(journal(&w));
    release(&w);
    init(&w);
    w.tests = true;
    w.recalled = before;
    admit(&w);
    hypothesis("speedup(a, b) >= 1.1", "\"merge\"", "");
    assert_refused(&w, ERR_prediction_changed, "fusion");
    release(&w);
    free(before);
}

static void test_rung_that_is_asked_for(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.tests = true;
    freeze(&w);
    put("out/merge.json", "{\"status\":\"verified\", \"rung\": \"PROPERTY\"}");
    hypothesis("speedup(a, b) >= 3", "\"merge\"", "\"merge\": \"PROVED\"");
    assert_refused(&w, ERR_rung_wanted, "needs merge to be PROVED, and it is PROPERTY");
    hypothesis("speedup(a, b) >= 3", "\"merge\"", "\"merge\": \"PROPERTY\"");
    admit(&w);
    hypothesis("speedup(a, b) >= 3", "\"absent\"", "\"absent\": \"ASSERTED\"");
    assert_refused(&w, ERR_rung_wanted, "no proof of this measurement");
    release(&w);
}

static void test_doubt_travels(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.tests = true;
    lease(&w);
    note(&w, "bench", GATE_END_OK, 0);
    note(&w, "invariant/merge", GATE_END_REFUSED, 3);
    assert_non_null(strstr(journal(&w), "because invariant merge is refuted\n"));
    assert_int_equal(gate_last(w.gate, GATE_HYPOTHESIS, "fusion")->state, GATE_SUSPECT);
    release(&w);
}

static void test_a_trace_gets_the_lines_of_its_own_nodes_once(void **state)
{
    struct world w;
    struct buf first = {0}, second = {0};
    bool mark[8] = {false};
    (void)state;
    init(&w);
    lease(&w);
    mark[graph_find_node(w.graph, "invariant/merge")] = true;
    gate_merge("invariant gone 1 verified -\n", journal(&w), w.graph, mark, &first);
    assert_true(text_starts_with(first.ptr, "invariant gone 1 verified -\ninvariant merge 1 "));
    assert_null(strstr(first.ptr, "tiling"));
    gate_merge(first.ptr, journal(&w), w.graph, mark, &second);
    assert_string_equal(second.ptr, first.ptr);
    buf_release(&first);
    buf_release(&second);
    release(&w);
}

static void test_odd_names_and_foreign_lines(void **state)
{
    struct gate_line *lines;
    struct arena arena = {0};
    size_t count;
    (void)state;
    gate_lines("hypothesis a%20b%25 3 frozen - predicts x >= 1\nnonsense\nhypothesis a 1 odd -\n"
               "guide g 1 issued abc\nguide g 1",
               &arena, &lines, &count);
    assert_int_equal(count, 1);
    assert_string_equal(lines[0].name, "a b%");
    assert_string_equal(lines[0].rest, "predicts x >= 1");
    assert_int_equal(lines[0].number, 3);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admits),
        cmocka_unit_test(test_one_byte_of_guide_or_proof_makes_another_token),
        cmocka_unit_test(test_guide_that_says_too_much),
        cmocka_unit_test(test_no_guide),
        cmocka_unit_test(test_guide_that_something_else_made),
        cmocka_unit_test(test_guide_that_is_a_source),
        cmocka_unit_test(test_proof_that_is_a_source),
        cmocka_unit_test(test_proof_by_another_program),
        cmocka_unit_test(test_proof_by_a_program_called_alike),
        cmocka_unit_test(test_proof_of_another_kind),
        cmocka_unit_test(test_proof_that_was_only_written),
        cmocka_unit_test(test_proof_that_is_not_verified),
        cmocka_unit_test(test_proof_that_cannot_be_read),
        cmocka_unit_test(test_token_does_not_depend_on_the_order_of_proofs),
        cmocka_unit_test(test_program_of_that_name_from_elsewhere),
        cmocka_unit_test(test_prover_that_is_led_astray),
        cmocka_unit_test(test_measurement_that_rests_on_nothing),
        cmocka_unit_test(test_runner_without_an_admission),
        cmocka_unit_test(test_runner_of_that_name_from_elsewhere),
        cmocka_unit_test(test_a_refusal_says_by_which_rule),
        cmocka_unit_test(test_lease_is_recorded_before_the_measurement),
        cmocka_unit_test(test_no_measurement_without_a_lease),
        cmocka_unit_test(test_prediction_that_changes_after_the_lease),
        cmocka_unit_test(test_prediction_that_a_trace_remembers),
        cmocka_unit_test(test_rung_that_is_asked_for),
        cmocka_unit_test(test_doubt_travels),
        cmocka_unit_test(test_a_trace_gets_the_lines_of_its_own_nodes_once),
        cmocka_unit_test(test_odd_names_and_foreign_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
