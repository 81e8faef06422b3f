/*
 * blas.c: the baseline, OpenBLAS. It is never a candidate for the best variant.
 *
 * An OpenBLAS older than the processor takes it for the oldest one it knows and runs at a fifth of
 * its speed. A baseline like that flatters every candidate, so the library is told what the machine
 * can do before it is loaded. Where that cannot be done (the library was in the process already, or
 * the environment insists on an old processor) the baseline refuses rather than be a weak one. So
 * do not link the library to this object.
 */
#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#include "matmul.h"

#ifndef BLAS_LIBRARY
#define BLAS_LIBRARY "libopenblas.so.0"
#endif

/* the two functions of the library, by their C interface */
typedef void blas_sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                           const float *a, int a_pitch, const float *b, int b_pitch, float beta,
                           float *c, int c_pitch);
typedef void blas_threads_fn(int n);
typedef char *blas_core_fn(void);

enum { BLAS_ROW_MAJOR = 101, BLAS_NO_TRANS = 111 };

/* what was found when this object was loaded; no call changes it */
static struct {
    void *library;
    blas_sgemm_fn *sgemm;
    blas_threads_fn *threads;
} blas;

/* dlsym gives an object pointer where a function pointer is meant */
static void symbol(void *library, const char *name, void *slot)
{
    void *at = dlsym(library, name);

    memcpy(slot, &at, sizeof at);
}

/* the name OpenBLAS has for a machine like this one, or NULL to let it choose */
static const char *core_known(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
#endif
    return NULL;
}

/* whether the library took this machine for one without its vector units */
static int core_missed(void *library)
{
    static const char *const old[] = {"Prescott", "Core2", "Generic", "Unknown"};
    blas_core_fn *core = NULL;

    symbol(library, "openblas_get_corename", &core);
    for (size_t x = 0; core != NULL && x < sizeof old / sizeof *old; x++) {
        if (strcmp(core(), old[x]) == 0)
            return 1;
    }
    return 0;
}

__attribute__((constructor)) static void blas_load(void)
{
    const char *core = core_known();

    blas.library = dlopen(BLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (blas.library != NULL && core != NULL && core_missed(blas.library)) {
        dlclose(blas.library);
        setenv("OPENBLAS_CORETYPE", core, 0);
        blas.library = dlopen(BLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    }
    if (blas.library == NULL || (core != NULL && core_missed(blas.library)))
        return;
    symbol(blas.library, "cblas_sgemm", &blas.sgemm);
    symbol(blas.library, "openblas_set_num_threads", &blas.threads);
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct matmul p;

    if (matmul_bind(&p, dim, buf) < 0 || p.m > INT_MAX || p.n > INT_MAX || p.k > INT_MAX)
        return 1;
    if (blas.sgemm == NULL || blas.threads == NULL)
        return 1;
    blas.threads(threads);
    blas.sgemm(BLAS_ROW_MAJOR, BLAS_NO_TRANS, BLAS_NO_TRANS, (int)p.m, (int)p.n, (int)p.k, 1, p.a,
               (int)p.k, p.b, (int)p.n, 0, p.c, (int)p.n);
    return 0;
}
