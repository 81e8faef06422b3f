#include "fuzz.h"

#include "script.h"
#include <string.h>

static const char *const seeds[] = {
    "# Title\n\nProse.\n\n```lua\nnode { \"out/x\", write = \"x\" }\n```\n\nMore.\n",
    "# T\n````lua\nlocal a = [[\n```\n]]\n````\n",
    "# T\n\n~~~ lua\nx = 1\n~~~\n\n```\nnot lua\n```\n",
    "# T\r\n\r\n```lua\r\nx()\r\n```\r\n",
    NULL,
};

static size_t lines_of(const char *bytes, size_t len)
{
    size_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* The prose becomes blank lines: line N of the Lua is line N of the page. */
static void one(const char *bytes, size_t len)
{
    struct arena arena = {0};
    struct buf lua = {0};
    struct literate_doc *docs;
    size_t count = 0;
    struct err e = {0};

    if (literate_to_lua(bytes, len, "fuzz.md", &arena, &lua, &docs, &count, &e) < 0) {
        fuzz_refused(&e);
    } else {
        size_t have = lines_of(buf_text(&lua), lua.len), want = lines_of(bytes, len);
        fuzz_expect(have == want || have == want + 1, "lines got lost");
        for (size_t i = 0; i < count; i++)
            fuzz_expect(docs[i].line >= 1 && (size_t)docs[i].line <= want + 1 && docs[i].text,
                        "prose of no line");
    }
    buf_release(&lua);
    arena_release(&arena);
}

const struct fuzz_target fuzz_target = {"literate", seeds, one, 50000};
