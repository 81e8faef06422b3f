/*
 * fused_lazy.c: fused_simd.c with a maximum that is allowed to be stale.
 *
 * A score goes from the register it was summed in through exp2 to its weight, without the trip to
 * memory that waiting for the maximum of the whole tile takes. simd_tile.h has the rule.
 */
#ifndef LAZY_BITS
#define LAZY_BITS 8
#endif
#include "simd_tile.h"

/* the query heads that share one key head */
static void group_attend(const struct fmha *p, struct tile_isa isa, struct tile *t,
                         struct tile_at at, int64_t heads)
{
    for (int64_t h = at.h; h < at.h + heads; h++) {
        for (int64_t i = 0; i < p->sq; i += isa.lanes)
            isa.attend(p, (struct tile_at){at.b, h, i, at.k, at.v}, t);
    }
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct tile_isa isa = tile_isa_pick();
    int64_t heads, size;
    struct tile *t;
    struct fmha p;
    float *k;

    (void)threads;
    if (fmha_bind(&p, dim, buf) < 0)
        return 1;
    heads = p.hq / p.hkv;
    size = p.skv * p.d;
    t = aligned_alloc(64, sizeof *t);
    k = malloc(2 * (size_t)size * sizeof *k);
    for (int64_t g = 0; g < p.b * p.hkv && t && k; g++) {
        struct tile_at at = {g / p.hkv, g % p.hkv * heads, 0, k, k + size};

        for (int64_t j = 0; j < p.skv; j += BLOCK_N)
            tile_pack(&p, at.b, at.h, j, isa.rows, k, k + size);
        group_attend(&p, isa, t, at, heads);
    }
    free(k);
    free(t);
    return t == NULL || k == NULL;
}
