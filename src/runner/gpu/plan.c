#include "plan.h"

#include <stdio.h>
#include <string.h>

/* Where in the document a mistake is: the words of every message here. */
struct where {
    const char *path;
    const char *kernel;
    const char *shape;
};

static int wrong(const struct where *at, struct err *e, const char *what)
{
    return study_bad(e, at->path, "kernel `%s` on shape `%s`: %s", at->kernel, at->shape, what);
}

static int read_numbers(const json_t *array, uint64_t *out, size_t most, size_t *count)
{
    *count = json_array_size(array);
    if (*count == 0 || *count > most)
        return -1;
    for (size_t i = 0; i < *count; i++) {
        json_int_t n = json_integer_value(json_array_get(array, i));
        if (n < 1)
            return -1;
        out[i] = (uint64_t)n;
    }
    return 0;
}

/* The place of a word in a list; what is absent is the first, what is unknown is -1. */
static int word(const json_t *object, const char *key, const char *const *words)
{
    const char *text = json_text(object, key, words[0]);
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return -1;
}

static int read_map(const json_t *value, const struct where *at, const struct study *study,
                    struct plan_arg *out, struct err *e)
{
    static const char *const swizzles[] = {"none", "16b", "32b", "64b", "128b", NULL};
    static const char *const promotions[] = {"none", "64b", "128b", "256b", NULL};
    static const char *const fills[] = {"zero", "nan", NULL};
    static const int swizzle_value[] = {0, 0, 1, 2, 3};
    struct plan_map *map = &out->map;
    size_t rank, strides = 0, sides;
    uint64_t box[PLAN_MAX_RANK];
    out->kind = PLAN_MAP;
    out->bytes = 128;
    out->align = 64;
    out->buffer = study_buffer(study, json_text(value, "buffer", ""));
    if (out->buffer == study->buffer_count)
        return wrong(at, e, "a map names no buffer of the study");
    if (read_numbers(json_object_get(value, "dims"), map->dims, PLAN_MAX_RANK, &rank) < 0)
        return wrong(at, e, "a map needs 1 to 5 positive `dims`");
    const json_t *list = json_object_get(value, "strides");
    if (json_array_size(list) > 0 &&
        read_numbers(list, map->strides, PLAN_MAX_RANK - 1, &strides) < 0)
        return wrong(at, e, "a map's `strides` are positive numbers of bytes");
    if (strides != rank - 1)
        return wrong(at, e, "a map needs one stride fewer than it has `dims`");
    for (size_t i = 0; i < strides; i++)
        if (map->strides[i] % 16 != 0)
            return wrong(at, e, "the copy engine needs strides that are multiples of 16 bytes");
    if (read_numbers(json_object_get(value, "box"), box, PLAN_MAX_RANK, &sides) < 0 ||
        sides != rank)
        return wrong(at, e, "a map's `box` has a side for each of its `dims`");
    for (size_t i = 0; i < rank; i++) {
        if (box[i] > 256)
            return wrong(at, e, "a side of a `box` is 256 elements at most");
        map->box[i] = (uint32_t)box[i];
    }
    int swizzle = word(value, "swizzle", swizzles);
    map->rank = (uint32_t)rank;
    map->promotion = word(value, "l2", promotions);
    map->fill = word(value, "oob", fills);
    if (swizzle < 0 || map->promotion < 0 || map->fill < 0)
        return wrong(at, e, "a map's `swizzle`, `l2` or `oob` is none that is known");
    map->swizzle = swizzle_value[swizzle];
    return 0;
}

static void number(struct plan_arg *out, const void *value, size_t bytes)
{
    out->kind = PLAN_NUMBER;
    out->bytes = out->align = bytes;
    memcpy(out->value, value, bytes);
}

