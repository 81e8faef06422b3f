#include "store_internal.h"

#include <string.h>
#include <zlib.h>

/* The layout of values. A value of another version is refused, not guessed at. */
#define VERSION 1

/* Fixed sizes, little-endian: a store can be carried to another machine. */
static void put_number(struct buf *out, uint64_t number, size_t bytes)
{
    char digits[8];

    for (size_t i = 0; i < bytes; i++)
        digits[i] = (char)(number >> (8 * i));
    buf_add(out, digits, bytes);
}

static void put_bytes(struct buf *out, const void *bytes, size_t len)
{
    put_number(out, len, 4);
    buf_add(out, bytes, len);
}

static void put_text(struct buf *out, const char *text)
{
    put_bytes(out, text ? text : "", text ? strlen(text) : 0);
}

static void put_digest(struct buf *out, const struct digest *digest)
{
    buf_add(out, digest->bytes, DIGEST_BYTES);
}

static void seal(struct buf *out, size_t start)
{
    uLong crc = crc32_z(0, (const Bytef *)out->ptr + start, out->len - start);

    put_number(out, crc, 4);
}

static void put_record(struct buf *out, const struct action_record *r)
{
    put_digest(out, &r->key);
    put_number(out, (uint32_t)r->exit_code, 4);
    put_digest(out, &r->log);
    put_number(out, r->log_bytes, 8);
    put_number(out, (uint64_t)r->wall_ns, 8);
    put_number(out, (uint64_t)r->cpu_ns, 8);
    put_number(out, r->peak_bytes, 8);
    put_text(out, r->sandbox);
    put_text(out, r->machine);
    put_number(out, r->output_count, 4);
    for (size_t i = 0; i < r->output_count; i++) {
        const struct output_record *o = &r->outputs[i];

        put_text(out, o->path);
        put_digest(out, &o->digest);
        put_number(out, o->size_bytes, 8);
        put_number(out, o->mode, 4);
        put_number(out, o->directory, 1);
    }
    put_number(out, r->dep_count, 4);
    for (size_t i = 0; i < r->dep_count; i++) {
        put_text(out, r->deps[i].path);
        put_digest(out, &r->deps[i].digest);
    }
}

void store_encode_actions(const struct action_record *records, size_t count, struct buf *out)
{
    size_t start = out->len;

    put_number(out, VERSION, 1);
    put_number(out, count, 4);
    for (size_t i = 0; i < count; i++)
        put_record(out, &records[i]);
    seal(out, start);
}

void store_encode_node(const char *name, const struct node_state *state, struct buf *out)
{
    size_t start = out->len;

    put_number(out, VERSION, 1);
    put_text(out, name);
    put_digest(out, &state->base);
    put_number(out, state->failed, 1);
    put_record(out, &state->record);
    put_text(out, state->explanation);
    seal(out, start);
}

void store_encode_value(const char *name, const void *bytes, size_t len, struct buf *out)
{
    size_t start = out->len;

    put_number(out, VERSION, 1);
    put_text(out, name);
    put_bytes(out, bytes, len);
    seal(out, start);
}

/* Takes from the front; once something did not fit, everything after is zero and `bad` stays set.
 */
struct reader {
    const unsigned char *at;
    size_t left;
    bool bad;
    struct arena *arena;
};

static const void *take(struct reader *r, size_t bytes)
{
    const unsigned char *at = r->at;

    if (r->bad || bytes > r->left) {
        r->bad = true;
        return NULL;
    }
    r->at += bytes;
    r->left -= bytes;
    return at;
}

