#include "prove_spec.h"

#include "os.h"
#include <string.h>

#define CAP_DEFAULT 50000
#define SCOPE_MAX 100000000

static const char *const spec_keys[] = {"asserts",     "cases",      "max_skip",  "mutants", "name",
                                        "metamorphic", "regression", "relation",  "scope",   "seed",
                                        "sim",         "threshold",  "timeout_s", "within"};
static const char *const scope_keys[] = {"exhaustive", "random", "cap"};
static const char *const within_keys[] = {"abs", "rel", "ulp", "ulp32"};

static int known_keys(const json_t *object, const char *of, const char *const *known, size_t count,
                      struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < count && !found; i++)
            found = strcmp(key, known[i]) == 0;
        if (!found)
            return err_set(e, ERR_law_spec, "%s has a member `%s` that I do not know", of, key);
    }
    return 0;
}

static int read_argv(const json_t *sim, struct spec *out, struct err *e)
{
    size_t count = json_is_array(sim) ? json_array_size(sim) : 0;
    if (count == 0)
        return err_set(e, ERR_law_spec, "`sim` must be the simulation's command, a list of words");
    const char **argv = arena_alloc(&out->arena, (count + 1) * sizeof(*argv));
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(sim, i);
        if (!json_is_string(word))
            return err_set(e, ERR_law_spec, "word %zu of `sim` is not a text", i + 1);
        argv[i] = arena_strdup(&out->arena, json_string_value(word));
    }
    out->argv = argv;
    return 0;
}

static int count_of(const json_t *scope, const char *key, uint64_t fallback, uint64_t *out,
                    struct err *e)
{
    const json_t *value = json_object_get(scope, key);
    *out = fallback;
    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > SCOPE_MAX)
        return err_set(e, ERR_law_spec, "`scope.%s` must be a whole number from 0 to 100000000",
                       key);
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_scope(const json_t *scope, struct spec *out, struct err *e)
{
    if (!json_is_object(scope))
        return err_set(e, ERR_law_spec,
                       "`scope` must say how many cases: {\"exhaustive\": k, \"random\": n}");
    if (known_keys(scope, "`scope`", scope_keys, ARRAY_LEN(scope_keys), e) ||
        count_of(scope, "exhaustive", 0, &out->exhaustive, e) ||
        count_of(scope, "random", 0, &out->random, e) ||
        count_of(scope, "cap", CAP_DEFAULT, &out->cap, e))
        return -1;
    if (out->exhaustive + out->random == 0 || out->cap == 0)
        return err_set(e, ERR_law_spec, "`scope` asks for no case at all");
    return 0;
}

static int bound_of(const json_t *within, const char *key, double *out, struct err *e)
{
    const json_t *value = json_object_get(within, key);
    *out = json_number_value(value);
    if (value && (!json_is_number(value) || !(*out >= 0)))
        return err_set(e, ERR_law_spec, "`within.%s` must be a number of at least 0", key);
    return 0;
}

static int read_judge(const json_t *json, struct spec *out, struct err *e)
{
    out->relation = arena_strdup(&out->arena, json_text(json, "relation", "equal"));
    bool equal = strcmp(out->relation, "equal") == 0;
    if (!equal && strcmp(out->relation, "at_most") != 0)
        return err_set(e, ERR_law_spec, "`relation` must be \"equal\" or \"at_most\", not \"%s\"",
                       out->relation);
    out->judge.relation = equal ? RELATION_EQUAL : RELATION_AT_MOST;
    json_t *within = json_object_get(json, "within");
    if (!within || json_is_null(within))
        return 0;
    if (!json_is_object(within) || json_object_size(within) == 0)
        return err_set(e, ERR_law_spec, "`within` must name a bound: abs, rel, ulp or ulp32");
    out->judge.bounded = true;
    out->within = json_incref(within);
    if (known_keys(within, "`within`", within_keys, ARRAY_LEN(within_keys), e) ||
        bound_of(within, "abs", &out->judge.abs, e) ||
        bound_of(within, "rel", &out->judge.rel, e) || bound_of(within, "ulp", &out->judge.ulp, e))
        return -1;
    return bound_of(within, "ulp32", &out->judge.ulp32, e);
}

static int add_mutant(struct spec *out, const char *name, const char *fault, struct err *e)
{
    if (!*name || !*fault)
        return err_set(e, ERR_law_spec, "a mutant needs a name and the fault it stands for");
    for (size_t i = 0; i < out->mutant_count; i++)
        if (strcmp(out->mutants[i].name, name) == 0)
            return err_set(e, ERR_law_spec, "mutant `%s` is declared twice", name);
    out->mutants[out->mutant_count++] = (struct mutant){name, fault};
    return 0;
}

/* Lines of `name  what the fault is`; blank ones and those that start with # are skipped. */
static int read_mutant_file(const char *path, struct spec *out, struct err *e)
{
    struct buf text = {0};
    int rc = os_read(path, &text, e);
    if (rc)
        goto out;
    out->mutants = arena_alloc(&out->arena, (text.len + 1) * sizeof(*out->mutants) / 2);
    struct str rest = {text.ptr, text.len}, line;
    while (rc == 0 && str_split(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        size_t end = 0;
        while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != '\t')
            end++;
        struct str fault = str_trim((struct str){line.ptr + end, line.len - end});
        rc = add_mutant(out, arena_strndup(&out->arena, line.ptr, end),
                        arena_strndup(&out->arena, fault.ptr, fault.len), e);
    }
    if (rc)
        err_wrap(e, "reading %s: ", path);
out:
    buf_release(&text);
    return rc;
}

