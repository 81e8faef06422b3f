#include "gate_parts.h"

#include "guide.h"

#include <stdlib.h>
#include <string.h>

struct proof {
    const char *name;
    struct digest digest;
};

/* The programs whose results are proofs, how a rule calls them, and the kind of node they are run
 * by. */
static const struct {
    const char *kind, *program, *job; /* `job`: the word after the program, NULL none */
} provers[] = {
    {"invariant", "spak-prove", NULL},
    {"admission", "spak-cpu", "admit"},
    {"admission", "spak-gpu", "admit"},
};

/* The last part of a path or name: "out/bin/spak-prove" is "spak-prove". */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* PROGRAM [JOB] SPECIFICATION --out RESULT, and nothing that would make the program another one:
 * no environment of its own, no other folder, no second output, no way out of the sandbox. */
static bool is_called_so(const struct graph *g, const struct node *n, size_t prover)
{
    const char *job = provers[prover].job;
    uint32_t words = job ? 5 : 4;
    if (n->argv.len != words || n->env.len || n->outputs.len != 1 || n->dir || n->stdout_to ||
        (n->flags & (NODE_UNSANDBOXED | NODE_NETWORK | NODE_INNER)))
        return false;
    return !strcmp(last_part(slice_text(g, n->argv, 0)), provers[prover].program) &&
           (!job || !strcmp(slice_text(g, n->argv, 1), job)) &&
           !strcmp(slice_text(g, n->argv, words - 2), "--out") &&
           !strcmp(slice_text(g, n->argv, words - 1), artifact_path(g, slice_id(g, n->outputs, 0)));
}

bool gate_is_prover(const struct graph *g, uint32_t node)
{
    const struct node *n = &g->nodes[node];
    for (size_t i = 0; i < ARRAY_LEN(provers); i++)
        if (n->action == NODE_COMMAND && !strcmp(graph_text(g, n->kind), provers[i].kind) &&
            is_called_so(g, n, i))
            return true;
    return false;
}

static int refuse_at(const struct graph *g, uint32_t node, uint32_t producer, struct err *e)
{
    err_at(e, node_place(g, node));
    if (producer != GRAPH_NONE)
        err_note(e, node_place(g, producer), "%s is declared here", node_name(g, producer));
    return -1;
}

static int check_guide(const struct graph *g, uint32_t node, struct err *e)
{
    uint32_t guide = g->nodes[node].guide;
    if (guide == GRAPH_NONE) {
        err_set(e, ERR_guide_wanted, "%s measures, but names no guide", node_name(g, node));
        err_hint(e, "declare guide = \"...\": the guide that its candidate was made from");
        return refuse_at(g, node, GRAPH_NONE, e);
    }
    uint32_t producer = g->artifacts[guide].producer;
    if (producer != GRAPH_NONE && !strcmp(graph_text(g, g->nodes[producer].kind), "guide"))
        return 0;
    err_set(e, ERR_guide_forged, "%s names %s as its guide, which no guide{} declaration makes",
            node_name(g, node), artifact_path(g, guide));
    err_hint(e, "declare it with guide \"...\" { ... }, so that it is generated and checked");
    return refuse_at(g, node, producer, e);
}

/* A program is the engine's own when it is, byte for byte, the one that lies beside the engine. */
static int is_own(struct gate *gate, const char *program, bool *own, struct err *e)
{
    struct arena arena = {0};
    struct digest found, wanted;
    bool exists, there = false;
    const char *beside = os_join(&arena, gate->options.programs, last_part(program));
    int rc = hash_cache_digest(gate->options.cache, program, &found, &exists, e);
    if (rc == 0)
        rc = hash_cache_digest(gate->options.cache, beside, &wanted, &there, e);
    *own = rc == 0 && exists && there && digest_equal(&found, &wanted);
    arena_release(&arena);
    return rc;
}

static int refuse_prover(const struct graph *g, uint32_t node, uint32_t artifact, struct err *e)
{
    err_set(e, ERR_proof_forged, "%s rests on %s, which the prover did not make",
            node_name(g, node), artifact_path(g, artifact));
    err_hint(
        e,
        "declare the law with invariant \"...\" { ... }; only what spak-prove verified is a proof");
    return refuse_at(g, node, g->artifacts[artifact].producer, e);
}

