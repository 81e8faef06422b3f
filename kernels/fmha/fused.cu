/* fused.cu: attention forward in one pass with an online softmax, on the multiply-add units.
 * Two-byte floats, fp32 state. Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D], LSE [B, Hq, Sq].
 *
 * Against naive.cu: scores never leave the multiprocessor. A block owns 64 queries of one head and
 * folds tiles of 64 keys into (top, sum, O), all in registers; weights pass through shared memory
 * to the threads that own the columns of O. Every key that is fetched serves 64 queries.
 *
 * Launch: grid = (ceil(Sq / 64), Hq, B), block = 256, shared memory = 192 * (D + 2) * 2 + 16640;
 * arguments q, k, v, o, struct Params. -DD, -DCAUSAL. Legal for every shape with D 64, 128 or
 * 256. */
#include "../device/element.cuh"
#include "../device/softmax.cuh"

#ifndef D
#define D 128
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#define BLOCK 64 /* queries, and keys of a tile */
#define PART 4
#define SIDE (BLOCK / PART) /* threads that share a row */
#define THREADS (SIDE * SIDE)
#define ROW (D + 2) /* an odd number of words: a column of keys meets different banks */
#define PAIRS (D / SIDE / 2)

struct tile_memory {
    element q[BLOCK][ROW], k[BLOCK][ROW], v[BLOCK][ROW];
    float weight[BLOCK][BLOCK + 1];
};

/* Rows `first` to `first + BLOCK` of one head; zero past the last. */
__device__ __forceinline__ void load_rows(element (&to)[BLOCK][ROW], const element *from, int first,
                                          int rows, size_t stride)
{
    for (int i = threadIdx.x; i < BLOCK * D / 2; i += THREADS) {
        int r = i / (D / 2), d = i % (D / 2) * 2;
        uint32_t two = 0;
        if (first + r < rows)
            two = *(const uint32_t *)(from + (first + r) * stride + d);
        *(uint32_t *)&to[r][d] = two;
    }
}

__device__ __forceinline__ float2 two(const element *at)
{
    return wide(*(const element_pair *)at);
}

/* S = Q K' of this thread: rows y .. y + 3, keys x, x + 16, ... */
__device__ __forceinline__ void multiply_keys(const tile_memory &s, float (&S)[PART][PART], int y,
                                              int x)
{
#pragma unroll
    for (int i = 0; i < PART; i++)
#pragma unroll
        for (int j = 0; j < PART; j++)
            S[i][j] = 0;
#pragma unroll 4
    for (int d = 0; d < D; d += 2) {
        float2 q[PART], k[PART];
#pragma unroll
        for (int i = 0; i < PART; i++) {
            q[i] = two(&s.q[y + i][d]);
            k[i] = two(&s.k[x + i * SIDE][d]);
        }
#pragma unroll
        for (int i = 0; i < PART; i++)
#pragma unroll
            for (int j = 0; j < PART; j++)
                S[i][j] = fmaf(q[i].y, k[j].y, fmaf(q[i].x, k[j].x, S[i][j]));
    }
}

/* O += P V of this thread: rows y .. y + 3, columns 2 x, 2 x + 1, then 32 further. */
__device__ __forceinline__ void multiply_values(const tile_memory &s, float (&O)[PART][PAIRS * 2],
                                                int y, int x)
{
#pragma unroll 2
    for (int key = 0; key < BLOCK; key++) {
        float w[PART];
#pragma unroll
        for (int i = 0; i < PART; i++)
            w[i] = s.weight[y + i][key];
#pragma unroll
        for (int c = 0; c < PAIRS; c++) {
            float2 v = two(&s.v[key][(c * SIDE + x) * 2]);
#pragma unroll
            for (int i = 0; i < PART; i++) {
                O[i][2 * c] = fmaf(w[i], v.x, O[i][2 * c]);
                O[i][2 * c + 1] = fmaf(w[i], v.y, O[i][2 * c + 1]);
            }
        }
    }
}

template <typename function> __device__ __forceinline__ float row_fold(float x, function join)
{
#pragma unroll
    for (int step = SIDE / 2; step > 0; step /= 2)
        x = join(x, __shfl_xor_sync(0xffffffff, x, step));
    return x;
}

extern "C" __global__ __launch_bounds__(THREADS) void fmha(const element *q, const element *k,
                                                           const element *v, element *o,
                                                           const __grid_constant__ Params p)
{
    extern __shared__ __align__(16) uint8_t raw[];
    tile_memory &s = *(tile_memory *)raw;
    int first = blockIdx.x * BLOCK, head = blockIdx.y, batch = blockIdx.z;
    int head_kv = head / (p.heads_q / p.heads_kv), shift = p.len_kv - p.len_q;
    int y = threadIdx.x / SIDE * PART, x = threadIdx.x % SIDE;
    size_t q_stride = (size_t)p.heads_q * D, k_stride = (size_t)p.heads_kv * D;
    size_t q_head = (size_t)batch * p.len_q * q_stride + (size_t)head * D;
    size_t k_head = (size_t)batch * p.len_kv * k_stride + (size_t)head_kv * D;
    float O[PART][PAIRS * 2] = {}, top[PART], sum[PART] = {};
#pragma unroll
    for (int i = 0; i < PART; i++)
        top[i] = NEG_INF;
    load_rows(s.q, q + q_head, first, p.len_q, q_stride);
    int keys = keys_seen<CAUSAL>(p, first, BLOCK);
    for (int key = 0; key < keys; key += BLOCK) {
        load_rows(s.k, k + k_head, key, p.len_kv, k_stride);
        load_rows(s.v, v + k_head, key, p.len_kv, k_stride);
        __syncthreads();
        float S[PART][PART];
        multiply_keys(s, S, y, x);
#pragma unroll
        for (int i = 0; i < PART; i++) {
            float most = top[i], part = 0;
#pragma unroll
            for (int j = 0; j < PART; j++) {
                int at = key + x + j * SIDE;
                bool seen = at < p.len_kv && (!CAUSAL || at <= first + y + i + shift);
                S[i][j] = seen ? S[i][j] * p.scale_log2 : NEG_INF;
                most = fmaxf(most, S[i][j]);
            }
            most = row_fold(most, [](float a, float b) { return fmaxf(a, b); });
            float base = most == NEG_INF ? 0.0f : most, shrink = exp2_fast(top[i] - base);
            top[i] = most;
#pragma unroll
            for (int j = 0; j < PART; j++) {
                float weight = exp2_fast(S[i][j] - base);
                s.weight[y + i][x + j * SIDE] = weight;
                part += weight;
            }
            sum[i] = sum[i] * shrink + part;
#pragma unroll
            for (int c = 0; c < PAIRS * 2; c++)
                O[i][c] *= shrink;
        }
        __syncwarp(); /* a row's weights are written and read by the same half of a warp */
        multiply_values(s, O, y, x);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < PART; i++) {
        float total = row_fold(sum[i], [](float a, float b) { return a + b; });
        int row = first + y + i;
        if (row >= p.len_q)
            continue;
        float factor = total > 0 ? 1.0f / total : 0.0f;
#pragma unroll
        for (int c = 0; c < PAIRS; c++)
            *(uint32_t *)(o + q_head + row * q_stride + (c * SIDE + x) * 2) =
                pair(O[i][2 * c] * factor, O[i][2 * c + 1] * factor);
        if (x == 0)
            p.lse[((size_t)batch * p.heads_q + head) * p.len_q + row] =
                total > 0 ? top[i] * 0.693147181f + __logf(total) : NEG_INF;
    }
}
