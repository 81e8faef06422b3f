#include "scratch.h"
#include "store.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("sweep");

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

static struct store *opened(const char *dir)
{
    struct err e = {0};
    struct store *s = store_open(dir, &e);

    if (!s)
        fail_msg("%s", e.message);
    return s;
}

static struct digest put(struct store *s, const char *text)
{
    struct digest d;
    struct err e = {0};

    ok(store_put_bytes(s, text, strlen(text), &d, &e), &e);
    return d;
}

static struct digest named(const char *text)
{
    struct digest d;

    hash_bytes(text, strlen(text), &d);
    return d;
}

static size_t count_objects(struct store *s)
{
    struct arena arena = {0};
    struct store_object *objects;
    struct err e = {0};
    size_t count;

    ok(store_objects(s, &arena, &objects, &count, &e), &e);
    for (size_t i = 0; i < count; i++) {
        assert_true(store_has(s, &objects[i].digest));
        assert_true(objects[i].stored_bytes > 0);
    }
    arena_release(&arena);
    return count;
}

static void every_object_is_listed(void **state)
{
    struct store *s = opened("list");

    (void)state;
    assert_int_equal(count_objects(s), 0);
    put(s, "one");
    put(s, "two");
    put(s, "one");
    put(s, "");
    assert_int_equal(count_objects(s), 3);
    store_close(s);
}

static void what_is_no_object_is_not_listed(void **state)
{
    struct store *s = opened("stray");
    struct err e = {0};

    (void)state;
    put(s, "one");
    ok(os_mkdirs("stray/cas/zz", &e), &e);
    ok(os_write("stray/cas/zz/junk", "x", 1, 0644, &e), &e);
    ok(os_write("stray/cas/README", "x", 1, 0644, &e), &e);
    struct arena arena = {0};
    struct strs folders = {0};
    ok(os_list("stray/cas", &arena, &folders, &e), &e);
    ok(os_write(arena_printf(&arena, "stray/cas/%s/.spak-tmp-1", folders.at[0]), "x", 1, 0644, &e),
       &e);
    strs_release(&folders);
    arena_release(&arena);
    assert_int_equal(count_objects(s), 1);
    store_close(s);
}

struct told {
    struct arena arena;
    struct strs hex;
    size_t folders;
};

static int tell(void *ctx, const struct digest *d, bool folder, struct err *e)
{
    struct told *t = ctx;
    char hex[DIGEST_HEX_LEN + 1];

    (void)e;
    digest_hex(d, hex);
    strs_push(&t->hex, arena_strdup(&t->arena, hex));
    t->folders += folder;
    return 0;
}

static bool was_told(const struct told *t, struct digest d)
{
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(&d, hex);
    for (size_t i = 0; i < t->hex.len; i++)
        if (!strcmp(t->hex.at[i], hex))
            return true;
    return false;
}

static void forget(struct told *t)
{
    strs_release(&t->hex);
    arena_release(&t->arena);
    *t = (struct told){0};
}

/* A node's record: one output, and a log. */
static struct action_record record_of(struct output_record *out, struct digest made,
                                      struct digest log)
{
    *out = (struct output_record){.path = "out/x", .digest = made, .mode = 0644};
    return (struct action_record){
        .key = named("key"), .outputs = out, .output_count = 1, .log = log};
}

static void what_nodes_name_is_needed(void **state)
{
    struct store *s = opened("needed");
    struct output_record out;
    struct told told = {0};
    struct err e = {0};
    struct digest made = put(s, "made"), log = put(s, "log"), other = put(s, "other");
    struct node_state node = {.base = named("base"), .record = record_of(&out, made, log)};

    (void)state;
    ok(store_put_node(s, "out/x", &node, &e), &e);
    ok(store_needed(s, tell, &told, &e), &e);
    assert_true(was_told(&told, made) && was_told(&told, log));
    assert_false(was_told(&told, other));
    assert_int_equal(told.folders, 0);
    forget(&told);
    /* what it was built as before is needed no more */
    node.record = record_of(&out, other, (struct digest){{0}});
    ok(store_put_node(s, "out/x", &node, &e), &e);
    ok(store_needed(s, tell, &told, &e), &e);
    assert_true(was_told(&told, other));
    assert_false(was_told(&told, made) || was_told(&told, log));
    forget(&told);
    store_close(s);
}

static void a_folder_names_its_files(void **state)
{
    struct store *s = opened("folder");
    struct output_record out;
    struct told told = {0};
    struct err e = {0};
    struct digest listing;

    (void)state;
    ok(os_mkdirs("tree/deep", &e), &e);
    ok(os_write("tree/leaf", "leaf", 4, 0644, &e), &e);
    ok(os_write("tree/deep/program", "program", 7, 0755, &e), &e);
    assert_int_equal(symlink("leaf", "tree/link"), 0);
    ok(store_put_tree(s, "tree", &listing, &e), &e);
    ok(store_folder_objects(s, &listing, tell, &told, &e), &e);
    assert_int_equal(told.hex.len, 3);
    assert_true(was_told(&told, named("leaf")) && was_told(&told, named("program")));
    forget(&told);
    struct node_state node = {.base = named("base"),
                              .record = record_of(&out, listing, (struct digest){{0}})};
    out.directory = true;
    ok(store_put_node(s, "out/tree", &node, &e), &e);
    ok(store_needed(s, tell, &told, &e), &e);
    assert_int_equal(told.folders, 1);
    assert_true(was_told(&told, listing));
    forget(&told);
    store_close(s);
}

