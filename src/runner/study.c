#include "study.h"
#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [STUDY_PASS] = "PASS",
    [STUDY_WRONG] = "WRONG",
    [STUDY_UNWRITTEN] = "UNWRITTEN",
    [STUDY_NOT_FINITE] = "NAN",
    [STUDY_OUT_OF_BOUNDS] = "OUT_OF_BOUNDS",
    [STUDY_INPUT_WRITTEN] = "INPUT_WRITTEN",
    [STUDY_CRASHED] = "CRASHED",
    [STUDY_FORBIDDEN] = "FORBIDDEN",
    [STUDY_HUNG] = "HUNG",
    [STUDY_REFUSED] = "REFUSED",
    [STUDY_UNLOADABLE] = "UNLOADABLE",
    [STUDY_REJECTED] = "REJECTED",
    [STUDY_IMPOSSIBLE] = "IMPOSSIBLE",
    [STUDY_UNEVEN] = "UNEVEN",
    [STUDY_UNMEASURED] = "UNMEASURED",
    [STUDY_UNAVAILABLE] = "UNAVAILABLE",
};
static const char *const fill_names[] = {
    [FILL_NORMAL] = "normal",
    [FILL_LARGE] = "large",
    [FILL_INTEGER] = "integer",
    [FILL_ONES] = "ones",
};
static const char *const dtype_names[] = {
    [DTYPE_F32] = "f32",
    [DTYPE_BF16] = "bf16",
    [DTYPE_F16] = "f16",
};

const char *study_status_name(enum study_status status)
{
    return status_names[status];
}

enum study_status study_status_of(const char *name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(status_names) && strcmp(status_names[i], name) != 0)
        i++;
    return (enum study_status)i;
}

const char *study_fill_name(enum study_fill fill)
{
    return fill_names[fill];
}

size_t study_dtype_bytes(enum study_dtype dtype)
{
    return dtype == DTYPE_F32 ? 4 : 2;
}

int study_bad(struct err *e, const char *path, const char *fmt, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    err_set(e, ERR_runner_spec, "%s", buf_text(&text));
    buf_release(&text);
    return err_at(e, (struct place){path, 0, 0});
}

size_t study_buffer(const struct study *study, const char *name)
{
    size_t i = 0;
    while (i < study->buffer_count && strcmp(study->buffer[i], name) != 0)
        i++;
    return i;
}

static int read_dtype(const json_t *buffer, const char *path, enum study_dtype *out, struct err *e)
{
    const char *name = json_text(buffer, "dtype", "f32");
    for (size_t i = 0; i < ARRAY_LEN(dtype_names); i++)
        if (strcmp(dtype_names[i], name) == 0) {
            *out = (enum study_dtype)i;
            return 0;
        }
    return study_bad(e, path, "no element type is called `%s`: f32, bf16 and f16 are known", name);
}

static int read_buffers(const json_t *root, const char *path, struct arena *arena,
                        struct study *out, struct err *e)
{
    const json_t *buffers = json_object_get(root, "buffers");
    size_t count = json_array_size(buffers);
    if (count == 0 || count > STUDY_MAX_BUFFERS)
        return study_bad(e, path, "`buffers` must list 1 to 16 buffers");
    out->buffer_count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *b = json_array_get(buffers, i);
        out->buffer[i] = arena_strdup(arena, json_text(b, "name", "?"));
        bool input = strcmp(json_text(b, "role", ""), "in") == 0;
        if (input && out->input_count != i)
            return study_bad(e, path, "inputs come before outputs in `buffers`");
        if (input)
            out->input_count++;
        if (read_dtype(b, path, &out->dtype[i], e) < 0)
            return -1;
    }
    if (out->input_count == count)
        return study_bad(e, path, "`buffers` has no output");
    return 0;
}

