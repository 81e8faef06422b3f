/* stamps: what moved is seen, what was touched is not, and a damaged file is no stamps. */
#include "scratch.h"
#include "stamps.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("stamps");

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

static void put(const char *path, const char *text)
{
    struct err e = {0};

    assert_int_equal(os_mkdirs_for(path, &e), 0);
    assert_int_equal(os_write_in_place(path, text, strlen(text), &e), 0);
}

/* Longer than a tick of the clock that stamps files. */
static void let_time_pass(void)
{
    usleep(30000);
}

static void digest_of(const char *text, struct digest *out)
{
    hash_bytes(text, strlen(text), out);
}

static struct digest key_of(const char *text)
{
    struct digest key;

    digest_of(text, &key);
    return key;
}

/* Knows the digests of the files, as a build does that has just looked at them. */
static struct hash_cache *cache_of(const char *const *paths)
{
    struct hash_cache *cache = hash_cache_open("cache");
    struct err e = {0};

    for (; *paths; paths++) {
        struct digest digest;
        bool exists;

        assert_int_equal(hash_cache_digest(cache, *paths, &digest, &exists, &e), 0);
    }
    return cache;
}

static const char *const files[] = {"src/a", "src/b", "src/deep/c", "top", NULL};

/* a and b are used by node 1, c by node 2, top by the graph; "gone" is not there, and the folder
 * src is known to the nanosecond. */
static struct stamps *written(struct hash_cache **cache)
{
    struct stamps_builder *b = stamps_build(3);
    struct digest digest, key = key_of("key");
    struct err e = {0};

    for (int i = 0; files[i]; i++)
        put(files[i], files[i]);
    let_time_pass();
    *cache = cache_of(files);
    for (int i = 0; files[i]; i++) {
        uint32_t stamp;

        digest_of(files[i], &digest);
        stamp = stamps_add(b, files[i], STAMP_FILE, &digest);
        stamps_add_user(b, stamp, i < 2 ? 1 : i == 2 ? 2 : STAMP_GRAPH);
    }
    stamps_add_user(b, stamps_add(b, "gone", STAMP_ABSENT, NULL), STAMP_GRAPH);
    stamps_add_user(b, stamps_add(b, "src", STAMP_EXACT, NULL), STAMP_GRAPH);
    digest_of("value", &digest);
    stamps_add_value(b, 7, "what", &digest);
    stamps_cover(b, 1);
    assert_int_equal(stamps_write(b, "stamps", &key, *cache, os_stamp_ns(), &e), 0);
    stamps_discard(b);
    struct stamps *s = stamps_map("stamps", &key);
    assert_non_null(s);
    return s;
}

static void assert_moved(struct stamps *s, struct hash_cache *cache, const char *const *paths)
{
    struct ids moved = {0};
    struct arena arena = {0};
    struct err e = {0};
    size_t count = 0;

    assert_int_equal(stamps_check(s, 2, cache, &moved, &e), 0);
    for (; *paths; paths++, count++)
        assert_true(ids_contains(&moved, stamps_find(s, *paths)));
    assert_int_equal(moved.len, count);
    ids_release(&moved);
    arena_release(&arena);
}
#define ASSERT_MOVED(s, cache, ...) assert_moved(s, cache, (const char *const[]){__VA_ARGS__, NULL})

static void what_is_written_comes_back(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct arena arena = {0};
    const char *what;
    struct digest digest, value;
    uint32_t kind, count;

    (void)state;
    assert_int_equal(stamps_count(s), 6);
    assert_int_equal(stamps_find(s, "src/nothing"), STAMP_NONE);
    assert_int_equal(stamps_find(s, "nowhere/a"), STAMP_NONE);
    assert_string_equal(stamps_path(s, stamps_find(s, "top"), &arena), "top");
    assert_string_equal(stamps_path(s, stamps_find(s, "src/deep/c"), &arena), "src/deep/c");
    assert_int_equal(stamps_users(s, stamps_find(s, "src/b"), &count)[0], 1);
    assert_int_equal(count, 1);
    assert_true(stamps_has_user(s, stamps_find(s, "top"), STAMP_GRAPH));
    assert_true(stamps_covers(s, 1));
    assert_false(stamps_covers(s, 2));
    assert_false(stamps_covers(s, 99));
    assert_true(stamps_value(s, 0, &kind, &what, &value));
    digest_of("value", &digest);
    assert_true(digest_equal(&value, &digest) && kind == 7);
    assert_string_equal(what, "what");
    assert_false(stamps_value(s, 1, &kind, &what, &value));
    stamps_free(s);
    hash_cache_close(cache);
    arena_release(&arena);
}

