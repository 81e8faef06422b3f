#define _GNU_SOURCE
#include "sandbox_job.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static void the_kernel_is_described(void **state)
{
    const char *text = NULL;
    enum sandbox_level level = sandbox_supported(&text);

    (void)state;
    assert_non_null(text);
    if (level == SANDBOX_NONE)
        assert_null(strstr(text, "landlock"));
    else
        assert_int_equal(strncmp(text, "landlock-", 9), 0);
    if (level == SANDBOX_FULL)
        assert_non_null(strstr(text, " seccomp"));
    print_message("this kernel: %s\n", text);
}

static void declared_files_are_read_and_no_others(void **state)
{
    (void)state;
    NEEDS_LANDLOCK();
    put("a.txt", "a\n");
    put("b.txt", "b\n");
    put("dir/c.txt", "c\n");
    put("dir/deep/d.txt", "d\n");
    succeeds("cat a.txt", JOB(.read = NAMES("a.txt")));
    is_refused("cat b.txt", JOB(.read = NAMES("a.txt")));
    is_refused("cat dir/c.txt", JOB(.read = NAMES("a.txt")));
    succeeds("cat dir/c.txt dir/deep/d.txt; ls dir", JOB(.read = NAMES("dir")));
    is_refused("ls .", JOB(.read = NAMES("dir")));
    is_refused("cat ./dir/../b.txt", JOB(.read = NAMES("dir")));
}

static void a_link_gives_what_it_points_at_and_no_more(void **state)
{
    (void)state;
    NEEDS_LANDLOCK();
    put("real/x.txt", "x\n");
    put("real/y.txt", "y\n");
    assert_int_equal(symlink("real/x.txt", in_root("link.txt")), 0);
    assert_int_equal(symlink("../b.txt", in_root("real/out.txt")), 0);
    put("b.txt", "b\n");
    succeeds("cat link.txt", JOB(.read = NAMES("link.txt")));
    is_refused("cat real/y.txt", JOB(.read = NAMES("link.txt")));
    is_refused("cat real/out.txt", JOB(.read = NAMES("real")));
}

static void missing_reads_are_ignored_and_missing_writes_are_not(void **state)
{
    const char *read[] = {"/no/such/input", NULL};
    const char *write[] = {"/no/such/output", NULL};
    struct sandbox_policy policy = {.read = read};
    struct sandbox *sandbox = NULL;
    struct err e = {0};

    (void)state;
    NEEDS_LANDLOCK();
    assert_int_equal(sandbox_prepare(&policy, &sandbox, &e), 0);
    sandbox_free(sandbox);
    policy.write = write;
    sandbox = NULL;
    assert_int_equal(sandbox_prepare(&policy, &sandbox, &e), -1);
    assert_non_null(strstr(e.message, "/no/such/output"));
    assert_null(sandbox);
    err_release(&e);
    sandbox_free(NULL);
}

static void listing_is_not_reading(void **state)
{
    (void)state;
    NEEDS_LANDLOCK();
    put("pkg/m.py", "m\n");
    succeeds("ls pkg . >/dev/null", JOB(.list = NAMES(".")));
    is_refused("cat pkg/m.py", JOB(.list = NAMES(".")));
    is_refused("ls .", JOB(.list = NAMES("pkg")));
}

static void the_system_can_be_read_but_not_its_secrets_and_homes(void **state)
{
    (void)state;
    NEEDS_LANDLOCK();
    succeeds("head -c 1 /etc/passwd && ls /usr/include >/dev/null && cat /proc/self/stat", JOB(0));
    is_refused("ls /root", JOB(0));
    is_refused("ls /home", JOB(0));
    is_refused("ls /tmp", JOB(0));
    is_refused("ls /etc", JOB(0));
    if (geteuid() == 0)
        is_refused("cat /etc/shadow", JOB(0));
}

