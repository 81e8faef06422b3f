/* draw: seeds that nobody can choose.
 *
 * Who is judged by random inputs must not know them in time, and whoever doubts the judgement must
 * be able to draw them again. So a seed is a keyed digest (HMAC-SHA256) of a commitment: the lease
 * and the candidates as they were, one line each. A check draws with the empty key: its inputs
 * follow from the candidate alone, and change with every byte of it. A measurement draws with a
 * nonce that did not exist before the candidates were fixed, and that is published with it. */
#ifndef SPAK_DRAW_H
#define SPAK_DRAW_H

#include "hash.h"

#define DRAW_NONCE_BYTES 32

/* Fresh randomness, as hex digits. */
int draw_nonce(char out[2 * DRAW_NONCE_BYTES + 1], struct err *e);
/* The seed of a commitment under a nonce's hex digits ("" for none): a whole number that JSON
 * keeps. */
uint64_t draw_seed(const char *nonce, const char *commitment);
/* Appends a line of a commitment: "candidate fused <digest>". */
void draw_commit(struct buf *commitment, const char *what, const char *name,
                 const struct digest *digest);

#endif
