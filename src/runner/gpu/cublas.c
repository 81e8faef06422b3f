/* The product of two matrices by cuBLASLt, as somebody would call it who looks for its best: the
 * heuristics' first candidates are timed once and the fastest is kept. */
#include "contender.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

#define CUBLAS_CALLS(X)                                                                            \
    X(cublasLtCreate)                                                                              \
    X(cublasLtDestroy)                                                                             \
    X(cublasLtGetVersion)                                                                          \
    X(cublasLtMatmul)                                                                              \
    X(cublasLtMatmulDescCreate)                                                                    \
    X(cublasLtMatmulDescDestroy)                                                                   \
    X(cublasLtMatmulDescSetAttribute)                                                              \
    X(cublasLtMatrixLayoutCreate)                                                                  \
    X(cublasLtMatrixLayoutDestroy)                                                                 \
    X(cublasLtMatmulPreferenceCreate)                                                              \
    X(cublasLtMatmulPreferenceDestroy)                                                             \
    X(cublasLtMatmulPreferenceSetAttribute)                                                        \
    X(cublasLtMatmulAlgoGetHeuristic)

#define WORKSPACE_BYTES ((size_t)64 << 20)
#define ALGORITHMS 8
/* Each algorithm is timed in so many rounds of so long; its best round counts. */
#define ROUNDS 4
#define ROUND_MS 4
#define ROUND_MOST 64

struct library_call {
    struct contender *contender;
    const struct sets *sets;
    void *library;
#define CUBLAS_CALL(name) __typeof__(name) *name;
    CUBLAS_CALLS(CUBLAS_CALL)
#undef CUBLAS_CALL
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulHeuristicResult_t found[ALGORITHMS];
    int found_count, best;
    CUdeviceptr workspace;
    size_t buffer[3]; /* a, b, c */
};

static int load(struct library_call *call)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", NULL};
    call->library = cuda_library(names);
    if (!call->library)
        return -1;
#define CUBLAS_LOAD(name)                                                                          \
    *(void **)&call->name = dlsym(call->library, #name);                                           \
    if (!call->name)                                                                               \
        return -1;
    CUBLAS_CALLS(CUBLAS_LOAD)
#undef CUBLAS_LOAD
    return call->cublasLtCreate(&call->handle) == CUBLAS_STATUS_SUCCESS ? 0 : -1;
}

static cudaDataType_t type_of(enum study_dtype dtype)
{
    return dtype == DTYPE_F32 ? CUDA_R_32F : dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

/* The library counts columns first, so it is asked for C' = B' A'. */
static int describe(struct library_call *call, const struct study *study, uint64_t m, uint64_t n,
                    uint64_t k, bool b_across)
{
    cublasOperation_t turned = CUBLAS_OP_T, plain = CUBLAS_OP_N;
    cudaDataType_t type[3];
    for (int i = 0; i < 3; i++)
        type[i] = type_of(study->dtype[call->buffer[i]]);
    if (call->cublasLtMatmulDescCreate(&call->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F) ||
        call->cublasLtMatmulDescSetAttribute(call->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                             b_across ? &plain : &turned, sizeof turned) ||
        call->cublasLtMatmulDescSetAttribute(call->operation, CUBLASLT_MATMUL_DESC_TRANSB, &plain,
                                             sizeof plain))
        return -1;
    if (call->cublasLtMatrixLayoutCreate(&call->b, type[1], b_across ? n : k, b_across ? k : n,
                                         (int64_t)(b_across ? n : k)) ||
        call->cublasLtMatrixLayoutCreate(&call->a, type[0], k, m, (int64_t)k) ||
        call->cublasLtMatrixLayoutCreate(&call->c, type[2], n, m, (int64_t)n))
        return -1;
    return 0;
}

static int ask_heuristics(struct library_call *call)
{
    cublasLtMatmulPreference_t wish = NULL;
    size_t bytes = WORKSPACE_BYTES;
    int rc = -1;
    if (call->cublasLtMatmulPreferenceCreate(&wish) == CUBLAS_STATUS_SUCCESS &&
        call->cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                   &bytes, sizeof bytes) == CUBLAS_STATUS_SUCCESS &&
        call->cublasLtMatmulAlgoGetHeuristic(call->handle, call->operation, call->b, call->a,
                                             call->c, call->c, wish, ALGORITHMS, call->found,
                                             &call->found_count) == CUBLAS_STATUS_SUCCESS &&
        call->found_count > 0)
        rc = 0;
    if (wish)
        call->cublasLtMatmulPreferenceDestroy(wish);
    return rc;
}

static int run(struct library_call *call, size_t set)
{
    uint64_t address[STUDY_MAX_BUFFERS];
    float one = 1, zero = 0;
    sets_addresses(call->sets, set, address);
    void *c = (void *)(uintptr_t)address[call->buffer[2]];
    return (int)call->cublasLtMatmul(
        call->handle, call->operation, &one, (void *)(uintptr_t)address[call->buffer[1]], call->b,
        (void *)(uintptr_t)address[call->buffer[0]], call->a, &zero, c, call->c, c, call->c,
        &call->found[call->best].algo, (void *)(uintptr_t)call->workspace, WORKSPACE_BYTES,
        (cudaStream_t)call->contender->cuda->stream);
}

