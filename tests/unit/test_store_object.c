#include "scratch.h"
#include "store_internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct store *store;

static int enter_temp(void **state)
{
    char *dir = scratch_template("object");
    struct err e = {0};

    *state = dir;
    if (!mkdtemp(dir) || chdir(dir) != 0)
        return -1;
    store = store_open("s", &e);
    return store ? 0 : -1;
}

static int leave_temp(void **state)
{
    struct err e = {0};
    int rc;

    store_close(store);
    rc = chdir("/") == 0 ? os_remove(*state, &e) : -1;
    free(*state);
    return rc;
}

static void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s", e->set ? e->message : "-1 without an error");
}

static void put_text(const char *path, const char *text, uint32_t mode)
{
    struct err e = {0};

    ok(os_mkdirs_for(path, &e), &e);
    ok(os_write(path, text, strlen(text), mode, &e), &e);
}

static void assert_content(const char *path, const char *text)
{
    struct buf out = {0};
    struct err e = {0};

    ok(os_read(path, &out, &e), &e);
    assert_string_equal(buf_text(&out), text);
    buf_release(&out);
}

static struct digest put_bytes(const void *bytes, size_t len)
{
    struct digest digest;
    struct err e = {0};

    ok(store_put_bytes(store, bytes, len, &digest, &e), &e);
    return digest;
}

static char *object_path(struct arena *arena, const struct digest *d)
{
    return store_object_path(store, arena, d);
}

static size_t entries_in(const char *path)
{
    struct arena arena = {0};
    struct strs names = {0};
    struct err e = {0};
    size_t count;

    ok(os_list(path, &arena, &names, &e), &e);
    count = names.len;
    strs_release(&names);
    arena_release(&arena);
    return count;
}

static void assert_round_trip(const char *bytes, size_t len)
{
    struct digest digest = put_bytes(bytes, len);
    struct digest expected;
    struct buf out = {0};
    struct err e = {0};

    hash_bytes(bytes, len, &expected);
    assert_true(digest_equal(&digest, &expected));
    assert_true(store_has(store, &digest));
    buf_addstr(&out, "<");
    ok(store_get_bytes(store, &digest, &out, &e), &e);
    assert_int_equal(out.len, len + 1);
    assert_memory_equal(out.ptr + 1, bytes, len);
    buf_release(&out);
}

/* Sizes around the pieces that pass through zlib, of content that shrinks and of content that does
 * not. */
static void bytes_of_every_size_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 131071, 131072, 131073, 262144, 1000003};
    struct rng rng = {3};
    char *noise = xmalloc(1000003);
    char *zeros = xcalloc(1, 1000003);

    (void)state;
    for (size_t i = 0; i < 1000003; i++)
        noise[i] = (char)rng_below(&rng, 256);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_round_trip(noise, sizes[i]);
        assert_round_trip(zeros, sizes[i]);
    }
    free(noise);
    free(zeros);
}

static void an_object_is_a_gzip_file_by_its_digest(void **state)
{
    struct arena arena = {0};
    struct digest digest = put_bytes("hello\n", 6);
    const char *path = object_path(&arena, &digest);
    char text[16] = "";
    FILE *zcat;

    (void)state;
    assert_string_equal(
        path, "s/cas/58/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.gz");
    zcat = popen(arena_printf(&arena, "gzip -dc %s", path), "r");
    assert_non_null(fgets(text, sizeof(text), zcat));
    assert_string_equal(text, "hello\n");
    assert_int_equal(pclose(zcat), 0);
    arena_release(&arena);
}

static void putting_again_writes_nothing(void **state)
{
    struct arena arena = {0};
    struct digest digest = put_bytes("twice", 5);
    struct os_stat before;
    struct os_stat after;
    struct err e = {0};

    (void)state;
    ok(os_stat(object_path(&arena, &digest), &before, &e), &e);
    put_bytes("twice", 5);
    ok(os_stat(object_path(&arena, &digest), &after, &e), &e);
    assert_int_equal(before.inode, after.inode);
    assert_int_equal(before.ctime_ns, after.ctime_ns);
    arena_release(&arena);
}

