#include "trace_parts.h"

#include <stdlib.h>
#include <string.h>

/* Above this many, objects go into one pack: a pack costs a fixed few milliseconds, a loose object
 * a file each. */
#define LOOSE_MAX 200
/* As deep as a path can be; a tree that is deeper was made to hurt. */
#define DEPTH_MAX 512

int trace_files_add(struct trace_files *files, const char *path, const char *bytes, size_t len,
                    struct err *e)
{
    git_oid id;
    if (git_odb_hash(&id, bytes, len, GIT_OBJECT_BLOB))
        return trace_git_error(e, ERR_trace_repository, "cannot hash %s", path);
    trace_files_add_id(files, path, GIT_FILEMODE_BLOB, &id);
    files->at[files->len - 1].bytes = bytes;
    files->at[files->len - 1].len = len;
    return 0;
}

void trace_files_add_id(struct trace_files *files, const char *path, uint32_t mode,
                        const git_oid *id)
{
    if (files->len == files->cap) {
        files->cap = files->cap ? files->cap * 2 : 64;
        files->at = xrealloc(files->at, files->cap * sizeof(*files->at));
    }
    struct trace_file *f = &files->at[files->len++];
    *f = (struct trace_file){.path = path, .mode = mode};
    if (id)
        f->id = *id;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct trace_file *)a)->path, ((const struct trace_file *)b)->path);
}

void trace_files_sort(struct trace_files *files)
{
    if (files->len)
        qsort(files->at, files->len, sizeof(*files->at), by_path);
}

void trace_files_release(struct trace_files *files)
{
    free(files->at);
    *files = (struct trace_files){0};
}

static size_t slot_of(const struct trace_batch *b, const git_oid *id)
{
    uint64_t hash;
    memcpy(&hash, id->id, sizeof(hash));
    size_t i = hash & (b->slot_count - 1);
    while (b->slots[i] && !git_oid_equal(&b->objects[b->slots[i] - 1].id, id))
        i = (i + 1) & (b->slot_count - 1);
    return i;
}

static void grow_slots(struct trace_batch *b)
{
    free(b->slots);
    b->slot_count = b->slot_count ? b->slot_count * 2 : 256;
    b->slots = xcalloc(b->slot_count, sizeof(*b->slots));
    for (size_t i = 0; i < b->len; i++)
        b->slots[slot_of(b, &b->objects[i].id)] = (uint32_t)i + 1;
}

static const struct trace_object *waiting(const struct trace_batch *b, const git_oid *id)
{
    uint32_t at = b->slot_count ? b->slots[slot_of(b, id)] : 0;
    return at ? &b->objects[at - 1] : NULL;
}

void trace_batch_put(struct trace_batch *b, const git_oid *id, git_object_t type, const void *bytes,
                     size_t len)
{
    if (waiting(b, id))
        return;
    if (b->len == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->objects = xrealloc(b->objects, b->cap * sizeof(*b->objects));
    }
    b->objects[b->len++] = (struct trace_object){*id, type, bytes, len};
    if (b->len * 2 > b->slot_count)
        grow_slots(b);
    else
        b->slots[slot_of(b, id)] = (uint32_t)b->len;
}

/* One entry of a folder in the making. */
struct entry {
    const char *name;
    uint32_t mode; /* 0: gone */
    git_oid id;
};
struct folder {
    struct entry *at;
    size_t len;
    size_t cap;
    struct strmap index; /* of the entries that the base had */
};

static struct entry *folder_entry(struct folder *f, const char *name)
{
    uint32_t i = strmap_get(&f->index, name);
    return i == STRMAP_NONE ? NULL : &f->at[i];
}

static void folder_set(struct folder *f, const char *name, uint32_t mode, const git_oid *id)
{
    struct entry *there = folder_entry(f, name);
    if (!there) {
        if (f->len == f->cap) {
            f->cap = f->cap ? f->cap * 2 : 32;
            f->at = xrealloc(f->at, f->cap * sizeof(*f->at));
        }
        there = &f->at[f->len++];
        there->name = name;
    }
    there->mode = mode;
    if (id)
        there->id = *id;
}

