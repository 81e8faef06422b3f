#include "os.h"
#include "runner/study.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A sound document; tests change one thing of it. */
#define BUFFERS                                                                                    \
    "\"buffers\": [{\"name\": \"a\", \"role\": \"in\", \"dtype\": \"bf16\"}, {\"name\": \"b\", "   \
    "\"role\": \"in\"}, {\"name\": \"c\", \"role\": \"out\", \"dtype\": \"f16\"}]"
#define SHAPES                                                                                     \
    "\"shapes\": [{\"name\": \"s\", \"dims\": [2, 3], \"elements\": [4, 5, 6], \"flops\": 12, "    \
    "\"bytes\": 34, \"exact\": true, \"without\": [\"slow\"]}, {\"name\": \"t\", \"dims\": [7, "   \
    "8], \"elements\": [1, 1, 1]}]"
#define KERNELS                                                                                    \
    "\"kernels\": [{\"name\": \"fast\", \"object\": \"fast.so\", \"threads\": 3}, {\"name\": "     \
    "\"slow\", \"object\": \"slow.so\", \"check\": \"none.json\"}]"

/* The name of a file of this test's own. */
static void temporary(char *path, size_t bytes)
{
    const char *dir = getenv("TMPDIR");
    snprintf(path, bytes, "%s/test_study_XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

struct fixture {
    struct arena arena;
    struct study study;
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
    for (size_t i = 0; i < f->study.shape_count; i++)
        strs_release(&f->study.shapes[i].without);
    arena_release(&f->arena);
    err_release(&f->e);
    free(f);
    return 0;
}

static int read_text(struct fixture *f, const char *text)
{
    json_t *root = json_parse(text, strlen(text), "doc.json", &f->e);
    assert_non_null(root);
    int rc = study_read(root, "doc.json", &f->arena, &f->study, &f->e);
    json_decref(root);
    return rc;
}

static void refused(struct fixture *f, const char *text, const char *because)
{
    assert_int_equal(read_text(f, text), -1);
    assert_int_equal(f->e.code, ERR_runner_spec);
    assert_string_equal(f->e.place.file, "doc.json");
    assert_non_null(strstr(f->e.message, because));
}

static void reads_everything(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"op\": \"x\", \"reference\": \"r.so\", \"control\": \"fast\", "
                                  "\"bound\": 0.5, \"budget_s\": 2, \"timeout_s\": 3, "
                                  "\"min_blocks\": 4, \"max_blocks\": 9, " BUFFERS ", " SHAPES
                                  ", " KERNELS "}"),
                     0);
    const struct study *s = &f->study;
    assert_string_equal(s->op, "x");
    assert_string_equal(s->reference, "r.so");
    assert_string_equal(s->control, "fast");
    assert_int_equal(s->dim_count, 2);
    assert_int_equal(s->buffer_count, 3);
    assert_int_equal(s->input_count, 2);
    assert_int_equal(s->dtype[0], DTYPE_BF16);
    assert_int_equal(s->dtype[1], DTYPE_F32);
    assert_int_equal(s->dtype[2], DTYPE_F16);
    assert_int_equal(s->shape_count, 2);
    assert_int_equal(s->shapes[0].dim[1], 3);
    assert_int_equal(s->shapes[0].elements[2], 6);
    assert_true(s->shapes[0].exact);
    assert_false(s->shapes[1].exact);
    assert_int_equal(s->shapes[1].dim[0], 7);
    assert_true(s->shapes[0].flops == 12 && s->shapes[0].bytes == 34);
    assert_int_equal(s->kernels[0].threads, 3);
    assert_int_equal(s->kernels[1].threads, 1);
    assert_null(s->kernels[0].check);
    assert_string_equal(s->kernels[1].check, "none.json");
    assert_true(s->bound == 0.5 && s->budget_s == 2 && s->timeout_s == 3);
    assert_true(s->min_blocks == 4 && s->max_blocks == 9);
}

