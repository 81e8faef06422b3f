#include "script_state.h"

#include <string.h>

/* Matches one character against the set that begins after '['; moves `*pattern` behind it. */
static bool in_set(const char **pattern, char c)
{
    const char *p = *pattern;
    bool not = *p == '!' || *p == '^', found = false;

    p += not ;
    for (bool first = true; *p && (first || *p != ']'); first = false) {
        char low = *p++, high = low;
        if (*p == '-' && p[1] && p[1] != ']') {
            high = p[1];
            p += 2;
        }
        found = found || (c >= low && c <= high);
    }
    *pattern = *p ? p + 1 : p;
    return found != not ;
}

/* One part of a path against one part of a pattern, without recursion: on a mismatch the last star
 * takes one more. */
static bool match_part(const char *pattern, const char *pattern_end, const char *text,
                       const char *text_end)
{
    const char *star = NULL, *star_text = NULL;

    if (text < text_end && *text == '.' && (pattern == pattern_end || *pattern != '.'))
        return false;
    while (text < text_end || pattern < pattern_end) {
        if (pattern < pattern_end && *pattern == '*') {
            star = ++pattern;
            star_text = text;
            continue;
        }
        if (pattern < pattern_end && text < text_end) {
            const char *next = pattern + 1;
            bool same =
                *pattern == '?' || (*pattern == '[' ? in_set(&next, *text) : *pattern == *text);
            if (same) {
                pattern = next;
                text++;
                continue;
            }
        }
        if (!star || star_text == text_end)
            return false;
        pattern = star;
        text = ++star_text;
    }
    return true;
}

static const char *part_end(const char *p)
{
    return p + strcspn(p, "/");
}

static bool is_stars(const char *p, const char *end)
{
    return end - p == 2 && p[0] == '*' && p[1] == '*';
}

/* Parts against parts; ** stands for any number of them, and the last ** is the one to widen. */
static bool match_parts(const char *pattern, const char *path)
{
    const char *stars = NULL, *stars_path = NULL;

    for (;;) {
        const char *pe = part_end(pattern), *te = part_end(path);
        if (is_stars(pattern, pe)) {
            if (!*pe)
                return *path && *path != '.';
            stars = pattern = pe + 1;
            stars_path = path;
            continue;
        }
        bool same = *pattern && *path && match_part(pattern, pe, path, te);
        if (same && !*pe && !*te)
            return true;
        if (same && *pe && *te) {
            pattern = pe + 1;
            path = te + 1;
            continue;
        }
        if (!stars || *stars_path == '.')
            return false;
        stars_path = part_end(stars_path);
        if (!*stars_path)
            return false;
        path = ++stars_path;
        pattern = stars;
    }
}

/* Writes out the first {a,b} of the pattern, each alternative a pattern of its own; bounded by the
 * alternatives written down. */
static void expand(struct arena *arena, const char *pattern, struct strs *out)
{
    strs_push(out, pattern);
    for (size_t i = 0; i < out->len && out->len < 4096;) {
        const char *open = strchr(out->at[i], '{'), *close = open ? strchr(open, '}') : NULL;
        if (!close) {
            i++;
            continue;
        }
        const char *whole = out->at[i];
        struct str rest = {open + 1, (size_t)(close - open - 1)}, word;
        bool first = true;
        while (str_split(&rest, ',', &word)) {
            const char *one = arena_printf(arena, "%.*s%.*s%s", (int)(open - whole), whole,
                                           (int)word.len, word.ptr, close + 1);
            if (first)
                out->at[i] = one;
            else
                strs_push(out, one);
            first = false;
        }
        if (first)
            out->at[i] = arena_printf(arena, "%.*s%s", (int)(open - whole), whole, close + 1);
    }
}

bool script_match(const char *pattern, const char *path)
{
    struct arena arena = {0};
    struct strs patterns = {0};
    bool match = false;

    expand(&arena, pattern, &patterns);
    for (size_t i = 0; !match && i < patterns.len; i++)
        match = match_parts(patterns.at[i], path);
    strs_release(&patterns);
    arena_release(&arena);
    return match;
}

static bool is_magic(const char *p, const char *end)
{
    for (; p < end; p++)
        if (strchr("*?[", *p))
            return true;
    return false;
}

