/* gate: the protocol. A node that measures needs a lease, and a lease needs a token.
 *
 * The token is the digest of the guide the node works from and of the verified invariants it rests
 * on; one changed byte in any of them makes another token. The gate looks at what the engine itself
 * recorded (who made a file, with which program) and never at what a program said about itself
 * alone. Knows no domain: "invariant" and "guide" are kinds of nodes. */
#ifndef SPAK_GATE_H
#define SPAK_GATE_H

#include "graph.h"
#include "store.h"

/* Admits a node that measures: the hex token of its lease, or -1 and an error of class ERR_PROTOCOL
 * that says which guide or proof is wanting and why. The guide and the proofs must lie on disk,
 * final. */
int gate_admit(const struct graph *g, uint32_t node, struct hash_cache *cache, struct arena *arena,
               const char **token, struct err *e);
/* The token alone: SHA-256 over the guide's digest and the sorted (name, digest) of the proofs. */
void gate_token(const struct digest *guide, const char *const *proof_names,
                const struct digest *proofs, size_t count, char out[DIGEST_HEX_LEN + 1]);
/* Records that the lease was used: value "lease/<node>", the token and what it covers. Inside or
 * outside a transaction. */
int gate_record(struct store *s, const struct graph *g, uint32_t node, const char *token,
                struct err *e);
/* True for the program that checks invariants: only its proofs count. */
bool gate_is_prover(const struct graph *g, uint32_t node);

#endif
