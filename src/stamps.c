#include "stamps_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

struct part {
    void **at;
    size_t bytes;
};

static size_t lay_out(const struct stamps_header *h, struct stamps *s, char *block)
{
    const struct part parts[] = {
        {(void **)&s->folders, h->folder_count * sizeof(*s->folders)},
        {(void **)&s->looks, h->stamp_count * sizeof(*s->looks)},
        {(void **)&s->facts, h->stamp_count * sizeof(*s->facts)},
        {(void **)&s->users, h->user_count * sizeof(*s->users)},
        {(void **)&s->values, h->value_count * sizeof(*s->values)},
        {(void **)&s->cover, h->node_count},
        {(void **)&s->text, h->text_bytes},
    };
    size_t at = aligned(sizeof(*h));

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (block)
            *parts[i].at = block + at;
        at += aligned(parts[i].bytes);
    }
    return at;
}

size_t stamps_layout_bytes(const struct stamps_header *h)
{
    struct stamps unused;

    return lay_out(h, &unused, NULL);
}

/* Points the arrays into the block; false when they do not fill it. */
static bool point(struct stamps *s, void *block, size_t bytes)
{
    s->header = block;
    s->bytes = bytes;
    return bytes >= sizeof(*s->header) && s->header->total_bytes == bytes &&
           lay_out(s->header, s, block) == bytes;
}

static uint64_t mix(uint64_t sum, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum ^ sum >> 31;
}

uint64_t stamps_checksum(const struct stamps *s)
{
    const struct stamps_header *h = s->header;
    uint64_t sum = mix(0xcbf29ce484222325u, h, offsetof(struct stamps_header, check));

    sum = mix(sum, s->folders, h->folder_count * sizeof(*s->folders));
    return mix(sum, s->values, h->value_count * sizeof(*s->values));
}

/* What the checksum does not cover is checked where it is used. */
static bool is_sound(const struct stamps *s, const struct digest *key)
{
    const struct stamps_header *h = s->header;

    if (memcmp(h->magic, STAMPS_MAGIC, sizeof(h->magic)) != 0 ||
        (key && !digest_equal(&h->key, key)) || h->check != stamps_checksum(s) ||
        h->text_bytes == 0 || s->text[h->text_bytes - 1])
        return false;
    for (uint32_t i = 0; i < h->folder_count; i++)
        if (s->folders[i].path >= h->text_bytes || s->folders[i].first > h->stamp_count ||
            s->folders[i].count > h->stamp_count - s->folders[i].first)
            return false;
    for (uint32_t i = 0; i < h->value_count; i++)
        if (s->values[i].what >= h->text_bytes)
            return false;
    return true;
}

/* The mapping is private and its file written by calls: where a file system needs room for what
 * stands there already and has none left, a call says so and a shared mapping ends the process.
 * Stamps that cannot be written are as good as none. */
void stamps_put(struct stamps *s, const void *at, size_t bytes)
{
    struct err e = {0};
    uint64_t offset = (uint64_t)((const char *)at - (const char *)s->header);

    if (!atomic_load(&s->lost) && os_write_at(s->fd, at, bytes, offset, s->path, &e) < 0 &&
        !atomic_exchange(&s->lost, true))
        unlink(s->path);
    err_release(&e);
}

struct stamps *stamps_map(const char *path, const struct digest *key)
{
    struct stamps *s = NULL;
    struct stat st;
    void *block = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size >= (off_t)sizeof(struct stamps_header))
        block = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (block == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    s = xcalloc(1, sizeof(*s));
    s->path = xstrdup(path);
    s->fd = fd;
    if (point(s, block, (size_t)st.st_size) && is_sound(s, key))
        return s;
    s->header = block;
    s->bytes = (size_t)st.st_size;
    stamps_free(s);
    return NULL;
}

/* What was changed in the mapping is in the file, unless that could not be written. */
void stamps_rest(struct stamps *s)
{
    if (atomic_load(&s->lost))
        return;
    madvise(s->header, s->bytes, MADV_DONTNEED);
}

void stamps_free(struct stamps *s)
{
    if (!s)
        return;
    munmap(s->header, s->bytes);
    close(s->fd);
    free(s->path);
    free(s);
}

uint32_t stamps_count(const struct stamps *s)
{
    return s->header->stamp_count;
}

uint64_t stamps_id(const struct stamps *s)
{
    return s->header->id;
}

uint32_t stamps_folder_count(const struct stamps *s)
{
    return s->header->folder_count;
}

const char *stamps_folder(const struct stamps *s, uint32_t folder)
{
    return s->text + s->folders[folder].path;
}

void stamps_in_folder(const struct stamps *s, uint32_t folder, uint32_t *first, uint32_t *count)
{
    *first = s->folders[folder].first;
    *count = s->folders[folder].count;
}

const char *stamps_name(const struct stamps *s, uint32_t stamp)
{
    uint32_t name = s->looks[stamp].name;

    return name < s->header->text_bytes ? s->text + name : "";
}

