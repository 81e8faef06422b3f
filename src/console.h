/* console: draws the events of a run, for a person or for a program.
 *
 * On a terminal one line lives at the bottom: how far the run is, what runs, what is left;
 * everything else scrolls above it. Elsewhere each node that ran is a line of its own, and nothing
 * is ever redrawn; a long log ends with the errors in it once more. As JSON each event is one
 * object on a line. Decides nothing: the events carry it all.
 *
 * Life cycle: console_open, console_event as often as the run calls, console_close. Between a
 * RUN_BEGIN and its RUN_END nobody else writes to the descriptor. */
#ifndef SPAK_CONSOLE_H
#define SPAK_CONSOLE_H

#include "run.h"

struct console_options {
    int fd;    /* where it is drawn */
    bool live; /* a terminal: one line redrawn in place */
    bool colour;
    bool quiet;   /* only what went wrong */
    bool verbose; /* the command and the reason of each node that runs */
    bool json;    /* objects instead of text; quiet and verbose say nothing then */
    int columns;  /* width of the terminal; 0: asked before each drawing */
};

struct console;
struct console *console_open(const struct console_options *options);
/* Fits run_options.event; ctx is the struct console. */
void console_event(void *ctx, const struct run_event *event);
/* Takes the live line away, if one is drawn. */
void console_close(struct console *console);

/* The live line as text, at most `columns` - 1 wide: "[3/10] 30% cc out/a.o, cc out/b.o +2, 12s
 * left". */
void console_status_line(const struct run_event *event, int columns, struct buf *out);
/* One event as one JSON object and a newline; nothing for those that only concern a terminal. */
void console_event_json(const struct run_event *event, struct buf *out);
/* "0.8s", "12s", "3m05s", "2h10m". */
void console_duration(int64_t ns, struct buf *out);

#endif
