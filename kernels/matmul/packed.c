/*
 * packed.c: matmul with packed blocks and a micro-kernel that keeps its tile of c in registers.
 *
 * gemm_tile.h says how; this file is one thread of it.
 */
#include "gemm_tile.h"

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct matmul p;
    struct gemm *g;

    (void)threads;
    if (matmul_bind(&p, dim, buf) < 0 || (g = aligned_alloc(64, sizeof *g)) == NULL)
        return 1;
    gemm_isa_pick().multiply(&(struct gemm_part){p.m, p.n, p.k, p.a, p.b, p.c, p.k, p.n, p.n}, g);
    free(g);
    return 0;
}
