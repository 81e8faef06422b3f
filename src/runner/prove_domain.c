#include "prove_domain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Simplest first; enumeration takes as many as its limit allows, and at least two. */
static const double grid_plain[] = {0.0, 1.0, -1.0, 0.5};
static const double grid_extreme[] = {0.0, 1e4, -1e4, 1.0, -1.0, 88.75, -104.0, 1e-30};

struct cursor {
    const struct fields *fields;
    struct draw *draw;
    struct stream *stream;
    size_t at;
    long long *values; /* of the fields that are whole numbers */
    struct buf *out;
};

void tape_init(struct tape *tape, size_t streams)
{
    tape->streams = xcalloc(streams + 1, sizeof(*tape->streams));
    tape->count = streams;
}

static void stream_reserve(struct stream *stream, size_t len)
{
    if (len <= stream->cap)
        return;
    stream->cap = len * 2 + 8;
    stream->choice = xrealloc(stream->choice, stream->cap * sizeof(uint64_t));
    stream->bound = xrealloc(stream->bound, stream->cap * sizeof(uint64_t));
}

void tape_copy(struct tape *to, const struct tape *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct stream *s = &from->streams[i];
        stream_reserve(&to->streams[i], s->len);
        to->streams[i].len = s->len;
        if (s->len > 0) {
            memcpy(to->streams[i].choice, s->choice, s->len * sizeof(uint64_t));
            memcpy(to->streams[i].bound, s->bound, s->len * sizeof(uint64_t));
        }
    }
}

void tape_release(struct tape *tape)
{
    for (size_t i = 0; i < tape->count; i++) {
        free(tape->streams[i].choice);
        free(tape->streams[i].bound);
    }
    free(tape->streams);
    *tape = (struct tape){0};
}

void tape_clear(struct tape *tape)
{
    for (size_t i = 0; i < tape->count; i++)
        tape->streams[i].len = 0;
}

void tape_write(const struct tape *tape, struct buf *out)
{
    for (size_t i = 0; i < tape->count; i++) {
        const struct stream *s = &tape->streams[i];
        if (i > 0)
            buf_addch(out, ';');
        for (size_t k = 0; k < s->len; k++)
            buf_addf(out, "%s%llu", k ? "," : "", (unsigned long long)s->choice[k]);
    }
}

void tape_read(const char *word, struct tape *tape)
{
    struct str rest = str_of(word), stream, number;
    tape_clear(tape);
    for (size_t i = 0; i < tape->count && str_split(&rest, ';', &stream); i++) {
        struct stream *s = &tape->streams[i];
        while (str_split(&stream, ',', &number)) {
            stream_reserve(s, s->len + 1);
            s->bound[s->len] = 0;
            s->choice[s->len++] = strtoull(number.ptr, NULL, 10);
        }
    }
}

bool tape_next(struct tape *tape)
{
    for (size_t i = tape->count; i-- > 0;) {
        struct stream *s = &tape->streams[i];
        while (s->len > 0) {
            if (s->choice[s->len - 1] + 1 < s->bound[s->len - 1]) {
                s->choice[s->len - 1]++;
                return true;
            }
            s->len--;
        }
    }
    return false;
}

struct rng case_rng(const char *seed_hex, uint64_t index)
{
    struct rng rng = {0};
    for (const char *c = seed_hex; *c; c++) {
        rng.state ^= (unsigned char)*c;
        rng.state = rng_next(&rng);
    }
    rng.state ^= index;
    rng.state = rng_next(&rng);
    return rng;
}

/* Faults live at the ends of a range more often than chance would visit them. */
static uint64_t random_choice(struct rng *rng, uint64_t bound)
{
    uint64_t ends[] = {0, bound - 1, bound > 1 ? 1 : 0, bound > 1 ? bound - 2 : 0};
    uint64_t dice = rng_below(rng, 16);
    if (bound > 4 && dice < 4)
        return ends[dice];
    if (bound > 64 && dice < 8)
        return rng_next(rng) % bound >> rng_below(rng, 32);
    return rng_below(rng, bound);
}

