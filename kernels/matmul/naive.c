/*
 * naive.c: matmul as three loops, i, j, k.
 *
 * It is what a person writes first, and the denominator of this study.
 */
#include "matmul.h"

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct matmul p;

    (void)threads;
    if (matmul_bind(&p, dim, buf) < 0)
        return 1;
    for (int64_t i = 0; i < p.m; i++) {
        for (int64_t j = 0; j < p.n; j++) {
            float sum = 0;

            for (int64_t k = 0; k < p.k; k++)
                sum += p.a[i * p.k + k] * p.b[k * p.n + j];
            p.c[i * p.n + j] = sum;
        }
    }
    return 0;
}
