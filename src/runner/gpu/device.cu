/* device.cu: what the runner itself does on the device: inputs, poison, and looking at the results.
 *
 * Elements are drawn by counter: element i of a buffer under a seed is a function of the two, so
 * any of them can be drawn again later and an input that a kernel has written to is found.
 * Everything is laid out for memory speed: a launch gets fresh inputs without the clock of the
 * device going down.
 *
 * Kernels here are launched with 256 threads a block and any grid; buffers are aligned to 1024
 * bytes. */
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

enum { F32, BF16, F16 };
enum { NORMAL, LARGE, INTEGER, ONES };

/* What the looks after a launch have found, each with the smallest index of its kind. */
struct findings {
    unsigned long long unwritten, first_unwritten;
    unsigned long long not_finite, first_not_finite;
    unsigned long long outside, first_outside;
    unsigned long long changed, first_changed;
};

static __device__ void note(unsigned long long *count, unsigned long long *first, uint64_t index)
{
    atomicAdd(count, 1ull);
    atomicMin(first, (unsigned long long)index);
}

static __device__ uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* The sum of four 16-bit uniforms, centred and scaled to variance one. */
static __device__ float normal(uint64_t r)
{
    int sum =
        (int)(r & 0xffff) + (int)(r >> 16 & 0xffff) + (int)(r >> 32 & 0xffff) + (int)(r >> 48);
    return (float)(sum - 131070) * (1.7320508f / 65536.0f);
}

static __device__ float draw(uint64_t seed, uint64_t index, int fill)
{
    uint64_t r = mix(seed + index * 0x9e3779b97f4a7c15ull);
    switch (fill) {
    case NORMAL:
        return normal(r);
    case LARGE:
        return 30.0f * normal(r);
    case INTEGER:
        return (float)((uint32_t)(r >> 32) % 9);
    default:
        return 1.0f;
    }
}

static __device__ uint32_t bits16(float value, int dtype)
{
    return dtype == BF16 ? __bfloat16_as_ushort(__float2bfloat16_rn(value))
                         : __half_as_ushort(__float2half_rn(value));
}

/* Four bytes of a buffer, as they are after a fill: one element or two. */
static __device__ uint32_t drawn_word(uint64_t seed, uint64_t word, int dtype, int fill)
{
    if (dtype == F32)
        return __float_as_uint(draw(seed, word, fill));
    return bits16(draw(seed, 2 * word, fill), dtype) | bits16(draw(seed, 2 * word + 1, fill), dtype)
                                                           << 16;
}

extern "C" __global__ void fill(uint32_t *buffer, uint64_t elements, int dtype, uint64_t seed,
                                int how)
{
    uint64_t words = dtype == F32 ? elements : elements / 2;
    uint64_t first = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x,
             step = gridDim.x * (uint64_t)blockDim.x;
    uint4 *quads = (uint4 *)buffer;
    for (uint64_t i = first; i < words / 4; i += step)
        quads[i] = make_uint4(
            drawn_word(seed, 4 * i, dtype, how), drawn_word(seed, 4 * i + 1, dtype, how),
            drawn_word(seed, 4 * i + 2, dtype, how), drawn_word(seed, 4 * i + 3, dtype, how));
    for (uint64_t i = words / 4 * 4 + first; i < words; i += step)
        buffer[i] = drawn_word(seed, i, dtype, how);
    if (first == 0 && dtype != F32 && elements % 2)
        ((uint16_t *)buffer)[elements - 1] = bits16(draw(seed, elements - 1, how), dtype);
}

/* Whether an input is still what `fill` made it. */
extern "C" __global__ void compare(const uint32_t *buffer, uint64_t elements, int dtype,
                                   uint64_t seed, int how, struct findings *out)
{
    uint64_t words = dtype == F32 ? elements : elements / 2;
    uint64_t first = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x,
             step = gridDim.x * (uint64_t)blockDim.x;
    uint64_t to_element = dtype == F32 ? 1 : 2;
    for (uint64_t i = first; i < words; i += step)
        if (buffer[i] != drawn_word(seed, i, dtype, how))
            note(&out->changed, &out->first_changed, i * to_element);
    if (first == 0 && dtype != F32 && elements % 2 &&
        ((const uint16_t *)buffer)[elements - 1] != bits16(draw(seed, elements - 1, how), dtype))
        note(&out->changed, &out->first_changed, elements - 1);
}

