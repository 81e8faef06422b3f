#include "graph_build.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SPAKGR1";

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
uint64_t graph_checksum(const void *bytes, size_t len)
{
    const uint64_t prime = 0x9e3779b97f4a7c15u;
    uint64_t lane[4] = {prime, ~prime, prime >> 7, len};
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
    uint32_t count;
    size_t bytes;
};

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* The one list of what lies in the block, in its order. */
#define PART_COUNT 10
static void list_parts(const struct graph_header *h, struct graph *g, struct part parts[PART_COUNT])
{
    const struct part list[PART_COUNT] = {
        {(const void **)&g->nodes, h->node_count, sizeof(struct node)},
        {(const void **)&g->artifacts, h->artifact_count, sizeof(struct artifact)},
        {(const void **)&g->tools, h->tool_count, sizeof(struct tool)},
        {(const void **)&g->facts, h->fact_count, sizeof(struct fact)},
        {(const void **)&g->pools, h->pool_count, sizeof(struct pool)},
        {(const void **)&g->reads, h->read_count, sizeof(struct read)},
        {(const void **)&g->ids, h->id_count, sizeof(uint32_t)},
        {(const void **)&g->order, h->node_count, sizeof(uint32_t)},
        {(const void **)&g->names, h->name_count, sizeof(struct graph_name)},
        {(const void **)&g->text, h->text_bytes, 1},
    };
    memcpy(parts, list, sizeof(list));
}

size_t graph_layout_bytes(const struct graph_header *h)
{
    struct graph unused;
    struct part parts[PART_COUNT];
    size_t total = aligned(sizeof(*h));

    list_parts(h, &unused, parts);
    for (int i = 0; i < PART_COUNT; i++)
        total += aligned(parts[i].count * parts[i].bytes);
    return total;
}

bool graph_point(struct graph *g, void *block, size_t bytes)
{
    const struct graph_header *h = block;
    struct part parts[PART_COUNT];
    char *at = (char *)block + aligned(sizeof(*h));

    if (bytes < sizeof(*h) || h->total_bytes != bytes || graph_layout_bytes(h) != bytes)
        return false;
    list_parts(h, g, parts);
    for (int i = 0; i < PART_COUNT; i++) {
        *parts[i].at = at;
        at += aligned(parts[i].count * parts[i].bytes);
    }
    g->node_count = h->node_count;
    g->artifact_count = h->artifact_count;
    g->tool_count = h->tool_count;
    g->fact_count = h->fact_count;
    g->pool_count = h->pool_count;
    g->read_count = h->read_count;
    g->id_count = h->id_count;
    g->name_count = h->name_count;
    g->text_bytes = h->text_bytes;
    g->users_at = h->users_at;
    g->trace_to = h->trace_to;
    g->memory = block;
    g->memory_bytes = bytes;
    return true;
}

void graph_seal(struct graph_header *h, const void *content)
{
    memcpy(h->magic, magic, sizeof(magic));
    h->layout = layout_stamp();
    h->checksum = graph_checksum(content, h->total_bytes - sizeof(*h));
    h->header_checksum = graph_checksum(h, offsetof(struct graph_header, header_checksum));
}

/* The header is a copy, the arrays behind it are too large for one. */
int graph_save(const struct graph *g, const char *path, const struct digest *stamp, struct err *e)
{
    const char *content = (const char *)g->memory + sizeof(struct graph_header);
    struct graph_header h;
    char *temp;
    int fd;

    memcpy(&h, g->memory, sizeof(h));
    h.stamp = *stamp;
    graph_seal(&h, content);
    if (os_temp_open(path, 0644, &temp, &fd, e) < 0)
        return -1;
    if (os_write_fd(fd, &h, sizeof(h), path, e) < 0 ||
        os_write_fd(fd, content, g->memory_bytes - sizeof(h), path, e) < 0) {
        os_temp_drop(temp, fd);
        return -1;
    }
    return os_temp_keep(path, temp, fd, false, e);
}

static bool header_fits(const struct graph_header *h, const struct digest *stamp)
{
    return !memcmp(h->magic, magic, sizeof(magic)) && h->layout == layout_stamp() &&
           h->header_checksum ==
               graph_checksum(h, offsetof(struct graph_header, header_checksum)) &&
           digest_equal(&h->stamp, stamp);
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

static bool content_fits(const struct graph_header *h, size_t bytes, const struct digest *stamp)
{
    return header_fits(h, stamp) && h->total_bytes == bytes &&
           h->checksum == graph_checksum((const char *)h + sizeof(*h), bytes - sizeof(*h));
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
    if (content_fits(block, (size_t)st.st_size, stamp) &&
        graph_point(g, block, (size_t)st.st_size) && graph_is_sound(g)) {
        g->mapped = true;
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
    if (g->mapped)
        munmap(g->memory, g->memory_bytes);
    else
        free(g->memory);
    free(g);
}
