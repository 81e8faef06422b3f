#include "console.h"
#include "scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

/* A graph made by hand: text first, three nodes, argv of the first two. */
enum { A, B, SPEAKER, TEST_NODE };
static const char text[] = "\0cc\0out/a.o\0out/b.o\0node\0fmha/bench\0-c\0it's a file.c\0test/x";
enum {
    T_CC = 1,
    T_A = 4,
    T_B = 12,
    T_NODE = 20,
    T_BENCH = 25,
    T_C = 36,
    T_FILE = 39,
    T_TEST = 53,
};
static const uint32_t ids[] = {T_CC, T_C, T_FILE};
static const struct node nodes[] = {
    [A] = {.name = T_A, .kind = T_CC, .argv = {0, 3}},
    [B] = {.name = T_B, .kind = T_CC, .argv = {0, 2}},
    [SPEAKER] = {.name = T_BENCH, .kind = T_NODE, .flags = NODE_CONSOLE},
    [TEST_NODE] = {.name = T_TEST, .kind = T_NODE, .flags = NODE_TEST},
};
static const struct graph graph = {
    .nodes = nodes,
    .node_count = ARRAY_LEN(nodes),
    .ids = ids,
    .id_count = ARRAY_LEN(ids),
    .text = text,
    .text_bytes = sizeof(text),
};

/* What the console writes, read back from a file of its own. */
struct screen {
    struct console *console;
    struct console_options options;
    struct buf seen;
    char *path;
    int fd;
    off_t read_to;
    struct run_event event;
    struct outcome outcome;
    uint32_t running[3];
};

static int setup(void **state)
{
    struct screen *s = xcalloc(1, sizeof(*s));

    s->path = scratch_template("console");
    s->fd = mkstemp(s->path);
    if (s->fd < 0)
        return -1;
    s->options = (struct console_options){.fd = s->fd, .columns = 60};
    s->event.graph = &graph;
    s->event.running = s->running;
    s->event.outcome = &s->outcome;
    s->event.output = "";
    s->event.progress.left_ns = -1;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct screen *s = *state;

    console_close(s->console);
    buf_release(&s->seen);
    close(s->fd);
    unlink(s->path);
    free(s->path);
    free(s);
    return 0;
}

static void open_as(struct screen *s, bool live)
{
    s->options.live = live;
    s->console = console_open(&s->options);
}

/* Sends the event that was set up; the answer is what it made the console write. */
static const char *send(struct screen *s, enum run_event_kind kind)
{
    char bytes[4096];
    ssize_t n;

    s->event.kind = kind;
    console_event(s->console, &s->event);
    buf_reset(&s->seen);
    while ((n = pread(s->fd, bytes, sizeof(bytes), s->read_to)) > 0) {
        buf_add(&s->seen, bytes, (size_t)n);
        s->read_to += n;
    }
    return buf_text(&s->seen);
}

static const char *start(struct screen *s, uint32_t node)
{
    s->event.node = node;
    s->running[s->event.running_count++] = node;
    s->event.progress.running++;
    return send(s, RUN_START);
}

static const char *finish(struct screen *s, uint32_t node, enum node_status status)
{
    struct run_progress *p = &s->event.progress;

    s->event.node = node;
    s->outcome.status = status;
    p->done++;
    if (status == STATUS_RAN || status == STATUS_FAILED) {
        for (size_t i = 0; i < s->event.running_count; i++)
            if (s->running[i] == node)
                s->running[i] = s->running[--s->event.running_count];
        p->running--;
    }
    *(status == STATUS_RAN ? &p->ran : status == STATUS_FAILED ? &p->failed : &p->clean) += 1;
    return send(s, RUN_FINISH);
}

static void plain_lines_are_for_nodes_that_ran(void **state)
{
    struct screen *s = *state;

    open_as(s, false);
    s->event.progress.to_run = 2;
    assert_string_equal(send(s, RUN_BEGIN), "");
    assert_string_equal(start(s, A), "");
    assert_string_equal(finish(s, B, STATUS_CLEAN), "");
    assert_string_equal(send(s, RUN_TICK), "");
    assert_string_equal(finish(s, A, STATUS_RAN), "[1/2] cc out/a.o\n");
}

static void kind_is_not_said_twice(void **state)
{
    struct screen *s = *state;

    open_as(s, false);
    s->event.progress.to_run = 1;
    start(s, SPEAKER);
    assert_string_equal(finish(s, SPEAKER, STATUS_RAN), "[1/1] fmha/bench\n");
}

