/* sign_parts: what the files of sign share among themselves. Nobody else includes it. */
#ifndef SPAK_SIGN_PARTS_H
#define SPAK_SIGN_PARTS_H

#include "sign.h"

/* What is left of a text in OpenSSH's wire format; once something did not fit, everything after is
 * empty. */
struct sign_fields {
    const uint8_t *at;
    size_t left;
    bool bad;
};
const uint8_t *sign_take(struct sign_fields *f, size_t len);
uint32_t sign_take_number(struct sign_fields *f);
struct str sign_take_text(struct sign_fields *f);
void sign_put_number(struct buf *out, uint32_t number);
/* "ssh-ed25519" and the key, as texts; false when the blob is another kind of key. */
bool sign_take_key(struct str blob, uint8_t out[SIGN_KEY_BYTES]);
void sign_put_key(struct buf *out, const uint8_t public_key[SIGN_KEY_BYTES]);

/* sign_agent.c */
int sign_by_agent(const uint8_t public_key[SIGN_KEY_BYTES], const void *bytes, size_t len,
                  uint8_t out[SIGN_BYTES], struct err *e);
/* sign_pem.c: why the text is no key in PEM that can be used, NULL when it is one. */
const char *sign_pem_private(const struct buf *text, struct sign_key *out);
const char *sign_pem_public(const struct buf *text, uint8_t out[SIGN_KEY_BYTES]);

#endif
