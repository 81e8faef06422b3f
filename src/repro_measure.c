#include "repro_parts.h"

#include "stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED 20250101
#define SERIES_MAX 100000
#define SAMPLES_MAX 1000000

/* Samples of one metric, as samples.bin holds them. */
struct series {
    const char *name;
    double *samples;
    size_t count;
};
struct all_series {
    struct series *at;
    size_t len;
};

enum repro_metric_state repro_equivalence(double lo, double hi, double margin)
{
    /* Written so that a NaN fails every test. */
    if (lo >= 1 - margin && hi <= 1 + margin)
        return REPRO_WITHIN;
    return hi < 1 - margin || lo > 1 + margin ? REPRO_BEYOND : REPRO_UNCLEAR;
}

static double read_float(const unsigned char *p)
{
    uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return (double)value;
}

static bool read_count(struct str text, size_t max, size_t *out)
{
    *out = 0;
    if (text.len == 0 || text.len > 9)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *out = *out * 10 + (size_t)(text.ptr[i] - '0');
    }
    return *out <= max;
}

static bool read_names(struct str *rest, struct arena *arena, struct all_series *out)
{
    struct str line;
    size_t count;
    if (!str_split(rest, '\n', &line) || !read_count(line, SERIES_MAX, &count))
        return false;
    out->at = arena_alloc(arena, (count + 1) * sizeof(*out->at));
    for (; out->len < count; out->len++) {
        struct series *s = &out->at[out->len];
        if (!str_split(rest, '\n', &line))
            return false;
        struct str number = repro_last_word(&line);
        if (!read_count(number, SAMPLES_MAX, &s->count) || s->count == 0)
            return false;
        s->name = repro_printable(arena, arena_strndup(arena, line.ptr, line.len));
    }
    return true;
}

/* False for bytes that are no samples: they are a stranger's. */
static bool parse_samples(const struct buf *bytes, struct arena *arena, struct all_series *out)
{
    static const char magic[] = "\0spak-samples 1\n";
    size_t head = sizeof(magic) - 1;
    *out = (struct all_series){0};
    if (bytes->len < head || memcmp(bytes->ptr, magic, head) != 0)
        return false;
    struct str rest = {bytes->ptr + head, bytes->len - head};
    if (!read_names(&rest, arena, out))
        return false;
    for (size_t i = 0; i < out->len; i++) {
        struct series *s = &out->at[i];
        if (rest.len / 4 < s->count)
            return false;
        s->samples = arena_alloc(arena, s->count * sizeof(double));
        for (size_t k = 0; k < s->count; k++)
            s->samples[k] = read_float((const unsigned char *)rest.ptr + 4 * k);
        rest.ptr += 4 * s->count;
        rest.len -= 4 * s->count;
    }
    return true;
}

static int load_samples(const struct repro_side *side, struct arena *arena, struct all_series *out,
                        struct err *e)
{
    struct buf bytes = {0};
    bool found;
    const char *path = arena_printf(arena, "measure/%s/samples.bin", side->entry->machine);
    int rc = trace_read(side->trace, side->entry->commit, path, &bytes, &found, e);
    if (rc == 0 && !parse_samples(&bytes, arena, out))
        *out = (struct all_series){0};
    buf_release(&bytes);
    return rc;
}

static const struct series *find_series(const struct all_series *all, const char *name)
{
    for (size_t i = 0; i < all->len; i++)
        if (!strcmp(all->at[i].name, name))
            return &all->at[i];
    return NULL;
}

static void judge_metric(const struct series *before, const struct series *after, double margin,
                         struct repro_metric *out)
{
    *out = (struct repro_metric){
        .name = before->name, .state = REPRO_UNPAIRED, .ratio = NAN, .lo = NAN, .hi = NAN};
    out->margin = margin;
    if (!after)
        return;
    struct stat_interval i =
        stat_ratio_unpaired(after->samples, after->count, before->samples, before->count, SEED);
    out->ratio = i.median;
    out->lo = i.lo;
    out->hi = i.hi;
    out->state = repro_equivalence(i.lo, i.hi, margin);
}

