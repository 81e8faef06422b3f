#include "cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int load_calls(struct cuda *cuda, struct err *e)
{
#define CUDA_LOAD(name) CUDA_LOAD_NAMED(name, name)
#define CUDA_LOAD_NAMED(member, symbol)                                                            \
    *(void **)&cuda->member = dlsym(cuda->library, #symbol);                                       \
    if (!cuda->member)                                                                             \
        return err_set(e, ERR_runner_device, "the CUDA driver lacks %s", #symbol);
    CUDA_CALLS(CUDA_LOAD)
#undef CUDA_LOAD_NAMED
#undef CUDA_LOAD
    return 0;
}

int cuda_load(struct cuda *cuda, struct err *e)
{
    int count = 0;
    *cuda = (struct cuda){.library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)};
    if (!cuda->library) {
        err_set(e, ERR_runner_device, "no CUDA driver on this machine: %s", dlerror());
        return err_hint(e, "nothing is measured without a device: run this where there is one");
    }
    if (load_calls(cuda, e) < 0)
        return err_hint(e, "a driver of CUDA 12 or newer is needed");
    CUresult result = cuda->cuInit(0);
    if (result == CUDA_SUCCESS)
        result = cuda->cuDeviceGetCount(&count);
    if (result != CUDA_SUCCESS || count == 0)
        return err_set(e, ERR_runner_device, "the CUDA driver finds no device (%s)",
                       cuda_error_name(cuda, result));
    return 0;
}

const char *cuda_error_name(const struct cuda *cuda, CUresult result)
{
    const char *name = NULL;
    if (cuda->cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
        return "an unknown error";
    return name;
}

int cuda_done(const struct cuda *cuda, CUresult result, const char *what, struct err *e)
{
    if (result == CUDA_SUCCESS)
        return 0;
    return err_set(e, ERR_runner_driver, "%s: the driver answers %s", what,
                   cuda_error_name(cuda, result));
}

static int attribute(const struct cuda *cuda, CUdevice_attribute which)
{
    int value = 0;
    cuda->cuDeviceGetAttribute(&value, which, cuda->device);
    return value;
}

int cuda_open(struct cuda *cuda, struct err *e)
{
    CUcontext context;
    if (cuda_done(cuda, cuda->cuDeviceGet(&cuda->device, 0), "finding the device", e) < 0 ||
        cuda_done(cuda, cuda->cuDevicePrimaryCtxRetain(&context, cuda->device), "making a context",
                  e) < 0 ||
        cuda_done(cuda, cuda->cuCtxSetCurrent(context), "entering the context", e) < 0 ||
        cuda_done(cuda, cuda->cuStreamCreate(&cuda->stream, CU_STREAM_NON_BLOCKING),
                  "making a stream", e) < 0)
        return -1;
    cuda->cuDeviceGetName(cuda->name, sizeof cuda->name, cuda->device);
    cuda->cuDriverGetVersion(&cuda->driver_version);
    cuda->cuDeviceTotalMem(&cuda->memory_bytes, cuda->device);
    cuda->capability = 10 * attribute(cuda, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                       attribute(cuda, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    cuda->multiprocessors = attribute(cuda, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    cuda->shared_bytes = attribute(cuda, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    cuda->cache_bytes = (size_t)attribute(cuda, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
    cuda->clock_hz = 1e3 * attribute(cuda, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
    return 0;
}

/* Operations a clock and multiprocessor on dense two-byte operands. What is not listed gets more
 * than any product has, so that no honest kernel is called impossible. */
static double flops_per_clock(int capability)
{
    static const struct {
        int capability;
        double flops;
    } known[] = {{70, 1024}, {75, 1024}, {80, 2048},  {86, 1024},  {87, 2048},
                 {89, 1024}, {90, 4096}, {100, 8192}, {103, 8192}, {120, 2048}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].capability == capability)
            return known[i].flops;
    return 16384;
}

double cuda_peak_flops(const struct cuda *cuda)
{
    return flops_per_clock(cuda->capability) * cuda->multiprocessors * cuda->clock_hz;
}

void *cuda_library(const char *const *names)
{
    static const char *const folders[] = {"", "/usr/local/cuda/lib64/", "/opt/cuda/lib64/"};
    for (size_t i = 0; names[i]; i++)
        for (size_t k = 0; k < ARRAY_LEN(folders); k++) {
            char path[256];
            snprintf(path, sizeof path, "%s%s", folders[k], names[i]);
            void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            if (library)
                return library;
        }
    return NULL;
}
