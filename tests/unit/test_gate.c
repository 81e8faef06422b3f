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
    struct graph *graph;
    const char *guide, *guide_kind;  /* guide NULL: the bench names none */
    const char *proof_kind, *prover; /* prover NULL: the proof is a source */
    enum node_action proof_action;
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

static void init(struct world *w)
{
    char *dir = scratch_template("gate");

    *w = (struct world){.guide = "out/guide.md",
                        .guide_kind = "guide",
                        .proof_kind = "invariant",
                        .prover = "out/bin/spak-prove",
                        .proof_action = NODE_COMMAND};
    snprintf(w->dir, sizeof(w->dir), "%s", dir);
    free(dir);
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(chdir(w->dir), 0);
    w->cache = hash_cache_open("stat");
    put("out/guide.md", "intent");
    put("out/merge.json", "{\"status\":\"verified\"}");
    put("out/tiling.json", "{\"status\":\"verified\"}");
}

static void release(struct world *w)
{
    struct err e = {0};
    graph_free(w->graph);
    hash_cache_close(w->cache);
    assert_int_equal(chdir("/"), 0);
    ok(os_remove(w->dir, &e), &e);
    arena_release(&w->arena);
}

static void add(struct graph_builder *b, const char *name, const char *kind,
                enum node_action action, const char *program, const char *output)
{
    struct node_decl d = {
        .name = name, .kind = kind, .doc = "", .action = action, .text = "x", .driver = GRAPH_NONE};
    struct err e = {0};
    d.place = (struct place){"spakfile", 5, 1};
    strs_push(&d.outputs, output);
    if (action == NODE_COMMAND)
        strs_push(&d.argv, program);
    else
        d.text = "{\"status\":\"verified\"}";
    if (graph_add_node(b, &d, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    strs_release(&d.outputs);
    strs_release(&d.argv);
}

static void add_bench(struct graph_builder *b, const char *guide)
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
    strs_push(&d.argv, "out/bin/spak-cpu");
    strs_push(&d.proofs, "out/merge.json");
    strs_push(&d.proofs, "out/tiling.json");
    if (graph_add_node(b, &d, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    strs_release(&d.outputs);
    strs_release(&d.argv);
    strs_release(&d.proofs);
}

static void freeze(struct world *w)
{
    struct graph_builder *b = graph_build();
    struct err e = {0};
    if (w->guide_kind)
        add(b, "guide/fmha", w->guide_kind, NODE_WRITE, NULL, "out/guide.md");
    if (w->prover)
        add(b, "invariant/merge", w->proof_kind, w->proof_action, w->prover, "out/merge.json");
    add(b, "invariant/tiling", "invariant", NODE_COMMAND, "out/bin/spak-prove", "out/tiling.json");
    add_bench(b, w->guide);
    w->graph = graph_freeze(b, &e);
    if (!w->graph)
        fail_msg("%s", e.message);
}

static const char *admit(struct world *w)
{
    struct err e = {0};
    const char *token = NULL;
    if (!w->graph)
        freeze(w);
    ok(gate_admit(w->graph, graph_find_node(w->graph, "bench"), w->cache, &w->arena, &token, &e),
       &e);
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
    assert_int_equal(
        gate_admit(w->graph, graph_find_node(w->graph, "bench"), w->cache, &w->arena, &token, &e),
        -1);
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
    assert_refused(&w, ERR_P101, "bench");
    release(&w);
}

static void test_guide_that_something_else_made(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.guide_kind = "node";
    assert_refused(&w, ERR_P102, "out/guide.md");
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
    assert_refused(&w, ERR_P102, "out/guide.md");
    release(&w);
}

static void test_proof_that_is_a_source(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = NULL;
    assert_refused(&w, ERR_P103, "out/merge.json");
    release(&w);
}

static void test_proof_by_another_program(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = "/bin/echo";
    assert_refused(&w, ERR_P103, "out/merge.json");
    release(&w);
}

static void test_proof_by_a_program_called_alike(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.prover = "tools/not-spak-prove";
    assert_refused(&w, ERR_P103, "out/merge.json");
    release(&w);
}

static void test_proof_of_another_kind(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.proof_kind = "node";
    assert_refused(&w, ERR_P103, "out/merge.json");
    release(&w);
}

static void test_proof_that_was_only_written(void **state)
{
    struct world w;
    (void)state;
    init(&w);
    w.proof_action = NODE_WRITE;
    assert_refused(&w, ERR_P103, "out/merge.json");
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
        assert_refused(&w, ERR_P104, "invariant/tiling");
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
        assert_refused(&w, ERR_P105, "out/merge.json");
    }
    ok(os_remove("out/merge.json", &e), &e);
    assert_refused(&w, ERR_P105, "out/merge.json");
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

static void test_lease_is_recorded(void **state)
{
    struct world w;
    struct err e = {0};
    struct buf text = {0};
    bool found;
    (void)state;
    init(&w);
    const char *token = admit(&w);
    struct store *store = store_open("out/.spak", &e);
    ok(store ? 0 : -1, &e);
    ok(gate_record(store, w.graph, graph_find_node(w.graph, "bench"), token, &e), &e);
    ok(store_get_value(store, "lease/bench", &text, &found, &e), &e);
    assert_true(found);
    assert_non_null(strstr(text.ptr, "guide out/guide.md\n"));
    assert_non_null(strstr(text.ptr, "proof out/merge.json\nproof out/tiling.json\n"));
    assert_non_null(strstr(text.ptr, token));
    buf_release(&text);
    store_close(store);
    release(&w);
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
        cmocka_unit_test(test_lease_is_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
