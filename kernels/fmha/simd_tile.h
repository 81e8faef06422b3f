/*
 * simd_tile.h: the vector core of the fused variants, written once and compiled once per
 * instruction set.
 *
 * Queries are lanes; keys and head elements are rows. A tile of S^T = K Q^T is [key][lane], so the
 * running maximum and sum of a query live in one lane and no step ever crosses lanes. K and V are
 * copied once a head into the order in which they are broadcast. Lanes past the last query hold
 * zeros and are never stored; rows past the last key or head element do not exist.
 *
 * The packed order is a bijection. Keys: groups of `rows` keys, [group][element][row], then the
 * keys left over one by one, [key][element]. Values: tiles of BLOCK_N keys (the last one shorter),
 * in each groups of `rows` elements, [group][key][row], then the elements left over one by one,
 * [element][key].
 *
 * With LAZY_BITS the maximum is allowed to be stale: weights are taken from the scores while these
 * are in registers, under the maximum so far, and only a score more than LAZY_BITS above it (a
 * weight over 2^LAZY_BITS) makes the lane take a new maximum and everything summed so far shrink.
 *
 * The file includes itself: the first pass defines the types and then makes the second pass once
 * for each instruction set, with TILE_* naming it. Prohibited here: threads, allocation, statics.
 *
 * exp2 is a degree-5 polynomial after round-to-nearest reduction: relative error below 2e-7
 * (measured against fp64 over every float in [-126, 0]), exactly 1 at 0, exactly 0 below -126, NaN
 * for NaN.
 */
#ifndef TILE_W

#ifndef FMHA_SIMD_TILE_H
#define FMHA_SIMD_TILE_H

#include <float.h>
#include <string.h>

#include "fmha.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* keys in a tile */
#ifndef BLOCK_N
#define BLOCK_N 64
#endif
/* vectors of queries in a tile */
#ifndef LANE_VECS
#define LANE_VECS 3
#endif
#if BLOCK_N < 8 || BLOCK_N > 512 || BLOCK_N % 8 != 0
#error "simd_tile: BLOCK_N is a multiple of 8 in 8..512"
#endif
#if defined(LAZY_BITS) && (LAZY_BITS < 0 || LAZY_BITS > 64)
#error "simd_tile: LAZY_BITS is 0..64, so that no weight and no sum of weights overflows"
#endif
#if LANE_VECS < 1 || LANE_VECS > 4
#error "simd_tile: LANE_VECS is 1..4"
#endif

enum { TILE_LANES_MAX = 16 * LANE_VECS };

/* which queries a tile holds, and the packed keys and values of their head */
struct tile_at {
    int64_t b, h, i;
    const float *k, *v;
};

/* scratch of one thread; [row][lane] arrays use the lane count of the tile as their pitch */
struct tile {
    float q[FMHA_D_MAX * TILE_LANES_MAX];
    float o[FMHA_D_MAX * TILE_LANES_MAX];
    float s[BLOCK_N * TILE_LANES_MAX];
    float max[TILE_LANES_MAX];
    float sum[TILE_LANES_MAX];
    float grow[TILE_LANES_MAX];
} __attribute__((aligned(64)));

/* an instruction set: queries a tile, rows a packed group, and the function that attends */
struct tile_isa {
    int lanes, rows;
    void (*attend)(const struct fmha *p, struct tile_at at, struct tile *t);
};

/* S^T is exp2'ed, so the scale of the scores carries log2(e) */
static inline float tile_scale(const struct fmha *p)
{
    return (float)(FMHA_LOG2E / sqrt((double)p->d));
}

/* keys a packed tile holds that starts at key j0 */
static inline int tile_keys(const struct fmha *p, int64_t j0)
{
    return p->skv - j0 < BLOCK_N ? (int)(p->skv - j0) : BLOCK_N;
}

/* dst[t][r] = src[r * row_pitch + t * pitch]: rows side by side */
static inline void tile_interleave(float *dst, const float *src, int64_t row_pitch, int64_t pitch,
                                   int64_t n, int rows)
{
    for (int64_t t = 0; t < n; t++) {
        for (int r = 0; r < rows; r++)
            dst[t * rows + r] = src[r * row_pitch + t * pitch];
    }
}