static void total_grows_with_what_runs_beyond_the_forecast(void **state)
{
    struct screen *s = *state;

    open_as(s, false);
    s->event.progress.to_run = 1;
    start(s, A);
    start(s, B);
    assert_string_equal(finish(s, A, STATUS_RAN), "[1/2] cc out/a.o\n");
    assert_string_equal(finish(s, B, STATUS_RAN), "[2/2] cc out/b.o\n");
}

static void output_of_a_command_is_shown_whole_below_its_line(void **state)
{
    struct screen *s = *state;

    open_as(s, false);
    start(s, A);
    s->event.output = "a.c: warning";
    s->event.output_len = strlen(s->event.output);
    assert_string_equal(finish(s, A, STATUS_RAN), "[1/1] cc out/a.o\na.c: warning\n");
}

static void test_that_passed_is_silent_and_one_that_is_skipped_is_not(void **state)
{
    struct screen *s = *state;
    struct action_record skipped = {.exit_code = 77};

    open_as(s, false);
    s->event.output = "12 passed\n";
    s->event.output_len = strlen(s->event.output);
    start(s, TEST_NODE);
    assert_string_equal(finish(s, TEST_NODE, STATUS_RAN), "[1/1] test/x\n");
    s->event.output = "no clang here\n";
    s->event.output_len = strlen(s->event.output);
    s->outcome.record = &skipped;
    start(s, TEST_NODE);
    assert_string_equal(finish(s, TEST_NODE, STATUS_RAN), "[2/2] test/x skipped\nno clang here\n");
}

static void failure_says_so_and_draws_the_error_once(void **state)
{
    struct screen *s = *state;
    struct err e = {0};

    open_as(s, false);
    start(s, A);
    err_set(&e, ERR_os, "the disk is full");
    e.output = xstrdup("cc: no space\n");
    s->event.error = &e;
    s->event.output = "cc: no space\n";
    s->event.output_len = strlen(s->event.output);
    const char *drawn = finish(s, A, STATUS_FAILED);

    assert_non_null(strstr(drawn, "[1/1] cc out/a.o failed\n"));
    assert_non_null(strstr(drawn, "error[M101]: the disk is full"));
    const char *first = strstr(drawn, "no space");

    assert_non_null(first);
    assert_null(strstr(first + 1, "no space"));
    err_release(&e);
}

static void long_log_ends_with_what_went_wrong_in_it(void **state)
{
    struct screen *s = *state;
    struct err e = {0};

    open_as(s, false);
    start(s, A);
    err_set(&e, ERR_os, "the disk is full");
    s->event.error = &e;
    s->event.output = "a.c:1: no\n";
    s->event.output_len = strlen(s->event.output);
    finish(s, A, STATUS_FAILED);
    s->event.error = NULL;
    s->event.output_len = 0;
    assert_null(strstr(send(s, RUN_END), "the disk is full"));
    for (int i = 0; i < 30; i++) {
        start(s, B);
        finish(s, B, STATUS_RAN);
    }
    const char *end = send(s, RUN_END);

    assert_true(
        text_starts_with(end, "spak: what went wrong above:\nerror[M101]: the disk is full"));
    assert_non_null(strstr(end, "a.c:1: no\nspak: "));
    err_release(&e);
}

static void quiet_says_only_what_went_wrong(void **state)
{
    struct screen *s = *state;
    struct err e = {0};

    s->options.quiet = true;
    open_as(s, true);
    assert_string_equal(start(s, A), "");
    assert_string_equal(finish(s, A, STATUS_RAN), "");
    assert_string_equal(start(s, B), "");
    err_set(&e, ERR_os, "the disk is full");
    s->event.error = &e;
    const char *drawn = finish(s, B, STATUS_FAILED);

    assert_true(text_starts_with(drawn, "error[M101]"));
    s->event.error = NULL;
    assert_string_equal(send(s, RUN_END), "");
    err_release(&e);
}

static void verbose_shows_reason_and_a_command_to_paste(void **state)
{
    struct screen *s = *state;

    s->options.verbose = true;
    open_as(s, false);
    s->outcome.why = "input a.c changed";
    assert_string_equal(start(s, A), "out/a.o: input a.c changed\n    cc -c 'it'\\''s a file.c'\n");
}

