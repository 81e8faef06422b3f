#define _GNU_SOURCE
#include "diag.h"
#include "scratch.h"

#include "json.h"
#include "os.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("diag");

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

    assert_int_equal(os_write(path, text, strlen(text), 0644, &e), 0);
}

static void assert_drawn(struct err *e, const char *expected)
{
    struct buf out = {0};

    diag_draw(e, DIAG_PLAIN, &out);
    assert_string_equal(out.ptr, expected);
    buf_release(&out);
    err_release(e);
}

static void a_place_shows_its_line_and_a_caret(void **state)
{
    struct err e = {0};

    (void)state;
    put("spakfile", "use \"cc\"\n\ntarget \"x\" { \"foo\" }\nlast\n");
    err_set(&e, ERR_json_syntax, "unknown name \"foo\"");
    err_at(&e, (struct place){"spakfile", 3, 14});
    err_hint(&e, "did you mean \"food\"?");
    assert_drawn(&e, "error[S100]: unknown name \"foo\"\n"
                     "  --> spakfile:3:14\n"
                     "   |\n"
                     " 3 | target \"x\" { \"foo\" }\n"
                     "   |              ^\n"
                     "   = help: did you mean \"food\"?\n");
}

static void an_error_without_a_place_is_one_line(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_usage, "no verb");
    assert_drawn(&e, "error[U100]: no verb\n");
}

static void what_cannot_be_read_is_left_out(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"absent", 3, 14});
    assert_drawn(&e, "error[S100]: x\n  --> absent:3:14\n");
    put("short", "one\n");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"short", 7, 1});
    assert_drawn(&e, "error[S100]: x\n  --> short:7:1\n");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"short", 0, 0});
    assert_drawn(&e, "error[S100]: x\n  --> short\n");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"short", 1, 0});
    assert_drawn(&e, "error[S100]: x\n  --> short:1\n   |\n 1 | one\n");
}

static void the_last_line_needs_no_end(void **state)
{
    struct err e = {0};

    (void)state;
    put("open", "a\nb");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"open", 2, 9});
    assert_drawn(&e, "error[S100]: x\n  --> open:2:9\n   |\n 2 | b\n   |  ^\n");
}

static void tabs_and_letters_keep_the_caret_in_place(void **state)
{
    struct err e = {0};

    (void)state;
    put("tabs", "\tx\033[31m\tfoo\r\n\xc3\xa9\xe2\x82\xac foo\n");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"tabs", 1, 9});
    assert_drawn(&e, "error[S100]: x\n  --> tabs:1:9\n   |\n"
                     " 1 |     x.[31m    foo\n"
                     "   |               ^\n");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"tabs", 2, 7});
    assert_drawn(&e, "error[S100]: x\n  --> tabs:2:7\n   |\n"
                     " 2 | \xc3\xa9\xe2\x82\xac foo\n"
                     "   |    ^\n");
}

static void line_numbers_share_one_gutter(void **state)
{
    struct buf text = {0};
    struct err e = {0};

    (void)state;
    for (int i = 1; i <= 120; i++)
        buf_addf(&text, "line %d\n", i);
    put("many", text.ptr);
    buf_release(&text);
    err_set(&e, ERR_json_syntax, "two of them");
    err_at(&e, (struct place){"many", 7, 1});
    err_note(&e, (struct place){"many", 120, 6}, "the other is here");
    err_note(&e, (struct place){0}, "a remark\nof two lines");
    err_hint(&e, "remove one\nor the other");
    assert_drawn(&e, "error[S100]: two of them\n"
                     "    --> many:7:1\n"
                     "     |\n"
                     "   7 | line 7\n"
                     "     | ^\n"
                     "note: the other is here\n"
                     "    --> many:120:6\n"
                     "     |\n"
                     " 120 | line 120\n"
                     "     |      ^\n"
                     "     = note: a remark\n"
                     "             of two lines\n"
                     "     = help: remove one\n"
                     "             or the other\n");
}

static void output_is_shown_whole(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_os, "cc failed with exit code 1");
    e.output = xstrdup("a.c:1:1: error\n  int x\n\n  ^");
    err_hint(&e, "look at a.c");
    assert_drawn(&e, "error[M101]: cc failed with exit code 1\n"
                     "   = output:\n"
                     "    a.c:1:1: error\n"
                     "      int x\n"
                     "\n"
                     "      ^\n"
                     "   = help: look at a.c\n");
    err_set(&e, ERR_os, "silent");
    e.output = xstrdup("");
    assert_drawn(&e, "error[M101]: silent\n");
}

static void a_long_line_is_shown_around_its_column(void **state)
{
    char line[2001];
    struct buf out = {0};
    struct err e = {0};
    const char *source;
    const char *caret;

    (void)state;
    for (int i = 0; i < 2000; i++)
        line[i] = (char)('a' + i % 26);
    line[1000] = '!';
    line[2000] = '\0';
    put("long", line);
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"long", 1, 1001});
    diag_draw(&e, DIAG_PLAIN, &out);
    assert_true(out.len < 500);
    source = strstr(out.ptr, "1 | ...");
    assert_non_null(source);
    caret = strchr(source, '^');
    assert_non_null(caret);
    /* The caret stands under the mark: as far from its line's start as the mark from its own. */
    assert_int_equal(strchr(source, '!') - source + 1,
                     caret - (const char *)memrchr(out.ptr, '|', (size_t)(caret - out.ptr)) + 3);
    err_release(&e);
    buf_release(&out);
}

