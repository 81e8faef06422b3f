#include "scratch.h"
#include "store_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("fsck");

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

static void note(void *ctx, const char *what, const char *heal)
{
    buf_addf(ctx, "%s|%s\n", what, heal);
}

/* Runs it and gives what it found, one fault a line. */
static struct buf faults_of(struct store *s, size_t expected_objects, size_t expected_records)
{
    struct buf out = {0};
    struct err e = {0};
    size_t objects;
    size_t records;

    ok(store_fsck(s, note, &out, &objects, &records, &e), &e);
    assert_int_equal(objects, expected_objects);
    assert_int_equal(records, expected_records);
    return out;
}

static void assert_one_fault(struct store *s, size_t objects, size_t records, const char *text)
{
    struct buf out = faults_of(s, objects, records);

    if (!strstr(buf_text(&out), text) || strchr(buf_text(&out), '\n') != out.ptr + out.len - 1)
        fail_msg("expected one fault with \"%s\", not:\n%s", text, buf_text(&out));
    buf_release(&out);
}

static void assert_clean(struct store *s, size_t objects, size_t records)
{
    struct buf out = faults_of(s, objects, records);

    assert_string_equal(buf_text(&out), "");
    buf_release(&out);
}

/* A node with a file, a folder and a log: five objects, and one record each as action and as node.
 */
static struct store *store_with_a_node(const char *dir)
{
    struct output_record outputs[2] = {{.path = "out/file", .size_bytes = 4, .mode = 0644},
                                       {.path = "out/folder", .mode = 0755, .directory = true}};
    struct node_state state = {.explanation = "why"};
    struct err e = {0};
    struct store *s = store_open(dir, &e);

    ok(os_mkdirs("folder", &e), &e);
    ok(os_write("folder/a", "alpha", 5, 0644, &e), &e);
    ok(os_write("folder/b", "beta", 4, 0644, &e), &e);
    ok(store_put_bytes(s, "file", 4, &outputs[0].digest, &e), &e);
    ok(store_put_tree(s, "folder", &outputs[1].digest, &e), &e);
    ok(store_put_bytes(s, "log", 3, &state.record.log, &e), &e);
    state.record.outputs = outputs;
    state.record.output_count = 2;
    hash_bytes("base", 4, &state.base);
    ok(store_put_node(s, "the node", &state, &e), &e);
    ok(store_put_action(s, &state.base, &state.record, &e), &e);
    return s;
}

static void remove_object(struct store *s, const char *content)
{
    struct arena arena = {0};
    struct digest digest;
    struct err e = {0};

    hash_bytes(content, strlen(content), &digest);
    ok(os_remove(store_object_path(s, &arena, &digest), &e), &e);
    arena_release(&arena);
}

static void a_whole_store_has_no_faults(void **state)
{
    struct store *s = store_with_a_node("whole");
    struct err e = {0};

    (void)state;
    assert_clean(s, 5, 2);
    ok(store_put_value(s, "lease", "x", 1, &e), &e);
    assert_clean(s, 5, 3);
    store_close(s);
}

static void an_empty_store_has_no_faults(void **state)
{
    struct err e = {0};
    struct store *s = store_open("empty", &e);

    (void)state;
    assert_clean(s, 0, 0);
    store_close(s);
}

static void a_missing_output_is_told_with_its_node(void **state)
{
    struct store *s = store_with_a_node("missing");
    struct buf out;

    (void)state;
    remove_object(s, "file");
    out = faults_of(s, 4, 2);
    assert_non_null(strstr(out.ptr, "the node: the store lacks out/file|"));
    buf_release(&out);
    store_close(s);
}

static void a_missing_file_of_a_folder_is_told(void **state)
{
    struct store *s = store_with_a_node("inner");
    struct buf out;

    (void)state;
    remove_object(s, "beta");
    out = faults_of(s, 4, 2);
    assert_non_null(strstr(out.ptr, "the node: the store lacks out/folder/b|"));
    assert_null(strstr(out.ptr, "out/folder/a"));
    buf_release(&out);
    store_close(s);
}

static void a_missing_log_is_told(void **state)
{
    struct store *s = store_with_a_node("log");
    struct buf out;

    (void)state;
    remove_object(s, "log");
    out = faults_of(s, 4, 2);
    assert_non_null(strstr(out.ptr, "the node: the store lacks its captured output|"));
    buf_release(&out);
    store_close(s);
}

