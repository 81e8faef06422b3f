#include "diag.h"

#include "json.h"
#include "os.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of source longer than this is shown in part, around its column. */
#define SHOWN_BYTES 140

enum ink { INK_PLAIN, INK_RED, INK_YELLOW, INK_BLUE, INK_CYAN, INK_BOLD };

struct pen {
    struct buf *out;
    bool colour;
    enum ink severity;
    int gutter; /* the width of the widest line number drawn */
};

static void ink(const struct pen *pen, enum ink ink)
{
    static const char *const codes[] = {"0", "1;31", "1;33", "1;34", "1;36", "1"};

    if (pen->colour)
        buf_addf(pen->out, "\033[%sm", codes[ink]);
}

static void inked(const struct pen *pen, enum ink colour, const char *text)
{
    ink(pen, colour);
    buf_addstr(pen->out, text);
    ink(pen, INK_PLAIN);
}

static int digits_of(int number)
{
    int digits = 1;

    for (; number >= 10; number /= 10)
        digits++;
    return digits;
}

static int gutter_of(const struct err *e)
{
    int widest = digits_of(e->place.line);

    for (const struct err_note *note = e->notes; note; note = note->next) {
        if (note->place.file && digits_of(note->place.line) > widest)
            widest = digits_of(note->place.line);
    }
    return widest;
}

static void draw_bar(const struct pen *pen, int line)
{
    ink(pen, INK_BLUE);
    if (line > 0)
        buf_addf(pen->out, " %*d |", pen->gutter, line);
    else
        buf_addf(pen->out, " %*s |", pen->gutter, "");
    ink(pen, INK_PLAIN);
}

