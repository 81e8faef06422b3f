#include "../crate.h"
#include "../repro.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define METADATA "ro-crate-metadata.json"
/* Beside the project's own files, which keep their names. */
#define TRACED "spak-trace"

struct exporting {
    struct cmd_context *c;
    struct session s;
    struct trace *t;
    struct trace_entry entry;
    struct crate crate;
    struct repro_place place; /* the crate in the making, beside where it will be */
    size_t outputs, absent;
};

/* A stranger's path may lead anywhere; each part is judged like a source's name. */
static bool is_plain(struct arena *arena, const char *path)
{
    struct str rest = str_of(path), part;
    struct err refused = {0};
    const char *at = "";
    bool plain = *path && *path != '/' && !text_ends_with(path, "/");
    while (plain && str_split(&rest, '/', &part)) {
        const char *name = arena_strndup(arena, part.ptr, part.len);
        at = arena_printf(arena, "%s%s%s", at, *at ? "/" : "", name);
        struct trace_item item = {.path = at, .name = name, .mode = 0040000};
        plain = repro_check(&item, 1, NULL, NULL, &refused) == 0;
    }
    err_release(&refused);
    return plain;
}

/* Texts are in the trace itself, also where there is no store: in a clone. */
static int put_from_trace(struct exporting *x, const struct crate_output *o, const char *full,
                          bool *there, struct err *e)
{
    struct arena *arena = x->c->arena;
    const char *safe = trace_node_path(arena, o->path);
    const char *const paths[] = {
        arena_printf(arena, "out/files/%s", safe),
        arena_printf(arena, "measure/%s/files/%s", x->entry.machine, safe)};
    struct digest digest;
    int rc = 0;
    for (size_t i = 0; rc == 0 && !*there && i < ARRAY_LEN(paths); i++) {
        struct buf text = {0};
        bool found = false;
        rc = trace_read(x->t, x->entry.commit, paths[i], &text, &found, e);
        hash_bytes(buf_text(&text), text.len, &digest);
        *there = rc == 0 && found && digest_equal(&digest, &o->digest);
        if (*there && (os_mkdirs_for(full, e) ||
                       os_write(full, buf_text(&text), text.len, o->executable ? 0755 : 0644, e)))
            rc = -1;
        buf_release(&text);
    }
    return rc;
}

static int put_from_store(struct exporting *x, const struct crate_output *o, const char *full,
                          bool *there, struct err *e)
{
    if (!store_has(x->s.store, &o->digest))
        return 0;
    int rc = os_mkdirs_for(full, e);
    if (rc == 0)
        rc = o->folder
                 ? store_get_tree(x->s.store, &o->digest, full, e)
                 : store_get_file(x->s.store, &o->digest, full, o->executable ? 0755 : 0644, e);
    *there = rc == 0;
    if (rc && store_lost_object(e)) {
        err_release(e);
        rc = 0;
    }
    return rc;
}

static int put_output(struct exporting *x, struct crate_output *o, struct err *e)
{
    struct os_stat st = {0};
    const char *full = arena_printf(x->c->arena, "%s/%s", x->place.top, o->path);
    if (!is_plain(x->c->arena, o->path))
        return 0;
    int rc = os_lstat(full, &st, e);
    if (rc == 0 && st.kind != OS_ABSENT)
        return 0; /* a source has that name */
    if (rc == 0)
        rc = put_from_store(x, o, full, &o->there, e);
    if (rc == 0 && !o->there && !o->folder)
        rc = put_from_trace(x, o, full, &o->there, e);
    return rc;
}

static int put_outputs(struct exporting *x, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->crate.output_count; i++) {
        rc = put_output(x, &x->crate.outputs[i], e);
        x->outputs += x->crate.outputs[i].there;
        x->absent += !x->crate.outputs[i].there;
    }
    return rc;
}

static int put_traced(struct exporting *x, const char *from, const char *name, struct err *e)
{
    struct buf text = {0};
    bool found = false;
    const char *path = arena_printf(x->c->arena, TRACED "/%s", name);
    const char *full = arena_printf(x->c->arena, "%s/%s", x->place.top, path);
    int rc = trace_read(x->t, x->entry.commit, from, &text, &found, e);
    if (rc == 0 && found) {
        strs_push(&x->crate.traced, path);
        rc = os_mkdirs_for(full, e) || os_write(full, buf_text(&text), text.len, 0644, e) ? -1 : 0;
    }
    buf_release(&text);
    return rc;
}

static int put_record(struct exporting *x, struct err *e)
{
    static const char *const measured[] = {"machine", "margins", "samples.bin", "summary"};
    static const char *const env[] = {"files", "params", "toolchain"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(env); i++)
        rc = put_traced(x, arena_printf(x->c->arena, "env/%s", env[i]), env[i], e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(measured); i++)
        rc =
            put_traced(x, arena_printf(x->c->arena, "measure/%s/%s", x->entry.machine, measured[i]),
                       measured[i], e);
    return rc;
}

/* The sources keep their places, so two names of the crate's own must be free. */
static int put_sources(struct exporting *x, struct err *e)
{
    struct arena *arena = x->c->arena;
    struct strs files = {0};
    size_t count;
    int rc = repro_unpack(x->t, x->entry.commit, &x->place, arena, &count, e);
    if (rc == 0)
        rc = trace_list(x->t, x->entry.commit, "src", arena, &files, e);
    for (size_t i = 0; rc == 0 && i < files.len; i++) {
        const char *path = files.at[i] + strlen("src/");
        if (!strcmp(path, METADATA) || text_starts_with(path, TRACED "/")) {
            rc = err_set(e, ERR_usage, "the sources hold %s, a name that the crate needs", path);
            err_hint(e, "rename it, build again and export that run");
        } else if (!text_starts_with(path, "out/")) {
            strs_push(&x->crate.sources, path);
        }
    }
    strs_sort(&x->crate.sources);
    strs_release(&files);
    return rc;
}

