#include "key.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A graph of one command whose parts a test changes before it is frozen. */
struct fixture {
    struct node_decl node;
    const char *cc_version;
    const char *cc_content;
    const char *input_content; /* of every input */
    const char *missing;       /* an input that has no content */
    struct graph *graph;
};

static void push(struct strs *list, const char *const *items)
{
    for (; *items; items++)
        strs_push(list, *items);
}
#define PUSH(list, ...) push(list, (const char *const[]){__VA_ARGS__, NULL})

static void init(struct fixture *f)
{
    *f = (struct fixture){.cc_version = "gcc 12", .cc_content = "cc", .input_content = "x"};
    f->node.name = "out/a.o";
    f->node.kind = "cc";
    f->node.doc = "";
    f->node.place = (struct place){"spakfile", 3, 1};
    f->node.action = NODE_COMMAND;
    f->node.driver = GRAPH_NONE;
    PUSH(&f->node.argv, "/usr/bin/gcc", "-c", "a.c", "-O2");
    PUSH(&f->node.inputs, "b.h", "a.c");
    PUSH(&f->node.outputs, "out/a.o");
    PUSH(&f->node.tools, "cc");
    PUSH(&f->node.env, "LANG", "C");
    PUSH(&f->node.params, "opt", "2");
}

static void release(struct fixture *f)
{
    struct node_decl *n = &f->node;
    struct strs *const lists[] = {&n->argv,    &n->env,    &n->params,     &n->facts,
                                  &n->tools,   &n->inputs, &n->order_only, &n->members,
                                  &n->outputs, &n->reads,  &n->proofs};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        strs_release(lists[i]);
    ids_release(&n->output_flags);
    if (f->graph)
        graph_free(f->graph);
}

static void freeze(struct fixture *f)
{
    struct err e = {0};
    struct graph_builder *b = graph_build();
    struct tool_decl cc = {.name = "cc", .path = "/usr/bin/gcc", .version = f->cc_version};
    hash_bytes(f->cc_content, strlen(f->cc_content), &cc.digest);
    assert_int_equal(graph_add_tool(b, &cc, &e), 0);
    assert_int_equal(graph_add_fact(b, "arch", "x86_64", &e), 0);
    if (graph_add_node(b, &f->node, &e) == GRAPH_NONE)
        fail_msg("%s", e.message);
    f->graph = graph_freeze(b, &e);
    if (!f->graph)
        fail_msg("%s", e.message);
}

static int content_digest(void *ctx, uint32_t artifact, struct digest *out, struct err *e)
{
    const struct fixture *f = ctx;
    const char *path = artifact_path(f->graph, artifact);
    if (f->missing && !strcmp(path, f->missing))
        return err_set(e, ERR_input_missing, "no %s", path);
    struct buf text = {0};
    buf_addf(&text, "%s=%s", path, f->input_content);
    hash_bytes(text.ptr, text.len, out);
    buf_release(&text);
    return 0;
}

static const char *explain(struct fixture *f, struct arena *arena, const char *token,
                           const char *machine)
{
    struct key_lookups lookups = {content_digest, f, token, machine};
    struct buf text = {0};
    struct err e = {0};
    if (!f->graph)
        freeze(f);
    assert_int_equal(
        key_explain(f->graph, graph_find_node(f->graph, f->node.name), &lookups, &text, &e), 0);
    char *kept = arena_strdup(arena, text.ptr);
    buf_release(&text);
    return kept;
}

static struct digest base(struct fixture *f)
{
    struct key_lookups lookups = {content_digest, f, NULL, NULL};
    struct digest d;
    struct err e = {0};
    if (!f->graph)
        freeze(f);
    assert_int_equal(key_base(f->graph, graph_find_node(f->graph, f->node.name), &lookups, &d, &e),
                     0);
    return d;
}

static void test_digest_is_of_the_explanation(void **state)
{
    struct fixture f;
    struct arena arena = {0};
    struct digest of_text, key;
    (void)state;
    init(&f);
    const char *text = explain(&f, &arena, NULL, NULL);
    hash_bytes(text, strlen(text), &of_text);
    key = base(&f);
    assert_true(digest_equal(&of_text, &key));
    arena_release(&arena);
    release(&f);
}