struct search {
    const char *root;
    const char *pattern;
    struct arena *arena;
    struct strs *out;
    struct strs *seen;   /* what the result depends on: folders and links; may be NULL */
    struct strs folders; /* still to look at, relative to the root, "" the root itself */
    bool deep;
    size_t depth; /* parts of the pattern, when it has no ** */
    struct err *e;
};

static size_t parts_of(const char *path)
{
    size_t n = *path ? 1 : 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

static bool is_hidden(const struct search *s, const char *folder, const char *name)
{
    bool asked = strstr(s->pattern, "/.") || s->pattern[0] == '.';

    return (name[0] == '.' && !asked) ||
           (!*folder && (!strcmp(name, "out") || !strcmp(name, ".git")));
}

static int look_into(struct search *s, const char *folder)
{
    struct strs names = {0};
    struct os_stat st;
    const char *full = *folder ? os_join(s->arena, s->root, folder) : s->root;
    int r = 0;

    if (s->seen)
        strs_push(s->seen, full);
    if (os_stat(full, &st, s->e) < 0)
        return -1;
    if (st.kind != OS_DIR)
        return 0;
    if (os_list(full, s->arena, &names, s->e) < 0)
        return -1;
    for (size_t i = 0; i < names.len && r == 0; i++) {
        if (is_hidden(s, folder, names.at[i]))
            continue;
        const char *path =
            *folder ? arena_printf(s->arena, "%s/%s", folder, names.at[i]) : names.at[i];
        bool match = match_parts(s->pattern, path);
        bool descend = s->deep || parts_of(path) < s->depth;
        if (!match && !descend)
            continue;
        /* A link to a folder is not followed: it may lead in a circle. */
        const char *absolute = os_join(s->arena, s->root, path);
        r = os_lstat(absolute, &st, s->e);
        bool link = st.kind == OS_LINK;
        if (r == 0 && link)
            r = os_stat(absolute, &st, s->e);
        if (link && s->seen)
            strs_push(s->seen, absolute);
        if (r == 0 && match && st.kind == OS_FILE)
            strs_push(s->out, path);
        if (r == 0 && descend && st.kind == OS_DIR && !link)
            strs_push(&s->folders, path);
    }
    strs_release(&names);
    return r;
}

/* The folders in front of the first part with a wild card need no listing. */
static const char *fixed_prefix(struct arena *arena, const char *pattern)
{
    const char *p = pattern, *end = pattern;

    for (;;) {
        const char *pe = part_end(p);
        if (!*pe || is_magic(p, pe))
            break;
        end = pe;
        p = pe + 1;
    }
    return arena_strndup(arena, pattern, (size_t)(end - pattern));
}

static int glob_one(const char *root, const char *pattern, struct arena *arena, struct strs *out,
                    struct strs *seen, struct err *e)
{
    struct search s = {
        .root = root, .pattern = pattern, .arena = arena, .out = out, .seen = seen, .e = e};
    int r = 0;

    s.deep = strstr(pattern, "**") != NULL;
    s.depth = parts_of(pattern);
    strs_push(&s.folders, fixed_prefix(arena, pattern));
    if (!strcmp(s.folders.at[0], "out") || text_starts_with(s.folders.at[0], "out/"))
        s.folders.len = 0;
    for (size_t i = 0; i < s.folders.len && r == 0; i++)
        r = look_into(&s, s.folders.at[i]);
    strs_release(&s.folders);
    return r;
}

int script_glob(const char *root, const char *pattern, struct arena *arena, struct strs *out,
                struct strs *seen, struct err *e)
{
    struct strs patterns = {0};
    int r = 0;

    expand(arena, pattern, &patterns);
    for (size_t i = 0; i < patterns.len && r == 0; i++)
        r = glob_one(root, patterns.at[i], arena, out, seen, e);
    strs_release(&patterns);
    strs_sort(out);
    size_t kept = 0;
    for (size_t i = 0; i < out->len; i++)
        if (!kept || strcmp(out->at[kept - 1], out->at[i]) != 0)
            out->at[kept++] = out->at[i];
    out->len = kept;
    return r;
}

void script_list_digest(const struct strs *list, struct digest *out)
{
    struct hasher h;

    hash_init(&h);
    for (size_t i = 0; i < list->len; i++)
        hash_add(&h, list->at[i], strlen(list->at[i]) + 1);
    hash_final(&h, out);
}
