/*
 * fmha.h: the shape, the layout and the conventions every variant of attention shares.
 *
 * q is [b][sq][hq][d], k and v are [b][skv][hkv][d], o is [b][sq][hq][d], lse is [b][hq][sq];
 * all fp32, row-major, contiguous. Scores are scaled by 1 / sqrt(d). Query head h reads key head
 * h / (hq / hkv). Causal: query i sees key j if and only if j <= i + (skv - sq). A row that sees
 * no key has o = 0 and lse = -inf. No algorithm belongs here.
 */
#ifndef FMHA_H
#define FMHA_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define FMHA_LOG2E 1.44269504088896340736
#define FMHA_LN2 0.69314718055994530942

/* the order of the dimensions in a shape */
enum fmha_dim { FMHA_B, FMHA_HQ, FMHA_HKV, FMHA_SQ, FMHA_SKV, FMHA_D, FMHA_CAUSAL };

/* the order of the buffers */
enum fmha_buf { FMHA_Q, FMHA_K, FMHA_V, FMHA_O, FMHA_LSE };

/* the longest head this study accepts */
enum { FMHA_D_MAX = 256 };

/* one call, decoded */
struct fmha {
    int64_t b, hq, hkv, sq, skv, d;
    int causal;
    const float *q, *k, *v;
    float *o, *lse;
};

/* the entry point; its contract is that of candidate_fn in src/runner/candidate.h */
int candidate(const int64_t *dim, void *const *buf, int threads);

/* decodes a shape without its outputs; returns -1 if the study does not define it */
static inline int fmha_shape(struct fmha *p, const int64_t *dim, void *const *buf)
{
    *p = (struct fmha){
        .b = dim[FMHA_B],
        .hq = dim[FMHA_HQ],
        .hkv = dim[FMHA_HKV],
        .sq = dim[FMHA_SQ],
        .skv = dim[FMHA_SKV],
        .d = dim[FMHA_D],
        .causal = dim[FMHA_CAUSAL] != 0,
        .q = buf[FMHA_Q],
        .k = buf[FMHA_K],
        .v = buf[FMHA_V],
    };
    if (p->b < 1 || p->hq < 1 || p->hkv < 1 || p->hq % p->hkv != 0)
        return -1;
    if (p->sq < 1 || p->skv < 1 || p->sq > INT32_MAX / 2 || p->skv > INT32_MAX / 2)
        return -1;
    return p->d < 1 || p->d > FMHA_D_MAX ? -1 : 0;
}

/* decodes a call; returns -1 if the study does not define the shape */
static inline int fmha_bind(struct fmha *p, const int64_t *dim, void *const *buf)
{
    if (fmha_shape(p, dim, buf) < 0)
        return -1;
    p->o = buf[FMHA_O];
    p->lse = buf[FMHA_LSE];
    return 0;
}

/* offset of q or o at batch b, query i, head h */
static inline int64_t fmha_at_q(const struct fmha *p, int64_t b, int64_t i, int64_t h)
{
    return ((b * p->sq + i) * p->hq + h) * p->d;
}

/* offset of k or v at batch b, key j, for query head h */
static inline int64_t fmha_at_kv(const struct fmha *p, int64_t b, int64_t j, int64_t h)
{
    return ((b * p->skv + j) * p->hkv + h / (p->hq / p->hkv)) * p->d;
}

/* offset of lse at batch b, head h, query i */
static inline int64_t fmha_at_lse(const struct fmha *p, int64_t b, int64_t h, int64_t i)
{
    return (b * p->hq + h) * p->sq + i;
}

/* how many keys, from the first on, query i sees */
static inline int64_t fmha_visible(const struct fmha *p, int64_t i)
{
    int64_t n = p->causal ? i + (p->skv - p->sq) + 1 : p->skv;

    return n < 0 ? 0 : n > p->skv ? p->skv : n;
}

#endif
