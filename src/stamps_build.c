#include "stamps_parts.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES ((size_t)64 << 10)

/* A stamp in the making. */
struct draft {
    const char *path;
    uint32_t folder;
    uint32_t kind;
    uint32_t user_count;
    struct digest digest;
};
struct draft_value {
    const char *what;
    uint32_t kind;
    struct digest digest;
};

struct stamps_builder {
    struct draft *drafts;
    size_t count, cap;
    struct strmap by_path;
    struct ids users; /* stamps, user by user */
    struct ids turns; /* where in `users` another user begins, and which, by turns */
    struct draft_value *values;
    size_t value_count, value_cap;
    uint8_t *cover;
    uint32_t node_count;
    struct arena arena;
    struct strmap folder_ids;
    struct strs folders;
    struct buf folder; /* the one at hand */
};

struct stamps_builder *stamps_build(uint32_t node_count)
{
    struct stamps_builder *b = xcalloc(1, sizeof(*b));

    b->node_count = node_count;
    b->cover = xcalloc(node_count + 1, 1);
    return b;
}

void stamps_discard(struct stamps_builder *b)
{
    if (!b)
        return;
    free(b->drafts);
    free(b->values);
    free(b->cover);
    strmap_release(&b->by_path);
    strmap_release(&b->folder_ids);
    strs_release(&b->folders);
    ids_release(&b->users);
    ids_release(&b->turns);
    buf_release(&b->folder);
    arena_release(&b->arena);
    free(b);
}

static uint32_t folder_id(struct stamps_builder *b, const char *path)
{
    const char *slash = strrchr(path, '/'), *folder;
    uint32_t id;

    buf_reset(&b->folder);
    if (slash)
        buf_add(&b->folder, path, slash == path ? 1 : (size_t)(slash - path));
    folder = slash ? buf_text(&b->folder) : ".";
    /* Files come folder by folder, mostly. */
    if (b->count > 0 && !strcmp(b->folders.at[b->drafts[b->count - 1].folder], folder))
        return b->drafts[b->count - 1].folder;
    id = strmap_get(&b->folder_ids, folder);
    if (id == STRMAP_NONE) {
        id = (uint32_t)b->folders.len;
        strs_push(&b->folders, arena_strdup(&b->arena, folder));
        strmap_set(&b->folder_ids, b->folders.at[id], id);
    }
    return id;
}

uint32_t stamps_add(struct stamps_builder *b, const char *path, enum stamp_kind kind,
                    const struct digest *digest)
{
    uint32_t id = strmap_get(&b->by_path, path);

    if (id != STRMAP_NONE)
        return id;
    if (b->count == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 1024;
        b->drafts = xrealloc(b->drafts, b->cap * sizeof(*b->drafts));
    }
    id = (uint32_t)b->count;
    b->drafts[id] = (struct draft){.path = path, .kind = kind, .folder = folder_id(b, path)};
    if (digest)
        b->drafts[id].digest = *digest;
    b->count++;
    strmap_set(&b->by_path, path, id);
    return id;
}

void stamps_add_user(struct stamps_builder *b, uint32_t stamp, uint32_t user)
{
    b->drafts[stamp].user_count++;
    if (b->turns.len == 0 || b->turns.at[b->turns.len - 1] != user) {
        ids_push(&b->turns, (uint32_t)b->users.len);
        ids_push(&b->turns, user);
    }
    ids_push(&b->users, stamp);
}

void stamps_add_value(struct stamps_builder *b, uint32_t kind, const char *what,
                      const struct digest *digest)
{
    if (b->value_count == b->value_cap) {
        b->value_cap = b->value_cap ? 2 * b->value_cap : 32;
        b->values = xrealloc(b->values, b->value_cap * sizeof(*b->values));
    }
    b->values[b->value_count++] = (struct draft_value){what, kind, *digest};
}

void stamps_cover(struct stamps_builder *b, uint32_t node)
{
    b->cover[node] = STAMPS_COVERED;
}

struct ranked {
    const char *text;
    uint32_t id;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct ranked *)a)->text, ((const struct ranked *)b)->text);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* `order` gets the drafts folder by folder, `ranked` the folders with the place of their first. */
static void put_in_order(const struct stamps_builder *b, struct ranked *folders,
                         struct ranked *order, uint32_t *first)
{
    size_t count = b->folders.len;
    uint32_t *rank = xcalloc(count + 1, sizeof(*rank));

