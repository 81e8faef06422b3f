/*
 * fused.c: attention in one pass over tiles, with on-line softmax, in scalar C.
 *
 * The arithmetic on a (query, key) pair is that of naive.c, so what separates the two is only that
 * the scores never leave a tile of BLOCK_M x BLOCK_N and that tiles no query sees are not visited.
 */
#include <string.h>

#include "fmha.h"

#ifndef BLOCK_M
#define BLOCK_M 32
#endif
#ifndef BLOCK_N
#define BLOCK_N 64
#endif
#if BLOCK_M < 1 || BLOCK_N < 1 || BLOCK_M * BLOCK_N > 65536
#error "fused: a score tile holds from 1 to 65536 elements"
#endif

/* the running state of BLOCK_M rows: maximum, sum of exponentials, unnormalised output */
struct state {
    float max[BLOCK_M];
    float sum[BLOCK_M];
    float o[BLOCK_M][FMHA_D_MAX];
    float s[BLOCK_N];
};

/* the scores of query i against keys [j0, j0 + n); returns their maximum */
static float row_scores(const struct fmha *p, int64_t b, int64_t h, int64_t i, int64_t j0,
                        int64_t n, float *s)
{
    const float *q = p->q + fmha_at_q(p, b, i, h);
    float scale = 1.0f / sqrtf((float)p->d), max = -INFINITY;

    for (int64_t j = 0; j < n; j++) {
        const float *k = p->k + fmha_at_kv(p, b, j0 + j, h);
        float sum = 0;

        for (int64_t c = 0; c < p->d; c++)
            sum += q[c] * k[c];
        s[j] = sum * scale;
        max = s[j] > max ? s[j] : max;
    }
    return max;
}

/* merges keys [j0, j0 + n), n > 0, into row r of the state */
static void row_merge(const struct fmha *p, int64_t b, int64_t h, int64_t r, int64_t j0, int64_t n,
                      struct state *t, float tile_max)
{
    float max = tile_max > t->max[r] ? tile_max : t->max[r];
    float shrink = expf(t->max[r] - max);

    t->max[r] = max;
    t->sum[r] *= shrink;
    for (int64_t c = 0; c < p->d; c++)
        t->o[r][c] *= shrink;
    for (int64_t j = 0; j < n; j++) {
        const float *v = p->v + fmha_at_kv(p, b, j0 + j, h);
        float e = expf(t->s[j] - max);

        t->sum[r] += e;
        for (int64_t c = 0; c < p->d; c++)
            t->o[r][c] += e * v[c];
    }
}

static void row_store(const struct fmha *p, int64_t b, int64_t h, int64_t i, const struct state *t,
                      int64_t r)
{
    float *o = p->o + fmha_at_q(p, b, i, h);
    float sum = t->sum[r];

    for (int64_t c = 0; c < p->d; c++)
        o[c] = sum > 0 ? t->o[r][c] / sum : 0;
    p->lse[fmha_at_lse(p, b, h, i)] = sum > 0 ? t->max[r] + logf(sum) : -INFINITY;
}

/* queries [i0, i0 + m) of one head */
static void tile_attend(const struct fmha *p, int64_t b, int64_t h, int64_t i0, int64_t m,
                        struct state *t)
{
    int64_t end = fmha_visible(p, i0 + m - 1);

    memset(t->sum, 0, sizeof t->sum);
    memset(t->o, 0, sizeof t->o);
    for (int64_t r = 0; r < m; r++)
        t->max[r] = -INFINITY;
    for (int64_t j0 = 0; j0 < end; j0 += BLOCK_N) {
        for (int64_t r = 0; r < m; r++) {
            int64_t n = fmha_visible(p, i0 + r) - j0;

            n = n > BLOCK_N ? BLOCK_N : n;
            if (n > 0)
                row_merge(p, b, h, r, j0, n, t, row_scores(p, b, h, i0 + r, j0, n, t->s));
        }
    }
    for (int64_t r = 0; r < m; r++)
        row_store(p, b, h, i0 + r, t, r);
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct fmha p;
    struct state *t;

    (void)threads;
    if (fmha_bind(&p, dim, buf) < 0 || (t = malloc(sizeof *t)) == NULL)
        return 1;
    for (int64_t g = 0; g < p.b * p.hq; g++) {
        for (int64_t i = 0; i < p.sq; i += BLOCK_M) {
            int64_t m = p.sq - i < BLOCK_M ? p.sq - i : BLOCK_M;

            tile_attend(&p, g / p.hq, g % p.hq, i, m, t);
        }
    }
    free(t);
    return 0;
}
