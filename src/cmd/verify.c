#include "../sign.h"
#include "history.h"

#include <stdio.h>
#include <string.h>

struct verifying {
    struct cmd_context *c;
    struct session s;
    struct trace *t;
    struct sign_keys keys;
    const char *commit; /* whose statements are looked for; NULL: those of any */
    struct strmap made; /* "PATH SHA256" that the trace names */
    size_t subjects, absent, good, unknown;
};

static int broken(struct err *e, const char *what)
{
    err_set(e, ERR_signature, "%s", what);
    return err_hint(e, "do not trust it; ask who signed it for another copy");
}

/* The key that signed, NULL when it is none of those that are trusted. */
static const uint8_t *signer(const struct verifying *v, const struct buf *pae,
                             const struct buf *signature)
{
    for (size_t i = 0; i < v->keys.len && signature->len == SIGN_BYTES; i++)
        if (sign_holds(v->keys.at[i], pae->ptr, pae->len, (const uint8_t *)signature->ptr))
            return v->keys.at[i];
    return NULL;
}

static bool is_trusted(const struct verifying *v, const char *keyid)
{
    for (size_t i = 0; i < v->keys.len; i++)
        if (!strcmp(keyid, sign_key_id(v->c->arena, v->keys.at[i])))
            return true;
    return false;
}

/* Many may have signed statements on one commit; those of others are counted and not believed. */
static int not_ours(struct verifying *v, const char *keyid, struct err *e)
{
    if (!v->commit || is_trusted(v, keyid))
        return broken(e, "the signature does not hold: another key made it, or the statement "
                         "was changed");
    v->unknown++;
    return 0;
}

