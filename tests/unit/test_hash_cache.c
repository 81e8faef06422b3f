#include "hash.h"
#include "scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("cache");

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

static void put(const char *path, const char *text)
{
    struct err e = {0};

    ok(os_mkdirs_for(path, &e), &e);
    ok(os_write(path, text, strlen(text), 0644, &e), &e);
}

/* Long enough for what was written before to count as old. */
static void grow_old(void)
{
    usleep(40000);
}

static void assert_digest_of(struct hash_cache *cache, const char *path, const char *content)
{
    struct digest expected;
    struct digest digest;
    struct err e = {0};
    bool exists;

    ok(hash_cache_digest(cache, path, &digest, &exists, &e), &e);
    assert_true(exists);
    hash_bytes(content, strlen(content), &expected);
    if (!digest_equal(&digest, &expected))
        fail_msg("%s: not the digest of \"%s\"", path, content);
}

static void save(struct hash_cache *cache)
{
    struct err e = {0};

    ok(hash_cache_save(cache, &e), &e);
}

static void an_old_file_is_read_once(void **state)
{
    struct hash_cache *cache = hash_cache_open("c1");

    (void)state;
    put("a", "one");
    grow_old();
    assert_digest_of(cache, "a", "one");
    assert_digest_of(cache, "a", "one");
    assert_int_equal(hash_cache_misses(cache), 1);
    save(cache);
    hash_cache_close(cache);
    cache = hash_cache_open("c1");
    assert_digest_of(cache, "a", "one");
    assert_int_equal(hash_cache_misses(cache), 0);
    hash_cache_close(cache);
}

static void a_file_just_written_is_not_trusted(void **state)
{
    struct hash_cache *cache = hash_cache_open("c2");

    (void)state;
    put("young", "one");
    assert_digest_of(cache, "young", "one");
    assert_digest_of(cache, "young", "one");
    assert_int_equal(hash_cache_misses(cache), 2);
    hash_cache_close(cache);
}

/* The classic race: same size, same clock tick, same inode. */
static void a_rewrite_within_a_tick_is_seen(void **state)
{
    struct hash_cache *cache = hash_cache_open("c3");
    char text[16];

    (void)state;
    for (int i = 0; i < 300; i++) {
        FILE *file = fopen("racy", "w");

        snprintf(text, sizeof(text), "%03d", i);
        fputs(text, file);
        fclose(file);
        assert_digest_of(cache, "racy", text);
    }
    hash_cache_close(cache);
}

static void a_change_behind_a_restored_mtime_is_seen(void **state)
{
    struct hash_cache *cache = hash_cache_open("c4");
    struct timespec times[2];
    struct stat before;
    int fd;

    (void)state;
    put("back", "one");
    grow_old();
    assert_digest_of(cache, "back", "one");
    assert_int_equal(stat("back", &before), 0);
    fd = open("back", O_WRONLY);
    assert_int_equal(write(fd, "two", 3), 3);
    close(fd);
    times[0] = before.st_atim;
    times[1] = before.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, "back", times, 0), 0);
    assert_digest_of(cache, "back", "two");
    hash_cache_close(cache);
}

static void a_file_put_in_its_place_is_seen(void **state)
{
    struct hash_cache *cache = hash_cache_open("c5");
    struct err e = {0};

    (void)state;
    put("x", "one");
    put("y", "two");
    grow_old();
    assert_digest_of(cache, "x", "one");
    ok(os_rename("y", "x", &e), &e);
    assert_digest_of(cache, "x", "two");
    hash_cache_close(cache);
}

static void a_missing_file_is_no_error(void **state)
{
    struct hash_cache *cache = hash_cache_open("c6");
    struct digest digest = {{1}};
    struct err e = {0};
    bool exists = true;

    (void)state;
    ok(hash_cache_digest(cache, "absent", &digest, &exists, &e), &e);
    assert_false(exists);
    assert_true(digest_is_zero(&digest));
    assert_int_equal(hash_cache_misses(cache), 0);
    assert_int_equal(mkfifo("pipe", 0644), 0);
    assert_int_equal(hash_cache_digest(cache, "pipe", &digest, &exists, &e), -1);
    assert_int_equal(e.code, ERR_odd_file);
    err_release(&e);
    hash_cache_close(cache);
}

