#include "plan_internal.h"

#include <stdlib.h>
#include <string.h>

struct known_file {
    struct digest digest;
    bool exists;
};
struct plan_files {
    struct strmap index;
    struct known_file *at;
    size_t len;
    size_t cap;
};

struct plan_files *plan_files_new(void)
{
    return xcalloc(1, sizeof(struct plan_files));
}

void plan_files_free(struct plan_files *files)
{
    if (!files)
        return;
    strmap_release(&files->index);
    free(files->at);
    free(files);
}

static struct known_file *add_file(struct plan_files *files, const char *path)
{
    if (files->len == files->cap) {
        files->cap = files->cap ? 2 * files->cap : 256;
        files->at = xrealloc(files->at, files->cap * sizeof *files->at);
    }
    strmap_set(&files->index, path, (uint32_t)files->len);
    return &files->at[files->len++];
}

/* The sources of the wanted nodes that something changed for. */
static void list_sources(const struct plan *plan, const bool *wanted, struct ids *sources)
{
    const struct graph *g = plan->graph;
    const bool *still = plan->options.force ? NULL : plan->options.still;
    bool *listed = xcalloc(g->artifact_count + 1, sizeof *listed);
    for (uint32_t node = 0; node < g->node_count; node++) {
        if (!wanted[node] || (still && node < plan->options.still_count && still[node]))
            continue;
        for (uint32_t i = 0; i < g->nodes[node].inputs.len; i++) {
            uint32_t artifact = slice_id(g, g->nodes[node].inputs, i);
            if (g->artifacts[artifact].producer == GRAPH_NONE && !listed[artifact] &&
                !plan->present[artifact])
                ids_push(sources, artifact);
            listed[artifact] = true;
        }
    }
    free(listed);
}

void plan_look_at_sources(struct plan *plan, const bool *wanted)
{
    struct ids sources = {0};
    struct strs paths = {0};
    list_sources(plan, wanted, &sources);
    struct digest *digests = xcalloc(sources.len + 1, sizeof *digests);
    bool *known = xcalloc(sources.len + 1, sizeof *known);
    for (size_t i = 0; i < sources.len; i++)
        strs_push(&paths, artifact_path(plan->graph, sources.at[i]));
    hash_cache_warm(plan->options.cache, &paths, os_cores(), digests, known);
    for (size_t i = 0; i < sources.len; i++) {
        if (known[i])
            plan->digests[sources.at[i]] = digests[i];
        plan->present[sources.at[i]] |= known[i];
    }
    free(digests);
    free(known);
    strs_release(&paths);
    ids_release(&sources);
}

int plan_file_digest(struct plan *plan, const char *path, struct digest *out, bool *exists,
                     struct err *e)
{
    uint32_t at = strmap_get(&plan->files->index, path);
    if (at == STRMAP_NONE) {
        struct known_file file = {0};
        if (hash_cache_digest(plan->options.cache, path, &file.digest, &file.exists, e) < 0)
            return -1;
        *add_file(plan->files, arena_strdup(plan->arena, path)) = file;
        at = (uint32_t)plan->files->len - 1;
    }
    *out = plan->files->at[at].digest;
    *exists = plan->files->at[at].exists;
    return 0;
}
