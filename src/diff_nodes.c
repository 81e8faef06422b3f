#include "diff_parts.h"

#include "hash.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

/* Larger objects are compared by digest alone. */
#define ELF_MAX_BYTES (64u << 20)

struct output {
    const char *path;
    const char *digest;
    uint64_t bytes;
};
struct input {
    const char *path;
    const char *digest; /* NULL: another node makes it, and the outcome does not say */
};

/* A node as one run had it. */
struct side {
    bool there;
    struct buf plan; /* its own lines: without the digests of sources */
    const char *state;
    bool ran; /* the outcome says what it read */
    struct input *inputs;
    size_t input_count, input_cap;
    struct output *outputs;
    size_t output_count, output_cap;
    struct strs tools;
};

/* Nodes while they are compared, in the order of diff->nodes. */
struct work {
    struct diff_job *job;
    struct strmap makers;      /* path to the changed node that makes it */
    struct strs changed_tools; /* tools whose line in env/toolchain is another */
    bool outside;              /* files outside the project changed */
    size_t object_cap;
};

static void side_release(struct side *s)
{
    buf_release(&s->plan);
    strs_release(&s->tools);
    free(s->inputs);
    free(s->outputs);
}

static bool starts(struct str line, const char *word)
{
    size_t len = strlen(word);
    return line.len > len && memcmp(line.ptr, word, len) == 0;
}

static struct str without(struct str line, const char *word)
{
    size_t len = strlen(word);
    return (struct str){line.ptr + len, line.len - len};
}

/* Cuts the last word off; false when there is only one. */
static bool cut_last(struct str *line, struct str *word)
{
    size_t at = line->len;
    while (at && line->ptr[at - 1] != ' ')
        at--;
    if (at < 2)
        return false;
    *word = (struct str){line->ptr + at, line->len - at};
    line->len = at - 1;
    return true;
}

static bool is_digest(struct str word)
{
    size_t hex = 0;
    while (hex < word.len && strchr("0123456789abcdef", word.ptr[hex]))
        hex++;
    return hex == word.len && hex == DIGEST_HEX_LEN;
}

static void add_input(struct diff_job *job, struct side *s, struct str path, struct str digest)
{
    if (s->input_count == s->input_cap) {
        s->input_cap = s->input_cap ? s->input_cap * 2 : 8;
        s->inputs = xrealloc(s->inputs, s->input_cap * sizeof(*s->inputs));
    }
    struct input *in = &s->inputs[s->input_count++];
    in->path = arena_strndup(job->arena, path.ptr, path.len);
    in->digest = digest.len ? arena_strndup(job->arena, digest.ptr, digest.len) : NULL;
}

/* "path sha256 bytes", and "executable" or "folder" behind it. */
static void add_output(struct diff_job *job, struct side *s, struct str line)
{
    struct str digest, bytes;
    if (!cut_last(&line, &bytes))
        return;
    bool kind = !(*bytes.ptr >= '0' && *bytes.ptr <= '9');
    if (kind && !cut_last(&line, &bytes))
        return;
    if (!cut_last(&line, &digest) || !is_digest(digest))
        return;
    if (s->output_count == s->output_cap) {
        s->output_cap = s->output_cap ? s->output_cap * 2 : 4;
        s->outputs = xrealloc(s->outputs, s->output_cap * sizeof(*s->outputs));
    }
    struct output *out = &s->outputs[s->output_count++];
    out->path = arena_strndup(job->arena, line.ptr, line.len);
    out->digest = arena_strndup(job->arena, digest.ptr, digest.len);
    out->bytes = strtoull(bytes.ptr, NULL, 10);
}

static void read_plan(struct diff_job *job, struct str text, struct side *s)
{
    struct str line;
    while (str_split(&text, '\n', &line)) {
        struct str path = starts(line, "in ") ? without(line, "in ") : (struct str){0}, digest;
        bool source = path.len && cut_last(&path, &digest) && is_digest(digest);
        if (source)
            add_input(job, s, path, digest);
        if (starts(line, "tool "))
            strs_push(&s->tools, arena_strndup(job->arena, line.ptr + 5, line.len - 5));
        buf_add(&s->plan, line.ptr, source ? (size_t)(path.ptr + path.len - line.ptr) : line.len);
        buf_addch(&s->plan, '\n');
    }
}

