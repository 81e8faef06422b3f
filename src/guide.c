#include "guide.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Families, products and instruction names; compared with whole words, and with words they are
 * followed by digits in. */
static const char *const architectures[] = {
    "ada",  "amd64",  "ampere", "arm64",  "avx",     "avx2",  "avx512",  "blackwell", "cortex",
    "cdna", "epyc",   "gfx",    "hopper", "icelake", "intel", "kepler",  "ldmatrix",  "maxwell",
    "neon", "nvidia", "pascal", "ptx",    "rdna",    "sass",  "skylake", "sm",        "sse",
    "sve",  "tcgen",  "tma",    "turing", "volta",   "wgmma", "x86",     "xeon",      "zen",
};
/* Products whose names are a letter or two and digits. */
static const char *const products[] = {"a100", "a10", "b200", "b100", "gh200", "h100", "h200",
                                       "l40",  "l4",  "t4",   "v100", "mi300", "mi250"};

struct scan {
    const char *name;
    const char *line;
    size_t len;
    int number;
};

static int refuse(const struct scan *s, size_t at, struct err *e, enum err_code code,
                  const char *what, struct str word)
{
    err_set(e, code, "a guide holds %s: `%.*s`", what, (int)word.len, word.ptr);
    return err_at(e, (struct place){s->name, s->number, (int)at + 1});
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* A digest may stand in a guide: it is how proofs are named. */
static bool is_digest(struct str w)
{
    if (w.len != 64)
        return false;
    for (size_t i = 0; i < w.len; i++)
        if (!isxdigit((unsigned char)w.ptr[i]))
            return false;
    return true;
}

/* How many of the leading bytes are in `set`; the text need not end with a NUL. */
static size_t leading(const char *text, size_t len, const char *set)
{
    size_t n = 0;
    while (n < len && text[n] && strchr(set, text[n]))
        n++;
    return n;
}

static bool matches(struct str w, const char *name, bool digits_follow)
{
    bool digits = false;
    size_t n = strlen(name);
    if (w.len < n || strncasecmp(w.ptr, name, n) != 0)
        return false;
    if (w.len == n)
        return true;
    for (size_t i = n; i < w.len; i++)
        digits = digits || isdigit((unsigned char)w.ptr[i]);
    return digits_follow && digits && leading(w.ptr + n, w.len - n, "0123456789_abfx") == w.len - n;
}

static bool is_architecture(struct str w)
{
    for (size_t i = 0; i < ARRAY_LEN(architectures); i++)
        if (matches(w, architectures[i], true))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(products); i++)
        if (matches(w, products[i], false))
            return true;
    return false;
}

/* "1." that opens a line numbers a list; every other word that begins with a digit is a value. */
static bool is_value(const struct scan *s, size_t at, struct str w)
{
    if (!isdigit((unsigned char)w.ptr[0]))
        return false;
    size_t indent = leading(s->line, s->len, " "), end = at + w.len;
    bool ordinal = at == indent && end < s->len && s->line[end] == '.' &&
                   leading(w.ptr, w.len, "0123456789") == w.len;
    return !ordinal;
}

static int lint_word(const struct scan *s, size_t at, struct str w, struct err *e)
{
    if (is_digest(w))
        return 0;
    if (is_value(s, at, w)) {
        refuse(s, at, e, ERR_guide_value, "a value", w);
        return err_hint(e, "name the freedom instead of choosing it: the tuner searches its space, "
                           "the guide says that it exists");
    }
    if (is_architecture(w)) {
        refuse(s, at, e, ERR_guide_architecture, "the name of an architecture", w);
        return err_hint(e, "a guide is the same for every device: say what the hardware has to "
                           "offer (asynchronous copies, matrix units), "
                           "not what it is called");
    }
    return 0;
}

static int lint_words(const struct scan *s, struct err *e)
{
    for (size_t i = 0; i < s->len;) {
        if (!word_char(s->line[i])) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < s->len && word_char(s->line[i]))
            i++;
        if (lint_word(s, start, (struct str){s->line + start, i - start}, e) < 0)
            return -1;
    }
    return 0;
}

/* Code: a fence, or between back-ticks anything that computes, assigns or calls. */
static int lint_code(const struct scan *s, struct err *e)
{
    struct str line = {s->line, s->len};
    struct str bare = str_trim(line);
    if (bare.len >= 3 && (strncmp(bare.ptr, "```", 3) == 0 || strncmp(bare.ptr, "~~~", 3) == 0)) {
        refuse(s, (size_t)(bare.ptr - s->line), e, ERR_guide_code, "code", bare);
        return err_hint(
            e, "say what the code has to achieve; the code belongs to the kernel's source");
    }
    for (const char *open = memchr(s->line, '`', s->len); open;) {
        const char *end = s->line + s->len;
        const char *close = memchr(open + 1, '`', (size_t)(end - open - 1));
        if (!close)
            return 0;
        struct str span = {open + 1, (size_t)(close - open - 1)};
        for (size_t i = 0; i < span.len; i++)
            if (strchr("{};=()[]<>", span.ptr[i])) {
                refuse(s, (size_t)(open - s->line) + 1, e, ERR_guide_code, "code", span);
                return err_hint(
                    e, "say what the code has to achieve; the code belongs to the kernel's source");
            }
        open = close + 1 < end ? memchr(close + 1, '`', (size_t)(end - close - 1)) : NULL;
    }
    return 0;
}

int guide_lint(const char *text, size_t len, const char *name, struct err *e)
{
    struct str rest = {text, len}, line;
    struct scan s = {.name = name};
    while (str_split(&rest, '\n', &line)) {
        s.line = line.ptr;
        s.len = line.len;
        s.number++;
        if (lint_code(&s, e) < 0 || lint_words(&s, e) < 0)
            return -1;
    }
    return 0;
}
