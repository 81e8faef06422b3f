#include "host_internal.h"

#include <string.h>

/* The driver's /proc listing needs no library and no permission; a container shows the GPUs it was
 * given. */
static void list_gpus(const char *root, struct arena *arena, struct strs *addresses)
{
    const char *path = arena_printf(arena, "%s/proc/driver/nvidia/gpus", root);
    struct err ignored = {0};

    if (os_list(path, arena, addresses, &ignored) < 0)
        err_release(&ignored);
}

size_t host_gpu_count(const char *root, struct arena *arena)
{
    struct strs addresses = {0};
    size_t count;

    list_gpus(root, arena, &addresses);
    count = addresses.len;
    strs_release(&addresses);
    return count;
}

const char *host_gpu_name(const char *root, struct arena *arena, size_t index)
{
    struct strs addresses = {0};
    const char *text = NULL;

    list_gpus(root, arena, &addresses);
    if (index < addresses.len)
        text =
            host_read_text(arena, arena_printf(arena, "%s/proc/driver/nvidia/gpus/%s/information",
                                               root, addresses.at[index]));
    strs_release(&addresses);
    return text ? host_text_field(arena, text, "Model") : NULL;
}

/* The first word that is a version: digits and dots, at least one of each. */
const char *host_gpu_driver(const char *root, struct arena *arena)
{
    const char *text =
        host_read_text(arena, arena_printf(arena, "%s/proc/driver/nvidia/version", root));
    struct str rest = str_of(text ? text : "");
    struct str word;

    while (str_split(&rest, ' ', &word)) {
        size_t version = 0;

        while (version < word.len && strchr("0123456789.", word.ptr[version]))
            version++;
        if (version > 1 && version == word.len && memchr(word.ptr, '.', word.len))
            return arena_strndup(arena, word.ptr, word.len);
    }
    return NULL;
}