static void read_outcome(struct diff_job *job, struct str text, struct side *s)
{
    struct str line, digest;
    while (str_split(&text, '\n', &line)) {
        if (starts(line, "state "))
            s->state = arena_strndup(job->arena, line.ptr + 6, line.len - 6);
        else if (starts(line, "exit "))
            s->ran = true;
        else if (starts(line, "out "))
            add_output(job, s, without(line, "out "));
        if (!starts(line, "in "))
            continue;
        line = without(line, "in ");
        if (cut_last(&line, &digest))
            add_input(job, s, line, digest);
    }
}

static int by_path(const void *a, const void *b)
{
    const struct input *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : strcmp(x->digest ? x->digest : "", y->digest ? y->digest : "");
}

static int by_output(const void *a, const void *b)
{
    return strcmp(((const struct output *)a)->path, ((const struct output *)b)->path);
}

/* What is planned names sources, what came of it names everything: each path is wanted once. */
static void sort_side(struct side *s)
{
    size_t kept = 0;
    if (s->input_count)
        qsort(s->inputs, s->input_count, sizeof(*s->inputs), by_path);
    for (size_t i = 0; i < s->input_count; i++)
        if (!kept || strcmp(s->inputs[kept - 1].path, s->inputs[i].path) != 0)
            s->inputs[kept++] = s->inputs[i];
    s->input_count = kept;
    if (s->output_count)
        qsort(s->outputs, s->output_count, sizeof(*s->outputs), by_output);
}

/* What came of a node lies in out/, or with the machine that measured it. */
static int read_side(struct diff_job *job, const char *commit, const char *machine,
                     const char *name, struct side *s, bool *measured, struct err *e)
{
    struct str plan, outcome;
    *s = (struct side){0};
    if (diff_read(job, commit, arena_printf(job->arena, "plan/%s", name), &plan, e) ||
        diff_read(job, commit, arena_printf(job->arena, "out/%s", name), &outcome, e))
        return -1;
    s->there = plan.len > 0;
    if (s->there && outcome.len == 0 && *machine) {
        const char *path = arena_printf(job->arena, "measure/%s/nodes/%s", machine, name);
        if (diff_read(job, commit, path, &outcome, e))
            return -1;
        *measured |= outcome.len > 0;
    }
    read_plan(job, plan, s);
    read_outcome(job, outcome, s);
    sort_side(s);
    return 0;
}

/* Both are sorted by path. What only one side knows of counts only when both sides ran: one that
 * did not says nothing about what it would have read. */
static void compare_inputs(struct diff_job *job, const struct side *a, const struct side *b,
                           struct diff_node *n)
{
    bool whole = a->ran == b->ran;
    n->inputs = arena_alloc(job->arena, (a->input_count + b->input_count + 1) * sizeof(*n->inputs));
    for (size_t i = 0, k = 0; i < a->input_count || k < b->input_count;) {
        int order = i == a->input_count   ? 1
                    : k == b->input_count ? -1
                                          : strcmp(a->inputs[i].path, b->inputs[k].path);
        struct diff_input in = {0};
        if (order <= 0) {
            in.path = a->inputs[i].path;
            in.before = a->inputs[i++].digest;
        }
        if (order >= 0) {
            in.path = b->inputs[k].path;
            in.after = b->inputs[k++].digest;
        }
        if (order ? whole : strcmp(in.before, in.after) != 0)
            n->inputs[n->input_count++] = in;
    }
}

static bool get_object(struct diff_job *job, const char *hex, struct buf *out)
{
    struct err lost = {0};
    struct digest digest;
    if (!digest_from_hex(hex, &digest) || !store_has(job->store, &digest))
        return false;
    int rc = store_get_bytes(job->store, &digest, out, &lost);
    err_release(&lost);
    return rc == 0;
}

static struct diff_code *compare_code(struct diff_job *job, const struct diff_object *o)
{
    struct buf before = {0}, after = {0};
    struct diff_code *code = NULL;
    if (!job->store || !o->before || !o->after || o->bytes_before > ELF_MAX_BYTES ||
        o->bytes_after > ELF_MAX_BYTES)
        return NULL;
    if (get_object(job, o->before, &before) && get_object(job, o->after, &after))
        code = diff_elf((struct str){before.ptr, before.len}, (struct str){after.ptr, after.len},
                        job->arena);
    buf_release(&before);
    buf_release(&after);
    return code;
}

static void add_object(struct work *w, const struct diff_object *object)
{
    struct diff *d = w->job->out;
    if (d->object_count == w->object_cap) {
        w->object_cap = w->object_cap ? w->object_cap * 2 : 64;
        struct diff_object *at = arena_alloc(w->job->arena, w->object_cap * sizeof(*at));
        if (d->object_count)
            memcpy(at, d->objects, d->object_count * sizeof(*at));
        d->objects = at;
    }
    d->objects[d->object_count] = *object;
    d->objects[d->object_count++].code = compare_code(w->job, object);
}

