#include "build.h"

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values of the store: how many runs may have changed something, and what each target's last trace
 * was of. */
#define CHANGES "changes"

static int make_plan(struct session *s, const struct build_options *o, struct build_report *report,
                     struct err *e)
{
    struct plan_options options = session_plan_options(s);
    options.force = o->force;
    options.still = session_still_nodes(s);
    options.still_count = s->graph->node_count;
    options.still_digest = session_still_digest;
    options.still_ctx = s;
    report->plan = plan_make(s->graph, report->roots.at, report->roots.len, &options, s->arena, e);
    return report->plan ? 0 : -1;
}

int build_plan(struct session *s, const struct build_options *o, const struct strs *names,
               struct build_report *report, struct err *e)
{
    int64_t begin = os_monotonic_ns();
    report->names.len = 0;
    for (size_t i = 0; i < names->len; i++)
        strs_push(&report->names, names->at[i]);
    if (session_targets(s, names, &report->roots, e) < 0 || make_plan(s, o, report, e) < 0)
        return -1;
    report->plan_ns = os_monotonic_ns() - begin;
    return 0;
}

/* A driver's function lives in the Lua state. The snapshot has none, so the spakfile is evaluated
 * and everything is planned anew; ids of asked nodes do not survive that, so roots are found again
 * by name. */
static int load_drivers(struct session *s, const struct build_options *o,
                        struct build_report *report, struct err *e)
{
    struct strs names = {0};
    if (s->script || !plan_needs_drivers(report->plan))
        return 0;
    for (size_t i = 0; i < report->roots.len; i++)
        strs_push(&names, arena_strdup(s->arena, node_name(s->graph, report->roots.at[i])));
    plan_free(report->plan);
    report->plan = NULL;
    report->roots.len = 0;
    s->why_evaluated = "a driver has to run";
    int rc = session_evaluate(s, e);
    if (rc == 0)
        rc = build_plan(s, o, &names, report, e);
    strs_release(&names);
    return rc;
}

static int execute(struct session *s, const struct build_options *o, struct build_report *report,
                   struct err *e)
{
    int64_t begin = os_monotonic_ns();
    struct run_options options = {
        .root = s->root,
        .state_dir = s->state_dir,
        .out_dir = s->out_dir,
        .store = s->store,
        .cache = s->cache,
        .gate = s->gate,
        .jobs = o->jobs > 0 ? o->jobs : os_cores(),
        .jobs_given = o->jobs > 0,
        .keep_going = o->keep_going,
        .sandbox = o->sandbox && sandbox_supported(NULL) != SANDBOX_NONE,
        .makeflags = getenv("MAKEFLAGS"),
        .event = o->event,
        .event_ctx = o->event_ctx,
        .driver = session_driver,
        .driver_ctx = s,
    };
    uint32_t nodes = s->graph->node_count;
    int rc = run_execute(&s->graph, report->plan, &options, &report->result, e);
    report->run_ns = os_monotonic_ns() - begin;
    if (rc == 0 && s->graph->node_count != nodes)
        rc = session_save(s, e);
    return rc;
}

static bool all_clean(const struct plan *plan)
{
    for (size_t i = 0; i < plan->order.len; i++)
        if (plan->entries[plan->order.at[i]].verdict != PLAN_CLEAN)
            return false;
    return true;
}

/* Counts the runs that may have changed something, and counts before they do: a target whose trace
 * was written at another count has one that may be behind, whoever else built its nodes, and
 * however that run ended. Not before the disk has it: the records of what changes come after it in
 * the same journal, and what has none is built and counted again. */
static int count_change(struct session *s, const struct build_report *report, struct err *e)
{
    struct buf count = {0}, next = {0};
    bool found;
    if (all_clean(report->plan))
        return 0;
    int rc = store_recall_value(s->store, CHANGES, &count, &found, e);
    buf_addf(&next, "%llu", found ? strtoull(buf_text(&count), NULL, 10) + 1 : 1);
    if (rc == 0)
        rc = store_begin(s->store, e);
    if (rc == 0 && store_put_value(s->store, CHANGES, next.ptr, next.len, e) == 0)
        rc = store_commit_soon(s->store, e);
    else if (rc == 0) {
        store_abort(s->store);
        rc = -1;
    }
    buf_release(&count);
    buf_release(&next);
    return rc;
}

