#include "diff.h"

#include "trace_world.h"

#include <math.h>

/* An ELF64 file made by hand: a header, .text, .symtab, .strtab and their headers. */
struct elf {
    char bytes[2048];
    size_t len;
};
enum { TEXT = 64, SYMBOLS = 256, STRINGS = 1024, SECTIONS = 1536, SECTION_COUNT = 4 };

static void set(struct elf *f, size_t at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        f->bytes[at + i] = (char)(value >> (8 * i));
}

static void set_section(struct elf *f, size_t index, uint32_t type, uint64_t offset, uint64_t size,
                        uint32_t link)
{
    size_t at = SECTIONS + index * 64;
    set(f, at + 4, type, 4);
    set(f, at + 24, offset, 8);
    set(f, at + 32, size, 8);
    set(f, at + 40, link, 4);
}

/* names "f g h", the size of each, and the byte that their code is made of */
static struct elf make_elf(const char *names, const uint64_t *sizes, char code)
{
    struct elf f = {.len = SECTIONS + SECTION_COUNT * 64};
    size_t symbol = SYMBOLS + 24, string = STRINGS + 1, at = 0;
    memcpy(f.bytes, "\177ELF\2\1\1", 7);
    set(&f, 16, 1, 2); /* relocatable */
    set(&f, 40, SECTIONS, 8);
    set(&f, 58, 64, 2);
    set(&f, 60, SECTION_COUNT, 2);
    memset(f.bytes + TEXT, code, 192);
    struct str rest = str_of(names), name;
    for (size_t i = 0; str_split(&rest, ' ', &name); i++) {
        memcpy(f.bytes + string, name.ptr, name.len);
        set(&f, symbol, string - STRINGS, 4);
        f.bytes[symbol + 4] = 0x12; /* a global function */
        set(&f, symbol + 6, 1, 2);
        set(&f, symbol + 8, at, 8);
        set(&f, symbol + 16, sizes[i], 8);
        at += sizes[i];
        symbol += 24;
        string += name.len + 1;
    }
    set_section(&f, 1, 1, TEXT, 192, 0);
    set_section(&f, 2, 2, SYMBOLS, symbol - SYMBOLS, 3);
    set_section(&f, 3, 3, STRINGS, string - STRINGS, 0);
    return f;
}

static struct str bytes_of(const struct elf *f)
{
    return (struct str){f->bytes, f->len};
}

static void functions_are_compared_by_name(void **state)
{
    struct world *w = *state;
    struct elf a = make_elf("f gone g", (uint64_t[]){8, 4, 16}, 1);
    struct elf b = make_elf("g f new", (uint64_t[]){16, 12, 20}, 1);
    struct diff_code *code = diff_elf(bytes_of(&a), bytes_of(&b), &w->arena);
    assert_non_null(code);
    assert_int_equal(code->added, 1);
    assert_int_equal(code->removed, 1);
    assert_int_equal(code->resized, 1);
    assert_int_equal(code->rewritten, 0);
    assert_int_equal(code->same, 1);
    assert_int_equal(code->bytes_before, 28);
    assert_int_equal(code->bytes_after, 48);
    assert_int_equal(code->len, 3);
    assert_text(code->at[0].name, "f");
    assert_int_equal(code->at[0].before, 8);
    assert_int_equal(code->at[0].after, 12);
    assert_text(code->at[1].name, "gone");
    assert_int_equal(code->at[1].after, 0);
    assert_text(code->at[2].name, "new");
    assert_int_equal(code->at[2].before, 0);
}

static void code_of_one_size_may_be_other_code(void **state)
{
    struct world *w = *state;
    struct elf a = make_elf("f", (uint64_t[]){8}, 1), b = make_elf("f", (uint64_t[]){8}, 2);
    assert_int_equal(diff_elf(bytes_of(&a), bytes_of(&b), &w->arena)->rewritten, 1);
    set(&a, 16, 2, 2); /* linked: everything moves when something does */
    set(&b, 16, 2, 2);
    assert_int_equal(diff_elf(bytes_of(&a), bytes_of(&b), &w->arena)->rewritten, 0);
}

static void what_is_no_elf_is_not_compared(void **state)
{
    struct world *w = *state;
    struct elf good = make_elf("f", (uint64_t[]){8}, 1), bad;
    assert_null(diff_elf((struct str){NULL, 0}, bytes_of(&good), &w->arena));
    assert_null(diff_elf(bytes_of(&good), (struct str){"\177ELF", 4}, &w->arena));
    bad = good;
    bad.bytes[4] = 1; /* 32 bits */
    assert_null(diff_elf(bytes_of(&good), bytes_of(&bad), &w->arena));
    bad = good;
    bad.bytes[5] = 2; /* big-endian */
    assert_null(diff_elf(bytes_of(&bad), bytes_of(&good), &w->arena));
}

