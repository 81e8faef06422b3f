/* os_proc: who ends with whom: groups, guards and engines that are killed. */
#define _GNU_SOURCE
#include "proc_world.h"

static void waiting_ends_what_was_left_in_the_group(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "sleep 60 >/dev/null & echo $!", NULL};
    struct os_spawn how = plain(argv);
    struct buf out = {0};
    int64_t start_ns = os_monotonic_ns();

    (void)state;
    assert_int_equal(collect(&how, &out).code, 0);
    assert_true(gone_within_ms(atoi(buf_text(&out)), 5000));
    assert_true(os_monotonic_ns() - start_ns < 20000000000);
    buf_release(&out);
}

static void killing_the_group_reaches_grandchildren(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "sh -c 'sleep 60 & echo $!; wait' & wait", NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    char line[32] = "";
    int ends[2];
    int pidfd;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    how.stdout_fd = ends[1];
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
    close(ends[1]);
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_false(is_gone(atoi(line)));
    os_kill_group(pid, SIGTERM);
    assert_true(gone_within_ms(atoi(line), 5000));
    assert_int_equal(os_wait(pid, &end, &e), 0);
    assert_int_equal(end.signal, SIGTERM);
    close(ends[0]);
    close(pidfd);
}

/* An engine that starts a command, with or without a guard, and reports both its children before it
 * is killed. */
static _Noreturn void engine(bool guarded, int out_fd)
{
    const char *argv[] = {"/bin/sh", "-c", "sleep 60 & echo $$ $!; wait", NULL};
    struct os_spawn how = plain(argv);
    struct err e = {0};
    pid_t pid;
    int pidfd;

    if (guarded && os_guard_start(&how.guard, &e) < 0)
        _exit(1);
    how.stdout_fd = out_fd;
    if (os_spawn(&how, &pid, &pidfd, &e) < 0)
        _exit(1);
    close(out_fd);
    for (;;)
        pause();
}

static void kill_engine(bool guarded, pid_t *child, pid_t *grandchild)
{
    char line[64] = "";
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        engine(guarded, ends[1]);
    close(ends[1]);
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    close(ends[0]);
    assert_int_equal(sscanf(line, "%d %d", child, grandchild), 2);
    assert_false(is_gone(*grandchild));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_killed_engine_takes_its_children_along(void **state)
{
    pid_t child;
    pid_t grandchild;

    (void)state;
    kill_engine(false, &child, &grandchild);
    assert_true(gone_within_ms(child, 5000));
    kill(grandchild, SIGKILL);
}

static void with_a_guard_grandchildren_too(void **state)
{
    pid_t child;
    pid_t grandchild;

    (void)state;
    kill_engine(true, &child, &grandchild);
    assert_true(gone_within_ms(child, 5000));
    assert_true(gone_within_ms(grandchild, 5000));
}

static void a_stopped_guard_kills_nobody(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "sleep 0.2; exit 5", NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    pid_t pid;
    int pidfd;
    int fds = open_fds();

    (void)state;
    assert_int_equal(os_guard_start(&how.guard, &e), 0);
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
    os_guard_stop(how.guard);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    assert_int_equal(end.code, 5);
    close(pidfd);
    assert_int_equal(open_fds(), fds);
    os_guard_stop(NULL);
}

static void a_guard_forgets_and_survives_more_than_it_can_watch(void **state)
{
    const char *argv[] = {"/bin/true", NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    pid_t pid;
    int pidfd;

    (void)state;
    assert_int_equal(os_guard_start(&how.guard, &e), 0);
    for (int i = 0; i < 1100; i++) {
        assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
        if (i % 2)
            os_guard_forget(how.guard, pid);
        assert_int_equal(os_wait(pid, &end, &e), 0);
        assert_int_equal(end.code, 0);
        close(pidfd);
    }
    os_guard_stop(how.guard);
}

static void waiting_for_a_stranger_is_an_error(void **state)
{
    struct os_exit end;
    struct err e = {0};

    (void)state;
    assert_int_equal(os_wait(getppid(), &end, &e), -1);
    assert_non_null(strstr(e.message, "No child processes"));
    err_release(&e);
}

static bool kill_group_aborts(pid_t group)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        close(2);
        prctl(PR_SET_DUMPABLE, 0);
        os_kill_group(group, 0);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void no_number_reaches_everybody(void **state)
{
    (void)state;
    assert_true(kill_group_aborts(-1));
    assert_true(kill_group_aborts(0));
    assert_true(kill_group_aborts(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_ends_what_was_left_in_the_group),
        cmocka_unit_test(killing_the_group_reaches_grandchildren),
        cmocka_unit_test(a_killed_engine_takes_its_children_along),
        cmocka_unit_test(with_a_guard_grandchildren_too),
        cmocka_unit_test(a_stopped_guard_kills_nobody),
        cmocka_unit_test(a_guard_forgets_and_survives_more_than_it_can_watch),
        cmocka_unit_test(waiting_for_a_stranger_is_an_error),
        cmocka_unit_test(no_number_reaches_everybody),
    };

    return cmocka_run_group_tests_name("os_proc", tests, make_folder, remove_folder);
}
