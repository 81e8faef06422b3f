/* host: what this machine is, as facts with digests: tools, CPU, GPU, driver. Includes no CUDA headers. */
#ifndef SPAK_HOST_H
#define SPAK_HOST_H

#include "hash.h"

struct host_tool {
    const char *path; /* absolute, links resolved */
    const char *version; /* the first line of what `version_args` printed, "" without */
    struct strs files;   /* what makes it up, absolute */
    struct digest digest;
};
struct host_tool_query {
    const char *name;                   /* for messages */
    const char *const *candidates;      /* names or absolute paths, tried in order; NULL-terminated */
    const char *const *version_args;    /* NULL: none */
    const char *const *check_args;      /* a candidate counts only if it exits 0 on these; NULL: none */
    const char *const *const *part_args; /* each prints the path of a further file (-print-prog-name=cc1); NULL-terminated; NULL: none */
};
/* Finds a tool. found=false (no error) when no candidate fits. */
int host_find_tool(const struct host_tool_query *q, struct hash_cache *cache, struct arena *arena, struct host_tool *out, bool *found,
                   struct err *e);

/* A fact by name: "os", "arch", "cores", "cpu.model", "cpu.features", "memory_bytes", "page_bytes", "l1d_bytes", "l2_bytes",
 * "l3_bytes", "gpu.count", "gpu.0.name", "gpu.driver", "machine" (a short name without the host's: "EPYC-9654-2c" ...). NULL when unknown. */
const char *host_fact(struct arena *arena, const char *name);
/* Every name that host_fact knows here. */
void host_fact_names(struct arena *arena, struct strs *out);
/* The name of this machine's class in measure/<machine>/: CPU and GPU model, cores; letters, digits and - only. */
const char *host_machine(struct arena *arena);

#endif
