/* sign: raw Ed25519 signatures with OpenSSH keys. Besides hash, the only user of libcrypto.
 *
 * Reads unencrypted openssh-key-v1 files and public key lines, with every length checked. Knows
 * nothing of what is signed. */
#ifndef SPAK_SIGN_H
#define SPAK_SIGN_H

#include "hash.h"

#define SIGN_KEY_BYTES 32
#define SIGN_BYTES 64

struct sign_key {
    uint8_t public_key[SIGN_KEY_BYTES];
    uint8_t seed[SIGN_KEY_BYTES]; /* sign_forget wipes it */
};
/* Reads a private key file, without a passphrase. */
int sign_load(const char *path, struct sign_key *out, struct err *e);
void sign_forget(struct sign_key *key);
/* Reads the first "ssh-ed25519 BASE64 comment" of a file. */
int sign_load_public(const char *path, uint8_t out[SIGN_KEY_BYTES], struct err *e);
/* The fingerprint as `ssh-keygen -lf` prints it: "SHA256:..." */
char *sign_key_id(struct arena *arena, const uint8_t public_key[SIGN_KEY_BYTES]);
int sign_bytes(const struct sign_key *key, const void *bytes, size_t len, uint8_t out[SIGN_BYTES],
               struct err *e);
bool sign_holds(const uint8_t public_key[SIGN_KEY_BYTES], const void *bytes, size_t len,
                const uint8_t signature[SIGN_BYTES]);

/* Standard base64, padded. */
void sign_base64(const void *bytes, size_t len, struct buf *out);
/* Appends what a base64 text stands for; false when it is none. */
bool sign_unbase64(struct str text, struct buf *out);

#endif
