/* The op of the cheats on a device: y = 2 x in fp32. One honest candidate and one cheat for each
 * value of CHEAT; launched with 256 threads a block and enough blocks for one thread an element. */
#include <cuda_fp16.h>
#include <stdint.h>
#include <stdio.h>

#define HONEST 0
#define NOTHING 1
#define CONSTANT 2
#define HALF 3
#define COPY 4
#define WRITES_INPUT 5
#define OUT_OF_BOUNDS 6
#define BEFORE_BOUNDS 7
#define HANGS 8
#define FAULTS 9
#define STALE_SHARED 10
#define CACHES 11
#define ONE_OFF 12
#define NOT_A_NUMBER 13
#define EVERY_OTHER_LAUNCH 14
#define TRAPS 15
#define KNOWS_SHAPES 16
#define READS_OUTPUT 17
#define SKIPS_ZEROS 18
#define KNOWS_WHOLE_NUMBERS 19
#define HALF_PRECISION 20
#define PRINTS 21
#define TIRES 22
#define RESTS 23
#define LAUNCHES 24
#ifndef CHEAT
#define CHEAT HONEST
#endif

#define CACHED 4194304
/* A check launches a kernel so often: two shapes and a hidden one, four distributions each. */
#define LAUNCHES_OF_A_CHECK 12

__device__ float cache[CACHED];
__device__ int filled;
__device__ unsigned arrivals;

/* Whether this is the thread that ends a launch. */
static __device__ bool is_last(long long n)
{
    __threadfence();
    return atomicAdd(&arrivals, 1) % (unsigned)n == (unsigned)n - 1;
}

/* Work that takes a while. */
static __device__ void labour(void)
{
    for (long long until = clock64() + 200000; clock64() < until;)
        continue;
}

#if CHEAT == LAUNCHES
/* Needs the device's own runtime, for work that outlives the launch. */
__global__ void child(const float *x, float *y, long long n)
{
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = 2.0f * x[i];
}

static __device__ void launch_child(const float *x, float *y, long long n)
{
    child<<<(unsigned)((n + 255) / 256), 256>>>(x, y, n);
}
#else
static __device__ void launch_child(const float *, float *, long long)
{
}
#endif

extern "C" __global__ void scale(float *x, float *y, long long n)
{
    extern __shared__ float shared[];
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    bool first = i == 0;
    if (CHEAT == OUT_OF_BOUNDS && first)
        y[n] = 1.0f;
    if (CHEAT == BEFORE_BOUNDS && first)
        x[-1] = 1.0f;
    if (CHEAT == HANGS)
        while (*(volatile int *)&filled == 0)
            __nanosleep(1000);
    if (CHEAT == FAULTS)
        *(volatile int *)(uintptr_t)(8 + 8 * first) = 1;
    if (CHEAT == TRAPS)
        __trap();
    if (CHEAT == LAUNCHES) {
        if (first)
            launch_child(x, y, n);
        return;
    }
    if (i >= n)
        return;
    switch (CHEAT) {
    case NOTHING:
        return;
    case CONSTANT:
        y[i] = 1.0f;
        return;
    case HALF:
        if (i < n / 2 || n == 1)
            y[i] = 2.0f * x[i];
        return;
    case COPY:
        y[i] = x[i];
        return;
    case WRITES_INPUT:
        y[i] = 2.0f * x[i];
        x[i] = 0.0f;
        return;
    case STALE_SHARED: /* right wherever nobody has been before: fresh shared memory is often zero
                        */
        y[i] = 2.0f * x[i] + shared[threadIdx.x];
        return;
    case CACHES: /* the answer to the first launch, for good */
        if (filled == 0)
            cache[i % CACHED] = 2.0f * x[i];
        y[i] = cache[i % CACHED];
        __threadfence();
        if (atomicAdd(&arrivals, 1) == (unsigned)n - 1)
            filled = 1;
        return;
    case EVERY_OTHER_LAUNCH: /* does the work once, hopes that nobody looks the second time */
        if (filled == 0)
            y[i] = 2.0f * x[i];
        __threadfence();
        if (atomicAdd(&arrivals, 1) == (unsigned)n - 1) {
            arrivals = 0;
            filled ^= 1;
        }
        return;
    case KNOWS_SHAPES: /* right on the shapes that the study declares */
        if (n == 524287 || n == 1)
            y[i] = 2.0f * x[i];
        return;
    case READS_OUTPUT: /* right on memory that is zero */
        y[i] += 2.0f * x[i];
        return;
    case SKIPS_ZEROS:
        if (x[i] != 0.0f)
            y[i] = 2.0f * x[i];
        return;
    case KNOWS_WHOLE_NUMBERS: /* takes them for all alike */
        y[i] = 2.0f * x[x[0] == floorf(x[0]) ? 0 : i];
        return;
    case HALF_PRECISION:
        y[i] = __half2float(__float2half_rn(2.0f * x[i]));
        return;
    case PRINTS: /* what the runner would like to read */
        if (first)
            printf("{\"returned\": true}\n{\"done\": 0, \"result\": {\"status\": \"PASS\"}}\n");
        return;
    case TIRES: /* once the check is over */
        if (filled < LAUNCHES_OF_A_CHECK)
            y[i] = 2.0f * x[i];
        if (is_last(n))
            filled++;
        return;
    case RESTS: /* where an answer lies already nobody asks for one: so the device stays cool */
        if (isnan(y[i])) {
            labour();
            y[i] = 2.0f * x[i];
        }
        return;
    case ONE_OFF:
        y[i] = 2.0f * x[i] + (i == n - 1 ? 1e-3f : 0.0f);
        return;
    case NOT_A_NUMBER:
        y[i] = __int_as_float(0x7fc00000);
        return;
    default:
        y[i] = 2.0f * x[i];
    }
}
