#include "hash.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("hash");

    *state = dir;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_temp(void **state)
{
    struct err e = {0};
    int rc = chdir("/") == 0 ? os_remove(*state, &e) : -1;

    free(*state);
    return rc;
}

static void ok(int rc, struct err *e)
{
    if (rc != 0 || e->set)
        fail_msg("%s", e->set ? e->message : "-1 without an error");
}

static void put(const char *path, const char *text, uint32_t mode)
{
    struct err e = {0};

    ok(os_mkdirs_for(path, &e), &e);
    ok(os_write(path, text, strlen(text), mode, &e), &e);
}

static void assert_hex(const struct digest *d, const char *hex)
{
    char text[DIGEST_HEX_LEN + 1];

    digest_hex(d, text);
    assert_string_equal(text, hex);
}

static struct digest tree(const char *path)
{
    struct digest digest;
    struct err e = {0};

    ok(hash_tree(path, &digest, &e), &e);
    return digest;
}

#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_SHA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void bytes_give_the_published_digests(void **state)
{
    struct digest digest;

    (void)state;
    hash_bytes("", 0, &digest);
    assert_hex(&digest, EMPTY_SHA);
    hash_bytes("abc", 3, &digest);
    assert_hex(&digest, ABC_SHA);
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
    struct digest digest;
    struct hasher hasher;
    char piece[1000];

    (void)state;
    memset(piece, 'a', sizeof(piece));
    hash_init(&hasher);
    for (int i = 0; i < 1000; i++)
        hash_add(&hasher, piece, sizeof(piece));
    hash_add(&hasher, NULL, 0);
    hash_final(&hasher, &digest);
    assert_hex(&digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_null(hasher.state);
}

static void sha1_fills_the_digest_up_with_zeros(void **state)
{
    struct digest digest;
    struct hasher hasher;

    (void)state;
    memset(&digest, 0xff, sizeof(digest));
    hash_init_sha1(&hasher);
    hash_add(&hasher, "ab", 2);
    hash_add(&hasher, "c", 1);
    hash_final(&hasher, &digest);
    assert_hex(&digest, "a9993e364706816aba3e25717850c26c9cd0d89d000000000000000000000000");
    assert_null(hasher.state);
}

static void hex_goes_both_ways(void **state)
{
    struct digest digest;
    struct digest untouched = {{7}};

    (void)state;
    assert_true(digest_from_hex(ABC_SHA, &digest));
    assert_hex(&digest, ABC_SHA);
    assert_true(digest_from_hex("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
                                &digest));
    assert_hex(&digest, ABC_SHA);
    assert_false(digest_from_hex("", &untouched));
    assert_false(digest_from_hex("ba", &untouched));
    assert_false(digest_from_hex(ABC_SHA "0", &untouched));
    assert_false(digest_from_hex("xa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                                 &untouched));
    assert_false(digest_from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a-",
                                 &untouched));
    assert_int_equal(untouched.bytes[0], 7);
}

static void digests_compare_whole(void **state)
{
    struct digest a = {{0}};
    struct digest b = {{0}};

    (void)state;
    assert_true(digest_is_zero(&a));
    assert_true(digest_equal(&a, &b));
    b.bytes[DIGEST_BYTES - 1] = 1;
    assert_false(digest_equal(&a, &b));
    assert_false(digest_is_zero(&b));
}

static void file_is_hashed_by_content(void **state)
{
    struct digest digest;
    struct digest whole;
    struct err e = {0};
    char *big = xmalloc(400001);

    (void)state;
    put("abc", "abc", 0600);
    ok(hash_file("abc", &digest, &e), &e);
    assert_hex(&digest, ABC_SHA);
    put("empty", "", 0600);
    ok(hash_file("empty", &digest, &e), &e);
    assert_hex(&digest, EMPTY_SHA);
    for (size_t i = 0; i < 400001; i++)
        big[i] = (char)(i * 31 >> 3);
    ok(os_write("large", big, 400001, 0600, &e), &e);
    ok(hash_file("large", &digest, &e), &e);
    hash_bytes(big, 400001, &whole);
    assert_true(digest_equal(&digest, &whole));
    free(big);
}

static void missing_file_is_an_error_and_a_zero_digest(void **state)
{
    struct digest digest = {{1}};
    struct err e = {0};

    (void)state;
    assert_int_equal(hash_file("absent", &digest, &e), -1);
    assert_string_equal(e.message, "cannot read absent: No such file or directory");
    assert_true(digest_is_zero(&digest));
    err_release(&e);
    assert_int_equal(hash_tree("absent", &digest, &e), -1);
    assert_true(digest_is_zero(&digest));
    err_release(&e);
}

static void make_tree(const char *root)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/b.txt", root);
    put(path, "abc", 0644);
    snprintf(path, sizeof(path), "%s/sub/run", root);
    put(path, "", 0755);
    snprintf(path, sizeof(path), "%s/sub.c", root);
    put(path, "abc", 0640);
    snprintf(path, sizeof(path), "%s/empty", root);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/link", root);
    assert_int_equal(symlink("abc", path), 0);
}

static void listing_is_sorted_and_complete(void **state)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    struct buf listing = {0};
    struct buf expected = {0};
    struct err e = {0};

    (void)state;
    make_tree("listed");
    ok(hash_list_tree("listed", NULL, &listing, &e), &e);
    buf_addf(&expected, "100644 %s b.txt%c", ABC_SHA, 0);
    buf_addf(&expected, "040000 %s empty%c", zeros, 0);
    buf_addf(&expected, "120000 %s link%c", ABC_SHA, 0);
    buf_addf(&expected, "040000 %s sub%c", zeros, 0);
    buf_addf(&expected, "100644 %s sub.c%c", ABC_SHA, 0);
    buf_addf(&expected, "100755 %s sub/run%c", EMPTY_SHA, 0);
    assert_int_equal(listing.len, expected.len);
    assert_memory_equal(listing.ptr, expected.ptr, expected.len);
    buf_release(&listing);
    buf_release(&expected);
}