static int check_prover(struct gate *gate, const struct graph *g, uint32_t node, uint32_t artifact,
                        struct err *e)
{
    uint32_t producer = g->artifacts[artifact].producer;
    bool own;
    if (producer == GRAPH_NONE || !gate_is_prover(g, producer))
        return refuse_prover(g, node, artifact, e);
    const char *program = slice_text(g, g->nodes[producer].argv, 0);
    if (is_own(gate, program, &own, e) < 0)
        return -1;
    if (own)
        return 0;
    err_set(e, ERR_proof_forged, "%s rests on %s, made by %s, which is not this engine's own",
            node_name(g, node), artifact_path(g, artifact), program);
    err_hint(e, "only the %s that lies beside the running spak makes proofs that it believes",
             last_part(program));
    return refuse_at(g, node, producer, e);
}

static int unreadable(const struct graph *g, uint32_t node, uint32_t artifact, struct err *cause,
                      struct err *e)
{
    err_set(e, ERR_proof_unreadable, "the proof %s cannot be read: %s", artifact_path(g, artifact),
            cause->set ? cause->message : "it has no status");
    err_release(cause);
    return refuse_at(g, node, g->artifacts[artifact].producer, e);
}

static int check_status(const struct graph *g, uint32_t node, uint32_t artifact, struct err *e)
{
    const char *path = artifact_path(g, artifact);
    struct err cause = {0};
    struct buf text = {0};
    json_t *proof = NULL;
    if (os_read(path, &text, &cause) == 0)
        proof = json_parse(buf_text(&text), text.len, path, &cause);
    buf_release(&text);
    const char *status = proof ? json_text(proof, "status", NULL) : NULL;
    int rc = 0;
    if (!status) {
        rc = unreadable(g, node, artifact, &cause, e);
    } else if (strcmp(status, "verified") != 0 && strcmp(status, "admitted") != 0) {
        uint32_t producer = g->artifacts[artifact].producer;
        rc = err_set(e, ERR_proof_open, "%s rests on %s, which is %s", node_name(g, node),
                     node_name(g, producer), status);
        err_hint(e, "%s holds the case that decided it", path);
        refuse_at(g, node, producer, e);
    }
    json_decref(proof);
    return rc;
}

/* Whoever generated it: a guide that holds values, architectures or code gives no lease. */
static int lint_guide(const struct graph *g, uint32_t node, struct err *e)
{
    uint32_t guide = g->nodes[node].guide;
    struct buf text = {0};
    int rc = os_read(artifact_path(g, guide), &text, e);
    if (rc == 0)
        rc = guide_lint(buf_text(&text), text.len, artifact_path(g, guide), e);
    buf_release(&text);
    if (rc < 0)
        err_note(e, node_place(g, node), "%s needs it for its lease", node_name(g, node));
    return rc;
}

static int proof_order(const void *a, const void *b)
{
    const struct proof *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void gate_token(const struct digest *guide, const char *const *proof_names,
                const struct digest *proofs, size_t count, char out[DIGEST_HEX_LEN + 1])
{
    struct proof *sorted = xcalloc(count + 1, sizeof *sorted);
    struct hasher h;
    struct digest d;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct proof){proof_names[i], proofs[i]};
    qsort(sorted, count, sizeof *sorted, proof_order);
    hash_init(&h);
    hash_add(&h, guide->bytes, DIGEST_BYTES);
    for (size_t i = 0; i < count; i++) {
        hash_add(&h, sorted[i].name, strlen(sorted[i].name) + 1);
        hash_add(&h, sorted[i].digest.bytes, DIGEST_BYTES);
    }
    hash_final(&h, &d);
    digest_hex(&d, out);
    free(sorted);
}

static int file_digest(struct hash_cache *cache, const char *path, struct digest *out,
                       struct err *e)
{
    bool exists;
    if (hash_cache_digest(cache, path, out, &exists, e) < 0)
        return -1;
    return exists ? 0 : err_set(e, ERR_proof_unreadable, "%s does not exist", path);
}

static int make_token(const struct graph *g, uint32_t node, struct hash_cache *cache,
                      struct arena *arena, const char **token, struct err *e)
{
    struct slice proofs = g->nodes[node].proofs;
    const char **names = arena_alloc(arena, (proofs.len + 1) * sizeof *names);
    struct digest *digests = arena_alloc(arena, (proofs.len + 1) * sizeof *digests), guide;
    char *hex = arena_alloc(arena, DIGEST_HEX_LEN + 1);
    if (file_digest(cache, artifact_path(g, g->nodes[node].guide), &guide, e) < 0)
        return -1;
    for (uint32_t i = 0; i < proofs.len; i++) {
        names[i] = artifact_path(g, slice_id(g, proofs, i));
        if (file_digest(cache, names[i], &digests[i], e) < 0)
            return -1;
    }
    gate_token(&guide, names, digests, proofs.len, hex);
    *token = hex;
    return 0;
}

