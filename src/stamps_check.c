#include "stamps_parts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256, THREADS_AT_MOST = 64 };

/* A check under way. Threads take chunks as they come free: folders in the cache and folders that
 * are not take different times. */
struct check {
    struct stamps *stamps;
    struct hash_cache *cache;
    const struct ids *which; /* NULL: all */
    uint32_t count;
    atomic_uint next;
    pthread_mutex_t mutex; /* over what follows */
    struct ids *moved;
    struct err *e;
};

static bool looks_so(const struct stamps_look *look, const struct os_stat *stat)
{
    if (look->kind == STAMP_ABSENT)
        return stat->kind == OS_ABSENT;
    return stat->kind != OS_ABSENT && look->inode == stat->inode &&
           look->size_bytes == stat->size_bytes && look->mtime_ns == stat->mtime_ns &&
           look->ctime_ns == stat->ctime_ns;
}

/* No file has this number. */
static void clear_look(struct stamps *s, struct stamps_look *look)
{
    look->inode = 0;
    stamps_put(s, &look->inode, sizeof(look->inode));
}

/* A look that matches nothing stands there until the rest is written. */
static void renew_look(struct stamps *s, struct stamps_look *look, const struct os_stat *stat)
{
    clear_look(s, look);
    stamps_set_look(look, stat);
    look->inode = 0;
    stamps_put(s, look, sizeof(*look));
    look->inode = stat->inode;
    stamps_put(s, &look->inode, sizeof(look->inode));
}

/* Reads what looks different: it may only have been touched. */
static int still_holds(struct check *c, uint32_t stamp, bool *holds, struct err *e)
{
    struct stamps_look *look = &c->stamps->looks[stamp];
    struct arena arena = {0};
    struct hash_look now;
    int rc;

    *holds = false;
    if (look->kind != STAMP_FILE)
        return 0;
    rc = hash_cache_look(c->cache, stamps_path(c->stamps, stamp, &arena), &now, e);
    *holds = rc == 0 && now.stat.kind == OS_FILE &&
             digest_equal(&now.digest, &c->stamps->facts[stamp].digest);
    if (*holds && now.sure)
        renew_look(c->stamps, look, &now.stat);
    arena_release(&arena);
    return rc;
}

static void settle(struct check *c, uint32_t stamp)
{
    struct err e = {0};
    bool holds;
    int rc = still_holds(c, stamp, &holds, &e);

    pthread_mutex_lock(&c->mutex);
    if (rc < 0 && !c->e->set)
        err_move(c->e, &e);
    if (rc == 0 && !holds)
        ids_push(c->moved, stamp);
    pthread_mutex_unlock(&c->mutex);
    err_release(&e);
}

/* The folder that was opened last stays open: stamps lie folder by folder. */
struct open_folder {
    uint32_t folder;
    int fd;
};

static void check_one(struct check *c, uint32_t stamp, struct open_folder *open)
{
    const struct stamps *s = c->stamps;
    const struct stamps_look *look = &s->looks[stamp];
    uint32_t folder = s->facts[stamp].folder;
    struct os_stat stat = {0};

    if (folder >= s->header->folder_count || look->name >= s->header->text_bytes) {
        settle(c, stamp);
        return;
    }
    if (folder != open->folder) {
        if (open->fd >= 0)
            close(open->fd);
        open->fd = os_open_folder(stamps_folder(s, folder));
        open->folder = folder;
    }
    if (!os_stat_at(open->fd, s->text + look->name, &stat) || !looks_so(look, &stat))
        settle(c, stamp);
}

static void *check_chunks(void *ctx)
{
    struct check *c = ctx;
    struct open_folder open = {STAMP_NONE, -1};

    for (uint32_t at; (at = atomic_fetch_add(&c->next, CHUNK)) < c->count;)
        for (uint32_t i = at; i < at + CHUNK && i < c->count; i++)
            check_one(c, c->which ? c->which->at[i] : i, &open);
    if (open.fd >= 0)
        close(open.fd);
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static int run_check(struct check *c, int threads)
{
    pthread_t started[THREADS_AT_MOST];
    int count = 0;
    int wanted = threads < THREADS_AT_MOST ? threads : THREADS_AT_MOST;

    pthread_mutex_init(&c->mutex, NULL);
    while (count < wanted - 1 && (uint32_t)(count + 1) * CHUNK < c->count &&
           pthread_create(&started[count], NULL, check_chunks, c) == 0)
        count++;
    check_chunks(c);
    while (count > 0)
        pthread_join(started[--count], NULL);
    pthread_mutex_destroy(&c->mutex);
    if (c->moved->len > 0)
        qsort(c->moved->at, c->moved->len, sizeof(*c->moved->at), by_number);
    return c->e->set ? -1 : 0;
}

int stamps_check(struct stamps *s, int threads, struct hash_cache *cache, struct ids *moved,
                 struct err *e)
{
    struct check c = {
        .stamps = s, .cache = cache, .count = s->header->stamp_count, .moved = moved, .e = e};

    return run_check(&c, threads);
}

int stamps_check_some(struct stamps *s, const struct ids *which, struct hash_cache *cache,
                      struct ids *moved, struct err *e)
{
    struct check c = {.stamps = s,
                      .cache = cache,
                      .which = which,
                      .count = (uint32_t)which->len,
                      .moved = moved,
                      .e = e};

    return run_check(&c, 1);
}

static bool is_so(const struct stamps_look *look, const struct hash_look *now,
                  const struct digest *digest, int64_t since_ns)
{
    if (look->kind == STAMP_FILE)
        return now->stat.kind == OS_FILE && now->sure && digest_equal(&now->digest, digest);
    return now->stat.kind != OS_ABSENT && now->stat.ctime_ns < since_ns;
}

int stamps_renew(struct stamps *s, uint32_t stamp, const struct digest *digest,
                 struct hash_cache *cache, int64_t since_ns, struct err *e)
{
    struct stamps_look *look = &s->looks[stamp];
    struct arena arena = {0};
    struct hash_look now;
    int rc = hash_cache_look(cache, stamps_path(s, stamp, &arena), &now, e);

    arena_release(&arena);
    if (rc < 0 || look->kind == STAMP_ABSENT)
        return rc;
    clear_look(s, look);
    if (digest) {
        s->facts[stamp].digest = *digest;
        stamps_put(s, &s->facts[stamp].digest, sizeof(*digest));
    }
    if (is_so(look, &now, &s->facts[stamp].digest, since_ns))
        renew_look(s, look, &now.stat);
    return 0;
}