static void test_lines_are_sorted_by_key(void **state)
{
    struct fixture f;
    struct arena arena = {0};
    struct str rest, line;
    char last[64] = "";
    (void)state;
    init(&f);
    PUSH(&f.node.facts, "arch");
    f.node.depfile = "out/a.d";
    f.node.stdout_to = "out/a.o";
    f.node.flags = NODE_NETWORK;
    rest = str_of(explain(&f, &arena, NULL, NULL));
    while (str_split(&rest, '\n', &line)) {
        char key[64];
        if (line.len == 0)
            continue;
        snprintf(key, sizeof key, "%.*s", (int)strcspn(line.ptr, " "), line.ptr);
        if (strcmp(last, key) > 0)
            fail_msg("%s comes after %s", key, last);
        strcpy(last, key);
    }
    assert_string_equal(last, "tool");
    arena_release(&arena);
    release(&f);
}

static void test_explanation_names_everything(void **state)
{
    static const char *const lines[] = {"argv ${tool} cc\n",  "argv -c\n",      "env LANG C\n",
                                        "fact arch x86_64\n", "in a.c ",        "in b.h ",
                                        "kind cc\n",          "out out/a.o\n",  "param opt 2\n",
                                        "depfile out/a.d\n",  "flag network\n", " gcc 12\n"};
    struct fixture f;
    struct arena arena = {0};
    (void)state;
    init(&f);
    PUSH(&f.node.facts, "arch");
    f.node.depfile = "out/a.d";
    f.node.flags = NODE_NETWORK;
    const char *text = explain(&f, &arena, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(text, lines[i]))
            fail_msg("no \"%s\" in:\n%s", lines[i], text);
    arena_release(&arena);
    release(&f);
}

static void test_order_of_inputs_does_not_matter(void **state)
{
    struct fixture f, g;
    (void)state;
    init(&f);
    init(&g);
    g.node.inputs.len = 0;
    PUSH(&g.node.inputs, "a.c", "b.h", "a.c");
    struct digest a = base(&f), b = base(&g);
    assert_true(digest_equal(&a, &b));
    release(&f);
    release(&g);
}

static void test_order_of_arguments_matters(void **state)
{
    struct fixture f, g;
    (void)state;
    init(&f);
    init(&g);
    g.node.argv.len = 0;
    PUSH(&g.node.argv, "/usr/bin/gcc", "a.c", "-c", "-O2");
    struct digest a = base(&f), b = base(&g);
    assert_false(digest_equal(&a, &b));
    release(&f);
    release(&g);
}

static void no_change(struct fixture *f)
{
    (void)f;
}
static void change_input(struct fixture *f)
{
    f->input_content = "y";
}
static void change_tool(struct fixture *f)
{
    f->cc_content = "another";
}
static void change_version(struct fixture *f)
{
    f->cc_version = "gcc 13";
}
static void change_kind(struct fixture *f)
{
    f->node.kind = "cc2";
}
static void change_soft_fail(struct fixture *f)
{
    f->node.flags |= NODE_SOFT_FAIL;
}
static void change_dir(struct fixture *f)
{
    f->node.dir = "sub";
}
static void change_folder(struct fixture *f)
{
    ids_push(&f->node.output_flags, ARTIFACT_DIRECTORY);
}
static void change_param(struct fixture *f)
{
    PUSH(&f->node.params, "zeta", "1");
}
static void change_fact(struct fixture *f)
{
    PUSH(&f->node.facts, "arch");
}
static void change_reads(struct fixture *f)
{
    PUSH(&f->node.reads, "include");
}

