/* plan: which nodes run and why. */
#include "plan_world.h"

static void test_never_built(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    put("a.c", "int a;");
    command(&w, "out/a.o", "a.c");
    command(&w, "out/app", "out/a.o");
    command(&w, "out/other", "nowhere.c");
    freeze(&w);
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "never built");
    assert_false(entry(&w, "out/a.o")->final);
    assert_verdict(&w, "out/app", PLAN_RUN, "never built");
    assert_false(entry(&w, "out/app")->final);
    assert_verdict(&w, "out/other", PLAN_UNWANTED, NULL);
    assert_int_equal(plan_count(w.plan, PLAN_RUN), 2);
    assert_int_equal(w.plan->order.at[0], node(&w, "out/a.o"));
    close_world(&w);
}

/* Nothing was ever recorded: a key made when the command starts is the one a decision makes. */
static void test_from_nothing_a_key_can_wait(void **state)
{
    struct world w;
    struct err e = {0};
    struct buf text = {0};
    (void)state;
    open_world(&w);
    put("a.c", "int a;");
    command(&w, "out/a.o", "a.c");
    freeze(&w);
    plan(&w, "out/a.o");
    struct plan_entry *x = &w.plan->entries[node(&w, "out/a.o")];
    assert_true(x->sure);
    assert_true(digest_is_zero(&x->base));
    ok(plan_key(w.plan, node(&w, "out/a.o"), &text, &e), &e);
    assert_non_null(strstr(text.ptr, "in a.c "));
    struct digest base = x->base;
    ok(plan_decide(w.plan, node(&w, "out/a.o"), &e), &e);
    assert_true(digest_equal(&base, &x->base));
    assert_false(x->sure);
    assert_verdict(&w, "out/a.o", PLAN_RUN, "never built");
    made(&w, "out/a.o", "a", NULL);
    put("a.c", "int b;");
    plan(&w, "out/a.o");
    assert_false(entry(&w, "out/a.o")->sure);
    assert_verdict(&w, "out/a.o", PLAN_RUN, "input a.c changed");
    buf_release(&text);
    close_world(&w);
}

static void test_built_is_clean(void **state)
{
    struct world w;
    (void)state;
    built_chain(&w);
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_CLEAN, NULL);
    assert_verdict(&w, "out/app", PLAN_CLEAN, NULL);
    assert_true(entry(&w, "out/app")->final);
    assert_int_equal(entry(&w, "out/app")->record->output_count, 1);
    close_world(&w);
}

static void test_touched_but_same_is_clean(void **state)
{
    struct world w;
    (void)state;
    built_chain(&w);
    usleep(20000);
    put("a.c", "int a;");
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_CLEAN, NULL);
    close_world(&w);
}

static void test_changed_input_and_its_consequence(void **state)
{
    struct world w;
    (void)state;
    built_chain(&w);
    put("a.c", "int b;");
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "input a.c changed");
    assert_verdict(&w, "out/app", PLAN_MAYBE, "out/a.o may change");
    assert_int_equal(entry(&w, "out/app")->cause, node(&w, "out/a.o"));
    assert_true(entry(&w, "out/app")->last_wall_ns == 1000);
    close_world(&w);
}

static void test_early_cutoff(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    built_chain(&w);
    put("a.c", "int a; /* the same object */");
    plan(&w, "out/app");
    made(&w, "out/a.o", "object a", NULL);
    ok(plan_decide(w.plan, node(&w, "out/app"), &e), &e);
    assert_verdict(&w, "out/app", PLAN_CLEAN, NULL);
    close_world(&w);
}

static void test_no_cutoff_when_the_output_differs(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    built_chain(&w);
    put("a.c", "int b;");
    plan(&w, "out/app");
    made(&w, "out/a.o", "object b", NULL);
    ok(plan_decide(w.plan, node(&w, "out/app"), &e), &e);
    assert_verdict(&w, "out/app", PLAN_RUN, "input out/a.o changed");
    close_world(&w);
}

