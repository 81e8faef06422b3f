#include "hash.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel stamps files by a clock that moves every 1 to 10 ms: a change in the tick of the
 * moment of hashing may leave no mark. File systems that keep whole seconds (or two, FAT) need
 * more. */
#define RACY_COARSE_NS 2100000000

/* An entry that no build has asked for in so many saves is dropped: its file is most likely gone.
 */
#define KEEP_SAVES 64

#define PROGRAM_BYTES (1 << 20)
#define BUILDS_TO_COME 32

#define MAGIC "spakhc1\n"
#define BYTE_ORDER_MARK 0x01020304u

/* The file: header, entries, slots (entry number + 1, 0 is free; open addressing by the hash of the
 * path), text. Looked up as it lies in memory: opening parses nothing. */
struct header {
    char magic[8];
    uint32_t order;
    uint32_t count;
    uint32_t slot_count; /* a power of two */
    uint32_t text_bytes;
};

struct entry {
    uint64_t inode;
    uint64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
    struct digest digest;
    uint32_t path;   /* where it starts in the text */
    uint32_t unused; /* saves since it was last asked for */
    uint64_t check;  /* over everything above but `unused`: one flipped bit must not become a wrong
                        digest */
};

struct hash_cache {
    char *path;
    const char *file; /* mapped: a build in which nothing moved touches few of its pages */
    size_t file_bytes;
    struct header header; /* all zero when there is no usable file */
    const struct entry *entries;
    const uint32_t *slots;
    const char *text;
    atomic_uchar *seen;    /* one an entry: asked for since the file was opened */
    pthread_mutex_t mutex; /* over what follows */
    struct arena arena;
    struct strmap fresh_by_path;
    struct entry *fresh; /* supersede those of the file; `path` is unused here */
    struct strs fresh_paths;
    size_t fresh_cap;
    bool dirty;
    atomic_size_t fresh_count;
    atomic_size_t misses;
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9fb21c651e98df25u;
    return hash ^ (hash >> 32);
}

static uint64_t hash_path(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    return mix(hash, 0);
}

static uint64_t entry_check(const struct entry *entry, uint64_t path_hash)
{
    uint64_t words[DIGEST_BYTES / 8];
    uint64_t hash = path_hash;

    memcpy(words, entry->digest.bytes, sizeof(words));
    hash = mix(hash, entry->inode);
    hash = mix(hash, entry->size_bytes);
    hash = mix(hash, (uint64_t)entry->mtime_ns);
    hash = mix(hash, (uint64_t)entry->ctime_ns);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        hash = mix(hash, words[i]);
    return hash;
}

/* Takes the file as loaded if its lengths agree; what an entry holds is checked when it is asked
 * for. */
static void adopt(struct hash_cache *c)
{
    const char *at = c->file;
    struct header h;
    uint64_t need;

    if (c->file_bytes < sizeof(h))
        return;
    memcpy(&h, at, sizeof(h));
    need = sizeof(h) + (uint64_t)h.count * sizeof(struct entry) +
           (uint64_t)h.slot_count * sizeof(uint32_t) + h.text_bytes;
    if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 || h.order != BYTE_ORDER_MARK ||
        need != c->file_bytes || h.slot_count == 0 || (h.slot_count & (h.slot_count - 1)) != 0 ||
        h.text_bytes == 0 || at[c->file_bytes - 1] != '\0')
        return;
    c->header = h;
    c->entries = (const struct entry *)(const void *)(at + sizeof(h));
    c->slots = (const uint32_t *)(const void *)(c->entries + h.count);
    c->text = (const char *)(c->slots + h.slot_count);
    c->seen = xcalloc(h.count, sizeof(*c->seen));
}

