/* Attention forward by cuDNN: the graph of operations that its fused attention engines recognise,
 * through its C interface, with the engine that its heuristics put first. */
#include "contender.h"

/* Toolkits come without cuDNN; then this baseline is not there, and the rest is. */
#if __has_include(<cudnn.h>)
#include <cudnn.h>
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CUDNN_CALLS(X)                                                                             \
    X(cudnnCreate)                                                                                 \
    X(cudnnDestroy)                                                                                \
    X(cudnnSetStream)                                                                              \
    X(cudnnGetVersion)                                                                             \
    X(cudnnGetErrorString)                                                                         \
    X(cudnnBackendCreateDescriptor)                                                                \
    X(cudnnBackendDestroyDescriptor)                                                               \
    X(cudnnBackendSetAttribute)                                                                    \
    X(cudnnBackendGetAttribute)                                                                    \
    X(cudnnBackendFinalize)                                                                        \
    X(cudnnBackendExecute)

#define MAX_DESCRIPTORS 96
#define MAX_OPERATIONS 24
#define MAX_CONFIGS 8

/* The numbers of the tensors that memory is given for. */
enum { UID_Q = 1, UID_K, UID_V, UID_O, UID_LSE, UID_SCALE, UID_LOWEST, UID_SHIFT, UID_VIRTUAL };

struct library_call {
    struct contender *contender;
    void *library;
#define CUDNN_CALL(name) __typeof__(name) *name;
    CUDNN_CALLS(CUDNN_CALL)
#undef CUDNN_CALL
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t owned[MAX_DESCRIPTORS];
    size_t owned_count;
    cudnnBackendDescriptor_t operation[MAX_OPERATIONS];
    size_t operation_count;
    cudnnBackendDescriptor_t plan, *packs;
    size_t pack_count;
    CUdeviceptr workspace;
    int64_t next_uid;
    float scale, lowest;
    int32_t shift;
    cudnnStatus_t status; /* the first that was no success */
    const char *step;     /* what was being done then */
};

struct sdpa {
    int64_t b, hq, hkv, sq, skv, d, causal;
};

static void done(struct library_call *call, cudnnStatus_t status, const char *step)
{
    if (status != CUDNN_STATUS_SUCCESS && call->status == CUDNN_STATUS_SUCCESS) {
        call->status = status;
        call->step = step;
    }
}

static cudnnBackendDescriptor_t make(struct library_call *call, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (call->owned_count == MAX_DESCRIPTORS)
        BUG("the attention graph needs more than %d descriptors", MAX_DESCRIPTORS);
    done(call, call->cudnnBackendCreateDescriptor(type, &d), "making a descriptor");
    call->owned[call->owned_count++] = d;
    return d;
}

static void set(struct library_call *call, cudnnBackendDescriptor_t d,
                cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                const void *value)
{
    if (call->status == CUDNN_STATUS_SUCCESS)
        done(call, call->cudnnBackendSetAttribute(d, name, type, count, value),
             "setting an attribute");
}

