/* prove_domain: what the cases of a law are made of, and how one is drawn.
 *
 * A case is an object of fields, drawn in declared order. Every draw comes down to decisions, each
 * a number below a bound where smaller means simpler; a tape holds them, one stream a field. So one
 * drawing code serves enumeration (count the tape up), random search (write the tape from a
 * generator) and shrinking (edit the tape, read it again): whatever the tape says, the case lies in
 * its domain. Starts no process.
 *
 * Life cycle: fields live in the arena they were parsed into; a tape that is all zero is empty,
 * tape_release makes it so again. */
#ifndef SPAK_PROVE_DOMAIN_H
#define SPAK_PROVE_DOMAIN_H

#include "json.h"

enum domain_kind {
    DOMAIN_INT,    /* {"int": [lo, hi]}; the simplest is the one nearest to zero */
    DOMAIN_CHOICE, /* {"choice": [...]}, any values, simplest first */
    DOMAIN_GRID,   /* {"grid": [...]}, numbers or "inf", "-inf", "nan", simplest first */
    DOMAIN_REAL,   /* {"real": "normal" | "uniform" | "extreme", "scale": s}, fp32 values */
    DOMAIN_LIST,   /* {"list": domain, "len": N | [lo, hi] | "field" | "field*other"} */
    DOMAIN_MOD,    /* {"mod": p}, a whole number from 0 to p - 1 */
    DOMAIN_PERM,   /* {"perm": N | "field"}, a permutation of 0 .. N - 1 */
    DOMAIN_BITS,   /* {"bits": N | "field"}, a list of 0 and 1 */
    DOMAIN_RECORD, /* {"record": [[name, domain], ...]} */
    DOMAIN_ANY,    /* {"any": [domain, ...]}, one of several domains */
};

#define LENGTH_FACTORS 4

/* How long a list is: drawn from [lo, hi], or a product of numbers and of integer fields drawn
 * before. */
struct length {
    bool drawn;
    long long lo;
    long long hi;
    uint32_t fields[LENGTH_FACTORS]; /* index of the field */
    size_t field_count;
    long long factor; /* the product of the literal numbers */
};

struct fields {
    struct field *at;
    size_t len;
};

struct domain {
    enum domain_kind kind;
    long long lo; /* int, mod */
    long long hi;
    const char **texts; /* choice and grid: each value as JSON text */
    size_t text_count;
    const char *distribution; /* real */
    double scale;
    struct length length;    /* list, perm, bits */
    struct domain *elements; /* list: one; any: several */
    size_t element_count;
    struct fields record;
};

struct field {
    const char *name;
    struct domain domain;
};

/* Reads [[name, domain], ...]. */
int fields_parse(const json_t *cases, struct arena *arena, struct fields *out, struct err *e);
/* Whether a real takes part: no scope counts those out. */
bool fields_have_reals(const struct fields *fields);

/* Decisions without an upper bound that a shrinker may halve: the tail of a real's. */
#define DECISION_OPEN UINT64_MAX

struct stream {
    uint64_t *choice;
    uint64_t *bound; /* choice < bound */
    size_t len;
    size_t cap;
};
struct tape {
    struct stream *streams; /* one a field */
    size_t count;
};
void tape_init(struct tape *tape, size_t streams);
void tape_copy(struct tape *to, const struct tape *from);
void tape_release(struct tape *tape);
/* Back to no decision at all. */
void tape_clear(struct tape *tape);
/* A tape as a word, "3,0;;7": streams by ';'. What a word says beyond the streams that a tape has,
 * or says wrongly, is left out: any tape draws some case of its domain. */
void tape_write(const struct tape *tape, struct buf *out);
void tape_read(const char *word, struct tape *tape);

/* Where decisions come from. */
enum draw_mode {
    DRAW_COUNT,  /* the tape, and 0 beyond its end; every bound cut to `limit` */
    DRAW_RANDOM, /* the generator; the tape records */
    DRAW_REPLAY, /* the tape, and 0 beyond its end */
};
struct draw {
    enum draw_mode mode;
    uint64_t limit;
    struct rng rng;
    struct tape *tape;
};

/* Appends the case as one JSON object without a newline, and leaves on the tape the decisions it
 * used. */
void case_draw(const struct fields *fields, struct draw *draw, struct buf *out);
/* Counts the tape of the last DRAW_COUNT up by one; false when that was the last case in scope. */
bool tape_next(struct tape *tape);
/* The generator of the index-th random case under a seed: cases do not depend on one another. */
struct rng case_rng(const char *seed_hex, uint64_t index);

#endif
