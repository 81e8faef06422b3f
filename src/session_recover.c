#include "session.h"

#include <string.h>

/* Every file that is written beside its place and then renamed is called so until it is whole. */
static bool is_unfinished(const char *name)
{
    return text_starts_with(name, OS_TEMP_PREFIX);
}

static int recover_folder(struct session *s, const char *folder, struct strs *folders,
                          struct err *e)
{
    struct strs names = {0};
    int rc = os_list(folder, s->arena, &names, e);
    for (size_t i = 0; i < names.len && rc == 0; i++) {
        char *path = os_join(s->arena, folder, names.at[i]);
        struct os_stat stat;
        if (is_unfinished(names.at[i]))
            rc = os_remove(path, e);
        else if ((rc = os_lstat(path, &stat, e)) == 0 && stat.kind == OS_DIR)
            strs_push(folders, path);
    }
    strs_release(&names);
    return rc;
}

int session_recover(struct session *s, struct err *e)
{
    struct strs folders = {0};
    int rc = os_remove(arena_printf(s->arena, "%s/tmp", s->state_dir), e);
    strs_push(&folders, s->out_dir);
    for (size_t i = 0; i < folders.len && rc == 0; i++)
        rc = recover_folder(s, folders.at[i], &folders, e);
    strs_release(&folders);
    return rc;
}
