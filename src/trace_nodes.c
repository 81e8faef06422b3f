#include "host.h"
#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

/* Texts up to this size are kept whole. */
#define TEXT_MAX_BYTES (64u << 10)
#define METRICS_MAX_BYTES (64u << 20)

enum digest_state { DIGEST_UNKNOWN, DIGEST_THERE, DIGEST_ABSENT };

const char *trace_inside(const struct trace_job *job, const char *path)
{
    size_t len = strlen(job->run->root);
    if (*path != '/')
        return text_starts_with(path, "../") || strcmp(path, "..") == 0 ? NULL : path;
    if (strncmp(path, job->run->root, len) != 0 || path[len] != '/')
        return NULL;
    return path + len + 1;
}

const char *trace_neutral(struct trace_job *job, const char *text)
{
    const char *root = job->run->root, *at;
    size_t len = strlen(root);
    struct buf out = {0};
    if (len < 2 || !strstr(text, root))
        return text;
    while ((at = strstr(text, root)) != NULL) {
        bool ends = !at[len] || strchr("/:;,\"' )", at[len]);
        buf_add(&out, text, (size_t)(at - text));
        buf_addstr(&out, ends ? "${root}" : root);
        text = at + len;
    }
    buf_addstr(&out, text);
    char *neutral = arena_strdup(job->arena, buf_text(&out));
    buf_release(&out);
    return neutral;
}

static const struct output_record *find_output(const struct action_record *r, const char *path)
{
    for (size_t i = 0; r && i < r->output_count; i++)
        if (strcmp(r->outputs[i].path, path) == 0)
            return &r->outputs[i];
    return NULL;
}

static int source_digest(struct trace_job *job, const char *path, struct digest *out, bool *found,
                         struct err *e)
{
    const char *full = os_join(job->arena, job->run->root, path);
    return hash_cache_digest(job->run->cache, full, out, found, e);
}

int trace_artifact_digest(struct trace_job *job, uint32_t artifact, struct digest *out, bool *found,
                          struct err *e)
{
    const struct graph *g = job->run->graph;
    const struct artifact *a = &g->artifacts[artifact];
    bool there = job->digest_state[artifact] == DIGEST_THERE;
    if (job->digest_state[artifact] == DIGEST_UNKNOWN && a->producer == GRAPH_NONE) {
        if (source_digest(job, artifact_path(g, artifact), &job->digests[artifact], &there, e))
            return -1;
    } else if (job->digest_state[artifact] == DIGEST_UNKNOWN) {
        const struct action_record *r;
        if (trace_record(job, a->producer, &r, e))
            return -1;
        const struct output_record *made = find_output(r, artifact_path(g, artifact));
        there = made != NULL;
        if (made)
            job->digests[artifact] = made->digest;
    }
    job->digest_state[artifact] = there ? DIGEST_THERE : DIGEST_ABSENT;
    *found = there;
    *out = job->digests[artifact];
    return 0;
}

static void note_used(struct trace_job *job, const char *path)
{
    size_t len = strlen(job->run->out_dir);
    const char *inside = trace_inside(job, os_join(job->arena, job->run->root, path));
    uint32_t before = inside ? strmap_get(&job->used, inside) : TRACE_LOOK;
    if (before == TRACE_LOOK || before == job->use)
        return;
    if (strncmp(inside, job->run->out_dir, len) == 0 && inside[len] == '/')
        return;
    strmap_set(&job->used, inside, job->use);
    if (before == STRMAP_NONE)
        strs_push(&job->used_list, inside);
}

