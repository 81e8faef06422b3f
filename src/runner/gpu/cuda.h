/* cuda: the driver of one device, found when the program runs.
 *
 * Everything is loaded by name, so that the same binary starts on a machine without CUDA and says
 * so. Only the driver API: candidates are device code and need no more. Who opens it owns the
 * device's primary context in this process; a fault on the device makes that context useless and
 * the process with it, which is why only a worker opens one.
 *
 * Life cycle: cuda_load, cuda_open, any calls, end of the process. */
#ifndef SPAK_RUNNER_GPU_CUDA_H
#define SPAK_RUNNER_GPU_CUDA_H

#include "err.h"
#include <cuda.h>

/* The exit status of a runner that finds no device. */
#define GPU_EXIT_NO_DEVICE 4

#define CUDA_CALLS(X)                                                                              \
    X(cuInit)                                                                                      \
    X(cuDeviceGetCount)                                                                            \
    X(cuDeviceGet)                                                                                 \
    X(cuDeviceGetName)                                                                             \
    X(cuDeviceGetAttribute)                                                                        \
    X(cuDeviceTotalMem)                                                                            \
    X(cuDevicePrimaryCtxRetain)                                                                    \
    X(cuCtxSetCurrent)                                                                             \
    X(cuCtxSynchronize)                                                                            \
    X(cuDriverGetVersion)                                                                          \
    X(cuGetErrorName)                                                                              \
    X(cuMemAlloc)                                                                                  \
    X(cuMemFree)                                                                                   \
    X(cuMemcpyHtoDAsync)                                                                           \
    X(cuMemcpyDtoH)                                                                                \
    X(cuMemsetD8Async)                                                                             \
    X(cuModuleLoad)                                                                                \
    X(cuModuleLoadData)                                                                            \
    X(cuModuleUnload)                                                                              \
    X(cuModuleGetFunction)                                                                         \
    X(cuFuncSetAttribute)                                                                          \
    X(cuLaunchKernel)                                                                              \
    X(cuLaunchKernelEx)                                                                            \
    X(cuStreamCreate)                                                                              \
    X(cuStreamSynchronize)                                                                         \
    X(cuEventCreate)                                                                               \
    X(cuEventDestroy)                                                                              \
    X(cuEventRecord)                                                                               \
    X(cuEventElapsedTime)                                                                          \
    X(cuTensorMapEncodeTiled)

struct cuda {
    void *library;
#define CUDA_CALL(name) __typeof__(name) *name;
    CUDA_CALLS(CUDA_CALL)
#undef CUDA_CALL
    CUdevice device;
    CUstream stream;
    char name[128];
    int driver_version;
    int capability; /* 90 for 9.0 */
    int multiprocessors;
    int shared_bytes; /* that a block may ask for */
    size_t cache_bytes;
    size_t memory_bytes;
    double clock_hz;
};

/* Loads the driver and counts its devices; no driver or no device is ERR_runner_device. */
int cuda_load(struct cuda *cuda, struct err *e);
/* Takes the first device: its context, a stream, what it is. */
int cuda_open(struct cuda *cuda, struct err *e);
const char *cuda_error_name(const struct cuda *cuda, CUresult result);
/* Sets an error for a call of the runner's own that failed; 0 when it did not. */
int cuda_done(const struct cuda *cuda, CUresult result, const char *what, struct err *e);
/* Dense two-byte matrix operations a second at the highest clock: nothing is faster. */
double cuda_peak_flops(const struct cuda *cuda);

/* Opens the first of the names that there is, also under the toolkit's usual folders; NULL: none.
 */
void *cuda_library(const char *const *names);

#endif