/* Every prefix, every field set to its largest value, and bytes changed at random: no read outside.
 * The copy is as long as the file, so that the address sanitizer sees the first byte too many. */
static void damaged_elf_is_read_within_its_bounds(void **state)
{
    struct arena arena = {0};
    struct rng rng = {7};
    struct elf good = make_elf("f g", (uint64_t[]){8, 9}, 1);
    (void)state;
    for (size_t len = 0; len <= good.len; len += 7) {
        char *copy = xmalloc(len + 1);
        memcpy(copy, good.bytes, len);
        diff_elf((struct str){copy, len}, bytes_of(&good), &arena);
        free(copy);
    }
    for (size_t i = 0; i < 4000; i++) {
        char *copy = xmalloc(good.len);
        memcpy(copy, good.bytes, good.len);
        size_t at = i < good.len ? i : rng_below(&rng, good.len);
        size_t count = i < good.len ? 8 : 1 + rng_below(&rng, 4);
        for (size_t k = 0; k < count && at + k < good.len; k++)
            copy[at + k] = i < good.len ? (char)0xff : (char)rng_next(&rng);
        diff_elf((struct str){copy, good.len}, (struct str){copy, good.len}, &arena);
        free(copy);
    }
    arena_release(&arena);
}

static struct diff compare_runs(struct world *w, const char *a, const char *b)
{
    struct err e = {0};
    struct diff d;
    struct trace *t = trace_open(root_of(w), "out", NULL, &e);
    ok(0, &e);
    ok(diff_traces(t, w->store, a, b, &w->arena, &d, &e), &e);
    trace_close(t);
    return d;
}

static const struct diff_node *find_node(const struct diff *d, const char *name)
{
    for (size_t i = 0; i < d->node_count; i++)
        if (strcmp(d->nodes[i].name, name) == 0)
            return &d->nodes[i];
    return NULL;
}

static void a_changed_source_reaches_what_reads_it(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    put("p/hello.c", "int main(void) { return 1; }\n");
    w->object = "object two";
    full_run(w);
    struct diff d = compare_runs(w, "hello~1", "hello");
    assert_true(diff_differs(&d));
    assert_int_equal(d.source_count, 1);
    assert_text(d.sources[0].path, "hello.c");
    assert_int_equal(d.sources[0].patch.added, 1);
    assert_int_equal(d.sources[0].readers, 1);
    assert_null(find_node(&d, "out/guide.md"));
    const struct diff_node *object = find_node(&d, "out/hello.o"),
                           *program = find_node(&d, "out/hello");
    assert_int_equal(object->why, DIFF_INPUTS);
    assert_text(object->cause_input, "hello.c");
    assert_int_equal(object->depth, 0);
    assert_true(object->feeds);
    assert_int_equal(program->why, DIFF_INPUTS);
    assert_int_equal(program->depth, 1);
    assert_ptr_equal(&d.nodes[program->cause], object);
    assert_int_equal(object->object_count, 1);
    const struct diff_object *o = &d.objects[object->first_object];
    assert_text(o->path, "out/hello.o");
    assert_int_equal(o->bytes_after, strlen("object two"));
    assert_null(o->code);
}

static void equal_runs_do_not_differ(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    struct diff d = compare_runs(w, "hello", "hello");
    assert_false(diff_differs(&d));
    assert_int_equal(d.node_count + d.source_count + d.env_count + d.text_count, 0);
}

static void a_flag_is_a_line_of_the_plan(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    w->flag = "-O3";
    full_run(w);
    struct diff d = compare_runs(w, "hello~1", "hello");
    assert_int_equal(d.node_count, 1);
    assert_int_equal(d.nodes[0].why, DIFF_PLAN);
    assert_int_equal(d.nodes[0].plan.len, 2);
    assert_int_equal(d.nodes[0].plan.at[0].sign, '-');
    assert_text(d.nodes[0].plan.at[0].text, "arg -O2");
    assert_text(d.nodes[0].plan.at[1].text, "arg -O3");
    assert_int_equal(d.object_count, 0);
}

