#include "diff_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_MAX = 6,     /* entries of a list on the one screen */
    PLAN_MAX = 2,     /* lines of one node's plan */
    CHAIN_MAX = 3,    /* chains */
    TEXT_MAX = 2,     /* texts with their hunks */
    HUNK_MAX = 8,     /* lines of such a text */
    FUNCTION_MAX = 4, /* functions of one object */
    NAME_WIDTH = 44,
    SHORT_DIGEST = 12, /* digits of a digest that tell enough */
};

struct drawing {
    const struct diff *d;
    const struct diff_text_options *o;
    struct buf *out;
};

enum colour { PLAIN, RED, GREEN, YELLOW, BOLD, DIM };

static void paint(struct drawing *w, enum colour colour)
{
    static const char *const codes[] = {"\033[0m",  "\033[31m", "\033[32m",
                                        "\033[33m", "\033[1m",  "\033[2m"};
    if (w->o->colour)
        buf_addstr(w->out, codes[colour]);
}

static void add_clean(struct drawing *w, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        buf_addch(w->out, (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c);
    }
}

/* Digests within a line are cut to what a person compares. */
static void add_text(struct drawing *w, const char *text)
{
    while (*text) {
        size_t hex = strspn(text, "0123456789abcdef");
        size_t len = hex ? hex : strcspn(text, "0123456789abcdef");
        add_clean(w, text, hex == 64 ? SHORT_DIGEST : len);
        text += len;
    }
}

static size_t limit(const struct drawing *w, size_t most)
{
    return w->o->all ? SIZE_MAX : most;
}

static void add_more(struct drawing *w, size_t count, size_t most)
{
    if (count > limit(w, most))
        buf_addf(w->out, "  ... and %zu more (--all)\n", count - most);
}