static void live_line_is_drawn_and_erased_before_other_text(void **state)
{
    struct screen *s = *state;

    open_as(s, true);
    s->event.progress.to_run = 4;
    assert_string_equal(start(s, A), "[0/4] 0% cc out/a.o");
    s->event.output = "hello\n";
    s->event.output_len = 6;
    s->event.progress.elapsed_ns = SECOND;
    assert_string_equal(finish(s, A, STATUS_RAN), "\r\033[K[1/4] cc out/a.o\nhello\n");
}

static void live_line_shows_silent_nodes_only_while_they_run(void **state)
{
    struct screen *s = *state;

    open_as(s, true);
    s->event.progress.to_run = 2;
    start(s, A);
    s->event.progress.elapsed_ns = SECOND;
    start(s, B);
    s->event.progress.elapsed_ns = 2 * SECOND;
    assert_string_equal(finish(s, A, STATUS_RAN), "\r\033[K[1/2] 50% cc out/b.o");
    assert_string_equal(finish(s, B, STATUS_RAN), "");
    assert_non_null(strstr(send(s, RUN_END), "\r\033[Kspak: 2 ran in 2.0s\n"));
}

static void live_line_is_redrawn_at_most_twenty_times_a_second(void **state)
{
    struct screen *s = *state;
    int drawings = 0;

    open_as(s, true);
    s->event.progress.to_run = 2;
    start(s, A);
    for (int ms = 1; ms <= 1000; ms++) {
        s->event.progress.elapsed_ns = ms * MS;
        drawings += *send(s, RUN_TICK) != '\0';
    }
    assert_int_equal(drawings, 20);
}

static void terminal_belongs_to_a_console_node_while_it_runs(void **state)
{
    struct screen *s = *state;

    open_as(s, true);
    start(s, A);
    s->event.progress.elapsed_ns = SECOND;
    assert_string_equal(start(s, SPEAKER), "\r\033[K");
    s->event.progress.elapsed_ns = 2 * SECOND;
    assert_string_equal(send(s, RUN_TICK), "");
    assert_string_equal(finish(s, SPEAKER, STATUS_RAN), "[1/2] 50% cc out/a.o");
}

static void pause_gives_the_terminal_back(void **state)
{
    struct screen *s = *state;

    open_as(s, true);
    start(s, A);
    assert_string_equal(send(s, RUN_PAUSE), "\r\033[K");
    assert_string_equal(send(s, RUN_RESUME), "[0/1] 0% cc out/a.o");
    console_close(s->console);
    s->console = NULL;
}

static void end_counts_what_happened(void **state)
{
    struct screen *s = *state;

    open_as(s, false);
    s->event.progress = (struct run_progress){
        .ran = 3, .restored = 1, .clean = 12, .failed = 2, .skipped = 5, .elapsed_ns = 65 * SECOND};
    assert_string_equal(send(s, RUN_END),
                        "spak: 3 ran, 1 restored, 12 up to date, 2 failed, 5 skipped in 1m05s\n");
}

static void after_a_full_build_the_bound_is_told(void **state)
{
    struct screen *s = *state;

    open_as(s, false);
    s->event.progress = (struct run_progress){.total = 10,
                                              .ran = 10,
                                              .elapsed_ns = 9 * SECOND,
                                              .work_ns = 16 * SECOND,
                                              .chain_ns = 5 * SECOND,
                                              .jobs = 2};
    assert_string_equal(send(s, RUN_END), "spak: 10 ran in 9.0s\n"
                                          "spak: at least 8.0s were needed: 16s of work, 2 at "
                                          "once, the longest chain 5.0s\n");
    s->event.progress.jobs = 8;
    assert_non_null(strstr(send(s, RUN_END), "at least 5.0s were needed"));
    s->event.progress.total = 11;
    assert_null(strstr(send(s, RUN_END), "at least"));
}

static const char *line(struct screen *s, int columns)
{
    buf_reset(&s->seen);
    console_status_line(&s->event, columns, &s->seen);
    return buf_text(&s->seen);
}

static void status_line_fits_every_width(void **state)
{
    struct screen *s = *state;

    for (uint32_t i = 0; i < 3; i++)
        s->running[i] = i;
    s->event.running_count = 3;
    s->event.progress =
        (struct run_progress){.ran = 3, .running = 3, .to_run = 10, .left_ns = 12 * SECOND};
    assert_string_equal(line(s, 80), "[3/10] 30% cc out/a.o, cc out/b.o, fmha/bench, 12s left");
    assert_string_equal(line(s, 50), "[3/10] 30% cc out/a.o, cc out/b.o +1, 12s left");
    assert_string_equal(line(s, 40), "[3/10] 30% cc out/a.o +2, 12s left");
    for (int columns = 1; columns < 80; columns++)
        assert_true(strlen(line(s, columns)) < (size_t)columns);
}