/* Finds line `number` (from 1) of a file that may be gone or no longer have it. */
static bool find_line(const char *file, int number, struct buf *content, struct str *line)
{
    struct err ignored = {0};
    struct str rest;
    bool found = false;

    if (os_read(file, content, &ignored) < 0) {
        err_release(&ignored);
        return false;
    }
    rest = (struct str){buf_text(content), content->len};
    for (int i = 0; i < number; i++)
        found = str_split(&rest, '\n', line);
    if (found && line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    return found;
}

static bool continues_char(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The part of a long line around byte `at`, never cutting a character. */
static struct str window(struct str line, size_t at)
{
    size_t from = at > SHOWN_BYTES / 2 ? at - SHOWN_BYTES / 2 : 0;
    size_t to;

    if (line.len <= SHOWN_BYTES)
        return line;
    if (line.len - from < SHOWN_BYTES)
        from = line.len - SHOWN_BYTES;
    to = from + SHOWN_BYTES;
    while (from > 0 && continues_char(line.ptr[from]))
        from--;
    while (to < line.len && continues_char(line.ptr[to]))
        to++;
    return (struct str){line.ptr + from, to - from};
}

/* Source as it can be shown: tabs as four columns, other control characters as a dot, so that no
 * file can drive the terminal. Returns the columns that the first `until` bytes take. */
static size_t draw_source(struct buf *out, struct str text, size_t until)
{
    size_t columns = 0;
    size_t before = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (i == until)
            before = columns;
        if (c == '\t')
            buf_addstr(out, "    ");
        else
            buf_addch(out, (unsigned char)c < 0x20 || c == 0x7f ? '.' : c);
        if (!continues_char(c))
            columns += c == '\t' ? 4 : 1;
    }
    return until < text.len ? before : columns + (until - text.len);
}

static void draw_line(const struct pen *pen, struct place place, struct str line)
{
    size_t at = place.column > 0 ? (size_t)place.column - 1 : 0;
    struct str shown;
    size_t until;
    size_t columns;

    if (at > line.len)
        at = line.len;
    shown = window(line, at);
    until = at - (size_t)(shown.ptr - line.ptr);
    draw_bar(pen, 0);
    buf_addch(pen->out, '\n');
    draw_bar(pen, place.line);
    buf_addch(pen->out, ' ');
    if (shown.ptr > line.ptr)
        buf_addstr(pen->out, "...");
    columns = draw_source(pen->out, shown, until) + (shown.ptr > line.ptr ? 3 : 0);
    buf_addstr(pen->out, shown.ptr + shown.len < line.ptr + line.len ? "...\n" : "\n");
    if (place.column <= 0)
        return;
    draw_bar(pen, 0);
    buf_addf(pen->out, " %*s", (int)columns, "");
    inked(pen, pen->severity, "^");
    buf_addch(pen->out, '\n');
}

static void draw_place(const struct pen *pen, struct place place)
{
    struct buf content = {0};
    struct str line;

    if (!place.file)
        return;
    buf_addf(pen->out, " %*s", pen->gutter, "");
    inked(pen, INK_BLUE, "-->");
    buf_addf(pen->out, " %s", place.file);
    if (place.line > 0)
        buf_addf(pen->out, ":%d", place.line);
    if (place.line > 0 && place.column > 0)
        buf_addf(pen->out, ":%d", place.column);
    buf_addch(pen->out, '\n');
    if (place.line > 0 && find_line(place.file, place.line, &content, &line))
        draw_line(pen, place, line);
    buf_release(&content);
}

/* Further lines of a text hang under its first. */
static void draw_text(const struct pen *pen, const char *text, int indent)
{
    for (; *text; text++) {
        buf_addch(pen->out, *text);
        if (*text == '\n' && text[1])
            buf_addf(pen->out, "%*s", indent, "");
    }
    buf_addch(pen->out, '\n');
}

static void draw_label(const struct pen *pen, const char *label)
{
    buf_addf(pen->out, " %*s ", pen->gutter, "");
    inked(pen, INK_BLUE, "=");
    buf_addch(pen->out, ' ');
    inked(pen, INK_CYAN, label);
    buf_addch(pen->out, ':');
}

static void draw_remark(const struct pen *pen, const char *label, const char *text)
{
    draw_label(pen, label);
    buf_addch(pen->out, ' ');
    draw_text(pen, text, pen->gutter + 6 + (int)strlen(label));
}

static void draw_output(const struct pen *pen, const char *output)
{
    struct str rest = str_of(output);
    struct str line;

    draw_label(pen, "output");
    buf_addch(pen->out, '\n');
    while (str_split(&rest, '\n', &line))
        buf_addf(pen->out, "%s%.*s\n", line.len > 0 ? "    " : "", (int)line.len, line.ptr);
    ink(pen, INK_PLAIN);
}

static void draw_note(const struct pen *pen, const struct err_note *note)
{
    if (!note->place.file) {
        draw_remark(pen, "note", note->text);
        return;
    }
    inked(pen, INK_CYAN, "note");
    buf_addstr(pen->out, ": ");
    draw_text(pen, note->text, 6);
    draw_place(pen, note->place);
}

static void draw_whole(const struct err *e, const char *severity, const struct pen *pen)
{
    ink(pen, pen->severity);
    buf_addf(pen->out, "%s[%s]", severity, err_info(e->code)->id);
    ink(pen, INK_PLAIN);
    buf_addstr(pen->out, ": ");
    ink(pen, INK_BOLD);
    draw_text(pen, e->message, 2);
    ink(pen, INK_PLAIN);
    draw_place(pen, e->place);
    if (e->output && *e->output)
        draw_output(pen, e->output);
    for (const struct err_note *note = e->notes; note; note = note->next)
        draw_note(pen, note);
    if (e->hint)
        draw_remark(pen, "help", e->hint);
}

static void add_member(struct buf *out, const char *key, const char *text)
{
    if (out->ptr[out->len - 1] != '{')
        buf_addch(out, ',');
    buf_addf(out, "\"%s\":", key);
    json_quote(text, out);
}

static void add_number(struct buf *out, const char *key, int number)
{
    if (out->ptr[out->len - 1] != '{')
        buf_addch(out, ',');
    buf_addf(out, "\"%s\":%d", key, number);
}

/* Members in sorted order, as everywhere in our JSON. */
static void add_notes(const struct err *e, struct buf *out)
{
    buf_addstr(out, ",\"notes\":[");
    for (const struct err_note *note = e->notes; note; note = note->next) {
        buf_addstr(out, note == e->notes ? "{" : ",{");
        if (note->place.file) {
            add_number(out, "column", note->place.column);
            add_member(out, "file", note->place.file);
            add_number(out, "line", note->place.line);
        }
        add_member(out, "text", note->text);
        buf_addch(out, '}');
    }
    buf_addch(out, ']');
}

static void draw_json(const struct err *e, const char *severity, struct buf *out)
{
    const struct err_info *info = err_info(e->code);

    buf_addch(out, '{');
    add_member(out, "code", info->id);
    if (e->place.file) {
        add_number(out, "column", e->place.column);
        add_member(out, "file", e->place.file);
    }
    if (e->hint)
        add_member(out, "help", e->hint);
    if (e->place.file)
        add_number(out, "line", e->place.line);
    add_member(out, "message", e->message);
    add_member(out, "name", info->name);
    add_notes(e, out);
    if (e->output)
        add_member(out, "output", e->output);
    add_member(out, "severity", severity);
    buf_addstr(out, "}\n");
}

static void draw(const struct err *e, const char *severity, enum ink colour, enum diag_form form,
                 struct buf *out)
{
    struct pen pen = {out, form == DIAG_COLOUR, colour, gutter_of(e)};

    if (!e->set)
        BUG("drawing an error that is not set");
    if (form == DIAG_JSON)
        draw_json(e, severity, out);
    else
        draw_whole(e, severity, &pen);
}

void diag_draw(const struct err *e, enum diag_form form, struct buf *out)
{
    draw(e, "error", INK_RED, form, out);
}

void diag_draw_warning(const struct err *e, enum diag_form form, struct buf *out)
{
    draw(e, "warning", INK_YELLOW, form, out);
}

void diag_print(const struct err *e, enum diag_form form)
{
    struct buf out = {0};

    diag_draw(e, form, &out);
    fflush(stdout); /* what was said before stays before */
    fwrite(out.ptr, 1, out.len, stderr);
    fflush(stderr);
    buf_release(&out);
}

enum diag_form diag_form_for(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if ((no_colour && *no_colour) || !term || strcmp(term, "dumb") == 0 || !isatty(fileno(stream)))
        return DIAG_PLAIN;
    return DIAG_COLOUR;
}