static void add_head(struct drawing *w, const char *title)
{
    buf_addch(w->out, '\n');
    paint(w, BOLD);
    buf_addstr(w->out, title);
    paint(w, PLAIN);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void add_padded(struct drawing *w, const char *text, size_t width)
{
    size_t start = w->out->len;
    add_text(w, text);
    for (size_t n = w->out->len - start; n < width; n++)
        buf_addch(w->out, ' ');
}

static void add_line(struct drawing *w, const char *indent, const struct diff_line *line)
{
    buf_addstr(w->out, indent);
    paint(w, line->sign == '-' ? RED : GREEN);
    buf_addf(w->out, "%c ", line->sign);
    add_text(w, line->text);
    paint(w, PLAIN);
    buf_addch(w->out, '\n');
}

static void draw_run(struct drawing *w, char sign, const struct trace_entry *run)
{
    const char *status = run->status;
    buf_addf(w->out, "%c %.10s  ", sign, run->commit);
    paint(w, strcmp(status, "ok") == 0 ? GREEN : strcmp(status, "failed") == 0 ? RED : YELLOW);
    buf_addf(w->out, "%-7s", status);
    paint(w, PLAIN);
    buf_addstr(w->out, "  ");
    add_clean(w, run->subject, strlen(run->subject));
    buf_addch(w->out, '\n');
}

static void draw_meeting(struct drawing *w)
{
    const struct diff *d = w->d;
    if (strcmp(d->a.target, d->b.target) != 0) {
        buf_addstr(w->out, "  targets differ: ");
        add_clean(w, d->a.target, strlen(d->a.target));
        buf_addstr(w->out, " and ");
        add_clean(w, d->b.target, strlen(d->b.target));
        buf_addf(w->out, " share %zu node%s\n", d->shared_nodes, plural(d->shared_nodes));
    }
    if (strcmp(d->a.machine, d->b.machine) != 0) {
        buf_addstr(w->out, "  machines differ: ");
        add_clean(w, d->a.machine, strlen(d->a.machine));
        buf_addstr(w->out, " and ");
        add_clean(w, d->b.machine, strlen(d->b.machine));
        buf_addch(w->out, '\n');
    }
    for (size_t i = 0; i < d->machine_count; i++) {
        buf_addstr(w->out, "  not compared: what was measured on ");
        add_clean(w, d->machines[i].name, strlen(d->machines[i].name));
        buf_addf(w->out, ", which only the %s run has\n",
                 d->machines[i].before ? "first" : "second");
    }
}

static void draw_inputs(struct drawing *w)
{
    const struct diff *d = w->d;
    if (!d->source_count)
        return;
    add_head(w, "sources");
    buf_addf(w->out, ": %zu changed\n", d->source_count);
    for (size_t i = 0; i < d->source_count && i < limit(w, LIST_MAX); i++) {
        const struct diff_text *s = &d->sources[i];
        buf_addf(w->out, "  %c ", !s->before ? 'A' : !s->after ? 'D' : 'M');
        add_padded(w, s->path, NAME_WIDTH);
        if (s->patch.binary)
            buf_addstr(w->out, " binary");
        else
            buf_addf(w->out, " +%zu -%zu", s->patch.added, s->patch.removed);
        if (s->readers)
            buf_addf(w->out, "  read by %u node%s", s->readers, plural(s->readers));
        buf_addch(w->out, '\n');
    }
    add_more(w, d->source_count, LIST_MAX);
}

static void draw_env(struct drawing *w)
{
    const struct diff *d = w->d;
    if (!d->env_count)
        return;
    add_head(w, "environment");
    buf_addch(w->out, '\n');
    for (size_t i = 0; i < d->env_count; i++) {
        buf_addstr(w->out, "  ");
        add_clean(w, d->env[i].file, strlen(d->env[i].file));
        buf_addch(w->out, '\n');
        for (size_t k = 0; k < d->env[i].lines.len && k < limit(w, LIST_MAX); k++)
            add_line(w, "    ", &d->env[i].lines.at[k]);
        add_more(w, d->env[i].lines.len, LIST_MAX);
    }
}

/* What the list says of a node in a few words. */
static void add_reason(struct drawing *w, const struct diff_node *n)
{
    switch (n->why) {
    case DIFF_INPUTS:
        buf_addstr(w->out, "reads another ");
        add_text(w, n->inputs[0].path);
        if (n->input_count > 1)
            buf_addf(w->out, " and %zu more", n->input_count - 1);
        break;
    case DIFF_TOOL:
        buf_addstr(w->out, "runs another ");
        add_text(w, n->cause_input + strlen("tool "));
        break;
    case DIFF_UNCAUSED:
        buf_addstr(w->out, "the same work of the same inputs, and another output");
        break;
    default:
        buf_addstr(w->out, n->why == DIFF_NEW        ? "new"
                           : n->why == DIFF_GONE     ? "gone"
                           : n->why == DIFF_PLAN     ? "is to do another thing:"
                           : n->why == DIFF_MEASURED ? "measured again"
                           : n->why == DIFF_STATE
                               ? "the same work"
                               : "may read a file outside the project that changed");
    }
    if (n->state_before && n->state_after && strcmp(n->state_before, n->state_after) != 0) {
        buf_addstr(w->out, " (");
        add_text(w, n->state_before);
        buf_addstr(w->out, " -> ");
        add_text(w, n->state_after);
        buf_addch(w->out, ')');
    }
}

static int by_depth(const void *a, const void *b)
{
    const struct diff_node *x = *(const struct diff_node *const *)a;
    const struct diff_node *y = *(const struct diff_node *const *)b;
    bool quiet_x = x->why == DIFF_MEASURED, quiet_y = y->why == DIFF_MEASURED;
    if (quiet_x != quiet_y)
        return quiet_x ? 1 : -1;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return strcmp(x->name, y->name);
}

static const struct diff_node **nodes_by_depth(const struct diff *d)
{
    const struct diff_node **order = xcalloc(d->node_count + 1, sizeof(struct diff_node *));
    for (size_t i = 0; i < d->node_count; i++)
        order[i] = &d->nodes[i];
    if (d->node_count)
        qsort(order, d->node_count, sizeof(struct diff_node *), by_depth);
    return order;
}

static void count_reasons(struct drawing *w)
{
    size_t counts[DIFF_UNCAUSED + 1] = {0};
    const char *sep = " (";
    for (size_t i = 0; i < w->d->node_count; i++)
        counts[w->d->nodes[i].why]++;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i]) {
            buf_addf(w->out, "%s%s %zu", sep, diff_why_name((enum diff_why)i), counts[i]);
            sep = ", ";
        }
    buf_addstr(w->out, ")\n");
}

/* "a.c -> out/a.o -> out/app", from the cause to the node. */
static void draw_chain(struct drawing *w, const struct diff_node *n)
{
    const struct diff *d = w->d;
    uint32_t *path = xcalloc(d->node_count + 1, sizeof(*path));
    size_t len = 0;
    for (uint32_t at = (uint32_t)(n - d->nodes); at != DIFF_NONE; at = d->nodes[at].cause)
        path[len++] = at;
    const char *cause = d->nodes[path[len - 1]].cause_input;
    buf_addstr(w->out, "  ");
    if (cause) {
        add_text(w, cause);
        buf_addstr(w->out, " -> ");
    }
    while (len--) {
        add_text(w, d->nodes[path[len]].name);
        buf_addstr(w->out, len ? " -> " : "\n");
    }
    free(path);
}

/* Chains end where nothing that changed reads on: with what was wanted. */
static void draw_chains(struct drawing *w, const struct diff_node *const *order)
{
    size_t count = 0;
    for (size_t i = w->d->node_count; i-- > 0;) {
        const struct diff_node *n = order[i];
        if (n->feeds || !n->object_count || n->cause == DIFF_NONE)
            continue;
        if (count == 0)
            add_head(w, "shortest chains from a cause to a result\n");
        if (count++ < limit(w, CHAIN_MAX))
            draw_chain(w, n);
    }
    add_more(w, count, CHAIN_MAX);
}

