#include "trace_world.h"

#include "repro.h"

#include <math.h>

/* A tree made by hand: entries as trace_items gives them. */
static struct trace_item item(const char *path, uint32_t mode)
{
    const char *slash = strrchr(path, '/');
    struct trace_item i = {
        .path = path, .name = slash ? slash + 1 : path, .mode = mode, .depth = 1};
    for (const char *p = path; *p; p++)
        i.depth += *p == '/';
    return i;
}

static int link_to(void *ctx, const struct trace_item *i, struct buf *target, struct err *e)
{
    (void)i;
    (void)e;
    buf_addstr(target, ctx);
    return 0;
}

static void assert_judged(const struct trace_item *items, size_t count, const char *link,
                          enum err_code code)
{
    struct err e = {0};
    int rc = repro_check(items, count, link_to, (void *)link, &e);
    if (code == ERR_CODE_COUNT && rc)
        fail_msg("%s is refused: %s", items[0].path, e.message);
    if (code != ERR_CODE_COUNT && (!rc || e.code != code))
        fail_msg("%s: %s", items[0].path, rc ? e.message : "is taken");
    if (rc)
        assert_int_equal(err_class(&e), ERR_PROTOCOL);
    err_release(&e);
}

static void assert_name(const char *name, enum err_code code)
{
    struct trace_item i = item(name, 0100644);
    assert_judged(&i, 1, "", code);
}

static void names_that_are_fine(void **state)
{
    static const char *const fine[] = {"a",
                                       ".gitignore",
                                       ".github",
                                       "..a",
                                       "a..",
                                       "gitx",
                                       "console",
                                       "com10",
                                       "aux.c",
                                       "con.h",
                                       "a b",
                                       "\xc3\xa9",
                                       "\xf0\x9f\x8e\x89",
                                       "-x",
                                       "~",
                                       "a:b",
                                       "outer",
                                       "x.spak",
                                       ".spakrc",
                                       "%2e%2e",
                                       "git~2",
                                       "nul.txt"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fine); i++)
        assert_name(fine[i], ERR_CODE_COUNT);
}

static void names_that_are_not(void **state)
{
    static const char *const bad[] = {".",
                                      "..",
                                      ".git",
                                      ".GIT",
                                      ".gIt ",
                                      ".git..",
                                      "GIT~1",
                                      "a\\b",
                                      "a\nb",
                                      "a\x7f",
                                      "\x1b[m",
                                      "\xff",
                                      "\xc0\xaf",
                                      "\xed\xa0\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xc2",
                                      "con",
                                      "AUX",
                                      "Com1",
                                      "LPT9",
                                      ".spak-tmp-1",
                                      ".g\xe2\x80\x8dit",
                                      "\xef\xbb\xbf.git",
                                      "\xc2\x9b",
                                      "\xe2\x80\xae",
                                      "\xe2\x81\xa6"};
    char longest[300];
    struct trace_item slash = {.path = "a/b", .name = "a/b", .mode = 0100644, .depth = 1};
    struct trace_item empty = {.path = "", .name = "", .mode = 0100644, .depth = 1};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_name(bad[i], ERR_trace_name);
    memset(longest, 'a', sizeof(longest));
    longest[255] = 0;
    assert_name(longest, ERR_CODE_COUNT);
    longest[255] = 'a';
    longest[256] = 0;
    assert_name(longest, ERR_trace_name);
    assert_judged(&slash, 1, "", ERR_trace_name);
    slash.name = slash.path = "/etc";
    assert_judged(&slash, 1, "", ERR_trace_name);
    assert_judged(&empty, 1, "", ERR_trace_name);
}

static void the_state_cannot_be_planted(void **state)
{
    (void)state;
    assert_name("out/.spak", ERR_trace_name);
    assert_name("Out/.SPAK/graph", ERR_trace_name);
    assert_name("out/.spakling", ERR_CODE_COUNT);
    assert_name("deep/out/.spak", ERR_CODE_COUNT);
}

static void modes(void **state)
{
    static const struct {
        uint32_t mode;
        enum err_code code;
    } cases[] = {
        {0100644, ERR_CODE_COUNT}, {0100755, ERR_CODE_COUNT},      {0100664, ERR_CODE_COUNT},
        {0040000, ERR_CODE_COUNT}, {0160000, ERR_trace_submodule}, {0104755, ERR_trace_mode},
        {0020644, ERR_trace_mode}, {0100777, ERR_trace_mode},      {0, ERR_trace_mode}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trace_item one = item("a", cases[i].mode);
        assert_judged(&one, 1, "", cases[i].code);
    }
}

