#include "console.h"

#include "diag.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_NS (50 * INT64_C(1000000)) /* 20 a second */
#define SECOND_NS INT64_C(1000000000)
#define BOUND_FROM_NS (2 * SECOND_NS)
#define OUT_OF_SIGHT 24 /* lines of other nodes below an error */

struct console {
    struct console_options options;
    struct buf out;      /* what is about to be written */
    struct buf faults;   /* the errors drawn so far; empty on a terminal, where little else is */
    size_t below;        /* nodes named since the first of them */
    bool drawn;          /* the live line is on the screen */
    int64_t drawn_at_ns; /* on the run's clock */
    unsigned held;       /* console nodes that run: the terminal is theirs */
    bool broken;         /* the reader is gone */
};

struct console *console_open(const struct console_options *options)
{
    struct console *c = xcalloc(1, sizeof(*c));

    c->options = *options;
    c->drawn_at_ns = -REDRAW_NS;
    return c;
}

/* The run goes on when nobody reads what it says: a closed pipe is no reason to lose a build. */
static void flush(struct console *c)
{
    size_t at = 0;

    while (at < c->out.len && !c->broken) {
        ssize_t n = write(c->options.fd, c->out.ptr + at, c->out.len - at);

        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = c->options.fd, .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            c->broken = true;
    }
    buf_reset(&c->out);
}

static void erase(struct console *c)
{
    if (c->drawn)
        buf_addstr(&c->out, "\r\033[K");
    c->drawn = false;
}

void console_close(struct console *c)
{
    if (!c)
        return;
    erase(c);
    flush(c);
    buf_release(&c->out);
    buf_release(&c->faults);
    free(c);
}

