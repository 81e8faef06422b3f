/* host: what this machine is, as facts with digests: tools, CPU, GPU, driver. Includes no CUDA
 * headers. */
#ifndef SPAK_HOST_H
#define SPAK_HOST_H

#include "hash.h"

struct host_tool {
    const char *path; /* absolute; the name that was found is kept, for some programs go by the name
                         they are called by (clang++, busybox) */
    const char *version;  /* the first line of what `version_args` printed, "" without */
    struct strs files;    /* what makes it up: itself and its parts, absolute, links resolved; the
                             array is the caller's */
    struct digest digest; /* over a line of file name and content digest for each of them: the same
                             tool elsewhere has the same */
};
struct host_tool_query {
    const char *name;                /* for messages */
    const char *const *candidates;   /* names or absolute paths, tried in order; NULL-terminated */
    const char *const *version_args; /* NULL: none */
    const char *const *check_args; /* a candidate counts only if it exits 0 on these; NULL: none */
    const char *const *const *part_args; /* each prints the path of a further file
                                            (-print-prog-name=cc1); NULL-terminated; NULL: none */
};
/* Finds a tool. found=false (no error) when no candidate fits. `cache` may be NULL. A part that is
 * printed as a bare name is looked for along PATH; one that is nowhere is left out. A shim (pyenv,
 * asdf) is a script like any other: its own text is digested, what it starts only when a part names
 * it. */
int host_find_tool(const struct host_tool_query *q, struct hash_cache *cache, struct arena *arena,
                   struct host_tool *out, bool *found, struct err *e);

/* A fact by name: "arch", "cores", "cpu.features" (sorted), "cpu.model", "gpu.0.name" and so on,
 * "gpu.count", "gpu.driver", "kernel", "l1d_bytes", "l2_bytes", "l3_bytes", "machine",
 * "memory_bytes", "os" ("linux"), "os.name", "page_bytes". Sizes and counts are decimal numbers.
 * NULL when unknown. */
const char *host_fact(struct arena *arena, const char *name);
/* What SPAK_FACTS ("gpu.count=1,gpu.0.name=x") says instead of the machine, for tests; NULL when it
 * says nothing. Never silent: the machine's name then ends in "-pretended", and traces say it in
 * env/toolchain. */
const char *host_pretended(void);
/* Every name that host_fact knows here, sorted; strings live in the arena. */
void host_fact_names(struct arena *arena, struct strs *out);
/* The name of this machine's class in measure/<machine>/: CPU model, cores, GPU model, as in
 * "xeon-platinum-8480-2c" or "epyc-9654-96c-4x-h100-80gb-hbm3"; a-z, 0-9 and - only. Never the
 * host's name. */
const char *host_machine(struct arena *arena);

#endif
