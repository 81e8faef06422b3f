/*
 * gemm_tile.h: the core of the packed variants, written once and compiled once per instruction set.
 *
 * A block of b, BLOCK_K x BLOCK_N, is copied into panels of GEMM_VECS vectors of columns,
 * [panel][k][column], the last one of as many vectors as it needs, filled up with zeros; a block of
 * a, BLOCK_M x BLOCK_K, is copied row by row at a pitch known when this is compiled, so that a
 * micro-kernel reaches each of its rows from one pointer. The micro-kernel holds GEMM_ROWS x
 * GEMM_VECS vectors of c in registers; a narrower panel takes more rows. There is one kernel for
 * every number of rows, so none is computed in vain; a panel whose last vector is not full goes to
 * c through a scratch tile.
 *
 * The file includes itself: the first pass defines the blocking and then makes the second pass once
 * for each instruction set, with GEMM_* naming it. Prohibited here: threads, allocation, statics.
 */
#ifndef GEMM_W

#ifndef MATMUL_GEMM_TILE_H
#define MATMUL_GEMM_TILE_H

#include <string.h>

#include "matmul.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef BLOCK_M
#define BLOCK_M 336
#endif
#ifndef BLOCK_N
#define BLOCK_N 1536
#endif
#ifndef BLOCK_K
#define BLOCK_K 512
#endif
#if BLOCK_M < 1 || BLOCK_M > 4096 || BLOCK_K < 1 || BLOCK_K > 4096
#error "gemm_tile: BLOCK_M and BLOCK_K are 1..4096"
#endif
#if BLOCK_N < 192 || BLOCK_N > 16384 || BLOCK_N % 192 != 0
#error "gemm_tile: BLOCK_N is a multiple of 192 in 192..16384"
#endif

/* floats from one row of packed a to the next: whole cache lines, and not a power of two */
enum { GEMM_PITCH = (BLOCK_K + 15) / 16 * 16 + 16 };

/* floats in a panel's last row at most: a panel of any instruction set has no more columns */
enum { GEMM_COLUMNS_MAX = 64, GEMM_ROWS_MAX = 16 };

/* scratch of one thread */
struct gemm {
    float a[BLOCK_M * GEMM_PITCH];
    float b[BLOCK_K * (BLOCK_N + GEMM_COLUMNS_MAX)];
    float edge[GEMM_ROWS_MAX * GEMM_COLUMNS_MAX];
} __attribute__((aligned(64)));

/* a part of a product: rows of a and c, columns of b and c, with the pitches of the whole */
struct gemm_part {
    int64_t m, n, k;
    const float *a, *b;
    float *c;
    int64_t a_pitch, b_pitch, c_pitch;
};

/* an instruction set: its name, tile, and the function that computes a part */
struct gemm_isa {
    int rows, columns;
    void (*multiply)(const struct gemm_part *p, struct gemm *g);
};

/* rows [0, m) of a, k elements each */
static inline void gemm_pack_a(const float *a, int64_t pitch, int64_t m, int64_t k, float *dst)
{
    for (int64_t i = 0; i < m; i++)
        memcpy(dst + i * GEMM_PITCH, a + i * pitch, (size_t)k * sizeof *a);
}

static inline int64_t gemm_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* n cut into as few steps of at most `limit` as can be, these as equal as multiples of unit can be
 */
static inline int64_t gemm_step(int64_t n, int64_t limit, int64_t unit)
{
    int64_t steps = (n + limit - 1) / limit, even = (n + steps - 1) / steps;

    return gemm_min(limit, (even + unit - 1) / unit * unit);
}

/* a tile of c from scratch: copied the first time, added later */
static inline void gemm_edge(float *c, int64_t pitch, const float *edge, int64_t columns, int64_t m,
                             int64_t n, int add)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            c[i * pitch + j] = edge[i * columns + j] + (add ? c[i * pitch + j] : 0);
    }
}

#define GEMM_CAT_(a, b) a##_##b
#define GEMM_CAT(a, b) GEMM_CAT_(a, b)
#define GEMM_FN(name) GEMM_CAT(name, GEMM_ISA)
#if defined(__clang__)
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__x86_64__)
#define GEMM_ISA avx512
#define GEMM_W 16
#ifdef TILE_ROWS
#define GEMM_ROWS TILE_ROWS
#else
#define GEMM_ROWS 6
#endif
#ifdef TILE_VECS
#define GEMM_VECS TILE_VECS
#else
#define GEMM_VECS 4
#endif
#define GEMM_TARGET __attribute__((target("avx512f,avx2,fma")))
#include "gemm_tile.h"
#define GEMM_ISA avx2
#define GEMM_W 8
#define GEMM_ROWS 6
#define GEMM_VECS 2
#define GEMM_TARGET __attribute__((target("avx2,fma")))
#include "gemm_tile.h"
#define GEMM_ROWS 4
#define GEMM_VECS 2
#else
#define GEMM_ROWS 8
#define GEMM_VECS 3
#endif
#define GEMM_ISA base
#define GEMM_W 4
#define GEMM_TARGET
#include "gemm_tile.h"