static void a_folder_is_hashed_through_its_files(void **state)
{
    struct hash_cache *cache = hash_cache_open("c7");
    struct digest first;
    struct digest direct;
    struct err e = {0};
    bool exists;

    (void)state;
    put("dir/a", "one");
    put("dir/sub/b", "two");
    assert_int_equal(symlink("a", "dir/link"), 0);
    grow_old();
    ok(hash_cache_digest(cache, "dir", &first, &exists, &e), &e);
    assert_true(exists);
    assert_int_equal(hash_cache_misses(cache), 2);
    ok(hash_tree("dir", &direct, &e), &e);
    assert_true(digest_equal(&first, &direct));
    put("dir/sub/b", "TWO");
    ok(hash_cache_digest(cache, "dir", &first, &exists, &e), &e);
    assert_int_equal(hash_cache_misses(cache), 3);
    assert_false(digest_equal(&first, &direct));
    hash_cache_close(cache);
}

static void saving_keeps_what_was_not_asked_for(void **state)
{
    struct hash_cache *cache = hash_cache_open("c8");

    (void)state;
    put("s1", "one");
    put("s2", "two");
    grow_old();
    assert_digest_of(cache, "s1", "one");
    save(cache);
    hash_cache_close(cache);
    cache = hash_cache_open("c8");
    assert_digest_of(cache, "s2", "two");
    save(cache);
    hash_cache_close(cache);
    cache = hash_cache_open("c8");
    assert_digest_of(cache, "s1", "one");
    assert_digest_of(cache, "s2", "two");
    assert_int_equal(hash_cache_misses(cache), 0);
    hash_cache_close(cache);
}

static void a_newer_digest_supersedes_the_stored_one(void **state)
{
    struct hash_cache *cache = hash_cache_open("c9");

    (void)state;
    put("n", "one");
    grow_old();
    assert_digest_of(cache, "n", "one");
    save(cache);
    hash_cache_close(cache);
    put("n", "two");
    grow_old();
    cache = hash_cache_open("c9");
    assert_digest_of(cache, "n", "two");
    save(cache);
    hash_cache_close(cache);
    cache = hash_cache_open("c9");
    assert_digest_of(cache, "n", "two");
    assert_int_equal(hash_cache_misses(cache), 0);
    hash_cache_close(cache);
}

static void saving_writes_only_what_is_new(void **state)
{
    struct hash_cache *cache = hash_cache_open("sub/folder/c10");
    struct os_stat before;
    struct os_stat after;
    struct err e = {0};

    (void)state;
    save(cache);
    ok(os_stat("sub/folder/c10", &before, &e), &e);
    assert_int_equal(before.kind, OS_ABSENT);
    put("w", "one");
    grow_old();
    assert_digest_of(cache, "w", "one");
    save(cache);
    ok(os_stat("sub/folder/c10", &before, &e), &e);
    assert_int_equal(before.kind, OS_FILE);
    assert_digest_of(cache, "w", "one");
    save(cache);
    ok(os_stat("sub/folder/c10", &after, &e), &e);
    assert_int_equal(after.inode, before.inode);
    hash_cache_close(cache);
}

static void was_written(const char *path, bool expected, const struct os_stat *before)
{
    struct os_stat after;
    struct err e = {0};

    ok(os_stat(path, &after, &e), &e);
    assert_int_equal(after.inode != before->inode, expected);
}

