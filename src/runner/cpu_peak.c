#include "cpu.h"

#include <pthread.h>

/* Twelve accumulators a step hide the latency of a multiply-add on every core that we know. */
#define CHAINS 12
#define STEPS 200000
#define VECTOR_FLOATS 16

typedef float vector __attribute__((vector_size(VECTOR_FLOATS * sizeof(float))));

/* The loop that each instruction set compiles its own way; returns a value so that nothing is
 * optimised away. */
#define PEAK_LOOP(name, attribute)                                                                 \
    attribute static float name(void)                                                              \
    {                                                                                              \
        vector acc[CHAINS], a = {0}, b = {0};                                                      \
        for (int i = 0; i < VECTOR_FLOATS; i++) {                                                  \
            a[i] = 0.999f;                                                                         \
            b[i] = 1e-3f;                                                                          \
        }                                                                                          \
        for (int c = 0; c < CHAINS; c++)                                                           \
            acc[c] = b;                                                                            \
        for (int s = 0; s < STEPS; s++)                                                            \
            for (int c = 0; c < CHAINS; c++)                                                       \
                acc[c] = acc[c] * a + b;                                                           \
        for (int c = 1; c < CHAINS; c++)                                                           \
            acc[0] += acc[c];                                                                      \
        return acc[0][0];                                                                          \
    }

#if defined(__x86_64__)
PEAK_LOOP(peak_avx512, __attribute__((target("avx512f,fma"), optimize("O3", "unroll-loops"))))
PEAK_LOOP(peak_avx2, __attribute__((target("avx2,fma"), optimize("O3", "unroll-loops"))))
#endif
PEAK_LOOP(peak_portable, )

static void *peak_thread(void *arg)
{
    volatile float *sink = arg;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        *sink = peak_avx512();
        return NULL;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        *sink = peak_avx2();
        return NULL;
    }
#endif
    *sink = peak_portable();
    return NULL;
}

static double once(int threads)
{
    pthread_t thread[64];
    volatile float sink[64];
    int started = 0;
    int64_t start = os_monotonic_ns();
    while (started + 1 < threads && started < 63 &&
           pthread_create(&thread[started], NULL, peak_thread, (void *)&sink[started]) == 0)
        started++;
    peak_thread((void *)&sink[started]);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    double flops = 2.0 * CHAINS * VECTOR_FLOATS * STEPS * (started + 1);
    return flops / (double)(os_monotonic_ns() - start);
}

double cpu_peak_gflops(int threads)
{
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double now = once(threads);
        best = now > best ? now : best;
    }
    return best;
}
