/* overlapped.cu: attention forward on two-byte floats with fp32 state: O = softmax(Q K' / sqrt(D))
 * V and LSE.
 *
 * Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D], LSE [B, Hq, Sq]. One block a multiprocessor
 * deals itself tiles of BLOCK_M queries of one head. A producer warp streams tiles of K and V
 * through a ring by bulk tensor copies. Each consumer warpgroup owns 64 rows: it issues the next
 * tile's scores before the last tile's product with V, and takes the softmax while that product
 * runs. With PINGPONG two consumers take turns, so that one's exponentials hide under the other's
 * products. Without OVERLAP a consumer waits for each of its products, and only the others cover
 * its softmax: it then holds one tile of scores and no second one of weights, which leaves
 * registers for more consumers. Weights stay in registers as the left operand.
 *
 * Freedoms: BLOCK_N, STAGES, CONSUMERS, PINGPONG, QUERY_BUFFERS; design choices: OVERLAP, LAZY
 * (rescale only when the maximum has grown by more than eight in log2 units; exact after the final
 * division), POLYNOMIAL (so many of eight exponentials on the multiply-add units). */
#include "../device/element.cuh"
#include "../device/hopper.cuh"
#include "../device/wgmma.cuh"

#ifndef D
#define D 128
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef BLOCK_N
#define BLOCK_N 128
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#ifndef PINGPONG
#define PINGPONG 1
#endif
#ifndef QUERY_BUFFERS
#define QUERY_BUFFERS 2
#endif
#ifndef LAZY
#define LAZY 0
#endif
#ifndef POLYNOMIAL
#define POLYNOMIAL 0
#endif
#ifndef OVERLAP
#define OVERLAP 1
#endif
#define BLOCK_M (64 * CONSUMERS)
#define THREADS ((CONSUMERS + 1) * WARPGROUP)
#define HALVES (D / SWIZZLE_COLUMNS)
#define NEG_INF (-__int_as_float(0x7f800000))

static_assert(D % 64 == 0 && D <= 256, "heads are whole swizzle rows wide");
static_assert(!PINGPONG || (CONSUMERS == 2 && OVERLAP), "two take turns");
static_assert(CONSUMERS >= 2 && CONSUMERS <= 4, "registers are shared out for so many");
static_assert(QUERY_BUFFERS == 1 || QUERY_BUFFERS == 2, "a finished tile frees the other buffer");

struct alignas(1024) stage_memory {
    element q[QUERY_BUFFERS][HALVES][BLOCK_M * 64];
    element k[STAGES][HALVES][BLOCK_N * 64];
    element v[STAGES][HALVES][BLOCK_N * 64];
    uint64_t q_full[QUERY_BUFFERS], q_empty[QUERY_BUFFERS], k_full[STAGES], k_empty[STAGES],
        v_full[STAGES], v_empty[STAGES];
};

struct Params {
    int batch, heads_q, heads_kv, len_q, len_kv;
    float scale_log2, scale;
    float *lse;
    int group; /* heads whose tiles are dealt together, longest rows first */
};

template <int n> struct scores;
#define SCORE_WIDTH(n)                                                                             \
    template <> struct scores<n> {                                                                 \
        static __device__ __forceinline__ void issue(float (&d)[n / 2], uint64_t a, uint64_t b,    \
                                                     bool accumulate)                              \
        {                                                                                          \
            product_m64n##n<1>(d, a, b, accumulate);                                               \
        }                                                                                          \
    }
SCORE_WIDTH(64);
SCORE_WIDTH(80);
SCORE_WIDTH(96);
SCORE_WIDTH(112);
SCORE_WIDTH(128);
SCORE_WIDTH(144);
SCORE_WIDTH(160);
SCORE_WIDTH(176);
SCORE_WIDTH(192);

/* V lies across K: its rows are keys. */
template <int n> struct weighted;
#define VALUE_WIDTH(n)                                                                             \
    template <> struct weighted<n> {                                                               \
        static __device__ __forceinline__ void issue(float (&d)[n / 2], const uint32_t *a,         \
                                                     uint64_t b, bool accumulate)                  \
        {                                                                                          \
            product_m64n##n<0>(d, a, b, accumulate);                                               \
        }                                                                                          \
    }
VALUE_WIDTH(64);
VALUE_WIDTH(128);
VALUE_WIDTH(256);

__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
/* 2^x for x <= 8 on the multiply-add units: Cody-Waite with the cubic on [-1/2, 1/2] whose largest
 * relative error is smallest, 7.5e-5; Taylor's, at 7.9e-4, is told by the logarithm of the sums.
 * Below the normal range the answer is 0, as exp2_fast's is: a masked key, x = -inf, has no weight
 * at all. */
