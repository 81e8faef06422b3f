#include "../sign.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_TYPE "application/vnd.in-toto+json"

struct attesting {
    struct cmd_context *c;
    struct session s;
    struct trace *t;
    struct trace_entry entry;
    struct sign_key key;
    json_t *subject, *dependencies, *byproducts, *passed, *failed;
    struct buf envelopes;
};

static json_t *with_digest(const char *name, const char *algorithm, const char *hex)
{
    return json_pack("{s:s, s:{s:s}}", "name", name, "digest", algorithm, hex);
}

static int add_output(void *ctx, const struct trace_named *n, struct err *e)
{
    struct attesting *a = ctx;
    char hex[DIGEST_HEX_LEN + 1];
    (void)e;
    digest_hex(&n->digest, hex);
    if (*n->path)
        json_array_append_new(a->subject, with_digest(n->path, "sha256", hex));
    else
        json_array_append_new(
            a->byproducts,
            with_digest(arena_printf(a->c->arena, "log of %s", n->node), "sha256", hex));
    return 0;
}

static int read_lines(struct attesting *a, const char *path, struct strs *out, struct err *e)
{
    struct buf text = {0};
    bool found;
    int rc = trace_read(a->t, a->entry.commit, path, &text, &found, e);
    struct str rest = {buf_text(&text), text.len}, line;
    while (rc == 0 && found && str_split(&rest, '\n', &line))
        strs_push(out, arena_strndup(a->c->arena, line.ptr, line.len));
    buf_release(&text);
    return rc;
}

/* "NAME VERSION... SHA256" and "PATH SHA256": the digest is the last word. */
static int add_dependencies(struct attesting *a, const char *path, const char *what, struct err *e)
{
    struct strs lines = {0};
    struct digest unused;
    int rc = read_lines(a, path, &lines, e);
    for (size_t i = 0; rc == 0 && i < lines.len; i++) {
        const char *hex = strrchr(lines.at[i], ' ');
        if (!hex || strlen(hex + 1) != DIGEST_HEX_LEN || !digest_from_hex(hex + 1, &unused))
            continue;
        const char *name =
            arena_printf(a->c->arena, "%s %.*s", what, (int)(hex - lines.at[i]), lines.at[i]);
        json_array_append_new(a->dependencies, with_digest(name, "sha256", hex + 1));
    }
    strs_release(&lines);
    return rc;
}

static bool has_line(const struct strs *lines, const char *wanted)
{
    for (size_t i = 0; i < lines->len; i++)
        if (strcmp(lines->at[i], wanted) == 0)
            return true;
    return false;
}

/* Sources by the plan of the nodes that read them; invariants by their kind. */
static int add_plan(struct attesting *a, struct strmap *seen, const char *file, struct err *e)
{
    struct strs plan = {0}, out = {0};
    const char *name = file + strlen("plan/");
    int rc = read_lines(a, file, &plan, e);
    for (size_t i = 0; rc == 0 && i < plan.len; i++) {
        const char *hex = strrchr(plan.at[i], ' ');
        struct digest unused;
        if (!text_starts_with(plan.at[i], "in ") || strlen(hex + 1) != DIGEST_HEX_LEN ||
            !digest_from_hex(hex + 1, &unused) || strmap_get(seen, plan.at[i]) != STRMAP_NONE)
            continue;
        strmap_set(seen, plan.at[i], 1);
        const char *path =
            arena_strndup(a->c->arena, plan.at[i] + 3, (size_t)(hex - plan.at[i] - 3));
        json_array_append_new(a->dependencies, with_digest(path, "sha256", hex + 1));
    }
    if (rc == 0 && has_line(&plan, "kind invariant")) {
        rc = read_lines(a, arena_printf(a->c->arena, "out/%s", name), &out, e);
        json_array_append_new(has_line(&out, "state ok") ? a->passed : a->failed,
                              json_string(name));
    }
    strs_release(&plan);
    strs_release(&out);
    return rc;
}

static int collect(struct attesting *a, struct err *e)
{
    struct strs plans = {0};
    struct strmap seen = {0};
    const char *commit = a->entry.commit;
    json_array_append_new(a->subject,
                          with_digest(arena_printf(a->c->arena, "trace of %s", a->entry.target),
                                      "gitCommit", commit));
    if (*a->entry.source)
        json_array_append_new(a->dependencies, with_digest("source", "gitCommit", a->entry.source));
    int rc = trace_named_by(a->t, commit, a->c->arena, add_output, a, e);
    if (rc == 0)
        rc = add_dependencies(a, "env/toolchain", "tool", e);
    if (rc == 0)
        rc = add_dependencies(a, "env/files", "file", e);
    if (rc == 0)
        rc = trace_list(a->t, commit, "plan", a->c->arena, &plans, e);
    for (size_t i = 0; rc == 0 && i < plans.len; i++)
        rc = add_plan(a, &seen, plans.at[i], e);
    strmap_release(&seen);
    strs_release(&plans);
    return rc;
}

