#include "script.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct woven {
    struct arena arena;
    struct buf lua;
    struct literate_doc *docs;
    size_t count;
    struct err err;
    int result;
};

static struct woven weave(const char *text)
{
    struct woven w = {0};

    w.result =
        literate_to_lua(text, strlen(text), "x.md", &w.arena, &w.lua, &w.docs, &w.count, &w.err);
    return w;
}

static void release(struct woven *w)
{
    buf_release(&w->lua);
    arena_release(&w->arena);
    err_release(&w->err);
}

static void becomes(const char *text, const char *lua)
{
    struct woven w = weave(text);

    if (w.err.set)
        fail_msg("%s", w.err.message);
    assert_int_equal(w.result, 0);
    assert_string_equal(buf_text(&w.lua), lua);
    release(&w);
}

static void prose_becomes_blank_lines(void **state)
{
    (void)state;
    becomes("# Title\n\nprose\n```lua\nuse \"cc\"\n```\nmore\n", "\n\n\n\nuse \"cc\"\n\n\n");
    becomes("only prose\n", "\n");
    becomes("", "");
}

static void only_lua_is_code(void **state)
{
    (void)state;
    becomes("```c\nint x;\n```\n```\ntext\n```\n```lua\nx()\n```\n", "\n\n\n\n\n\n\nx()\n\n");
    becomes("```lua example\nnot()\n```\n```luau\nnot()\n```\n", "\n\n\n\n\n\n");
    becomes("    ```lua\n    indented by four: text\n", "\n\n");
}

static void fences_are_as_commonmark_has_them(void **state)
{
    (void)state;
    /* A longer fence holds shorter ones. */
    becomes("````lua\na()\n```\nb()\n````\nprose\n", "\na()\n```\nb()\n\n\n");
    becomes("~~~lua\na()\n```\n~~~\n", "\na()\n```\n\n");
    becomes("   ```lua\na()\n  ```\n", "\na()\n\n");
    becomes("```  lua  \na()\n```   \n", "\na()\n\n");
    becomes("```lua\na()\n``` lua\n```\n", "\na()\n``` lua\n\n");
    becomes("`inline ``` code`\n", "\n");
    becomes("``` a `b` ```\n", "\n");
    /* Lua inside another block is an example. */
    becomes("````markdown\n```lua\nnot()\n```\n````\n", "\n\n\n\n\n");
}

static void line_numbers_hold_without_a_last_newline(void **state)
{
    (void)state;
    becomes("a\n```lua\nx()\n```", "\n\nx()\n\n");
    becomes("a\r\n```lua\r\nx()\r\n```\r\n", "\n\nx()\r\n\n");
}

static void a_block_that_never_ends_is_an_error_where_it_begins(void **state)
{
    (void)state;
    struct woven w = weave("one\n\n````lua\nx()\n```\nprose\n");
    assert_int_equal(w.result, -1);
    assert_int_equal(w.err.code, ERR_literate_fence);
    assert_string_equal(w.err.place.file, "x.md");
    assert_int_equal(w.err.place.line, 3);
    assert_string_equal(w.err.hint, "end it with a line of 4 backquotes");
    release(&w);
    /* A block of another language, too: it would swallow the Lua below. */
    w = weave("~~~c\nint x;\n\n```lua\nx()\n```\n");
    assert_int_equal(w.err.code, ERR_literate_fence);
    assert_int_equal(w.err.place.line, 1);
    assert_string_equal(w.err.hint, "end it with a line of 3 tildes");
    release(&w);
}

static void prose_is_the_doc_of_the_block_below(void **state)
{
    (void)state;
    struct woven w =
        weave("# Title\n\nWhy the first.\n\n```lua\na()\n```\n```lua\nb()\n```\nWhy\nthe "
              "third.\n```c\nint x;\n```\n```lua\nc()\n```\n");
    assert_int_equal(w.count, 3);
    assert_int_equal(w.docs[0].line, 6);
    assert_string_equal(w.docs[0].text, "# Title\n\nWhy the first.");
    assert_int_equal(w.docs[1].line, 9);
    assert_string_equal(w.docs[1].text, "");
    assert_int_equal(w.docs[2].line, 17);
    assert_string_equal(w.docs[2].text, "Why\nthe third.\n```c\nint x;\n```");
    release(&w);
}

static void many_blocks_keep_their_docs(void **state)
{
    struct buf text = {0};

    (void)state;
    for (int i = 0; i < 100; i++)
        buf_addf(&text, "prose %d\n```lua\nf(%d)\n```\n", i, i);
    struct woven w = weave(buf_text(&text));
    assert_int_equal(w.count, 100);
    assert_int_equal(w.docs[99].line, 99 * 4 + 3);
    assert_string_equal(w.docs[99].text, "prose 99");
    assert_string_equal(w.docs[3].text, "prose 3");
    release(&w);
    buf_release(&text);
}

static bool is(const char *name, const char *text)
{
    return literate_is(name, text, strlen(text));
}

static void literate_files_are_told_by_name_or_heading(void **state)
{
    (void)state;
    assert_true(is("README.md", "local x = 1"));
    assert_true(is("spakfile", "# Title\n"));
    assert_true(is("spakfile", "\n\n  \n### Title\n"));
    assert_false(is("spakfile", "node { }\n# no\n"));
    assert_false(is("spakfile", "#!/usr/bin/env spak\n"));
    assert_false(is("spakfile", "####### seven\n"));
    assert_false(is("spakfile", "#"));
    assert_false(is("spakfile", ""));
    assert_false(is("x.mdx", "-- lua\n"));
}

/* Whatever the text, the result has as many lines, and a block of code shows only what was in the
 * text. */
static void any_text_keeps_its_lines(void **state)
{
    static const char *const parts[] = {"```", "```lua", "~~~",  "lua",  " ",    "\n",
                                        "x()", "`",      "````", "    ", "\r\n", "#"};
    struct rng rng = {1};
    struct buf text = {0};

    (void)state;
    for (int round = 0; round < 3000; round++) {
        buf_reset(&text);
        for (uint64_t n = rng_below(&rng, 30); n; n--)
            buf_addstr(&text, parts[rng_below(&rng, ARRAY_LEN(parts))]);
        struct woven w = weave(buf_text(&text));
        size_t lines = 0, out = 0;
        for (size_t i = 0; i < text.len; i++)
            lines += text.ptr[i] == '\n';
        lines += text.len && text.ptr[text.len - 1] != '\n';
        for (size_t i = 0; i < w.lua.len; i++)
            out += w.lua.ptr[i] == '\n';
        assert_int_equal(out, lines);
        assert_int_equal(w.result, w.err.set ? -1 : 0);
        release(&w);
    }
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prose_becomes_blank_lines),
        cmocka_unit_test(only_lua_is_code),
        cmocka_unit_test(fences_are_as_commonmark_has_them),
        cmocka_unit_test(line_numbers_hold_without_a_last_newline),
        cmocka_unit_test(a_block_that_never_ends_is_an_error_where_it_begins),
        cmocka_unit_test(prose_is_the_doc_of_the_block_below),
        cmocka_unit_test(many_blocks_keep_their_docs),
        cmocka_unit_test(literate_files_are_told_by_name_or_heading),
        cmocka_unit_test(any_text_keeps_its_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
