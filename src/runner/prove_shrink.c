#include "prove_shrink.h"

#include <stdlib.h>
#include <string.h>

#define QUESTIONS_MAX 3000
#define REAL_GRID 8 /* a real's decisions below this are plain numbers, those above are noise */

struct shrinker {
    const struct spec *spec;
    struct sim *sim;
    struct broken *best;
    struct tape trial;
    int questions;
};

static void replace_best(struct shrinker *s, const struct buf *given, const json_t *lhs,
                         const json_t *rhs, const struct buf *where)
{
    struct broken *b = s->best;
    tape_copy(&b->tape, &s->trial);
    buf_reset(&b->given);
    buf_reset(&b->lhs);
    buf_reset(&b->rhs);
    buf_reset(&b->where);
    buf_addstr(&b->given, buf_text(given));
    json_compact(lhs, &b->lhs);
    json_compact(rhs, &b->rhs);
    buf_addstr(&b->where, buf_text(where));
}

/* Whether the trial tape's case breaks the law as well; if so it becomes the best. */
static bool still_broken(struct shrinker *s)
{
    struct buf given = {0}, why = {0};
    struct str line;
    json_t *lhs = NULL, *rhs = NULL;
    struct draw draw = {.mode = DRAW_REPLAY, .tape = &s->trial};
    bool broken = false;
    if (s->questions++ >= QUESTIONS_MAX)
        return false;
    case_draw(&s->spec->fields, &draw, &given);
    sim_ask(s->sim, given.ptr, given.len);
    if (!sim_answer(s->sim, &line)) {
        s->questions = QUESTIONS_MAX;
        goto out;
    }
    broken = answer_read(&s->spec->judge, line, &lhs, &rhs, &why) == ANSWER_DIFFERS;
    if (broken)
        replace_best(s, &given, lhs, rhs, &why);
out:
    json_decref(lhs);
    json_decref(rhs);
    buf_release(&given);
    buf_release(&why);
    return broken;
}

static bool try_choice(struct shrinker *s, size_t stream, size_t at, uint64_t choice)
{
    const struct stream *best = &s->best->tape.streams[stream];
    if (at >= best->len || choice >= best->choice[at])
        return false;
    tape_copy(&s->trial, &s->best->tape);
    s->trial.streams[stream].choice[at] = choice;
    return still_broken(s);
}

/* Lowers one decision as far as the law stays broken. */
static bool lower(struct shrinker *s, size_t stream, size_t at)
{
    bool any = false;
    const struct stream *best = &s->best->tape.streams[stream];
    bool real = best->bound[at] == DECISION_OPEN;
    for (uint64_t c = 0; c < (real ? REAL_GRID : 2); c++)
        if (try_choice(s, stream, at, c))
            return true;
    for (uint64_t part = 2; !real && at < best->len && part <= best->choice[at];) {
        uint64_t c = best->choice[at];
        if (try_choice(s, stream, at, c - c / part))
            any = true;
        else
            part *= 2;
    }
    return any;
}

static void cut(struct stream *s, size_t at)
{
    if (at >= s->len)
        return;
    size_t after = s->len - at - 1;
    memmove(&s->choice[at], &s->choice[at + 1], after * sizeof(*s->choice));
    memmove(&s->bound[at], &s->bound[at + 1], after * sizeof(*s->bound));
    s->len--;
}

static bool depends_on(const struct domain *d, uint32_t field)
{
    const struct length *length = &d->length;
    for (size_t i = 0; i < length->field_count; i++)
        if (length->fields[i] == field)
            return true;
    return false;
}

/* One shorter: the field that is the length goes down by one, the first of its lists loses the
 * element at `at`, those after it the one at `other`. */
static bool drop_element(struct shrinker *s, size_t field, size_t at, size_t other)
{
    const struct fields *fields = &s->spec->fields;
    tape_copy(&s->trial, &s->best->tape);
    struct stream *length = &s->trial.streams[field];
    if (length->len == 0 || length->choice[0] == 0)
        return false;
    length->choice[0]--;
    if (fields->at[field].domain.length.drawn)
        cut(length, at + 1);
    size_t from = at;
    for (size_t i = field + 1; i < fields->len; i++) {
        if (!depends_on(&fields->at[i].domain, (uint32_t)field))
            continue;
        cut(&s->trial.streams[i], from);
        from = other;
    }
    return still_broken(s);
}

static size_t longest_list(const struct shrinker *s, size_t field)
{
    const struct fields *fields = &s->spec->fields;
    size_t longest = fields->at[field].domain.length.drawn ? s->best->tape.streams[field].len : 0;
    for (size_t i = field + 1; i < fields->len; i++)
        if (depends_on(&fields->at[i].domain, (uint32_t)field) &&
            s->best->tape.streams[i].len > longest)
            longest = s->best->tape.streams[i].len;
    return longest;
}

/* Lists that go together lose the same element first; when that repairs the law, different ones. */
static bool shorten(struct shrinker *s, size_t field)
{
    bool any = false;
    for (size_t at = longest_list(s, field); at-- > 0;)
        any |= drop_element(s, field, at, at);
    for (size_t at = longest_list(s, field); at-- > 0;)
        for (size_t other = longest_list(s, field); other-- > 0;)
            any |= at != other && drop_element(s, field, at, other);
    return any;
}

static bool pass(struct shrinker *s)
{
    bool any = false;
    for (size_t f = 0; f < s->spec->fields.len; f++)
        any |= shorten(s, f);
    for (size_t f = 0; f < s->spec->fields.len; f++)
        for (size_t at = 0; at < s->best->tape.streams[f].len; at++)
            any |= lower(s, f, at);
    return any;
}

int shrink(const struct spec *spec, struct broken *broken, bool *repeats, struct err *e)
{
    struct shrinker s = {.spec = spec, .best = broken};
    struct sim_how how = {.argv = spec->argv, .timeout_ns = spec->timeout_ns};
    if (sim_start(&how, &s.sim, e))
        return -1;
    tape_init(&s.trial, spec->fields.len);
    tape_copy(&s.trial, &broken->tape);
    *repeats = still_broken(&s);
    while (*repeats && s.questions < QUESTIONS_MAX && pass(&s))
        ;
    tape_release(&s.trial);
    sim_stop(s.sim);
    return 0;
}