/* The DSSE envelope: what is signed is the pre-authentication encoding, never the payload alone. */
static int seal(struct attesting *a, json_t *statement, struct err *e)
{
    struct buf payload = {0}, pae = {0}, body = {0}, signature = {0};
    uint8_t raw[SIGN_BYTES];
    json_compact(statement, &payload);
    buf_addf(&pae, "DSSEv1 %zu %s %zu ", strlen(PAYLOAD_TYPE), PAYLOAD_TYPE, payload.len);
    buf_add(&pae, payload.ptr, payload.len);
    int rc = sign_bytes(&a->key, pae.ptr, pae.len, raw, e);
    if (rc == 0) {
        sign_base64(payload.ptr, payload.len, &body);
        sign_base64(raw, SIGN_BYTES, &signature);
        json_t *envelope =
            json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "payloadType", PAYLOAD_TYPE, "payload",
                      buf_text(&body), "signatures", "keyid",
                      sign_key_id(a->c->arena, a->key.public_key), "sig", buf_text(&signature));
        size_t start = a->envelopes.len;
        json_compact(envelope, &a->envelopes);
        json_decref(envelope);
        const char *line = arena_strdup(a->c->arena, a->envelopes.ptr + start);
        buf_addch(&a->envelopes, '\n');
        rc = trace_note_add(a->t, "attest", a->entry.commit, line, e);
    }
    buf_release(&payload);
    buf_release(&pae);
    buf_release(&body);
    buf_release(&signature);
    json_decref(statement);
    return rc;
}

static json_t *statement(const struct attesting *a, const char *type, json_t *predicate)
{
    return json_pack("{s:s, s:O, s:s, s:o}", "_type", "https://in-toto.io/Statement/v1", "subject",
                     a->subject, "predicateType", type, "predicate", predicate);
}

static int seal_provenance(struct attesting *a, struct err *e)
{
    struct strs params = {0};
    json_t *given = json_object();
    int rc = read_lines(a, "env/params", &params, e);
    for (size_t i = 0; i < params.len; i++) {
        struct str rest = str_of(params.at[i]), name;
        str_split(&rest, '=', &name);
        json_object_set_new(given, arena_strndup(a->c->arena, name.ptr, name.len),
                            json_string(trace_value(a->c->arena, rest, NULL)));
    }
    strs_release(&params);
    json_t *predicate =
        json_pack("{s:{s:s, s:{s:s, s:o}, s:O}, s:{s:{s:s}, s:{s:s}, s:O}}", "buildDefinition",
                  "buildType", "urn:spak:node:v1", "externalParameters", "target", a->entry.target,
                  "params", given, "resolvedDependencies", a->dependencies, "runDetails", "builder",
                  "id", "spak@" SPAK_VERSION, "metadata", "invocationId", a->entry.commit,
                  "byproducts", a->byproducts);
    return rc ? -1 : seal(a, statement(a, "https://slsa.dev/provenance/v1", predicate), e);
}

static int seal_tests(struct attesting *a, struct err *e)
{
    if (json_array_size(a->passed) + json_array_size(a->failed) == 0)
        return 0;
    json_t *predicate = json_pack("{s:s, s:[{s:s, s:{s:s}}], s:O, s:O}", "result",
                                  json_array_size(a->failed) ? "FAILED" : "PASSED", "configuration",
                                  "name", "trace", "digest", "gitCommit", a->entry.commit,
                                  "passedTests", a->passed, "failedTests", a->failed);
    return seal(a, statement(a, "https://in-toto.io/attestation/test-result/v0.1", predicate), e);
}

static int attest(struct attesting *a, struct err *e)
{
    const char *file = cmd_value(a->c, "output");
    a->subject = json_array(), a->dependencies = json_array(), a->byproducts = json_array();
    a->passed = json_array(), a->failed = json_array();
    int rc = collect(a, e);
    if (rc == 0)
        rc = seal_provenance(a, e);
    if (rc == 0)
        rc = seal_tests(a, e);
    if (rc == 0 && file)
        rc = os_write(history_path(&a->s, file), a->envelopes.ptr, a->envelopes.len, 0644, e);
    else if (rc == 0)
        fwrite(a->envelopes.ptr, 1, a->envelopes.len, stdout);
    json_decref(a->subject), json_decref(a->dependencies), json_decref(a->byproducts);
    json_decref(a->passed), json_decref(a->failed);
    buf_release(&a->envelopes);
    return rc;
}

