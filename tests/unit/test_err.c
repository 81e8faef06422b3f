#include "err.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool aborts(void (*fn)(struct err *e))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct err e = {0};

        close(2);
        fn(&e);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void set_carries_code_and_message(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_class(&e), ERR_NONE);
    assert_int_equal(err_set(&e, ERR_json_syntax, "at byte %d", 12), -1);
    assert_true(e.set);
    assert_int_equal(e.code, ERR_json_syntax);
    assert_string_equal(e.message, "at byte 12");
    assert_null(e.hint);
    assert_null(e.place.file);
    assert_int_equal(err_class(&e), ERR_USAGE);
    err_release(&e);
    assert_false(e.set);
    assert_null(e.message);
}

static void errno_is_spelled_out_and_kept(void **state)
{
    struct err e = {0};

    (void)state;
    errno = ENOSPC;
    assert_int_equal(err_errno(&e, ERR_os, "cannot write %s", "out/x"), -1);
    assert_string_equal(e.message, "cannot write out/x: No space left on device");
    assert_int_equal(errno, ENOSPC);
    err_release(&e);
}

static void the_deepest_place_wins(void **state)
{
    struct err e = {0};
    char file[] = "spakfile";

    (void)state;
    err_set(&e, ERR_json_syntax, "x");
    assert_int_equal(err_at(&e, (struct place){NULL, 1, 1}), -1);
    assert_null(e.place.file);
    assert_int_equal(err_at(&e, (struct place){file, 3, 14}), -1);
    file[0] = 'X';
    err_at(&e, (struct place){"other", 9, 9});
    assert_string_equal(e.place.file, "spakfile");
    assert_int_equal(e.place.line, 3);
    assert_int_equal(e.place.column, 14);
    err_release(&e);
}

static void the_last_hint_wins_and_may_quote_the_first(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_json_syntax, "x");
    err_hint(&e, "one");
    assert_int_equal(err_hint(&e, "%s and two", e.hint), -1);
    assert_string_equal(e.hint, "one and two");
    err_release(&e);
}

static void notes_keep_their_order(void **state)
{
    struct err e = {0};
    char file[] = "a.lua";

    (void)state;
    err_set(&e, ERR_json_syntax, "x");
    err_note(&e, (struct place){file, 1, 2}, "first %d", 1);
    assert_int_equal(err_note(&e, (struct place){0}, "second"), -1);
    file[0] = 'X';
    assert_string_equal(e.notes->text, "first 1");
    assert_string_equal(e.notes->place.file, "a.lua");
    assert_int_equal(e.notes->place.column, 2);
    assert_string_equal(e.notes->next->text, "second");
    assert_null(e.notes->next->place.file);
    assert_null(e.notes->next->next);
    err_release(&e);
    assert_null(e.notes);
}

static void wrap_puts_text_in_front(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_json_syntax, "no bracket");
    assert_int_equal(err_wrap(&e, "reading %s", "a.json"), -1);
    err_wrap(&e, "plan");
    assert_string_equal(e.message, "plan: reading a.json: no bracket");
    err_release(&e);
}

static void move_empties_the_source(void **state)
{
    struct err from = {0};
    struct err to = {0};

    (void)state;
    err_set(&from, ERR_os, "gone");
    err_hint(&from, "look");
    assert_int_equal(err_move(&to, &from), -1);
    assert_false(from.set);
    assert_null(from.message);
    assert_string_equal(to.message, "gone");
    assert_string_equal(to.hint, "look");
    err_release(&from);
    err_release(&to);
}

static void set_twice(struct err *e)
{
    err_set(e, ERR_os, "one");
    err_set(e, ERR_os, "two");
}

static void hint_on_nothing(struct err *e)
{
    err_hint(e, "hint");
}

static void wrap_on_nothing(struct err *e)
{
    err_wrap(e, "wrap");
}

static void move_of_nothing(struct err *e)
{
    struct err none = {0};

    err_move(e, &none);
}

static void misuse_is_a_bug(void **state)
{
    (void)state;
    assert_true(aborts(set_twice));
    assert_true(aborts(hint_on_nothing));
    assert_true(aborts(wrap_on_nothing));
    assert_true(aborts(move_of_nothing));
}

static void codes_are_found_by_id_and_name(void **state)
{
    (void)state;
    assert_ptr_equal(err_find("S100"), err_info(ERR_json_syntax));
    assert_ptr_equal(err_find("s100"), err_info(ERR_json_syntax));
    assert_ptr_equal(err_find("json_syntax"), err_info(ERR_json_syntax));
    assert_ptr_equal(err_find("json-syntax"), err_info(ERR_json_syntax));
    assert_null(err_find("S10"));
    assert_null(err_find("S1000"));
    assert_null(err_find(""));
}

static void check_code(const struct err_info *info, const struct err_info *before)
{
    assert_int_equal(strlen(info->id), 4);
    assert_non_null(strchr("MNPRSTUX", info->id[0]));
    assert_true(!before || strcmp(before->id, info->id) < 0);
    assert_true(info->class == ERR_NODE || info->class == ERR_USAGE ||
                info->class == ERR_PROTOCOL || info->class == ERR_INTERRUPT);
    assert_true(strlen(info->title) > 5);
    assert_true(strlen(info->text) > 60);
    assert_int_equal(info->text[strlen(info->text) - 1], '.');
}

static void every_code_is_complete_unique_and_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_CODE_COUNT; i++) {
        const struct err_info *info = err_info((enum err_code)i);

        if (i > 0 && strcmp(err_info((enum err_code)(i - 1))->id, info->id) >= 0)
            fail_msg("codes.def: %s is out of order", info->id);
        check_code(info, i > 0 ? err_info((enum err_code)(i - 1)) : NULL);
        assert_ptr_equal(err_find(info->id), info);
        assert_ptr_equal(err_find(info->name), info);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_carries_code_and_message),
        cmocka_unit_test(errno_is_spelled_out_and_kept),
        cmocka_unit_test(the_deepest_place_wins),
        cmocka_unit_test(the_last_hint_wins_and_may_quote_the_first),
        cmocka_unit_test(notes_keep_their_order),
        cmocka_unit_test(wrap_puts_text_in_front),
        cmocka_unit_test(move_empties_the_source),
        cmocka_unit_test(misuse_is_a_bug),
        cmocka_unit_test(codes_are_found_by_id_and_name),
        cmocka_unit_test(every_code_is_complete_unique_and_in_order),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
