/*
 * blocked.c: matmul in cache blocks, plain C.
 *
 * A block of b, BLOCK_K x BLOCK_N, stays in cache while every row of a passes over it; the
 * innermost loop runs along rows of b and c, which a compiler vectorises for whatever machine it
 * was told of.
 */
#include <string.h>

#include "matmul.h"

#ifndef BLOCK_K
#define BLOCK_K 128
#endif
#ifndef BLOCK_N
#define BLOCK_N 512
#endif
#if BLOCK_K < 4 || BLOCK_N < 1 || BLOCK_K % 4 != 0
#error "blocked: BLOCK_K is a positive multiple of 4 and BLOCK_N is positive"
#endif

/* c[0..n) += a[0..4) times four rows of b, pitch apart */
static void row_update4(float *restrict c, const float *a, const float *restrict b, int64_t pitch,
                        int64_t n)
{
    float a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
    const float *b1 = b + pitch, *b2 = b1 + pitch, *b3 = b2 + pitch;

    for (int64_t j = 0; j < n; j++)
        c[j] += a0 * b[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j];
}

static void row_update1(float *restrict c, float a, const float *restrict b, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        c[j] += a * b[j];
}

/* c += the product of a's columns [k0, k0 + kn) and the block of b they meet */
static void block_update(const struct matmul *p, int64_t k0, int64_t kn, int64_t j0, int64_t jn)
{
    for (int64_t i = 0; i < p->m; i++) {
        const float *a = p->a + i * p->k + k0, *b = p->b + k0 * p->n + j0;
        float *c = p->c + i * p->n + j0;
        int64_t t = 0;

        for (; t + 4 <= kn; t += 4)
            row_update4(c, a + t, b + t * p->n, p->n, jn);
        for (; t < kn; t++)
            row_update1(c, a[t], b + t * p->n, jn);
    }
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct matmul p;

    (void)threads;
    if (matmul_bind(&p, dim, buf) < 0)
        return 1;
    memset(p.c, 0, (size_t)(p.m * p.n) * sizeof *p.c);
    for (int64_t j = 0; j < p.n; j += BLOCK_N) {
        for (int64_t t = 0; t < p.k; t += BLOCK_K)
            block_update(&p, t, p.k - t < BLOCK_K ? p.k - t : BLOCK_K, j,
                         p.n - j < BLOCK_N ? p.n - j : BLOCK_N);
    }
    return 0;
}
