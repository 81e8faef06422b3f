#include "trace_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What git or another file system takes for its own folder: ".git" in any case, with bytes in it
 * that HFS+ ignores, and the short name that Windows gives it. A little too much is caught, and
 * merely encoded. */
static bool is_git_like(const char *part, size_t len)
{
    char folded[8];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof(folded) - 1; i++)
        if ((unsigned char)part[i] < 0x80)
            folded[n++] = (char)tolower((unsigned char)part[i]);
    folded[n] = 0;
    return text_starts_with(folded, ".git") || text_starts_with(folded, "git~");
}

static bool needs_code(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '%' || c == '\\' || c == ':';
}

/* `%` starts a code and nothing else does, so no two names meet. */
static void add_part(struct buf *out, const char *part, size_t len, bool first)
{
    bool dots = (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0);
    bool taken = first && len == 5 && memcmp(part, "files", 5) == 0;
    if (len == 0)
        buf_addstr(out, "%");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)part[i];
        bool code = needs_code(c) || (i == 0 && (dots || taken || is_git_like(part, len)));
        if (code)
            buf_addf(out, "%%%02X", c);
        else
            buf_addch(out, (char)c);
    }
}

char *trace_safe_path(struct arena *arena, const char *name)
{
    struct buf out = {0};
    struct str rest = str_of(name), part;
    bool first = true;
    if (!rest.len)
        buf_addstr(&out, "%");
    while (str_split(&rest, '/', &part)) {
        if (!first)
            buf_addch(&out, '/');
        add_part(&out, part.ptr, part.len, first);
        first = false;
    }
    if (text_ends_with(name, "/"))
        buf_addstr(&out, "/%");
    char *path = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return path;
}

char *trace_node_path(struct arena *arena, const char *node)
{
    return trace_safe_path(arena, node);
}

static bool ref_refuses(const char *text, size_t i)
{
    unsigned char c = (unsigned char)text[i];
    bool starts = i == 0 || text[i - 1] == '/';
    if (c <= 0x20 || c == 0x7f || strchr("~^:?*[\\%", c))
        return true;
    if (c == '.')
        return starts || text[i + 1] == '.' || !text[i + 1] || text[i + 1] == '/' ||
               text_starts_with(text + i, ".lock");
    if (c == '/')
        return starts || !text[i + 1];
    return (c == '@' && (text[i + 1] == '{' || (starts && !text[i + 1]))) || (c == '-' && i == 0);
}

char *trace_ref_name(struct arena *arena, const char *target)
{
    struct buf out = {0};
    buf_addstr(&out, "refs/heads/spak/");
    for (size_t i = 0; target[i]; i++) {
        if (ref_refuses(target, i))
            buf_addf(&out, "%%%02X", (unsigned char)target[i]);
        else
            buf_addch(&out, target[i]);
    }
    char *name = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return name;
}

void trace_add_value(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '\n')
            buf_addstr(out, "\\n");
        else if (*p == '\\')
            buf_addstr(out, "\\\\");
        else if (*p < 0x20 || *p == 0x7f)
            buf_addf(out, "\\x%02x", *p);
        else
            buf_addch(out, (char)*p);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *trace_unsafe_ref(struct arena *arena, const char *text)
{
    char *out = arena_strdup(arena, text), *to = out;
    while (*text) {
        int high = *text == '%' ? hex_digit(text[1]) : -1;
        int low = high >= 0 ? hex_digit(text[2]) : -1;
        *to++ = low >= 0 ? (char)(high * 16 + low) : *text;
        text += low >= 0 ? 3 : 1;
    }
    *to = 0;
    return out;
}

char *trace_node_name(struct arena *arena, const char *path)
{
    size_t len = strlen(path);
    if (text_ends_with(path, "%node"))
        len -= strlen("%node");
    return trace_unsafe_ref(arena, arena_strndup(arena, path, len));
}

char *trace_value(struct arena *arena, struct str text, const char *root)
{
    struct buf out = {0};
    for (size_t i = 0; i < text.len; i++) {
        unsigned byte;
        if (text.ptr[i] == '\\' && i + 1 < text.len && text.ptr[i + 1] == 'n') {
            buf_addch(&out, '\n');
            i += 1;
        } else if (text.ptr[i] == '\\' && i + 3 < text.len &&
                   sscanf(text.ptr + i, "\\x%2x", &byte) == 1 && byte) {
            buf_addch(&out, (char)byte);
            i += 3;
        } else if (text.ptr[i] == '\\' && i + 1 < text.len) {
            buf_addch(&out, text.ptr[++i]);
        } else if (root && text.len - i >= 7 && !memcmp(text.ptr + i, "${root}", 7)) {
            buf_addstr(&out, root);
            i += 6;
        } else {
            buf_addch(&out, text.ptr[i]);
        }
    }
    char *value = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return value;
}