/* A folder that is a source stands for the files in it. */
static int note_used_folder(struct trace_job *job, const char *path, struct err *e)
{
    struct strs stack = {0}, names = {0};
    int rc = 0;
    strs_push(&stack, path);
    while (rc == 0 && stack.len) {
        const char *at = stack.at[--stack.len];
        const char *full = os_join(job->arena, job->run->root, at);
        struct os_stat st;
        rc = os_lstat(full, &st, e);
        if (rc == 0 && st.kind != OS_DIR) {
            if (st.kind != OS_ABSENT)
                note_used(job, at);
            continue;
        }
        names.len = 0;
        if (rc == 0)
            rc = os_list(full, job->arena, &names, e);
        for (size_t i = 0; rc == 0 && i < names.len; i++)
            if (strcmp(names.at[i], ".git") != 0)
                strs_push(&stack, arena_printf(job->arena, "%s/%s", at, names.at[i]));
    }
    strs_release(&stack);
    strs_release(&names);
    return rc;
}

static int note_source(struct trace_job *job, const char *path, bool folder, struct err *e)
{
    const char *inside = trace_inside(job, path);
    if (!inside)
        return 0;
    if (folder)
        return note_used_folder(job, inside, e);
    note_used(job, inside);
    return 0;
}

static int note_artifacts(struct trace_job *job, struct slice artifacts, struct err *e)
{
    const struct graph *g = job->run->graph;
    for (uint32_t i = 0; i < artifacts.len; i++) {
        uint32_t id = slice_id(g, artifacts, i);
        const struct artifact *a = &g->artifacts[id];
        if (a->producer != GRAPH_NONE || (job->use == TRACE_SAME && job->noted[id]))
            continue;
        job->noted[id] = true;
        if (note_source(job, graph_text(g, a->path), a->flags & ARTIFACT_DIRECTORY, e))
            return -1;
    }
    return 0;
}

static int note_sources(struct trace_job *job, uint32_t node, struct err *e)
{
    const struct graph *g = job->run->graph;
    const struct node *n = &g->nodes[node];
    const struct action_record *r = job->run->outcomes[node].record;
    job->use = trace_since_has(job, node) ? TRACE_SAME : TRACE_LOOK;
    if ((n->depfile || job->use == TRACE_LOOK) && trace_record(job, node, &r, e))
        return -1;
    if (note_artifacts(job, n->inputs, e))
        return -1;
    for (size_t i = 0; r && i < r->dep_count; i++) {
        uint32_t artifact = graph_find_artifact(g, r->deps[i].path);
        bool made = artifact != GRAPH_NONE && g->artifacts[artifact].producer != GRAPH_NONE;
        if (!made && note_source(job, r->deps[i].path, false, e))
            return -1;
    }
    job->use = TRACE_LOOK; /* what follows is in no key */
    if (note_artifacts(job, n->order_only, e))
        return -1;
    for (uint32_t i = 0; i < n->reads.len; i++)
        if (note_source(job, slice_text(g, n->reads, i), true, e))
            return -1;
    return 0;
}

static void note_reads(struct trace_job *job)
{
    const struct graph *g = job->run->graph;
    job->use = TRACE_LOOK;
    for (uint32_t i = 0; i < g->read_count; i++) {
        const char *what = graph_text(g, g->reads[i].what);
        if (g->reads[i].kind == READ_FILE && trace_inside(job, what))
            note_used(job, what);
    }
}

static void note_outside(struct trace_job *job, const char *path, const char *hex)
{
    while (*path == '/')
        path++;
    struct buf line = {0};
    trace_add_value(&line, path);
    strs_push(&job->outside, arena_printf(job->arena, "%s %s", buf_text(&line), hex));
    buf_release(&line);
}

static void push_line(struct trace_job *job, struct strs *lines, const char *key, const char *path,
                      const char *rest)
{
    struct buf line = {0};
    buf_addf(&line, "%s ", key);
    trace_add_value(&line, path);
    buf_addf(&line, " %s", rest);
    strs_push(lines, arena_strdup(job->arena, buf_text(&line)));
    buf_release(&line);
}

