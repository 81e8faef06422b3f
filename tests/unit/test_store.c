#include "scratch.h"
#include "store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("store");

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

static void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s", e->set ? e->message : "-1 without an error");
}

static struct store *opened(const char *dir)
{
    struct err e = {0};
    struct store *s = store_open(dir, &e);

    if (!s)
        fail_msg("%s", e.message);
    return s;
}

static struct digest digest_of(const char *text)
{
    struct digest digest;

    hash_bytes(text, strlen(text), &digest);
    return digest;
}

static void put_value(struct store *s, const char *name, const char *text)
{
    struct err e = {0};

    ok(store_put_value(s, name, text, strlen(text), &e), &e);
}

static void assert_value(struct store *s, const char *name, const char *text)
{
    struct buf out = {0};
    struct err e = {0};
    bool found;

    ok(store_get_value(s, name, &out, &found, &e), &e);
    assert_int_equal(found, text != NULL);
    if (text)
        assert_string_equal(buf_text(&out), text);
    buf_release(&out);
}

static void values_are_kept(void **state)
{
    struct store *s = opened("v/deep");
    struct buf out = {0};
    struct err e = {0};
    bool found;

    (void)state;
    assert_value(s, "lease", NULL);
    put_value(s, "lease", "one");
    put_value(s, "lease", "two");
    put_value(s, "", "nameless");
    ok(store_put_value(s, "bytes", "a\0b", 3, &e), &e);
    store_close(s);
    s = opened("v/deep");
    assert_value(s, "lease", "two");
    assert_value(s, "", "nameless");
    buf_addstr(&out, "before ");
    ok(store_get_value(s, "bytes", &out, &found, &e), &e);
    assert_int_equal(out.len, 10);
    assert_memory_equal(out.ptr, "before a\0b", 10);
    buf_release(&out);
    store_close(s);
}

static void names_may_be_longer_than_keys(void **state)
{
    struct store *s = opened("long");
    char name[2000];

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    put_value(s, name, "1");
    name[1998] = 'm';
    put_value(s, name, "2");
    assert_value(s, name, "2");
    name[1998] = 'n';
    assert_value(s, name, "1");
    store_close(s);
}

static struct action_record sample_record(int i, struct output_record *output,
                                          struct dep_record *dep)
{
    struct action_record r = {.exit_code = i, .wall_ns = 1000 + i, .cpu_ns = 7, .peak_bytes = 9};
    char text[32];

    snprintf(text, sizeof(text), "key %d", i);
    r.key = digest_of(text);
    *output = (struct output_record){"out/a", digest_of("a"), 1, 0755, false};
    *dep = (struct dep_record){"src/a.h", digest_of("h")};
    r.outputs = output;
    r.output_count = 1;
    r.deps = dep;
    r.dep_count = 1;
    r.log = digest_of("log");
    r.log_bytes = 3;
    r.sandbox = "landlock-7 seccomp";
    r.machine = "m-2c";
    return r;
}

static void assert_sample(const struct action_record *r, int i)
{
    struct output_record output;
    struct dep_record dep;
    struct action_record expected = sample_record(i, &output, &dep);

    assert_true(digest_equal(&r->key, &expected.key));
    assert_int_equal(r->exit_code, i);
    assert_int_equal(r->wall_ns, 1000 + i);
    assert_int_equal(r->cpu_ns, 7);
    assert_int_equal(r->peak_bytes, 9);
    assert_true(digest_equal(&r->log, &expected.log));
    assert_int_equal(r->log_bytes, 3);
    assert_string_equal(r->sandbox, "landlock-7 seccomp");
    assert_string_equal(r->machine, "m-2c");
    assert_int_equal(r->output_count, 1);
    assert_string_equal(r->outputs[0].path, "out/a");
    assert_true(digest_equal(&r->outputs[0].digest, &output.digest));
    assert_int_equal(r->outputs[0].size_bytes, 1);
    assert_int_equal(r->outputs[0].mode, 0755);
    assert_false(r->outputs[0].directory);
    assert_int_equal(r->dep_count, 1);
    assert_string_equal(r->deps[0].path, "src/a.h");
    assert_true(digest_equal(&r->deps[0].digest, &dep.digest));
}

