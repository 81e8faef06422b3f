#include "store_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include <cmocka.h>

static struct digest digest_of(const char *text)
{
    struct digest digest;

    hash_bytes(text, strlen(text), &digest);
    return digest;
}

static struct output_record outputs[2];
static struct dep_record deps[3];

static struct action_record sample(void)
{
    struct action_record r = {.key = digest_of("key"),
                              .exit_code = -1,
                              .log_bytes = UINT64_MAX,
                              .wall_ns = INT64_MIN,
                              .cpu_ns = INT64_MAX,
                              .peak_bytes = 1u << 31,
                              .sandbox = "none",
                              .machine = "m",
                              .outputs = outputs,
                              .output_count = 2,
                              .deps = deps,
                              .dep_count = 3};

    outputs[0] = (struct output_record){"out/a b", digest_of("1"), UINT64_MAX, 0755, false};
    outputs[1] = (struct output_record){"", digest_of("2"), 0, 0, true};
    deps[0] = (struct dep_record){"x.h", digest_of("3")};
    deps[1] = (struct dep_record){"\xff\n", digest_of("4")};
    deps[2] = (struct dep_record){"/usr/include/y.h", digest_of("5")};
    return r;
}

static void assert_same(const struct action_record *a, const struct action_record *b)
{
    assert_true(digest_equal(&a->key, &b->key));
    assert_int_equal(a->exit_code, b->exit_code);
    assert_true(digest_equal(&a->log, &b->log));
    assert_true(a->log_bytes == b->log_bytes);
    assert_true(a->wall_ns == b->wall_ns);
    assert_true(a->cpu_ns == b->cpu_ns);
    assert_true(a->peak_bytes == b->peak_bytes);
    assert_string_equal(a->sandbox, b->sandbox);
    assert_string_equal(a->machine, b->machine);
    assert_int_equal(a->output_count, b->output_count);
    for (size_t i = 0; i < a->output_count; i++) {
        assert_string_equal(a->outputs[i].path, b->outputs[i].path);
        assert_true(digest_equal(&a->outputs[i].digest, &b->outputs[i].digest));
        assert_true(a->outputs[i].size_bytes == b->outputs[i].size_bytes);
        assert_int_equal(a->outputs[i].mode, b->outputs[i].mode);
        assert_int_equal(a->outputs[i].directory, b->outputs[i].directory);
    }
    assert_int_equal(a->dep_count, b->dep_count);
    for (size_t i = 0; i < a->dep_count; i++) {
        assert_string_equal(a->deps[i].path, b->deps[i].path);
        assert_true(digest_equal(&a->deps[i].digest, &b->deps[i].digest));
    }
}

