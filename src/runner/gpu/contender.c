#include "contender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct library *const libraries[] = {&library_cublas, &library_cudnn};

static const struct library *library_of(const struct contender *c)
{
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++)
        if (strcmp(libraries[i]->name, c->plan->library) == 0)
            return libraries[i];
    return NULL;
}

void contender_refuse(struct contender *c, enum study_status status, const char *fmt, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    c->status = status;
    free(c->why);
    c->why = xstrdup(buf_text(&text));
    buf_release(&text);
}

void contender_open(struct cuda *cuda, const struct study_kernel *kernel,
                    const struct plan_kernel *plan, struct contender *out)
{
    *out = (struct contender){.kernel = kernel, .plan = plan, .cuda = cuda, .choice = -1};
}

static void unload(struct contender *c)
{
    if (c->module)
        c->cuda->cuModuleUnload(c->module);
    c->module = NULL;
    c->object = NULL;
}

/* A module stays for as long as shapes run its object. */
static void load(struct contender *c)
{
    struct cuda *cuda = c->cuda;
    const char *object = c->launch->object, *entry = c->launch->entry;
    CUresult result = CUDA_SUCCESS;
    if (!c->object || strcmp(c->object, object) != 0) {
        unload(c);
        result = cuda->cuModuleLoad(&c->module, object);
        c->object = result == CUDA_SUCCESS ? object : NULL;
    }
    if (result != CUDA_SUCCESS) {
        c->module = NULL;
        contender_refuse(c, STUDY_UNLOADABLE, "%s: the driver answers %s", object,
                         cuda_error_name(cuda, result));
        return;
    }
    result = cuda->cuModuleGetFunction(&c->function, c->module, entry);
    if (result != CUDA_SUCCESS)
        contender_refuse(c, STUDY_UNLOADABLE, "%s has no function called %s", object, entry);
}

void contender_close(struct contender *c)
{
    contender_unbind(c);
    unload(c);
    free(c->why);
    free(c->version);
    *c = (struct contender){0};
}

static CUresult encode_map(struct contender *c, const struct plan_arg *arg, enum study_dtype dtype,
                           const uint64_t *address, void *bytes)
{
    static const CUtensorMapDataType types[] = {CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
                                                CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                                                CU_TENSOR_MAP_DATA_TYPE_FLOAT16};
    static const uint32_t every[PLAN_MAX_RANK] = {1, 1, 1, 1, 1};
    const struct plan_map *m = &arg->map;
    return c->cuda->cuTensorMapEncodeTiled(
        bytes, types[dtype], m->rank, (void *)(uintptr_t)address[arg->buffer],
        (const cuuint64_t *)m->dims, (const cuuint64_t *)m->strides, m->box, every,
        CU_TENSOR_MAP_INTERLEAVE_NONE, (CUtensorMapSwizzle)m->swizzle,
        (CUtensorMapL2promotion)m->promotion, (CUtensorMapFloatOOBfill)m->fill);
}

/* Storage for one argument at the alignment that the driver asks of maps. */
static void *aligned(struct arena *arena, size_t bytes)
{
    uintptr_t at = (uintptr_t)arena_alloc(arena, bytes + 63);
    return (void *)((at + 63) & ~(uintptr_t)63);
}

static CUresult bind_set(struct contender *c, const struct study *study, const struct sets *sets,
                         size_t set)
{
    const struct plan_launch *launch = c->launch;
    uint64_t address[STUDY_MAX_BUFFERS];
    CUresult result = CUDA_SUCCESS;
    sets_addresses(sets, set, address);
    void **params = arena_alloc(&c->arena, (launch->arg_count + 1) * sizeof *params);
    for (size_t i = 0; i < launch->arg_count && result == CUDA_SUCCESS; i++) {
        const struct plan_arg *arg = &launch->args[i];
        params[i] = aligned(&c->arena, arg->bytes);
        if (arg->kind == PLAN_MAP)
            result = encode_map(c, arg, study->dtype[arg->buffer], address, params[i]);
        else
            plan_encode(arg, address, params[i]);
    }
    c->params[set] = params;
    return result;
}

