#include "../tar.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One trace as a file to carry. */
struct bundling {
    struct cmd_context *c;
    struct session s;
    struct trace *t;
    struct trace_entry entry;
    struct strs pending;
    struct strmap seen; /* objects by hex */
    struct tar_writer tar;
    size_t objects, absent;
};

/* The nodes below a folder of outcomes whose state says that they wait for a device. */
static int add_pending(struct bundling *b, const char *folder, const char *marker, struct err *e)
{
    struct strs files = {0};
    int rc = trace_list(b->t, b->entry.commit, folder, b->c->arena, &files, e);
    for (size_t i = 0; rc == 0 && i < files.len; i++) {
        const char *node = strstr(files.at[i], marker);
        struct buf text = {0};
        bool found = false;
        if (node)
            rc = trace_read(b->t, b->entry.commit, files.at[i], &text, &found, e);
        struct str rest = {buf_text(&text), text.len}, line;
        while (rc == 0 && found && str_split(&rest, '\n', &line))
            if (str_equal(line, str_of("state unmeasured")))
                strs_push(&b->pending, node + strlen(marker));
        buf_release(&text);
    }
    strs_release(&files);
    return rc;
}

static int find_pending(struct bundling *b, struct err *e)
{
    int rc = add_pending(b, "out", "out/", e);
    if (rc == 0)
        rc = add_pending(b, "measure", "/nodes/", e);
    strs_sort(&b->pending);
    return rc;
}

static int nothing_pending(struct bundling *b, struct err *e)
{
    if (b->pending.len)
        return 0;
    err_set(e, ERR_usage, "no node of %s waits for a device", b->entry.target);
    return err_hint(e, "spak bundle %s -o FILE carries it as it is", b->entry.target);
}

static int add_manifest(struct bundling *b, struct err *e)
{
    struct buf text = {0};
    buf_addf(&text, "spak-bundle 1\ntarget %s\ncommit %s\n", b->entry.target, b->entry.commit);
    for (size_t i = 0; i < b->pending.len; i++)
        buf_addf(&text, "pending %s\n", b->pending.at[i]);
    int rc = tar_add(&b->tar, "manifest", text.ptr, text.len, e);
    buf_release(&text);
    return rc;
}

static int add_history(struct bundling *b, struct err *e)
{
    struct buf bundle = {0};
    int rc = trace_bundle(b->t, b->entry.target, b->entry.commit, &bundle, e);
    if (rc == 0)
        rc = tar_add(&b->tar, "bundle.git", bundle.ptr, bundle.len, e);
    buf_release(&bundle);
    return rc;
}

static int add_object(struct bundling *b, const struct digest *d, struct err *e)
{
    char hex[DIGEST_HEX_LEN + 1], name[80];
    struct buf bytes = {0};
    digest_hex(d, hex);
    if (strmap_get(&b->seen, hex) != STRMAP_NONE)
        return 0;
    strmap_set(&b->seen, arena_strdup(b->c->arena, hex), 1);
    snprintf(name, sizeof(name), "cas/%.2s/%s", hex, hex);
    int rc = store_get_bytes(b->s.store, d, &bytes, e);
    if (rc == 0) {
        rc = tar_add(&b->tar, name, buf_text(&bytes), bytes.len, e);
        b->objects++;
    } else if (store_lost_object(e)) {
        err_release(e);
        b->absent++;
        rc = 0;
    }
    buf_release(&bytes);
    return rc;
}

static int add_member(void *ctx, const struct digest *d, bool folder, struct err *e)
{
    (void)folder;
    return add_object(ctx, d, e);
}

static int add_named(void *ctx, const struct trace_named *n, struct err *e)
{
    struct bundling *b = ctx;
    int rc = add_object(b, &n->digest, e);
    if (rc == 0 && n->folder && store_has(b->s.store, &n->digest))
        rc = store_folder_objects(b->s.store, &n->digest, add_member, b, e);
    return rc;
}

