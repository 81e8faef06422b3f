/* What the files of plan share. */
#ifndef SPAK_PLAN_INTERNAL_H
#define SPAK_PLAN_INTERNAL_H

#include "plan.h"

/* plan_edges.c: what each node depends on (inputs, order, members, proofs, guide, tools built
 * here), without doubles. */
void plan_edges_make(struct plan *plan);
void plan_edges_free(struct plan *plan);

/* plan_decide.c: a decision with everything known. */
int plan_decide_final(struct plan *plan, uint32_t node, struct err *e);
/* A forecast while the dependency `cause` has still to run, or of a node that is `sure`, where
 * there may be no cause. */
int plan_forecast(struct plan *plan, uint32_t node, uint32_t cause, struct err *e);
/* Looks up the node's source inputs; one that is missing is an error with its place. */
int plan_check_sources(struct plan *plan, uint32_t node, struct err *e);

/* plan_files.c */
struct plan_files *plan_files_new(void);
void plan_files_free(struct plan_files *files);
/* The digests of the sources of wanted nodes (one flag a node), on all cores. */
void plan_look_at_sources(struct plan *plan, const bool *wanted);

/* plan_driver.c: does what the driver asked for stand as it was? Base and results are compared with
 * its record. */
int plan_driver_holds(struct plan *plan, uint32_t driver, const struct digest *base, bool *holds,
                      struct err *e);

#endif
