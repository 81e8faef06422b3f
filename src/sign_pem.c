#include "sign_parts.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

/* A key that is encrypted must not make libcrypto ask on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer, (void)size, (void)writing;
    *(bool *)asked = true;
    return -1;
}

const char *sign_pem_private(const struct buf *text, struct sign_key *out)
{
    bool locked = false;
    size_t seed = SIGN_KEY_BYTES, key = SIGN_KEY_BYTES;
    BIO *bio = BIO_new_mem_buf(text->ptr, (int)text->len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &locked) : NULL;
    const char *why = locked ? "the key has a passphrase" : !pkey ? "the key is damaged" : NULL;
    if (!why && EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        why = "it is no Ed25519 key";
    if (!why && (EVP_PKEY_get_raw_private_key(pkey, out->seed, &seed) != 1 ||
                 EVP_PKEY_get_raw_public_key(pkey, out->public_key, &key) != 1))
        why = "the key is damaged";
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return why;
}

const char *sign_pem_public(const struct buf *text, uint8_t out[SIGN_KEY_BYTES])
{
    size_t len = SIGN_KEY_BYTES;
    BIO *bio = BIO_new_mem_buf(text->ptr, (int)text->len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    const char *why = !pkey ? "the key is damaged" : NULL;
    if (!why && EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        why = "it is no Ed25519 key";
    if (!why && EVP_PKEY_get_raw_public_key(pkey, out, &len) != 1)
        why = "the key is damaged";
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return why;
}