static void bind_kernel(struct contender *c, const struct study *study, const struct sets *sets)
{
    CUresult result = CUDA_SUCCESS;
    load(c);
    if (c->status != STUDY_PASS)
        return;
    if (c->launch->shared_bytes > 0)
        result = c->cuda->cuFuncSetAttribute(c->function,
                                             CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                             (int)c->launch->shared_bytes);
    if (result != CUDA_SUCCESS) {
        contender_refuse(c, STUDY_REFUSED, "%u bytes of shared memory: the driver answers %s",
                         c->launch->shared_bytes, cuda_error_name(c->cuda, result));
        return;
    }
    c->params = arena_alloc(&c->arena, sets->count * sizeof *c->params);
    for (size_t set = 0; set < sets->count && result == CUDA_SUCCESS; set++)
        result = bind_set(c, study, sets, set);
    if (result != CUDA_SUCCESS)
        contender_refuse(c, STUDY_REFUSED, "encoding a map: the driver answers %s",
                         cuda_error_name(c->cuda, result));
}

void contender_bind(struct contender *c, const struct gpu_study *study, size_t shape,
                    const struct sets *sets)
{
    c->launch = &c->plan->launches[shape];
    if (c->status != STUDY_PASS)
        return;
    if (!c->launch->present) {
        c->status = STUDY_UNMEASURED;
        return;
    }
    if (!c->plan->library) {
        bind_kernel(c, &study->study, sets);
        return;
    }
    const struct library *library = library_of(c);
    if (library)
        c->call =
            library->bind(c, &study->study, &study->study.shapes[shape], c->launch->library, sets);
    else
        contender_refuse(c, STUDY_UNAVAILABLE, "no library baseline is called %s",
                         c->plan->library);
}

void contender_unbind(struct contender *c)
{
    if (c->call)
        library_of(c)->release(c->call);
    c->call = NULL;
    c->params = NULL;
    arena_release(&c->arena);
    /* What went wrong on one shape is another matter on the next. */
    if (c->status != STUDY_CRASHED && c->status != STUDY_HUNG)
        c->status = STUDY_PASS;
}

CUresult contender_launch(struct contender *c, size_t set)
{
    if (c->call)
        return library_of(c)->run(c->call, set) == 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
    const struct plan_launch *l = c->launch;
    CUlaunchAttribute attributes[2];
    unsigned count = 0;
    if (l->cluster[0] * l->cluster[1] * l->cluster[2] > 1) {
        CUlaunchAttribute *cluster = &attributes[count++];
        *cluster = (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION};
        cluster->value.clusterDim.x = l->cluster[0];
        cluster->value.clusterDim.y = l->cluster[1];
        cluster->value.clusterDim.z = l->cluster[2];
    }
    if (l->early) {
        CUlaunchAttribute *early = &attributes[count++];
        *early = (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
        early->value.programmaticStreamSerializationAllowed = 1;
    }
    CUlaunchConfig config = {.gridDimX = l->grid[0],
                             .gridDimY = l->grid[1],
                             .gridDimZ = l->grid[2],
                             .blockDimX = l->block[0],
                             .blockDimY = l->block[1],
                             .blockDimZ = l->block[2],
                             .sharedMemBytes = l->shared_bytes,
                             .hStream = c->cuda->stream,
                             .attrs = attributes,
                             .numAttrs = count};
    return c->cuda->cuLaunchKernelEx(&config, c->function, c->params[set], NULL);
}

int64_t library_value(const json_t *values, const char *name, const char **missing)
{
    const json_t *v = json_object_get(values, name);
    if (!json_is_integer(v) && !*missing)
        *missing = name;
    return json_integer_value(v);
}

size_t library_buffer(const json_t *values, const struct study *study, const char *name)
{
    return study_buffer(study, json_text(values, name, name));
}