static void map_file(struct hash_cache *c)
{
    struct stat st;
    void *at = MAP_FAILED;
    int fd = open(c->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return;
    c->file = at;
    c->file_bytes = (size_t)st.st_size;
}

struct hash_cache *hash_cache_open(const char *path)
{
    struct hash_cache *c = xcalloc(1, sizeof(*c));

    c->path = xstrdup(path);
    pthread_mutex_init(&c->mutex, NULL);
    map_file(c);
    adopt(c);
    return c;
}

/* The entry of the file for this path, NULL when there is none or it is damaged. */
static const struct entry *find_stored(const struct hash_cache *c, const char *path)
{
    uint64_t hash = hash_path(path);
    uint32_t mask = c->header.slot_count - 1;

    for (uint32_t probe = 0; probe < c->header.slot_count; probe++) {
        uint32_t number = c->slots[((uint32_t)hash + probe) & mask];
        const struct entry *entry;

        if (number == 0 || number > c->header.count)
            return NULL;
        entry = &c->entries[number - 1];
        if (entry->path >= c->header.text_bytes || strcmp(c->text + entry->path, path) != 0)
            continue;
        if (entry->check != entry_check(entry, hash))
            return NULL;
        atomic_store_explicit(&c->seen[number - 1], 1, memory_order_relaxed);
        return entry;
    }
    return NULL;
}

static bool describes(const struct entry *entry, const struct os_stat *stat)
{
    return entry->inode == stat->inode && entry->size_bytes == stat->size_bytes &&
           entry->mtime_ns == stat->mtime_ns && entry->ctime_ns == stat->ctime_ns;
}

/* What is known of the file, read in this process or before. */
static bool recall(struct hash_cache *c, const char *path, struct entry *out)
{
    const struct entry *stored;
    uint32_t at = STRMAP_NONE;

    if (atomic_load(&c->fresh_count) > 0) {
        pthread_mutex_lock(&c->mutex);
        at = strmap_get(&c->fresh_by_path, path);
        if (at != STRMAP_NONE)
            *out = c->fresh[at];
        pthread_mutex_unlock(&c->mutex);
    }
    if (at != STRMAP_NONE)
        return true;
    stored = find_stored(c, path);
    if (stored)
        *out = *stored;
    return stored;
}

static bool find(struct hash_cache *c, const char *path, const struct os_stat *stat,
                 struct digest *out)
{
    struct entry entry;

    if (!recall(c, path, &entry) || !describes(&entry, stat))
        return false;
    *out = entry.digest;
    return true;
}

/* Could the file change after `now_ns`, by the clock of the stamps, and still look like this? Any
 * change moves ctime to the time of the change, so a ctime that is not in the past says nothing. */
static bool is_racy(const struct os_stat *stat, int64_t now_ns)
{
    bool whole_seconds = stat->mtime_ns % 1000000000 == 0 && stat->ctime_ns % 1000000000 == 0;

    return stat->ctime_ns >= now_ns - (whole_seconds ? RACY_COARSE_NS : 0);
}

static void add_fresh(struct hash_cache *c, const char *path, const struct os_stat *stat,
                      const struct digest *digest)
{
    uint32_t at;

    pthread_mutex_lock(&c->mutex);
    at = strmap_get(&c->fresh_by_path, path);
    if (at == STRMAP_NONE) {
        const char *copy = arena_strdup(&c->arena, path);

        at = (uint32_t)c->fresh_paths.len;
        if (at == c->fresh_cap) {
            c->fresh_cap = c->fresh_cap ? c->fresh_cap * 2 : 64;
            c->fresh = xrealloc(c->fresh, c->fresh_cap * sizeof(*c->fresh));
        }
        strs_push(&c->fresh_paths, copy);
        strmap_set(&c->fresh_by_path, copy, at);
    }
    c->fresh[at] = (struct entry){.inode = stat->inode,
                                  .size_bytes = stat->size_bytes,
                                  .mtime_ns = stat->mtime_ns,
                                  .ctime_ns = stat->ctime_ns,
                                  .digest = *digest};
    c->dirty = true;
    atomic_store(&c->fresh_count, c->fresh_paths.len);
    pthread_mutex_unlock(&c->mutex);
}

static bool looks_the_same(const struct os_stat *a, const struct os_stat *b)
{
    return a->kind == b->kind && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* `content`, which may be NULL, gets what was read. */
static int digest_file(const char *path, struct buf *content, struct digest *out, struct err *e)
{
    if (!content)
        return hash_file(path, out, e);
    if (os_read(path, content, e) < 0)
        return -1;
    hash_bytes(buf_text(content), content->len, out);
    return 0;
}

/* Reads the file. Its digest is kept only if the same stat, before and after, was old when reading
 * began. */
static int digest_content(struct hash_cache *c, const char *path, struct buf *content,
                          struct hash_look *look, struct err *e)
{
    bool racy = is_racy(&look->stat, os_stamp_ns());
    struct os_stat after;

    atomic_fetch_add(&c->misses, 1);
    if (digest_file(path, content, &look->digest, e) < 0)
        return -1;
    if (racy)
        return 0;
    if (os_stat(path, &after, e) < 0)
        return -1;
    look->sure = looks_the_same(&look->stat, &after);
    if (look->sure)
        add_fresh(c, path, &look->stat, &look->digest);
    return 0;
}

static int digest_folder(struct hash_cache *c, const char *path, struct digest *out, struct err *e)
{
    struct buf listing = {0};
    int rc = hash_list_tree(path, c, &listing, e);

    if (rc == 0)
        hash_bytes(buf_text(&listing), listing.len, out);
    buf_release(&listing);
    return rc;
}

int hash_cache_look(struct hash_cache *cache, const char *path, struct hash_look *out,
                    struct err *e)
{
    return hash_cache_read(cache, path, 0, NULL, out, e);
}

int hash_cache_read(struct hash_cache *cache, const char *path, size_t most_bytes,
                    struct buf *content, struct hash_look *out, struct err *e)
{
    *out = (struct hash_look){0};
    if (os_stat(path, &out->stat, e) < 0)
        return -1;
    if (out->stat.kind == OS_ABSENT || out->stat.kind == OS_DIR)
        return 0;
    if (out->stat.kind != OS_FILE)
        return err_set(e, ERR_odd_file, "%s is neither a file nor a folder", path);
    out->sure = find(cache, path, &out->stat, &out->digest);
    if (out->sure)
        return 0;
    return digest_content(cache, path, out->stat.size_bytes <= most_bytes ? content : NULL, out, e);
}

bool hash_cache_looked(struct hash_cache *cache, const char *path, const struct digest *digest,
                       struct os_stat *out)
{
    struct entry entry;

    if (!recall(cache, path, &entry) || !digest_equal(&entry.digest, digest))
        return false;
    *out = (struct os_stat){.kind = OS_FILE,
                            .inode = entry.inode,
                            .size_bytes = entry.size_bytes,
                            .mtime_ns = entry.mtime_ns,
                            .ctime_ns = entry.ctime_ns};
    return true;
}

int hash_cache_digest(struct hash_cache *cache, const char *path, struct digest *out, bool *exists,
                      struct err *e)
{
    struct hash_look look;
    int rc = hash_cache_look(cache, path, &look, e);

    *out = look.digest;
    *exists = rc == 0 && look.stat.kind != OS_ABSENT;
    if (rc == 0 && look.stat.kind == OS_DIR)
        rc = digest_folder(cache, path, out, e);
    return rc;
}

size_t hash_cache_misses(const struct hash_cache *cache)
{
    return atomic_load(&cache->misses);
}

/* A file in the making. */
struct image {
    struct entry *entries;
    struct buf text;
    uint32_t count;
};

static void image_add(struct image *image, const struct entry *entry, const char *path,
                      uint32_t unused)
{
    struct entry *to = &image->entries[image->count++];

    *to = *entry;
    to->path = (uint32_t)image->text.len;
    to->unused = unused;
    to->check = entry_check(to, hash_path(path));
    buf_add(&image->text, path, strlen(path) + 1);
}

static void image_add_stored(struct image *image, const struct hash_cache *c)
{
    for (uint32_t i = 0; i < c->header.count; i++) {
        const struct entry *entry = &c->entries[i];
        uint32_t unused = atomic_load(&c->seen[i]) ? 0 : entry->unused + 1;
        const char *path;

        if (entry->path >= c->header.text_bytes || unused > KEEP_SAVES)
            continue;
        path = c->text + entry->path;
        if (entry->check == entry_check(entry, hash_path(path)) &&
            strmap_get(&c->fresh_by_path, path) == STRMAP_NONE)
            image_add(image, entry, path, unused);
    }
}

static int write_parts(const struct image *image, const struct header *h, const uint32_t *slots,
                       const char *path, struct err *e)
{
    char *temp;
    int fd;

    if (os_temp_open(path, 0644, &temp, &fd, e) < 0)
        return -1;
    if (os_write_fd(fd, h, sizeof(*h), path, e) == 0 &&
        os_write_fd(fd, image->entries, image->count * sizeof(*image->entries), path, e) == 0 &&
        os_write_fd(fd, slots, h->slot_count * sizeof(*slots), path, e) == 0 &&
        os_write_fd(fd, image->text.ptr, image->text.len, path, e) == 0)
        return os_temp_keep(path, temp, fd, false, e);
    os_temp_drop(temp, fd);
    return -1;
}

static int image_write(const struct image *image, const char *path, struct err *e)
{
    struct header h = {.magic = MAGIC, .order = BYTE_ORDER_MARK, .slot_count = 16};
    uint32_t *slots;
    int rc;

    h.count = image->count;
    h.text_bytes = (uint32_t)image->text.len;
    while (h.slot_count < 2 * (uint64_t)image->count)
        h.slot_count *= 2;
    slots = xcalloc(h.slot_count, sizeof(*slots));
    for (uint32_t i = 0; i < image->count; i++) {
        uint32_t at = (uint32_t)hash_path(image->text.ptr + image->entries[i].path);

        while (slots[at & (h.slot_count - 1)])
            at++;
        slots[at & (h.slot_count - 1)] = i + 1;
    }
    rc = write_parts(image, &h, slots, path, e);
    free(slots);
    return rc;
}

/* The file is written whole: a few small files are read again sooner. In bytes hashed, a file costs
 * 16 KiB to open and an entry of ours half a KiB to write. A large file mostly is a program, and
 * every build to come would read it again. */
static bool is_worth_writing(const struct hash_cache *c)
{
    uint64_t saved = 0;

    for (size_t i = 0; i < c->fresh_paths.len; i++) {
        uint64_t bytes = c->fresh[i].size_bytes;
        saved += bytes < PROGRAM_BYTES ? bytes + (16 << 10) : bytes * BUILDS_TO_COME;
    }
    return c->dirty && saved >= (uint64_t)c->header.count * 512;
}

int hash_cache_save(struct hash_cache *cache, struct err *e)
{
    size_t fresh = cache->fresh_paths.len;
    struct image image = {0};
    int rc;

    if (!is_worth_writing(cache))
        return 0;
    image.entries = xcalloc(cache->header.count + fresh, sizeof(*image.entries));
    image_add_stored(&image, cache);
    for (size_t i = 0; i < fresh; i++)
        image_add(&image, &cache->fresh[i], cache->fresh_paths.at[i], 0);
    rc = os_mkdirs_for(cache->path, e);
    if (rc == 0)
        rc = image_write(&image, cache->path, e);
    cache->dirty = rc < 0;
    free(image.entries);
    buf_release(&image.text);
    return rc;
}

void hash_cache_close(struct hash_cache *cache)
{
    if (!cache)
        return;
    pthread_mutex_destroy(&cache->mutex);
    arena_release(&cache->arena);
    strmap_release(&cache->fresh_by_path);
    strs_release(&cache->fresh_paths);
    if (cache->file)
        munmap((void *)(uintptr_t)cache->file, cache->file_bytes);
    free(cache->fresh);
    free(cache->seen);
    free(cache->path);
    free(cache);
}
