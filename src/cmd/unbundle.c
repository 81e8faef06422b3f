#include "../repro.h"
#include "../tar.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX_BYTES (1u << 20)
#define HISTORY_MAX_BYTES ((uint64_t)4 << 30)

struct unbundling {
    struct cmd_context *c;
    struct session s;
    struct trace *t;
    struct tar_reader tar;
    struct trace_taken taken;
    const char *target;
    struct strs pending;
    size_t objects;
    size_t files; /* sources written into an empty folder */
};

static int refuse(const char *file, const char *why, struct err *e)
{
    err_set(e, ERR_bundle_damaged, "%s: %s", file, why);
    return err_hint(e, "make it again with `spak bundle`");
}

static int expect(struct unbundling *u, const char *name, uint64_t limit, struct buf *out,
                  struct err *e)
{
    struct tar_entry entry;
    bool found;
    if (tar_next(&u->tar, &entry, &found, e))
        return -1;
    if (!found || strcmp(entry.name, name) != 0)
        return refuse(u->tar.path, "it is a tar archive, but no bundle", e);
    return tar_read(&u->tar, limit, out, e);
}

static int read_manifest(struct unbundling *u, struct err *e)
{
    struct buf text = {0};
    struct arena *a = u->c->arena;
    int rc = expect(u, "manifest", MANIFEST_MAX_BYTES, &text, e);
    struct str rest = str_of(buf_text(&text)), line;
    if (rc == 0 && (!str_split(&rest, '\n', &line) || !str_equal(line, str_of("spak-bundle 1"))))
        rc = refuse(u->tar.path, "it is a bundle of another format than 1", e);
    while (rc == 0 && str_split(&rest, '\n', &line)) {
        const char *text_of_line = arena_strndup(a, line.ptr, line.len);
        if (text_starts_with(text_of_line, "target "))
            u->target = repro_printable(a, text_of_line + strlen("target "));
        else if (text_starts_with(text_of_line, "pending "))
            strs_push(&u->pending, repro_printable(a, text_of_line + strlen("pending ")));
    }
    if (rc == 0 && !u->target)
        rc = refuse(u->tar.path, "its manifest names no target", e);
    buf_release(&text);
    return rc;
}

static int take_history(struct unbundling *u, struct err *e)
{
    struct buf bundle = {0};
    int rc = expect(u, "bundle.git", HISTORY_MAX_BYTES, &bundle, e);
    if (rc == 0)
        rc = trace_unbundle(u->t, (struct str){buf_text(&bundle), bundle.len}, u->c->arena,
                            &u->taken, e);
    buf_release(&bundle);
    return rc;
}

/* A name is "cas/ab/<sha256>", and the content has that digest, or nothing of it stays. */
static int take_object(struct unbundling *u, const struct tar_entry *entry, struct err *e)
{
    struct digest named, digest;
    struct arena *a = u->c->arena;
    uint64_t size;
    const char *hex = strrchr(entry->name, '/');
    if (!hex || !digest_from_hex(hex + 1, &named) ||
        strcmp(entry->name, arena_printf(a, "cas/%.2s/%s", hex + 1, hex + 1)) != 0)
        return refuse(u->tar.path, arena_printf(a, "%s is no object's name", entry->name), e);
    if (store_has(u->s.store, &named))
        return 0;
    const char *temp = arena_printf(a, "%s/tmp/unbundle-%d", u->s.state_dir, (int)getpid());
    int rc = os_mkdirs_for(temp, e);
    if (rc == 0)
        rc = tar_save(&u->tar, temp, e);
    if (rc == 0)
        rc = hash_file(temp, &digest, e);
    if (rc == 0 && !digest_equal(&digest, &named))
        rc = refuse(u->tar.path,
                    arena_printf(a, "the content of %s has another digest", entry->name), e);
    if (rc == 0)
        rc = store_put_file(u->s.store, temp, NULL, &digest, &size, e);
    unlink(temp);
    u->objects += rc == 0;
    return rc;
}

static int take_objects(struct unbundling *u, struct err *e)
{
    struct tar_entry entry;
    bool found = true;
    int rc = 0;
    while (rc == 0 && found) {
        rc = tar_next(&u->tar, &entry, &found, e);
        if (rc == 0 && found)
            rc = take_object(u, &entry, e);
    }
    return rc;
}

static void tell(const struct unbundling *u)
{
    if (u->c->json) {
        json_t *pending = json_array();
        for (size_t i = 0; i < u->pending.len; i++)
            json_array_append_new(pending, json_string(u->pending.at[i]));
        project_print_json(json_pack("{s:s, s:s, s:b, s:I, s:I, s:o}", "branch", u->taken.ref,
                                     "commit", u->taken.commit, "moved", u->taken.moved, "objects",
                                     (json_int_t)u->objects, "files", (json_int_t)u->files,
                                     "pending", pending));
        return;
    }
    if (u->files)
        printf("%zu source files\n", u->files);
    printf("%s %s %.10s, %zu new objects\n", u->taken.ref,
           u->taken.moved ? "is now at" : "has it already:", u->taken.commit, u->objects);
    for (size_t i = 0; i < u->pending.len; i++)
        printf("pending  %s\n", u->pending.at[i]);
    if (u->pending.len)
        printf("`spak build %s` builds what waits, where there is a device\n", u->target);
}

