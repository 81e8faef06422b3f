#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX 60
#define NEAR_MAX 4

/* What is shown: one commit, and where its files are. */
struct shown {
    struct cmd_context *c;
    struct trace *trace;
    struct trace_entry entry;
    struct strs files; /* every file of the tree but the sources */
};

static int list_files(struct shown *v, struct err *e)
{
    static const char *const folders[] = {"plan", "out", "env", "measure"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (trace_list(v->trace, v->entry.commit, folders[i], v->c->arena, &v->files, e))
            return -1;
    return 0;
}

static bool has_file(const struct shown *v, const char *path)
{
    for (size_t i = 0; i < v->files.len; i++)
        if (strcmp(v->files.at[i], path) == 0)
            return true;
    return false;
}

static int read_text(struct shown *v, const char *path, struct buf *out, bool *found, struct err *e)
{
    return trace_read(v->trace, v->entry.commit, path, out, found, e);
}

/* Text as JSON; null when it is not UTF-8, as a blob of samples is not. */
static json_t *json_of(const struct buf *text)
{
    json_t *value = json_stringn(buf_text(text), text->len);
    return value ? value : json_null();
}

/* The name of the node whose plan a file is. */
static const char *plan_name(const char *file)
{
    return text_starts_with(file, "plan/") ? file + strlen("plan/") : NULL;
}

/* What came of a node lies in out/, or with the machine that measured it. */
static const char *find_out(const struct shown *v, const char *name)
{
    const char *plain = arena_printf(v->c->arena, "out/%s", name);
    const char *tail = arena_printf(v->c->arena, "/nodes/%s", name);
    if (has_file(v, plain))
        return plain;
    for (size_t i = 0; i < v->files.len; i++)
        if (text_starts_with(v->files.at[i], "measure/") && text_ends_with(v->files.at[i], tail))
            return v->files.at[i];
    return NULL;
}

static const char *line_value(struct arena *arena, const char *text, const char *key)
{
    struct str rest = str_of(text), line;
    size_t len = strlen(key);
    while (str_split(&rest, '\n', &line))
        if (line.len > len && memcmp(line.ptr, key, len) == 0 && line.ptr[len] == ' ')
            return arena_strndup(arena, line.ptr + len + 1, line.len - len - 1);
    return NULL;
}

static int node_state(struct shown *v, const char *name, const char **state, struct err *e)
{
    const char *path = find_out(v, name);
    struct buf text = {0};
    bool found = false;
    *state = NULL;
    int rc = path ? read_text(v, path, &text, &found, e) : 0;
    if (rc == 0 && found)
        *state = line_value(v->c->arena, buf_text(&text), "state");
    buf_release(&text);
    return rc;
}

static void print_head(const struct shown *v)
{
    const struct trace_entry *entry = &v->entry;
    printf("%s\n%s\n\n", entry->commit, entry->subject);
    const char *trailers = strstr(entry->body, "Spak-Format:");
    size_t len = trailers ? (size_t)(trailers - entry->body) : strlen(entry->body);
    struct str body = str_trim((struct str){entry->body, len});
    if (body.len)
        printf("%.*s\n\n", (int)body.len, body.ptr);
    printf("date    %s\n", history_date(v->c->arena, entry->time));
    printf("status  %s\n", entry->status);
    printf("source  %s%s\n", entry->source, entry->source_dirty ? ", with changes" : "");
    printf("nodes   %s\n", entry->nodes);
    for (size_t i = 0; i < entry->metrics.len; i++)
        printf("metric  %s\n", entry->metrics.at[i]);
}

static int show_run(struct shown *v, struct err *e)
{
    json_t *nodes = json_object();
    int rc = 0;
    if (!v->c->json) {
        print_head(v);
        puts("");
    }
    for (size_t i = 0; rc == 0 && i < v->files.len; i++) {
        const char *name = plan_name(v->files.at[i]), *state = NULL;
        if (name)
            rc = node_state(v, name, &state, e);
        if (rc == 0 && state && v->c->json)
            json_object_set_new(nodes, name, json_string(state));
        else if (rc == 0 && state)
            printf("%-10s  %s\n", state, name);
    }
    if (rc == 0 && v->c->json) {
        json_t *o = history_json(&v->entry);
        json_object_set(o, "states", nodes);
        project_print_json(o);
    }
    json_decref(nodes);
    return rc;
}

/* For people twelve digits of a digest are enough; --json has them all. */
static void shorten_digests(const char *text, struct buf *out)
{
    while (*text) {
        size_t hex = strspn(text, "0123456789abcdef");
        size_t plain = hex ? hex : 1;
        buf_add(out, text, hex == DIGEST_HEX_LEN ? 12 : plain);
        text += plain;
    }
}

static size_t longest_line(const char *text)
{
    struct str rest = str_of(text), line;
    size_t longest = 0;
    while (str_split(&rest, '\n', &line))
        if (line.len > longest)
            longest = line.len;
    return longest;
}

/* Two texts beside each other; a line too long for its column has a row for itself. */
static void print_beside(const char *left, const char *right)
{
    struct buf short_left = {0}, short_right = {0};
    shorten_digests(left, &short_left);
    shorten_digests(right, &short_right);
    struct str l = str_of(buf_text(&short_left)), r = str_of(buf_text(&short_right)), a, b;
    size_t width = longest_line(buf_text(&short_left));
    if (width > COLUMN_MAX)
        width = COLUMN_MAX;
    while (l.len || r.len) {
        if (!str_split(&l, '\n', &a))
            a = str_of("");
        if (a.len > width) {
            printf("%.*s\n", (int)a.len, a.ptr);
            continue;
        }
        if (!str_split(&r, '\n', &b))
            b = str_of("");
        printf("%.*s", (int)a.len, a.ptr);
        if (b.len)
            printf("%*s%.*s", (int)(width - a.len) + 4, "", (int)b.len, b.ptr);
        puts("");
    }
    buf_release(&short_left);
    buf_release(&short_right);
}

/* The traced texts of a node: for each of its outputs, the file of that path. */
static void find_texts(const struct shown *v, const char *out_path, const char *out_text,
                       struct strs *texts)
{
    struct str rest = str_of(out_text), line;
    struct str folder = str_of(out_path);
    const char *nodes = strstr(out_path, "/nodes/");
    folder.len = nodes ? (size_t)(nodes - out_path) : strlen("out");
    while (str_split(&rest, '\n', &line)) {
        struct str path = line;
        if (line.len < 5 || memcmp(line.ptr, "out ", 4) != 0)
            continue;
        path.ptr += 4;
        path.len -= 4;
        for (size_t i = path.len; i > 0; i--) { /* "path sha256 bytes": cut before the digest */
            const char *file = arena_printf(v->c->arena, "%.*s/files/%.*s", (int)folder.len,
                                            folder.ptr, (int)i, path.ptr);
            if ((i == path.len || path.ptr[i] == ' ') && has_file(v, file)) {
                strs_push(texts, file);
                break;
            }
        }
    }
}

static int print_texts(struct shown *v, const struct strs *texts, json_t *object, struct err *e)
{
    for (size_t i = 0; i < texts->len; i++) {
        struct buf text = {0};
        bool found;
        int rc = read_text(v, texts->at[i], &text, &found, e);
        if (rc == 0 && object)
            json_object_set_new(object, texts->at[i], json_of(&text));
        else if (rc == 0)
            printf("\n%s:\n%s%s", texts->at[i], buf_text(&text),
                   text_ends_with(buf_text(&text), "\n") ? "" : "\n");
        buf_release(&text);
        if (rc)
            return rc;
    }
    return 0;
}

static int print_node(struct shown *v, const char *name, const struct buf *plan,
                      const struct buf *out, const struct strs *texts, struct err *e)
{
    if (v->c->json) {
        json_t *kept = json_object();
        int rc = print_texts(v, texts, kept, e);
        json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:o}", "commit", v->entry.commit, "node", name,
                              "plan", json_of(plan), "out", json_of(out), "texts", kept);
        if (rc == 0)
            project_print_json(o);
        else
            json_decref(o);
        return rc;
    }
    printf("%s in %.10s\n\n", name, v->entry.commit);
    print_beside(buf_text(plan), buf_text(out));
    return print_texts(v, texts, NULL, e);
}

