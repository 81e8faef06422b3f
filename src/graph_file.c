#include "graph_build.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SPAKGR2";

/* Another layout of the structs is another file format. */
static uint32_t layout_stamp(void)
{
    const size_t sizes[] = {sizeof(struct graph_header), sizeof(struct node),
                            sizeof(struct artifact),     sizeof(struct tool),
                            sizeof(struct fact),         sizeof(struct pool),
                            sizeof(struct read),         sizeof(struct graph_name)};
    uint32_t order = 0x01020304;

    return graph_hash((const char *)sizes, sizeof(sizes)) ^
           graph_hash((const char *)&order, sizeof(order));
}

/* Four lanes of multiply and rotate: it is to notice damage, not malice, at the speed of memory. */
static uint64_t checksum(uint64_t before, const void *bytes, size_t len)
{
    const uint64_t prime = 0x9e3779b97f4a7c15u;
    uint64_t lane[4] = {prime, ~prime, prime >> 7 ^ before, len};
    const char *p = bytes;

    for (; len >= 32; len -= 32, p += 32) {
        uint64_t word[4];
        memcpy(word, p, sizeof(word));
        for (int i = 0; i < 4; i++) {
            lane[i] = (lane[i] ^ word[i]) * prime;
            lane[i] ^= lane[i] >> 29;
        }
    }
    for (; len; len--, p++)
        lane[0] = (lane[0] ^ (uint8_t)*p) * prime;
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum = (sum ^ lane[i] ^ lane[i] >> 31) * prime;
    return sum ^ sum >> 33;
}

struct part {
    const void **at;
    size_t bytes;
};

/* The one list of what follows the header, in its order: the text last, as all others want to lie
 * at a multiple of four. */
#define PART_COUNT 10
static void list_parts(struct graph *g, struct part parts[PART_COUNT])
{
    const struct part list[PART_COUNT] = {
        {(const void **)&g->nodes, g->node_count * sizeof(struct node)},
        {(const void **)&g->artifacts, g->artifact_count * sizeof(struct artifact)},
        {(const void **)&g->tools, g->tool_count * sizeof(struct tool)},
        {(const void **)&g->facts, g->fact_count * sizeof(struct fact)},
        {(const void **)&g->pools, g->pool_count * sizeof(struct pool)},
        {(const void **)&g->reads, g->read_count * sizeof(struct read)},
        {(const void **)&g->ids, g->id_count * sizeof(uint32_t)},
        {(const void **)&g->order, g->node_count * sizeof(uint32_t)},
        {(const void **)&g->names, g->name_count * sizeof(struct graph_name)},
        {(const void **)&g->text, g->text_bytes},
    };
    memcpy(parts, list, sizeof(list));
}

static struct graph_header header_of(const struct graph *g)
{
    return (struct graph_header){
        .trace_to = g->trace_to,
        .node_count = g->node_count,
        .artifact_count = g->artifact_count,
        .tool_count = g->tool_count,
        .fact_count = g->fact_count,
        .pool_count = g->pool_count,
        .read_count = g->read_count,
        .id_count = g->id_count,
        .name_count = g->name_count,
        .text_bytes = g->text_bytes,
        .users_at = g->users_at,
    };
}

static void take_header(struct graph *g, const struct graph_header *h)
{
    *g = (struct graph){
        .trace_to = h->trace_to,
        .node_count = h->node_count,
        .artifact_count = h->artifact_count,
        .tool_count = h->tool_count,
        .fact_count = h->fact_count,
        .pool_count = h->pool_count,
        .read_count = h->read_count,
        .id_count = h->id_count,
        .name_count = h->name_count,
        .text_bytes = h->text_bytes,
        .users_at = h->users_at,
    };
}

static size_t total_bytes(const struct part parts[PART_COUNT])
{
    size_t total = sizeof(struct graph_header);

    for (int i = 0; i < PART_COUNT; i++)
        total += parts[i].bytes;
    return total;
}

