#include "prove_inquiry.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_MAX 512 /* cases under way at once; a kill wastes at most that many */
#define WINDOW_FIRST 16
#define REPEATED 8 /* cases asked again at the end: an answer must be a function of its case */
#define SHOWN 120  /* bytes of a bad line that a message quotes */

/* A case that was asked and not yet answered. */
struct pending {
    struct tape tape;
    struct buf line;
    bool repeated;
    bool counted;
    bool old;  /* a regression case: it has no tape */
    bool kept; /* one of an earlier proof */
};

struct feed {
    const struct spec *spec;
    struct tape tape;
    uint64_t exhaustive;
    uint64_t random;
    size_t kept_count; /* of the law's own: a mutant is told apart by what its proof says */
    size_t kept;
    size_t old;
    bool counting;
    bool truncated;
};

struct asker {
    const struct spec *spec;
    struct sim *sim;
    struct feed feed;
    struct pending ring[WINDOW_MAX];
    uint64_t asked;
    uint64_t answered;
    uint64_t window;
    json_t *first_lhs;
    struct buf lines[REPEATED];   /* the first cases ... */
    struct buf answers[REPEATED]; /* ... and what was answered */
    uint64_t kept;
    uint64_t again; /* how many of them have been asked again */
    uint64_t checked;
    struct inquiry *out;
};

/* Draws the next case into `line`; false when the scope is used up. */
static bool feed_next(struct feed *feed, struct buf *line)
{
    const struct spec *spec = feed->spec;
    if (feed->kept < feed->kept_count) {
        struct draw draw = {.mode = DRAW_REPLAY, .tape = &feed->tape};
        tape_read(spec->kept.at[feed->kept++], &feed->tape);
        case_draw(&spec->fields, &draw, line);
        return true;
    }
    if (feed->exhaustive + feed->random == 0)
        tape_clear(&feed->tape);
    if (feed->old < spec->regression.len) {
        buf_addstr(line, spec->regression.at[feed->old++]);
        return true;
    }
    if (feed->counting && feed->exhaustive > 0 && !tape_next(&feed->tape))
        feed->counting = false;
    if (feed->counting && feed->exhaustive == spec->cap) {
        feed->truncated = true;
        feed->counting = false;
    }
    if (feed->counting) {
        struct draw draw = {.mode = DRAW_COUNT, .limit = spec->exhaustive, .tape = &feed->tape};
        case_draw(&spec->fields, &draw, line);
        feed->exhaustive++;
        return true;
    }
    if (feed->random == spec->random)
        return false;
    struct draw draw = {.mode = DRAW_RANDOM, .tape = &feed->tape};
    draw.rng = case_rng(spec->seed, feed->random++);
    case_draw(&spec->fields, &draw, line);
    return true;
}

