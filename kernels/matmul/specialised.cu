/* specialised.cu: C = A B' with a producer and a consumer. Two-byte floats in and out, fp32 sums.
 * A [M, K], B [N, K], C [M, N].
 *
 * Against wgmma.cu: loading and multiplying belong to different warpgroups, which meet only at
 * barriers. The producer keeps a ring of STAGES slices full; a slice announces its bytes on `full`
 * and is given back on `empty`. The consumer keeps one group of products in flight and returns the
 * slice before it, so that neither the copy engine nor the matrix units wait for the other's
 * latency.
 *
 * Launch: grid = (ceil(N / 128), ceil(M / 128)), block = 256, shared memory = STAGES * 32784
 * rounded up to 1024; arguments map of a (box 64 x 128), map of b (box 64 x 128), c, M, N, K; both
 * maps with the 128-byte swizzle and zeros outside. Legal where K % 8 = 0 and STAGES <= 7. */
#include "../device/element.cuh"
#include "../device/fragment.cuh"
#include "../device/hopper.cuh"
#include "../device/ring.cuh"
#include "../device/wgmma.cuh"

#ifndef STAGES
#define STAGES 6
#endif
#define BLOCK 128
#define DEPTH SWIZZLE_COLUMNS
#define THREADS (2 * WARPGROUP)

static_assert(STAGES >= 2, "one slice is held while the next is multiplied");

struct alignas(1024) stage_memory {
    element a[STAGES][BLOCK * DEPTH], b[STAGES][BLOCK * DEPTH];
    uint64_t full[STAGES], empty[STAGES];
};

__device__ __forceinline__ void produce(stage_memory &s, const CUtensorMap *map_a,
                                        const CUtensorMap *map_b, int row, int column, int steps)
{
    ring_place<STAGES> r = {0, 1};
    for (int step = 0; step < steps; step++, r.advance()) {
        barrier_wait(&s.empty[r.stage], r.parity);
        barrier_expect(&s.full[r.stage], sizeof(s.a[0]) + sizeof(s.b[0]));
        copy_load(s.a[r.stage], map_a, &s.full[r.stage], step * DEPTH, row);
        copy_load(s.b[r.stage], map_b, &s.full[r.stage], step * DEPTH, column);
    }
}

__device__ __forceinline__ void consume(stage_memory &s, float (&acc)[BLOCK / 64][64], int steps)
{
    ring_place<STAGES> r = {0, 0};
    int before = -1;
    for (int step = 0; step < steps; step++, r.advance()) {
        barrier_wait(&s.full[r.stage], r.parity);
        product_fence();
#pragma unroll
        for (int kk = 0; kk < DEPTH / 16; kk++)
#pragma unroll
            for (int m = 0; m < BLOCK / 64; m++)
                product_m64n128<1>(acc[m], product_operand(&s.a[r.stage][m * 64 * DEPTH + kk * 16]),
                                   product_operand(&s.b[r.stage][kk * 16]), step > 0 || kk > 0);
        product_commit();
        product_wait<1>(); /* the slice before this one has been read */
        if (before >= 0 && threadIdx.x % 32 == 0)
            barrier_arrive(&s.empty[before]);
        before = r.stage;
    }
    product_wait<0>();
}

extern "C" __global__ __launch_bounds__(THREADS,
                                        1) void matmul(const __grid_constant__ CUtensorMap map_a,
                                                       const __grid_constant__ CUtensorMap map_b,
                                                       element *c, int M, int N, int K)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    stage_memory &s = *(stage_memory *)raw;
    int row = blockIdx.y * BLOCK, column = blockIdx.x * BLOCK;
    int steps = (K + DEPTH - 1) / DEPTH;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&s.full[i], 1);
            barrier_init(&s.empty[i], WARPGROUP / 32); /* a warp each */
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (threadIdx.x >= WARPGROUP) {
        if (threadIdx.x == WARPGROUP)
            produce(s, &map_a, &map_b, row, column, steps);
        return;
    }
    float acc[BLOCK / 64][64];
    consume(s, acc, steps);
#pragma unroll
    for (int m = 0; m < BLOCK / 64; m++)
        store_product(c, acc[m], threadIdx.x, row + m * 64, column, M, N);
}