static void test_what_changes_the_key(void **state)
{
    static void (*const changes[])(struct fixture *) = {
        change_input, change_tool,   change_version, change_kind, change_soft_fail,
        change_dir,   change_folder, change_param,   change_fact, change_reads};
    struct fixture f, same;
    (void)state;
    init(&f);
    init(&same);
    no_change(&same);
    struct digest before = base(&f), again = base(&same);
    assert_true(digest_equal(&before, &again));
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct fixture g;
        init(&g);
        changes[i](&g);
        struct digest after = base(&g);
        if (digest_equal(&before, &after))
            fail_msg("change %zu does not change the key", i);
        release(&g);
    }
    release(&f);
    release(&same);
}

/* What people read, when it has to be done and how it is drawn is no part of the result. */
static void test_what_leaves_the_key_alone(void **state)
{
    struct fixture f, g;
    (void)state;
    init(&f);
    init(&g);
    g.node.doc = "prose";
    g.node.place = (struct place){"other", 9, 9};
    g.node.timeout_ms = 1000;
    g.node.flags =
        NODE_TARGET | NODE_DEFAULT | NODE_TEST | NODE_CONSOLE | NODE_JOBSERVER | NODE_ALWAYS;
    PUSH(&g.node.order_only, "later");
    struct digest a = base(&f), b = base(&g);
    assert_true(digest_equal(&a, &b));
    release(&f);
    release(&g);
}

static void test_machine_and_token_only_for_what_measures(void **state)
{
    struct fixture f, g;
    struct arena arena = {0};
    (void)state;
    init(&f);
    assert_null(strstr(explain(&f, &arena, "feed", "epyc"), "epyc"));
    assert_null(strstr(explain(&f, &arena, "feed", "epyc"), "feed"));
    release(&f);
    init(&g);
    g.node.flags = NODE_MEASURES;
    assert_non_null(strstr(explain(&g, &arena, "feed", "epyc"), "machine epyc\n"));
    assert_non_null(strstr(explain(&g, &arena, "feed", "epyc"), "token feed\n"));
    release(&g);
    arena_release(&arena);
}

static void test_a_value_stays_on_its_line(void **state)
{
    struct fixture f;
    struct arena arena = {0};
    (void)state;
    init(&f);
    PUSH(&f.node.argv, "two\nlines", "back\\slash");
    const char *text = explain(&f, &arena, NULL, NULL);
    assert_non_null(strstr(text, "argv two\\nlines\n"));
    assert_non_null(strstr(text, "argv back\\\\slash\n"));
    arena_release(&arena);
    release(&f);
}

static void test_missing_input_is_an_error(void **state)
{
    struct fixture f;
    struct key_lookups lookups = {content_digest, &f, NULL, NULL};
    struct digest d;
    struct err e = {0};
    (void)state;
    init(&f);
    freeze(&f);
    f.missing = "b.h";
    assert_int_equal(key_base(f.graph, 0, &lookups, &d, &e), -1);
    assert_int_equal(e.code, ERR_input_missing);
    err_release(&e);
    release(&f);
}

static void test_full_key_covers_paths_and_digests(void **state)
{
    struct digest b, x, y, keys[5];
    (void)state;
    hash_bytes("base", 4, &b);
    hash_bytes("x", 1, &x);
    hash_bytes("y", 1, &y);
    struct dep_record one[] = {{"a.h", x}}, other[] = {{"b.h", x}}, changed[] = {{"a.h", y}},
                      two[] = {{"a.h", x}, {"b.h", y}};
    key_full(&b, NULL, 0, &keys[0]);
    key_full(&b, one, 1, &keys[1]);
    key_full(&b, other, 1, &keys[2]);
    key_full(&b, changed, 1, &keys[3]);
    key_full(&b, two, 2, &keys[4]);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        for (size_t k = 0; k < i; k++)
            assert_false(digest_equal(&keys[i], &keys[k]));
}

#define H0 "0000000000000000000000000000000000000000000000000000000000000000"
#define H1 "1111111111111111111111111111111111111111111111111111111111111111"

