#include "script_state.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_LIMIT_BYTES ((size_t)1 << 30)
#define CHUNK_BYTES ((size_t)1 << 16)
#define STEP_BYTES 16

struct script_chunk {
    struct script_chunk *next;
};

/* Small blocks come from chunks and go back to a list of their size: Lua says how large a block is,
 * so it needs no header. */
static size_t class_of(size_t bytes)
{
    return (bytes + STEP_BYTES - 1) / STEP_BYTES - 1;
}

static bool is_small(size_t bytes)
{
    return bytes <= SCRIPT_SMALL_BYTES;
}

static void *take(struct script_memory *m, size_t bytes)
{
    if (!is_small(bytes))
        return xmalloc(bytes);
    void **list = &m->free[class_of(bytes)];
    if (*list) {
        void *block = *list;
        memcpy(list, block, sizeof(*list));
        return block;
    }
    size_t rounded = (class_of(bytes) + 1) * STEP_BYTES;
    if (m->left < rounded) {
        struct script_chunk *chunk = xmalloc(CHUNK_BYTES);
        chunk->next = m->chunks;
        m->chunks = chunk;
        m->at = (char *)chunk + STEP_BYTES;
        m->left = CHUNK_BYTES - STEP_BYTES;
    }
    void *block = m->at;
    m->at += rounded;
    m->left -= rounded;
    return block;
}

static void give(struct script_memory *m, void *block, size_t bytes)
{
    if (!block)
        return;
    if (!is_small(bytes)) {
        free(block);
        return;
    }
    void **list = &m->free[class_of(bytes)];
    memcpy(block, list, sizeof(*list));
    *list = block;
}

static void *move(struct script_memory *m, void *block, size_t old, size_t bytes)
{
    if (block && is_small(old) && is_small(bytes) && class_of(old) == class_of(bytes))
        return block;
    if (block && !is_small(old) && !is_small(bytes))
        return xrealloc(block, bytes);
    void *fresh = take(m, bytes);
    if (block)
        memcpy(fresh, block, old < bytes ? old : bytes);
    give(m, block, old);
    return fresh;
}

/* Lua promises that shrinking never fails. */
void *script_allocate(void *ctx, void *block, size_t old, size_t bytes)
{
    struct script *s = ctx;
    struct script_memory *m = &s->memory;
    struct place rule;

    old = block ? old : 0; /* without a block it is a type */
    if (bytes > old && m->used_bytes - old + bytes > MEMORY_LIMIT_BYTES) {
        /* Once Lua has unwound the stack nobody could say where. */
        if (s->running)
            script_where(s->running, &s->memory_at, &rule);
        return NULL;
    }
    m->used_bytes += bytes - old;
    if (bytes)
        return move(m, block, old, bytes);
    give(m, block, old);
    return NULL;
}

void script_memory_release(struct script_memory *m)
{
    while (m->chunks) {
        struct script_chunk *next = m->chunks->next;
        free(m->chunks);
        m->chunks = next;
    }
    *m = (struct script_memory){0};
}
