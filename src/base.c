#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void base_bug(const char *file, int line, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "spak: internal fault at %s:%d: ", file, line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs("\nspak: this is a bug of SPAK itself; please report it with the command that led here\n",
          stderr);
    abort();
}

_Noreturn static void die_of_memory(size_t bytes)
{
    fprintf(stderr, "spak: out of memory: %zu bytes asked for\n", bytes);
    abort();
}

void *xmalloc(size_t bytes)
{
    void *ptr = malloc(bytes ? bytes : 1);

    if (!ptr)
        die_of_memory(bytes);
    return ptr;
}

void *xcalloc(size_t count, size_t bytes)
{
    void *ptr = calloc(count ? count : 1, bytes ? bytes : 1);

    if (!ptr)
        die_of_memory(count * bytes);
    return ptr;
}

void *xrealloc(void *ptr, size_t bytes)
{
    void *grown = realloc(ptr, bytes ? bytes : 1);

    if (!grown)
        die_of_memory(bytes);
    return grown;
}

char *xstrdup(const char *text)
{
    size_t bytes = strlen(text) + 1;

    return memcpy(xmalloc(bytes), text, bytes);
}

/* The next capacity of an array that must hold `need` entries: doubling, so that pushes are cheap
 * on average; checked, so that a length from a damaged file cannot wrap around. */
static size_t grown_cap(size_t cap, size_t need, size_t entry_bytes)
{
    size_t next = cap ? cap : 16;

    while (next < need) {
        if (next > SIZE_MAX / 2)
            die_of_memory(need);
        next *= 2;
    }
    if (next > SIZE_MAX / entry_bytes)
        die_of_memory(need);
    return next;
}

struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_split(struct str *rest, char sep, struct str *out)
{
    const char *end;

    if (rest->len == 0)
        return false;
    end = memchr(rest->ptr, sep, rest->len);
    out->ptr = rest->ptr;
    out->len = end ? (size_t)(end - rest->ptr) : rest->len;
    rest->ptr += out->len + (end != NULL);
    rest->len -= out->len + (end != NULL);
    return true;
}

/* Not isspace: that asks the locale. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool text_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends_with(const char *text, const char *suffix)
{
    size_t text_len = strlen(text);
    size_t suffix_len = strlen(suffix);

    return text_len >= suffix_len && memcmp(text + text_len - suffix_len, suffix, suffix_len) == 0;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t text_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    size_t width = b_len + 1;
    size_t *rows = xcalloc(3 * width, sizeof(*rows));
    size_t *before = rows;
    size_t *above = rows + width;
    size_t *row = rows + 2 * width;
    size_t distance;

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *spare = before;

        before = above;
        above = row;
        row = spare;
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = min_size(row[j], min_size(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min_size(row[j], before[j - 2] + 1);
        }
    }
    distance = row[b_len];
    free(rows);
    return distance;
}

#define ARENA_ALIGN 16
/* Blocks double from the first to the last of these: an arena for one node costs little, one for a
 * graph few calls. */
#define ARENA_FIRST_BYTES ((size_t)4 << 10)
#define ARENA_LAST_BYTES ((size_t)256 << 10)

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    size_t padding;
    _Alignas(ARENA_ALIGN) char bytes[];
};

static struct arena_block *arena_block_new(size_t size)
{
    struct arena_block *block = xcalloc(1, sizeof(*block) + size);

    block->size = size;
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    struct arena_block *block = arena->blocks;
    size_t rounded;
    void *out;

