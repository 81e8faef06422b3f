#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is needed is marked; what is not goes, after it was said who last named it. */
struct sweep {
    struct cmd_context *c;
    struct session *s;
    struct trace *t; /* NULL: there is no trace */
    size_t keep;
    bool dry;
    struct strmap marked; /* by hex */
    struct strmap named;  /* hex of an object that goes to an index of `names` */
    struct strs names;
    struct store_object *objects;
    size_t count;
    size_t going;
    uint64_t going_bytes;
    size_t kept;
    uint64_t kept_bytes;
};

static bool is_marked(const struct sweep *w, const struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    return strmap_get(&w->marked, hex) != STRMAP_NONE;
}

/* A folder's listing that is damaged or gone cannot say what it lists; building it again can. */
static int mark(void *ctx, const struct digest *d, bool folder, struct err *e)
{
    struct sweep *w = ctx;
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    if (strmap_get(&w->marked, hex) != STRMAP_NONE)
        return 0;
    strmap_set(&w->marked, arena_strdup(w->c->arena, hex), 1);
    if (!folder || !store_has(w->s->store, d) ||
        store_folder_objects(w->s->store, d, mark, w, e) == 0)
        return 0;
    if (!store_lost_object(e))
        return -1;
    err_release(e);
    return 0;
}

static int mark_named(void *ctx, const struct trace_named *n, struct err *e)
{
    return mark(ctx, &n->digest, n->folder, e);
}

static bool goes(void *ctx, const struct digest *d)
{
    return !is_marked(ctx, d);
}

static void name_object(struct sweep *w, const struct digest *d, const struct trace_named *n)
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    if (is_marked(w, d) || strmap_get(&w->named, hex) != STRMAP_NONE)
        return;
    strmap_set(&w->named, arena_strdup(w->c->arena, hex), (uint32_t)w->names.len);
    strs_push(&w->names, arena_printf(w->c->arena, "%.10s %s%s%s", n->commit, n->node,
                                      *n->path ? ": " : ", its log", n->path));
}

struct naming {
    struct sweep *w;
    const struct trace_named *n;
};

static int name_member(void *ctx, const struct digest *d, bool folder, struct err *e)
{
    struct naming *naming = ctx;
    (void)folder;
    (void)e;
    name_object(naming->w, d, naming->n);
    return 0;
}

static int name_lost(void *ctx, const struct trace_named *n, struct err *e)
{
    struct sweep *w = ctx;
    struct naming naming = {w, n};
    name_object(w, &n->digest, n);
    if (n->folder && store_has(w->s->store, &n->digest) &&
        store_folder_objects(w->s->store, &n->digest, name_member, &naming, e) < 0) {
        if (!store_lost_object(e))
            return -1;
        err_release(e);
    }
    return 0;
}

static const char *named_by(const struct sweep *w, const struct digest *d)
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    uint32_t at = strmap_get(&w->named, hex);
    return at == STRMAP_NONE ? "no commit" : w->names.at[at];
}

static void count(struct sweep *w)
{
    for (size_t i = 0; i < w->count; i++) {
        bool stays = is_marked(w, &w->objects[i].digest);
        *(stays ? &w->kept : &w->going) += 1;
        *(stays ? &w->kept_bytes : &w->going_bytes) += w->objects[i].stored_bytes;
    }
}

static void say_what_goes(struct sweep *w)
{
    char hex[DIGEST_HEX_LEN + 1];
    for (size_t i = 0; i < w->count; i++) {
        const struct store_object *o = &w->objects[i];
        if (is_marked(w, &o->digest))
            continue;
        digest_hex(&o->digest, hex);
        const char *by = named_by(w, &o->digest);
        if (w->c->json)
            project_print_json(json_pack("{s:s, s:s, s:I, s:s}", "event", "object", "sha256", hex,
                                         "bytes", (json_int_t)o->stored_bytes, "named_by", by));
        else
            printf("%.12s  %9llu bytes  %s\n", hex, (unsigned long long)o->stored_bytes, by);
    }
    fflush(stdout);
}

