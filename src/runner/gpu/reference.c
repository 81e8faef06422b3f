#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 128

int reference_open(const struct device_tools *tools, const char *object, struct reference *out,
                   struct err *e)
{
    struct cuda *cuda = tools->cuda;
    CUmodule module;
    *out = (struct reference){.tools = tools};
    CUresult result = cuda->cuModuleLoad(&module, object);
    if (result == CUDA_SUCCESS)
        result = cuda->cuModuleGetFunction(&out->at, module, "reference_at");
    if (result != CUDA_SUCCESS) {
        err_set(e, ERR_runner_reference, "%s: the driver answers %s", object,
                cuda_error_name(cuda, result));
        return err_hint(e,
                        "on a device a study's reference is a cubin that exports `reference_at`");
    }
    const struct {
        CUdeviceptr *at;
        size_t bytes;
    } memory[] = {{&out->dims, STUDY_MAX_DIMS * 8},        {&out->inputs, STUDY_MAX_BUFFERS * 8},
                  {&out->index, REFERENCE_MAX_PROBES * 8}, {&out->value, REFERENCE_MAX_PROBES * 8},
                  {&out->scale, REFERENCE_MAX_PROBES * 8}, {&out->got, REFERENCE_MAX_PROBES * 8}};
    for (size_t i = 0; i < ARRAY_LEN(memory); i++)
        if (cuda_done(cuda, cuda->cuMemAlloc(memory[i].at, memory[i].bytes), "allocating memory",
                      e) < 0)
            return -1;
    return 0;
}

CUresult reference_values(const struct reference *r, const struct sets *sets,
                          const uint64_t *address, size_t output, const int64_t *index,
                          size_t count)
{
    const struct device_tools *tools = r->tools;
    struct cuda *cuda = tools->cuda;
    CUresult result = device_put(tools, r->dims, sets->shape->dim, sizeof sets->shape->dim);
    if (result == CUDA_SUCCESS)
        result = device_put(tools, r->inputs, address, sets->study->input_count * sizeof *address);
    if (result == CUDA_SUCCESS)
        result = device_put(tools, r->index, index, count * sizeof *index);
    CUdeviceptr dims = r->dims, inputs = r->inputs, at = r->index, to = r->value, size = r->scale;
    int n = (int)count, which = (int)output;
    void *args[] = {&dims, &inputs, &at, &n, &which, &to, &size};
    if (result != CUDA_SUCCESS)
        return result;
    return cuda->cuLaunchKernel(r->at, (unsigned)count, 1, 1, THREADS, 1, 1, 0, cuda->stream, args,
                                NULL);
}

CUresult reference_fetch(const struct reference *r, const struct sets *sets,
                         const uint64_t *address, size_t output, const int64_t *index, size_t count,
                         double *value, double *scale)
{
    struct cuda *cuda = r->tools->cuda;
    CUresult result = reference_values(r, sets, address, output, index, count);
    if (result == CUDA_SUCCESS)
        result = cuda->cuStreamSynchronize(cuda->stream);
    if (result == CUDA_SUCCESS)
        result = cuda->cuMemcpyDtoH(value, r->value, count * sizeof *value);
    if (result == CUDA_SUCCESS)
        result = cuda->cuMemcpyDtoH(scale, r->scale, count * sizeof *scale);
    return result;
}

/* Values, scales and what the kernel left, for the elements at `index`. */
static CUresult compute(const struct reference *r, const struct sets *sets, size_t set,
                        size_t output, const int64_t *index, size_t count, double *value,
                        double *scale, double *got)
{
    struct cuda *cuda = r->tools->cuda;
    uint64_t address[STUDY_MAX_BUFFERS];
    size_t buffer = sets->study->input_count + output;
    sets_addresses(sets, set, address);
    CUresult result = reference_fetch(r, sets, address, output, index, count, value, scale);
    if (result == CUDA_SUCCESS)
        result = device_gather(r->tools, address[buffer], sets->study->dtype[buffer], r->index,
                               count, r->got);
    if (result == CUDA_SUCCESS)
        result = cuda->cuStreamSynchronize(cuda->stream);
    if (result == CUDA_SUCCESS)
        result = cuda->cuMemcpyDtoH(got, r->got, count * sizeof *got);
    return result;
}

static void judge(const struct study *study, size_t buffer, bool exact, const int64_t *index,
                  size_t count, const double *value, const double *scale, const double *got,
                  double *worst, struct study_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        double allowed;
        bool good = study_accepts(study->dtype[buffer], exact, study->bound, got[i], value[i],
                                  scale[i], &allowed);
        double share = allowed > 0 ? fabs(got[i] - value[i]) / allowed : 0;
        if (isfinite(share) && share > *worst)
            *worst = share;
        if (good)
            continue;
        *fault = (struct study_fault){.status = STUDY_WRONG,
                                      .buffer = study->buffer[buffer],
                                      .index = (size_t)index[i],
                                      .got = got[i],
                                      .want = value[i],
                                      .allowed = allowed};
        return;
    }
}

CUresult reference_judge(const struct reference *r, const struct sets *sets, size_t set, bool exact,
                         size_t probes, struct rng *rng, double *worst, struct study_fault *fault)
{
    const struct study *study = sets->study;
    size_t most = probes < REFERENCE_MAX_PROBES ? probes : REFERENCE_MAX_PROBES;
    int64_t *index = xmalloc(most * sizeof *index);
    double *numbers = xmalloc(3 * most * sizeof *numbers);
    *fault = (struct study_fault){.status = STUDY_PASS};
    CUresult result = CUDA_SUCCESS;
    for (size_t b = study->input_count; b < study->buffer_count; b++) {
        size_t n = sets->shape->elements[b], count = n < most ? n : most;
        for (size_t i = 0; i < count; i++)
            index[i] = (int64_t)(count == n ? i : rng_below(rng, n));
        result = compute(r, sets, set, b - study->input_count, index, count, numbers,
                         numbers + most, numbers + 2 * most);
        if (result != CUDA_SUCCESS)
            break;
        judge(study, b, exact, index, count, numbers, numbers + most, numbers + 2 * most, worst,
              fault);
        if (fault->status != STUDY_PASS)
            break;
    }
    free(index);
    free(numbers);
    return result;
}