static void what_moved_is_seen(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);

    (void)state;
    assert_moved(s, cache, (const char *const[]){NULL});
    put("src/a", "other");
    ASSERT_MOVED(s, cache, "src/a");
    put("gone", "here");
    ASSERT_MOVED(s, cache, "src/a", "gone");
    unlink("gone");
    put("src/new", "");
    ASSERT_MOVED(s, cache, "src/a", "src");
    unlink("top");
    ASSERT_MOVED(s, cache, "src/a", "src", "top");
    stamps_free(s);
    hash_cache_close(cache);
}

/* Builders that compare times of files by the second, or only ask which is newer, miss these. */
static void edits_that_leave_the_time_are_seen(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct stat before;

    (void)state;
    assert_int_equal(stat("src/a", &before), 0);
    put("src/a", "SRC/A"); /* as long as it was */
    struct timespec times[] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, "src/a", times, 0), 0);
    ASSERT_MOVED(s, cache, "src/a");
    assert_int_equal(rename("src/b", "kept"), 0);
    put("src/b", "SRC/B");
    assert_int_equal(utimensat(AT_FDCWD, "src/b", times, 0), 0);
    ASSERT_MOVED(s, cache, "src/a", "src/b", "src");
    stamps_free(s);
    hash_cache_close(cache);
}

/* The stamp says how the file looked when it was read, not when the stamp was made. */
static void an_edit_before_they_are_written_is_seen(void **state)
{
    static const char *const one[] = {"early", NULL};
    struct stamps_builder *b = stamps_build(1);
    struct digest digest, key = key_of("key");
    struct timespec old[2] = {{.tv_nsec = UTIME_OMIT}};
    struct hash_cache *cache;
    struct stat st;
    struct err e = {0};

    (void)state;
    put("early", "before");
    let_time_pass();
    cache = cache_of(one);
    assert_int_equal(stat("early", &st), 0);
    put("early", "after!");
    old[1] = st.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, "early", old, 0), 0);
    digest_of("before", &digest);
    stamps_add(b, "early", STAMP_FILE, &digest);
    assert_int_equal(stamps_write(b, "stamps", &key, cache, os_stamp_ns(), &e), 0);
    stamps_discard(b);
    struct stamps *s = stamps_map("stamps", &key);
    assert_non_null(s);
    ASSERT_MOVED(s, cache, "early");
    stamps_free(s);
    hash_cache_close(cache);
}

static void what_was_only_touched_holds(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct digest key = key_of("key");
    size_t misses;

    (void)state;
    put("src/deep/c", "src/deep/c");
    let_time_pass();
    misses = hash_cache_misses(cache);
    assert_moved(s, cache, (const char *const[]){NULL});
    assert_int_equal(hash_cache_misses(cache), misses + 1);
    stamps_free(s);
    s = stamps_map("stamps", &key);
    assert_moved(s, cache, (const char *const[]){NULL}); /* its new look was written down */
    assert_int_equal(hash_cache_misses(cache), misses + 1);
    stamps_free(s);
    hash_cache_close(cache);
}

static void a_stamp_is_renewed_only_for_what_it_should_hold(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct digest other;
    struct err e = {0};
    uint32_t a = stamps_find(s, "src/a");

    (void)state;
    put("src/a", "other");
    let_time_pass();
    digest_of("not what is there", &other);
    assert_int_equal(stamps_renew(s, a, &other, cache, os_stamp_ns(), &e), 0);
    ASSERT_MOVED(s, cache, "src/a");
    digest_of("other", &other);
    assert_int_equal(stamps_renew(s, a, &other, cache, os_stamp_ns(), &e), 0);
    assert_moved(s, cache, (const char *const[]){NULL});
    put("src/new", "");
    assert_int_equal(stamps_renew(s, stamps_find(s, "src"), NULL, cache, 0, &e), 0);
    ASSERT_MOVED(s, cache, "src"); /* changed after the time that is known about */
    let_time_pass();
    assert_int_equal(stamps_renew(s, stamps_find(s, "src"), NULL, cache, os_stamp_ns(), &e), 0);
    assert_moved(s, cache, (const char *const[]){NULL});
    stamps_rest(s); /* forgets nothing */
    assert_moved(s, cache, (const char *const[]){NULL});
    stamps_free(s);
    hash_cache_close(cache);
}

