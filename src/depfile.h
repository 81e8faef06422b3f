/* depfile: what a compiler wrote in make's .d syntax, as paths. Reads no files. */
#ifndef SPAK_DEPFILE_H
#define SPAK_DEPFILE_H

#include "err.h"

/* Adds every prerequisite of every rule in the text, each once, in order of appearance; strings
 * live in the arena. Understands \-newline, escaped spaces, $$ and \#, CRLF, several targets and
 * the empty rules of -MP. `name` is for messages. */
int depfile_parse(const char *text, size_t len, const char *name, struct arena *arena,
                  struct strs *out, struct err *e);

#endif