/* What the guide was made from counts for everything that is measured under it. */
static bool names_proof(const struct graph *g, const struct node *n, uint32_t artifact)
{
    for (uint32_t i = 0; i < n->proofs.len; i++)
        if (slice_id(g, n->proofs, i) == artifact)
            return true;
    return false;
}

static int check_complete(const struct graph *g, uint32_t node, struct err *e)
{
    const struct node *n = &g->nodes[node];
    uint32_t maker = g->artifacts[n->guide].producer;
    struct slice inputs = g->nodes[maker].inputs;
    if (n->proofs.len == 0) {
        err_set(e, ERR_proof_wanted, "%s measures, but rests on no proof", node_name(g, node));
        err_hint(e,
                 "state a law with invariant \"...\" { ... }, let a hypothesis rest on it and the "
                 "guide come from the hypothesis");
        return refuse_at(g, node, maker, e);
    }
    for (uint32_t i = 0; i < inputs.len; i++) {
        uint32_t artifact = slice_id(g, inputs, i), producer = g->artifacts[artifact].producer;
        if (producer == GRAPH_NONE || !gate_is_prover(g, producer) || names_proof(g, n, artifact))
            continue;
        err_set(e, ERR_proof_wanted, "%s leaves out %s, which its guide rests on",
                node_name(g, node), artifact_path(g, artifact));
        err_hint(e, "add it to the proofs of the measurement");
        return refuse_at(g, node, producer, e);
    }
    return 0;
}

/* The proof of an invariant, by the invariant's name; GRAPH_NONE when the node names none. */
static uint32_t proof_of(const struct graph *g, const struct node *n, const char *law)
{
    for (uint32_t i = 0; i < n->proofs.len; i++) {
        uint32_t artifact = slice_id(g, n->proofs, i), producer = g->artifacts[artifact].producer;
        enum gate_object object;
        const char *name;
        if (producer != GRAPH_NONE && gate_names(g, producer, &object, &name) &&
            object == GATE_INVARIANT && strcmp(name, law) == 0)
            return artifact;
    }
    return GRAPH_NONE;
}

static int check_rungs(const struct graph *g, uint32_t node, uint32_t file,
                       const struct hypothesis *h, struct arena *arena, struct err *e)
{
    for (size_t i = 0; i < h->rests_on.len; i++) {
        uint32_t proof = proof_of(g, &g->nodes[node], h->rests_on.at[i]);
        const char *has =
            proof == GRAPH_NONE ? NULL : gate_member(artifact_path(g, proof), "rung", arena);
        if (!*h->rungs.at[i] || gate_rung(has) >= gate_rung(h->rungs.at[i]))
            continue;
        err_set(e, ERR_rung_wanted, "%s needs %s to be %s, and it is %s", h->name,
                h->rests_on.at[i], h->rungs.at[i], has ? has : "no proof of this measurement");
        err_hint(e, "make the law's scope exhaustive, or let the hypothesis ask for less");
        return refuse_at(g, node, g->artifacts[file].producer, e);
    }
    return 0;
}

static int check_frozen(struct gate *gate, const struct graph *g, uint32_t node, uint32_t file,
                        const struct hypothesis *h, struct err *e)
{
    const struct gate_line *frozen = gate_freeze(gate, h->name);
    if (!frozen || digest_equal(&frozen->digest, &h->digest))
        return 0;
    err_set(e, ERR_prediction_changed, "the prediction of %s was changed after it was measured",
            h->name);
    err_note(e, (struct place){0}, "frozen %s", frozen->rest);
    err_note(e, (struct place){0}, "now it reads: %s", h->predicts);
    err_hint(e, "put back what was predicted and what it rested on, and state the new thought as a "
                "hypothesis under another name");
    return refuse_at(g, node, g->artifacts[file].producer, e);
}

static int check_hypotheses(struct gate *gate, const struct graph *g, uint32_t node,
                            struct arena *arena, struct err *e)
{
    struct ids files = {0};
    gate_hypotheses(g, node, &files);
    int rc = gate_load(gate, e);
    for (size_t i = 0; rc == 0 && i < files.len; i++) {
        struct hypothesis h;
        rc = hypothesis_read(artifact_path(g, files.at[i]), arena, &h, e);
        if (rc == 0)
            rc = check_frozen(gate, g, node, files.at[i], &h, e);
        if (rc == 0)
            rc = check_rungs(g, node, files.at[i], &h, arena, e);
        hypothesis_release(&h);
    }
    ids_release(&files);
    return rc;
}

