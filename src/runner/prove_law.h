/* prove_law: what is known about a law after it was tried: the proof.
 *
 * A law is verified if and only if no case broke it, its simulation answered by the protocol, few
 * enough cases were skipped, the answers depend on the case, and enough of at least one mutant were
 * killed. Everything else is refuted (a counterexample) or unverified (a reason). A proof is a
 * value: no times, no paths, the same bytes for the same specification and simulation.
 *
 * Life cycle: law_prove fills a struct that is all zero, proof_release empties it. */
#ifndef SPAK_PROVE_LAW_H
#define SPAK_PROVE_LAW_H

#include "prove_inquiry.h"

enum law_status { LAW_VERIFIED, LAW_REFUTED, LAW_UNVERIFIED };

struct kill {
    bool killed;
    struct buf given;   /* the case that told it apart */
    struct buf trouble; /* why it could not be asked */
};

struct proof {
    enum law_status status;
    struct buf reason; /* one sentence, empty when verified */
    struct inquiry law;
    struct buf shrunk_from; /* the case as first found, empty when it is the smallest */
    struct kill *kills;     /* one a mutant; NULL when mutants were not tried */
    size_t killed;
};
int law_prove(const struct spec *spec, struct proof *out, struct err *e);
void proof_release(struct proof *proof, const struct spec *spec);

/* "PROVED": exact, and every case in scope was tried; "PROPERTY": exact, on samples; "METAMORPHIC":
 * the same, of a relation without an oracle; "STATISTICAL": under a bound or an inequality;
 * "REFUTED"; "NONE". */
const char *proof_rung(const struct proof *proof, const struct spec *spec);
const char *proof_status(const struct proof *proof);
/* The proof as canonical JSON. */
void proof_json(const struct proof *proof, const struct spec *spec, struct buf *out);
/* The paragraph for people. */
void proof_message(const struct proof *proof, const struct spec *spec, struct buf *out);

#endif