static void compare_outputs(struct work *w, const struct side *a, const struct side *b,
                            bool measured, struct diff_node *n)
{
    n->first_object = w->job->out->object_count;
    for (size_t i = 0, k = 0; i < a->output_count || k < b->output_count;) {
        int order = i == a->output_count   ? 1
                    : k == b->output_count ? -1
                                           : strcmp(a->outputs[i].path, b->outputs[k].path);
        struct diff_object o = {.measured = measured};
        if (order <= 0) {
            o.path = a->outputs[i].path;
            o.before = a->outputs[i].digest;
            o.bytes_before = a->outputs[i++].bytes;
        }
        if (order >= 0) {
            o.path = b->outputs[k].path;
            o.after = b->outputs[k].digest;
            o.bytes_after = b->outputs[k++].bytes;
        }
        if (order || strcmp(o.before, o.after) != 0)
            add_object(w, &o);
    }
    n->object_count = w->job->out->object_count - n->first_object;
}

static const char *changed_tool(const struct work *w, const struct side *s)
{
    for (size_t i = 0; i < s->tools.len; i++)
        for (size_t k = 0; k < w->changed_tools.len; k++)
            if (strcmp(s->tools.at[i], w->changed_tools.at[k]) == 0)
                return s->tools.at[i];
    return NULL;
}

static enum diff_why find_why(const struct work *w, const struct side *a, const struct side *b,
                              bool measured, const struct diff_node *n)
{
    if (!a->there || !b->there)
        return a->there ? DIFF_GONE : DIFF_NEW;
    if (n->plan.len)
        return DIFF_PLAN;
    if (n->input_count)
        return DIFF_INPUTS;
    if (changed_tool(w, b))
        return DIFF_TOOL;
    if (a->state && b->state && strcmp(a->state, b->state) != 0)
        return DIFF_STATE;
    if (measured)
        return DIFF_MEASURED;
    return w->outside ? DIFF_OUTSIDE : DIFF_UNCAUSED;
}

static void note_outputs(struct work *w, const struct side *s, uint32_t node)
{
    for (size_t i = 0; i < s->output_count; i++)
        strmap_set(&w->makers, s->outputs[i].path, node);
    struct str rest = str_of(buf_text(&s->plan)), line;
    while (str_split(&rest, '\n', &line))
        if (starts(line, "out ")) /* one that failed left nothing, and was to all the same */
            strmap_set(&w->makers, arena_strndup(w->job->arena, line.ptr + 4, line.len - 4), node);
}

static void compare_plans(struct diff_job *job, const struct side *a, const struct side *b,
                          struct diff_node *n)
{
    struct str before = {buf_text(&a->plan), a->plan.len};
    struct str after = {buf_text(&b->plan), b->plan.len};
    if (!a->there || !b->there)
        return;
    diff_add_lines(job, before, after, &n->plan);
    if (!n->plan.len && !str_equal(before, after))
        diff_push_line(job, &n->plan, '+', str_of("arg ... (the same arguments in another order)"));
}

static int compare_node(struct work *w, const char *name, uint32_t index, struct err *e)
{
    struct diff_job *job = w->job;
    struct diff_node *n = &job->out->nodes[index];
    struct side a = {0}, b = {0};
    bool measured = false;
    *n = (struct diff_node){.name = name, .cause = DIFF_NONE};
    int rc = read_side(job, job->a, job->out->a.machine, name, &a, &measured, e);
    if (rc == 0)
        rc = read_side(job, job->b, job->out->b.machine, name, &b, &measured, e);
    if (rc == 0) {
        n->state_before = a.state;
        n->state_after = b.state;
        compare_plans(job, &a, &b, n);
        compare_inputs(job, &a, &b, n);
        compare_outputs(w, &a, &b, measured, n);
        n->measured = measured;
        n->why = find_why(w, &a, &b, measured, n);
        if (n->why == DIFF_TOOL)
            n->cause_input = arena_printf(job->arena, "tool %s", changed_tool(w, &b));
        note_outputs(w, &a, index);
        note_outputs(w, &b, index);
    }
    side_release(&a);
    side_release(&b);
    return rc;
}

/* The names of nodes whose plan or outcome is another: below plan/, out/ and, of a machine that
 * measured both runs, measure/<machine>/nodes/. */
