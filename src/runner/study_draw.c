#include "os.h"
#include "study.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void study_shuffle(struct rng *rng, size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)rng_below(rng, i), held = order[i - 1];
        order[i - 1] = order[k];
        order[k] = held;
    }
}

size_t study_draw_hidden(const struct study *study, const bool *able, struct rng *rng, size_t *out)
{
    size_t *order = xcalloc(study->hidden_count + 1, sizeof *order), count = 0;
    study_shuffle(rng, order, study->hidden_count);
    for (size_t i = 0; i < study->hidden_count && count < study->hidden_drawn; i++)
        if (!able || able[order[i]])
            out[count++] = order[i];
    free(order);
    return count;
}

int study_nonce(char out[STUDY_NONCE_DIGITS + 1], struct err *e)
{
    struct digest fresh;
    if (getrandom(fresh.bytes, sizeof fresh.bytes, 0) != (ssize_t)sizeof fresh.bytes)
        return err_errno(e, ERR_os, "drawing a nonce");
    digest_hex(&fresh, out);
    return 0;
}

uint64_t study_draw(const char *nonce, const char *commitment)
{
    struct digest digest;
    uint64_t seed = 0;
    hash_keyed(nonce, commitment, strlen(commitment), &digest);
    for (size_t i = 0; i < sizeof seed; i++)
        seed = seed << 8 | digest.bytes[i];
    return seed >> 11; /* what a double, and so a number in JSON, holds */
}

int study_objects(const struct study_kernel *kernel, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < kernel->object_count; i++) {
        struct digest digest;
        char hex[DIGEST_HEX_LEN + 1];
        if (hash_file(kernel->objects[i], &digest, e) < 0)
            return -1;
        digest_hex(&digest, hex);
        buf_addf(out, "%s%s", i ? " " : "", hex);
    }
    return 0;
}

int study_commit(const struct study_kernel *kernel, struct buf *commitment, struct err *e)
{
    buf_addf(commitment, "candidate %s ", kernel->name);
    if (kernel->object_count == 0)
        buf_addf(commitment, "library");
    int rc = study_objects(kernel, commitment, e);
    buf_addch(commitment, '\n');
    return rc;
}

int study_seed_from(const struct study_kernel *kernel, struct rng *rng, struct err *e)
{
    struct buf commitment = {0};
    int rc = study_commit(kernel, &commitment, e);
    rng->state = study_draw("", buf_text(&commitment));
    buf_release(&commitment);
    return rc;
}

int study_lot_draw(const struct study *study, struct study_lot *out, struct err *e)
{
    const char *lease = getenv("SPAK_LEASE"); /* the engine says which lease this is */
    *out = (struct study_lot){0};
    buf_addf(&out->commitment, "lease %s\n", lease ? lease : "none");
    for (size_t i = 0; i < study->kernel_count; i++)
        if (study_commit(&study->kernels[i], &out->commitment, e) < 0)
            return -1;
    if (study_nonce(out->nonce, e) < 0)
        return -1;
    out->seed = study_draw(out->nonce, buf_text(&out->commitment));
    return 0;
}

json_t *study_lot_json(const struct study_lot *lot)
{
    return json_pack("{s:s, s:s, s:I}", "commitment", buf_text(&lot->commitment), "nonce",
                     lot->nonce, "seed", (json_int_t)lot->seed);
}
