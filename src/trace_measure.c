#include "trace_parts.h"

#include "host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A line is rewritten only for a change larger than this, and only when the intervals are apart. */
#define STICKY_THRESHOLD 0.02
#define SAMPLES_MAX 1000000

/* One word: the summary's fields are separated by spaces. */
static const char *one_word(struct arena *arena, const char *text)
{
    if (!*text)
        return "-";
    char *word = arena_strdup(arena, text);
    for (char *p = word; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            *p = '_';
    return word;
}

static void read_samples(struct trace_job *job, struct trace_metric *m, const json_t *samples)
{
    size_t count = json_array_size(samples);
    if (!json_is_array(samples) || count == 0 || count > SAMPLES_MAX)
        return;
    float *values = arena_alloc(job->arena, count * sizeof(*values));
    for (size_t i = 0; i < count; i++)
        values[i] = (float)json_number_value(json_array_get(samples, i));
    m->samples = values;
    m->sample_count = count;
}

static bool read_metric(struct trace_job *job, const json_t *value, const json_t *samples)
{
    const char *name = json_text(value, "metric", NULL);
    double median = json_num(value, "median", NAN);
    if (!name || !isfinite(median))
        return false;
    if (job->metric_count == job->metric_cap) {
        job->metric_cap = job->metric_cap ? job->metric_cap * 2 : 16;
        job->metrics = xrealloc(job->metrics, job->metric_cap * sizeof(*job->metrics));
    }
    struct trace_metric *m = &job->metrics[job->metric_count++];
    *m = (struct trace_metric){.median = median};
    m->name = one_word(job->arena, name);
    m->unit = one_word(job->arena, json_text(value, "unit", ""));
    m->lo = json_num(value, "lo", median);
    m->hi = json_num(value, "hi", median);
    m->n = json_int(value, "n", 0);
    m->margin = json_num(value, "margin", TRACE_MARGIN);
    if (!(m->margin > 0 && m->margin < 1))
        m->margin = TRACE_MARGIN;
    read_samples(job, m, json_object_get(samples, name));
    return true;
}

bool trace_metrics_read(struct trace_job *job, const char *text, size_t len, const char *name)
{
    struct err bad = {0};
    json_t *root = json_parse(text, len, name, &bad);
    err_release(&bad);
    const json_t *list = json_object_get(root, "metrics");
    const json_t *samples = json_object_get(root, "samples");
    bool good = json_is_array(list);
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = read_metric(job, json_array_get(list, i), samples);
    json_decref(root);
    return good;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct trace_metric *)a)->name, ((const struct trace_metric *)b)->name);
}

static void add_float(struct buf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    char raw[4] = {(char)bits, (char)(bits >> 8), (char)(bits >> 16), (char)(bits >> 24)};
    buf_add(out, raw, sizeof(raw));
}

/* The NUL in front makes git treat the blob as binary in every diff: one line instead of thousands.
 */
static int add_samples(struct trace_job *job, const char *folder, struct err *e)
{
    struct buf out = {0};
    size_t series = 0;
    for (size_t i = 0; i < job->metric_count; i++)
        series += job->metrics[i].sample_count != 0;
    if (!series)
        return 0;
    buf_add(&out, "\0spak-samples 1\n", 16);
    buf_addf(&out, "%zu\n", series);
    for (size_t i = 0; i < job->metric_count; i++)
        if (job->metrics[i].sample_count)
            buf_addf(&out, "%s %zu\n", job->metrics[i].name, job->metrics[i].sample_count);
    for (size_t i = 0; i < job->metric_count; i++)
        for (size_t k = 0; k < job->metrics[i].sample_count; k++)
            add_float(&out, job->metrics[i].samples[k]);
    char *bytes = arena_memdup(job->arena, out.ptr, out.len);
    size_t len = out.len;
    buf_release(&out);
    return trace_files_add(&job->files, arena_printf(job->arena, "%s/samples.bin", folder), bytes,
                           len, e);
}

static int add_machine(struct trace_job *job, const char *folder, struct err *e)
{
    static const char *const facts[] = {"arch",      "cores",      "cpu.model", "gpu.0.name",
                                        "gpu.count", "gpu.driver", "l3_bytes",  "os"};
    struct buf out = {0};
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        const char *value = host_fact(job->arena, facts[i]);
        if (!value)
            continue;
        buf_addf(&out, "%s ", facts[i]);
        trace_add_value(&out, value);
        buf_addch(&out, '\n');
    }
    char *bytes = arena_memdup(job->arena, buf_text(&out), out.len);
    size_t len = out.len;
    buf_release(&out);
    return trace_files_add(&job->files, arena_printf(job->arena, "%s/machine", folder), bytes, len,
                           e);
}

