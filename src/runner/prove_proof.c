#include "prove_law.h"

#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {"verified", "refuted", "unverified"};

const char *proof_status(const struct proof *proof)
{
    return status_names[proof->status];
}

const char *proof_rung(const struct proof *proof, const struct spec *spec)
{
    if (proof->status == LAW_REFUTED)
        return "REFUTED";
    if (proof->status == LAW_UNVERIFIED)
        return "NONE";
    if (spec->judge.bounded || spec->judge.relation == RELATION_AT_MOST)
        return "STATISTICAL";
    /* A grid of reals is a sample, however completely it was walked. */
    bool complete =
        spec->exhaustive > 0 && !proof->law.truncated && !fields_have_reals(&spec->fields);
    if (complete)
        return "PROVED";
    return spec->metamorphic ? "METAMORPHIC" : "PROPERTY";
}

/* Text that the engine drew or printed itself, as a value again. */
static json_t *value_of(const struct buf *text)
{
    struct err e = {0};
    json_t *value = text->len ? json_parse(text->ptr, text->len, "case", &e) : json_null();
    err_release(&e);
    return value ? value : json_null();
}

static json_t *whole(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *json_of_mutants(const struct proof *proof, const struct spec *spec)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spec->mutant_count; i++) {
        json_t *m = json_object();
        json_object_set_new(m, "name", json_string(spec->mutants[i].name));
        json_object_set_new(m, "fault", json_string(spec->mutants[i].fault));
        json_object_set_new(m, "killed", json_boolean(proof->kills && proof->kills[i].killed));
        json_object_set_new(m, "case",
                            proof->kills ? value_of(&proof->kills[i].given) : json_null());
        json_array_append_new(list, m);
    }
    return list;
}

static json_t *json_of_scope(const struct proof *proof, const struct spec *spec)
{
    json_t *scope = json_object();
    json_object_set_new(scope, "exhaustive", whole(spec->exhaustive));
    json_object_set_new(scope, "random", whole(spec->random));
    json_object_set_new(scope, "cap", whole(spec->cap));
    json_object_set_new(scope, "truncated", json_boolean(proof->law.truncated));
    return scope;
}

static json_t *json_of_cases(const struct proof *proof)
{
    json_t *cases = json_object();
    json_object_set_new(cases, "exhaustive", whole(proof->law.exhaustive));
    json_object_set_new(cases, "random", whole(proof->law.random));
    json_object_set_new(cases, "regression", whole(proof->law.regression));
    json_object_set_new(cases, "skipped", whole(proof->law.skipped));
    return cases;
}

static json_t *word_of(const struct tape *tape)
{
    struct buf text = {0};
    tape_write(tape, &text);
    json_t *word = json_string(buf_text(&text));
    buf_release(&text);
    return word;
}

static json_t *json_of_counterexample(const struct proof *proof)
{
    const struct broken *b = &proof->law.broken;
    if (proof->status != LAW_REFUTED)
        return json_null();
    json_t *c = json_object();
    json_object_set_new(c, "case", value_of(&b->given));
    json_object_set_new(c, "lhs", value_of(&b->lhs));
    json_object_set_new(c, "rhs", value_of(&b->rhs));
    json_object_set_new(c, "where", json_string(buf_text(&b->where)));
    if (!b->old)
        json_object_set_new(c, "tape", word_of(&b->tape));
    if (proof->shrunk_from.len)
        json_object_set_new(c, "shrunk_from", value_of(&proof->shrunk_from));
    return c;
}

void proof_json(const struct proof *proof, const struct spec *spec, struct buf *out)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(spec->name));
    json_object_set_new(json, "asserts", json_string(spec->asserts));
    json_object_set_new(json, "status", json_string(proof_status(proof)));
    json_object_set_new(json, "rung", json_string(proof_rung(proof, spec)));
    /* A reason may quote what the simulation printed: never let that break the file. */
    json_t *reason = json_string(buf_text(&proof->reason));
    json_object_set_new(json, "reason", reason ? reason : json_string("(not text)"));
    json_object_set_new(json, "relation", json_string(spec->relation));
    json_object_set_new(json, "within", spec->within ? json_incref(spec->within) : json_null());
    json_object_set_new(json, "seed", json_string(spec->seed));
    json_object_set_new(json, "scope", json_of_scope(proof, spec));
    json_object_set_new(json, "cases", json_of_cases(proof));
    json_object_set_new(json, "killed", whole(proof->killed));
    json_object_set_new(json, "mutants", json_of_mutants(proof, spec));
    json_object_set_new(json, "counterexample", json_of_counterexample(proof));
    json_pretty(json, out);
    json_decref(json);
}

static void count_words(const struct proof *proof, const struct spec *spec, struct buf *out)
{
    const struct inquiry *law = &proof->law;
    if (spec->exhaustive > 0)
        buf_addf(out, "%llu cases%s exhaustive to %llu", (unsigned long long)law->exhaustive,
                 law->truncated ? ", truncated, so not" : ",",
                 (unsigned long long)spec->exhaustive);
    if (spec->random > 0)
        buf_addf(out, "%s%llu random", spec->exhaustive ? ", " : "",
                 (unsigned long long)law->random);
    if (law->regression > 0)
        buf_addf(out, ", %llu that broke it once", (unsigned long long)law->regression);
    if (law->skipped > 0)
        buf_addf(out, ", %llu of them skipped", (unsigned long long)law->skipped);
}

void proof_message(const struct proof *proof, const struct spec *spec, struct buf *out)
{
    const struct broken *b = &proof->law.broken;
    buf_addf(out, "%s: %s", spec->name, proof_status(proof));
    if (proof->status == LAW_VERIFIED) {
        buf_addf(out, " (%s): ", proof_rung(proof, spec));
        count_words(proof, spec, out);
        buf_addf(out, "; %zu of %zu mutants killed\n", proof->killed, spec->mutant_count);
        return;
    }
    buf_addf(out, ": %s.\n", buf_text(&proof->reason));
    if (proof->law.said.len)
        buf_addf(out, "  it said:\n%s", buf_text(&proof->law.said));
    if (proof->status == LAW_REFUTED) {
        buf_addf(out, "  law:   %s\n  case:  %s\n", spec->asserts, buf_text(&b->given));
        buf_addf(out, "  left:  %s\n  right: %s\n", buf_text(&b->lhs), buf_text(&b->rhs));
        if (!b->old)
            buf_addstr(
                out, "  kept:  the case is tried first from now on; as a line of the simulation's "
                     ".cases file it goes with the sources\n");
    }
}
