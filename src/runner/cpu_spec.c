#include "cpu.h"

#include <string.h>

static const char *const status_names[] = {
    [CPU_PASS] = "PASS",
    [CPU_WRONG] = "WRONG",
    [CPU_UNWRITTEN] = "UNWRITTEN",
    [CPU_NOT_FINITE] = "NAN",
    [CPU_CRASHED] = "CRASHED",
    [CPU_HUNG] = "HUNG",
    [CPU_REFUSED] = "REFUSED",
    [CPU_UNLOADABLE] = "UNLOADABLE",
    [CPU_REJECTED] = "REJECTED",
    [CPU_IMPOSSIBLE] = "IMPOSSIBLE",
    [CPU_UNMEASURED] = "UNMEASURED",
};

const char *cpu_status_name(enum cpu_status status)
{
    return status_names[status];
}

static int bad(struct err *e, const char *path, const char *what)
{
    err_set(e, ERR_runner_spec, "%s", what);
    return err_at(e, (struct place){path, 0, 0});
}

static int read_buffers(const json_t *root, const char *path, struct arena *arena,
                        struct cpu_spec *out, struct err *e)
{
    const json_t *buffers = json_object_get(root, "buffers");
    size_t count = json_array_size(buffers);
    if (count == 0 || count > CPU_MAX_BUFFERS)
        return bad(e, path, "`buffers` must list 1 to 16 buffers");
    out->buffer_count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *b = json_array_get(buffers, i);
        out->buffer[i] = arena_strdup(arena, json_text(b, "name", "?"));
        bool input = strcmp(json_text(b, "role", ""), "in") == 0;
        if (input && out->input_count != i)
            return bad(e, path, "inputs come before outputs in `buffers`");
        if (input)
            out->input_count++;
    }
    if (out->input_count == count)
        return bad(e, path, "`buffers` has no output");
    return 0;
}

static int read_shape(const json_t *value, const char *path, struct arena *arena,
                      struct cpu_spec *spec, struct cpu_shape *out, struct err *e)
{
    const json_t *dims = json_object_get(value, "dims");
    const json_t *elements = json_object_get(value, "elements");
    size_t dim_count = json_array_size(dims);
    if (dim_count == 0 || dim_count > CPU_MAX_DIMS ||
        (spec->dim_count && spec->dim_count != dim_count))
        return bad(e, path, "every shape needs the same 1 to 16 `dims`");
    if (json_array_size(elements) != spec->buffer_count)
        return bad(e, path, "a shape needs one entry of `elements` for each buffer");
    spec->dim_count = dim_count;
    out->name = arena_strdup(arena, json_text(value, "name", "shape"));
    out->flops = json_num(value, "flops", 0);
    out->bytes = json_num(value, "bytes", 0);
    out->exact = json_is_true(json_object_get(value, "exact"));
    const json_t *without = json_object_get(value, "without");
    for (size_t i = 0; i < json_array_size(without); i++)
        strs_push(&out->without,
                  arena_strdup(arena, json_string_value(json_array_get(without, i))));
    for (size_t i = 0; i < dim_count; i++)
        out->dim[i] = json_integer_value(json_array_get(dims, i));
    for (size_t i = 0; i < spec->buffer_count; i++) {
        json_int_t n = json_integer_value(json_array_get(elements, i));
        if (n < 1 || n > (json_int_t)1 << 33)
            return bad(e, path, "a buffer needs 1 to 2^33 elements");
        out->elements[i] = (size_t)n;
    }
    return 0;
}

static int read_shapes(const json_t *root, const char *path, struct arena *arena,
                       struct cpu_spec *out, struct err *e)
{
    const json_t *shapes = json_object_get(root, "shapes");
    out->shape_count = json_array_size(shapes);
    if (out->shape_count == 0)
        return bad(e, path, "`shapes` is empty");
    out->shapes = arena_alloc(arena, out->shape_count * sizeof *out->shapes);
    for (size_t i = 0; i < out->shape_count; i++)
        if (read_shape(json_array_get(shapes, i), path, arena, out, &out->shapes[i], e) < 0)
            return -1;
    return 0;
}

static int read_kernels(const json_t *root, const char *path, struct arena *arena,
                        struct cpu_spec *out, struct err *e)
{
    const json_t *kernels = json_object_get(root, "kernels");
    out->kernel_count = json_array_size(kernels);
    if (out->kernel_count == 0)
        return bad(e, path, "`kernels` is empty");
    out->kernels = arena_alloc(arena, out->kernel_count * sizeof *out->kernels);
    for (size_t i = 0; i < out->kernel_count; i++) {
        const json_t *k = json_array_get(kernels, i);
        const char *check = json_text(k, "check", NULL);
        out->kernels[i] = (struct cpu_kernel){
            .name = arena_strdup(arena, json_text(k, "name", "?")),
            .object = arena_strdup(arena, json_text(k, "object", "")),
            .check = check ? arena_strdup(arena, check) : NULL,
            .threads = (int)json_int(k, "threads", 1),
        };
        if (out->kernels[i].threads < 1 || out->kernels[i].threads > 4096)
            return bad(e, path, "`threads` must lie between 1 and 4096");
    }
    return 0;
}

int cpu_spec_read(const char *path, struct arena *arena, struct cpu_spec *out, struct err *e)
{
    struct buf text = {0};
    json_t *root = NULL;
    int rc = -1;
    *out = (struct cpu_spec){0};
    if (os_read(path, &text, e) < 0 || !(root = json_parse(buf_text(&text), text.len, path, e)))
        goto out;
    if (read_buffers(root, path, arena, out, e) < 0 || read_shapes(root, path, arena, out, e) < 0 ||
        read_kernels(root, path, arena, out, e) < 0)
        goto out;
    out->op = arena_strdup(arena, json_text(root, "op", "op"));
    out->reference = arena_strdup(arena, json_text(root, "reference", ""));
    const char *control = json_text(root, "control", NULL);
    out->control = control ? arena_strdup(arena, control) : NULL;
    out->bound = json_num(root, "bound", 1e-5);
    out->budget_s = json_num(root, "budget_s", 5);
    out->timeout_s = json_num(root, "timeout_s", 60);
    out->min_blocks = (size_t)json_int(root, "min_blocks", 7);
    out->max_blocks = (size_t)json_int(root, "max_blocks", 60);
    out->seed = (uint64_t)json_int(root, "seed", 0);
    rc = 0;
out:
    json_decref(root);
    buf_release(&text);
    return rc;
}