static int read_extents(const json_t *value, const char *path, struct study *study,
                        struct study_shape *out, struct err *e)
{
    const json_t *dims = json_object_get(value, "dims");
    const json_t *elements = json_object_get(value, "elements");
    size_t dim_count = json_array_size(dims);
    if (dim_count == 0 || dim_count > STUDY_MAX_DIMS ||
        (study->dim_count && study->dim_count != dim_count))
        return study_bad(e, path, "every shape needs the same 1 to 16 `dims`");
    if (json_array_size(elements) != study->buffer_count)
        return study_bad(e, path, "a shape needs one entry of `elements` for each buffer");
    study->dim_count = dim_count;
    for (size_t i = 0; i < dim_count; i++)
        out->dim[i] = json_integer_value(json_array_get(dims, i));
    for (size_t i = 0; i < study->buffer_count; i++) {
        json_int_t n = json_integer_value(json_array_get(elements, i));
        if (n < 1 || n > (json_int_t)1 << 33)
            return study_bad(e, path, "a buffer needs 1 to 2^33 elements");
        out->elements[i] = (size_t)n;
    }
    return 0;
}

static int read_shape(const json_t *value, const char *path, struct arena *arena,
                      struct study *study, struct study_shape *shape, struct err *e)
{
    if (read_extents(value, path, study, shape, e) < 0)
        return -1;
    shape->name = arena_strdup(arena, json_text(value, "name", "shape"));
    shape->flops = json_num(value, "flops", 0);
    shape->bytes = json_num(value, "bytes", 0);
    shape->exact = json_is_true(json_object_get(value, "exact"));
    const json_t *without = json_object_get(value, "without");
    for (size_t i = 0; i < json_array_size(without); i++)
        strs_push(&shape->without,
                  arena_strdup(arena, json_string_value(json_array_get(without, i))));
    return 0;
}

static int read_shapes(const json_t *root, const char *path, struct arena *arena, struct study *out,
                       struct err *e)
{
    const json_t *shapes = json_object_get(root, "shapes"),
                 *hidden = json_object_get(root, "hidden");
    out->shape_count = json_array_size(shapes);
    out->hidden_count = json_array_size(hidden);
    out->hidden_drawn = (size_t)json_int(root, "hidden_drawn", 0);
    if (out->shape_count == 0)
        return study_bad(e, path, "`shapes` is empty");
    size_t count = out->shape_count + out->hidden_count;
    out->shapes = arena_alloc(arena, count * sizeof *out->shapes);
    out->hidden = out->shapes + out->shape_count;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = i < out->shape_count ? json_array_get(shapes, i)
                                                   : json_array_get(hidden, i - out->shape_count);
        if (read_shape(value, path, arena, out, &out->shapes[i], e) < 0)
            return -1;
    }
    return 0;
}

static size_t add_object(struct arena *arena, const char **list, size_t count, const char *object)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], object) == 0)
            return count;
    list[count] = arena_strdup(arena, object);
    return count + 1;
}

/* A launch may have an object of its own. */
static void read_objects(const json_t *value, struct arena *arena, struct study_kernel *kernel)
{
    const json_t *launches[] = {json_object_get(value, "launch"),
                                json_object_get(value, "hidden_launch")};
    size_t most = 1 + json_array_size(launches[0]) + json_array_size(launches[1]), count = 0;
    const char **list = arena_alloc(arena, most * sizeof *list);
    if (*kernel->object)
        list[count++] = kernel->object;
    for (size_t k = 0; k < ARRAY_LEN(launches); k++)
        for (size_t i = 0; i < json_array_size(launches[k]); i++) {
            const char *object = json_text(json_array_get(launches[k], i), "object", NULL);
            if (object)
                count = add_object(arena, list, count, object);
        }
    kernel->objects = list;
    kernel->object_count = count;
}