static void requests_are_remembered(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct digest key = key_of("key"), one = key_of("one"), two = key_of("two");
    uint32_t nodes = 0;

    (void)state;
    assert_false(stamps_knows(s, &one, &nodes));
    stamps_remember(s, &one, 11);
    stamps_free(s);
    s = stamps_map("stamps", &key);
    assert_true(stamps_knows(s, &one, &nodes));
    assert_int_equal(nodes, 11);
    for (int i = 0; i < 100; i++) {
        char text[16];
        struct digest request;

        snprintf(text, sizeof(text), "%d", i);
        request = key_of(text);
        stamps_remember(s, &request, (uint32_t)i);
    }
    assert_false(stamps_knows(s, &one, &nodes));
    assert_false(stamps_knows(s, &two, &nodes));
    stamps_free(s);
    hash_cache_close(cache);
}

/* From here on no file takes a byte; gives back what was allowed before. */
static struct rlimit fill_disk(void)
{
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    return before;
}

static void a_full_disk_costs_the_file_alone(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct digest key = key_of("key"), other;
    struct err e = {0};
    struct rlimit before;
    uint32_t nodes = 0;

    (void)state;
    put("src/a", "other");
    put("src/deep/c", "src/deep/c");
    let_time_pass();
    digest_of("other", &other);
    signal(SIGXFSZ, SIG_IGN);
    before = fill_disk();
    int rc = stamps_renew(s, stamps_find(s, "src/a"), &other, cache, os_stamp_ns(), &e);
    stamps_set_cover(s, 1, false);
    stamps_remember(s, &key, 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, 0);
    stamps_rest(s);
    assert_moved(s, cache, (const char *const[]){NULL});
    assert_false(stamps_covers(s, 1));
    assert_true(stamps_knows(s, &key, &nodes));
    assert_int_equal(access("stamps", F_OK), -1);
    stamps_free(s);
    assert_null(stamps_map("stamps", &key));
    hash_cache_close(cache);
}

static void damage_and_other_keys_are_no_stamps(void **state)
{
    struct hash_cache *cache;
    struct digest key = key_of("key"), other = key_of("other");
    struct buf whole = {0};
    struct err e = {0};

    (void)state;
    stamps_free(written(&cache));
    hash_cache_close(cache);
    assert_null(stamps_map("stamps", &other));
    assert_null(stamps_map("absent", &key));
    assert_int_equal(os_read("stamps", &whole, &e), 0);
    for (size_t len = 0; len < whole.len; len += 97) {
        assert_int_equal(os_write("short", whole.ptr, len, 0644, &e), 0);
        assert_null(stamps_map("short", &key));
    }
    buf_release(&whole);
}

/* Whatever bit is wrong, nothing that moved may pass as still. */
static void one_wrong_bit_hides_nothing(void **state)
{
    struct hash_cache *cache;
    struct stamps *s = written(&cache);
    struct digest key = key_of("key");
    struct buf whole = {0};
    struct err e = {0};

    (void)state;
    stamps_free(s);
    put("src/a", "moved");
    assert_int_equal(os_read("stamps", &whole, &e), 0);
    for (size_t at = 0; at < whole.len; at++) {
        struct ids moved = {0};

        whole.ptr[at] ^= 1 << at % 8;
        assert_int_equal(os_write("bit", whole.ptr, whole.len, 0644, &e), 0);
        whole.ptr[at] ^= 1 << at % 8;
        s = stamps_map("bit", &key);
        if (s && stamps_check(s, 1, cache, &moved, &e) == 0)
            assert_true(moved.len > 0);
        err_release(&e);
        ids_release(&moved);
        stamps_free(s);
    }
    buf_release(&whole);
    hash_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(what_moved_is_seen),
        cmocka_unit_test(edits_that_leave_the_time_are_seen),
        cmocka_unit_test(an_edit_before_they_are_written_is_seen),
        cmocka_unit_test(what_was_only_touched_holds),
        cmocka_unit_test(a_stamp_is_renewed_only_for_what_it_should_hold),
        cmocka_unit_test(requests_are_remembered),
        cmocka_unit_test(a_full_disk_costs_the_file_alone),
        cmocka_unit_test(damage_and_other_keys_are_no_stamps),
        cmocka_unit_test(one_wrong_bit_hides_nothing),
    };

    return cmocka_run_group_tests_name("stamps", tests, enter_temp, leave_temp);
}
