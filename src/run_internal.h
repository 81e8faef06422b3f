/* What the files of run share. */
#ifndef SPAK_RUN_INTERNAL_H
#define SPAK_RUN_INTERNAL_H

#include "run.h"
#include "sandbox.h"

#include <poll.h>

#define RUN_OUTPUT_LIMIT_BYTES (64u << 20)
#define RUN_OUTPUT_KEPT_BYTES (1u << 16) /* of a command that printed more than the limit */
#define RUN_GRACE_NS (2 * INT64_C(1000000000))
#define RUN_TICK_NS (200 * INT64_C(1000000))

/* Who has it: the run, or the threads that start commands. */
enum job_stage { JOB_HERE, JOB_ASKED, JOB_BORN, JOB_ENDED };

/* A command that runs. */
struct job {
    uint32_t node;
    pid_t pid;   /* 0: was not born, and `birth_error` says why */
    int pidfd;   /* -1: a thread sees its end */
    int pipe_fd; /* what it prints, -1 before its birth, for console commands and after the end */
    int64_t start_ns, end_ns;
    struct os_exit exit;        /* once it is over */
    int64_t started_wall_ns;    /* by the file system's clock: the change time of its own temporary
                                   folder */
    int64_t deadline_ns;        /* 0: none */
    int64_t kill_ns;            /* when SIGTERM turns into SIGKILL, 0: not being ended */
    enum job_stage stage, seen; /* now, and when the run looked */
    bool handed;                /* was ever asked for */
    bool begun;                 /* `pid` is known */
    int64_t timeout_ns;
    bool timed_out;
    bool flooded;
    struct err birth_error;
    struct buf output;
    struct buf explanation; /* of a node whose key was made when it started, empty otherwise */
    struct arena arena;     /* argv, env and the rest of `how` */
    struct os_spawn how;
    struct sandbox *sandbox;     /* NULL: runs outside */
    struct sandbox_watch *watch; /* of a node that plans, NULL: nobody watches */
    const char *device;          /* that it reached for, NULL: for none */
    const char *kept;            /* cases for a prover, NULL: none */
    char *tmp;                   /* its own folder */
    uint32_t tmp_mode;
    struct job *next, *next_asked;
};

/* A node whose end is to be written down before it is told. */
struct ended {
    uint32_t node;
    enum node_status status;
    struct node_state *state; /* NULL: leaves no trace in the store */
    bool reusable;            /* also a record under its base key */
    struct buf output;
    struct buf explanation; /* as the job's */
    struct err error;
    struct err warning;
    struct ended *next;
};

/* A driver whose function was started: it waits for `open` of the nodes it asked for. */
struct driver {
    uint32_t node;
    struct ids asked; /* all of them, in order */
    size_t answered;  /* how many of `asked` its function has seen */
    size_t open;
    struct driver *next;
};

struct jobserver {
    int take_fd; /* read without blocking; -1: no jobserver */
    int give_fd;
    int child_read_fd; /* what commands inherit */
    int child_write_fd;
    bool ours;
    size_t held;
    char tokens[1024];
};

/* Who makes what lies in a folder of outputs and in those below it. */
struct folder_owners {
    uint32_t node_count, artifact_count; /* of the graph of which this is known */
    struct strmap by_folder;
    struct arena arena; /* the folders' names */
    struct buf name;    /* the one at hand */
};

struct run {
    struct graph **graph_slot;
    struct plan *plan;
    const struct run_options *options;
    struct run_result *result;
    struct arena *arena;
    uint32_t *waits;    /* for how many nodes each one waits */
    bool *blocked;      /* something it depends on did not come about */
    bool *dirty;        /* something it depends on was made again: decide again */
    int64_t *weight_ns; /* the longest way from this node to the end */
    uint32_t *pool_used;
    size_t capacity;  /* entries in the arrays above */
    struct ids ready; /* wait for nothing, to be looked at */
    size_t ready_next;
    struct ids queue;     /* have to run: a heap, heaviest first */
    struct ids measuring; /* have to run alone */
    struct ids running;
    struct folder_owners owners;
    struct job *jobs;
    struct hands *hands; /* NULL before the first that is asked for */
    size_t unborn;       /* of `jobs`: asked for, and not begun */
    size_t direct;       /* of `jobs`: started by the run itself */
    bool brief;          /* the command that ended last */
    struct job *over;    /* ended, and not collected yet; oldest first */
    size_t over_count;
    struct strs spare_scratch; /* folders that their commands left as they were, on the heap */
    struct driver *drivers;
    struct ended *ended, **ended_tail;
    size_t ended_count;
    struct os_guard *guard;
    struct jobserver jobserver;
    int signal_fd;
    int null_fd; /* what commands hear */
    uint64_t altered_signals;
    size_t jobs_at_most;
    bool alone;    /* what runs now tolerates nothing beside it */
    bool stopping; /* nothing new starts */
    bool starved;  /* the jobserver has no token for a node that could start */
    int64_t begin_ns;
    int64_t tick_ns;
    int64_t known_ns; /* what nodes still to run took the last time, together */
    const char *sandbox_text;
};

static inline const struct graph *run_graph(const struct run *r)
{
    return r->plan->graph;
}
static inline const struct node *run_node(const struct run *r, uint32_t node)
{
    return &r->plan->graph->nodes[node];
}

