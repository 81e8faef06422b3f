#include "../sign.h"
#include "history.h"

#include <stdio.h>
#include <string.h>

struct verifying {
    struct cmd_context *c;
    struct session s;
    struct trace *t;
    uint8_t key[SIGN_KEY_BYTES];
    struct strmap made; /* "PATH SHA256" that the trace names */
    size_t subjects, absent;
};

static int broken(struct err *e, const char *what)
{
    err_set(e, ERR_signature, "%s", what);
    return err_hint(e, "do not trust it; ask who signed it for another copy");
}

/* The payload, when this key signed it. */
static int open_envelope(struct verifying *v, const json_t *envelope, struct buf *payload,
                         struct err *e)
{
    const char *type = json_text(envelope, "payloadType", "");
    json_t *first = json_array_get(json_object_get(envelope, "signatures"), 0);
    struct buf pae = {0}, signature = {0};
    bool holds = sign_unbase64(str_of(json_text(envelope, "payload", "")), payload) &&
                 sign_unbase64(str_of(json_text(first, "sig", "")), &signature) &&
                 signature.len == SIGN_BYTES && strcmp(type, "application/vnd.in-toto+json") == 0;
    buf_addf(&pae, "DSSEv1 %zu %s %zu ", strlen(type), type, payload->len);
    buf_add(&pae, buf_text(payload), payload->len);
    holds = holds && sign_holds(v->key, pae.ptr, pae.len, (const uint8_t *)signature.ptr);
    buf_release(&pae);
    buf_release(&signature);
    return holds ? 0
                 : broken(e, "the signature does not hold: another key made it, or the statement "
                             "was changed");
}

static int note_made(void *ctx, const struct trace_named *n, struct err *e)
{
    struct verifying *v = ctx;
    char hex[DIGEST_HEX_LEN + 1];
    (void)e;
    digest_hex(&n->digest, hex);
    strmap_set(&v->made, arena_printf(v->c->arena, "%s %s", n->path, hex), 1);
    return 0;
}

static int check_subject(struct verifying *v, const json_t *subject, struct err *e)
{
    struct arena *a = v->c->arena;
    const char *name = json_text(subject, "name", "");
    const char *hex = json_text(json_object_get(subject, "digest"), "sha256", NULL);
    struct digest d;
    if (!hex)
        return 0;
    if (strlen(hex) != DIGEST_HEX_LEN || !digest_from_hex(hex, &d) ||
        strmap_get(&v->made, arena_printf(a, "%s %s", name, hex)) == STRMAP_NONE)
        return broken(
            e,
            arena_printf(a, "the trace names no output %s with the digest that was signed", name));
    v->subjects++;
    if (store_check_object(v->s.store, &d, e) == 0)
        return 0;
    if (e->code != ERR_object_missing)
        return -1;
    err_release(e);
    v->absent++;
    return 0;
}

static int check_statement(struct verifying *v, const json_t *statement, struct err *e)
{
    json_t *subjects = json_object_get(statement, "subject");
    const char *commit =
        json_text(json_object_get(json_array_get(subjects, 0), "digest"), "gitCommit", NULL);
    struct trace_entry entry;
    if (!commit)
        return broken(e, "it names no trace");
    int rc = trace_resolve(v->t, commit, v->c->arena, &entry, e);
    if (rc == 0)
        rc = trace_named_by(v->t, entry.commit, v->c->arena, note_made, v, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(subjects); i++)
        rc = check_subject(v, json_array_get(subjects, i), e);
    if (rc == 0)
        printf("good  %s\n      trace %.10s of %s, key %s\n",
               json_text(statement, "predicateType", ""), entry.commit, entry.target,
               sign_key_id(v->c->arena, v->key));
    strs_release(&entry.metrics);
    return rc;
}

static int check_line(struct verifying *v, struct str line, const char *file, struct err *e)
{
    struct buf payload = {0};
    json_t *statement = NULL, *envelope = json_parse(line.ptr, line.len, file, e);
    int rc = envelope ? open_envelope(v, envelope, &payload, e) : -1;
    if (rc == 0) {
        statement = json_parse(buf_text(&payload), payload.len, file, e);
        rc = statement ? check_statement(v, statement, e) : -1;
    }
    json_decref(statement);
    json_decref(envelope);
    buf_release(&payload);
    return rc;
}

static int check_file(struct verifying *v, const struct buf *text, const char *file, struct err *e)
{
    struct str rest = {buf_text(text), text->len}, line;
    size_t count = 0;
    int rc = 0;
    while (rc == 0 && str_split(&rest, '\n', &line)) {
        rc = check_line(v, line, file, e);
        count++;
    }
    if (rc == 0 && count == 0)
        rc = broken(e, "the file holds no envelope");
    if (rc == 0)
        printf("%zu outputs as signed, %zu of them not in this store\n", v->subjects, v->absent);
    return rc;
}

static int run(struct cmd_context *c, struct err *e)
{
    struct verifying v = {.c = c, .s = {.lock_fd = -1}};
    struct buf text = {0};
    const char *key = cmd_value(c, "key");
    if (c->args.len != 1 || !key) {
        err_set(e, ERR_usage, "verify takes one file of envelopes and the signer's public key");
        return err_hint(e, "spak verify fmha.jsonl --key signer.pub");
    }
    int rc = sign_load_public(key, v.key, e);
    if (rc == 0)
        rc = os_read(c->args.at[0], &text, e);
    if (rc == 0)
        rc = history_open(c, "verify", &v.s, &v.t, e);
    if (rc == 0)
        rc = check_file(&v, &text, c->args.at[0], e);
    buf_release(&text);
    strmap_release(&v.made);
    return history_close(&v.s, v.t, rc, e);
}

static const struct cmd_option options[] = {
    {0, "key", CMD_VALUE, "FILE", "the signer's public key, a line \"ssh-ed25519 AAAA...\""},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak verify fmha.jsonl --key signer.pub",
    "check signature, trace and store against what was signed",
    "git notes --ref spak/attest show spak/fmha >fmha.jsonl",
    "the envelopes that came with a clone",
    NULL,
};

const struct cmd cmd_verify = {
    .name = "verify",
    .summary = "check what `spak attest` signed",
    .usage = "[OPTION]... --key FILE ENVELOPES",
    .text =
        "For each envelope: does the signature hold with this key, does the trace name the outputs "
        "with the digests that were signed, and are those in the store whole. Objects that are not "
        "in the store are counted and no fault. Exit status 1 when something does not hold.",
    .options = options,
    .examples = examples,
    .run = run,
};