/* packs the tile of keys and values that starts at j0; k and v hold one head of skv * d each */
static inline void tile_pack(const struct fmha *p, int64_t b, int64_t h, int64_t j0, int rows,
                             float *k, float *v)
{
    int64_t at = fmha_at_kv(p, b, j0, h), pitch = p->hkv * p->d, d = p->d;
    int n = tile_keys(p, j0), j = 0;
    int64_t c = 0;

    for (; j + rows <= n; j += rows)
        tile_interleave(k + (j0 + j) * d, p->k + at + j * pitch, pitch, 1, d, rows);
    for (; j < n; j++)
        tile_interleave(k + (j0 + j) * d, p->k + at + j * pitch, pitch, 1, d, 1);
    for (; c + rows <= d; c += rows)
        tile_interleave(v + j0 * d + c * n, p->v + at + c, 1, pitch, n, rows);
    for (; c < d; c++)
        tile_interleave(v + j0 * d + c * n, p->v + at + c, 1, pitch, n, 1);
}

/* Q^T, scaled, into t->q; lanes [n, lanes) are zero */
static inline void tile_load(const struct fmha *p, struct tile_at at, int n, int lanes,
                             struct tile *t)
{
    float scale = tile_scale(p);

    for (int64_t c = 0; c < p->d; c++) {
        for (int x = n; x < lanes; x++)
            t->q[c * lanes + x] = 0;
    }
    for (int x = 0; x < n; x++) {
        const float *q = p->q + fmha_at_q(p, at.b, at.i + x, at.h);

        for (int64_t c = 0; c < p->d; c++)
            t->q[c * lanes + x] = q[c] * scale;
    }
}

/* O and lse of the first n lanes; a lane that saw no key has sum 0 */
static inline void tile_store(const struct fmha *p, struct tile_at at, int n, int lanes,
                              const struct tile *t)
{
    for (int x = 0; x < n; x++) {
        float *o = p->o + fmha_at_q(p, at.b, at.i + x, at.h);
        float sum = t->sum[x], inverse = sum == 0 ? 0 : 1 / sum;

        for (int64_t c = 0; c < p->d; c++)
            o[c] = t->o[c * lanes + x] * inverse;
        p->lse[fmha_at_lse(p, at.b, at.h, at.i + x)] =
            sum == 0 ? -INFINITY : (float)(t->max[x] * FMHA_LN2 + log((double)sum));
    }
}

#define TILE_CAT_(a, b) a##_##b
#define TILE_CAT(a, b) TILE_CAT_(a, b)
#define TILE_FN(name) TILE_CAT(name, TILE_ISA)
#if defined(__clang__)
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TILE_UNROLL _Pragma("GCC unroll 16")
#endif
#define TILE_INLINE static inline __attribute__((always_inline)) TILE_TARGET

#if defined(__x86_64__)
#define TILE_ISA avx512
#define TILE_W 16
#define TILE_ROWS 8
#define TILE_TARGET __attribute__((target("avx512f,avx2,fma")))
#include "simd_tile.h"
#define TILE_ISA avx2
#define TILE_W 8
#define TILE_ROWS 4
#define TILE_TARGET __attribute__((target("avx2,fma")))
#include "simd_tile.h"
#define TILE_ROWS_BASE 4
#else
#define TILE_ROWS_BASE 8
#endif
#define TILE_ROWS TILE_ROWS_BASE
#define TILE_ISA base
#define TILE_W 4
#define TILE_TARGET
#include "simd_tile.h"

/* the widest instruction set this machine has */
static inline struct tile_isa tile_isa_pick(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return (struct tile_isa){16 * LANE_VECS, 8, tile_attend_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct tile_isa){8 * LANE_VECS, 4, tile_attend_avx2};
#endif
    return (struct tile_isa){4 * LANE_VECS, TILE_ROWS_BASE, tile_attend_base};
}

#endif /* FMHA_SIMD_TILE_H */

#else /* TILE_W: one instruction set */

#define VF TILE_FN(vf)
#define VI TILE_FN(vi)
typedef float VF __attribute__((vector_size(TILE_W * 4), may_alias));
typedef int32_t VI __attribute__((vector_size(TILE_W * 4), may_alias));

