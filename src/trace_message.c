#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

#define SUBJECT_COLUMNS 72
#define LISTED_MAX 5
#define BODY_COLUMNS 72
#define PLAN_MAX_BYTES (4u << 20)

/* What moved since the parent, in words. */
struct changes {
    struct strs sources;
    struct strs plans;
    struct strs rest;
    bool outputs;
    bool measured;
};

static size_t columns(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Appends at most `max` columns of a text, cut with "..." and never inside a character. */
static void add_clipped(struct buf *out, const char *text, size_t max)
{
    size_t all = columns(text), keep = all <= max ? all : max > 3 ? max - 3 : 0;
    size_t n = 0;
    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
        if (n > keep)
            break;
        buf_addch(out, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
    }
    if (keep < all)
        buf_addstr(out, "...");
}

bool trace_tree_text(git_repository *repo, const git_tree *tree, const char *path, size_t limit,
                     struct buf *out)
{
    git_tree_entry *entry = NULL;
    git_blob *blob = NULL;
    bool good = git_tree_entry_bypath(&entry, tree, path) == 0 &&
                git_tree_entry_type(entry) == GIT_OBJECT_BLOB &&
                git_blob_lookup(&blob, repo, git_tree_entry_id(entry)) == 0 &&
                (size_t)git_blob_rawsize(blob) <= limit;
    if (good)
        buf_add(out, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    git_tree_entry_free(entry);
    return good;
}

/* The lines of a plan that start with `key`, so that two plans can be compared key by key. An `in`
 * line counts without its digest. */
static void lines_of(const char *text, const char *key, struct buf *out)
{
    struct str rest = str_of(text), line;
    size_t len = strlen(key);
    while (str_split(&rest, '\n', &line)) {
        if (line.len <= len || memcmp(line.ptr, key, len) != 0 || line.ptr[len] != ' ')
            continue;
        bool digest = strcmp(key, "in") == 0 && line.len > 65 && line.ptr[line.len - 65] == ' ';
        buf_add(out, line.ptr, digest ? line.len - 65 : line.len);
        buf_addch(out, '\n');
    }
}

static const char *plan_change(const char *before, const char *after)
{
    static const struct {
        const char *key, *words;
    } keys[] = {{"arg", "flags"},   {"env", "environment"}, {"param", "parameters"},
                {"fact", "facts"},  {"tool", "tools"},      {"text", "text"},
                {"in", "inputs"},   {"out", "outputs"},     {"member", "members"},
                {"flag", "rights"}, {"kind", "kind"},       {"guide", "guide"},
                {"proof", "proofs"}};
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(keys) && !found; i++) {
        struct buf a = {0}, b = {0};
        lines_of(before, keys[i].key, &a);
        lines_of(after, keys[i].key, &b);
        if (strcmp(buf_text(&a), buf_text(&b)) != 0)
            found = keys[i].words;
        buf_release(&a);
        buf_release(&b);
    }
    return found;
}

static void note_plan(const struct trace_job *job, git_tree *old, git_tree *new,
                      const git_diff_delta *d, struct changes *c)
{
    struct buf before = {0}, after = {0};
    const char *path = d->new_file.path, *name = path + strlen("plan/"), *what = NULL;
    git_repository *repo = job->trace->repo;
    if (d->status == GIT_DELTA_ADDED)
        what = arena_printf(job->arena, "new %s", name);
    else if (d->status == GIT_DELTA_DELETED)
        what = arena_printf(job->arena, "no more %s", name);
    else if (trace_tree_text(repo, old, path, PLAN_MAX_BYTES, &before) &&
             trace_tree_text(repo, new, path, PLAN_MAX_BYTES, &after)) {
        const char *key = plan_change(buf_text(&before), buf_text(&after));
        what = key ? arena_printf(job->arena, "%s of %s", key, name) : NULL;
    }
    if (what)
        strs_push(&c->plans, what);
    buf_release(&before);
    buf_release(&after);
}

static void note_delta(const struct trace_job *job, git_tree *old, git_tree *new,
                       const git_diff_delta *d, struct changes *c)
{
    const char *path = d->new_file.path ? d->new_file.path : d->old_file.path;
    if (text_starts_with(path, "src/"))
        strs_push(&c->sources, arena_strdup(job->arena, path + strlen("src/")));
    else if (text_starts_with(path, "plan/"))
        note_plan(job, old, new, d, c);
    else if (strcmp(path, "env/toolchain") == 0)
        strs_push(&c->rest, "the toolchain");
    else if (strcmp(path, "env/params") == 0)
        strs_push(&c->rest, "the parameters");
    else if (strcmp(path, "env/spakfile") == 0)
        strs_push(&c->rest, "another spakfile");
    else if (strcmp(path, "env/files") == 0)
        strs_push(&c->rest, "files outside the project");
    else if (text_starts_with(path, "out/"))
        c->outputs = true;
    else if (text_starts_with(path, "measure/"))
        c->measured = true;
}

static int find_changes(const struct trace_job *job, git_commit *parent, const git_oid *tree,
                        struct changes *c, struct err *e)
{
    git_repository *repo = job->trace->repo;
    git_tree *old = NULL, *new = NULL;
    git_diff *diff = NULL;
    int rc = git_commit_tree(&old, parent);
    if (rc == 0)
        rc = git_tree_lookup(&new, repo, tree);
    if (rc == 0)
        rc = git_diff_tree_to_tree(&diff, repo, old, new, NULL);
    for (size_t i = 0; rc == 0 && i < git_diff_num_deltas(diff); i++)
        note_delta(job, old, new, git_diff_get_delta(diff, i), c);
    git_diff_free(diff);
    git_tree_free(old);
    git_tree_free(new);
    return rc ? trace_git_error(e, ERR_trace_content, "cannot compare with the previous trace") : 0;
}

static size_t change_count(const struct changes *c)
{
    return c->sources.len + c->plans.len + c->rest.len;
}

static const char *change_at(const struct changes *c, size_t i)
{
    if (i < c->sources.len)
        return c->sources.at[i];
    i -= c->sources.len;
    return i < c->plans.len ? c->plans.at[i] : c->rest.at[i - c->plans.len];
}

static const struct trace_metric *headline(const struct trace_job *job)
{
    for (size_t i = 0; i < job->metric_count; i++)
        if (job->metrics[i].moved)
            return &job->metrics[i];
    return NULL;
}

static const char *what_happened(const struct trace_job *job, const struct changes *c, bool first,
                                 bool same_status)
{
    struct arena *arena = job->arena;
    size_t count = change_count(c);
    if (job->first_failed)
        return arena_printf(arena, "%s failed", job->first_failed);
    if (job->run->interrupted && job->pending)
        return arena_printf(arena, "stopped with %zu to go", job->pending);
    if (first)
        return "first run";
    if (count > 1)
        return arena_printf(arena, "%s and %zu more", change_at(c, 0), count - 1);
    if (count == 1)
        return change_at(c, 0);
    if (job->pending)
        return arena_printf(arena, "%zu not done", job->pending);
    if (!same_status)
        return "same inputs";
    return c->outputs ? "same inputs, other outputs" : "measured again";
}

static void add_subject(const struct trace_job *job, const struct changes *c, bool first,
                        bool same_status, struct buf *out)
{
    const char *status = trace_status(job);
    const char *sentence = what_happened(job, c, first, same_status);
    const struct trace_metric *m = headline(job);
    size_t fixed = strlen(": ") + strlen(" ()") + strlen(status);
    size_t name = columns(job->run->target);
    if (name > SUBJECT_COLUMNS / 2)
        name = SUBJECT_COLUMNS / 2;
    add_clipped(out, job->run->target, name);
    buf_addstr(out, ": ");
    size_t room = SUBJECT_COLUMNS - fixed - name;
    const char *more =
        m ? arena_printf(job->arena, "%s, %s %.4g %s", sentence, m->name, m->median, m->unit)
          : NULL;
    add_clipped(out, more && columns(more) <= room ? more : sentence, room);
    buf_addf(out, " (%s)", status);
}

/* Words onto lines of at most 72 columns. */
static void add_wrapped(struct buf *out, const char *text)
{
    struct str rest = str_of(text), word;
    size_t column = 0;
    while (str_split(&rest, ' ', &word)) {
        struct buf part = {0};
        buf_add(&part, word.ptr, word.len);
        size_t width = columns(buf_text(&part));
        if (column && column + 1 + width > BODY_COLUMNS) {
            buf_addch(out, '\n');
            column = 0;
        } else if (column) {
            buf_addch(out, ' ');
            column++;
        }
        add_clipped(out, buf_text(&part), width);
        column += width;
        buf_release(&part);
    }
    buf_addch(out, '\n');
}

static void add_list(struct buf *out, const struct strs *items)
{
    for (size_t i = 0; i < items->len && i < LISTED_MAX; i++)
        buf_addf(out, "%s%s", i ? ", " : "", items->at[i]);
    if (items->len > LISTED_MAX)
        buf_addf(out, " and %zu more", items->len - LISTED_MAX);
}

static void add_body(const struct trace_job *job, const struct changes *c, bool first,
                     struct buf *out)
{
    struct buf text = {0};
    struct strs listed = {0};
    for (size_t i = 0; i < change_count(c); i++)
        strs_push(&listed, change_at(c, i));
    buf_addstr(&text, first ? "The first trace of this target." : "Changed since parent: ");
    if (!first && !listed.len)
        buf_addstr(&text, "no input");
    add_list(&text, &listed);
    buf_addf(&text, "%s%zu nodes ran, %zu reused", first ? " " : ". ", job->ran, job->reused);
    if (job->failed)
        buf_addf(&text, ", %zu failed", job->failed);
    if (job->pending)
        buf_addf(&text, ", %zu not done", job->pending);
    buf_addstr(&text, ".");
    add_wrapped(out, buf_text(&text));
    strs_release(&listed);
    buf_release(&text);
}

static void add_metrics(const struct trace_job *job, struct buf *out)
{
    size_t shown = 0;
    for (int moved = 1; moved >= 0; moved--)
        for (size_t i = 0; i < job->metric_count && shown < LISTED_MAX; i++) {
            const struct trace_metric *m = &job->metrics[i];
            if (m->moved != (bool)moved)
                continue;
            struct str rest = str_of(m->line), name, unit, median;
            str_split(&rest, ' ', &name);
            str_split(&rest, ' ', &unit);
            str_split(&rest, ' ', &median);
            buf_addf(out, "Spak-Metric: %.*s %.*s %.*s\n", (int)name.len, name.ptr, (int)unit.len,
                     unit.ptr, (int)median.len, median.ptr);
            shown++;
        }
}

static void add_trailers(const struct trace_job *job, const struct trace_source *source,
                         struct buf *out)
{
    struct buf target = {0};
    trace_add_value(&target, job->run->target);
    buf_addstr(out, "Spak-Format: 1\n");
    buf_addf(out, "Spak-Target: %s\n", buf_text(&target));
    buf_addf(out, "Spak-Status: %s\n", trace_status(job));
    buf_addf(out, "Spak-Source: %s\n", *source->commit ? source->commit : "none");
    buf_addf(out, "Spak-Source-Dirty: %s\n", source->dirty ? "yes" : "no");
    buf_addf(out, "Spak-Nodes: run=%zu reused=%zu failed=%zu\n", job->ran, job->reused,
             job->failed);
    buf_addf(out, "Spak-Machine: %s\n", trace_safe_path(job->arena, job->run->machine));
    add_metrics(job, out);
    buf_release(&target);
}

int trace_message(const struct trace_job *job, const struct trace_source *source,
                  git_commit *parent, const git_oid *tree, struct buf *out, struct err *e)
{
    struct changes c = {0};
    const char *old =
        parent ? trace_trailer(job->arena, git_commit_message(parent), "Spak-Status") : NULL;
    bool first = old == NULL;
    int rc = first ? 0 : find_changes(job, parent, tree, &c, e);
    if (rc == 0) {
        add_subject(job, &c, first, old && strcmp(old, trace_status(job)) == 0, out);
        buf_addstr(out, "\n\n");
        add_body(job, &c, first, out);
        buf_addch(out, '\n');
        add_trailers(job, source, out);
    }
    strs_release(&c.sources);
    strs_release(&c.plans);
    strs_release(&c.rest);
    return rc;
}

/* The last paragraph, where trailers are; a text in the body that looks like one does not count. */
static struct str last_paragraph(const char *message)
{
    struct str all = str_trim(str_of(message));
    size_t at = all.len;
    while (at > 1 && !(all.ptr[at - 1] == '\n' && all.ptr[at - 2] == '\n'))
        at--;
    return (struct str){all.ptr + (at > 1 ? at : 0), all.len - (at > 1 ? at : 0)};
}

static bool next_trailer(struct str *rest, const char *key, struct str *value)
{
    struct str line;
    size_t len = strlen(key);
    while (str_split(rest, '\n', &line)) {
        if (line.len > len && memcmp(line.ptr, key, len) == 0 && line.ptr[len] == ':') {
            *value = str_trim((struct str){line.ptr + len + 1, line.len - len - 1});
            return true;
        }
    }
    return false;
}

char *trace_trailer(struct arena *arena, const char *message, const char *key)
{
    struct str rest = last_paragraph(message ? message : ""), value;
    return next_trailer(&rest, key, &value) ? arena_strndup(arena, value.ptr, value.len) : NULL;
}

void trace_trailers(struct arena *arena, const char *message, const char *key, struct strs *out)
{
    struct str rest = last_paragraph(message ? message : ""), value;
    while (next_trailer(&rest, key, &value))
        strs_push(out, arena_strndup(arena, value.ptr, value.len));
}
