/* sign: raw Ed25519 signatures with keys in files or in an ssh-agent. Besides hash, the only user
 * of libcrypto.
 *
 * Reads unencrypted keys as OpenSSH and openssl write them, with every length checked. Knows
 * nothing of what is signed. */
#ifndef SPAK_SIGN_H
#define SPAK_SIGN_H

#include "hash.h"

#define SIGN_KEY_BYTES 32
#define SIGN_BYTES 64

struct sign_key {
    uint8_t public_key[SIGN_KEY_BYTES];
    uint8_t seed[SIGN_KEY_BYTES]; /* sign_forget wipes it */
    bool agent;                   /* there is no seed: the ssh-agent signs */
};
/* Reads a private key file of OpenSSH or a PEM (openssl genpkey -algorithm ed25519), without a
 * passphrase. */
int sign_load(const char *path, struct sign_key *out, struct err *e);
void sign_forget(struct sign_key *key);
/* The key of the ssh-agent with this public part, NULL: its first Ed25519 key. */
int sign_use_agent(const uint8_t *public_key, struct sign_key *out, struct err *e);

struct sign_keys {
    uint8_t (*at)[SIGN_KEY_BYTES];
    size_t len;
};
/* Adds every "... ssh-ed25519 BASE64 ..." of a file, a public key's or one of allowed signers, or
 * the key of a PEM. None is an error. */
int sign_load_public(const char *path, struct sign_keys *out, struct err *e);
/* The same of a text; none is none. */
void sign_parse_public(struct str text, struct sign_keys *out);
void sign_keys_release(struct sign_keys *keys);
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
