/* base: memory and text that cannot fail.
 *
 * Running out of memory ends the process with a message; nothing here returns an error, opens a
 * file or knows what a node is. Everything a stage returns lives in an arena that its caller names.
 *
 * Life cycle: a struct arena, buf, ids or strmap that is all zero is ready for use; *_release gives
 * its memory back and leaves it all zero again. */
#ifndef SPAK_BASE_H
#define SPAK_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Reports a fault of SPAK itself (file, line, message) and aborts. */
#define BUG(...) base_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void base_bug(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* malloc and friends that end the process when memory is gone. */
void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *ptr, size_t bytes);
char *xstrdup(const char *text);

/* A borrowed run of bytes; not terminated, never freed through this. */
struct str {
    const char *ptr;
    size_t len;
};
struct str str_of(const char *text);
bool str_equal(struct str a, struct str b);
/* Cuts the text before the next `sep` off `*rest`; false when `*rest` was used up. A last `sep`
 * adds no empty piece. */
bool str_split(struct str *rest, char sep, struct str *out);
struct str str_trim(struct str s);
bool text_starts_with(const char *text, const char *prefix);
bool text_ends_with(const char *text, const char *suffix);
/* How many edits (insert, delete, replace, swap) lie between two words: for "did you mean". */
size_t text_distance(const char *a, const char *b);

/* Memory that is given back all at once. */
struct arena {
    struct arena_block *blocks;
};
/* Zeroed, aligned to 16 bytes, never NULL. */
void *arena_alloc(struct arena *arena, size_t bytes);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);
void *arena_memdup(struct arena *arena, const void *bytes, size_t len);
void arena_release(struct arena *arena);

/* A growing byte string; `ptr` is NUL-terminated whenever it is not NULL. */
struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_addstr(struct buf *buf, const char *text);
void buf_addch(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addv(struct buf *buf, const char *fmt, va_list args);
/* Makes room for `extra` more bytes and returns where they go; the caller adds to `len`. */
char *buf_reserve(struct buf *buf, size_t extra);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *buf);
void buf_release(struct buf *buf);
/* The text, "" when nothing was ever added. */
const char *buf_text(const struct buf *buf);

/* A growing array of 32-bit ids. */
struct ids {
    uint32_t *at;
    size_t len;
    size_t cap;
};
void ids_grow(struct ids *ids);
static inline void ids_push(struct ids *ids, uint32_t id)
{
    if (ids->len == ids->cap)
        ids_grow(ids);
    ids->at[ids->len++] = id;
}
bool ids_contains(const struct ids *ids, uint32_t id);
void ids_release(struct ids *ids);

/* A growing array of borrowed strings, kept NULL-terminated so that it serves as an argv. */
struct strs {
    const char **at;
    size_t len;
    size_t cap;
};
void strs_grow(struct strs *strs);
static inline void strs_push(struct strs *strs, const char *text)
{
    if (strs->cap < strs->len + 2)
        strs_grow(strs);
    strs->at[strs->len++] = text;
    strs->at[strs->len] = NULL;
}
void strs_sort(struct strs *strs);
void strs_release(struct strs *strs);

/* A map from text to a 32-bit value. Keys are borrowed. */
#define STRMAP_NONE UINT32_MAX
struct strmap {
    struct strmap_slot *slots;
    size_t len;
    size_t cap;
};
/* The value of `key`, STRMAP_NONE when there is none. */
uint32_t strmap_get(const struct strmap *map, const char *key);
void strmap_set(struct strmap *map, const char *key, uint32_t value);
void strmap_release(struct strmap *map);

/* SplitMix64 over a seed: the one source of pseudo-random numbers. */
struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *rng);
/* A whole number below `bound`, without bias; `bound` is at least 1. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* A number in [0, 1). */
double rng_unit(struct rng *rng);

#endif
