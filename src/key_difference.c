#include "key.h"

#include <stdlib.h>
#include <string.h>

/* Digits of a digest that tell it from another one of the same path. */
#define ABRIDGED_LEN 16

/* One line of an explanation: "param O 3" is key "param", name "O", rest "3". */
struct fact_line {
    struct str key;
    struct str name;
    struct str rest;
    bool matched;
};
struct fact_lines {
    struct fact_line *at;
    size_t len;
};

static bool key_is(const struct fact_line *l, const char *key)
{
    return str_equal(l->key, str_of(key));
}

static const char *last_space(struct str s)
{
    for (size_t i = s.len; i > 0; i--)
        if (s.ptr[i - 1] == ' ')
            return s.ptr + i - 1;
    return NULL;
}

/* A path may hold spaces, a digest cannot; other names hold none. */
static void split_value(struct fact_line *l, struct str value)
{
    const char *space = NULL;
    l->name = value;
    l->rest = (struct str){value.ptr + value.len, 0};
    if (key_is(l, "in"))
        space = last_space(value);
    else if (key_is(l, "env") || key_is(l, "param") || key_is(l, "fact") || key_is(l, "tool"))
        space = memchr(value.ptr, ' ', value.len);
    if (!space)
        return;
    l->name.len = (size_t)(space - value.ptr);
    l->rest = (struct str){space + 1, value.len - l->name.len - 1};
}

