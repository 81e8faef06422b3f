/* What the files of gate share. */
#ifndef SPAK_GATE_PARTS_H
#define SPAK_GATE_PARTS_H

#include "gate.h"

struct gate {
    struct gate_options options;
    struct arena arena;
    struct buf text; /* the journal */
    bool loaded;
    struct gate_line *lines;
    size_t count, cap;
    struct strmap last;   /* "object name" to its last line */
    struct strmap frozen; /* name of a hypothesis to the line that froze it */
    json_t *recalled;     /* what was spent by the traces, NULL: nobody asked yet */
};

/* gate_journal.c */
int gate_load(struct gate *gate, struct err *e);
/* Appends a line and stores the journal, unless the object's last line says the same already. A
 * step that the machine does not know is left out: `*written` is false. */
int gate_step(struct gate *gate, const struct gate_line *line, bool *written, struct err *e);
/* The last line of a hypothesis that is none of doubt, NULL when there is none. */
const struct gate_line *gate_before_doubt(struct gate *gate, const char *name);

/* gate_hypothesis.c: what the file of a hypothesis says. */
struct hypothesis {
    const char *name;
    const char *predicts;
    struct strs rests_on; /* names of invariants */
    struct strs rungs;    /* beside each the rung it has to have, "" any */
    struct digest digest; /* of what a lease freezes: the prediction and what it rests on */
};
/* Reads it; strings live in the arena. A file without a prediction has the name "". */
int hypothesis_read(const char *path, struct arena *arena, struct hypothesis *out, struct err *e);
void hypothesis_release(struct hypothesis *h);
/* The member of a JSON file as text, NULL when the file has none or is no JSON. */
const char *gate_member(const char *path, const char *key, struct arena *arena);
/* Where a rung stands: the higher the stronger; -1 for no rung. */
int gate_rung(const char *name);

#endif
