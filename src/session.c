#include "session.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int change_dir(const char *dir, struct err *e)
{
    if (chdir(dir) == 0)
        return 0;
    return err_errno(e, ERR_spakfile_missing, "cannot work in %s", dir);
}

/* The nearest folder, from here upwards, that holds a spakfile. */
static int find_root(struct session *s, const char *here, struct err *e)
{
    for (char *dir = arena_strdup(s->arena, here);; dir = os_dirname(s->arena, dir)) {
        struct os_stat stat;
        if (os_stat(os_join(s->arena, dir, "spakfile"), &stat, e) < 0)
            return -1;
        if (stat.kind == OS_FILE) {
            s->root = dir;
            s->script_options.spakfile = "spakfile";
            return 0;
        }
        if (!strcmp(dir, "/"))
            break;
    }
    err_set(e, ERR_spakfile_missing, "there is no spakfile in %s or above it", here);
    return err_hint(e, "name one with -f FILE, or start in the project with -C DIR");
}

static int use_file(struct session *s, const char *here, const char *file, struct err *e)
{
    struct os_stat stat;
    if (os_stat(file, &stat, e) < 0)
        return -1;
    if (stat.kind != OS_FILE)
        return err_set(e, ERR_spakfile_missing, "there is no file %s", file);
    s->root = arena_strdup(s->arena, here);
    s->script_options.spakfile = file;
    return 0;
}

static int enter_root(struct session *s, const struct session_options *o, struct err *e)
{
    if (o->dir && change_dir(o->dir, e) < 0)
        return -1;
    char *here = os_getcwd(s->arena, e);
    if (!here || (o->file ? use_file(s, here, o->file, e) : find_root(s, here, e)) < 0)
        return -1;
    size_t len = strlen(s->root);
    s->prefix = strlen(here) > len ? here + len + (len > 1) : "";
    return change_dir(s->root, e);
}

/* Beside bin/ where spak was unpacked from its tarball, else beside the out/ of the project that
 * built it. */
static int home_of_engine(struct session *s, const char **home, struct err *e)
{
    struct os_stat stat;
    char *self = os_self(s->arena, e);
    if (!self)
        return -1;
    *home = os_dirname(s->arena, os_dirname(s->arena, self));
    if (os_stat(os_join(s->arena, *home, "lua/main.lua"), &stat, e) < 0)
        return -1;
    if (stat.kind != OS_FILE)
        *home = os_dirname(s->arena, *home);
    return 0;
}

/* The engine's own lua/ and rules/: where SPAK_HOME says, or where the engine lies. */
static int find_home(struct session *s, struct err *e)
{
    const char *home = getenv("SPAK_HOME");
    struct arena *a = s->arena;
    struct os_stat stat;
    if (!home && home_of_engine(s, &home, e) < 0)
        return -1;
    s->script_options.lua_dir = os_join(a, home, "lua");
    if (os_stat(s->script_options.lua_dir, &stat, e) < 0)
        return -1;
    if (stat.kind != OS_DIR) {
        err_set(e, ERR_home_missing, "there is no folder %s", s->script_options.lua_dir);
        return err_hint(e, "set SPAK_HOME to the folder that holds spak's lua and rules");
    }
    const char **dirs = arena_alloc(a, 3 * sizeof *dirs);
    dirs[0] = os_join(a, s->root, "rules");
    dirs[1] = os_join(a, home, "rules");
    s->script_options.rule_dirs = dirs;
    return 0;
}

static size_t name_length(const char *param)
{
    return strcspn(param, "=");
}

/* Sorted, the last of a name winning: the same parameters in another order are the same build. */
static int take_params(struct session *s, const char *const *given, struct err *e)
{
    size_t count = 0;
    while (given && given[count])
        count++;
    for (size_t i = 0; i < count; i++) {
        size_t len = name_length(given[i]);
        bool later = false;
        if (given[i][len] != '=' || len == 0)
            return err_set(e, ERR_usage, "-D %s is not of the form NAME=VALUE", given[i]);
        for (size_t k = i + 1; k < count; k++)
            later |= name_length(given[k]) == len && !strncmp(given[k], given[i], len);
        if (!later)
            strs_push(&s->params, given[i]);
    }
    if (s->params.len == 0)
        strs_push(&s->params, NULL), s->params.len = 0;
    strs_sort(&s->params);
    s->script_options.params = s->params.at;
    return 0;
}

/* Who holds the lock, or held it and was killed; NULL when its last holder ended in peace. */
static const char *lock_holder(struct arena *arena, const char *path)
{
    struct buf text = {0};
    struct err ignored = {0};
    if (os_read(path, &text, &ignored) < 0)
        err_release(&ignored);
    const char *who = text.len ? arena_strdup(arena, text.ptr) : NULL;
    buf_release(&text);
    return who;
}

