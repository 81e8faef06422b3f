/* cpu: the runner that executes C candidates: checks them and times them.
 *
 * A candidate is a function in a shared object. It is called in a child process that holds nothing
 * of the runner: the child has the inputs mapped read-only and the outputs writable, both shared
 * memory that the runner owns, and one pipe each way. The runner writes fresh random inputs and
 * poisons the outputs before every launch, keeps the clock, stops the child the moment it says that
 * it is done, and only then looks at the outputs. What they should be is computed afterwards, from
 * the reference.
 *
 * Knows no study: dims, extents, FLOPs and fills come from the specification that a rule wrote. */
#ifndef SPAK_RUNNER_CPU_H
#define SPAK_RUNNER_CPU_H

#include "candidate.h"
#include "json.h"
#include "os.h"

#define CPU_MAX_DIMS 16
#define CPU_MAX_BUFFERS 16

/* What one launch, or one kernel over all its launches, came to. */
enum cpu_status {
    CPU_PASS,
    CPU_WRONG,     /* an element is further from the reference than the bound */
    CPU_UNWRITTEN, /* poison is left in an output */
    CPU_NOT_FINITE,
    CPU_CRASHED, /* a signal ended the child: writing an input does this */
    CPU_HUNG,    /* no answer within the time-out */
    CPU_REFUSED, /* the candidate returned non-zero */
    CPU_UNLOADABLE,
    CPU_REJECTED,   /* its check did not pass: not measured */
    CPU_IMPOSSIBLE, /* faster than the machine's own roofline */
    CPU_UNMEASURED, /* the study leaves it out on this shape */
};
const char *cpu_status_name(enum cpu_status status);

enum cpu_fill { FILL_NORMAL, FILL_LARGE, FILL_INTEGER, FILL_ONES };

struct cpu_shape {
    const char *name;
    int64_t dim[CPU_MAX_DIMS];
    size_t elements[CPU_MAX_BUFFERS]; /* float32 each */
    double flops;
    double bytes;
    bool exact;          /* integer fill must come out bit-equal */
    struct strs without; /* kernels that are too slow for this shape */
};
struct cpu_kernel {
    const char *name;
    const char *object;
    const char *check; /* path of its check result, NULL: none needed (a baseline) */
    int threads;
};
struct cpu_spec {
    const char *op;
    size_t dim_count;
    const char *buffer[CPU_MAX_BUFFERS];
    size_t buffer_count;
    size_t input_count; /* inputs come first */
    struct cpu_shape *shapes;
    size_t shape_count;
    struct cpu_kernel *kernels;
    size_t kernel_count;
    const char *reference;
    const char *control; /* the kernel measured twice, as the A/A control */
    double
        bound; /* allowed |got - want| as a multiple of the reference's own scale of the element */
    double budget_s; /* for each shape */
    size_t min_blocks, max_blocks;
    double timeout_s; /* for each launch */
    uint64_t seed;
};
int cpu_spec_read(const char *path, struct arena *arena, struct cpu_spec *out, struct err *e);

/* The shared memory of one shape. */
struct cpu_memory {
    int input_fd, output_fd;
    size_t input_bytes, output_bytes;
    void *buf[CPU_MAX_BUFFERS]; /* the runner's own mapping */
    void *input_map, *output_map;
};
int cpu_memory_make(const struct cpu_spec *spec, const struct cpu_shape *shape,
                    struct cpu_memory *out, struct err *e);
void cpu_memory_release(struct cpu_memory *m);
/* Byte offsets of the buffers in their memory, the same for both sides. */
void cpu_memory_layout(const size_t *elements, size_t buffer_count, size_t input_count,
                       size_t *offset, size_t *input_bytes, size_t *output_bytes);
void cpu_fill_inputs(const struct cpu_spec *spec, const struct cpu_shape *shape, enum cpu_fill fill,
                     struct rng *rng, struct cpu_memory *m);
/* Fills the outputs with NaNs whose payload is drawn for this launch; returns the pattern. */
uint32_t cpu_poison(const struct cpu_spec *spec, const struct cpu_shape *shape, struct rng *rng,
                    struct cpu_memory *m);

/* A child that has loaded one candidate for one shape. Stopped whenever it is not its turn. */
struct cpu_child {
    pid_t pid;
    int pidfd;
    int to_fd, from_fd;
    enum cpu_status status;
    int signal; /* when it crashed */
};
int cpu_child_start(const char *self, const struct cpu_spec *spec, const struct cpu_shape *shape,
                    const struct cpu_kernel *kernel, const struct cpu_memory *m,
                    struct cpu_child *out, struct err *e);
/* One launch: its wall time by the runner's clock. Anything but CPU_PASS leaves the child dead. */
enum cpu_status cpu_child_launch(struct cpu_child *child, double timeout_s, int64_t *wall_ns);
void cpu_child_end(struct cpu_child *child);
/* The body of that child process: never returns to the runner's code. */
int cpu_child_main(int argc, char **argv);

/* The reference, loaded into the runner. */
struct cpu_reference {
    void *handle;
    candidate_reference_at_fn *at;
};
int cpu_reference_open(const char *object, struct cpu_reference *out, struct err *e);
void cpu_reference_close(struct cpu_reference *r);

/* What the first wrong element was. */
struct cpu_fault {
    enum cpu_status status;
    const char *buffer;
    size_t index;
    double got, want, allowed;
};
/* Judges the outputs of a launch: every element for poison and NaN, `probes` random elements (0:
 * all) against the reference. */
enum cpu_status cpu_judge(const struct cpu_spec *spec, const struct cpu_shape *shape,
                          const struct cpu_reference *reference, const struct cpu_memory *m,
                          uint32_t poison, bool exact, size_t probes, struct rng *rng,
                          double *worst, struct cpu_fault *fault);

/* The multiply-add rate of this machine on `threads` cores, in GFLOP/s: the roofline that no
 * candidate can beat. */
double cpu_peak_gflops(int threads);

/* The two jobs. The result is canonical JSON; `passed` is false when a kernel's check failed. */
int cpu_check(const struct cpu_spec *spec, const char *self, json_t **result, bool *passed,
              struct err *e);
int cpu_bench(const struct cpu_spec *spec, const char *self, json_t **result, struct err *e);

#endif