static void draw_nodes(struct drawing *w)
{
    const struct diff *d = w->d;
    if (!d->node_count)
        return;
    const struct diff_node **order = nodes_by_depth(d);
    add_head(w, "nodes");
    buf_addf(w->out, ": %zu differ", d->node_count);
    count_reasons(w);
    for (size_t i = 0; i < d->node_count && i < limit(w, LIST_MAX); i++) {
        buf_addstr(w->out, "  ");
        add_padded(w, order[i]->name, NAME_WIDTH);
        buf_addch(w->out, ' ');
        add_reason(w, order[i]);
        buf_addch(w->out, '\n');
        for (size_t k = 0; k < order[i]->plan.len && k < limit(w, PLAN_MAX); k++)
            add_line(w, "      ", &order[i]->plan.at[k]);
        if (order[i]->plan.len > limit(w, PLAN_MAX))
            buf_addf(w->out, "      ... and %zu lines more\n", order[i]->plan.len - PLAN_MAX);
    }
    add_more(w, d->node_count, LIST_MAX);
    draw_chains(w, order);
    free(order);
}

static void draw_code(struct drawing *w, const struct diff_code *code)
{
    buf_addf(w->out,
             "      code %" PRIu64 " -> %" PRIu64 " bytes; functions: %zu new, %zu gone, %zu of "
             "another size, %zu rewritten, %zu as before\n",
             code->bytes_before, code->bytes_after, code->added, code->removed, code->resized,
             code->rewritten, code->same);
    for (size_t i = 0; i < code->len && i < limit(w, FUNCTION_MAX); i++) {
        const struct diff_function *f = &code->at[i];
        buf_addstr(w->out, "        ");
        paint(w, !f->before ? GREEN : !f->after ? RED : YELLOW);
        buf_addch(w->out, !f->before ? '+' : !f->after ? '-' : '~');
        paint(w, PLAIN);
        buf_addch(w->out, ' ');
        add_clean(w, f->name, strlen(f->name));
        if (f->before && f->after)
            buf_addf(w->out, "  %" PRIu64 " -> %" PRIu64 "\n", f->before, f->after);
        else
            buf_addf(w->out, "  %" PRIu64 "\n", f->before + f->after);
    }
    if (code->len > limit(w, FUNCTION_MAX))
        buf_addf(w->out, "        ... and %zu more (--all)\n", code->len - FUNCTION_MAX);
}

static void draw_object(struct drawing *w, const struct diff_object *o)
{
    buf_addf(w->out, "  %c ", !o->before ? 'A' : !o->after ? 'D' : 'M');
    add_padded(w, o->path, NAME_WIDTH);
    if (o->before && o->after)
        buf_addf(w->out, " %" PRIu64 " -> %" PRIu64 " bytes", o->bytes_before, o->bytes_after);
    else
        buf_addf(w->out, " %" PRIu64 " bytes", o->bytes_before + o->bytes_after);
    buf_addf(w->out, "  %.8s%s%.8s\n", o->before ? o->before : "",
             o->before && o->after ? " -> " : "", o->after ? o->after : "");
    if (o->code)
        draw_code(w, o->code);
}

static void draw_objects(struct drawing *w)
{
    const struct diff *d = w->d;
    size_t shown = 0, measured = 0;
    for (size_t i = 0; i < d->object_count; i++) {
        measured += d->objects[i].measured;
        shown += !d->objects[i].measured && !d->objects[i].text;
    }
    if (!d->object_count)
        return;
    add_head(w, "outputs");
    buf_addf(w->out, ": %zu differ", d->object_count);
    if (measured)
        buf_addf(w->out, ", %zu of them by measuring again", measured);
    buf_addch(w->out, '\n');
    size_t left = limit(w, LIST_MAX);
    for (size_t i = 0; i < d->object_count && left; i++) {
        const struct diff_object *o = &d->objects[i];
        if (!w->o->all && (o->measured || o->text))
            continue;
        draw_object(w, o);
        left--;
    }
    add_more(w, shown, LIST_MAX);
}

static void draw_hunks(struct drawing *w, const struct diff_text *text)
{
    struct str rest = str_of(text->patch.hunks), line;
    size_t count = 0;
    while (str_split(&rest, '\n', &line)) {
        if (count++ >= limit(w, HUNK_MAX))
            continue;
        paint(w, line.len == 0        ? PLAIN
                 : line.ptr[0] == '-' ? RED
                 : line.ptr[0] == '+' ? GREEN
                 : line.ptr[0] == '@' ? DIM
                                      : PLAIN);
        buf_addstr(w->out, "    ");
        add_clean(w, line.ptr, line.len);
        paint(w, PLAIN);
        buf_addch(w->out, '\n');
    }
    if (count > limit(w, HUNK_MAX))
        buf_addf(w->out, "    ... and %zu lines more (--all)\n", count - HUNK_MAX);
}