/* run_queue.c: what may start now. */
void run_queue_push(struct run *r, uint32_t node);
/* The next node to start, GRAPH_NONE when none may. */
uint32_t run_queue_pop(struct run *r);
void run_queue_started(struct run *r, uint32_t node);
void run_queue_ended(struct run *r, uint32_t node);
void run_weigh(struct run *r);
/* How long what ran had to take at least. */
void run_measure_bound(struct run *r);

/* run_child.c: from a node to a process. */
int run_start(struct run *r, uint32_t node, struct err *e);
/* Nothing is left of the job. */
void run_start_failed(struct run *r, struct job *job, struct err *e);
void run_job_free(struct run *r, struct job *job);
/* Takes what the command printed so far; false when the pipe was closed. */
bool run_job_read(struct job *job);
/* Asks the command to end, and gives it no choice when asked before. */
void run_job_end(struct job *job, int64_t now_ns);

/* run_hands.c: starts brief commands beside the run. */
/* The job is among those that run. One that was asked for begins when a thread has time; if it
 * cannot be started it fails then. */
int run_hands_start(struct run *r, struct job *job, struct err *e);
/* Whether the node is one to ask for, and how many more than run at once may be. */
bool run_hands_may(const struct run *r, uint32_t node);
size_t run_hands_ahead(const struct run *r);
/* Readable when there is something to take that is urgent, -1 when nobody was ever asked. */
int run_hands_fd(const struct run *r);
/* A command that a thread has and that is too young to be listened to: who listens is woken up by
 * its end. Looked at again after run_hands_nap_ns. */
bool run_hands_young(const struct job *job, int64_t now_ns);
int64_t run_hands_nap_ns(const struct run *r, int64_t now_ns);
int run_hands_take(struct run *r, struct err *e);
/* Nothing is started until run_hands_go, and all that was started is known. */
void run_hands_hold(struct run *r);
void run_hands_go(struct run *r);
/* Holds, and puts back into the queue what has not begun: when the run stops, and before the graph
 * is replaced that it is described by. */
void run_hands_recall(struct run *r);
/* Recalls what waits behind commands that take long after all. */
void run_hands_recall_late(struct run *r, int64_t now_ns);
/* Until no thread has the job any more: of one that was killed and is to be freed. */
void run_hands_await(struct run *r, const struct job *job);
/* A command has ended. */
void run_hands_note(struct run *r, const struct job *job);
/* When the last command is over. */
void run_hands_close(struct run *r);

/* run_scratch.c: the folder that a command has to itself while it runs. */
int run_scratch_take(struct run *r, struct job *job, struct err *e);
void run_scratch_give(struct run *r, struct job *job);
/* Removes what all jobs left. */
void run_scratch_close(struct run *r);

/* run_policy.c: the closed world of a command. */
const char *const *run_argv(struct run *r, uint32_t node, struct job *job, struct err *e);
const char *const *run_env(struct run *r, uint32_t node, struct job *job);
/* Whether a command works on what nobody trusts: it sees the toolchain and its inputs, no settings
 * of the machine, and has bounds on memory and files. */
bool run_is_confined(const struct graph *g, const struct node *n);
int run_policy(struct run *r, uint32_t node, struct job *job, struct err *e);
/* Whether a case is known that broke the law of a node: a proof of the store may be older than it.
 */
int run_has_kept(struct run *r, uint32_t node, bool *out, struct err *e);
void run_owners_release(struct run *r);

/* run_finish.c: what a command left behind. */
void run_finish_job(struct run *r, struct job *job);
int run_write(struct run *r, uint32_t node, struct err *e);
int run_restore(struct run *r, uint32_t node, struct err *e);
void run_remove_outputs(struct run *r, uint32_t node);
struct node_state *run_state(struct run *r, uint32_t node, bool failed);
int run_collect_outputs(struct run *r, uint32_t node, bool must, struct action_record *record,
                        struct err *e);

/* run_depfile.c: what a command read beyond its inputs. */
int run_take_depfile(struct run *r, struct job *job, struct action_record *record, struct err *e);

/* run_error.c: why a command failed, in words. */
int run_explain_failure(struct run *r, struct job *job, struct err *e);
/* Planning that opened an accelerator and did without it: what it made is not believed. */
int run_refuse_device(struct run *r, const struct job *job, struct err *e);

/* run_driver.c */
int run_driver_step(struct run *r, uint32_t node, struct err *e);
void run_driver_answer(struct run *r, uint32_t node);
void run_drivers_free(struct run *r);

/* run_jobserver.c */
int jobserver_open(struct jobserver *s, const struct run_options *o, bool serve, struct err *e);
/* True when one more command may run beside `running` others. */
bool jobserver_take(struct jobserver *s, size_t running);
void jobserver_give(struct jobserver *s, size_t running);
void jobserver_close(struct jobserver *s);

/* run_signal.c */
int run_signals_open(struct run *r, struct err *e);
/* Reads what came in and acts. */
void run_signals_take(struct run *r);
void run_signals_close(struct run *r);

/* run.c */
struct ended *run_end(struct run *r, uint32_t node, enum node_status status);
void run_event(struct run *r, enum run_event_kind kind, uint32_t node, const struct ended *ended);
/* Takes a grown graph in. */
void run_reserve(struct run *r, const struct graph *g);
void run_add_nodes(struct run *r, const struct ids *added);
void run_fail_node(struct run *r, uint32_t node, struct err *error);
/* Collects the process of a command that has ended. */
int run_reap(struct run *r, struct job *job, struct err *e);
struct job *run_unlink_job(struct job **list, struct job *job);

/* run_record.c: what ended together is written down together, before anybody hears of it. */
int run_record_ended(struct run *r, struct err *e);

#endif