#if TILE_W == 16
#define V_ALL(x) ((VF)_mm512_set1_ps(x))
#define V_MAX(a, b) ((VF)_mm512_max_ps((__m512)(a), (__m512)(b)))
#elif TILE_W == 8
#define V_ALL(x) ((VF)_mm256_set1_ps(x))
#define V_MAX(a, b) ((VF)_mm256_max_ps((__m256)(a), (__m256)(b)))
#elif defined(__x86_64__)
#define V_ALL(x) ((VF)_mm_set1_ps(x))
#define V_MAX(a, b) ((VF)_mm_max_ps((__m128)(a), (__m128)(b)))
#elif defined(__aarch64__)
#define V_ALL(x) ((VF)vdupq_n_f32(x))
#define V_MAX(a, b) ((VF)vmaxnmq_f32((float32x4_t)(a), (float32x4_t)(b)))
#else
#define V_ALL(x) ((VF){(x), (x), (x), (x)})
#define V_MAX(a, b) V_PICK((a) > (b), a, b)
#endif
#define V_PICK(mask, a, b) ((VF)(((VI)(mask) & (VI)(a)) | (~(VI)(mask) & (VI)(b))))
#define V_AT(p) (*(VF *)(p))

/* 2^x for x <= 64 */
TILE_INLINE VF TILE_FN(tile_exp2)(VF x)
{
#if TILE_W == 16
    __m512 n = _mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    VF f = x - (VF)n;
#else
    VF shifted = x + 12582912.0f;
    VF f = x - (shifted - 12582912.0f);
#endif
    VF y = f * 1.326472731e-3f + 9.671512991e-3f;

    y = y * f + 5.550733581e-2f;
    y = y * f + 2.402224243e-1f;
    y = y * f + 6.931470037e-1f;
    y = y * f + 1.0f;
#if TILE_W == 16
    __mmask16 normal = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);

    return (VF)_mm512_maskz_scalef_ps(normal, (__m512)y, n);
#else
    return (VF)(((VI)y + ((VI)shifted << 23)) & ~(VI)(x < -126.0f));
#endif
}

/* acc[r] += k[r] . q for a group of keys */
TILE_INLINE void TILE_FN(tile_product)(VF (*acc)[LANE_VECS], const float *k, const float *q,
                                       int64_t d, int rows, int nv)
{
    for (int64_t c = 0; c < d; c++) {
        VF x[LANE_VECS];

        TILE_UNROLL
        for (int v = 0; v < nv; v++)
            x[v] = V_AT(q + (c * nv + v) * TILE_W);
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            VF y = V_ALL(k[c * rows + r]);

            TILE_UNROLL
            for (int v = 0; v < nv; v++)
                acc[r][v] += y * x[v];
        }
    }
}

/* scores that lane x does not see become -inf: it sees row r if and only if r <= last + x */
TILE_INLINE void TILE_FN(tile_hide)(VF (*acc)[LANE_VECS], int64_t last, int v, int rows)
{
    VI lane;

    for (int x = 0; x < TILE_W; x++)
        lane[x] = v * TILE_W + x;
    TILE_UNROLL
    for (int r = 0; r < rows; r++)
        acc[r][v] = V_PICK(lane >= (int32_t)(r - last), acc[r][v], V_ALL(-INFINITY));
}

/* rows of O^T: o[r] = o[r] * shrink + sum over n keys of v[j][r] * s[j] */
TILE_INLINE void TILE_FN(tile_pv_rows)(const float *val, const float *s, int n, float *o,
                                       const float *shrink, int rows, int nv)
{
    VF acc[TILE_ROWS][LANE_VECS];

    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < nv; v++)
            acc[r][v] = V_AT(o + (r * nv + v) * TILE_W) * V_AT(shrink + v * TILE_W);
    }
    for (int j = 0; j < n; j++) {
        VF x[LANE_VECS];

        TILE_UNROLL
        for (int v = 0; v < nv; v++)
            x[v] = V_AT(s + (j * nv + v) * TILE_W);
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            VF y = V_ALL(val[j * rows + r]);

            TILE_UNROLL
            for (int v = 0; v < nv; v++)
                acc[r][v] += y * x[v];
        }
    }
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < nv; v++)
            V_AT(o + (r * nv + v) * TILE_W) = acc[r][v];
    }
}

/* merges the weights of the first n of a tile's keys into O */
TILE_INLINE void TILE_FN(tile_pv)(const float *v, int keys, int64_t d, int n, struct tile *t,
                                  int nv)
{
    int64_t lanes = nv * TILE_W, c = 0;

    for (; c + TILE_ROWS <= d; c += TILE_ROWS)
        TILE_FN(tile_pv_rows)(v + c * keys, t->s, n, t->o + c * lanes, t->grow, TILE_ROWS, nv);
    for (; c < d; c++)
        TILE_FN(tile_pv_rows)(v + c * keys, t->s, n, t->o + c * lanes, t->grow, 1, nv);
}

#ifndef LAZY_BITS