static int read_kernels(const json_t *root, const char *path, struct arena *arena,
                        struct study *out, struct err *e)
{
    const json_t *kernels = json_object_get(root, "kernels");
    out->kernel_count = json_array_size(kernels);
    if (!json_is_array(kernels))
        return study_bad(e, path, "`kernels` is no list");
    out->kernels = arena_alloc(arena, (out->kernel_count + 1) * sizeof *out->kernels);
    for (size_t i = 0; i < out->kernel_count; i++) {
        const json_t *k = json_array_get(kernels, i);
        const char *check = json_text(k, "check", NULL);
        out->kernels[i] = (struct study_kernel){
            .name = arena_strdup(arena, json_text(k, "name", "?")),
            .object = arena_strdup(arena, json_text(k, "object", "")),
            .check = check ? arena_strdup(arena, check) : NULL,
            .threads = (int)json_int(k, "threads", 1),
            .libraries = json_is_true(json_object_get(k, "loads_libraries")),
        };
        read_objects(k, arena, &out->kernels[i]);
        if (out->kernels[i].threads < 1 || out->kernels[i].threads > 4096)
            return study_bad(e, path, "`threads` must lie between 1 and 4096");
    }
    return 0;
}

int study_read(const json_t *root, const char *path, struct arena *arena, struct study *out,
               struct err *e)
{
    *out = (struct study){0};
    if (read_buffers(root, path, arena, out, e) < 0 || read_shapes(root, path, arena, out, e) < 0 ||
        read_kernels(root, path, arena, out, e) < 0)
        return -1;
    out->op = arena_strdup(arena, json_text(root, "op", "op"));
    out->reference = arena_strdup(arena, json_text(root, "reference", ""));
    const char *control = json_text(root, "control", NULL);
    out->control = control ? arena_strdup(arena, control) : NULL;
    out->bound = json_num(root, "bound", 1e-5);
    out->budget_s = json_num(root, "budget_s", 5);
    out->timeout_s = json_num(root, "timeout_s", 60);
    out->min_blocks = (size_t)json_int(root, "min_blocks", 7);
    out->max_blocks = (size_t)json_int(root, "max_blocks", 60);
    return 0;
}

int study_open(const char *path, struct arena *arena, struct study *out, json_t **root,
               struct err *e)
{
    struct buf text = {0};
    json_t *parsed = NULL;
    int rc = -1;
    if (os_read(path, &text, e) == 0 &&
        (parsed = json_parse(buf_text(&text), text.len, path, e)) != NULL)
        rc = study_read(parsed, path, arena, out, e);
    if (rc == 0 && root) {
        *root = parsed;
        parsed = NULL;
    }
    json_decref(parsed);
    buf_release(&text);
    return rc;
}

/* Another object than those that were checked would be another kernel. What chooses among several
 * may need fewer of them here than on the check's shapes, and in another order. */
static bool is_checked(const struct study_kernel *kernel, const json_t *entry)
{
    const char *checked = json_text(entry, "object", "none");
    struct buf now = {0};
    struct err e = {0};
    bool all = kernel->object_count > 0 || !*checked;
    for (size_t i = 0; all && i < kernel->object_count; i++) {
        struct study_kernel one = {.objects = &kernel->objects[i], .object_count = 1};
        buf_reset(&now);
        all = study_objects(&one, &now, &e) == 0 && strstr(checked, buf_text(&now));
    }
    err_release(&e);
    buf_release(&now);
    return all;
}

enum study_status study_admit(const struct study_shape *shape, const struct study_kernel *kernel)
{
    for (size_t i = 0; i < shape->without.len; i++)
        if (strcmp(shape->without.at[i], kernel->name) == 0)
            return STUDY_UNMEASURED;
    if (!kernel->check)
        return STUDY_PASS;
    struct buf text = {0};
    struct err e = {0};
    enum study_status status = STUDY_REJECTED;
    json_t *root = NULL;
    if (os_read(kernel->check, &text, &e) == 0 &&
        (root = json_parse(buf_text(&text), text.len, kernel->check, &e))) {
        const json_t *entry = json_object_get(json_object_get(root, "kernels"), kernel->name);
        if (strcmp(json_text(entry, "status", ""), "PASS") == 0 && is_checked(kernel, entry))
            status = STUDY_PASS;
    }
    json_decref(root);
    buf_release(&text);
    err_release(&e);
    return status;
}