/* One decision below `bound`; `counted` is how many of them an enumeration tries. */
static uint64_t decide_among(struct cursor *c, uint64_t bound, uint64_t counted)
{
    struct stream *s = c->stream;
    uint64_t choice = 0;
    if (c->draw->mode == DRAW_RANDOM)
        choice = random_choice(&c->draw->rng, bound);
    else if (c->at < s->len)
        choice = s->choice[c->at];
    if (c->draw->mode == DRAW_COUNT && counted < bound)
        bound = counted;
    if (choice >= bound)
        choice = bound - 1;
    stream_reserve(s, c->at + 1);
    s->choice[c->at] = choice;
    s->bound[c->at] = bound;
    c->at++;
    if (c->at > s->len)
        s->len = c->at;
    return choice;
}

static uint64_t decide(struct cursor *c, uint64_t bound)
{
    return decide_among(c, bound, c->draw->limit);
}

/* The index-th value of a range when values nearest to zero come first. */
static long long nearest_zero(long long lo, long long hi, uint64_t index)
{
    if (lo >= 0)
        return lo + (long long)index;
    if (hi <= 0)
        return hi - (long long)index;
    /* Ranges stay within 2^53, so that none of this overflows. */
    long long both = -lo < hi ? -lo : hi, at = (long long)index;
    if (at <= 2 * both)
        return at % 2 ? (at + 1) / 2 : -(at / 2);
    return -lo > hi ? both - at : at - both;
}

static long long draw_int(struct cursor *c, const struct domain *d)
{
    uint64_t span = (uint64_t)d->hi - (uint64_t)d->lo + 1;
    /* From 0 it is 0 to k, so that "exhaustive to 4" includes a length of 4. */
    uint64_t counted = c->draw->limit + (d->lo == 0);
    return nearest_zero(d->lo, d->hi, decide_among(c, span, counted));
}

static void put_real(struct buf *out, double x)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    buf_addstr(out, text);
    if (!strpbrk(text, ".e"))
        buf_addstr(out, ".0");
}

/* The sum of twelve uniforms is close to normal, and unlike log and cos the same on every machine.
 */
static double unit_normal(struct rng *rng)
{
    double sum = -6.0;
    for (int i = 0; i < 12; i++)
        sum += rng_unit(rng);
    return sum;
}

static double unit_extreme(struct rng *rng)
{
    int exponent = (int)rng_below(rng, 54) - 40;
    double x = ldexp(1.0 + rng_unit(rng), exponent);
    return rng_below(rng, 2) ? x : -x;
}

static double real_of(const struct domain *d, uint64_t choice)
{
    bool extreme = strcmp(d->distribution, "extreme") == 0;
    const double *grid = extreme ? grid_extreme : grid_plain;
    size_t count = extreme ? ARRAY_LEN(grid_extreme) : ARRAY_LEN(grid_plain);
    if (choice < count)
        return grid[choice];
    struct rng rng = {choice};
    rng_next(&rng);
    if (extreme)
        return unit_extreme(&rng);
    if (strcmp(d->distribution, "uniform") == 0)
        return 2.0 * rng_unit(&rng) - 1.0;
    return unit_normal(&rng);
}

static void draw_real(struct cursor *c, const struct domain *d)
{
    bool extreme = strcmp(d->distribution, "extreme") == 0;
    uint64_t count = extreme ? ARRAY_LEN(grid_extreme) : ARRAY_LEN(grid_plain);
    uint64_t limit = c->draw->limit < 2 ? 2 : c->draw->limit;
    uint64_t choice;
    if (c->draw->mode == DRAW_RANDOM && rng_below(&c->draw->rng, 8) > 0) {
        /* Written to the tape first, so that the decision passes through unchanged. */
        choice = count + (rng_next(&c->draw->rng) >> 1);
        stream_reserve(c->stream, c->at + 1);
        c->stream->choice[c->at] = choice;
        c->stream->bound[c->at] = DECISION_OPEN;
        c->stream->len = ++c->at;
    } else if (c->draw->mode == DRAW_RANDOM) {
        choice = decide(c, count);
        c->stream->bound[c->at - 1] = DECISION_OPEN;
    } else {
        choice = decide_among(c, DECISION_OPEN, limit < count ? limit : count);
    }
    put_real(c->out, (double)(float)(d->scale * real_of(d, choice)));
}

