#include "base.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `fn` in a child with stderr in `said`; returns the signal that ended it. */
static int signal_of(void (*fn)(void), char *said, size_t size)
{
    int fds[2];
    int status;
    size_t used = 0;
    ssize_t len;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while ((len = read(fds[0], said + used, size - 1 - used)) > 0)
        used += (size_t)len;
    said[used] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_bug(void)
{
    BUG("node %d has no name", 7);
}

static void bug_names_the_place_and_aborts(void **state)
{
    char said[512];

    (void)state;
    assert_int_equal(signal_of(a_bug, said, sizeof(said)), SIGABRT);
    assert_non_null(strstr(said, "test_base.c:"));
    assert_non_null(strstr(said, "node 7 has no name\n"));
}

static void an_empty_bound(void)
{
    struct rng rng = {1};

    rng_below(&rng, 0);
}

static void rng_below_nothing_is_a_bug(void **state)
{
    char said[512];

    (void)state;
    assert_int_equal(signal_of(an_empty_bound, said, sizeof(said)), SIGABRT);
}

static void x_functions_serve_empty_requests(void **state)
{
    char *a = xmalloc(0);
    char *b = xcalloc(0, 8);
    char *c = xstrdup("");

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(c, "");
    a = xrealloc(a, 100);
    a[99] = 'x';
    free(a);
    free(b);
    free(c);
}

static void split_gives_every_piece(void **state)
{
    struct str rest = str_of("a,,bc,");
    struct str piece;

    (void)state;
    assert_true(str_split(&rest, ',', &piece));
    assert_true(str_equal(piece, str_of("a")));
    assert_true(str_split(&rest, ',', &piece));
    assert_true(str_equal(piece, str_of("")));
    assert_true(str_split(&rest, ',', &piece));
    assert_true(str_equal(piece, str_of("bc")));
    assert_false(str_split(&rest, ',', &piece));
}

static void split_of_nothing_is_nothing(void **state)
{
    struct str rest = {NULL, 0};
    struct str piece;

    (void)state;
    assert_false(str_split(&rest, '\n', &piece));
    rest = str_of("no separator");
    assert_true(str_split(&rest, '\n', &piece));
    assert_int_equal(piece.len, strlen("no separator"));
    assert_false(str_split(&rest, '\n', &piece));
}

static void trim_takes_white_space_alone(void **state)
{
    (void)state;
    assert_true(str_equal(str_trim(str_of(" \t\r\n a b \v\f")), str_of("a b")));
    assert_true(str_equal(str_trim(str_of(" \n ")), str_of("")));
    assert_true(str_equal(str_trim(str_of("")), str_of("")));
    assert_true(str_equal(str_trim(str_of("\xc3\xa0")), str_of("\xc3\xa0")));
}

static void str_equal_looks_at_length_and_bytes(void **state)
{
    (void)state;
    assert_false(str_equal(str_of("a"), str_of("ab")));
    assert_false(str_equal(str_of("ab"), str_of("ac")));
    assert_true(str_equal((struct str){"a\0b", 3}, (struct str){"a\0b", 3}));
    assert_false(str_equal((struct str){"a\0b", 3}, (struct str){"a\0c", 3}));
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(text_starts_with("out/a.o", "out/"));
    assert_true(text_starts_with("x", ""));
    assert_false(text_starts_with("ou", "out"));
    assert_true(text_ends_with("a.md", ".md"));
    assert_true(text_ends_with("a", ""));
    assert_false(text_ends_with("md", ".md"));
    assert_false(text_ends_with("a.mdx", ".md"));
}

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("node", "node"), 0);
    assert_int_equal(text_distance("node", "ndoe"), 1); /* a swap */
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("ca", "abc"), 3);
    assert_int_equal(text_distance("target", "targets"), 1);
    assert_int_equal(text_distance("ab", "ba"), text_distance("ba", "ab"));
}

static void arena_pieces_are_zero_aligned_and_apart(void **state)
{
    struct arena arena = {0};
    char *pieces[2000];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t bytes = i % 97 + 1;

        pieces[i] = arena_alloc(&arena, bytes);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < bytes; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)(i % 251) + 1, bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t k = 0; k < i % 97 + 1; k++)
            assert_int_equal((unsigned char)pieces[i][k], i % 251 + 1);
    }
    arena_release(&arena);
    assert_null(arena.blocks);
}

