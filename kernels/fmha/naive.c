/*
 * naive.c: attention in three passes with the scores written out in full.
 *
 * Pass 1 writes S = Q K^T for a whole head, pass 2 turns each row of S into probabilities, pass 3
 * forms P V. It is what a person writes first, and the denominator of this study.
 */
#include <string.h>

#include "fmha.h"

static void pass_scores(const struct fmha *p, int64_t b, int64_t h, float *s)
{
    float scale = 1.0f / sqrtf((float)p->d);

    for (int64_t i = 0; i < p->sq; i++) {
        const float *q = p->q + fmha_at_q(p, b, i, h);
        int64_t visible = fmha_visible(p, i);

        for (int64_t j = 0; j < p->skv; j++) {
            const float *k = p->k + fmha_at_kv(p, b, j, h);
            float sum = 0;

            for (int64_t c = 0; c < p->d; c++)
                sum += q[c] * k[c];
            s[i * p->skv + j] = j < visible ? sum * scale : -INFINITY;
        }
    }
}

static void pass_softmax(const struct fmha *p, int64_t b, int64_t h, float *s)
{
    for (int64_t i = 0; i < p->sq; i++, s += p->skv) {
        float max = -INFINITY, sum = 0;

        for (int64_t j = 0; j < p->skv; j++)
            max = s[j] > max ? s[j] : max;
        for (int64_t j = 0; j < p->skv; j++) {
            s[j] = max > -INFINITY ? expf(s[j] - max) : 0;
            sum += s[j];
        }
        for (int64_t j = 0; j < p->skv; j++)
            s[j] = sum > 0 ? s[j] / sum : 0;
        p->lse[fmha_at_lse(p, b, h, i)] = sum > 0 ? max + logf(sum) : -INFINITY;
    }
}

static void pass_values(const struct fmha *p, int64_t b, int64_t h, const float *s)
{
    for (int64_t i = 0; i < p->sq; i++) {
        float *o = p->o + fmha_at_q(p, b, i, h);

        memset(o, 0, (size_t)p->d * sizeof *o);
        for (int64_t j = 0; j < p->skv; j++) {
            const float *v = p->v + fmha_at_kv(p, b, j, h);

            for (int64_t c = 0; c < p->d; c++)
                o[c] += s[i * p->skv + j] * v[c];
        }
    }
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct fmha p;
    float *s;

    (void)threads;
    if (fmha_bind(&p, dim, buf) < 0)
        return 1;
    s = malloc((size_t)p.sq * (size_t)p.skv * sizeof *s);
    if (s == NULL)
        return 1;
    for (int64_t b = 0; b < p.b; b++) {
        for (int64_t h = 0; h < p.hq; h++) {
            pass_scores(&p, b, h, s);
            pass_softmax(&p, b, h, s);
            pass_values(&p, b, h, s);
        }
    }
    free(s);
    return 0;
}