static void draw_texts(struct drawing *w)
{
    const struct diff *d = w->d;
    size_t shown = 0, count = 0;
    for (size_t i = 0; i < d->text_count; i++) {
        const struct diff_text *text = &d->texts[i];
        if (text->machine && !w->o->all)
            continue;
        if (count++ == 0)
            add_head(w, "texts\n");
        if (shown >= limit(w, TEXT_MAX))
            continue;
        shown++;
        buf_addf(w->out, "  %c ", !text->before ? 'A' : !text->after ? 'D' : 'M');
        add_padded(w, text->path, NAME_WIDTH);
        if (text->patch.binary)
            buf_addstr(w->out, " binary\n");
        else
            buf_addf(w->out, " +%zu -%zu\n", text->patch.added, text->patch.removed);
        draw_hunks(w, text);
    }
    add_more(w, count, TEXT_MAX);
}

static void draw_metric(struct drawing *w, const struct diff_metric *m)
{
    buf_addstr(w->out, "  ");
    add_padded(w, m->name, NAME_WIDTH);
    if (!m->in_before || !m->in_after) {
        buf_addf(w->out, " %s: %.6g ", m->in_after ? "new" : "gone",
                 m->in_after ? m->after : m->before);
        add_text(w, m->unit);
        buf_addch(w->out, '\n');
        return;
    }
    buf_addf(w->out, " %.6g -> %.6g ", m->before, m->after);
    add_text(w, m->unit);
    paint(w, m->moved ? YELLOW : PLAIN);
    if (m->before != 0)
        buf_addf(w->out, "  %+.1f %%", 100 * (m->after / m->before - 1));
    paint(w, PLAIN);
    if (!isnan(m->ratio.lo))
        buf_addf(w->out, " [%+.1f, %+.1f]", 100 * (m->ratio.lo - 1), 100 * (m->ratio.hi - 1));
    if (!isnan(m->p))
        buf_addf(w->out, m->p < 0.001 ? "  p %.0e" : "  p %.3f", m->p);
    else
        buf_addstr(w->out, "  by its interval");
    buf_addch(w->out, '\n');
}

static void draw_metrics(struct drawing *w)
{
    const struct diff *d = w->d;
    size_t moved = 0, told = 0;
    for (size_t i = 0; i < d->metric_count; i++) {
        const struct diff_metric *m = &d->metrics[i];
        moved += m->moved;
        told += m->moved || !m->in_before || !m->in_after;
    }
    if (!d->metric_count)
        return;
    add_head(w, "metrics");
    buf_addf(w->out, ": %zu of %zu measured again moved beyond noise\n", moved, d->metric_count);
    size_t left = limit(w, LIST_MAX);
    for (size_t i = 0; i < d->metric_count && left; i++) {
        const struct diff_metric *m = &d->metrics[i];
        if (!w->o->all && !m->moved && m->in_before && m->in_after)
            continue;
        draw_metric(w, m);
        left--;
    }
    add_more(w, told, LIST_MAX);
}

static void draw_verdicts(struct drawing *w)
{
    const struct diff *d = w->d;
    if (!d->verdict_count)
        return;
    add_head(w, "verdicts");
    buf_addf(w->out, ": %zu turned\n", d->verdict_count);
    for (size_t i = 0; i < d->verdict_count && i < limit(w, LIST_MAX); i++) {
        const struct diff_verdict *v = &d->verdicts[i];
        buf_addstr(w->out, "  ");
        add_padded(w, v->what, NAME_WIDTH);
        buf_addch(w->out, ' ');
        add_text(w, v->before ? v->before : "not judged");
        buf_addstr(w->out, " -> ");
        add_text(w, v->after ? v->after : "not judged");
        buf_addch(w->out, '\n');
    }
    add_more(w, d->verdict_count, LIST_MAX);
}

void diff_text_draw(const struct diff *d, const struct diff_text_options *o, struct buf *out)
{
    struct drawing w = {d, o, out};
    draw_run(&w, '-', &d->a);
    draw_run(&w, '+', &d->b);
    draw_meeting(&w);
    if (!diff_differs(d))
        buf_addstr(out, d->metric_count || d->node_count
                            ? "\nno difference beyond the noise of measuring again\n"
                            : "\nno difference\n");
    draw_verdicts(&w);
    draw_metrics(&w);
    draw_inputs(&w);
    draw_env(&w);
    draw_nodes(&w);
    draw_objects(&w);
    draw_texts(&w);
}