/* A public key stands for the half of it that the ssh-agent has. */
static int use_agent(struct attesting *a, const char *file, const char *spelled, struct err *e)
{
    struct sign_keys keys = {0};
    int rc = 0;
    if (spelled)
        sign_parse_public(str_of(spelled), &keys);
    else if (file)
        rc = sign_load_public(file, &keys, e);
    if (rc == 0 && spelled && !keys.len)
        rc = err_set(e, ERR_signature, "git's user.signingKey is no Ed25519 key");
    if (rc == 0)
        rc = sign_use_agent(keys.len ? keys.at[0] : NULL, &a->key, e);
    sign_keys_release(&keys);
    return rc;
}

static int git_key(struct attesting *a, struct err *e)
{
    struct trace_keys keys;
    if (trace_keys(a->t, a->c->arena, &keys, e))
        return -1;
    if (!keys.own) {
        err_set(e, ERR_usage, "attest needs a key, and git's configuration names none");
        return err_hint(e, "--key FILE, --agent, or git config gpg.format ssh and user.signingKey");
    }
    if (text_starts_with(keys.own, "key::") || text_starts_with(keys.own, "ssh-"))
        return use_agent(a, NULL, keys.own + (*keys.own == 'k' ? strlen("key::") : 0), e);
    return text_ends_with(keys.own, ".pub") ? use_agent(a, keys.own, NULL, e)
                                            : sign_load(keys.own, &a->key, e);
}

static int find_key(struct attesting *a, struct err *e)
{
    const char *file = cmd_value(a->c, "key");
    file = file ? history_path(&a->s, file) : NULL;
    if (cmd_flag(a->c, "agent"))
        return use_agent(a, file, NULL, e);
    return file ? sign_load(file, &a->key, e) : git_key(a, e);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct attesting a = {.c = c, .s = {.lock_fd = -1}};
    if (c->args.len != 1) {
        err_set(e, ERR_usage, "attest takes one trace");
        return err_hint(e, "spak attest fmha --key ~/.ssh/id_ed25519 -o fmha.jsonl");
    }
    int rc = history_open(c, "attest", &a.s, &a.t, e);
    if (rc == 0)
        rc = trace_resolve(a.t, c->args.at[0], c->arena, &a.entry, e);
    if (rc == 0)
        rc = find_key(&a, e);
    if (rc == 0)
        rc = attest(&a, e);
    sign_forget(&a.key);
    strs_release(&a.entry.metrics);
    return history_close(&a.s, a.t, rc, e);
}

static const struct cmd_option options[] = {
    {0, "key", CMD_VALUE, "FILE", "an Ed25519 key without a passphrase; with --agent a public one"},
    {0, "agent", CMD_FLAG, NULL, "let the ssh-agent sign (default key: its first Ed25519 key)"},
    {'o', "output", CMD_VALUE, "FILE", "write the envelopes there (default: standard output)"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak attest fmha --key ~/.ssh/id_ed25519 -o fmha.jsonl",
    "sign what the last run of fmha made, and of what",
    "spak attest fmha --agent >fmha.jsonl",
    "the same with a key that only the ssh-agent has",
    "spak verify fmha.jsonl --key ~/.ssh/id_ed25519.pub",
    "check it",
    NULL,
};

const struct cmd cmd_attest = {
    .name = "attest",
    .summary = "sign what a run made, and of what",
    .usage = "[OPTION]... TRACE",
    .text =
        "Writes one DSSE envelope a line: an in-toto Statement v1 with SLSA Provenance v1, whose "
        "subjects are the outputs and the trace's commit, and where the trace holds invariants a "
        "second one with their results (test-result v0.1). Signed raw Ed25519, with the key of "
        "--key, of "
        "the ssh-agent, or that git signs commits with (user.signingKey); the keyid is the "
        "fingerprint that `ssh-keygen -lf` prints. Also kept in refs/notes/spak/attest. A run on "
        "one's own machine with one's own key is SLSA build level 1, and no more is claimed. "
        "openssl alone can check it: the key as PEM is the base64 of the bytes "
        "302a300506032b6570032100 and "
        "the last 32 bytes of the public key; what is signed is \"DSSEv1 28 " PAYLOAD_TYPE
        " LENGTH \" and the payload; then "
        "openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in SIGNED -sigfile SIG.",
    .options = options,
    .examples = examples,
    .run = run,
};
