#include "key.h"
#include "plan.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A world: a folder with sources, a store and a graph. Nodes "run" by world_run, which writes
 * outputs and records as the run stage does. */
struct world {
    char dir[512];
    struct arena arena;
    struct store *store;
    struct hash_cache *cache;
    struct graph_builder *builder;
    struct graph *graph;
    struct plan *plan;
    struct plan_options options;
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

static void open_world(struct world *w)
{
    struct err e = {0};
    char *dir = scratch_template("plan");
    *w = (struct world){0};
    snprintf(w->dir, sizeof(w->dir), "%s", dir);
    free(dir);
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(chdir(w->dir), 0);
    w->store = store_open("out/.spak", &e);
    ok(w->store ? 0 : -1, &e);
    w->cache = hash_cache_open("out/.spak/stat");
    w->options = (struct plan_options){.store = w->store, .cache = w->cache, .machine = "m"};
    w->builder = graph_build();
}

static void close_plan(struct world *w)
{
    plan_free(w->plan);
    w->plan = NULL;
}

static void close_world(struct world *w)
{
    struct err e = {0};
    close_plan(w);
    if (w->graph)
        graph_free(w->graph);
    store_close(w->store);
    hash_cache_close(w->cache);
    assert_int_equal(chdir("/"), 0);
    ok(os_remove(w->dir, &e), &e);
    arena_release(&w->arena);
}

/* "out/a.o <- a.c b.h": a command with one output and these inputs. */
static struct node_decl decl(const char *output, const char *inputs, struct arena *arena)
{
    struct node_decl d = {
        .name = output, .kind = "node", .doc = "", .action = NODE_COMMAND, .driver = GRAPH_NONE};
    struct str rest = str_of(inputs), word;
    d.place = (struct place){"spakfile", 7, 1};
    while (str_split(&rest, ' ', &word))
        if (word.len)
            strs_push(&d.inputs, arena_strndup(arena, word.ptr, word.len));
    strs_push(&d.outputs, output);
    strs_push(&d.argv, "/bin/make-it");
    strs_push(&d.argv, output);
    return d;
}

static void release_decl(struct node_decl *d)
{
    struct strs *const lists[] = {&d->argv,   &d->inputs,     &d->outputs, &d->members,
                                  &d->proofs, &d->order_only, &d->params};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        strs_release(lists[i]);
}

static void add(struct world *w, struct node_decl *d)
{
    struct err e = {0};
    if (graph_add_node(w->builder, d, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    release_decl(d);
}

static void command(struct world *w, const char *output, const char *inputs)
{
    struct node_decl d = decl(output, inputs, &w->arena);
    add(w, &d);
}

static void freeze(struct world *w)
{
    struct err e = {0};
    w->graph = graph_freeze(w->builder, &e);
    if (!w->graph)
        fail_msg("%s", e.message);
}

static uint32_t node(struct world *w, const char *name)
{
    uint32_t id = graph_find_node(w->graph, name);
    assert_int_not_equal(id, GRAPH_NONE);
    return id;
}

static void plan(struct world *w, const char *root)
{
    struct err e = {0};
    uint32_t id = node(w, root);
    close_plan(w);
    w->plan = plan_make(w->graph, &id, 1, &w->options, &w->arena, &e);
    ok(w->plan ? 0 : -1, &e);
}

static const struct plan_entry *entry(struct world *w, const char *name)
{
    return &w->plan->entries[node(w, name)];
}

static void assert_verdict(struct world *w, const char *name, enum plan_verdict verdict,
                           const char *why)
{
    const struct plan_entry *x = entry(w, name);
    if (x->verdict != verdict)
        fail_msg("%s: %s (%s), not %s", name, plan_verdict_text(x->verdict), x->why ? x->why : "",
                 plan_verdict_text(verdict));
    if (why)
        assert_string_equal(x->why, why);
    else
        assert_null(x->why);
}

/* What a run does with a node: its output gets `content`, and the record is written; `dep` is a
 * discovered input. */
static void made(struct world *w, const char *name, const char *content, const char *dep)
{
    struct err e = {0};
    uint32_t id = node(w, name);
    struct node_state state = {0};
    struct output_record *out = arena_alloc(&w->arena, sizeof *out); /* the plan keeps the record */
    struct dep_record *found = arena_alloc(&w->arena, sizeof *found);
    bool exists;
    out->path = name;
    out->mode = 0644;
    found->path = dep;
    ok(plan_decide(w->plan, id, &e), &e);
    put(name, content);
    state.base = w->plan->entries[id].base;
    state.explanation = w->plan->entries[id].explanation;
    ok(store_put_file(w->store, name, NULL, &out->digest, &out->size_bytes, &e), &e);
    state.record.outputs = out;
    state.record.output_count = 1;
    state.record.wall_ns = 1000;
    if (dep) {
        ok(plan_file_digest(w->plan, dep, &found->digest, &exists, &e), &e);
        state.record.deps = found;
        state.record.dep_count = 1;
    }
    key_full(&state.base, state.record.deps, state.record.dep_count, &state.record.key);
    ok(store_put_action(w->store, &state.base, &state.record, &e), &e);
    ok(store_put_node(w->store, name, &state, &e), &e);
    plan_set_outputs(w->plan, id, arena_memdup(&w->arena, &state.record, sizeof state.record));
}

/* a.c -> out/a.o -> out/app, all built. */
static void built_chain(struct world *w)
{
    open_world(w);
    put("a.c", "int a;");
    command(w, "out/a.o", "a.c");
    command(w, "out/app", "out/a.o");
    freeze(w);
    plan(w, "out/app");
    made(w, "out/a.o", "object a", NULL);
    made(w, "out/app", "app", NULL);
}

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
    assert_true(entry(&w, "out/a.o")->final);
    assert_verdict(&w, "out/app", PLAN_RUN, "never built");
    assert_false(entry(&w, "out/app")->final);
    assert_verdict(&w, "out/other", PLAN_UNWANTED, NULL);
    assert_int_equal(plan_count(w.plan, PLAN_RUN), 2);
    assert_int_equal(w.plan->order.at[0], node(&w, "out/a.o"));
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
    failed.explanation = entry(&w, "out/a.o")->explanation;
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
    state.explanation = w->plan->entries[tune].explanation;
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
        cmocka_unit_test(test_no_device_defers),
        cmocka_unit_test(test_token_is_part_of_the_key),
        cmocka_unit_test(test_another_machine_measures_anew),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_driver_replays),
        cmocka_unit_test(test_driver_runs_when_an_answer_is_lost_or_its_input_changes),
        cmocka_unit_test(test_driver_runs_when_an_answer_was_made_anew),
        cmocka_unit_test(test_inputs_hold),
        cmocka_unit_test(test_group_takes_its_members),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
