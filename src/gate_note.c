#include "gate_parts.h"

#include <string.h>

/* One step in the making. */
struct note {
    struct gate *gate;
    const struct graph *g;
    struct arena arena;
};

static int step(struct note *n, enum gate_object object, const char *name, enum gate_state state,
                const struct digest *digest, const char *rest, struct err *e)
{
    struct gate_line line = {.object = object, .name = name, .state = state, .rest = rest};
    bool written;
    if (digest)
        line.digest = *digest;
    return gate_step(n->gate, &line, &written, e);
}

/* What a state is about: for a measurement its token, for a verdict nothing (its numbers are others
 * in every run), else the node's first output as it lies on disk. */
static int digest_about(struct note *n, uint32_t node, enum gate_object object, const char *name,
                        struct digest *out, struct err *e)
{
    const struct graph *g = n->g;
    const struct gate_line *last = gate_last(n->gate, object, name);
    bool exists;
    *out = last && object == GATE_MEASUREMENT ? last->digest : (struct digest){{0}};
    if (object == GATE_VERDICT || object == GATE_MEASUREMENT || g->nodes[node].outputs.len == 0)
        return 0;
    const char *path = artifact_path(g, slice_id(g, g->nodes[node].outputs, 0));
    return hash_cache_digest(n->gate->options.cache, path, out, &exists, e);
}

static const char *output_path(const struct graph *g, uint32_t node)
{
    const struct slice *outputs = &g->nodes[node].outputs;
    return outputs->len ? artifact_path(g, slice_id(g, *outputs, 0)) : "";
}

static int open_hypothesis(struct note *n, const char *path, struct err *e)
{
    struct hypothesis h;
    struct err ignored = {0};
    if (hypothesis_read(path, &n->arena, &h, &ignored) < 0) {
        err_release(&ignored);
        return 0;
    }
    int rc = *h.name ? step(n, GATE_HYPOTHESIS, h.name, GATE_OPEN, &h.digest,
                            arena_printf(&n->arena, "predicts %s", h.predicts), e)
                     : 0;
    hypothesis_release(&h);
    return rc;
}

static int freeze_hypothesis(struct note *n, const char *path, struct err *e)
{
    struct hypothesis h;
    int rc = open_hypothesis(n, path, e);
    if (rc < 0 || hypothesis_read(path, &n->arena, &h, e) < 0)
        return -1;
    if (*h.name && !gate_freeze(n->gate, h.name))
        rc = step(n, GATE_HYPOTHESIS, h.name, GATE_FROZEN, &h.digest,
                  arena_printf(&n->arena, "predicts %s", h.predicts), e);
    hypothesis_release(&h);
    return rc;
}

/* What lay there before the journal began is written down when it is first relied on. */
static int note_ground(struct note *n, uint32_t artifact, struct err *e)
{
    uint32_t producer = n->g->artifacts[artifact].producer;
    enum gate_object object;
    const char *name;
    if (producer == GRAPH_NONE || !gate_names(n->g, producer, &object, &name) ||
        gate_last(n->gate, object, name))
        return 0;
    return gate_note(n->gate, n->g, producer, &(struct gate_ended){.end = GATE_END_OK}, e);
}

static int note_grounds(struct note *n, uint32_t node, struct err *e)
{
    const struct node *m = &n->g->nodes[node];
    for (uint32_t i = 0; i < m->proofs.len; i++)
        if (note_ground(n, slice_id(n->g, m->proofs, i), e) < 0)
            return -1;
    return note_ground(n, m->guide, e);
}

int gate_lease(struct gate *gate, const struct graph *g, uint32_t node, const char *token,
               struct err *e)
{
    struct note n = {.gate = gate, .g = g};
    struct ids files = {0};
    struct digest digest;
    int rc = gate_load(gate, e);
    if (rc < 0 || gate_afford(gate, g, node, e) < 0 || store_begin(gate->options.store, e) < 0)
        return -1;
    gate_hypotheses(g, node, &files);
    rc = note_grounds(&n, node, e);
    for (size_t i = 0; rc == 0 && i < files.len; i++)
        rc = freeze_hypothesis(&n, artifact_path(g, files.at[i]), e);
    if (rc == 0 && digest_from_hex(token, &digest))
        rc = step(&n, GATE_MEASUREMENT, node_name(g, node), GATE_LEASED, &digest, "", e);
    if (rc == 0)
        rc = gate_count_try(gate, g, node, e);
    ids_release(&files);
    arena_release(&n.arena);
    if (rc < 0) {
        store_abort(gate->options.store);
        return -1;
    }
    return store_commit(gate->options.store, e);
}

