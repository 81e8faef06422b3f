#define _GNU_SOURCE
#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const no_env[] = {NULL};

static struct os_spawn plain(const char *const *argv)
{
    return (struct os_spawn){
        .argv = argv, .env = no_env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
}

static char *folder;
static char path_room[8][256];

/* A path in the test's folder; a slot each, good until the slot is used again. */
static const char *in_folder(int slot, const char *name)
{
    snprintf(path_room[slot], sizeof path_room[slot], "%s/%s", folder, name);
    return path_room[slot];
}

static void put(const char *path, const char *text, mode_t mode)
{
    struct err e = {0};

    assert_int_equal(os_write(path, text, strlen(text), mode, &e), 0);
}

/* Spawns with stdout in `out` and waits. */
static struct os_exit collect(struct os_spawn *how, struct buf *out)
{
    struct os_exit end = {0};
    struct err e = {0};
    char chunk[4096];
    int ends[2];
    pid_t pid;
    int pidfd;
    ssize_t n;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    how->stdout_fd = ends[1];
    assert_int_equal(os_spawn(how, &pid, &pidfd, &e), 0);
    close(ends[1]);
    while ((n = read(ends[0], chunk, sizeof chunk)) > 0)
        buf_add(out, chunk, (size_t)n);
    assert_int_equal(os_wait(pid, &end, &e), 0);
    close(ends[0]);
    close(pidfd);
    return end;
}

static struct os_exit collect_sh(const char *script, struct buf *out)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct os_spawn how = plain(argv);

    return collect(&how, out);
}

static bool has_ended(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Processes that nobody collects (an init that does not) count as ended too. */
static bool is_gone(pid_t pid)
{
    char path[64];
    char line[512] = "";
    FILE *file;

    if (has_ended(pid))
        return true;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return true;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    return strstr(line, ") Z ") != NULL;
}

static bool gone_within_ms(pid_t pid, int ms)
{
    for (; ms > 0 && !is_gone(pid); ms -= 5)
        usleep(5000);
    return is_gone(pid);
}

static int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

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

static int make_folder(void **state)
{
    static char name[] = "/tmp/spak-proc-XXXXXX";

    (void)state;
    folder = mkdtemp(name);
    return folder ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct err e = {0};

    (void)state;
    return os_remove(folder, &e);
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
        cmocka_unit_test(waiting_ends_what_was_left_in_the_group),
        cmocka_unit_test(killing_the_group_reaches_grandchildren),
        cmocka_unit_test(a_killed_engine_takes_its_children_along),
        cmocka_unit_test(with_a_guard_grandchildren_too),
        cmocka_unit_test(a_stopped_guard_kills_nobody),
        cmocka_unit_test(a_guard_forgets_and_survives_more_than_it_can_watch),
        cmocka_unit_test(thousands_of_spawns_leak_nothing),
        cmocka_unit_test(a_program_just_written_is_waited_for),
        cmocka_unit_test(capture_collects_one_or_both_streams),
        cmocka_unit_test(capture_takes_more_than_a_pipe_holds),
        cmocka_unit_test(capture_of_nothing_is_an_error),
        cmocka_unit_test(waiting_for_a_stranger_is_an_error),
        cmocka_unit_test(no_number_reaches_everybody),
    };

    return cmocka_run_group_tests_name("os_proc", tests, make_folder, remove_folder);
}
