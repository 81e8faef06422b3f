#include "repro_parts.h"
#include "trace_world.h"

/* A run that measured `median` ns, 60 samples spread by a hundredth of `spread`; `more` goes into
 * the metric's object. */
static void measured(struct world *w, double median, double spread, const char *more)
{
    struct buf text = {0};
    buf_addf(
        &text,
        "{\"metrics\":[{\"metric\":\"k.time\",\"unit\":\"ns\",\"median\":%g,\"lo\":%g,\"hi\":%g,"
        "\"n\":60%s}],\"samples\":{\"k.time\":[",
        median, median, median, more);
    for (int i = 0; i < 60; i++)
        buf_addf(&text, "%s%g", i ? "," : "",
                 median * (1 + spread / 100 * (2 * ((i * 37) % 60) / 59.0 - 1)));
    buf_addstr(&text, "]}}");
    w->metrics = arena_strdup(&w->arena, buf_text(&text));
    buf_release(&text);
    w->with_bench = true;
    full_run(w);
}

/* Compares the run `first` with the latest. */
static void compare(struct world *w, const char *first, double margin, struct repro_finding *f)
{
    struct err e = {0};
    struct trace_entry before, after;
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(trace_resolve(t, first, &w->arena, &before, &e), &e);
    ok(trace_resolve(t, "hello", &w->arena, &after, &e), &e);
    struct repro_side recorded = {t, &before}, again = {t, &after};
    ok(repro_compare(&recorded, &again, margin, &w->arena, f, &e), &e);
    strs_release(&before.metrics);
    strs_release(&after.metrics);
    trace_close(t);
}

static void assert_finding(struct world *w, double margin, enum repro_verdict verdict,
                           enum repro_metric_state state)
{
    struct repro_finding f = {0};
    compare(w, "hello~1", margin, &f);
    if (f.verdict != verdict || f.metric_count != 1 || f.metrics[0].state != state)
        fail_msg("%s, %zu metrics, state %d: %s", repro_verdict_text(f.verdict), f.metric_count,
                 f.metric_count ? (int)f.metrics[0].state : -1,
                 f.reasons.len ? f.reasons.at[0] : "no reason");
    repro_finding_release(&f);
}

static void within_and_beyond(void **state)
{
    struct world *w = *state;
    repository(w);
    measured(w, 100, 1, "");
    measured(w, 102, 1, "");
    assert_finding(w, 0, REPRO_IDENTICAL, REPRO_WITHIN);
    assert_finding(w, 0.01, REPRO_DIFFERENT, REPRO_BEYOND);
    measured(w, 130, 1, "");
    assert_finding(w, 0, REPRO_DIFFERENT, REPRO_BEYOND);
    assert_finding(w, 0.5, REPRO_IDENTICAL, REPRO_WITHIN);
}

static void noise_decides_nothing(void **state)
{
    struct world *w = *state;
    repository(w);
    measured(w, 100, 80, "");
    measured(w, 101, 80, "");
    assert_finding(w, 0, REPRO_EQUIVALENT, REPRO_UNCLEAR);
}

static void the_recorded_margin_counts(void **state)
{
    struct world *w = *state;
    struct repro_finding f = {0};
    repository(w);
    measured(w, 100, 1, ",\"margin\":0.4");
    measured(w, 130, 1, ",\"margin\":0.001"); /* the second run's margin is its own affair */
    compare(w, "hello~1", 0, &f);
    assert_int_equal(f.verdict, REPRO_IDENTICAL);
    assert_true(f.margin == 0.4 && f.margin_least == 0.4 && f.metrics[0].margin == 0.4);
    assert_text(repro_margin_text(&f, &w->arena), "40");
    repro_finding_release(&f);
    assert_finding(w, 0.05, REPRO_DIFFERENT, REPRO_BEYOND);
}

static void margins_that_are_none(void **state)
{
    static const char *const margins[] = {"", "-1", "0", "1", "nan", "x", "1e999"};
    struct world *w = *state;
    repository(w);
    measured(w, 100, 1, ",\"margin\":-4");
    assert_text(sh(w, "git -C p show spak/hello:measure/test-machine-2c/margins"), "k.time 0.05");
    for (size_t i = 0; i < ARRAY_LEN(margins); i++) {
        const char *commit =
            sh(w,
               "rm -rf t && git -C p worktree prune && git -C p worktree add -q --detach ../t "
               "spak/hello && "
               "cd t && printf 'k.time %s\\n' >measure/test-machine-2c/margins && git add -A && "
               "git log -1 --format=%%B >../m && git -c user.name=M -c user.email=m@m commit -q "
               "--allow-empty -F ../m && git rev-parse HEAD",
               margins[i]);
        struct repro_finding f = {0};
        compare(w, commit, 0, &f);
        assert_int_equal(f.verdict, REPRO_IDENTICAL);
        assert_true(f.margin == TRACE_MARGIN);
        repro_finding_release(&f);
    }
}

static void several_margins_are_a_range(void **state)
{
    struct repro_finding f = {.margin = 0.1, .margin_least = 0.02};
    struct world *w = *state;
    assert_text(repro_margin_text(&f, &w->arena), "2 to 10");
    assert_holds(repro_note_line(&f, "m", "1", 0, &w->arena), " margin=0.02..0.1 ");
}