static void test_lost_output_is_restored(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    built_chain(&w);
    ok(os_remove("out/a.o", &e), &e);
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_RESTORE, "output out/a.o was deleted");
    /* Its digest is known all the same, so what depends on it is decided. */
    assert_verdict(&w, "out/app", PLAN_CLEAN, NULL);
    close_world(&w);
}

static void test_modified_output_is_restored(void **state)
{
    struct world w;
    (void)state;
    built_chain(&w);
    put("out/app", "something else");
    plan(&w, "out/app");
    assert_verdict(&w, "out/app", PLAN_RESTORE, "output out/app was modified");
    close_world(&w);
}

static void test_lost_output_without_object_runs(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    built_chain(&w);
    ok(os_remove("out/a.o", &e), &e);
    ok(os_remove("out/.spak/cas", &e), &e);
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "output out/a.o was deleted");
    close_world(&w);
}

static void test_edit_back_restores(void **state)
{
    struct world w;
    (void)state;
    built_chain(&w);
    put("a.c", "int b;");
    plan(&w, "out/app");
    made(&w, "out/a.o", "object b", NULL);
    made(&w, "out/app", "app b", NULL);
    put("a.c", "int a;");
    plan(&w, "out/app");
    assert_verdict(&w, "out/a.o", PLAN_RESTORE, "input a.c changed");
    assert_verdict(&w, "out/app", PLAN_RESTORE, "input out/a.o changed");
    close_world(&w);
}

static void test_discovered_input(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    put("a.c", "int a;");
    put("a.h", "1");
    command(&w, "out/a.o", "a.c");
    freeze(&w);
    plan(&w, "out/a.o");
    made(&w, "out/a.o", "one", "a.h");
    plan(&w, "out/a.o");
    assert_verdict(&w, "out/a.o", PLAN_CLEAN, NULL);
    put("a.h", "2");
    plan(&w, "out/a.o");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "discovered input a.h changed");
    made(&w, "out/a.o", "two", "a.h");
    put("a.h", "1");
    plan(&w, "out/a.o");
    assert_verdict(&w, "out/a.o", PLAN_RESTORE, "discovered input a.h changed");
    struct err e = {0};
    ok(os_remove("a.h", &e), &e);
    plan(&w, "out/a.o");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "discovered input a.h is gone");
    close_world(&w);
}

static void test_missing_source(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    open_world(&w);
    put("main.c", "");
    command(&w, "out/a.o", "mian.c");
    freeze(&w);
    uint32_t id = node(&w, "out/a.o");
    assert_null(plan_make(w.graph, &id, 1, &w.options, &w.arena, &e));
    assert_int_equal(e.code, ERR_input_missing);
    assert_int_equal(err_class(&e), ERR_USAGE);
    assert_int_equal(e.place.line, 7);
    assert_non_null(strstr(e.message, "mian.c"));
    assert_string_equal(e.hint, "did you mean main.c?");
    err_release(&e);
    close_world(&w);
}

/* A missing source is found before anything runs, also behind a node that has to run first. */
static void test_missing_source_behind_another(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    open_world(&w);
    put("a.c", "");
    command(&w, "out/a.o", "a.c");
    command(&w, "out/app", "out/a.o gone.c");
    freeze(&w);
    uint32_t id = node(&w, "out/app");
    assert_null(plan_make(w.graph, &id, 1, &w.options, &w.arena, &e));
    assert_int_equal(e.code, ERR_input_missing);
    err_release(&e);
    close_world(&w);
}

static void test_failed_runs_again(void **state)
{
    struct world w;
    struct node_state failed = {.failed = true};
    struct err e = {0};
    (void)state;
    built_chain(&w);
    close_plan(&w);
    w.options.force = true;
    plan(&w, "out/a.o");
    w.options.force = false;
    failed.base = entry(&w, "out/a.o")->base;
    failed.explanation = explained(&w, node(&w, "out/a.o"));
    failed.record.exit_code = 1;
    ok(store_put_node(w.store, "out/app", &failed, &e), &e);
    plan(&w, "out/app");
    assert_int_equal(entry(&w, "out/app")->verdict, PLAN_RESTORE);
    ok(os_remove("out/.spak/cas", &e), &e);
    plan(&w, "out/app");
    assert_int_equal(entry(&w, "out/app")->verdict, PLAN_RUN);
    close_world(&w);
}

