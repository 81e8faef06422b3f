/*
 * blas.c: the baseline, OpenBLAS. It is never a candidate for the best variant.
 */
#include <limits.h>

#include <cblas.h>

#include "matmul.h"

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct matmul p;

    if (matmul_bind(&p, dim, buf) < 0 || p.m > INT_MAX || p.n > INT_MAX || p.k > INT_MAX)
        return 1;
    openblas_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)p.m, (int)p.n, (int)p.k, 1, p.a,
                (int)p.k, p.b, (int)p.n, 0, p.c, (int)p.n);
    return 0;
}
