/*
 * fused_simd.c: fused attention, vectorised over queries with register-blocked products.
 *
 * The algorithm is that of fused.c; simd_tile.h says how it is laid out over lanes.
 */
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
