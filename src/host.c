#include "host_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *host_read_text(struct arena *arena, const char *path)
{
    struct err ignored = {0};
    struct buf text = {0};
    const char *copy = NULL;

    if (os_read(path, &text, &ignored) == 0)
        copy = arena_strndup(arena, buf_text(&text), text.len);
    err_release(&ignored);
    buf_release(&text);
    return copy;
}

const char *host_text_field(struct arena *arena, const char *text, const char *key)
{
    struct str rest = str_of(text);
    struct str line;

    while (str_split(&rest, '\n', &line)) {
        const char *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
        struct str name;

        if (!colon)
            continue;
        name = str_trim((struct str){line.ptr, (size_t)(colon - line.ptr)});
        if (str_equal(name, str_of(key))) {
            struct str value =
                str_trim((struct str){colon + 1, line.len - (size_t)(colon + 1 - line.ptr)});

            return arena_strndup(arena, value.ptr, value.len);
        }
    }
    return NULL;
}

static const char *cpu_field(const char *root, struct arena *arena, const char *key)
{
    const char *text = host_read_text(arena, arena_printf(arena, "%s/proc/cpuinfo", root));

    return text ? host_text_field(arena, text, key) : NULL;
}

static const char *fact_arch(const char *root, struct arena *arena)
{
    struct utsname names;

    (void)root;
    return uname(&names) == 0 ? arena_strdup(arena, names.machine) : NULL;
}

static const char *fact_cores(const char *root, struct arena *arena)
{
    (void)root;
    return arena_printf(arena, "%d", os_cores());
}

/* ARM's /proc/cpuinfo names no model, but the maker's and the part's numbers. */
static const char *fact_cpu_model(const char *root, struct arena *arena)
{
    const char *model = cpu_field(root, arena, "model name");
    const char *maker = cpu_field(root, arena, "CPU implementer");
    const char *part = cpu_field(root, arena, "CPU part");

    if (model || !maker || !part)
        return model;
    return arena_printf(arena, "arm %s %s", text_starts_with(maker, "0x") ? maker + 2 : maker,
                        text_starts_with(part, "0x") ? part + 2 : part);
}

static const char *fact_cpu_features(const char *root, struct arena *arena)
{
    const char *flags = cpu_field(root, arena, "flags");
    struct strs words = {0};
    struct buf text = {0};
    const char *sorted;
    struct str rest;
    struct str word;

    if (!flags)
        flags = cpu_field(root, arena, "Features");
    if (!flags)
        return NULL;
    rest = str_of(flags);
    while (str_split(&rest, ' ', &word))
        if (word.len > 0)
            strs_push(&words, arena_strndup(arena, word.ptr, word.len));
    strs_sort(&words);
    for (size_t i = 0; i < words.len; i++)
        buf_addf(&text, "%s%s", i > 0 ? " " : "", words.at[i]);
    sorted = arena_strdup(arena, buf_text(&text));
    strs_release(&words);
    buf_release(&text);
    return sorted;
}

static const char *fact_gpu_count(const char *root, struct arena *arena)
{
    return arena_printf(arena, "%zu", host_gpu_count(root, arena));
}

static const char *fact_kernel(const char *root, struct arena *arena)
{
    struct utsname names;

    (void)root;
    return uname(&names) == 0 ? arena_strdup(arena, names.release) : NULL;
}

/* "48K" as the kernel writes it, in bytes. */
static const char *bytes_of(struct arena *arena, const char *text)
{
    char *end;
    unsigned long long size = strtoull(text, &end, 10);

    if (end == text)
        return NULL;
    if (*end == 'K')
        size <<= 10;
    else if (*end == 'M')
        size <<= 20;
    return arena_printf(arena, "%llu", size);
}

static const char *cache_file(const char *root, struct arena *arena, int index, const char *name)
{
    const char *path =
        arena_printf(arena, "%s/sys/devices/system/cpu/cpu0/cache/index%d/%s", root, index, name);

    return host_read_text(arena, path);
}

static const char *cache_bytes(const char *root, struct arena *arena, int level)
{
    const char *level_text;

    for (int i = 0; (level_text = cache_file(root, arena, i, "level")) != NULL; i++) {
        const char *type = cache_file(root, arena, i, "type");
        const char *size = cache_file(root, arena, i, "size");

        if (strtol(level_text, NULL, 10) == level && size && type &&
            !text_starts_with(type, "Instruction"))
            return bytes_of(arena, size);
    }
    return NULL;
}

static const char *fact_l1d(const char *root, struct arena *arena)
{
    return cache_bytes(root, arena, 1);
}

static const char *fact_l2(const char *root, struct arena *arena)
{
    return cache_bytes(root, arena, 2);
}

static const char *fact_l3(const char *root, struct arena *arena)
{
    return cache_bytes(root, arena, 3);
}

/* Names alone, without numbers, say too little: a hypervisor calls every CPU "Intel Xeon
 * Processor". */
static const char *cpu_name(const char *root, struct arena *arena)
{
    const char *model = fact_cpu_model(root, arena);
    const char *family = cpu_field(root, arena, "cpu family");
    const char *number = cpu_field(root, arena, "model");
    const char *name = model ? host_short_model(arena, model) : "";

    if (!*name)
        name = host_short_model(arena, fact_arch(root, arena));
    if (!strpbrk(name, "0123456789") && family && number)
        name = arena_printf(arena, "%s-f%sm%s", name, family, number);
    return name;
}