bool graph_point(struct graph *g, void *block, size_t bytes)
{
    const struct graph_header *h = block;
    struct part parts[PART_COUNT];
    char *at = (char *)block + sizeof(*h);

    if (bytes < sizeof(*h))
        return false;
    take_header(g, h);
    list_parts(g, parts);
    if (h->total_bytes != bytes || total_bytes(parts) != bytes)
        return false;
    for (int i = 0; i < PART_COUNT; i++) {
        *parts[i].at = at;
        at += parts[i].bytes;
    }
    g->memory = block;
    g->memory_bytes = bytes;
    return true;
}

static uint64_t sum_parts(const struct part parts[PART_COUNT])
{
    uint64_t sum = 0;

    for (int i = 0; i < PART_COUNT; i++)
        sum = checksum(sum, *parts[i].at, parts[i].bytes);
    return sum;
}

static uint64_t sum_header(const struct graph_header *h)
{
    return checksum(0, h, offsetof(struct graph_header, header_checksum));
}

void graph_seal(struct graph_header *h, const struct graph *g)
{
    struct graph view = *g;
    struct part parts[PART_COUNT];

    list_parts(&view, parts);
    memcpy(h->magic, magic, sizeof(magic));
    h->layout = layout_stamp();
    h->total_bytes = total_bytes(parts);
    h->checksum = sum_parts(parts);
    h->header_checksum = sum_header(h);
}

static int write_parts(int fd, const struct graph_header *h, const struct graph *g,
                       const char *path, struct err *e)
{
    struct graph view = *g;
    struct part parts[PART_COUNT];
    int r = os_write_fd(fd, h, sizeof(*h), path, e);

    list_parts(&view, parts);
    for (int i = 0; r == 0 && i < PART_COUNT; i++)
        r = os_write_fd(fd, *parts[i].at, parts[i].bytes, path, e);
    return r;
}

int graph_save(const struct graph *g, const char *path, const struct digest *stamp, struct err *e)
{
    struct graph_header h = header_of(g);
    char *temp;
    int fd;

    h.stamp = *stamp;
    graph_seal(&h, g);
    if (os_temp_open(path, 0644, &temp, &fd, e) < 0)
        return -1;
    if (write_parts(fd, &h, g, path, e) < 0) {
        os_temp_drop(temp, fd);
        return -1;
    }
    return os_temp_keep(path, temp, fd, false, e);
}

static bool header_fits(const struct graph_header *h, const struct digest *stamp)
{
    return !memcmp(h->magic, magic, sizeof(magic)) && h->layout == layout_stamp() &&
           h->header_checksum == sum_header(h) && digest_equal(&h->stamp, stamp);
}

bool graph_id(const char *path, const struct digest *stamp, uint64_t *id)
{
    struct graph_header h;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, &h, sizeof(h));

    if (fd >= 0)
        close(fd);
    *id = n == sizeof(h) ? h.checksum : 0;
    return n == sizeof(h) && header_fits(&h, stamp);
}

static bool content_fits(const struct graph_header *h, struct graph *g)
{
    struct part parts[PART_COUNT];

    list_parts(g, parts);
    return h->checksum == sum_parts(parts);
}

void graph_rest(const struct graph *g)
{
    if (g->memory)
        madvise(g->memory, g->memory_bytes, MADV_DONTNEED);
}

struct graph *graph_load(const char *path, const struct digest *stamp)
{
    struct stat st;
    struct graph *g = NULL;
    void *block = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size >= (off_t)sizeof(struct graph_header))
        block = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    if (block == MAP_FAILED)
        return NULL;
    g = xcalloc(1, sizeof(*g));
    if (header_fits(block, stamp) && graph_point(g, block, (size_t)st.st_size) &&
        content_fits(block, g) && graph_is_sound(g)) {
        graph_rest(g);
        return g;
    }
    munmap(block, (size_t)st.st_size);
    free(g);
    return NULL;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    struct part parts[PART_COUNT];
    list_parts(g, parts);
    for (int i = 0; !g->memory && i < PART_COUNT; i++)
        free((void *)(uintptr_t)*parts[i].at);
    if (g->memory)
        munmap(g->memory, g->memory_bytes);
    free(g);
}
