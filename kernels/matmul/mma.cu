/* mma.cu: C = A B' on the matrix units, one warp a product. Two-byte floats in and out, fp32 sums.
 * A [M, K], B [N, K], C [M, N].
 *
 * Against tiled.cu: a warp multiplies 16 x 8 x 16 in one instruction, operands stay two bytes wide
 * and reach registers as whole 8 x 8 matrices, and slices arrive by asynchronous copies, STAGES - 1
 * of them on their way while one is used. A row of a slice is 64 bytes; its four chunks are
 * permuted by the pair of rows they lie in, so that eight rows of one chunk meet eight different
 * banks.
 *
 * Launch: grid = (ceil(N / 128), ceil(M / 128)), block = 256, shared memory = STAGES * 16384;
 * arguments a, b, c, M, N, K. Legal for every shape; where K is not a multiple of 8 chunks cannot
 * be copied whole, and elements are moved one by one. a, b and c are 16 bytes aligned. */
#include "../device/element.cuh"
#include "../device/fragment.cuh"
#include "../device/warp.cuh"

#ifndef STAGES
#define STAGES 4
#endif
#define BLOCK 128 /* rows and columns of a tile of C */
#define DEPTH 32
#define CHUNKS (DEPTH / 8) /* of 16 bytes in a row of a slice */
#define WARPS_M 2
#define WARPS_N 4
#define THREADS (WARPS_M * WARPS_N * 32)
#define ROWS (BLOCK / WARPS_M)
#define COLUMNS (BLOCK / WARPS_N)

static_assert(STAGES >= 2, "one slice is used while another arrives");

struct slice {
    element a[BLOCK * DEPTH], b[BLOCK * DEPTH];
};

/* Elements from the start of a slice to chunk `chunk` of row `row`. */
__device__ __forceinline__ int chunk_offset(int row, int chunk)
{
    return row * DEPTH + ((chunk ^ (row >> 1 & 3)) << 3);
}

__device__ __forceinline__ void load_half(element *to, const element *from, int first, int rows,
                                          int k0, int K)
{
#pragma unroll
    for (int i = 0; i < BLOCK * CHUNKS / THREADS; i++) {
        int at = threadIdx.x + i * THREADS, r = at / CHUNKS, chunk = at % CHUNKS;
        int k = k0 + chunk * 8, left = first + r < rows ? min(max(K - k, 0), 8) : 0;
        const element *source = left > 0 ? from + (size_t)(first + r) * K + k : from;
        element *place = to + chunk_offset(r, chunk);
        if (K % 8 == 0) {
            chunk_copy((uint32_t)__cvta_generic_to_shared(place), source, left * 2);
        } else {
#pragma unroll
            for (int e = 0; e < 8; e++)
                place[e] = e < left ? source[e] : narrow(0.0f);
        }
    }
}

__device__ __forceinline__ void multiply_slice(const slice &s,
                                               float (&sum)[ROWS / 16][COLUMNS / 8][4], int row,
                                               int column, int lane)
{
#pragma unroll
    for (int kk = 0; kk < DEPTH / 16; kk++) {
        uint32_t left[ROWS / 16][4], right[COLUMNS / 16][4];
#pragma unroll
        for (int i = 0; i < ROWS / 16; i++)
            load_matrices(left[i],
                          (uint32_t)__cvta_generic_to_shared(
                              s.a + chunk_offset(row + i * 16 + lane % 16, kk * 2 + lane / 16)));
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j++)
            load_matrices(right[j],
                          (uint32_t)__cvta_generic_to_shared(
                              s.b + chunk_offset(column + j * 16 + lane / 16 * 8 + lane % 8,
                                                 kk * 2 + lane / 8 % 2)));
#pragma unroll
        for (int i = 0; i < ROWS / 16; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS / 8; j++)
                warp_product(sum[i][j], left[i], right[j / 2][j % 2 * 2],
                             right[j / 2][j % 2 * 2 + 1]);
    }
}

extern "C" __global__ __launch_bounds__(THREADS, 2) void matmul(const element *a, const element *b,
                                                                element *c, int M, int N, int K)
{
    extern __shared__ __align__(128) uint8_t raw[];
    slice *ring = (slice *)raw;
    int row0 = blockIdx.y * BLOCK, column0 = blockIdx.x * BLOCK;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = warp / WARPS_N * ROWS, column = warp % WARPS_N * COLUMNS;
    int steps = (K + DEPTH - 1) / DEPTH;
    float sum[ROWS / 16][COLUMNS / 8][4] = {};
    auto fetch = [&](int step) {
        if (step < steps) {
            load_half(ring[step % STAGES].a, a, row0, M, step * DEPTH, K);
            load_half(ring[step % STAGES].b, b, column0, N, step * DEPTH, K);
        }
        chunk_commit(); /* an empty group keeps the count */
    };
    for (int step = 0; step < STAGES - 1; step++)
        fetch(step);
    for (int step = 0; step < steps; step++) {
        chunk_wait<STAGES - 2>();
        __syncthreads(); /* slice `step` is here, and everyone has left the one before it */
        fetch(step + STAGES - 1);
        multiply_slice(ring[step % STAGES], sum, row, column, lane);
    }
#pragma unroll
    for (int i = 0; i < ROWS / 16; i++)
#pragma unroll
        for (int j = 0; j < COLUMNS / 8; j++) {
            int r = row0 + row + i * 16 + lane / 4, x = column0 + column + j * 8 + lane % 4 * 2;
            if (r < M && x < N)
                store_neighbours(c, r, x, N, sum[i][j][0], sum[i][j][1]);
            if (r + 8 < M && x < N)
                store_neighbours(c, r + 8, x, N, sum[i][j][2], sum[i][j][3]);
        }
}