static char *mark_name(struct session *s, uint32_t target)
{
    return arena_printf(s->arena, "traced %s", node_name(s->graph, target));
}

/* What a trace that is written now is of: as many changes, and these nodes; and where it lies. */
static int current_mark(struct session *s, const struct build_report *report, struct digest *out,
                        struct err *e)
{
    const char *place = graph_text(s->graph, s->graph->trace_to);
    struct buf count = {0};
    struct hasher h;
    bool found;
    int rc = store_recall_value(s->store, CHANGES, &count, &found, e);
    hash_init(&h);
    hash_add(&h, buf_text(&count), count.len + 1);
    hash_add(&h, place, strlen(place) + 1);
    for (size_t i = 0; i < report->plan->order.len; i++) {
        const char *name = node_name(s->graph, report->plan->order.at[i]);
        hash_add(&h, name, strlen(name) + 1);
    }
    hash_final(&h, out);
    buf_release(&count);
    return rc;
}

/* A target's last trace: what it was of, and of which state of all nodes its commit tells. */
struct traced {
    struct digest mark;
    struct digest state;
    char commit[65];
};

static int last_trace(struct session *s, uint32_t target, struct traced *out, struct err *e)
{
    struct buf bytes = {0};
    bool found;
    int rc = store_recall_value(s->store, mark_name(s, target), &bytes, &found, e);
    *out = (struct traced){.commit = ""};
    if (rc == 0 && found && bytes.len == sizeof *out && !bytes.ptr[sizeof *out - 1])
        memcpy(out, bytes.ptr, sizeof *out);
    buf_release(&bytes);
    return rc;
}

/* The state of all nodes: as many changes of this very graph. Zero where it cannot be told. */
static int current_state(struct session *s, struct digest *out, struct err *e)
{
    struct buf count = {0};
    struct hasher h;
    uint64_t id;
    bool found;
    *out = (struct digest){{0}};
    int rc = store_recall_value(s->store, CHANGES, &count, &found, e);
    if (rc == 0 && graph_id(session_snapshot(s), &s->stamp, &id)) {
        hash_init(&h);
        hash_add(&h, buf_text(&count), count.len + 1);
        hash_add(&h, s->stamp.bytes, DIGEST_BYTES);
        hash_add(&h, &id, sizeof id);
        hash_final(&h, out);
    }
    buf_release(&count);
    return rc;
}

static bool anything_ran(const struct run_result *result)
{
    const struct run_progress *n = &result->counts;
    return n->ran + n->failed + n->refused + n->restored + n->interrupted > 0;
}

static int recall(void *ctx, uint32_t node, const struct action_record **out, struct err *e)
{
    struct plan *plan = ctx;
    if (plan_recall(plan, node, e) < 0)
        return -1;
    *out = plan->entries[node].record;
    return 0;
}

static bool trace_one(struct session *s, const struct build_options *o, struct build_report *report,
                      uint32_t node, const char *since)
{
    struct build_trace *trace = &report->traces[report->trace_count++];
    const char *sandbox = "none", *journal = "", *spent = "";
    if (o->sandbox)
        sandbox_supported(&sandbox);
    if (gate_journal(s->gate, &journal, &trace->error) < 0 ||
        gate_purses(s->gate, s->arena, &spent, &trace->error) < 0)
        return false;
    struct trace_run run = {
        .graph = s->graph,
        .outcomes = report->result.outcomes,
        .target = node_name(s->graph, node),
        .target_node = node,
        .root = s->root,
        .out_dir = s->out_dir,
        .machine = s->machine,
        .sandbox = sandbox,
        .engine_version = o->engine_version,
        .failed = report->result.counts.failed + report->result.counts.refused > 0,
        .interrupted = report->result.interrupted,
        .store = s->store,
        .cache = s->cache,
        .params = s->script_options.params,
        .spakfile = s->script_options.spakfile,
        .wall_ns = report->run_ns,
        .trace_to = o->trace_to,
        .journal = journal,
        .since = since,
        .recall = recall,
        .recall_ctx = report->plan,
        .spent = spent,
    };
    trace->target = run.target;
    return trace_commit(&run, s->arena, &trace->result, &trace->error) == 0;
}