static void arena_keeps_its_room_behind_a_large_piece(void **state)
{
    struct arena arena = {0};
    char *first = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, 1 << 20);
    char *second = arena_alloc(&arena, 16);

    (void)state;
    large[(1 << 20) - 1] = 1;
    assert_ptr_equal(second, first + 16);
    assert_non_null(arena_alloc(&arena, 0));
    arena_release(&arena);
}

static void arena_copies_text(void **state)
{
    struct arena arena = {0};
    char source[] = "hello";
    char *copy = arena_strdup(&arena, source);
    char *part = arena_strndup(&arena, source, 3);
    char *whole = arena_memdup(&arena, "a\0b", 3);

    (void)state;
    source[0] = 'j';
    assert_string_equal(copy, "hello");
    assert_string_equal(part, "hel");
    assert_memory_equal(whole, "a\0b", 3);
    assert_string_equal(arena_printf(&arena, "%s-%d", copy, 42), "hello-42");
    assert_string_equal(arena_printf(&arena, "%s", ""), "");
    assert_non_null(arena_memdup(&arena, NULL, 0));
    arena_release(&arena);
}

static void buf_stays_terminated(void **state)
{
    struct buf buf = {0};

    (void)state;
    assert_string_equal(buf_text(&buf), "");
    buf_add(&buf, NULL, 0);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.ptr, "");
    buf_addstr(&buf, "ab");
    buf_addch(&buf, 'c');
    buf_add(&buf, "d\0e", 3);
    assert_int_equal(buf.len, 6);
    assert_memory_equal(buf.ptr, "abcd\0e", 7);
    buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.ptr, "");
    buf_release(&buf);
    assert_null(buf.ptr);
}

static void buf_grows_past_every_boundary(void **state)
{
    struct buf buf = {0};

    (void)state;
    for (int i = 0; i < 5000; i++) {
        buf_addch(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.ptr[buf.len], '\0');
    }
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf.ptr[i], 'a' + i % 26);
    buf_release(&buf);
}