static void tree_is_the_digest_of_its_listing(void **state)
{
    struct buf listing = {0};
    struct digest expected;
    struct digest digest;
    struct err e = {0};

    (void)state;
    make_tree("same1");
    make_tree("same2");
    ok(hash_list_tree("same1", NULL, &listing, &e), &e);
    hash_bytes(listing.ptr, listing.len, &expected);
    digest = tree("same2");
    assert_true(digest_equal(&digest, &expected));
    buf_release(&listing);
}

static void assert_moves(struct digest *last, const char *path, const char *what)
{
    struct digest now = tree(path);

    if (digest_equal(last, &now))
        fail_msg("the tree's digest does not see: %s", what);
    *last = now;
}

static void tree_sees_every_kind_of_change(void **state)
{
    struct err e = {0};
    struct digest last;

    (void)state;
    make_tree("t");
    last = tree("t");
    put("t/sub/run", "x", 0755);
    assert_moves(&last, "t", "content");
    assert_int_equal(chmod("t/sub/run", 0644), 0);
    assert_moves(&last, "t", "the executable bit");
    ok(os_rename("t/b.txt", "t/c.txt", &e), &e);
    assert_moves(&last, "t", "a name");
    ok(os_remove("t/empty", &e), &e);
    assert_moves(&last, "t", "an empty folder");
    ok(os_remove("t/link", &e), &e);
    assert_int_equal(symlink("abd", "t/link"), 0);
    assert_moves(&last, "t", "the text of a link");
    ok(os_remove("t/link", &e), &e);
    put("t/link", "abd", 0644);
    assert_moves(&last, "t", "a file in place of a link");
}

static void tree_ignores_what_does_not_matter(void **state)
{
    struct digest before;
    struct digest after;

    (void)state;
    make_tree("still");
    before = tree("still");
    usleep(2000);
    assert_int_equal(chmod("still/b.txt", 0600), 0);
    put("still/sub.c", "abc", 0644);
    after = tree("still");
    assert_true(digest_equal(&before, &after));
    after = tree("still/../still");
    assert_true(digest_equal(&before, &after));
}

static void tree_of_nothing_is_the_empty_digest(void **state)
{
    struct digest digest;

    (void)state;
    assert_int_equal(mkdir("nothing", 0755), 0);
    digest = tree("nothing");
    assert_hex(&digest, EMPTY_SHA);
}

static void tree_with_a_pipe_is_refused(void **state)
{
    struct digest digest;
    struct err e = {0};

    (void)state;
    make_tree("odd");
    assert_int_equal(mkfifo("odd/pipe", 0644), 0);
    assert_int_equal(hash_tree("odd", &digest, &e), -1);
    assert_int_equal(e.code, ERR_odd_file);
    assert_non_null(strstr(e.message, "odd/pipe"));
    err_release(&e);
}

/* RFC 4231, cases 1 and 2. */
static void keyed_gives_the_published_digests(void **state)
{
    struct digest digest;
    char key[21];

    (void)state;
    memset(key, 0x0b, 20);
    key[20] = '\0';
    hash_keyed(key, "Hi There", 8, &digest);
    assert_hex(&digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hash_keyed("Jefe", "what do ya want for nothing?", 28, &digest);
    assert_hex(&digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_give_the_published_digests),
        cmocka_unit_test(keyed_gives_the_published_digests),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(sha1_fills_the_digest_up_with_zeros),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(digests_compare_whole),
        cmocka_unit_test(file_is_hashed_by_content),
        cmocka_unit_test(missing_file_is_an_error_and_a_zero_digest),
        cmocka_unit_test(listing_is_sorted_and_complete),
        cmocka_unit_test(tree_is_the_digest_of_its_listing),
        cmocka_unit_test(tree_sees_every_kind_of_change),
        cmocka_unit_test(tree_ignores_what_does_not_matter),
        cmocka_unit_test(tree_of_nothing_is_the_empty_digest),
        cmocka_unit_test(tree_with_a_pipe_is_refused),
    };

    return cmocka_run_group_tests_name("hash", tests, enter_temp, leave_temp);
}