static void files_go_in_and_out(void **state)
{
    struct digest digest;
    struct os_stat stat;
    struct err e = {0};
    uint64_t size_bytes = 0;

    (void)state;
    put_text("in", "content of a file", 0644);
    ok(store_put_file(store, "in", NULL, &digest, &size_bytes, &e), &e);
    assert_int_equal(size_bytes, 17);
    ok(store_get_file(store, &digest, "deep/er/out", 0751, &e), &e);
    assert_content("deep/er/out", "content of a file");
    ok(os_stat("deep/er/out", &stat, &e), &e);
    assert_int_equal(stat.mode, 0751);
    assert_int_equal(store_put_file(store, "absent", NULL, &digest, &size_bytes, &e), -1);
    assert_string_equal(e.message, "cannot read absent: No such file or directory");
    err_release(&e);
}

static void a_missing_object_is_named(void **state)
{
    struct digest digest;
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    hash_bytes("never put", 9, &digest);
    assert_false(store_has(store, &digest));
    assert_int_equal(store_get_bytes(store, &digest, &out, &e), -1);
    assert_int_equal(e.code, ERR_object_missing);
    assert_true(store_lost_object(&e));
    assert_non_null(e.hint);
    err_release(&e);
    assert_false(store_lost_object(&e));
    put_text("kept", "old", 0644);
    assert_int_equal(store_get_file(store, &digest, "kept", 0644, &e), -1);
    err_release(&e);
    assert_content("kept", "old");
}

/* Damages the object in place. */
static void overwrite(const struct digest *d, const char *bytes, size_t len)
{
    struct arena arena = {0};
    struct err e = {0};

    ok(os_write(object_path(&arena, d), bytes, len, 0444, &e), &e);
    arena_release(&arena);
}

static void assert_heals(const struct digest *d, const char *text)
{
    struct buf out = {0};
    struct err e = {0};

    assert_int_equal(store_get_bytes(store, d, &out, &e), -1);
    assert_int_equal(e.code, ERR_object_damaged);
    assert_true(store_lost_object(&e));
    assert_int_equal(out.len, 0);
    err_release(&e);
    assert_false(store_has(store, d)); /* out of the way */
    put_bytes(text, strlen(text));
    ok(store_get_bytes(store, d, &out, &e), &e);
    assert_string_equal(out.ptr, text);
    buf_release(&out);
}

static void damage_is_never_handed_out_and_heals(void **state)
{
    const char *text = "a text that is long enough to be worth a few damaged bytes, is it not?";
    struct digest digest = put_bytes(text, strlen(text));
    struct digest other = put_bytes("another text", 12);
    struct arena arena = {0};
    struct buf good = {0};
    struct buf wrong = {0};
    struct err e = {0};

    (void)state;
    ok(os_read(object_path(&arena, &digest), &good, &e), &e);
    ok(os_read(object_path(&arena, &other), &wrong, &e), &e);
    overwrite(&digest, wrong.ptr, wrong.len); /* a whole gzip file of something else */
    assert_heals(&digest, text);
    overwrite(&digest, text, strlen(text)); /* no gzip file at all */
    assert_heals(&digest, text);
    buf_addstr(&good, "tail");
    overwrite(&digest, good.ptr, good.len);
    assert_heals(&digest, text);
    good.len -= 4;
    for (size_t len = 18; len < good.len; len += 5) {
        overwrite(&digest, good.ptr, len);
        assert_heals(&digest, text);
    }
    buf_release(&good);
    buf_release(&wrong);
    arena_release(&arena);
}

static void every_flipped_bit_of_an_object_is_seen(void **state)
{
    const char *text = "short";
    struct digest digest = put_bytes(text, 5);
    struct arena arena = {0};
    struct buf good = {0};
    struct err e = {0};

    (void)state;
    ok(os_read(object_path(&arena, &digest), &good, &e), &e);
    for (size_t i = 0; i < good.len * 8; i++) {
        struct buf out = {0};

        good.ptr[i / 8] ^= (char)(1 << i % 8);
        overwrite(&digest, good.ptr, good.len);
        /* Time stamp, flags and system of the header do not change the content. */
        if (store_get_bytes(store, &digest, &out, &e) == 0)
            assert_string_equal(out.ptr, text);
        else
            assert_int_equal(e.code, ERR_object_damaged);
        err_release(&e);
        buf_release(&out);
        good.ptr[i / 8] ^= (char)(1 << i % 8);
    }
    buf_release(&good);
    arena_release(&arena);
}