/* Every two bytes of a range become `pattern`'s low half and high half in turn. */
extern "C" __global__ void poison(uint16_t *at, uint64_t halves, uint32_t pattern)
{
    uint64_t first = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x,
             step = gridDim.x * (uint64_t)blockDim.x;
    uint64_t lead = ((uintptr_t)at & 15) ? halves : 0;
    uint4 *quads = (uint4 *)at;
    uint64_t quad_count = lead ? 0 : halves / 8;
    for (uint64_t i = first; i < quad_count; i += step)
        quads[i] = make_uint4(pattern, pattern, pattern, pattern);
    for (uint64_t i = quad_count * 8 + first; i < halves; i += step)
        at[i] = (uint16_t)(i & 1 ? pattern >> 16 : pattern);
}

/* Poison that is left, and values that are no number. */
extern "C" __global__ void scan(const void *buffer, uint64_t elements, int dtype, uint32_t pattern,
                                struct findings *out)
{
    uint64_t first = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x,
             step = gridDim.x * (uint64_t)blockDim.x;
    for (uint64_t i = first; i < elements; i += step) {
        uint32_t bits =
            dtype == F32 ? ((const uint32_t *)buffer)[i] : (uint32_t)((const uint16_t *)buffer)[i];
        uint32_t left = dtype == F32 ? pattern : pattern & 0xffff;
        uint32_t infinity = dtype == F32 ? 0x7f800000u : dtype == BF16 ? 0x7f80u : 0x7c00u;
        uint32_t sign = dtype == F32 ? 0x80000000u : 0x8000u;
        if ((bits & ~sign) <= infinity)
            continue;
        if (bits == left)
            note(&out->unwritten, &out->first_unwritten, i);
        else
            note(&out->not_finite, &out->first_not_finite, i);
    }
}

/* The bytes between buffers, which nobody may write. */
extern "C" __global__ void guard(const uint16_t *at, uint64_t halves, uint32_t pattern,
                                 struct findings *out)
{
    uint64_t step = gridDim.x * (uint64_t)blockDim.x;
    for (uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x; i < halves; i += step)
        if (at[i] != (uint16_t)(i & 1 ? pattern >> 16 : pattern))
            note(&out->outside, &out->first_outside, i);
}

/* The elements at `index`, as doubles. */
extern "C" __global__ void gather(const void *buffer, int dtype, const long long *index, int count,
                                  double *value)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        long long at = index[i];
        value[i] = dtype == F32    ? (double)((const float *)buffer)[at]
                   : dtype == BF16 ? (double)__bfloat162float(((const __nv_bfloat16 *)buffer)[at])
                                   : (double)__half2float(((const __half *)buffer)[at]);
    }
}

/* The other way round: doubles, rounded to the nearest, become the elements at `index`. */
extern "C" __global__ void scatter(void *buffer, int dtype, const long long *index, int count,
                                   const double *value)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        long long at = index[i];
        if (dtype == F32)
            ((float *)buffer)[at] = (float)value[i];
        else if (dtype == BF16)
            ((__nv_bfloat16 *)buffer)[at] = __double2bfloat16(value[i]);
        else
            ((__half *)buffer)[at] = __double2half(value[i]);
    }
}

/* NaN in all shared memory of every multiprocessor, and in a scratch buffer as large as the cache:
 * what a kernel has not written itself, it will not find in order. */
extern "C" __global__ void dirty(uint32_t *scratch, uint64_t words, int shared_words)
{
    extern __shared__ uint32_t shared[];
    for (int i = threadIdx.x; i < shared_words; i += blockDim.x)
        shared[i] = 0x7fff7fffu;
    __syncthreads();
    uint64_t step = gridDim.x * (uint64_t)blockDim.x;
    for (uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x; i < words; i += step)
        scratch[i] = shared[i % shared_words];
}