static void split_lines(struct arena *arena, const char *text, struct fact_lines *out)
{
    size_t count = 1;
    for (const char *p = text; *p; p++)
        count += *p == '\n';
    out->at = arena_alloc(arena, count * sizeof *out->at);
    out->len = 0;
    struct str rest = str_of(text), line;
    while (str_split(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        struct fact_line *l = &out->at[out->len++];
        const char *space = memchr(line.ptr, ' ', line.len);
        size_t key_len = space ? (size_t)(space - line.ptr) : line.len;
        l->key = (struct str){line.ptr, key_len};
        split_value(l, (struct str){line.ptr + key_len + (space != NULL),
                                    line.len - key_len - (space != NULL)});
    }
}

static bool same_line(const struct fact_line *a, const struct fact_line *b)
{
    return str_equal(a->key, b->key) && str_equal(a->name, b->name) && str_equal(a->rest, b->rest);
}

/* Pairs equal lines. Both sides are sorted by key and mostly equal, so the search starts where the
 * last one ended. */
static void match_lines(struct fact_lines *a, struct fact_lines *b)
{
    size_t from = 0;
    for (size_t i = 0; i < a->len; i++)
        for (size_t k = 0; k < b->len; k++) {
            size_t j = (from + k) % b->len;
            if (!b->at[j].matched && same_line(&a->at[i], &b->at[j])) {
                a->at[i].matched = b->at[j].matched = true;
                from = j + 1;
                break;
            }
        }
}

static const struct fact_line *same_name(const struct fact_lines *lines, const struct fact_line *l)
{
    for (size_t i = 0; i < lines->len; i++)
        if (!lines->at[i].matched && str_equal(lines->at[i].key, l->key) &&
            str_equal(lines->at[i].name, l->name))
            return &lines->at[i];
    return NULL;
}

static const struct {
    const char *key;
    const char *noun;
} nouns[] = {
    {"in", "input"},           {"tool", "tool"},
    {"argv", "argument"},      {"param", "parameter"},
    {"env", "variable"},       {"fact", "fact"},
    {"text", "text"},          {"token", "token of the lease"},
    {"out", "output"},         {"out/", "output"},
    {"kind", "rule"},          {"machine", "machine"},
    {"flag", "flag"},          {"read", "read folder"},
    {"dir", "directory"},      {"depfile", "depfile"},
    {"stdout", "redirection"},
};

static size_t noun_rank(struct str key)
{
    size_t i = 0;
    while (i < ARRAY_LEN(nouns) && !str_equal(key, str_of(nouns[i].key)))
        i++;
    return i;
}

/* Keys whose whole value is one digest or one word: naming it says nothing. */
static bool is_nameless(const struct fact_line *l)
{
    return key_is(l, "text") || key_is(l, "token") || key_is(l, "machine");
}

/* Only short values are worth showing. */
static bool is_showable(struct str s)
{
    return s.len > 0 && s.len <= 40;
}

static void say_changed(struct buf *out, const struct fact_line *old, const struct fact_line *now)
{
    struct str was = old->rest, is = now->rest;
    if (key_is(now, "tool")) {
        was = (struct str){was.ptr + DIGEST_HEX_LEN + 1, was.len - DIGEST_HEX_LEN - 1};
        is = (struct str){is.ptr + DIGEST_HEX_LEN + 1, is.len - DIGEST_HEX_LEN - 1};
    }
    buf_addf(out, " %.*s changed", (int)now->name.len, now->name.ptr);
    if (!key_is(now, "in") && is_showable(was) && is_showable(is) && !str_equal(was, is))
        buf_addf(out, " from %.*s to %.*s", (int)was.len, was.ptr, (int)is.len, is.ptr);
}

static void say(struct buf *out, const struct fact_line *l, const struct fact_line *other,
                bool added)
{
    size_t rank = noun_rank(l->key);
    buf_addstr(out, rank < ARRAY_LEN(nouns) ? nouns[rank].noun : "key");
    if (is_nameless(l))
        buf_addstr(out, " changed");
    else if (other)
        say_changed(out, added ? other : l, added ? l : other);
    else
        buf_addf(out, " %.*s %s", (int)l->name.len, l->name.ptr, added ? "added" : "removed");
}

/* What a person would look at first: inputs before tools before arguments, additions before
 * removals. */
static const struct fact_line *most_telling(const struct fact_lines *lines, size_t *count)
{
    const struct fact_line *best = NULL;
    for (size_t i = 0; i < lines->len; i++) {
        if (lines->at[i].matched)
            continue;
        ++*count;
        if (!best || noun_rank(lines->at[i].key) < noun_rank(best->key))
            best = &lines->at[i];
    }
    return best;
}

/* One argument that became another reads better as one change. */
static bool say_argument(struct buf *out, const struct fact_line *was, const struct fact_line *is)
{
    if (!was || !is || !key_is(was, "argv") || !key_is(is, "argv"))
        return false;
    buf_addf(out, "argument %.*s became %.*s", (int)was->name.len, was->name.ptr, (int)is->name.len,
             is->name.ptr);
    return true;
}

/* Lines of both sides that are left, a changed line counting once. */
static size_t count_changes(const struct fact_lines *a, const struct fact_lines *b, size_t only_b)
{
    size_t count = only_b;
    for (size_t i = 0; i < a->len; i++)
        if (!a->at[i].matched && !same_name(b, &a->at[i]) && !is_nameless(&a->at[i]))
            count++;
    return count;
}

static bool ends_in_digest(struct str line)
{
    if (line.len <= DIGEST_HEX_LEN)
        return false;
    const char *tail = line.ptr + line.len - DIGEST_HEX_LEN;
    return tail[-1] == ' ' && strspn(tail, "0123456789abcdef") == DIGEST_HEX_LEN;
}

void key_abridge(const char *text, struct buf *out)
{
    struct str rest = str_of(text), line;
    while (str_split(&rest, '\n', &line)) {
        if (text_starts_with(line.ptr, "in ") && ends_in_digest(line))
            line.len -= DIGEST_HEX_LEN - ABRIDGED_LEN;
        buf_add(out, line.ptr, line.len);
        buf_addch(out, '\n');
    }
}

const char *key_difference(struct arena *arena, const char *before, const char *after)
{
    if (!strcmp(before, after))
        return NULL;
    struct fact_lines a, b;
    split_lines(arena, before, &a);
    split_lines(arena, after, &b);
    match_lines(&a, &b);
    size_t removed = 0, added = 0;
    const struct fact_line *was = most_telling(&a, &removed), *is = most_telling(&b, &added);
    if (!was && !is)
        return "order of arguments changed";
    struct buf out = {0};
    size_t changes = count_changes(&a, &b, added);
    if (say_argument(&out, was, is))
        changes -= !same_name(&b, was);
    else if (is && (!was || noun_rank(is->key) <= noun_rank(was->key)))
        say(&out, is, same_name(&a, is), true);
    else
        say(&out, was, same_name(&b, was), false);
    if (changes > 1)
        buf_addf(&out, " (and %zu more)", changes - 1);
    const char *text = arena_strdup(arena, out.ptr);
    buf_release(&out);
    return text;
}
