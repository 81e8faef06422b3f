#include "repro_parts.h"

#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A line of the summary stays while the median moves by less than 2 % from run to run; samples are
 * float32. */
#define SUMMARY_MARGIN 0.021

/* What the record says of one output: who made it and what it was. */
struct made {
    const char *path;
    struct digest digest;
    const char *node;
};

struct record {
    const struct repro_side *side;
    struct arena *arena;
    struct repro_decisions *out;
    struct made *made;
    size_t made_len, made_cap;
    struct strmap by_path;
    size_t failed, pending, nodes;
};

static void decide(struct record *r, const char *what, bool known, bool holds, const char *why)
{
    struct repro_decisions *d = r->out;
    if (d->len == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        d->at = xrealloc(d->at, d->cap * sizeof(*d->at));
    }
    d->at[d->len++] = (struct repro_decision){repro_printable(r->arena, what), holds, known,
                                              repro_printable(r->arena, why)};
}

void repro_decisions_release(struct repro_decisions *d)
{
    free(d->at);
    *d = (struct repro_decisions){0};
}

static const char *text_of(struct record *r, struct str s)
{
    return s.ptr ? arena_strndup(r->arena, s.ptr, s.len) : "";
}

/* "path digest size" and perhaps the kind. */
static bool parse_output(struct record *r, struct str line, struct made *out)
{
    struct str word = repro_last_word(&line);
    if (word.len && (word.ptr[0] < '0' || word.ptr[0] > '9'))
        repro_last_word(&line);
    word = repro_last_word(&line);
    out->path = text_of(r, line);
    return word.len == DIGEST_HEX_LEN && digest_from_hex(text_of(r, word), &out->digest);
}

static void take_node(struct record *r, const char *node, const char *text)
{
    struct str line, state = repro_line(text, "state", 0);
    r->nodes++;
    bool failed = str_equal(state, str_of("failed")) || str_equal(state, str_of("refused"));
    r->failed += failed;
    r->pending += !failed && !str_equal(state, str_of("ok"));
    for (size_t k = 0; (line = repro_line(text, "out", k)).ptr; k++) {
        if (r->made_len == r->made_cap) {
            r->made_cap = r->made_cap ? r->made_cap * 2 : 64;
            r->made = xrealloc(r->made, r->made_cap * sizeof(*r->made));
        }
        struct made *m = &r->made[r->made_len];
        m->node = node;
        if (parse_output(r, line, m))
            strmap_set(&r->by_path, m->path, (uint32_t)r->made_len++);
    }
}

static int take_folder(struct record *r, const char *under, struct err *e)
{
    struct strs paths = {0};
    int rc = trace_list(r->side->trace, r->side->entry->commit, under, r->arena, &paths, e);
    for (size_t i = 0; rc == 0 && i < paths.len; i++) {
        const char *text;
        bool found;
        if (text_starts_with(paths.at[i], "out/files/"))
            continue;
        rc = repro_text(r->side, r->arena, paths.at[i], &text, &found, e);
        if (rc == 0)
            take_node(r, paths.at[i] + strlen(under) + 1, text);
    }
    strs_release(&paths);
    return rc;
}

static const struct made *find_made(const struct record *r, const char *path)
{
    uint32_t at = strmap_get(&r->by_path, path);
    return at == STRMAP_NONE ? NULL : &r->made[at];
}

/* The recorded text of an output, only when it is what its digest says. */
static int read_text(struct record *r, const struct made *m, struct str *out, const char **why,
                     struct err *e)
{
    struct buf text = {0};
    struct digest digest;
    bool found;
    const char *path = arena_printf(r->arena, "out/files/%s", trace_node_path(r->arena, m->path));
    *out = (struct str){NULL, 0};
    if (trace_read(r->side->trace, r->side->entry->commit, path, &text, &found, e))
        return -1;
    hash_bytes(buf_text(&text), text.len, &digest);
    if (!found)
        *why = arena_printf(r->arena, "the record does not hold the text of %s", m->path);
    else if (!digest_equal(&digest, &m->digest))
        *why = arena_printf(r->arena, "%s in the record is not what its digest says", m->path);
    else
        *out = (struct str){arena_memdup(r->arena, buf_text(&text), text.len + 1), text.len};
    buf_release(&text);
    return 0;
}