/* the widest instruction set this machine has */
static inline struct gemm_isa gemm_isa_pick(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return gemm_isa_avx512();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return gemm_isa_avx2();
#endif
    return gemm_isa_base();
}

#endif /* MATMUL_GEMM_TILE_H */

#else /* GEMM_W: one instruction set */

#if GEMM_ROWS < 1 || GEMM_ROWS > 16 || GEMM_VECS < 1 || GEMM_VECS * GEMM_W > 64
#error "gemm_tile: a register tile has 1..16 rows and at most 64 columns"
#endif
#if BLOCK_N % (GEMM_VECS * GEMM_W) != 0
#error "gemm_tile: BLOCK_N holds whole panels"
#endif

#define VF GEMM_FN(vf)
typedef float VF __attribute__((vector_size(GEMM_W * 4), aligned(4), may_alias));
#define V_AT(p) (*(VF *)(p))
#define V_LOAD(p) (*(const VF *)(p))
#if GEMM_W == 16
#define V_ALL(x) ((VF)_mm512_set1_ps(x))
#elif GEMM_W == 8
#define V_ALL(x) ((VF)_mm256_set1_ps(x))
#elif defined(__x86_64__)
#define V_ALL(x) ((VF)_mm_set1_ps(x))
#elif defined(__aarch64__)
#define V_ALL(x) ((VF)vdupq_n_f32(x))
#else
#define V_ALL(x) ((VF){(x), (x), (x), (x)})
#endif

/* c[r] (+)= sum over k of a[r][k] * b[k] for `rows` rows and one panel */
static inline __attribute__((always_inline)) GEMM_TARGET void
GEMM_FN(gemm_micro)(const float *a, const float *b, int64_t b_pitch, int64_t k, float *c,
                    int64_t c_pitch, int add, int rows, int vecs)
{
    VF acc[GEMM_ROWS_MAX][GEMM_VECS] = {0};

    GEMM_UNROLL
    for (int r = 0; r < rows; r++)
        __builtin_prefetch(c + r * c_pitch + vecs * GEMM_W - 1, 1);
    for (int64_t t = 0; t < k; t++, b += b_pitch) {
        VF x[GEMM_VECS];

        GEMM_UNROLL
        for (int v = 0; v < vecs; v++)
            x[v] = V_LOAD(b + v * GEMM_W);
        GEMM_UNROLL
        for (int r = 0; r < rows; r++) {
            VF y = V_ALL(a[r * GEMM_PITCH + t]);

            GEMM_UNROLL
            for (int v = 0; v < vecs; v++)
                acc[r][v] += y * x[v];
        }
    }
    GEMM_UNROLL
    for (int r = 0; r < rows; r++) {
        GEMM_UNROLL
        for (int v = 0; v < vecs; v++) {
            float *at = c + r * c_pitch + v * GEMM_W;

            V_AT(at) = add ? (VF)(V_LOAD(at) + acc[r][v]) : acc[r][v];
        }
    }
}

/* rows of a register tile: a panel of few vectors takes as many more as there are registers */
static inline int64_t GEMM_FN(gemm_height)(int64_t vecs)
{
    return gemm_min(GEMM_ROWS_MAX, GEMM_ROWS * GEMM_VECS / vecs);
}

/* the micro-kernel for m rows, 1 <= m <= gemm_height(vecs) */
static inline __attribute__((always_inline)) GEMM_TARGET void
GEMM_FN(gemm_rows)(const float *a, const float *b, int64_t b_pitch, int64_t k, float *c,
                   int64_t c_pitch, int add, int64_t m, int vecs)
{
#define GEMM_CASE(r)                                                                               \
    case r:                                                                                        \
        if (r <= GEMM_ROWS * GEMM_VECS / vecs)                                                     \
            GEMM_FN(gemm_micro)(a, b, b_pitch, k, c, c_pitch, add, r, vecs);                       \
        break
    switch (m) {
        GEMM_CASE(1);
        GEMM_CASE(2);
        GEMM_CASE(3);
        GEMM_CASE(4);
        GEMM_CASE(5);
        GEMM_CASE(6);
        GEMM_CASE(7);
        GEMM_CASE(8);
        GEMM_CASE(9);
        GEMM_CASE(10);
        GEMM_CASE(11);
        GEMM_CASE(12);
        GEMM_CASE(13);
        GEMM_CASE(14);
        GEMM_CASE(15);
        GEMM_CASE(16);
    }
#undef GEMM_CASE
}

/* the micro-kernel for m rows and a panel of 1 <= vecs <= GEMM_VECS vectors */
GEMM_TARGET static void GEMM_FN(gemm_tile)(const float *a, const float *b, int64_t b_pitch,
                                           int64_t k, float *c, int64_t c_pitch, int add, int64_t m,
                                           int64_t vecs)
{
    if (vecs == GEMM_VECS)
        GEMM_FN(gemm_rows)(a, b, b_pitch, k, c, c_pitch, add, m, GEMM_VECS);
#if GEMM_VECS > 3
    else if (vecs == 3)
        GEMM_FN(gemm_rows)(a, b, b_pitch, k, c, c_pitch, add, m, 3);
#endif
#if GEMM_VECS > 2
    else if (vecs == 2)
        GEMM_FN(gemm_rows)(a, b, b_pitch, k, c, c_pitch, add, m, 2);
#endif
    else
        GEMM_FN(gemm_rows)(a, b, b_pitch, k, c, c_pitch, add, m, 1);
}

