/* spak-prove: tries a law on cases that the engine makes, and writes down what was found.
 *
 *     spak-prove SPEC.json --out PROOF.json
 *
 * Exit status 0: verified; 3: not verified, the proof says why; 2: the specification or the machine
 * is at fault and there is no proof. */
#include "prove_law.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In place: a sandbox gives the right to this one file and to nothing beside it. */
static int write_proof(const char *path, const struct buf *text, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(e, ERR_os, "cannot write %s", path);
    int rc = os_write_fd(fd, text->ptr, text->len, path, e);
    if (close(fd) && rc == 0)
        rc = err_errno(e, ERR_os, "cannot write %s", path);
    return rc;
}

static int prove(const char *spec_path, const char *out_path, bool *verified, struct err *e)
{
    struct spec spec = {0};
    struct proof proof = {0};
    struct buf text = {0};
    int rc = spec_read(spec_path, &spec, e);
    if (rc == 0)
        rc = law_prove(&spec, &proof, e);
    if (rc)
        goto out;
    *verified = proof.status == LAW_VERIFIED;
    proof_message(&proof, &spec, &text);
    fputs(buf_text(&text), stderr);
    buf_reset(&text);
    proof_json(&proof, &spec, &text);
    rc = write_proof(out_path, &text, e);
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
