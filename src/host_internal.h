/* host_internal: the parts of host that read /proc and /sys below a root that a test can name;
 * nobody else includes it. */
#ifndef SPAK_HOST_INTERNAL_H
#define SPAK_HOST_INTERNAL_H

#include "host.h"

/* What host_fact and host_fact_names do, with <root>/proc and <root>/sys; "" is the machine itself.
 */
const char *host_fact_below(const char *root, struct arena *arena, const char *name);
void host_names_below(const char *root, struct arena *arena, struct strs *out);

/* The whole of a small file, NULL when it cannot be read. */
const char *host_read_text(struct arena *arena, const char *path);
/* The trimmed value of the first "key : value" line, NULL when there is none. */
const char *host_text_field(struct arena *arena, const char *text, const char *key);

/* GPUs by the driver's own listing, in the order of their addresses. */
size_t host_gpu_count(const char *root, struct arena *arena);
const char *host_gpu_name(const char *root, struct arena *arena, size_t index);
const char *host_gpu_driver(const char *root, struct arena *arena);

/* A model's name as words of a-z and 0-9 joined by -, without vendors, trade marks and clock rates.
 */
const char *host_short_model(struct arena *arena, const char *model);

#endif
