/* repro_parts: what the files of repro share among themselves. Nobody else includes it. */
#ifndef SPAK_REPRO_PARTS_H
#define SPAK_REPRO_PARTS_H

#include "repro.h"

/* The value of a line "key value" in a node's text, without the key; the `nth`, ptr NULL when there
 * are not that many. */
struct str repro_line(const char *text, const char *key, size_t nth);
/* Takes the last word off a line. */
struct str repro_last_word(struct str *line);
/* The text of a file of a commit, "" when absent. */
int repro_text(const struct repro_side *side, struct arena *arena, const char *path,
               const char **out, bool *found, struct err *e);
/* Appends a formatted line to a list; what comes from the trace must be printable already. */
void repro_say(struct strs *list, struct arena *arena, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Compares what was measured; adds reasons, metrics and the numbers of nodes. A margin of 0 stands
 * for the recorded ones. */
int repro_measured(const struct repro_side *recorded, const struct repro_side *again, double margin,
                   struct arena *arena, struct repro_finding *f, struct err *e);
/* Calls back for each metric of the summary whose samples are in the record, with the median that
 * they give. */
typedef void repro_median_fn(void *ctx, const char *name, double recorded, double derived);
int repro_recorded_metrics(const struct repro_side *side, struct arena *arena,
                           repro_median_fn *each, void *ctx, struct err *e);
/* Why a node came out differently where all that it depends on came out the same: what in its plan
 * or its tools differs. The most likely cause, NULL when nothing recorded differs. */
int repro_cause(const struct repro_side *recorded, const struct repro_side *again, const char *node,
                struct arena *arena, const char **cause, struct err *e);
/* What differs in the environment. */
int repro_environment(const struct repro_side *recorded, const struct repro_side *again,
                      struct arena *arena, struct repro_finding *f, struct err *e);
/* Makes a verdict worse, never better: IDENTICAL, EQUIVALENT, NOT COMPARABLE, DIFFERENT. */
void repro_worsen(struct repro_finding *f, enum repro_verdict verdict);

#endif