/* Of a node whose texts are not made. */
static int note_all_outside(struct trace_job *job, uint32_t node, struct err *e)
{
    const struct graph *g = job->run->graph;
    const struct node *n = &g->nodes[node];
    const struct action_record *r = NULL;
    char hex[DIGEST_HEX_LEN + 1];
    for (uint32_t i = 0; i < n->inputs.len; i++) {
        uint32_t artifact = slice_id(g, n->inputs, i);
        const char *path = artifact_path(g, artifact);
        struct digest digest;
        bool found;
        if (trace_inside(job, path))
            continue;
        if (trace_artifact_digest(job, artifact, &digest, &found, e))
            return -1;
        digest_hex(&digest, hex);
        if (found)
            note_outside(job, path, hex);
    }
    if (n->depfile && trace_record(job, node, &r, e))
        return -1;
    for (size_t i = 0; r && i < r->dep_count; i++) {
        if (trace_inside(job, r->deps[i].path))
            continue;
        digest_hex(&r->deps[i].digest, hex);
        note_outside(job, r->deps[i].path, hex);
    }
    return 0;
}

static int add_inputs(struct trace_job *job, const struct node *n, const struct action_record *r,
                      struct strs *lines, struct err *e)
{
    const struct graph *g = job->run->graph;
    char hex[DIGEST_HEX_LEN + 1];
    for (uint32_t i = 0; i < n->inputs.len; i++) {
        uint32_t artifact = slice_id(g, n->inputs, i);
        struct digest digest;
        bool found;
        if (trace_artifact_digest(job, artifact, &digest, &found, e))
            return -1;
        digest_hex(&digest, hex);
        const char *path = artifact_path(g, artifact), *inside = trace_inside(job, path);
        if (!inside && found)
            note_outside(job, path, hex);
        if (inside)
            push_line(job, lines, "in", inside, found ? hex : "-");
    }
    for (size_t i = 0; i < r->dep_count; i++) {
        const char *path = r->deps[i].path, *inside = trace_inside(job, path);
        digest_hex(&r->deps[i].digest, hex);
        if (!inside)
            note_outside(job, path, hex);
        else
            push_line(job, lines, "in", inside, hex);
    }
    return 0;
}

static void add_outputs(struct trace_job *job, const struct action_record *r, struct strs *lines)
{
    char hex[DIGEST_HEX_LEN + 1];
    for (size_t i = 0; i < r->output_count; i++) {
        const struct output_record *o = &r->outputs[i];
        const char *inside = trace_inside(job, o->path);
        digest_hex(&o->digest, hex);
        const char *kind = o->directory ? " folder" : (o->mode & 0111) ? " executable" : "";
        push_line(
            job, lines, "out", inside ? inside : o->path + 1,
            arena_printf(job->arena, "%s %llu%s", hex, (unsigned long long)o->size_bytes, kind));
    }
}

static const char *state_name(const struct outcome *o)
{
    switch (o->status) {
    case STATUS_CLEAN:
    case STATUS_RESTORED:
    case STATUS_RAN:
        return "ok";
    case STATUS_FAILED:
        return "failed";
    case STATUS_REFUSED:
        return "refused";
    case STATUS_DEFERRED:
        return "unmeasured";
    case STATUS_SKIPPED:
        return "skipped";
    default:
        return "unbuilt";
    }
}

static bool is_done(const struct outcome *o)
{
    return o->status == STATUS_CLEAN || o->status == STATUS_RESTORED || o->status == STATUS_RAN;
}

/* What came out of a node. A node that did not get done has its state, and its exit when it had
 * one. */
