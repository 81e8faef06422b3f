#include "fuzz.h"

#include "depfile.h"
#include <string.h>

static const char *const seeds[] = {
    "a.o: a.c a.h \\\n  b.h\n",
    "out/a.o out/a.d : /usr/include/stdio.h my\\ file.h cost$$.h\r\n\nb.h:\n",
    "# comment\na.o:\\\n a.c#x\n",
    "x\\#y.o: a\\\\b c:\\d\n",
    NULL,
};

static void one(const char *bytes, size_t len)
{
    struct arena arena = {0};
    struct strs out = {0};
    struct err e = {0};

    if (depfile_parse(bytes, len, "fuzz.d", &arena, &out, &e) < 0)
        fuzz_refused(&e);
    for (size_t i = 0; i < out.len; i++)
        fuzz_expect(*out.at[i] && strlen(out.at[i]) <= len, "a path of no bytes, or of too many");
    strs_release(&out);
    arena_release(&arena);
}

const struct fuzz_target fuzz_target = {"depfile", seeds, one, 50000};
