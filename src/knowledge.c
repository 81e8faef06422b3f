#include "knowledge.h"

#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct trace *trace;
    struct arena *arena;
    struct knowledge *list;
    size_t count, cap;
    struct strmap by_key; /* hypothesis, prediction and machine to an index of `list` */
    struct strmap seen;   /* "path id" of verdicts that were read */
};

const char *knowledge_word(const struct knowledge *k)
{
    size_t for_it = k->of[GATE_VALIDATED], against = k->of[GATE_FALSIFIED];
    if (for_it && against)
        return "contested";
    if (for_it)
        return "supported";
    return against ? "contradicted" : "open";
}

static struct knowledge *claim(struct reading *r, const json_t *h, const char *machine)
{
    const char *name = json_text(h, "name", ""), *predicts = json_text(h, "predicts", "");
    char *key = arena_printf(r->arena, "%s\n%s\n%s", name, predicts, machine);
    uint32_t at = strmap_get(&r->by_key, key);
    if (at != STRMAP_NONE)
        return &r->list[at];
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 32;
        r->list = xrealloc(r->list, r->cap * sizeof *r->list);
    }
    strmap_set(&r->by_key, key, (uint32_t)r->count);
    r->list[r->count] = (struct knowledge){
        .hypothesis = arena_strdup(r->arena, name),
        .predicts = arena_strdup(r->arena, predicts),
        .because = arena_strdup(r->arena, json_text(h, "because", "")),
        .machine = arena_strdup(r->arena, machine),
    };
    return &r->list[r->count++];
}

static enum gate_state state_of(const char *word)
{
    for (int i = GATE_VALIDATED; i <= GATE_UNDECIDED; i++)
        if (strcmp(gate_state_name((enum gate_state)i), word) == 0)
            return (enum gate_state)i;
    return GATE_NONE;
}

static void add_shapes(struct reading *r, struct knowledge *k, const json_t *verdict)
{
    const json_t *kernels = json_object_get(verdict, "kernels");
    for (size_t i = 0; i < json_array_size(kernels); i++) {
        const json_t *shapes = json_object_get(json_array_get(kernels, i), "shapes");
        for (size_t j = 0; j < json_array_size(shapes); j++) {
            const char *name = json_text(json_array_get(shapes, j), "shape", "");
            size_t at = 0;
            while (at < k->shapes.len && strcmp(k->shapes.at[at], name) != 0)
                at++;
            if (at == k->shapes.len)
                strs_push(&k->shapes, arena_strdup(r->arena, name));
        }
    }
}

static void add_run(struct reading *r, const struct trace_entry *entry, const json_t *h,
                    const json_t *verdict)
{
    enum gate_state state = state_of(json_text(h, "state", ""));
    const json_t *measured = json_object_get(h, "measured");
    if (state == GATE_NONE || !json_is_object(measured))
        return;
    struct knowledge *k = claim(r, h, entry->machine);
    struct knowledge_run *run = arena_alloc(r->arena, sizeof *run);
    *run = (struct knowledge_run){
        .commit = arena_strdup(r->arena, entry->commit),
        .state = state,
        .median = json_num(measured, "median", NAN),
        .lo = json_num(measured, "lo", NAN),
        .hi = json_num(measured, "hi", NAN),
        .n = json_int(measured, "n", 0),
        .next = k->runs,
    };
    k->runs = run;
    k->count++;
    k->of[state]++;
    add_shapes(r, k, verdict);
}

/* A verdict that is the same file as in another run is of the same measurement. */
static int is_new(struct reading *r, const char *commit, const char *path, bool *fresh,
                  struct err *e)
{
    char id[65];
    if (trace_path_id(r->trace, commit, path, id, e) < 0)
        return -1;
    const char *key = arena_printf(r->arena, "%s %s", path, id);
    *fresh = strmap_get(&r->seen, key) == STRMAP_NONE;
    strmap_set(&r->seen, key, 1);
    return 0;
}

