#define _GNU_SOURCE
#include "sandbox_job.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What the command was refused: "r:a r:b w:c l:d". */
static char *refusals(struct job job, int64_t timeout_ns)
{
    struct sandbox_refusals found = {0};
    struct buf text = {0};
    struct err e = {0};
    struct os_spawn how;
    char *copy;

    prepare(&job);
    how = spawn_of(&job);
    assert_int_equal(sandbox_find_refusals(&how, root, timeout_ns, &arena, &found, &e), 0);
    for (size_t i = 0; i < found.read.len; i++)
        buf_addf(&text, " r:%s", found.read.at[i]);
    for (size_t i = 0; i < found.list.len; i++)
        buf_addf(&text, " l:%s", found.list.at[i]);
    for (size_t i = 0; i < found.write.len; i++)
        buf_addf(&text, " w:%s", found.write.at[i]);
    sandbox_refusals_release(&found);
    sandbox_free(job.sandbox);
    copy = arena_strdup(&arena, text.len ? text.ptr + 1 : "");
    buf_release(&text);
    return copy;
}

static char *refusals_of(const char *script, struct job job)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};

    job.argv = argv;
    return refusals(job, 20000000000);
}

static bool tracing_works(void)
{
    put("probe.txt", "x");
    return strcmp(refusals_of("cat probe.txt", JOB(0)), "r:probe.txt") == 0;
}

