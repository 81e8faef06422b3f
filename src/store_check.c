#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB trusts its pages: a flipped bit in one can end in a crash, or in a page that is written over
 * another. So a file that may not be the one this program left, for its stat is not what was noted
 * then, is walked page by page before LMDB looks at it: every length and every page number in
 * range, no page in two places. What values hold has its own checksum, looked at when it is read.
 *
 * The layout is that of LMDB's data version 1, which every 0.9 has. */

#define META_COUNT 2
#define PAGE_HEAD 16
#define NODE_HEAD 8
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1u
#define NO_PAGE UINT64_MAX
#define DEPTH_MAX 32

enum page_flag { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum node_flag { NODE_BIG = 1, NODE_SUB = 2 };
enum tree_kind { TREE_FREE, TREE_MAIN, TREE_TABLE };

struct tree {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};
struct meta {
    uint32_t magic, version;
    uint64_t address, map_bytes;
    struct tree trees[2];
    uint64_t last_page, transaction;
};
struct page {
    uint64_t number;
    uint16_t pad, flags, lower, upper;
};
struct entry {
    uint16_t low, high, flags, key_bytes;
};

struct check {
    const uint8_t *map;
    size_t page_bytes;
    uint64_t pages; /* of the snapshot: last_page + 1 */
    uint8_t *seen;  /* a bit a page */
    const char *fault;
};

static bool fault(struct check *c, const char *what)
{
    c->fault = c->fault ? c->fault : what;
    return false;
}

static const uint8_t *page_at(const struct check *c, uint64_t number)
{
    return c->map + number * c->page_bytes;
}

/* Takes a run of pages for one use. */
static bool take_pages(struct check *c, uint64_t first, uint64_t count)
{
    if (first < META_COUNT || first >= c->pages || count > c->pages - first)
        return fault(c, "a page number is beyond its end");
    for (uint64_t i = first; i < first + count; i++) {
        if (c->seen[i / 8] & 1u << i % 8)
            return fault(c, "a page is used twice");
        c->seen[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return true;
}

/* The value of a leaf's entry, which may lie on pages of its own. */
static bool big_value(struct check *c, const uint8_t *where, size_t len, struct tree *counted,
                      const uint8_t **out)
{
    struct page head;
    uint64_t number;
    uint32_t count;
    memcpy(&number, where, sizeof(number));
    if (number < META_COUNT || number >= c->pages)
        return fault(c, "a page number is beyond its end");
    memcpy(&head, page_at(c, number), PAGE_HEAD);
    memcpy(&count, page_at(c, number) + 12, sizeof(count));
    if (head.number != number || head.flags != PAGE_OVERFLOW || !count ||
        len > count * (uint64_t)c->page_bytes - PAGE_HEAD)
        return fault(c, "a long value is not where it should be");
    counted->overflows += count;
    *out = page_at(c, number) + PAGE_HEAD;
    return take_pages(c, number, count);
}

/* A list of pages that may be used again: how many, and their numbers from high to low. */
static bool free_list(struct check *c, const uint8_t *value, size_t len)
{
    uint64_t count, page, above = NO_PAGE;
    if (len < sizeof(count))
        return fault(c, "a list of free pages is cut short");
    memcpy(&count, value, sizeof(count));
    if (count > len / sizeof(page) - 1)
        return fault(c, "a list of free pages is cut short");
    for (uint64_t i = 1; i <= count; i++) {
        memcpy(&page, value + i * sizeof(page), sizeof(page));
        if (page >= above)
            return fault(c, "a list of free pages is out of order");
        if (!take_pages(c, page, 1))
            return false;
        above = page;
    }
    return true;
}

static bool walk_tree(struct check *c, const struct tree *tree, enum tree_kind kind);

/* Tables hang in the main tree only, so this goes one level deep. */
static bool check_entry(struct check *c, enum tree_kind kind, const struct entry *n,
                        const uint8_t *key, struct tree *counted)
{
    size_t len = n->low | (size_t)n->high << 16;
    const uint8_t *value = key + n->key_bytes;
    struct tree table;
    bool sub = n->flags == NODE_SUB;
    if ((n->flags & ~NODE_BIG && !sub) || sub != (kind == TREE_MAIN))
        return fault(c, "an entry is of another kind than its tree");
    if ((kind == TREE_FREE && n->key_bytes != 8) ||
        (kind == TREE_TABLE && n->key_bytes != DIGEST_BYTES))
        return fault(c, "a key has another length than its tree's");
    if (sub) {
        memcpy(&table, value, sizeof(table));
        return (len == sizeof(table) && table.flags == 0 && walk_tree(c, &table, TREE_TABLE)) ||
               fault(c, "a table is damaged");
    }
    if (n->flags & NODE_BIG && !big_value(c, value, len, counted, &value))
        return false;
    return kind != TREE_FREE || free_list(c, value, len);
}

/* Where the entries of a page lie: they fill it from `upper` to its end. */
static bool check_layout(struct check *c, const uint8_t *page, const struct page *head,
                         size_t *count)
{
    size_t bytes = 0;
    bool leaf = head->flags == PAGE_LEAF;
    if (head->lower < PAGE_HEAD || head->lower > head->upper || head->upper > c->page_bytes ||
        head->lower % 2)
        return fault(c, "a page's bounds are wrong");
    *count = (head->lower - PAGE_HEAD) / 2u;
    for (size_t i = 0; i < *count; i++) {
        uint16_t at;
        struct entry n;
        memcpy(&at, page + PAGE_HEAD + 2 * i, sizeof(at));
        if (at < head->upper || at % 2 || at > c->page_bytes - NODE_HEAD)
            return fault(c, "an entry lies outside of its page");
        memcpy(&n, page + at, NODE_HEAD);
        size_t value = !leaf                ? 0
                       : n.flags & NODE_BIG ? sizeof(uint64_t)
                                            : n.low | (size_t)n.high << 16;
        size_t size = NODE_HEAD + n.key_bytes + value;
        size += size % 2;
        if (size > c->page_bytes - at)
            return fault(c, "an entry is longer than its page");
        bytes += size;
    }
    return bytes == c->page_bytes - head->upper || fault(c, "entries of a page overlap");
}

/* What is still to be looked at of one level. */
struct level {
    const uint8_t *page;
    size_t at, count;
};

static bool open_page(struct check *c, uint64_t number, bool leaf, struct level *out)
{
    struct page head;
    if (!take_pages(c, number, 1))
        return false;
    memcpy(&head, page_at(c, number), PAGE_HEAD);
    if (head.number != number || head.flags != (leaf ? PAGE_LEAF : PAGE_BRANCH))
        return fault(c, "a page is another one than its tree says");
    *out = (struct level){.page = page_at(c, number)};
    if (!check_layout(c, out->page, &head, &out->count))
        return false;
    return out->count > (leaf ? 0 : 1) || fault(c, "a page is empty");
}

static const uint8_t *next_entry(struct level *l, struct entry *n)
{
    uint16_t at;
    memcpy(&at, l->page + PAGE_HEAD + 2 * l->at++, sizeof(at));
    memcpy(n, l->page + at, NODE_HEAD);
    return l->page + at + NODE_HEAD;
}

static bool same_counts(struct check *c, const struct tree *tree, const struct tree *counted)
{
    return (tree->branches == counted->branches && tree->leaves == counted->leaves &&
            tree->overflows == counted->overflows && tree->entries == counted->entries) ||
           fault(c, "a tree holds another number of entries than it says");
}

static bool walk_tree(struct check *c, const struct tree *tree, enum tree_kind kind)
{
    struct level levels[DEPTH_MAX];
    struct tree counted = {0};
    struct entry n;
    size_t depth = 0;
    if (tree->root == NO_PAGE)
        return tree->depth == 0 ? same_counts(c, tree, &counted) : fault(c, "a tree has no root");
    if (tree->depth == 0 || tree->depth >= DEPTH_MAX)
        return fault(c, "a tree's depth is wrong");
    if (!open_page(c, tree->root, tree->depth == 1, &levels[0]))
        return false;
    for (;;) {
        struct level *l = &levels[depth];
        bool leaf = depth + 1u == tree->depth;
        if (l->at == l->count) {
            counted.leaves += leaf;
            counted.branches += !leaf;
            if (depth-- == 0)
                return same_counts(c, tree, &counted);
            continue;
        }
        const uint8_t *key = next_entry(l, &n);
        if (leaf) {
            counted.entries++;
            if (!check_entry(c, kind, &n, key, &counted))
                return false;
        } else {
            uint64_t child = n.low | (uint64_t)n.high << 16 | (uint64_t)n.flags << 32;
            depth++;
            if (!open_page(c, child, depth + 1u == tree->depth, &levels[depth]))
                return false;
        }
    }
}

static bool read_meta(struct check *c, size_t file_bytes, size_t offset, struct meta *out)
{
    struct page head;
    if (file_bytes < offset + PAGE_HEAD + sizeof(*out))
        return fault(c, "it is cut short");
    memcpy(&head, c->map + offset, PAGE_HEAD);
    memcpy(out, c->map + offset + PAGE_HEAD, sizeof(*out));
    if (out->magic != META_MAGIC || out->version != META_VERSION || !(head.flags & PAGE_META))
        return fault(c, "it does not begin as it should");
    return true;
}

/* Both heads: LMDB believes what they say of sizes before it has looked at anything else. */
static bool check_heads(struct check *c, size_t file_bytes, struct meta heads[META_COUNT])
{
    if (!read_meta(c, file_bytes, 0, &heads[0]))
        return false;
    c->page_bytes = heads[0].trees[TREE_FREE].pad;
    if (c->page_bytes < 512 || c->page_bytes > 65536 || c->page_bytes & (c->page_bytes - 1))
        return fault(c, "its page size is none");
    if (!read_meta(c, file_bytes, c->page_bytes, &heads[1]))
        return false;
    for (int i = 0; i < META_COUNT; i++) {
        if (heads[i].trees[TREE_FREE].pad != c->page_bytes)
            return fault(c, "its two heads disagree on the size of pages");
        if (heads[i].last_page < 1 || heads[i].last_page >= file_bytes / c->page_bytes)
            return fault(c, "it is shorter than it should be");
    }
    return true;
}

static bool check_snapshot(struct check *c, const struct meta *meta)
{
    c->pages = meta->last_page + 1;
    c->seen = xcalloc(c->pages / 8 + 1, 1);
    /* The tree of free pages comes last: its lists name what no tree may use. */
    bool good = walk_tree(c, &meta->trees[TREE_MAIN], TREE_MAIN) &&
                walk_tree(c, &meta->trees[TREE_FREE], TREE_FREE);
    free(c->seen);
    return good;
}

const char *store_check_state(const uint8_t *map, size_t len, uint64_t transaction)
{
    struct check c = {.map = map};
    struct meta heads[META_COUNT] = {0};
    if (len == 0 || !check_heads(&c, len, heads))
        return len ? c.fault : NULL;
    int newest = heads[1].transaction > heads[0].transaction;
    if (transaction == STORE_HEADS)
        return NULL;
    if (transaction != STORE_NEWEST && heads[newest].transaction != transaction)
        newest = !newest;
    check_snapshot(&c, &heads[newest]);
    return c.fault;
}

/* What `stat` says of the state as it was left. */
static bool seal_text(const struct store *s, char out[SEAL_BYTES])
{
    struct arena arena = {0};
    struct err ignored = {0};
    struct os_stat st;
    bool there = os_stat(arena_printf(&arena, "%s/state.mdb", s->dir), &st, &ignored) == 0 &&
                 st.kind == OS_FILE;
    if (there)
        snprintf(out, SEAL_BYTES, "%llu %llu %llu %lld %lld\n", (unsigned long long)st.device,
                 (unsigned long long)st.inode, (unsigned long long)st.size_bytes,
                 (long long)st.mtime_ns, (long long)st.ctime_ns);
    err_release(&ignored);
    arena_release(&arena);
    return there;
}

/* Losing the seal costs a walk over the state and nothing else, so that nothing here is an error.
 */
static void write_seal(const struct store *s, const char *text)
{
    struct arena arena = {0};
    struct err ignored = {0};
    if (os_write(arena_printf(&arena, "%s/state.seal", s->dir), text, strlen(text), 0644, &ignored))
        err_release(&ignored);
    arena_release(&arena);
}

void store_seal(const struct store *s)
{
    char text[SEAL_BYTES];
    if (seal_text(s, text))
        write_seal(s, text);
}

static bool is_sealed(const struct store *s, const char *now)
{
    struct arena arena = {0};
    struct err ignored = {0};
    struct buf text = {0};
    struct os_stat st = {0};
    const char *path = arena_printf(&arena, "%s/state.seal", s->dir);
    bool sealed = os_stat(path, &st, &ignored) == 0 && st.kind == OS_FILE &&
                  os_read(path, &text, &ignored) == 0 && strcmp(buf_text(&text), now) == 0;
    err_release(&ignored);
    buf_release(&text);
    arena_release(&arena);
    return sealed;
}

/* What is wrong with the file, NULL when nothing is, or there is none yet. */
static int check_file(const struct store *s, uint64_t transaction, const char **what, struct err *e)
{
    struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/state.mdb", s->dir);
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    *what = NULL;
    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && fstat(fd, &st) < 0))
        rc = err_errno(e, ERR_os, "cannot read %s", path);
    if (rc == 0 && st.st_size > 0) {
        size_t len = (size_t)st.st_size;
        void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            rc = err_errno(e, ERR_os, "cannot map %s", path);
        else
            *what = store_check_state(map, len, transaction);
        if (map != MAP_FAILED)
            munmap(map, len);
    }
    if (fd >= 0)
        close(fd);
    arena_release(&arena);
    return rc;
}

int store_check_heads(struct store *s, const char **what, struct err *e)
{
    s->committed = !seal_text(s, s->found);
    s->sealed = !s->committed && is_sealed(s, s->found);
    *what = NULL;
    return s->sealed || s->committed ? 0 : check_file(s, STORE_HEADS, what, e);
}

/* A reader's place keeps the pages of its snapshot from being used again by another process. */
int store_check_pages(struct store *s, const char **what, struct err *e)
{
    MDB_txn *txn;
    *what = NULL;
    if (s->sealed || s->committed || mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn))
        return 0;
    int rc = check_file(s, mdb_txn_id(txn), what, e);
    mdb_txn_abort(txn);
    if (rc == 0 && !*what)
        write_seal(s, s->found);
    return rc;
}
