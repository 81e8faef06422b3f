#include "scratch.h"
#include "store_internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("check");

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

static void load(const char *path, struct buf *out)
{
    struct err e = {0};

    buf_reset(out);
    ok(os_read(path, out, &e), &e);
}

static const char *fault_of(const struct buf *bytes)
{
    return store_check_state((const uint8_t *)bytes->ptr, bytes->len, STORE_NEWEST);
}

static void assert_sound(const char *path)
{
    struct buf bytes = {0};

    load(path, &bytes);
    const char *what = fault_of(&bytes);
    if (what)
        fail_msg("%s: %s", path, what);
    buf_release(&bytes);
}

/* Puts and removes values of all sizes, so that pages split, merge, are freed and used again, and
 * long values lie on pages of their own. */
static void work(struct store *s, struct rng *rng, int changes)
{
    static char bytes[40000];
    struct err e = {0};

    ok(store_begin(s, &e), &e);
    for (int i = 0; i < changes; i++) {
        char name[40];
        struct digest key;
        size_t len = rng_below(rng, 4) ? rng_below(rng, 300) : rng_below(rng, sizeof(bytes));

        snprintf(name, sizeof(name), "value %d", (int)rng_below(rng, 400));
        hash_bytes(name, strlen(name), &key);
        if (rng_below(rng, 3))
            ok(store_put_value(s, name, bytes, len, &e), &e);
        else
            ok(store_table_remove(s, TABLE_VALUES, &key, &e), &e);
    }
    ok(store_commit(s, &e), &e);
}

static void what_lmdb_writes_is_sound(void **state)
{
    struct rng rng = {1};
    struct store *s = opened("a");

    (void)state;
    assert_sound("a/state.mdb");
    for (int i = 0; i < 150; i++) {
        work(s, &rng, 1 + (int)rng_below(&rng, i % 10 ? 20 : 300));
        assert_sound("a/state.mdb");
    }
    store_close(s);
    s = opened("a");
    store_close(s);
    assert_sound("a/state.mdb");
}

/* Deep trees: a hundred thousand nodes have four levels, these have three. */
static void a_large_state_is_sound(void **state)
{
    struct store *s = opened("large");
    struct err e = {0};

    (void)state;
    for (int batch = 0; batch < 4; batch++) {
        ok(store_begin(s, &e), &e);
        for (int i = 0; i < 10000; i++) {
            char name[40];

            snprintf(name, sizeof(name), "%d", batch * 7000 + i);
            ok(store_put_value(s, name, name, strlen(name), &e), &e);
        }
        ok(store_commit(s, &e), &e);
        assert_sound("large/state.mdb");
    }
    store_close(s);
}

static void both_snapshots_are_sound(void **state)
{
    struct store *s = opened("two");
    struct rng rng = {2};
    struct buf bytes = {0};
    uint64_t transactions[2];

    (void)state;
    for (int i = 0; i < 5; i++)
        work(s, &rng, 50);
    store_close(s);
    load("two/state.mdb", &bytes);
    memcpy(&transactions[0], bytes.ptr + 16 + 128, 8);
    memcpy(&transactions[1], bytes.ptr + 4096 + 16 + 128, 8);
    assert_int_equal(llabs((long long)(transactions[0] - transactions[1])), 1);
    for (int i = 0; i < 2; i++)
        assert_null(store_check_state((const uint8_t *)bytes.ptr, bytes.len, transactions[i]));
    assert_null(store_check_state((const uint8_t *)bytes.ptr, bytes.len, STORE_HEADS));
    buf_release(&bytes);
}

static void nothing_is_no_fault_and_a_part_is(void **state)
{
    struct store *s = opened("part");
    struct rng rng = {3};
    struct buf bytes = {0};

    (void)state;
    work(s, &rng, 200);
    store_close(s);
    load("part/state.mdb", &bytes);
    assert_null(store_check_state((const uint8_t *)bytes.ptr, 0, STORE_NEWEST));
    for (size_t len = 1; len < bytes.len; len += 1 + len / 3)
        assert_non_null(store_check_state((const uint8_t *)bytes.ptr, len, STORE_NEWEST));
    assert_non_null(store_check_state((const uint8_t *)bytes.ptr, bytes.len - 4096, STORE_NEWEST));
    memset(bytes.ptr, 'j', bytes.len);
    assert_non_null(fault_of(&bytes));
    memset(bytes.ptr, 0, bytes.len);
    assert_non_null(fault_of(&bytes));
    buf_release(&bytes);
}

/* Uses everything in it. Errors are fine; what is not is to die of it. */
static int exercise(const char *dir)
{
    struct err e = {0};
    struct rng rng = {4};
    struct store *s = store_open(dir, &e);

    if (!s)
        return e.code == ERR_state_damaged ? 0 : 2;
    if (store_begin(s, &e) < 0)
        return 3;
    for (int i = 0; i < 400 && !e.set; i++) {
        struct buf value = {0};
        char name[40];
        bool found;

        snprintf(name, sizeof(name), "value %d", i);
        if (store_get_value(s, name, &value, &found, &e) < 0)
            err_release(&e);
        buf_release(&value);
        if (rng_below(&rng, 2))
            store_put_value(s, name, "new", 3, &e);
    }
    if (e.set)
        store_abort(s);
    else
        store_commit(s, &e);
    err_release(&e);
    store_close(s);
    s = store_open(dir, &e);
    if (s)
        store_close(s);
    err_release(&e);
    return 0;
}