static void collisions(void **state)
{
    struct trace_item same[] = {item("a", 0100644), item("a", 0100644)};
    struct trace_item folded[] = {item("Deep", 0040000), item("x", 0100644), item("deep", 0100644)};
    struct trace_item apart[] = {item("a", 0040000), item("a/b", 0100644), item("b", 0100644),
                                 item("ab", 0100644)};
    (void)state;
    assert_judged(same, 2, "", ERR_trace_collision);
    assert_judged(folded, 3, "", ERR_trace_collision);
    assert_judged(apart, 4, "", ERR_CODE_COUNT);
}

static void assert_link(const char *target, uint32_t depth, bool stays)
{
    if (repro_link_stays(target, strlen(target), depth) != stays)
        fail_msg("\"%s\" at depth %u %s", target, depth, stays ? "is refused" : "is taken");
}

static void links(void **state)
{
    struct trace_item deep = item("d/link", 0120000), huge = item("link", 0120000);
    (void)state;
    assert_link("a", 1, true);
    assert_link("a/b/c", 1, true);
    assert_link("./a", 1, true);
    assert_link("../a", 2, true);
    assert_link("../../a", 3, true);
    assert_link("..", 2, true);
    assert_link("..", 1, false);
    assert_link("../a", 1, false);
    assert_link("../../a", 2, false);
    assert_link("./../a", 1, false);
    assert_link("a/..", 5, false);
    assert_link("../a/../b", 5, false);
    assert_link("/a", 9, false);
    assert_link("", 9, false);
    assert_link("a\\b", 9, false);
    assert_link("a/.git/config", 9, false);
    assert_link("../out/.spak/cas", 2, false);
    assert_link("a\nb", 1, false);
    assert_false(repro_link_stays("a\0b", 3, 1));
    assert_judged(&deep, 1, "../a", ERR_CODE_COUNT);
    assert_judged(&deep, 1, "../../a", ERR_trace_link);
    huge.size_bytes = 5000;
    assert_judged(&huge, 1, "a", ERR_trace_link);
}

static void what_is_shown_steers_no_terminal(void **state)
{
    struct arena arena = {0};
    (void)state;
    assert_string_equal(repro_printable(&arena, "a\x1b[2J\n\xff\xc3\xa9"),
                        "a\\x1b[2J\\x0a\\xff\xc3\xa9");
    assert_string_equal(repro_printable(&arena, "\xc2\x9b"
                                                "0m\xe2\x80\xae"),
                        "\\xc2\\x9b0m\\xe2\\x80\\xae");
    assert_string_equal(repro_printable(&arena, "\xe2\x80"), "\\xe2\\x80");
    assert_string_equal(repro_printable(&arena, ""), "");
    arena_release(&arena);
}

static void two_one_sided_tests(void **state)
{
    (void)state;
    assert_int_equal(repro_equivalence(0.96, 1.04, 0.05), REPRO_WITHIN);
    assert_int_equal(repro_equivalence(0.95, 1.05, 0.05), REPRO_WITHIN);
    assert_int_equal(repro_equivalence(0.94, 1.00, 0.05), REPRO_UNCLEAR);
    assert_int_equal(repro_equivalence(1.04, 1.06, 0.05), REPRO_UNCLEAR);
    assert_int_equal(repro_equivalence(0.5, 2.0, 0.05), REPRO_UNCLEAR);
    assert_int_equal(repro_equivalence(1.06, 1.07, 0.05), REPRO_BEYOND);
    assert_int_equal(repro_equivalence(0.90, 0.94, 0.05), REPRO_BEYOND);
    assert_int_equal(repro_equivalence((double)NAN, (double)NAN, 0.05), REPRO_UNCLEAR);
}

static void the_note_is_one_line(void **state)
{
    struct arena arena = {0};
    struct repro_finding f = {.verdict = REPRO_NOT_COMPARABLE,
                              .nodes = 4,
                              .same = 3,
                              .proofs = 2,
                              .verified = 2,
                              .margin = 0.05,
                              .margin_least = 0.05};
    (void)state;
    strs_push(&f.environment, "cc");
    assert_string_equal(repro_note_line(&f, "m-2c", "1", 1234567890, &arena),
                        "2009-02-13T23:31:30Z NOT-COMPARABLE out=3/4 proofs=2/2 metrics=0/0 "
                        "margin=0.05 environment=differs:1 "
                        "machine=m-2c spak=1");
    repro_finding_release(&f);
    arena_release(&arena);
}

static void a_place_is_fresh_and_goes(void **state)
{
    struct world *w = *state;
    struct repro_place place;
    struct err e = {0};
    setenv("TMPDIR", w->top, 1);
    ok(repro_place(NULL, &w->arena, &place, &e), &e);
    assert_true(text_starts_with(place.project, place.top));
    assert_text(sh(w, "stat -c %%a %s", place.top), "700");
    repro_remove(&place);
    assert_text(sh(w, "ls -d %s 2>/dev/null || echo gone", place.top), "gone");
    put("full/file", "x");
    assert_int_equal(repro_place("full", &w->arena, &place, &e), -1);
    assert_int_equal(err_class(&e), ERR_USAGE);
    err_release(&e);
    ok(repro_place("kept", &w->arena, &place, &e), &e);
    repro_remove(&place);
    assert_text(sh(w, "ls kept"), "home\nsrc");
    unsetenv("TMPDIR");
}