static void buf_formats_of_any_length(void **state)
{
    char wide[400];

    (void)state;
    memset(wide, 'w', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    for (size_t before = 0; before < 130; before++) {
        struct buf buf = {0};

        for (size_t i = 0; i < before; i++)
            buf_addch(&buf, '.');
        buf_addf(&buf, "%s|%d", wide, 5);
        assert_int_equal(buf.len, before + sizeof(wide) - 1 + 2);
        assert_int_equal(strlen(buf.ptr), buf.len);
        assert_string_equal(buf.ptr + buf.len - 3, "w|5");
        buf_release(&buf);
    }
}

static void buf_reserve_makes_room_in_place(void **state)
{
    struct buf buf = {0};
    char *to;

    (void)state;
    buf_addstr(&buf, "x");
    to = buf_reserve(&buf, 10000);
    memset(to, 'y', 10000);
    buf.len += 10000;
    buf_addch(&buf, 'z');
    assert_int_equal(strlen(buf.ptr), 10002);
    assert_int_equal(buf.ptr[10000], 'y');
    buf_release(&buf);
}

static void ids_hold_what_was_pushed(void **state)
{
    struct ids ids = {0};

    (void)state;
    assert_false(ids_contains(&ids, 0));
    for (uint32_t i = 0; i < 1000; i++)
        ids_push(&ids, i * 3);
    assert_int_equal(ids.len, 1000);
    assert_int_equal(ids.at[999], 2997);
    assert_true(ids_contains(&ids, 300));
    assert_false(ids_contains(&ids, 301));
    ids_release(&ids);
    assert_int_equal(ids.len, 0);
}

static void strs_serve_as_argv_and_sort_by_bytes(void **state)
{
    struct strs strs = {0};

    (void)state;
    strs_sort(&strs);
    strs_push(&strs, "b");
    assert_null(strs.at[1]);
    strs_push(&strs, "a");
    strs_push(&strs, "\xc3\xa0");
    strs_push(&strs, "B");
    strs_push(&strs, "aa");
    strs_sort(&strs);
    assert_string_equal(strs.at[0], "B");
    assert_string_equal(strs.at[1], "a");
    assert_string_equal(strs.at[2], "aa");
    assert_string_equal(strs.at[3], "b");
    assert_string_equal(strs.at[4], "\xc3\xa0");
    assert_null(strs.at[5]);
    for (int i = 0; i < 100; i++) {
        strs_push(&strs, "x");
        assert_null(strs.at[strs.len]);
    }
    strs_release(&strs);
}

static void strmap_finds_every_key(void **state)
{
    struct arena arena = {0};
    struct strmap map = {0};

    (void)state;
    assert_int_equal(strmap_get(&map, "a"), STRMAP_NONE);
    for (uint32_t i = 0; i < 20000; i++)
        strmap_set(&map, arena_printf(&arena, "out/file%u.o", i), i);
    assert_int_equal(map.len, 20000);
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(strmap_get(&map, arena_printf(&arena, "out/file%u.o", i)), i);
    assert_int_equal(strmap_get(&map, "out/file20000.o"), STRMAP_NONE);
    assert_int_equal(strmap_get(&map, ""), STRMAP_NONE);
    strmap_release(&map);
    assert_int_equal(map.len, 0);
    arena_release(&arena);
}

static void strmap_replaces_a_value(void **state)
{
    struct strmap map = {0};
    char other[] = "key";

    (void)state;
    strmap_set(&map, "key", 1);
    strmap_set(&map, other, 2);
    strmap_set(&map, "", 3);
    assert_int_equal(map.len, 2);
    assert_int_equal(strmap_get(&map, "key"), 2);
    assert_int_equal(strmap_get(&map, ""), 3);
    strmap_release(&map);
}

/* The published values of SplitMix64 for this seed: seeds in records must mean the same for ever.
 */
static void rng_is_splitmix64(void **state)
{
    struct rng rng = {1234567};

    (void)state;
    assert_true(rng_next(&rng) == 6457827717110365317u);
    assert_true(rng_next(&rng) == 3203168211198807973u);
    assert_true(rng_next(&rng) == 9817491932198370423u);
    assert_true(rng_next(&rng) == 4593380528125082431u);
    assert_true(rng_next(&rng) == 16408922859458223821u);
}

static void rng_below_is_even(void **state)
{
    struct rng rng = {42};
    size_t seen[7] = {0};

    (void)state;
    for (int i = 0; i < 70000; i++) {
        uint64_t number = rng_below(&rng, 7);

        assert_true(number < 7);
        seen[number]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rng_below(&rng, 1), 0);
}

/* With a bound of 3/4 of the range, the remainder alone would give the first third twice as often.
 */
static void rng_below_has_no_bias_for_large_bounds(void **state)
{
    struct rng rng = {7};
    uint64_t quarter = (uint64_t)1 << 62;
    size_t low = 0;

    (void)state;
    for (int i = 0; i < 30000; i++)
        low += rng_below(&rng, 3 * quarter) < quarter;
    assert_in_range(low, 9500, 10500);
}

static void rng_unit_lies_in_the_half_open_interval(void **state)
{
    struct rng rng = {3};
    double sum = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        double number = rng_unit(&rng);

        assert_true(number >= 0 && number < 1);
        sum += number;
    }
    assert_true(sum > 4850 && sum < 5150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_names_the_place_and_aborts),
        cmocka_unit_test(rng_below_nothing_is_a_bug),
        cmocka_unit_test(x_functions_serve_empty_requests),
        cmocka_unit_test(split_gives_every_piece),
        cmocka_unit_test(split_of_nothing_is_nothing),
        cmocka_unit_test(trim_takes_white_space_alone),
        cmocka_unit_test(str_equal_looks_at_length_and_bytes),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(distance_counts_edits),
        cmocka_unit_test(arena_pieces_are_zero_aligned_and_apart),
        cmocka_unit_test(arena_keeps_its_room_behind_a_large_piece),
        cmocka_unit_test(arena_copies_text),
        cmocka_unit_test(buf_stays_terminated),
        cmocka_unit_test(buf_grows_past_every_boundary),
        cmocka_unit_test(buf_formats_of_any_length),
        cmocka_unit_test(buf_reserve_makes_room_in_place),
        cmocka_unit_test(ids_hold_what_was_pushed),
        cmocka_unit_test(strs_serve_as_argv_and_sort_by_bytes),
        cmocka_unit_test(strmap_finds_every_key),
        cmocka_unit_test(strmap_replaces_a_value),
        cmocka_unit_test(rng_is_splitmix64),
        cmocka_unit_test(rng_below_is_even),
        cmocka_unit_test(rng_below_has_no_bias_for_large_bounds),
        cmocka_unit_test(rng_unit_lies_in_the_half_open_interval),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