static void flip(struct buf *bytes, struct rng *rng, size_t bits, size_t below)
{
    for (size_t i = 0; i < bits; i++)
        bytes->ptr[rng_below(rng, below)] ^= (char)(1 << rng_below(rng, 8));
}

static void flipped_bits_never_kill(void **state)
{
    static const size_t bits[] = {1, 4, 30, 1000};
    struct store *s = opened("whole");
    struct rng rng = {5};
    struct buf whole = {0}, damaged = {0};
    struct err e = {0};
    size_t noticed = 0, trials = 120;

    (void)state;
    for (int i = 0; i < 12; i++)
        work(s, &rng, 60);
    store_close(s);
    load("whole/state.mdb", &whole);
    ok(os_mkdirs("hit", &e), &e);
    for (size_t i = 0; i < trials; i++) {
        int status;
        buf_reset(&damaged);
        buf_add(&damaged, whole.ptr, whole.len);
        /* every third time where it hurts most: in the heads and the first pages */
        flip(&damaged, &rng, bits[i % 4], i % 3 ? damaged.len : 6 * 4096);
        noticed += fault_of(&damaged) != NULL;
        ok(os_write("hit/state.mdb", damaged.ptr, damaged.len, 0644, &e), &e);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            _exit(exercise("hit"));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status)
            fail_msg("trial %zu: status %d, fault: %s", i, status,
                     fault_of(&damaged) ? fault_of(&damaged) : "none");
    }
    assert_true(noticed > trials / 5);
    buf_release(&whole);
    buf_release(&damaged);
}

/* Who only looks must not take the state of a build that goes on for a damaged one. */
static void a_state_that_is_being_written_is_sound(void **state)
{
    struct store *s = opened("busy");
    struct err e = {0};
    int status;
    pid_t pid;

    (void)state;
    store_close(s);
    pid = fork();
    if (pid == 0) {
        struct rng rng = {6};
        struct store *writer = store_open("busy", &e);
        for (int i = 0; writer && i < 300; i++)
            work(writer, &rng, 40);
        store_close(writer);
        _exit(writer ? 0 : 1);
    }
    for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
        s = opened("busy");
        store_close(s);
    }
    assert_int_equal(status, 0);
    s = opened("busy");
    store_close(s);
}

static void a_damaged_state_can_be_set_aside(void **state)
{
    struct store *s = opened("aside");
    struct err e = {0};
    struct buf bytes = {0};
    bool found;

    (void)state;
    ok(store_put_value(s, "v", "old", 3, &e), &e);
    store_close(s);
    load("aside/state.mdb", &bytes);
    bytes.ptr[4096 + 20]++;
    ok(os_write("aside/state.mdb", bytes.ptr, bytes.len, 0644, &e), &e);
    assert_null(store_open("aside", &e));
    assert_int_equal(e.code, ERR_state_damaged);
    err_release(&e);
    ok(store_set_aside("aside", &e), &e);
    s = opened("aside");
    buf_reset(&bytes);
    ok(store_get_value(s, "v", &bytes, &found, &e), &e);
    assert_false(found);
    store_close(s);
    assert_int_equal(access("aside/state.mdb.damaged", F_OK), 0);
    buf_release(&bytes);
}

/* One bit of a value: whoever can do without it has none, and who cannot is told. */
static void a_damaged_value_can_be_done_without(void **state)
{
    struct store *s = opened("value");
    struct err e = {0};
    struct buf bytes = {0}, value = {0};
    bool found = true;

    (void)state;
    ok(store_put_value(s, "v", "something to find again", 23, &e), &e);
    store_close(s);
    load("value/state.mdb", &bytes);
    static const char text[] = "something to find again";
    size_t hits = 0;
    for (size_t i = 0; i + sizeof(text) < bytes.len; i++)
        if (!memcmp(bytes.ptr + i, text, sizeof(text) - 1)) {
            bytes.ptr[i] ^= 1;
            hits++;
        }
    assert_true(hits > 0);
    ok(os_write("value/state.mdb", bytes.ptr, bytes.len, 0644, &e), &e);
    s = opened("value");
    ok(store_recall_value(s, "v", &value, &found, &e), &e);
    assert_false(found);
    assert_int_equal(value.len, 0);
    assert_int_equal(store_get_value(s, "v", &value, &found, &e), -1);
    assert_int_equal(e.code, ERR_record_damaged);
    err_release(&e);
    ok(store_put_value(s, "v", "new", 3, &e), &e);
    ok(store_recall_value(s, "v", &value, &found, &e), &e);
    assert_true(found);
    store_close(s);
    buf_release(&bytes);
    buf_release(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lmdb_writes_is_sound),
        cmocka_unit_test(a_large_state_is_sound),
        cmocka_unit_test(both_snapshots_are_sound),
        cmocka_unit_test(nothing_is_no_fault_and_a_part_is),
        cmocka_unit_test(flipped_bits_never_kill),
        cmocka_unit_test(a_state_that_is_being_written_is_sound),
        cmocka_unit_test(a_damaged_state_can_be_set_aside),
        cmocka_unit_test(a_damaged_value_can_be_done_without),
    };

    return cmocka_run_group_tests(tests, enter_temp, leave_temp);
}