static int kind_of(struct record *r, const char *node, const char **kind, struct err *e)
{
    const char *text;
    bool found;
    if (repro_text(r->side, r->arena, arena_printf(r->arena, "plan/%s", node), &text, &found, e))
        return -1;
    *kind = text_of(r, repro_line(text, "kind", 0));
    return 0;
}

/* One of the files that a lease rests on: made by the right kind of node, kept, unchanged, and
 * saying what it must. */
static int check_ground(struct record *r, const char *path, const char *kind, struct digest *digest,
                        const char **why, bool *known, struct err *e)
{
    const struct made *m = find_made(r, path);
    const char *is;
    struct str text;
    if (!m) {
        *why = arena_printf(r->arena, "no recorded node made %s", path);
        return 0;
    }
    *digest = m->digest;
    if (kind_of(r, m->node, &is, e) || read_text(r, m, &text, why, e))
        return -1;
    bool admission = !strcmp(is, "admission");
    if (strcmp(is, kind) != 0 && !(admission && !strcmp(kind, "invariant")))
        *why = arena_printf(r->arena, "%s was made by a %s, not by a %s", path, is, kind);
    else if (!text.ptr)
        *known = strstr(*why, "does not hold") == NULL;
    else if (!strcmp(kind, "invariant")) {
        struct err bad = {0};
        json_t *proof = json_parse(text.ptr, text.len, path, &bad);
        const char *status = json_text(proof, "status", "unreadable");
        if (strcmp(status, admission ? "admitted" : "verified") != 0)
            *why = arena_printf(r->arena, "%s is %s", path, status);
        json_decref(proof);
        err_release(&bad);
    }
    return 0;
}

static int check_grounds(struct record *r, const char *plan, char token[DIGEST_HEX_LEN + 1],
                         const char **why, bool *known, struct err *e)
{
    struct str line, guide_line = repro_line(plan, "guide", 0);
    struct digest guide = {{0}};
    size_t count = 0;
    while (repro_line(plan, "proof", count).ptr)
        count++;
    const char **names = arena_alloc(r->arena, (count + 1) * sizeof(*names));
    struct digest *digests = arena_alloc(r->arena, (count + 1) * sizeof(*digests));
    if (!guide_line.ptr)
        *why = "it names no guide";
    else if (check_ground(r, text_of(r, guide_line), "guide", &guide, why, known, e))
        return -1;
    for (size_t k = 0; !*why && (line = repro_line(plan, "proof", k)).ptr; k++) {
        names[k] = text_of(r, line);
        if (check_ground(r, names[k], "invariant", &digests[k], why, known, e))
            return -1;
    }
    if (!*why)
        gate_token(&guide, names, digests, count, token);
    return 0;
}

static int check_lease(struct record *r, const char *node, const char *plan, struct err *e)
{
    char token[DIGEST_HEX_LEN + 1] = "";
    const char *why = NULL, *text, *what = arena_printf(r->arena, "lease of %s", node);
    bool known = true, found;
    if (check_grounds(r, plan, token, &why, &known, e) ||
        repro_text(r->side, r->arena,
                   arena_printf(r->arena, "measure/%s/nodes/%s", r->side->entry->machine, node),
                   &text, &found, e))
        return -1;
    const char *state = text_of(r, repro_line(text, "state", 0)),
               *recorded = text_of(r, repro_line(text, "token", 0));
    bool granted = !strcmp(state, "ok") || !strcmp(state, "failed");
    if (!granted && why && known)
        decide(r, what, true, true, arena_printf(r->arena, "not granted: %s", why));
    else if (!granted)
        decide(r, what, false, false,
               arena_printf(r->arena, "the node is %s: no lease was used",
                            *state ? state : "not recorded"));
    else if (why)
        decide(r, what, known, false, why);
    else if (!*recorded)
        decide(r, what, false, false, "the record holds no token to compare with");
    else
        decide(
            r, what, true, !strcmp(recorded, token),
            strcmp(recorded, token)
                ? arena_printf(r->arena, "the recorded token is %.12s, guide and proofs give %.12s",
                               recorded, token)
                : arena_printf(r->arena, "token %.12s from the recorded guide and proofs", token));
    return 0;
}