static int show_node(struct shown *v, const char *name, struct err *e)
{
    struct buf plan = {0}, out = {0};
    struct strs texts = {0};
    bool found;
    const char *out_path = find_out(v, name);
    int rc = read_text(v, arena_printf(v->c->arena, "plan/%s", name), &plan, &found, e);
    if (rc == 0 && out_path)
        rc = read_text(v, out_path, &out, &found, e);
    if (rc == 0 && out_path)
        find_texts(v, out_path, buf_text(&out), &texts);
    if (rc == 0)
        rc = print_node(v, name, &plan, &out, &texts, e);
    strs_release(&texts);
    buf_release(&plan);
    buf_release(&out);
    return rc;
}

static int show_file(struct shown *v, const char *path, bool *found, struct err *e)
{
    struct buf text = {0};
    int rc = read_text(v, path, &text, found, e);
    if (rc == 0 && *found && v->c->json)
        project_print_json(json_pack("{s:s, s:s, s:o}", "commit", v->entry.commit, "path", path,
                                     "text", json_of(&text)));
    else if (rc == 0 && *found)
        fwrite(buf_text(&text), 1, text.len, stdout);
    buf_release(&text);
    return rc;
}

static int unknown_part(const struct shown *v, const char *name, struct err *e)
{
    const char *nearest = NULL;
    size_t best = NEAR_MAX;
    for (size_t i = 0; i < v->files.len; i++) {
        const char *node = plan_name(v->files.at[i]);
        size_t distance = node ? text_distance(name, node) : best;
        if (distance < best) {
            best = distance;
            nearest = node;
        }
    }
    err_set(e, ERR_trace_revision, "the trace %.10s has no node and no file \"%s\"",
            v->entry.commit, name);
    if (nearest)
        return err_hint(e, "did you mean \"%s\"?", nearest);
    return err_hint(e,
                    "`spak show %.10s` lists its nodes, `git ls-tree -r --name-only %.10s` all "
                    "its files",
                    v->entry.commit, v->entry.commit);
}

