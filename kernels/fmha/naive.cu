/* naive.cu: attention forward, row by row, with a whole row of scores at once. Two-byte floats,
 * fp32 state. Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D], LSE [B, Hq, Sq].
 *
 * The first step: scores, softmax and weighted sum are three passes, and what passes between them
 * lies in a row of Skv floats of shared memory. A block takes one query after the other, and every
 * query reads all its keys and values again.
 *
 * Launch: grid = any number of blocks, block = 256, shared memory = 4 Skv; arguments q, k, v, o,
 * struct Params. -DD, -DCAUSAL. Legal with D 64, 128 or 256 and Skv up to 56,000. */
#include "../device/element.cuh"
#include "../device/softmax.cuh"

#ifndef D
#define D 128
#endif
#ifndef CAUSAL
#define CAUSAL 0
#endif
#define THREADS 256
#define PARTS (THREADS / D) /* of the keys, for the weighted sum */

static_assert(THREADS % D == 0, "a part of the threads covers a row of V");

/* The result of `join` over all threads, which must be associative and commutative. */
template <typename function> __device__ float block_fold(float x, function join)
{
    __shared__ float part[THREADS / 32];
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        x = join(x, __shfl_xor_sync(0xffffffff, x, step));
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = x;
    __syncthreads();
    x = part[0];
    for (int i = 1; i < THREADS / 32; i++)
        x = join(x, part[i]);
    return x;
}

extern "C" __global__ __launch_bounds__(THREADS) void fmha(const element *q, const element *k,
                                                           const element *v, element *o,
                                                           const __grid_constant__ Params p)
{
    __shared__ float query[D], part[PARTS][D];
    extern __shared__ float score[];
    long long rows = (long long)p.batch * p.len_q * p.heads_q;
    size_t key_stride = (size_t)p.heads_kv * D;
    for (long long index = blockIdx.x; index < rows; index += gridDim.x) {
        int head = (int)(index % p.heads_q), row = (int)(index / p.heads_q % p.len_q);
        int batch = (int)(index / p.heads_q / p.len_q), head_kv = head / (p.heads_q / p.heads_kv);
        int keys = keys_seen<CAUSAL>(p, row, 1);
        size_t first = (size_t)batch * p.len_kv * key_stride + (size_t)head_kv * D;
        __syncthreads(); /* the row before has left `query` and `part` */
        if (threadIdx.x < D)
            query[threadIdx.x] = wide(q[index * D + threadIdx.x]);
        __syncthreads();
        float most = NEG_INF;
        for (int j = threadIdx.x; j < keys; j += THREADS) {
            const element *key = k + first + j * key_stride;
            float sum = 0;
            for (int d = 0; d < D; d++)
                sum = fmaf(query[d], wide(key[d]), sum);
            score[j] = sum;
            most = fmaxf(most, sum);
        }
        most = block_fold(most, [](float a, float b) { return fmaxf(a, b); });
        float sum = 0;
        for (int j = threadIdx.x; j < keys; j += THREADS) {
            score[j] = exp2_fast((score[j] - most) * p.scale_log2);
            sum += score[j];
        }
        sum = block_fold(sum, [](float a, float b) { return a + b; });
        int column = threadIdx.x % D;
        float out = 0;
        for (int j = threadIdx.x / D; j < keys; j += PARTS)
            out = fmaf(score[j], wide(v[first + j * key_stride + column]), out);
        part[threadIdx.x / D][column] = out;
        __syncthreads();
        if (threadIdx.x < D) {
            for (int i = 1; i < PARTS; i++)
                out += part[i][column];
            o[index * D + column] = narrow(keys > 0 ? out / sum : 0.0f);
        }
        if (threadIdx.x == 0)
            p.lse[((size_t)batch * p.heads_q + head) * p.len_q + row] =
                keys > 0 ? most * p.scale + __logf(sum) : NEG_INF;
    }
}