/* What a power cut may leave: an empty file under the right name. It does not count as there. */
static void an_empty_object_is_not_there(void **state)
{
    struct digest digest = put_bytes("power cut", 9);

    (void)state;
    overwrite(&digest, "", 0);
    assert_false(store_has(store, &digest));
    put_bytes("power cut", 9);
    assert_true(store_has(store, &digest));
}

static void a_damaged_object_leaves_the_file_alone(void **state)
{
    struct digest digest = put_bytes("new content", 11);
    struct err e = {0};

    (void)state;
    put_text("target/file", "old", 0644);
    overwrite(&digest, "this is not a gzip file, by far not", 35);
    assert_int_equal(store_get_file(store, &digest, "target/file", 0644, &e), -1);
    assert_int_equal(e.code, ERR_object_damaged);
    err_release(&e);
    assert_content("target/file", "old");
    assert_int_equal(entries_in("target"), 1);
}

static int child_puts(const char *fault)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct digest digest;
        struct err e = {0};

        setenv("SPAK_FAULT", fault, 1);
        _exit(store_put_bytes(store, fault, strlen(fault), &digest, &e) < 0 ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_put_that_fails_leaves_no_object(void **state)
{
    static const char *const faults[] = {"store_put:1:ENOSPC", "write:1:ENOSPC", "rename:1:EIO",
                                         "write:1:KILL", "rename:1:KILL"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct digest digest;

        assert_int_equal(child_puts(faults[i]), strstr(faults[i], "KILL") ? -SIGKILL : 1);
        hash_bytes(faults[i], strlen(faults[i]), &digest);
        assert_false(store_has(store, &digest));
    }
    assert_int_equal(child_puts("store_put:1:EINTR"), 0);
}

static struct digest put_soon(const void *bytes, size_t len)
{
    struct digest digest;
    struct err e = {0};

    ok(store_put_bytes_soon(store, bytes, len, &digest, &e), &e);
    return digest;
}

static bool has_file(const struct digest *d)
{
    struct arena arena = {0};
    struct os_stat stat;
    struct err e = {0};

    ok(os_stat(object_path(&arena, d), &stat, &e), &e);
    arena_release(&arena);
    return stat.kind == OS_FILE;
}

/* Up to 1 KiB there is no file, above there is. */
static void small_ones_of_a_run_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 17, 1023, 1024, 1025, 4000};
    char bytes[4000];

    (void)state;
    memset(bytes, 'r', sizeof(bytes));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct digest digest = put_soon(bytes, sizes[i]);
        struct buf out = {0};
        struct err e = {0};

        assert_true(store_has(store, &digest));
        if (sizes[i] > 0)
            assert_int_equal(has_file(&digest), sizes[i] > 1024);
        ok(store_get_bytes(store, &digest, &out, &e), &e);
        assert_int_equal(out.len, sizes[i]);
        assert_memory_equal(buf_text(&out), bytes, sizes[i]);
        ok(store_get_file(store, &digest, "of_a_run", 0644, &e), &e);
        put_soon(bytes, sizes[i]);
        buf_release(&out);
    }
}

static void a_small_file_goes_in_and_out(void **state)
{
    struct hash_cache *cache = hash_cache_open("cache");
    struct digest digest;
    struct err e = {0};
    uint64_t size_bytes = 0;

    (void)state;
    put_text("small", "of a run, from a file", 0644);
    ok(store_put_file_soon(store, "small", cache, &digest, &size_bytes, &e), &e);
    assert_int_equal(size_bytes, 21);
    assert_false(has_file(&digest));
    ok(store_get_file(store, &digest, "small.again", 0644, &e), &e);
    assert_content("small.again", "of a run, from a file");
    assert_int_equal(store_put_file_soon(store, "absent", cache, &digest, &size_bytes, &e), -1);
    assert_string_equal(e.message, "cannot read absent: No such file or directory");
    err_release(&e);
    hash_cache_close(cache);
}

/* What another process finds. */
static bool other_has(const struct digest *d)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct err e = {0};

        store = store_open("s", &e);
        _exit(!store ? 2 : store_has(store, d));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 1;
}

/* What a process puts, and commits or not, before it is killed. */
static struct digest put_and_die(const char *text, bool commit)
{
    struct digest digest;
    int status;
    pid_t pid = fork();

