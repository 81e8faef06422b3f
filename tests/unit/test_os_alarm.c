/* os_alarm: rings once, on the thread that set it, and not after it was cleared. */
#define _GNU_SOURCE
#include "os.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

struct rung {
    volatile sig_atomic_t times;
    volatile pid_t thread;
};

static void note(void *ctx)
{
    struct rung *rung = ctx;

    rung->times = rung->times + 1;
    rung->thread = gettid();
}

/* Busy, as an evaluation is: nothing here waits for a signal. */
static void pass(int64_t ns)
{
    for (int64_t end = os_monotonic_ns() + ns; os_monotonic_ns() < end;)
        ;
}

static void it_rings_once(void **state)
{
    struct rung rung = {0};
    struct os_alarm *alarm = os_alarm_set(5 * MS, note, &rung);

    (void)state;
    assert_non_null(alarm);
    for (int i = 0; i < 1000 && !rung.times; i++)
        pass(5 * MS);
    pass(20 * MS);
    os_alarm_clear(alarm);
    assert_int_equal(rung.times, 1);
    assert_int_equal(rung.thread, gettid());
}

static void a_cleared_one_is_silent(void **state)
{
    struct rung rung = {0};

    (void)state;
    os_alarm_clear(os_alarm_set(20 * MS, note, &rung));
    pass(60 * MS);
    assert_int_equal(rung.times, 0);
    os_alarm_clear(NULL);
}

/* Whoever started us may have blocked the signal, or ignores it. */
static void what_was_done_with_the_signal_comes_back(void **state)
{
    struct sigaction ignored = {.sa_handler = SIG_IGN}, before, after;
    struct rung rung = {0};
    sigset_t blocked, mask;

    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &ignored, &before), 0);
    struct os_alarm *alarm = os_alarm_set(MS, note, &rung);
    assert_non_null(alarm);
    for (int i = 0; i < 1000 && !rung.times; i++)
        pass(5 * MS);
    os_alarm_clear(alarm);
    assert_int_equal(rung.times, 1);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &blocked, &mask), 0);
    assert_true(sigismember(&mask, SIGALRM));
    assert_int_equal(sigaction(SIGALRM, &before, &after), 0);
    assert_ptr_equal(after.sa_handler, SIG_IGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_rings_once),
        cmocka_unit_test(a_cleared_one_is_silent),
        cmocka_unit_test(what_was_done_with_the_signal_comes_back),
    };

    return cmocka_run_group_tests_name("os_alarm", tests, NULL, NULL);
}
