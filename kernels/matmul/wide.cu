/* wide.cu: C = A B' by tiles of 128 x 256. Two-byte floats in and out, fp32 sums. A [M, K],
 * B [N, K], C [M, N].
 *
 * Against specialised.cu: a tile twice as wide needs 3/4 of the bytes for each product, and one
 * product of 64 x 256 reads shared memory less often than two of 64 x 128. Two consumers own 64
 * rows each, since 256 sums a thread would not fit its registers, and `setmaxnreg` moves registers
 * from the producer, which needs few, to them.
 *
 * Launch: grid = (ceil(N / 256), ceil(M / 128)), block = 384, shared memory = STAGES * 49168
 * rounded up to 1024; arguments map of a (box 64 x 128), map of b (box 64 x 256), c, M, N, K; both
 * maps with the 128-byte swizzle and zeros outside. Legal where K % 8 = 0 and STAGES <= 4. */
#include "../device/element.cuh"
#include "../device/fragment.cuh"
#include "../device/hopper.cuh"
#include "../device/ring.cuh"
#include "../device/wgmma.cuh"

#ifndef STAGES
#define STAGES 4
#endif
#define BLOCK_M 128
#define BLOCK_N 256
#define CONSUMERS 2
#define DEPTH SWIZZLE_COLUMNS
#define THREADS ((CONSUMERS + 1) * WARPGROUP)

static_assert(STAGES >= 2, "one slice is held while the next is multiplied");

struct alignas(1024) stage_memory {
    element a[STAGES][BLOCK_M * DEPTH], b[STAGES][BLOCK_N * DEPTH];
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

__device__ __forceinline__ void consume(stage_memory &s, float (&acc)[128], int consumer, int steps)
{
    ring_place<STAGES> r = {0, 0};
    int before = -1;
    for (int step = 0; step < steps; step++, r.advance()) {
        barrier_wait(&s.full[r.stage], r.parity);
        product_fence();
#pragma unroll
        for (int kk = 0; kk < DEPTH / 16; kk++)
            product_m64n256<1>(acc, product_operand(&s.a[r.stage][consumer * 64 * DEPTH + kk * 16]),
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
    int row = blockIdx.y * BLOCK_M, column = blockIdx.x * BLOCK_N;
    int steps = (K + DEPTH - 1) / DEPTH, role = threadIdx.x / WARPGROUP;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&s.full[i], 1);
            barrier_init(&s.empty[i], CONSUMERS * WARPGROUP / 32); /* a warp each */
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (role == CONSUMERS) {
        registers_release<40>();
        if (threadIdx.x == CONSUMERS * WARPGROUP)
            produce(s, &map_a, &map_b, row, column, steps);
    } else {
        registers_take<232>();
        float acc[128];
        consume(s, acc, role, steps);
        store_product(c, acc, threadIdx.x % WARPGROUP, row + role * 64, column, M, N);
    }
}
