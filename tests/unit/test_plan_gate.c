/* plan: nodes that need a device, a token or the answers they asked for. */
#include "plan_world.h"

static void test_no_device_defers(void **state)
{
    struct world w;
    struct node_decl d;
    (void)state;
    open_world(&w);
    put("k.cu", "");
    d = decl("out/m", "k.cu", &w.arena);
    d.flags = NODE_DEVICE;
    add(&w, &d);
    freeze(&w);
    plan(&w, "out/m");
    assert_verdict(&w, "out/m", PLAN_DEFER, "UNMEASURED: no device");
    w.options.device = true;
    plan(&w, "out/m");
    assert_verdict(&w, "out/m", PLAN_RUN, "never built");
    close_world(&w);
}

struct gate {
    const char *token; /* NULL: refuse */
    enum err_code code;
    size_t calls;
};

static int admit(void *ctx, const struct graph *g, uint32_t id, struct arena *arena,
                 const char **token, struct err *e)
{
    struct gate *gate = ctx;
    (void)g;
    (void)id;
    gate->calls++;
    if (!gate->token)
        return err_set(e, gate->code, "no");
    *token = arena_strdup(arena, gate->token);
    return 0;
}

static void measuring_world(struct world *w, struct gate *gate)
{
    open_world(w);
    w->options.admit = admit;
    w->options.admit_ctx = gate;
    put("k.c", "");
    struct node_decl d = decl("out/m", "k.c", &w->arena);
    d.flags = NODE_MEASURES;
    add(w, &d);
    command(w, "out/plain", "k.c");
    freeze(w);
}

static void test_token_is_part_of_the_key(void **state)
{
    struct world w;
    struct gate gate = {.token = "aa"};
    (void)state;
    measuring_world(&w, &gate);
    plan(&w, "out/m");
    assert_string_equal(entry(&w, "out/m")->token, "aa");
    made(&w, "out/m", "1", NULL);
    plan(&w, "out/m");
    assert_verdict(&w, "out/m", PLAN_CLEAN, NULL);
    gate.token = "bb";
    plan(&w, "out/m");
    assert_verdict(&w, "out/m", PLAN_RUN, "token of the lease changed");
    size_t before = gate.calls;
    plan(&w, "out/plain");
    assert_int_equal(gate.calls, before);
    close_world(&w);
}

static void test_another_machine_measures_anew(void **state)
{
    struct world w;
    struct gate gate = {.token = "aa"};
    (void)state;
    measuring_world(&w, &gate);
    plan(&w, "out/m");
    made(&w, "out/m", "1", NULL);
    w.options.machine = "other";
    plan(&w, "out/m");
    assert_verdict(&w, "out/m", PLAN_RUN, "machine changed");
    close_world(&w);
}

static void test_refusal(void **state)
{
    struct world w;
    struct gate gate = {.code = ERR_proof_open};
    struct err e = {0};
    (void)state;
    measuring_world(&w, &gate);
    plan(&w, "out/m");
    assert_verdict(&w, "out/m", PLAN_REFUSE, "no");
    assert_int_equal(entry(&w, "out/m")->refusal->code, ERR_proof_open);
    close_plan(&w);
    gate.code = ERR_os; /* a gate that cannot do its work is no refusal */
    uint32_t id = node(&w, "out/m");
    assert_null(plan_make(w.graph, &id, 1, &w.options, &w.arena, &e));
    assert_int_equal(e.code, ERR_os);
    err_release(&e);
    close_world(&w);
}

static void driver_world(struct world *w)
{
    open_world(w);
    put("a.c", "");
    struct node_decl d = {
        .name = "tune", .kind = "tune", .doc = "", .action = NODE_DRIVER, .driver = 0};
    strs_push(&d.inputs, "a.c");
    add(w, &d);
    d = decl("out/one", "a.c", &w->arena);
    d.flags = NODE_ASKED;
    d.driver = 0;
    add(w, &d);
    freeze(w);
}

/* What a run does with the driver: it asked for out/one. */
static void driver_ran(struct world *w)
{
    struct err e = {0};
    struct ids asked = {0};
    struct node_state state = {0};
    uint32_t tune = node(w, "tune"), one = node(w, "out/one");
    ids_push(&asked, one);
    ok(plan_want(w->plan, asked.at, 1, NULL, &e), &e);
    made(w, "out/one", "1", NULL);
    ok(plan_put_driver(w->plan, tune, &asked, &e), &e);
    state.base = w->plan->entries[tune].base;
    state.explanation = explained(w, tune);
    ok(store_put_node(w->store, "tune", &state, &e), &e);
    ids_release(&asked);
}

static void test_driver_replays(void **state)
{
    struct world w;
    (void)state;
    driver_world(&w);
    plan(&w, "tune");
    assert_int_equal(entry(&w, "tune")->verdict, PLAN_RUN);
    assert_true(plan_needs_drivers(w.plan));
    assert_verdict(&w, "out/one", PLAN_UNWANTED, NULL);
    driver_ran(&w);
    plan(&w, "tune");
    assert_verdict(&w, "tune", PLAN_CLEAN, NULL);
    assert_verdict(&w, "out/one", PLAN_CLEAN, NULL);
    assert_false(plan_needs_drivers(w.plan));
    close_world(&w);
}

static void test_driver_runs_when_an_answer_is_lost_or_its_input_changes(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    driver_world(&w);
    plan(&w, "tune");
    driver_ran(&w);
    ok(os_remove("out/one", &e), &e);
    plan(&w, "tune");
    assert_int_equal(entry(&w, "tune")->verdict, PLAN_RUN);
    put("out/one", "1");
    plan(&w, "tune");
    assert_verdict(&w, "tune", PLAN_CLEAN, NULL);
    put("a.c", "changed");
    plan(&w, "tune");
    assert_verdict(&w, "tune", PLAN_RUN, "input a.c changed");
    close_world(&w);
}

static void test_driver_runs_when_an_answer_was_made_anew(void **state)
{
    struct world w;
    (void)state;
    driver_world(&w);
    plan(&w, "tune");
    driver_ran(&w);
    w.options.force = true;
    plan(&w, "out/one");
    made(&w, "out/one", "2", NULL);
    w.options.force = false;
    plan(&w, "tune");
    assert_int_equal(entry(&w, "tune")->verdict, PLAN_RUN);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_device_defers),
        cmocka_unit_test(test_token_is_part_of_the_key),
        cmocka_unit_test(test_another_machine_measures_anew),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_driver_replays),
        cmocka_unit_test(test_driver_runs_when_an_answer_is_lost_or_its_input_changes),
        cmocka_unit_test(test_driver_runs_when_an_answer_was_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