/* Everything but a struct: true when it was one of them and was read. */
static int read_leaf(const json_t *value, const struct where *at, const struct study *study,
                     struct plan_arg *out, struct err *e)
{
    const json_t *v;
    if ((v = json_object_get(value, "map")))
        return read_map(v, at, study, out, e);
    if ((v = json_object_get(value, "buffer"))) {
        out->kind = PLAN_BUFFER;
        out->bytes = out->align = 8;
        out->buffer = study_buffer(study, json_is_string(v) ? json_string_value(v) : "");
        return out->buffer < study->buffer_count
                   ? 0
                   : wrong(at, e, "an argument names no buffer of the study");
    }
    if ((v = json_object_get(value, "i32"))) {
        int32_t n = (int32_t)json_integer_value(v);
        if (!json_is_integer(v) || n != json_integer_value(v))
            return wrong(at, e, "an `i32` is a whole number of 32 bits");
        number(out, &n, sizeof n);
    } else if ((v = json_object_get(value, "i64"))) {
        int64_t n = json_integer_value(v);
        number(out, &n, sizeof n);
    } else if ((v = json_object_get(value, "f32"))) {
        float x = (float)json_number_value(v);
        number(out, &x, sizeof x);
    } else if ((v = json_object_get(value, "f64"))) {
        double x = json_number_value(v);
        number(out, &x, sizeof x);
    } else {
        return wrong(at, e, "an argument is one of buffer, map, i32, i64, f32, f64, struct");
    }
    return 0;
}

/* Members lie as a C compiler lays them. */
static int read_struct(const json_t *list, const struct where *at, const struct study *study,
                       struct arena *arena, struct plan_arg *out, struct err *e)
{
    out->kind = PLAN_STRUCT;
    out->member_count = json_array_size(list);
    if (out->member_count == 0 || out->member_count > PLAN_MAX_ARGS)
        return wrong(at, e, "a struct has 1 to 64 members");
    out->members = arena_alloc(arena, out->member_count * sizeof *out->members);
    out->align = 1;
    for (size_t i = 0; i < out->member_count; i++) {
        struct plan_arg *m = &out->members[i];
        if (read_leaf(json_array_get(list, i), at, study, m, e) < 0)
            return -1;
        if (m->kind == PLAN_MAP)
            return wrong(at, e, "a map is an argument of its own, not a member");
        m->offset = (out->bytes + m->align - 1) / m->align * m->align;
        out->bytes = m->offset + m->bytes;
        out->align = m->align > out->align ? m->align : out->align;
    }
    out->bytes = (out->bytes + out->align - 1) / out->align * out->align;
    return 0;
}