/* rows of S^T for a group of keys; max grows with them; lanes see rows as in tile_hide */
TILE_INLINE void TILE_FN(tile_qk_rows)(const float *k, const float *q, int64_t d, int64_t last,
                                       float *s, float *max, int rows, int nv)
{
    VF acc[TILE_ROWS][LANE_VECS] = {0};
    int masked = last < rows - 1;

    TILE_FN(tile_product)(acc, k, q, d, rows, nv);
    TILE_UNROLL
    for (int v = 0; v < nv; v++) {
        VF m = V_AT(max + v * TILE_W);

        if (masked)
            TILE_FN(tile_hide)(acc, last, v, rows);
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            m = V_MAX(acc[r][v], m);
            V_AT(s + (r * nv + v) * TILE_W) = acc[r][v];
        }
        V_AT(max + v * TILE_W) = m;
    }
}

/* the scores of n keys, lane x seeing key j if and only if j <= last + x; grow becomes the maximum
 */
TILE_INLINE void TILE_FN(tile_qk)(const float *k, int64_t d, int n, int64_t last, struct tile *t,
                                  int nv)
{
    int64_t lanes = nv * TILE_W;
    int j = 0;

    memcpy(t->grow, t->max, sizeof t->grow);
    for (; j + TILE_ROWS <= n; j += TILE_ROWS)
        TILE_FN(tile_qk_rows)
    (k + j * d, t->q, d, last - j, t->s + j * lanes, t->grow, TILE_ROWS, nv);
    for (; j < n; j++)
        TILE_FN(tile_qk_rows)(k + j * d, t->q, d, last - j, t->s + j * lanes, t->grow, 1, nv);
}

/* the scores of n keys to weights under the new maximum; grow becomes the factor for the old */
TILE_INLINE void TILE_FN(tile_softmax)(int n, struct tile *t, int nv)
{
    VF max[LANE_VECS], sum[LANE_VECS];

    TILE_UNROLL
    for (int v = 0; v < nv; v++) {
        VF shrink;

        max[v] = V_AT(t->grow + v * TILE_W);
        shrink = TILE_FN(tile_exp2)(V_AT(t->max + v * TILE_W) - max[v]);
        sum[v] = V_AT(t->sum + v * TILE_W) * shrink;
        V_AT(t->max + v * TILE_W) = max[v];
        V_AT(t->grow + v * TILE_W) = shrink;
    }
    for (int j = 0; j < n; j++) {
        TILE_UNROLL
        for (int v = 0; v < nv; v++) {
            float *s = t->s + (j * nv + v) * TILE_W;
            VF e = TILE_FN(tile_exp2)(V_AT(s) - max[v]);

            V_AT(s) = e;
            sum[v] += e;
        }
    }
    TILE_UNROLL
    for (int v = 0; v < nv; v++)
        V_AT(t->sum + v * TILE_W) = sum[v];
}

#else

/* the lanes of vector v take maximum m; what was summed before, j rows of s among it, shrinks */
TILE_TARGET static __attribute__((noinline)) void TILE_FN(tile_lift)(struct tile *t, int64_t d,
                                                                     int j, int v, int nv)
{
    VF old = V_AT(t->max + v * TILE_W), max = V_MAX(old, V_AT(t->grow + v * TILE_W));
    VF shrink = TILE_FN(tile_exp2)(old - max);

    V_AT(t->max + v * TILE_W) = max;
    V_AT(t->sum + v * TILE_W) = V_AT(t->sum + v * TILE_W) * shrink;
    for (int64_t c = 0; c < d; c++)
        V_AT(t->o + (c * nv + v) * TILE_W) = V_AT(t->o + (c * nv + v) * TILE_W) * shrink;
    for (int r = 0; r < j; r++)
        V_AT(t->s + (r * nv + v) * TILE_W) = V_AT(t->s + (r * nv + v) * TILE_W) * shrink;
}

/* whether any lane of x is above that of y */
TILE_INLINE int TILE_FN(tile_above)(VF x, VF y)
{
#if TILE_W == 16
    return _mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_GT_OQ) != 0;
#elif TILE_W == 8
    return _mm256_movemask_ps((__m256)(x > y)) != 0;
#else
    VI above = x > y;

    return (above[0] | above[1] | above[2] | above[3]) != 0;
#endif
}

/* row j + r of weights for a group of keys; lane x sees row r if and only if r <= last + x */
TILE_INLINE void TILE_FN(tile_weigh_rows)(const float *k, int64_t d, int j, int64_t last,
                                          struct tile *t, int rows, int nv)
{
    VF acc[TILE_ROWS][LANE_VECS] = {0};
    int masked = last < rows - 1;