/* git's order: a folder sorts as if its name ended in a slash. */
static int by_git_order(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;
    size_t la = strlen(a->name), lb = strlen(b->name);
    int order = memcmp(a->name, b->name, la < lb ? la : lb);
    if (order)
        return order;
    unsigned char ca = la > lb                        ? (unsigned char)a->name[lb]
                       : a->mode == GIT_FILEMODE_TREE ? '/'
                                                      : 0;
    unsigned char cb = lb > la                        ? (unsigned char)b->name[la]
                       : b->mode == GIT_FILEMODE_TREE ? '/'
                                                      : 0;
    return (int)ca - (int)cb;
}

static const git_tree_entry *entry_of(const git_tree *tree, const char *name)
{
    return tree ? git_tree_entry_byname(tree, name) : NULL;
}

static bool tree_has(const git_tree *tree, const char *name, const git_oid *id)
{
    const git_tree_entry *entry = entry_of(tree, name);
    return entry && git_oid_equal(git_tree_entry_id(entry), id);
}

static const git_oid *subtree_of(const git_tree *tree, const char *name)
{
    const git_tree_entry *entry = entry_of(tree, name);
    if (!entry || git_tree_entry_filemode(entry) != GIT_FILEMODE_TREE)
        return NULL;
    return git_tree_entry_id(entry);
}

static void folder_from_tree(struct folder *f, const git_tree *base, struct arena *arena)
{
    size_t count = base ? git_tree_entrycount(base) : 0;
    for (size_t i = 0; i < count; i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(base, i);
        const char *name = arena_strdup(arena, git_tree_entry_name(entry));
        folder_set(f, name, git_tree_entry_filemode_raw(entry), git_tree_entry_id(entry));
        strmap_set(&f->index, name, (uint32_t)f->len - 1);
    }
}

/* The folder as a tree object; `empty` when no entry is left. */
static int folder_write(struct trace_batch *b, struct folder *f, const git_oid *prior, git_oid *out,
                        bool *empty, struct err *e)
{
    struct buf raw = {0};
    if (f->len)
        qsort(f->at, f->len, sizeof(*f->at), by_git_order);
    for (size_t i = 0; i < f->len; i++) {
        if (!f->at[i].mode)
            continue;
        buf_addf(&raw, "%o %s", f->at[i].mode, f->at[i].name);
        buf_addch(&raw, 0);
        buf_add(&raw, f->at[i].id.id, GIT_OID_RAWSZ);
    }
    *empty = raw.len == 0;
    int rc = *empty ? 0 : git_odb_hash(out, raw.ptr, raw.len, GIT_OBJECT_TREE);
    if (rc == 0 && !*empty && !(prior && git_oid_equal(prior, out)))
        trace_batch_put(b, out, GIT_OBJECT_TREE, arena_memdup(b->arena, raw.ptr, raw.len), raw.len);
    buf_release(&raw);
    return rc ? trace_git_error(e, ERR_trace_repository, "cannot hash a tree") : 0;
}

/* The state of laying files over one folder; folders nest as paths do, on a stack of their own. */
struct level {
    struct folder folder;
    git_tree *base;
    git_tree *prior;
    size_t skip; /* length of the folder's path in the files' paths, slash included */
    const char *name;
};

static int look_up_tree(git_repository *repo, const git_oid *id, git_tree **out, struct err *e)
{
    *out = NULL;
    if (id && git_tree_lookup(out, repo, id))
        return trace_git_error(e, ERR_trace_content, "cannot read tree %s", git_oid_tostr_s(id));
    return 0;
}