__device__ __forceinline__ float exp2_polynomial(float x)
{
    float r = x + 12582912.0f;
    float f = x - (r - 12582912.0f);
    float p = fmaf(fmaf(fmaf(0.055171669f, f, 0.242611122f), f, 0.693260985f), f, 0.999928074f);
    float y = __int_as_float(__float_as_int(p) + (__float_as_int(r) << 23));
    return x >= -126.0f ? y : 0.0f;
}

struct Tile {
    int m, head, batch, first, count;
};
__device__ __forceinline__ Tile tile_at(int index, const Params &p, int tiles_m)
{
    Tile t;
    int pairs = p.batch * p.heads_q;
    int which;
    if (CAUSAL) {
        int group = index / (p.group * tiles_m), in = index - group * p.group * tiles_m;
        int width = min(p.group, pairs - group * p.group);
        t.m = tiles_m - 1 - in / width; /* longest rows first */
        which = group * p.group + in % width;
    } else {
        t.m = index % tiles_m;
        which = index / tiles_m;
    }
    t.head = which % p.heads_q;
    t.batch = which / p.heads_q;
    int columns = p.len_kv;
    if (CAUSAL)
        columns = min(columns, (t.m + 1) * BLOCK_M + p.len_kv - p.len_q);
    t.count = columns <= 0 ? 0 : (columns + BLOCK_N - 1) / BLOCK_N;
    return t;
}
/* The i-th tile of this CTA: there and back again, so that long and short rows even out. */
__device__ __forceinline__ int tile_index(int round)
{
    int x = blockIdx.x, n = gridDim.x;
    return round * n + ((CAUSAL && (round & 1)) ? n - 1 - x : x);
}

