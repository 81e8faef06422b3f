#include "depfile.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Parses and gives the paths joined by "|". */
static void assert_paths(const char *text, const char *expected)
{
    struct arena arena = {0};
    struct strs paths = {0};
    struct buf joined = {0};
    struct err e = {0};

    if (depfile_parse(text, strlen(text), "t.d", &arena, &paths, &e) < 0)
        fail_msg("%s: %s", text, e.message);
    for (size_t i = 0; i < paths.len; i++)
        buf_addf(&joined, "%s%s", i > 0 ? "|" : "", paths.at[i]);
    assert_string_equal(buf_text(&joined), expected);
    buf_release(&joined);
    strs_release(&paths);
    arena_release(&arena);
}

static void assert_refused(const char *text, size_t len, int line)
{
    struct arena arena = {0};
    struct strs paths = {0};
    struct err e = {0};

    assert_int_equal(depfile_parse(text, len, "t.d", &arena, &paths, &e), -1);
    assert_int_equal(e.code, ERR_depfile_syntax);
    assert_string_equal(e.place.file, "t.d");
    assert_int_equal(e.place.line, line);
    err_release(&e);
    strs_release(&paths);
    arena_release(&arena);
}

static void plain_rules(void **state)
{
    (void)state;
    assert_paths("", "");
    assert_paths("\n\n", "");
    assert_paths("a.o: a.c a.h\n", "a.c|a.h");
    assert_paths("a.o: a.c", "a.c");
    assert_paths("a.o:\n", "");
    assert_paths("a.o:", "");
    assert_paths("  a.o  :  a.c\t b.c  \n", "a.c|b.c");
}

static void continued_lines(void **state)
{
    (void)state;
    assert_paths("a.o: a.c \\\n  b.h \\\n  c.h\n", "a.c|b.h|c.h");
    assert_paths("a.o: a.c\\\nb.h\n", "a.c|b.h");
    assert_paths("a.o \\\n : a.c\n", "a.c");
    assert_paths("a.o: \\\n\n", "");
    assert_paths("a.o: a.c \\", "a.c|\\");
}

static void windows_line_ends(void **state)
{
    (void)state;
    assert_paths("a.o: a.c \\\r\n b.h\r\nb.h:\r\n", "a.c|b.h");
    assert_paths("a.o:\r\n", "");
    assert_paths("a.o: x\ry\n", "x\ry");
}

static void phony_rules_of_mp_add_nothing(void **state)
{
    (void)state;
    assert_paths("a.o: a.c a.h b.h\n\na.h:\n\nb.h:\n", "a.c|a.h|b.h");
}

static void several_rules_and_targets(void **state)
{
    (void)state;
    assert_paths("a.o a.d: a.c\nb.o: b.c a.c\n", "a.c|b.c");
    assert_paths("a.o: a.c a.c a.h a.c\n", "a.c|a.h");
}

static void escapes(void **state)
{
    (void)state;
    assert_paths("a.o: my\\ file.c\n", "my file.c");
    assert_paths("a.o: a\\\\\\ b\n", "a\\ b");
    assert_paths("a.o: a\\\\ b\n", "a\\|b");
    assert_paths("a.o: cost$$.h $x $\n", "cost$.h|$x|$");
    assert_paths("a.o: \\#odd.h a#b\n", "#odd.h|a#b");
    assert_paths("a.o: a\\b\\c.h\n", "a\\b\\c.h");
    assert_paths("a.o: a\\\tb\n", "a\tb");
    assert_paths("a.o: end\\\\\\\n next\n", "end\\\\|next");
}

static void colons_in_names(void **state)
{
    (void)state;
    assert_paths("c:/a.o: c:/a.c c:\\x\\y.h\n", "c:/a.c|c:\\x\\y.h");
    assert_paths("a\\:b.o: a\\:b.c x\n", "a:b.c|x");
    assert_paths("a.o:a.c b.o: c\n", "c");
}

static void what_was_there_stays_and_is_not_repeated(void **state)
{
    struct arena arena = {0};
    struct strs paths = {0};
    struct err e = {0};
    const char *text = "a.o: b.h c.h\n";

    (void)state;
    strs_push(&paths, "c.h");
    assert_int_equal(depfile_parse(text, strlen(text), "t.d", &arena, &paths, &e), 0);
    assert_int_equal(paths.len, 2);
    assert_string_equal(paths.at[0], "c.h");
    assert_string_equal(paths.at[1], "b.h");
    strs_release(&paths);
    arena_release(&arena);
}

/* The text need not be terminated, and paths outlive it. */
static void only_len_bytes_are_read(void **state)
{
    struct arena arena = {0};
    struct strs paths = {0};
    struct err e = {0};
    char *text = xmalloc(8);

    (void)state;
    memcpy(text, "a: b.hXX", 8);
    assert_int_equal(depfile_parse(text, 6, "t.d", &arena, &paths, &e), 0);
    memset(text, '#', 8);
    free(text);
    assert_string_equal(paths.at[0], "b.h");
    strs_release(&paths);
    arena_release(&arena);
}

static void many_paths_take_linear_time(void **state)
{
    struct arena arena = {0};
    struct strs paths = {0};
    struct buf text = {0};
    struct err e = {0};

    (void)state;
    buf_addstr(&text, "a.o:");
    for (int i = 0; i < 50000; i++)
        buf_addf(&text, " \\\n include/h%d.h", i % 25000);
    assert_int_equal(depfile_parse(text.ptr, text.len, "t.d", &arena, &paths, &e), 0);
    assert_int_equal(paths.len, 25000);
    assert_string_equal(paths.at[24999], "include/h24999.h");
    strs_release(&paths);
    buf_release(&text);
    arena_release(&arena);
}

static void what_is_no_depfile_is_refused(void **state)
{
    (void)state;
    assert_refused("hello\n", 6, 1);
    assert_refused("a: b\n\nthis is not a rule\n", 25, 3);
    assert_refused("a: b \\\n c\nx\n", 12, 3);
    assert_refused("a: b\0c\n", 7, 1);
}

/* No bytes make it read outside of the text (the address sanitizer watches) or loop. */
static void random_bytes_never_crash_it(void **state)
{
    static const char alphabet[] = "ab :\\\n\r\t$#";
    struct rng rng = {99};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct arena arena = {0};
        struct strs paths = {0};
        struct err e = {0};
        size_t len = rng_below(&rng, 24);
        char *text = xmalloc(len);

        for (size_t k = 0; k < len; k++)
            text[k] = alphabet[rng_below(&rng, sizeof(alphabet))];
        if (depfile_parse(text, len, "t.d", &arena, &paths, &e) < 0)
            assert_true(e.set);
        free(text);
        err_release(&e);
        strs_release(&paths);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rules),
        cmocka_unit_test(continued_lines),
        cmocka_unit_test(windows_line_ends),
        cmocka_unit_test(phony_rules_of_mp_add_nothing),
        cmocka_unit_test(several_rules_and_targets),
        cmocka_unit_test(escapes),
        cmocka_unit_test(colons_in_names),
        cmocka_unit_test(what_was_there_stays_and_is_not_repeated),
        cmocka_unit_test(only_len_bytes_are_read),
        cmocka_unit_test(many_paths_take_linear_time),
        cmocka_unit_test(what_is_no_depfile_is_refused),
        cmocka_unit_test(random_bytes_never_crash_it),
    };

    return cmocka_run_group_tests_name("depfile", tests, NULL, NULL);
}