static int level_open(struct trace_batch *b, git_repository *base_repo, struct level *l,
                      const git_oid *base, const git_oid *prior, struct err *e)
{
    if (look_up_tree(base_repo, base, &l->base, e) || look_up_tree(b->repo, prior, &l->prior, e))
        return -1;
    folder_from_tree(&l->folder, l->base, b->arena);
    return 0;
}

static void level_close(struct level *l)
{
    git_tree_free(l->base);
    git_tree_free(l->prior);
    free(l->folder.at);
    strmap_release(&l->folder.index);
    *l = (struct level){0};
}

static void apply_file(struct trace_batch *b, struct level *l, const struct trace_file *f)
{
    const char *name = f->path + l->skip;
    folder_set(&l->folder, name, f->mode, &f->id);
    if (f->mode && f->bytes && !tree_has(l->prior, name, &f->id))
        trace_batch_put(b, &f->id, GIT_OBJECT_BLOB, f->bytes, f->len);
}

static int level_enter(struct trace_batch *b, git_repository *base_repo, struct level *levels,
                       size_t depth, const char *path, struct err *e)
{
    struct level *up = &levels[depth], *l = &levels[depth + 1];
    const char *part = path + up->skip, *slash = strchr(part, '/');
    *l = (struct level){.skip = up->skip + (size_t)(slash - part) + 1};
    l->name = arena_strndup(b->arena, part, (size_t)(slash - part));
    const struct entry *there = folder_entry(&up->folder, l->name);
    const git_oid *base = there && there->mode == GIT_FILEMODE_TREE ? &there->id : NULL;
    return level_open(b, base_repo, l, base, subtree_of(up->prior, l->name), e);
}

static int level_leave(struct trace_batch *b, struct level *levels, size_t depth, struct err *e)
{
    struct level *up = &levels[depth - 1], *l = &levels[depth];
    git_oid id = {0};
    bool empty;
    int rc = folder_write(b, &l->folder, subtree_of(up->prior, l->name), &id, &empty, e);
    const struct entry *there = folder_entry(&up->folder, l->name);
    if (rc == 0 && !empty)
        folder_set(&up->folder, l->name, GIT_FILEMODE_TREE, &id);
    else if (rc == 0 && there && there->mode == GIT_FILEMODE_TREE)
        folder_set(&up->folder, l->name, 0, NULL);
    level_close(l);
    return rc;
}

/* Whether `path` lies in the folder of a level whose own path is the first `skip` bytes of
 * `inside`. */
static bool in_level(const char *path, const char *inside, size_t skip)
{
    return strncmp(path, inside, skip) == 0;
}

static int lay_files(struct trace_batch *b, git_repository *base_repo, struct level *levels,
                     size_t *depth, const struct trace_files *files, struct err *e)
{
    const char *last = "";
    for (size_t i = 0; i < files->len; i++) {
        const char *path = files->at[i].path;
        while (*depth && !in_level(path, last, levels[*depth].skip))
            if (level_leave(b, levels, (*depth)--, e))
                return -1;
        while (strchr(path + levels[*depth].skip, '/')) {
            if (*depth + 2 >= DEPTH_MAX)
                return err_set(e, ERR_trace_content, "%s is too deep a path", path);
            int rc = level_enter(b, base_repo, levels, (*depth)++, path, e);
            if (rc)
                return rc;
        }
        apply_file(b, &levels[*depth], &files->at[i]);
        last = path;
    }
    while (*depth)
        if (level_leave(b, levels, (*depth)--, e))
            return -1;
    return 0;
}

int trace_batch_tree(struct trace_batch *b, git_repository *base_repo, const git_oid *base,
                     const git_oid *prior, const struct trace_files *files, git_oid *out,
                     bool *empty, struct err *e)
{
    struct level *levels = xcalloc(DEPTH_MAX, sizeof(*levels));
    size_t depth = 0;
    int rc = level_open(b, base_repo, &levels[0], base, prior, e);
    if (rc == 0)
        rc = lay_files(b, base_repo, levels, &depth, files, e);
    if (rc == 0)
        rc = folder_write(b, &levels[0].folder, prior, out, empty, e);
    for (size_t i = 0; i <= depth; i++)
        level_close(&levels[i]);
    free(levels);
    return rc;
}