static void a_damaged_object_is_told_and_left(void **state)
{
    struct store *s = store_with_a_node("damaged");
    struct arena arena = {0};
    struct digest digest;
    struct err e = {0};
    const char *path;
    struct buf out;

    (void)state;
    hash_bytes("file", 4, &digest);
    path = store_object_path(s, &arena, &digest);
    ok(os_write(path, "damaged, and long enough", 24, 0444, &e), &e);
    out = faults_of(s, 5, 2);
    assert_non_null(strstr(out.ptr, path));
    assert_non_null(strstr(out.ptr, "is damaged"));
    assert_non_null(strstr(out.ptr, "the node: the store lacks out/file|"));
    assert_int_equal(access(path, F_OK), 0);
    buf_release(&out);
    arena_release(&arena);
    store_close(s);
}

static void strays_are_told(void **state)
{
    struct store *s = store_with_a_node("stray");
    struct arena arena = {0};
    struct strs folders = {0};
    struct err e = {0};
    const char *folder;

    (void)state;
    ok(os_list("stray/cas", &arena, &folders, &e), &e);
    folder = arena_printf(&arena, "stray/cas/%s", folders.at[0]);
    ok(os_write(arena_printf(&arena, "%s/notes.txt", folder), "x", 1, 0644, &e), &e);
    assert_one_fault(s, 5, 2, "notes.txt is no object|remove it");
    ok(os_remove(arena_printf(&arena, "%s/notes.txt", folder), &e), &e);
    ok(os_write(arena_printf(&arena, "%s/" OS_TEMP_PREFIX "0", folder), "x", 1, 0644, &e), &e);
    assert_one_fault(s, 5, 2, "a killed build left it");
    strs_release(&folders);
    arena_release(&arena);
    store_close(s);
}

static void damaged_records_are_told(void **state)
{
    struct store *s = store_with_a_node("records");
    struct digest key;
    struct err e = {0};
    struct arena arena = {0};
    struct node_state out;
    bool found;

    (void)state;
    hash_bytes("the node", 8, &key);
    ok(store_table_put(s, TABLE_NODES, &key, str_of("rubbish in its place"), &e), &e);
    assert_one_fault(s, 5, 1, "checksum");
    assert_int_equal(store_get_node(s, "the node", &arena, &out, &found, &e), -1);
    assert_int_equal(e.code, ERR_record_damaged);
    assert_true(text_starts_with(e.message, "the node: "));
    err_release(&e);
    hash_bytes("the value", 9, &key);
    ok(store_table_put(s, TABLE_VALUES, &key, str_of(""), &e), &e);
    hash_bytes("base", 4, &key);
    ok(store_table_put(s, TABLE_ACTIONS, &key, str_of("xx"), &e), &e);
    arena_release(&arena);
    store_close(s);
}

static void a_damaged_list_of_actions_is_replaced_by_the_next(void **state)
{
    struct action_record record = {.sandbox = "none"};
    struct action_record *records;
    struct err e = {0};
    struct store *s = store_open("replaced", &e);
    struct arena arena = {0};
    struct digest base;
    size_t count;

    (void)state;
    hash_bytes("base", 4, &base);
    ok(store_table_put(s, TABLE_ACTIONS, &base, str_of("rubbish in its place"), &e), &e);
    assert_int_equal(store_get_actions(s, &base, &arena, &records, &count, &e), -1);
    assert_int_equal(e.code, ERR_record_damaged);
    err_release(&e);
    ok(store_put_action(s, &base, &record, &e), &e);
    ok(store_get_actions(s, &base, &arena, &records, &count, &e), &e);
    assert_int_equal(count, 1);
    assert_clean(s, 0, 1);
    arena_release(&arena);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_store_has_no_faults),
        cmocka_unit_test(an_empty_store_has_no_faults),
        cmocka_unit_test(a_missing_output_is_told_with_its_node),
        cmocka_unit_test(a_missing_file_of_a_folder_is_told),
        cmocka_unit_test(a_missing_log_is_told),
        cmocka_unit_test(a_damaged_object_is_told_and_left),
        cmocka_unit_test(strays_are_told),
        cmocka_unit_test(damaged_records_are_told),
        cmocka_unit_test(a_damaged_list_of_actions_is_replaced_by_the_next),
    };

    return cmocka_run_group_tests_name("store_fsck", tests, enter_temp, leave_temp);
}
