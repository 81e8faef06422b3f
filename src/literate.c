#include "script.h"

#include <string.h>

bool literate_is(const char *name, const char *text, size_t len)
{
    struct str rest = {text, len}, line;

    if (text_ends_with(name, ".md"))
        return true;
    while (str_split(&rest, '\n', &line)) {
        size_t marks = 0;
        line = str_trim(line);
        if (!line.len)
            continue;
        while (marks < line.len && line.ptr[marks] == '#')
            marks++;
        return marks >= 1 && marks <= 6 && marks < line.len && line.ptr[marks] == ' ';
    }
    return false;
}

/* A line that may open or close a block: at most three spaces, then three or more of one mark. */
struct fence {
    char mark;
    size_t len;
    struct str info;
};

static bool is_fence(struct str line, struct fence *out)
{
    size_t indent = 0, n = 0;

    while (indent < line.len && line.ptr[indent] == ' ')
        indent++;
    if (indent > 3 || indent == line.len)
        return false;
    const char *p = line.ptr + indent;
    size_t left = line.len - indent;
    if (*p != '`' && *p != '~')
        return false;
    while (n < left && p[n] == *p)
        n++;
    *out = (struct fence){*p, n, str_trim((struct str){p + n, left - n})};
    return n >= 3 && !(*p == '`' && memchr(out->info.ptr, '`', out->info.len));
}

static bool closes(const struct fence *open, const struct fence *line)
{
    return line->mark == open->mark && line->len >= open->len && !line->info.len;
}

struct weave {
    struct arena *arena;
    struct buf prose; /* since the last block of Lua */
    struct literate_doc *docs;
    size_t count, cap;
};

static void keep_doc(struct weave *w, int line)
{
    struct str prose = str_trim((struct str){buf_text(&w->prose), w->prose.len});

    if (w->count == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 8;
        struct literate_doc *docs = arena_alloc(w->arena, cap * sizeof(*docs));
        if (w->count)
            memcpy(docs, w->docs, w->count * sizeof(*docs));
        w->docs = docs;
        w->cap = cap;
    }
    w->docs[w->count++] =
        (struct literate_doc){line, arena_strndup(w->arena, prose.ptr, prose.len)};
    buf_reset(&w->prose);
}

static int unclosed(const struct fence *open, int line, const char *name, struct err *e)
{
    err_set(e, ERR_literate_fence, "this block of code never ends");
    err_at(e, (struct place){name, line, 1});
    return err_hint(e, "end it with a line of %zu %s", open->len,
                    open->mark == '`' ? "backquotes" : "tildes");
}

int literate_to_lua(const char *text, size_t len, const char *name, struct arena *arena,
                    struct buf *lua, struct literate_doc **docs, size_t *doc_count, struct err *e)
{
    struct weave w = {.arena = arena};
    struct fence open = {0}, fence;
    struct str rest = {text, len}, line;
    bool in_block = false, in_lua = false;
    int number = 0, opened = 0;

    while (str_split(&rest, '\n', &line)) {
        bool is = is_fence(line, &fence);
        bool turn = is && (!in_block || closes(&open, &fence));
        number++;
        if (turn && !in_block) {
            open = fence;
            opened = number;
            in_lua = str_equal(fence.info, str_of("lua"));
            if (in_lua)
                keep_doc(&w, number + 1);
        }
        if (in_block && in_lua && !turn) {
            buf_add(lua, line.ptr, line.len);
        } else if (!in_lua) {
            buf_add(&w.prose, line.ptr, line.len);
            buf_addch(&w.prose, '\n');
        }
        buf_addch(lua, '\n');
        if (turn) {
            in_block = !in_block;
            in_lua = in_lua && in_block;
        }
    }
    buf_release(&w.prose);
    *docs = w.docs;
    *doc_count = w.count;
    return in_block ? unclosed(&open, opened, name, e) : 0;
}
