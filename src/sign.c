#include "sign_parts.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "ssh-ed25519"
#define KEY_FILE_MAX_BYTES 65536u

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void sign_base64(const void *bytes, size_t len, struct buf *out)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16;
        v |= i + 1 < len ? (uint32_t)b[i + 1] << 8 : 0;
        v |= i + 2 < len ? b[i + 2] : 0;
        buf_addch(out, alphabet[v >> 18]);
        buf_addch(out, alphabet[v >> 12 & 63]);
        buf_addch(out, i + 1 < len ? alphabet[v >> 6 & 63] : '=');
        buf_addch(out, i + 2 < len ? alphabet[v & 63] : '=');
    }
}

bool sign_unbase64(struct str text, struct buf *out)
{
    uint32_t v = 0;
    size_t digits = 0, padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr[i] ? strchr(alphabet, text.ptr[i]) : NULL;
        if (text.ptr[i] == '\n' || text.ptr[i] == '\r')
            continue;
        padding += text.ptr[i] == '=';
        if (text.ptr[i] == '=' ? padding > 2 : !at || padding)
            return false;
        v = v << 6 | (at ? (uint32_t)(at - alphabet) : 0);
        if (++digits % 4 == 0) {
            char three[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
            buf_add(out, three, 3 - padding);
            v = 0;
        }
    }
    return digits % 4 == 0;
}

const uint8_t *sign_take(struct sign_fields *f, size_t len)
{
    const uint8_t *at = f->at;
    if (f->bad || len > f->left) {
        f->bad = true;
        return NULL;
    }
    f->at += len;
    f->left -= len;
    return at;
}

uint32_t sign_take_number(struct sign_fields *f)
{
    const uint8_t *at = sign_take(f, 4);
    return at ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3] : 0;
}

struct str sign_take_text(struct sign_fields *f)
{
    uint32_t len = sign_take_number(f);
    const uint8_t *at = sign_take(f, len);
    return at ? (struct str){(const char *)at, len} : (struct str){"", 0};
}

void sign_put_number(struct buf *out, uint32_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_addch(out, (char)(number >> shift));
}

static bool is_text(struct str s, const char *text)
{
    return str_equal(s, str_of(text));
}

static int bad_key(const char *path, const char *why, struct err *e)
{
    err_set(e, ERR_signature, "%s: %s", path, why);
    return err_hint(e, "make a key with: ssh-keygen -t ed25519 -N '' -f FILE");
}

/* openssh-key-v1: cipher, kdf, its options, how many keys, the public ones, the private section. */
static const char *parse_private(struct sign_fields f, struct sign_key *out)
{
    static const char magic[] = "openssh-key-v1";
    const uint8_t *head = sign_take(&f, sizeof(magic));
    if (!head || memcmp(head, magic, sizeof(magic)) != 0)
        return "it is no OpenSSH private key";
    struct str cipher = sign_take_text(&f), kdf = sign_take_text(&f);
    sign_take_text(&f);
    uint32_t count = sign_take_number(&f);
    sign_take_text(&f);
    struct str inner = sign_take_text(&f);
    if (f.bad || count != 1)
        return "the key is damaged";
    if (!is_text(cipher, "none") || !is_text(kdf, "none"))
        return "the key has a passphrase";
    struct sign_fields p = {(const uint8_t *)inner.ptr, inner.len, false};
    uint32_t check = sign_take_number(&p), again = sign_take_number(&p);
    struct str algorithm = sign_take_text(&p);
    if (!p.bad && !is_text(algorithm, ALGORITHM))
        return "it is no Ed25519 key";
    struct str public_key = sign_take_text(&p), private_key = sign_take_text(&p);
    if (p.bad || check != again || public_key.len != 32 || private_key.len != 64 ||
        memcmp(private_key.ptr + 32, public_key.ptr, 32) != 0)
        return "the key is damaged";
    memcpy(out->public_key, public_key.ptr, SIGN_KEY_BYTES);
    memcpy(out->seed, private_key.ptr, SIGN_KEY_BYTES);
    return NULL;
}

static const char *parse_openssh(const struct buf *text, struct sign_key *out)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    static const char end[] = "-----END OPENSSH PRIVATE KEY-----";
    const char *why = "it is no OpenSSH private key";
    struct buf bytes = {0};
    const char *from = strstr(buf_text(text), begin);
    const char *to = from ? strstr(from, end) : NULL;
    if (to) {
        from += sizeof(begin) - 1;
        if (sign_unbase64((struct str){from, (size_t)(to - from)}, &bytes))
            why = parse_private((struct sign_fields){(uint8_t *)bytes.ptr, bytes.len, false}, out);
    }
    if (bytes.ptr)
        OPENSSL_cleanse(bytes.ptr, bytes.cap);
    buf_release(&bytes);
    return why;
}

