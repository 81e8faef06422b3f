/* prove_sim: a simulation as a child process that answers lines.
 *
 * Questions are queued and answers awaited; both directions move in one poll loop, so neither side
 * can block the other. Everything a simulation can do wrong (end early, fall silent, print too
 * much) becomes its `trouble`, a sentence, and not an error: an error is a fault of the machine.
 * Nothing here knows what a law is. The caller ignores SIGPIPE.
 *
 * Life cycle: sim_start, any number of sim_ask and sim_answer, sim_finish or not, sim_stop. */
#ifndef SPAK_PROVE_SIM_H
#define SPAK_PROVE_SIM_H

#include "os.h"

#define SIM_LINE_MAX ((size_t)1 << 20)

struct sim_how {
    const char *const *argv; /* NULL-terminated; without --mutant */
    const char *mutant;      /* NULL: the law itself */
    int64_t timeout_ns;      /* longest silence while an answer is due */
};
struct sim;

int sim_start(const struct sim_how *how, struct sim **out, struct err *e);
/* Queues one question; the line has no newline. */
void sim_ask(struct sim *sim, const char *line, size_t len);
/* Waits for the next answer, borrowed until the next call; false when there is trouble instead. */
bool sim_answer(struct sim *sim, struct str *line);
/* Closes its input and waits for it to end; false when it says more, does not end, or ends badly.
 */
bool sim_finish(struct sim *sim);
/* What went wrong, "" when nothing did. */
const char *sim_trouble(const struct sim *sim);
/* The start of what it printed to stderr; full of paths and times, so for people only. */
const char *sim_said(const struct sim *sim);
/* Ends it if it still runs and frees it; NULL is fine. */
void sim_stop(struct sim *sim);

#endif
