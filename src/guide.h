/* guide: what an instruction guide may not say.
 *
 * A guide names intent and freedoms. It is the same for every device, so a tuning value, the name
 * of an architecture or of its instructions, and code are refused, whoever wrote the guide. Reads
 * text; knows nothing of how guides are made. */
#ifndef SPAK_GUIDE_H
#define SPAK_GUIDE_H

#include "err.h"

/* Refuses the first offence in the text of a guide (Markdown or JSON), with its line and column.
 * `name` is the file's. */
int guide_lint(const char *text, size_t len, const char *name, struct err *e);

#endif
