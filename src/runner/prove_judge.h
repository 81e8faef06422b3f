/* prove_judge: whether the two sides of a law agree.
 *
 * The engine compares, never the simulation. Numbers may be written "inf", "-inf" or "nan". Without
 * a bound equal means the same bits (a whole number equals the real of the same value; nan equals
 * nan). */
#ifndef SPAK_PROVE_JUDGE_H
#define SPAK_PROVE_JUDGE_H

#include "json.h"

enum relation { RELATION_EQUAL, RELATION_AT_MOST };

struct judge {
    enum relation relation;
    bool bounded; /* one of the bounds below was declared */
    double abs;   /* |a - b| <= abs + rel max(|a|, |b|) ... */
    double rel;
    double ulp;   /* ... or at most that many doubles lie between them */
    double ulp32; /* ... or that many fp32 values */
};
/* True when they agree; otherwise `where` gets the path of the first difference, like [1].l, empty
 * for the whole. */
bool judge_agrees(const struct judge *judge, const json_t *lhs, const json_t *rhs,
                  struct buf *where);

#endif