static enum gate_state judged(const char *word)
{
    static const enum gate_state states[] = {GATE_VALIDATED, GATE_FALSIFIED, GATE_UNDECIDED};
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(gate_state_name(states[i]), word) == 0)
            return states[i];
    return GATE_NONE;
}

static int note_judgement(struct note *n, const json_t *h, const char *by, struct err *e)
{
    const char *name = json_text(h, "name", "");
    const struct gate_line *frozen = gate_freeze(n->gate, name);
    enum gate_state state = judged(json_text(h, "state", ""));
    if (!frozen || state == GATE_NONE)
        return 0;
    return step(n, GATE_HYPOTHESIS, name, state, &frozen->digest,
                arena_printf(&n->arena, "by verdict %s", by), e);
}

static int note_verdict(struct note *n, uint32_t node, const char *name, struct err *e)
{
    const char *path = output_path(n->g, node);
    struct buf text = {0};
    struct err bad = {0};
    json_t *verdict = NULL;
    int rc = 0;
    if (os_read(path, &text, &bad) == 0)
        verdict = json_parse(buf_text(&text), text.len, path, &bad);
    err_release(&bad);
    const json_t *list = json_object_get(verdict, "hypotheses");
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
        rc = note_judgement(n, json_array_get(list, i), name, e);
    json_decref(verdict);
    buf_release(&text);
    return rc;
}

/* A hypothesis that rests on a law. */
struct resting {
    struct hypothesis h;
    const char *path;
    const char *law;
};

static bool rests_on(const struct hypothesis *h, const char *law)
{
    for (size_t i = 0; i < h->rests_on.len; i++)
        if (strcmp(h->rests_on.at[i], law) == 0)
            return true;
    return false;
}

/* An invariant fell: the hypothesis is suspect, whatever was measured. */
static int doubt(struct note *n, const struct resting *r, struct err *e)
{
    return step(n, GATE_HYPOTHESIS, r->h.name, GATE_SUSPECT, &r->h.digest,
                arena_printf(&n->arena, "because invariant %s is refuted", r->law), e);
}

static bool all_hold(struct note *n, const struct hypothesis *h)
{
    for (size_t i = 0; i < h->rests_on.len; i++) {
        const struct gate_line *law = gate_last(n->gate, GATE_INVARIANT, h->rests_on.at[i]);
        if (law && law->state == GATE_REFUTED)
            return false;
    }
    return true;
}

/* An invariant holds again: when all do, a suspect is what it was before the doubt. What was
 * measured under a law that reads otherwise now is stale, and measured anew, by its token. */
static int trust(struct note *n, const struct resting *r, struct err *e)
{
    const struct gate_line *last = gate_last(n->gate, GATE_HYPOTHESIS, r->h.name);
    if (!last || last->state != GATE_SUSPECT || !all_hold(n, &r->h))
        return 0;
    if (!gate_freeze(n->gate, r->h.name))
        return open_hypothesis(n, r->path, e);
    const struct gate_line *before = gate_before_doubt(n->gate, r->h.name);
    return step(n, GATE_HYPOTHESIS, r->h.name, before->state, &before->digest, before->rest, e);
}

typedef int each_resting_fn(struct note *n, const struct resting *r, struct err *e);
/* Every hypothesis that rests on a law. */
static int each_resting(struct note *n, const char *law, each_resting_fn *fn, struct err *e)
{
    enum gate_object object;
    const char *name;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n->g->node_count; i++) {
        struct resting r = {.path = output_path(n->g, i), .law = law};
        struct err ignored = {0};
        if (!gate_names(n->g, i, &object, &name) || object != GATE_HYPOTHESIS)
            continue;
        if (hypothesis_read(r.path, &n->arena, &r.h, &ignored) < 0) {
            err_release(&ignored);
            continue;
        }
        if (rests_on(&r.h, law))
            rc = fn(n, &r, e);
        hypothesis_release(&r.h);
    }
    return rc;
}

#define KEPT "tape "
/* A line of the journal is to stay one that somebody reads. */
enum { TAPE_MOST = 4096, CASE_MOST = 1024, KEPT_MOST = 64 };