/* Who says where the trace goes gets one of what this run did; what was written elsewhere says
 * nothing of it. */
static bool is_traced(const struct build_options *o, const struct build_report *report,
                      const struct traced *last, const struct digest *mark)
{
    return !o->trace_to && !anything_ran(&report->result) && digest_equal(&last->mark, mark);
}

/* The commit that tells of everything as it was before this run, NULL where none does. */
static const char *tells_before(const struct build_options *o, const struct build_report *report,
                                const struct traced *last)
{
    bool does = *last->commit && !digest_is_zero(&report->before) &&
                digest_equal(&last->state, &report->before);
    return does && !o->trace_to ? last->commit : NULL;
}

static int write_trace(struct session *s, const struct build_options *o,
                       struct build_report *report, uint32_t target, const struct digest *mark,
                       bool *written, struct err *e)
{
    struct traced last, now = {.mark = *mark, .commit = ""};
    if (last_trace(s, target, &last, e) < 0)
        return -1;
    *written = true;
    if (is_traced(o, report, &last, mark))
        return 0;
    *written = trace_one(s, o, report, target, tells_before(o, report, &last));
    if (!*written || o->trace_to)
        return 0;
    snprintf(now.commit, sizeof now.commit, "%s",
             report->traces[report->trace_count - 1].result.whole);
    if (current_state(s, &now.state, e) < 0)
        return -1;
    return store_put_value(s->store, mark_name(s, target), &now, sizeof now, e);
}

/* A trace that cannot be written is told, and does not take the build's result away; the next build
 * of the target tries again. */
static int write_traces(struct session *s, const struct build_options *o,
                        struct build_report *report, bool *all, struct err *e)
{
    struct digest mark;
    if (current_mark(s, report, &mark, e) < 0)
        return -1;
    for (size_t i = 0; i < report->roots.len; i++) {
        uint32_t target = report->roots.at[i];
        bool written;
        if (!(s->graph->nodes[target].flags & NODE_TARGET))
            continue;
        if (write_trace(s, o, report, target, &mark, &written, e) < 0)
            return -1;
        *all = *all && written;
    }
    return 0;
}

/* `all`: nothing is left to be traced. */
static int traces(struct session *s, const struct build_options *o, struct build_report *report,
                  bool *all, struct err *e)
{
    int64_t begin = os_monotonic_ns();
    bool off = !o->trace_to && !strcmp(graph_text(s->graph, s->graph->trace_to), "off");
    *all = o->trace || off;
    report->traces = xcalloc(report->roots.len + 1, sizeof *report->traces);
    int rc = o->trace && !off ? write_traces(s, o, report, all, e) : 0;
    report->trace_ns = os_monotonic_ns() - begin;
    return rc;
}

/* Stamps save time and are worth no failure. */
static void settle(struct session *s, const struct build_report *report, bool traced)
{
    struct err ignored = {0};
    if (session_settle(s, report->plan, report->result.outcomes, &report->names, traced, &ignored) <
        0)
        err_release(&ignored);
}

int build_run(struct session *s, const struct build_options *o, struct build_report *report,
              struct err *e)
{
    bool traced;
    if (load_drivers(s, o, report, e) < 0 || current_state(s, &report->before, e) < 0 ||
        count_change(s, report, e) < 0 || execute(s, o, report, e) < 0)
        return -1;
    if (build_status(report) == 0 &&
        session_sweep(s, report->result.outcomes, o->force, &report->swept, e) < 0)
        return -1;
    if (traces(s, o, report, &traced, e) < 0)
        return -1;
    settle(s, report, traced);
    return 0;
}

int build_status(const struct build_report *report)
{
    if (report->result.interrupted)
        return ERR_INTERRUPT;
    if (report->result.counts.refused > 0)
        return ERR_PROTOCOL;
    return report->result.counts.failed > 0 ? ERR_NODE : 0;
}

void build_release(struct build_report *report)
{
    for (size_t i = 0; i < report->trace_count; i++) {
        err_release(&report->traces[i].error);
        err_release(&report->traces[i].result.warning);
    }
    free(report->traces);
    plan_free(report->plan);
    ids_release(&report->roots);
    strs_release(&report->swept);
    strs_release(&report->names);
}
