/* reference.cu: attention in fp64, element by element, as the definition says it.
 *
 * Q and O [B, Sq, Hq, D], K and V [B, Skv, Hkv, D] in two-byte floats, LSE [B, Hq, Sq] in fp32;
 * dims are B, Hq, Hkv, Sq, Skv, D, causal. Query head h reads key head h / (Hq / Hkv); with causal
 * query i sees key j if j <= i + Skv - Sq. A row that sees no key answers O = 0, LSE = -inf. Output
 * 0 is O, output 1 is LSE.
 *
 * Two passes over the keys, no state carried between tiles. One block an element, any number of
 * threads that is a power of two up to 1024.
 *
 * Compiled with WITHOUT it leaves an operation out on purpose: the study is worth something only if
 * its check says so. */
#ifdef TYPE_F16
#include <cuda_fp16.h>
typedef __half element;
#define ROUNDING 0x1p-11 /* of a weight, as a share of it */
#define LEAST 0x1p-25    /* and at least, where a weight is below the type's normal numbers */
static __device__ double wide(element x)
{
    return (double)__half2float(x);
}
#else
#include <cuda_bf16.h>
typedef __nv_bfloat16 element;
#define ROUNDING 0x1p-8
#define LEAST 0.0 /* as small as those of fp32 */
static __device__ double wide(element x)
{
    return (double)__bfloat162float(x);
}
#endif

/* What a score in fp32 may be wrong by, as a share of a rounding to two bytes: scores are summed in
 * fp32, so their error is that of a weight in fp32, not in two bytes. */
#define SCORE_SHARE (0x1p-18 / ROUNDING)
/* The same for a logarithm of sums of fp32 exponentials. */
#define LSE_SHARE (0x1p-12 / ROUNDING)

enum without { NOTHING, SCALE, MAXIMUM, NORMALISER, MASK, GROUPS, LOGARITHM, LAST_KEY };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif

enum combine { SUM, LARGEST };

static __device__ double block_combine(double x, enum combine how)
{
    __shared__ double part[1024];
    part[threadIdx.x] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half) {
            double other = part[threadIdx.x + half];
            part[threadIdx.x] =
                how == SUM ? part[threadIdx.x] + other : fmax(part[threadIdx.x], other);
        }
        __syncthreads();
    }
    double all = part[0];
    __syncthreads();
    return all;
}

/* The scaled score of a query and a key; `size` grows to the sum of its absolute terms. */
static __device__ double score(const element *q, const element *k, int D, double *size)
{
    double sum = 0, terms = 0;
    for (int c = 0; c < D; c++) {
        double product = wide(q[c]) * wide(k[c]);
        sum += product;
        terms += fabs(product);
    }
    *size = fmax(*size, terms * rsqrt((double)D));
    return WITHOUT == SCALE ? sum : sum * rsqrt((double)D);
}

struct row {
    const element *q, *k, *v;
    long long seen, stride; /* keys that it sees, elements from one key to the next */
    int D;
};

static __device__ struct row row_of(const long long *dims, const void *const *inputs, long long b,
                                    long long h, long long i)
{
    long long Hq = dims[1], Hkv = dims[2], Sq = dims[3], Skv = dims[4], D = dims[5];
    long long head = WITHOUT == GROUPS ? 0 : h / (Hq / Hkv);
    long long seen = dims[6] && WITHOUT != MASK ? i + 1 + Skv - Sq : Skv;
    struct row r;
    r.D = (int)D;
    r.stride = Hkv * D;
    r.seen = seen < 0 ? 0 : seen > Skv ? Skv : seen;
    r.seen -= WITHOUT == LAST_KEY && r.seen > 1;
    r.q = (const element *)inputs[0] + ((b * Sq + i) * Hq + h) * D;
    r.k = (const element *)inputs[1] + (b * Skv * Hkv + head) * D;
    r.v = (const element *)inputs[2] + (b * Skv * Hkv + head) * D;
    return r;
}

extern "C" __global__ void reference_at(const long long *dims, const void *const *inputs,
                                        const long long *index, int count, int output,
                                        double *value, double *scale)
{
    if ((int)blockIdx.x >= count)
        return;
    long long Hq = dims[1], Sq = dims[3], D = dims[5], at = index[blockIdx.x];
    long long c = output == 0 ? at % D : 0, line = output == 0 ? at / D : at;
    long long i = output == 0 ? line / Hq % Sq : line % Sq,
              h = output == 0 ? line % Hq : line / Sq % Hq, b = line / Hq / Sq;
    struct row r = row_of(dims, inputs, b, h, i);
    double top = -INFINITY, size = 0, sum = 0, out = 0, weight = 0;
    for (long long j = threadIdx.x; j < r.seen; j += blockDim.x)
        top = fmax(top, score(r.q, r.k + j * r.stride, r.D, &size));
    top = WITHOUT == MAXIMUM ? 0 : block_combine(top, LARGEST);
    size = block_combine(size, LARGEST);
    for (long long j = threadIdx.x; j < r.seen; j += blockDim.x) {
        double unused = 0, p = exp(score(r.q, r.k + j * r.stride, r.D, &unused) - top);
        double v = wide(r.v[j * r.stride + c]);
        sum += p;
        out += p * v;
        weight += (p + LEAST / ROUNDING) * fabs(v);
    }
    sum = block_combine(sum, SUM);
    out = block_combine(out, SUM);
    weight = block_combine(weight, SUM);
    if (threadIdx.x != 0)
        return;
    if (r.seen == 0) {
        value[blockIdx.x] = output == 0 ? 0 : -INFINITY;
        scale[blockIdx.x] = 0;
    } else if (output == 0) {
        value[blockIdx.x] = WITHOUT == NORMALISER ? out : out / sum;
        scale[blockIdx.x] = weight / sum * (1 + size * SCORE_SHARE);
    } else {
        value[blockIdx.x] = top + (WITHOUT == LOGARITHM ? sum : log(sum));
        scale[blockIdx.x] = fmax(1.0, fabs(top + log(sum))) * LSE_SHARE + size * SCORE_SHARE;
    }
}
