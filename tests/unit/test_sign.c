#include "scratch.h"
#include "sign.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int enter_temp(void **state)
{
    char *dir = scratch_template("sign");

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

static void write_text(const char *path, const char *text)
{
    struct err e = {0};

    assert_int_equal(os_write(path, text, strlen(text), 0600, &e), 0);
}

/* The first test of RFC 8032, section 7.1: key, message (nothing) and signature. */
static const char seed_hex[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char key_hex[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
static const char signature_hex[] = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901"
                                    "555fb8821590a33bacc61e39701cf9b46b"
                                    "d25bf5f0595bbe24655141438e7a100b";

static void from_hex(const char *hex, uint8_t *out)
{
    for (; *hex; hex += 2) {
        unsigned byte;

        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        *out++ = (uint8_t)byte;
    }
}

static struct sign_key known_key(void)
{
    struct sign_key key = {0};

    from_hex(seed_hex, key.seed);
    from_hex(key_hex, key.public_key);
    return key;
}

static void the_published_vector(void **state)
{
    struct sign_key key = known_key();
    struct err e = {0};
    uint8_t signature[SIGN_BYTES], expected[SIGN_BYTES];

    (void)state;
    from_hex(signature_hex, expected);
    assert_int_equal(sign_bytes(&key, "", 0, signature, &e), 0);
    assert_memory_equal(signature, expected, SIGN_BYTES);
    assert_true(sign_holds(key.public_key, "", 0, signature));
}

static void every_flipped_bit_breaks_it(void **state)
{
    struct sign_key key = known_key();
    struct err e = {0};
    uint8_t signature[SIGN_BYTES];
    char text[] = "what is signed";

    (void)state;
    assert_int_equal(sign_bytes(&key, text, sizeof(text), signature, &e), 0);
    assert_true(sign_holds(key.public_key, text, sizeof(text), signature));
    for (size_t bit = 0; bit < 8 * SIGN_BYTES; bit++) {
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(sign_holds(key.public_key, text, sizeof(text), signature));
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(text); bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(sign_holds(key.public_key, text, sizeof(text), signature));
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_false(sign_holds(key.public_key, text, sizeof(text) - 1, signature));
}

static void base64_there_and_back(void **state)
{
    static const struct {
        const char *plain, *coded;
    } pairs[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct buf coded = {0}, plain = {0};

        sign_base64(pairs[i].plain, strlen(pairs[i].plain), &coded);
        assert_string_equal(buf_text(&coded), pairs[i].coded);
        assert_true(sign_unbase64(str_of(pairs[i].coded), &plain));
        assert_string_equal(buf_text(&plain), pairs[i].plain);
        buf_release(&coded);
        buf_release(&plain);
    }
}

static void every_byte_survives_base64(void **state)
{
    struct buf coded = {0}, plain = {0};
    uint8_t all[256];

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)i;
    for (size_t len = 0; len <= sizeof(all); len++) {
        buf_reset(&coded);
        buf_reset(&plain);
        sign_base64(all, len, &coded);
        assert_true(sign_unbase64((struct str){buf_text(&coded), coded.len}, &plain));
        assert_int_equal(plain.len, len);
        assert_memory_equal(buf_text(&plain), all, len);
    }
    buf_release(&coded);
    buf_release(&plain);
}

static void what_is_no_base64(void **state)
{
    static const char *const texts[] = {
        "Z", "Zg", "Zg=", "Zg===", "=Zg=", "Zg==Zg==", "Z*==", "Zm9v!"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf plain = {0};

        if (sign_unbase64(str_of(texts[i]), &plain))
            fail_msg("%s", texts[i]);
        buf_release(&plain);
    }
}

/* openssh-key-v1 of the known key, without a passphrase. */
static void openssh_key(struct buf *out, uint32_t check_again)
{
    struct sign_key key = known_key();
    struct buf inner = {0}, blob = {0}, all = {0}, coded = {0};

    for (int i = 0; i < 2; i++) {
        buf_add(&inner, "\1\2\3", 3);
        buf_addch(&inner, (char)(i ? check_again : 4));
    }
    buf_add(&inner, "\0\0\0\013ssh-ed25519\0\0\0\040", 19);
    buf_add(&inner, key.public_key, 32);
    buf_add(&inner, "\0\0\0\100", 4);
    buf_add(&inner, key.seed, 32);
    buf_add(&inner, key.public_key, 32);
    buf_add(&inner, "\0\0\0\3ann\1\2", 9);
    buf_add(&blob, "\0\0\0\013ssh-ed25519\0\0\0\040", 19);
    buf_add(&blob, key.public_key, 32);
    buf_add(&all, "openssh-key-v1\0\0\0\0\4none\0\0\0\4none\0\0\0\0\0\0\0\1\0\0\0\063",
            15 + 8 + 8 + 4 + 4 + 4);
    buf_add(&all, blob.ptr, blob.len);
    buf_addf(&all, "%c%c%c%c", 0, 0, 0, (int)inner.len);
    buf_add(&all, inner.ptr, inner.len);
    sign_base64(all.ptr, all.len, &coded);
    buf_addf(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----\n",
             buf_text(&coded));
    buf_release(&inner);
    buf_release(&blob);
    buf_release(&all);
    buf_release(&coded);
}

static void an_openssh_key(void **state)
{
    struct sign_key key, known = known_key();
    struct buf text = {0};
    struct err e = {0};

    (void)state;
    openssh_key(&text, 4);
    write_text("key", text.ptr);
    assert_int_equal(sign_load("key", &key, &e), 0);
    assert_memory_equal(key.seed, known.seed, SIGN_KEY_BYTES);
    assert_memory_equal(key.public_key, known.public_key, SIGN_KEY_BYTES);
    sign_forget(&key);
    assert_true(key.seed[0] == 0 && key.seed[31] == 0);
    buf_reset(&text);
    openssh_key(&text, 5); /* the two check numbers differ */
    write_text("key", text.ptr);
    assert_int_equal(sign_load("key", &key, &e), -1);
    assert_non_null(strstr(e.message, "damaged"));
    err_release(&e);
    buf_release(&text);
}

/* Each part of a key, and each key with one byte replaced, is an error or a key, and never worse.
 */
static void keys_cut_short_or_changed(void **state)
{
    struct buf text = {0};
    struct rng rng = {7};

    (void)state;
    openssh_key(&text, 4);
    for (size_t i = 0; i < 3 * text.len; i++) {
        struct buf damaged = {0};
        struct sign_key key;
        struct err e = {0};

        buf_addstr(&damaged, text.ptr);
        if (i < text.len)
            damaged.ptr[i] = '\0';
        else
            damaged.ptr[i % text.len] = (char)(33 + rng_below(&rng, 90));
        write_text("damaged", damaged.ptr);
        if (sign_load("damaged", &key, &e) < 0)
            assert_true(e.set && e.hint);
        err_release(&e);
        buf_release(&damaged);
    }
    buf_release(&text);
}

static const char pem_private[] =
    "-----BEGIN PRIVATE "
    "KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char pem_public[] =
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n";

static void keys_in_pem(void **state)
{
    struct sign_key key, known = known_key();
    struct sign_keys keys = {0};
    struct err e = {0};

    (void)state;
    write_text("key.pem", pem_private);
    assert_int_equal(sign_load("key.pem", &key, &e), 0);
    assert_memory_equal(key.seed, known.seed, SIGN_KEY_BYTES);
    assert_memory_equal(key.public_key, known.public_key, SIGN_KEY_BYTES);
    write_text("pub.pem", pem_public);
    assert_int_equal(sign_load_public("pub.pem", &keys, &e), 0);
    assert_int_equal(keys.len, 1);
    assert_memory_equal(keys.at[0], known.public_key, SIGN_KEY_BYTES);
    sign_keys_release(&keys);
    write_text("pub.pem", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n");
    assert_int_equal(sign_load_public("pub.pem", &keys, &e), -1);
    assert_non_null(strstr(e.message, "damaged"));
    err_release(&e);
}

#define LINE "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"

static void public_keys_of_a_text(void **state)
{
    struct sign_key known = known_key();
    static const struct {
        const char *text;
        size_t keys;
    } cases[] = {
        {LINE " ann", 1},
        {LINE "\n", 1},
        {"ann@example.org " LINE, 1},
        {"ann@example.org,bob namespaces=\"git\",valid-after=\"2020\" " LINE " comment\n", 1},
        {"# " LINE "\n\n" LINE "\nb " LINE, 2},
        {"", 0},
        {"\n\n", 0},
        {"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ", 0},
        {"ssh-ed25519", 0},
        {"ssh-ed25519 ", 0},
        {"ssh-ed25519 AAAA", 0},
        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3", 0},
        {"ssh-ed25519 !!!!", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sign_keys keys = {0};

        sign_parse_public(str_of(cases[i].text), &keys);
        if (keys.len != cases[i].keys)
            fail_msg("%s: %zu keys", cases[i].text, keys.len);
        for (size_t k = 0; k < keys.len; k++)
            assert_memory_equal(keys.at[k], known.public_key, SIGN_KEY_BYTES);
        sign_keys_release(&keys);
    }
}

static void the_fingerprint_is_ssh_keygens(void **state)
{
    struct sign_key known = known_key();
    struct arena arena = {0};
    const char *id = sign_key_id(&arena, known.public_key);

    (void)state;
    assert_int_equal(strlen(id), 7 + 43);
    assert_true(text_starts_with(id, "SHA256:"));
    assert_string_equal(id, sign_key_id(&arena, known.public_key));
    known.public_key[0] ^= 1;
    assert_string_not_equal(id, sign_key_id(&arena, known.public_key));
    arena_release(&arena);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "nothing",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n****\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"};
    struct sign_key key;
    struct sign_keys keys = {0};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        write_text("none", texts[i]);
        assert_int_equal(sign_load("none", &key, &e), -1);
        assert_true(e.code == ERR_signature && e.hint);
        err_release(&e);
        assert_int_equal(sign_load_public("none", &keys, &e), -1);
        err_release(&e);
    }
    assert_int_equal(sign_load("absent", &key, &e), -1);
    err_release(&e);
}

static void an_agent_that_is_not_there(void **state)
{
    struct sign_key key;
    struct err e = {0};
    uint8_t signature[SIGN_BYTES];

    (void)state;
    unsetenv("SSH_AUTH_SOCK");
    assert_int_equal(sign_use_agent(NULL, &key, &e), -1);
    assert_non_null(strstr(e.message, "SSH_AUTH_SOCK"));
    err_release(&e);
    setenv("SSH_AUTH_SOCK", "/nowhere/at/all", 1);
    assert_int_equal(sign_use_agent(known_key().public_key, &key, &e), 0);
    assert_int_equal(sign_bytes(&key, "x", 1, signature, &e), -1);
    assert_non_null(strstr(e.message, "cannot reach the ssh-agent"));
    err_release(&e);
    unsetenv("SSH_AUTH_SOCK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vector),
        cmocka_unit_test(every_flipped_bit_breaks_it),
        cmocka_unit_test(base64_there_and_back),
        cmocka_unit_test(every_byte_survives_base64),
        cmocka_unit_test(what_is_no_base64),
        cmocka_unit_test(an_openssh_key),
        cmocka_unit_test(keys_cut_short_or_changed),
        cmocka_unit_test(keys_in_pem),
        cmocka_unit_test(public_keys_of_a_text),
        cmocka_unit_test(the_fingerprint_is_ssh_keygens),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(an_agent_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, enter_temp, leave_temp);
}
