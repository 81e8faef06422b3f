#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

static bool has_value(git_config *config, const char *key, const char *value)
{
    git_config_iterator *it = NULL;
    git_config_entry *entry;
    bool has = false;
    if (git_config_multivar_iterator_new(&it, config, key, NULL))
        return false;
    while (!has && git_config_next(&entry, it) == 0)
        has = value == NULL || strcmp(entry->value, value) == 0;
    git_config_iterator_free(it);
    return has;
}

static int add_value(git_config *config, const char *key, const char *value, struct arena *arena,
                     struct strs *set, struct err *e)
{
    if (has_value(config, key, value))
        return 0;
    /* The pattern matches no value, so that this adds a line and replaces none. */
    if (git_config_set_multivar(config, key, "^$a", value))
        return trace_git_error(e, ERR_trace_repository, "cannot set %s", key);
    strs_push(set, arena_printf(arena, "%s %s", key, value));
    return 0;
}

static int share_with(git_config *config, const char *remote, struct arena *arena, struct strs *set,
                      struct err *e)
{
    const char *fetch = arena_printf(arena, "remote.%s.fetch", remote);
    const char *push = arena_printf(arena, "remote.%s.push", remote);
    const char *notes = arena_printf(arena, "+refs/notes/spak/*:refs/notes/%s/spak/*", remote);
    /* With push refspecs of its own a remote no longer gets the current branch by default: say so
     * first. */
    bool alone = !has_value(config, push, NULL);
    if (add_value(config, fetch, notes, arena, set, e) ||
        (alone && add_value(config, push, "HEAD", arena, set, e)) ||
        add_value(config, push, "refs/heads/spak/*:refs/heads/spak/*", arena, set, e))
        return -1;
    return add_value(config, push, "refs/notes/spak/*:refs/notes/spak/*", arena, set, e);
}

int trace_share(struct trace *t, struct arena *arena, struct strs *set, struct err *e)
{
    git_config *all = NULL, *config = NULL;
    git_strarray remotes = {0};
    int rc = git_repository_config(&all, t->repo);
    if (rc == 0)
        rc = git_config_open_level(&config, all, GIT_CONFIG_LEVEL_LOCAL);
    if (rc == 0)
        rc = git_remote_list(&remotes, t->repo);
    if (rc)
        trace_git_error(e, ERR_trace_repository, "cannot read the repository's configuration");
    for (size_t i = 0; rc == 0 && i < remotes.count; i++)
        rc = share_with(config, remotes.strings[i], arena, set, e);
    git_strarray_dispose(&remotes);
    git_config_free(config);
    git_config_free(all);
    return rc ? -1 : 0;
}

int trace_remotes(struct trace *t, struct arena *arena, struct strs *out, struct err *e)
{
    git_strarray remotes = {0};
    if (git_remote_list(&remotes, t->repo))
        return trace_git_error(e, ERR_trace_repository, "cannot list the remotes");
    for (size_t i = 0; i < remotes.count; i++)
        strs_push(out, arena_strdup(arena, remotes.strings[i]));
    git_strarray_dispose(&remotes);
    return 0;
}