static int refuse(void *ctx, const struct digest *d, bool folder, struct err *e)
{
    (void)ctx, (void)d, (void)folder;
    return err_set(e, ERR_usage, "enough");
}

static void an_error_of_the_callers_ends_it(void **state)
{
    struct store *s = opened("ends");
    struct output_record out;
    struct err e = {0};
    struct node_state node = {.base = named("base"),
                              .record = record_of(&out, put(s, "made"), (struct digest){{0}})};

    (void)state;
    ok(store_put_node(s, "out/x", &node, &e), &e);
    assert_int_equal(store_needed(s, refuse, NULL, &e), -1);
    assert_string_equal(e.message, "enough");
    err_release(&e);
    ok(store_put_value(s, "v", "x", 1, &e), &e); /* nothing is left open */
    store_close(s);
}

static bool goes(void *ctx, const struct digest *d)
{
    return digest_equal(ctx, d);
}

static size_t actions_of(struct store *s, const char *base)
{
    struct arena arena = {0};
    struct action_record *records;
    struct digest key = named(base);
    struct err e = {0};
    size_t count;

    ok(store_get_actions(s, &key, &arena, &records, &count, &e), &e);
    arena_release(&arena);
    return count;
}

static void put_action(struct store *s, const char *base, const char *key, struct digest made)
{
    struct output_record out;
    struct action_record r = record_of(&out, made, (struct digest){{0}});
    struct digest b = named(base);
    struct err e = {0};

    r.key = named(key);
    ok(store_put_action(s, &b, &r, &e), &e);
}

static void records_go_with_their_objects(void **state)
{
    struct store *s = opened("forget");
    struct digest one = put(s, "one"), two = put(s, "two"), none = named("none");
    struct err e = {0};
    size_t dropped;

    (void)state;
    put_action(s, "a", "1", one);
    put_action(s, "a", "2", two);
    put_action(s, "b", "3", one);
    put_action(s, "c", "4", two);
    ok(store_forget(s, goes, &none, &dropped, &e), &e);
    assert_int_equal(dropped, 0);
    ok(store_forget(s, goes, &one, &dropped, &e), &e);
    assert_int_equal(dropped, 2);
    assert_int_equal(actions_of(s, "a"), 1);
    assert_int_equal(actions_of(s, "b"), 0);
    assert_int_equal(actions_of(s, "c"), 1);
    ok(store_forget(s, goes, &one, &dropped, &e), &e);
    assert_int_equal(dropped, 0);
    ok(store_remove(s, &one, &e), &e);
    assert_false(store_has(s, &one));
    assert_true(store_has(s, &two));
    ok(store_remove(s, &one, &e), &e); /* twice is fine */
    assert_int_equal(count_objects(s), 1);
    store_close(s);
}

static void a_thousand_records(void **state)
{
    struct store *s = opened("many");
    struct err e = {0};
    struct digest odd = put(s, "odd"), even = put(s, "even");
    size_t dropped;

    (void)state;
    ok(store_begin(s, &e), &e);
    for (int i = 0; i < 1000; i++) {
        char base[20];
        snprintf(base, sizeof(base), "%d", i);
        put_action(s, base, "k", i % 2 ? odd : even);
    }
    ok(store_commit(s, &e), &e);
    ok(store_forget(s, goes, &odd, &dropped, &e), &e);
    assert_int_equal(dropped, 500);
    assert_int_equal(actions_of(s, "10"), 1);
    assert_int_equal(actions_of(s, "11"), 0);
    store_close(s);
}

/* Looking at an object changes nothing, whatever it is like. */
static void looking_changes_nothing(void **state)
{
    struct store *s = opened("look");
    struct digest one = put(s, "one"), absent = named("absent");
    struct arena arena = {0};
    struct err e = {0};
    char hex[DIGEST_HEX_LEN + 1];

    (void)state;
    ok(store_check_object(s, &one, &e), &e);
    assert_int_equal(store_check_object(s, &absent, &e), -1);
    assert_int_equal(e.code, ERR_object_missing);
    assert_true(store_lost_object(&e));
    err_release(&e);
    digest_hex(&one, hex);
    const char *path = arena_printf(&arena, "look/cas/%.2s/%s.gz", hex, hex);
    chmod(path, 0644);
    ok(os_write(path, "damaged", 7, 0644, &e), &e);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_check_object(s, &one, &e), -1);
        assert_int_equal(e.code, ERR_object_damaged);
        err_release(&e);
    }
    assert_int_equal(access(path, F_OK), 0);
    arena_release(&arena);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_object_is_listed),
        cmocka_unit_test(what_is_no_object_is_not_listed),
        cmocka_unit_test(what_nodes_name_is_needed),
        cmocka_unit_test(a_folder_names_its_files),
        cmocka_unit_test(an_error_of_the_callers_ends_it),
        cmocka_unit_test(records_go_with_their_objects),
        cmocka_unit_test(a_thousand_records),
        cmocka_unit_test(looking_changes_nothing),
    };

    return cmocka_run_group_tests(tests, enter_temp, leave_temp);
}