static int check_leases(struct record *r, struct err *e)
{
    struct strs paths = {0};
    int rc = trace_list(r->side->trace, r->side->entry->commit, "plan", r->arena, &paths, e);
    for (size_t i = 0; rc == 0 && i < paths.len; i++) {
        const char *text;
        bool found, measures = false;
        struct str flag;
        rc = repro_text(r->side, r->arena, paths.at[i], &text, &found, e);
        for (size_t k = 0; rc == 0 && (flag = repro_line(text, "flag", k)).ptr; k++)
            measures |= str_equal(flag, str_of("measures"));
        if (rc == 0 && measures)
            rc = check_lease(r, paths.at[i] + strlen("plan/"), text, e);
    }
    strs_release(&paths);
    return rc;
}

/* A prediction ends in a comparison with a number; what is compared is the rule's affair, and the
 * record has its interval. */
static const char *derive_state(const char *predicts, const json_t *measured)
{
    static const char *const operators[] = {">=", "<=", ">", "<"};
    double lo = json_num(measured, "lo", NAN), hi = json_num(measured, "hi", NAN);
    if (!json_is_object(measured))
        return "unmeasured";
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        const char *at = strstr(predicts, operators[i]);
        char *end;
        double value = at ? strtod(at + strlen(operators[i]), &end) : NAN;
        if (!at || end == at + strlen(operators[i]))
            continue;
        bool low = i == 0 ? lo >= value : i == 1 ? lo <= value : i == 2 ? lo > value : lo < value;
        bool high = i == 0 ? hi >= value : i == 1 ? hi <= value : i == 2 ? hi > value : hi < value;
        return low && high ? "validated" : low || high ? "undecided" : "falsified";
    }
    return NULL;
}

/* What was predicted before the lease: the hypothesis' own file, which lies in out/. */
static int stated_before(struct record *r, const char *name, const char **predicts, struct err *e)
{
    const struct made *m = find_made(r, arena_printf(r->arena, "out/hypothesis/%s.json", name));
    const char *why;
    struct str text = {NULL, 0};
    *predicts = NULL;
    if (!m)
        return 0;
    if (read_text(r, m, &text, &why, e))
        return -1;
    struct err bad = {0};
    json_t *stated = text.ptr ? json_parse(text.ptr, text.len, name, &bad) : NULL;
    const char *words = json_text(stated, "predicts", NULL);
    *predicts = words ? arena_strdup(r->arena, words) : NULL;
    json_decref(stated);
    err_release(&bad);
    return 0;
}

static int check_hypothesis(struct record *r, const json_t *h, struct err *e)
{
    const char *name = json_text(h, "name", "?"), *predicts = json_text(h, "predicts", ""),
               *state = json_text(h, "state", "");
    const char *derived = derive_state(predicts, json_object_get(h, "measured")), *stated;
    const char *what = arena_printf(r->arena, "hypothesis %s", name);
    if (json_text(h, "note", NULL))
        derived = "undecided";
    if (stated_before(r, name, &stated, e))
        return -1;
    if (!derived)
        decide(r, what, false, false,
               arena_printf(r->arena, "`%s` is no prediction that can be derived again", predicts));
    else if (stated && strcmp(stated, predicts) != 0)
        decide(r, what, true, false,
               arena_printf(r->arena, "judged by `%s`, but `%s` was predicted", predicts, stated));
    else
        decide(r, what, true, !strcmp(state, derived),
               arena_printf(r->arena, "`%s` %s%s%s", predicts, state,
                            strcmp(state, derived) ? "; the record gives " : "",
                            strcmp(state, derived) ? derived : ""));
    return 0;
}

/* A candidate of a commitment that is not the object on record. */
static const char *other_candidate(struct record *r, const char *op, const char *commitment)
{
    struct str rest = str_of(commitment), line, word[3];
    while (str_split(&rest, '\n', &line)) {
        size_t words = 0;
        while (words < ARRAY_LEN(word) && str_split(&line, ' ', &word[words]))
            words++;
        if (words < 3 || !str_equal(word[0], str_of("candidate")))
            continue;
        const char *name = text_of(r, word[1]);
        const struct made *m =
            find_made(r, arena_printf(r->arena, "out/kernel/%s/%s.so", op, name));
        if (!m)
            m = find_made(r, arena_printf(r->arena, "out/kernel/%s/%s.cubin", op, name));
        struct digest digest;
        if (m &&
            (!digest_from_hex(text_of(r, word[2]), &digest) || !digest_equal(&digest, &m->digest)))
            return name;
    }
    return NULL;
}

