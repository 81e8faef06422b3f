#include "sets.h"

#include <math.h>
#include <string.h>

#define ALIGN_BYTES 1024
#define GUARD_BYTES 16384
#define TOOL_THREADS 256

/* device.cu, compiled; the build writes it down as bytes. */
extern const unsigned char device_image[];

/* As device.cu has it. */
struct findings {
    uint64_t unwritten, first_unwritten;
    uint64_t not_finite, first_not_finite;
    uint64_t outside, first_outside;
    uint64_t changed, first_changed;
};

int device_tools_open(struct cuda *cuda, struct device_tools *out, struct err *e)
{
    *out = (struct device_tools){.cuda = cuda};
    if (cuda_done(cuda, cuda->cuModuleLoadData(&out->module, device_image),
                  "loading the runner's own device code", e) < 0)
        return -1;
    const struct {
        const char *name;
        CUfunction *function;
    } functions[] = {{"fill", &out->fill},       {"compare", &out->compare},
                     {"poison", &out->poison},   {"scan", &out->scan},
                     {"guard", &out->guard},     {"gather", &out->gather},
                     {"scatter", &out->scatter}, {"dirty", &out->dirty}};
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (cuda_done(
                cuda,
                cuda->cuModuleGetFunction(functions[i].function, out->module, functions[i].name),
                functions[i].name, e) < 0)
            return -1;
    out->scratch_bytes = cuda->cache_bytes + (1 << 20);
    if (cuda_done(cuda,
                  cuda->cuFuncSetAttribute(out->dirty,
                                           CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                           cuda->shared_bytes),
                  "asking for shared memory", e) < 0 ||
        cuda_done(cuda, cuda->cuMemAlloc(&out->findings, sizeof(struct findings)),
                  "allocating memory", e) < 0)
        return -1;
    return cuda_done(cuda, cuda->cuMemAlloc(&out->scratch, out->scratch_bytes), "allocating memory",
                     e);
}

static CUresult call(const struct device_tools *tools, CUfunction function, uint64_t threads,
                     unsigned shared_bytes, void **args)
{
    uint64_t most = (uint64_t)tools->cuda->multiprocessors * 16;
    uint64_t blocks = (threads + TOOL_THREADS - 1) / TOOL_THREADS;
    blocks = blocks > most ? most : blocks < 1 ? 1 : blocks;
    return tools->cuda->cuLaunchKernel(function, (unsigned)blocks, 1, 1, TOOL_THREADS, 1, 1,
                                       shared_bytes, tools->cuda->stream, args, NULL);
}

CUresult device_put(const struct device_tools *tools, CUdeviceptr to, const void *from,
                    size_t bytes)
{
    struct cuda *cuda = tools->cuda;
    CUresult result = cuda->cuMemcpyHtoDAsync(to, from, bytes, cuda->stream);
    return result == CUDA_SUCCESS ? cuda->cuStreamSynchronize(cuda->stream) : result;
}

static CUresult move(const struct device_tools *tools, CUfunction function, CUdeviceptr buffer,
                     enum study_dtype dtype, CUdeviceptr index, size_t count, CUdeviceptr value)
{
    int type = (int)dtype, n = (int)count;
    void *args[] = {&buffer, &type, &index, &n, &value};
    return call(tools, function, count, 0, args);
}

CUresult device_gather(const struct device_tools *tools, CUdeviceptr buffer, enum study_dtype dtype,
                       CUdeviceptr index, size_t count, CUdeviceptr value)
{
    return move(tools, tools->gather, buffer, dtype, index, count, value);
}

CUresult device_scatter(const struct device_tools *tools, CUdeviceptr buffer,
                        enum study_dtype dtype, CUdeviceptr index, size_t count, CUdeviceptr value)
{
    return move(tools, tools->scatter, buffer, dtype, index, count, value);
}

int device_dirty(const struct device_tools *tools, struct err *e)
{
    struct cuda *cuda = tools->cuda;
    CUdeviceptr scratch = tools->scratch;
    uint64_t words = tools->scratch_bytes / 4;
    int shared_words = cuda->shared_bytes / 4;
    void *args[] = {&scratch, &words, &shared_words};
    CUresult result =
        cuda->cuLaunchKernel(tools->dirty, (unsigned)cuda->multiprocessors, 1, 1, 1024, 1, 1,
                             (unsigned)cuda->shared_bytes, cuda->stream, args, NULL);
    return cuda_done(cuda, result, "dirtying shared memory", e);
}