static void finds_buffers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{" BUFFERS ", " SHAPES ", " KERNELS "}"), 0);
    assert_int_equal(study_buffer(&f->study, "a"), 0);
    assert_int_equal(study_buffer(&f->study, "c"), 2);
    assert_int_equal(study_buffer(&f->study, "q"), f->study.buffer_count);
}

static void refuses_no_buffers(void **state)
{
    refused(*state, "{\"op\": \"x\"}", "`buffers` must list");
}

static void refuses_inputs_after_outputs(void **state)
{
    refused(*state,
            "{\"buffers\": [{\"name\": \"c\", \"role\": \"out\"}, {\"name\": \"a\", \"role\": "
            "\"in\"}], " SHAPES ", " KERNELS "}",
            "inputs come before outputs");
}

static void refuses_no_output(void **state)
{
    refused(*state, "{\"buffers\": [{\"name\": \"a\", \"role\": \"in\"}], " SHAPES ", " KERNELS "}",
            "no output");
}

static void refuses_unknown_dtype(void **state)
{
    refused(*state,
            "{\"buffers\": [{\"name\": \"a\", \"role\": \"in\", \"dtype\": \"fp8\"}], " SHAPES
            ", " KERNELS "}",
            "no element type is called `fp8`");
}

static void refuses_no_shapes(void **state)
{
    refused(*state, "{" BUFFERS ", " KERNELS "}", "`shapes` is empty");
}

static void refuses_uneven_dims(void **state)
{
    refused(*state,
            "{" BUFFERS ", \"shapes\": [{\"dims\": [1], \"elements\": [1, 1, 1]}, {\"dims\": [1, "
            "2], \"elements\": [1, 1, 1]}], " KERNELS "}",
            "same 1 to 16 `dims`");
}

static void refuses_missing_elements(void **state)
{
    refused(*state,
            "{" BUFFERS ", \"shapes\": [{\"dims\": [1], \"elements\": [1, 1]}], " KERNELS "}",
            "one entry of `elements`");
}

static void refuses_too_many_elements(void **state)
{
    refused(*state,
            "{" BUFFERS
            ", \"shapes\": [{\"dims\": [1], \"elements\": [1, 1, 8589934593]}], " KERNELS "}",
            "1 to 2^33");
}

static void refuses_no_elements(void **state)
{
    refused(*state,
            "{" BUFFERS ", \"shapes\": [{\"dims\": [1], \"elements\": [1, 0, 1]}], " KERNELS "}",
            "1 to 2^33");
}

static void refuses_no_kernels(void **state)
{
    refused(*state, "{" BUFFERS ", " SHAPES "}", "`kernels` is no list");
}

static void refuses_no_threads(void **state)
{
    refused(*state, "{" BUFFERS ", " SHAPES ", \"kernels\": [{\"name\": \"k\", \"threads\": 0}]}",
            "`threads` must lie");
}

static void write_file(const char *path, const char *text)
{
    struct err e = {0};
    assert_int_equal(os_write(path, text, strlen(text), 0644, &e), 0);
}

static void opens_and_keeps_the_document(void **state)
{
    struct fixture *f = *state;
    char path[512];
    temporary(path, sizeof path);
    json_t *root = NULL;
    write_file(path, "{\"more\": 5, " BUFFERS ", " SHAPES ", " KERNELS "}");
    assert_int_equal(study_open(path, &f->arena, &f->study, &root, &f->e), 0);
    assert_int_equal(json_int(root, "more", 0), 5);
    json_decref(root);
    write_file(path, "{\"more\": ");
    assert_int_equal(study_open(path, &f->arena, &f->study, &root, &f->e), -1);
    assert_int_equal(f->e.code, ERR_json_syntax);
    unlink(path);
}

static void open_says_that_a_file_is_missing(void **state)
{
    struct fixture *f = *state;
    json_t *root = NULL;
    assert_int_equal(study_open("/nowhere/spec.json", &f->arena, &f->study, &root, &f->e), -1);
    assert_null(root);
    assert_true(f->e.set);
}