static enum repro_verdict metric_verdict(const struct repro_metric *m)
{
    switch (m->state) {
    case REPRO_WITHIN:
        return REPRO_IDENTICAL;
    case REPRO_BEYOND:
        return REPRO_DIFFERENT;
    case REPRO_UNCLEAR:
        return fabs(m->ratio - 1) <= m->margin ? REPRO_EQUIVALENT : REPRO_NOT_COMPARABLE;
    case REPRO_UNPAIRED:
        return REPRO_NOT_COMPARABLE;
    }
    BUG("a metric in state %d", m->state);
}

static void say_metric(const struct repro_metric *m, struct arena *arena, struct repro_finding *f)
{
    if (m->state == REPRO_UNPAIRED)
        repro_say(&f->reasons, arena, "%s was not measured here", m->name);
    else
        repro_say(&f->reasons, arena,
                  "%s is %.3f times what was recorded (%.3f to %.3f), %s the margin of %.3g %%",
                  m->name, m->ratio, m->lo, m->hi,
                  m->state == REPRO_BEYOND ? "beyond" : "too uncertain for", 100 * m->margin);
    repro_worsen(f, metric_verdict(m));
}

/* What decides the verdict is said first. */
static void say_metrics(struct arena *arena, struct repro_finding *f)
{
    static const enum repro_verdict order[] = {REPRO_DIFFERENT, REPRO_NOT_COMPARABLE,
                                               REPRO_EQUIVALENT};
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < f->metric_count; i++)
            if (metric_verdict(&f->metrics[i]) == order[k])
                say_metric(&f->metrics[i], arena, f);
}

/* "metric margin"; a trace of before there were such lines, or a line that is none, has the usual
 * one. */
static double recorded_margin(const char *margins, const char *metric, struct arena *arena)
{
    struct str line = repro_line(margins, metric, 0);
    double margin = line.ptr ? strtod(arena_strndup(arena, line.ptr, line.len), NULL) : 0;
    return margin > 0 && margin < 1 ? margin : TRACE_MARGIN;
}

static void note_margin(struct repro_finding *f, double margin)
{
    bool first = f->metric_count == 0;
    f->margin = first || margin > f->margin ? margin : f->margin;
    f->margin_least = first || margin < f->margin_least ? margin : f->margin_least;
}

static int compare_samples(const struct repro_side *recorded, const struct repro_side *again,
                           double margin, struct arena *arena, struct repro_finding *f,
                           struct err *e)
{
    struct all_series before, after;
    const char *margins;
    bool found;
    const char *path = arena_printf(arena, "measure/%s/margins", recorded->entry->machine);
    if (load_samples(recorded, arena, &before, e) || load_samples(again, arena, &after, e) ||
        repro_text(recorded, arena, path, &margins, &found, e))
        return -1;
    f->metrics = arena_alloc(arena, (before.len + 1) * sizeof(*f->metrics));
    for (size_t i = 0; i < before.len; i++) {
        const char *name = before.at[i].name;
        double own = margin > 0 ? margin : recorded_margin(margins, name, arena);
        note_margin(f, own);
        judge_metric(&before.at[i], find_series(&after, name), own, &f->metrics[f->metric_count++]);
    }
    say_metrics(arena, f);
    if (before.len == 0) {
        repro_say(&f->reasons, arena,
                  "the record holds no samples that measurements here could be compared with");
        repro_worsen(f, REPRO_EQUIVALENT);
    }
    return 0;
}

/* Where no number came out there is nothing to hold against the record's. */
static bool measured_nothing(const char *state)
{
    return !strcmp(state, "unmeasured") || !strcmp(state, "skipped") || !strcmp(state, "absent") ||
           !strcmp(state, "refused");
}