static size_t layout(const struct study *study, const struct study_shape *shape, size_t *offset,
                     size_t *bytes)
{
    size_t at = GUARD_BYTES;
    for (size_t i = 0; i < study->buffer_count; i++) {
        bytes[i] = shape->elements[i] * study_dtype_bytes(study->dtype[i]);
        offset[i] = at;
        at += bytes[i] + GUARD_BYTES;
        at = (at + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    }
    offset[study->buffer_count] = at;
    return at;
}

size_t sets_bytes(const struct study *study, const struct study_shape *shape)
{
    size_t offset[STUDY_MAX_BUFFERS + 1], bytes[STUDY_MAX_BUFFERS];
    return layout(study, shape, offset, bytes);
}

static CUresult poison(const struct sets *sets, CUdeviceptr at, size_t bytes, uint32_t pattern)
{
    uint64_t halves = bytes / 2;
    void *args[] = {&at, &halves, &pattern};
    return call(sets->tools, sets->tools->poison, halves / 8, 0, args);
}

/* The guarded range after buffer i of a set, or before the first for i = -1. */
static void guarded(const struct sets *sets, size_t set, int i, CUdeviceptr *at, size_t *bytes)
{
    CUdeviceptr base = sets->base + set * sets->stride_bytes;
    size_t from = i < 0 ? 0 : sets->offset[i] + sets->bytes[i];
    *at = base + from;
    *bytes = sets->offset[i + 1] - from;
}

static int draw_guards(const struct sets *sets, struct err *e)
{
    struct cuda *cuda = sets->tools->cuda;
    for (size_t set = 0; set < sets->count; set++)
        for (int i = -1; i < (int)sets->study->buffer_count; i++) {
            CUdeviceptr at;
            size_t bytes;
            guarded(sets, set, i, &at, &bytes);
            if (cuda_done(cuda, poison(sets, at, bytes, sets->guard), "writing guards", e) < 0)
                return -1;
        }
    return 0;
}

int sets_make(const struct device_tools *tools, const struct study *study,
              const struct study_shape *shape, size_t count, uint32_t guard, struct sets *out,
              struct err *e)
{
    *out = (struct sets){
        .tools = tools, .study = study, .shape = shape, .count = count, .guard = guard};
    out->stride_bytes = layout(study, shape, out->offset, out->bytes);
    if (cuda_done(tools->cuda, tools->cuda->cuMemAlloc(&out->base, out->stride_bytes * count),
                  "allocating the buffers of a shape", e) < 0)
        return err_hint(e, "shape `%s` needs %zu bytes for %zu sets of its buffers", shape->name,
                        out->stride_bytes * count, count);
    return draw_guards(out, e);
}

void sets_release(struct sets *sets)
{
    if (sets->base)
        sets->tools->cuda->cuMemFree(sets->base);
    *sets = (struct sets){0};
}

void sets_addresses(const struct sets *sets, size_t set, uint64_t *address)
{
    for (size_t i = 0; i < sets->study->buffer_count; i++)
        address[i] = sets->base + set * sets->stride_bytes + sets->offset[i];
}

/* Distinct for every round, set and buffer. */
static uint64_t buffer_seed(const struct sets *sets, size_t set, size_t buffer)
{
    struct rng rng = {sets->seed + set * STUDY_MAX_BUFFERS + buffer};
    return rng_next(&rng);
}

/* The NaN of a type with so many low bits of payload, in both halves of a word for two-byte types.
 */
static uint32_t poison_of(enum study_dtype dtype, uint32_t payload)
{
    uint32_t half =
        dtype == DTYPE_BF16 ? 0x7fc0u | (1 + payload % 0x3e) : 0x7e00u | (1 + payload % 0x1fe);
    if (dtype == DTYPE_F32)
        return 0x7fc00000u | (1 + payload % 0x3ffffe);
    return half << 16 | half;
}

int sets_prepare(struct sets *sets, size_t count, enum study_fill fill, struct rng *rng,
                 struct err *e)
{
    const struct study *study = sets->study;
    CUresult result = CUDA_SUCCESS;
    sets->seed = rng_next(rng);
    sets->poison = (uint32_t)rng_next(rng);
    sets->fill = fill;
    int how = (int)fill;
    for (size_t set = 0; set < count; set++) {
        uint64_t address[STUDY_MAX_BUFFERS];
        sets_addresses(sets, set, address);
        for (size_t i = 0; i < study->buffer_count && result == CUDA_SUCCESS; i++) {
            uint64_t elements = sets->shape->elements[i], seed = buffer_seed(sets, set, i);
            int dtype = (int)study->dtype[i];
            void *args[] = {&address[i], &elements, &dtype, &seed, &how};
            result = i < study->input_count
                         ? call(sets->tools, sets->tools->fill, elements / 4, 0, args)
                         : poison(sets, address[i], sets->bytes[i],
                                  poison_of(study->dtype[i], sets->poison));
        }
    }
    return cuda_done(sets->tools->cuda, result, "drawing inputs", e);
}

static CUresult look_at_set(struct sets *sets, size_t set, size_t buffer)
{
    const struct study *study = sets->study;
    const struct device_tools *tools = sets->tools;
    CUdeviceptr findings = tools->findings;
    uint64_t address[STUDY_MAX_BUFFERS], elements = sets->shape->elements[buffer];
    int dtype = (int)study->dtype[buffer], how = (int)sets->fill;
    sets_addresses(sets, set, address);
    CUresult result;
    if (buffer < study->input_count) {
        uint64_t seed = buffer_seed(sets, set, buffer);
        void *args[] = {&address[buffer], &elements, &dtype, &seed, &how, &findings};
        result = call(tools, tools->compare, elements / 2, 0, args);
    } else {
        uint32_t pattern = poison_of(study->dtype[buffer], sets->poison);
        void *args[] = {&address[buffer], &elements, &dtype, &pattern, &findings};
        result = call(tools, tools->scan, elements, 0, args);
    }
    for (int i = buffer == 0 ? -1 : (int)buffer; i <= (int)buffer && result == CUDA_SUCCESS; i++) {
        CUdeviceptr at;
        size_t bytes;
        guarded(sets, set, i, &at, &bytes);
        uint64_t halves = bytes / 2;
        uint32_t pattern = sets->guard;
        void *args[] = {&at, &halves, &pattern, &findings};
        result = call(tools, tools->guard, halves, 0, args);
    }
    return result;
}

/* What is worst of what was found. */
static enum study_status conclude(const struct sets *sets, const struct findings *f, size_t buffer,
                                  struct study_fault *fault)
{
    *fault = (struct study_fault){.buffer = sets->study->buffer[buffer], .got = NAN};
    if (f->outside) {
        fault->status = STUDY_OUT_OF_BOUNDS;
        fault->index = f->first_outside;
    } else if (f->changed) {
        fault->status = STUDY_INPUT_WRITTEN;
        fault->index = f->first_changed;
    } else if (f->unwritten) {
        fault->status = STUDY_UNWRITTEN;
        fault->index = f->first_unwritten;
    } else if (f->not_finite) {
        fault->status = STUDY_NOT_FINITE;
        fault->index = f->first_not_finite;
    } else {
        *fault = (struct study_fault){.status = STUDY_PASS};
    }
    return fault->status;
}

int sets_look(struct sets *sets, size_t count, CUresult *result, struct study_fault *fault,
              struct err *e)
{
    struct cuda *cuda = sets->tools->cuda;
    struct findings found;
    const struct findings none = {0, UINT64_MAX, 0, UINT64_MAX, 0, UINT64_MAX, 0, UINT64_MAX};
    *fault = (struct study_fault){.status = STUDY_PASS};
    for (size_t buffer = 0; buffer < sets->study->buffer_count; buffer++) {
        *result = cuda->cuMemcpyHtoDAsync(sets->tools->findings, &none, sizeof none, cuda->stream);
        for (size_t set = 0; set < count && *result == CUDA_SUCCESS; set++)
            *result = look_at_set(sets, set, buffer);
        if (*result == CUDA_SUCCESS)
            *result = cuda->cuStreamSynchronize(cuda->stream);
        if (*result == CUDA_SUCCESS)
            *result = cuda->cuMemcpyDtoH(&found, sets->tools->findings, sizeof found);
        if (*result != CUDA_SUCCESS)
            return 0;
        if (conclude(sets, &found, buffer, fault) == STUDY_OUT_OF_BOUNDS)
            return draw_guards(sets, e);
        if (fault->status != STUDY_PASS)
            return 0;
    }
    return 0;
}
