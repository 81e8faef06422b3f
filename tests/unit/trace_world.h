/* trace_world: a project in a folder of its own, a graph made by hand, and outcomes as a run would
 * leave them, for the tests of the trace. They run git's own command line over what was written:
 * what counts is what git sees. */
#ifndef TRACE_WORLD_H
#define TRACE_WORLD_H

#include "trace.h"

#include "host.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* libgit2 leaves what PCRE2 allocated for a match, a few kilobytes a repository opened. */
#ifndef KNOWN_LEAKS
#define KNOWN_LEAKS "leak:libpcre2"
#endif
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return KNOWN_LEAKS;
}

struct world {
    char top[64];
    struct arena arena;
    struct store *store;
    struct hash_cache *cache;
    struct graph *graph;
    struct outcome *outcomes;
    struct trace_run run;
    struct trace_result result;
    const char *metrics; /* what the bench leaves */
    const char *flag;    /* of the compiler */
    bool with_bench;
    bool with_glob;
    const char *object; /* content of out/hello.o */
    const char *trace_to;
};

static inline void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s (%s)", e->set ? e->message : "-1 without an error", e->hint ? e->hint : "");
}

static inline void put(const char *path, const char *text)
{
    struct err e = {0};
    ok(os_mkdirs_for(path, &e), &e);
    ok(os_write(path, text, strlen(text), 0644, &e), &e);
}

/* Runs a shell command, which must succeed, and gives what it printed without the last newline. */
static inline const char *sh(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline const char *sh(struct world *w, const char *fmt, ...)
{
    struct buf command = {0}, out = {0};
    va_list args;
    va_start(args, fmt);
    buf_addv(&command, fmt, args);
    va_end(args);
    FILE *pipe = popen(buf_text(&command), "r");
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), pipe)) > 0)
        buf_add(&out, part, n);
    int rc = pclose(pipe);
    if (rc != 0)
        fail_msg("%s: exit %d: %s", buf_text(&command), rc, buf_text(&out));
    while (out.len && out.ptr[out.len - 1] == '\n')
        out.ptr[--out.len] = 0;
    const char *text = arena_strdup(&w->arena, buf_text(&out));
    buf_release(&command);
    buf_release(&out);
    return text;
}

static inline int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    strcpy(w->top, "/tmp/spak-test-trace-XXXXXX");
    *state = w;
    if (!mkdtemp(w->top) || chdir(w->top))
        return -1;
    setenv("HOME", w->top, 1);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("GIT_DIR");
    unsetenv("GIT_WORK_TREE");
    unsetenv("GIT_INDEX_FILE");
    unsetenv("SOURCE_DATE_EPOCH");
    unsetenv("GIT_AUTHOR_NAME");
    unsetenv("GIT_AUTHOR_EMAIL");
    unsetenv("GIT_COMMITTER_NAME");
    unsetenv("GIT_COMMITTER_EMAIL");
    mkdir("p", 0755);
    w->flag = "-O2";
    w->object = "object one";
    w->metrics =
        "{\"metrics\":[{\"metric\":\"fmha.fused\",\"unit\":\"ns\",\"median\":100,\"lo\":99,"
        "\"hi\":101,\"n\":3}],\"samples\":{\"fmha.fused\":[99,100,101]}}";
    return 0;
}

static inline void forget_run(struct world *w)
{
    graph_free(w->graph);
    if (w->store)
        store_close(w->store);
    if (w->cache)
        hash_cache_close(w->cache);
    w->graph = NULL;
    w->store = NULL;
    w->cache = NULL;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    forget_run(w);
    int rc = chdir("/") == 0 ? os_remove(w->top, &e) : -1;
    arena_release(&w->arena);
    free(w);
    return rc;
}

static inline struct strs words(struct world *w, const char *text)
{
    struct strs list = {0};
    struct str rest = str_of(text), word;
    while (str_split(&rest, ' ', &word))
        strs_push(&list, arena_strndup(&w->arena, word.ptr, word.len));
    return list;
}

static inline void add_node(struct world *w, struct graph_builder *b, const char *name,
                            uint32_t flags, const char *argv, const char *inputs,
                            uint32_t output_flags)
{
    struct err e = {0};
    struct node_decl d = {.name = name, .kind = "cc", .action = NODE_COMMAND, .flags = flags};
    d.place = (struct place){"spakfile", 1, 1};
    d.argv = words(w, argv);
    d.inputs = words(w, inputs);
    if (strcmp(argv, "${tool}") != 0)
        strs_push(&d.tools, "cc");
    strs_push(&d.outputs, name);
    strs_push(&d.env, "LC_ALL");
    strs_push(&d.env, "C");
    ids_push(&d.output_flags, output_flags);
    d.driver = GRAPH_NONE;
    graph_add_node(b, &d, &e);
    ok(0, &e);
    strs_release(&d.argv);
    strs_release(&d.inputs);
    strs_release(&d.tools);
    strs_release(&d.outputs);
    strs_release(&d.env);
    ids_release(&d.output_flags);
}

static inline void add_target(struct world *w, struct graph_builder *b, const char *name,
                              const char *members)
{
    struct err e = {0};
    struct node_decl d = {
        .name = name, .kind = "target", .action = NODE_GROUP, .driver = GRAPH_NONE};
    d.flags = NODE_TARGET;
    d.members = words(w, members);
    graph_add_node(b, &d, &e);
    ok(0, &e);
    strs_release(&d.members);
}

static inline void add_cc(struct world *w, struct graph_builder *b)
{
    struct err e = {0};
    struct tool_decl cc = {.name = "cc", .path = "/usr/bin/cc", .version = "cc 12.2"};
    cc.files = words(w, "/usr/bin/cc");
    hash_bytes("cc", 2, &cc.digest);
    ok(graph_add_tool(b, &cc, &e), &e);
    strs_release(&cc.files);
}