/* The payload, when one of the keys signed it; else `key` is NULL. */
static int open_envelope(struct verifying *v, const json_t *envelope, struct buf *payload,
                         const uint8_t **key, struct err *e)
{
    const char *type = json_text(envelope, "payloadType", "");
    json_t *first = json_array_get(json_object_get(envelope, "signatures"), 0);
    struct buf pae = {0}, signature = {0};
    bool sound = sign_unbase64(str_of(json_text(envelope, "payload", "")), payload) &&
                 sign_unbase64(str_of(json_text(first, "sig", "")), &signature) &&
                 strcmp(type, "application/vnd.in-toto+json") == 0;
    buf_addf(&pae, "DSSEv1 %zu %s %zu ", strlen(type), type, payload->len);
    buf_add(&pae, buf_text(payload), payload->len);
    *key = sound ? signer(v, &pae, &signature) : NULL;
    buf_release(&pae);
    buf_release(&signature);
    return *key ? 0 : not_ours(v, json_text(first, "keyid", ""), e);
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

static int check_statement(struct verifying *v, const json_t *statement, const uint8_t *key,
                           struct err *e)
{
    json_t *subjects = json_object_get(statement, "subject");
    const char *commit =
        json_text(json_object_get(json_array_get(subjects, 0), "digest"), "gitCommit", NULL);
    struct trace_entry entry = {0};
    if (!commit)
        return broken(e, "it names no trace");
    if (v->commit && strcmp(commit, v->commit) != 0)
        return broken(e, "a statement on another commit is noted on this one");
    int rc = trace_resolve(v->t, commit, v->c->arena, &entry, e);
    if (rc == 0)
        rc = trace_named_by(v->t, entry.commit, v->c->arena, note_made, v, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(subjects); i++)
        rc = check_subject(v, json_array_get(subjects, i), e);
    if (rc == 0)
        printf("good  %s\n      trace %.10s of %s, key %s\n",
               json_text(statement, "predicateType", ""), entry.commit, entry.target,
               sign_key_id(v->c->arena, key));
    v->good += rc == 0;
    strs_release(&entry.metrics);
    return rc;
}

static int check_line(struct verifying *v, struct str line, const char *file, struct err *e)
{
    struct buf payload = {0};
    const uint8_t *key = NULL;
    json_t *statement = NULL, *envelope = json_parse(line.ptr, line.len, file, e);
    int rc = envelope ? open_envelope(v, envelope, &payload, &key, e) : -1;
    if (rc == 0 && key) {
        statement = json_parse(buf_text(&payload), payload.len, file, e);
        rc = statement ? check_statement(v, statement, key, e) : -1;
    }
    json_decref(statement);
    json_decref(envelope);
    buf_release(&payload);
    return rc;
}

static int check_text(struct verifying *v, const struct buf *text, const char *file, struct err *e)
{
    struct str rest = {buf_text(text), text->len}, line;
    int rc = 0;
    while (rc == 0 && str_split(&rest, '\n', &line))
        rc = str_trim(line).len ? check_line(v, line, file, e) : 0;
    if (rc == 0 && v->good)
        printf("%zu outputs as signed, %zu of them not in this store\n", v->subjects, v->absent);
    if (rc == 0 && v->unknown)
        printf("%zu statements of signers that are not trusted here\n", v->unknown);
    return rc;
}

/* What the trace's own commit carries, as git judges it. */
static int check_commit(struct verifying *v, bool *is_signed, struct err *e)
{
    enum trace_signature signature;
    const char *words;
    if (trace_signature(v->t, v->commit, v->c->arena, &signature, &words, e))
        return -1;
    *is_signed = signature == TRACE_SIGNED;
    if (signature == TRACE_BAD_SIGNATURE)
        return broken(e, arena_printf(v->c->arena, "git does not take the commit's signature: %s",
                                      *words ? words : "it says nothing"));
    printf("%s  the commit %.10s\n", *is_signed ? "good" : "none", v->commit);
    if (*is_signed && *words)
        printf("      %s\n", words);
    return 0;
}

static int check_trace(struct verifying *v, const char *revision, struct err *e)
{
    struct trace_entry entry = {0};
    struct buf text = {0};
    bool is_signed = false, found = false;
    int rc = trace_resolve(v->t, revision, v->c->arena, &entry, e);
    v->commit = entry.commit;
    if (rc == 0)
        rc = check_commit(v, &is_signed, e);
    if (rc == 0)
        rc = trace_note_read(v->t, "attest", v->commit, &text, &found, e);
    if (rc == 0)
        rc = check_text(v, &text, "refs/notes/spak/attest", e);
    if (rc == 0 && !is_signed && !v->good) {
        rc = err_set(e, ERR_signature, "nobody who is trusted here has signed %.10s", v->commit);
        err_hint(e, found ? "name the signer's public key with --key, or list it in git's "
                            "gpg.ssh.allowedSignersFile"
                          : "`git fetch` brings its note where `spak init` was run; else `spak "
                            "attest` makes one");
    }
    strs_release(&entry.metrics);
    buf_release(&text);
    return rc;
}

/* Those that --key names, else those that git trusts, and one's own. */
static int find_keys(struct verifying *v, struct err *e)
{
    const char *file = cmd_value(v->c, "key");
    struct trace_keys git;
    struct err none = {0};
    if (file)
        return sign_load_public(history_path(&v->s, file), &v->keys, e);
    if (trace_keys(v->t, v->c->arena, &git, e))
        return -1;
    if (git.allowed && sign_load_public(git.allowed, &v->keys, e))
        return -1;
    if (!git.own)
        return 0;
    if (strchr(git.own, ' '))
        sign_parse_public(str_of(git.own), &v->keys);
    else if (sign_load_public(text_ends_with(git.own, ".pub")
                                  ? git.own
                                  : arena_printf(v->c->arena, "%s.pub", git.own),
                              &v->keys, &none))
        err_release(&none); /* a key without its other half is no signer to trust */
    return 0;
}

static int check_file(struct verifying *v, const char *path, struct err *e)
{
    struct buf text = {0};
    int rc = os_read(path, &text, e);
    if (rc == 0 && !v->keys.len) {
        rc = err_set(e, ERR_usage, "there is no key to check the signatures with");
        err_hint(e, "--key FILE, or list the signers in git's gpg.ssh.allowedSignersFile");
    }
    if (rc == 0)
        rc = check_text(v, &text, path, e);
    if (rc == 0 && v->good == 0)
        rc = broken(e, "the file holds no envelope");
    buf_release(&text);
    return rc;
}

static int check(struct verifying *v, const char *what, struct err *e)
{
    struct os_stat st;
    const char *path = history_path(&v->s, what);
    if (find_keys(v, e) || os_stat(path, &st, e))
        return -1;
    return st.kind == OS_FILE ? check_file(v, path, e) : check_trace(v, what, e);
}

static int run(struct cmd_context *c, struct err *e)
{
    struct verifying v = {.c = c, .s = {.lock_fd = -1}};
    if (c->args.len != 1) {
        err_set(e, ERR_usage, "verify takes one trace or one file of envelopes");
        return err_hint(e, "spak verify fmha, or spak verify fmha.jsonl --key signer.pub");
    }
    int rc = history_open(c, "verify", &v.s, &v.t, e);
    if (rc == 0)
        rc = check(&v, c->args.at[0], e);
    sign_keys_release(&v.keys);
    strmap_release(&v.made);
    return history_close(&v.s, v.t, rc, e);
}

static const struct cmd_option options[] = {
    {0, "key", CMD_VALUE, "FILE", "the signer's public key: OpenSSH's, several of them, or a PEM"},
    CMD_COMMON_OPTIONS,
    {0},
};
static const char *const examples[] = {
    "spak verify fmha.jsonl --key signer.pub",
    "check signature, trace and store against what was signed",
    "spak verify fmha",
    "the last run of fmha: its commit's signature, and the statements that are noted on it",
    "git notes --ref spak/attest show spak/fmha >fmha.jsonl",
    "the envelopes that came with a clone",
    NULL,
};

const struct cmd cmd_verify = {
    .name = "verify",
    .summary = "check what `spak attest` signed",
    .usage = "[OPTION]... TRACE|ENVELOPES",
    .text =
        "For each envelope: does the signature hold with this key, does the trace name the outputs "
        "with the digests that were signed, and are those in the store whole. Objects that are not "
        "in the store are counted and no fault. Of a trace, the statements in its note are "
        "checked, and "
        "its commit's own signature as `git verify-commit` does. Without --key, who git trusts is "
        "trusted: the keys of gpg.ssh.allowedSignersFile, and one's own. Exit status 1 when "
        "something does not hold, or nobody who is trusted has signed.",
    .options = options,
    .examples = examples,
    .run = run,
};
