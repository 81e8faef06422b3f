/* What a guide may say, and where the refusal points. */
#include "guide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void accepts(const char *text)
{
    struct err e = {0};
    if (guide_lint(text, strlen(text), "g.md", &e) < 0)
        fail_msg("refused: %s", e.message);
    assert_false(e.set);
}

static void refuses(const char *text, enum err_code code, int line, int column)
{
    struct err e = {0};
    assert_int_equal(guide_lint(text, strlen(text), "g.md", &e), -1);
    assert_int_equal(e.code, code);
    assert_string_equal(e.place.file, "g.md");
    assert_int_equal(e.place.line, line);
    assert_int_equal(e.place.column, column);
    assert_non_null(e.hint);
    assert_int_equal(err_class(&e), ERR_PROTOCOL);
    err_release(&e);
}

static void test_prose_with_named_freedoms(void **state)
{
    (void)state;
    accepts("");
    accepts("# fmha\n\nThe scores stay in registers; `block_m` and `stages` are free.\n");
    accepts("1. first\n2. second\n  10. nested\n");
    accepts("rests on `online-softmax/merge`\n");
}

static void test_words_that_only_look_like_names(void **state)
{
    (void)state;
    accepts("the sum of small tiles, asserted; volatile smoke, supersede, generation, adaptive\n");
    accepts("fp32 accumulators, bf16 operands, log2 of the length\n");
}

static void test_digests_are_names(void **state)
{
    (void)state;
    accepts("proof 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 holds\n");
    refuses("proof 9f86d081884c7d659a2feaa0c55ad015 holds\n", ERR_guide_value, 1, 7);
}

static void test_values(void **state)
{
    (void)state;
    refuses("tiles of 128 rows\n", ERR_guide_value, 1, 10);
    refuses("a\n\nblock 64x64\n", ERR_guide_value, 3, 7);
    refuses("use 3.5 times\n", ERR_guide_value, 1, 5);
    refuses("stages = 4\n", ERR_guide_value, 1, 10);
    refuses("1. two\n2 three\n", ERR_guide_value, 2, 1);
    refuses("{\"block_m\":128}", ERR_guide_value, 1, 12);
}

static void test_architectures(void **state)
{
    (void)state;
    refuses("for Hopper only\n", ERR_guide_architecture, 1, 5);
    refuses("needs sm_90a\n", ERR_guide_architecture, 1, 7);
    refuses("on the H100\n", ERR_guide_architecture, 1, 8);
    refuses("with AVX-512\n", ERR_guide_architecture, 1, 6);
    refuses("with avx512f\n", ERR_guide_architecture, 1, 6);
    refuses("use TMA loads\n", ERR_guide_architecture, 1, 5);
    refuses("the gfx942 port\n", ERR_guide_architecture, 1, 5);
    refuses("copy by wgmma.mma_async\n", ERR_guide_architecture, 1, 9);
}

static void test_code(void **state)
{
    (void)state;
    refuses("text\n```c\nx;\n```\n", ERR_guide_code, 2, 1);
    refuses("~~~\n", ERR_guide_code, 1, 1);
    refuses("call `__syncthreads()` here\n", ERR_guide_code, 1, 7);
    refuses("ok `name` then `a = b`\n", ERR_guide_code, 1, 17);
    accepts("an open ` tick is prose\n");
    accepts("`a``b`\n");
}

static void test_every_prefix_is_survived(void **state)
{
    (void)state;
    const char *text = "# t\n1. `x` \xc3\xa9t\xc3\xa9 \x00 ``` `";
    for (size_t n = 0; n < 24; n++) {
        struct err e = {0};
        guide_lint(text, n, "g.md", &e);
        err_release(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prose_with_named_freedoms),
        cmocka_unit_test(test_words_that_only_look_like_names),
        cmocka_unit_test(test_digests_are_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_architectures),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_every_prefix_is_survived),
    };
    return cmocka_run_group_tests_name("guide", tests, NULL, NULL);
}
