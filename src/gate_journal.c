#include "gate_parts.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL "gate/journal"

/* A name is one word of a line. */
static void add_word(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == '%' || *p == 127)
            buf_addf(out, "%%%02X", (unsigned char)*p);
        else
            buf_addch(out, *p);
}

static int hex_digit(char c)
{
    const char *at = c ? strchr("0123456789ABCDEF", c) : NULL;
    return at ? (int)(at - "0123456789ABCDEF") : -1;
}

static const char *read_word(struct str word, struct arena *arena)
{
    char *out = arena_strndup(arena, word.ptr, word.len), *to = out;
    for (const char *p = out; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1, low = high < 0 ? -1 : hex_digit(p[2]);
        *to++ = low < 0 ? *p : (char)(high * 16 + low);
        p += low < 0 ? 0 : 2;
    }
    *to = '\0';
    return out;
}

static void add_line(struct buf *out, const struct gate_line *line)
{
    char hex[DIGEST_HEX_LEN + 1] = "-";
    if (!digest_is_zero(&line->digest))
        digest_hex(&line->digest, hex);
    buf_addf(out, "%s ", gate_object_name(line->object));
    add_word(out, line->name);
    buf_addf(out, " %u %s %s%s%s\n", line->number, gate_state_name(line->state), hex,
             *line->rest ? " " : "", line->rest);
}

static size_t index_of(struct str word, const char *(*name)(int), size_t count)
{
    size_t i = 0;
    while (i < count && !str_equal(word, str_of(name((int)i))))
        i++;
    return i;
}

static const char *object_name(int i)
{
    return gate_object_name((enum gate_object)i);
}

static const char *state_name(int i)
{
    return gate_state_name((enum gate_state)i);
}

static bool read_line(struct str text, struct arena *arena, struct gate_line *out)
{
    struct str word[5] = {{0}};
    for (size_t i = 0; i < ARRAY_LEN(word); i++)
        if (!str_split(&text, ' ', &word[i]))
            return false;
    size_t object = index_of(word[0], object_name, GATE_OBJECT_COUNT),
           state = index_of(word[3], state_name, GATE_STATE_COUNT);
    if (object == GATE_OBJECT_COUNT || state == GATE_STATE_COUNT)
        return false;
    *out = (struct gate_line){
        .object = (enum gate_object)object,
        .name = read_word(word[1], arena),
        .number = (uint32_t)strtoul(arena_strndup(arena, word[2].ptr, word[2].len), NULL, 10),
        .state = (enum gate_state)state,
        .rest = text.ptr ? arena_strndup(arena, text.ptr, text.len) : "",
    };
    return word[4].len == 1 ||
           digest_from_hex(arena_strndup(arena, word[4].ptr, word[4].len), &out->digest);
}

void gate_lines(const char *text, struct arena *arena, struct gate_line **out, size_t *count)
{
    struct str rest = str_of(text), line;
    size_t lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    *out = arena_alloc(arena, (lines + 1) * sizeof **out);
    *count = 0;
    while (*count <= lines && str_split(&rest, '\n', &line))
        *count += read_line(line, arena, &(*out)[*count]);
}

static char *line_key(struct arena *arena, enum gate_object object, const char *name)
{
    return arena_printf(arena, "%s %s", gate_object_name(object), name);
}

static void take_line(struct gate *gate, const struct gate_line *line)
{
    if (gate->count == gate->cap) {
        gate->cap = gate->cap ? 2 * gate->cap : 64;
        gate->lines = xrealloc(gate->lines, gate->cap * sizeof *gate->lines);
    }
    gate->lines[gate->count] = *line;
    strmap_set(&gate->last, line_key(&gate->arena, line->object, line->name),
               (uint32_t)gate->count);
    if (line->state == GATE_FROZEN && strmap_get(&gate->frozen, line->name) == STRMAP_NONE)
        strmap_set(&gate->frozen, line->name, (uint32_t)gate->count);
    gate->count++;
}

int gate_load(struct gate *gate, struct err *e)
{
    struct gate_line *lines;
    size_t count;
    bool found;
    if (gate->loaded)
        return 0;
    if (store_get_value(gate->options.store, JOURNAL, &gate->text, &found, e) < 0)
        return -1;
    if (!found && gate->options.recall &&
        gate->options.recall(gate->options.recall_ctx, &gate->text, e) < 0)
        return -1;
    gate_lines(buf_text(&gate->text), &gate->arena, &lines, &count);
    for (size_t i = 0; i < count; i++)
        take_line(gate, &lines[i]);
    gate->loaded = true;
    return 0;
}

