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

/* What is shared with a file loses nothing, so that an inode of another device does no harm. */
void os_map_rest(int fd)
{
    struct stat st;
    char *line = NULL;
    size_t cap = 0;
    uintptr_t from, to;
    FILE *list = fstat(fd, &st) == 0 ? fopen("/proc/self/maps", "re") : NULL;

    while (list && getline(&line, &cap, list) > 0)
        if (is_of(line, st.st_ino, &from, &to))
            madvise((void *)from, to - from, MADV_DONTNEED); /* NOLINT(performance-no-int-to-ptr) */
    free(line);
    if (list)
        fclose(list);
}