/* What counts as the same is settled when the numbers are, not by who reproduces them. */
static int add_margins(struct trace_job *job, const char *folder, struct err *e)
{
    struct buf out = {0};
    for (size_t i = 0; i < job->metric_count; i++)
        buf_addf(&out, "%s %.6g\n", job->metrics[i].name, job->metrics[i].margin);
    char *bytes = arena_memdup(job->arena, buf_text(&out), out.len);
    size_t len = out.len;
    buf_release(&out);
    return len ? trace_files_add(&job->files, arena_printf(job->arena, "%s/margins", folder), bytes,
                                 len, e)
               : 0;
}

int trace_measure(struct trace_job *job, struct err *e)
{
    if (!job->measured)
        return 0;
    const char *safe = trace_safe_path(job->arena, job->run->machine);
    const char *folder = arena_printf(job->arena, "measure/%s", safe);
    if (job->metric_count)
        qsort(job->metrics, job->metric_count, sizeof(*job->metrics), by_name);
    if (add_machine(job, folder, e) || add_margins(job, folder, e))
        return -1;
    return add_samples(job, folder, e);
}

/* An old line: "metric unit median lo hi n". */
struct old_line {
    struct str text;
    double median, lo, hi;
};

static bool parse_old(struct str line, const struct trace_metric *m, struct old_line *out)
{
    struct str rest = line, field;
    double numbers[3];
    if (!str_split(&rest, ' ', &field) || !str_equal(field, str_of(m->name)) ||
        !str_split(&rest, ' ', &field) || !str_equal(field, str_of(m->unit)))
        return false;
    for (int i = 0; i < 3; i++) {
        char number[40], *end;
        if (!str_split(&rest, ' ', &field) || field.len >= sizeof(number) || !field.len)
            return false;
        memcpy(number, field.ptr, field.len);
        number[field.len] = 0;
        numbers[i] = strtod(number, &end);
        if (*end || !isfinite(numbers[i]))
            return false;
    }
    *out = (struct old_line){line, numbers[0], numbers[1], numbers[2]};
    return true;
}

static bool find_old(const char *summary, const struct trace_metric *m, struct old_line *out)
{
    struct str rest = str_of(summary), line;
    while (str_split(&rest, '\n', &line))
        if (parse_old(line, m, out))
            return true;
    return false;
}

static bool truly_moved(const struct trace_metric *m, const struct old_line *old)
{
    bool apart = m->lo > old->hi || m->hi < old->lo;
    return apart && fabs(m->median - old->median) > STICKY_THRESHOLD * fabs(old->median);
}

static void choose_line(struct trace_job *job, struct trace_metric *m, const char *summary)
{
    struct old_line old;
    bool known = find_old(summary, m, &old);
    m->moved = !known || truly_moved(m, &old);
    if (m->moved)
        m->line = arena_printf(job->arena, "%s %s %.6g %.6g %.6g %lld", m->name, m->unit, m->median,
                               m->lo, m->hi, m->n);
    else
        m->line = arena_strndup(job->arena, old.text.ptr, old.text.len);
}

static bool measured_now(const struct trace_job *job, struct str line)
{
    struct str name;
    if (!str_split(&line, ' ', &name))
        return true;
    for (size_t i = 0; i < job->metric_count; i++)
        if (str_equal(name, str_of(job->metrics[i].name)))
            return true;
    return false;
}

/* A run that broke off says nothing about what it did not reach: those lines wait for the next one.
 */
static void carry_over(struct trace_job *job, const char *summary, struct strs *lines)
{
    struct str rest = str_of(summary), line;
    while (str_split(&rest, '\n', &line))
        if (line.len && !measured_now(job, line))
            strs_push(lines, arena_strndup(job->arena, line.ptr, line.len));
}

void trace_summary(struct trace_job *job, const char *old, struct buf *out)
{
    struct strs lines = {0};
    for (size_t i = 0; i < job->metric_count; i++) {
        choose_line(job, &job->metrics[i], old);
        strs_push(&lines, job->metrics[i].line);
    }
    if (strcmp(trace_status(job), "ok") != 0)
        carry_over(job, old, &lines);
    strs_sort(&lines);
    for (size_t i = 0; i < lines.len; i++)
        buf_addf(out, "%s\n", lines.at[i]);
    strs_release(&lines);
}