static void admits_what_passed_its_check(void **state)
{
    struct fixture *f = *state;
    char path[512];
    temporary(path, sizeof path);
    assert_int_equal(read_text(f, "{" BUFFERS ", " SHAPES ", " KERNELS "}"), 0);
    struct study_kernel kernel = {.name = "slow", .check = path};
    const struct study_shape *with = &f->study.shapes[1], *without = &f->study.shapes[0];
    write_file(path, "{\"kernels\": {\"slow\": {\"status\": \"PASS\", \"object\": \"\"}}}");
    assert_int_equal(study_admit(with, &kernel), STUDY_PASS);
    assert_int_equal(study_admit(without, &kernel), STUDY_UNMEASURED);
    write_file(path, "{\"kernels\": {\"slow\": {\"status\": \"PASS\"}}}");
    assert_int_equal(study_admit(with, &kernel), STUDY_REJECTED);
    write_file(path, "{\"kernels\": {\"slow\": {\"status\": \"REJECTED\"}}}");
    assert_int_equal(study_admit(with, &kernel), STUDY_REJECTED);
    write_file(path, "{\"kernels\": {\"other\": {\"status\": \"PASS\"}}}");
    assert_int_equal(study_admit(with, &kernel), STUDY_REJECTED);
    write_file(path, "no json");
    assert_int_equal(study_admit(with, &kernel), STUDY_REJECTED);
    unlink(path);
    assert_int_equal(study_admit(with, &kernel), STUDY_REJECTED);
    kernel.check = NULL;
    assert_int_equal(study_admit(with, &kernel), STUDY_PASS);
}

/* What chooses among objects may need fewer of them than its check did, in another order, and none
 * that its check did not have. */
static void admits_the_objects_that_were_checked(void **state)
{
    struct fixture *f = *state;
    struct buf both = {0}, text = {0};
    char path[512], first[512], second[512];
    temporary(path, sizeof path);
    temporary(first, sizeof first);
    temporary(second, sizeof second);
    write_file(first, "first");
    write_file(second, "second");
    assert_int_equal(read_text(f, "{" BUFFERS ", " SHAPES ", " KERNELS "}"), 0);
    const char *const checked[] = {first, second}, *const turned[] = {second, first};
    struct study_kernel kernel = {.name = "slow", .objects = checked, .object_count = 2};
    assert_int_equal(study_objects(&kernel, &both, &f->e), 0);
    buf_addf(&text, "{\"kernels\": {\"slow\": {\"status\": \"PASS\", \"object\": \"%s\"}}}",
             buf_text(&both));
    write_file(path, buf_text(&text));
    kernel.check = path;
    kernel.objects = turned;
    assert_int_equal(study_admit(&f->study.shapes[1], &kernel), STUDY_PASS);
    kernel.object_count = 1;
    assert_int_equal(study_admit(&f->study.shapes[1], &kernel), STUDY_PASS);
    write_file(second, "another");
    assert_int_equal(study_admit(&f->study.shapes[1], &kernel), STUDY_REJECTED);
    kernel.object_count = 0;
    assert_int_equal(study_admit(&f->study.shapes[1], &kernel), STUDY_REJECTED);
    unlink(path);
    unlink(first);
    unlink(second);
    buf_release(&both);
    buf_release(&text);
}