static int read_mutants(const json_t *mutants, struct spec *out, struct err *e)
{
    if (!mutants || json_is_null(mutants))
        return 0;
    if (json_is_string(mutants))
        return read_mutant_file(json_string_value(mutants), out, e);
    if (!json_is_array(mutants))
        return err_set(e, ERR_law_spec,
                       "`mutants` must be a list of {name, fault} or the path of a file");
    out->mutants = arena_alloc(&out->arena, (json_array_size(mutants) + 1) * sizeof(*out->mutants));
    for (size_t i = 0; i < json_array_size(mutants); i++) {
        const json_t *m = json_array_get(mutants, i);
        if (add_mutant(out, arena_strdup(&out->arena, json_text(m, "name", "")),
                       arena_strdup(&out->arena, json_text(m, "fault", "")), e))
            return -1;
    }
    return 0;
}

static int read_part(const json_t *json, const char *key, double fallback, double lo, double *out,
                     struct err *e)
{
    const json_t *value = json_object_get(json, key);
    *out = value ? json_number_value(value) : fallback;
    if (value && (!json_is_number(value) || !(*out >= lo) || *out > 1))
        return err_set(e, ERR_law_spec, "`%s` must be a number between %g and 1", key, lo);
    return 0;
}

static int read_numbers(const json_t *json, struct spec *out, struct err *e)
{
    double timeout_s = json_num(json, "timeout_s", 10.0);
    if (!(timeout_s > 0) || timeout_s > 86400)
        return err_set(e, ERR_law_spec, "`timeout_s` must be a number of seconds, at most a day");
    out->timeout_ns = (int64_t)(timeout_s * 1e9);
    if (read_part(json, "threshold", 1.0, 0.01, &out->threshold, e))
        return -1;
    return read_part(json, "max_skip", 0.5, 0.0, &out->max_skip, e);
}

static int read_texts(const json_t *json, struct spec *out, struct err *e)
{
    out->name = arena_strdup(&out->arena, json_text(json, "name", ""));
    out->asserts = arena_strdup(&out->arena, json_text(json, "asserts", ""));
    out->seed = arena_strdup(&out->arena, json_text(json, "seed", "0"));
    if (!*out->name || !*out->asserts)
        return err_set(e, ERR_law_spec, "a law needs a `name` and what it `asserts`");
    if (strspn(out->seed, "0123456789abcdef") != strlen(out->seed))
        return err_set(e, ERR_law_spec, "`seed` must be lower-case hex digits, not \"%s\"",
                       out->seed);
    return 0;
}

/* Cases that broke the law once, one JSON object a line. */
static int read_regression(const json_t *json, struct spec *out, struct err *e)
{
    const char *path = json_text(json, "regression", NULL);
    struct buf text = {0};
    out->metamorphic = json_is_true(json_object_get(json, "metamorphic"));
    if (!path)
        return 0;
    int rc = os_read(path, &text, e);
    struct str rest = {text.ptr, text.len}, line;
    for (int number = 1; rc == 0 && str_split(&rest, '\n', &line); number++) {
        line = str_trim(line);
        if (line.len == 0)
            continue;
        json_t *value = json_parse(line.ptr, line.len, path, e);
        if (!json_is_object(value))
            rc = e->set ? -1 : err_set(e, ERR_law_spec, "line %d of %s is no case", number, path);
        json_decref(value);
        strs_push(&out->regression, arena_strndup(&out->arena, line.ptr, line.len));
    }
    buf_release(&text);
    return rc;
}

static int read_all(const json_t *json, struct spec *out, struct err *e)
{
    if (!json_is_object(json))
        return err_set(e, ERR_law_spec, "a law is declared by one JSON object");
    if (known_keys(json, "the law", spec_keys, ARRAY_LEN(spec_keys), e) ||
        read_texts(json, out, e) || read_argv(json_object_get(json, "sim"), out, e) ||
        fields_parse(json_object_get(json, "cases"), &out->arena, &out->fields, e) ||
        read_scope(json_object_get(json, "scope"), out, e) || read_judge(json, out, e) ||
        read_numbers(json, out, e) || read_regression(json, out, e))
        return -1;
    return read_mutants(json_object_get(json, "mutants"), out, e);
}

int spec_parse(const char *text, size_t len, const char *name, struct spec *out, struct err *e)
{
    *out = (struct spec){0};
    json_t *json = json_parse(text, len, name, e);
    int rc = json ? read_all(json, out, e) : -1;
    json_decref(json);
    return rc;
}

int spec_read(const char *path, struct spec *out, struct err *e)
{
    struct buf text = {0};
    *out = (struct spec){0};
    int rc = os_read(path, &text, e);
    if (rc == 0)
        rc = spec_parse(buf_text(&text), text.len, path, out, e);
    buf_release(&text);
    return rc;
}

void spec_keep(struct spec *spec, const char *tapes)
{
    struct str rest = str_of(tapes), word;
    while (str_split(&rest, ' ', &word))
        if (word.len)
            strs_push(&spec->kept, arena_strndup(&spec->arena, word.ptr, word.len));
}

void spec_release(struct spec *spec)
{
    strs_release(&spec->kept);
    json_decref(spec->within);
    strs_release(&spec->regression);
    arena_release(&spec->arena);
    *spec = (struct spec){0};
}
