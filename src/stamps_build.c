#include "stamps_parts.h"

#include <stdlib.h>
#include <string.h>

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
    struct ids users; /* stamp and user by turns */
    struct draft_value *values;
    size_t value_count, value_cap;
    uint8_t *cover;
    uint32_t node_count;
    struct arena arena;
    struct strmap folder_ids;
    struct strs folders;
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
    arena_release(&b->arena);
    free(b);
}

static uint32_t folder_id(struct stamps_builder *b, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    char *folder = slash ? arena_strndup(&b->arena, path, len) : arena_strdup(&b->arena, ".");
    uint32_t id;

    /* Files come folder by folder, mostly. */
    if (b->count > 0 && !strcmp(b->folders.at[b->drafts[b->count - 1].folder], folder))
        return b->drafts[b->count - 1].folder;
    id = strmap_get(&b->folder_ids, folder);
    if (id == STRMAP_NONE) {
        id = (uint32_t)b->folders.len;
        strs_push(&b->folders, folder);
        strmap_set(&b->folder_ids, folder, id);
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
    ids_push(&b->users, stamp);
    ids_push(&b->users, user);
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

static uint32_t add_text(struct buf *text, const char *what)
{
    uint32_t at = (uint32_t)text->len;

    buf_add(text, what, strlen(what) + 1);
    return at;
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

/* Users of a stamp lie together, stamps in their order. */
static void fill_users(const struct stamps_builder *b, const uint32_t *place, struct stamps *s,
                       uint32_t *users)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < s->header->stamp_count; i++) {
        s->facts[i].users = at;
        at += s->facts[i].user_count;
        s->facts[i].user_count = 0;
    }
    for (size_t i = 0; i < b->users.len; i += 2) {
        struct stamps_fact *fact = &s->facts[place[b->users.at[i]]];

        users[fact->users + fact->user_count++] = b->users.at[i + 1];
    }
}

static uint64_t random_id(const struct stamps_builder *b)
{
    struct rng rng = {(uint64_t)os_wall_ns() ^ (uint64_t)(uintptr_t)b};

    return rng_next(&rng);
}

struct image {
    struct stamps_header header;
    struct ranked *folders, *order;
    uint32_t *first; /* of each folder, its first stamp */
    uint32_t *place; /* of each draft, its number in the file */
    struct buf text;
    uint32_t *names, *paths, *whats;
};

static void make_text(const struct stamps_builder *b, struct image *m)
{
    buf_addch(&m->text, '\0');
    for (size_t i = 0; i < b->folders.len; i++)
        m->paths[i] = add_text(&m->text, m->folders[i].text);
    for (size_t i = 0; i < b->count; i++)
        m->names[i] = add_text(&m->text, m->order[i].text);
    for (size_t i = 0; i < b->value_count; i++)
        m->whats[i] = add_text(&m->text, b->values[i].what);
}

static int fill(const struct stamps_builder *b, struct image *m, struct stamps *s,
                struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    struct stamps_folder *folders = (struct stamps_folder *)(uintptr_t)s->folders;
    struct stamps_value *values = (struct stamps_value *)(uintptr_t)s->values;

    for (uint32_t f = 0; f < b->folders.len; f++) {
        folders[f] =
            (struct stamps_folder){m->paths[f], m->first[f], m->first[f + 1] - m->first[f]};
        for (uint32_t i = m->first[f]; i < m->first[f + 1]; i++) {
            const struct draft *d = &b->drafts[m->order[i].id];

            m->place[m->order[i].id] = i;
            s->looks[i] = (struct stamps_look){.name = m->names[i], .kind = d->kind};
            s->facts[i] =
                (struct stamps_fact){.digest = d->digest, .folder = f, .user_count = d->user_count};
            if (look_at(d, cache, since_ns, &s->looks[i], e) < 0)
                return -1;
        }
    }
    for (size_t i = 0; i < b->value_count; i++)
        values[i] = (struct stamps_value){b->values[i].digest, m->whats[i], b->values[i].kind};
    fill_users(b, m->place, s, (uint32_t *)(uintptr_t)s->users);
    memcpy(s->cover, b->cover, b->node_count);
    memcpy((char *)(uintptr_t)s->text, m->text.ptr, m->text.len);
    return 0;
}

int stamps_write(struct stamps_builder *b, const char *path, const struct digest *key,
                 struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    struct image m = {.folders = xcalloc(b->folders.len + 1, sizeof(*m.folders)),
                      .order = xcalloc(b->count + 1, sizeof(*m.order)),
                      .first = xcalloc(b->folders.len + 3, sizeof(*m.first)),
                      .place = xcalloc(b->count + 1, sizeof(*m.place)),
                      .names = xcalloc(b->count + 1, sizeof(*m.names)),
                      .paths = xcalloc(b->folders.len + 1, sizeof(*m.paths)),
                      .whats = xcalloc(b->value_count + 1, sizeof(*m.whats))};
    struct stamps s;
    struct stamps_header *h;
    int rc;

    put_in_order(b, m.folders, m.order, m.first);
    make_text(b, &m);
    m.header = (struct stamps_header){.magic = STAMPS_MAGIC,
                                      .id = random_id(b),
                                      .key = *key,
                                      .folder_count = (uint32_t)b->folders.len,
                                      .stamp_count = (uint32_t)b->count,
                                      .user_count = (uint32_t)(b->users.len / 2),
                                      .value_count = (uint32_t)b->value_count,
                                      .node_count = b->node_count,
                                      .text_bytes = (uint32_t)m.text.len};
    m.header.total_bytes = stamps_layout_bytes(&m.header);
    h = xcalloc(1, m.header.total_bytes);
    *h = m.header;
    if (!stamps_point(&s, h, h->total_bytes))
        BUG("stamps do not fill their file");
    rc = fill(b, &m, &s, cache, since_ns, e);
    h->check = stamps_checksum(&s);
    if (rc == 0)
        rc = os_write(path, h, h->total_bytes, 0644, e);
    free(h);
    free(m.folders);
    free(m.order);
    free(m.first);
    free(m.place);
    free(m.names);
    free(m.paths);
    free(m.whats);
    buf_release(&m.text);
    return rc;
}