static inline const char *content_of(const struct world *w, const char *path)
{
    if (text_ends_with(path, ".json"))
        return w->metrics;
    return text_ends_with(path, "hello.o") ? w->object : path;
}

static inline void finish_node(struct world *w, uint32_t i, enum node_status status)
{
    struct err e = {0};
    const struct node *n = &w->graph->nodes[i];
    struct action_record *r = arena_alloc(&w->arena, sizeof(*r));
    w->outcomes[i] = (struct outcome){.status = status, .start_ns = 5, .wall_ns = 7};
    if (n->action == NODE_GROUP)
        return;
    r->output_count = n->outputs.len;
    r->outputs = arena_alloc(&w->arena, (n->outputs.len + 1) * sizeof(*r->outputs));
    for (uint32_t k = 0; k < n->outputs.len; k++) {
        struct output_record *o = &r->outputs[k];
        o->path = artifact_path(w->graph, slice_id(w->graph, n->outputs, k));
        o->mode = 0644;
        o->size_bytes = strlen(content_of(w, o->path));
        ok(store_put_bytes(w->store, content_of(w, o->path), o->size_bytes, &o->digest, &e), &e);
    }
    w->outcomes[i].record = r;
}

/* The graph as it is after the sources and settings of `w`, and everything done. */
static inline void begin_run_at(struct world *w, const char *root)
{
    struct err e = {0};
    forget_run(w);
    struct graph_builder *b = graph_build();
    add_cc(w, b);
    const char *argv =
        arena_printf(&w->arena, "/usr/bin/cc %s -c hello.c -I%s/include", w->flag, root);
    add_node(w, b, "out/hello.o", 0, argv, "hello.c hello.h", 0);
    add_node(w, b, "out/hello", 0, "/usr/bin/cc out/hello.o", "out/hello.o", 0);
    add_node(w, b, "out/guide.md", 0, "/usr/bin/cc guide", "hello.h", ARTIFACT_TRACED);
    add_node(w, b, "out/unrelated", 0, "/usr/bin/cc", "other.c", 0);
    if (w->with_bench) {
        add_node(w, b, "out/bench.json", NODE_MEASURES, "/usr/bin/cc bench", "out/hello",
                 ARTIFACT_METRICS | ARTIFACT_TRACED);
        add_target(w, b, "hello", "out/hello out/guide.md out/bench.json");
    } else {
        add_target(w, b, "hello", "out/hello out/guide.md");
    }
    struct digest any;
    hash_bytes("x", 1, &any);
    graph_add_read(b, READ_FILE, "spakfile", &any);
    if (w->with_glob)
        graph_add_read(b, READ_GLOB, "*", &any);
    if (w->trace_to)
        graph_set_trace(b, w->trace_to);
    w->graph = graph_freeze(b, &e);
    ok(0, &e);
    w->store = store_open(arena_printf(&w->arena, "%s/store", w->top), &e);
    ok(0, &e);
    w->cache = hash_cache_open(arena_printf(&w->arena, "%s/stat", w->top));
    w->outcomes = arena_alloc(&w->arena, w->graph->node_count * sizeof(*w->outcomes));
    for (uint32_t i = 0; i < w->graph->node_count; i++)
        finish_node(w, i, STATUS_RAN);
    w->run = (struct trace_run){.graph = w->graph, .outcomes = w->outcomes, .target = "hello"};
    w->run.target_node = graph_find_node(w->graph, "hello");
    w->run.root = arena_strdup(&w->arena, root);
    w->run.out_dir = "out";
    w->run.machine = "test-machine-2c";
    w->run.sandbox = "none";
    w->run.engine_version = "1";
    w->run.store = w->store;
    w->run.cache = w->cache;
    w->run.wall_ns = 1000000;
}

static inline const char *root_of(struct world *w)
{
    return arena_printf(&w->arena, "%s/p", w->top);
}

static inline void begin_run(struct world *w)
{
    begin_run_at(w, root_of(w));
}

static inline void commit_run(struct world *w)
{
    struct err e = {0};
    ok(trace_commit(&w->run, &w->arena, &w->result, &e), &e);
}

static inline void full_run(struct world *w)
{
    begin_run(w);
    commit_run(w);
}

static inline void write_sources(const char *root)
{
    struct arena scratch = {0};
    put(arena_printf(&scratch, "%s/spakfile", root), "-- spakfile\n");
    put(arena_printf(&scratch, "%s/hello.c", root), "int main(void) { return 0; }\n");
    put(arena_printf(&scratch, "%s/hello.h", root), "#define HELLO 1\n");
    put(arena_printf(&scratch, "%s/.gitignore", root), "/out/\n");
    arena_release(&scratch);
}

static inline void repository(struct world *w)
{
    write_sources("p");
    sh(w, "cd p && git -c init.defaultBranch=main init -q && git config user.name Ann && "
          "git config user.email ann@example.org && git add -A && git commit -qm first 2>&1");
}

static inline void assert_text(const char *found, const char *expected)
{
    if (strcmp(found, expected) != 0)
        fail_msg("\"%s\" is not \"%s\"", found, expected);
}

static inline void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static inline void assert_sound(struct world *w, const char *repo)
{
    assert_text(
        sh(w, "git -C %s fsck --strict --no-dangling 2>&1 | grep -v '^notice' || true", repo), "");
}

static inline void assert_commits(struct world *w, const char *repo, const char *count)
{
    assert_text(sh(w, "git -C %s rev-list --count spak/hello", repo), count);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