static void inquiry_trouble(struct asker *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void inquiry_trouble(struct asker *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_addv(&a->out->trouble, fmt, args);
    va_end(args);
    a->out->end = INQUIRY_TROUBLE;
}

static void quote_line(struct buf *why, struct str line)
{
    bool cut = line.len > SHOWN;
    buf_addf(why, ": `%.*s%s`", (int)(cut ? SHOWN : line.len), line.ptr, cut ? "..." : "");
}

enum answer_kind answer_read(const struct judge *judge, struct str line, json_t **lhs, json_t **rhs,
                             struct buf *why)
{
    struct err e = {0};
    enum answer_kind kind = ANSWER_GARBAGE;
    *lhs = *rhs = NULL;
    json_t *answer = json_parse(line.ptr, line.len, "answer", &e);
    err_release(&e);
    const json_t *skip = json_object_get(answer, "skip");
    json_t *left = json_object_get(answer, "lhs"), *right = json_object_get(answer, "rhs");
    if (!answer) {
        buf_addstr(why, "printed a line that is not JSON");
        quote_line(why, line);
    } else if (json_is_string(skip) && json_object_size(answer) == 1) {
        buf_addstr(why, json_string_value(skip));
        kind = ANSWER_SKIPS;
    } else if (!left || !right || json_object_size(answer) != 2) {
        buf_addstr(why,
                   "answered with neither {\"lhs\": ..., \"rhs\": ...} nor {\"skip\": reason}");
        quote_line(why, line);
    } else {
        kind = judge_agrees(judge, left, right, why) ? ANSWER_AGREES : ANSWER_DIFFERS;
        *lhs = json_incref(left);
        *rhs = json_incref(right);
    }
    json_decref(answer);
    return kind;
}

static void ask_one(struct asker *a, struct pending *p)
{
    sim_ask(a->sim, p->line.ptr, p->line.len);
    a->asked++;
}

/* Fills the window: the scope first, then the first few cases once more. */
static void ask_more(struct asker *a)
{
    while (a->asked - a->answered < a->window) {
        struct pending *p = &a->ring[a->asked % WINDOW_MAX];
        buf_reset(&p->line);
        p->repeated = false;
        p->kept = a->feed.kept < a->feed.kept_count;
        p->old = !p->kept && a->feed.old < a->spec->regression.len;
        bool counting = a->feed.counting && !p->old && !p->kept;
        if (feed_next(&a->feed, &p->line)) {
            tape_copy(&p->tape, &a->feed.tape);
            p->counted = counting && a->feed.counting;
        } else if (a->again < a->kept && a->again < REPEATED && a->asked - a->answered == 0) {
            buf_add(&p->line, a->lines[a->again].ptr, a->lines[a->again].len);
            p->repeated = true;
            a->again++;
        } else {
            return;
        }
        ask_one(a, p);
    }
}

static void check_repeat(struct asker *a, struct str line)
{
    const struct buf *before = &a->answers[a->checked++];
    if (before->len == line.len && memcmp(before->ptr, line.ptr, line.len) == 0)
        return;
    inquiry_trouble(
        a, "answered one case in two ways: it is not a function of the case, or prints more "
           "than one line for each");
}

static void keep_first(struct asker *a, const struct pending *p, struct str line)
{
    if (a->kept >= REPEATED)
        return;
    buf_add(&a->lines[a->kept], p->line.ptr, p->line.len);
    buf_add(&a->answers[a->kept], line.ptr, line.len);
    a->kept++;
}

static void keep_broken(struct asker *a, const struct pending *p, const json_t *lhs,
                        const json_t *rhs, const struct buf *where)
{
    struct broken *b = &a->out->broken;
    tape_init(&b->tape, p->tape.count);
    tape_copy(&b->tape, &p->tape);
    buf_addstr(&b->given, buf_text(&p->line));
    json_compact(lhs, &b->lhs);
    json_compact(rhs, &b->rhs);
    buf_addstr(&b->where, buf_text(where));
    b->old = p->old;
    a->out->end = INQUIRY_BROKEN;
}

static void note_variation(struct asker *a, json_t *lhs)
{
    if (a->out->varies)
        return;
    if (!a->first_lhs)
        a->first_lhs = json_incref(lhs);
    else
        a->out->varies = !json_equal(a->first_lhs, lhs);
}

/* Only a law that falls hears of it. */
static void take_kept(struct asker *a, const struct pending *p, struct str line)
{
    struct buf why = {0};
    json_t *lhs, *rhs;
    enum answer_kind kind = answer_read(&a->spec->judge, line, &lhs, &rhs, &why);
    if (kind == ANSWER_GARBAGE)
        inquiry_trouble(a, "%s", buf_text(&why));
    if (kind == ANSWER_DIFFERS)
        keep_broken(a, p, lhs, rhs, &why);
    json_decref(lhs);
    json_decref(rhs);
    buf_release(&why);
}

static void take_answer(struct asker *a, struct str line)
{
    const struct pending *p = &a->ring[a->answered++ % WINDOW_MAX];
    struct buf why = {0};
    json_t *lhs, *rhs;
    if (p->repeated) {
        check_repeat(a, line);
        return;
    }
    if (p->kept) {
        take_kept(a, p, line);
        return;
    }
    keep_first(a, p, line);
    *(p->old ? &a->out->regression : p->counted ? &a->out->exhaustive : &a->out->random) += 1;
    enum answer_kind kind = answer_read(&a->spec->judge, line, &lhs, &rhs, &why);
    if (kind == ANSWER_GARBAGE)
        inquiry_trouble(a, "%s", buf_text(&why));
    if (kind == ANSWER_SKIPS && a->out->skipped++ == 0)
        buf_addstr(&a->out->skip_reason, buf_text(&why));
    if (lhs)
        note_variation(a, lhs);
    if (kind == ANSWER_DIFFERS)
        keep_broken(a, p, lhs, rhs, &why);
    json_decref(lhs);
    json_decref(rhs);
    buf_release(&why);
}

static void ask_all(struct asker *a)
{
    struct str line;
    ask_more(a);
    while (a->answered < a->asked && a->out->end == INQUIRY_HELD) {
        if (!sim_answer(a->sim, &line)) {
            inquiry_trouble(a, "%s", sim_trouble(a->sim));
            return;
        }
        take_answer(a, line);
        if (a->window < WINDOW_MAX)
            a->window++;
        ask_more(a);
    }
    if (a->out->end == INQUIRY_HELD && !sim_finish(a->sim))
        inquiry_trouble(a, "%s", sim_trouble(a->sim));
}

static void asker_release(struct asker *a)
{
    for (size_t i = 0; i < WINDOW_MAX; i++) {
        tape_release(&a->ring[i].tape);
        buf_release(&a->ring[i].line);
    }
    for (size_t i = 0; i < REPEATED; i++) {
        buf_release(&a->lines[i]);
        buf_release(&a->answers[i]);
    }
    tape_release(&a->feed.tape);
    json_decref(a->first_lhs);
    sim_stop(a->sim);
    free(a);
}

int inquire(const struct spec *spec, const char *mutant, struct inquiry *out, struct err *e)
{
    struct asker *a = xcalloc(1, sizeof(*a));
    *a = (struct asker){.spec = spec, .window = WINDOW_FIRST, .out = out};
    a->feed = (struct feed){
        .spec = spec, .counting = spec->exhaustive > 0, .kept_count = mutant ? 0 : spec->kept.len};
    tape_init(&a->feed.tape, spec->fields.len);
    for (size_t i = 0; i < WINDOW_MAX; i++)
        tape_init(&a->ring[i].tape, spec->fields.len);
    struct sim_how how = {.argv = spec->argv, .mutant = mutant, .timeout_ns = spec->timeout_ns};
    int rc = sim_start(&how, &a->sim, e);
    if (rc == 0)
        ask_all(a);
    if (out->end == INQUIRY_TROUBLE)
        buf_addstr(&out->said, sim_said(a->sim));
    out->truncated = a->feed.truncated;
    asker_release(a);
    return rc;
}

void broken_release(struct broken *broken)
{
    tape_release(&broken->tape);
    buf_release(&broken->given);
    buf_release(&broken->lhs);
    buf_release(&broken->rhs);
    buf_release(&broken->where);
}

void inquiry_release(struct inquiry *inquiry)
{
    broken_release(&inquiry->broken);
    buf_release(&inquiry->trouble);
    buf_release(&inquiry->said);
    buf_release(&inquiry->skip_reason);
    *inquiry = (struct inquiry){0};
}