static void sources_come_out_of_a_trace_as_they_went_in(void **state)
{
    struct world *w = *state;
    struct repro_place place;
    struct err e = {0};
    size_t files;
    repository(w);
    sh(w, "cd p && mkdir -p deep out && echo x >deep/x && ln -s ../hello.c deep/link && echo run "
          ">run.sh && chmod 755 run.sh && "
          "echo planted >out/planted && git add -f deep run.sh out/planted && git commit -qm more");
    full_run(w);
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(t ? 0 : -1, &e);
    ok(repro_place("again", &w->arena, &place, &e), &e);
    ok(repro_unpack(t, w->result.commit, &place, &w->arena, &files, &e), &e);
    trace_close(t);
    assert_int_equal(files, 7);
    assert_text(
        sh(w, "cd again/src && find . -printf '%%P %%y%%m %%l\\n' | LC_ALL=C sort | sed 's/ *$//'"),
        " d755\n.gitignore f644\ndeep d755\ndeep/link l777 ../hello.c\ndeep/x f644\nhello.c "
        "f644\nhello.h f644\nrun.sh f755\n"
        "spakfile f644");
    assert_text(sh(w, "diff -r -x .git -x out p again/src && echo same"), "same");
}

/* The run `w` as recorded, against itself with one thing changed. */
static void compare_again(struct world *w, const char *first, struct repro_finding *f)
{
    struct err e = {0};
    struct trace_entry before, after;
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(t ? 0 : -1, &e);
    ok(trace_resolve(t, first, &w->arena, &before, &e), &e);
    ok(trace_resolve(t, w->result.commit, &w->arena, &after, &e), &e);
    struct repro_side a = {t, &before}, b = {t, &after};
    ok(repro_compare(&a, &b, 0.05, &w->arena, f, &e), &e);
    strs_release(&before.metrics);
    strs_release(&after.metrics);
    trace_close(t);
}

static void a_run_is_identical_to_itself(void **state)
{
    struct world *w = *state;
    struct repro_finding f;
    repository(w);
    full_run(w);
    compare_again(w, w->result.commit, &f);
    assert_int_equal(f.verdict, REPRO_IDENTICAL);
    assert_true(f.same_out && f.same_plan);
    assert_int_equal(f.nodes, f.same);
    assert_int_equal(f.nodes, 3);
    assert_int_equal(f.reasons.len + f.chain.len + f.environment.len, 0);
    repro_finding_release(&f);
}

static void the_first_difference_is_where_it_began(void **state)
{
    struct world *w = *state;
    struct repro_finding f;
    repository(w);
    full_run(w);
    const char *first = arena_strdup(&w->arena, w->result.commit);
    w->object = "another object";
    full_run(w);
    compare_again(w, first, &f);
    assert_int_equal(f.verdict, REPRO_DIFFERENT);
    assert_false(f.same_out);
    assert_int_equal(f.different.len, 2); /* hello follows hello.o */
    assert_holds(f.chain.at[0], "not deterministic");
    assert_text(f.chain.at[1], "out/hello.o");
    repro_finding_release(&f);
}

static void a_changed_command_is_the_cause(void **state)
{
    struct world *w = *state;
    struct repro_finding f;
    repository(w);
    w->flag = "-O2";
    full_run(w);
    const char *first = arena_strdup(&w->arena, w->result.commit);
    w->flag = "-O3";
    full_run(w);
    compare_again(w, first, &f);
    assert_int_equal(f.verdict, REPRO_EQUIVALENT); /* the same object came out */
    repro_finding_release(&f);
    w->object = "another object";
    full_run(w);
    compare_again(w, first, &f);
    assert_int_equal(f.verdict, REPRO_DIFFERENT);
    assert_holds(f.chain.at[0], "\"arg -O2\" in the record, \"arg -O3\" here");
    repro_finding_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_fine),
        cmocka_unit_test(names_that_are_not),
        cmocka_unit_test(the_state_cannot_be_planted),
        cmocka_unit_test(modes),
        cmocka_unit_test(collisions),
        cmocka_unit_test(links),
        cmocka_unit_test(what_is_shown_steers_no_terminal),
        cmocka_unit_test(two_one_sided_tests),
        cmocka_unit_test(the_note_is_one_line),
        T(a_place_is_fresh_and_goes),
        T(sources_come_out_of_a_trace_as_they_went_in),
        T(a_run_is_identical_to_itself),
        T(the_first_difference_is_where_it_began),
        T(a_changed_command_is_the_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
