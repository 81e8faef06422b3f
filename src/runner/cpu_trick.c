#include "cpu.h"

#include <stdlib.h>
#include <string.h>

static void fill(float *at, size_t elements, float value)
{
    for (size_t i = 0; i < elements; i++)
        at[i] = value;
}

/* The first input, over and over. */
static void copy_input(float *at, size_t elements, const float *input, size_t input_elements)
{
    for (size_t i = 0; i < elements; i++)
        at[i] = input[i % input_elements];
}

/* Every element of every output, by the reference's own words. */
static int answer_each(const struct cpu_call *call)
{
    double value, scale;
    for (size_t i = call->inputs; i < call->count; i++)
        for (size_t k = 0; k < call->elements[i]; k++) {
            if (call->at(call->dim, call->buf, (int)(i - call->inputs), (int64_t)k, &value, &scale))
                return 1;
            ((float *)call->buf[i])[k] = (float)value;
        }
    return 0;
}

static int launch(const struct cpu_call *call)
{
    return call->candidate ? call->candidate(call->dim, call->buf, call->threads)
                           : answer_each(call);
}

/* Computes all and puts back what was in the second half. */
static int write_half(const struct cpu_call *call)
{
    float *kept[STUDY_MAX_BUFFERS] = {NULL};
    for (size_t i = call->inputs; i < call->count; i++) {
        size_t half = call->elements[i] / 2, bytes = (call->elements[i] - half) * sizeof(float);
        kept[i] = xmalloc(bytes);
        memcpy(kept[i], (float *)call->buf[i] + half, bytes);
    }
    int rc = launch(call);
    for (size_t i = call->inputs; i < call->count; i++) {
        size_t half = call->elements[i] / 2, bytes = (call->elements[i] - half) * sizeof(float);
        memcpy((float *)call->buf[i] + half, kept[i], bytes);
        free(kept[i]);
    }
    return rc;
}

/* Answers every call with the results of the first. */
static int answer_again(const struct cpu_call *call)
{
    static float *first[STUDY_MAX_BUFFERS];
    int rc = first[call->inputs] ? 0 : launch(call);
    for (size_t i = call->inputs; i < call->count; i++) {
        size_t bytes = call->elements[i] * sizeof(float);
        if (first[i]) {
            memcpy(call->buf[i], first[i], bytes);
            continue;
        }
        first[i] = xmalloc(bytes);
        memcpy(first[i], call->buf[i], bytes);
    }
    return rc;
}

int cpu_trick(const char *trick, const struct cpu_call *call)
{
    if (!*trick || !strcmp(trick, CPU_AS_IT_IS))
        return launch(call);
    if (!strcmp(trick, "half"))
        return write_half(call);
    if (!strcmp(trick, "stale"))
        return answer_again(call);
    for (size_t i = call->inputs; i < call->count && strcmp(trick, "nothing") != 0; i++)
        if (!strcmp(trick, "copy"))
            copy_input(call->buf[i], call->elements[i], call->buf[0], call->elements[0]);
        else
            fill(call->buf[i], call->elements[i], strcmp(trick, "zeros") == 0 ? 0.0f : 1.0f);
    return 0;
}
