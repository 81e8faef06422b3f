/* tiled.cu: C = A B' by tiles in shared memory. Two-byte floats in and out, fp32 sums. A [M, K],
 * B [N, K], C [M, N].
 *
 * Against naive.cu: a block owns BLOCK x BLOCK elements of C and walks K in slices of DEPTH, which
 * it widens to fp32 in shared memory, so that a value is fetched once for BLOCK uses; a thread owns
 * PART x PART elements, so that one read of shared memory feeds PART multiply-adds.
 *
 * Launch: grid = (ceil(N / 64), ceil(M / 64)), block = 256, static shared memory; arguments a, b,
 * c, M, N, K. Legal for every shape and stride: elements are moved one by one. */
#include "../device/element.cuh"

#define BLOCK 64
#define DEPTH 16
#define PART 4
#define SIDE (BLOCK / PART) /* threads along a side of the tile */
#define THREADS (SIDE * SIDE)
#define ROW (BLOCK + 4) /* floats: the pad keeps the transposing stores apart */

static_assert(BLOCK * DEPTH % THREADS == 0, "a slice is loaded in whole rounds");

/* Rows `first` to `first + BLOCK` of a matrix, K across; zero outside. */
__device__ __forceinline__ void load_slice(float (&to)[DEPTH][ROW], const element *from, int first,
                                           int rows, int k0, int K)
{
#pragma unroll
    for (int i = threadIdx.x; i < BLOCK * DEPTH; i += THREADS) {
        int k = i % DEPTH, r = i / DEPTH;
        bool inside = first + r < rows && k0 + k < K;
        to[k][r] = inside ? wide(from[(size_t)(first + r) * K + k0 + k]) : 0.0f;
    }
}

extern "C" __global__ __launch_bounds__(THREADS) void matmul(const element *a, const element *b,
                                                             element *c, int M, int N, int K)
{
    __shared__ __align__(16) float left[DEPTH][ROW], right[DEPTH][ROW];
    int row0 = blockIdx.y * BLOCK, column0 = blockIdx.x * BLOCK;
    int y = threadIdx.x / SIDE * PART, x = threadIdx.x % SIDE * PART;
    float sum[PART][PART] = {};
    for (int k0 = 0; k0 < K; k0 += DEPTH) {
        load_slice(left, a, row0, M, k0, K);
        load_slice(right, b, column0, N, k0, K);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float4 l4 = *(const float4 *)&left[k][y], r4 = *(const float4 *)&right[k][x];
            float l[PART] = {l4.x, l4.y, l4.z, l4.w}, r[PART] = {r4.x, r4.y, r4.z, r4.w};
#pragma unroll
            for (int i = 0; i < PART; i++)
#pragma unroll
                for (int j = 0; j < PART; j++)
                    sum[i][j] = fmaf(l[i], r[j], sum[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < PART; i++)
#pragma unroll
        for (int j = 0; j < PART; j++)
            if (row0 + y + i < M && column0 + x + j < N)
                c[(size_t)(row0 + y + i) * N + column0 + x + j] = narrow(sum[i][j]);
}