static void the_usual_devices_work(void **state)
{
    (void)state;
    succeeds("echo x >/dev/null; head -c 4 /dev/urandom /dev/zero >/dev/null; "
             "echo x >/dev/full; echo x >/dev/shm/spak-$$ && rm /dev/shm/spak-$$",
             JOB(0));
    succeeds("echo out >/dev/stdout; echo err >/dev/stderr", JOB(0));
}

static void nothing_is_written_outside_the_outputs(void **state)
{
    (void)state;
    NEEDS_LANDLOCK();
    put("src.c", "int x;\n");
    put("out/mine", "");
    is_refused("echo bad >src.c", JOB(.read = NAMES("src.c"), .write = NAMES("out/mine")));
    is_refused("echo bad >new.c", JOB(.read = NAMES(".")));
    is_refused("rm src.c", JOB(.read = NAMES(".")));
    is_refused("mv src.c out/other", JOB(.read = NAMES(".")));
    is_refused("mkdir d", JOB(.read = NAMES(".")));
    is_refused("ln -s x y", JOB(.read = NAMES(".")));
    is_refused("truncate -s 0 src.c", JOB(.read = NAMES(".")));
    is_refused("echo bad >/tmp/spak-sandbox-test", JOB(0));
    is_refused("echo bad >/usr/spak-sandbox-test", JOB(0));
    assert_string_equal(get("src.c"), "int x;\n");
    succeeds("echo t >$TMPDIR/t && mkdir $TMPDIR/d && mv $TMPDIR/t $TMPDIR/d/ && rm -r $TMPDIR/d",
             JOB(0));
}

static bool still_reserved(const char *name)
{
    struct os_stat stat = {0};
    struct err e = {0};

    assert_int_equal(os_stat(in_root(name), &stat, &e), 0);
    return sandbox_still_reserved(&stat);
}

static void a_reserved_output_tells_whether_it_was_made(void **state)
{
    (void)state;
    put("out/o", "stale");
    reserve("out/o");
    assert_string_equal(get("out/o"), "");
    succeeds("true", JOB(.write = NAMES("out/o")));
    assert_true(still_reserved("out/o"));
    succeeds(": >out/o", JOB(.write = NAMES("out/o")));
    assert_false(still_reserved("out/o"));
    reserve("out/o");
    succeeds("touch out/o", JOB(.write = NAMES("out/o")));
    assert_false(still_reserved("out/o"));
    reserve("out/o");
    succeeds("echo made >out/o", JOB(.write = NAMES("out/o")));
    assert_false(still_reserved("out/o"));
}

static void reserving_where_no_folder_is_fails_with_its_name(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(sandbox_reserve(in_root("no/such/o"), &e), -1);
    assert_non_null(strstr(e.message, "no/such/o"));
    err_release(&e);
}

static void a_reserved_output_gives_no_rights_beside_it(void **state)
{
    struct job job = {.write = NAMES("out/o")};

    (void)state;
    NEEDS_LANDLOCK();
    put("out/other", "theirs\n");
    put("out/new/x", "");
    reserve("out/o");
    is_refused("cat out/other", job);
    is_refused("echo bad >out/other", job);
    is_refused("rm -f out/other", job);
    is_refused("echo bad >out/sibling", job);
    is_refused("rm out/o", job);
    is_refused("mv $TMPDIR/../p/out/o out/renamed", job);
    assert_string_equal(get("out/other"), "theirs\n");
}

static void a_compiler_writes_reserved_outputs(void **state)
{
    struct job compile = {.read = NAMES("m.c", "inc"), .write = NAMES("out/m.o", "out/m.d")};
    struct job link = {.read = NAMES("out/m.o"), .write = NAMES("out/m")};

    (void)state;
    NEEDS_PROGRAM("/usr/bin/cc");
    put("m.c", "#include \"v.h\"\n#include <stdio.h>\nint main(void) { return printf(\"%d\\n\", V) "
               "< 0; }\n");
    put("inc/v.h", "#define V 42\n");
    reserve("out/m.o");
    reserve("out/m.d");
    reserve("out/m");
    succeeds("cc -g -Iinc -MMD -MF out/m.d -c m.c -o out/m.o", compile);
    assert_non_null(strstr(get("out/m.d"), "inc/v.h"));
    succeeds("cc out/m.o -o out/m", link);
    succeeds("test \"$(out/m)\" = 42", JOB(.read = NAMES("out/m")));
    reserve("out/m");
    reserve("out/m.o");
    succeeds("cc -O2 -Iinc m.c -o out/m",
             JOB(.read = NAMES("m.c", "inc"), .write = NAMES("out/m")));
    succeeds("out/m", JOB(.read = NAMES("out/m")));
}

