#include "diff_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOVED_THRESHOLD 0.02
#define SIGNIFICANT 0.05
#define SAMPLES_MAGIC "\0spak-samples 1\n"

/* What a run says of one metric on one machine. */
struct reading {
    const char *name, *unit;
    double median, lo, hi;
    double *samples;
    size_t n;
};
struct readings {
    struct reading *at;
    size_t len;
    struct strmap by_name;
};

static bool next_number(struct str *rest, double *out)
{
    char number[40], *end;
    struct str field;
    if (!str_split(rest, ' ', &field) || !field.len || field.len >= sizeof(number))
        return false;
    memcpy(number, field.ptr, field.len);
    number[field.len] = 0;
    *out = strtod(number, &end);
    return *end == 0 && isfinite(*out);
}

static bool read_line(struct diff_job *job, struct str line, struct reading *out)
{
    struct str name, unit;
    *out = (struct reading){0};
    if (!str_split(&line, ' ', &name) || !name.len || !str_split(&line, ' ', &unit) ||
        !next_number(&line, &out->median) || !next_number(&line, &out->lo) ||
        !next_number(&line, &out->hi))
        return false;
    out->name = arena_strndup(job->arena, name.ptr, name.len);
    out->unit = arena_strndup(job->arena, unit.ptr, unit.len);
    return true;
}

static void read_summary(struct diff_job *job, struct str text, struct readings *out)
{
    struct str rest = text, line;
    size_t lines = 0;
    while (str_split(&rest, '\n', &line))
        lines++;
    out->at = arena_alloc(job->arena, (lines + 1) * sizeof(*out->at));
    while (str_split(&text, '\n', &line)) {
        if (!read_line(job, line, &out->at[out->len]))
            continue;
        strmap_set(&out->by_name, out->at[out->len].name, (uint32_t)out->len);
        out->len++;
    }
}

static double float_at(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return (double)value;
}

/* "name count" */
static bool read_series(struct str line, struct str *name, size_t *count)
{
    double number;
    if (!str_split(&line, ' ', name) || !next_number(&line, &number))
        return false;
    if (number < 1 || number > 1e9 || number != floor(number))
        return false;
    *count = (size_t)number;
    return true;
}

static void take_samples(struct diff_job *job, struct readings *r, struct str name,
                         const char *bytes, size_t count)
{
    char *key = arena_strndup(job->arena, name.ptr, name.len);
    uint32_t at = strmap_get(&r->by_name, key);
    if (at == STRMAP_NONE)
        return;
    double *samples = arena_alloc(job->arena, count * sizeof(*samples));
    for (size_t i = 0; i < count; i++)
        samples[i] = float_at(bytes + i * 4);
    r->at[at].samples = samples;
    r->at[at].n = count;
}

/* Head, a line for each series, then all numbers. What a head promises beyond the end is not
 * believed. */
static void read_samples(struct diff_job *job, struct str blob, struct readings *r)
{
    size_t magic = sizeof(SAMPLES_MAGIC) - 1, count;
    struct str line, name;
    double series;
    if (blob.len < magic || memcmp(blob.ptr, SAMPLES_MAGIC, magic) != 0)
        return;
    struct str rest = {blob.ptr + magic, blob.len - magic};
    if (!str_split(&rest, '\n', &line) || !next_number(&line, &series))
        return;
    struct str heads = rest;
    for (double i = 0; i < series; i++)
        if (!str_split(&rest, '\n', &line))
            return;
    for (double i = 0; i < series; i++) {
        str_split(&heads, '\n', &line);
        if (!read_series(line, &name, &count) || count > rest.len / 4)
            return;
        take_samples(job, r, name, rest.ptr, count);
        rest.ptr += count * 4;
        rest.len -= count * 4;
    }
}

static int read_machine(struct diff_job *job, const char *commit, const char *machine,
                        struct readings *out, struct err *e)
{
    struct str summary, samples;
    *out = (struct readings){0};
    if (diff_read(job, commit, arena_printf(job->arena, "measure/%s/summary", machine), &summary,
                  e) ||
        diff_read(job, commit, arena_printf(job->arena, "measure/%s/samples.bin", machine),
                  &samples, e))
        return -1;
    read_summary(job, summary, out);
    read_samples(job, samples, out);
    return 0;
}

static bool far(double before, double after)
{
    return fabs(after - before) > MOVED_THRESHOLD * fabs(before);
}

/* The seed is the same always: the same two traces give the same report. */
static void compare_samples(const struct reading *a, const struct reading *b, struct diff_metric *m)
{
    m->before = stat_median(a->samples, a->n);
    m->after = stat_median(b->samples, b->n);
    m->n_before = a->n;
    m->n_after = b->n;
    m->ratio = stat_ratio_unpaired(b->samples, b->n, a->samples, a->n, 1);
    m->p = stat_mann_whitney(a->samples, a->n, b->samples, b->n);
}

