#include "history.h"

#include <stdio.h>
#include <string.h>

struct faults {
    struct cmd_context *c;
    struct session *s;
    size_t count;
    size_t objects; /* of a trace */
    size_t records;
    const char *commit; /* of the trace that is checked, NULL without */
    struct strmap told; /* objects by hex */
};

static void tell_fault(void *ctx, const char *what, const char *heal)
{
    struct faults *f = ctx;
    f->count++;
    if (f->c->json)
        project_print_json(
            json_pack("{s:s, s:s, s:s}", "event", "fault", "what", what, "heal", heal ? heal : ""));
    else
        printf("fault: %s\n  heal: %s\n", what, heal ? heal : "build again");
}

static int finish(struct faults *f)
{
    if (f->c->json)
        project_print_json(json_pack("{s:s, s:I, s:I, s:I}", "event", "fsck", "objects",
                                     (json_int_t)f->objects, "records", (json_int_t)f->records,
                                     "faults", (json_int_t)f->count));
    else if (f->commit)
        printf("%zu objects of %.10s, %zu faults\n", f->objects, f->commit, f->count);
    else
        printf("%zu objects, %zu records, %zu faults\n", f->objects, f->records, f->count);
    f->c->status = f->count ? ERR_NODE : 0;
    return 0;
}

/* A damaged object is of no use to anybody, and building would take it for a whole one. */
static int remove_damaged(struct faults *f, struct err *e)
{
    struct store_object *objects;
    size_t count;
    int rc = f->count ? store_objects(f->s->store, f->c->arena, &objects, &count, e) : 0;
    for (size_t i = 0; rc == 0 && f->count && i < count; i++) {
        if (store_check_object(f->s->store, &objects[i].digest, e) == 0)
            continue;
        if (e->code != ERR_object_damaged)
            return -1;
        err_release(e);
        rc = store_remove(f->s->store, &objects[i].digest, e);
    }
    return rc;
}

static int check_store(struct faults *f, struct err *e)
{
    if (store_fsck(f->s->store, tell_fault, f, &f->objects, &f->records, e) < 0 ||
        remove_damaged(f, e) < 0)
        return -1;
    return finish(f);
}

/* How to get an object again that a trace names: the node may have another name by now, or be gone.
 */
static const char *heal_of(const struct faults *f, const struct trace_named *n)
{
    const struct graph *g = f->s->graph;
    struct arena *a = f->c->arena;
    const char *name = *n->path ? n->path : n->node;
    bool present = g && graph_find_node(g, n->node) != GRAPH_NONE;
    if (present)
        name = n->node;
    if (!present && (!g || graph_find_artifact(g, name) == GRAPH_NONE))
        return arena_printf(a, "spak reproduce %.10s", f->commit);
    return arena_printf(
        a, "spak build -B %s (if its inputs are what they were; else: spak reproduce %.10s)", name,
        f->commit);
}

static int check_named(struct faults *f, const struct digest *d, const struct trace_named *n,
                       struct err *e)
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    if (strmap_get(&f->told, hex) != STRMAP_NONE)
        return 0;
    strmap_set(&f->told, arena_strdup(f->c->arena, hex), 1);
    f->objects++;
    if (store_check_object(f->s->store, d, e) == 0)
        return 0;
    if (!store_lost_object(e))
        return -1;
    const char *what =
        arena_printf(f->c->arena, "%s%s%s in %.10s: %s", n->node, *n->path ? ": " : "",
                     *n->path ? n->path : ", its log", f->commit, e->message);
    if (e->code == ERR_object_damaged) {
        struct err ignored = {0};
        if (store_remove(f->s->store, d, &ignored) < 0)
            err_release(&ignored);
    }
    err_release(e);
    tell_fault(f, what, heal_of(f, n));
    return 0;
}

struct listing {
    struct faults *f;
    const struct trace_named *n;
};

static int check_member(void *ctx, const struct digest *d, bool folder, struct err *e)
{
    struct listing *l = ctx;
    (void)folder;
    return check_named(l->f, d, l->n, e);
}

static int check_entry(void *ctx, const struct trace_named *n, struct err *e)
{
    struct faults *f = ctx;
    struct listing l = {f, n};
    size_t before = f->count;
    if (check_named(f, &n->digest, n, e) < 0)
        return -1;
    return n->folder && f->count == before && store_has(f->s->store, &n->digest)
               ? store_folder_objects(f->s->store, &n->digest, check_member, &l, e)
               : 0;
}

static int check_trace(struct faults *f, struct trace *t, const char *revision, struct err *e)
{
    struct trace_entry entry;
    int rc = trace_resolve(t, revision, f->c->arena, &entry, e);
    f->commit = entry.commit;
    if (rc == 0)
        rc = trace_named_by(t, entry.commit, f->c->arena, check_entry, f, e);
    strs_release(&entry.metrics);
    strmap_release(&f->told);
    return rc ? -1 : finish(f);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct trace *t = NULL;
    struct faults faults = {.c = c, .s = &s};
    struct session_options o = {.dir = cmd_value(c, "directory"),
                                .file = cmd_value(c, "file"),
                                .verb = "fsck",
                                .lock = true};
    int rc;
    if (c->args.len > 1)
        return err_set(e, ERR_usage, "fsck takes at most one trace");
    if (c->args.len == 1) {
        rc = history_open(c, "fsck", &s, &t, e);
        if (rc == 0)
            rc = check_trace(&faults, t, c->args.at[0], e);
    } else {
        rc = session_open(&s, &o, c->arena, e);
        if (rc == 0)
            rc = check_store(&faults, e);
    }
    return history_close(&s, t, rc, e);
}

static const struct cmd_option options[] = {
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak fsck",
    "check the store of this project",
    "spak fsck fmha~3",
    "check the objects that one run names",
    NULL,
};

const struct cmd cmd_fsck = {
    .name = "fsck",
    .summary = "check that the store is whole",
    .usage = "[OPTION]... [TRACE]",
    .text = "Reads every object, compares it with its digest, and checks that what the records "
            "name is there. For each fault it says which node needs the object and what heals it. "
            "Damaged objects are removed, so that building again puts whole ones in their place. "
            "With a trace, the objects that it names are checked. "
            "Exit status 1 when there is a fault.",
    .options = options,
    .examples = examples,
    .run = run,
};
