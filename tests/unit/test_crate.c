#include "crate.h"
#include "json.h"
#include "trace_world.h"

/* The crate of a run, with its outputs marked as being there or not. */
static json_t *described(struct world *w, const char *commit, bool there)
{
    struct err e = {0};
    struct trace_entry entry;
    struct crate crate;
    struct buf text = {0};
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(0, &e);
    ok(trace_resolve(t, commit, &w->arena, &entry, &e), &e);
    ok(crate_read(t, &entry, &w->arena, &crate, &e), &e);
    for (size_t i = 0; i < crate.output_count; i++)
        crate.outputs[i].there = there;
    strs_push(&crate.sources, "hello.c");
    strs_push(&crate.sources, "hello.h");
    strs_push(&crate.sources, "spakfile");
    ok(crate_describe(&crate, &w->arena, &text, &e), &e);
    json_t *value = json_parse(buf_text(&text), text.len, "crate", &e);
    ok(0, &e);
    buf_release(&text);
    crate_release(&crate);
    strs_release(&entry.metrics);
    trace_close(t);
    return value;
}

static json_t *entity(const json_t *crate, const char *id)
{
    json_t *graph = json_object_get(crate, "@graph");
    for (size_t i = 0; i < json_array_size(graph); i++)
        if (!strcmp(json_text(json_array_get(graph, i), "@id", ""), id))
            return json_array_get(graph, i);
    fail_msg("there is no %s", id);
    return NULL;
}

static bool refers(const json_t *entity, const char *key, const char *id)
{
    json_t *list = json_object_get(entity, key);
    if (json_is_object(list))
        return !strcmp(json_text(list, "@id", ""), id);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_text(json_array_get(list, i), "@id", ""), id))
            return true;
    return false;
}

static void nodes_are_steps_and_actions(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    json_t *crate = described(w, "hello", true);
    json_t *action = entity(crate, "#action/out/hello.o");
    assert_text(json_text(action, "@type", ""), "CreateAction");
    assert_true(refers(action, "instrument", "#tool/cc"));
    assert_true(refers(action, "object", "hello.c") && refers(action, "object", "hello.h"));
    assert_true(refers(action, "result", "out/hello.o"));
    assert_holds(json_text(action, "description", ""), "cc -O2 -c hello.c");
    assert_lacks(json_text(action, "description", ""), w->top);
    assert_true(refers(entity(crate, "#step/out/hello.o"), "workExample", "#tool/cc"));
    assert_true(refers(entity(crate, "#control/out/hello.o"), "object", "#action/out/hello.o"));
    assert_true(refers(entity(crate, "spakfile"), "step", "#step/out/hello"));
    assert_text(json_text(entity(crate, "#tool/cc"), "softwareVersion", ""), "cc 12.2");
    json_t *run = entity(crate, "#run");
    assert_true(refers(run, "object", "hello.c") && refers(run, "result", "out/hello"));
    assert_false(refers(run, "object", "out/hello.o"));
    assert_text(json_text(entity(crate, "#agent"), "name", ""), "Ann");
    json_decref(crate);
}

static void what_is_not_there_has_its_digest(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    json_t *crate = described(w, "hello", false);
    /* printf 'object one' | sha256sum, in base64 for URLs (RFC 6920) */
    static const char id[] = "ni:///sha-256;";
    json_t *made = json_object_get(entity(crate, "#action/out/hello.o"), "result");
    const char *name = json_text(json_array_get(made, 0), "@id", "");
    assert_true(text_starts_with(name, id));
    assert_int_equal(strlen(name), strlen(id) + 43);
    assert_text(json_text(entity(crate, name), "name", ""), "out/hello.o");
    assert_true(refers(entity(crate, "./"), "hasPart", name));
    struct digest d;
    char hex[DIGEST_HEX_LEN + 1];
    hash_bytes("object one", 10, &d);
    digest_hex(&d, hex);
    assert_text(json_text(entity(crate, name), "sha256", ""), hex);
    json_decref(crate);
}

static void every_name_is_there_once(void **state)
{
    struct world *w = *state;
    struct strmap seen = {0};
    repository(w);
    w->with_bench = true;
    full_run(w);
    json_t *crate = described(w, "hello", true);
    json_t *graph = json_object_get(crate, "@graph");
    for (size_t i = 0; i < json_array_size(graph); i++) {
        const char *id = json_text(json_array_get(graph, i), "@id", "");
        if (!*id || strmap_get(&seen, id) != STRMAP_NONE)
            fail_msg("\"%s\" is there twice", id);
        strmap_set(&seen, id, 1);
    }
    strmap_release(&seen);
    json_decref(crate);
}