    hash_bytes(text, strlen(text), &digest);
    if (pid == 0) {
        struct err e = {0};

        store = store_open("s", &e);
        put_soon(text, strlen(text));
        ok(store_begin(store, &e), &e);
        ok(store_put_value(store, text, "v", 1, &e), &e);
        if (commit)
            ok(store_commit_soon(store, &e), &e);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return digest;
}

static void small_ones_are_kept_with_their_records(void **state)
{
    struct digest digest;

    (void)state;
    digest = put_and_die("was committed", true);
    assert_true(other_has(&digest));
    digest = put_and_die("was not", false);
    assert_false(other_has(&digest));
}

/* The object was put before the transaction began. */
static void an_abort_leaves_small_ones(void **state)
{
    struct digest digest = put_soon("before", 6);
    struct buf out = {0};
    struct err e = {0};
    bool found;

    (void)state;
    ok(store_begin(store, &e), &e);
    ok(store_put_value(store, "aborted", "v", 1, &e), &e);
    store_abort(store);
    assert_true(store_has(store, &digest));
    ok(store_begin(store, &e), &e);
    ok(store_put_value(store, "kept", "v", 1, &e), &e);
    ok(store_commit_soon(store, &e), &e);
    ok(store_sync(store, &e), &e);
    assert_true(other_has(&digest));
    ok(store_get_value(store, "aborted", &out, &found, &e), &e);
    assert_false(found);
    buf_release(&out);
}

static void a_damaged_small_one_heals(void **state)
{
    struct digest digest = put_soon("to be damaged", 13);
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    ok(store_table_put(store, TABLE_OBJECTS, &digest, str_of("\1to be damages"), &e), &e);
    assert_int_equal(store_check_object(store, &digest, &e), -1);
    assert_int_equal(e.code, ERR_object_damaged);
    err_release(&e);
    assert_heals(&digest, "to be damaged");
    put_soon("to be damaged", 13);
    ok(store_get_bytes(store, &digest, &out, &e), &e);
    buf_release(&out);
}

static void small_ones_are_listed_and_removed(void **state)
{
    struct digest digest = put_soon("listed", 6);
    struct store_object *objects;
    struct arena arena = {0};
    struct err e = {0};
    size_t count, times = 0;

    (void)state;
    put_bytes("listed", 6); /* for all to see: a file */
    ok(store_objects(store, &arena, &objects, &count, &e), &e);
    for (size_t i = 0; i < count; i++) {
        times += digest_equal(&objects[i].digest, &digest);
        if (i > 0)
            assert_true(memcmp(&objects[i - 1].digest, &objects[i].digest, DIGEST_BYTES) < 0);
    }
    assert_int_equal(times, 1);
    ok(store_remove(store, &digest, &e), &e);
    assert_false(has_file(&digest));
    assert_false(store_has(store, &digest));
    ok(store_sync(store, &e), &e);
    assert_false(other_has(&digest));
    arena_release(&arena);
}

static void make_folder(const char *root)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/a", root);
    put_text(path, "alpha", 0644);
    snprintf(path, sizeof(path), "%s/sub/run", root);
    put_text(path, "#!/bin/sh\n", 0755);
    snprintf(path, sizeof(path), "%s/sub/deeper/b", root);
    put_text(path, "", 0644);
    snprintf(path, sizeof(path), "%s/empty", root);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/link", root);
    assert_int_equal(symlink("../nowhere", path), 0);
}

static void a_folder_comes_back_whole(void **state)
{
    struct digest stored;
    struct digest before;
    struct digest after;
    struct err e = {0};

    (void)state;
    make_folder("tree");
    ok(hash_tree("tree", &before, &e), &e);
    ok(store_put_tree(store, "tree", &stored, &e), &e);
    assert_true(digest_equal(&stored, &before));
    put_text("new/place/old", "to be replaced", 0644);
    ok(store_get_tree(store, &stored, "new/place", &e), &e);
    ok(hash_tree("new/place", &after, &e), &e);
    assert_true(digest_equal(&after, &before));
    assert_int_equal(entries_in("new"), 1);
    ok(store_get_tree(store, &stored, "tree", &e), &e);
    ok(hash_tree("tree", &after, &e), &e);
    assert_true(digest_equal(&after, &before));
}

