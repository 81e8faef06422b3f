/* fuzz: parsers against bytes nobody wrote.
 *
 * A target is one file fuzz_<name>.c: texts to start from, and a function that hands mutated bytes
 * to a parser and checks what holds for every input (an error carries its message, what was
 * accepted reads back). main.c makes the inputs: case K of a target is always the same bytes, so
 * what broke once breaks again with `fuzz_<name> 1 K`. */
#ifndef SPAK_TESTS_FUZZ_H
#define SPAK_TESTS_FUZZ_H

#include "err.h"

struct fuzz_target {
    const char *name;
    const char *const *seeds; /* NULL-terminated, at least one */
    void (*one)(const char *bytes, size_t len);
    size_t cases; /* how many a run of the suite tries */
};
extern const struct fuzz_target fuzz_target;

/* Ends the process, naming the case, unless `holds`. */
void fuzz_expect(bool holds, const char *what);
/* An error that was set has a message that is text; it is released. */
void fuzz_refused(struct err *e);
/* Writes the bytes to a file below TMPDIR, the same for every case, and returns its path. */
const char *fuzz_file(const char *bytes, size_t len);

#endif
