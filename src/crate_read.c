#include "crate_parts.h"

#include <stdlib.h>
#include <string.h>

const char *crate_text(struct arena *arena, const char *text)
{
    json_t *value = json_string(text);
    bool good = value != NULL;
    json_decref(value);
    if (good)
        return text;
    char *clean = arena_strdup(arena, text);
    for (char *p = clean; *p; p++)
        *p = (unsigned char)*p < 0x80 ? *p : '?';
    return clean;
}

int crate_lines(const struct crate *c, const char *path, struct arena *arena, struct strs *out,
                struct err *e)
{
    struct buf text = {0};
    bool found = false;
    int rc = trace_read(c->trace, c->entry->commit, path, &text, &found, e);
    struct str rest = {buf_text(&text), text.len}, line;
    while (rc == 0 && str_split(&rest, '\n', &line))
        if (line.len && !memchr(line.ptr, 0, line.len))
            strs_push(out, crate_text(arena, arena_strndup(arena, line.ptr, line.len)));
    buf_release(&text);
    return rc;
}

static const char *value_of(const char *line, const char *key)
{
    size_t len = strlen(key);
    return strncmp(line, key, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

/* "${tool:cc}" is the tool cc; else the program's own name, without its folder. */
static const char *tool_of(struct arena *arena, const char *word)
{
    size_t len = strlen(word);
    if (text_starts_with(word, "${tool:") && word[len - 1] == '}')
        return arena_strndup(arena, word + 7, len - 8);
    const char *slash = strrchr(word, '/');
    return slash && slash[1] ? slash + 1 : word;
}

static void take_plan(struct crate_node *n, const struct strs *lines, struct arena *arena)
{
    struct buf command = {0};
    for (size_t i = 0; i < lines->len; i++) {
        const char *line = lines->at[i], *value;
        if ((value = value_of(line, "arg"))) {
            const char *word = trace_value(arena, str_of(value), NULL);
            const char *tool = tool_of(arena, word);
            n->tool = n->tool ? n->tool : tool;
            buf_addf(&command, "%s%s", command.len ? " " : "",
                     text_starts_with(word, "${tool:") ? tool : word);
        } else if ((value = value_of(line, "param"))) {
            strs_push(&n->settings, value);
        } else if ((value = value_of(line, "env"))) {
            strs_push(&n->variables, value);
        }
        n->command_or_text |= value_of(line, "arg") || value_of(line, "text");
    }
    n->command = arena_strdup(arena, buf_text(&command));
    buf_release(&command);
}

static struct str last_word(struct str *line)
{
    size_t at = line->len;
    while (at && line->ptr[at - 1] != ' ')
        at--;
    struct str word = {line->ptr + at, line->len - at};
    line->len = at ? at - 1 : 0;
    return word;
}

/* "PATH DIGEST BYTES[ folder| executable]" */
static bool parse_output(struct arena *arena, const char *text, struct crate_output *out)
{
    struct str line = str_of(text), word = last_word(&line);
    *out = (struct crate_output){.folder = str_equal(word, str_of("folder")),
                                 .executable = str_equal(word, str_of("executable"))};
    if (out->folder || out->executable)
        word = last_word(&line);
    out->size_bytes = strtoull(arena_strndup(arena, word.ptr, word.len), NULL, 10);
    word = last_word(&line);
    out->path = trace_value(arena, line, NULL);
    return line.len && word.len == DIGEST_HEX_LEN &&
           digest_from_hex(arena_strndup(arena, word.ptr, word.len), &out->digest);
}

struct reading {
    struct crate *c;
    struct arena *arena;
    size_t output_cap;
};

static void push_output(struct reading *r, const char *text)
{
    struct crate *c = r->c;
    if (c->output_count == r->output_cap) {
        r->output_cap = r->output_cap ? 2 * r->output_cap : 64;
        c->outputs = xrealloc(c->outputs, r->output_cap * sizeof(*c->outputs));
    }
    if (parse_output(r->arena, text, &c->outputs[c->output_count]))
        c->output_count++;
}

static void take_outcome(struct reading *r, struct crate_node *n, const struct strs *lines,
                         struct strs *made)
{
    for (size_t i = 0; i < lines->len; i++) {
        const char *line = lines->at[i], *value;
        if ((value = value_of(line, "state")))
            n->state = value;
        else if ((value = value_of(line, "exit")))
            n->exit = value;
        else if ((value = value_of(line, "in")))
            strs_push(&n->inputs, value);
        else if ((value = value_of(line, "out"))) {
            push_output(r, value);
            strs_push(made, value);
        }
    }
}

/* What measured lies with the machine of this run, whatever other machines have measured before. */
static int read_outcome(struct reading *r, struct crate_node *n, struct strs *lines, struct err *e)
{
    struct crate *c = r->c;
    const char *paths[] = {
        arena_printf(r->arena, "out/%s", n->path),
        arena_printf(r->arena, "measure/%s/nodes/%s", c->entry->machine, n->path)};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(paths) && !lines->len; i++)
        rc = crate_lines(c, paths[i], r->arena, lines, e);
    return rc;
}

static int read_node(struct reading *r, const char *file, struct crate_node *n, struct strs *made,
                     struct err *e)
{
    struct strs plan = {0}, outcome = {0};
    *n = (struct crate_node){.path = file + strlen("plan/"), .state = ""};
    n->name = crate_text(r->arena, trace_node_name(r->arena, n->path));
    int rc = crate_lines(r->c, file, r->arena, &plan, e);
    if (rc == 0)
        rc = read_outcome(r, n, &outcome, e);
    take_plan(n, &plan, r->arena);
    take_outcome(r, n, &outcome, made);
    strs_release(&plan);
    strs_release(&outcome);
    return rc;
}

static int compare_outputs(const void *a, const void *b)
{
    const struct crate_output *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static void sort_outputs(struct crate *c)
{
    size_t kept = 0;
    if (c->output_count)
        qsort(c->outputs, c->output_count, sizeof(*c->outputs), compare_outputs);
    for (size_t i = 0; i < c->output_count; i++)
        if (i == 0 || strcmp(c->outputs[i].path, c->outputs[kept - 1].path) != 0)
            c->outputs[kept++] = c->outputs[i];
    c->output_count = kept;
}

/* After sorting: which of all outputs are this node's. */
static void link_outputs(struct crate *c, struct crate_node *n, const struct strs *made,
                         struct arena *arena)
{
    n->outputs = arena_alloc(arena, (made->len + 1) * sizeof(*n->outputs));
    for (size_t i = 0; i < made->len; i++) {
        struct crate_output o;
        const struct crate_output *found =
            parse_output(arena, made->at[i], &o) ? crate_find_output(c, o.path) : NULL;
        if (found)
            n->outputs[n->output_count++] = (uint32_t)(found - c->outputs);
    }
}

static int read_spakfile(struct crate *c, struct arena *arena, struct err *e)
{
    struct strs lines = {0};
    int rc = crate_lines(c, "env/spakfile", arena, &lines, e);
    c->spakfile = lines.len ? trace_value(arena, str_of(lines.at[0]), NULL) : "spakfile";
    strs_release(&lines);
    return rc;
}

int crate_read(struct trace *t, const struct trace_entry *entry, struct arena *arena,
               struct crate *out, struct err *e)
{
    struct strs files = {0};
    struct reading r = {.c = out, .arena = arena};
    *out = (struct crate){.trace = t, .entry = entry};
    int rc = trace_list(t, entry->commit, "plan", arena, &files, e);
    struct strs *made = xcalloc(files.len + 1, sizeof(*made));
    out->nodes = xcalloc(files.len + 1, sizeof(*out->nodes));
    for (; rc == 0 && out->node_count < files.len; out->node_count++)
        rc = read_node(&r, files.at[out->node_count], &out->nodes[out->node_count],
                       &made[out->node_count], e);
    sort_outputs(out);
    for (size_t i = 0; i < out->node_count; i++) {
        link_outputs(out, &out->nodes[i], &made[i], arena);
        strs_release(&made[i]);
    }
    free(made);
    strs_release(&files);
    return rc == 0 ? read_spakfile(out, arena, e) : rc;
}

void crate_release(struct crate *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        strs_release(&c->nodes[i].inputs);
        strs_release(&c->nodes[i].settings);
        strs_release(&c->nodes[i].variables);
    }
    strs_release(&c->sources);
    strs_release(&c->traced);
    free(c->outputs);
    free(c->nodes);
    *c = (struct crate){0};
}
