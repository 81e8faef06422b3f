/* mma.cu: attention forward on the matrix units, one warp a product. Two-byte floats, fp32 state.
 * Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D], LSE [B, Hq, Sq].
 *
 * Against fused.cu: each warp owns 16 whole rows, so that a row's state stays in four lanes, the
 * weights become the left operand of the second product without leaving registers, and no barrier
 * separates the products. Tiles of K and V arrive by asynchronous copies while the ones before
 * them are used. Rows lie in shared memory with their chunks of 16 bytes permuted by the row.
 *
 * Launch: grid = (ceil(Sq / BLOCK_M), Hq, B), block = 2 * BLOCK_M, shared memory = 2 D (BLOCK_M + 4
 * BLOCK_N); arguments q, k, v, o, struct Params. -DD, -DCAUSAL. Legal for every shape with D 64,
 * 128 or 256; q, k, v and o are 16 bytes aligned. */
#include "../device/element.cuh"
#include "../device/softmax.cuh"
#include "../device/warp.cuh"

#ifndef D
#define D 128
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#ifndef BLOCK_M
#define BLOCK_M 64
#endif
#ifndef BLOCK_N
#define BLOCK_N (D == 256 ? 32 : 64)
#endif
#define THREADS (BLOCK_M / 16 * 32)
#define CHUNKS (D / 8)

struct tile_memory {
    element q[BLOCK_M * D], k[2][BLOCK_N * D], v[2][BLOCK_N * D];
};

/* The shared address of chunk `chunk` of row `row`. */
__device__ __forceinline__ uint32_t chunk_at(const element *tile, int row, int chunk)
{
    return (uint32_t)__cvta_generic_to_shared(tile + row * D + ((chunk ^ (row & 7)) << 3));
}

/* `count` rows of one head from `first` on; zeros past the last. */
template <int count>
__device__ __forceinline__ void load_rows(element *to, const element *from, int first, int rows,
                                          size_t stride)
{
#pragma unroll
    for (int i = 0; i < count * CHUNKS / THREADS; i++) {
        int at = threadIdx.x + i * THREADS, r = at / CHUNKS, chunk = at % CHUNKS;
        bool inside = first + r < rows;
        chunk_copy(chunk_at(to, r, chunk), inside ? from + (first + r) * stride + chunk * 8 : from,
                   inside ? 16 : 0);
    }
}

/* S = Q K' for the warp's 16 rows. */
__device__ __forceinline__ void multiply_keys(float (&S)[BLOCK_N / 2], const element *q,
                                              const element *k, int row, int l)
{
#pragma unroll
    for (int i = 0; i < BLOCK_N / 2; i++)
        S[i] = 0;
#pragma unroll
    for (int d = 0; d < D / 16; d++) {
        uint32_t left[4], right[4];
        load_matrices(left, chunk_at(q, row + l % 16, d * 2 + l / 16));
#pragma unroll
        for (int j = 0; j < BLOCK_N / 16; j++) {
            load_matrices(right, chunk_at(k, j * 16 + l / 16 * 8 + l % 8, d * 2 + l / 8 % 2));
            warp_product(&S[j * 8], left, right[0], right[1]);
            warp_product(&S[j * 8 + 4], left, right[2], right[3]);
        }
    }
}

/* O += P V; V's rows are keys, so its matrices are read transposed. */
__device__ __forceinline__ void multiply_values(float (&O)[D / 2], const uint32_t *P,
                                                const element *v, int l)
{
#pragma unroll
    for (int j = 0; j < BLOCK_N / 16; j++)
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
            uint32_t right[4];
            load_matrices_across(right, chunk_at(v, j * 16 + l % 16, d * 2 + l / 16));
            warp_product(&O[d * 8], P + j * 4, right[0], right[1]);
            warp_product(&O[d * 8 + 4], P + j * 4, right[2], right[3]);
        }
}

extern "C" __global__ __launch_bounds__(THREADS, 1) void fmha(const element *q, const element *k,
                                                              const element *v, element *o,
                                                              const __grid_constant__ Params p)
{
    extern __shared__ __align__(128) uint8_t raw[];
    tile_memory &s = *(tile_memory *)raw;
    int first = blockIdx.x * BLOCK_M, head = blockIdx.y, batch = blockIdx.z;
    int head_kv = head / (p.heads_q / p.heads_kv), shift = p.len_kv - p.len_q;
    int row = threadIdx.x / 32 * 16, l = threadIdx.x % 32;
    size_t q_stride = (size_t)p.heads_q * D, k_stride = (size_t)p.heads_kv * D;
    size_t q_head = (size_t)batch * p.len_q * q_stride + (size_t)head * D;
    size_t k_head = (size_t)batch * p.len_kv * k_stride + (size_t)head_kv * D;
    int tiles = (keys_seen<CAUSAL>(p, first, BLOCK_M) + BLOCK_N - 1) / BLOCK_N;
    float O[D / 2] = {}, top[2] = {NEG_INF, NEG_INF}, sum[2] = {}, shrink[2], lse[2];
    auto fetch = [&](int tile) {
        if (tile < tiles) {
            load_rows<BLOCK_N>(s.k[tile & 1], k + k_head, tile * BLOCK_N, p.len_kv, k_stride);
            load_rows<BLOCK_N>(s.v[tile & 1], v + k_head, tile * BLOCK_N, p.len_kv, k_stride);
        }
        chunk_commit(); /* an empty group keeps the count */
    };
    load_rows<BLOCK_M>(s.q, q + q_head, first, p.len_q, q_stride);
    fetch(0);
    for (int tile = 0; tile < tiles; tile++) {
        fetch(tile + 1);
        chunk_wait<1>();
        __syncthreads(); /* the tile is here, whoever fetched it */
        float S[BLOCK_N / 2];
        uint32_t P[BLOCK_N / 4];
        multiply_keys(S, s.q, s.k[tile & 1], row, l);
        int last = first + row + l / 4 + shift, end = (tile + 1) * BLOCK_N;
        if (end > p.len_kv || (CAUSAL && end - 1 > first + row + shift))
            mask_scores<BLOCK_N / 2, CAUSAL>(S, tile * BLOCK_N + l % 4 * 2, p.len_kv, last);
        fold_scores(S, top, sum, shrink, p.scale_log2);
        shrink_output(O, shrink);
        pack_weights(P, S);
        multiply_values(O, P, s.v[tile & 1], l);
        __syncthreads(); /* everyone has left the tile before it is overwritten */
    }
    finish_rows(top, sum, lse, p.scale);
    store_rows(O, sum, lse, o + q_head, q_stride, p, ((size_t)batch * p.heads_q + head) * p.len_q,
               first + row + l / 4, l);
}