static int out_text(struct trace_job *job, uint32_t node, struct buf *out, struct err *e)
{
    const struct node *n = &job->run->graph->nodes[node];
    const struct outcome *o = &job->run->outcomes[node];
    const struct action_record *r = NULL;
    struct strs lines = {0};
    int rc = 0;
    if ((is_done(o) || o->status == STATUS_FAILED) && trace_record(job, node, &r, e))
        return -1;
    strs_push(&lines, arena_printf(job->arena, "state %s", state_name(o)));
    if (r) {
        strs_push(&lines, arena_printf(job->arena, "exit %d", r->exit_code));
        rc = add_inputs(job, n, r, &lines, e);
    }
    if (r && is_done(o))
        add_outputs(job, r, &lines);
    if (r && is_done(o) && o->token)
        strs_push(&lines, arena_printf(job->arena, "token %s", o->token));
    if (r && o->status == STATUS_FAILED && !digest_is_zero(&r->log)) {
        char hex[DIGEST_HEX_LEN + 1];
        digest_hex(&r->log, hex);
        strs_push(&lines,
                  arena_printf(job->arena, "log %s %llu", hex, (unsigned long long)r->log_bytes));
    }
    strs_sort(&lines);
    for (size_t i = 0; i < lines.len; i++)
        if (i == 0 || strcmp(lines.at[i], lines.at[i - 1]) != 0)
            buf_addf(out, "%s\n", lines.at[i]);
    strs_release(&lines);
    return rc;
}

static int keep(struct trace_job *job, const char *path, const struct buf *text, struct err *e)
{
    char *bytes = arena_memdup(job->arena, buf_text(text), text->len);
    return trace_files_add(&job->files, path, bytes, text->len, e);
}

/* Where a node's outcome goes: what it measured differs from run to run, and must not be in out/.
 */
static const char *out_folder(const struct trace_job *job, const struct node *n)
{
    if (!(n->flags & (NODE_MEASURED | NODE_MEASURES)))
        return "out";
    return arena_printf(job->arena, "measure/%s", trace_safe_path(job->arena, job->run->machine));
}

/* Only the store is asked: what lies in out/ may be older or newer than the record. A text that the
 * store has lost is left out; its digest is in the trace all the same. */
static int keep_text(struct trace_job *job, const struct node *n, const struct artifact *a,
                     const struct output_record *made, struct err *e)
{
    struct buf text = {0};
    struct err lost = {0};
    const struct graph *g = job->run->graph;
    const char *path = graph_text(g, a->path);
    bool metrics = a->flags & ARTIFACT_METRICS;
    int rc = 0;
    if (!job->run->store || store_get_bytes(job->run->store, &made->digest, &text, &lost)) {
        err_release(&lost);
        buf_release(&text);
        return 0;
    }
    if (metrics)
        job->measured |= trace_metrics_read(job, buf_text(&text), text.len, path);
    if ((a->flags & ARTIFACT_TRACED) && made->size_bytes <= TEXT_MAX_BYTES) {
        const char *safe = trace_safe_path(
            job->arena, trace_inside(job, path) ? trace_inside(job, path) : path + 1);
        rc = keep(job, arena_printf(job->arena, "%s/files/%s", out_folder(job, n), safe), &text, e);
    }
    buf_release(&text);
    return rc;
}

static int keep_texts(struct trace_job *job, uint32_t node, struct err *e)
{
    const struct graph *g = job->run->graph;
    const struct node *n = &g->nodes[node];
    const struct outcome *o = &job->run->outcomes[node];
    const struct action_record *r = NULL;
    if (is_done(o) && trace_record(job, node, &r, e))
        return -1;
    for (uint32_t i = 0; r && i < n->outputs.len; i++) {
        const struct artifact *a = &g->artifacts[slice_id(g, n->outputs, i)];
        const struct output_record *made = find_output(r, graph_text(g, a->path));
        bool metrics = a->flags & ARTIFACT_METRICS, traced = a->flags & ARTIFACT_TRACED;
        if (!made || made->directory || !(metrics || traced))
            continue;
        if (made->size_bytes > (metrics ? METRICS_MAX_BYTES : TEXT_MAX_BYTES))
            continue;
        if (keep_text(job, n, a, made, e))
            return -1;
    }
    return 0;
}

