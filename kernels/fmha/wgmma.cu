/* wgmma.cu: attention forward by warpgroup products on tiles that the copy engine brings. Two-byte
 * floats, fp32 state. Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D], LSE [B, Hq, Sq].
 *
 * Against mma.cu: one thread starts the copy of a whole tile, and one warpgroup multiplies 64 rows
 * straight from shared memory; only weights pass through registers. There is one buffer for K and
 * one for V: the next K is fetched under the softmax and the product with V, the next V under the
 * product with K. Products and exponentials of a block do not overlap; two blocks on a
 * multiprocessor hide some of each other's. Under a causal mask blocks of long rows come first.
 *
 * Launch: grid = (ceil(Sq / 64), Hq, B), block = 128, shared memory = (64 + 2 BLOCK_N) D * 2 + 24
 * rounded up to 1024; arguments maps of q (box 64 x 1 x 64 x 1), k and v (box 64 x 1 x BLOCK_N x 1)
 * over [D, heads, length, batch] with the 128-byte swizzle and zeros outside, o, struct Params.
 * -DD, -DCAUSAL. Legal with D 64, 128 or 256 and BLOCK_N a width of wgmma.cuh. */
#include "../device/element.cuh"
#include "../device/hopper.cuh"
#include "../device/softmax.cuh"
#include "../device/width.cuh"

#ifndef D
#define D 128
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#ifndef BLOCK_N
#define BLOCK_N (D == 256 ? 64 : 128)
#endif
#define BLOCK_M 64
#define HALVES (D / SWIZZLE_COLUMNS)

struct alignas(1024) tile_memory {
    element q[HALVES][BLOCK_M * 64], k[HALVES][BLOCK_N * 64], v[HALVES][BLOCK_N * 64];
    uint64_t q_full, k_full, v_full;
};

/* All columns of one head's rows from `first` on. */
template <int rows>
__device__ __forceinline__ void load_tile(element (&to)[HALVES][rows * 64], const CUtensorMap *map,
                                          uint64_t *bar, int head, int first, int batch)
{
    barrier_expect(bar, sizeof(to));
#pragma unroll
    for (int h = 0; h < HALVES; h++)
        copy_load(to[h], map, bar, h * 64, head, first, batch);
}

extern "C" __global__ __launch_bounds__(WARPGROUP) void fmha(
    const __grid_constant__ CUtensorMap map_q, const __grid_constant__ CUtensorMap map_k,
    const __grid_constant__ CUtensorMap map_v, element *o, const __grid_constant__ Params p)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    tile_memory &s = *(tile_memory *)raw;
    int first = (CAUSAL ? gridDim.x - 1 - blockIdx.x : blockIdx.x) * BLOCK_M, head = blockIdx.y,
        batch = blockIdx.z;
    int head_kv = head / (p.heads_q / p.heads_kv), shift = p.len_kv - p.len_q;
    int l = threadIdx.x % 32, row = first + threadIdx.x / 32 * 16 + l / 4;
    int tiles = (keys_seen<CAUSAL>(p, first, BLOCK_M) + BLOCK_N - 1) / BLOCK_N;
    if (threadIdx.x == 0) {
        barrier_init(&s.q_full, 1);
        barrier_init(&s.k_full, 1);
        barrier_init(&s.v_full, 1);
        barrier_init_fence();
        load_tile<BLOCK_M>(s.q, &map_q, &s.q_full, head, first, batch);
        if (tiles > 0) {
            load_tile<BLOCK_N>(s.k, &map_k, &s.k_full, head_kv, 0, batch);
            load_tile<BLOCK_N>(s.v, &map_v, &s.v_full, head_kv, 0, batch);
        }
    }
    __syncthreads();
    float O[D / 2] = {}, top[2] = {NEG_INF, NEG_INF}, sum[2] = {}, shrink[2], lse[2];
    barrier_wait(&s.q_full, 0);
    for (int tile = 0; tile < tiles; tile++) {
        float S[BLOCK_N / 2];
        uint32_t P[BLOCK_N / 4];
        barrier_wait(&s.k_full, tile & 1);
        product_fence();
#pragma unroll
        for (int kk = 0; kk < D / 16; kk++)
            product<BLOCK_N, 1>(S, product_operand(&s.q[kk / 4][kk % 4 * 16]),
                                product_operand(&s.k[kk / 4][kk % 4 * 16]), kk > 0);
        product_commit();
        product_wait<0>();
        __syncthreads(); /* all four warps have read K */
        if (threadIdx.x == 0 && tile + 1 < tiles)
            load_tile<BLOCK_N>(s.k, &map_k, &s.k_full, head_kv, (tile + 1) * BLOCK_N, batch);
        int end = (tile + 1) * BLOCK_N;
        if (end > p.len_kv || (CAUSAL && end - 1 > first + shift))
            mask_scores<BLOCK_N / 2, CAUSAL>(S, tile * BLOCK_N + l % 4 * 2, p.len_kv, row + shift);
        fold_scores(S, top, sum, shrink, p.scale_log2);
        shrink_output(O, shrink);
        pack_weights(P, S);
        barrier_wait(&s.v_full, tile & 1);
        product_fence();
#pragma unroll
        for (int kk = 0; kk < BLOCK_N / 16; kk++)
            product<D, 0>(O, P + kk * 4, product_operand(&s.v[0][kk * 16 * 64], BLOCK_N * 128),
                          true);
        product_commit();
        product_wait<0>();
        __syncthreads(); /* all four warps have read V */
        if (threadIdx.x == 0 && tile + 1 < tiles)
            load_tile<BLOCK_N>(s.v, &map_v, &s.v_full, head_kv, (tile + 1) * BLOCK_N, batch);
    }
    finish_rows(top, sum, lse, p.scale);
    size_t stride = (size_t)p.heads_q * D;
    store_rows(O, sum, lse, o + (size_t)batch * p.len_q * stride + (size_t)head * D, stride, p,
               ((size_t)batch * p.heads_q + head) * p.len_q, row, l);
}