/* In a large project the file is not written for one more source, but it is for a compiler. */
static void a_new_program_is_worth_a_write(void **state)
{
    struct hash_cache *cache = hash_cache_open("programs");
    struct os_stat before;
    struct err e = {0};
    char path[32];
    char *program = xmalloc((1 << 20) + 1);

    (void)state;
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof(path), "large/%d", i);
        put(path, "x");
    }
    memset(program, 'p', 1 << 20);
    program[1 << 20] = '\0';
    grow_old();
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof(path), "large/%d", i);
        assert_digest_of(cache, path, "x");
    }
    save(cache);
    hash_cache_close(cache);
    cache = hash_cache_open("programs");
    ok(os_stat("programs", &before, &e), &e);
    put("large/source", "one more");
    grow_old();
    assert_digest_of(cache, "large/source", "one more");
    save(cache);
    was_written("programs", false, &before);
    put("large/program", program);
    grow_old();
    assert_digest_of(cache, "large/program", program);
    save(cache);
    was_written("programs", true, &before);
    free(program);
    hash_cache_close(cache);
}

static void saving_where_one_cannot_is_an_error(void **state)
{
    struct hash_cache *cache = hash_cache_open("w/c11");
    struct err e = {0};

    (void)state;
    put("w", "a file, no folder");
    grow_old();
    assert_digest_of(cache, "w", "a file, no folder");
    assert_int_equal(hash_cache_save(cache, &e), -1);
    assert_true(e.set);
    err_release(&e);
    hash_cache_close(cache);
}

static void entries_nobody_asks_for_are_dropped_in_the_end(void **state)
{
    struct os_stat first;
    struct os_stat last;
    struct err e = {0};
    char path[64];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "gone/a-rather-long-name-%d", i);
        put(path, "x");
    }
    put("busy", "0");
    grow_old();
    for (int round = 0; round < 68; round++) {
        struct hash_cache *cache = hash_cache_open("c12");
        struct digest digest;
        bool exists;
        /* A changed mode changes ctime: one new entry a round. */
        struct timespec past[2] = {{1000000 + round, 5}, {1000000 + round, 5}};

        if (round == 0)
            ok(hash_cache_digest(cache, "gone", &digest, &exists, &e), &e);
        utimensat(AT_FDCWD, "busy", past, 0);
        usleep(round < 2 ? 30000 : 21000);
        assert_digest_of(cache, "busy", "0");
        save(cache);
        hash_cache_close(cache);
        if (round == 0)
            ok(os_stat("c12", &first, &e), &e);
    }
    ok(os_stat("c12", &last, &e), &e);
    assert_true(last.size_bytes * 4 < first.size_bytes);
}

static struct buf saved_image(void)
{
    struct hash_cache *cache = hash_cache_open("good");
    struct buf image = {0};
    struct err e = {0};

    put("f1", "one");
    put("f2", "two");
    put("f3", "three");
    grow_old();
    assert_digest_of(cache, "f1", "one");
    assert_digest_of(cache, "f2", "two");
    assert_digest_of(cache, "f3", "three");
    save(cache);
    hash_cache_close(cache);
    ok(os_read("good", &image, &e), &e);
    return image;
}

static void assert_right_answers(const char *bytes, size_t len)
{
    struct hash_cache *cache;
    struct err e = {0};

    ok(os_write("bad", bytes, len, 0644, &e), &e);
    cache = hash_cache_open("bad");
    assert_digest_of(cache, "f1", "one");
    assert_digest_of(cache, "f2", "two");
    assert_digest_of(cache, "f3", "three");
    hash_cache_close(cache);
}

static void a_flipped_bit_costs_time_not_truth(void **state)
{
    struct buf image = saved_image();

    (void)state;
    for (size_t i = 0; i < image.len; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            image.ptr[i] ^= (char)(1 << bit);
            assert_right_answers(image.ptr, image.len);
            image.ptr[i] ^= (char)(1 << bit);
        }
    }
    buf_release(&image);
}

static void a_short_file_is_an_empty_cache(void **state)
{
    struct buf image = saved_image();

    (void)state;
    for (size_t len = 0; len < image.len; len += 3)
        assert_right_answers(image.ptr, len);
    buf_addstr(&image, "tail");
    assert_right_answers(image.ptr, image.len);
    buf_release(&image);
}

