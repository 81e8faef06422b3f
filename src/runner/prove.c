/* spak-prove: tries a law on cases that the engine makes, and writes down what was found.
 *
 *     spak-prove SPEC.json --out PROOF.json
 *
 * SPAK_KEPT in the environment: cases that broke the law in earlier proofs, as the engine keeps
 * them.
 *
 * Exit status 0: verified; 3: not verified, the proof says why; 2: the specification or the machine
 * is at fault and there is no proof. */
#include "prove_law.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int prove(const char *spec_path, const char *out_path, bool *verified, struct err *e)
{
    struct spec spec = {0};
    struct proof proof = {0};
    struct buf text = {0};
    const char *kept = getenv("SPAK_KEPT");
    int rc = spec_read(spec_path, &spec, e);
    if (rc == 0 && kept)
        spec_keep(&spec, kept);
    if (rc == 0)
        rc = law_prove(&spec, &proof, e);
    if (rc)
        goto out;
    *verified = proof.status == LAW_VERIFIED;
    proof_message(&proof, &spec, &text);
    fputs(buf_text(&text), stderr);
    buf_reset(&text);
    proof_json(&proof, &spec, &text);
    rc = os_write_in_place(out_path, buf_text(&text), text.len, e);
out:
    buf_release(&text);
    proof_release(&proof, &spec);
    spec_release(&spec);
    return rc;
}

static void complain(const struct err *e)
{
    fputs("spak-prove: ", stderr);
    if (e->place.file)
        fprintf(stderr, "%s:%d:%d: ", e->place.file, e->place.line, e->place.column);
    fprintf(stderr, "%s\n", e->message);
    if (e->hint)
        fprintf(stderr, "  help: %s\n", e->hint);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    bool verified = false;
    if (argc != 4 || strcmp(argv[2], "--out") != 0) {
        fputs("usage: spak-prove SPEC.json --out PROOF.json\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (prove(argv[1], argv[3], &verified, &e)) {
        complain(&e);
        err_release(&e);
        return 2;
    }
    return verified ? 0 : 3;
}
