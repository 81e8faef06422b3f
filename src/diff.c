#include "diff_parts.h"

#include <string.h>

int diff_read(struct diff_job *job, const char *commit, const char *path, struct str *out,
              struct err *e)
{
    struct buf text = {0};
    bool found;
    int rc = trace_read(job->trace, commit, path, &text, &found, e);
    *out = (struct str){arena_strndup(job->arena, buf_text(&text), text.len), text.len};
    buf_release(&text);
    return rc;
}

void diff_push_line(struct diff_job *job, struct diff_lines *out, char sign, struct str text)
{
    if (out->len == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 4;
        struct diff_line *at = arena_alloc(job->arena, cap * sizeof(*at));
        if (out->len)
            memcpy(at, out->at, out->len * sizeof(*at));
        out->at = at;
        out->cap = cap;
    }
    out->at[out->len++] = (struct diff_line){sign, arena_strndup(job->arena, text.ptr, text.len)};
}

/* How often each line stands in a text. */
static void count_lines(struct diff_job *job, struct str text, struct strmap *counts)
{
    struct str line;
    while (str_split(&text, '\n', &line)) {
        const char *key = arena_strndup(job->arena, line.ptr, line.len);
        uint32_t seen = strmap_get(counts, key);
        strmap_set(counts, key, seen == STRMAP_NONE ? 1 : seen + 1);
    }
}

static void add_missing(struct diff_job *job, struct str text, struct strmap *there, char sign,
                        struct diff_lines *out)
{
    struct str line;
    while (str_split(&text, '\n', &line)) {
        const char *key = arena_strndup(job->arena, line.ptr, line.len);
        uint32_t left = strmap_get(there, key);
        if (left != STRMAP_NONE && left > 0)
            strmap_set(there, key, left - 1);
        else
            diff_push_line(job, out, sign, line);
    }
}

void diff_add_lines(struct diff_job *job, struct str before, struct str after,
                    struct diff_lines *out)
{
    struct strmap old = {0}, new = {0};
    count_lines(job, before, &old);
    count_lines(job, after, &new);
    add_missing(job, before, &new, '-', out);
    add_missing(job, after, &old, '+', out);
    strmap_release(&old);
    strmap_release(&new);
}

bool diff_measure_path(struct diff_job *job, const char *path, const char *folder,
                       const char **machine, const char **rest)
{
    const char *name = path + strlen("measure/"), *end;
    size_t len = strlen(folder);
    if (!text_starts_with(path, "measure/") || !(end = strchr(name, '/')))
        return false;
    if (strncmp(end + 1, folder, len) != 0 || end[len + 1] != '/')
        return false;
    *machine = arena_strndup(job->arena, name, (size_t)(end - name));
    *rest = end + len + 2;
    return true;
}

static int read_run(struct diff_job *job, const char *commit, struct trace_entry *out,
                    struct err *e)
{
    if (trace_resolve(job->trace, commit, job->arena, out, e))
        return -1;
    strs_release(&out->metrics); /* five of them, and the summaries have all */
    return 0;
}

static int compare_text(struct diff_job *job, const struct trace_change *change, const char *path,
                        struct diff_text *out, struct err *e)
{
    struct str before, after;
    *out = (struct diff_text){.path = path, .before = change->before, .after = change->after};
    if (diff_read(job, job->a, change->path, &before, e) ||
        diff_read(job, job->b, change->path, &after, e))
        return -1;
    return trace_patch(before, after, job->arena, &out->patch, e);
}

static int compare_sources(struct diff_job *job, struct err *e)
{
    struct trace_change *changes;
    size_t count;
    if (trace_changed(job->trace, job->a, job->b, "src", job->arena, &changes, &count, e))
        return -1;
    job->out->sources = arena_alloc(job->arena, (count + 1) * sizeof(*job->out->sources));
    for (size_t i = 0; i < count; i++)
        if (compare_text(job, &changes[i], changes[i].path + strlen("src/"),
                         &job->out->sources[job->out->source_count++], e))
            return -1;
    return 0;
}

static int add_env(struct diff_job *job, const char *path, const char *name, struct err *e)
{
    struct str before, after;
    struct diff_env *env = &job->out->env[job->out->env_count++];
    if (diff_read(job, job->a, path, &before, e) || diff_read(job, job->b, path, &after, e))
        return -1;
    env->file = name;
    diff_add_lines(job, before, after, &env->lines);
    return 0;
}

/* "measure/<machine>/machine", where both runs have that machine. */
static const char *machine_file(struct diff_job *job, const struct trace_change *change)
{
    const char *name = change->path + strlen("measure/"), *end = strchr(name, '/');
    if (!change->before || !change->after || !end || strcmp(end, "/machine") != 0)
        return NULL;
    return arena_printf(job->arena, "machine %.*s", (int)(end - name), name);
}

static int compare_env(struct diff_job *job, struct err *e)
{
    struct trace_change *changes;
    size_t count;
    if (trace_changed(job->trace, job->a, job->b, "env", job->arena, &changes, &count, e))
        return -1;
    job->out->env =
        arena_alloc(job->arena, (count + job->measured_count + 1) * sizeof(*job->out->env));
    for (size_t i = 0; i < count; i++)
        if (add_env(job, changes[i].path, changes[i].path + strlen("env/"), e))
            return -1;
    for (size_t i = 0; i < job->measured_count; i++) {
        const char *name = machine_file(job, &job->measured[i]);
        if (name && add_env(job, job->measured[i].path, name, e))
            return -1;
    }
    return 0;
}

