#include "worker.h"
#include "os.h"

#include <string.h>
#include <unistd.h>

void worker_say(struct worker *w, json_t *message)
{
    struct buf text = {0};
    struct err ignored = {0};
    json_compact(message, &text);
    buf_addch(&text, '\n');
    if (os_write_fd(w->report_fd, text.ptr, text.len, "the report", &ignored) < 0)
        _exit(1); /* nobody listens */
    buf_release(&text);
    json_decref(message);
}

void worker_says_launch(struct worker *w, size_t kernel, size_t shape, enum study_fill fill)
{
    worker_say(w, json_pack("{s:i, s:i, s:s, s:f}", "launch", (int)kernel, "shape", (int)shape,
                            "fill", study_fill_name(fill), "limit_s", w->study.study.timeout_s));
}

void worker_crash(struct worker *w, CUresult result)
{
    worker_say(w, json_pack("{s:s}", "crashed", cuda_error_name(&w->cuda, result)));
    _exit(1); /* the context is of no more use, not even to be taken down in order */
}

void worker_await(struct worker *w)
{
    CUresult result = w->cuda.cuStreamSynchronize(w->cuda.stream);
    if (result != CUDA_SUCCESS)
        worker_crash(w, result);
    worker_say(w, json_pack("{s:b}", "returned", 1));
}

static json_t *device_json(const struct worker *w)
{
    const struct cuda *c = &w->cuda;
    return json_pack("{s:s, s:i, s:i, s:i, s:I, s:f, s:f}", "name", c->name, "capability",
                     c->capability, "driver", c->driver_version, "multiprocessors",
                     c->multiprocessors, "cache_bytes", (json_int_t)c->cache_bytes, "clock_mhz",
                     c->clock_hz / 1e6, "peak_gflops", cuda_peak_flops(c) / 1e9);
}

static int start(struct worker *w, const char *spec_path, const json_t *state, struct err *e)
{
    if (gpu_study_open(spec_path, &w->arena, &w->study, e) < 0 || cuda_load(&w->cuda, e) < 0 ||
        cuda_open(&w->cuda, e) < 0 || device_tools_open(&w->cuda, &w->tools, e) < 0 ||
        reference_open(&w->tools, w->study.study.reference, &w->reference, e) < 0)
        return -1;
    w->seed = (uint64_t)json_int(state, "seed", 1);
    /* Whoever took a worker with it learns nothing of what the others meet. */
    w->rng.state = w->seed + (uint64_t)json_int(state, "restarts", 0) * 7919;
    w->from = (size_t)json_int(state, "from", 0);
    w->lost = json_object_get(state, "lost");
    conditions_open(&w->conditions);
    worker_say(w, json_pack("{s:o}", "device", device_json(w)));
    return 0;
}

static int (*job_of(const char *name))(struct worker *, struct err *)
{
    if (strcmp(name, "admit") == 0)
        return worker_admit;
    return strcmp(name, "check") == 0 ? worker_check : worker_bench;
}

int worker_main(const char *job, const char *spec_path, const char *state_text, int report_fd)
{
    struct worker w = {.report_fd = report_fd};
    struct err e = {0};
    json_t *state = json_parse(state_text, strlen(state_text), "the worker's state", &e);
    int rc = state ? start(&w, spec_path, state, &e) : -1;
    if (rc == 0)
        rc = job_of(job)(&w, &e);
    if (rc < 0)
        worker_say(&w, json_pack("{s:s, s:s, s:s}", "error", err_info(e.code)->id, "message",
                                 e.message, "hint", e.hint ? e.hint : ""));
    err_release(&e);
    gpu_study_close(&w.study);
    json_decref(state);
    arena_release(&w.arena);
    return rc < 0 ? 1 : 0;
}