/* "tape 6 case {"x":3}", from the proof that tells of it. */
static const char *counterexample(struct note *n, const char *proof)
{
    struct buf text = {0}, given = {0};
    struct err ignored = {0};
    const char *said = "";
    json_t *root = NULL;
    if (os_read(proof, &text, &ignored) == 0)
        root = json_parse(buf_text(&text), text.len, proof, &ignored);
    const json_t *c = json_object_get(root, "counterexample");
    const char *tape = json_text(c, "tape", "");
    json_t *shown = json_object_get(c, "case");
    if (shown)
        json_compact(shown, &given);
    if (*tape && strlen(tape) <= TAPE_MOST)
        said = arena_printf(&n->arena, KEPT "%s%s%s", tape, given.len <= CASE_MOST ? " case " : "",
                            given.len <= CASE_MOST ? buf_text(&given) : "");
    buf_release(&given);
    buf_release(&text);
    json_decref(root);
    err_release(&ignored);
    return said;
}

static bool is_among(const struct strs *words, const char *word)
{
    for (size_t i = 0; i < words->len; i++)
        if (strcmp(words->at[i], word) == 0)
            return true;
    return false;
}

int gate_kept(struct gate *gate, const struct graph *g, uint32_t node, struct arena *arena,
              const char **out, struct err *e)
{
    enum gate_object object;
    const char *name;
    struct strs seen = {0};
    struct buf text = {0};
    *out = NULL;
    if (!gate_is_prover(g, node) || !gate_names(g, node, &object, &name) ||
        object != GATE_INVARIANT)
        return 0;
    if (gate_load(gate, e) < 0)
        return -1;
    for (size_t i = gate->count; i > 0 && seen.len < KEPT_MOST; i--) {
        const struct gate_line *line = &gate->lines[i - 1];
        if (line->object != object || line->state != GATE_REFUTED ||
            strcmp(line->name, name) != 0 || !text_starts_with(line->rest, KEPT))
            continue;
        const char *word = line->rest + strlen(KEPT);
        word = arena_strndup(arena, word, strcspn(word, " "));
        if (is_among(&seen, word))
            continue;
        buf_addf(&text, "%s%s", seen.len ? " " : "", word);
        strs_push(&seen, word);
    }
    if (seen.len)
        *out = arena_strdup(arena, buf_text(&text));
    buf_release(&text);
    strs_release(&seen);
    return 0;
}

static const char *words_of(struct note *n, uint32_t node, enum gate_state state,
                            const struct gate_ended *how)
{
    if (state == GATE_REFUSED)
        return arena_printf(&n->arena, "code %s", how->code);
    return state == GATE_REFUTED ? counterexample(n, output_path(n->g, node)) : "";
}

static enum gate_state state_of(enum gate_object object, const struct gate_ended *how)
{
    static const enum gate_state good[] = {
        [GATE_INVARIANT] = GATE_VERIFIED, [GATE_GUIDE] = GATE_ISSUED,
        [GATE_STUDY] = GATE_ADMITTED,     [GATE_CANDIDATE] = GATE_PASSED,
        [GATE_VERDICT] = GATE_GIVEN,      [GATE_MEASUREMENT] = GATE_MEASURED,
        [GATE_HYPOTHESIS] = GATE_OPEN,
    };
    if (how->end == GATE_END_OK)
        return how->exit_code ? GATE_REJECTED : good[object];
    if (how->end == GATE_END_REFUSED)
        return object == GATE_INVARIANT ? GATE_REFUTED : GATE_REFUSED;
    return GATE_FAILED;
}

int gate_note(struct gate *gate, const struct graph *g, uint32_t node, const struct gate_ended *how,
              struct err *e)
{
    struct note n = {.gate = gate, .g = g};
    enum gate_object object;
    const char *name;
    struct digest digest = {{0}};
    int rc = 0;
    if (!gate_names(g, node, &object, &name))
        return 0;
    enum gate_state state = state_of(object, how);
    bool ok = how->end == GATE_END_OK;
    if (gate_load(gate, e) < 0 || (ok && digest_about(&n, node, object, name, &digest, e) < 0))
        return -1;
    if (object == GATE_HYPOTHESIS)
        rc = ok ? open_hypothesis(&n, output_path(g, node), e) : 0;
    else
        rc = step(&n, object, name, state, &digest, words_of(&n, node, state, how), e);
    if (rc == 0 && object == GATE_INVARIANT && state != GATE_FAILED)
        rc = each_resting(&n, name, state == GATE_REFUTED ? doubt : trust, e);
    if (rc == 0 && state == GATE_GIVEN)
        rc = note_verdict(&n, node, name, e);
    arena_release(&n.arena);
    return rc;
}
