#include "prove_law.h"

#include "prove_shrink.h"
#include <stdlib.h>
#include <string.h>

static void unverified(struct proof *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void unverified(struct proof *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_addv(&p->reason, fmt, args);
    va_end(args);
    p->status = LAW_UNVERIFIED;
}

static int refute(const struct spec *spec, struct proof *p, struct err *e)
{
    struct broken *b = &p->law.broken;
    struct buf found = {0};
    bool repeats = true;
    buf_addstr(&found, buf_text(&b->given));
    int rc = b->old ? 0 : shrink(spec, b, &repeats, e);
    p->status = LAW_REFUTED;
    if (rc == 0 && strcmp(buf_text(&found), buf_text(&b->given)) != 0)
        buf_addstr(&p->shrunk_from, buf_text(&found));
    if (rc == 0 && !repeats)
        unverified(p,
                   "the simulation broke the law on %s and kept it when asked again: it is not a "
                   "function of the case",
                   buf_text(&found));
    else
        buf_addf(&p->reason, "the sides differ%s%s", b->where.len ? " at " : "",
                 buf_text(&b->where));
    buf_release(&found);
    return rc;
}

/* A law that held may have held for no reason. */
static void check_meaning(const struct spec *spec, struct proof *p)
{
    const struct inquiry *law = &p->law;
    uint64_t asked = law->exhaustive + law->random + law->regression;
    if (law->skipped == asked)
        unverified(p, "the simulation skipped every case (%s): nothing was shown",
                   buf_text(&law->skip_reason));
    else if ((double)law->skipped > spec->max_skip * (double)asked)
        unverified(p, "the simulation skipped %llu of %llu cases (%s), more than the %g %% it may",
                   (unsigned long long)law->skipped, (unsigned long long)asked,
                   buf_text(&law->skip_reason), spec->max_skip * 100);
    else if (!law->varies)
        unverified(
            p,
            "vacuous: the left side is the same for all %llu cases, so it says nothing about them",
            (unsigned long long)(asked - law->skipped));
    else if (spec->mutant_count == 0)
        unverified(
            p,
            "it declares no mutants: nothing shows that its simulation can tell right from wrong");
}

static int try_mutant(const struct spec *spec, size_t index, struct proof *p, struct err *e)
{
    struct inquiry inquiry = {0};
    struct kill *kill = &p->kills[index];
    int rc = inquire(spec, spec->mutants[index].name, &inquiry, e);
    kill->killed = rc == 0 && inquiry.end == INQUIRY_BROKEN;
    if (kill->killed)
        p->killed++;
    buf_addstr(&kill->given, buf_text(&inquiry.broken.given));
    buf_addstr(&kill->trouble, buf_text(&inquiry.trouble));
    inquiry_release(&inquiry);
    return rc;
}

static void name_survivors(const struct spec *spec, struct proof *p)
{
    struct buf names = {0};
    for (size_t i = 0; i < spec->mutant_count; i++) {
        const struct kill *kill = &p->kills[i];
        if (kill->killed)
            continue;
        buf_addf(&names, "%s %s (%s", names.len ? "," : "", spec->mutants[i].name,
                 spec->mutants[i].fault);
        if (kill->trouble.len)
            buf_addf(&names, "; gave no result: it %s", buf_text(&kill->trouble));
        buf_addch(&names, ')');
    }
    unverified(
        p,
        "%zu of %zu mutants were killed, %g %% are asked for; no case tells these from the law:%s",
        p->killed, spec->mutant_count, spec->threshold * 100, buf_text(&names));
    buf_release(&names);
}

static int try_mutants(const struct spec *spec, struct proof *p, struct err *e)
{
    p->kills = xcalloc(spec->mutant_count, sizeof(*p->kills));
    for (size_t i = 0; i < spec->mutant_count; i++)
        if (try_mutant(spec, i, p, e))
            return -1;
    if ((double)p->killed < spec->threshold * (double)spec->mutant_count)
        name_survivors(spec, p);
    return 0;
}

int law_prove(const struct spec *spec, struct proof *out, struct err *e)
{
    out->status = LAW_VERIFIED;
    if (inquire(spec, NULL, &out->law, e))
        return -1;
    if (out->law.end == INQUIRY_BROKEN)
        return refute(spec, out, e);
    if (out->law.end == INQUIRY_TROUBLE) {
        unverified(out, "the simulation %s", buf_text(&out->law.trouble));
        return 0;
    }
    check_meaning(spec, out);
    return out->status == LAW_VERIFIED ? try_mutants(spec, out, e) : 0;
}

void proof_release(struct proof *proof, const struct spec *spec)
{
    for (size_t i = 0; proof->kills && i < spec->mutant_count; i++) {
        buf_release(&proof->kills[i].given);
        buf_release(&proof->kills[i].trouble);
    }
    free(proof->kills);
    buf_release(&proof->reason);
    buf_release(&proof->shrunk_from);
    inquiry_release(&proof->law);
    *proof = (struct proof){0};
}
