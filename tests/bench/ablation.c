/* The candidates of the ablation: o[r] = sum over j of softmax(x[r])[j] v[j]. FORM is the design,
 * TILE its freedom, FAULT what its author got wrong; without FORM this is the reference. */
#include <math.h>
#include <stdint.h>

int candidate(const int64_t *dim, void *const *buf, int threads);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale);

/* Faults of the design, as the law's mutants are called, and two of the code alone. */
#define NONE 0
#define l_not_rescaled 1
#define o_not_rescaled 2
#define rescale_inverted 3
#define local_max_only 4
#define tail_dropped 5
#define wrong_column 6
#define half_written 7

#ifdef FORM
struct state {
    float m, l, o;
};

static float larger(float a, float b)
{
    return a > b ? a : b;
}

/* Folds columns [from, to) of a row into the state of those before. */
static struct state fold(struct state s, const float *x, const float *v, int64_t from, int64_t to)
{
    float m = FAULT == local_max_only ? -INFINITY : s.m;
    for (int64_t j = from; j < to; j++)
        m = larger(m, x[j]);
    float scale = isinf(s.m) ? 0 : expf(FAULT == rescale_inverted ? m - s.m : s.m - m);
    float l = FAULT == l_not_rescaled ? s.l : s.l * scale;
    float o = FAULT == o_not_rescaled ? s.o : s.o * scale;
    for (int64_t j = from; j < to; j++) {
        float w = expf(x[j] - m);
        l += w;
        o += w * v[FAULT == wrong_column ? from : j];
    }
    return (struct state){m, l, o};
}

/* FORM 0 folds tiles, 1 folds two halves, 2 does so and looks for the maximum over and over. */
static float row(const float *x, const float *v, int64_t n)
{
    volatile float sought = 0;
    struct state s = {-INFINITY, 0, 0};
    int64_t tile = FORM == 0 ? TILE : (n + 1) / 2;
    if (FAULT == tail_dropped && n > 4)
        n = n / 4 * 4;
    for (int64_t j = 0; FORM == 2 && j < n; j += 16) {
        float m = x[j];
        for (int64_t k = 0; k < n; k++)
            m = larger(m, x[k]);
        sought = m;
    }
    (void)sought;
    for (int64_t from = 0; from < n; from += tile)
        s = fold(s, x, v, from, from + tile < n ? from + tile : n);
    return s.o / s.l;
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    const float *x = buf[0], *v = buf[1];
    float *o = buf[2];
    int64_t rows = FAULT == half_written ? (dim[0] + 1) / 2 : dim[0];
    (void)threads;
    for (int64_t r = 0; r < rows; r++)
        o[r] = row(x + r * dim[1], v, dim[1]);
    return 0;
}
#else
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale)
{
    const float *x = (const float *)buf[0] + index * dim[1], *v = buf[1];
    double m = -INFINITY, l = 0, o = 0, size = 0, largest = 0;
    (void)output;
    for (int64_t j = 0; j < dim[1]; j++) {
        m = x[j] > m ? x[j] : m;
        largest = fabs((double)x[j]) > largest ? fabs((double)x[j]) : largest;
    }
    for (int64_t j = 0; j < dim[1]; j++) {
        double w = exp(x[j] - m);
        l += w;
        o += w * v[j];
        size += w * fabs((double)v[j]);
    }
    *value = o / l;
    *scale = size / l * (1 + largest);
    return 0;
}
#endif