static int lock_out(struct session *s, const struct session_options *o, struct err *e)
{
    char *path = arena_printf(s->arena, "%s/lock", s->state_dir);
    const char *holder;
    bool elsewhere;
    if (os_lock_try(path, &s->lock_fd, &elsewhere, e) < 0)
        return -1;
    if (elsewhere) {
        holder = lock_holder(s->arena, path);
        if (o->waiting)
            o->waiting(o->waiting_ctx, holder ? holder : "another spak");
        if (os_lock_wait(path, &s->lock_fd, e) < 0)
            return -1;
    }
    if (lock_holder(s->arena, path) && session_recover(s, e) < 0)
        return -1;
    char *who = arena_printf(s->arena, "spak %s (process %d)", o->verb, (int)getpid());
    if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, who, strlen(who), 0) < 0)
        return err_errno(e, ERR_os, "cannot write %s", path);
    return 0;
}

/* Another engine, other parameters or another place make another graph. */
static int make_stamp(struct session *s, struct err *e)
{
    struct hasher h;
    struct digest engine;
    bool exists;
    char *self = os_self(s->arena, e);
    if (!self || hash_cache_digest(s->cache, self, &engine, &exists, e) < 0)
        return -1;
    hash_init(&h);
    hash_add(&h, engine.bytes, DIGEST_BYTES);
    hash_add(&h, s->root, strlen(s->root) + 1);
    hash_add(&h, s->script_options.spakfile, strlen(s->script_options.spakfile) + 1);
    for (size_t i = 0; i < s->params.len; i++)
        hash_add(&h, s->params.at[i], strlen(s->params.at[i]) + 1);
    hash_final(&h, &s->stamp);
    return 0;
}

/* What of a trace a store that is new has to be told. */
typedef int recalled_fn(struct trace *, const char *commit, struct buf *out, struct err *e);

/* A store that is new knows nothing of what was measured here before; the traces do. What cannot be
 * read there is as good as not there. */
static void recall_each(struct session *s, recalled_fn *recalled, struct buf *out)
{
    const char *to =
        s->graph && s->graph->trace_to ? graph_text(s->graph, s->graph->trace_to) : NULL;
    struct strs targets = {0};
    struct err ignored = {0};
    struct trace *t = trace_open(s->root, s->out_dir, to, &ignored);
    if (t)
        trace_targets(t, s->arena, &targets, &ignored);
    for (size_t i = 0; i < targets.len && !ignored.set; i++) {
        struct trace_entry entry;
        if (trace_resolve(t, targets.at[i], s->arena, &entry, &ignored) == 0)
            recalled(t, entry.commit, out, &ignored);
    }
    err_release(&ignored);
    strs_release(&targets);
    trace_close(t);
}

static int journal_of(struct trace *t, const char *commit, struct buf *out, struct err *e)
{
    bool found;
    return trace_read(t, commit, "protocol/journal", out, &found, e);
}

static int recall_journal(void *ctx, struct buf *journal, struct err *e)
{
    (void)e;
    recall_each(ctx, journal_of, journal);
    return 0;
}

/* From the note of the run. */
static int spent_of(struct trace *t, const char *commit, struct buf *out, struct err *e)
{
    struct buf text = {0};
    bool found;
    int rc = trace_note_read(t, "run", commit, &text, &found, e);
    json_t *note = rc == 0 && found ? json_parse(buf_text(&text), text.len, "note", e) : NULL;
    json_t *spent = json_object_get(note, "spent");
    if (spent) {
        json_compact(spent, out);
        buf_addch(out, '\n');
    }
    json_decref(note);
    buf_release(&text);
    return rc;
}

static int recall_spent(void *ctx, struct buf *lines, struct err *e)
{
    (void)e;
    recall_each(ctx, spent_of, lines);
    return 0;
}

static int open_gate(struct session *s, struct err *e)
{
    char *self = os_self(s->arena, e);
    if (!self)
        return -1;
    struct gate_options options = {
        .store = s->store,
        .cache = s->cache,
        .programs = os_dirname(s->arena, self),
        .out_dir = s->out_dir,
        .recall = recall_journal,
        .recall_spent = recall_spent,
        .recall_ctx = s,
    };
    s->gate = gate_open(&options);
    return 0;
}

/* All that is lost is what needs not be built; the file stays, for whoever wants to know. */
static int heal_state(struct session *s, struct err *e)
{
    err_move(&s->warning, e);
    if (store_set_aside(s->state_dir, e) < 0)
        return -1;
    err_hint(&s->warning, "it is kept as %s/state.mdb.damaged; everything is built once more",
             s->state_dir);
    s->store = store_open(s->state_dir, e);
    return s->store ? 0 : -1;
}