static bool is_pem(const struct buf *text, const char *what)
{
    const char *begin = strstr(buf_text(text), "-----BEGIN ");
    return begin && strstr(begin, what) && !strstr(begin, "OPENSSH");
}

int sign_load(const char *path, struct sign_key *out, struct err *e)
{
    struct buf text = {0};
    *out = (struct sign_key){0};
    if (os_read(path, &text, e))
        return -1;
    const char *why = text.len > KEY_FILE_MAX_BYTES       ? "it is no private key"
                      : is_pem(&text, "PRIVATE KEY-----") ? sign_pem_private(&text, out)
                                                          : parse_openssh(&text, out);
    if (text.ptr)
        OPENSSL_cleanse(text.ptr, text.cap);
    buf_release(&text);
    return why ? bad_key(path, why, e) : 0;
}

void sign_forget(struct sign_key *key)
{
    OPENSSL_cleanse(key, sizeof(*key));
}

void sign_put_key(struct buf *out, const uint8_t public_key[SIGN_KEY_BYTES])
{
    sign_put_number(out, strlen(ALGORITHM));
    buf_addstr(out, ALGORITHM);
    sign_put_number(out, SIGN_KEY_BYTES);
    buf_add(out, public_key, SIGN_KEY_BYTES);
}

bool sign_take_key(struct str blob, uint8_t out[SIGN_KEY_BYTES])
{
    struct sign_fields f = {(const uint8_t *)blob.ptr, blob.len, false};
    struct str algorithm = sign_take_text(&f), key = sign_take_text(&f);
    bool good = !f.bad && is_text(algorithm, ALGORITHM) && key.len == SIGN_KEY_BYTES && !f.left;
    if (good)
        memcpy(out, key.ptr, SIGN_KEY_BYTES);
    return good;
}

static void push_key(struct sign_keys *keys, const uint8_t key[SIGN_KEY_BYTES])
{
    keys->at = xrealloc(keys->at, (keys->len + 1) * sizeof(*keys->at));
    memcpy(keys->at[keys->len++], key, SIGN_KEY_BYTES);
}

void sign_parse_public(struct str text, struct sign_keys *out)
{
    struct str line, word;
    while (str_split(&text, '\n', &line)) {
        uint8_t key[SIGN_KEY_BYTES];
        struct buf blob = {0};
        struct str rest = line;
        bool found = false;
        while (!found && line.ptr[0] != '#' && str_split(&rest, ' ', &word))
            found = is_text(word, ALGORITHM);
        if (found && str_split(&rest, ' ', &word) && sign_unbase64(str_trim(word), &blob) &&
            sign_take_key((struct str){buf_text(&blob), blob.len}, key))
            push_key(out, key);
        buf_release(&blob);
    }
}

int sign_load_public(const char *path, struct sign_keys *out, struct err *e)
{
    struct buf text = {0};
    uint8_t key[SIGN_KEY_BYTES];
    const char *why = NULL;
    size_t before = out->len;
    if (os_read(path, &text, e))
        return -1;
    if (text.len > KEY_FILE_MAX_BYTES)
        why = "it is no file of public keys";
    else if (is_pem(&text, "PUBLIC KEY-----") && !(why = sign_pem_public(&text, key)))
        push_key(out, key);
    else if (!why)
        sign_parse_public((struct str){buf_text(&text), text.len}, out);
    if (!why && out->len == before)
        why = "it holds no line \"ssh-ed25519 AAAA...\"";
    buf_release(&text);
    return why ? bad_key(path, why, e) : 0;
}

void sign_keys_release(struct sign_keys *keys)
{
    free(keys->at);
    *keys = (struct sign_keys){0};
}

char *sign_key_id(struct arena *arena, const uint8_t public_key[SIGN_KEY_BYTES])
{
    struct buf blob = {0}, text = {0};
    struct digest digest;
    sign_put_key(&blob, public_key);
    hash_bytes(blob.ptr, blob.len, &digest);
    sign_base64(digest.bytes, DIGEST_BYTES, &text);
    char *id = arena_printf(arena, "SHA256:%.43s", buf_text(&text)); /* without the padding */
    buf_release(&blob);
    buf_release(&text);
    return id;
}

int sign_bytes(const struct sign_key *key, const void *bytes, size_t len, uint8_t out[SIGN_BYTES],
               struct err *e)
{
    if (key->agent)
        return sign_by_agent(key->public_key, bytes, len, out, e);
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, SIGN_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t written = SIGN_BYTES;
    bool done = pkey && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestSign(ctx, out, &written, bytes, len) == 1 && written == SIGN_BYTES;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return done ? 0 : err_set(e, ERR_signature, "libcrypto cannot sign with Ed25519");
}

bool sign_holds(const uint8_t public_key[SIGN_KEY_BYTES], const void *bytes, size_t len,
                const uint8_t signature[SIGN_BYTES])
{
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool holds = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                 EVP_DigestVerify(ctx, signature, SIGN_BYTES, bytes, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return holds;
}