/* A program that goes by the name of one of the engine's is one of them. */
static int check_runner(struct gate *gate, const struct graph *g, uint32_t node, struct err *e)
{
    const struct node *n = &g->nodes[node];
    const char *program = n->argv.len ? slice_text(g, n->argv, 0) : "";
    bool own = true;
    if (text_starts_with(last_part(program), "spak-") && is_own(gate, program, &own, e) < 0)
        return -1;
    if (own)
        return 0;
    err_set(e, ERR_runner_forged, "%s is measured by %s, which is not this engine's own",
            node_name(g, node), program);
    err_hint(e, "only the %s that lies beside the running spak measures for it",
             last_part(program));
    return refuse_at(g, node, GRAPH_NONE, e);
}

/* A runner that times candidates needs a study that can tell them apart. */
static int check_study(const struct graph *g, uint32_t node, struct err *e)
{
    const struct node *n = &g->nodes[node];
    const char *program = n->argv.len ? last_part(slice_text(g, n->argv, 0)) : "";
    if (strcmp(program, "spak-cpu") != 0 && strcmp(program, "spak-gpu") != 0)
        return 0;
    for (uint32_t i = 0; i < n->proofs.len; i++) {
        uint32_t producer = g->artifacts[slice_id(g, n->proofs, i)].producer;
        if (producer != GRAPH_NONE && gate_is_prover(g, producer) &&
            !strcmp(graph_text(g, g->nodes[producer].kind), "admission"))
            return 0;
    }
    err_set(e, ERR_study_untried, "%s times candidates of a study that was not tried",
            node_name(g, node));
    err_hint(e, "declare it with bench \"...\" { ... }, after check \"...\" { ... }");
    return refuse_at(g, node, GRAPH_NONE, e);
}

static bool is_planning(enum gate_object object)
{
    return object == GATE_INVARIANT || object == GATE_HYPOTHESIS || object == GATE_GUIDE ||
           object == GATE_STUDY;
}

static int wrong_loop(const struct graph *g, uint32_t node, const char *what, struct err *e)
{
    err_set(e, ERR_wrong_loop, "%s %s", node_name(g, node), what);
    err_hint(e, "planning makes guides and proofs, execution the rest, both below the folder of "
                "outputs");
    return refuse_at(g, node, GRAPH_NONE, e);
}

static int check_loop(struct gate *gate, const struct graph *g, uint32_t node, struct err *e)
{
    const struct node *n = &g->nodes[node];
    size_t len = strlen(gate->options.out_dir);
    enum gate_object object;
    const char *name;
    bool known = gate_names(g, node, &object, &name);
    if ((n->flags & NODE_OUTER) && (n->flags & NODE_DEVICE))
        return wrong_loop(g, node, "plans, and asks for a device", e);
    if ((n->flags & NODE_INNER) && known && is_planning(object))
        return wrong_loop(g, node, "is execution, and makes what only planning may make", e);
    for (uint32_t i = 0; i < n->outputs.len; i++) {
        const char *path = artifact_path(g, slice_id(g, n->outputs, i));
        if (strncmp(path, gate->options.out_dir, len) != 0 || path[len] != '/')
            return wrong_loop(g, node, "writes among the sources", e);
    }
    return 0;
}

int gate_admit(struct gate *gate, const struct graph *g, uint32_t node, struct arena *arena,
               const char **token, struct err *e)
{
    struct slice proofs = g->nodes[node].proofs;
    if ((g->nodes[node].flags & (NODE_OUTER | NODE_INNER)) && check_loop(gate, g, node, e) < 0)
        return -1;
    if (!(g->nodes[node].flags & NODE_MEASURES))
        return 0;
    if (check_guide(g, node, e) < 0 || lint_guide(g, node, e) < 0 || check_complete(g, node, e) < 0)
        return -1;
    if (check_runner(gate, g, node, e) < 0)
        return -1;
    for (uint32_t i = 0; i < proofs.len; i++)
        if (check_prover(gate, g, node, slice_id(g, proofs, i), e) < 0 ||
            check_status(g, node, slice_id(g, proofs, i), e) < 0)
            return -1;
    if (check_study(g, node, e) < 0 || check_hypotheses(gate, g, node, arena, e) < 0)
        return -1;
    return make_token(g, node, gate->options.cache, arena, token, e);
}
