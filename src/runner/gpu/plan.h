/* plan: how a candidate is launched on each shape, as data.
 *
 * A candidate has no host code: which of its functions runs, with what grid, how much shared memory
 * and which arguments, a rule has written down for every shape. Nothing here calls the driver.
 *
 * Life cycle: gpu_study_open fills a value whose memory is the arena's. */
#ifndef SPAK_RUNNER_GPU_PLAN_H
#define SPAK_RUNNER_GPU_PLAN_H

#include "../study.h"

#define PLAN_MAX_ARGS 64
#define PLAN_MAX_RANK 5

enum plan_kind { PLAN_BUFFER, PLAN_MAP, PLAN_NUMBER, PLAN_STRUCT };

/* A view of a buffer for the copy engine; sizes from the innermost dimension out. */
struct plan_map {
    uint32_t rank;
    uint64_t dims[PLAN_MAX_RANK];
    uint64_t strides[PLAN_MAX_RANK]; /* bytes, of the dimensions after the first */
    uint32_t box[PLAN_MAX_RANK];
    int swizzle, promotion, fill; /* as the driver numbers them */
};

struct plan_arg {
    enum plan_kind kind;
    size_t buffer;               /* of PLAN_BUFFER and PLAN_MAP */
    struct plan_map map;         /* of PLAN_MAP */
    unsigned char value[8];      /* of PLAN_NUMBER */
    size_t bytes, align, offset; /* as passed; the offset is a member's in its struct */
    struct plan_arg *members;    /* of PLAN_STRUCT */
    size_t member_count;
};

struct plan_launch {
    bool present;       /* false: not for this shape */
    const char *object; /* the cubin and the function in it that this shape runs */
    const char *entry;
    unsigned grid[3], block[3], cluster[3];
    unsigned shared_bytes;
    bool early; /* its blocks may start before the launch before it has ended, and wait inside */
    struct plan_arg *args;
    size_t arg_count;
    const json_t *library; /* the named values of a library baseline, borrowed from the document */
};

struct plan_kernel {
    const char *library;          /* NULL: a candidate */
    struct plan_launch *launches; /* one for each shape, then one for each hidden shape */
};

/* A study with what the device needs to know; `study.kernels` and `plans` go together. */
struct gpu_study {
    struct study study;
    struct plan_kernel *plans;
    json_t *root;
};
int gpu_study_open(const char *path, struct arena *arena, struct gpu_study *out, struct err *e);
void gpu_study_close(struct gpu_study *study);

/* Writes an argument, except for a map, into `bytes` of `arg->bytes`; `address` holds the addresses
 * of the buffers. */
void plan_encode(const struct plan_arg *arg, const uint64_t *address, unsigned char *bytes);

#endif