/* The random inputs of a measurement follow from its lease, its candidates and a nonce. */
static int check_draw(struct record *r, const json_t *verdict, struct err *e)
{
    const json_t *draw = json_object_get(verdict, "draw");
    const char *op = json_text(verdict, "op", "?"), *text;
    const char *commitment = json_text(draw, "commitment", "");
    const char *what = arena_printf(r->arena, "draw of bench/%s", op);
    struct digest digest;
    uint64_t seed = 0;
    bool found;
    if (!draw)
        return 0;
    if (repro_text(r->side, r->arena,
                   arena_printf(r->arena, "measure/%s/nodes/bench/%s", r->side->entry->machine, op),
                   &text, &found, e))
        return -1;
    const char *token = text_of(r, repro_line(text, "token", 0));
    const char *lease = arena_printf(r->arena, "lease %s\n", token);
    hash_keyed(json_text(draw, "nonce", ""), commitment, strlen(commitment), &digest);
    for (size_t i = 0; i < sizeof seed; i++)
        seed = seed << 8 | digest.bytes[i];
    const char *other = other_candidate(r, op, commitment);
    if (json_int(draw, "seed", -1) != (long long)(seed >> 11))
        decide(r, what, true, false, "the seed does not follow from the commitment and the nonce");
    else if (*token && !text_starts_with(commitment, lease))
        decide(r, what, true, false, "it was committed to under another lease");
    else if (other)
        decide(r, what, true, false,
               arena_printf(r->arena, "%s was committed to as another object", other));
    else
        decide(r, what, true, true,
               "the seed follows from the lease, the candidates and the nonce");
    return 0;
}

static int check_verdicts(struct record *r, struct err *e)
{
    struct strs paths = {0};
    const char *under = arena_printf(r->arena, "measure/%s/files", r->side->entry->machine);
    int rc = trace_list(r->side->trace, r->side->entry->commit, under, r->arena, &paths, e);
    for (size_t i = 0; rc == 0 && i < paths.len; i++) {
        const char *text;
        bool found;
        struct err bad = {0};
        if (!text_ends_with(paths.at[i], ".json"))
            continue;
        rc = repro_text(r->side, r->arena, paths.at[i], &text, &found, e);
        json_t *verdict = rc == 0 ? json_parse(text, strlen(text), paths.at[i], &bad) : NULL;
        const json_t *list = json_object_get(verdict, "hypotheses");
        for (size_t k = 0; rc == 0 && k < json_array_size(list); k++)
            rc = check_hypothesis(r, json_array_get(list, k), e);
        if (rc == 0)
            rc = check_draw(r, verdict, e);
        json_decref(verdict);
        err_release(&bad);
    }
    strs_release(&paths);
    return rc;
}

static void check_status(struct record *r)
{
    const char *derived = r->failed    ? "failed"
                          : r->pending ? "partial"
                                       : "ok",
               *status = r->side->entry->status;
    decide(r, "status of the run", true, !strcmp(derived, status),
           arena_printf(r->arena, "\"%s\"; %zu of %zu nodes failed, %zu not done", status,
                        r->failed, r->nodes, r->pending));
}

static void decide_metric(void *ctx, const char *name, double recorded, double derived)
{
    struct record *r = ctx;
    bool holds = fabs(derived - recorded) <= SUMMARY_MARGIN * fabs(recorded);
    decide(r, arena_printf(r->arena, "metric %s", name), true, holds,
           arena_printf(r->arena, "median %.6g in the summary, %.6g from the samples", recorded,
                        derived));
}

static int check_all(struct record *r, struct err *e)
{
    const char *measured = arena_printf(r->arena, "measure/%s/nodes", r->side->entry->machine);
    if (take_folder(r, "out", e) || (*r->side->entry->machine && take_folder(r, measured, e)))
        return -1;
    check_status(r);
    if (check_leases(r, e) || check_verdicts(r, e))
        return -1;
    return repro_recorded_metrics(r->side, r->arena, decide_metric, r, e);
}

int repro_offline(struct trace *t, const struct trace_entry *entry, struct arena *arena,
                  struct repro_decisions *out, struct err *e)
{
    struct repro_side side = {t, entry};
    struct record r = {.side = &side, .arena = arena, .out = out};
    *out = (struct repro_decisions){0};
    int rc = check_all(&r, e);
    strmap_release(&r.by_path);
    free(r.made);
    return rc;
}