static const char *why_unmeasured(const char *state)
{
    if (!strcmp(state, "unmeasured"))
        return " (this machine has no such device)";
    return strcmp(state, "refused") != 0
               ? ""
               : " (the protocol gives it no lease here: spak build says why)";
}

/* A measured node's files differ in every run; its state does not. */
static int compare_state(const struct repro_side *recorded, const struct repro_side *again,
                         const char *before_path, const char *after_path, const char *node,
                         struct arena *arena, struct repro_finding *f, struct err *e)
{
    const char *before, *after;
    bool found;
    if (repro_text(recorded, arena, before_path, &before, &found, e) ||
        repro_text(again, arena, after_path, &after, &found, e))
        return -1;
    struct str was = repro_line(before, "state", 0), is = repro_line(after, "state", 0);
    if (str_equal(was, is))
        return 0;
    const char *now = is.ptr ? arena_strndup(arena, is.ptr, is.len) : "absent";
    repro_say(&f->reasons, arena, "%s: %s in the record, %s here%s", repro_printable(arena, node),
              repro_printable(arena, was.ptr ? arena_strndup(arena, was.ptr, was.len) : "-"), now,
              why_unmeasured(now));
    repro_worsen(f, measured_nothing(now) ? REPRO_NOT_COMPARABLE : REPRO_DIFFERENT);
    return 0;
}

static int compare_states(const struct repro_side *recorded, const struct repro_side *again,
                          const struct strs *nodes, const char *under, struct arena *arena,
                          struct repro_finding *f, struct err *e)
{
    for (size_t i = 0; i < nodes->len; i++) {
        const char *node = nodes->at[i] + strlen(under) + 1;
        const char *now = arena_printf(arena, "measure/%s/nodes/%s", again->entry->machine, node);
        if (compare_state(recorded, again, nodes->at[i], now, node, arena, f, e))
            return -1;
    }
    return 0;
}

int repro_measured(const struct repro_side *recorded, const struct repro_side *again, double margin,
                   struct arena *arena, struct repro_finding *f, struct err *e)
{
    struct strs nodes = {0};
    const char *under = arena_printf(arena, "measure/%s/nodes", recorded->entry->machine);
    int rc = *recorded->entry->machine
                 ? trace_list(recorded->trace, recorded->entry->commit, under, arena, &nodes, e)
                 : 0;
    f->measured = nodes.len;
    if (rc == 0 && nodes.len && strcmp(recorded->entry->machine, again->entry->machine) != 0) {
        repro_say(&f->reasons, arena,
                  "measured on %s; this machine is %s, whose numbers say nothing about it",
                  repro_printable(arena, recorded->entry->machine), again->entry->machine);
        repro_worsen(f, REPRO_NOT_COMPARABLE);
    } else if (rc == 0 && nodes.len) {
        rc = compare_states(recorded, again, &nodes, under, arena, f, e);
        if (rc == 0)
            rc = compare_samples(recorded, again, margin, arena, f, e);
    }
    strs_release(&nodes);
    return rc;
}

int repro_recorded_metrics(const struct repro_side *side, struct arena *arena,
                           repro_median_fn *each, void *ctx, struct err *e)
{
    struct all_series all;
    const char *summary;
    bool found;
    if (!*side->entry->machine)
        return 0;
    if (load_samples(side, arena, &all, e) ||
        repro_text(side, arena, arena_printf(arena, "measure/%s/summary", side->entry->machine),
                   &summary, &found, e))
        return -1;
    for (size_t i = 0; i < all.len; i++) {
        const struct series *s = &all.at[i];
        struct str line = repro_line(summary, s->name, 0), unit, median;
        if (!line.ptr || !str_split(&line, ' ', &unit) || !str_split(&line, ' ', &median))
            continue;
        each(ctx, s->name, strtod(arena_strndup(arena, median.ptr, median.len), NULL),
             stat_median(s->samples, s->count));
    }
    return 0;
}
