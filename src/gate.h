/* gate: the protocol. What a node that measures must bring, and what became of everything that the
 * protocol speaks of.
 *
 * Invariants, hypotheses, guides, studies, candidates, measurements and verdicts each have a state;
 * one table says which state may follow which. Every step is a line of the journal, which only
 * grows: the store keeps it, each trace carries it. A measurement needs a lease, and a lease needs
 * a token: the digest of the guide and of the verified invariants; one changed byte in any of them
 * makes another token. A prediction is frozen by the first lease that tests it.
 *
 * The gate looks at what the engine itself recorded (who made a file, with which program, of which
 * digest) and never at what a program said about itself alone. Knows no domain: "invariant" and
 * "guide" are kinds of nodes. Never puts a time, a host or a path outside the project into a line.
 *
 * Life cycle: gate_open once a session, gate_close at its end. The journal is read when it is first
 * needed. */
#ifndef SPAK_GATE_H
#define SPAK_GATE_H

#include "graph.h"
#include "store.h"

enum gate_object {
    GATE_INVARIANT,
    GATE_HYPOTHESIS,
    GATE_GUIDE,
    GATE_STUDY,
    GATE_CANDIDATE,
    GATE_MEASUREMENT,
    GATE_VERDICT,
    GATE_OBJECT_COUNT,
};
enum gate_state {
    GATE_NONE, /* nothing is known of it */
    GATE_VERIFIED,
    GATE_REFUTED,
    GATE_OPEN,   /* a hypothesis that nothing has tested */
    GATE_FROZEN, /* a lease was granted: its prediction stands */
    GATE_VALIDATED,
    GATE_FALSIFIED,
    GATE_UNDECIDED,
    GATE_SUSPECT, /* what it rests on does not hold */
    GATE_ISSUED,
    GATE_ADMITTED, /* a study that tells wrong from right */
    GATE_PASSED,
    GATE_REJECTED,
    GATE_LEASED,
    GATE_MEASURED,
    GATE_FAILED,
    GATE_REFUSED,
    GATE_GIVEN,
    GATE_STATE_COUNT,
};
const char *gate_object_name(enum gate_object object);
const char *gate_state_name(enum gate_state state);
/* Whether an object may go from one state to another (or stay: a new attempt). */
bool gate_may_follow(enum gate_object object, enum gate_state from, enum gate_state to);

/* One line of the journal: "hypothesis fmha/fusion 2 frozen <digest> by bench/fmha". */
struct gate_line {
    enum gate_object object;
    const char *name; /* without the prefix that the kind's nodes have */
    uint32_t number;  /* 1 for the first line of an object */
    enum gate_state state;
    struct digest digest; /* of what the state is about: the proof, the prediction, the result */
    const char *rest;     /* words by turns, "by bench/fmha"; "" when there are none */
};

struct gate;
struct gate_options {
    struct store *store;
    struct hash_cache *cache;
    const char *programs; /* the folder of the engine's own programs */
    const char *out_dir;  /* what nodes of either loop write below */
    /* Called once where the store has no journal: those of the traces, one after the other. May be
     * NULL. */
    int (*recall)(void *ctx, struct buf *journal, struct err *e);
    /* The same for what was spent: those of the traces' notes, one a line. May be NULL. */
    int (*recall_spent)(void *ctx, struct buf *lines, struct err *e);
    void *recall_ctx;
};
struct gate *gate_open(const struct gate_options *options);
void gate_close(struct gate *gate);

/* Admits a node of either loop, -1 and an error of class ERR_PROTOCOL when it is in the wrong one.
 * For a node that measures: the hex token of its lease, or an error that says which guide, proof or
 * prediction is wanting and why; the guide and the proofs must lie on disk, final. */
int gate_admit(struct gate *gate, const struct graph *g, uint32_t node, struct arena *arena,
               const char **token, struct err *e);
/* The token alone: SHA-256 over the guide's digest and the sorted (name, digest) of the proofs. */
void gate_token(const struct digest *guide, const char *const *proof_names,
                const struct digest *proofs, size_t count, char out[DIGEST_HEX_LEN + 1]);
/* Grants the lease: freezes the predictions it tests and writes the lease into the journal. Before
 * the node starts; outside of a transaction. */
int gate_lease(struct gate *gate, const struct graph *g, uint32_t node, const char *token,
               struct err *e);

/* Budgets. A study and each of its hypotheses may be allowed so many tries and so many seconds
 * (wall, CPU, device); what is spent is counted here, by leases and ends, and a lease beyond is
 * refused with what was spent. No trace's tree holds times, but the note of each trace has what was
 * spent until then: a store that is new takes it from there. */
int gate_afford(struct gate *gate, const struct graph *g, uint32_t node, struct err *e);
/* One more attempt; gate_lease counts it. */
int gate_count_try(struct gate *gate, const struct graph *g, uint32_t node, struct err *e);
/* What an attempt took; nothing for a node that does not measure. */
int gate_spend(struct gate *gate, const struct graph *g, uint32_t node, int64_t wall_ns,
               int64_t cpu_ns, struct err *e);
/* "3 of 5 tries, 12.1 s wall": what a node's measurement or hypothesis has cost, and what it may;
 * NULL when nothing. */
const char *gate_spent(struct gate *gate, const struct graph *g, uint32_t node,
                       struct arena *arena);
/* All that was spent, as JSON, for the note of a trace; "" nothing. At the end of a build. */
int gate_purses(struct gate *gate, struct arena *arena, const char **out, struct err *e);

/* How a node ended, as far as the protocol cares. */
enum gate_end { GATE_END_OK, GATE_END_FAILED, GATE_END_REFUSED };
struct gate_ended {
    enum gate_end end;
    int exit_code;
    const char *code; /* why it was refused: "P104" */
};
/* Writes down what the end of a node means: its own state, that of the hypotheses a verdict judges,
 * and of what rested on an invariant that fell. Its outputs lie on disk. Inside a transaction. */
int gate_note(struct gate *gate, const struct graph *g, uint32_t node, const struct gate_ended *how,
              struct err *e);

/* The cases that broke the law of a prover's node, as the prover takes them, the latest first; NULL
 * when none is known. They are no part of its key: they can refute a law, and never verify one. */
int gate_kept(struct gate *gate, const struct graph *g, uint32_t node, struct arena *arena,
              const char **out, struct err *e);

/* The journal, "" when nothing happened yet. */
int gate_journal(struct gate *gate, const char **text, struct err *e);
/* The last line of an object; NULL when it has none. Valid until the next line is written. */
const struct gate_line *gate_last(struct gate *gate, enum gate_object object, const char *name);
/* The line that froze a hypothesis, NULL when none did. */
const struct gate_line *gate_freeze(struct gate *gate, const char *name);
/* What a node is to the protocol and under which name; false for a node that is nothing to it. */
bool gate_names(const struct graph *g, uint32_t node, enum gate_object *object, const char **name);
/* The lines of a journal, in order; strings live in the arena. What is no line is left out. */
void gate_lines(const char *text, struct arena *arena, struct gate_line **out, size_t *count);
/* The journal of one trace: `before`, then the lines of `now` that are about nodes marked and are
 * not in it yet. */
void gate_merge(const char *before, const char *now, const struct graph *g, const bool *mark,
                struct buf *out);

/* The hypotheses that a measuring node tests, as artifacts: of its guide and of its own. */
void gate_hypotheses(const struct graph *g, uint32_t node, struct ids *out);
/* True for a node that runs one of the engine's provers as a rule runs it. Whether the program is
 * the engine's own is checked by gate_admit. */
bool gate_is_prover(const struct graph *g, uint32_t node);

#endif
