/* sets: the buffers of one shape on the device, several times over.
 *
 * A set is one buffer of each kind, with guarded bytes around every one. Inputs are drawn by
 * counter from a seed of the set and buffer, so that each launch has inputs never seen before;
 * outputs hold NaN of a random payload before a launch. Everything is queued on the device's stream
 * and nothing waits, except for sets_look.
 *
 * Life cycle: device_tools_open once; sets_make, any number of rounds of sets_prepare, launches and
 * sets_look, sets_release. */
#ifndef SPAK_RUNNER_GPU_SETS_H
#define SPAK_RUNNER_GPU_SETS_H

#include "../study.h"
#include "cuda.h"

/* The functions of device.cu. */
struct device_tools {
    struct cuda *cuda;
    CUmodule module;
    CUfunction fill, compare, poison, scan, guard, gather, scatter, dirty;
    CUdeviceptr findings; /* what the looks found, read by sets_look */
    CUdeviceptr scratch;  /* as large as the cache */
    size_t scratch_bytes;
};
int device_tools_open(struct cuda *cuda, struct device_tools *out, struct err *e);
/* Copies to the device and waits. */
CUresult device_put(const struct device_tools *tools, CUdeviceptr to, const void *from,
                    size_t bytes);
/* The elements of a buffer at `index` as doubles, and doubles as elements; everything lies on the
 * device. */
CUresult device_gather(const struct device_tools *tools, CUdeviceptr buffer, enum study_dtype dtype,
                       CUdeviceptr index, size_t count, CUdeviceptr value);
CUresult device_scatter(const struct device_tools *tools, CUdeviceptr buffer,
                        enum study_dtype dtype, CUdeviceptr index, size_t count, CUdeviceptr value);
/* Leaves NaN in every multiprocessor's shared memory and in the cache. */
int device_dirty(const struct device_tools *tools, struct err *e);

struct sets {
    const struct device_tools *tools;
    const struct study *study;
    const struct study_shape *shape;
    size_t count;
    CUdeviceptr base;
    size_t stride_bytes;
    size_t offset[STUDY_MAX_BUFFERS + 1]; /* of each buffer in a set; the last is the set's end */
    size_t bytes[STUDY_MAX_BUFFERS];
    uint32_t guard;  /* the pattern around the buffers */
    uint32_t poison; /* of this round, in two halves */
    uint64_t seed;   /* of this round */
    enum study_fill fill;
};
/* The bytes that one set takes. */
size_t sets_bytes(const struct study *study, const struct study_shape *shape);
int sets_make(const struct device_tools *tools, const struct study *study,
              const struct study_shape *shape, size_t count, uint32_t guard, struct sets *out,
              struct err *e);
void sets_release(struct sets *sets);
/* The address of every buffer of a set. */
void sets_addresses(const struct sets *sets, size_t set, uint64_t *address);
/* Fresh inputs and poisoned outputs in the first `count` sets. */
int sets_prepare(struct sets *sets, size_t count, enum study_fill fill, struct rng *rng,
                 struct err *e);
/* Looks at the first `count` sets after their launches: poison left, no number, guards touched,
 * inputs changed. A fault of the device shows here: then *result says which and 0 is returned. */
int sets_look(struct sets *sets, size_t count, CUresult *result, struct study_fault *fault,
              struct err *e);

#endif