static void an_answer_is_judged_by_its_type(void **state)
{
    double allowed;
    (void)state;
    assert_true(study_accepts(DTYPE_F32, false, 1e-6, 1.0, 1.0, 1, &allowed));
    assert_false(study_accepts(DTYPE_F32, false, 1e-6, 1.00001, 1.0, 1, &allowed));
    /* What lies below the normal numbers may come out as 0; what must be exact may not. */
    assert_true(study_accepts(DTYPE_F32, false, 1e-6, 0, 0x1p-127, 0x1p-127, &allowed));
    assert_false(study_accepts(DTYPE_F32, true, 1e-6, 0, 0x1p-127, 0x1p-127, &allowed));
    assert_false(study_accepts(DTYPE_F16, false, 1e-6, 0, 0x1p-14, 0x1p-14, &allowed));
    /* Scale 0: a masked row is what it is, however small the rest. */
    assert_true(study_accepts(DTYPE_BF16, false, 1e-6, 0, 0, 0, &allowed));
    assert_false(study_accepts(DTYPE_BF16, false, 1e-6, 0x1p-120, 0, 0, &allowed));
    assert_true(study_accepts(DTYPE_F32, false, 1e-6, -INFINITY, -INFINITY, 0, &allowed));
    assert_true(study_accepts(DTYPE_F16, false, 1e-6, INFINITY, 65520, 1, &allowed));
    assert_false(study_accepts(DTYPE_F16, false, 1e-6, INFINITY, 60000, 1, &allowed));
    assert_true(study_round(DTYPE_BF16, 1.0 + 0x1p-9) == 1.0);
    assert_true(study_round(DTYPE_F16, 65520) == INFINITY);
}

static void commitments_name_every_object(void **state)
{
    struct fixture *f = *state;
    struct buf one = {0}, two = {0};
    char path[512], other[512];
    temporary(path, sizeof path);
    temporary(other, sizeof other);
    write_file(path, "first");
    write_file(other, "second");
    const char *const objects[] = {path, other};
    struct study_kernel kernel = {.name = "k", .objects = objects, .object_count = 2};
    struct rng a, b;
    assert_int_equal(study_commit(&kernel, &one, &f->e), 0);
    assert_int_equal(study_seed_from(&kernel, &a, &f->e), 0);
    write_file(other, "Second");
    assert_int_equal(study_commit(&kernel, &two, &f->e), 0);
    assert_int_equal(study_seed_from(&kernel, &b, &f->e), 0);
    assert_string_not_equal(buf_text(&one), buf_text(&two));
    assert_true(a.state != b.state);
    kernel.object_count = 0;
    buf_reset(&two);
    assert_int_equal(study_commit(&kernel, &two, &f->e), 0);
    assert_string_equal(buf_text(&two), "candidate k library\n");
    unlink(path);
    unlink(other);
    buf_release(&one);
    buf_release(&two);
}

static void an_admission_counts(void **state)
{
    struct study study = {.op = "x", .buffer = {"a", "b"}, .input_count = 2};
    struct study_admission a;
    json_t *fault = json_pack("[{s:s}]", "status", "WRONG");
    bool passed;
    (void)state;
    study_admission_open(&study, &a);
    study_admission_try(&a, "reference", true, json_array());
    study_admission_try(&a, "zeros", false, json_incref(fault));
    study_admission_input(&a, 0, true);
    json_decref(study_admission_close(&a, &passed));
    assert_true(passed);
    for (int broken = 0; broken < 3; broken++) {
        study_admission_open(&study, &a);
        study_admission_try(&a, "reference", true, broken == 0 ? json_incref(fault) : json_array());
        study_admission_try(&a, "zeros", false, broken == 1 ? json_array() : json_incref(fault));
        study_admission_input(&a, 1, broken != 2);
        json_t *result = study_admission_close(&a, &passed);
        assert_false(passed);
        assert_string_equal(json_text(result, "status", ""), "refused");
        json_decref(result);
    }
    json_decref(fault);
}

static void shuffle_permutes(void **state)
{
    size_t order[9], moved = 0;
    struct rng rng = {5};
    (void)state;
    for (int round = 0; round < 100; round++) {
        unsigned seen = 0;
        study_shuffle(&rng, order, ARRAY_LEN(order));
        for (size_t i = 0; i < ARRAY_LEN(order); i++) {
            assert_true(order[i] < ARRAY_LEN(order));
            seen |= 1u << order[i];
            moved += order[i] != i;
        }
        assert_int_equal(seen, 0x1ff);
    }
    /* 8 of 9 places move on average. */
    assert_in_range(moved, 700, 900);
}

