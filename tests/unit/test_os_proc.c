/* os_proc: how a process starts, what it inherits and what comes back of it. */
#define _GNU_SOURCE
#include "proc_world.h"

static void exit_status_and_output_come_back(void **state)
{
    struct buf out = {0};
    struct os_exit end = collect_sh("echo hello; exit 7", &out);

    (void)state;
    assert_string_equal(buf_text(&out), "hello\n");
    assert_int_equal(end.code, 7);
    assert_int_equal(end.signal, 0);
    assert_true(end.peak_bytes > 100000);
    buf_release(&out);
}

static void a_signal_is_told_apart_from_a_status(void **state)
{
    struct buf out = {0};
    struct os_exit end = collect_sh("kill -TERM $$", &out);

    (void)state;
    assert_int_equal(end.code, -1);
    assert_int_equal(end.signal, SIGTERM);
    buf_release(&out);
}

static void processor_time_includes_what_the_child_waited_for(void **state)
{
    struct buf out = {0};
    struct os_exit end =
        collect_sh("(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); true", &out);

    (void)state;
    assert_int_equal(end.code, 0);
    assert_true(end.user_ns > 5000000);
    buf_release(&out);
}

static void the_environment_is_exactly_what_was_given(void **state)
{
    const char *argv[] = {"/usr/bin/env", NULL};
    const char *env[] = {"A=1", "B=two words", NULL};
    struct os_spawn how = plain(argv);
    struct buf out = {0};

    (void)state;
    how.env = env;
    collect(&how, &out);
    assert_string_equal(buf_text(&out), "A=1\nB=two words\n");
    buf_release(&out);
}

static void the_working_directory_is_set(void **state)
{
    const char *argv[] = {"./show", NULL};
    struct os_spawn how = plain(argv);
    struct buf out = {0};

    (void)state;
    put(in_folder(0, "show"), "#!/bin/sh\npwd -P\n", 0755);
    how.dir = folder;
    assert_int_equal(collect(&how, &out).code, 0);
    assert_int_equal(strncmp(buf_text(&out), folder, strlen(folder)), 0);
    buf_release(&out);
}