static const char *fact_machine(const char *root, struct arena *arena)
{
    const char *cpu = cpu_name(root, arena);
    size_t count = host_gpu_count(root, arena);
    const char *gpu = count > 0 ? host_gpu_name(root, arena, 0) : NULL;
    const char *many = count > 1 ? arena_printf(arena, "%zux-", count) : "";

    if (!gpu)
        return arena_printf(arena, "%s-%dc", cpu, os_cores());
    return arena_printf(arena, "%s-%dc-%s%s", cpu, os_cores(), many, host_short_model(arena, gpu));
}

static const char *fact_memory(const char *root, struct arena *arena)
{
    const char *text = host_read_text(arena, arena_printf(arena, "%s/proc/meminfo", root));
    const char *total = text ? host_text_field(arena, text, "MemTotal") : NULL;

    return total ? arena_printf(arena, "%llu", strtoull(total, NULL, 10) << 10) : NULL;
}

static const char *fact_os(const char *root, struct arena *arena)
{
    struct utsname names;

    (void)root;
    if (uname(&names) < 0)
        return NULL;
    for (char *c = names.sysname; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    return arena_strdup(arena, names.sysname);
}

static const char *fact_os_name(const char *root, struct arena *arena)
{
    const char *text = host_read_text(arena, arena_printf(arena, "%s/etc/os-release", root));
    struct str rest = str_of(text ? text : "");
    struct str line;

    while (str_split(&rest, '\n', &line)) {
        static const char key[] = "PRETTY_NAME=";

        if (line.len < sizeof(key) || memcmp(line.ptr, key, sizeof(key) - 1) != 0)
            continue;
        line.ptr += sizeof(key) - 1;
        line.len -= sizeof(key) - 1;
        if (line.len >= 2 && (*line.ptr == '"' || *line.ptr == '\''))
            line = (struct str){line.ptr + 1, line.len - 2};
        return arena_strndup(arena, line.ptr, line.len);
    }
    return NULL;
}

static const char *fact_page(const char *root, struct arena *arena)
{
    (void)root;
    return arena_printf(arena, "%ld", sysconf(_SC_PAGESIZE));
}

typedef const char *fact_fn(const char *root, struct arena *arena);

static const struct {
    const char *name;
    fact_fn *fn;
} facts[] = {
    {"arch", fact_arch},
    {"cores", fact_cores},
    {"cpu.features", fact_cpu_features},
    {"cpu.model", fact_cpu_model},
    {"gpu.count", fact_gpu_count},
    {"gpu.driver", host_gpu_driver},
    {"kernel", fact_kernel},
    {"l1d_bytes", fact_l1d},
    {"l2_bytes", fact_l2},
    {"l3_bytes", fact_l3},
    {"machine", fact_machine},
    {"memory_bytes", fact_memory},
    {"os", fact_os},
    {"os.name", fact_os_name},
    {"page_bytes", fact_page},
};

/* "gpu.3.name" is the fourth GPU's. */
static bool is_gpu_name(const char *name, size_t *index)
{
    char *end;

    if (!text_starts_with(name, "gpu.") || name[4] < '0' || name[4] > '9')
        return false;
    *index = strtoul(name + 4, &end, 10);
    return strcmp(end, ".name") == 0;
}

const char *host_fact_below(const char *root, struct arena *arena, const char *name)
{
    size_t index;

    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        if (strcmp(facts[i].name, name) == 0)
            return facts[i].fn(root, arena);
    }
    return is_gpu_name(name, &index) ? host_gpu_name(root, arena, index) : NULL;
}

void host_names_below(const char *root, struct arena *arena, struct strs *out)
{
    size_t gpus = host_gpu_count(root, arena);

    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        if (facts[i].fn(root, arena))
            strs_push(out, facts[i].name);
    }
    for (size_t i = 0; i < gpus; i++)
        strs_push(out, arena_printf(arena, "gpu.%zu.name", i));
    strs_sort(out);
}

const char *host_pretended(void)
{
    const char *text = getenv("SPAK_FACTS");

    return text && *text ? text : NULL;
}

/* The value in "name=value,name=value"; the machine says itself that it is not what it seems. */
static const char *pretended_fact(struct arena *arena, const char *name)
{
    const char *text = host_pretended();
    struct str rest = str_of(text ? text : "");
    struct str item;
    size_t len = strlen(name);

    if (text && strcmp(name, "machine") == 0)
        return arena_printf(arena, "%s-pretended", host_fact_below("", arena, name));
    while (str_split(&rest, ',', &item)) {
        if (item.len > len && item.ptr[len] == '=' && memcmp(item.ptr, name, len) == 0)
            return arena_strndup(arena, item.ptr + len + 1, item.len - len - 1);
    }
    return NULL;
}

const char *host_fact(struct arena *arena, const char *name)
{
    const char *pretended = pretended_fact(arena, name);

    return pretended ? pretended : host_fact_below("", arena, name);
}

void host_fact_names(struct arena *arena, struct strs *out)
{
    host_names_below("", arena, out);
}

const char *host_machine(struct arena *arena)
{
    return host_fact(arena, "machine");
}