static void durations_read_well(void **state)
{
    static const struct {
        int64_t ns;
        const char *reads;
    } cases[] = {
        {0, "0.0s"},
        {40 * MS, "0.0s"},
        {800 * MS, "0.8s"},
        {9949 * MS, "9.9s"},
        {9950 * MS, "10s"},
        {59400 * MS, "59s"},
        {59600 * MS, "1m00s"},
        {185 * SECOND, "3m05s"},
        {3599 * SECOND + 600 * MS, "1h00m"},
        {7800 * SECOND, "2h10m"},
    };
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&out);
        console_duration(cases[i].ns, &out);
        assert_string_equal(out.ptr, cases[i].reads);
    }
    buf_release(&out);
}

static json_t *sent_as_json(struct screen *s, enum run_event_kind kind)
{
    struct err e = {0};
    const char *drawn = send(s, kind);
    json_t *value = json_parse(drawn, strlen(drawn), "event", &e);

    assert_non_null(value);
    assert_ptr_equal(strchr(drawn, '\n'), drawn + strlen(drawn) - 1);
    return value;
}

static void json_is_one_object_a_line(void **state)
{
    struct screen *s = *state;
    struct err e = {0};

    s->options.json = true;
    open_as(s, true);
    s->event.progress.total = 7;
    json_t *o = sent_as_json(s, RUN_BEGIN);

    assert_string_equal(json_text(o, "event", ""), "begin");
    assert_int_equal(json_int(json_object_get(o, "progress"), "total", 0), 7);
    assert_null(json_object_get(o, "node"));
    json_decref(o);
    assert_string_equal(send(s, RUN_TICK), "");
    assert_string_equal(send(s, RUN_PAUSE), "");

    s->event.node = A;
    s->outcome = (struct outcome){.status = STATUS_FAILED, .why = "never built", .wall_ns = 5};
    s->event.output = "bad \xff byte\n";
    s->event.output_len = strlen(s->event.output);
    err_set(&e, ERR_os, "it \"failed\"");
    s->event.error = &e;
    o = sent_as_json(s, RUN_FINISH);
    assert_string_equal(json_text(o, "node", ""), "out/a.o");
    assert_string_equal(json_text(o, "kind", ""), "cc");
    assert_string_equal(json_text(o, "why", ""), "never built");
    assert_string_equal(json_text(o, "status", ""), "failed");
    assert_int_equal(json_int(o, "wall_ns", -1), 5);
    assert_string_equal(json_text(o, "output", ""), "bad \xef\xbf\xbd byte\n");
    assert_true(json_is_object(json_object_get(o, "error")));
    json_decref(o);
    err_release(&e);
}

static void closed_reader_does_not_stop_the_run(void **state)
{
    struct screen *s = *state;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    s->options.fd = ends[1];
    open_as(s, false);
    start(s, A);
    finish(s, A, STATUS_RAN);
    finish(s, B, STATUS_RAN);
    close(ends[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_lines_are_for_nodes_that_ran),
        TEST(kind_is_not_said_twice),
        TEST(total_grows_with_what_runs_beyond_the_forecast),
        TEST(output_of_a_command_is_shown_whole_below_its_line),
        TEST(test_that_passed_is_silent_and_one_that_is_skipped_is_not),
        TEST(failure_says_so_and_draws_the_error_once),
        TEST(long_log_ends_with_what_went_wrong_in_it),
        TEST(quiet_says_only_what_went_wrong),
        TEST(verbose_shows_reason_and_a_command_to_paste),
        TEST(live_line_is_drawn_and_erased_before_other_text),
        TEST(live_line_shows_silent_nodes_only_while_they_run),
        TEST(live_line_is_redrawn_at_most_twenty_times_a_second),
        TEST(terminal_belongs_to_a_console_node_while_it_runs),
        TEST(pause_gives_the_terminal_back),
        TEST(end_counts_what_happened),
        TEST(after_a_full_build_the_bound_is_told),
        TEST(status_line_fits_every_width),
        TEST(durations_read_well),
        TEST(json_is_one_object_a_line),
        TEST(closed_reader_does_not_stop_the_run),
    };

    /* Writing to a closed pipe must fail with EPIPE, as in spak itself. */
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
