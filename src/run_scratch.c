#define _GNU_SOURCE
#include "run_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder's own modification time moves when something is made or removed in it and not when it is
 * renamed: with this date, nobody has touched it. */
static const struct timespec untouched[2] = {{0, 0}, {0, 0}};

/* Named after the node, so that a path that leaks into an output is the same in every run. */
static char *scratch_path(struct run *r, uint32_t node, struct arena *arena)
{
    const char *name = node_name(run_graph(r), node);
    struct digest d;
    char hex[DIGEST_HEX_LEN + 1];
    hash_bytes(name, strlen(name), &d);
    digest_hex(&d, hex);
    return arena_printf(arena, "%s/%s/tmp/%.16s", r->options->root, r->options->state_dir, hex);
}

static int make_folder(const char *path, struct err *e)
{
    if (os_remove(path, e) < 0 || os_mkdirs(path, e) < 0)
        return -1;
    if (utimensat(AT_FDCWD, path, untouched, 0) < 0)
        return err_errno(e, ERR_os, "cannot date the folder %s", path);
    return 0;
}

/* A new inode for every command is the most expensive thing about a small one: ext4 does not use an
 * inode again for some seconds and looks at every one that it may not use. So a folder that a
 * command left as it was is handed on under the next one's name. */
int run_scratch_take(struct run *r, struct job *job, struct err *e)
{
    struct os_stat now;
    job->tmp = scratch_path(r, job->node, &job->arena);
    bool spare = r->spare_scratch.len > 0;
    if (spare) {
        char *path = (char *)(uintptr_t)r->spare_scratch.at[--r->spare_scratch.len];
        spare = rename(path, job->tmp) == 0;
        free(path);
    }
    if ((!spare && make_folder(job->tmp, e) < 0) || os_stat(job->tmp, &now, e) < 0)
        return -1;
    job->started_wall_ns = now.ctime_ns;
    job->tmp_mode = now.mode;
    return 0;
}

/* Whoever works on what nobody trusts may have left a process behind that still has rights to the
 * folder. */
void run_scratch_give(struct run *r, struct job *job)
{
    struct os_stat now;
    struct err ignored = {0};
    if (!job->tmp || os_lstat(job->tmp, &now, &ignored) < 0) {
        err_release(&ignored);
        return;
    }
    bool as_it_was = now.kind == OS_DIR && now.mtime_ns == 0 && now.mode == job->tmp_mode;
    if (as_it_was && !run_is_confined(run_graph(r), run_node(r, job->node)))
        strs_push(&r->spare_scratch, xstrdup(job->tmp));
    else if (os_remove(job->tmp, &ignored) < 0)
        err_release(&ignored);
    job->tmp = NULL;
}

void run_scratch_close(struct run *r)
{
    struct err ignored = {0};
    char *tmp = arena_printf(r->arena, "%s/tmp", r->options->state_dir);
    for (size_t i = 0; i < r->spare_scratch.len; i++)
        free((char *)(uintptr_t)r->spare_scratch.at[i]);
    strs_release(&r->spare_scratch);
    if (os_remove(tmp, &ignored) < 0)
        err_release(&ignored);
}