static void descriptors_may_be_given_in_any_order(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "cat; echo to-stderr >&2", NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    struct buf text = {0};
    int saved[3];
    int pidfd;
    int rc;
    pid_t pid;

    (void)state;
    put(in_folder(0, "in"), "from-stdin\n", 0644);
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    /* stdin comes from 2, stdout goes to 0, stderr to 1 */
    dup2(open(in_folder(1, "out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), 0);
    dup2(open(in_folder(2, "err"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), 1);
    dup2(open(in_folder(0, "in"), O_RDONLY | O_CLOEXEC), 2);
    how.stdin_fd = 2;
    how.stdout_fd = 0;
    how.stderr_fd = 1;
    rc = os_spawn(&how, &pid, &pidfd, &e);
    for (int i = 0; i < 3; i++)
        dup2(saved[i], i);
    assert_int_equal(rc, 0);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    close(pidfd);
    assert_int_equal(os_read(in_folder(1, "out"), &text, &e), 0);
    assert_string_equal(buf_text(&text), "from-stdin\n");
    buf_reset(&text);
    assert_int_equal(os_read(in_folder(2, "err"), &text, &e), 0);
    assert_string_equal(buf_text(&text), "to-stderr\n");
    buf_release(&text);
    for (int i = 0; i < 3; i++)
        close(saved[i]);
}

static void no_descriptor_leaks_but_those_kept(void **state)
{
    const char *argv[] = {
        "/bin/sh", "-c", "cd /proc/self/fd; for f in *; do [ -e $f ] && echo $f; done; true", NULL};
    struct os_spawn how = plain(argv);
    struct buf out = {0};
    int leaky = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, 50);
    int kept = fcntl(leaky, F_DUPFD_CLOEXEC, 60);

    (void)state;
    how.keep_fds = &kept;
    how.keep_count = 1;
    collect(&how, &out);
    assert_null(strstr(buf_text(&out), "50\n"));
    assert_non_null(strstr(buf_text(&out), "60\n"));
    assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
    buf_release(&out);
    close(leaky);
    close(kept);
}

static void assert_default_signals(bool asked)
{
    static const char script[] = "grep -E '^Sig(Blk|Ign):' /proc/self/status";
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct os_spawn how = plain(argv);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    struct buf out = {0};
    sigset_t block;
    sigset_t before;
    sigset_t after;

    sigaction(SIGUSR1, &ignore, &old);
    how.altered_signals = asked ? os_altered_signals() : 0;
    assert_int_equal(how.altered_signals != 0, asked);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR2);
    sigprocmask(SIG_BLOCK, &block, &before);
    collect(&how, &out);
    sigprocmask(SIG_SETMASK, &before, &after);
    sigaction(SIGUSR1, &old, NULL);
    assert_string_equal(buf_text(&out), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert_true(sigismember(&after, SIGUSR2));
    buf_release(&out);
}

static void signals_start_at_their_defaults(void **state)
{
    (void)state;
    assert_default_signals(false);
    assert_default_signals(true);
}

static void the_umask_is_fixed(void **state)
{
    mode_t before = umask(077);
    struct buf out = {0};

    (void)state;
    collect_sh("umask", &out);
    umask(before);
    assert_string_equal(buf_text(&out), "0022\n");
    buf_release(&out);
}

static void it_leads_a_group_unless_told_otherwise(void **state)
{
    const char *argv[] = {"/bin/sleep", "30", NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    pid_t pid;
    int pidfd;

    (void)state;
    for (int same = 0; same < 2; same++) {
        how.same_group = same;
        assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
        assert_int_equal(getpgid(pid), same ? getpgrp() : pid);
        assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
        os_kill_group(pid, SIGKILL);
        assert_int_equal(os_wait(pid, &end, &e), 0);
        assert_int_equal(end.signal, SIGKILL);
        close(pidfd);
    }
}

static void the_pidfd_becomes_readable_at_the_end(void **state)
{
    const char *argv[] = {"/bin/cat", NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    struct pollfd p = {.events = POLLIN};
    int ends[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    how.stdin_fd = ends[0];
    assert_int_equal(os_spawn(&how, &pid, &p.fd, &e), 0);
    close(ends[0]);
    assert_int_equal(poll(&p, 1, 30), 0);
    close(ends[1]);
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    assert_int_equal(end.code, 0);
    close(p.fd);
}

static void a_missing_program_is_an_error_that_names_it(void **state)
{
    const char *argv[] = {"/no/such/program", NULL};
    struct os_spawn how = plain(argv);
    struct err e = {0};
    pid_t pid;
    int pidfd;

    (void)state;
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
    assert_int_equal(e.code, ERR_command_start);
    assert_string_equal(e.message, "cannot run /no/such/program: there is no such file");
    err_release(&e);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void why(const char *program, const char *dir, const char *in_message, const char *in_hint)
{
    const char *argv[] = {program, NULL};
    struct os_spawn how = plain(argv);
    struct err e = {0};
    pid_t pid;
    int pidfd;

    how.dir = dir;
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
    assert_int_equal(e.code, ERR_command_start);
    assert_non_null(strstr(e.message, in_message));
    if (in_hint)
        assert_non_null(strstr(e.hint, in_hint));
    err_release(&e);
}

static void every_reason_not_to_run_has_its_own_words(void **state)
{
    (void)state;
    put(in_folder(0, "plain.sh"), "#!/bin/sh\n", 0644);
    why(in_folder(0, "plain.sh"), NULL, "it is not executable", "chmod +x");
    put(in_folder(0, "lost.py"), "#! /opt/python9 -E\n", 0755);
    why(in_folder(0, "lost.py"), NULL, "its interpreter /opt/python9 does not exist",
        "install /opt/python9");
    put(in_folder(0, "noise"), "no program at all\n", 0755);
    why(in_folder(0, "noise"), NULL, "no program for this machine", "#!/bin/sh");
    why(folder, NULL, "it is a folder", NULL);
    why("/bin/true", "/no/such/folder", "in the folder /no/such/folder: No such file", NULL);
    why("lost.py", folder, "/lost.py: its interpreter", NULL);
}

static void too_long_a_command_says_so(void **state)
{
    char *huge = xmalloc(200001);
    const char *argv[] = {"/bin/true", huge, NULL};
    struct os_spawn how = plain(argv);
    struct err e = {0};
    pid_t pid;
    int pidfd;

    (void)state;
    memset(huge, 'x', 200000);
    huge[200000] = '\0';
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
    assert_non_null(strstr(e.message, "too long, 200011 bytes"));
    assert_non_null(strstr(e.hint, "@FILE"));
    err_release(&e);
    free(huge);
}

static int refuse_with_eperm(void *ctx)
{
    *(int *)ctx += 1;
    return EPERM;
}

static int lower_stack(void *ctx)
{
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};

    (void)ctx;
    return setrlimit(RLIMIT_STACK, &limit) < 0 ? errno : 0;
}

static void prepare_runs_in_the_child_and_may_refuse(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "ulimit -s", NULL};
    struct os_spawn how = plain(argv);
    struct buf out = {0};
    struct err e = {0};
    struct rlimit mine;
    int calls = 0;
    pid_t pid;
    int pidfd;

    (void)state;
    how.prepare = lower_stack;
    collect(&how, &out);
    assert_string_equal(buf_text(&out), "1024\n");
    assert_int_equal(getrlimit(RLIMIT_STACK, &mine), 0);
    assert_true(mine.rlim_cur != 1 << 20);
    buf_release(&out);
    how.prepare = refuse_with_eperm;
    how.prepare_ctx = &calls;
    how.stdout_fd = -1;
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
    assert_int_equal(calls, 1);
    assert_string_equal(e.message,
                        "cannot restrict /bin/sh to its sandbox: Operation not permitted");
    err_release(&e);
}

static void a_fault_of_the_system_is_not_the_programs_fault(void **state)
{
    const char *argv[] = {"/bin/true", NULL};
    struct os_spawn how = plain(argv);
    struct rlimit before;
    struct rlimit low;
    struct err e = {0};
    pid_t pid;
    int pidfd;
    int fds = open_fds();

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = 4;
    setrlimit(RLIMIT_NOFILE, &low);
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_non_null(strstr(e.message, "Too many open files"));
    err_release(&e);
    assert_int_equal(open_fds(), fds);
}

static void thousands_of_spawns_leak_nothing(void **state)
{
    const char *good[] = {"/bin/true", NULL};
    const char *bad[] = {"/no/such/program", NULL};
    int fds = open_fds();

    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct os_spawn how = plain(i % 10 ? good : bad);
        struct os_exit end;
        struct err e = {0};
        pid_t pid;
        int pidfd;

        if (i % 10 == 0) {
            assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), -1);
            err_release(&e);
            continue;
        }
        assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
        assert_int_equal(os_wait(pid, &end, &e), 0);
        assert_int_equal(end.code, 0);
        close(pidfd);
    }
    assert_int_equal(open_fds(), fds);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* What a program writes and then runs at once must not fail because another child still holds the
 * file. */
static void a_program_just_written_is_waited_for(void **state)
{
    const char *argv[] = {in_folder(0, "fresh"), NULL};
    struct os_spawn how = plain(argv);
    struct os_exit end;
    struct err e = {0};
    pid_t writer;
    pid_t pid;
    int pidfd;
    int fd;

    (void)state;
    assert_int_equal(os_copy("/bin/true", argv[0], 0755, &e), 0);
    fd = open(argv[0], O_WRONLY);
    writer = fork();
    if (writer == 0) {
        usleep(20000);
        _exit(0);
    }
    close(fd);
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    assert_int_equal(end.code, 0);
    close(pidfd);
    waitpid(writer, NULL, 0);
}

static void capture_collects_one_or_both_streams(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "echo one; echo two >&2; cat; exit 3", NULL};
    struct os_exit end = {0};
    struct buf out = {0};
    struct err e = {0};
    int fds = open_fds();

    (void)state;
    assert_int_equal(os_capture(argv, false, &out, &end, &e), 0);
    assert_string_equal(buf_text(&out), "one\n");
    assert_int_equal(end.code, 3);
    assert_int_equal(os_capture(argv, true, &out, &end, &e), 0);
    assert_string_equal(buf_text(&out), "one\none\ntwo\n");
    buf_release(&out);
    assert_int_equal(open_fds(), fds);
}

static void capture_takes_more_than_a_pipe_holds(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "head -c 3000000 /dev/zero", NULL};
    struct os_exit end = {0};
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(os_capture(argv, false, &out, &end, &e), 0);
    assert_int_equal(out.len, 3000000);
    buf_release(&out);
}

static void capture_of_nothing_is_an_error(void **state)
{
    const char *argv[] = {"/no/such/program", NULL};
    struct os_exit end = {0};
    struct buf out = {0};
    struct err e = {0};
    int fds = open_fds();

    (void)state;
    assert_int_equal(os_capture(argv, false, &out, &end, &e), -1);
    assert_int_equal(e.code, ERR_command_start);
    err_release(&e);
    buf_release(&out);
    assert_int_equal(open_fds(), fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status_and_output_come_back),
        cmocka_unit_test(a_signal_is_told_apart_from_a_status),
        cmocka_unit_test(processor_time_includes_what_the_child_waited_for),
        cmocka_unit_test(the_environment_is_exactly_what_was_given),
        cmocka_unit_test(the_working_directory_is_set),
        cmocka_unit_test(descriptors_may_be_given_in_any_order),
        cmocka_unit_test(no_descriptor_leaks_but_those_kept),
        cmocka_unit_test(signals_start_at_their_defaults),
        cmocka_unit_test(the_umask_is_fixed),
        cmocka_unit_test(it_leads_a_group_unless_told_otherwise),
        cmocka_unit_test(the_pidfd_becomes_readable_at_the_end),
        cmocka_unit_test(a_missing_program_is_an_error_that_names_it),
        cmocka_unit_test(every_reason_not_to_run_has_its_own_words),
        cmocka_unit_test(too_long_a_command_says_so),
        cmocka_unit_test(prepare_runs_in_the_child_and_may_refuse),
        cmocka_unit_test(a_fault_of_the_system_is_not_the_programs_fault),
        cmocka_unit_test(thousands_of_spawns_leak_nothing),
        cmocka_unit_test(a_program_just_written_is_waited_for),
        cmocka_unit_test(capture_collects_one_or_both_streams),
        cmocka_unit_test(capture_takes_more_than_a_pipe_holds),
        cmocka_unit_test(capture_of_nothing_is_an_error),
    };

    return cmocka_run_group_tests_name("os_proc", tests, make_folder, remove_folder);
}