static void other_compilers_write_reserved_outputs(void **state)
{
    (void)state;
    NEEDS_PROGRAM("/usr/bin/clang");
    put("m.c", "int main(void) { return 0; }\n");
    reserve("out/m.o");
    reserve("out/m");
    succeeds("clang -c m.c -o out/m.o", JOB(.read = NAMES("m.c"), .write = NAMES("out/m.o")));
    succeeds("clang out/m.o -o out/m", JOB(.read = NAMES("out/m.o"), .write = NAMES("out/m")));
    succeeds("out/m", JOB(.read = NAMES("out/m")));
}

static void a_failing_compiler_leaves_no_mess(void **state)
{
    int code;
    char *text;

    (void)state;
    NEEDS_PROGRAM("/usr/bin/cc");
    put("m.c", "int main(void) { return x; }\n");
    reserve("out/m.o");
    text =
        run_sh("cc -c m.c -o out/m.o", JOB(.read = NAMES("m.c"), .write = NAMES("out/m.o")), &code);
    assert_int_equal(code, 1);
    assert_non_null(strstr(text, "'x' undeclared"));
}

static void common_tools_write_reserved_outputs(void **state)
{
    struct job job = {.read = NAMES("in.txt"), .write = NAMES("out/o")};
    static const char *const scripts[] = {
        "cp in.txt out/o",
        "cat in.txt | sort >out/o",
        "tar cf out/o in.txt",
        "gzip -c in.txt >out/o",
        "dd if=in.txt of=out/o 2>/dev/null",
        "tee out/o <in.txt >/dev/null",
        "/usr/bin/python3 -c 'open(\"out/o\", \"w\").write(open(\"in.txt\").read())'",
        "awk '{ print > \"out/o\" }' in.txt",
    };

    (void)state;
    NEEDS_PROGRAM("/usr/bin/python3");
    put("in.txt", "one\ntwo\n");
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        reserve("out/o");
        succeeds(scripts[i], job);
        assert_false(still_reserved("out/o"));
        assert_true(strlen(get("out/o")) > 0 || there("out/o"));
    }
}

static void tools_that_rename_work_in_a_folder_of_their_own(void **state)
{
    struct job job = {.read = NAMES("in.txt", "m.o"), .write = NAMES("out/own")};
    static const char *const scripts[] = {
        "cp in.txt out/own/t && mv out/own/t out/own/o",
        "cp in.txt $TMPDIR/t && mv $TMPDIR/t out/own/o",
        "install -m 755 in.txt out/own/o",
        "sed -i s/o/0/ out/own/o",
        "ln -sf o out/own/l && ln -f out/own/o out/own/h",
        "mkdir -p out/own/d/e && tar cf - in.txt | tar xf - -C out/own/d/e",
        "ar rcs out/own/l.a m.o && ranlib out/own/l.a && ar t out/own/l.a",
        "cp m.o out/own/m.o && strip -g out/own/m.o",
        "rm -r out/own/d",
    };

    (void)state;
    NEEDS_PROGRAM("/usr/bin/ar");
    put("m.c", "int m;\n");
    put("in.txt", "one\n");
    put("m.o", "");
    succeeds("cc -c m.c -o m.o", JOB(.read = NAMES("m.c"), .write = NAMES("m.o")));
    put("out/own/x", "");
    put("out/theirs", "theirs\n");
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        succeeds(scripts[i], job);
    if (files_enforced())
        is_refused("cat out/theirs", job);
}