/* True for a folder with nothing in it but, perhaps, the bundle itself. */
static int is_empty_folder(const char *file, struct arena *arena, bool *empty, struct err *e)
{
    struct strs names = {0};
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    if (os_list(".", arena, &names, e))
        return -1;
    *empty = names.len == 0 || (names.len == 1 && strcmp(names.at[0], base) == 0);
    strs_release(&names);
    return 0;
}

/* The history goes into a repository of its own first, for the sources come out of it. */
static int found_project(struct unbundling *u, struct err *e)
{
    struct arena *a = u->c->arena;
    char *root = os_getcwd(a, e);
    struct repro_place place = {.top = root, .project = root, .keep = true};
    if (!root || trace_create(root, e) || !(u->t = trace_open(root, "out", NULL, e)))
        return -1;
    int rc = read_manifest(u, e);
    if (rc == 0)
        rc = take_history(u, e);
    if (rc == 0)
        rc = repro_unpack(u->t, u->taken.commit, &place, a, &u->files, e);
    if (rc == 0)
        rc = trace_adopt(u->t, u->taken.commit, e);
    return rc;
}

static bool is_git_bundle(const char *file)
{
    static const char magic[] = "# v";
    char line[16] = "";
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
    if (f)
        fclose(f);
    return n == sizeof(line) - 1 && !strncmp(line, magic, strlen(magic)) &&
           !strncmp(line + strlen(magic) + 1, " git bundle", 11);
}

static int open_file(struct unbundling *u, const char *file, struct err *e)
{
    if (!is_git_bundle(file))
        return tar_open(&u->tar, file, e);
    err_set(e, ERR_bundle_damaged, "%s is a bundle of git's: it holds traces and no objects", file);
    return err_hint(e,
                    "git fetch %s 'refs/heads/spak/*:refs/heads/spak/*' "
                    "'refs/notes/spak/*:refs/notes/spak/*'",
                    file);
}

static int unbundle(struct unbundling *u, const char *file, struct err *e)
{
    bool empty;
    const char *dir = cmd_value(u->c, "directory");
    struct arena *a = u->c->arena;
    char *here = os_getcwd(a, e);
    struct session_options o = {.file = cmd_value(u->c, "file"), .verb = "unbundle", .lock = true};
    file = here ? os_join(a, here, file) : NULL;
    if (!here || open_file(u, file, e))
        return -1;
    if (dir && (os_mkdirs(dir, e) || chdir(dir) != 0))
        return e->set ? -1 : err_errno(e, ERR_spakfile_missing, "cannot work in %s", dir);
    if (is_empty_folder(file, a, &empty, e) || (empty && found_project(u, e)))
        return -1;
    int rc = session_open(&u->s, &o, a, e);
    if (rc == 0)
        rc = session_load(&u->s, e);
    if (rc == 0 && !u->t) {
        text_id to = u->s.graph->trace_to;
        u->t = trace_open(u->s.root, u->s.out_dir, to ? graph_text(u->s.graph, to) : NULL, e);
        rc = u->t ? read_manifest(u, e) : -1;
        if (rc == 0)
            rc = take_history(u, e);
    }
    return rc ? -1 : take_objects(u, e);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct unbundling u = {.c = c, .s = {.lock_fd = -1}, .tar = {.fd = -1}};
    if (c->args.len != 1) {
        err_set(e, ERR_usage, "unbundle takes one file");
        return err_hint(e, "spak unbundle fmha.tar");
    }
    int rc = unbundle(&u, c->args.at[0], e);
    if (rc == 0)
        tell(&u);
    tar_close(&u.tar);
    strs_release(&u.pending);
    return history_close(&u.s, u.t, rc, e);
}

static const struct cmd_option options[] = {CMD_COMMON_OPTIONS, {0}};
static const char *const examples[] = {
    "spak unbundle fmha.tar",
    "take in what `spak bundle` made",
    "spak unbundle fmha.tar -C fmha && spak build fmha -C fmha",
    "set the project up in a new folder and build what waits for a device",
    NULL,
};

const struct cmd cmd_unbundle = {
    .name = "unbundle",
    .summary = "take in a file that `spak bundle` made",
    .usage = "[OPTION]... FILE",
    .text =
        "The branch spak/TARGET moves forward to the bundle's trace; a branch that has other runs "
        "is left alone, and that is an error. Notes are added to, objects are taken only when "
        "their content has the digest they are named by. In an empty folder the sources "
        "are written out too, judged like those of `spak reproduce`, and a git repository is "
        "made. What an outcome rests on is never taken on trust: this machine builds it again, and "
        "the objects spare nobody that. Building runs what the spakfile says: read a stranger's "
        "first.",
    .options = options,
    .examples = examples,
    .run = run,
};
