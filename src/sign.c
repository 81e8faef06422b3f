#include "sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
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

/* What is left of a key; once something did not fit, everything after is empty. */
struct fields {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct fields *f, size_t len)
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

static uint32_t take_number(struct fields *f)
{
    const uint8_t *at = take(f, 4);
    return at ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3] : 0;
}

static struct str take_text(struct fields *f)
{
    uint32_t len = take_number(f);
    const uint8_t *at = take(f, len);
    return at ? (struct str){(const char *)at, len} : (struct str){"", 0};
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
static const char *parse_private(struct fields f, struct sign_key *out)
{
    static const char magic[] = "openssh-key-v1";
    const uint8_t *head = take(&f, sizeof(magic));
    if (!head || memcmp(head, magic, sizeof(magic)) != 0)
        return "it is no OpenSSH private key";
    struct str cipher = take_text(&f), kdf = take_text(&f);
    take_text(&f);
    uint32_t count = take_number(&f);
    take_text(&f);
    struct str inner = take_text(&f);
    if (f.bad || count != 1)
        return "the key is damaged";
    if (!is_text(cipher, "none") || !is_text(kdf, "none"))
        return "the key has a passphrase";
    struct fields p = {(const uint8_t *)inner.ptr, inner.len, false};
    uint32_t check = take_number(&p), again = take_number(&p);
    struct str algorithm = take_text(&p);
    if (!p.bad && !is_text(algorithm, ALGORITHM))
        return "it is no Ed25519 key";
    struct str public_key = take_text(&p), private_key = take_text(&p);
    if (p.bad || check != again || public_key.len != 32 || private_key.len != 64 ||
        memcmp(private_key.ptr + 32, public_key.ptr, 32) != 0)
        return "the key is damaged";
    memcpy(out->public_key, public_key.ptr, SIGN_KEY_BYTES);
    memcpy(out->seed, private_key.ptr, SIGN_KEY_BYTES);
    return NULL;
}

int sign_load(const char *path, struct sign_key *out, struct err *e)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    static const char end[] = "-----END OPENSSH PRIVATE KEY-----";
    struct buf text = {0}, bytes = {0};
    const char *why = "it is no OpenSSH private key";
    *out = (struct sign_key){0};
    if (os_read(path, &text, e))
        return -1;
    const char *from = strstr(buf_text(&text), begin);
    const char *to = from ? strstr(from, end) : NULL;
    if (to && text.len <= KEY_FILE_MAX_BYTES) {
        from += sizeof(begin) - 1;
        if (sign_unbase64((struct str){from, (size_t)(to - from)}, &bytes))
            why = parse_private((struct fields){(uint8_t *)bytes.ptr, bytes.len, false}, out);
    }
    if (bytes.ptr)
        OPENSSL_cleanse(bytes.ptr, bytes.cap);
    if (text.ptr)
        OPENSSL_cleanse(text.ptr, text.cap);
    buf_release(&bytes);
    buf_release(&text);
    return why ? bad_key(path, why, e) : 0;
}

void sign_forget(struct sign_key *key)
{
    OPENSSL_cleanse(key, sizeof(*key));
}

static void public_blob(const uint8_t public_key[SIGN_KEY_BYTES], struct buf *out)
{
    buf_add(out, "\0\0\0\013" ALGORITHM "\0\0\0\040", 4 + 11 + 4);
    buf_add(out, public_key, SIGN_KEY_BYTES);
}

int sign_load_public(const char *path, uint8_t out[SIGN_KEY_BYTES], struct err *e)
{
    struct buf text = {0}, bytes = {0};
    struct str rest, word = {"", 0};
    if (os_read(path, &text, e))
        return -1;
    rest = (struct str){buf_text(&text), text.len};
    bool found = str_split(&rest, ' ', &word) && is_text(word, ALGORITHM) &&
                 str_split(&rest, ' ', &word) && sign_unbase64(str_trim(word), &bytes);
    struct fields f = {(uint8_t *)bytes.ptr, bytes.len, !found};
    struct str algorithm = take_text(&f), key = take_text(&f);
    bool good = !f.bad && is_text(algorithm, ALGORITHM) && key.len == SIGN_KEY_BYTES && f.left == 0;
    if (good)
        memcpy(out, key.ptr, SIGN_KEY_BYTES);
    buf_release(&bytes);
    buf_release(&text);
    return good ? 0 : bad_key(path, "it is no line \"ssh-ed25519 AAAA...\"", e);
}

char *sign_key_id(struct arena *arena, const uint8_t public_key[SIGN_KEY_BYTES])
{
    struct buf blob = {0}, text = {0};
    struct digest digest;
    public_blob(public_key, &blob);
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