static void python_runs_threads_processes_and_imports(void **state)
{
    static const char script[] =
        "import os, sys, tempfile, threading, multiprocessing as mp, subprocess\n"
        "import helper\n"
        "def f(x): return x * x\n"
        "if __name__ == '__main__':\n"
        "    with mp.Pool(2) as p: assert p.map(f, [1, 2, 3]) == [1, 4, 9]\n"
        "    t = threading.Thread(target=print, args=('x',)); t.start(); t.join()\n"
        "    with tempfile.NamedTemporaryFile() as n: n.write(b'x')\n"
        "    assert subprocess.run(['/bin/echo', 'y'], capture_output=True).stdout == b'y\\n'\n"
        "    assert helper.value == 7\n";

    (void)state;
    NEEDS_PROGRAM("/usr/bin/python3");
    put("sim/main.py", script);
    put("sim/helper.py", "value = 7\n");
    succeeds("/usr/bin/python3 -B sim/main.py",
             JOB(.read = NAMES("sim/main.py", "sim/helper.py"), .list = NAMES("sim")));
}

static const char tcp[] = "import socket\n"
                          "s = socket.socket()\n"
                          "s.settimeout(5)\n"
                          "try: s.connect(('127.0.0.1', 9))\n"
                          "except ConnectionRefusedError: pass\n";

static void there_is_no_network_unless_asked_for(void **state)
{
    (void)state;
    NEEDS_FULL();
    NEEDS_PROGRAM("/usr/bin/python3");
    put("tcp.py", tcp);
    is_refused("/usr/bin/python3 tcp.py", JOB(.read = NAMES("tcp.py")));
    succeeds("/usr/bin/python3 tcp.py", JOB(.read = NAMES("tcp.py"), .network = true));
    put("kinds.py", "import socket\n"
                    "socket.socketpair()\n"
                    "socket.socket(socket.AF_UNIX)\n"
                    "for family in range(2, 46):\n"
                    "    for kind in 1, 2, 3:\n"
                    "        try: socket.socket(family, kind)\n"
                    "        except PermissionError as e: assert e.errno == 13\n"
                    "        else: raise SystemExit('family %d' % family)\n");
    succeeds("/usr/bin/python3 kinds.py", JOB(.read = NAMES("kinds.py")));
}

/* Calls made by number, as a hostile program would. */
static void no_back_door_opens_a_socket(void **state)
{
    (void)state;
    NEEDS_FULL();
    NEEDS_PROGRAM("/usr/bin/cc");
    put("door.c",
        "#define _GNU_SOURCE\n"
        "#include <errno.h>\n#include <fcntl.h>\n#include <sys/ioctl.h>\n#include <unistd.h>\n"
        "#include <sys/syscall.h>\n"
        "int main(void) {\n"
        "    char params[256] = {0};\n"
        "    if (syscall(425, 4, params) != -1 || errno != ENOSYS) return 1;\n"
        "    if (syscall(SYS_socket, 0x100000002L, 1, 0) != -1 || errno != EACCES) return 2;\n"
        "#ifdef __x86_64__\n"
        "    if (syscall(0x40000000 | SYS_socket, 2, 1, 0) != -1 || errno != ENOSYS) return 3;\n"
        "    long r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(359), \"b\"(2), \"c\"(1), "
        "\"d\"(0)"
        " : \"memory\");\n"
        "    if (r != -EACCES && r != -ENOSYS) return 4;\n"
        "    __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(102), \"b\"(1), \"c\"(0) : "
        "\"memory\");\n"
        "    if (r != -EACCES && r != -ENOSYS) return 5;\n"
        "#endif\n"
        "    int fd = open(\"/dev/null\", O_RDWR);\n"
        "    if (ioctl(fd, TIOCSTI, \"x\") != -1 || errno != EPERM) return 6;\n"
        "    return 0;\n}\n");
    reserve("out/door");
    succeeds("cc door.c -o out/door", JOB(.read = NAMES("door.c"), .write = NAMES("out/door")));
    succeeds("out/door", JOB(.read = NAMES("out/door")));
}