static void *ask_for_all(void *ctx)
{
    struct hash_cache *cache = ctx;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++) {
            char path[64];
            struct digest digest;
            struct digest expected;
            struct err e = {0};
            bool exists;

            snprintf(path, sizeof(path), "many/%d", i);
            hash_bytes(path, strlen(path), &expected);
            if (hash_cache_digest(cache, path, &digest, &exists, &e) < 0 || !exists ||
                !digest_equal(&digest, &expected))
                return "wrong";
        }
    }
    return NULL;
}

static void threads_may_ask_at_once(void **state)
{
    struct hash_cache *cache = hash_cache_open("c13");
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 50; i++) {
        char path[64];

        snprintf(path, sizeof(path), "many/%d", i);
        put(path, path);
    }
    grow_old();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_all, cache), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *said;

        pthread_join(threads[i], &said);
        assert_null(said);
    }
    assert_in_range(hash_cache_misses(cache), 50, 200);
    hash_cache_close(cache);
}

/* Each is read once, by whichever thread; what cannot be read is for who asks for it. */
static void warm_files_are_not_read_again(void **state)
{
    enum { COUNT = 100, MISSING = 31, FOLDER = 32 };
    struct hash_cache *cache = hash_cache_open("warm.cache");
    struct arena arena = {0};
    struct strs paths = {0};
    struct digest digests[COUNT];
    bool known[COUNT] = {false};

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        strs_push(&paths, arena_printf(&arena, "warm/%d", i));
        if (i != MISSING && i != FOLDER)
            put(paths.at[i], paths.at[i]);
    }
    put("warm/32/folder", "instead of a file");
    grow_old();
    hash_cache_warm(cache, &paths, 4, digests, known);
    assert_int_equal(hash_cache_misses(cache), COUNT - 2);
    for (int i = 0; i < COUNT; i++) {
        struct digest expected;

        assert_int_equal(known[i], i != MISSING && i != FOLDER);
        hash_bytes(paths.at[i], strlen(paths.at[i]), &expected);
        if (known[i])
            assert_true(digest_equal(&digests[i], &expected));
        if (known[i])
            assert_digest_of(cache, paths.at[i], paths.at[i]);
    }
    assert_int_equal(hash_cache_misses(cache), COUNT - 2);
    hash_cache_warm(cache, &paths, 4, digests, known);
    assert_int_equal(hash_cache_misses(cache), COUNT - 2);
    strs_release(&paths);
    arena_release(&arena);
    hash_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_file_is_read_once),
        cmocka_unit_test(a_file_just_written_is_not_trusted),
        cmocka_unit_test(a_rewrite_within_a_tick_is_seen),
        cmocka_unit_test(a_change_behind_a_restored_mtime_is_seen),
        cmocka_unit_test(a_file_put_in_its_place_is_seen),
        cmocka_unit_test(a_missing_file_is_no_error),
        cmocka_unit_test(a_folder_is_hashed_through_its_files),
        cmocka_unit_test(saving_keeps_what_was_not_asked_for),
        cmocka_unit_test(a_newer_digest_supersedes_the_stored_one),
        cmocka_unit_test(saving_writes_only_what_is_new),
        cmocka_unit_test(a_new_program_is_worth_a_write),
        cmocka_unit_test(saving_where_one_cannot_is_an_error),
        cmocka_unit_test(entries_nobody_asks_for_are_dropped_in_the_end),
        cmocka_unit_test(a_flipped_bit_costs_time_not_truth),
        cmocka_unit_test(a_short_file_is_an_empty_cache),
        cmocka_unit_test(threads_may_ask_at_once),
        cmocka_unit_test(warm_files_are_not_read_again),
    };

    return cmocka_run_group_tests_name("hash_cache", tests, enter_temp, leave_temp);
}
