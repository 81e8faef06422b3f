#include "host_internal.h"

#include <string.h>

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Words that every product of a vendor carries, or that are said elsewhere in a machine's name. */
static bool says_nothing(struct str word)
{
    static const char *const words[] = {"amd",       "corporation", "cpu",   "generation",
                                        "geforce",   "genuine",     "intel", "nvidia",
                                        "processor", "r",           "tm",    "with"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_equal(word, str_of(words[i])))
            return true;
    }
    return false;
}

/* "96-Core": cores are counted, not quoted; the count is of those we may use. */
static bool counts_cores(struct str rest, struct str word)
{
    bool number = word.len > 0;

    for (size_t i = 0; i < word.len; i++)
        number = number && word.ptr[i] >= '0' && word.ptr[i] <= '9';
    return number && rest.len >= 4 && memcmp(rest.ptr, "core", 4) == 0;
}

const char *host_short_model(struct arena *arena, const char *model)
{
    char *words = arena_strdup(arena, model);
    struct buf out = {0};
    struct str rest;
    struct str word;
    const char *name;

    words[strcspn(words, "@")] = '\0'; /* what follows is a clock rate */
    for (char *c = words; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        else if (!is_name_char(*c))
            *c = ' ';
    }
    rest = str_of(words);
    while (str_split(&rest, ' ', &word)) {
        if (word.len == 0 || says_nothing(word) || str_equal(word, str_of("core")) ||
            counts_cores(rest, word))
            continue;
        buf_addf(&out, "%s%.*s", out.len > 0 ? "-" : "", (int)word.len, word.ptr);
    }
    name = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return name;
}