static void metrics_and_the_machine(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    json_t *crate = described(w, "hello", true);
    json_t *metric = entity(crate, "#metric/fmha.fused");
    assert_text(json_text(metric, "unitText", ""), "ns");
    assert_true(json_num(metric, "value", 0) == 100 && json_num(metric, "minValue", 0) == 99);
    assert_true(refers(entity(crate, "./"), "variableMeasured", "#metric/fmha.fused"));
    assert_text(json_text(entity(crate, "#machine"), "name", ""), "test-machine-2c");
    assert_true(refers(entity(crate, "./"), "mentions", "#machine"));
    json_decref(crate);
}

static void a_failure_says_so(void **state)
{
    struct world *w = *state;
    repository(w);
    begin_run(w);
    uint32_t node = graph_find_node(w->graph, "out/hello.o");
    struct action_record *r = arena_memdup(&w->arena, w->outcomes[node].record, sizeof(*r));
    r->exit_code = 3;
    w->outcomes[node].record = r;
    w->outcomes[node].status = STATUS_FAILED;
    w->outcomes[graph_find_node(w->graph, "out/hello")].status = STATUS_SKIPPED;
    w->run.failed = true;
    commit_run(w);
    json_t *crate = described(w, "hello", true);
    json_t *action = entity(crate, "#action/out/hello.o");
    assert_true(refers(action, "actionStatus", "http://schema.org/FailedActionStatus"));
    assert_text(json_text(action, "error", ""), "exit status 3");
    assert_null(json_object_get(action, "result"));
    assert_true(
        refers(entity(crate, "#run"), "actionStatus", "http://schema.org/FailedActionStatus"));
    entity(crate, "#step/out/hello"); /* what was skipped is a step */
    assert_false(refers(entity(crate, "./"), "mentions", "#action/out/hello"));
    json_decref(crate);
}

static void names_become_uris(void **state)
{
    static const struct {
        const char *name, *uri;
    } names[] = {
        {"a", "a"},          {"a b", "a%20b"},       {"a/b.c", "a/b.c"},     {"a:b", "a%3Ab"},
        {"100%", "100%25"},  {"a#b?c", "a%23b%3Fc"}, {"\xc3\xa4", "%C3%A4"}, {"a\nb", "a%0Ab"},
        {"~x_y-z", "~x_y-z"}};
    struct world *w = *state;
    repository(w);
    full_run(w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err e = {0};
        struct trace_entry entry;
        struct crate crate;
        struct buf text = {0};
        struct trace *t = trace_open(root_of(w), "out", NULL, &e);
        ok(trace_resolve(t, "hello", &w->arena, &entry, &e), &e);
        ok(crate_read(t, &entry, &w->arena, &crate, &e), &e);
        strs_push(&crate.sources, names[i].name);
        ok(crate_describe(&crate, &w->arena, &text, &e), &e);
        assert_holds(buf_text(&text), arena_printf(&w->arena, "\"@id\": \"%s\"", names[i].uri));
        buf_release(&text);
        crate_release(&crate);
        strs_release(&entry.metrics);
        trace_close(t);
    }
}

/* Texts of a trace that are no JSON, or no text at all, end in a crate that is. */
static void lines_of_a_stranger(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    const char *commit = sh(
        w, "cd p && git worktree add -q --detach ../t spak/hello && cd ../t && "
           "printf 'arg \\377\\376\\narg\\nparam\\nparam x\\nenv A\\nkind\\n' >plan/out/hello.o && "
           "printf 'in\\nin x\\nout\\nout x\\nout y z 5\\nstate\\nexit\\n' >out/out/hello.o && "
           "printf '\\n \\nx\\ncc\\n' >env/toolchain && printf 'a\\n=\\nb=\\n' >env/params && "
           "git add -A && printf 'x \\377\\n\\nSpak-Format: 1\\nSpak-Target: hello\\n"
           "Spak-Status: ok\\n' >../m && git -c user.name=M -c user.email=m@m "
           "-c i18n.commitEncoding=latin1 commit -q -F ../m && git rev-parse HEAD");
    json_t *crate = described(w, commit, false);
    entity(crate, "#step/out/hello.o");
    json_decref(crate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nodes_are_steps_and_actions), T(what_is_not_there_has_its_digest),
        T(every_name_is_there_once),    T(metrics_and_the_machine),
        T(a_failure_says_so),           T(names_become_uris),
        T(lines_of_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