static void put_action(struct store *s, const struct digest *base, int i)
{
    struct output_record output;
    struct dep_record dep;
    struct action_record record = sample_record(i, &output, &dep);
    struct err e = {0};

    ok(store_put_action(s, base, &record, &e), &e);
}

static void actions_come_back_latest_first(void **state)
{
    struct store *s = opened("a");
    struct digest base = digest_of("base");
    struct digest other = digest_of("other");
    struct arena arena = {0};
    struct action_record *records;
    struct err e = {0};
    size_t count;

    (void)state;
    for (int i = 0; i < 12; i++)
        put_action(s, &base, i);
    put_action(s, &base, 7); /* again: moves to the front, once */
    store_close(s);
    s = opened("a");
    ok(store_get_actions(s, &base, &arena, &records, &count, &e), &e);
    assert_int_equal(count, 8);
    assert_sample(&records[0], 7);
    assert_sample(&records[1], 11);
    assert_sample(&records[2], 10);
    assert_sample(&records[4], 8);
    assert_sample(&records[5], 6);
    assert_sample(&records[7], 4);
    ok(store_get_actions(s, &other, &arena, &records, &count, &e), &e);
    assert_int_equal(count, 0);
    arena_release(&arena);
    store_close(s);
}

static void nodes_keep_their_state_and_a_large_explanation(void **state)
{
    struct store *s = opened("n");
    struct output_record output;
    struct dep_record dep;
    struct node_state in = {.base = digest_of("base"), .failed = true};
    struct node_state out;
    struct arena arena = {0};
    struct buf text = {0};
    struct err e = {0};
    bool found = true;

    (void)state;
    for (int i = 0; i < 10000; i++)
        buf_addf(&text, "input %d\n", i);
    in.record = sample_record(-1, &output, &dep);
    in.explanation = text.ptr;
    ok(store_get_node(s, "out/a.o", &arena, &out, &found, &e), &e);
    assert_false(found);
    ok(store_put_node(s, "out/a.o", &in, &e), &e);
    ok(store_get_node(s, "out/a.o", &arena, &out, &found, &e), &e);
    assert_true(found);
    assert_true(out.failed);
    assert_true(digest_equal(&out.base, &in.base));
    assert_sample(&out.record, -1);
    assert_string_equal(out.explanation, text.ptr);
    in.failed = false;
    in.explanation = NULL;
    in.record = (struct action_record){0};
    ok(store_put_node(s, "out/a.o", &in, &e), &e);
    ok(store_get_node(s, "out/a.o", &arena, &out, &found, &e), &e);
    assert_false(out.failed);
    assert_string_equal(out.explanation, "");
    assert_string_equal(out.record.machine, "");
    assert_int_equal(out.record.output_count, 0);
    buf_release(&text);
    arena_release(&arena);
    store_close(s);
}

static void a_transaction_is_all_or_nothing(void **state)
{
    struct store *s = opened("t");
    struct err e = {0};

    (void)state;
    ok(store_begin(s, &e), &e);
    put_value(s, "a", "1");
    put_value(s, "b", "1");
    assert_value(s, "a", "1"); /* it sees its own writes */
    store_abort(s);
    assert_value(s, "a", NULL);
    assert_value(s, "b", NULL);
    ok(store_begin(s, &e), &e);
    put_value(s, "a", "2");
    put_value(s, "b", "2");
    ok(store_commit(s, &e), &e);
    assert_value(s, "a", "2");
    ok(store_begin(s, &e), &e);
    put_value(s, "a", "3");
    store_close(s);
    s = opened("t");
    assert_value(s, "a", "2");
    assert_value(s, "b", "2");
    store_close(s);
}

static void the_map_grows_without_a_word(void **state)
{
    struct store *s = opened("g");
    struct err e = {0};
    size_t len = (size_t)1 << 20;
    char *big = xcalloc(1, len);

    (void)state;
    for (int i = 0; i < 40; i++) {
        char name[32];

        snprintf(name, sizeof(name), "one %d", i);
        ok(store_put_value(s, name, big, len, &e), &e);
    }
    ok(store_begin(s, &e), &e);
    put_value(s, "first of the transaction", "kept");
    for (int i = 0; i < 120; i++) {
        char name[32];

        snprintf(name, sizeof(name), "many %d", i);
        big[0] = (char)i;
        ok(store_put_value(s, name, big, len, &e), &e);
    }
    ok(store_commit(s, &e), &e);
    store_close(s);
    s = opened("g");
    assert_value(s, "first of the transaction", "kept");
    for (int i = 0; i < 120; i += 17) {
        struct buf out = {0};
        char name[32];
        bool found;

        snprintf(name, sizeof(name), "many %d", i);
        ok(store_get_value(s, name, &out, &found, &e), &e);
        assert_true(found);
        assert_int_equal(out.len, len);
        assert_int_equal(out.ptr[0], i);
        buf_release(&out);
    }
    store_close(s);
    free(big);
}