static void another_machine_says_nothing(void **state)
{
    struct world *w = *state;
    struct repro_finding f = {0};
    repository(w);
    measured(w, 100, 1, "");
    begin_run(w);
    w->run.machine = "other-machine-8c";
    commit_run(w);
    compare(w, "hello~1", 0, &f);
    assert_int_equal(f.verdict, REPRO_NOT_COMPARABLE);
    assert_holds(f.reasons.at[0], "measured on test-machine-2c; this machine is other-machine-8c");
    repro_finding_release(&f);
}

/* The latest run's samples.bin, replaced by bytes; the commit. */
static const char *forged(struct world *w, const char *bytes, size_t len)
{
    struct err e = {0};
    ok(os_write("samples", bytes, len, 0644, &e), &e);
    return sh(w, "rm -rf t && git -C p worktree prune && git -C p worktree add -q --detach ../t "
                 "spak/hello && "
                 "cp samples t/measure/test-machine-2c/samples.bin && cd t && git add -A && "
                 "git log -1 --format=%%B >../m && git -c user.name=M -c user.email=m@m commit -q "
                 "--allow-empty -F ../m && git rev-parse HEAD");
}

#define MAGIC "\0spak-samples 1\n"
/* All bytes of a literal but the last NUL. */
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static void samples_of_a_stranger(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } all[] = {
        BYTES(""),
        BYTES("x"),
        BYTES(MAGIC),
        BYTES(MAGIC "1\n"),
        BYTES(MAGIC "1\nk.time 3\n"),
        BYTES(MAGIC "1\nk.time 3\n\0\0\0"),
        BYTES(MAGIC "1\nk.time 0\n"),
        BYTES(MAGIC "1\nk.time -1\n"),
        BYTES(MAGIC "1\nk.time 999999999999\n"),
        BYTES(MAGIC "1\nk.time 1000001\n"),
        BYTES(MAGIC "99999999\n"),
        BYTES(MAGIC "x\nk.time 1\n\0\0\0\0"),
        BYTES(MAGIC "1\nk.time\n\0\0\0\0"),
        BYTES(MAGIC "2\nk.time 1\n\0\0\0\0"),
    };
    struct world *w = *state;
    repository(w);
    measured(w, 100, 1, "");
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct repro_finding f = {0};
        compare(w, forged(w, all[i].bytes, all[i].len), 0, &f);
        if (f.metric_count)
            fail_msg("case %zu: %zu metrics", i, f.metric_count);
        assert_int_equal(f.verdict, REPRO_EQUIVALENT);
        assert_holds(f.reasons.at[0], "holds no samples");
        repro_finding_release(&f);
    }
}

static void numbers_that_are_none(void **state)
{
    /* NaN, infinity and zero, little-endian: no ratio of theirs is within anything. */
    static const char head[] = MAGIC "1\nk.time 8\n";
    static const char *const samples[] = {"\0\0\300\177", "\0\0\200\177", "\0\0\0\0"};
    struct world *w = *state;
    repository(w);
    measured(w, 100, 1, "");
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct repro_finding f = {0};
        struct buf bytes = {0};
        buf_add(&bytes, head, sizeof(head) - 1);
        for (int k = 0; k < 8; k++)
            buf_add(&bytes, samples[i], 4);
        compare(w, forged(w, bytes.ptr, bytes.len), 0, &f);
        assert_int_equal(f.metric_count, 1);
        assert_int_not_equal(f.metrics[0].state, REPRO_WITHIN);
        assert_int_not_equal(f.verdict, REPRO_IDENTICAL);
        repro_finding_release(&f);
        buf_release(&bytes);
    }
}

struct medians {
    size_t count;
    double recorded, derived;
};

static void note_median(void *ctx, const char *name, double recorded, double derived)
{
    struct medians *m = ctx;
    assert_text(name, "k.time");
    *m = (struct medians){m->count + 1, recorded, derived};
}

static void medians_follow_from_samples(void **state)
{
    struct world *w = *state;
    struct medians m = {0};
    struct err e = {0};
    struct trace_entry entry;
    repository(w);
    measured(w, 100, 1, "");
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(trace_resolve(t, "hello", &w->arena, &entry, &e), &e);
    struct repro_side side = {t, &entry};
    ok(repro_recorded_metrics(&side, &w->arena, note_median, &m, &e), &e);
    assert_int_equal(m.count, 1);
    assert_true(m.recorded == 100 && m.derived > 99.9 && m.derived < 100.1);
    strs_release(&entry.metrics);
    trace_close(t);
}

static void the_spakfile_of_a_run(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    const char *file;
    repository(w);
    full_run(w);
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(repro_spakfile(t, w->result.commit, &w->arena, &file, &e), &e);
    assert_text(file, "spakfile");
    trace_close(t);
    put("p/studies/my file", "-- another\n");
    put("p/hello.c", "int main(void) { return 2; }\n");
    begin_run(w);
    w->run.spakfile = "studies/my file";
    commit_run(w);
    t = trace_open(root_of(w), "out", NULL, &e);
    ok(repro_spakfile(t, w->result.commit, &w->arena, &file, &e), &e);
    assert_text(file, "studies/my file");
    trace_close(t);
    assert_holds(sh(w, "git -C p log -1 --format=%%b spak/hello"), "another spakfile");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(within_and_beyond),     T(noise_decides_nothing),       T(the_recorded_margin_counts),
        T(margins_that_are_none), T(several_margins_are_a_range), T(another_machine_says_nothing),
        T(samples_of_a_stranger), T(numbers_that_are_none),       T(medians_follow_from_samples),
        T(the_spakfile_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
