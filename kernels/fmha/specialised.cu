/* specialised.cu: attention forward with a producer and two consumers. Two-byte floats, fp32 state.
 * Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D], LSE [B, Hq, Sq].
 *
 * Against wgmma.cu: a warpgroup of its own keeps a ring of tiles of K and V full, and two consumers
 * of 64 rows each share every tile, which halves the bytes a product needs; registers move from the
 * producer to them. Each consumer still multiplies, takes the softmax and multiplies again, one
 * after the other: only the two consumers' independence overlaps products with exponentials.
 *
 * Launch: grid = (ceil(Sq / 128), Hq, B), block = 384, shared memory = (128 + 2 STAGES BLOCK_N) D *
 * 2 + 8 + 32 STAGES rounded up to 1024; arguments maps of q (box 64 x 1 x 128 x 1), k and v (box 64
 * x 1 x BLOCK_N x 1) over [D, heads, length, batch] with the 128-byte swizzle and zeros outside, o,
 * struct Params. -DD, -DCAUSAL. Legal with D 64, 128 or 256 and BLOCK_N a width of wgmma.cuh. */
#include "../device/element.cuh"
#include "../device/hopper.cuh"
#include "../device/ring.cuh"
#include "../device/softmax.cuh"
#include "../device/width.cuh"

#ifndef D
#define D 128
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#ifndef BLOCK_N
#define BLOCK_N (D == 256 ? 80 : 128)
#endif
#ifndef STAGES
#define STAGES 2
#endif
#define CONSUMERS 2
#define BLOCK_M (64 * CONSUMERS)
#define THREADS ((CONSUMERS + 1) * WARPGROUP)
#define HALVES (D / SWIZZLE_COLUMNS)

struct alignas(1024) tile_memory {
    element q[HALVES][BLOCK_M * 64];
    element k[STAGES][HALVES][BLOCK_N * 64], v[STAGES][HALVES][BLOCK_N * 64];
    uint64_t q_full, k_full[STAGES], k_empty[STAGES], v_full[STAGES], v_empty[STAGES];
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

__device__ __forceinline__ void produce(tile_memory &s, const CUtensorMap *map_k,
                                        const CUtensorMap *map_v, int head, int batch, int tiles)
{
    ring_place<STAGES> r = {0, 1};
    for (int tile = 0; tile < tiles; tile++, r.advance()) {
        barrier_wait(&s.k_empty[r.stage], r.parity);
        load_tile<BLOCK_N>(s.k[r.stage], map_k, &s.k_full[r.stage], head, tile * BLOCK_N, batch);
        barrier_wait(&s.v_empty[r.stage], r.parity);
        load_tile<BLOCK_N>(s.v[r.stage], map_v, &s.v_full[r.stage], head, tile * BLOCK_N, batch);
    }
}

extern "C" __global__ __launch_bounds__(THREADS,
                                        1) void fmha(const __grid_constant__ CUtensorMap map_q,
                                                     const __grid_constant__ CUtensorMap map_k,
                                                     const __grid_constant__ CUtensorMap map_v,
                                                     element *o, const __grid_constant__ Params p)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    tile_memory &s = *(tile_memory *)raw;
    int head = blockIdx.y, batch = blockIdx.z, head_kv = head / (p.heads_q / p.heads_kv);
    int role = threadIdx.x / WARPGROUP, shift = p.len_kv - p.len_q;
    int tiles = (keys_seen<CAUSAL>(p, blockIdx.x * BLOCK_M, BLOCK_M) + BLOCK_N - 1) / BLOCK_N;
    if (threadIdx.x == 0) {
        barrier_init(&s.q_full, 1);
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&s.k_full[i], 1);
            barrier_init(&s.v_full[i], 1);
            barrier_init(&s.k_empty[i], CONSUMERS * WARPGROUP / 32); /* a warp each */
            barrier_init(&s.v_empty[i], CONSUMERS * WARPGROUP / 32);
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (role == CONSUMERS) {
        registers_release<24>();
        if (threadIdx.x == CONSUMERS * WARPGROUP) {
            load_tile<BLOCK_M>(s.q, &map_q, &s.q_full, head, blockIdx.x * BLOCK_M, batch);
            produce(s, &map_k, &map_v, head_kv, batch, tiles);
        }
    } else {
        registers_take<240>();
        int first = blockIdx.x * BLOCK_M + role * 64, l = threadIdx.x % 32;
        int row = first + threadIdx.x % WARPGROUP / 32 * 16 + l / 4;
        float O[D / 2] = {}, top[2] = {NEG_INF, NEG_INF}, sum[2] = {}, shrink[2], lse[2];
        ring_place<STAGES> r = {0, 0};
        barrier_wait(&s.q_full, 0);
        for (int tile = 0; tile < tiles; tile++, r.advance()) {
            float S[BLOCK_N / 2];
            uint32_t P[BLOCK_N / 4];
            barrier_wait(&s.k_full[r.stage], r.parity);
            product_fence();
#pragma unroll
            for (int kk = 0; kk < D / 16; kk++)
                product<BLOCK_N, 1>(S, product_operand(&s.q[kk / 4][role * 64 * 64 + kk % 4 * 16]),
                                    product_operand(&s.k[r.stage][kk / 4][kk % 4 * 16]), kk > 0);
            product_commit();
            product_wait<0>();
            if (l == 0)
                barrier_arrive(&s.k_empty[r.stage]);
            int end = (tile + 1) * BLOCK_N;
            if (end > p.len_kv || (CAUSAL && end - 1 > first + shift))
                mask_scores<BLOCK_N / 2, CAUSAL>(S, tile * BLOCK_N + l % 4 * 2, p.len_kv,
                                                 row + shift);
            fold_scores(S, top, sum, shrink, p.scale_log2);
            shrink_output(O, shrink);
            pack_weights(P, S);
            barrier_wait(&s.v_full[r.stage], r.parity);
            product_fence();
#pragma unroll
            for (int kk = 0; kk < BLOCK_N / 16; kk++)
                product<D, 0>(O, P + kk * 4,
                              product_operand(&s.v[r.stage][0][kk * 16 * 64], BLOCK_N * 128), true);
            product_commit();
            product_wait<0>();
            if (l == 0)
                barrier_arrive(&s.v_empty[r.stage]);
        }
        finish_rows(top, sum, lse, p.scale);
        size_t stride = (size_t)p.heads_q * D;
        store_rows(O, sum, lse, o + (size_t)batch * p.len_q * stride + (size_t)head * D, stride, p,
                   ((size_t)batch * p.heads_q + head) * p.len_q, row, l);
    }
}
