#include "trace_parts.h"

/* How much of the pack is handed over at once: the indexer maps the file anew each time. */
#define PIECE_BYTES ((size_t)4 << 20)

/* No object is written as what it differs from another: to look for the other one took most of the
 * time of a first trace. git does that when it packs the repository anew. */
struct pack {
    git_indexer *indexer;
    git_indexer_progress progress;
    struct store_zip *zip;
    struct hasher sum;
    struct buf out;
};

static int hand_over(struct pack *p)
{
    return git_indexer_append(p->indexer, p->out.ptr, p->out.len, &p->progress);
}

static void add_number(struct buf *out, uint32_t n)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_addch(out, (char)(n >> shift));
}

/* The type and four bits of the length, then seven bits a byte, the lowest first; the top bit says
 * that more follows. */
static void add_head(struct buf *out, git_object_t type, size_t len)
{
    unsigned byte = (unsigned)type << 4 | (len & 15);
    for (len >>= 4; len; len >>= 7) {
        buf_addch(out, (char)(byte | 128));
        byte = len & 127;
    }
    buf_addch(out, (char)byte);
}

static int add_objects(struct pack *p, const struct trace_batch *b)
{
    int rc = 0;
    buf_addstr(&p->out, "PACK");
    add_number(&p->out, 2);
    add_number(&p->out, (uint32_t)b->len);
    for (size_t i = 0; rc == 0 && i < b->len; i++) {
        const struct trace_object *o = &b->objects[i];
        add_head(&p->out, o->type, o->len);
        store_zip_add(p->zip, o->bytes, o->len, &p->out);
        if (p->out.len < PIECE_BYTES)
            continue;
        hash_add(&p->sum, p->out.ptr, p->out.len);
        rc = hand_over(p);
        buf_reset(&p->out);
    }
    return rc;
}

/* Git's digest of all that comes before. */
static void add_sum(struct pack *p)
{
    struct digest sum;
    hash_add(&p->sum, p->out.ptr, p->out.len);
    hash_final(&p->sum, &sum);
    buf_add(&p->out, sum.bytes, HASH_SHA1_BYTES);
}

static int write_to(const struct trace_batch *b, const char *folder)
{
    struct pack p = {0};
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    int rc = git_indexer_new(&p.indexer, folder, 0, NULL, NULL);
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0);
    if (rc)
        return rc;
    p.zip = store_zip_open();
    hash_init_sha1(&p.sum);
    rc = add_objects(&p, b);
    add_sum(&p);
    if (rc == 0)
        rc = hand_over(&p);
    if (rc == 0)
        rc = git_indexer_commit(p.indexer, &p.progress);
    git_indexer_free(p.indexer);
    store_zip_close(p.zip);
    buf_release(&p.out);
    return rc;
}

int trace_pack_write(const struct trace_batch *b)
{
    git_buf objects = {0};
    struct buf folder = {0};
    int rc = git_repository_item_path(&objects, b->repo, GIT_REPOSITORY_ITEM_OBJECTS);
    if (rc == 0) {
        buf_addf(&folder, "%s/pack", objects.ptr);
        rc = write_to(b, folder.ptr);
    }
    git_buf_dispose(&objects);
    buf_release(&folder);
    return rc;
}