    if (bytes > SIZE_MAX / 2)
        die_of_memory(bytes);
    rounded = (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (!block || block->size - block->used < rounded) {
        size_t next = !block                                ? ARENA_FIRST_BYTES
                      : block->size >= ARENA_LAST_BYTES / 2 ? ARENA_LAST_BYTES
                                                            : block->size * 2;
        bool large = rounded > next / 4;

        block = arena_block_new(large ? rounded : next);
        /* A large piece gets a block of its own behind the first, whose room stays in use. */
        if (large && arena->blocks) {
            block->next = arena->blocks->next;
            arena->blocks->next = block;
        } else {
            block->next = arena->blocks;
            arena->blocks = block;
        }
    }
    out = block->bytes + block->used;
    block->used += rounded;
    return out;
}

void *arena_memdup(struct arena *arena, const void *bytes, size_t len)
{
    void *copy = arena_alloc(arena, len);

    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    struct buf text = {0};
    va_list args;
    char *copy;

    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    copy = arena_strndup(arena, buf_text(&text), text.len);
    buf_release(&text);
    return copy;
}

void arena_release(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}

char *buf_reserve(struct buf *buf, size_t extra)
{
    if (extra >= SIZE_MAX - buf->len)
        die_of_memory(extra);
    if (!buf->ptr || buf->cap - buf->len <= extra) {
        buf->cap = grown_cap(buf->cap, buf->len + extra + 1, 1);
        buf->ptr = xrealloc(buf->ptr, buf->cap);
        buf->ptr[buf->len] = '\0';
    }
    return buf->ptr + buf->len;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    char *to = buf_reserve(buf, len);

    if (len > 0)
        memcpy(to, bytes, len);
    buf->len += len;
    buf->ptr[buf->len] = '\0';
}

void buf_addstr(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_addch(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_addv(struct buf *buf, const char *fmt, va_list args)
{
    va_list again;
    int len;

    va_copy(again, args);
    buf_reserve(buf, 64);
    len = vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, fmt, args);
    if (len < 0)
        BUG("the format \"%s\" cannot be printed", fmt);
    if ((size_t)len >= buf->cap - buf->len) {
        buf_reserve(buf, (size_t)len);
        vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, fmt, again);
    }
    va_end(again);
    buf->len += (size_t)len;
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    buf_addv(buf, fmt, args);
    va_end(args);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    if (buf->ptr)
        buf->ptr[0] = '\0';
}

void buf_release(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){0};
}

const char *buf_text(const struct buf *buf)
{
    return buf->ptr ? buf->ptr : "";
}

void ids_grow(struct ids *ids)
{
    ids->cap = grown_cap(ids->cap, ids->len + 1, sizeof(*ids->at));
    ids->at = xrealloc(ids->at, ids->cap * sizeof(*ids->at));
}

bool ids_contains(const struct ids *ids, uint32_t id)
{
    for (size_t i = 0; i < ids->len; i++) {
        if (ids->at[i] == id)
            return true;
    }
    return false;
}

void ids_release(struct ids *ids)
{
    free(ids->at);
    *ids = (struct ids){0};
}

void strs_grow(struct strs *strs)
{
    strs->cap = grown_cap(strs->cap, strs->len + 2, sizeof(*strs->at));
    strs->at = xrealloc(strs->at, strs->cap * sizeof(*strs->at));
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void strs_sort(struct strs *strs)
{
    if (strs->len > 1)
        qsort(strs->at, strs->len, sizeof(*strs->at), compare_texts);
}

void strs_release(struct strs *strs)
{
    free(strs->at);
    *strs = (struct strs){0};
}

struct strmap_slot {
    const char *key; /* NULL: free */
    uint32_t hash;
    uint32_t value;
};

/* FNV-1a, folded: its low bits alone are weak for keys that differ in the last byte. */
static uint32_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return (uint32_t)(hash ^ (hash >> 32));
}

static struct strmap_slot *strmap_find(const struct strmap *map, const char *key, uint32_t hash)
{
    size_t mask = map->cap - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct strmap_slot *slot = &map->slots[i];

        if (!slot->key || (slot->hash == hash && strcmp(slot->key, key) == 0))
            return slot;
    }
}

static void strmap_grow(struct strmap *map)
{
    struct strmap old = *map;

    map->cap = old.cap ? old.cap * 2 : 16;
    map->slots = xcalloc(map->cap, sizeof(*map->slots));
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].key)
            *strmap_find(map, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    }
    free(old.slots);
}

uint32_t strmap_get(const struct strmap *map, const char *key)
{
    const struct strmap_slot *slot;

    if (map->len == 0)
        return STRMAP_NONE;
    slot = strmap_find(map, key, hash_text(key));
    return slot->key ? slot->value : STRMAP_NONE;
}

void strmap_set(struct strmap *map, const char *key, uint32_t value)
{
    uint32_t hash = hash_text(key);
    struct strmap_slot *slot;

    if ((map->len + 1) * 4 > map->cap * 3)
        strmap_grow(map);
    slot = strmap_find(map, key, hash);
    if (!slot->key) {
        slot->key = key;
        slot->hash = hash;
        map->len++;
    }
    slot->value = value;
}

void strmap_release(struct strmap *map)
{
    free(map->slots);
    *map = (struct strmap){0};
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    /* 2^64 mod bound: numbers below it would make the small results more likely. */
    uint64_t threshold;
    uint64_t number;

    if (bound == 0)
        BUG("rng_below needs a bound of at least 1");
    threshold = (0 - bound) % bound;
    do {
        number = rng_next(rng);
    } while (number < threshold);
    return number % bound;
}

double rng_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}
