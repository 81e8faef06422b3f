/* naive.cu: C = A B', one thread an element. Two-byte floats in and out, fp32 sums. A [M, K],
 * B [N, K], C [M, N].
 *
 * The first step: the definition, straight from global memory. Neighbouring threads take
 * neighbouring columns of C, so they share rows of A and each reads a row of B of its own.
 *
 * Launch: grid = (ceil(N / 16), ceil(M / 16)), block = (16, 16), no shared memory; arguments a, b,
 * c, M, N, K. Legal for every shape and stride. */
#include "../device/element.cuh"

#define SIDE 16

extern "C" __global__ __launch_bounds__(SIDE *SIDE) void matmul(const element *a, const element *b,
                                                                element *c, int M, int N, int K)
{
    int row = blockIdx.y * SIDE + threadIdx.y, column = blockIdx.x * SIDE + threadIdx.x;
    if (row >= M || column >= N)
        return;
    const element *left = a + (size_t)row * K, *right = b + (size_t)column * K;
    float sum = 0;
    for (int k = 0; k < K; k++)
        sum = fmaf(wide(left[k]), wide(right[k]), sum);
    c[(size_t)row * N + column] = narrow(sum);
}