static int columns_of(const struct console *c)
{
    struct winsize size;

    if (c->options.columns > 0)
        return c->options.columns;
    if (ioctl(c->options.fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void console_duration(int64_t ns, struct buf *out)
{
    int64_t s = (ns + SECOND_NS / 2) / SECOND_NS;

    if (ns < 9950 * (SECOND_NS / 1000))
        buf_addf(out, "%.1fs", (double)ns / (double)SECOND_NS);
    else if (s < 60)
        buf_addf(out, "%ds", (int)s);
    else if (s < 3600)
        buf_addf(out, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else
        buf_addf(out, "%lldh%02dm", (long long)(s / 3600), (int)(s % 3600 / 60));
}

/* What a person waits for: nodes that run, not those that prove clean. */
static size_t ended(const struct run_progress *p)
{
    return p->ran + p->failed + p->refused + p->interrupted;
}

static size_t expected(const struct run_progress *p)
{
    size_t least = ended(p) + p->running;

    return p->to_run > least ? p->to_run : least;
}

static void add_node(const struct graph *g, uint32_t node, struct buf *out)
{
    const char *kind = graph_text(g, g->nodes[node].kind);

    if (strcmp(kind, "node") != 0 && !text_starts_with(node_name(g, node), kind))
        buf_addf(out, "%s ", kind);
    buf_addstr(out, node_name(g, node));
}

/* Cuts at `width` bytes without halving a UTF-8 character. */
static void truncate_to(struct buf *out, size_t start, size_t width)
{
    size_t len = start + width;

    if (out->len <= len)
        return;
    while (len > start && ((unsigned char)out->ptr[len] & 0xc0) == 0x80)
        len--;
    out->len = len;
    out->ptr[len] = '\0';
}

/* Names as many running nodes as fit into `width`, the oldest first, and counts the rest. */
static void add_running(const struct run_event *event, size_t width, struct buf *out)
{
    size_t start = out->len;

    for (size_t i = 0; i < event->running_count; i++) {
        size_t before = out->len;
        size_t reserve = i + 1 < event->running_count ? strlen(" +000") : 0;

        if (i > 0)
            buf_addstr(out, ", ");
        add_node(event->graph, event->running[i], out);
        if (i > 0 && out->len - start + reserve > width) {
            out->len = before;
            out->ptr[before] = '\0';
            buf_addf(out, " +%zu", event->running_count - i);
            break;
        }
    }
    truncate_to(out, start, width);
}

void console_status_line(const struct run_event *event, int columns, struct buf *out)
{
    const struct run_progress *p = &event->progress;
    size_t start = out->len;
    size_t width = columns > 1 ? (size_t)columns - 1 : 0;
    struct buf left = {0};

    buf_addf(out, "[%zu/%zu] %zu%% ", ended(p), expected(p),
             expected(p) ? 100 * ended(p) / expected(p) : 100);
    if (p->left_ns >= 0) {
        buf_addstr(&left, ", ");
        console_duration(p->left_ns, &left);
        buf_addstr(&left, " left");
    }
    if (out->len - start + left.len < width)
        add_running(event, width - (out->len - start) - left.len, out);
    buf_addstr(out, buf_text(&left));
    truncate_to(out, start, width);
    buf_release(&left);
}

static void draw(struct console *c, const struct run_event *event, bool now)
{
    int64_t at = event->progress.elapsed_ns;

    if (!c->options.live || c->options.quiet || c->held || !event->running_count)
        return;
    if (!now && at - c->drawn_at_ns < REDRAW_NS)
        return;
    erase(c);
    console_status_line(event, columns_of(c), &c->out);
    c->drawn = true;
    c->drawn_at_ns = at;
}

static const char *paint(const struct console *c, const char *escape)
{
    return c->options.colour ? escape : "";
}

/* Words that hold anything a shell would look at are quoted, so that the line can be pasted. */
static void add_word(const char *word, struct buf *out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+:,@%^";

    if (*word && word[strspn(word, plain)] == '\0') {
        buf_addstr(out, word);
        return;
    }
    buf_addch(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_addstr(out, "'\\''");
        else
            buf_addch(out, *word);
    }
    buf_addch(out, '\'');
}

static void add_argv(const struct graph *g, uint32_t node, struct buf *out)
{
    struct slice argv = g->nodes[node].argv;

    for (uint32_t i = 0; i < argv.len; i++) {
        buf_addstr(out, i ? " " : "    ");
        add_word(slice_text(g, argv, i), out);
    }
    if (argv.len)
        buf_addch(out, '\n');
}

static void on_start(struct console *c, const struct run_event *event)
{
    const struct graph *g = event->graph;

    if (c->options.verbose) {
        erase(c);
        buf_addf(&c->out, "%s: %s\n", node_name(g, event->node),
                 event->outcome && event->outcome->why ? event->outcome->why : "asked for");
        add_argv(g, event->node, &c->out);
    }
    if (g->nodes[event->node].flags & NODE_CONSOLE) {
        erase(c);
        c->held++;
    }
    draw(c, event, false);
}

static bool went_wrong(enum node_status status)
{
    return status == STATUS_FAILED || status == STATUS_REFUSED || status == STATUS_INTERRUPTED;
}

/* Exit status 77 of a test: it lacks something, and says what. */
static bool is_skip(const struct run_event *event)
{
    const struct action_record *record = event->outcome->record;

    return event->graph->nodes[event->node].flags & NODE_TEST && record && record->exit_code == 77;
}

/* A test that passed has said in its log what it had to say. */
static bool is_worth_showing(const struct console *c, const struct run_event *event)
{
    bool passed = event->outcome->status == STATUS_RAN && !is_skip(event);

    return event->output_len > 0 &&
           (c->options.verbose || !passed || !(event->graph->nodes[event->node].flags & NODE_TEST));
}

static void add_finished(struct console *c, const struct run_event *event)
{
    enum node_status status = event->outcome->status;

    buf_addf(&c->out, "[%zu/%zu] ", ended(&event->progress), expected(&event->progress));
    add_node(event->graph, event->node, &c->out);
    if (went_wrong(status))
        buf_addf(&c->out, " %s%s%s", paint(c, "\033[31m"), status_text(status),
                 paint(c, "\033[0m"));
    else if (is_skip(event))
        buf_addstr(&c->out, " skipped");
    buf_addch(&c->out, '\n');
}

static void add_text(const char *text, size_t len, struct buf *out)
{
    buf_add(out, text, len);
    if (len && text[len - 1] != '\n')
        buf_addch(out, '\n');
}

/* A log that is read from its end must say there what went wrong. */
static void repeat_errors(struct console *c)
{
    if (c->below < OUT_OF_SIGHT)
        return;
    buf_addstr(&c->out, "spak: what went wrong above:\n");
    buf_add(&c->out, c->faults.ptr, c->faults.len);
}

static void on_finish(struct console *c, const struct run_event *event)
{
    const struct outcome *o = event->outcome;
    enum diag_form form = c->options.colour ? DIAG_COLOUR : DIAG_PLAIN;
    bool ran = o->status == STATUS_RAN || went_wrong(o->status);
    bool shown = is_worth_showing(c, event) && !(event->error && event->error->output);
    bool speaks = shown || event->error || event->warning;

    if (event->graph->nodes[event->node].flags & NODE_CONSOLE && c->held && ran)
        c->held--;
    if (ran && !c->options.quiet && (!c->options.live || speaks)) {
        erase(c);
        add_finished(c, event);
        c->below += c->faults.len > 0;
    }
    if (speaks)
        erase(c);
    if (event->warning)
        diag_draw_warning(event->warning, form, &c->out);
    size_t from = c->out.len;
    if (event->error)
        diag_draw(event->error, form, &c->out);
    if (shown)
        add_text(event->output, event->output_len, &c->out);
    if (event->error && !c->options.live)
        buf_add(&c->faults, c->out.ptr + from, c->out.len - from);
    draw(c, event, false);
}

static void add_count(struct buf *out, size_t count, const char *what)
{
    if (count)
        buf_addf(out, "%s%zu %s", out->len ? ", " : "", count, what);
}

/* Worth saying where everything was made and took a while: how far the order and the engine are
 * from the best there could be. */
static void add_bound(struct console *c, const struct run_progress *p)
{
    int64_t work = p->jobs > 0 ? p->work_ns / p->jobs : 0;

    if (p->ran != p->total || p->elapsed_ns < BOUND_FROM_NS)
        return;
    buf_addstr(&c->out, "spak: at least ");
    console_duration(work > p->chain_ns ? work : p->chain_ns, &c->out);
    buf_addstr(&c->out, " were needed: ");
    console_duration(p->work_ns, &c->out);
    buf_addf(&c->out, " of work, %d at once, the longest chain ", p->jobs);
    console_duration(p->chain_ns, &c->out);
    buf_addch(&c->out, '\n');
}

static void on_end(struct console *c, const struct run_event *event)
{
    const struct run_progress *p = &event->progress;
    struct buf counts = {0};

    erase(c);
    if (c->options.quiet)
        return;
    repeat_errors(c);
    add_count(&counts, p->ran, "ran");
    add_count(&counts, p->restored, "restored");
    add_count(&counts, p->clean, "up to date");
    add_count(&counts, p->deferred, "deferred (no device)");
    add_count(&counts, p->failed, "failed");
    add_count(&counts, p->refused, "refused");
    add_count(&counts, p->skipped, "skipped");
    add_count(&counts, p->interrupted, "interrupted");
    buf_addf(&c->out, "spak: %s in ", counts.len ? counts.ptr : "nothing to do");
    console_duration(p->elapsed_ns, &c->out);
    buf_addch(&c->out, '\n');
    add_bound(c, p);
    buf_release(&counts);
}

static void on_text_event(struct console *c, const struct run_event *event)
{
    switch (event->kind) {
    case RUN_BEGIN:
        break;
    case RUN_START:
        on_start(c, event);
        break;
    case RUN_FINISH:
        on_finish(c, event);
        break;
    case RUN_TICK:
        draw(c, event, false);
        break;
    case RUN_PAUSE:
        erase(c);
        break;
    case RUN_RESUME:
        draw(c, event, true);
        break;
    case RUN_END:
        on_end(c, event);
        break;
    }
}

void console_event(void *ctx, const struct run_event *event)
{
    struct console *c = ctx;

    if (c->options.json)
        console_event_json(event, &c->out);
    else
        on_text_event(c, event);
    flush(c);
}