const struct gate_line *gate_last(struct gate *gate, enum gate_object object, const char *name)
{
    uint32_t at = strmap_get(&gate->last, line_key(&gate->arena, object, name));
    return at == STRMAP_NONE ? NULL : &gate->lines[at];
}

const struct gate_line *gate_freeze(struct gate *gate, const char *name)
{
    uint32_t at = strmap_get(&gate->frozen, name);
    return at == STRMAP_NONE ? NULL : &gate->lines[at];
}

const struct gate_line *gate_before_doubt(struct gate *gate, const char *name)
{
    for (size_t i = gate->count; i > 0; i--) {
        const struct gate_line *line = &gate->lines[i - 1];
        if (line->object == GATE_HYPOTHESIS && line->state != GATE_SUSPECT &&
            strcmp(line->name, name) == 0)
            return line;
    }
    return NULL;
}

/* The same state of the same thing is no news. Nor is the lease to measure again what was measured
 * under the same token: each run is a commit already, and noise is to be no line of a diff. */
static bool says_the_same(const struct gate_line *last, const struct gate_line *line)
{
    if (!last || !digest_equal(&last->digest, &line->digest))
        return false;
    if (last->state == GATE_MEASURED && line->state == GATE_LEASED)
        return true;
    return last->state == line->state && strcmp(last->rest, line->rest) == 0;
}

int gate_step(struct gate *gate, const struct gate_line *line, bool *written, struct err *e)
{
    *written = false;
    if (gate_load(gate, e) < 0)
        return -1;
    const struct gate_line *last = gate_last(gate, line->object, line->name);
    if (says_the_same(last, line) ||
        !gate_may_follow(line->object, last ? last->state : GATE_NONE, line->state) ||
        (line->state == GATE_OPEN && gate_freeze(gate, line->name)))
        return 0;
    struct gate_line kept = *line;
    kept.name = arena_strdup(&gate->arena, line->name);
    kept.rest = arena_strdup(&gate->arena, line->rest);
    kept.number = last ? last->number + 1 : 1;
    add_line(&gate->text, &kept);
    take_line(gate, &kept);
    *written = true;
    return store_put_value(gate->options.store, JOURNAL, gate->text.ptr, gate->text.len, e);
}

int gate_journal(struct gate *gate, const char **text, struct err *e)
{
    if (gate_load(gate, e) < 0)
        return -1;
    *text = buf_text(&gate->text);
    return 0;
}

struct gate *gate_open(const struct gate_options *options)
{
    struct gate *gate = xcalloc(1, sizeof *gate);
    gate->options = *options;
    return gate;
}

void gate_close(struct gate *gate)
{
    if (!gate)
        return;
    buf_release(&gate->text);
    json_decref(gate->recalled);
    strmap_release(&gate->last);
    strmap_release(&gate->frozen);
    free(gate->lines);
    arena_release(&gate->arena);
    free(gate);
}

/* The marked nodes under the names that the journal has for them. */
static void marked_names(const struct graph *g, const bool *mark, struct arena *arena,
                         struct strmap *out)
{
    enum gate_object object;
    const char *name;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (mark[i] && gate_names(g, i, &object, &name))
            strmap_set(out, line_key(arena, object, name), 1);
}

void gate_merge(const char *before, const char *now, const struct graph *g, const bool *mark,
                struct buf *out)
{
    struct arena arena = {0};
    struct strmap names = {0}, known = {0};
    struct str rest = str_of(before), line;
    struct gate_line parsed;
    marked_names(g, mark, &arena, &names);
    while (str_split(&rest, '\n', &line))
        strmap_set(&known, arena_strndup(&arena, line.ptr, line.len), 1);
    buf_addstr(out, before);
    for (rest = str_of(now); str_split(&rest, '\n', &line);) {
        const char *text = arena_strndup(&arena, line.ptr, line.len);
        if (strmap_get(&known, text) == STRMAP_NONE && read_line(line, &arena, &parsed) &&
            strmap_get(&names, line_key(&arena, parsed.object, parsed.name)) != STRMAP_NONE)
            buf_addf(out, "%s\n", text), strmap_set(&known, text, 1);
    }
    strmap_release(&names);
    strmap_release(&known);
    arena_release(&arena);
}