static void a_folder_that_lost_a_file_leaves_the_old_one(void **state)
{
    struct arena arena = {0};
    struct digest stored;
    struct digest lost;
    struct err e = {0};

    (void)state;
    make_folder("lossy");
    put_text("lossy/unique", "only here", 0644);
    ok(store_put_tree(store, "lossy", &stored, &e), &e);
    hash_bytes("only here", 9, &lost);
    ok(os_remove(object_path(&arena, &lost), &e), &e);
    put_text("there/mine", "precious", 0644);
    assert_int_equal(store_get_tree(store, &stored, "there", &e), -1);
    assert_int_equal(e.code, ERR_object_missing);
    err_release(&e);
    assert_content("there/mine", "precious");
    arena_release(&arena);
}

static void assert_listing_refused(const char *fmt_path, const char *mode)
{
    struct digest content = put_bytes("evil", 4);
    struct buf listing = {0};
    struct digest digest;
    struct err e = {0};
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(&content, hex);
    buf_addf(&listing, "%s %s %s%c", mode, hex, fmt_path, 0);
    digest = put_bytes(listing.ptr, listing.len);
    assert_int_equal(store_get_tree(store, &digest, "forged", &e), -1);
    assert_int_equal(e.code, ERR_tree_damaged);
    assert_true(store_lost_object(&e));
    err_release(&e);
    buf_release(&listing);
}

static void a_forged_listing_leads_nowhere(void **state)
{
    struct digest digest = put_bytes("no listing at all", 17);
    struct err e = {0};

    (void)state;
    assert_listing_refused("../escaped", "100644");
    assert_listing_refused("a/../../escaped", "100644");
    assert_listing_refused("/escaped", "100644");
    assert_listing_refused("", "100644");
    assert_listing_refused("a//b", "100644");
    assert_listing_refused("a/", "040000");
    assert_listing_refused("./a", "100644");
    assert_listing_refused("a", "100600");
    assert_listing_refused("a", "060000");
    assert_int_equal(store_get_tree(store, &digest, "forged", &e), -1);
    assert_int_equal(e.code, ERR_tree_damaged);
    err_release(&e);
    assert_int_equal(access("escaped", F_OK), -1);
    assert_int_equal(access("forged", F_OK), -1);
}

static void a_listing_cannot_write_through_its_own_link(void **state)
{
    struct digest target = put_bytes("../outside", 10);
    struct digest content = put_bytes("evil", 4);
    struct buf listing = {0};
    struct digest digest;
    struct err e = {0};
    char hex[DIGEST_HEX_LEN + 1];

    (void)state;
    assert_int_equal(mkdir("outside", 0755), 0);
    digest_hex(&target, hex);
    buf_addf(&listing, "120000 %s way%c", hex, 0);
    digest_hex(&content, hex);
    buf_addf(&listing, "100644 %s way/file%c", hex, 0);
    digest = put_bytes(listing.ptr, listing.len);
    assert_int_equal(store_get_tree(store, &digest, "through", &e), -1);
    assert_int_equal(e.code, ERR_tree_damaged);
    err_release(&e);
    assert_int_equal(entries_in("outside"), 0);
    assert_int_equal(access("through", F_OK), -1);
    buf_release(&listing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_every_size_come_back),
        cmocka_unit_test(an_object_is_a_gzip_file_by_its_digest),
        cmocka_unit_test(putting_again_writes_nothing),
        cmocka_unit_test(files_go_in_and_out),
        cmocka_unit_test(a_missing_object_is_named),
        cmocka_unit_test(damage_is_never_handed_out_and_heals),
        cmocka_unit_test(every_flipped_bit_of_an_object_is_seen),
        cmocka_unit_test(an_empty_object_is_not_there),
        cmocka_unit_test(a_damaged_object_leaves_the_file_alone),
        cmocka_unit_test(a_put_that_fails_leaves_no_object),
        cmocka_unit_test(small_ones_of_a_run_come_back),
        cmocka_unit_test(a_small_file_goes_in_and_out),
        cmocka_unit_test(small_ones_are_kept_with_their_records),
        cmocka_unit_test(an_abort_leaves_small_ones),
        cmocka_unit_test(a_damaged_small_one_heals),
        cmocka_unit_test(small_ones_are_listed_and_removed),
        cmocka_unit_test(a_folder_comes_back_whole),
        cmocka_unit_test(a_folder_that_lost_a_file_leaves_the_old_one),
        cmocka_unit_test(a_forged_listing_leads_nowhere),
        cmocka_unit_test(a_listing_cannot_write_through_its_own_link),
    };

    return cmocka_run_group_tests_name("store_object", tests, enter_temp, leave_temp);
}
