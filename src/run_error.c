#include "gate.h"
#include "run_internal.h"

#include <signal.h>
#include <string.h>

#define TRACE_LIMIT_NS (20 * INT64_C(1000000000))

/* As a person would type it. */
static void quote_argument(struct buf *out, const char *arg)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=+,:@%^";
    if (*arg && arg[strspn(arg, plain)] == '\0') {
        buf_addstr(out, arg);
        return;
    }
    buf_addch(out, '\'');
    for (; *arg; arg++) {
        if (*arg == '\'')
            buf_addstr(out, "'\\''");
        else
            buf_addch(out, *arg);
    }
    buf_addch(out, '\'');
}

static void note_command(const struct job *job, struct err *e)
{
    struct buf text = {0};
    for (size_t i = 0; job->how.argv[i]; i++) {
        if (i > 0)
            buf_addch(&text, ' ');
        quote_argument(&text, job->how.argv[i]);
    }
    if (text.len > 600) {
        text.len = 600;
        text.ptr[600] = '\0';
        buf_addstr(&text, " ...");
    }
    err_note(e, (struct place){0}, "the command was: %s", buf_text(&text));
    buf_release(&text);
}

static int timed_out(const char *name, const struct node *n, struct err *e)
{
    err_set(e, ERR_command_timeout, "%s was still running after %g s", name,
            n->timeout_ms / 1000.0);
    return err_hint(e, "allow it more with timeout = SECONDS in its declaration");
}

static int flooded(const char *name, struct err *e)
{
    err_set(e, ERR_output_flood, "%s printed more than %u MiB", name, RUN_OUTPUT_LIMIT_BYTES >> 20);
    return err_hint(
        e, "send what it prints to a declared output (stdout = ...), or make it print less");
}

static int refused(const struct run *r, const struct node *n, const char *name, struct err *e)
{
    if (strcmp(graph_text(run_graph(r), n->kind), "admission") == 0)
        return err_set(e, ERR_study_refused, "%s is refused: it cannot tell wrong from right",
                       name);
    return err_set(e, ERR_invariant_refused, "%s is refused", name);
}

static int undeclared_read(const char *name, const struct sandbox_refusals *found, struct err *e)
{
    err_set(e, ERR_undeclared_read, "%s read %s, which is not among its inputs", name,
            found->read.at[0]);
    for (size_t i = 1; i < found->read.len && i < 8; i++)
        err_note(e, (struct place){0}, "it also tried to read %s", found->read.at[i]);
    return err_hint(e, "add \"%s\" to its inputs", found->read.at[0]);
}

/* A tool that failed removes its output, and may not where the folder is not its own: that is no
 * reason. */
static const char *written_beside(const struct graph *g, const struct node *n,
                                  const struct sandbox_refusals *found)
{
    for (size_t i = 0; i < found->write.len; i++) {
        const char *path = found->write.at[i];
        bool own = false;
        for (uint32_t k = 0; k < n->outputs.len && !own; k++)
            own = strcmp(artifact_path(g, slice_id(g, n->outputs, k)), path) == 0;
        if (!own)
            return path;
    }
    return NULL;
}

static int undeclared_write(const char *name, const char *path, struct err *e)
{
    err_set(e, ERR_undeclared_write, "%s tried to write %s, which is not among its outputs", name,
            path);
    return err_hint(
        e,
        "declare it as an output; put temporary files under $TMPDIR; a tool that writes beside its "
        "output and renames needs a folder of its own for that output");
}

/* What planning reached for an accelerator with, NULL when it did not. */
static const char *reached_device(const struct node *n, const struct sandbox_refusals *found)
{
    for (size_t i = 0; (n->flags & NODE_OUTER) && i < found->outside.len; i++)
        if (sandbox_is_accelerator(found->outside.at[i]))
            return found->outside.at[i];
    return NULL;
}

static int planning_device(const char *name, const char *device, const char *then, struct err *e)
{
    err_set(e, ERR_planning_device, "%s plans, and tried to open %s%s", name, device, then);
    return err_hint(e, "planning runs on the CPU alone: move what needs the device into a check or "
                       "a bench");
}

/* A file that a candidate reached for and that its compiler complains about: programs look at many
 * files that they do without. */
static const char *escaped_to(const struct run *r, const struct job *job,
                              const struct sandbox_refusals *found)
{
    bool confined = run_is_confined(run_graph(r), run_node(r, job->node));
    const struct strs *lists[] = {&found->outside, &found->read};
    for (size_t k = 0; confined && k < ARRAY_LEN(lists); k++)
        for (size_t i = 0; i < lists[k]->len; i++)
            if (strstr(buf_text(&job->output), lists[k]->at[i]))
                return lists[k]->at[i];
    return NULL;
}

static int candidate_escape(const char *name, const char *path, struct err *e)
{
    err_set(e, ERR_candidate_escape, "%s reads %s, which is no part of the candidate", name, path);
    return err_hint(e, "a candidate is its source and the headers beside it, and nothing else");
}

/* Runs the command once more, traced: only then is it known which file the sandbox kept from it. */
static bool find_refusals(struct run *r, struct job *job, struct sandbox_refusals *found)
{
    int64_t took = os_monotonic_ns() - job->start_ns;
    struct err ignored = {0};
    if (!job->sandbox || r->stopping || took > TRACE_LIMIT_NS / 2 ||
        (run_node(r, job->node)->flags & NODE_MEASURES))
        return false;
    if (sandbox_find_refusals(&job->how, r->options->root, 2 * took + 2 * RUN_GRACE_NS, r->arena,
                              found, &ignored) < 0)
        err_release(&ignored);
    return true;
}

static int command_failed(const char *name, const struct os_exit *status, struct err *e)
{
    if (status->signal)
        return err_set(e, ERR_command_failed, "%s was ended by signal %d (%s)", name,
                       status->signal, strsignal(status->signal));
    return err_set(e, ERR_command_failed, "%s failed with exit status %d", name, status->code);
}

int run_explain_failure(struct run *r, struct job *job, struct err *e)
{
    const struct os_exit *status = &job->exit;
    const struct node *n = run_node(r, job->node);
    const char *name = node_name(run_graph(r), job->node);
    struct sandbox_refusals found = {0};
    bool traced = false;
    if (job->timed_out)
        timed_out(name, n, e);
    else if (job->flooded)
        flooded(name, e);
    else if (status->code == 3 && gate_is_prover(run_graph(r), job->node))
        refused(r, n, name, e);
    else if (job->device)
        planning_device(name, job->device, "", e);
    else if ((traced = find_refusals(r, job, &found)) && reached_device(n, &found))
        planning_device(name, reached_device(n, &found), "", e);
    else if (traced && escaped_to(r, job, &found))
        candidate_escape(name, escaped_to(r, job, &found), e);
    else if (found.read.len > 0)
        undeclared_read(name, &found, e);
    else if (written_beside(run_graph(r), n, &found))
        undeclared_write(name, written_beside(run_graph(r), n, &found), e);
    else
        command_failed(name, status, e);
    err_at(e, node_place(run_graph(r), job->node));
    note_command(job, e);
    sandbox_refusals_release(&found);
    return -1;
}

int run_refuse_device(struct run *r, const struct job *job, struct err *e)
{
    planning_device(node_name(run_graph(r), job->node), job->device,
                    ", and went on when it was refused", e);
    return err_at(e, node_place(run_graph(r), job->node));
}
