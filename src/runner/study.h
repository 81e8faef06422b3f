/* study: what a runner is asked to do, and the words in which it answers: shared by all runners.
 *
 * A study has an op with buffers, shapes of it, kernels that claim to compute it and a reference
 * that judges them. A rule writes it down as JSON; each runner reads what it shares with the others
 * here and what is its own from the same document.
 *
 * Runs nothing, owns no memory of a device and knows no op: dims, extents, FLOPs and fills come
 * from the document. */
#ifndef SPAK_RUNNER_STUDY_H
#define SPAK_RUNNER_STUDY_H

#include "hash.h"
#include "json.h"

#define STUDY_MAX_DIMS 16
#define STUDY_MAX_BUFFERS 16

/* What one launch, or one kernel over all its launches, came to. */
enum study_status {
    STUDY_PASS,
    STUDY_WRONG,     /* an element is further from the reference than the bound */
    STUDY_UNWRITTEN, /* poison is left in an output */
    STUDY_NOT_FINITE,
    STUDY_OUT_OF_BOUNDS, /* bytes beside a buffer were written */
    STUDY_INPUT_WRITTEN, /* an input is not what it was before the launch */
    STUDY_CRASHED,       /* the kernel ended the process or the context that it ran in */
    STUDY_FORBIDDEN,     /* the kernel called what no kernel may (a process, a program, a socket),
                            or took more processor time than its threads have */
    STUDY_HUNG,          /* no answer within the time-out */
    STUDY_REFUSED,       /* the candidate, or the driver for it, declined to run */
    STUDY_UNLOADABLE,
    STUDY_REJECTED,    /* its check did not pass: not measured */
    STUDY_IMPOSSIBLE,  /* faster than the machine's own roofline */
    STUDY_UNEVEN,      /* does less where it is not timed */
    STUDY_UNMEASURED,  /* the study leaves it out on this shape */
    STUDY_UNAVAILABLE, /* a library baseline that this machine lacks */
    STUDY_STATUS_COUNT,
};
const char *study_status_name(enum study_status status);
/* The status of that name, STUDY_STATUS_COUNT when there is none. */
enum study_status study_status_of(const char *name);

/* What inputs are drawn from. A check goes through all of them. */
enum study_fill { FILL_NORMAL, FILL_LARGE, FILL_INTEGER, FILL_ONES, FILL_COUNT };
const char *study_fill_name(enum study_fill fill);

enum study_dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16 };
size_t study_dtype_bytes(enum study_dtype dtype);

struct study_shape {
    const char *name;
    int64_t dim[STUDY_MAX_DIMS];
    size_t elements[STUDY_MAX_BUFFERS];
    double flops;
    double bytes;
    bool exact;          /* integer fill must come out bit-equal */
    struct strs without; /* kernels that are too slow for this shape */
};
struct study_kernel {
    const char *name;
    const char *object;         /* "": a library's */
    const char *const *objects; /* of all its launches, each once, `object` first */
    size_t object_count;
    const char *check; /* path of its check result, NULL: none needed (a baseline) */
    int threads;
    bool libraries;    /* may load those of the machine: a baseline */
    const char *trick; /* how the runner itself spoils what the object computes, NULL: not at all */
};
struct study {
    const char *op;
    size_t dim_count;
    const char *buffer[STUDY_MAX_BUFFERS];
    enum study_dtype dtype[STUDY_MAX_BUFFERS];
    size_t buffer_count;
    size_t input_count; /* inputs come first */
    struct study_shape *shapes;
    size_t shape_count;
    struct study_shape *hidden; /* a pool: which of them are tried is drawn, not declared; they
                                   follow the shapes, so that one index names either */
    size_t hidden_count;
    size_t hidden_drawn;
    struct study_kernel *kernels;
    size_t kernel_count;
    const char *reference;
    const char *control; /* the kernel measured twice, as the A/A control */
    double bound;        /* allowed |got - want| as a multiple of the reference's own scale of it */
    double budget_s;     /* for each shape */
    size_t min_blocks, max_blocks;
    double timeout_s; /* for each launch */
};
/* Reads a whole document; strings live in the arena. With `root` the parsed document stays, for
 * what a runner adds to it, and the caller releases it. */
int study_open(const char *path, struct arena *arena, struct study *out, json_t **root,
               struct err *e);
/* The same from a document that is parsed already; `path` is for messages. */
int study_read(const json_t *root, const char *path, struct arena *arena, struct study *out,
               struct err *e);
