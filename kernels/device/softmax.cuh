/* softmax.cuh: the row state of attention on the registers of a product.
 *
 * A lane holds two rows, r = 0 and 1, eight apart: elements 4 i + 2 r and 4 i + 2 r + 1 of S, at
 * columns 8 i + l % 4 * 2 and the next. Four lanes share a row. The state is (top, sum) of a row,
 * with the output not yet divided; scores are raw, and `scale` carries log2(e) / sqrt(D). Include
 * element.cuh first. */
#ifndef SOFTMAX_CUH
#define SOFTMAX_CUH

#include <stdint.h>

#define NEG_INF (-__int_as_float(0x7f800000))

/* What every kernel of attention is told beside its operands. */
struct Params {
    int batch, heads_q, heads_kv, len_q, len_kv;
    float scale_log2, scale; /* log2(e) / sqrt(D) and 1 / sqrt(D) */
    float *lse;              /* [batch, heads_q, len_q] */
};

/* Keys that some of `rows` queries from `first` on may see. */
template <bool causal>
__device__ __forceinline__ int keys_seen(const Params &p, int first, int rows)
{
    return causal ? min(p.len_kv, max(0, first + rows + p.len_kv - p.len_q)) : p.len_kv;
}

__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Hides keys past `keys`, and past the row's own where `last` (of row 0) says so. */
template <int count, bool causal>
__device__ __forceinline__ void mask_scores(float (&S)[count], int column, int keys, int last)
{
#pragma unroll
    for (int i = 0; i < count; i++) {
        int at = column + i / 4 * 8 + (i & 1), row = (i >> 1 & 1) * 8;
        bool seen = at < keys && (!causal || at <= last + row);
        S[i] = seen ? S[i] : NEG_INF;
    }
}

/* Folds a tile of scores into the state, turns them into weights, and says by how much the older
 * output shrinks. A row that has seen no key keeps (-inf, 0). */
template <int count>
__device__ __forceinline__ void fold_scores(float (&S)[count], float (&top)[2], float (&sum)[2],
                                            float (&shrink)[2], float scale)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float most = top[r];
#pragma unroll
        for (int i = 0; i < count / 4; i++)
            most = fmaxf(most, fmaxf(S[4 * i + 2 * r], S[4 * i + 2 * r + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
        float base = most == NEG_INF ? 0.0f : most * scale, part = 0;
        shrink[r] = exp2_fast(top[r] * scale - base);
        top[r] = most;
#pragma unroll
        for (int i = 0; i < count / 4; i++) {
            float &x = S[4 * i + 2 * r], &y = S[4 * i + 2 * r + 1];
            x = exp2_fast(fmaf(x, scale, -base));
            y = exp2_fast(fmaf(y, scale, -base));
            part += x + y;
        }
        sum[r] = sum[r] * shrink[r] + part;
    }
}

template <int count>
__device__ __forceinline__ void shrink_output(float (&O)[count], const float (&shrink)[2])
{
#pragma unroll
    for (int i = 0; i < count; i++)
        O[i] *= shrink[i >> 1 & 1];
}

/* Weights as the left operand of the next product: the layouts agree. */
template <int count>
__device__ __forceinline__ void pack_weights(uint32_t (&P)[count / 2], const float (&S)[count])
{
#pragma unroll
    for (int i = 0; i < count / 2; i++)
        P[i] = pair(S[2 * i], S[2 * i + 1]);
}

/* Adds up a row's sum over its four lanes; leaves what to multiply the output with in `sum` and the
 * logarithm of the normaliser in `lse`. */
__device__ __forceinline__ void finish_rows(const float (&top)[2], float (&sum)[2], float (&lse)[2],
                                            float natural_scale)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        sum[r] += __shfl_xor_sync(0xffffffff, sum[r], 1);
        sum[r] += __shfl_xor_sync(0xffffffff, sum[r], 2);
        bool any = top[r] > NEG_INF;
        lse[r] = any ? top[r] * natural_scale + __logf(sum[r]) : NEG_INF;
        sum[r] = any ? 1.0f / sum[r] : 0.0f;
    }
}

/* Writes the two rows of a lane, `row` and `row + 8`, divided, to one head of O, and their LSE. */
template <int count>
__device__ __forceinline__ void store_rows(const float (&O)[count], const float (&factor)[2],
                                           const float (&lse)[2], element *head, size_t stride,
                                           const Params &p, size_t lse_head, int row, int lane)
{
#pragma unroll
    for (int r = 0; r < 2; r++, row += 8) {
        if (row >= p.len_q)
            continue;
        element *at = head + row * stride + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < count / 4; i++)
            *(uint32_t *)(at + i * 8) =
                pair(O[4 * i + 2 * r] * factor[r], O[4 * i + 2 * r + 1] * factor[r]);
        if (lane % 4 == 0)
            p.lse[lse_head + row] = lse[r];
    }
}

#endif