/* Ids of a tree's children, read from its raw bytes: the tree may only wait in the batch. */
static void push_children(const char *raw, size_t len, git_oid **stack, size_t *count, size_t *cap)
{
    const char *end = raw + len;
    while (raw < end) {
        const char *nul = memchr(raw, 0, (size_t)(end - raw));
        if (!nul || end - nul <= GIT_OID_RAWSZ)
            return;
        if (!text_starts_with(raw, "160000 ")) {
            if (*count == *cap) {
                *cap = *cap ? *cap * 2 : 64;
                *stack = xrealloc(*stack, *cap * sizeof(**stack));
            }
            git_oid_fromraw(&(*stack)[(*count)++], (const unsigned char *)nul + 1);
        }
        raw = nul + 1 + GIT_OID_RAWSZ;
    }
}

static int import_one(struct trace_batch *b, git_odb *from, git_odb *to, const git_oid *id,
                      git_oid **stack, size_t *count, size_t *cap, struct err *e)
{
    const struct trace_object *there = waiting(b, id);
    if (there) {
        if (there->type == GIT_OBJECT_TREE)
            push_children(there->bytes, there->len, stack, count, cap);
        return 0;
    }
    if (git_odb_exists(to, id))
        return 0;
    git_odb_object *object = NULL;
    if (git_odb_read(&object, from, id))
        return trace_git_error(e, ERR_trace_content, "cannot read %s from the source repository",
                               git_oid_tostr_s(id));
    size_t len = git_odb_object_size(object);
    const void *bytes = arena_memdup(b->arena, git_odb_object_data(object), len);
    git_object_t type = git_odb_object_type(object);
    git_odb_object_free(object);
    trace_batch_put(b, id, type, bytes, len);
    if (type == GIT_OBJECT_TREE)
        push_children(bytes, len, stack, count, cap);
    return 0;
}

int trace_batch_import(struct trace_batch *b, git_repository *from, const git_oid *tree,
                       struct err *e)
{
    git_odb *from_odb = NULL, *to_odb = NULL;
    git_oid *stack = xmalloc(64 * sizeof(*stack));
    size_t count = 1, cap = 64;
    int rc = 0;
    stack[0] = *tree;
    if (git_repository_odb(&from_odb, from) || git_repository_odb(&to_odb, b->repo))
        rc = trace_git_error(e, ERR_trace_repository, "cannot open the object store");
    while (rc == 0 && count) {
        git_oid id = stack[--count];
        rc = import_one(b, from_odb, to_odb, &id, &stack, &count, &cap, e);
    }
    free(stack);
    git_odb_free(from_odb);
    git_odb_free(to_odb);
    return rc;
}

static int write_loose(const struct trace_batch *b)
{
    git_odb *odb = NULL;
    int rc = git_repository_odb(&odb, b->repo);
    for (size_t i = 0; rc == 0 && i < b->len; i++) {
        const struct trace_object *o = &b->objects[i];
        git_oid id;
        rc = git_odb_write(&id, odb, o->bytes, o->len, o->type);
    }
    git_odb_free(odb);
    return rc;
}

int trace_batch_flush(struct trace_batch *b, struct err *e)
{
    int rc = b->len > LOOSE_MAX ? trace_pack_write(b) : write_loose(b);
    b->len = 0;
    if (b->slot_count)
        memset(b->slots, 0, b->slot_count * sizeof(*b->slots));
    return rc ? trace_git_error(e, ERR_trace_repository, "cannot write the trace's objects") : 0;
}

void trace_batch_release(struct trace_batch *b)
{
    free(b->objects);
    free(b->slots);
    *b = (struct trace_batch){0};
}
