#include "os.h"
#include "scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("path");

    *state = dir;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_temp(void **state)
{
    struct err e = {0};
    int rc = chdir("/") == 0 ? os_remove(*state, &e) : -1;

    free(*state);
    return rc;
}

static void assert_join(const char *dir, const char *path, const char *expected)
{
    struct arena arena = {0};

    assert_string_equal(os_join(&arena, dir, path), expected);
    arena_release(&arena);
}

static void join_folds_lexically(void **state)
{
    (void)state;
    assert_join("a", "b", "a/b");
    assert_join("a/", "./b", "a/b");
    assert_join("a/b", "../c", "a/c");
    assert_join("a//b/.", ".//c/", "a/b/c");
    assert_join("a", "..", ".");
    assert_join("a", "../..", "..");
    assert_join("..", "../x", "../../x");
    assert_join(".", "..", "..");
    assert_join(".", "x", "x");
    assert_join("", "x", "x");
    assert_join("", "", ".");
    assert_join("a", "", "a");
    assert_join("a", "../../b/../c", "../c");
    assert_join("...", "..x", ".../..x");
}

static void join_knows_absolute_paths(void **state)
{
    (void)state;
    assert_join("/a", "b", "/a/b");
    assert_join("a", "/b", "/b");
    assert_join("/a", "/b/../c", "/c");
    assert_join("/", "x", "/x");
    assert_join("/", "", "/");
    assert_join("/a", "..", "/");
    assert_join("/a", "../../..", "/");
    assert_join("/a", "../../b", "/b");
    assert_join("//a//", ".", "/a");
}

static void dirname_is_what_lies_before_the_last_slash(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_string_equal(os_dirname(&arena, "a"), ".");
    assert_string_equal(os_dirname(&arena, ""), ".");
    assert_string_equal(os_dirname(&arena, "a/b"), "a");
    assert_string_equal(os_dirname(&arena, "/a"), "/");
    assert_string_equal(os_dirname(&arena, "/a/b/c"), "/a/b");
    arena_release(&arena);
}

static void realpath_resolves_links(void **state)
{
    struct arena arena = {0};
    struct err e = {0};
    char *cwd = os_getcwd(&arena, &e);

    assert_string_equal(cwd, *state);
    assert_int_equal(mkdir("real", 0755), 0);
    assert_int_equal(symlink("real", "alias"), 0);
    assert_string_equal(os_realpath(&arena, "./alias/../alias", &e), os_join(&arena, cwd, "real"));
    assert_null(os_realpath(&arena, "absent", &e));
    assert_string_equal(e.message, "cannot resolve absent: No such file or directory");
    err_release(&e);
    arena_release(&arena);
}

static void self_is_this_test(void **state)
{
    struct arena arena = {0};
    struct err e = {0};
    char *self = os_self(&arena, &e);

    (void)state;
    assert_non_null(self);
    assert_int_equal(self[0], '/');
    assert_non_null(strstr(self, "test_os_path"));
    assert_int_equal(access(self, X_OK), 0);
    arena_release(&arena);
}

static void make_program(const char *path, uint32_t mode)
{
    struct err e = {0};

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(os_write(path, "#!/bin/sh\n", 10, mode, &e), 0);
}

static void which_searches_path_in_order(void **state)
{
    struct arena arena = {0};
    char *path = xstrdup(getenv("PATH"));

    (void)state;
    make_program("p1/tool", 0644);
    make_program("p2/tool", 0755);
    make_program("p3/tool", 0755);
    make_program("local", 0755);
    assert_int_equal(mkdir("p1/folder", 0755), 0);
    setenv("PATH", "p1:absent:p2:p3", 1);
    assert_string_equal(os_which(&arena, "tool"), "p2/tool");
    assert_string_equal(os_which(&arena, "p3/tool"), "p3/tool");
    assert_null(os_which(&arena, "p1/tool"));
    assert_null(os_which(&arena, "folder"));
    assert_null(os_which(&arena, "local"));
    assert_null(os_which(&arena, ""));
    setenv("PATH", "p1::p2", 1);
    assert_string_equal(os_which(&arena, "local"), "./local");
    unsetenv("PATH");
    assert_non_null(os_which(&arena, "sh"));
    setenv("PATH", path, 1);
    free(path);
    arena_release(&arena);
}

static void clocks_run_forward(void **state)
{
    int64_t before = os_monotonic_ns();
    struct timespec now;

    (void)state;
    usleep(2000);
    assert_true(os_monotonic_ns() - before >= 2000000);
    clock_gettime(CLOCK_REALTIME, &now);
    assert_true(llabs(os_wall_ns() / 1000000000 - now.tv_sec) <= 1);
}

static void cores_are_those_we_may_use(void **state)
{
    (void)state;
    assert_in_range(os_cores(), 1, sysconf(_SC_NPROCESSORS_ONLN));
}

/* Takes the lock in a child, tells the parent, and dies when killed. */
static pid_t child_with_lock(const char *path)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct err e = {0};
        int fd;

        if (os_lock_wait(path, &fd, &e) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void a_lock_dies_with_its_holder(void **state)
{
    struct err e = {0};
    bool elsewhere;
    pid_t pid;
    int fd;

    (void)state;
    pid = child_with_lock("lock");
    assert_int_equal(os_lock_try("lock", &fd, &elsewhere, &e), 0);
    assert_true(elsewhere);
    assert_int_equal(fd, -1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(os_lock_try("lock", &fd, &elsewhere, &e), 0);
    assert_false(elsewhere);
    assert_true(fd >= 0);
    os_unlock(&fd);
    assert_int_equal(fd, -1);
    os_unlock(&fd);
    assert_int_equal(os_lock_wait("lock", &fd, &e), 0);
    os_unlock(&fd);
}

static void a_lock_on_a_removed_file_is_not_a_lock(void **state)
{
    struct err e = {0};
    bool elsewhere;
    pid_t pid;
    int fd;

    (void)state;
    pid = child_with_lock("removed");
    assert_int_equal(unlink("removed"), 0);
    assert_int_equal(os_lock_try("removed", &fd, &elsewhere, &e), 0);
    assert_false(elsewhere);
    assert_int_equal(access("removed", F_OK), 0);
    os_unlock(&fd);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_lock_in_no_folder_is_an_error(void **state)
{
    struct err e = {0};
    bool elsewhere;
    int fd;

    (void)state;
    assert_int_equal(os_lock_try("no/lock", &fd, &elsewhere, &e), -1);
    assert_int_equal(fd, -1);
    assert_string_equal(e.message, "cannot open the lock no/lock: No such file or directory");
    err_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_folds_lexically),
        cmocka_unit_test(join_knows_absolute_paths),
        cmocka_unit_test(dirname_is_what_lies_before_the_last_slash),
        cmocka_unit_test(realpath_resolves_links),
        cmocka_unit_test(self_is_this_test),
        cmocka_unit_test(which_searches_path_in_order),
        cmocka_unit_test(clocks_run_forward),
        cmocka_unit_test(cores_are_those_we_may_use),
        cmocka_unit_test(a_lock_dies_with_its_holder),
        cmocka_unit_test(a_lock_on_a_removed_file_is_not_a_lock),
        cmocka_unit_test(a_lock_in_no_folder_is_an_error),
    };

    return cmocka_run_group_tests_name("os_path", tests, enter_temp, leave_temp);
}