static void shuffle_reaches_every_place(void **state)
{
    int count[4][4] = {{0}};
    struct rng rng = {11};
    (void)state;
    for (int round = 0; round < 4000; round++) {
        size_t order[4];
        study_shuffle(&rng, order, 4);
        for (int i = 0; i < 4; i++)
            count[i][order[i]]++;
    }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            assert_in_range(count[i][k], 850, 1150);
}

static void blocks_fit_the_budget(void **state)
{
    struct study s = {.budget_s = 2, .min_blocks = 3, .max_blocks = 50};
    (void)state;
    assert_int_equal(study_blocks(&s, 1e8), 20);
    assert_int_equal(study_blocks(&s, 1e12), 3);
    assert_int_equal(study_blocks(&s, 1), 50);
}

static void statuses_have_distinct_names(void **state)
{
    (void)state;
    for (int i = 0; i < STUDY_STATUS_COUNT; i++) {
        assert_non_null(study_status_name((enum study_status)i));
        assert_int_equal(study_status_of(study_status_name((enum study_status)i)), i);
    }
    assert_int_equal(study_status_of("FINE"), STUDY_STATUS_COUNT);
    assert_string_equal(study_fill_name(FILL_LARGE), "large");
    assert_int_equal(study_dtype_bytes(DTYPE_F32), 4);
    assert_int_equal(study_dtype_bytes(DTYPE_BF16), 2);
}

static void faults_say_what_was_wrong(void **state)
{
    struct study_shape shape = {.name = "s"};
    struct study_fault wrong = {STUDY_WRONG, "c", 17, 1.5, 2.5, 0.25};
    struct study_fault hung = {.status = STUDY_HUNG};
    (void)state;
    json_t *j = study_fault_json(&shape, FILL_ONES, &wrong);
    assert_string_equal(json_text(j, "status", ""), "WRONG");
    assert_string_equal(json_text(j, "fill", ""), "ones");
    assert_string_equal(json_text(j, "buffer", ""), "c");
    assert_int_equal(json_int(j, "index", 0), 17);
    assert_string_equal(json_text(j, "detail", ""),
                        "got 1.5, the reference says 2.5, allowed difference 0.25");
    json_decref(j);
    j = study_fault_json(&shape, FILL_NORMAL, &hung);
    assert_string_equal(json_text(j, "status", ""), "HUNG");
    assert_null(json_object_get(j, "buffer"));
    assert_null(json_object_get(j, "detail"));
    json_decref(j);
}

static void a_kernel_passes_without_faults(void **state)
{
    struct study s = {.op = "x", .shape_count = 3};
    json_t *faults = json_array(), *kernels = json_object();
    (void)state;
    json_t *j = study_kernel_json(&s, "ab", json_incref(faults));
    assert_string_equal(json_text(j, "status", ""), "PASS");
    assert_int_equal(json_int(j, "shapes", 0), 3);
    assert_int_equal(json_int(j, "fills", 0), FILL_COUNT);
    json_decref(j);
    json_array_append_new(faults, json_object());
    j = study_kernel_json(&s, "ab", faults);
    assert_string_equal(json_text(j, "status", ""), "REJECTED");
    json_object_set_new(kernels, "k", j);
    j = study_check_json(&s, false, kernels);
    assert_string_equal(json_text(j, "status", ""), "REJECTED");
    assert_string_equal(json_text(j, "op", ""), "x");
    json_decref(j);
}

static void a_failed_kernel_has_no_samples(void **state)
{
    const double samples[] = {3, 4};
    struct study_fault fault = {STUDY_WRONG, "c", 1, 2, 3, 4};
    (void)state;
    json_t *j = study_samples_json(STUDY_PASS, samples, 2, &fault);
    assert_int_equal(json_array_size(json_object_get(j, "samples_ns")), 2);
    assert_null(json_object_get(j, "fault"));
    json_decref(j);
    j = study_samples_json(STUDY_WRONG, samples, 2, &fault);
    assert_int_equal(json_array_size(json_object_get(j, "samples_ns")), 0);
    assert_int_equal(json_int(json_object_get(j, "fault"), "index", 0), 1);
    json_decref(j);
}