/* Says what is wrong with the document: returns -1. */
int study_bad(struct err *e, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The index of the buffer of that name, `buffer_count` when there is none. */
size_t study_buffer(const struct study *study, const char *name);

/* Whether a kernel may be timed on a shape: STUDY_PASS, or why not. What is timed is what was
 * checked, byte for byte. */
enum study_status study_admit(const struct study_shape *shape, const struct study_kernel *kernel);

/* 0 to count - 1 in random order. */
void study_shuffle(struct rng *rng, size_t *order, size_t count);
/* Seeds that nobody can choose. Who is judged by random inputs must not know them in time, and
 * whoever doubts the judgement must be able to draw them again: so a seed is a keyed digest of a
 * commitment, the lease and the candidates as they were, one line each. A check draws with the
 * empty key: its inputs follow from the candidate and change with every byte of it. A measurement
 * draws with a nonce that did not exist before the candidates were fixed, and that is published
 * with it. */
#define STUDY_NONCE_DIGITS (2 * DIGEST_BYTES)
int study_nonce(char out[STUDY_NONCE_DIGITS + 1], struct err *e);
/* A whole number that JSON keeps; `nonce` may be "". */
uint64_t study_draw(const char *nonce, const char *commitment);
/* What the objects of a kernel are, a word each: what a check records, and a commitment names. */
int study_objects(const struct study_kernel *kernel, struct buf *out, struct err *e);
/* Appends the line of a kernel to a commitment: its name and what its objects are. */
int study_commit(const struct study_kernel *kernel, struct buf *commitment, struct err *e);
/* The inputs of a check follow from the candidate: who changes a byte of it meets others. */
int study_seed_from(const struct study_kernel *kernel, struct rng *rng, struct err *e);

/* The draw of a measurement. Released by its owner. */
struct study_lot {
    char nonce[STUDY_NONCE_DIGITS + 1];
    struct buf commitment;
    uint64_t seed;
};
/* The candidates first, then the randomness: nobody can have made one for the other. */
int study_lot_draw(const struct study *study, struct study_lot *out, struct err *e);
json_t *study_lot_json(const struct study_lot *lot);

/* Shapes of the hidden pool, `hidden_drawn` of them or as many as there are, drawn without return
 * from those that are `able` (NULL: all). Returns how many; `out` gets their places in the pool. */
size_t study_draw_hidden(const struct study *study, const bool *able, struct rng *rng, size_t *out);
/* How many blocks fit the budget when one takes `block_ns`. */
size_t study_blocks(const struct study *study, double block_ns);

/* What the first wrong element was. */
struct study_fault {
    enum study_status status;
    const char *buffer; /* NULL: no element is to blame */
    size_t index;
    double got, want, allowed;
};
/* Whether `got` will do where the reference says `want`; *allowed gets the difference that would.
 * Rounding is measured against the reference's own `scale`: where that is 0, or the study says
 * `exact`, the answer is the nearest number of its type and nothing else. */
bool study_accepts(enum study_dtype dtype, bool exact, double bound, double got, double want,
                   double scale, double *allowed);
/* The nearest number of a type. */
double study_round(enum study_dtype dtype, double value);
/* A fault as a check records it. */
json_t *study_fault_json(const struct study_shape *shape, enum study_fill fill,
                         const struct study_fault *fault);
/* Says on stderr what came of a kernel's check: how near the bound it came, or its first fault. */
void study_say(const char *name, const json_t *faults, double worst, size_t shapes);
/* A kernel's entry in the result of a check, with what its objects were, and the whole result; both
 * take their last argument. */
json_t *study_kernel_json(const struct study *study, const char *objects, json_t *faults);
json_t *study_check_json(const struct study *study, bool passed, json_t *kernels);
/* A shape's entry in the result of a bench; takes `kernels`. */
json_t *study_shape_json(const struct study *study, const struct study_shape *shape, size_t blocks,
                         json_t *kernels);
/* The status, samples and first wrong element of a kernel on a shape. A kernel that failed one
 * launch has no time: its samples are dropped whole, never in part. */
json_t *study_samples_json(enum study_status status, const double *samples_ns, size_t count,
                           const struct study_fault *fault);

/* An admission: before any candidate counts, the study itself is tried. What is wrong on purpose
 * has to fail, the reference has to pass, every input has to matter. What was tried goes in, the
 * result comes out; words of what is amiss go to standard error. */
struct study_admission {
    const struct study *study;
    json_t *tries, *inputs;
    size_t wrong, caught; /* tries that had to fail, and those that did */
    bool honest, all;     /* the reference passed its own check; every input matters */
};
/* How a runner spoils what the reference computes: none of these may pass a check. NULL-terminated.
 */
const char *const *study_tricks(void);
void study_admission_open(const struct study *study, struct study_admission *out);
/* One try and what was wrong with it, which it takes. */
void study_admission_try(struct study_admission *a, const char *name, bool honest, json_t *faults);
/* A reference that is said to leave something out. `*same`: it is the reference itself, byte for
 * byte; then there is nothing to launch, and the study is refused. */
int study_admission_without(struct study_admission *a, const struct study_kernel *without,
                            bool *same, struct err *e);
void study_admission_input(struct study_admission *a, size_t input, bool matters);
/* The result of it all, canonical JSON; `passed` is the verdict. Takes the admission. */
json_t *study_admission_close(struct study_admission *a, bool *passed);

#endif
