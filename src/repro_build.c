#include "repro.h"

#include "sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The whole build, evaluation included, runs in a child: what a sandbox takes away cannot be given
 * back, and a spakfile asks programs for their versions before any node has run. */

struct job {
    const struct repro_place *place;
    const struct trace_entry *recorded;
    const struct strs *params;
    const struct repro_options *o;
    struct sandbox *sandbox;
    int report_fd;
};

int repro_params(struct trace *t, const char *commit, struct arena *arena, struct strs *out,
                 struct err *e)
{
    struct buf text = {0};
    bool found;
    int rc = trace_read(t, commit, "env/params", &text, &found, e);
    struct str rest = {buf_text(&text), text.len}, line;
    while (rc == 0 && str_split(&rest, '\n', &line))
        if (line.len)
            strs_push(out, arena_strndup(arena, line.ptr, line.len));
    buf_release(&text);
    return rc;
}

int repro_spakfile(struct trace *t, const char *commit, struct arena *arena, const char **out,
                   struct err *e)
{
    struct buf text = {0};
    bool found = false;
    int rc = trace_read(t, commit, "env/spakfile", &text, &found, e);
    *out = "spakfile";
    if (rc == 0 && found)
        *out = trace_value(arena, str_trim((struct str){buf_text(&text), text.len}), NULL);
    buf_release(&text);
    if (rc == 0 && !repro_link_stays(*out, strlen(*out), 1)) {
        rc = err_set(e, ERR_trace_name,
                     "the trace's spakfile is \"%.200s\", which is not in its sources",
                     repro_printable(arena, *out));
        err_hint(e, "nothing of it was run");
    }
    return rc;
}

/* A tool is found along PATH and brings folders beside the one it was found in. A person's home is
 * never opened as a whole. */
static void add_tool_folders(struct arena *arena, struct strs *read)
{
    static const char *const beside[] = {"lib",     "lib64",    "libexec", "share",
                                         "include", "versions", "libs"};
    struct str rest = str_of(getenv("PATH") ? getenv("PATH") : ""), dir;
    while (str_split(&rest, ':', &dir)) {
        if (!dir.len || dir.ptr[0] != '/')
            continue;
        const char *bin = arena_strndup(arena, dir.ptr, dir.len);
        strs_push(read, text_ends_with(bin, "/shims") ? os_dirname(arena, bin) : bin);
        for (size_t i = 0; i < ARRAY_LEN(beside); i++)
            strs_push(read, os_join(arena, os_dirname(arena, bin), beside[i]));
    }
}

static int make_sandbox(const struct repro_place *place, struct arena *arena, struct sandbox **out,
                        struct err *e)
{
    struct strs read = {0};
    const char *gpus = host_fact(arena, "gpu.count"), *home = getenv("SPAK_HOME");
    const char *write[] = {place->top, NULL};
    char *self = os_self(arena, e);
    if (!self)
        return -1;
    for (const char *const *p = sandbox_system_paths(); *p; p++)
        strs_push(&read, *p);
    add_tool_folders(arena, &read);
    const char *one_up = os_dirname(arena, os_dirname(arena, self));
    const char *tops[] = {home && *home ? home : one_up, os_dirname(arena, one_up)};
    for (size_t i = 0; i < (home && *home ? 1 : ARRAY_LEN(tops)); i++) {
        strs_push(&read, os_join(arena, tops[i], "lua"));
        strs_push(&read, os_join(arena, tops[i], "rules"));
    }
    strs_push(&read, os_dirname(arena, self));
    strs_push(&read, os_join(arena, one_up, "lib")); /* a tarball brings its libraries */
    strs_push(&read, place->top);
    struct sandbox_policy policy = {.read = read.at, .write = write};
    policy.devices = gpus && strcmp(gpus, "0") != 0;
    int rc = sandbox_prepare(&policy, out, e);
    strs_release(&read);
    return rc;
}

