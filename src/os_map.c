#define _GNU_SOURCE
#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* One line of the list: "from-to r--s offset device inode path". */
static bool is_of(const char *line, uint64_t inode, uintptr_t *from, uintptr_t *to)
{
    unsigned long long begin, end, number;
    char shared;

    if (sscanf(line, "%llx-%llx %*3c%c %*x %*s %llu", &begin, &end, &shared, &number) != 4)
        return false;
    *from = (uintptr_t)begin;
    *to = (uintptr_t)end;
    return shared == 's' && number == inode;
}

/* Another device may have the same inode: what is shared with a file loses nothing. */
bool os_map_find(int fd, struct os_map *out)
{
    struct stat st;
    char *line = NULL;
    size_t cap = 0;
    uintptr_t from, to;
    bool found = false;
    FILE *list = fstat(fd, &st) == 0 ? fopen("/proc/self/maps", "re") : NULL;

    while (list && !found && getline(&line, &cap, list) > 0)
        found = is_of(line, st.st_ino, &from, &to);
    if (found)
        *out = (struct os_map){(void *)from, to - from}; /* NOLINT(performance-no-int-to-ptr) */
    free(line);
    if (list)
        fclose(list);
    return found;
}

void os_map_rest(const struct os_map *map)
{
    madvise(map->at, map->bytes, MADV_DONTNEED);
}