/* A node by its name, a file by its path in the tree, a source or a traced text by its path in the
 * project. */
static int show_part(struct shown *v, const char *name, struct err *e)
{
    struct arena *arena = v->c->arena;
    const char *node = trace_node_path(arena, name);
    const char *both = arena_printf(arena, "%s%%node", node);
    const char *machine = NULL;
    bool found = false;
    if (has_file(v, arena_printf(arena, "plan/%s", node)))
        return show_node(v, node, e);
    if (has_file(v, arena_printf(arena, "plan/%s", both)))
        return show_node(v, both, e);
    const char *tail = arena_printf(arena, "/files/%s", node);
    for (size_t i = 0; i < v->files.len; i++)
        if (text_ends_with(v->files.at[i], tail))
            machine = v->files.at[i];
    const char *const paths[] = {name, arena_printf(arena, "src/%s", name), machine};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (paths[i] && show_file(v, paths[i], &found, e))
            return -1;
        if (found)
            return 0;
    }
    return unknown_part(v, name, e);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct session s = {.lock_fd = -1};
    struct shown v = {.c = c};
    if (c->args.len < 1 || c->args.len > 2) {
        err_set(e, ERR_usage, "show takes a trace and at most one node or path");
        return err_hint(e, "spak show fmha, spak show fmha~2 out/hello.o");
    }
    int rc = history_open(c, "show", &s, &v.trace, e);
    if (rc == 0)
        rc = trace_resolve(v.trace, c->args.at[0], c->arena, &v.entry, e);
    if (rc == 0)
        rc = list_files(&v, e);
    if (rc == 0)
        rc = c->args.len == 1 ? show_run(&v, e) : show_part(&v, c->args.at[1], e);
    strs_release(&v.entry.metrics);
    strs_release(&v.files);
    return history_close(&s, v.trace, rc, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "spak show fmha",
    "the latest run of fmha and what became of its nodes",
    "spak show fmha~2 out/hello.o",
    "one node two runs ago: what was to be done beside what came of it",
    "spak show 5f3a9c1 src/hello.c",
    "a file of a run's tree",
    NULL,
};

const struct cmd cmd_show = {
    .name = "show",
    .summary = "show one run, or one node or file of it",
    .usage = "[OPTION]... TRACE [NODE|PATH]",
    .text =
        "A trace is named by its target (the latest run), by a target and a step back (fmha~2), or "
        "by its commit. With a node, its plan and its outcome stand side by side, followed by the "
        "texts it left.",
    .options = options,
    .examples = examples,
    .run = run,
};