static void closed_environment(const struct job *job)
{
    static const char *const gone[] = {"GIT_DIR",        "GIT_WORK_TREE",
                                       "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                                       "GIT_COMMON_DIR", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                                       "MAKEFLAGS",      "SSH_AUTH_SOCK",
                                       "XDG_CONFIG_HOME"};
    struct arena scratch = {0};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        unsetenv(gone[i]);
    setenv("HOME", arena_printf(&scratch, "%s/home", job->place->top), 1);
    setenv("TMPDIR", arena_printf(&scratch, "%s/home", job->place->top), 1);
    setenv("GIT_CEILING_DIRECTORIES", job->place->top, 1);
    arena_release(&scratch);
    umask(022);
}

static int refuse_node(const struct graph *g, uint32_t node, const char *what, struct err *e)
{
    err_set(e, ERR_trace_unsafe_node, "%s %s", node_name(g, node), what);
    err_at(e, node_place(g, node));
    return err_hint(
        e,
        "`--keep DIR` keeps the sources to read; `--trust` builds them as if they were your own");
}

/* Drivers add nodes while the run is on, so this looks before and after: whatever came in between
 * was within the outer sandbox. */
static int check_nodes(struct session *s, const struct ids *roots, struct err *e)
{
    const struct graph *g = s->graph;
    bool *mark = xcalloc(g->node_count + 1, sizeof *mark);
    int rc = 0;
    graph_reach(g, roots->at, roots->len, mark);
    for (uint32_t i = 0; rc == 0 && i < g->node_count; i++) {
        uint32_t flags = g->nodes[i].flags;
        if (!mark[i] && !(flags & NODE_ASKED))
            continue;
        if (flags & NODE_UNSANDBOXED)
            rc = refuse_node(g, i, "wants to run without the sandbox", e);
        else if (flags & NODE_NETWORK)
            rc = refuse_node(g, i, "wants to reach a network", e);
        else if (flags & NODE_CONSOLE)
            rc = refuse_node(g, i, "wants the terminal for itself", e);
    }
    free(mark);
    return rc;
}

static int build_here(const struct job *job, struct session *s, struct build_report *report,
                      struct err *e)
{
    struct build_options o = {
        .jobs = job->o->jobs, .keep_going = true, .sandbox = job->o->sandbox, .trace = true};
    struct strs names = {0};
    o.trace_to = arena_printf(s->arena, "%s/trace.git", job->place->top);
    o.engine_version = job->o->engine_version;
    o.event = job->o->event;
    o.event_ctx = job->o->event_ctx;
    strs_push(&names, job->recorded->target);
    int rc = build_plan(s, &o, &names, report, e);
    if (rc == 0 && !job->o->trust)
        rc = check_nodes(s, &report->roots, e);
    if (rc == 0)
        rc = build_run(s, &o, report, e);
    if (rc == 0 && !job->o->trust)
        rc = check_nodes(s, &report->roots, e);
    if (rc == 0 && report->trace_count && report->traces[0].error.set)
        rc = err_move(e, &report->traces[0].error);
    strs_release(&names);
    return rc;
}

static int build_in_child(const struct job *job, bool *interrupted, struct err *e)
{
    struct arena arena = {0};
    struct session s = {.lock_fd = -1};
    struct build_report report = {0};
    struct strs params = {0};
    for (size_t i = 0; i < job->params->len; i++)
        strs_push(&params, trace_value(&arena, str_of(job->params->at[i]), job->place->project));
    struct session_options so = {.dir = job->place->project,
                                 .file = job->o->spakfile,
                                 .params = params.at,
                                 .verb = "reproduce",
                                 .lock = true};
    int rc = session_open(&s, &so, &arena, e);
    if (rc == 0)
        rc = session_load(&s, e);
    if (rc == 0)
        rc = build_here(job, &s, &report, e);
    *interrupted = report.result.interrupted;
    build_release(&report);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}

static void report_error(int fd, const struct err *e)
{
    struct buf text = {0};
    struct err ignored = {0};
    const char *fields[] = {e->message, e->hint ? e->hint : "", e->place.file ? e->place.file : ""};
    buf_addf(&text, "%d %d %d", (int)e->code, e->place.line, e->place.column);
    buf_addch(&text, 0);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        buf_add(&text, fields[i], strlen(fields[i]) + 1);
    if (os_write_fd(fd, text.ptr, text.len, "the report", &ignored))
        err_release(&ignored);
    buf_release(&text);
}