static void count_node(struct trace_job *job, uint32_t node)
{
    const struct node *n = &job->run->graph->nodes[node];
    const struct outcome *o = &job->run->outcomes[node];
    if (n->flags & (NODE_MEASURED | NODE_MEASURES))
        job->measured = true;
    if (n->action == NODE_GROUP)
        return;
    bool failed = o->status == STATUS_FAILED || o->status == STATUS_REFUSED;
    job->ran += o->status == STATUS_RAN || o->status == STATUS_FAILED;
    job->reused += o->status == STATUS_CLEAN || o->status == STATUS_RESTORED;
    job->failed += failed;
    job->pending += !failed && !is_done(o);
    if (failed && !job->first_failed)
        job->first_failed = node_name(job->run->graph, node);
}

/* Two texts a node: what was to be done, and what came of it. A group does nothing. */
static int keep_node_texts(struct trace_job *job, uint32_t node, struct err *e)
{
    const struct node *n = &job->run->graph->nodes[node];
    struct buf text = {0};
    const char *folder = out_folder(job, n);
    const char *below = strcmp(folder, "out") == 0 ? "" : "nodes/";
    int rc = trace_plan_text(job, node, &text, e);
    if (rc == 0)
        rc = keep(job, arena_printf(job->arena, "plan/%s", job->paths[node]), &text, e);
    buf_reset(&text);
    if (*below && is_done(&job->run->outcomes[node]))
        buf_add(&text, TRACE_NODE_HEAD, sizeof(TRACE_NODE_HEAD) - 1);
    if (rc == 0 && n->action != NODE_GROUP && (rc = out_text(job, node, &text, e)) == 0)
        rc = keep(job, arena_printf(job->arena, "%s/%s%s", folder, below, job->paths[node]), &text,
                  e);
    buf_release(&text);
    return rc ? rc : keep_texts(job, node, e);
}

static int keep_node(struct trace_job *job, uint32_t node, struct err *e)
{
    bool has = trace_since_has(job, node);
    if (has ? note_all_outside(job, node, e) : keep_node_texts(job, node, e))
        return -1;
    count_node(job, node);
    return note_sources(job, node, e);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A name that is also the folder of another gets a mark that no name can have: '%' starts a code
 * everywhere else. */
static void name_nodes(struct trace_job *job)
{
    const struct graph *g = job->run->graph;
    struct strmap folders = {0};
    for (uint32_t i = 0; i < g->node_count; i++) {
        if (!job->mark[i])
            continue;
        char *path = trace_safe_path(job->arena, node_name(g, i));
        job->paths[i] = path;
        for (char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
            char *folder = arena_strndup(job->arena, path, (size_t)(p - path));
            if (strmap_get(&folders, folder) == STRMAP_NONE)
                strmap_set(&folders, folder, 1);
        }
    }
    for (uint32_t i = 0; i < g->node_count; i++)
        if (job->mark[i] && strmap_get(&folders, job->paths[i]) != STRMAP_NONE)
            job->paths[i] = arena_printf(job->arena, "%s%%node", job->paths[i]);
    strmap_release(&folders);
}

static void mark_tools(const struct trace_job *job, bool *wanted)
{
    const struct graph *g = job->run->graph;
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; job->mark[i] && k < g->nodes[i].tools.len; k++)
            wanted[slice_id(g, g->nodes[i].tools, k)] = true;
}

static void tool_line(struct trace_job *job, const struct tool *t, struct strs *lines)
{
    const struct graph *g = job->run->graph;
    char hex[DIGEST_HEX_LEN + 1];
    struct buf line = {0};
    digest_hex(&t->digest, hex);
    trace_add_value(&line, graph_text(g, t->name));
    if (*graph_text(g, t->version)) {
        buf_addch(&line, ' ');
        trace_add_value(&line, trace_neutral(job, graph_text(g, t->version)));
    }
    if (t->artifact == GRAPH_NONE)
        buf_addf(&line, " %s", hex);
    else
        buf_addf(&line, " built-here %s", trace_neutral(job, graph_text(g, t->path)));
    strs_push(lines, arena_strdup(job->arena, buf_text(&line)));
    buf_release(&line);
}

