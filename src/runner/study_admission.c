#include "study.h"

#include <stdio.h>

static const char *const tricks[] = {"nothing", "zeros", "constant", "copy", "half", "stale", NULL};

const char *const *study_tricks(void)
{
    return tricks;
}

void study_admission_open(const struct study *study, struct study_admission *out)
{
    *out = (struct study_admission){
        .study = study, .tries = json_array(), .inputs = json_object(), .all = true};
}

void study_admission_try(struct study_admission *a, const char *name, bool honest, json_t *faults)
{
    bool passed = json_array_size(faults) == 0;
    if (honest)
        a->honest = passed;
    a->wrong += !honest;
    a->caught += !honest && !passed;
    json_t *first = passed ? json_null() : json_incref(json_array_get(faults, 0));
    json_array_append_new(a->tries, json_pack("{s:s, s:s, s:s, s:o}", "name", name, "expected",
                                              honest ? "PASS" : "FAIL", "got",
                                              passed ? "PASS" : "FAIL", "fault", first));
    if (passed != honest)
        fprintf(stderr, "%s %s\n", name,
                honest ? "fails: the reference does not agree with itself" : "passes the check");
    json_decref(faults);
}

int study_admission_without(struct study_admission *a, const struct study_kernel *without,
                            bool *same, struct err *e)
{
    struct digest whole, part;
    if (hash_file(a->study->reference, &whole, e) < 0 || hash_file(without->object, &part, e) < 0)
        return -1;
    *same = digest_equal(&whole, &part);
    if (!*same)
        return 0;
    a->wrong++;
    json_array_append_new(a->tries, json_pack("{s:s, s:s, s:s, s:n}", "name", without->name,
                                              "expected", "FAIL", "got", "SAME", "fault"));
    fprintf(stderr, "%s compiles to the same object: the reference does not look at WITHOUT\n",
            without->name);
    return 0;
}

void study_admission_input(struct study_admission *a, size_t input, bool matters)
{
    const char *name = a->study->buffer[input];
    if (!matters)
        fprintf(stderr, "input %s changes no output on any shape\n", name);
    a->all = a->all && matters;
    json_object_set_new(a->inputs, name, json_boolean(matters));
}

json_t *study_admission_close(struct study_admission *a, bool *passed)
{
    const char *op = a->study->op;
    *passed = a->all && a->honest && a->caught == a->wrong;
    fprintf(stderr, "%s: %s, %zu of %zu wrong candidates caught\n", op,
            *passed ? "admitted" : "refused", a->caught, a->wrong);
    json_t *result =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "name", op, "op", op, "status",
                  *passed ? "admitted" : "refused", "caught", (json_int_t)a->caught, "wrong",
                  (json_int_t)a->wrong, "tries", a->tries, "inputs", a->inputs);
    *a = (struct study_admission){0};
    return result;
}
