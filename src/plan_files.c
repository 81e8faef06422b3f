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
