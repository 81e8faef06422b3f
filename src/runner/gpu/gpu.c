/* spak-gpu admit|check|bench SPEC.json --out RESULT.json */
#include "cuda.h"
#include "diag.h"
#include "os.h"
#include "supervisor.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(const char *job, const char *spec_path, const char *out_path, bool *passed,
               struct err *e)
{
    struct buf text = {0};
    json_t *result = NULL;
    int rc = supervisor_run(job, spec_path, &result, passed, e);
    if (rc == 0) {
        json_pretty(result, &text);
        rc = os_write_in_place(out_path, text.ptr, text.len, e);
    }
    json_decref(result);
    buf_release(&text);
    return rc;
}

static bool is_job(const char *word)
{
    return strcmp(word, "admit") == 0 || strcmp(word, "check") == 0 || strcmp(word, "bench") == 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "--worker") == 0 && is_job(argv[2]))
        return worker_main(argv[2], argv[3], argv[4], atoi(argv[5]));
    if (argc != 5 || strcmp(argv[3], "--out") != 0 || !is_job(argv[1])) {
        fputs("usage: spak-gpu admit|check|bench SPEC.json --out RESULT.json\n", stderr);
        return ERR_USAGE;
    }
    struct err e = {0};
    bool passed = true;
    if (run(argv[1], argv[2], argv[4], &passed, &e) < 0) {
        int status = e.code == ERR_runner_device ? GPU_EXIT_NO_DEVICE : (int)err_class(&e);
        diag_print(&e, diag_form_for(stderr));
        err_release(&e);
        return status;
    }
    if (passed)
        return 0;
    return strcmp(argv[1], "admit") == 0 ? ERR_PROTOCOL : ERR_NODE;
}