static const char *samples_about(struct world *w, double middle, double spread, uint64_t seed)
{
    struct buf list = {0};
    struct rng rng = {seed};
    for (int i = 0; i < 25; i++)
        buf_addf(&list, "%s%.6f", i ? "," : "", middle * (1 + spread * (rng_unit(&rng) - 0.5)));
    const char *text = arena_printf(&w->arena,
                                    "{\"metrics\":[{\"metric\":\"fmha.fused\",\"unit\":\"ns\","
                                    "\"median\":%f,\"lo\":%f,\"hi\":%f,"
                                    "\"n\":25}],\"samples\":{\"fmha.fused\":[%s]}}",
                                    middle, middle * 0.99, middle * 1.01, buf_text(&list));
    buf_release(&list);
    return text;
}

static struct diff compare_measurements(struct world *w, double before, double after)
{
    repository(w);
    w->with_bench = true;
    w->metrics = samples_about(w, before, 0.02, 1);
    full_run(w);
    w->metrics = samples_about(w, after, 0.02, 2);
    full_run(w);
    return compare_runs(w, "hello~1", "hello");
}

static void a_regression_has_moved(void **state)
{
    struct diff d = compare_measurements(*state, 100, 110);
    assert_int_equal(d.metric_count, 1);
    assert_true(d.metrics[0].moved);
    assert_true(d.metrics[0].p < 1e-6);
    assert_true(d.metrics[0].ratio.lo > 1.08 && d.metrics[0].ratio.hi < 1.12);
    assert_true(d.metrics[0].ratio.lo <= d.metrics[0].ratio.median);
    assert_int_equal(d.metrics[0].n_before, 25);
    assert_int_equal(find_node(&d, "out/bench.json")->why, DIFF_MEASURED);
    assert_true(find_node(&d, "out/bench.json")->measured);
    assert_true(diff_differs(&d));
}

static void noise_has_not(void **state)
{
    struct diff d = compare_measurements(*state, 100, 100.1);
    assert_int_equal(d.metric_count, 1);
    assert_false(d.metrics[0].moved);
    assert_false(diff_differs(&d));
}

/* Sure, but too small to be worth a word. */
static void a_sure_change_of_one_percent_has_not(void **state)
{
    struct diff d = compare_measurements(*state, 100, 101.5);
    assert_true(d.metrics[0].p < 0.05);
    assert_false(d.metrics[0].moved);
}

static void machines_meet_where_both_measured(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    begin_run(w);
    w->run.machine = "other";
    commit_run(w);
    struct diff d = compare_runs(w, "hello~1", "hello");
    assert_int_equal(d.machine_count, 1);
    assert_text(d.machines[0].name, "other");
    assert_false(d.machines[0].before);
    assert_int_equal(d.metric_count, 0);
    assert_int_equal(d.text_count, 0);
}

static void a_trace_may_hold_nonsense(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_bench = true;
    full_run(w);
    sh(w,
       "git -C p worktree add -q --detach ../t spak/hello && cd t/measure/test-machine-2c && "
       "printf 'x\\n\\nfmha.fused ns nan 1 2 3\\nfmha.fused ns 5\\nlast ns 1 1 1 1' >summary && "
       "printf '\\0spak-samples 1\\n99\\nfmha.fused 4000000000\\n' >samples.bin && "
       "printf 'in\\nout x\\nout y z 3\\nstate\\nout %%s\\n' >nodes/out/bench.json && cd ../.. && "
       "printf 'in  \\narg\\n\\n' >plan/out/hello.o && printf '\\n\\n' >env/toolchain && "
       "git -c user.name=a -c user.email=a@a commit -qam \"$(git log -1 --format=%%B)\"");
    const char *bad = sh(w, "git -C t rev-parse HEAD");
    struct diff d = compare_runs(w, "hello", bad);
    assert_true(diff_differs(&d));
    for (size_t i = 0; i < d.metric_count; i++)
        assert_false(d.metrics[i].moved);
    d = compare_runs(w, bad, "hello");
    assert_int_equal(d.env_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(functions_are_compared_by_name),
        T(code_of_one_size_may_be_other_code),
        T(what_is_no_elf_is_not_compared),
        T(damaged_elf_is_read_within_its_bounds),
        T(a_changed_source_reaches_what_reads_it),
        T(equal_runs_do_not_differ),
        T(a_flag_is_a_line_of_the_plan),
        T(a_regression_has_moved),
        T(noise_has_not),
        T(a_sure_change_of_one_percent_has_not),
        T(machines_meet_where_both_measured),
        T(a_trace_may_hold_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