static int read_args(const json_t *list, const struct where *at, const struct study *study,
                     struct arena *arena, struct plan_launch *out, struct err *e)
{
    out->arg_count = json_array_size(list);
    if (out->arg_count > PLAN_MAX_ARGS)
        return wrong(at, e, "a kernel has 64 arguments at most");
    out->args = arena_alloc(arena, (out->arg_count + 1) * sizeof *out->args);
    for (size_t i = 0; i < out->arg_count; i++) {
        const json_t *value = json_array_get(list, i);
        const json_t *members = json_object_get(value, "struct");
        int rc = members ? read_struct(members, at, study, arena, &out->args[i], e)
                         : read_leaf(value, at, study, &out->args[i], e);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int read_extent(const json_t *launch, const char *key, unsigned most, unsigned *out)
{
    const json_t *list = json_object_get(launch, key);
    uint64_t n[3];
    size_t count;
    out[0] = out[1] = out[2] = 1;
    if (!list)
        return 0;
    if (read_numbers(list, n, 3, &count) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (n[i] > most)
            return -1;
        out[i] = (unsigned)n[i];
    }
    return 0;
}

static int read_launch(const json_t *value, const struct where *at, const struct study *study,
                       struct arena *arena, bool library, struct plan_launch *out, struct err *e)
{
    if (!value || json_is_null(value) || json_is_false(value))
        return 0;
    out->present = true;
    if (library) {
        out->library = value;
        return 0;
    }
    if (!json_object_get(value, "grid") || read_extent(value, "grid", 0x7fffffff, out->grid) < 0)
        return wrong(at, e, "`grid` is 1 to 3 positive numbers");
    if (!json_object_get(value, "block") || read_extent(value, "block", 1024, out->block) < 0 ||
        out->block[0] * out->block[1] * out->block[2] > 1024)
        return wrong(at, e, "`block` is 1 to 3 positive numbers with a product of 1024 at most");
    if (read_extent(value, "cluster", 16, out->cluster) < 0)
        return wrong(at, e, "`cluster` is 1 to 3 numbers between 1 and 16");
    for (int i = 0; i < 3; i++)
        if (out->grid[i] % out->cluster[i] != 0)
            return wrong(at, e, "the grid is no multiple of the cluster");
    long long shared = json_int(value, "smem", 0);
    if (shared < 0 || shared > 1 << 20)
        return wrong(at, e, "`smem` is a number of bytes");
    out->shared_bytes = (unsigned)shared;
    out->early = json_is_true(json_object_get(value, "early"));
    return read_args(json_object_get(value, "args"), at, study, arena, out, e);
}

/* What a shape runs: the launch's own words, else the kernel's. */
static int read_function(const json_t *launch, const json_t *kernel, const struct where *at,
                         struct arena *arena, struct plan_launch *out, struct err *e)
{
    const char *object = json_text(launch, "object", json_text(kernel, "object", ""));
    const char *entry = json_text(launch, "entry", json_text(kernel, "entry", ""));
    if (!out->present || out->library)
        return 0;
    if (object[0] == '\0' || entry[0] == '\0')
        return wrong(at, e, "it needs `object` and `entry`, or a `library`");
    out->object = arena_strdup(arena, object);
    out->entry = arena_strdup(arena, entry);
    return 0;
}

/* The launches of some shapes, of the study's own or of the hidden ones. */
static int read_launches(const json_t *value, const char *key, const char *path,
                         struct arena *arena, const struct study *study,
                         const struct study_kernel *kernel, const struct study_shape *shapes,
                         size_t count, struct plan_kernel *out, struct err *e)
{
    const json_t *launches = json_object_get(value, key);
    struct plan_launch *list = out->launches + (shapes - study->shapes);
    if (launches && json_array_size(launches) != count)
        return study_bad(e, path, "kernel `%s`: `%s` has an entry for each shape, or null",
                         kernel->name, key);
    for (size_t i = 0; launches && i < count; i++) {
        struct where at = {path, kernel->name, shapes[i].name};
        const json_t *launch = json_array_get(launches, i);
        if (read_launch(launch, &at, study, arena, out->library != NULL, &list[i], e) < 0 ||
            read_function(launch, value, &at, arena, &list[i], e) < 0)
            return -1;
    }
    return 0;
}

static int read_kernel(const json_t *value, const char *path, struct arena *arena,
                       const struct study *study, const struct study_kernel *kernel,
                       struct plan_kernel *out, struct err *e)
{
    const char *library = json_text(value, "library", NULL);
    out->library = library ? arena_strdup(arena, library) : NULL;
    out->launches =
        arena_alloc(arena, (study->shape_count + study->hidden_count) * sizeof *out->launches);
    if (read_launches(value, "launch", path, arena, study, kernel, study->shapes,
                      study->shape_count, out, e) < 0)
        return -1;
    return read_launches(value, "hidden_launch", path, arena, study, kernel, study->hidden,
                         study->hidden_count, out, e);
}

int gpu_study_open(const char *path, struct arena *arena, struct gpu_study *out, struct err *e)
{
    *out = (struct gpu_study){0};
    struct study *study = &out->study;
    if (study_open(path, arena, study, &out->root, e) < 0)
        return -1;
    const json_t *kernels = json_object_get(out->root, "kernels");
    out->plans = arena_alloc(arena, study->kernel_count * sizeof *out->plans);
    for (size_t i = 0; i < study->kernel_count; i++)
        if (read_kernel(json_array_get(kernels, i), path, arena, study, &study->kernels[i],
                        &out->plans[i], e) < 0) {
            gpu_study_close(out);
            return -1;
        }
    return 0;
}

void gpu_study_close(struct gpu_study *study)
{
    json_decref(study->root);
    *study = (struct gpu_study){0};
}

static void encode_leaf(const struct plan_arg *arg, const uint64_t *address, unsigned char *bytes)
{
    if (arg->kind == PLAN_BUFFER)
        memcpy(bytes, &address[arg->buffer], sizeof *address);
    else
        memcpy(bytes, arg->value, arg->bytes);
}

void plan_encode(const struct plan_arg *arg, const uint64_t *address, unsigned char *bytes)
{
    if (arg->kind != PLAN_STRUCT) {
        encode_leaf(arg, address, bytes);
        return;
    }
    memset(bytes, 0, arg->bytes);
    for (size_t i = 0; i < arg->member_count; i++)
        encode_leaf(&arg->members[i], address, bytes + arg->members[i].offset);
}
