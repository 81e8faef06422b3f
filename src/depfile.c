#include "depfile.h"

#include <string.h>

struct scanner {
    const char *at;
    const char *end;
    const char *name;
    int line;
};

static char peek(const struct scanner *s, size_t ahead)
{
    return (size_t)(s->end - s->at) > ahead ? s->at[ahead] : '\0';
}

/* The length of a line end at `ahead`, 0 when there is none: LF or CRLF. */
static size_t line_end(const struct scanner *s, size_t ahead)
{
    if (peek(s, ahead) == '\n')
        return 1;
    return peek(s, ahead) == '\r' && peek(s, ahead + 1) == '\n' ? 2 : 0;
}

/* Skips blanks and \-newlines; stops at a line end, a word or the end. */
static void skip_blanks(struct scanner *s)
{
    for (;;) {
        size_t len;

        if (peek(s, 0) == ' ' || peek(s, 0) == '\t') {
            s->at++;
        } else if (peek(s, 0) == '\\' && (len = line_end(s, 1)) > 0) {
            s->at += 1 + len;
            s->line++;
        } else {
            return;
        }
    }
}

/* gcc, clang and nvcc write a space in a name as "\ " and a backslash before it doubled: n
 * backslashes before a space are n/2 of the name, and an odd one escapes the space. Before anything
 * else a backslash is itself. */
static void add_backslashes(struct scanner *s, struct buf *word)
{
    size_t count = 0;
    size_t literal;
    bool special;

    while (peek(s, count) == '\\')
        count++;
    s->at += count;
    special = peek(s, 0) != '\0' && strchr(" \t#:", peek(s, 0));
    literal = special ? count / 2 : count;
    if (line_end(s, 0) && count % 2 == 1) {
        s->at--; /* the last one continues the line */
        literal--;
    }
    for (size_t i = 0; i < literal; i++)
        buf_addch(word, '\\');
    if (special && count % 2 == 1)
        buf_addch(word, *s->at++);
}

/* A colon ends a target only before a blank or a line end: C:\x and a:b are names. */
static bool at_colon(const struct scanner *s)
{
    char after = peek(s, 1);

    return peek(s, 0) == ':' &&
           (s->end - s->at == 1 || after == ' ' || after == '\t' || after == '\n' ||
            after == '\r' || (after == '\\' && line_end(s, 2)));
}

static bool at_word_end(const struct scanner *s)
{
    char c = peek(s, 0);

    return s->at == s->end || c == ' ' || c == '\t' || line_end(s, 0) || at_colon(s) ||
           (c == '\\' && line_end(s, 1));
}

static int scan_word(struct scanner *s, struct buf *word, struct err *e)
{
    while (!at_word_end(s)) {
        char c = peek(s, 0);

        if (c == '\0') {
            err_set(e, ERR_depfile_syntax, "a NUL byte in a list of dependencies");
            return err_at(e, (struct place){s->name, s->line, 0});
        }
        if (c == '\\') {
            add_backslashes(s, word);
        } else {
            buf_addch(word, c);
            s->at += c == '$' && peek(s, 1) == '$' ? 2 : 1;
        }
    }
    return 0;
}

struct sink {
    struct arena *arena;
    struct strs *out;
    struct strmap seen;
};

static void add_path(struct sink *sink, const struct buf *word)
{
    const char *path;

    if (word->len == 0 || strmap_get(&sink->seen, word->ptr) != STRMAP_NONE)
        return;
    path = arena_strdup(sink->arena, word->ptr);
    strmap_set(&sink->seen, path, 0);
    strs_push(sink->out, path);
}

/* One rule: targets, a colon, prerequisites up to the end of the line. */
static int scan_rule(struct scanner *s, struct sink *sink, struct buf *word, struct err *e)
{
    bool colon = false;
    bool words = false;

    for (;;) {
        skip_blanks(s);
        if (s->at == s->end || line_end(s, 0))
            break;
        if (at_colon(s)) {
            colon = true;
            s->at++;
            continue;
        }
        buf_reset(word);
        if (scan_word(s, word, e) < 0)
            return -1;
        words = true;
        if (colon)
            add_path(sink, word);
    }
    if (words && !colon) {
        err_set(e, ERR_depfile_syntax, "no colon after the target");
        err_at(e, (struct place){s->name, s->line, 1});
        return err_hint(
            e, "a depfile has lines like \"out/a.o: src/a.c src/a.h\", as cc -MMD writes them");
    }
    return 0;
}

int depfile_parse(const char *text, size_t len, const char *name, struct arena *arena,
                  struct strs *out, struct err *e)
{
    struct scanner s = {text, text + len, name, 1};
    struct sink sink = {arena, out, {0}};
    struct buf word = {0};
    int rc = 0;

    for (size_t i = 0; i < out->len; i++)
        strmap_set(&sink.seen, out->at[i], 0);
    while (rc == 0 && s.at < s.end) {
        rc = scan_rule(&s, &sink, &word, e);
        if (rc == 0 && s.at < s.end) {
            s.at += line_end(&s, 0);
            s.line++;
        }
    }
    strmap_release(&sink.seen);
    buf_release(&word);
    return rc;
}
