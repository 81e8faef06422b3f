#include "cpu.h"

#include <pthread.h>

/* Twelve accumulators a step hide the latency of a multiply-add on every core that we know; they
 * are named one by one so that every compiler keeps them in registers. */
#define CHAINS 12
#define EACH_CHAIN(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11)
#define STEPS 200000
#define VECTOR_FLOATS 16

typedef float vector __attribute__((vector_size(VECTOR_FLOATS * sizeof(float))));

#define CHAIN_DECLARE(c)                                                                           \
    vector acc##c = b * ((c) + 1.0f); /* no two alike, or a compiler does one for all */
#define CHAIN_STEP(c) acc##c = acc##c * a + b;
#define CHAIN_SUM(c) sum += acc##c;

/* The loop that each instruction set compiles its own way; returns a value so that nothing is
 * optimised away. */
#define PEAK_LOOP(name, attribute)                                                                 \
    attribute static float name(void)                                                              \
    {                                                                                              \
        vector a, b, sum = {0};                                                                    \
        for (int i = 0; i < VECTOR_FLOATS; i++) {                                                  \
            a[i] = 0.999f;                                                                         \
            b[i] = 1e-3f;                                                                          \
        }                                                                                          \
        EACH_CHAIN(CHAIN_DECLARE)                                                                  \
        for (int s = 0; s < STEPS; s++) {                                                          \
            EACH_CHAIN(CHAIN_STEP)                                                                 \
        }                                                                                          \
        EACH_CHAIN(CHAIN_SUM)                                                                      \
        return sum[0];                                                                             \
    }

#if defined(__x86_64__)
PEAK_LOOP(peak_avx512, __attribute__((target("avx512f,fma"))))
PEAK_LOOP(peak_avx2, __attribute__((target("avx2,fma"))))
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

double cpu_roofline_gflops(double peak_gflops_1, int threads)
{
    return peak_gflops_1 * (threads > 1 ? threads : 1);
}