static void colour_only_adds_escapes(void **state)
{
    struct buf plain = {0};
    struct buf colour = {0};
    struct buf stripped = {0};
    struct err e = {0};

    (void)state;
    put("c", "hello\n");
    err_set(&e, ERR_json_syntax, "x");
    err_at(&e, (struct place){"c", 1, 2});
    err_note(&e, (struct place){0}, "n");
    e.output = xstrdup("o");
    err_hint(&e, "h");
    diag_draw(&e, DIAG_PLAIN, &plain);
    diag_draw(&e, DIAG_COLOUR, &colour);
    assert_non_null(strstr(colour.ptr, "\033[1;31m"));
    assert_null(strchr(plain.ptr, '\033'));
    for (const char *at = colour.ptr; *at; at++) {
        if (*at == '\033')
            at = strchr(at, 'm');
        else
            buf_addch(&stripped, *at);
    }
    assert_string_equal(stripped.ptr, plain.ptr);
    buf_release(&plain);
    buf_release(&colour);
    buf_release(&stripped);
    err_release(&e);
}

static void warnings_say_so(void **state)
{
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_os, "no sandbox");
    diag_draw_warning(&e, DIAG_PLAIN, &out);
    assert_string_equal(out.ptr, "warning[M101]: no sandbox\n");
    buf_release(&out);
    err_release(&e);
}

static void json_holds_everything_on_one_line(void **state)
{
    struct buf out = {0};
    struct buf again = {0};
    struct err e = {0};
    json_t *value;

    (void)state;
    err_set(&e, ERR_json_syntax, "a \"quoted\"\nname");
    err_at(&e, (struct place){"spakfile", 3, 12});
    err_hint(&e, "h");
    err_note(&e, (struct place){"other", 1, 2}, "n1");
    err_note(&e, (struct place){0}, "n2");
    e.output = xstrdup("out\xff");
    diag_draw(&e, DIAG_JSON, &out);
    assert_ptr_equal(strchr(out.ptr, '\n'), out.ptr + out.len - 1);
    value = json_parse(out.ptr, out.len, "diag", &(struct err){0});
    assert_non_null(value);
    assert_string_equal(json_text(value, "code", ""), "S100");
    assert_string_equal(json_text(value, "name", ""), "json_syntax");
    assert_string_equal(json_text(value, "severity", ""), "error");
    assert_string_equal(json_text(value, "message", ""), "a \"quoted\"\nname");
    assert_string_equal(json_text(value, "file", ""), "spakfile");
    assert_int_equal(json_int(value, "line", 0), 3);
    assert_int_equal(json_int(value, "column", 0), 12);
    assert_int_equal(json_array_size(json_object_get(value, "notes")), 2);
    json_compact(value, &again);
    buf_addch(&again, '\n');
    assert_string_equal(again.ptr, out.ptr); /* it was canonical */
    json_decref(value);
    buf_release(&out);
    buf_release(&again);
    err_release(&e);
}

static void json_without_a_place_has_none(void **state)
{
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_usage, "x");
    diag_draw(&e, DIAG_JSON, &out);
    assert_string_equal(out.ptr,
                        "{\"code\":\"U100\",\"message\":\"x\",\"name\":\"usage\",\"notes\":[],"
                        "\"severity\":\"error\"}\n");
    buf_release(&out);
    err_release(&e);
}

static void colour_needs_a_terminal_that_wants_it(void **state)
{
    FILE *file = fopen("stream", "w");
    FILE *tty;
    int fd = posix_openpt(2);

    (void)state;
    assert_int_equal(diag_form_for(file), DIAG_PLAIN);
    fclose(file);
    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0)
        skip();
    tty = fdopen(fd, "r+");
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    assert_int_equal(diag_form_for(tty), DIAG_COLOUR);
    setenv("NO_COLOR", "", 1);
    assert_int_equal(diag_form_for(tty), DIAG_COLOUR);
    setenv("NO_COLOR", "1", 1);
    assert_int_equal(diag_form_for(tty), DIAG_PLAIN);
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_int_equal(diag_form_for(tty), DIAG_PLAIN);
    fclose(tty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_shows_its_line_and_a_caret),
        cmocka_unit_test(an_error_without_a_place_is_one_line),
        cmocka_unit_test(what_cannot_be_read_is_left_out),
        cmocka_unit_test(the_last_line_needs_no_end),
        cmocka_unit_test(tabs_and_letters_keep_the_caret_in_place),
        cmocka_unit_test(line_numbers_share_one_gutter),
        cmocka_unit_test(output_is_shown_whole),
        cmocka_unit_test(a_long_line_is_shown_around_its_column),
        cmocka_unit_test(colour_only_adds_escapes),
        cmocka_unit_test(warnings_say_so),
        cmocka_unit_test(json_holds_everything_on_one_line),
        cmocka_unit_test(json_without_a_place_has_none),
        cmocka_unit_test(colour_needs_a_terminal_that_wants_it),
    };

    return cmocka_run_group_tests_name("diag", tests, enter_temp, leave_temp);
}
