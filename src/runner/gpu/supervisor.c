#define _GNU_SOURCE
#include "supervisor.h"
#include "cuda.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* What a worker may take for its own work, libraries' searches included. */
#define WORK_LIMIT_S 300.0

struct supervisor {
    const char *job, *spec_path, *self;
    struct gpu_study study;
    struct arena arena;
    struct study_lot lot;
    size_t from, units; /* kernels of a check, shapes of a bench, one of an admission */
    json_t *results;    /* of a check by kernel name, of a bench in order */
    json_t *lost;       /* kernels that took a worker with them */
    json_t *device;
    unsigned restarts;
    /* The worker at hand. */
    pid_t pid;
    int pidfd, from_fd;
    struct buf line;
    bool running; /* a kernel is */
    size_t kernel, shape;
    char fill[16];
    double limit_s;
    char *word; /* the device's own for a crash */
};

static bool checks(const struct supervisor *s)
{
    return strcmp(s->job, "check") == 0;
}

static bool admits(const struct supervisor *s)
{
    return strcmp(s->job, "admit") == 0;
}

static int start_worker(struct supervisor *s, struct err *e)
{
    int ends[2];
    struct buf state = {0};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, ERR_os, "making a pipe");
    json_t *j = json_pack("{s:I, s:i, s:i, s:O}", "seed", (json_int_t)s->lot.seed, "restarts",
                          (int)s->restarts, "from", (int)s->from, "lost", s->lost);
    json_compact(j, &state);
    json_decref(j);
    const char *argv[] = {s->self,      "--worker",       s->job,
                          s->spec_path, buf_text(&state), arena_printf(&s->arena, "%d", ends[1]),
                          NULL};
    struct os_spawn how = {.argv = argv,
                           .env = (const char *const *)environ,
                           .stdin_fd = -1,
                           .stdout_fd = 2,
                           .stderr_fd = 2,
                           .keep_fds = &ends[1],
                           .keep_count = 1};
    int rc = os_spawn(&how, &s->pid, &s->pidfd, e);
    close(ends[1]);
    buf_release(&state);
    s->from_fd = ends[0];
    s->running = false;
    s->limit_s = WORK_LIMIT_S;
    s->word = NULL;
    buf_reset(&s->line);
    return rc;
}

static void end_worker(struct supervisor *s)
{
    struct os_exit how;
    struct err ignored = {0};
    if (s->pid > 0) {
        os_kill_group(s->pid, SIGKILL);
        os_wait(s->pid, &how, &ignored);
        close(s->pidfd);
    }
    if (s->from_fd >= 0)
        close(s->from_fd);
    err_release(&ignored);
    s->pid = 0;
    s->from_fd = -1;
}