static void a_shape_says_what_was_counted(void **state)
{
    struct study s = {.dim_count = 2};
    struct study_shape shape = {.name = "s", .dim = {4, 5, 6}, .flops = 7, .bytes = 8};
    (void)state;
    json_t *j = study_shape_json(&s, &shape, 9, json_object());
    assert_int_equal(json_array_size(json_object_get(j, "dims")), 2);
    assert_int_equal(json_int(j, "blocks", 0), 9);
    assert_true(json_num(j, "flops", 0) == 7 && json_num(j, "bytes", 0) == 8);
    json_decref(j);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void draws_follow_from_what_was_committed_to(void **state)
{
    char nonce[2][STUDY_NONCE_DIGITS + 1];
    struct err e = {0};
    (void)state;
    assert_true(study_draw("", "candidate a 00\n") == study_draw("", "candidate a 00\n"));
    assert_true(study_draw("", "candidate a 00\n") != study_draw("", "candidate a 01\n"));
    assert_true(study_draw("aa", "x") != study_draw("ab", "x"));
    assert_true(study_draw("aa", "x") < UINT64_C(1) << 53);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(study_nonce(nonce[i], &e), 0);
    assert_int_equal(strlen(nonce[0]), STUDY_NONCE_DIGITS);
    assert_string_not_equal(nonce[0], nonce[1]);
}

static void hidden_shapes_are_drawn_without_return(void **state)
{
    struct study_shape pool[5] = {
        {.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}, {.name = "e"}};
    const bool able[5] = {false, true, false, true, true};
    size_t out[3];
    struct study study = {.hidden = pool, .hidden_count = 5, .hidden_drawn = 3};
    struct rng rng = {7};
    (void)state;
    assert_int_equal(study_draw_hidden(&study, NULL, &rng, out), 3);
    assert_true(out[0] != out[1] && out[0] != out[2] && out[1] != out[2]);
    for (int round = 0; round < 50; round++) {
        assert_int_equal(study_draw_hidden(&study, able, &rng, out), 3);
        assert_true(able[out[0]] && able[out[1]] && able[out[2]]);
    }
    study.hidden_count = 2;
    assert_int_equal(study_draw_hidden(&study, NULL, &rng, out), 2);
    assert_int_equal(study_draw_hidden(&study, able, &rng, out), 1);
    assert_int_equal(out[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_from_what_was_committed_to),
        cmocka_unit_test(hidden_shapes_are_drawn_without_return),
        cmocka_unit_test(an_answer_is_judged_by_its_type),
        cmocka_unit_test(an_admission_counts),
        TEST(commitments_name_every_object),
        TEST(reads_everything),
        TEST(finds_buffers),
        TEST(refuses_no_buffers),
        TEST(refuses_inputs_after_outputs),
        TEST(refuses_no_output),
        TEST(refuses_unknown_dtype),
        TEST(refuses_no_shapes),
        TEST(refuses_uneven_dims),
        TEST(refuses_missing_elements),
        TEST(refuses_too_many_elements),
        TEST(refuses_no_elements),
        TEST(refuses_no_kernels),
        TEST(refuses_no_threads),
        TEST(opens_and_keeps_the_document),
        TEST(open_says_that_a_file_is_missing),
        TEST(admits_what_passed_its_check),
        TEST(admits_the_objects_that_were_checked),
        TEST(shuffle_permutes),
        TEST(shuffle_reaches_every_place),
        TEST(blocks_fit_the_budget),
        TEST(statuses_have_distinct_names),
        TEST(faults_say_what_was_wrong),
        TEST(a_kernel_passes_without_faults),
        TEST(a_failed_kernel_has_no_samples),
        TEST(a_shape_says_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