/* Commits pairs for ever and says each number that is in. */
_Noreturn static void commit_until_killed(const char *dir, int say)
{
    struct err e = {0};
    struct store *s = store_open(dir, &e);

    for (int i = 0; s && !e.set; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%d", i);

        if (store_begin(s, &e) == 0 && store_put_value(s, "left", text, (size_t)len, &e) == 0 &&
            store_put_value(s, "right", text, (size_t)len, &e) == 0 && store_commit(s, &e) == 0 &&
            write(say, &i, sizeof(i)) != sizeof(i))
            break;
    }
    _exit(3);
}

static int value_as_number(struct store *s, const char *name)
{
    struct buf out = {0};
    struct err e = {0};
    bool found;
    int number;

    ok(store_get_value(s, name, &out, &found, &e), &e);
    number = found ? atoi(out.ptr) : -1;
    buf_release(&out);
    return number;
}

static void a_kill_at_any_instant_loses_no_commit(void **state)
{
    struct rng rng = {31};

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct store *s;
        int last = -1;
        int said;
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        if (pid == 0)
            commit_until_killed("k", fds[1]);
        close(fds[1]);
        assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
        usleep((useconds_t)rng_below(&rng, 20000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(fds[0], &said, sizeof(said)) == sizeof(said))
            last = said;
        close(fds[0]);
        s = opened("k");
        assert_int_equal(value_as_number(s, "left"), value_as_number(s, "right"));
        assert_in_range(value_as_number(s, "left"), last, last + 1);
        store_close(s);
    }
}

static int child_with_fault(const char *fault, const char *dir)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct err e = {0};
        struct store *s;

        setenv("SPAK_FAULT", fault, 1);
        s = store_open(dir, &e);
        if (!s)
            _exit(strstr(e.message, "state.mdb") && e.hint ? 10 : 99);
        if (store_put_value(s, "v", "new", 3, &e) < 0)
            _exit(e.code == ERR_state_failed && e.hint ? 11 : 99);
        store_close(s);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void faults_leave_the_last_commit(void **state)
{
    struct store *s = opened("f");

    (void)state;
    put_value(s, "v", "old");
    store_close(s);
    assert_int_equal(child_with_fault("store_open:1:ENOSPC", "f"), 10);
    assert_int_equal(child_with_fault("store_commit:1:ENOSPC", "f"), 11);
    assert_int_equal(child_with_fault("store_commit:1:KILL", "f"), -SIGKILL);
    s = opened("f");
    assert_value(s, "v", "old");
    store_close(s);
    assert_int_equal(child_with_fault("store_commit:1:EINTR", "f"), 0);
    s = opened("f");
    assert_value(s, "v", "new");
    store_close(s);
}

/* Commits each value soon and dies without a word, as by kill -9. */
static void commit_soon_and_die(const char *dir, const char *const *values)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct err e = {0};
        struct store *s = store_open(dir, &e);

        for (; s && *values; values++)
            if (store_begin(s, &e) < 0 ||
                store_put_value(s, *values, *values, strlen(*values), &e) < 0 ||
                store_commit_soon(s, &e) < 0)
                break;
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void what_was_committed_soon_outlives_a_kill(void **state)
{
    struct stat journal;
    struct store *s;

    (void)state;
    commit_soon_and_die("soon", (const char *const[]){"a", "b", NULL});
    assert_int_equal(stat("soon/journal", &journal), 0);
    assert_true(journal.st_size > 0);
    s = opened("soon");
    assert_value(s, "a", "a");
    assert_value(s, "b", "b");
    store_close(s);
    assert_int_equal(stat("soon/journal", &journal), 0);
    assert_int_equal(journal.st_size, 0);
    s = opened("soon");
    assert_value(s, "b", "b");
    store_close(s);
}