    TILE_FN(tile_product)(acc, k, t->q, d, rows, nv);
    TILE_UNROLL
    for (int v = 0; v < nv; v++) {
        VF top = V_ALL(-INFINITY), max, sum;

        if (masked)
            TILE_FN(tile_hide)(acc, last, v, rows);
        TILE_UNROLL
        for (int r = 0; r < rows; r++)
            top = V_MAX(acc[r][v], top);
        if (TILE_FN(tile_above)(top, V_AT(t->max + v * TILE_W) + (float)LAZY_BITS)) {
            V_AT(t->grow + v * TILE_W) = top;
            TILE_FN(tile_lift)(t, d, j, v, nv);
        }
        max = V_AT(t->max + v * TILE_W);
        sum = V_AT(t->sum + v * TILE_W);
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            VF e = TILE_FN(tile_exp2)(acc[r][v] - max);

            V_AT(t->s + ((j + r) * nv + v) * TILE_W) = e;
            sum += e;
        }
        V_AT(t->sum + v * TILE_W) = sum;
    }
}

/* the weights of n keys; grow becomes 1, the factor for what came before */
TILE_INLINE void TILE_FN(tile_weigh)(const float *k, int64_t d, int n, int64_t last, struct tile *t,
                                     int nv)
{
    int j = 0;

    for (; j + TILE_ROWS <= n; j += TILE_ROWS)
        TILE_FN(tile_weigh_rows)(k + j * d, d, j, last - j, t, TILE_ROWS, nv);
    for (; j < n; j++)
        TILE_FN(tile_weigh_rows)(k + j * d, d, j, last - j, t, 1, nv);
    for (int v = 0; v < nv; v++)
        V_AT(t->grow + v * TILE_W) = V_ALL(1.0f);
}

#endif

/* merges the tile of keys at j0, of which no query of the tile sees one from `end` on */
TILE_INLINE void TILE_FN(tile_merge)(const struct fmha *p, struct tile_at at, int64_t j0,
                                     int64_t end, struct tile *t, int nv)
{
    int64_t last = p->causal ? at.i + p->skv - p->sq - j0 : INT32_MAX;
    int keys = tile_keys(p, j0), n = keys;

    if (end - j0 < keys)
        n = (int)((end - j0 + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS);
    if (n > keys)
        n = keys;
#ifdef LAZY_BITS
    TILE_FN(tile_weigh)(at.k + j0 * p->d, p->d, n, last, t, nv);
#else
    TILE_FN(tile_qk)(at.k + j0 * p->d, p->d, n, last, t, nv);
    TILE_FN(tile_softmax)(n, t, nv);
#endif
    TILE_FN(tile_pv)(at.v + j0 * p->d, keys, p->d, n, t, nv);
}

/* the queries of one tile, at most nv vectors of them */
TILE_INLINE void TILE_FN(tile_run)(const struct fmha *p, struct tile_at at, struct tile *t, int nv)
{
    int lanes = nv * TILE_W;
    int n = p->sq - at.i < lanes ? (int)(p->sq - at.i) : lanes;
    int64_t end = fmha_visible(p, at.i + n - 1);

    tile_load(p, at, n, lanes, t);
    memset(t->o, 0, (size_t)p->d * (size_t)lanes * sizeof *t->o);
    for (int x = 0; x < lanes; x++) {
        t->max[x] = -FLT_MAX;
        t->sum[x] = 0;
    }
    for (int64_t j = 0; j < end; j += BLOCK_N)
        TILE_FN(tile_merge)(p, at, j, end, t, nv);
    tile_store(p, at, n, lanes, t);
}

/* as many vectors as the queries that are left need */
TILE_TARGET static void TILE_FN(tile_attend)(const struct fmha *p, struct tile_at at,
                                             struct tile *t)
{
    int64_t left = p->sq - at.i;

    if (left <= TILE_W)
        TILE_FN(tile_run)(p, at, t, 1);
#if LANE_VECS > 2
    else if (left <= 2 * TILE_W)
        TILE_FN(tile_run)(p, at, t, 2);
#endif
    else
        TILE_FN(tile_run)(p, at, t, LANE_VECS);
}

#undef VF
#undef VI
#undef V_MAX
#undef V_PICK
#undef V_AT
#undef V_ALL
#undef TILE_ISA
#undef TILE_W
#undef TILE_ROWS
#undef TILE_TARGET

#endif
