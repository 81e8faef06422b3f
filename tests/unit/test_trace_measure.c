#include "trace_world.h"

static const char *summary(struct world *w)
{
    return sh(w, "git -C p show spak/hello:measure/test-machine-2c/summary");
}

static void measured_nodes_are_not_in_out(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    assert_lacks(sh(w, "git -C p ls-tree -r --name-only spak/hello out"), "bench");
    const char *files = sh(w, "git -C p ls-tree -r --name-only spak/hello measure");
    assert_text(
        files, "measure/test-machine-2c/files/out/bench.json\nmeasure/test-machine-2c/machine\n"
               "measure/test-machine-2c/margins\n"
               "measure/test-machine-2c/nodes/out/bench.json\nmeasure/test-machine-2c/samples.bin\n"
               "measure/test-machine-2c/summary");
    assert_text(summary(w), "fmha.fused ns 100 99 101 3");
    assert_holds(sh(w, "git -C p log -1 --format=%%B spak/hello"),
                 "Spak-Metric: fmha.fused ns 100");
    const char *out = sh(w, "git -C p rev-parse spak/hello:out");
    w->metrics = "{\"metrics\":[{\"metric\":\"fmha.fused\",\"unit\":\"ns\",\"median\":50,\"lo\":49,"
                 "\"hi\":51,\"n\":3}]}";
    full_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C p rev-parse spak/hello:out"), out);
}

static void measure_again(struct world *w, const char *median, const char *lo, const char *hi)
{
    w->metrics = arena_printf(
        &w->arena,
        "{\"metrics\":[{\"metric\":\"fmha.fused\",\"unit\":\"ns\",\"median\":%s,\"lo\":%s,"
        "\"hi\":%s,\"n\":9}],\"samples\":{\"fmha.fused\":[%s]}}",
        median, lo, hi, median);
    full_run(w);
    assert_true(w->result.committed);
}

static void the_summary_is_sticky(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    const char *old = "fmha.fused ns 100 99 101 3";
    measure_again(w, "110", "100.5", "120"); /* far, but the intervals meet */
    assert_text(summary(w), old);
    measure_again(w, "101.5", "101.2", "101.8"); /* apart, but below two percent */
    assert_text(summary(w), old);
    measure_again(w, "98.1", "98", "98.2");
    assert_text(summary(w), old);
    measure_again(w, "103", "102", "104"); /* both */
    assert_text(summary(w), "fmha.fused ns 103 102 104 9");
    assert_text(sh(w, "git -C p diff --numstat spak/hello~2 spak/hello~ -- measure/*/summary"), "");
    assert_holds(sh(w, "git -C p diff --stat spak/hello~ spak/hello"), "samples.bin");
    assert_holds(sh(w, "git -C p diff --stat spak/hello~ spak/hello"), "Bin");
}

static void slow_drift_adds_up(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    measure_again(w, "101.3", "101.1", "101.5");
    measure_again(w, "102.6", "102.4", "102.8");
    assert_text(summary(w), "fmha.fused ns 102.6 102.4 102.8 9");
}

static void a_broken_run_keeps_the_old_lines(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    begin_run(w);
    w->outcomes[graph_find_node(w->graph, "out/bench.json")] =
        (struct outcome){.status = STATUS_DEFERRED};
    commit_run(w);
    assert_text(summary(w), "fmha.fused ns 100 99 101 3");
    assert_text(sh(w, "git -C p show spak/hello:measure/test-machine-2c/nodes/out/bench.json"),
                "state unmeasured");
    assert_text(sh(w, "git -C p log -1 --format=%%s spak/hello"), "hello: 1 not done (partial)");
}

static void two_machines_live_side_by_side(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    begin_run(w);
    w->run.machine = "other/../machine";
    commit_run(w);
    assert_text(sh(w, "git -C p ls-tree --name-only spak/hello:measure"), "other\ntest-machine-2c");
    assert_text(sh(w, "git -C p diff --stat spak/hello~ spak/hello -- measure/test-machine-2c"),
                "");
    assert_sound(w, "p");
}

static void samples_are_one_binary_blob(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    sh(w, "git -C p show spak/hello:measure/test-machine-2c/samples.bin >samples");
    assert_text(sh(w, "od -An -c samples | head -1 | tr -s ' '"),
                " \\0 s p a k - s a m p l e s 1 \\n");
    assert_text(sh(w, "tail -c +17 samples | head -2"), "1\nfmha.fused 3");
    assert_text(sh(w, "tail -c 12 samples | od -An -t f4 | tr -s ' '"), " 99 100 101");
}

static void metrics_that_make_no_sense_are_left_out(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"metrics\":7}",
        "{\"metrics\":[{\"metric\":\"x\"}]}",
        "{\"metrics\":[{\"metric\":\"x\",\"median\":\"1\"}],\"samples\":[]}",
        "{\"metrics\":[null]}",
        "not json"};
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        w->metrics = bad[i];
        full_run(w);
        assert_true(w->result.committed);
    }
    assert_sound(w, "p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(measured_nodes_are_not_in_out),
        T(the_summary_is_sticky),
        T(slow_drift_adds_up),
        T(a_broken_run_keeps_the_old_lines),
        T(two_machines_live_side_by_side),
        T(samples_are_one_binary_blob),
        T(metrics_that_make_no_sense_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
