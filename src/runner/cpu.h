/* cpu: the runner that executes C candidates: checks them and times them.
 *
 * A candidate is a function in a shared object. It is called in a child process that holds nothing
 * of the runner: the child has the inputs mapped read-only and the outputs writable, both shared
 * memory that the runner owns, and one pipe each way. The runner writes fresh random inputs and
 * poisons the outputs before every launch, keeps the clock, stops the child the moment it says that
 * it is done, and only when all of it stands still looks at the outputs. What it did beside the
 * clock, before or after or on cores that it was not given, is seen in its processor time. What the
 * outputs should be is computed afterwards, from the reference.
 *
 * Knows no study: dims, extents, FLOPs and fills come from the specification that a rule wrote. */
#ifndef SPAK_RUNNER_CPU_H
#define SPAK_RUNNER_CPU_H

#include "candidate.h"
#include "os.h"
#include "study.h"

/* The shared memory of one shape. */
struct cpu_memory {
    int input_fd, output_fd;
    size_t input_bytes, output_bytes;
    void *buf[STUDY_MAX_BUFFERS]; /* the runner's own mapping */
    void *input_map, *output_map;
};
int cpu_memory_make(const struct study *spec, const struct study_shape *shape,
                    struct cpu_memory *out, struct err *e);
void cpu_memory_release(struct cpu_memory *m);
/* Byte offsets of the buffers in their memory, the same for both sides; around each output there
 * is room that nobody may write. */
void cpu_memory_layout(const size_t *elements, size_t buffer_count, size_t input_count,
                       size_t *offset, size_t *input_bytes, size_t *output_bytes);
void cpu_fill_inputs(const struct study *spec, const struct study_shape *shape,
                     enum study_fill fill, struct rng *rng, struct cpu_memory *m);
/* Fills the outputs and the room around them with NaNs whose payload is drawn for this launch;
 * returns the pattern. */
uint32_t cpu_poison(struct rng *rng, struct cpu_memory *m);

/* A child that has loaded one candidate for one shape. Stopped whenever it is not its turn. */
struct cpu_child {
    pid_t pid;
    int pidfd;
    int to_fd, from_fd;
    int threads;         /* on so many cores it may run at once */
    double overdrawn_ns; /* processor time beyond theirs, of all launches together */
    enum study_status status;
    int signal; /* when it crashed */
};
int cpu_child_start(const char *self, const struct study *spec, const struct study_shape *shape,
                    const struct study_kernel *kernel, const struct cpu_memory *m,
                    struct cpu_child *out, struct err *e);
/* One launch: its wall time by the runner's clock. Anything but STUDY_PASS leaves the child dead;
 * STUDY_FORBIDDEN also when its launches took more processor time than its threads can have had. */
enum study_status cpu_child_launch(struct cpu_child *child, double timeout_s, int64_t *wall_ns);
void cpu_child_end(struct cpu_child *child);
/* In the child, before the candidate is loaded: from here on processes, programs, sockets, what
 * outlives the process, other clocks and priorities, and signals and looks to other processes end
 * it with SIGSYS. Threads stay. */
int cpu_cage(void);
/* The body of that child process: never returns to the runner's code. */
int cpu_child_main(int argc, char **argv);

/* The reference, loaded into the runner. */
struct cpu_reference {
    void *handle;
    candidate_reference_at_fn *at;
};
int cpu_reference_open(const char *object, struct cpu_reference *out, struct err *e);
void cpu_reference_close(struct cpu_reference *r);

/* Judges the outputs of a launch: the room around them, every element for poison and NaN, `probes`
 * random elements (0: all) against the reference. */
enum study_status cpu_judge(const struct study *spec, const struct study_shape *shape,
                            const struct cpu_reference *reference, const struct cpu_memory *m,
                            uint32_t poison, bool exact, size_t probes, struct rng *rng,
                            double *worst, struct study_fault *fault);

/* Tries kernels on shapes: what a check, an admission and a bench have in common. */
struct cpu_checker {
    const struct study *spec;
    const char *self;
    struct cpu_reference reference;
    struct rng rng;
};
/* A kernel on the shapes of its study and on hidden ones that are drawn here. Appends what went
 * wrong to `faults`, one a shape; `first`: stops at the first. */
int cpu_try(struct cpu_checker *c, const struct study_kernel *kernel, bool first, json_t *faults,
            double *worst, struct err *e);

/* A launch as the child sees it. */
struct cpu_call {
    candidate_fn *candidate; /* NULL: a reference without one, which answers element by element */
    candidate_reference_at_fn *at;
    const int64_t *dim;
    void *const *buf;
    const size_t *elements;
    size_t inputs, count; /* inputs come first */
    int threads;
};
/* What is done to a reference that is launched like a candidate, for an admission: nothing. */
#define CPU_AS_IT_IS "as it is"
/* A launch, spoiled by one of the tricks ("": a candidate's own); 0 or what the candidate returned.
 */
int cpu_trick(const char *trick, const struct cpu_call *call);

/* The multiply-add rate of this machine on `threads` cores, in GFLOP/s, as it is just now. */
double cpu_peak_gflops(int threads);
/* What no kernel on that many threads exceeds, from what one thread reached at best. What all of
 * them reached together is no bound: somebody else may have used a core just then. */
double cpu_roofline_gflops(double peak_gflops_1, int threads);

/* The three jobs. The result is canonical JSON; `passed` is false when a kernel's check failed or
 * the study was refused. */
int cpu_admit(const struct study *spec, const char *self, json_t **result, bool *passed,
              struct err *e);
int cpu_check(const struct study *spec, const char *self, json_t **result, bool *passed,
              struct err *e);
int cpu_bench(const struct study *spec, const char *self, json_t **result, struct err *e);

#endif