static int fill(struct exporting *x, struct err *e)
{
    struct buf text = {0};
    int rc = put_sources(x, e);
    if (rc == 0)
        rc = put_outputs(x, e);
    if (rc == 0)
        rc = put_record(x, e);
    if (rc == 0)
        rc = crate_describe(&x->crate, x->c->arena, &text, e);
    if (rc == 0)
        rc = os_write(arena_printf(x->c->arena, "%s/" METADATA, x->place.top), buf_text(&text),
                      text.len, 0644, e);
    buf_release(&text);
    return rc;
}

static int check_free(const char *dir, struct arena *arena, struct err *e)
{
    struct strs names = {0};
    struct os_stat st;
    if (os_lstat(dir, &st, e))
        return -1;
    if (st.kind == OS_ABSENT)
        return os_mkdirs_for(dir, e);
    if (st.kind == OS_DIR && os_list(dir, arena, &names, e))
        return -1;
    bool empty = st.kind == OS_DIR && names.len == 0;
    strs_release(&names);
    if (empty)
        return 0;
    err_set(e, ERR_usage, "%s is there already", dir);
    return err_hint(e, "name a folder that is not there yet, or an empty one");
}

/* All of it or nothing: it is made under another name and renamed. */
static int make_crate(struct exporting *x, const char *dir, struct err *e)
{
    struct arena *arena = x->c->arena;
    struct err ignored = {0};
    if (check_free(dir, arena, e))
        return -1;
    char *temporary = arena_printf(arena, "%s/" OS_TEMP_PREFIX "XXXXXX", os_dirname(arena, dir));
    if (!mkdtemp(temporary))
        return err_errno(e, ERR_os, "cannot make a folder beside %s", dir);
    x->place = (struct repro_place){.top = temporary, .project = temporary, .keep = true};
    chmod(temporary, 0755);
    int rc = fill(x, e);
    if (rc == 0)
        rc = os_rename(temporary, dir, e);
    if (rc && os_remove(temporary, &ignored))
        err_release(&ignored);
    return rc;
}

static void tell(const struct exporting *x, const char *dir)
{
    if (x->c->json) {
        project_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "folder", dir, "commit",
                                     x->entry.commit, "target", x->entry.target, "sources",
                                     (json_int_t)x->crate.sources.len, "nodes",
                                     (json_int_t)x->crate.node_count, "outputs",
                                     (json_int_t)x->outputs, "absent", (json_int_t)x->absent));
        return;
    }
    printf("%s: %s at %.10s, %zu sources, %zu outputs\n", dir, x->entry.target, x->entry.commit,
           x->crate.sources.len, x->outputs);
    if (x->absent)
        printf("%zu outputs are named by their digests alone: they are not in this store\n",
               x->absent);
}

static const char *default_folder(struct exporting *x)
{
    char *name = arena_printf(x->c->arena, "%s-crate", x->entry.target);
    for (char *p = name; *p; p++)
        *p = *p == '/' ? '-' : *p;
    return name;
}

static int export(struct exporting *x, struct err *e)
{
    const char *given = x->c->args.len == 3 ? x->c->args.at[2] : default_folder(x);
    const char *dir = os_join(x->c->arena, x->s.root, history_path(&x->s, given));
    int rc = crate_read(x->t, &x->entry, x->c->arena, &x->crate, e);
    if (rc == 0)
        rc = make_crate(x, dir, e);
    if (rc == 0)
        tell(x, given);
    return rc;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct exporting x = {.c = c, .s = {.lock_fd = -1}};
    if (c->args.len < 2 || c->args.len > 3 || strcmp(c->args.at[0], "ro-crate")) {
        err_set(e, ERR_usage, "export takes a format, a trace and at most one folder");
        return err_hint(e, "the format is ro-crate: spak export ro-crate fmha fmha-crate");
    }
    int rc = history_open(c, "export", &x.s, &x.t, e);
    if (rc == 0)
        rc = trace_resolve(x.t, c->args.at[1], c->arena, &x.entry, e);
    if (rc == 0)
        rc = export(&x, e);
    crate_release(&x.crate);
    strs_release(&x.entry.metrics);
    return history_close(&x.s, x.t, rc, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "spak export ro-crate fmha fmha-crate",
    "the last run of fmha as a folder that other people's tools understand",
    NULL,
};

const struct cmd cmd_export = {
    .name = "export",
    .summary = "write a run as an RO-Crate",
    .usage = "[OPTION]... ro-crate TRACE [DIR]",
    .text =
        "Makes a new folder (default: TARGET-crate): the sources of the run at their places, its "
        "outputs as far as the store or the trace has them, spak-trace/ with toolchain, "
        "measurements and raw samples, and ro-crate-metadata.json, which says what came from what. "
        "It keeps to the Provenance Run Crate profile 0.5 over RO-Crate 1.1: the spakfile is the "
        "workflow, each node a step with the tool that carried it out, the command line, what it "
        "took and what it made, by SHA-256. Outputs that are not here are named by their digests "
        "(ni:///sha-256;...). The metadata of one run is the same bytes each time.",
    .options = options,
    .examples = examples,
    .run = run,
};