static void every_field_comes_back(void **state)
{
    struct action_record in[2] = {sample(), {.exit_code = 3}};
    struct action_record *out;
    struct arena arena = {0};
    struct buf value = {0};
    struct err e = {0};
    size_t count;

    (void)state;
    store_encode_actions(in, 2, &value);
    assert_int_equal(
        store_decode_actions((struct str){value.ptr, value.len}, &arena, &out, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_same(&out[0], &in[0]);
    assert_int_equal(out[1].exit_code, 3);
    assert_string_equal(out[1].sandbox, "");
    buf_release(&value);
    arena_release(&arena);
}

static void values_are_appended_and_do_not_need_alignment(void **state)
{
    struct node_state in = {.base = digest_of("b"), .record = sample(), .explanation = "why"};
    struct node_state out;
    struct arena arena = {0};
    struct buf value = {0};
    struct err e = {0};
    const char *name;

    (void)state;
    buf_addstr(&value, "odd");
    store_encode_node("node", &in, &value);
    assert_int_equal(
        store_decode_node((struct str){value.ptr + 3, value.len - 3}, &arena, &name, &out, &e), 0);
    assert_string_equal(name, "node");
    assert_string_equal(out.explanation, "why");
    assert_same(&out.record, &in.record);
    buf_release(&value);
    arena_release(&arena);
}

/* The bytes on disk are a promise: a store written today is read tomorrow, on any machine. */
static void the_layout_is_fixed(void **state)
{
    static const unsigned char expected[] = {1, 1, 0, 0, 0, 'n', 2, 0, 0, 0, 'a', 'b'};
    struct buf value = {0};
    uLong crc = crc32(0, expected, sizeof(expected));

    (void)state;
    store_encode_value("n", "ab", 2, &value);
    assert_int_equal(value.len, sizeof(expected) + 4);
    assert_memory_equal(value.ptr, expected, sizeof(expected));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal((unsigned char)value.ptr[sizeof(expected) + i], (crc >> (8 * i)) & 255);
    buf_release(&value);
}

enum form { ACTIONS, NODE, VALUE };

static struct buf encoded(enum form form)
{
    struct node_state node = {.base = digest_of("b"), .record = sample(), .explanation = "why\n"};
    struct buf value = {0};

    if (form == ACTIONS)
        store_encode_actions(&node.record, 1, &value);
    else if (form == NODE)
        store_encode_node("name", &node, &value);
    else
        store_encode_value("name", "some bytes", 10, &value);
    return value;
}

/* Decodes a copy that ends where its memory ends, so that the address sanitizer sees a read beyond.
 */
static int decode(enum form form, const char *bytes, size_t len, struct err *e)
{
    struct arena arena = {0};
    char *copy = xmalloc(len);
    struct str value = {copy, len};
    struct action_record *records;
    struct node_state node;
    const char *name;
    struct str text;
    size_t count;
    int rc;

    memcpy(copy, bytes, len);
    if (form == ACTIONS)
        rc = store_decode_actions(value, &arena, &records, &count, e);
    else if (form == NODE)
        rc = store_decode_node(value, &arena, &name, &node, e);
    else
        rc = store_decode_value(value, &arena, &name, &text, e);
    free(copy);
    arena_release(&arena);
    return rc;
}

static void assert_damaged(enum form form, const char *bytes, size_t len)
{
    struct err e = {0};

    assert_int_equal(decode(form, bytes, len, &e), -1);
    assert_int_equal(e.code, ERR_record_damaged);
    assert_non_null(e.hint);
    err_release(&e);
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    for (enum form form = ACTIONS; form <= VALUE; form++) {
        struct buf value = encoded(form);

        for (size_t i = 0; i < value.len * 8; i++) {
            value.ptr[i / 8] ^= (char)(1 << i % 8);
            assert_damaged(form, value.ptr, value.len);
            value.ptr[i / 8] ^= (char)(1 << i % 8);
        }
        buf_release(&value);
    }
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    for (enum form form = ACTIONS; form <= VALUE; form++) {
        struct buf value = encoded(form);

        for (size_t len = 0; len < value.len; len++)
            assert_damaged(form, value.ptr, len);
        buf_addch(&value, 'x');
        assert_damaged(form, value.ptr, value.len);
        buf_release(&value);
    }
}

static void reseal(struct buf *value)
{
    uLong crc = crc32(0, (const Bytef *)value->ptr, (uInt)(value->len - 4));

    for (size_t i = 0; i < 4; i++)
        value->ptr[value->len - 4 + i] = (char)(crc >> (8 * i));
}

/* With a checksum that fits, as a forger would write it: the lengths inside must still be checked.
 */
static void damage_behind_a_valid_checksum_never_crashes(void **state)
{
    struct rng rng = {1};

    (void)state;
    for (int round = 0; round < 30000; round++) {
        enum form form = (enum form)rng_below(&rng, 3);
        struct buf value = encoded(form);
        struct err e = {0};

        for (uint64_t flips = 1 + rng_below(&rng, 3); flips > 0; flips--)
            value.ptr[rng_below(&rng, value.len - 4)] = (char)rng_below(&rng, 256);
        if (rng_below(&rng, 4) == 0)
            value.len -= rng_below(&rng, value.len - 4);
        reseal(&value);
        if (decode(form, value.ptr, value.len, &e) < 0)
            assert_int_equal(e.code, ERR_record_damaged);
        err_release(&e);
        buf_release(&value);
    }
}

static void a_huge_count_asks_for_no_memory(void **state)
{
    struct buf value = {0};

    (void)state;
    store_encode_actions(NULL, 0, &value);
    memset(value.ptr + 1, 0xff, 4);
    reseal(&value);
    assert_damaged(ACTIONS, value.ptr, value.len);
    buf_release(&value);
}

static void another_version_is_refused_by_name(void **state)
{
    struct buf value = encoded(VALUE);
    struct err e = {0};

    (void)state;
    value.ptr[0] = 2;
    reseal(&value);
    assert_int_equal(decode(VALUE, value.ptr, value.len, &e), -1);
    assert_non_null(strstr(e.message, "another version"));
    err_release(&e);
    buf_release(&value);
}

static void text_holds_no_nul(void **state)
{
    struct buf value = encoded(VALUE);
    char *name = memchr(value.ptr, 'n', value.len);

    (void)state;
    name[1] = '\0';
    reseal(&value);
    assert_damaged(VALUE, value.ptr, value.len);
    buf_release(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(values_are_appended_and_do_not_need_alignment),
        cmocka_unit_test(the_layout_is_fixed),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(damage_behind_a_valid_checksum_never_crashes),
        cmocka_unit_test(a_huge_count_asks_for_no_memory),
        cmocka_unit_test(another_version_is_refused_by_name),
        cmocka_unit_test(text_holds_no_nul),
    };

    return cmocka_run_group_tests_name("store_record", tests, NULL, NULL);
}
