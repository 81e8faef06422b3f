/* wgmma.cu: C = A B' by warpgroup products on slices that the copy engine brings. Two-byte floats
 * in and out, fp32 sums. A [M, K], B [N, K], C [M, N].
 *
 * Against mma.cu: one thread starts a copy of a whole slice, already swizzled and with zeros
 * outside the arrays, and four warps multiply 64 x 128 x 16 straight from shared memory, so that
 * neither address arithmetic nor operands pass through registers. Nothing overlaps inside a block:
 * copy, wait, multiply, wait; several blocks on a multiprocessor hide each other's waits.
 *
 * Launch: grid = (ceil(N / 128), ceil(M / 128)), block = 128, shared memory = 33792; arguments
 * map of a (box 64 x 128), map of b (box 64 x 128), c, M, N, K; both maps with the 128-byte swizzle
 * and zeros outside. Legal where rows of A and B are a multiple of 16 bytes apart (K % 8 = 0);
 * mma.cu covers the rest. */
#include "../device/element.cuh"
#include "../device/fragment.cuh"
#include "../device/hopper.cuh"
#include "../device/wgmma.cuh"

#define BLOCK 128
#define DEPTH SWIZZLE_COLUMNS

struct alignas(1024) stage_memory {
    element a[BLOCK * DEPTH], b[BLOCK * DEPTH];
    uint64_t full;
};

extern "C" __global__
__launch_bounds__(WARPGROUP) void matmul(const __grid_constant__ CUtensorMap map_a,
                                         const __grid_constant__ CUtensorMap map_b, element *c,
                                         int M, int N, int K)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    stage_memory &s = *(stage_memory *)raw;
    int row = blockIdx.y * BLOCK, column = blockIdx.x * BLOCK;
    if (threadIdx.x == 0) {
        barrier_init(&s.full, 1);
        barrier_init_fence();
    }
    __syncthreads();
    float acc[BLOCK / 64][64];
    int steps = (K + DEPTH - 1) / DEPTH;
    for (int step = 0; step < steps; step++) {
        if (threadIdx.x == 0) {
            barrier_expect(&s.full, sizeof(s.a) + sizeof(s.b));
            copy_load(s.a, &map_a, &s.full, step * DEPTH, row);
            copy_load(s.b, &map_b, &s.full, step * DEPTH, column);
        }
        barrier_wait(&s.full, step & 1);
        product_fence();
#pragma unroll
        for (int kk = 0; kk < DEPTH / 16; kk++)
#pragma unroll
            for (int m = 0; m < BLOCK / 64; m++)
                product_m64n128<1>(acc[m], product_operand(&s.a[m * 64 * DEPTH + kk * 16]),
                                   product_operand(&s.b[kk * 16]), step > 0 || kk > 0);
        product_commit();
        product_wait<0>();
        __syncthreads(); /* all four warps have read the slice */
    }
#pragma unroll
    for (int m = 0; m < BLOCK / 64; m++)
        store_product(c, acc[m], threadIdx.x, row + m * 64, column, M, N);
}