static void a_journal_cut_anywhere_holds_whole_commits(void **state)
{
    struct buf journal = {0};
    struct err e = {0};
    size_t found = 0;

    (void)state;
    commit_soon_and_die("torn", (const char *const[]){"1", "2", "3", NULL});
    ok(os_read("torn/journal", &journal, &e), &e);
    for (size_t len = journal.len; len > 0; len -= len < 11 ? len : 11) {
        struct buf out = {0};
        struct store *s;
        size_t count = 0;
        bool there = true;
        char name[2] = "1";

        ok(os_remove("torn", &e), &e);
        ok(os_mkdirs("torn", &e), &e);
        ok(os_write("torn/journal", journal.ptr, len, 0644, &e), &e);
        s = opened("torn");
        for (; there; name[0]++, count += there)
            ok(store_get_value(s, name, &out, &there, &e), &e);
        assert_true(len == journal.len ? count == 3 : count <= found);
        found = count;
        store_close(s);
        buf_release(&out);
    }
    assert_int_equal(found, 0);
    buf_release(&journal);
}

static void assert_open_refused(const char *dir, enum err_code code)
{
    struct err e = {0};

    assert_null(store_open(dir, &e));
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.message, dir));
    assert_non_null(e.hint);
    err_release(&e);
}

static void a_file_that_is_no_state_is_refused(void **state)
{
    struct err e = {0};
    char junk[20000];

    (void)state;
    memset(junk, 'j', sizeof(junk));
    ok(os_mkdirs("junk", &e), &e);
    ok(os_write("junk/state.mdb", junk, sizeof(junk), 0644, &e), &e);
    assert_open_refused("junk", ERR_state_damaged);
    ok(os_write("junk/state.mdb", "short", 5, 0644, &e), &e);
    assert_open_refused("junk", ERR_state_damaged);
}

static void a_state_cut_short_is_refused(void **state)
{
    struct store *s = opened("cut");
    char *big = xcalloc(1, 100000);
    struct err e = {0};

    (void)state;
    ok(store_put_value(s, "big", big, 100000, &e), &e);
    store_close(s);
    assert_int_equal(truncate("cut/state.mdb", 40960), 0);
    assert_open_refused("cut", ERR_state_damaged);
    ok(os_remove("cut/state.mdb", &e), &e);
    s = opened("cut");
    assert_value(s, "big", NULL);
    store_close(s);
    free(big);
}

static void a_folder_one_cannot_write_is_refused(void **state)
{
    struct err e = {0};

    (void)state;
    ok(os_write("file", "x", 1, 0644, &e), &e);
    assert_null(store_open("file/below", &e));
    assert_non_null(strstr(e.message, "file/below"));
    err_release(&e);
    if (geteuid() == 0)
        skip();
    ok(os_mkdirs("locked", &e), &e);
    assert_int_equal(chmod("locked", 0555), 0);
    assert_open_refused("locked", ERR_state_failed);
}

/* What a child inherits would keep locks and leak the state into commands. */
static void no_descriptor_is_inherited(void **state)
{
    struct store *s = opened("fd");
    char target[300];

    (void)state;
    for (int fd = 3; fd < 64; fd++) {
        char path[64];
        ssize_t len;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, target, sizeof(target) - 1);
        if (len < 0)
            continue;
        target[len] = '\0';
        if (strstr(target, "state.mdb"))
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_kept),
        cmocka_unit_test(names_may_be_longer_than_keys),
        cmocka_unit_test(actions_come_back_latest_first),
        cmocka_unit_test(nodes_keep_their_state_and_a_large_explanation),
        cmocka_unit_test(a_transaction_is_all_or_nothing),
        cmocka_unit_test(the_map_grows_without_a_word),
        cmocka_unit_test(a_kill_at_any_instant_loses_no_commit),
        cmocka_unit_test(faults_leave_the_last_commit),
        cmocka_unit_test(what_was_committed_soon_outlives_a_kill),
        cmocka_unit_test(a_journal_cut_anywhere_holds_whole_commits),
        cmocka_unit_test(a_file_that_is_no_state_is_refused),
        cmocka_unit_test(a_state_cut_short_is_refused),
        cmocka_unit_test(a_folder_one_cannot_write_is_refused),
        cmocka_unit_test(no_descriptor_is_inherited),
    };

    return cmocka_run_group_tests_name("store", tests, enter_temp, leave_temp);
}
