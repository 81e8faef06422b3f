/* reference.cu: the matrix product in fp64, element by element, as the definition says it.
 *
 * C [M, N] = A [M, K] B, everything row-major; dims are M, N, K, b_layout. With b_layout 0 B is
 * held as [N, K], with 1 as [K, N]. Products of two-byte floats are exact in fp64.
 *
 * One block an element, any number of threads that is a power of two up to 1024.
 *
 * Compiled with WITHOUT it leaves an operation out on purpose: the study is worth something only if
 * its check says so. */
#ifdef TYPE_F16
#include <cuda_fp16.h>
typedef __half element;
static __device__ double wide(element x)
{
    return (double)__half2float(x);
}
#else
#include <cuda_bf16.h>
typedef __nv_bfloat16 element;
static __device__ double wide(element x)
{
    return (double)__bfloat162float(x);
}
#endif

enum without { NOTHING, LAST_TERM, LAST_COLUMN, SUM, ORDER };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif

static __device__ double block_sum(double x)
{
    __shared__ double part[1024];
    part[threadIdx.x] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    double sum = part[0];
    __syncthreads();
    return sum;
}

/* `scale` is the sum of the products' absolute values: rounding errors of the sum are measured
 * against it. */
extern "C" __global__ void reference_at(const long long *dims, const void *const *inputs,
                                        const long long *index, int count, int output,
                                        double *value, double *scale)
{
    long long N = dims[1], K = dims[2];
    long long row = index[blockIdx.x] / N, column = index[blockIdx.x] % N;
    const element *a = (const element *)inputs[0] + row * K;
    bool by_rows = (dims[3] != 0) != (WITHOUT == ORDER);
    const element *b = (const element *)inputs[1] + (by_rows ? column : column * K);
    long long stride = by_rows ? N : 1;
    long long terms = WITHOUT == SUM                              ? 1
                      : WITHOUT == LAST_TERM                      ? K - 1
                      : WITHOUT == LAST_COLUMN && column == N - 1 ? 0
                                                                  : K;
    double sum = 0, size = 0;
    for (long long k = threadIdx.x; k < terms; k += blockDim.x) {
        double product = wide(a[k]) * wide(b[k * stride]);
        sum += product;
        size += fabs(product);
    }
    sum = block_sum(sum);
    size = block_sum(size);
    if (threadIdx.x == 0 && (int)blockIdx.x < count && output == 0) {
        value[blockIdx.x] = sum;
        scale[blockIdx.x] = size;
    }
}
