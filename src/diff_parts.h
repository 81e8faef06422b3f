/* diff_parts: what the files of diff share among themselves. Nobody else includes it. */
#ifndef SPAK_DIFF_PARTS_H
#define SPAK_DIFF_PARTS_H

#include "diff.h"

struct diff_job {
    struct trace *trace;
    struct store *store; /* NULL: no machine code */
    const char *a, *b;   /* commits */
    struct arena *arena;
    struct diff *out;
    struct trace_change *measured; /* changes below measure/ */
    size_t measured_count;
};

/* A file of one commit; "" when it is not there. The text lives in the arena. */
int diff_read(struct diff_job *job, const char *commit, const char *path, struct str *out,
              struct err *e);
/* Appends what the lines of two texts do not share: what went, then what came, each in the order of
 * its text. */
void diff_add_lines(struct diff_job *job, struct str before, struct str after,
                    struct diff_lines *out);
void diff_push_line(struct diff_job *job, struct diff_lines *out, char sign, struct str text);
/* "measure/<machine>/<folder>/<rest>" taken apart; false when the path is another. */
bool diff_measure_path(struct diff_job *job, const char *path, const char *folder,
                       const char **machine, const char **rest);

/* diff_nodes.c: nodes, their outputs and the chains that lead to them. Needs env. */
int diff_nodes(struct diff_job *job, struct err *e);
/* diff_metrics.c: what was measured on machines that both runs have. */
int diff_metrics(struct diff_job *job, struct err *e);
/* diff_verdicts.c: judgements in the traced texts of nodes whose kind is "verdict". */
int diff_verdicts(struct diff_job *job, struct err *e);

#endif