static int keep_lines(struct trace_job *job, const char *path, struct strs *lines, struct err *e)
{
    struct buf text = {0};
    if (lines->len)
        qsort(lines->at, lines->len, sizeof(*lines->at), by_text);
    for (size_t i = 0; i < lines->len; i++)
        if (i == 0 || strcmp(lines->at[i], lines->at[i - 1]) != 0)
            buf_addf(&text, "%s\n", lines->at[i]);
    int rc = text.len ? keep(job, path, &text, e) : 0;
    buf_release(&text);
    return rc;
}

/* Only a file of another name, as -f gives one. */
static int keep_spakfile(struct trace_job *job, struct err *e)
{
    struct buf line = {0};
    const char *file = job->run->spakfile;
    const char *inside = file ? trace_inside(job, file) : NULL;
    if (!inside || strcmp(inside, "spakfile") == 0)
        return 0;
    trace_add_value(&line, inside);
    buf_addch(&line, '\n');
    int rc = keep(job, "env/spakfile", &line, e);
    buf_release(&line);
    return rc;
}

static int keep_environment(struct trace_job *job, struct err *e)
{
    const struct graph *g = job->run->graph;
    bool *wanted = arena_alloc(job->arena, g->tool_count + 1);
    struct strs lines = {0};
    mark_tools(job, wanted);
    for (uint32_t i = 0; i < g->tool_count; i++)
        if (wanted[i])
            tool_line(job, &g->tools[i], &lines);
    if (host_pretended())
        strs_push(&lines, arena_printf(job->arena, "pretended %s", host_pretended()));
    strs_push(&lines, arena_printf(job->arena, "sandbox %s",
                                   job->run->sandbox ? job->run->sandbox : "none"));
    strs_push(&lines, arena_printf(job->arena, "spak %s",
                                   job->run->engine_version ? job->run->engine_version : "-"));
    int rc = keep_lines(job, "env/toolchain", &lines, e);
    lines.len = 0;
    for (const char *const *p = job->run->params; rc == 0 && p && *p; p++) {
        struct buf line = {0};
        trace_add_value(&line, trace_neutral(job, *p));
        strs_push(&lines, arena_strdup(job->arena, buf_text(&line)));
        buf_release(&line);
    }
    if (rc == 0)
        rc = keep_lines(job, "env/params", &lines, e);
    strs_release(&lines);
    if (rc == 0)
        rc = keep_spakfile(job, e);
    return rc ? rc : keep_lines(job, "env/files", &job->outside, e);
}

int trace_nodes(struct trace_job *job, struct err *e)
{
    const struct graph *g = job->run->graph;
    job->mark = arena_alloc(job->arena, g->node_count + 1);
    job->paths = arena_alloc(job->arena, (g->node_count + 1) * sizeof(*job->paths));
    job->digests = arena_alloc(job->arena, (g->artifact_count + 1) * sizeof(*job->digests));
    job->digest_state = arena_alloc(job->arena, g->artifact_count + 1);
    job->noted = arena_alloc(job->arena, g->artifact_count + 1);
    graph_reach(g, &job->run->target_node, 1, job->mark);
    name_nodes(job);
    note_reads(job);
    for (uint32_t i = 0; i < g->node_count; i++)
        if (job->mark[i] && keep_node(job, i, e))
            return -1;
    return keep_environment(job, e);
}

/* Of what the target depends on, and not of the run: what failed elsewhere in it is not this
 * target's affair. */
const char *trace_status(const struct trace_job *job)
{
    return job->failed ? "failed" : job->pending ? "partial" : "ok";
}