static uint32_t folder_of(const struct stamps *s, uint32_t stamp)
{
    uint32_t folder = s->facts[stamp].folder;

    return folder < s->header->folder_count ? folder : 0;
}

char *stamps_path(const struct stamps *s, uint32_t stamp, struct arena *arena)
{
    const char *folder = stamps_folder(s, folder_of(s, stamp)), *name = stamps_name(s, stamp);

    if (!strcmp(folder, "."))
        return arena_strdup(arena, name);
    return arena_printf(arena, "%s%s%s", folder, text_ends_with(folder, "/") ? "" : "/", name);
}

uint32_t stamps_find_in(const struct stamps *s, uint32_t folder, const char *name)
{
    uint32_t low = s->folders[folder].first, high = low + s->folders[folder].count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(stamps_name(s, middle), name);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return STAMP_NONE;
}

static uint32_t find_folder(const struct stamps *s, const char *path, size_t len)
{
    uint32_t low = 0, high = s->header->folder_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *at = stamps_folder(s, middle);
        int order = strncmp(at, path, len);

        if (order == 0 && at[len] == '\0')
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return STAMP_NONE;
}

uint32_t stamps_find(const struct stamps *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    uint32_t folder;

    if (!slash)
        folder = find_folder(s, ".", 1);
    else
        folder = find_folder(s, path, slash == path ? 1 : (size_t)(slash - path));
    return folder == STAMP_NONE ? STAMP_NONE : stamps_find_in(s, folder, slash ? slash + 1 : path);
}

void stamps_digest(const struct stamps *s, uint32_t stamp, struct digest *out)
{
    *out = s->facts[stamp].digest;
}

enum stamp_kind stamps_kind(const struct stamps *s, uint32_t stamp)
{
    return s->looks[stamp].kind;
}

const uint32_t *stamps_users(const struct stamps *s, uint32_t stamp, uint32_t *count)
{
    const struct stamps_fact *fact = &s->facts[stamp];
    uint32_t all = s->header->user_count;

    *count = 0;
    if (fact->users <= all && fact->user_count <= all - fact->users)
        *count = fact->user_count;
    return s->users + (*count ? fact->users : 0);
}

bool stamps_has_user(const struct stamps *s, uint32_t stamp, uint32_t user)
{
    uint32_t count;
    const uint32_t *users = stamps_users(s, stamp, &count);

    for (uint32_t i = 0; i < count; i++)
        if (users[i] == user)
            return true;
    return false;
}

bool stamps_covers(const struct stamps *s, uint32_t node)
{
    return node < s->header->node_count && s->cover[node] == STAMPS_COVERED;
}

void stamps_set_cover(struct stamps *s, uint32_t node, bool covered)
{
    if (node >= s->header->node_count || stamps_covers(s, node) == covered)
        return;
    s->cover[node] = covered ? STAMPS_COVERED : 0;
    stamps_put(s, &s->cover[node], 1);
}

bool stamps_value(const struct stamps *s, uint32_t i, uint32_t *kind, const char **what,
                  struct digest *digest)
{
    if (i >= s->header->value_count)
        return false;
    *kind = s->values[i].kind;
    *what = s->text + s->values[i].what;
    *digest = s->values[i].digest;
    return true;
}

bool stamps_knows(const struct stamps *s, const struct digest *request, uint32_t *nodes)
{
    for (size_t i = 0; i < STAMPS_REQUESTS; i++) {
        const struct stamps_request *r = &s->header->requests[i];

        if (r->used != 1 || !digest_equal(&r->request, request))
            continue;
        *nodes = r->nodes;
        return true;
    }
    return false;
}

/* Empty while it is written. */
void stamps_remember(struct stamps *s, const struct digest *request, uint32_t nodes)
{
    struct stamps_request *r;

    if (stamps_knows(s, request, &nodes))
        return;
    r = &s->header->requests[s->header->next_request++ % STAMPS_REQUESTS];
    stamps_put(s, &s->header->next_request, sizeof(s->header->next_request));
    r->used = 0;
    stamps_put(s, &r->used, sizeof(r->used));
    r->request = *request;
    r->nodes = nodes;
    stamps_put(s, r, offsetof(struct stamps_request, used));
    r->used = 1;
    stamps_put(s, &r->used, sizeof(r->used));
}

void stamps_forget_requests(struct stamps *s)
{
    for (size_t i = 0; i < STAMPS_REQUESTS; i++)
        s->header->requests[i].used = 0;
    stamps_put(s, s->header->requests, sizeof(s->header->requests));
}

void stamps_set_look(struct stamps_look *look, const struct os_stat *stat)
{
    look->inode = stat->inode;
    look->size_bytes = stat->size_bytes;
    look->mtime_ns = stat->mtime_ns;
    look->ctime_ns = stat->ctime_ns;
}