static void test_differences_in_words(void **state)
{
    static const struct {
        const char *before, *after, *says;
    } cases[] = {
        {"in a.c " H0 "\n", "in a.c " H1 "\n", "input a.c changed"},
        {"in a b.c " H0 "\n", "in a b.c " H1 "\n", "input a b.c changed"},
        {"kind cc\n", "in a.c " H0 "\nkind cc\n", "input a.c added"},
        {"in a.c " H0 "\nkind cc\n", "kind cc\n", "input a.c removed"},
        {"argv -O2\n", "argv -O3\n", "argument -O2 became -O3"},
        {"argv -c\n", "argv -c\nargv -g\n", "argument -g added"},
        {"argv -c\nargv -g\n", "argv -c\n", "argument -g removed"},
        {"argv a\nargv b\n", "argv b\nargv a\n", "order of arguments changed"},
        {"param n 1\n", "param n 2\n", "parameter n changed from 1 to 2"},
        {"env A x\n", "env A y\n", "variable A changed from x to y"},
        {"tool cc " H0 " gcc 12\n", "tool cc " H1 " gcc 13\n",
         "tool cc changed from gcc 12 to gcc 13"},
        {"tool cc " H0 " gcc 12\n", "tool cc " H1 " gcc 12\n", "tool cc changed"},
        {"text " H0 "\n", "text " H1 "\n", "text changed"},
        {"token aa\n", "token bb\n", "token of the lease changed"},
        {"machine a\n", "machine b\n", "machine changed"},
        {"in a.c " H0 "\nin b.c " H0 "\n", "in a.c " H1 "\nin b.c " H1 "\n",
         "input a.c changed (and 1 more)"},
        {"argv -O2\nin a.c " H0 "\n", "argv -O3\nin a.c " H1 "\n",
         "input a.c changed (and 2 more)"},
    };
    struct arena arena = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(key_difference(&arena, cases[i].before, cases[i].after), cases[i].says);
    assert_null(key_difference(&arena, "kind a\n", "kind a\n"));
    arena_release(&arena);
}

static void test_abridged_it_tells_the_same(void **state)
{
    static const char before[] = "argv -c\nin a " H0 "\nin b.c " H0 "\nout " H0 "\ntext " H0 "\n";
    static const char after[] = "argv -c\nin a " H0 "\nin b.c " H1 "\nout " H0 "\ntext " H0 "\n";
    static const char cut[] = "argv -c\nin a 0000000000000000\nin b.c 0000000000000000\n"
                              "out " H0 "\ntext " H0 "\n";
    struct buf a = {0}, b = {0}, again = {0};
    struct arena arena = {0};
    (void)state;
    key_abridge(before, &a);
    key_abridge(after, &b);
    key_abridge(a.ptr, &again);
    assert_string_equal(a.ptr, cut);
    assert_string_equal(again.ptr, cut);
    assert_string_equal(key_difference(&arena, a.ptr, b.ptr), "input b.c changed");
    assert_null(key_difference(&arena, a.ptr, again.ptr));
    buf_release(&a);
    buf_release(&b);
    buf_release(&again);
    arena_release(&arena);
}

static void test_difference_to_or_from_nothing(void **state)
{
    struct arena arena = {0};
    (void)state;
    assert_string_equal(key_difference(&arena, "", "in a.c " H0 "\n"), "input a.c added");
    assert_string_equal(key_difference(&arena, "in a.c " H0 "\n", ""), "input a.c removed");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_is_of_the_explanation),
        cmocka_unit_test(test_lines_are_sorted_by_key),
        cmocka_unit_test(test_explanation_names_everything),
        cmocka_unit_test(test_order_of_inputs_does_not_matter),
        cmocka_unit_test(test_order_of_arguments_matters),
        cmocka_unit_test(test_what_changes_the_key),
        cmocka_unit_test(test_what_leaves_the_key_alone),
        cmocka_unit_test(test_machine_and_token_only_for_what_measures),
        cmocka_unit_test(test_a_value_stays_on_its_line),
        cmocka_unit_test(test_missing_input_is_an_error),
        cmocka_unit_test(test_full_key_covers_paths_and_digests),
        cmocka_unit_test(test_differences_in_words),
        cmocka_unit_test(test_abridged_it_tells_the_same),
        cmocka_unit_test(test_difference_to_or_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
