/* prove_spec: what a law declares, read from JSON and checked.
 *
 * {"name", "asserts", "sim": [argv], "cases": [[field, domain], ...],
 *  "scope": {"exhaustive": k, "random": n, "cap": most cases counted out},
 *  "relation": "equal" | "at_most", "within": {"abs", "rel", "ulp", "ulp32"},
 *  "mutants": [{"name", "fault"}, ...] or the path of a file with `name  fault` lines,
 *  "threshold": 1.0, "seed": "hex", "max_skip": 0.5, "timeout_s": 10,
 *  "metamorphic": true, "regression": the path of a file with one case a line}
 *
 * Life cycle: spec_read, then spec_release, also after an error. */
#ifndef SPAK_PROVE_SPEC_H
#define SPAK_PROVE_SPEC_H

#include "prove_domain.h"
#include "prove_judge.h"

struct mutant {
    const char *name;
    const char *fault;
};

struct spec {
    struct arena arena;
    const char *name;
    const char *asserts;
    const char *const *argv;
    struct fields fields;
    uint64_t exhaustive; /* 0: no exhaustive scope */
    uint64_t random;
    uint64_t cap;
    struct judge judge;
    const char *relation; /* as written */
    json_t *within;       /* as written, NULL: bit-exact */
    struct mutant *mutants;
    size_t mutant_count;
    double threshold; /* the part of the mutants that must be killed */
    const char *seed;
    bool metamorphic;       /* the sides are two runs of one thing; none is an oracle */
    struct strs regression; /* cases that broke it once, as JSON text: tried before all others */
    /* Cases that broke it in an earlier proof, as tapes: tried before all others, and leaving no
     * mark on a proof that they do not break. */
    struct strs kept;
    double max_skip;
    int64_t timeout_ns;
};
int spec_read(const char *path, struct spec *out, struct err *e);
/* The same from text; `name` stands for it in messages. */
int spec_parse(const char *text, size_t len, const char *name, struct spec *out, struct err *e);
/* Takes the tapes in, words by blanks. */
void spec_keep(struct spec *spec, const char *tapes);
void spec_release(struct spec *spec);

#endif
