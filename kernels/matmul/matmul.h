/*
 * matmul.h: the shape, the layout and the conventions every variant of matmul shares.
 *
 * c = a b with a [m][k], b [k][n], c [m][n]; all fp32, row-major, contiguous. c is overwritten,
 * what it held before has no influence. No algorithm belongs here.
 */
#ifndef MATMUL_H
#define MATMUL_H

#include <stdint.h>
#include <stdlib.h>

/* the order of the dimensions in a shape */
enum matmul_dim { MATMUL_M, MATMUL_N, MATMUL_K };

/* the order of the buffers */
enum matmul_buf { MATMUL_A, MATMUL_B, MATMUL_C };

/* one call, decoded */
struct matmul {
    int64_t m, n, k;
    const float *a, *b;
    float *c;
};

/* the entry point; its contract is that of candidate_fn in src/runner/candidate.h */
int candidate(const int64_t *dim, void *const *buf, int threads);

/* decodes a call; returns -1 if the study does not define the shape */
static inline int matmul_bind(struct matmul *p, const int64_t *dim, void *const *buf)
{
    *p = (struct matmul){
        .m = dim[MATMUL_M],
        .n = dim[MATMUL_N],
        .k = dim[MATMUL_K],
        .a = buf[MATMUL_A],
        .b = buf[MATMUL_B],
        .c = buf[MATMUL_C],
    };
    return p->m < 1 || p->n < 1 || p->k < 1 ? -1 : 0;
}

#endif
