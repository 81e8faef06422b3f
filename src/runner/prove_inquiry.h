/* prove_inquiry: one simulation, asked all cases in scope until one tells against it.
 *
 * First every case of the exhaustive scope, then the random ones. The law itself and each of its
 * mutants are inquired into the same way; for the law a broken case is a counterexample, for a
 * mutant it is the kill.
 *
 * Life cycle: inquire fills a struct that is all zero, inquiry_release empties it. */
#ifndef SPAK_PROVE_INQUIRY_H
#define SPAK_PROVE_INQUIRY_H

#include "prove_sim.h"
#include "prove_spec.h"

enum inquiry_end {
    INQUIRY_HELD,    /* the sides agreed on every case */
    INQUIRY_BROKEN,  /* they did not on one: `broken` */
    INQUIRY_TROUBLE, /* no result: `trouble` says why */
};

/* A case whose sides differ, as JSON text. */
struct broken {
    struct tape tape;
    struct buf given;
    struct buf lhs;
    struct buf rhs;
    struct buf where;
    bool old; /* a regression case: as small as it was kept */
};

struct inquiry {
    enum inquiry_end end;
    struct buf trouble;
    struct buf said; /* what the simulation printed to stderr, for people */
    struct broken broken;
    uint64_t exhaustive; /* cases answered, those skipped included */
    bool truncated;      /* the exhaustive scope holds more cases than the cap */
    uint64_t random;
    uint64_t regression;
    uint64_t skipped;
    struct buf skip_reason; /* the first one given */
    bool varies;            /* the left side was not the same for all cases */
};
int inquire(const struct spec *spec, const char *mutant, struct inquiry *out, struct err *e);
void inquiry_release(struct inquiry *inquiry);

enum answer_kind { ANSWER_AGREES, ANSWER_DIFFERS, ANSWER_SKIPS, ANSWER_GARBAGE };
/* What one answer line says; lhs and rhs are the caller's to release, `why` gets the reason for
 * garbage or skips, the path of the first difference otherwise. */
enum answer_kind answer_read(const struct judge *judge, struct str line, json_t **lhs, json_t **rhs,
                             struct buf *why);
void broken_release(struct broken *broken);

#endif
