#define _GNU_SOURCE
#include "sandbox.h"

#include "sandbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The folder of a test: p/ is a project, t/ is the command's TMPDIR; `root` is p/. */
static char *folder;
static char *root;
static char *scratch;
static struct arena arena;

static char *in_root(const char *name)
{
    return arena_printf(&arena, "%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
    struct err e = {0};
    char *path = in_root(name);

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(os_write(path, text, strlen(text), 0755, &e), 0);
}

static char *get(const char *name)
{
    struct buf text = {0};
    struct err e = {0};
    char *copy;

    assert_int_equal(os_read(in_root(name), &text, &e), 0);
    copy = arena_strdup(&arena, buf_text(&text));
    buf_release(&text);
    return copy;
}

static bool there(const char *name)
{
    return access(in_root(name), F_OK) == 0;
}

static bool files_enforced(void)
{
    return sandbox_supported(NULL) != SANDBOX_NONE;
}

#define NEEDS_LANDLOCK()                                                                           \
    do {                                                                                           \
        if (!files_enforced()) {                                                                   \
            print_message("needs Landlock, which this kernel does not have\n");                    \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#define NEEDS_FULL()                                                                               \
    do {                                                                                           \
        if (sandbox_supported(NULL) != SANDBOX_FULL) {                                             \
            print_message("needs Landlock and seccomp, which this kernel does not have\n");        \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#define NEEDS_PROGRAM(path)                                                                        \
    do {                                                                                           \
        if (access((path), X_OK) != 0) {                                                           \
            print_message("needs %s\n", (path));                                                   \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* A command and what it may do: names relative to the project, NULL-terminated. */
struct job {
    const char *const *argv;
    const char *const *read;
    const char *const *write;
    const char *const *list;
    bool network;
    bool devices;
    uint64_t memory_bytes;
    uint64_t file_bytes;
    const struct sandbox_kernel *kernel; /* NULL: this one */
    struct sandbox *sandbox;
    const char *env[5];
};

static void push_all(struct strs *to, const char *const *names)
{
    for (; names && *names; names++)
        strs_push(to, os_join(&arena, root, *names));
}

static void prepare(struct job *job)
{
    struct strs read = {0};
    struct strs write = {0};
    struct strs list = {0};
    struct err e = {0};
    const char *const *system = sandbox_system_paths();

    for (; *system; system++)
        strs_push(&read, *system);
    push_all(&read, job->read);
    push_all(&write, job->write);
    push_all(&list, job->list);
    strs_push(&write, scratch);
    struct sandbox_policy policy = {
        .read = read.at,
        .write = write.at,
        .list = job->list ? list.at : NULL,
        .network = job->network,
        .devices = job->devices,
        .memory_bytes = job->memory_bytes,
        .file_bytes = job->file_bytes,
    };
    if (job->kernel)
        assert_int_equal(sandbox_prepare_for(*job->kernel, &policy, &job->sandbox, &e), 0);
    else
        assert_int_equal(sandbox_prepare(&policy, &job->sandbox, &e), 0);
    strs_release(&read);
    strs_release(&write);
    strs_release(&list);
    job->env[0] = "PATH=/usr/local/bin:/usr/bin:/bin";
    job->env[1] = "LC_ALL=C";
    job->env[2] = arena_printf(&arena, "TMPDIR=%s", scratch);
    job->env[3] = "HOME=/nonexistent";
}

static struct os_spawn spawn_of(struct job *job)
{
    return (struct os_spawn){
        .argv = job->argv,
        .env = job->env,
        .dir = root,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .prepare = sandbox_apply,
        .prepare_ctx = job->sandbox,
    };
}

/* Runs it; the text of both streams, in the arena. */
static char *run(struct job *job, struct os_exit *end)
{
    struct buf text = {0};
    struct err e = {0};
    struct os_spawn how;
    char chunk[4096];
    char *copy;
    int ends[2];
    int pidfd;
    pid_t pid;
    ssize_t n;

    prepare(job);
    how = spawn_of(job);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    how.stdout_fd = how.stderr_fd = ends[1];
    assert_int_equal(os_spawn(&how, &pid, &pidfd, &e), 0);
    close(ends[1]);
    while ((n = read(ends[0], chunk, sizeof chunk)) > 0)
        buf_add(&text, chunk, (size_t)n);
    assert_int_equal(os_wait(pid, end, &e), 0);
    close(ends[0]);
    close(pidfd);
    sandbox_free(job->sandbox);
    job->sandbox = NULL;
    copy = arena_strdup(&arena, buf_text(&text));
    buf_release(&text);
    return copy;
}

static char *run_sh(const char *script, struct job job, int *code)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct os_exit end = {0};
    char *text;

    job.argv = argv;
    text = run(&job, &end);
    *code = end.code;
    return text;
}

static void succeeds(const char *script, struct job job)
{
    int code;
    char *text = run_sh(script, job, &code);

    if (code != 0)
        fail_msg("%s\nends with %d:\n%s", script, code, text);
}

static void is_refused(const char *script, struct job job)
{
    int code;
    char *text = run_sh(script, job, &code);

    if (code == 0 || !strstr(text, "Permission denied"))
        fail_msg("%s\nwas not refused but ends with %d:\n%s", script, code, text);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define JOB(...) ((struct job){__VA_ARGS__})

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

static void reserve(const char *name)
{
    struct err e = {0};
    char *path = in_root(name);

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(sandbox_reserve(path, &e), 0);
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
    static const char *const yes[] = {"nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps",
                                      "dri",     "kfd",       "dxg"};
    static const char *const no[] = {"null", "sda", "mem", "dri2", "nvme0", "kvm", "fuse", "tty"};

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

static int make_folder(void **state)
{
    struct err e = {0};
    char name[] = "/tmp/spak-sandbox-XXXXXX";

    (void)state;
    if (!mkdtemp(name))
        return -1;
    folder = arena_strdup(&arena, name);
    root = arena_printf(&arena, "%s/p", folder);
    scratch = arena_printf(&arena, "%s/t", folder);
    return os_mkdirs(root, &e) | os_mkdirs(scratch, &e);
}

static int remove_folder(void **state)
{
    struct err e = {0};
    int rc = os_remove(folder, &e);

    (void)state;
    arena_release(&arena);
    return rc;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

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
        IN_FOLDER(limits_hold),
        IN_FOLDER(no_program_gains_privileges),
        IN_FOLDER(older_kernels_do_what_they_can),
        IN_FOLDER(a_sandbox_works_inside_a_sandbox),
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
        IN_FOLDER(a_prepared_policy_serves_many_children),
    };

    if (argc == 4 && strcmp(argv[1], "--inner") == 0)
        return inner_main(argv[2], argv[3]);
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