static void compare(struct diff_job *job, const char *machine, const struct reading *a,
                    const struct reading *b)
{
    struct diff_metric *m = &job->out->metrics[job->out->metric_count];
    const struct reading *any = a ? a : b;
    *m = (struct diff_metric){.name = any->name, .unit = any->unit, .machine = machine, .p = NAN};
    m->ratio = (struct stat_interval){NAN, NAN, NAN};
    m->in_before = a;
    m->in_after = b;
    m->before = a ? a->median : NAN;
    m->after = b ? b->median : NAN;
    if (a && b && strcmp(a->unit, b->unit) != 0)
        m->unit = arena_printf(job->arena, "%s -> %s", a->unit, b->unit);
    else if (a && b && a->samples && b->samples)
        compare_samples(a, b, m);
    else if (a && b)
        m->moved = (a->lo > b->hi || a->hi < b->lo) && far(a->median, b->median);
    job->out->metric_count++;
}

static bool same_samples(const struct reading *a, const struct reading *b)
{
    return a->n == b->n && strcmp(a->unit, b->unit) == 0 && a->median == b->median &&
           (a->n == 0 || memcmp(a->samples, b->samples, a->n * sizeof(*a->samples)) == 0);
}

static int compare_machine(struct diff_job *job, const char *machine, struct err *e)
{
    struct readings a = {0}, b = {0};
    struct diff *d = job->out;
    int rc = read_machine(job, job->a, machine, &a, e);
    if (rc == 0)
        rc = read_machine(job, job->b, machine, &b, e);
    size_t cap = d->metric_count + a.len + b.len;
    struct diff_metric *at = arena_alloc(job->arena, (cap + 1) * sizeof(*at));
    if (d->metric_count)
        memcpy(at, d->metrics, d->metric_count * sizeof(*at));
    d->metrics = at;
    for (size_t i = 0; rc == 0 && i < a.len; i++) {
        uint32_t k = strmap_get(&b.by_name, a.at[i].name);
        const struct reading *other = k == STRMAP_NONE ? NULL : &b.at[k];
        if (!other || !same_samples(&a.at[i], other))
            compare(job, machine, &a.at[i], other);
    }
    for (size_t i = 0; rc == 0 && i < b.len; i++)
        if (strmap_get(&a.by_name, b.at[i].name) == STRMAP_NONE)
            compare(job, machine, NULL, &b.at[i]);
    strmap_release(&a.by_name);
    strmap_release(&b.by_name);
    return rc;
}

/* One test a metric makes one in twenty of them move by chance; hence Holm, over all at once. */
static void judge(struct diff *d)
{
    double *p = xcalloc(d->metric_count + 1, sizeof(*p));
    for (size_t i = 0; i < d->metric_count; i++)
        p[i] = d->metrics[i].p;
    stat_holm(p, d->metric_count);
    for (size_t i = 0; i < d->metric_count; i++) {
        struct diff_metric *m = &d->metrics[i];
        m->p = p[i];
        if (!isnan(m->p))
            m->moved = m->p < SIGNIFICANT && far(m->before, m->after);
    }
    free(p);
}

static double size_of_move(const struct diff_metric *m)
{
    double size = fabs(log(fabs(m->after)) - log(fabs(m->before)));
    return isnan(size) ? 0 : size;
}

static int by_move(const void *a, const void *b)
{
    const struct diff_metric *x = a, *y = b;
    double dx = size_of_move(x), dy = size_of_move(y);
    if (x->moved != y->moved)
        return x->moved ? -1 : 1;
    if (x->moved && dx != dy)
        return dx > dy ? -1 : 1;
    int order = strcmp(x->machine, y->machine);
    return order ? order : strcmp(x->name, y->name);
}

int diff_metrics(struct diff_job *job, struct err *e)
{
    struct strmap done = {0};
    const struct diff *d = job->out;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < job->measured_count; i++) {
        const char *name = job->measured[i].path + strlen("measure/"), *end = strchr(name, '/');
        if (!end || (strcmp(end, "/summary") != 0 && strcmp(end, "/samples.bin") != 0))
            continue;
        const char *machine = arena_strndup(job->arena, name, (size_t)(end - name));
        bool lone = strmap_get(&done, machine) != STRMAP_NONE;
        for (size_t k = 0; k < d->machine_count; k++)
            lone |= strcmp(d->machines[k].name, machine) == 0;
        strmap_set(&done, machine, 1);
        if (!lone)
            rc = compare_machine(job, machine, e);
    }
    if (rc == 0)
        judge(job->out);
    if (rc == 0 && d->metric_count)
        qsort(d->metrics, d->metric_count, sizeof(*d->metrics), by_move);
    strmap_release(&done);
    return rc;
}
