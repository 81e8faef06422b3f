/* crate: a recorded run as the metadata of an RO-Crate, a Provenance Run Crate that other people's
 * tools read.
 *
 * Everything comes out of the trace and its note, so two exports of one run are the same bytes.
 * Writes no files: its caller puts sources and outputs where the metadata says they are.
 *
 * Life cycle: crate_read, then the caller marks the outputs that it has put into the crate and
 * names the other files, then crate_describe. Texts live in the arena. */
#ifndef SPAK_CRATE_H
#define SPAK_CRATE_H

#include "trace.h"

/* What one node made. */
struct crate_output {
    const char *path; /* of the project; a stranger's, judge it before use */
    struct digest digest;
    uint64_t size_bytes;
    bool folder;
    bool executable;
    bool there; /* lies in the crate at its path; else it is named by its digest alone */
};
struct crate {
    struct trace *trace;
    const struct trace_entry *entry;
    struct crate_node *nodes;
    size_t node_count;
    struct crate_output *outputs; /* of all nodes, sorted by path */
    size_t output_count;
    const char *spakfile; /* the workflow, a path of the project */
    struct strs sources;  /* files in the crate that the run was made from; the caller's to fill */
    struct strs traced;   /* files in the crate that tell of the run; the caller's to fill */
};
int crate_read(struct trace *t, const struct trace_entry *entry, struct arena *arena,
               struct crate *out, struct err *e);
/* Appends the text of ro-crate-metadata.json. */
int crate_describe(const struct crate *c, struct arena *arena, struct buf *out, struct err *e);
void crate_release(struct crate *c);

#endif
