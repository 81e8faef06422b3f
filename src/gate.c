#include "gate.h"
#include "guide.h"

#include <stdlib.h>
#include <string.h>

struct proof {
    const char *name;
    struct digest digest;
};

/* The last part of a path or name: "out/bin/spak-prove" is "spak-prove". */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool gate_is_prover(const struct graph *g, uint32_t node)
{
    const struct node *n = &g->nodes[node];
    if (strcmp(graph_text(g, n->kind), "invariant") != 0 || n->action != NODE_COMMAND ||
        n->argv.len == 0)
        return false;
    return !strcmp(last_part(slice_text(g, n->argv, 0)), "spak-prove");
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
        err_set(e, ERR_P101, "%s measures, but names no guide", node_name(g, node));
        err_hint(e, "declare guide = \"...\": the guide that its candidate was made from");
        return refuse_at(g, node, GRAPH_NONE, e);
    }
    uint32_t producer = g->artifacts[guide].producer;
    if (producer != GRAPH_NONE && !strcmp(graph_text(g, g->nodes[producer].kind), "guide"))
        return 0;
    err_set(e, ERR_P102, "%s names %s as its guide, which no guide{} declaration makes",
            node_name(g, node), artifact_path(g, guide));
    err_hint(e, "declare it with guide \"...\" { ... }, so that it is generated and checked");
    return refuse_at(g, node, producer, e);
}

static int check_prover(const struct graph *g, uint32_t node, uint32_t artifact, struct err *e)
{
    uint32_t producer = g->artifacts[artifact].producer;
    if (producer != GRAPH_NONE && gate_is_prover(g, producer))
        return 0;
    err_set(e, ERR_P103, "%s rests on %s, which the prover did not make", node_name(g, node),
            artifact_path(g, artifact));
    err_hint(
        e,
        "declare the law with invariant \"...\" { ... }; only what spak-prove verified is a proof");
    return refuse_at(g, node, producer, e);
}

static int unreadable(const struct graph *g, uint32_t node, uint32_t artifact, struct err *cause,
                      struct err *e)
{
    err_set(e, ERR_P105, "the proof %s cannot be read: %s", artifact_path(g, artifact),
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
    } else if (strcmp(status, "verified") != 0) {
        uint32_t producer = g->artifacts[artifact].producer;
        rc = err_set(e, ERR_P104, "%s rests on %s, which is %s", node_name(g, node),
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
    return exists ? 0 : err_set(e, ERR_P105, "%s does not exist", path);
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

int gate_admit(const struct graph *g, uint32_t node, struct hash_cache *cache, struct arena *arena,
               const char **token, struct err *e)
{
    struct slice proofs = g->nodes[node].proofs;
    if (check_guide(g, node, e) < 0 || lint_guide(g, node, e) < 0)
        return -1;
    for (uint32_t i = 0; i < proofs.len; i++)
        if (check_prover(g, node, slice_id(g, proofs, i), e) < 0 ||
            check_status(g, node, slice_id(g, proofs, i), e) < 0)
            return -1;
    return make_token(g, node, cache, arena, token, e);
}

int gate_record(struct store *s, const struct graph *g, uint32_t node, const char *token,
                struct err *e)
{
    const struct node *n = &g->nodes[node];
    struct buf name = {0}, text = {0};
    buf_addf(&name, "lease/%s", node_name(g, node));
    buf_addf(&text, "guide %s\n", artifact_path(g, n->guide));
    for (uint32_t i = 0; i < n->proofs.len; i++)
        buf_addf(&text, "proof %s\n", artifact_path(g, slice_id(g, n->proofs, i)));
    buf_addf(&text, "token %s\n", token);
    int rc = store_put_value(s, name.ptr, text.ptr, text.len, e);
    buf_release(&name);
    buf_release(&text);
    return rc;
}