static int changed_names(struct diff_job *job, struct strs *out, struct err *e)
{
    static const char *const folders[] = {"plan", "out"};
    struct trace_change *changes;
    size_t count;
    const char *machine, *name;
    for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
        if (trace_changed(job->trace, job->a, job->b, folders[f], job->arena, &changes, &count, e))
            return -1;
        for (size_t i = 0; i < count; i++)
            if (!text_starts_with(changes[i].path, "out/files/"))
                strs_push(out, changes[i].path + strlen(folders[f]) + 1);
    }
    for (size_t i = 0; i < job->measured_count; i++)
        if (diff_measure_path(job, job->measured[i].path, "nodes", &machine, &name) &&
            strcmp(machine, job->out->a.machine) == 0 && strcmp(machine, job->out->b.machine) == 0)
            strs_push(out, name);
    strs_sort(out);
    return 0;
}

static void find_changed_environment(struct work *w)
{
    const struct diff *d = w->job->out;
    for (size_t i = 0; i < d->env_count; i++) {
        w->outside |= strcmp(d->env[i].file, "files") == 0;
        if (strcmp(d->env[i].file, "toolchain") != 0)
            continue;
        for (size_t k = 0; k < d->env[i].lines.len; k++) {
            const char *line = d->env[i].lines.at[k].text;
            strs_push(&w->changed_tools, arena_strndup(w->job->arena, line, strcspn(line, " ")));
        }
    }
}

/* Where a chain can start: with a source, with the node's own lines, or with no cause that is
 * known. */
static bool find_root(struct work *w, struct diff_node *n)
{
    for (size_t i = 0; i < n->input_count; i++)
        if (strmap_get(&w->makers, n->inputs[i].path) == STRMAP_NONE) {
            n->cause_input = n->inputs[i].path;
            return true;
        }
    if (n->why == DIFF_PLAN)
        n->cause_input = n->plan.at[n->plan.len - 1].text;
    return n->why != DIFF_INPUTS;
}

/* Breadth first from the roots, so that each node is reached by a shortest chain. */
static void find_chains(struct work *w)
{
    struct diff *d = w->job->out;
    uint32_t *queue = xcalloc(d->node_count + 1, sizeof(*queue));
    struct ids *users = xcalloc(d->node_count + 1, sizeof(*users));
    bool *seen = xcalloc(d->node_count + 1, sizeof(*seen));
    size_t head = 0, tail = 0;
    for (uint32_t i = 0; i < d->node_count; i++) {
        struct diff_node *n = &d->nodes[i];
        for (size_t k = 0; k < n->input_count; k++) {
            uint32_t maker = strmap_get(&w->makers, n->inputs[k].path);
            if (maker == STRMAP_NONE || maker == i)
                continue;
            ids_push(&users[maker], i);
            d->nodes[maker].feeds = true;
        }
        if ((seen[i] = find_root(w, n)))
            queue[tail++] = i;
    }
    for (; head < tail; head++)
        for (size_t k = 0; k < users[queue[head]].len; k++) {
            uint32_t user = users[queue[head]].at[k];
            if (seen[user])
                continue;
            seen[user] = true;
            d->nodes[user].cause = queue[head];
            d->nodes[user].depth = d->nodes[queue[head]].depth + 1;
            queue[tail++] = user;
        }
    for (size_t i = 0; i < d->node_count; i++)
        ids_release(&users[i]);
    free(users);
    free(queue);
    free(seen);
}

int diff_nodes(struct diff_job *job, struct err *e)
{
    struct work w = {.job = job};
    struct strs names = {0};
    struct diff *d = job->out;
    find_changed_environment(&w);
    int rc = changed_names(job, &names, e);
    d->nodes = arena_alloc(job->arena, (names.len + 1) * sizeof(*d->nodes));
    for (size_t i = 0; rc == 0 && i < names.len; i++)
        if (i == 0 || strcmp(names.at[i], names.at[i - 1]) != 0)
            rc = compare_node(&w, names.at[i], (uint32_t)d->node_count++, e);
    if (rc == 0)
        find_chains(&w);
    strmap_release(&w.makers);
    strs_release(&w.changed_tools);
    strs_release(&names);
    return rc;
}

const char *diff_why_name(enum diff_why why)
{
    static const char *const names[] = {
        [DIFF_NEW] = "new",           [DIFF_GONE] = "gone",   [DIFF_PLAN] = "plan",
        [DIFF_INPUTS] = "inputs",     [DIFF_TOOL] = "tool",   [DIFF_OUTSIDE] = "outside",
        [DIFF_MEASURED] = "measured", [DIFF_STATE] = "state", [DIFF_UNCAUSED] = "uncaused",
    };
    return names[why];
}
