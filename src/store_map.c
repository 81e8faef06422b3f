#include "store_internal.h"

/* So many looks into the map hold a few MiB of it. */
#define REST_EVERY 256

int store_map_resize(struct store *s, size_t bytes)
{
    s->map = (struct os_map){0};
    return mdb_env_set_mapsize(s->env, bytes);
}

/* What a process has seen of a mapped file counts as its memory, and keys lie all over the file.
 * LMDB does not tell where its map lies. */
void store_map_touched(struct store *s)
{
    mdb_filehandle_t fd;

    if (++s->touched % REST_EVERY != 0 || mdb_env_get_fd(s->env, &fd) != 0)
        return;
    if (s->map.at || os_map_find(fd, &s->map))
        os_map_rest(&s->map);
}
