#include "script_state.h"

#include <ctype.h>
#include <string.h>

void script_where_line(lua_State *L, struct place *user, struct place *rule)
{
    struct script *s = script_of(L);
    lua_Debug ar;

    *user = *rule = (struct place){0};
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "S", &ar) || ar.source[0] != '@')
            continue;
        const struct script_file *f = script_file(s, ar.source + 1);
        if (!f || f->kind == FILE_ENGINE || !lua_getinfo(L, "l", &ar) || ar.currentline <= 0)
            continue;
        s->last_file = (uint32_t)(f - s->files);
        struct place here = {f->name, ar.currentline, 0};
        if (f->kind == FILE_USER) {
            *user = here;
            break;
        }
        if (!rule->file)
            *rule = here;
    }
    if (s->call.file &&
        (!user->file || user->line != s->call.line || strcmp(user->file, s->call.file) != 0)) {
        if (!rule->file)
            *rule = *user;
        *user = s->call;
    }
    if (!user->file)
        *user = s->at;
    if (!user->file && s->driver_node != GRAPH_NONE && s->graph)
        *user = node_place(s->graph, s->driver_node);
}

void script_where(lua_State *L, struct place *user, struct place *rule)
{
    const struct script *s = script_of(L);

    script_where_line(L, user, rule);
    if (user->file && !user->column)
        user->column = script_column(s, *user, "");
    if (rule->file)
        rule->column = script_column(s, *rule, "");
}

static struct str line_text(const struct script_file *f, int line)
{
    if (line < 1 || line > f->line_count)
        return (struct str){"", 0};
    size_t from = f->lines[line - 1];
    size_t to = line < f->line_count ? f->lines[line] - 1 : f->text.len;
    return (struct str){f->text.ptr + from, to - from};
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The first mention of `word` that is not part of a longer one; 0 when there is none. */
static int column_of(struct str line, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; n && i + n <= line.len; i++) {
        if (memcmp(line.ptr + i, word, n) != 0 ||
            (i && is_word(word[0]) && is_word(line.ptr[i - 1])) ||
            (i + n < line.len && is_word(word[n - 1]) && is_word(line.ptr[i + n])))
            continue;
        return (int)i + 1;
    }
    return 0;
}

int script_column(const struct script *s, struct place place, const char *word)
{
    const struct script_file *f = place.file ? script_file(s, place.file) : NULL;
    size_t indent = 0;

    if (!f)
        return 0;
    struct str line = line_text(f, place.line);
    int column = column_of(line, word);
    if (column)
        return column;
    while (indent < line.len && isspace((unsigned char)line.ptr[indent]))
        indent++;
    return (int)indent + 1;
}

/* A reader of Lua text that knows just enough: strings, comments, brackets. */
struct scan {
    const char *p, *end;
    const char *token;
    size_t len;
    char kind; /* 'n' name, 's' string (the text inside), another: itself */
};

/* The length of a long bracket's opening [==[, 0 when it is none. */
static size_t long_open(const char *p, const char *end)
{
    const char *q = p;

    if (q == end || *q++ != '[')
        return 0;
    while (q < end && *q == '=')
        q++;
    return q < end && *q == '[' ? (size_t)(q - p) + 1 : 0;
}

static const char *long_end(const char *p, const char *end, size_t open)
{
    for (p += open; p < end; p++) {
        if (*p != ']')
            continue;
        size_t level = 0;
        while (p + 1 + level < end && p[1 + level] == '=')
            level++;
        if (level == open - 2 && p + 1 + level < end && p[1 + level] == ']')
            return p + open;
    }
    return end;
}

static void skip_blank(struct scan *s)
{
    for (;;) {
        while (s->p < s->end && isspace((unsigned char)*s->p))
            s->p++;
        if (s->end - s->p < 2 || s->p[0] != '-' || s->p[1] != '-')
            return;
        size_t open = long_open(s->p + 2, s->end);
        if (open) {
            s->p = long_end(s->p + 2, s->end, open);
            continue;
        }
        while (s->p < s->end && *s->p != '\n')
            s->p++;
    }
}