/* A machine is in a run when its folder has facts. Those that only one run has are where the two do
 * not meet. */
static void find_lone_machines(struct diff_job *job)
{
    job->out->machines =
        arena_alloc(job->arena, (job->measured_count + 1) * sizeof(*job->out->machines));
    for (size_t i = 0; i < job->measured_count; i++) {
        const struct trace_change *change = &job->measured[i];
        const char *name = change->path + strlen("measure/"), *end = strchr(name, '/');
        if (!end || strcmp(end, "/machine") != 0 || (change->before && change->after))
            continue;
        job->out->machines[job->out->machine_count++] = (struct diff_machine){
            arena_strndup(job->arena, name, (size_t)(end - name)), change->before, change->after};
    }
}

static bool is_lone(const struct diff_job *job, const char *machine)
{
    for (size_t i = 0; i < job->out->machine_count; i++)
        if (strcmp(job->out->machines[i].name, machine) == 0)
            return true;
    return false;
}

static int compare_texts(struct diff_job *job, struct err *e)
{
    struct trace_change *changes;
    size_t count;
    const char *machine, *path;
    if (trace_changed(job->trace, job->a, job->b, "out/files", job->arena, &changes, &count, e))
        return -1;
    job->out->texts =
        arena_alloc(job->arena, (count + job->measured_count + 1) * sizeof(*job->out->texts));
    for (size_t i = 0; i < count; i++)
        if (compare_text(job, &changes[i], changes[i].path + strlen("out/files/"),
                         &job->out->texts[job->out->text_count++], e))
            return -1;
    for (size_t i = 0; i < job->measured_count; i++) {
        if (!diff_measure_path(job, job->measured[i].path, "files", &machine, &path) ||
            is_lone(job, machine))
            continue;
        struct diff_text *text = &job->out->texts[job->out->text_count++];
        if (compare_text(job, &job->measured[i], path, text, e))
            return -1;
        text->machine = machine;
    }
    return 0;
}

/* Sources by who read them, outputs by whose text is shown. */
static void join(struct diff *d)
{
    struct strmap at = {0};
    for (size_t i = 0; i < d->source_count; i++)
        strmap_set(&at, d->sources[i].path, (uint32_t)i);
    for (size_t i = 0; i < d->node_count; i++) {
        const struct diff_node *n = &d->nodes[i];
        for (size_t k = 0; k < n->input_count; k++) {
            uint32_t source = strmap_get(&at, n->inputs[k].path);
            if (source != STRMAP_NONE)
                d->sources[source].readers++;
        }
    }
    strmap_release(&at);
    for (size_t i = 0; i < d->text_count; i++)
        strmap_set(&at, d->texts[i].path, (uint32_t)i);
    for (size_t i = 0; i < d->object_count; i++)
        d->objects[i].text = strmap_get(&at, d->objects[i].path) != STRMAP_NONE;
    strmap_release(&at);
}

static int count_shared_nodes(struct diff_job *job, struct err *e)
{
    struct strs before = {0}, after = {0};
    struct strmap names = {0};
    int rc = trace_list(job->trace, job->a, "plan", job->arena, &before, e);
    if (rc == 0)
        rc = trace_list(job->trace, job->b, "plan", job->arena, &after, e);
    for (size_t i = 0; i < before.len; i++)
        strmap_set(&names, before.at[i], 1);
    for (size_t i = 0; i < after.len; i++)
        job->out->shared_nodes += strmap_get(&names, after.at[i]) != STRMAP_NONE;
    strmap_release(&names);
    strs_release(&before);
    strs_release(&after);
    return rc;
}

static bool node_counts(const struct diff_node *n)
{
    return !n->measured || (n->why != DIFF_MEASURED && n->why != DIFF_INPUTS);
}

bool diff_differs(const struct diff *d)
{
    if (d->source_count || d->env_count || d->verdict_count || d->machine_count ||
        strcmp(d->a.status, d->b.status) != 0)
        return true;
    for (size_t i = 0; i < d->node_count; i++)
        if (node_counts(&d->nodes[i]))
            return true;
    for (size_t i = 0; i < d->metric_count; i++)
        if (d->metrics[i].moved || !d->metrics[i].in_before || !d->metrics[i].in_after)
            return true;
    return false;
}

int diff_traces(struct trace *t, struct store *store, const char *a, const char *b,
                struct arena *arena, struct diff *out, struct err *e)
{
    struct diff_job job = {.trace = t, .store = store, .a = a, .b = b, .arena = arena, .out = out};
    *out = (struct diff){0};
    if (read_run(&job, a, &out->a, e) || read_run(&job, b, &out->b, e))
        return -1;
    job.a = out->a.commit;
    job.b = out->b.commit;
    if (trace_changed(t, job.a, job.b, "measure", arena, &job.measured, &job.measured_count, e))
        return -1;
    find_lone_machines(&job);
    if (compare_sources(&job, e) || compare_env(&job, e) || diff_nodes(&job, e) ||
        compare_texts(&job, e) || diff_metrics(&job, e) || diff_verdicts(&job, e))
        return -1;
    join(out);
    return strcmp(out->a.target, out->b.target) == 0 ? 0 : count_shared_nodes(&job, e);
}
