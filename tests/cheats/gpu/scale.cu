/* The op of the cheats on a device: y = 2 x in fp32. One honest candidate and one cheat for each
 * value of CHEAT; launched with 256 threads a block and enough blocks for one thread an element. */
#include <stdint.h>

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
#ifndef CHEAT
#define CHEAT HONEST
#endif

#define CACHED 4194304

__device__ float cache[CACHED];
__device__ int filled;
__device__ unsigned arrivals;

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
