/* sandbox_job: a folder with a project in it, and commands that run there under a policy, for the
 * tests of the sandbox. */
#ifndef SANDBOX_JOB_H
#define SANDBOX_JOB_H

#include "sandbox.h"

#include "sandbox_parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The folder of a test: p/ is a project, t/ is the command's TMPDIR; `root` is p/. */
static char *folder;
static char *root;
static char *scratch;
static struct arena arena;

static inline char *in_root(const char *name)
{
    return arena_printf(&arena, "%s/%s", root, name);
}

static inline void put(const char *name, const char *text)
{
    struct err e = {0};
    char *path = in_root(name);

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(os_write(path, text, strlen(text), 0755, &e), 0);
}

static inline char *get(const char *name)
{
    struct buf text = {0};
    struct err e = {0};
    char *copy;

    assert_int_equal(os_read(in_root(name), &text, &e), 0);
    copy = arena_strdup(&arena, buf_text(&text));
    buf_release(&text);
    return copy;
}

static inline bool there(const char *name)
{
    return access(in_root(name), F_OK) == 0;
}

static inline bool files_enforced(void)
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

static inline void push_all(struct strs *to, const char *const *names)
{
    for (; names && *names; names++)
        strs_push(to, os_join(&arena, root, *names));
}

static inline void prepare(struct job *job)
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

static inline struct os_spawn spawn_of(struct job *job)
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
static inline char *run(struct job *job, struct os_exit *end)
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

static inline char *run_sh(const char *script, struct job job, int *code)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct os_exit end = {0};
    char *text;

    job.argv = argv;
    text = run(&job, &end);
    *code = end.code;
    return text;
}

static inline void succeeds(const char *script, struct job job)
{
    int code;
    char *text = run_sh(script, job, &code);

    if (code != 0)
        fail_msg("%s\nends with %d:\n%s", script, code, text);
}

static inline void is_refused(const char *script, struct job job)
{
    int code;
    char *text = run_sh(script, job, &code);

    if (code == 0 || !strstr(text, "Permission denied"))
        fail_msg("%s\nwas not refused but ends with %d:\n%s", script, code, text);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define JOB(...) ((struct job){__VA_ARGS__})

static inline void reserve(const char *name)
{
    struct err e = {0};
    char *path = in_root(name);

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(sandbox_reserve(path, &e), 0);
}

static inline int make_folder(void **state)
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

static inline int remove_folder(void **state)
{
    struct err e = {0};
    int rc = os_remove(folder, &e);

    (void)state;
    arena_release(&arena);
    return rc;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

#endif
