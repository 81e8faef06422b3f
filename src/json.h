/* json: canonical JSON in and out, over jansson.
 *
 * Canonical: keys sorted, no white space (or two-space indent where a person reads it), a newline
 * at the end, numbers that read back as the same bits. Values are jansson's own; use its accessors.
 * Reads no files. */
#ifndef SPAK_JSON_H
#define SPAK_JSON_H

#include "err.h"
#include <jansson.h>

/* Parses `len` bytes; a syntax error carries `name` and the line and column. NULL if and only if e
 * is set. */
json_t *json_parse(const char *text, size_t len, const char *name, struct err *e);
/* Appends the canonical form, on one line without a newline. */
void json_compact(const json_t *value, struct buf *out);
/* Appends the canonical form, indented, with a newline at the end. */
void json_pretty(const json_t *value, struct buf *out);
/* Appends `text` as a quoted JSON string (invalid UTF-8 replaced). */
void json_quote(const char *text, struct buf *out);
/* The member as text, `fallback` when it is absent or no string. */
const char *json_text(const json_t *object, const char *key, const char *fallback);
double json_num(const json_t *object, const char *key, double fallback);
long long json_int(const json_t *object, const char *key, long long fallback);

#endif