static void outsiders_are_neither_signalled_nor_traced(void **state)
{
    const char *text = NULL;
    struct os_exit end = {0};
    const char *argv[] = {"/bin/sh", "-c", arena_printf(&arena, "kill -0 %d", (int)getpid()), NULL};
    struct job job = {.argv = argv};

    (void)state;
    NEEDS_LANDLOCK();
    sandbox_supported(&text);
    is_refused(arena_printf(&arena, "cat /proc/%d/environ", (int)getpid()), JOB(0));
    if (strcmp(text, "landlock-6") < 0) {
        print_message("signals need landlock-6\n");
        skip();
    }
    run(&job, &end);
    assert_int_not_equal(end.code, 0);
    succeeds("sleep 9 & kill $!", JOB(0));
}

static void accelerators_are_known_by_name(void **state)
{
    static const char *const yes[] = {"/dev/nvidia0",     "/dev/nvidiactl", "/dev/nvidia-uvm",
                                      "/dev/nvidia-caps", "/dev/dri",       "/dev/dri/card0",
                                      "/dev/kfd",         "/dev/dxg"};
    static const char *const no[] = {"/dev/null", "/dev/sda",     "/dev/mem",
                                     "/dev/dri2", "/dev/nvme0",   "/dev/kvm",
                                     "/dev",      "/tmp/nvidia0", "nvidia0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(sandbox_is_accelerator(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(sandbox_is_accelerator(no[i]));
}

static void accelerators_are_hidden_unless_asked_for(void **state)
{
    static const char device[] = "/dev/nvidia-spak-test";
    int code;
    char *hidden;
    char *shown;

    (void)state;
    NEEDS_LANDLOCK();
    if (mknod(device, S_IFCHR | 0666, makedev(1, 3)) < 0) {
        print_message("needs the right to make a device\n");
        skip();
    }
    hidden = run_sh("echo x >/dev/nvidia-spak-test", JOB(0), &code);
    shown = run_sh("echo x >/dev/nvidia-spak-test && cat /dev/nvidia-spak-test",
                   JOB(.devices = true), &code);
    unlink(device);
    assert_non_null(strstr(hidden, "Permission denied"));
    assert_string_equal(shown, "");
    assert_int_equal(code, 0);
}

/* What CUDA's driver does before anything else. */
static void threads_are_named_where_devices_are(void **state)
{
    static const char naming[] = "echo spak >/proc/self/task/$$/comm";

    (void)state;
    NEEDS_LANDLOCK();
    is_refused(naming, JOB(0));
    succeeds(naming, JOB(.devices = true));
}

/* A reproduction runs in a sandbox of its own, and each of its commands in one within that. */
static void a_sandbox_within_one_gives_devices_too(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "echo spak >/proc/self/task/$$/comm && ls /dev", NULL};
    struct job outer = JOB(.devices = true), inner = JOB(.devices = true, .argv = argv);
    struct os_exit end = {0};
    int status;

    (void)state;
    NEEDS_LANDLOCK();
    prepare(&outer);
    pid_t child = fork();
    if (child == 0) {
        if (sandbox_apply(outer.sandbox) != 0)
            _exit(1);
        puts(run(&inner, &end));
        fflush(stdout);
        _exit(end.code != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    sandbox_free(outer.sandbox);
    assert_int_equal(status, 0);
}

static void limits_hold(void **state)
{
    int code;

    (void)state;
    put("out/big", "");
    run_sh("head -c 3000000 /dev/zero >out/big",
           JOB(.write = NAMES("out/big"), .file_bytes = 1 << 20), &code);
    assert_int_not_equal(code, 0);
    assert_true(strlen(get("out/big")) <= 1 << 20);
    run_sh("/usr/bin/python3 -c 'bytearray(1 << 30)'", JOB(.memory_bytes = 512 << 20), &code);
    assert_int_not_equal(code, 0);
    succeeds("/usr/bin/python3 -c 'bytearray(1 << 30)'", JOB(0));
    succeeds("test $(ulimit -c) = 0 && ! ulimit -c 10 2>/dev/null", JOB(0));
}

static void no_program_gains_privileges(void **state)
{
    (void)state;
    succeeds("grep -q '^NoNewPrivs:.*1$' /proc/self/status", JOB(0));
}

static void files_on_kernel(const struct sandbox_kernel *kernel)
{
    struct job job = {
        .read = NAMES("a.c", "a.o"), .write = NAMES("out/a.o", "own"), .kernel = kernel};

    reserve("out/a.o");
    succeeds("cc -c a.c -o out/a.o && touch own/t && mv own/t own/u && rm own/u", job);
    succeeds("echo 1 >$TMPDIR/x && mv $TMPDIR/x own/x && ar rcs own/a.a a.o && rm own/a.a", job);
    succeeds("echo x >/dev/null && test -r /dev/zero && ls /proc /sys >/dev/null", job);
    if (kernel->landlock == 0) {
        succeeds("cat b.c", job);
        return;
    }
    is_refused("cat b.c", job);
    is_refused("echo x >b.c", job);
    is_refused("rm -f b.c", job);
    is_refused("ls /root", job);
}

static void network_on_kernel(const struct sandbox_kernel *kernel)
{
    struct job job = {.read = NAMES("tcp.py"), .kernel = kernel};

    if (kernel->filter || kernel->landlock >= 4)
        is_refused("/usr/bin/python3 tcp.py", job);
    else
        succeeds("/usr/bin/python3 tcp.py", job);
    job.network = true;
    succeeds("/usr/bin/python3 tcp.py", job);
}

/* A kernel takes what an older one would have been asked for: each version, with and without
 * seccomp. */
static void older_kernels_do_what_they_can(void **state)
{
    (void)state;
    NEEDS_FULL();
    NEEDS_PROGRAM("/usr/bin/cc");
    NEEDS_PROGRAM("/usr/bin/python3");
    put("tcp.py", tcp);
    put("a.c", "int a;\n");
    put("b.c", "int b;\n");
    put("a.o", "");
    put("own/y", "");
    succeeds("cc -c a.c -o a.o", JOB(.read = NAMES("a.c"), .write = NAMES("a.o")));
    for (int version = 0; version <= sandbox_kernel_now().landlock; version++)
        for (int filter = 0; filter < 2; filter++) {
            struct sandbox_kernel kernel = {version, filter};

            files_on_kernel(&kernel);
            network_on_kernel(&kernel);
        }
}

static void a_sandbox_works_inside_a_sandbox(void **state)
{
    struct os_exit end = {0};
    char *self = os_self(&arena, &(struct err){0});
    const char *argv[] = {self, "--inner", "inner/yes.txt", "inner/no.txt", NULL};
    struct job job = {.argv = argv, .read = (const char *[]){"inner", self, NULL}};
    char *text;

    (void)state;
    NEEDS_LANDLOCK();
    put("inner/yes.txt", "yes\n");
    put("inner/no.txt", "no\n");
    put("outer.txt", "outer\n");
    text = run(&job, &end);
    if (end.code != 0)
        fail_msg("%s", text);
    assert_string_equal(text, "yes\nrefused inner/no.txt\nrefused outer.txt\n");
}

/* This program as a command in a sandbox, which sandboxes a command of its own and asks what that
 * was refused. */
static int inner_main(const char *allowed, const char *forbidden)
{
    const char *system = "/usr";
    const char *read[] = {system, "/bin", "/lib", "/lib64", "/etc/ld.so.cache", allowed, NULL};
    const char *write[] = {NULL};
    struct sandbox_policy policy = {.read = read, .write = write};
    struct sandbox *sandbox = NULL;
    struct err e = {0};
    const char *argv[] = {"/bin/cat", allowed, forbidden, "outer.txt", NULL};
    const char *env[] = {NULL};
    struct os_spawn how = {.argv = argv,
                           .env = env,
                           .stdin_fd = -1,
                           .stdout_fd = 1,
                           .stderr_fd = -1,
                           .prepare = sandbox_apply};
    struct strs refused = {0};
    struct os_exit end;
    pid_t pid;
    int pidfd;

    if (sandbox_prepare(&policy, &sandbox, &e) < 0)
        return 10;
    how.prepare_ctx = sandbox;
    if (os_spawn(&how, &pid, &pidfd, &e) < 0 || os_wait(pid, &end, &e) < 0)
        return printf("%s\n", e.message), 11;
    if (end.code != 1)
        return 12;
    if (sandbox_find_refused(&how, ".", 5000000000, &arena, &refused, &e) < 0)
        return 13;
    for (size_t i = 0; i < refused.len; i++)
        printf("refused %s\n", refused.at[i]);
    strs_release(&refused);
    sandbox_free(sandbox);
    arena_release(&arena);
    return 0;
}

static void a_prepared_policy_serves_many_children(void **state)
{
    struct job job = {.argv = NAMES("/bin/cat", "a"), .read = NAMES("a")};
    struct os_spawn how;
    struct os_exit end;
    struct err e = {0};
    int64_t start_ns;
    int64_t prepare_ns;
    pid_t pid;
    int pidfd;

    (void)state;
    put("a", "a\n");
    start_ns = os_monotonic_ns();
    prepare(&job);
    prepare_ns = os_monotonic_ns() - start_ns;
    how = spawn_of(&job);
    start_ns = os_monotonic_ns();
    for (int i = 0; i < 200; i++) {
        assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
        assert_int_equal(os_wait(pid, &end, &e), 0);
        assert_int_equal(end.code, 0);
        close(pidfd);
    }
    print_message("prepare %ld us, spawn and wait %ld us\n", (long)(prepare_ns / 1000),
                  (long)((os_monotonic_ns() - start_ns) / 200000));
    sandbox_free(job.sandbox);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_kernel_is_described),
        IN_FOLDER(declared_files_are_read_and_no_others),
        IN_FOLDER(a_link_gives_what_it_points_at_and_no_more),
        IN_FOLDER(missing_reads_are_ignored_and_missing_writes_are_not),
        IN_FOLDER(listing_is_not_reading),
        IN_FOLDER(the_system_can_be_read_but_not_its_secrets_and_homes),
        IN_FOLDER(the_usual_devices_work),
        IN_FOLDER(nothing_is_written_outside_the_outputs),
        IN_FOLDER(a_reserved_output_tells_whether_it_was_made),
        IN_FOLDER(reserving_where_no_folder_is_fails_with_its_name),
        IN_FOLDER(a_reserved_output_gives_no_rights_beside_it),
        IN_FOLDER(a_compiler_writes_reserved_outputs),
        IN_FOLDER(other_compilers_write_reserved_outputs),
        IN_FOLDER(a_failing_compiler_leaves_no_mess),
        IN_FOLDER(common_tools_write_reserved_outputs),
        IN_FOLDER(tools_that_rename_work_in_a_folder_of_their_own),
        IN_FOLDER(python_runs_threads_processes_and_imports),
        IN_FOLDER(there_is_no_network_unless_asked_for),
        IN_FOLDER(no_back_door_opens_a_socket),
        IN_FOLDER(outsiders_are_neither_signalled_nor_traced),
        IN_FOLDER(accelerators_are_known_by_name),
        IN_FOLDER(accelerators_are_hidden_unless_asked_for),
        IN_FOLDER(threads_are_named_where_devices_are),
        IN_FOLDER(a_sandbox_within_one_gives_devices_too),
        IN_FOLDER(limits_hold),
        IN_FOLDER(no_program_gains_privileges),
        IN_FOLDER(older_kernels_do_what_they_can),
        IN_FOLDER(a_sandbox_works_inside_a_sandbox),
        IN_FOLDER(a_prepared_policy_serves_many_children),
    };

    if (argc == 4 && strcmp(argv[1], "--inner") == 0)
        return inner_main(argv[2], argv[3]);
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