static long long draw_length(struct cursor *c, const struct length *length)
{
    if (length->drawn) {
        /* Lengths 0 to k, not the k shortest: "lists no longer than k". */
        uint64_t span = (uint64_t)(length->hi - length->lo) + 1;
        uint64_t counted =
            c->draw->limit >= (uint64_t)length->lo ? c->draw->limit - (uint64_t)length->lo + 1 : 1;
        return length->lo + (long long)decide_among(c, span, counted);
    }
    long long product = length->factor;
    for (size_t i = 0; i < length->field_count; i++)
        product *= c->values[length->fields[i]];
    return product;
}

static void draw_perm(struct cursor *c, long long len)
{
    long long *order = xcalloc((size_t)len + 1, sizeof(*order));
    for (long long i = 0; i < len; i++)
        order[i] = i;
    buf_addch(c->out, '[');
    for (long long i = 0; i < len; i++) {
        uint64_t span = (uint64_t)(len - i);
        long long pick = i + (long long)decide_among(c, span, span);
        long long value = order[pick];
        memmove(&order[i + 1], &order[i], (size_t)(pick - i) * sizeof(*order));
        buf_addf(c->out, i ? ",%lld" : "%lld", value);
    }
    buf_addch(c->out, ']');
    free(order);
}

static void draw_value(struct cursor *c, const struct domain *d);

static void draw_list(struct cursor *c, const struct domain *d)
{
    long long len = draw_length(c, &d->length);
    buf_addch(c->out, '[');
    for (long long i = 0; i < len; i++) {
        if (i)
            buf_addch(c->out, ',');
        if (d->kind == DOMAIN_BITS)
            buf_addch(c->out, "01"[decide_among(c, 2, 2)]);
        else
            draw_value(c, d->elements);
    }
    buf_addch(c->out, ']');
}

static void draw_record(struct cursor *c, const struct fields *record)
{
    buf_addch(c->out, '{');
    for (size_t i = 0; i < record->len; i++) {
        if (i)
            buf_addch(c->out, ',');
        json_quote(record->at[i].name, c->out);
        buf_addch(c->out, ':');
        draw_value(c, &record->at[i].domain);
    }
    buf_addch(c->out, '}');
}

static void draw_value(struct cursor *c, const struct domain *d)
{
    switch (d->kind) {
    case DOMAIN_INT:
        buf_addf(c->out, "%lld", draw_int(c, d));
        break;
    case DOMAIN_MOD:
        buf_addf(c->out, "%lld", (long long)decide(c, (uint64_t)d->hi + 1));
        break;
    case DOMAIN_CHOICE:
    case DOMAIN_GRID:
        buf_addstr(c->out, d->texts[decide_among(c, d->text_count, d->text_count)]);
        break;
    case DOMAIN_REAL:
        draw_real(c, d);
        break;
    case DOMAIN_LIST:
    case DOMAIN_BITS:
        draw_list(c, d);
        break;
    case DOMAIN_PERM:
        draw_perm(c, draw_length(c, &d->length));
        break;
    case DOMAIN_RECORD:
        draw_record(c, &d->record);
        break;
    case DOMAIN_ANY:
        draw_value(c, &d->elements[decide_among(c, d->element_count, d->element_count)]);
        break;
    }
}

void case_draw(const struct fields *fields, struct draw *draw, struct buf *out)
{
    long long *values = xcalloc(fields->len + 1, sizeof(*values));
    struct cursor c = {.fields = fields, .draw = draw, .values = values, .out = out};
    buf_addch(out, '{');
    for (size_t i = 0; i < fields->len; i++) {
        const struct field *f = &fields->at[i];
        c.stream = &draw->tape->streams[i];
        c.at = 0;
        if (draw->mode == DRAW_RANDOM)
            c.stream->len = 0;
        if (i)
            buf_addch(out, ',');
        json_quote(f->name, out);
        buf_addch(out, ':');
        if (f->domain.kind == DOMAIN_INT) {
            values[i] = draw_int(&c, &f->domain);
            buf_addf(out, "%lld", values[i]);
        } else {
            draw_value(&c, &f->domain);
        }
        c.stream->len = c.at;
    }
    buf_addch(out, '}');
    free(values);
}