/* The next line of the worker: 1; its end: 0; silence: -1. */
static int next_line(struct supervisor *s, char **out)
{
    for (;;) {
        char *end = s->line.len ? memchr(s->line.ptr, '\n', s->line.len) : NULL;
        if (end) {
            size_t len = (size_t)(end - s->line.ptr), rest = s->line.len - len - 1;
            *out = arena_strndup(&s->arena, s->line.ptr, len);
            memmove(s->line.ptr, end + 1, rest);
            s->line.len = rest;
            return 1;
        }
        struct pollfd p = {.fd = s->from_fd, .events = POLLIN};
        int n = poll(&p, 1, (int)(s->limit_s * 1000));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return -1;
        char *room = buf_reserve(&s->line, 65536);
        ssize_t got = read(s->from_fd, room, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        s->line.len += (size_t)got;
    }
}

static void record(struct supervisor *s, size_t unit, json_t *result)
{
    if (checks(s))
        json_object_set(s->results, s->study.study.kernels[unit].name, result);
    else
        json_array_append(s->results, result);
    s->from = unit + 1;
}

/* The code of an error that the worker names. */
static enum err_code code_of(const char *id)
{
    for (int code = 0; code < ERR_CODE_COUNT; code++)
        if (strcmp(err_info((enum err_code)code)->id, id) == 0)
            return (enum err_code)code;
    return ERR_runner_worker;
}

/* Takes in one message. */
static int hear(struct supervisor *s, const json_t *message, struct err *e)
{
    json_t *v;
    if (json_object_get(message, "launch")) {
        s->running = true;
        s->kernel = (size_t)json_int(message, "launch", 0);
        s->shape = (size_t)json_int(message, "shape", 0);
        s->limit_s = json_num(message, "limit_s", 60);
        snprintf(s->fill, sizeof s->fill, "%s", json_text(message, "fill", "normal"));
    } else if (json_object_get(message, "returned")) {
        s->running = false;
        s->limit_s = WORK_LIMIT_S;
    } else if ((v = json_object_get(message, "crashed"))) {
        s->word = arena_strdup(&s->arena, json_string_value(v));
    } else if ((v = json_object_get(message, "device"))) {
        json_decref(s->device);
        s->device = json_incref(v);
    } else if (json_object_get(message, "done")) {
        record(s, (size_t)json_int(message, "done", 0), json_object_get(message, "result"));
    } else if (json_object_get(message, "error") && !s->running && !s->word) {
        const char *hint = json_text(message, "hint", "");
        err_set(e, code_of(json_text(message, "error", "")), "%s",
                json_text(message, "message", ""));
        return hint[0] ? err_hint(e, "%s", hint) : -1;
    }
    return 0;
}

/* Writes down that the running kernel took its worker with it. */
static void lose(struct supervisor *s, enum study_status status)
{
    const struct study *study = &s->study.study;
    const char *name = study->kernels[s->kernel].name;
    struct buf objects = {0};
    struct err ignored = {0};
    fprintf(stderr, "%s: %s on shape %s%s%s\n", name, study_status_name(status),
            study->shapes[s->shape].name, s->word ? ": " : "", s->word ? s->word : "");
    s->restarts++;
    if (!checks(s)) {
        json_object_set_new(s->lost, name, json_string(study_status_name(status)));
        return;
    }
    json_t *fault = json_pack("{s:s, s:s, s:s}", "shape", study->shapes[s->shape].name, "fill",
                              s->fill, "status", study_status_name(status));
    if (s->word)
        json_object_set_new(fault, "detail", json_string(s->word));
    json_t *faults = json_array(), *result;
    json_array_append_new(faults, fault);
    study_objects(&study->kernels[s->kernel], &objects, &ignored);
    result = study_kernel_json(study, buf_text(&objects), faults);
    record(s, s->kernel, result);
    json_decref(result);
    buf_release(&objects);
    err_release(&ignored);
}

/* One worker from start to end. */
static int run_worker(struct supervisor *s, struct err *e)
{
    if (start_worker(s, e) < 0)
        return -1;
    int said, rc = 0;
    char *text;
    while (rc == 0 && (said = next_line(s, &text)) == 1) {
        json_t *message = json_parse(text, strlen(text), "the worker", e);
        rc = message ? hear(s, message, e) : -1;
        json_decref(message);
    }
    if (rc == 0 && (s->running || s->word))
        lose(s, said < 0 ? STUDY_HUNG : STUDY_CRASHED);
    else if (rc == 0 && s->from < s->units)
        rc = err_set(e, ERR_runner_worker, "the worker %s while no kernel was running",
                     said < 0 ? "fell silent" : "ended");
    end_worker(s);
    return rc;
}

static bool all_passed(const struct supervisor *s)
{
    const char *name;
    json_t *entry;
    json_object_foreach(s->results, name, entry)
    {
        if (strcmp(json_text(entry, "status", ""), "PASS") != 0)
            return false;
    }
    return true;
}

static json_t *bench_json(const struct supervisor *s)
{
    double peak = json_num(s->device, "peak_gflops", 0);
    return json_pack("{s:s, s:o, s:s?, s:i, s:f, s:f, s:O, s:O}", "op", s->study.study.op, "draw",
                     study_lot_json(&s->lot), "control", s->study.study.control, "threads", 1,
                     "peak_gflops_1", peak, "peak_gflops_n", peak, "device", s->device, "shapes",
                     s->results);
}

static json_t *result_json(const struct supervisor *s, bool *passed)
{
    json_t *only = json_array_get(s->results, 0);
    *passed = true;
    if (admits(s)) {
        *passed = strcmp(json_text(only, "status", ""), "admitted") == 0;
        return json_incref(only);
    }
    if (!checks(s))
        return bench_json(s);
    *passed = all_passed(s);
    return study_check_json(&s->study.study, *passed, json_incref(s->results));
}

static size_t units_of(const struct supervisor *s)
{
    if (admits(s))
        return 1;
    return checks(s) ? s->study.study.kernel_count : s->study.study.shape_count;
}

static int supervise(struct supervisor *s, json_t **result, bool *passed, struct err *e)
{
    struct cuda cuda;
    s->self = os_self(&s->arena, e);
    if (!s->self || gpu_study_open(s->spec_path, &s->arena, &s->study, e) < 0 ||
        cuda_load(&cuda, e) < 0)
        return -1;
    /* Only what is timed is drawn by lot; the rest follows from the candidate. */
    if (!admits(s) && !checks(s) && study_lot_draw(&s->study.study, &s->lot, e) < 0)
        return -1;
    s->units = units_of(s);
    s->results = checks(s) ? json_object() : json_array();
    s->lost = json_object();
    while (s->from < s->units)
        if (run_worker(s, e) < 0)
            return -1;
    *result = result_json(s, passed);
    return 0;
}

int supervisor_run(const char *job, const char *spec_path, json_t **result, bool *passed,
                   struct err *e)
{
    struct supervisor s = {.job = job, .spec_path = spec_path, .from_fd = -1, .pidfd = -1};
    int rc = supervise(&s, result, passed, e);
    json_decref(s.results);
    json_decref(s.lost);
    json_decref(s.device);
    buf_release(&s.line);
    buf_release(&s.lot.commitment);
    gpu_study_close(&s.study);
    arena_release(&s.arena);
    return rc;
}
