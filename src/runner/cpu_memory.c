#define _GNU_SOURCE
#include "cpu.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every buffer starts on a page of its own, every output has one before and one behind it. */
#define ALIGN_BYTES 4096

void cpu_memory_layout(const size_t *elements, size_t buffer_count, size_t input_count,
                       size_t *offset, size_t *input_bytes, size_t *output_bytes)
{
    size_t at[2] = {0, ALIGN_BYTES};
    for (size_t i = 0; i < buffer_count; i++) {
        bool output = i >= input_count;
        offset[i] = at[output];
        at[output] += (elements[i] * sizeof(float) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
        at[output] += output ? ALIGN_BYTES : 0;
    }
    *input_bytes = at[0];
    *output_bytes = at[1];
}

static int share(const char *name, size_t bytes, int *fd, void **map, struct err *e)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || ftruncate(*fd, (off_t)bytes) < 0)
        return err_errno(e, ERR_os, "making %zu bytes of shared memory", bytes);
    *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (*map == MAP_FAILED) {
        *map = NULL;
        return err_errno(e, ERR_os, "mapping %zu bytes of shared memory", bytes);
    }
    return 0;
}

int cpu_memory_make(const struct study *spec, const struct study_shape *shape,
                    struct cpu_memory *out, struct err *e)
{
    size_t offset[STUDY_MAX_BUFFERS];
    *out = (struct cpu_memory){.input_fd = -1, .output_fd = -1};
    cpu_memory_layout(shape->elements, spec->buffer_count, spec->input_count, offset,
                      &out->input_bytes, &out->output_bytes);
    if (share("inputs", out->input_bytes, &out->input_fd, &out->input_map, e) < 0 ||
        share("outputs", out->output_bytes, &out->output_fd, &out->output_map, e) < 0)
        goto fail;
    /* From here on nobody can map the inputs writable; the mapping above stays. */
    if (fcntl(out->input_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0 ||
        fcntl(out->output_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        err_errno(e, ERR_os, "sealing the shared memory");
        goto fail;
    }
    for (size_t i = 0; i < spec->buffer_count; i++)
        out->buf[i] =
            (char *)(i < spec->input_count ? out->input_map : out->output_map) + offset[i];
    return 0;
fail:
    cpu_memory_release(out);
    return -1;
}

void cpu_memory_release(struct cpu_memory *m)
{
    if (m->input_map)
        munmap(m->input_map, m->input_bytes);
    if (m->output_map)
        munmap(m->output_map, m->output_bytes);
    if (m->input_fd >= 0)
        close(m->input_fd);
    if (m->output_fd >= 0)
        close(m->output_fd);
    *m = (struct cpu_memory){.input_fd = -1, .output_fd = -1};
}

/* The sum of four 16-bit uniforms, centred and scaled to variance one: near enough to a normal, and
 * a nanosecond each. */
static float irwin_hall(uint64_t r)
{
    int32_t sum = (int32_t)(r & 0xffff) + (int32_t)(r >> 16 & 0xffff) +
                  (int32_t)(r >> 32 & 0xffff) + (int32_t)(r >> 48);
    return (float)(sum - 131070) * (1.7320508f / 65536.0f);
}

static float draw(enum study_fill fill, uint64_t r)
{
    switch (fill) {
    case FILL_NORMAL:
        return irwin_hall(r);
    case FILL_LARGE:
        return 30.0f * irwin_hall(r);
    case FILL_INTEGER:
        return (float)((int)(r >> 32) % 9);
    case FILL_ONES:
        return 1.0f;
    case FILL_COUNT:
        break;
    }
    BUG("no such fill %d", (int)fill);
}

void cpu_fill_inputs(const struct study *spec, const struct study_shape *shape,
                     enum study_fill fill, struct rng *rng, struct cpu_memory *m)
{
    for (size_t i = 0; i < spec->input_count; i++) {
        float *at = m->buf[i];
        for (size_t k = 0; k < shape->elements[i]; k++)
            at[k] = draw(fill, rng_next(rng));
    }
}

uint32_t cpu_poison(struct rng *rng, struct cpu_memory *m)
{
    uint32_t pattern = 0x7fc00001u | (uint32_t)(rng_next(rng) & 0x3ffffe);
    uint32_t *at = m->output_map;
    for (size_t k = 0; k < m->output_bytes / sizeof *at; k++)
        at[k] = pattern;
    return pattern;
}