    for (size_t i = 0; i < count; i++)
        folders[i] = (struct ranked){b->folders.at[i], (uint32_t)i};
    if (count > 0)
        qsort(folders, count, sizeof(*folders), by_text);
    for (size_t i = 0; i < count; i++)
        rank[folders[i].id] = (uint32_t)i;
    for (size_t i = 0; i < b->count; i++)
        first[rank[b->drafts[i].folder] + 2]++;
    for (size_t i = 0; i < count; i++)
        first[i + 2] += first[i + 1];
    for (size_t i = 0; i < b->count; i++)
        order[first[rank[b->drafts[i].folder] + 1]++] =
            (struct ranked){last_part(b->drafts[i].path), (uint32_t)i};
    for (size_t i = 0; i < count; i++)
        if (first[i + 1] > first[i])
            qsort(order + first[i], first[i + 1] - first[i], sizeof(*order), by_text);
    free(rank);
}

static int look_at(const struct draft *d, struct hash_cache *cache, int64_t since_ns,
                   struct stamps_look *look, struct err *e)
{
    struct os_stat stat;
    bool holds;

    if (d->kind == STAMP_ABSENT)
        return 0;
    if (d->kind == STAMP_EXACT) {
        if (os_stat(d->path, &stat, e) < 0)
            return -1;
        holds = stat.kind != OS_ABSENT && stat.ctime_ns < since_ns;
    } else {
        holds = hash_cache_looked(cache, d->path, &d->digest, &stat);
    }
    if (holds)
        stamps_set_look(look, &stat);
    return 0;
}

static uint64_t random_id(const struct stamps_builder *b)
{
    struct rng rng = {(uint64_t)os_wall_ns() ^ (uint64_t)(uintptr_t)b};

    return rng_next(&rng);
}

/* The file on its way out, piece by piece: whole, it would be a good part of what a build holds. */
struct image {
    const struct stamps_builder *b;
    struct ranked *folders, *order;
    uint32_t *first;   /* of each folder, its first stamp */
    uint32_t names_at; /* where in the text those of stamps begin */
    struct stamps_header header;
    const char *path;
    int fd;
    struct buf piece;
    uint64_t bytes; /* so far */
};

static int flush(struct image *m, struct err *e)
{
    int rc = os_write_fd(m->fd, buf_text(&m->piece), m->piece.len, m->path, e);

    buf_reset(&m->piece);
    return rc;
}

static int put(struct image *m, const void *bytes, size_t len, struct err *e)
{
    m->bytes += len;
    if (m->piece.len + len > PIECE_BYTES && flush(m, e) < 0)
        return -1;
    if (len > PIECE_BYTES)
        return os_write_fd(m->fd, bytes, len, m->path, e);
    buf_add(&m->piece, bytes, len);
    return 0;
}

/* Each part begins at a multiple of 8. */
static int end_part(struct image *m, struct err *e)
{
    static const char zeros[8];

    return put(m, zeros, (size_t)(-m->bytes % 8), e);
}

static size_t text_size(const char *text)
{
    return strlen(text) + 1;
}

static struct stamps_folder *make_folders(const struct image *m)
{
    uint32_t count = m->header.folder_count, at = 1;
    struct stamps_folder *folders = xcalloc(count + 1, sizeof(*folders));

    for (uint32_t f = 0; f < count; f++) {
        folders[f] = (struct stamps_folder){at, m->first[f], m->first[f + 1] - m->first[f]};
        at += (uint32_t)text_size(m->folders[f].text);
    }
    return folders;
}

static struct stamps_value *make_values(const struct image *m)
{
    const struct stamps_builder *b = m->b;
    struct stamps_value *values = xcalloc(b->value_count + 1, sizeof(*values));
    uint32_t at = m->names_at;

    for (size_t i = 0; i < b->count; i++)
        at += (uint32_t)text_size(m->order[i].text);
    for (size_t i = 0; i < b->value_count; i++) {
        values[i] = (struct stamps_value){b->values[i].digest, at, b->values[i].kind};
        at += (uint32_t)text_size(b->values[i].what);
    }
    return values;
}

static uint32_t count_text(struct image *m)
{
    const struct stamps_builder *b = m->b;
    size_t bytes = 1;

    for (size_t i = 0; i < b->folders.len; i++)
        bytes += text_size(m->folders[i].text);
    m->names_at = (uint32_t)bytes;
    for (size_t i = 0; i < b->count; i++)
        bytes += text_size(m->order[i].text);
    for (size_t i = 0; i < b->value_count; i++)
        bytes += text_size(b->values[i].what);
    return (uint32_t)bytes;
}

static int put_looks(struct image *m, struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    uint32_t name = m->names_at;
    int rc = 0;

    for (size_t i = 0; i < m->b->count && rc == 0; i++) {
        const struct draft *d = &m->b->drafts[m->order[i].id];
        struct stamps_look look = {.name = name, .kind = d->kind};

        rc = look_at(d, cache, since_ns, &look, e);
        if (rc == 0)
            rc = put(m, &look, sizeof(look), e);
        name += (uint32_t)text_size(m->order[i].text);
    }
    return rc < 0 ? -1 : end_part(m, e);
}

