/* spak-cpu admit|check|bench SPEC.json --out RESULT.json */
#include "cpu.h"
#include "diag.h"

#include <stdio.h>
#include <string.h>

static int run(const char *job, const char *spec_path, const char *out_path, bool *passed,
               struct err *e)
{
    struct arena arena = {0};
    struct buf text = {0};
    struct study spec;
    json_t *result = NULL;
    int rc = -1;
    char *self = os_self(&arena, e);
    *passed = true;
    if (!self || study_open(spec_path, &arena, &spec, NULL, e) < 0)
        goto out;
    if (strcmp(job, "admit") == 0)
        rc = cpu_admit(&spec, self, &result, passed, e);
    else if (strcmp(job, "check") == 0)
        rc = cpu_check(&spec, self, &result, passed, e);
    else
        rc = cpu_bench(&spec, self, &result, e);
    if (rc < 0)
        goto out;
    json_pretty(result, &text);
    rc = os_write_in_place(out_path, text.ptr, text.len, e);
out:
    json_decref(result);
    buf_release(&text);
    arena_release(&arena);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return cpu_child_main(argc, argv);
    if (argc != 5 || strcmp(argv[3], "--out") != 0 ||
        (strcmp(argv[1], "admit") != 0 && strcmp(argv[1], "check") != 0 &&
         strcmp(argv[1], "bench") != 0)) {
        fputs("usage: spak-cpu admit|check|bench SPEC.json --out RESULT.json\n", stderr);
        return ERR_USAGE;
    }
    struct err e = {0};
    bool passed;
    if (run(argv[1], argv[2], argv[4], &passed, &e) < 0) {
        diag_print(&e, diag_form_for(stderr));
        int class = (int)err_class(&e);
        err_release(&e);
        return class;
    }
    if (passed)
        return 0;
    return strcmp(argv[1], "admit") == 0 ? ERR_PROTOCOL : ERR_NODE;
}
