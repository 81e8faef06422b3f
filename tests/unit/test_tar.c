#include "scratch.h"
#include "tar.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK 512u

static int enter_temp(void **state)
{
    char *dir = scratch_template("tar");

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

static void load(const char *path, struct buf *out)
{
    struct err e = {0};

    buf_reset(out);
    ok(os_read(path, out, &e), &e);
}

static void write_archive(const char *path)
{
    struct tar_writer w;
    struct err e = {0};
    char big[1500];

    memset(big, 'b', sizeof(big));
    ok(tar_create(&w, path, &e), &e);
    ok(tar_add(&w, "one", "first", 5, &e), &e);
    ok(tar_add(&w, "deep/er/two", "", 0, &e), &e);
    ok(tar_add(&w, "big", big, sizeof(big), &e), &e);
    ok(tar_add(&w, "block", big, BLOCK, &e), &e);
    ok(tar_finish(&w, &e), &e);
    tar_drop(&w);
}

static void assert_entry(struct tar_reader *r, const char *name, size_t size)
{
    struct tar_entry entry;
    struct err e = {0};
    bool found;

    ok(tar_next(r, &entry, &found, &e), &e);
    assert_true(found);
    assert_string_equal(entry.name, name);
    assert_int_equal(entry.size_bytes, size);
}

static void what_was_written_is_read(void **state)
{
    struct tar_reader r;
    struct tar_entry entry;
    struct buf text = {0};
    struct err e = {0};
    bool found = true;

    (void)state;
    write_archive("a.tar");
    ok(tar_open(&r, "a.tar", &e), &e);
    assert_entry(&r, "one", 5);
    ok(tar_read(&r, 5, &text, &e), &e);
    assert_string_equal(buf_text(&text), "first");
    assert_entry(&r, "deep/er/two", 0);
    assert_entry(&r, "big", 1500);
    ok(tar_save(&r, "saved", &e), &e);
    assert_entry(&r, "block", BLOCK);
    ok(tar_next(&r, &entry, &found, &e), &e);
    assert_false(found);
    tar_close(&r);
    load("saved", &text);
    assert_int_equal(text.len, 1500);
    buf_release(&text);
}

static void what_is_not_read_is_passed_over(void **state)
{
    struct tar_reader r;
    struct tar_entry entry;
    struct err e = {0};
    size_t count = 0;
    bool found = true;

    (void)state;
    write_archive("a.tar");
    ok(tar_open(&r, "a.tar", &e), &e);
    for (; found; count += found)
        ok(tar_next(&r, &entry, &found, &e), &e);
    tar_close(&r);
    assert_int_equal(count, 4);
}

static void the_same_content_is_the_same_bytes(void **state)
{
    struct buf a = {0}, b = {0};

    (void)state;
    write_archive("a.tar");
    sleep(1);
    umask(077);
    write_archive("b.tar");
    umask(022);
    load("a.tar", &a);
    load("b.tar", &b);
    assert_int_equal(a.len, b.len);
    assert_int_equal(a.len % BLOCK, 0);
    assert_memory_equal(a.ptr, b.ptr, a.len);
    buf_release(&a);
    buf_release(&b);
}

static void what_is_dropped_leaves_nothing(void **state)
{
    struct arena arena = {0};
    struct strs names = {0};
    struct tar_writer w;
    struct err e = {0};

    (void)state;
    ok(os_mkdirs("empty", &e), &e);
    ok(tar_create(&w, "empty/a.tar", &e), &e);
    ok(tar_add(&w, "one", "first", 5, &e), &e);
    tar_drop(&w);
    tar_drop(&w);
    ok(os_list("empty", &arena, &names, &e), &e);
    assert_int_equal(names.len, 0);
    assert_int_equal(tar_create(&w, "nowhere/a.tar", &e), -1);
    err_release(&e);
    strs_release(&names);
    arena_release(&arena);
}

/* Reads all of an archive; 0, or -1 with the error that ended it. */
static int read_through(const char *path, struct err *e)
{
    struct tar_reader r;
    struct tar_entry entry;
    bool found = true;
    int rc = tar_open(&r, path, e);

    while (rc == 0 && found) {
        struct buf text = {0};
        rc = tar_next(&r, &entry, &found, e);
        if (rc == 0 && found)
            rc = tar_read(&r, 10000, &text, e);
        buf_release(&text);
    }
    tar_close(&r);
    return rc;
}

static void a_part_of_an_archive(void **state)
{
    struct buf whole = {0};
    struct err e = {0};

    (void)state;
    write_archive("a.tar");
    load("a.tar", &whole);
    ok(read_through("a.tar", &e), &e);
    for (size_t len = 0; len + 2 * BLOCK < whole.len; len += 1 + len / 7) {
        ok(os_write("part.tar", whole.ptr, len, 0644, &e), &e);
        assert_int_equal(read_through("part.tar", &e), -1);
        assert_int_equal(e.code, ERR_bundle_damaged);
        assert_non_null(strstr(e.message, "part.tar"));
        err_release(&e);
    }
    buf_release(&whole);
}

static void reseal(char *head)
{
    unsigned sum = 0;

    memset(head + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    head[155] = ' ';
}

/* Changes the first head of an archive with `edit`, seals it again, and reads. */
static void assert_refused(void edit(char *head), const char *why)
{
    struct buf whole = {0};
    struct err e = {0};

    write_archive("a.tar");
    load("a.tar", &whole);
    edit(whole.ptr);
    reseal(whole.ptr);
    ok(os_write("bad.tar", whole.ptr, whole.len, 0644, &e), &e);
    assert_int_equal(read_through("bad.tar", &e), -1);
    if (!strstr(e.message, why))
        fail_msg("\"%s\" does not say \"%s\"", e.message, why);
    err_release(&e);
    buf_release(&whole);
}

static const char *wanted_name;
static void rename_it(char *head)
{
    memset(head, 0, 100);
    memcpy(head, wanted_name, strlen(wanted_name));
}

static void names_that_lead_elsewhere(void **state)
{
    static const char *const names[] = {"",     "/etc/passwd", "..",   "../x",  "a/../../x",
                                        "a/..", "a//b",        "./a",  "a/./b", "a\\b",
                                        "a\nb", "\x1b[2J",     "\xff", "a/.."};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        wanted_name = names[i];
        assert_refused(rename_it, "whose name leads elsewhere");
    }
}

static char wanted_type;
static void retype(char *head)
{
    head[156] = wanted_type;
}
static void prefix(char *head)
{
    strcpy(head + 345, "../..");
}
static void huge(char *head)
{
    memcpy(head + 124, "77777777777", 11);
}
static void no_size(char *head)
{
    memset(head + 124, 'x', 12);
}
static void no_magic(char *head)
{
    memcpy(head + 257, "other", 5);
}

static void what_is_no_plain_file(void **state)
{
    (void)state;
    for (const char *t = "1234567gxLKSA"; *t; t++) {
        wanted_type = *t;
        assert_refused(retype, "that is no regular file");
    }
    assert_refused(prefix, "whose name leads elsewhere");
    assert_refused(huge, "larger than it may be");
    assert_refused(no_size, "no tar archive");
    assert_refused(no_magic, "no tar archive");
}

static void flipped_bits(void **state)
{
    struct buf whole = {0};
    struct err e = {0};
    struct rng rng = {11};
    size_t refused = 0;

    (void)state;
    write_archive("a.tar");
    load("a.tar", &whole);
    for (int i = 0; i < 400; i++) {
        size_t at = rng_below(&rng, BLOCK);
        char before = whole.ptr[at];
        whole.ptr[at] ^= (char)(1 << rng_below(&rng, 8));
        ok(os_write("flip.tar", whole.ptr, whole.len, 0644, &e), &e);
        refused += read_through("flip.tar", &e) < 0;
        err_release(&e);
        whole.ptr[at] = before;
    }
    assert_true(refused > 380); /* the head has a checksum; its own blanks may be zeros */
    buf_release(&whole);
}

static void an_absent_archive(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(read_through("absent.tar", &e), -1);
    assert_non_null(strstr(e.message, "absent.tar"));
    err_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(what_is_not_read_is_passed_over),
        cmocka_unit_test(the_same_content_is_the_same_bytes),
        cmocka_unit_test(what_is_dropped_leaves_nothing),
        cmocka_unit_test(a_part_of_an_archive),
        cmocka_unit_test(names_that_lead_elsewhere),
        cmocka_unit_test(what_is_no_plain_file),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(an_absent_archive),
    };

    return cmocka_run_group_tests(tests, enter_temp, leave_temp);
}