static int read_verdict(struct reading *r, const struct trace_entry *entry, const char *path,
                        struct err *e)
{
    struct buf text = {0};
    struct err bad = {0};
    bool fresh, found;
    if (is_new(r, entry->commit, path, &fresh, e) < 0)
        return -1;
    if (!fresh)
        return 0;
    int rc = trace_read(r->trace, entry->commit, path, &text, &found, e);
    json_t *verdict = rc == 0 ? json_parse(buf_text(&text), text.len, path, &bad) : NULL;
    const json_t *list = json_object_get(verdict, "hypotheses");
    for (size_t i = 0; i < json_array_size(list); i++)
        add_run(r, entry, json_array_get(list, i), verdict);
    json_decref(verdict);
    err_release(&bad);
    buf_release(&text);
    return rc;
}

static int read_run(struct reading *r, const struct trace_entry *entry, struct err *e)
{
    struct strs paths = {0};
    int rc = 0;
    if (!*entry->machine)
        return 0;
    const char *under = arena_printf(r->arena, "measure/%s/files", entry->machine);
    rc = trace_list(r->trace, entry->commit, under, r->arena, &paths, e);
    for (size_t i = 0; rc == 0 && i < paths.len; i++)
        if (text_ends_with(paths.at[i], ".json"))
            rc = read_verdict(r, entry, paths.at[i], e);
    strs_release(&paths);
    return rc;
}

/* Whom the journal suspects now. */
static int read_doubt(struct reading *r, const char *commit, struct err *e)
{
    struct buf text = {0};
    struct gate_line *lines;
    size_t count;
    bool found;
    int rc = trace_read(r->trace, commit, "protocol/journal", &text, &found, e);
    gate_lines(buf_text(&text), r->arena, &lines, &count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t k = 0; k < r->count && lines[i].object == GATE_HYPOTHESIS; k++)
            if (strcmp(r->list[k].hypothesis, lines[i].name) == 0)
                r->list[k].doubt = lines[i].state == GATE_SUSPECT ? lines[i].rest : NULL;
    buf_release(&text);
    return rc;
}

static int read_target(struct reading *r, const char *target, struct err *e)
{
    struct trace_entry *entries;
    size_t count;
    if (trace_log(r->trace, target, 0, r->arena, &entries, &count, e) < 0)
        return -1;
    for (size_t i = count; i-- > 0;)
        if (read_run(r, &entries[i], e) < 0)
            return -1;
    return count ? read_doubt(r, entries[0].commit, e) : 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sum_up(struct knowledge *k)
{
    double *medians = xcalloc(k->count + 1, sizeof *medians);
    size_t i = 0;
    k->lo = INFINITY;
    k->hi = -INFINITY;
    for (const struct knowledge_run *run = k->runs; run; run = run->next) {
        medians[i++] = run->median;
        k->lo = fmin(k->lo, run->lo);
        k->hi = fmax(k->hi, run->hi);
        k->n += run->n;
    }
    qsort(medians, i, sizeof *medians, by_value);
    k->median = i % 2 ? medians[i / 2] : (medians[i / 2 - 1] + medians[i / 2]) / 2;
    free(medians);
}

static int by_name(const void *a, const void *b)
{
    const struct knowledge *x = a, *y = b;
    int order = strcmp(x->hypothesis, y->hypothesis);
    return order ? order : strcmp(x->machine, y->machine);
}

int knowledge_read(struct trace *t, struct arena *arena, struct knowledge **out, size_t *count,
                   struct err *e)
{
    struct reading r = {.trace = t, .arena = arena};
    struct strs targets = {0};
    int rc = trace_targets(t, arena, &targets, e);
    for (size_t i = 0; rc == 0 && i < targets.len; i++)
        rc = read_target(&r, targets.at[i], e);
    for (size_t i = 0; i < r.count; i++)
        sum_up(&r.list[i]);
    if (r.count)
        qsort(r.list, r.count, sizeof *r.list, by_name);
    strs_release(&targets);
    strmap_release(&r.by_key);
    strmap_release(&r.seen);
    *out = r.list;
    *count = r.count;
    return rc;
}

void knowledge_release(struct knowledge *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        strs_release(&list[i].shapes);
    free(list);
}