/* The time of `count` launches by events; one that is not timed goes before. */
static double time_launches(struct library_call *call, const CUevent *event, size_t count)
{
    struct cuda *cuda = call->contender->cuda;
    float ms = INFINITY;
    int failed = run(call, 0);
    cuda->cuEventRecord(event[0], cuda->stream);
    for (size_t i = 0; i < count; i++)
        failed |= run(call, i % call->sets->count);
    cuda->cuEventRecord(event[1], cuda->stream);
    if (cuda->cuStreamSynchronize(cuda->stream) != CUDA_SUCCESS || failed ||
        cuda->cuEventElapsedTime(&ms, event[0], event[1]) != CUDA_SUCCESS)
        return INFINITY;
    return ms / (double)count;
}

/* The algorithms take turns, so that a clock which moves moves for all of them. */
static void choose(struct library_call *call)
{
    struct cuda *cuda = call->contender->cuda;
    CUevent event[2];
    double best[ALGORITHMS], all = INFINITY;
    size_t count[ALGORITHMS];
    if (cuda->cuEventCreate(&event[0], 0) || cuda->cuEventCreate(&event[1], 0))
        return;
    for (call->best = 0; call->best < call->found_count; call->best++) {
        double fit = ROUND_MS / time_launches(call, event, 1) + 1;
        count[call->best] = fit > ROUND_MOST ? ROUND_MOST : (size_t)fit;
        best[call->best] = INFINITY;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (call->best = 0; call->best < call->found_count; call->best++) {
            double ms = time_launches(call, event, count[call->best]);
            best[call->best] = ms < best[call->best] ? ms : best[call->best];
        }
    for (int i = 0; i < call->found_count; i++)
        if (best[i] < all) {
            all = best[i];
            call->contender->choice = i;
        }
    cuda->cuEventDestroy(event[0]);
    cuda->cuEventDestroy(event[1]);
}

static void release(struct library_call *call)
{
    if (call->workspace)
        call->contender->cuda->cuMemFree(call->workspace);
    cublasLtMatrixLayout_t layouts[] = {call->a, call->b, call->c};
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
        if (layouts[i])
            call->cublasLtMatrixLayoutDestroy(layouts[i]);
    if (call->operation)
        call->cublasLtMatmulDescDestroy(call->operation);
    if (call->handle)
        call->cublasLtDestroy(call->handle);
    free(call);
}

static void say_version(struct library_call *call)
{
    size_t v = call->cublasLtGetVersion();
    struct buf text = {0};
    buf_addf(&text, "cuBLASLt %zu, algorithm %d of %d", v, call->best + 1, call->found_count);
    free(call->contender->version);
    call->contender->version = xstrdup(buf_text(&text));
    buf_release(&text);
}

static struct library_call *bind(struct contender *c, const struct study *study,
                                 const struct study_shape *shape, const json_t *values,
                                 const struct sets *sets)
{
    static const char *const operands[] = {"a", "b", "c"};
    const char *missing = NULL;
    int64_t m = library_value(values, "m", &missing), n = library_value(values, "n", &missing),
            k = library_value(values, "k", &missing),
            b_layout = library_value(values, "b_layout", &missing);
    struct library_call *call = xcalloc(1, sizeof *call);
    call->contender = c;
    call->sets = sets;
    for (int i = 0; i < 3; i++) {
        call->buffer[i] = library_buffer(values, study, operands[i]);
        if (call->buffer[i] == study->buffer_count && !missing)
            missing = operands[i];
    }
    if (missing) {
        contender_refuse(c, STUDY_UNAVAILABLE, "cublas_gemm needs `%s` on shape `%s`", missing,
                         shape->name);
        goto fail;
    }
    if (load(call) < 0) {
        contender_refuse(c, STUDY_UNAVAILABLE, "no cuBLASLt on this machine that starts");
        goto fail;
    }
    if (describe(call, study, (uint64_t)m, (uint64_t)n, (uint64_t)k, b_layout == 1) < 0 ||
        ask_heuristics(call) < 0 ||
        c->cuda->cuMemAlloc(&call->workspace, WORKSPACE_BYTES) != CUDA_SUCCESS) {
        contender_refuse(c, STUDY_UNAVAILABLE, "cuBLASLt knows no algorithm for this product");
        goto fail;
    }
    if (c->choice < 0 || c->choice >= call->found_count)
        choose(call);
    call->best = c->choice < 0 ? 0 : c->choice;
    say_version(call);
    return call;
fail:
    release(call);
    return NULL;
}

const struct library library_cublas = {"cublas_gemm", bind, run, release};
