#include "repro_parts.h"

#include <string.h>

/* A line of env/toolchain or of a machine: its first word is the name. */
static struct str first_word(struct str line)
{
    const char *space = memchr(line.ptr, ' ', line.len);
    return (struct str){line.ptr, space ? (size_t)(space - line.ptr) : line.len};
}

static bool is_digest(struct str word)
{
    if (word.len != 64)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (!word.ptr[i] || !strchr("0123456789abcdef", word.ptr[i]))
            return false;
    return true;
}

/* "cc 12.2 (9f86d081)": enough to tell two apart. */
static const char *shown(struct arena *arena, struct str line)
{
    struct str rest = line, last = repro_last_word(&rest);
    if (!is_digest(last))
        return repro_printable(arena, arena_strndup(arena, line.ptr, line.len));
    return repro_printable(arena,
                           arena_printf(arena, "%.*s (%.8s)", (int)rest.len, rest.ptr, last.ptr));
}

static struct str line_named(const char *text, struct str name)
{
    struct str rest = str_of(text), line;
    while (str_split(&rest, '\n', &line))
        if (line.len && str_equal(first_word(line), name))
            return line;
    return (struct str){NULL, 0};
}

static int toolchains(const struct repro_side *recorded, const struct repro_side *again,
                      struct arena *arena, const char **a, const char **b, struct err *e)
{
    bool found;
    if (repro_text(recorded, arena, "env/toolchain", a, &found, e))
        return -1;
    return repro_text(again, arena, "env/toolchain", b, &found, e);
}

static const char *tool_cause(const char *plan, const char *tools, const char *tools_now,
                              struct arena *arena)
{
    struct str name;
    for (size_t k = 0; (name = repro_line(plan, "tool", k)).ptr; k++) {
        struct str before = line_named(tools, name), after = line_named(tools_now, name);
        if (before.ptr && (!after.ptr || !str_equal(before, after)))
            return arena_printf(arena, "the tool %s, here %s", shown(arena, before),
                                after.ptr ? shown(arena, after) : "none");
    }
    return NULL;
}

/* The first lines in which two plans of one node part. Both are arguments in order and then sorted
 * lines, so walking both at once finds it. */
static const char *plan_cause(const char *before, const char *after, struct arena *arena)
{
    struct str ra = str_of(before), rb = str_of(after), a, b;
    for (;;) {
        bool ga = str_split(&ra, '\n', &a), gb = str_split(&rb, '\n', &b);
        if (!ga && !gb)
            return NULL;
        if (ga && gb && str_equal(a, b))
            continue;
        return arena_printf(arena, "its plan, \"%s\" in the record, \"%s\" here",
                            ga ? shown(arena, a) : "", gb ? shown(arena, b) : "");
    }
}

/* Header files of the system and the like: "path digest" a line. */
static const char *file_cause(const char *before, const char *after, struct arena *arena,
                              size_t *count)
{
    struct str rest = str_of(before), line;
    const char *first = NULL;
    *count = 0;
    while (str_split(&rest, '\n', &line)) {
        struct str now = line.len ? line_named(after, first_word(line)) : line;
        if (!line.len || (now.ptr && str_equal(now, line)))
            continue;
        if (!first)
            first = arena_printf(arena, "the file /%s, %s", shown(arena, line),
                                 now.ptr ? "another one here" : "not read here");
        *count += 1;
    }
    return first;
}

int repro_cause(const struct repro_side *recorded, const struct repro_side *again, const char *node,
                struct arena *arena, const char **cause, struct err *e)
{
    const char *path = arena_printf(arena, "plan/%s", node), *plan, *plan_now, *tools, *tools_now,
               *files, *files_now;
    bool found, there;
    size_t count;
    *cause = NULL;
    if (repro_text(recorded, arena, path, &plan, &found, e) ||
        repro_text(again, arena, path, &plan_now, &there, e) ||
        toolchains(recorded, again, arena, &tools, &tools_now, e) ||
        repro_text(recorded, arena, "env/files", &files, &found, e) ||
        repro_text(again, arena, "env/files", &files_now, &found, e))
        return -1;
    if (!there)
        *cause = "the spakfile declares no such node here";
    else
        *cause = plan_cause(plan, plan_now, arena);
    if (!*cause)
        *cause = tool_cause(plan, tools, tools_now, arena);
    if (!*cause)
        *cause = file_cause(files, files_now, arena, &count);
    return 0;
}

static void compare_lines(const char *what, const char *before, const char *after,
                          struct arena *arena, struct repro_finding *f)
{
    struct str rest = str_of(before), line;
    while (str_split(&rest, '\n', &line)) {
        struct str now = line.len ? line_named(after, first_word(line)) : line;
        if (!line.len || (now.ptr && str_equal(now, line)))
            continue;
        repro_say(&f->environment, arena, "%s%s in the record, %s here", what, shown(arena, line),
                  now.ptr ? shown(arena, now) : "absent");
    }
    rest = str_of(after);
    while (str_split(&rest, '\n', &line))
        if (line.len && !line_named(before, first_word(line)).ptr)
            repro_say(&f->environment, arena, "%s%s here, absent in the record", what,
                      shown(arena, line));
}

int repro_environment(const struct repro_side *recorded, const struct repro_side *again,
                      struct arena *arena, struct repro_finding *f, struct err *e)
{
    const char *before, *after;
    bool found;
    size_t count;
    if (toolchains(recorded, again, arena, &before, &after, e))
        return -1;
    compare_lines("", before, after, arena, f);
    if (repro_text(recorded, arena, "env/files", &before, &found, e) ||
        repro_text(again, arena, "env/files", &after, &found, e))
        return -1;
    const char *first = file_cause(before, after, arena, &count);
    if (first)
        repro_say(&f->environment, arena, "%s%s", first,
                  count > 1 ? arena_printf(arena, ", and %zu more files", count - 1) : "");
    if (strcmp(recorded->entry->machine, again->entry->machine) != 0)
        repro_say(&f->environment, arena, "machine %s in the record, %s here",
                  repro_printable(arena, recorded->entry->machine), again->entry->machine);
    return 0;
}