extern "C" __global__ __launch_bounds__(THREADS,
                                        1) void fmha(const __grid_constant__ CUtensorMap tq,
                                                     const __grid_constant__ CUtensorMap tk,
                                                     const __grid_constant__ CUtensorMap tv,
                                                     const __grid_constant__ CUtensorMap to,
                                                     const __grid_constant__ Params p)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    stage_memory &s = *(stage_memory *)raw;
    int group = threadIdx.x / WARPGROUP, lane = threadIdx.x % WARPGROUP;
    if (threadIdx.x == 0) {
        for (int i = 0; i < QUERY_BUFFERS; i++) {
            barrier_init(&s.q_full[i], 1);
            barrier_init(&s.q_empty[i], CONSUMERS);
        }
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&s.k_full[i], 1);
            barrier_init(&s.v_full[i], 1);
            barrier_init(&s.k_empty[i], CONSUMERS);
            barrier_init(&s.v_empty[i], CONSUMERS);
        }
        barrier_init_fence();
    }
    __syncthreads();
    int tiles_m = (p.len_q + BLOCK_M - 1) / BLOCK_M;
    int tiles = tiles_m * p.batch * p.heads_q;

    if (group == 0) {
        registers_release<CONSUMERS == 3 ? 32 : 24>();
        if (threadIdx.x == 0) {
            int stage = 0, qb = 0;
            uint32_t phase = 1, q_phase = 1;
            for (int round = 0;; round++) {
                int index = tile_index(round);
                if (round * (int)gridDim.x >= tiles)
                    break;
                if (index >= tiles)
                    continue;
                Tile t = tile_at(index, p, tiles_m);
                int head_kv = t.head / (p.heads_q / p.heads_kv);
                barrier_wait(&s.q_empty[qb], q_phase);
                barrier_expect(&s.q_full[qb], BLOCK_M * D * 2);
                for (int h = 0; h < HALVES; h++)
                    copy_load(s.q[qb][h], &tq, &s.q_full[qb], h * 64, t.head, t.m * BLOCK_M,
                              t.batch);
                if (++qb == QUERY_BUFFERS) {
                    qb = 0;
                    q_phase ^= 1;
                }
                for (int j = t.count - 1; j >= 0; j--) {
                    barrier_wait(&s.k_empty[stage], phase);
                    barrier_expect(&s.k_full[stage], BLOCK_N * D * 2);
                    for (int h = 0; h < HALVES; h++)
                        copy_load(s.k[stage][h], &tk, &s.k_full[stage], h * 64, head_kv,
                                  j * BLOCK_N, t.batch);
                    barrier_wait(&s.v_empty[stage], phase);
                    barrier_expect(&s.v_full[stage], BLOCK_N * D * 2);
                    for (int h = 0; h < HALVES; h++)
                        copy_load(s.v[stage][h], &tv, &s.v_full[stage], h * 64, head_kv,
                                  j * BLOCK_N, t.batch);
                    if (++stage == STAGES) {
                        stage = 0;
                        phase ^= 1;
                    }
                }
            }
        }
        return;
    }
    registers_take<CONSUMERS == 2 ? 240 : CONSUMERS == 3 ? 160 : 112>();
    int me = group - 1;
    int k_stage = 0, v_stage = 0, qb = 0;
    uint32_t k_phase = 0, v_phase = 0, q_phase = 0;
    int warp = lane / 32, l = lane % 32;
    bool stored = false;
    if (PINGPONG && me == 0)
        named_arrive(2, 256); /* the first turn is consumer 0's: it waits on barrier 2 */
    for (int round = 0;; round++) {
        int index = tile_index(round);
        if (round * (int)gridDim.x >= tiles)
            break;
        if (index >= tiles)
            continue;
        Tile t = tile_at(index, p, tiles_m);
        float O[D / 2], S[BLOCK_N / 2];
        uint32_t P[BLOCK_N / 4];
        float m[2] = {NEG_INF, NEG_INF}, sum[2] = {0, 0};
        int row0 = t.m * BLOCK_M + me * 64 + warp * 16 + l / 4;
#pragma unroll
        for (int i = 0; i < D / 2; i++)
            O[i] = 0;
        barrier_wait(&s.q_full[qb], q_phase);

        auto issue_qk = [&]() {
            product_fence();
#pragma unroll
            for (int kk = 0; kk < D / 16; kk++)
                scores<BLOCK_N>::issue(
                    S, product_operand(&s.q[qb][kk / 4][me * 64 * 64 + (kk % 4) * 16]),
                    product_operand(&s.k[k_stage][kk / 4][(kk % 4) * 16]), kk > 0);
            product_commit();
        };
        auto issue_pv = [&]() {
            product_fence();
#pragma unroll
            for (int kk = 0; kk < BLOCK_N / 16; kk++)
                weighted<D>::issue(O, &P[kk * 4],
                                   product_operand(&s.v[v_stage][0][kk * 16 * 64], BLOCK_N * 128),
                                   true);
            product_commit();
        };
        auto release_k = [&]() {
            if (lane == 0)
                barrier_arrive(&s.k_empty[k_stage]);
            if (++k_stage == STAGES) {
                k_stage = 0;
                k_phase ^= 1;
            }
        };
        auto release_v = [&]() {
            if (lane == 0)
                barrier_arrive(&s.v_empty[v_stage]);
            if (++v_stage == STAGES) {
                v_stage = 0;
                v_phase ^= 1;
            }
        };
        auto mask = [&](int j) {
            int col0 = j * BLOCK_N + (l % 4) * 2;
            bool ragged = (j + 1) * BLOCK_N > p.len_kv;
            bool diagonal =
                CAUSAL && (j + 1) * BLOCK_N - 1 > t.m * BLOCK_M + me * 64 + p.len_kv - p.len_q;
            if (!ragged && !diagonal)
                return;
#pragma unroll
            for (int i = 0; i < BLOCK_N / 2; i++) {
                int col = col0 + (i / 4) * 8 + (i & 1), row = row0 + ((i >> 1) & 1) * 8;
                bool seen = col < p.len_kv && (!CAUSAL || col <= row + p.len_kv - p.len_q);
                S[i] = seen ? S[i] : NEG_INF;
            }
        };
        float alpha[2];
        auto softmax = [&]() {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float top = m[r];
                float a = S[2 * r], b = S[2 * r + 1];
#pragma unroll
                for (int i = 1; i < BLOCK_N / 8; i++) {
                    a = fmaxf(a, S[4 * i + 2 * r]);
                    b = fmaxf(b, S[4 * i + 2 * r + 1]);
                }
                top = fmaxf(top, fmaxf(a, b));
                top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 1));
                top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 2));
                if (LAZY && (top - m[r]) * p.scale_log2 <= 8.0f)
                    top = m[r];
                float base = top == NEG_INF ? 0.0f : top * p.scale_log2;
                alpha[r] = exp2_fast(m[r] * p.scale_log2 - base);
                m[r] = top;
                float part = 0, part2 = 0;