static uint64_t take_number(struct reader *r, size_t bytes)
{
    const unsigned char *at = take(r, bytes);
    uint64_t number = 0;

    for (size_t i = 0; at && i < bytes; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

static struct digest take_digest(struct reader *r)
{
    const void *at = take(r, DIGEST_BYTES);
    struct digest digest = {{0}};

    if (at)
        memcpy(digest.bytes, at, DIGEST_BYTES);
    return digest;
}

static struct str take_bytes(struct reader *r)
{
    size_t len = take_number(r, 4);
    const void *at = take(r, len);

    return at ? (struct str){at, len} : (struct str){"", 0};
}

static const char *take_text(struct reader *r)
{
    struct str text = take_bytes(r);

    if (memchr(text.ptr, '\0', text.len)) {
        r->bad = true;
        return "";
    }
    return arena_strndup(r->arena, text.ptr, text.len);
}

/* A count of things that take at least `least` bytes each: never more than can follow, so that no
 * damaged count makes us ask for all the memory there is. */
static size_t take_count(struct reader *r, size_t least)
{
    uint64_t count = take_number(r, 4);

    if (count > r->left / least) {
        r->bad = true;
        return 0;
    }
    return count;
}

static void take_record(struct reader *r, struct action_record *out)
{
    out->key = take_digest(r);
    out->exit_code = (int)(int32_t)(uint32_t)take_number(r, 4);
    out->log = take_digest(r);
    out->log_bytes = take_number(r, 8);
    out->wall_ns = (int64_t)take_number(r, 8);
    out->cpu_ns = (int64_t)take_number(r, 8);
    out->peak_bytes = take_number(r, 8);
    out->sandbox = take_text(r);
    out->machine = take_text(r);
    out->output_count = take_count(r, 4 + DIGEST_BYTES + 13);
    out->outputs = arena_alloc(r->arena, out->output_count * sizeof(*out->outputs));
    for (size_t i = 0; i < out->output_count; i++) {
        struct output_record *o = &out->outputs[i];

        o->path = take_text(r);
        o->digest = take_digest(r);
        o->size_bytes = take_number(r, 8);
        o->mode = (uint32_t)take_number(r, 4);
        o->directory = take_number(r, 1) != 0;
    }
    out->dep_count = take_count(r, 4 + DIGEST_BYTES);
    out->deps = arena_alloc(r->arena, out->dep_count * sizeof(*out->deps));
    for (size_t i = 0; i < out->dep_count; i++) {
        out->deps[i].path = take_text(r);
        out->deps[i].digest = take_digest(r);
    }
}

static int damaged(struct err *e, const char *what)
{
    err_set(e, ERR_record_damaged, "%s", what);
    return err_hint(e,
                    "run `spak fsck` to see what is damaged; removing state.mdb from the engine's "
                    "folder (out/.spak) heals it: everything is built once more");
}

/* Checks what encloses the payload and leaves the reader in front of it. */
static int open_value(struct str value, struct arena *arena, struct reader *r, struct err *e)
{
    struct reader crc;

    *r = (struct reader){(const unsigned char *)value.ptr, value.len, false, arena};
    if (value.len < 5)
        return damaged(e, "a record of the store is cut short");
    crc = (struct reader){r->at + value.len - 4, 4, false, NULL};
    r->left -= 4;
    if (take_number(&crc, 4) != crc32_z(0, r->at, r->left))
        return damaged(e, "a record of the store is damaged: its checksum does not match");
    if (take_number(r, 1) != VERSION)
        return damaged(e, "a record of the store was written by another version of SPAK");
    return 0;
}

static int close_value(const struct reader *r, struct err *e)
{
    if (r->bad || r->left > 0)
        return damaged(e, "a record of the store is damaged: its lengths do not add up");
    return 0;
}

int store_decode_actions(struct str value, struct arena *arena, struct action_record **records,
                         size_t *count, struct err *e)
{
    struct reader r;

    *records = NULL;
    *count = 0;
    if (open_value(value, arena, &r, e) < 0)
        return -1;
    *count = take_count(&r, 2 * DIGEST_BYTES);
    *records = arena_alloc(arena, *count * sizeof(**records));
    for (size_t i = 0; i < *count; i++)
        take_record(&r, &(*records)[i]);
    return close_value(&r, e);
}

int store_decode_node(struct str value, struct arena *arena, const char **name,
                      struct node_state *state, struct err *e)
{
    struct reader r;

    *state = (struct node_state){0};
    if (open_value(value, arena, &r, e) < 0)
        return -1;
    *name = take_text(&r);
    state->base = take_digest(&r);
    state->failed = take_number(&r, 1) != 0;
    take_record(&r, &state->record);
    state->explanation = take_text(&r);
    return close_value(&r, e);
}

int store_decode_value(struct str value, struct arena *arena, const char **name, struct str *bytes,
                       struct err *e)
{
    struct reader r;

    if (open_value(value, arena, &r, e) < 0)
        return -1;
    *name = take_text(&r);
    *bytes = take_bytes(&r);
    return close_value(&r, e);
}