static int open_state(struct session *s, const struct session_options *o, struct err *e)
{
    if (os_mkdirs(s->state_dir, e) < 0 || (o->lock && lock_out(s, o, e) < 0))
        return -1;
    s->cache = hash_cache_open(arena_printf(s->arena, "%s/stat", s->state_dir));
    s->script_options.cache = s->cache;
    s->store = store_open(s->state_dir, e);
    if (!s->store && o->lock && e->code == ERR_state_damaged && heal_state(s, e) < 0)
        return -1;
    return s->store && open_gate(s, e) == 0 ? make_stamp(s, e) : -1;
}

int session_open(struct session *s, const struct session_options *o, struct arena *arena,
                 struct err *e)
{
    int64_t begin = os_monotonic_ns();
    *s = (struct session){.arena = arena,
                          .lock_fd = -1,
                          .out_dir = "out",
                          .state_dir = "out/.spak",
                          .begin_ns = os_stamp_ns()};
    if (enter_root(s, o, e) < 0)
        return -1;
    s->script_options.root = s->root;
    s->machine = host_machine(arena);
    int rc = find_home(s, e);
    if (rc == 0)
        rc = take_params(s, o->params, e);
    if (rc == 0)
        rc = open_state(s, o, e);
    s->open_ns = os_monotonic_ns() - begin;
    return rc;
}

char *session_snapshot(struct session *s)
{
    return arena_printf(s->arena, "%s/graph", s->state_dir);
}

int session_save(struct session *s, struct err *e)
{
    stamps_free(s->stamps);
    s->stamps = NULL;
    return graph_save(s->graph, session_snapshot(s), &s->stamp, e);
}

static void drop_graph(struct session *s)
{
    if (s->script)
        script_close(s->script);
    if (s->graph)
        graph_free(s->graph);
    s->script = NULL;
    s->graph = NULL;
}

int session_evaluate(struct session *s, struct err *e)
{
    drop_graph(s);
    s->evaluations++;
    s->script = script_evaluate(&s->script_options, &s->graph, e);
    return s->script ? session_save(s, e) : -1;
}

int session_load(struct session *s, struct err *e)
{
    int64_t begin = os_monotonic_ns();
    bool valid = false;
    int rc = 0;
    s->graph = graph_load(session_snapshot(s), &s->stamp);
    s->why_evaluated = "no snapshot of this engine and these parameters";
    if (s->graph)
        rc = script_still_valid(s->graph, &s->script_options, &valid, s->arena, &s->why_evaluated,
                                e);
    if (rc == 0 && !valid)
        rc = session_evaluate(s, e);
    if (valid)
        s->why_evaluated = NULL;
    s->load_ns = os_monotonic_ns() - begin;
    return rc;
}

int session_close(struct session *s, struct err *e)
{
    int rc = 0;
    drop_graph(s);
    gate_close(s->gate);
    stamps_free(s->stamps);
    ids_release(&s->moved);
    if (s->store)
        store_close(s->store);
    if (s->cache) {
        rc = e->set ? 0 : hash_cache_save(s->cache, e);
        hash_cache_close(s->cache);
    }
    strs_release(&s->params);
    err_release(&s->warning);
    if (s->lock_fd >= 0 && ftruncate(s->lock_fd, 0) < 0 && rc == 0 && !e->set)
        rc = err_errno(e, ERR_os, "cannot write the lock");
    os_unlock(&s->lock_fd);
    return rc;
}

static int admit(void *ctx, const struct graph *g, uint32_t node, struct arena *arena,
                 const char **token, struct err *e)
{
    struct session *s = ctx;
    return gate_admit(s->gate, g, node, arena, token, e);
}

struct plan_options session_plan_options(struct session *s)
{
    const char *gpus = host_fact(s->arena, "gpu.count");
    return (struct plan_options){
        .store = s->store,
        .cache = s->cache,
        .machine = s->machine,
        .device = gpus && strcmp(gpus, "0") != 0,
        .admit = admit,
        .admit_ctx = s,
    };
}

int session_driver(void *ctx, struct graph **graph, uint32_t node, const struct outcome *outcomes,
                   const struct ids *answered, struct ids *asked, bool *done, struct err *e)
{
    struct session *s = ctx;
    size_t count = answered ? answered->len : 0;
    if (!s->script)
        BUG("driver %s has to run, but Lua was not started", node_name(*graph, node));
    struct driver_result *results = answered ? xcalloc(count + 1, sizeof *results) : NULL;
    for (size_t i = 0; i < count; i++) {
        const struct outcome *o = &outcomes[answered->at[i]];
        results[i] = (struct driver_result){
            .node = answered->at[i],
            .exit_code = o->record ? o->record->exit_code : 0,
            .status = status_text(o->status),
        };
    }
    int rc = script_driver_step(s->script, graph, node, results, count, asked, done, e);
    s->graph = *graph;
    free(results);
    return rc;
}