static void set_descriptor(struct library_call *call, cudnnBackendDescriptor_t d,
                           cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
    set(call, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finish(struct library_call *call, cudnnBackendDescriptor_t d, const char *step)
{
    if (call->status == CUDNN_STATUS_SUCCESS)
        done(call, call->cudnnBackendFinalize(d), step);
}

enum kept { KEPT_VIRTUAL, KEPT_MEMORY, KEPT_VALUE };

static cudnnBackendDescriptor_t tensor(struct library_call *call, int64_t uid, cudnnDataType_t type,
                                       const int64_t *dims, const int64_t *strides, enum kept kept)
{
    cudnnBackendDescriptor_t t = make(call, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t align = type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_INT32 ? 4 : 16;
    bool is_virtual = kept == KEPT_VIRTUAL, by_value = kept == KEPT_VALUE;
    set(call, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(call, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(call, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(call, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(call, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    set(call, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    set(call, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    finish(call, t, "describing a tensor");
    return t;
}

static cudnnBackendDescriptor_t scalar(struct library_call *call, int64_t uid, cudnnDataType_t type)
{
    static const int64_t one[4] = {1, 1, 1, 1};
    return tensor(call, uid, type, one, one, KEPT_VALUE);
}

/* A tensor between operations, of one row of `width` for each query. */
static cudnnBackendDescriptor_t between(struct library_call *call, const struct sdpa *s,
                                        cudnnDataType_t type, int64_t width)
{
    int64_t dims[4] = {s->b, s->hq, s->sq, width};
    int64_t strides[4] = {s->hq * s->sq * width, s->sq * width, width, 1};
    return tensor(call, call->next_uid++, type, dims, strides, KEPT_VIRTUAL);
}

static void add(struct library_call *call, cudnnBackendDescriptor_t operation, const char *step)
{
    finish(call, operation, step);
    if (call->operation_count == MAX_OPERATIONS)
        BUG("the attention graph has more than %d operations", MAX_OPERATIONS);
    call->operation[call->operation_count++] = operation;
}

static void matmul(struct library_call *call, cudnnBackendDescriptor_t a,
                   cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t c)
{
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t how = make(call, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    set(call, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finish(call, how, "describing a product");
    cudnnBackendDescriptor_t op = make(call, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    add(call, op, "adding a product");
}

struct pointwise {
    cudnnPointwiseMode_t mode;
    cudnnDataType_t compute;
    int64_t axis; /* of an index, else -1 */
    cudnnBackendDescriptor_t x, b, t, y;
};

static void pointwise(struct library_call *call, struct pointwise p)
{
    cudnnBackendDescriptor_t how = make(call, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(call, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &p.mode);
    set(call, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &p.compute);
    if (p.axis >= 0)
        set(call, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &p.axis);
    finish(call, how, "describing an operation on elements");
    cudnnBackendDescriptor_t op = make(call, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, p.x);
    if (p.b)
        set_descriptor(call, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, p.b);
    if (p.t)
        set_descriptor(call, op, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, p.t);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, p.y);
    add(call, op, "adding an operation on elements");
}

static void reduce(struct library_call *call, cudnnReduceTensorOp_t mode,
                   cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y)
{
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t how = make(call, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    set(call, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &mode);
    set(call, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finish(call, how, "describing a reduction");
    cudnnBackendDescriptor_t op = make(call, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_descriptor(call, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
    add(call, op, "adding a reduction");
}

/* Keeps scores with row + Skv - Sq >= column. */
static cudnnBackendDescriptor_t mask(struct library_call *call, const struct sdpa *s,
                                     cudnnBackendDescriptor_t scores)
{
    cudnnBackendDescriptor_t row = between(call, s, CUDNN_DATA_INT32, s->skv),
                             column = between(call, s, CUDNN_DATA_INT32, s->skv),
                             seen = between(call, s, CUDNN_DATA_BOOLEAN, s->skv),
                             out = between(call, s, CUDNN_DATA_FLOAT, s->skv);
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, 2, scores, NULL,
                                       NULL, row});
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, 3, scores, NULL,
                                       NULL, column});
    if (s->skv != s->sq) {
        cudnnBackendDescriptor_t moved = between(call, s, CUDNN_DATA_INT32, s->skv);
        pointwise(call, (struct pointwise){CUDNN_POINTWISE_ADD, CUDNN_DATA_INT32, -1, row,
                                           scalar(call, UID_SHIFT, CUDNN_DATA_INT32), NULL, moved});
        row = moved;
    }
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, -1, row, column,
                                       NULL, seen});
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, -1, scores,
                                       scalar(call, UID_LOWEST, CUDNN_DATA_FLOAT), seen, out});
    return out;
}

/* Weights of the io type from scores, and the logarithm of each row's normaliser. */
static cudnnBackendDescriptor_t softmax(struct library_call *call, const struct sdpa *s,
                                        cudnnBackendDescriptor_t scores, cudnnDataType_t io)
{
    int64_t dims[4] = {s->b, s->hq, s->sq, 1}, strides[4] = {s->hq * s->sq, s->sq, 1, 1};
    cudnnBackendDescriptor_t top = between(call, s, CUDNN_DATA_FLOAT, 1),
                             below = between(call, s, CUDNN_DATA_FLOAT, s->skv),
                             power = between(call, s, CUDNN_DATA_FLOAT, s->skv),
                             sum = between(call, s, CUDNN_DATA_FLOAT, 1),
                             log = between(call, s, CUDNN_DATA_FLOAT, 1),
                             lse = tensor(call, UID_LSE, CUDNN_DATA_FLOAT, dims, strides,
                                          KEPT_MEMORY),
                             weights = between(call, s, io, s->skv);
    reduce(call, CUDNN_REDUCE_TENSOR_MAX, scores, top);
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_SUB, CUDNN_DATA_FLOAT, -1, scores, top, NULL,
                                       below});
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_EXP, CUDNN_DATA_FLOAT, -1, below, NULL, NULL,
                                       power});
    reduce(call, CUDNN_REDUCE_TENSOR_ADD, power, sum);
    pointwise(call,
              (struct pointwise){CUDNN_POINTWISE_LOG, CUDNN_DATA_FLOAT, -1, sum, NULL, NULL, log});
    pointwise(call,
              (struct pointwise){CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, -1, top, log, NULL, lse});
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_DIV, CUDNN_DATA_FLOAT, -1, power, sum, NULL,
                                       weights});
    return weights;
}

static void build(struct library_call *call, const struct sdpa *s, cudnnDataType_t io)
{
    int64_t q_dims[4] = {s->b, s->hq, s->sq, s->d},
            q_strides[4] = {s->sq * s->hq * s->d, s->d, s->hq * s->d, 1};
    int64_t k_dims[4] = {s->b, s->hkv, s->d, s->skv},
            k_strides[4] = {s->skv * s->hkv * s->d, s->d, 1, s->hkv * s->d};
    int64_t v_dims[4] = {s->b, s->hkv, s->skv, s->d},
            v_strides[4] = {s->skv * s->hkv * s->d, s->d, s->hkv * s->d, 1};
    cudnnBackendDescriptor_t q = tensor(call, UID_Q, io, q_dims, q_strides, KEPT_MEMORY),
                             k = tensor(call, UID_K, io, k_dims, k_strides, KEPT_MEMORY),
                             v = tensor(call, UID_V, io, v_dims, v_strides, KEPT_MEMORY),
                             o = tensor(call, UID_O, io, q_dims, q_strides, KEPT_MEMORY);
    cudnnBackendDescriptor_t raw = between(call, s, CUDNN_DATA_FLOAT, s->skv),
                             scores = between(call, s, CUDNN_DATA_FLOAT, s->skv);
    matmul(call, q, k, raw);
    pointwise(call, (struct pointwise){CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, -1, raw,
                                       scalar(call, UID_SCALE, CUDNN_DATA_FLOAT), NULL, scores});
    if (s->causal)
        scores = mask(call, s, scores);
    matmul(call, softmax(call, s, scores, io), v, o);
}

/* The first engine of the heuristics that makes a plan. */
static void make_plan(struct library_call *call)
{
    cudnnBackendDescriptor_t graph = make(call, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(call, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
        (int64_t)call->operation_count, call->operation);
    set(call, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &call->handle);
    finish(call, graph, "joining the operations");
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    cudnnBackendDescriptor_t heuristics = make(call, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_descriptor(call, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(call, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finish(call, heuristics, "asking the heuristics");
    if (call->status != CUDNN_STATUS_SUCCESS)
        return;
    cudnnBackendDescriptor_t config[MAX_CONFIGS];
    int64_t found = 0;
    for (int i = 0; i < MAX_CONFIGS; i++)
        config[i] = make(call, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    done(call,
         call->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_CONFIGS, &found, config),
         "reading the heuristics");
    cudnnStatus_t last = CUDNN_STATUS_NOT_SUPPORTED;
    for (int64_t i = 0; i < found && i < MAX_CONFIGS && !call->plan; i++) {
        cudnnBackendDescriptor_t plan = make(call, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set(call, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &call->handle);
        set_descriptor(call, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config[i]);
        if (call->status == CUDNN_STATUS_SUCCESS)
            last = call->cudnnBackendFinalize(plan);
        if (last == CUDNN_STATUS_SUCCESS)
            call->plan = plan;
    }
    done(call, call->plan ? CUDNN_STATUS_SUCCESS : last, "making a plan");
}

static void make_workspace(struct library_call *call)
{
    int64_t bytes = 0, count = 0;
    if (call->status != CUDNN_STATUS_SUCCESS)
        return;
    done(call,
         call->cudnnBackendGetAttribute(call->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                        CUDNN_TYPE_INT64, 1, &count, &bytes),
         "asking for the workspace");
    if (bytes > 0 &&
        call->contender->cuda->cuMemAlloc(&call->workspace, (size_t)bytes) != CUDA_SUCCESS)
        done(call, CUDNN_STATUS_ALLOC_FAILED, "allocating the workspace");
}

/* The addresses of one set, as the library takes them. */
static void make_pack(struct library_call *call, const uint64_t *address, const size_t *buffer,
                      bool causal, bool shifted)
{
    int64_t uid[8] = {UID_Q, UID_K, UID_V, UID_O, UID_LSE, UID_SCALE};
    void *at[8];
    int64_t count = 6;
    for (int i = 0; i < 5; i++)
        at[i] = (void *)(uintptr_t)address[buffer[i]];
    at[5] = &call->scale;
    if (causal) {
        uid[count] = UID_LOWEST;
        at[count++] = &call->lowest;
    }
    if (causal && shifted) {
        uid[count] = UID_SHIFT;
        at[count++] = &call->shift;
    }
    void *workspace = (void *)(uintptr_t)call->workspace;
    cudnnBackendDescriptor_t pack = NULL;
    done(call, call->cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack),
         "making a pack");
    call->packs[call->pack_count++] = pack;
    set(call, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uid);
    set(call, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, at);
    set(call, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finish(call, pack, "packing addresses");
}

static int run(struct library_call *call, size_t set_index)
{
    return (int)call->cudnnBackendExecute(call->handle, call->plan, call->packs[set_index]);
}

static void release(struct library_call *call)
{
    for (size_t i = 0; i < call->pack_count; i++)
        call->cudnnBackendDestroyDescriptor(call->packs[i]);
    while (call->owned_count > 0)
        call->cudnnBackendDestroyDescriptor(call->owned[--call->owned_count]);
    if (call->workspace)
        call->contender->cuda->cuMemFree(call->workspace);
    if (call->handle)
        call->cudnnDestroy(call->handle);
    free(call->packs);
    free(call);
}

static int load(struct library_call *call)
{
    static const char *const names[] = {"libcudnn.so.9", NULL};
    call->library = cuda_library(names);
    if (!call->library)
        return -1;
#define CUDNN_LOAD(name)                                                                           \
    *(void **)&call->name = dlsym(call->library, #name);                                           \
    if (!call->name)                                                                               \
        return -1;
    CUDNN_CALLS(CUDNN_LOAD)
#undef CUDNN_LOAD
    if (call->cudnnCreate(&call->handle) != CUDNN_STATUS_SUCCESS)
        return -1;
    return call->cudnnSetStream(call->handle, (cudaStream_t)call->contender->cuda->stream) ==
                   CUDNN_STATUS_SUCCESS
               ? 0
               : -1;
}

static const char *read_values(const json_t *values, const struct study *study, struct sdpa *s,
                               size_t *buffer)
{
    static const char *const operands[] = {"q", "k", "v", "o", "lse"};
    const char *missing = NULL;
    s->b = library_value(values, "b", &missing);
    s->hq = library_value(values, "hq", &missing);
    s->hkv = library_value(values, "hkv", &missing);
    s->sq = library_value(values, "sq", &missing);
    s->skv = library_value(values, "skv", &missing);
    s->d = library_value(values, "d", &missing);
    s->causal = library_value(values, "causal", &missing);
    for (int i = 0; i < 5; i++) {
        buffer[i] = library_buffer(values, study, operands[i]);
        if (buffer[i] == study->buffer_count && !missing)
            missing = operands[i];
    }
    return missing;
}

static void prepare(struct library_call *call, const struct sdpa *s, const struct study *study,
                    const size_t *buffer, const struct sets *sets)
{
    call->next_uid = UID_VIRTUAL;
    call->scale = (float)(1 / sqrt((double)s->d));
    call->lowest = -FLT_MAX;
    call->shift = (int32_t)(s->skv - s->sq);
    call->packs = xcalloc(sets->count, sizeof *call->packs);
    build(call, s, study->dtype[buffer[0]] == DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF);
    make_plan(call);
    make_workspace(call);
    for (size_t i = 0; i < sets->count && call->status == CUDNN_STATUS_SUCCESS; i++) {
        uint64_t address[STUDY_MAX_BUFFERS];
        sets_addresses(sets, i, address);
        make_pack(call, address, buffer, s->causal != 0, s->sq != s->skv);
    }
}

static struct library_call *bind(struct contender *c, const struct study *study,
                                 const struct study_shape *shape, const json_t *values,
                                 const struct sets *sets)
{
    struct library_call *call = xcalloc(1, sizeof *call);
    struct sdpa s;
    size_t buffer[5];
    call->contender = c;
    const char *missing = read_values(values, study, &s, buffer);
    if (missing) {
        contender_refuse(c, STUDY_UNAVAILABLE, "cudnn_sdpa needs `%s` on shape `%s`", missing,
                         shape->name);
        goto fail;
    }
    if (load(call) < 0) {
        contender_refuse(c, STUDY_UNAVAILABLE, "no cuDNN 9 on this machine that starts");
        goto fail;
    }
    prepare(call, &s, study, buffer, sets);
    if (call->status != CUDNN_STATUS_SUCCESS) {
        contender_refuse(c, STUDY_UNAVAILABLE, "cuDNN %zu, %s: %s", call->cudnnGetVersion(),
                         call->step, call->cudnnGetErrorString(call->status));
        goto fail;
    }
    struct buf text = {0};
    buf_addf(&text, "cuDNN %zu", call->cudnnGetVersion());
    free(c->version);
    c->version = xstrdup(buf_text(&text));
    buf_release(&text);
    return call;
fail:
    release(call);
    return NULL;
}

#else
static struct library_call *bind(struct contender *c, const struct study *study,
                                 const struct study_shape *shape, const json_t *values,
                                 const struct sets *sets)
{
    (void)study, (void)shape, (void)values, (void)sets;
    contender_refuse(c, STUDY_UNAVAILABLE, "this spak-gpu was built without cuDNN's headers");
    return NULL;
}

static int run(struct library_call *call, size_t set)
{
    (void)call, (void)set;
    return -1;
}

static void release(struct library_call *call)
{
    (void)call;
}
#endif

const struct library library_cudnn = {"cudnn_sdpa", bind, run, release};