#define NEEDS_TRACING()                                                                            \
    do {                                                                                           \
        NEEDS_LANDLOCK();                                                                          \
        if (!tracing_works()) {                                                                    \
            print_message("needs ptrace, which is not allowed here\n");                            \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void an_undeclared_header_is_found(void **state)
{
    struct job job = {.read = NAMES("m.c"), .write = NAMES("out/m.o")};
    int code;

    (void)state;
    NEEDS_TRACING();
    NEEDS_PROGRAM("/usr/bin/cc");
    put("m.c", "#include \"inc/secret.h\"\nint x = SECRET;\n");
    put("inc/secret.h", "#define SECRET 1\n");
    reserve("out/m.o");
    run_sh("cc -I. -c m.c -o out/m.o", job, &code);
    assert_int_equal(code, 1);
    assert_string_equal(refusals_of("cc -I. -c m.c -o out/m.o", job), "r:inc/secret.h");
    job.read = NAMES("m.c", "inc/secret.h");
    succeeds("cc -I. -c m.c -o out/m.o", job);
}

static void all_processes_of_a_command_are_followed(void **state)
{
    (void)state;
    NEEDS_TRACING();
    put("a", "a\n");
    put("b", "b\n");
    put("d/c", "c\n");
    put("ok", "ok\n");
    assert_string_equal(
        refusals_of("(cat a | wc) ; (cd d && cat c ok ../ok) & wait; cat b a missing",
                    JOB(.read = NAMES("ok"))),
        "r:a r:d/c r:b");
    assert_string_equal(refusals_of("cat ok missing", JOB(.read = NAMES("ok"))), "");
}

static void paths_relative_to_an_open_folder_are_found(void **state)
{
    (void)state;
    NEEDS_TRACING();
    NEEDS_PROGRAM("/usr/bin/python3");
    put("d/e/f", "f\n");
    put("at.py", "import os\n"
                 "fd = os.open('d', os.O_PATH)\n"
                 "os.chdir('/')\n"
                 "try: os.open('e/f', os.O_RDONLY, dir_fd=fd)\n"
                 "except PermissionError: pass\n");
    assert_string_equal(
        refusals_of("/usr/bin/python3 at.py", JOB(.read = NAMES("at.py"), .list = NAMES("."))),
        "r:d/e/f");
}

static void threads_are_followed(void **state)
{
    (void)state;
    NEEDS_TRACING();
    NEEDS_PROGRAM("/usr/bin/python3");
    put("x", "x\n");
    put("threads.py", "import threading\n"
                      "def f():\n"
                      "    try: open('x')\n"
                      "    except PermissionError: pass\n"
                      "ts = [threading.Thread(target=f) for _ in range(8)]\n"
                      "[t.start() for t in ts]; [t.join() for t in ts]\n");
    assert_string_equal(refusals_of("/usr/bin/python3 threads.py",
                                    JOB(.read = NAMES("threads.py"), .list = NAMES("."))),
                        "r:x");
}

static void programs_and_folders_and_writes_are_told_apart(void **state)
{
    (void)state;
    NEEDS_TRACING();
    put("tool.sh", "#!/bin/sh\n");
    put("d/x", "x\n");
    put("out/o", "o\n");
    assert_string_equal(
        refusals_of("./tool.sh; ls d; echo >out/o; echo >out/new; rm d/x; mkdir n", JOB(0)),
        "r:tool.sh l:d w:out/o w:out/new w:d/x w:n");
}

static void a_program_that_may_not_run_at_all_is_found(void **state)
{
    struct job job = {.argv = NAMES("./tool.sh")};
    struct os_spawn how;
    struct err e = {0};
    pid_t pid;
    int pidfd;

    (void)state;
    NEEDS_TRACING();
    put("tool.sh", "#!/bin/sh\n");
    assert_string_equal(refusals(job, 5000000000), "r:tool.sh");
    prepare(&job);
    how = spawn_of(&job);
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
    assert_int_equal(e.code, ERR_command_start);
    assert_non_null(strstr(e.message, "permission denied"));
    assert_non_null(strstr(e.hint, "declare"));
    err_release(&e);
    sandbox_free(job.sandbox);
}

static void what_lies_outside_the_root_is_left_out(void **state)
{
    (void)state;
    NEEDS_TRACING();
    put("../beside", "x\n");
    assert_string_equal(refusals_of("cat ../beside; ls /root /; cat /etc/shadow", JOB(0)), "");
}

static void permissions_of_the_file_are_not_blamed_on_the_sandbox(void **state)
{
    (void)state;
    NEEDS_TRACING();
    if (geteuid() == 0) {
        print_message("root may read every file\n");
        skip();
    }
    put("locked", "x\n");
    chmod(in_root("locked"), 0);
    assert_string_equal(refusals_of("cat locked", JOB(.read = NAMES("locked"))), "");
}

static bool process_has(const char *pid, const char *argument)
{
    struct buf line = {0};
    struct err e = {0};
    bool has = false;

    if (os_read(arena_printf(&arena, "/proc/%s/cmdline", pid), &line, &e) < 0)
        err_release(&e);
    for (size_t at = 0; at < line.len; at += strlen(line.ptr + at) + 1)
        has = has || strcmp(line.ptr + at, argument) == 0;
    buf_release(&line);
    return has;
}

/* Whether a process with this argument is left, after a moment to die in. */
static bool left_running(const char *argument)
{
    bool left = true;

    for (int tries = 0; left && tries < 25; tries++) {
        struct strs names = {0};
        struct err e = {0};

        if (tries > 0)
            usleep(200000);
        left = false;
        assert_int_equal(os_list("/proc", &arena, &names, &e), 0);
        for (size_t i = 0; i < names.len; i++)
            left = left || (names.at[i][0] <= '9' && process_has(names.at[i], argument));
        strs_release(&names);
    }
    return left;
}

static void a_process_that_is_left_would_be_seen(void **state)
{
    const char *argv[] = {"/bin/sleep", "77.5", NULL};
    struct os_spawn how = {
        .argv = argv, .env = argv + 2, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    struct os_exit end;
    struct err e = {0};
    bool seen = false;
    pid_t pid;
    int pidfd;

    (void)state;
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
    /* The kernel lets the parent go on before the new program's arguments are in place. */
    for (int tries = 0; !seen && tries < 100; tries++) {
        usleep(10000);
        seen = process_has(arena_printf(&arena, "%d", (int)pid), "77.5");
    }
    assert_true(seen);
    os_kill_group(pid, SIGKILL);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    close(pidfd);
    assert_false(left_running("77.5"));
}

static void nobody_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_traced_command_is_ended_in_time(void **state)
{
    struct job job = {.argv = NAMES("/bin/sh", "-c", "cat a; setsid sleep 77.125 & sleep 77.125")};
    int64_t start_ns;

    (void)state;
    NEEDS_TRACING();
    put("a", "a\n");
    start_ns = os_monotonic_ns();
    assert_string_equal(refusals(job, 2000000000), "r:a");
    assert_true(os_monotonic_ns() - start_ns < 20000000000);
    assert_false(left_running("77.125"));
    nobody_is_left();
}

static void what_a_traced_command_leaves_behind_ends_with_it(void **state)
{
    int64_t start_ns;

    (void)state;
    NEEDS_TRACING();
    put("a", "a\n");
    start_ns = os_monotonic_ns();
    assert_string_equal(refusals_of("setsid sleep 77.25 & sleep 77.25 & cat a", JOB(0)), "r:a");
    assert_true(os_monotonic_ns() - start_ns < 20000000000);
    assert_false(left_running("77.25"));
    nobody_is_left();
}

static void other_children_are_left_alone_while_tracing(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "exit 9", NULL};
    const char *env[] = {NULL};
    struct os_spawn how = {
        .argv = argv, .env = env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    struct os_exit end;
    struct err e = {0};
    pid_t pid;
    int pidfd;

    (void)state;
    NEEDS_TRACING();
    put("a", "a\n");
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
    assert_string_equal(refusals_of("sleep 0.1; cat a", JOB(0)), "r:a");
    assert_int_equal(os_wait(pid, &end, &e), 0);
    assert_int_equal(end.code, 9);
    close(pidfd);
}

static void signals_reach_a_traced_command(void **state)
{
    (void)state;
    NEEDS_TRACING();
    put("a", "a\n");
    put("b", "b\n");
    assert_string_equal(refusals_of("trap 'cat a' USR1; kill -USR1 $$; sh -c 'kill -STOP $$' & "
                                    "sleep 0.1; kill -CONT $!; wait; cat b; kill -KILL $$",
                                    JOB(0)),
                        "r:a r:b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_undeclared_header_is_found),
        IN_FOLDER(all_processes_of_a_command_are_followed),
        IN_FOLDER(paths_relative_to_an_open_folder_are_found),
        IN_FOLDER(threads_are_followed),
        IN_FOLDER(programs_and_folders_and_writes_are_told_apart),
        IN_FOLDER(a_program_that_may_not_run_at_all_is_found),
        IN_FOLDER(what_lies_outside_the_root_is_left_out),
        IN_FOLDER(permissions_of_the_file_are_not_blamed_on_the_sandbox),
        IN_FOLDER(a_process_that_is_left_would_be_seen),
        IN_FOLDER(a_traced_command_is_ended_in_time),
        IN_FOLDER(what_a_traced_command_leaves_behind_ends_with_it),
        IN_FOLDER(other_children_are_left_alone_while_tracing),
        IN_FOLDER(signals_reach_a_traced_command),
    };

    return cmocka_run_group_tests_name("sandbox_refusals", tests, NULL, NULL);
}
