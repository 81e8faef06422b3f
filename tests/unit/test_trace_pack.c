/* libgit2 1.5 forgets a part of an indexer that cannot make its file. What we forget ourselves is
 * seen in the other tests. */
#define KNOWN_LEAKS "leak:libpcre2\nleak:libgit2"
#include "trace_parts.h"

#include "trace_world.h"

/* Bytes that no compression makes shorter, other ones for each seed. */
static const char *noise(struct world *w, size_t len, uint64_t seed)
{
    char *bytes = arena_alloc(&w->arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (char)(seed >> 56);
    }
    return bytes;
}

static void put_blob(struct world *w, struct trace_batch *b, size_t len, uint64_t seed,
                     struct buf *expected)
{
    const char *bytes = noise(w, len, seed);
    char hex[GIT_OID_HEXSZ + 1] = "";
    git_oid id;
    assert_int_equal(git_odb_hash(&id, bytes, len, GIT_OBJECT_BLOB), 0);
    trace_batch_put(b, &id, GIT_OBJECT_BLOB, bytes, len);
    git_oid_fmt(hex, &id);
    buf_addf(expected, "%s blob %zu\n", hex, len);
}

/* The length of an object takes one byte up to 15, two up to 2047, three up to 262143; a piece is
 * compressed at a time, and several are handed over at a time. */
static void objects_of_every_length_come_back(void **state)
{
    static const size_t lengths[] = {0,
                                     1,
                                     15,
                                     16,
                                     2047,
                                     2048,
                                     262143,
                                     262144,
                                     (1 << 20) - 1,
                                     1 << 20,
                                     (1 << 20) + 1,
                                     5 << 20,
                                     (9 << 20) + 7};
    struct world *w = *state;
    struct trace_batch b = {.arena = &w->arena};
    struct buf expected = {0};
    struct err e = {0};
    git_libgit2_init();
    repository(w);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        put_blob(w, &b, lengths[i], i, &expected);
    for (size_t i = 0; i < 400; i++)
        put_blob(w, &b, 100 + i, 1000 + i, &expected);
    assert_int_equal(git_repository_open(&b.repo, "p"), 0);
    ok(trace_batch_flush(&b, &e), &e);
    git_repository_free(b.repo);
    assert_text(sh(w, "ls p/.git/objects/pack/*.pack | wc -l"), "1");
    put("expected", buf_text(&expected));
    sh(w, "cut -d' ' -f1 expected | git -C p cat-file --batch-check | diff - expected");
    sh(w, "cd p && git verify-pack .git/objects/pack/*.idx");
    assert_sound(w, "p");
    assert_int_equal(b.len, 0);
    trace_batch_release(&b);
    buf_release(&expected);
    git_libgit2_shutdown();
}

static void a_pack_that_cannot_be_written_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct trace_batch b = {.arena = &w->arena};
    struct buf expected = {0};
    struct err e = {0};
    git_libgit2_init();
    repository(w);
    sh(w, "rm -r p/.git/objects/pack && touch p/.git/objects/pack");
    for (size_t i = 0; i < 400; i++)
        put_blob(w, &b, 100, i, &expected);
    assert_int_equal(git_repository_open(&b.repo, "p"), 0);
    assert_int_equal(trace_batch_flush(&b, &e), -1);
    assert_int_equal(e.code, ERR_trace_repository);
    assert_holds(e.message, "cannot write the trace's objects: ");
    git_repository_free(b.repo);
    trace_batch_release(&b);
    buf_release(&expected);
    err_release(&e);
    git_libgit2_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(objects_of_every_length_come_back),
        T(a_pack_that_cannot_be_written_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
