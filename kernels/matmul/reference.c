/*
 * reference.c: matmul in fp64, as the definition says it. Everything else is judged by it.
 *
 * The products of two fp32 numbers are exact in fp64, so what is left is the rounding of the sum.
 */
#include <math.h>
#include <string.h>

#include "matmul.h"

#if defined(__x86_64__) && defined(__linux__)
#define REFERENCE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define REFERENCE_CLONES
#endif

/*
 * An operation that is left out on purpose: compiled so, this file is a wrong candidate, and the
 * study is worth something only if its check says so.
 */
enum without { NOTHING, LAST_TERM, LAST_COLUMN, SUM, ORDER };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif

int reference64(const int64_t *dim, void *const *buf);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale);

/* one row of c: the row of a, [k], times b, [k][n] */
REFERENCE_CLONES
static void row_product(double *restrict c, const float *a, const float *restrict b, int64_t k,
                        int64_t n)
{
    memset(c, 0, (size_t)n * sizeof *c);
    for (int64_t t = 0; t < k - (WITHOUT == LAST_TERM); t++) {
        for (int64_t j = 0; j < n - (WITHOUT == LAST_COLUMN); j++)
            c[j] = (WITHOUT == SUM ? 0 : c[j]) +
                   (double)a[t] * b[WITHOUT == ORDER ? j * k + t : t * n + j];
    }
}

int reference64(const int64_t *dim, void *const *buf)
{
    struct matmul p;
    double *c = buf[MATMUL_C];

    if (matmul_bind(&p, dim, buf) < 0)
        return 1;
    for (int64_t i = 0; i < p.m; i++)
        row_product(c + i * p.n, p.a + i * p.k, p.b, p.k, p.n);
    return 0;
}

int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale)
{
    struct matmul p;
    const float *a, *b;

    if (matmul_bind(&p, dim, buf) < 0 || output != 0 || index < 0 || index >= p.m * p.n)
        return 1;
    a = p.a + index / p.n * p.k;
    b = p.b + index % p.n;
    *value = *scale = 0;
    for (int64_t t = 0; t < p.k; t++) {
        double product = (double)a[t] * b[t * p.n];

        *value += product;
        *scale += fabs(product);
    }
    return 0;
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct matmul p;
    double *row;

    (void)threads;
    if (matmul_bind(&p, dim, buf) < 0)
        return 1;
    row = malloc((size_t)p.n * sizeof *row);
    if (row == NULL)
        return 1;
    for (int64_t i = 0; i < p.m; i++) {
        row_product(row, p.a + i * p.k, p.b, p.k, p.n);
        for (int64_t j = 0; j < p.n; j++)
            p.c[i * p.n + j] = (float)row[j];
    }
    free(row);
    return 0;
}