/* m rows of packed a times one panel of n columns, into c */
static void GEMM_FN(gemm_panel)(struct gemm *g, const float *b, int64_t b_pitch, int64_t m,
                                int64_t n, int64_t k, float *c, int64_t c_pitch, int add)
{
    int64_t vecs = (n + GEMM_W - 1) / GEMM_W, columns = vecs * GEMM_W;
    int64_t height = GEMM_FN(gemm_height)(vecs);

    for (int64_t i = 0; i < m; i += height) {
        int64_t rows = gemm_min(height, m - i);
        const float *a = g->a + i * GEMM_PITCH;

        if (n == columns) {
            GEMM_FN(gemm_tile)(a, b, b_pitch, k, c + i * c_pitch, c_pitch, add, rows, vecs);
            continue;
        }
        GEMM_FN(gemm_tile)(a, b, b_pitch, k, g->edge, columns, 0, rows, vecs);
        gemm_edge(c + i * c_pitch, c_pitch, g->edge, columns, rows, n, add);
    }
}

/* one panel of b: k rows of n columns, filled up with zeros */
GEMM_TARGET static void GEMM_FN(gemm_pack_b)(const float *b, int64_t pitch, int64_t k, int64_t n,
                                             float *dst)
{
    enum { COLUMNS = GEMM_VECS * GEMM_W, AHEAD = 16 };
    int64_t columns = (n + GEMM_W - 1) / GEMM_W * GEMM_W;

    if (n < COLUMNS) {
        for (int64_t t = 0; t < k; t++, dst += columns) {
            memcpy(dst, b + t * pitch, (size_t)n * sizeof *b);
            memset(dst + n, 0, (size_t)(columns - n) * sizeof *b);
        }
        return;
    }
    for (int64_t t = 0; t < k; t++, b += pitch, dst += COLUMNS) {
        const float *ahead = t + AHEAD < k ? b + AHEAD * pitch : b;

        GEMM_UNROLL
        for (int v = 0; v < GEMM_VECS; v++) {
            __builtin_prefetch(ahead + v * GEMM_W);
            V_AT(dst + v * GEMM_W) = V_LOAD(b + v * GEMM_W);
        }
    }
}

/*
 * c (+)= m rows of a, packed, times k rows and n columns of b at (t, j0). The first rows of c to
 * come by pack the panel they are about to use; GEMM_DIRECT leaves whole panels where they are.
 */
static void GEMM_FN(gemm_block)(const struct gemm_part *p, struct gemm *g, int64_t i, int64_t m,
                                int64_t j0, int64_t n, int64_t t, int64_t k)
{
    enum { COLUMNS = GEMM_VECS * GEMM_W };

    for (int64_t j = 0; j < n; j += COLUMNS) {
        const float *at = p->b + t * p->b_pitch + j0 + j, *b = g->b + j * k;
        int64_t left = gemm_min(COLUMNS, n - j);
        int64_t b_pitch = (left + GEMM_W - 1) / GEMM_W * GEMM_W;

#ifdef GEMM_DIRECT
        if (left == COLUMNS) {
            b = at;
            b_pitch = p->b_pitch;
        }
#endif
        if (i == 0 && b != at)
            GEMM_FN(gemm_pack_b)(at, p->b_pitch, k, left, g->b + j * k);
        GEMM_FN(gemm_panel)
        (g, b, b_pitch, m, left, k, p->c + i * p->c_pitch + j0 + j, p->c_pitch, t > 0);
    }
}

static void GEMM_FN(gemm_multiply)(const struct gemm_part *p, struct gemm *g)
{
    int64_t m_step = gemm_step(p->m, BLOCK_M, GEMM_ROWS), k_step = gemm_step(p->k, BLOCK_K, 1);

    for (int64_t j = 0; j < p->n; j += BLOCK_N) {
        int64_t n = gemm_min(BLOCK_N, p->n - j);

        for (int64_t t = 0; t < p->k; t += k_step) {
            int64_t k = gemm_min(k_step, p->k - t);

            for (int64_t i = 0; i < p->m; i += m_step) {
                int64_t m = gemm_min(m_step, p->m - i);

                gemm_pack_a(p->a + i * p->a_pitch + t, p->a_pitch, m, k, g->a);
                GEMM_FN(gemm_block)(p, g, i, m, j, n, t, k);
            }
        }
    }
}

static inline struct gemm_isa GEMM_FN(gemm_isa)(void)
{
    return (struct gemm_isa){GEMM_ROWS, GEMM_VECS * GEMM_W, GEMM_FN(gemm_multiply)};
}

#undef VF
#undef V_AT
#undef V_LOAD
#undef V_ALL
#undef GEMM_ISA
#undef GEMM_W
#undef GEMM_ROWS
#undef GEMM_VECS
#undef GEMM_TARGET

#endif
