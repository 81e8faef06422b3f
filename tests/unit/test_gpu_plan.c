#include "os.h"
#include "runner/gpu/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "{\"op\": \"x\", \"buffers\": [{\"name\": \"a\", \"role\": \"in\"}, {\"name\": \"c\", "        \
    "\"role\": \"out\"}], \"shapes\": [{\"name\": \"s\", \"dims\": [8], \"elements\": [8, 8]}], "  \
    "\"kernels\": [{\"name\": \"k\", \"object\": \"k.cubin\", \"entry\": \"e\", \"launch\": ["
#define TAIL "]}]}"

/* The name of a file of this test's own. */
static void temporary(char *path, size_t bytes)
{
    const char *dir = getenv("TMPDIR");
    snprintf(path, bytes, "%s/test_gpu_plan_XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

struct fixture {
    struct arena arena;
    struct gpu_study study;
    struct err e;
};

static int set_up(void **state)
{
    *state = xcalloc(1, sizeof(struct fixture));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gpu_study_close(&f->study);
    arena_release(&f->arena);
    err_release(&f->e);
    free(f);
    return 0;
}

static int open_text(struct fixture *f, const char *text)
{
    char path[512];
    temporary(path, sizeof path);
    assert_int_equal(os_write(path, text, strlen(text), 0644, &f->e), 0);
    int rc = gpu_study_open(path, &f->arena, &f->study, &f->e);
    unlink(path);
    return rc;
}

static const struct plan_launch *launch_of(struct fixture *f, const char *launch)
{
    char *text = arena_printf(&f->arena, HEAD "%s" TAIL, launch);
    int rc = open_text(f, text);
    if (rc < 0)
        print_error("%s\n", f->e.message);
    assert_int_equal(rc, 0);
    return &f->study.plans[0].launches[0];
}

static void refused(struct fixture *f, const char *launch, const char *because)
{
    char *text = arena_printf(&f->arena, HEAD "%s" TAIL, launch);
    assert_int_equal(open_text(f, text), -1);
    assert_int_equal(f->e.code, ERR_runner_spec);
    if (!strstr(f->e.message, because))
        print_error("%s\n", f->e.message);
    assert_non_null(strstr(f->e.message, because));
    assert_non_null(strstr(f->e.message, "kernel `k`"));
}

static void extents_default_to_one(void **state)
{
    const struct plan_launch *l =
        launch_of(*state, "{\"grid\": [6, 4], \"block\": [64, 2], \"cluster\": [2], \"smem\": 99}");
    assert_true(l->present);
    assert_int_equal(l->grid[0], 6);
    assert_int_equal(l->grid[1], 4);
    assert_int_equal(l->grid[2], 1);
    assert_int_equal(l->block[1], 2);
    assert_int_equal(l->cluster[0], 2);
    assert_int_equal(l->cluster[2], 1);
    assert_int_equal(l->shared_bytes, 99);
    assert_int_equal(l->arg_count, 0);
}

static void null_is_not_for_this_shape(void **state)
{
    assert_false(launch_of(*state, "null")->present);
}

static void numbers_are_encoded_in_their_width(void **state)
{
    const struct plan_launch *l =
        launch_of(*state, "{\"grid\": [1], \"block\": [1], \"args\": [{\"i32\": -5}, {\"i64\": "
                          "1099511627776}, {\"f32\": 0.5}, {\"f64\": 0.1}, {\"buffer\": \"c\"}]}");
    const uint64_t address[] = {0x1000, 0x2000};
    unsigned char bytes[8];
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    uint64_t pointer;
    assert_int_equal(l->arg_count, 5);
    assert_int_equal(l->args[0].bytes, 4);
    plan_encode(&l->args[0], address, bytes);
    memcpy(&i32, bytes, 4);
    assert_int_equal(i32, -5);
    plan_encode(&l->args[1], address, bytes);
    memcpy(&i64, bytes, 8);
    assert_true(i64 == 1099511627776);
    plan_encode(&l->args[2], address, bytes);
    memcpy(&f32, bytes, 4);
    assert_true(f32 == 0.5f);
    plan_encode(&l->args[3], address, bytes);
    memcpy(&f64, bytes, 8);
    assert_true(f64 == 0.1);
    plan_encode(&l->args[4], address, bytes);
    memcpy(&pointer, bytes, 8);
    assert_int_equal(pointer, 0x2000);
}

/* What the compiler makes of the same members. */
struct sample {
    int32_t a;
    double b;
    float c;
    uint64_t d;
    int32_t e;
};

static void structs_lie_as_the_compiler_lays_them(void **state)
{
    const struct plan_launch *l = launch_of(
        *state, "{\"grid\": [1], \"block\": [1], \"args\": [{\"struct\": [{\"i32\": 7}, {\"f64\": "
                "2.5}, {\"f32\": 1.5}, {\"buffer\": \"a\"}, {\"i32\": 9}]}]}");
    const uint64_t address[] = {0xabcdef, 0};
    struct sample got;
    assert_int_equal(l->args[0].kind, PLAN_STRUCT);
    assert_int_equal(l->args[0].bytes, sizeof got);
    assert_int_equal(l->args[0].align, _Alignof(struct sample));
    plan_encode(&l->args[0], address, (unsigned char *)&got);
    assert_int_equal(got.a, 7);
    assert_true(got.b == 2.5);
    assert_true(got.c == 1.5f);
    assert_int_equal(got.d, 0xabcdef);
    assert_int_equal(got.e, 9);
}

static void maps_keep_their_order(void **state)
{
    const struct plan_launch *l =
        launch_of(*state, "{\"grid\": [1], \"block\": [1], \"args\": [{\"map\": {\"buffer\": "
                          "\"c\", \"dims\": [64, 3, 5], \"strides\": [128, 384], \"box\": [32, 1, "
                          "4], \"swizzle\": \"64b\", \"l2\": \"256b\", \"oob\": \"nan\"}}]}");
    const struct plan_arg *arg = &l->args[0];
    assert_int_equal(arg->kind, PLAN_MAP);
    assert_int_equal(arg->bytes, 128);
    assert_int_equal(arg->align, 64);
    assert_int_equal(arg->buffer, 1);
    assert_int_equal(arg->map.rank, 3);
    assert_int_equal(arg->map.dims[2], 5);
    assert_int_equal(arg->map.strides[1], 384);
    assert_int_equal(arg->map.box[2], 4);
    assert_int_equal(arg->map.swizzle, 2);
    assert_int_equal(arg->map.promotion, 3);
    assert_int_equal(arg->map.fill, 1);
}

static void libraries_keep_their_values(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        open_text(f, "{\"op\": \"x\", \"buffers\": [{\"name\": \"a\", \"role\": \"in\"}, "
                     "{\"name\": \"c\", \"role\": \"out\"}], \"shapes\": [{\"name\": \"s\", "
                     "\"dims\": [8], \"elements\": [8, 8]}], \"kernels\": [{\"name\": \"lib\", "
                     "\"library\": \"cublas_gemm\", \"launch\": [{\"m\": 5}]}]}"),
        0);
    assert_string_equal(f->study.plans[0].library, "cublas_gemm");
    assert_int_equal(json_int(f->study.plans[0].launches[0].library, "m", 0), 5);
}

static void refuses_wrong_extents(void **state)
{
    refused(*state, "{\"block\": [1]}", "`grid` is");
}

static void refuses_large_blocks(void **state)
{
    refused(*state, "{\"grid\": [1], \"block\": [64, 32]}", "product of 1024");
}

static void refuses_uneven_clusters(void **state)
{
    refused(*state, "{\"grid\": [3], \"block\": [1], \"cluster\": [2]}", "multiple of the cluster");
}

static void refuses_wide_numbers(void **state)
{
    refused(*state, "{\"grid\": [1], \"block\": [1], \"args\": [{\"i32\": 2147483648}]}",
            "32 bits");
}

static void refuses_unknown_arguments(void **state)
{
    refused(*state, "{\"grid\": [1], \"block\": [1], \"args\": [{\"u8\": 1}]}", "is one of");
}

static void refuses_unknown_buffers(void **state)
{
    refused(*state, "{\"grid\": [1], \"block\": [1], \"args\": [{\"buffer\": \"q\"}]}",
            "names no buffer");
}

static void refuses_maps_in_structs(void **state)
{
    refused(*state,
            "{\"grid\": [1], \"block\": [1], \"args\": [{\"struct\": [{\"map\": {\"buffer\": "
            "\"a\", \"dims\": [8], \"box\": [8]}}]}]}",
            "not a member");
}

static void refuses_odd_strides(void **state)
{
    refused(*state,
            "{\"grid\": [1], \"block\": [1], \"args\": [{\"map\": {\"buffer\": \"a\", \"dims\": "
            "[8, 8], \"strides\": [24], \"box\": [8, 8]}}]}",
            "multiples of 16");
}

static void refuses_missing_strides(void **state)
{
    refused(*state,
            "{\"grid\": [1], \"block\": [1], \"args\": [{\"map\": {\"buffer\": \"a\", \"dims\": "
            "[8, 8], \"box\": [8, 8]}}]}",
            "one stride fewer");
}

static void refuses_missing_box_sides(void **state)
{
    refused(*state,
            "{\"grid\": [1], \"block\": [1], \"args\": [{\"map\": {\"buffer\": \"a\", \"dims\": "
            "[8, 8], \"strides\": [32], \"box\": [8]}}]}",
            "a side for each");
}

static void refuses_unknown_swizzles(void **state)
{
    refused(*state,
            "{\"grid\": [1], \"block\": [1], \"args\": [{\"map\": {\"buffer\": \"a\", \"dims\": "
            "[8], \"box\": [8], \"swizzle\": \"256b\"}}]}",
            "`swizzle`, `l2` or `oob`");
}

/* A kernel that is the best of several on every shape. */
static void a_launch_may_name_what_it_runs(void **state)
{
    const struct plan_launch *l =
        launch_of(*state, "{\"grid\": [1], \"block\": [1], \"object\": \"other.cubin\", \"entry\": "
                          "\"f\", \"early\": true}");
    assert_string_equal(l->object, "other.cubin");
    assert_string_equal(l->entry, "f");
    assert_true(l->early);
}

static void a_launch_runs_the_kernels_own_otherwise(void **state)
{
    const struct plan_launch *l = launch_of(*state, "{\"grid\": [1], \"block\": [1]}");
    assert_string_equal(l->object, "k.cubin");
    assert_string_equal(l->entry, "e");
    assert_false(l->early);
}

static void refuses_missing_launches(void **state)
{
    refused(*state, "null, null", "an entry for each shape");
}

/* Hidden shapes follow the declared ones, each with a launch of its own. */
static void hidden_shapes_have_launches(void **state)
{
    struct fixture *f = *state;
    static const char *const text =
        "{\"op\": \"x\", \"buffers\": [{\"name\": \"a\", \"role\": \"in\"}, {\"name\": \"c\", "
        "\"role\": \"out\"}], \"shapes\": [{\"name\": \"s\", \"dims\": [8], \"elements\": [8, "
        "8]}], "
        "\"hidden_drawn\": 1, \"hidden\": [{\"name\": \"h1\", \"dims\": [9], \"elements\": [9, "
        "9]}, "
        "{\"name\": \"h2\", \"dims\": [10], \"elements\": [10, 10]}], "
        "\"kernels\": [{\"name\": \"k\", \"object\": \"k.cubin\", \"entry\": \"e\", "
        "\"launch\": [{\"grid\": [1], \"block\": [32]}], "
        "\"hidden_launch\": [null, {\"grid\": [7], \"block\": [32], \"object\": \"h.cubin\"}]}]}";
    assert_int_equal(open_text(f, text), 0);
    const struct plan_launch *launches = f->study.plans[0].launches;
    assert_string_equal(f->study.study.shapes[2].name, "h2");
    assert_true(launches[0].present && !launches[1].present && launches[2].present);
    assert_int_equal(launches[2].grid[0], 7);
    const struct study_kernel *kernel = &f->study.study.kernels[0];
    assert_int_equal(kernel->object_count, 2);
    assert_string_equal(kernel->objects[0], "k.cubin");
    assert_string_equal(kernel->objects[1], "h.cubin");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(extents_default_to_one),
        TEST(null_is_not_for_this_shape),
        TEST(numbers_are_encoded_in_their_width),
        TEST(structs_lie_as_the_compiler_lays_them),
        TEST(maps_keep_their_order),
        TEST(libraries_keep_their_values),
        TEST(refuses_wrong_extents),
        TEST(refuses_large_blocks),
        TEST(refuses_uneven_clusters),
        TEST(refuses_wide_numbers),
        TEST(refuses_unknown_arguments),
        TEST(refuses_unknown_buffers),
        TEST(refuses_maps_in_structs),
        TEST(refuses_odd_strides),
        TEST(refuses_missing_strides),
        TEST(refuses_missing_box_sides),
        TEST(refuses_unknown_swizzles),
        TEST(a_launch_may_name_what_it_runs),
        TEST(a_launch_runs_the_kernels_own_otherwise),
        TEST(refuses_missing_launches),
        TEST(hidden_shapes_have_launches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
