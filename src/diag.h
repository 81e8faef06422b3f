/* diag: draws an error for a person or for a program. Does not know who made it. */
#ifndef SPAK_DIAG_H
#define SPAK_DIAG_H

#include "err.h"
#include <stdio.h>

enum diag_form { DIAG_PLAIN, DIAG_COLOUR, DIAG_JSON };

/* Appends
 *     error[S101]: unknown name "foo"
 *       --> spakfile:3:12
 *        |
 *      3 | target "x" { "foo" }
 *        |              ^
 *        = help: did you mean "food"?
 * with notes, their source lines and the captured output; or one JSON object on a line. Source
 * lines are read from the file, and left out where it cannot be read. */
void diag_draw(const struct err *e, enum diag_form form, struct buf *out);
/* "warning[S101]: ..." in the same shape. */
void diag_draw_warning(const struct err *e, enum diag_form form, struct buf *out);
/* Draws to stderr. */
void diag_print(const struct err *e, enum diag_form form);
/* DIAG_COLOUR if the stream is a terminal and NO_COLOR is not set. */
enum diag_form diag_form_for(FILE *stream);

#endif