size_t study_blocks(const struct study *study, double block_ns)
{
    double fit = study->budget_s * 1e9 / block_ns;
    if (fit < (double)study->min_blocks)
        return study->min_blocks;
    return fit > (double)study->max_blocks ? study->max_blocks : (size_t)fit;
}

json_t *study_fault_json(const struct study_shape *shape, enum study_fill fill,
                         const struct study_fault *fault)
{
    json_t *j = json_pack("{s:s, s:s, s:s}", "shape", shape->name, "fill", study_fill_name(fill),
                          "status", study_status_name(fault->status));
    if (fault->buffer) {
        json_object_set_new(j, "buffer", json_string(fault->buffer));
        json_object_set_new(j, "index", json_integer((json_int_t)fault->index));
    }
    if (fault->status == STUDY_WRONG) {
        struct buf text = {0};
        buf_addf(&text, "got %.9g, the reference says %.9g, allowed difference %.3g", fault->got,
                 fault->want, fault->allowed);
        json_object_set_new(j, "detail", json_string(buf_text(&text)));
        buf_release(&text);
    }
    return j;
}

json_t *study_kernel_json(const struct study *study, const char *objects, json_t *faults)
{
    return json_pack("{s:s, s:i, s:i, s:o, s:s}", "status",
                     json_array_size(faults) == 0 ? "PASS" : "REJECTED", "shapes",
                     (int)study->shape_count, "fills", FILL_COUNT, "faults", faults, "object",
                     objects);
}

void study_say(const char *name, const json_t *faults, double worst, size_t shapes)
{
    const json_t *first = json_array_get(faults, 0);
    size_t more = json_array_size(faults) ? json_array_size(faults) - 1 : 0;
    if (!first) {
        fprintf(stderr, "%s: PASS, worst error %.3f of the bound over %zu shapes and %d fills\n",
                name, worst, shapes, FILL_COUNT);
        return;
    }
    const char *detail = json_text(first, "detail", ""), *buffer = json_text(first, "buffer", NULL);
    fprintf(stderr, "%s: REJECTED, %s on %s, %s data", name, json_text(first, "status", ""),
            json_text(first, "shape", ""), json_text(first, "fill", ""));
    if (buffer)
        fprintf(stderr, ", %s[%lld]", buffer,
                (long long)json_integer_value(json_object_get(first, "index")));
    fprintf(stderr, "%s%s", *detail ? ": " : "", detail);
    fprintf(stderr, more ? ", and %zu more\n" : "\n", more);
}

json_t *study_check_json(const struct study *study, bool passed, json_t *kernels)
{
    return json_pack("{s:s, s:s, s:o}", "op", study->op, "status", passed ? "PASS" : "REJECTED",
                     "kernels", kernels);
}

json_t *study_shape_json(const struct study *study, const struct study_shape *shape, size_t blocks,
                         json_t *kernels)
{
    json_t *dims = json_array();
    for (size_t i = 0; i < study->dim_count; i++)
        json_array_append_new(dims, json_integer(shape->dim[i]));
    return json_pack("{s:s, s:o, s:f, s:f, s:i, s:o}", "name", shape->name, "dims", dims, "flops",
                     shape->flops, "bytes", shape->bytes, "blocks", (int)blocks, "kernels",
                     kernels);
}

json_t *study_samples_json(enum study_status status, const double *samples_ns, size_t count,
                           const struct study_fault *fault)
{
    json_t *samples = json_array();
    for (size_t i = 0; status == STUDY_PASS && i < count; i++)
        json_array_append_new(samples, json_real(samples_ns[i]));
    json_t *j = json_pack("{s:s, s:o}", "status", study_status_name(status), "samples_ns", samples);
    if (status == STUDY_WRONG && fault->buffer)
        json_object_set_new(j, "fault",
                            json_pack("{s:s, s:I, s:f, s:f}", "buffer", fault->buffer, "index",
                                      (json_int_t)fault->index, "got", fault->got, "want",
                                      fault->want));
    return j;
}