static void say_sums(const struct sweep *w, size_t records)
{
    if (w->c->json)
        project_print_json(json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "event", "gc",
                                     "dry_run", w->dry, "objects", (json_int_t)w->going, "bytes",
                                     (json_int_t)w->going_bytes, "kept_objects",
                                     (json_int_t)w->kept, "kept_bytes", (json_int_t)w->kept_bytes,
                                     "records", (json_int_t)records));
    else
        printf("%zu objects%s (%llu bytes), %zu kept (%llu bytes)\n", w->going,
               w->dry ? " would go" : " gone", (unsigned long long)w->going_bytes, w->kept,
               (unsigned long long)w->kept_bytes);
}

static int remove_objects(struct sweep *w, size_t *records, struct err *e)
{
    int rc = store_forget(w->s->store, goes, w, records, e);
    for (size_t i = 0; rc == 0 && i < w->count; i++)
        if (!is_marked(w, &w->objects[i].digest))
            rc = store_remove(w->s->store, &w->objects[i].digest, e);
    return rc ? rc : store_sync(w->s->store, e);
}

static int sweep(struct sweep *w, struct err *e)
{
    struct arena *arena = w->c->arena;
    size_t records = 0;
    int rc = store_needed(w->s->store, mark, w, e);
    if (rc == 0 && w->t)
        rc = trace_named_kept(w->t, w->keep, false, arena, mark_named, w, e);
    if (rc == 0)
        rc = store_objects(w->s->store, arena, &w->objects, &w->count, e);
    if (rc)
        return rc;
    count(w);
    if (w->going && w->t)
        rc = trace_named_kept(w->t, w->keep, true, arena, name_lost, w, e);
    if (rc == 0)
        say_what_goes(w);
    if (rc == 0 && !w->dry)
        rc = remove_objects(w, &records, e);
    if (rc == 0)
        say_sums(w, records);
    return rc;
}

/* Without a trace only the present state needs objects. */
static int open_trace(struct sweep *w, struct err *e)
{
    const struct graph *g = w->s->graph;
    const char *to = g->trace_to ? graph_text(g, g->trace_to) : NULL;
    if (to && strcmp(to, "off") == 0)
        return 0;
    w->t = trace_open(w->s->root, w->s->out_dir, to, e);
    if (w->t || e->code != ERR_trace_revision)
        return w->t ? 0 : -1;
    err_release(e);
    return 0;
}

static int read_keep(struct cmd_context *c, size_t *keep, struct err *e)
{
    const char *text = cmd_value(c, "keep");
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : 0;
    *keep = (size_t)n;
    if (!text || (*text >= '0' && *text <= '9' && *end == 0 && n > 0))
        return 0;
    err_set(e, ERR_usage, "\"%s\" is no number of runs", text);
    return err_hint(e, "spak gc --keep 10 keeps what the last ten runs of each target name");
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct sweep w = {.c = c, .s = &s, .dry = cmd_flag(c, "dry-run")};
    if (c->args.len > 0)
        return err_set(e, ERR_usage, "gc takes no operands");
    if (read_keep(c, &w.keep, e))
        return -1;
    int rc = project_open(c, "gc", true, &s, e);
    if (rc == 0)
        rc = open_trace(&w, e);
    if (rc == 0)
        rc = sweep(&w, e);
    strmap_release(&w.marked);
    strmap_release(&w.named);
    strs_release(&w.names);
    return history_close(&s, w.t, rc, e);
}

static const struct cmd_option options[] = {
    {'n', "dry-run", CMD_FLAG, NULL, "say what would go, and remove nothing"},
    {0, "keep", CMD_VALUE, "N", "keep the objects of the last N runs of each target only"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak gc -n",
    "what nothing needs any more",
    "spak gc --keep 10",
    "forget what older runs made; their traces stay",
    NULL,
};

const struct cmd cmd_gc = {
    .name = "gc",
    .summary = "remove objects of the store that nothing names any more",
    .usage = "[OPTION]...",
    .text =
        "Kept is what the present state of the nodes names, and what the traces name that a spak/ "
        "branch, a tag or a note reaches. Before an object goes, the run that last named it is "
        "shown, or \"no commit\". With --keep older runs count no longer, except those with a tag, "
        "an attestation or a verification; their commits stay, only the objects go. A build "
        "at the same time waits.",
    .options = options,
    .examples = examples,
    .run = run,
};