static int put_facts(struct image *m, struct err *e)
{
    uint32_t users = 0, folder = 0;

    for (uint32_t i = 0; i < m->b->count; i++) {
        const struct draft *d = &m->b->drafts[m->order[i].id];

        while (i >= m->first[folder + 1])
            folder++;
        if (put(m,
                &(struct stamps_fact){.digest = d->digest,
                                      .folder = folder,
                                      .users = users,
                                      .user_count = d->user_count},
                sizeof(struct stamps_fact), e) < 0)
            return -1;
        users += d->user_count;
    }
    return end_part(m, e);
}

/* Users of a stamp lie together, stamps in their order. */
static int put_users(struct image *m, struct err *e)
{
    const struct stamps_builder *b = m->b;
    uint32_t *next = xcalloc(b->count + 1, sizeof(*next)), at = 0;
    uint32_t *users = xcalloc(b->users.len + 1, sizeof(*users));
    int rc;

    for (size_t i = 0; i < b->count; i++) {
        next[m->order[i].id] = at;
        at += b->drafts[m->order[i].id].user_count;
    }
    for (size_t t = 0; t < b->turns.len; t += 2) {
        size_t end = t + 2 < b->turns.len ? b->turns.at[t + 2] : b->users.len;

        for (size_t i = b->turns.at[t]; i < end; i++)
            users[next[b->users.at[i]]++] = b->turns.at[t + 1];
    }
    rc = put(m, users, b->users.len * sizeof(*users), e);
    free(next);
    free(users);
    return rc < 0 ? -1 : end_part(m, e);
}

static int put_text(struct image *m, struct err *e)
{
    const struct stamps_builder *b = m->b;
    int rc = put(m, "", 1, e);

    for (size_t i = 0; i < b->folders.len && rc == 0; i++)
        rc = put(m, m->folders[i].text, text_size(m->folders[i].text), e);
    for (size_t i = 0; i < b->count && rc == 0; i++)
        rc = put(m, m->order[i].text, text_size(m->order[i].text), e);
    for (size_t i = 0; i < b->value_count && rc == 0; i++)
        rc = put(m, b->values[i].what, text_size(b->values[i].what), e);
    return rc < 0 ? -1 : end_part(m, e);
}

static int put_all(struct image *m, struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    const struct stamps_header *h = &m->header;
    struct stamps_folder *folders = make_folders(m);
    struct stamps_value *values = make_values(m);
    struct stamps s = {.header = &m->header, .folders = folders, .values = values};
    int rc;

    m->header.check = stamps_checksum(&s);
    rc = put(m, h, sizeof(*h), e) < 0 || end_part(m, e) < 0 ||
                 put(m, folders, h->folder_count * sizeof(*folders), e) < 0 || end_part(m, e) < 0 ||
                 put_looks(m, cache, since_ns, e) < 0 || put_facts(m, e) < 0 ||
                 put_users(m, e) < 0 || put(m, values, h->value_count * sizeof(*values), e) < 0 ||
                 end_part(m, e) < 0 || put(m, m->b->cover, h->node_count, e) < 0 ||
                 end_part(m, e) < 0 || put_text(m, e) < 0
             ? -1
             : flush(m, e);
    if (rc == 0 && m->bytes != h->total_bytes)
        BUG("stamps do not fill their file");
    free(folders);
    free(values);
    return rc;
}

static int write_file(struct image *m, struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    char *temp;

    if (os_temp_open(m->path, 0644, &temp, &m->fd, e) < 0)
        return -1;
    if (put_all(m, cache, since_ns, e) == 0)
        return os_temp_keep(m->path, temp, m->fd, false, e);
    os_temp_drop(temp, m->fd);
    return -1;
}

int stamps_write(struct stamps_builder *b, const char *path, const struct digest *key,
                 struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    struct image m = {.b = b,
                      .path = path,
                      .folders = xcalloc(b->folders.len + 1, sizeof(*m.folders)),
                      .order = xcalloc(b->count + 1, sizeof(*m.order)),
                      .first = xcalloc(b->folders.len + 3, sizeof(*m.first))};
    int rc;

    put_in_order(b, m.folders, m.order, m.first);
    m.header = (struct stamps_header){.magic = STAMPS_MAGIC,
                                      .id = random_id(b),
                                      .key = *key,
                                      .folder_count = (uint32_t)b->folders.len,
                                      .stamp_count = (uint32_t)b->count,
                                      .user_count = (uint32_t)b->users.len,
                                      .value_count = (uint32_t)b->value_count,
                                      .node_count = b->node_count,
                                      .text_bytes = count_text(&m)};
    m.header.total_bytes = stamps_layout_bytes(&m.header);
    rc = write_file(&m, cache, since_ns, e);
    free(m.folders);
    free(m.order);
    free(m.first);
    buf_release(&m.piece);
    return rc;
}