static void test_force_and_always(void **state)
{
    struct world w;
    struct node_decl d;
    (void)state;
    open_world(&w);
    put("a.c", "");
    d = decl("out/a.o", "a.c", &w.arena);
    d.flags = NODE_ALWAYS;
    add(&w, &d);
    command(&w, "out/b.o", "a.c");
    freeze(&w);
    plan(&w, "out/a.o");
    made(&w, "out/a.o", "x", NULL);
    plan(&w, "out/b.o");
    made(&w, "out/b.o", "x", NULL);
    plan(&w, "out/a.o");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "runs always");
    plan(&w, "out/b.o");
    assert_verdict(&w, "out/b.o", PLAN_CLEAN, NULL);
    w.options.force = true;
    plan(&w, "out/b.o");
    assert_verdict(&w, "out/b.o", PLAN_RUN, "forced by -B");
    close_world(&w);
}

static void test_inputs_hold(void **state)
{
    struct world w;
    struct err e = {0};
    const char *changed = NULL;
    bool hold;
    (void)state;
    built_chain(&w);
    plan(&w, "out/app");
    ok(plan_inputs_hold(w.plan, node(&w, "out/a.o"), &hold, &changed, &e), &e);
    assert_true(hold);
    put("a.c", "edited while it was compiled");
    ok(plan_inputs_hold(w.plan, node(&w, "out/a.o"), &hold, &changed, &e), &e);
    assert_false(hold);
    assert_string_equal(changed, "a.c");
    close_world(&w);
}

static void test_group_takes_its_members(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    put("a.c", "");
    command(&w, "out/a.o", "a.c");
    struct node_decl d = {
        .name = "all", .kind = "target", .doc = "", .action = NODE_GROUP, .driver = GRAPH_NONE};
    strs_push(&d.members, "out/a.o");
    add(&w, &d);
    freeze(&w);
    plan(&w, "all");
    assert_verdict(&w, "out/a.o", PLAN_RUN, "never built");
    assert_int_equal(plan_count(w.plan, PLAN_RUN), 1);
    made(&w, "out/a.o", "x", NULL);
    plan(&w, "all");
    assert_verdict(&w, "all", PLAN_CLEAN, NULL);
    close_world(&w);
}

static void test_json(void **state)
{
    struct world w;
    struct buf text = {0};
    (void)state;
    built_chain(&w);
    put("a.c", "int b;");
    plan(&w, "out/app");
    json_t *list = plan_to_json(w.plan);
    json_compact(list, &text);
    assert_string_equal(text.ptr,
                        "[{\"node\":\"out/a.o\",\"verdict\":\"run\",\"why\":\"input a.c changed\"},"
                        "{\"cause\":\"out/a.o\",\"node\":\"out/app\",\"verdict\":\"maybe\","
                        "\"why\":\"out/a.o may change\"}]");
    json_decref(list);
    buf_release(&text);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_built),
        cmocka_unit_test(test_from_nothing_a_key_can_wait),
        cmocka_unit_test(test_built_is_clean),
        cmocka_unit_test(test_touched_but_same_is_clean),
        cmocka_unit_test(test_changed_input_and_its_consequence),
        cmocka_unit_test(test_early_cutoff),
        cmocka_unit_test(test_no_cutoff_when_the_output_differs),
        cmocka_unit_test(test_lost_output_is_restored),
        cmocka_unit_test(test_modified_output_is_restored),
        cmocka_unit_test(test_lost_output_without_object_runs),
        cmocka_unit_test(test_edit_back_restores),
        cmocka_unit_test(test_discovered_input),
        cmocka_unit_test(test_missing_source),
        cmocka_unit_test(test_missing_source_behind_another),
        cmocka_unit_test(test_failed_runs_again),
        cmocka_unit_test(test_force_and_always),
        cmocka_unit_test(test_inputs_hold),
        cmocka_unit_test(test_group_takes_its_members),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