static bool next_token(struct scan *s)
{
    skip_blank(s);
    if (s->p >= s->end)
        return false;
    size_t open = long_open(s->p, s->end);
    const char *from = s->p;
    if (open) {
        s->p = long_end(from, s->end, open);
        s->kind = 's';
        s->token = from + open;
        s->len = (size_t)(s->p - s->token) > open ? (size_t)(s->p - s->token) - open : 0;
    } else if (*from == '"' || *from == '\'') {
        for (s->p++; s->p < s->end && *s->p != *from && *s->p != '\n'; s->p++)
            s->p += *s->p == '\\' && s->p + 1 < s->end;
        s->kind = 's';
        s->token = from + 1;
        s->len = (size_t)(s->p < s->end ? s->p - s->token : s->end - s->token);
        s->p += s->p < s->end;
    } else if (is_word(*from)) {
        while (s->p < s->end && is_word(*s->p))
            s->p++;
        s->kind = 'n';
        s->token = from;
        s->len = (size_t)(s->p - from);
    } else {
        s->kind = *s->p++;
        s->token = from;
        s->len = 1;
    }
    return true;
}

static struct place place_at(const struct script_file *f, const char *p)
{
    uint32_t at = (uint32_t)(p - f->text.ptr);
    int low = 0, high = f->line_count;

    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (f->lines[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return (struct place){f->name, low + 1, (int)(at - f->lines[low]) + 1};
}

/* A call goes on while its brackets are open, and after they close when another argument follows: f
 * "x" { }. */
bool script_locate(const struct script *s, struct place *place, const char *word)
{
    const struct script_file *f = place->file ? script_file(s, place->file) : NULL;
    int depth = 0;
    bool opened = false;
    const char *in_string = NULL;

    if (!f || place->line < 1 || place->line > f->line_count || !*word)
        return false;
    struct scan scan = {.p = f->text.ptr + f->lines[place->line - 1],
                        .end = f->text.ptr + f->text.len};
    while (next_token(&scan)) {
        if (opened && !depth && scan.kind != 's' && !strchr("({", scan.kind))
            break;
        bool same = scan.len == strlen(word) && !memcmp(scan.token, word, scan.len);
        if (same && scan.kind == 'n') {
            *place = place_at(f, scan.token);
            return true;
        }
        if (same && scan.kind == 's' && !in_string)
            in_string = scan.token;
        if (strchr("({[", scan.kind)) {
            depth++;
            opened = true;
        } else if (strchr(")}]", scan.kind)) {
            depth--;
        }
        if (depth < 0)
            break;
    }
    if (in_string)
        *place = place_at(f, in_string);
    return in_string != NULL;
}

/* The lines right above that begin with ---, without the dashes. */
static const char *comment_above(const struct script_file *f, int line, struct arena *arena)
{
    int first = line;
    struct buf text = {0};

    while (first > 1) {
        struct str above = str_trim(line_text(f, first - 1));
        if (above.len < 3 || memcmp(above.ptr, "---", 3) != 0)
            break;
        first--;
    }
    if (first == line)
        return NULL;
    for (; first < line; first++) {
        struct str part = str_trim(line_text(f, first));
        size_t dashes = part.len > 3 && part.ptr[3] == ' ' ? 4 : 3;
        if (text.len)
            buf_addch(&text, '\n');
        buf_add(&text, part.ptr + dashes, part.len - dashes);
    }
    const char *copy = arena_strdup(arena, buf_text(&text));
    buf_release(&text);
    return copy;
}

const char *script_doc(const struct script *s, struct place place, struct arena *arena)
{
    const struct script_file *f = place.file ? script_file(s, place.file) : NULL;

    if (!f)
        return NULL;
    const char *comment = comment_above(f, place.line, arena);
    if (comment)
        return comment;
    size_t low = 0, high = f->doc_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->docs[middle].line <= place.line)
            low = middle + 1;
        else
            high = middle;
    }
    return low && *f->docs[low - 1].text ? f->docs[low - 1].text : NULL;
}

void script_sharpen(const struct script *s, struct err *e)
{
    static const enum err_code by_name[] = {ERR_unknown_name, ERR_duplicate_output,
                                            ERR_duplicate_name, ERR_output_overlap, ERR_bad_path};
    bool named = false;

    for (size_t i = 0; i < ARRAY_LEN(by_name); i++)
        named = named || e->code == by_name[i];
    const char *from = named ? strchr(e->message, '"') : NULL;
    const char *to = from ? strchr(from + 1, '"') : NULL;
    if (!to || !e->place.file)
        return;
    struct buf word = {0};
    struct place place = e->place;
    buf_add(&word, from + 1, (size_t)(to - from - 1));
    if (script_locate(s, &place, buf_text(&word))) {
        e->place.line = place.line;
        e->place.column = place.column;
    }
    buf_release(&word);
}