static int write_bundle(struct bundling *b, const char *path, struct err *e)
{
    int rc = tar_create(&b->tar, path, e);
    if (rc)
        return rc;
    rc = add_manifest(b, e);
    if (rc == 0)
        rc = add_history(b, e);
    if (rc == 0)
        rc = trace_named_by(b->t, b->entry.commit, b->c->arena, add_named, b, e);
    if (rc == 0)
        rc = tar_finish(&b->tar, e);
    tar_drop(&b->tar);
    return rc;
}

static void tell(const struct bundling *b, const char *path)
{
    if (b->c->json) {
        json_t *pending = json_array();
        for (size_t i = 0; i < b->pending.len; i++)
            json_array_append_new(pending, json_string(b->pending.at[i]));
        project_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "file", path, "commit",
                                     b->entry.commit, "target", b->entry.target, "objects",
                                     (json_int_t)b->objects, "absent", (json_int_t)b->absent,
                                     "pending", pending));
        return;
    }
    printf("%s: %s at %.10s, %zu objects\n", path, b->entry.target, b->entry.commit, b->objects);
    if (b->absent)
        printf("%zu objects that it names are not in this store, and not in the bundle\n",
               b->absent);
    for (size_t i = 0; i < b->pending.len; i++)
        printf("pending  %s\n", b->pending.at[i]);
}

static int choose(struct bundling *b, const char **revision, struct err *e)
{
    struct strs targets = {0};
    if (b->c->args.len == 1) {
        *revision = b->c->args.at[0];
        return 0;
    }
    int rc = trace_targets(b->t, b->c->arena, &targets, e);
    if (rc == 0 && targets.len == 1) {
        *revision = targets.at[0];
    } else if (rc == 0) {
        rc = err_set(e, ERR_usage, "bundle takes one trace");
        err_hint(e, "spak bundle fmha -o fmha.tar");
    }
    strs_release(&targets);
    return rc;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct bundling b = {.c = c, .s = {.lock_fd = -1}};
    const char *file = cmd_value(c, "output"), *revision = NULL;
    if (!file || c->args.len > 1) {
        err_set(e, ERR_usage,
                file ? "bundle takes one trace" : "bundle needs a file to write: -o FILE");
        return err_hint(e, "spak bundle fmha -o fmha.tar");
    }
    int rc = history_open(c, "bundle", &b.s, &b.t, e);
    if (rc == 0)
        rc = choose(&b, &revision, e);
    if (rc == 0)
        rc = trace_resolve(b.t, revision, c->arena, &b.entry, e);
    if (rc == 0)
        rc = find_pending(&b, e);
    if (rc == 0 && cmd_flag(c, "pending"))
        rc = nothing_pending(&b, e);
    if (rc == 0)
        rc = write_bundle(&b, history_path(&b.s, file), e);
    if (rc == 0)
        tell(&b, file);
    strs_release(&b.entry.metrics);
    strs_release(&b.pending);
    strmap_release(&b.seen);
    return history_close(&b.s, b.t, rc, e);
}

static const struct cmd_option options[] = {
    {'o', "output", CMD_VALUE, "FILE", "the file to write"},
    {0, "pending", CMD_FLAG, NULL, "insist on nodes that wait for a device"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak bundle fmha -o fmha.tar",
    "the history of fmha and what its last run made, in one file",
    "spak bundle --pending fmha -o fmha.tar",
    "the same, to build on a machine with a device what could not be built here",
    "tar -xf fmha.tar bundle.git && git fetch bundle.git 'refs/heads/spak/*:refs/heads/spak/*'",
    "the history by git's own means",
    NULL,
};

const struct cmd cmd_bundle = {
    .name = "bundle",
    .summary = "carry a target's history and results in one file",
    .usage = "[OPTION]... -o FILE [TRACE]",
    .text =
        "The file is a plain tar archive: manifest (target, commit, nodes that wait for a device), "
        "bundle.git (a git bundle of the branch spak/TARGET up to the trace, which holds the "
        "sources too, and of all notes) and cas/XX/SHA256, the objects that the trace names. "
        "`spak unbundle` takes it in, on a machine that has the project or in an empty folder.",
    .options = options,
    .examples = examples,
    .run = run,
};
