#include "diff_parts.h"

#include "json.h"

#include <string.h>

/* A list of a verdict file: how its entries are called and judged. */
static const struct list {
    const char *key;
    const char *judged;
} lists[] = {{"hypotheses", "state"}, {"kernels", "verdict"}};

static const char *entry_name(struct diff_job *job, const struct list *list, const json_t *entry)
{
    const char *name = json_text(entry, "name", NULL);
    const char *kernel = json_text(entry, "kernel", NULL);
    const char *base = json_text(entry, "baseline", NULL);
    if (strcmp(list->key, "hypotheses") == 0)
        return name ? arena_printf(job->arena, "hypothesis %s", name) : NULL;
    if (kernel && base)
        return arena_printf(job->arena, "%s against %s", kernel, base);
    return kernel || name ? arena_printf(job->arena, "kernel %s", kernel ? kernel : name) : NULL;
}

static const char *find(struct diff_job *job, const struct list *list, const json_t *root,
                        const char *wanted)
{
    const json_t *entries = json_object_get(root, list->key);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *name = entry_name(job, list, entry);
        if (name && strcmp(name, wanted) == 0)
            return json_text(entry, list->judged, NULL);
    }
    return NULL;
}

/* What `root` judges and `other` judges otherwise; those only in `other` come with the sides
 * swapped. */
static void compare(struct diff_job *job, const struct diff_text *text, const struct list *list,
                    const json_t *root, const json_t *other, bool swapped)
{
    const json_t *entries = json_object_get(root, list->key);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *what = entry_name(job, list, entry);
        const char *own = json_text(entry, list->judged, NULL);
        const char *others = what ? find(job, list, other, what) : NULL;
        if (!own || !what || (others && (swapped || strcmp(own, others) == 0)))
            continue;
        struct diff *d = job->out;
        struct diff_verdict *at = arena_alloc(job->arena, (d->verdict_count + 1) * sizeof(*at));
        if (d->verdict_count)
            memcpy(at, d->verdicts, d->verdict_count * sizeof(*at));
        const char *before = swapped ? others : own, *after = swapped ? own : others;
        at[d->verdict_count++] = (struct diff_verdict){
            .file = text->path,
            .machine = text->machine,
            .what = what,
            .before = before ? arena_strdup(job->arena, before) : NULL,
            .after = after ? arena_strdup(job->arena, after) : NULL,
        };
        d->verdicts = at;
    }
}

static int parse(struct diff_job *job, const char *commit, const struct diff_text *text,
                 json_t **out, struct err *e)
{
    struct err bad = {0};
    struct str bytes;
    const char *path =
        text->machine ? arena_printf(job->arena, "measure/%s/files/%s", text->machine, text->path)
                      : arena_printf(job->arena, "out/files/%s", text->path);
    *out = NULL;
    if (diff_read(job, commit, path, &bytes, e))
        return -1;
    if (bytes.len)
        *out = json_parse(bytes.ptr, bytes.len, path, &bad);
    err_release(&bad);
    return 0;
}

static int compare_file(struct diff_job *job, const struct diff_text *text, struct err *e)
{
    json_t *before = NULL, *after = NULL;
    int rc = parse(job, job->a, text, &before, e);
    if (rc == 0)
        rc = parse(job, job->b, text, &after, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(lists); i++) {
        compare(job, text, &lists[i], before, after, false);
        compare(job, text, &lists[i], after, before, true);
    }
    json_decref(before);
    json_decref(after);
    return rc;
}

/* The plan of a node that judges says so; its file below plan/ is known from the changed nodes. */
static int is_verdict(struct diff_job *job, const char *path, bool *out, struct err *e)
{
    const struct diff *d = job->out;
    struct str plan, line;
    *out = false;
    for (size_t i = 0; i < d->node_count; i++) {
        const struct diff_node *n = &d->nodes[i];
        bool makes = false;
        for (size_t k = n->first_object; k < n->first_object + n->object_count; k++)
            makes |= strcmp(d->objects[k].path, path) == 0;
        if (!makes)
            continue;
        const char *commit = n->why == DIFF_GONE ? job->a : job->b;
        if (diff_read(job, commit, arena_printf(job->arena, "plan/%s", n->name), &plan, e))
            return -1;
        while (str_split(&plan, '\n', &line))
            *out |= str_equal(line, str_of("kind verdict"));
    }
    return 0;
}

int diff_verdicts(struct diff_job *job, struct err *e)
{
    const struct diff *d = job->out;
    for (size_t i = 0; i < d->text_count; i++) {
        bool verdict;
        if (!text_ends_with(d->texts[i].path, ".json"))
            continue;
        if (is_verdict(job, d->texts[i].path, &verdict, e) ||
            (verdict && compare_file(job, &d->texts[i], e)))
            return -1;
    }
    return 0;
}