_Noreturn static void child(const struct job *job)
{
    struct err e = {0};
    bool interrupted = false;
    signal(SIGINT, SIG_DFL);
    closed_environment(job);
    int error = job->sandbox ? sandbox_apply(job->sandbox) : 0;
    errno = error;
    if (error)
        err_errno(&e, ERR_trace_no_sandbox, "the sandbox cannot be entered");
    else
        build_in_child(job, &interrupted, &e);
    if (e.set)
        report_error(job->report_fd, &e);
    fflush(NULL);
    _exit(interrupted ? ERR_INTERRUPT : e.set ? ERR_NODE : 0);
}

static int take_error(const struct job *job, const struct buf *text,
                      struct repro_obstacle *obstacle, struct arena *arena, struct err *e)
{
    const char *fields[4] = {"", "", "", ""}, *p = buf_text(text), *end = p + text->len;
    int code = 0, line = 0, column = 0;
    for (size_t i = 0; i < ARRAY_LEN(fields) && p < end; i++, p += strlen(p) + 1)
        fields[i] = p;
    if (sscanf(fields[0], "%d %d %d", &code, &line, &column) != 3 || code < 0 ||
        code >= ERR_CODE_COUNT)
        return err_set(e, ERR_os, "the build of the trace ended without a word");
    if (code == ERR_tool_not_found) {
        *obstacle =
            (struct repro_obstacle){true, arena_strdup(arena, repro_printable(arena, fields[1]))};
        return 0;
    }
    err_set(e, (enum err_code)code, "%s", repro_printable(arena, fields[1]));
    if (*fields[3]) {
        const char *file = os_join(arena, job->place->project, fields[3]);
        err_at(e, (struct place){file, line, column});
    }
    if (*fields[2])
        err_hint(e, "%s", repro_printable(arena, fields[2]));
    return -1;
}

static int collect(const struct job *job, pid_t pid, int fd, struct repro_obstacle *obstacle,
                   struct arena *arena, struct err *e)
{
    struct buf text = {0};
    size_t got = 1;
    int status = 0, rc = 0;
    while (rc == 0 && got) {
        rc = os_read_fd(fd, buf_reserve(&text, 4096), 4096, &got, "the report", e);
        text.len += rc ? 0 : got;
        text.ptr[text.len] = '\0';
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == ERR_INTERRUPT)
        *obstacle = (struct repro_obstacle){true, "interrupted"};
    else if (rc == 0 && (text.len || !WIFEXITED(status) || WEXITSTATUS(status)))
        rc = take_error(job, &text, obstacle, arena, e);
    buf_release(&text);
    return rc;
}

static int start(struct job *job, struct repro_obstacle *obstacle, struct arena *arena,
                 struct err *e)
{
    int ends[2];
    if (pipe(ends))
        return err_errno(e, ERR_os, "cannot make a pipe");
    fflush(NULL);
    job->report_fd = ends[1];
    void (*before)(int) =
        signal(SIGINT, SIG_IGN); /* Ctrl-C is the build's to end; then the folder is removed */
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(job);
    }
    close(ends[1]);
    int rc = pid < 0 ? err_errno(e, ERR_os, "cannot fork")
                     : collect(job, pid, ends[0], obstacle, arena, e);
    signal(SIGINT, before);
    close(ends[0]);
    return rc;
}

int repro_build(const struct repro_place *place, const struct trace_entry *recorded,
                const struct strs *params, const struct repro_options *o, struct arena *arena,
                struct repro_obstacle *obstacle, struct err *e)
{
    struct job job = {.place = place, .recorded = recorded, .params = params, .o = o};
    *obstacle = (struct repro_obstacle){0};
    if (o->sandbox && sandbox_supported(NULL) == SANDBOX_NONE) {
        err_set(e, ERR_trace_no_sandbox,
                "this kernel has no sandbox to run a stranger's commands in");
        return err_hint(
            e, "use a kernel with Landlock, or `--no-sandbox` where there is nothing to lose");
    }
    if (o->sandbox && !o->trust && make_sandbox(place, arena, &job.sandbox, e))
        return -1;
    int rc = start(&job, obstacle, arena, e);
    sandbox_free(job.sandbox);
    return rc;
}
