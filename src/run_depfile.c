#include "depfile.h"
#include "run_internal.h"

#include <stdlib.h>
#include <string.h>

struct depfile {
    struct run *r;
    struct job *job;
    const struct node *node;
    struct arena *arena; /* of the run: the record keeps the paths */
    struct dep_record *deps;
    size_t count;
};

static bool is_at_or_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return !strncmp(path, folder, len) && (path[len] == '/' || path[len] == '\0');
}

static bool is_among(const struct graph *g, struct slice artifacts, const char *path)
{
    for (uint32_t i = 0; i < artifacts.len; i++)
        if (is_at_or_below(path, artifact_path(g, slice_id(g, artifacts, i))))
            return true;
    return false;
}

static bool is_readable(const struct graph *g, const struct node *n, const char *path)
{
    for (uint32_t i = 0; i < n->reads.len; i++)
        if (is_at_or_below(path, slice_text(g, n->reads, i)) ||
            !strcmp(slice_text(g, n->reads, i), "."))
            return true;
    return is_among(g, n->order_only, path);
}

/* The base key covers declared inputs and tools; outputs and temporary files are the command's own.
 */
static bool is_covered(struct depfile *d, const char *path)
{
    const struct graph *g = run_graph(d->r);
    const struct node *n = d->node;
    for (uint32_t i = 0; i < n->tools.len; i++)
        if (!strcmp(path, graph_text(g, g->tools[slice_id(g, n->tools, i)].path)))
            return true;
    return is_among(g, n->inputs, path) || is_among(g, n->outputs, path) ||
           is_at_or_below(path, d->job->tmp);
}

/* Relative to the root where it lies below it, folded, so that one file has one name. */
static const char *normal_path(struct depfile *d, const char *path)
{
    const char *root = d->r->options->root;
    const char *dir = d->node->dir ? graph_text(run_graph(d->r), d->node->dir) : "";
    char *whole = os_join(d->arena, os_join(d->arena, root, dir), path);
    size_t len = strlen(root);
    if (!strncmp(whole, root, len) && whole[len] == '/')
        return whole + len + 1;
    return whole;
}

static int undeclared(struct depfile *d, const char *path, struct err *e)
{
    const struct graph *g = run_graph(d->r);
    uint32_t artifact = graph_find_artifact(g, path);
    err_set(e, ERR_undeclared_read, "%s read %s, which is not among its inputs",
            node_name(g, d->job->node), path);
    err_at(e, node_place(g, d->job->node));
    if (artifact != GRAPH_NONE && g->artifacts[artifact].producer != GRAPH_NONE)
        err_note(e, node_place(g, g->artifacts[artifact].producer), "%s is made here", path);
    return err_hint(e, "add \"%s\" to its inputs, or a folder above it to its reads", path);
}

static int add_dep(struct depfile *d, const char *path, struct err *e)
{
    struct dep_record *dep = &d->deps[d->count];
    bool exists;
    if (is_covered(d, path))
        return 0;
    if (path[0] != '/' && !is_readable(run_graph(d->r), d->node, path))
        return undeclared(d, path, e);
    if (plan_file_digest(d->r->plan, path, &dep->digest, &exists, e) < 0)
        return -1;
    dep->path = path;
    d->count += exists;
    return 0;
}

static int dep_order(const void *a, const void *b)
{
    return strcmp(((const struct dep_record *)a)->path, ((const struct dep_record *)b)->path);
}

static void sort_unique(struct depfile *d)
{
    size_t kept = 0;
    qsort(d->deps, d->count, sizeof *d->deps, dep_order);
    for (size_t i = 0; i < d->count; i++)
        if (kept == 0 || strcmp(d->deps[kept - 1].path, d->deps[i].path) != 0)
            d->deps[kept++] = d->deps[i];
    d->count = kept;
}

static int read_depfile(struct depfile *d, const char *name, struct strs *paths, struct err *e)
{
    struct os_stat stat;
    struct buf text = {0};
    if (os_stat(name, &stat, e) < 0)
        return -1;
    if (stat.kind == OS_ABSENT || sandbox_still_reserved(&stat)) {
        err_set(e, ERR_depfile_missing, "%s did not write its depfile %s",
                node_name(run_graph(d->r), d->job->node), name);
        err_at(e, node_place(run_graph(d->r), d->job->node));
        return err_hint(e, "tell the compiler to: cc -MMD -MF %s", name);
    }
    int rc = os_read(name, &text, e);
    if (rc == 0)
        rc = depfile_parse(buf_text(&text), text.len, name, d->arena, paths, e);
    buf_release(&text);
    return rc;
}

int run_take_depfile(struct run *r, struct job *job, struct action_record *record, struct err *e)
{
    struct depfile d = {.r = r, .job = job, .node = run_node(r, job->node), .arena = r->arena};
    struct strs paths = {0};
    if (!d.node->depfile)
        return 0;
    const char *name = graph_text(run_graph(r), d.node->depfile);
    int rc = read_depfile(&d, name, &paths, e);
    d.deps = arena_alloc(r->arena, (paths.len + 1) * sizeof *d.deps);
    for (size_t i = 0; i < paths.len && rc == 0; i++)
        rc = add_dep(&d, normal_path(&d, paths.at[i]), e);
    strs_release(&paths);
    sort_unique(&d);
    record->deps = d.deps;
    record->dep_count = d.count;
    return rc < 0 ? -1 : os_remove(name, e);
}
