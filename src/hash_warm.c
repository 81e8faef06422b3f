#include "hash.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_AT_MOST = 64, FILES_A_THREAD = 8 };

struct warming {
    struct hash_cache *cache;
    const struct strs *paths;
    struct digest *digests;
    bool *known;
    atomic_size_t next;
};

static void *warm_some(void *ctx)
{
    struct warming *w = ctx;
    struct err ignored = {0};

    for (size_t at; (at = atomic_fetch_add(&w->next, 1)) < w->paths->len;) {
        struct hash_look look;

        if (hash_cache_look(w->cache, w->paths->at[at], &look, &ignored) < 0)
            err_release(&ignored);
        else
            w->known[at] = look.stat.kind == OS_FILE;
        w->digests[at] = look.digest;
    }
    return NULL;
}

void hash_cache_warm(struct hash_cache *cache, const struct strs *paths, int threads,
                     struct digest *digests, bool *known)
{
    struct warming w = {.cache = cache, .paths = paths, .digests = digests, .known = known};
    pthread_t started[THREADS_AT_MOST];
    size_t wanted = paths->len / FILES_A_THREAD;
    size_t count = 0;

    if (wanted > (size_t)threads)
        wanted = (size_t)threads;
    if (wanted > THREADS_AT_MOST)
        wanted = THREADS_AT_MOST;
    while (count + 1 < wanted && pthread_create(&started[count], NULL, warm_some, &w) == 0)
        count++;
    warm_some(&w);
    while (count > 0)
        pthread_join(started[--count], NULL);
}