#pragma unroll
                for (int i = 0; i < BLOCK_N / 8; i++) {
                    float x = fmaf(S[4 * i + 2 * r], p.scale_log2, -base),
                          y = fmaf(S[4 * i + 2 * r + 1], p.scale_log2, -base);
                    x = (2 * i) % 8 < POLYNOMIAL ? exp2_polynomial(x) : exp2_fast(x);
                    y = (2 * i + 1) % 8 < POLYNOMIAL ? exp2_polynomial(y) : exp2_fast(y);
                    S[4 * i + 2 * r] = x;
                    S[4 * i + 2 * r + 1] = y;
                    part += x;
                    part2 += y;
                }
                sum[r] = sum[r] * alpha[r] + (part + part2);
            }
        };
        auto rescale = [&]() {
            if (LAZY && __all_sync(0xffffffff, alpha[0] == 1.0f && alpha[1] == 1.0f))
                return;
#pragma unroll
            for (int i = 0; i < D / 2; i++)
                O[i] *= alpha[(i >> 1) & 1];
        };
        auto convert = [&]() {
#pragma unroll
            for (int i = 0; i < BLOCK_N / 4; i++)
                P[i] = pair(S[2 * i], S[2 * i + 1]);
        };

        /* Once the last tile's store was read its buffer is free; that is under way while the first
         * product is. */
        auto release_stored = [&]() {
            if (QUERY_BUFFERS > 1 && stored && lane == 0) {
                copy_store_wait_read<0>();
                barrier_arrive(&s.q_empty[qb ^ 1]);
            }
        };

        if (!OVERLAP && t.count > 0) {
            for (int j = t.count - 1; j >= 0; j--) {
                barrier_wait(&s.k_full[k_stage], k_phase);
                issue_qk();
                if (j == t.count - 1)
                    release_stored();
                product_wait<0>();
                release_k();
                mask(j);
                softmax();
                rescale();
                convert();
                barrier_wait(&s.v_full[v_stage], v_phase);
                issue_pv();
                product_wait<0>();
                release_v();
            }
        } else if (t.count > 0) {
            barrier_wait(&s.k_full[k_stage], k_phase);
            if (PINGPONG)
                named_sync(2 + me, 256);
            issue_qk();
            if (PINGPONG)
                named_arrive(2 + (me ^ 1), 256);
            release_stored();
            product_wait<0>();
            release_k();
            mask(t.count - 1);
            softmax();
            convert();
            for (int j = t.count - 2; j >= 0; j--) {
                barrier_wait(&s.k_full[k_stage], k_phase);
                if (PINGPONG)
                    named_sync(2 + me, 256);
                issue_qk();
                barrier_wait(&s.v_full[v_stage], v_phase);
                issue_pv();
                if (PINGPONG)
                    named_arrive(2 + (me ^ 1), 256);
                product_wait<1>();
                release_k();
                mask(j);
                softmax();
                product_wait<0>();
                release_v();
                rescale();
                convert();
            }
            barrier_wait(&s.v_full[v_stage], v_phase);
            issue_pv();
            product_wait<0>();
            release_v();
        } else {
            release_stored();
        }

#pragma unroll
        for (int r = 0; r < 2; r++) {
            sum[r] += __shfl_xor_sync(0xffffffff, sum[r], 1);
            sum[r] += __shfl_xor_sync(0xffffffff, sum[r], 2);
            int row = row0 + r * 8;
            if (l % 4 == 0 && row < p.len_q)
                p.lse[((size_t)t.batch * p.heads_q + t.head) * p.len_q + row] =
                    m[r] > NEG_INF ? m[r] * p.scale + __logf(sum[r]) : NEG_INF;
            sum[r] = m[r] > NEG_INF ? 1.0f / sum[r] : 0.0f;
        }
        /* Q was read by this warpgroup's products alone: its 64 rows are free for O. */
#pragma unroll
        for (int j = 0; j < D / 16; j++) {
            uint32_t r0 = pair(O[8 * j] * sum[0], O[8 * j + 1] * sum[0]),
                     r1 = pair(O[8 * j + 2] * sum[1], O[8 * j + 3] * sum[1]);
            uint32_t r2 = pair(O[8 * j + 4] * sum[0], O[8 * j + 5] * sum[0]),
                     r3 = pair(O[8 * j + 6] * sum[1], O[8 * j + 7] * sum[1]);
            int at_row = warp * 16 + l % 16, chunk = (j % 4) * 2 + l / 16;
            uint32_t at = shared_address(&s.q[qb][j / 4][me * 64 * 64]) + at_row * 128 +
                          ((chunk ^ (at_row & 7)) << 4);
            store_matrices(at, r0, r1, r2, r3);
        }
        proxy_fence();
        named_sync(4 + me, 128);
        if (lane == 0) {
            for (int h = 0; h < HALVES; h++)
                copy_store(&to, &s.q[qb][h][me * 64 * 64], h * 64, t.head, t.m * BLOCK_M + me * 64,
                           t.batch);
            copy_store_commit();
            if (QUERY_BUFFERS == 1) {
                copy_store_wait_read<0>();
                barrier_arrive(&s.q_empty[0]);
            }
        }
        stored = true;
        if (++qb == QUERY_BUFFERS) {
            qb = 0;
            q_phase ^= 1;
        }
    }
    if (PINGPONG && me == 0)
        named_sync(2, 256); /* takes the turn that was left over */
    if (lane == 0)
        copy_store_wait_done();
}
