/*
 * reference.c: attention in fp64, as the definition says it. Everything else is judged by it.
 *
 * No tiling, no on-line softmax, no approximation of exp. The one liberty taken is the order of
 * the loops: keys are copied to [d][j] in double so that the compiler can vectorise the sums
 * without being allowed to reorder them.
 */
#include <string.h>

#include "fmha.h"

#if defined(__x86_64__) && defined(__linux__)
#define REFERENCE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define REFERENCE_CLONES
#endif

/*
 * An operation that is left out on purpose: compiled so, this file is a wrong candidate, and the
 * study is worth something only if its check says so.
 */
enum without { NOTHING, SCALE, MAXIMUM, NORMALISER, MASK, GROUPS, LOGARITHM, LAST_KEY };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif

int reference64(const int64_t *dim, void *const *buf);
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale);

/* y += a x */
REFERENCE_CLONES
static void axpy(double *restrict y, double a, const double *restrict x, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        y[t] += a * x[t];
}

/* how many keys query i sees */
static int64_t keys_seen(const struct fmha *p, int64_t i)
{
    int64_t n = WITHOUT == MASK ? p->skv : fmha_visible(p, i);

    return WITHOUT == LAST_KEY && n > 0 ? n - 1 : n;
}

/* what scores are divided by */
static double score_unit(const struct fmha *p)
{
    return WITHOUT == SCALE ? 1 : sqrt((double)p->d);
}

/* the keys and values of one head as doubles: kt is [d][skv], v is [skv][d] */
static void head_load(const struct fmha *p, int64_t b, int64_t h, double *kt, double *v)
{
    for (int64_t j = 0; j < p->skv; j++) {
        int64_t at = fmha_at_kv(p, b, j, WITHOUT == GROUPS ? 0 : h);

        for (int64_t c = 0; c < p->d; c++) {
            kt[c * p->skv + j] = p->k[at + c];
            v[j * p->d + c] = p->v[at + c];
        }
    }
}

/* scores s[0..n) to probabilities; returns their log-sum-exp */
static double row_softmax(double *s, int64_t n)
{
    double max = -INFINITY, sum = 0;

    for (int64_t j = 0; j < n; j++)
        max = s[j] > max ? s[j] : max;
    max = WITHOUT == MAXIMUM ? 0 : max;
    for (int64_t j = 0; j < n; j++) {
        s[j] = exp(s[j] - max);
        sum += s[j];
    }
    for (int64_t j = 0; j < n; j++)
        s[j] /= WITHOUT == NORMALISER ? 1 : sum;
    return max + (WITHOUT == LOGARITHM ? sum : log(sum));
}

/* one row of o; returns its log-sum-exp */
static double row_attend(const struct fmha *p, const float *q, int64_t n, const double *kt,
                         const double *v, double *s, double *o)
{
    double lse;

    memset(o, 0, (size_t)p->d * sizeof *o);
    if (n == 0)
        return -INFINITY;
    memset(s, 0, (size_t)n * sizeof *s);
    for (int64_t c = 0; c < p->d; c++)
        axpy(s, q[c] / score_unit(p), kt + c * p->skv, n);
    lse = row_softmax(s, n);
    for (int64_t j = 0; j < n; j++)
        axpy(o, s[j], v + j * p->d, p->d);
    return lse;
}

int reference64(const int64_t *dim, void *const *buf)
{
    struct fmha p;
    double *o = buf[FMHA_O], *lse = buf[FMHA_LSE], *kt;

    if (fmha_shape(&p, dim, buf) < 0)
        return 1;
    kt = malloc((size_t)(2 * p.d + 1) * (size_t)p.skv * sizeof *kt);
    if (kt == NULL)
        return 1;
    for (int64_t g = 0; g < p.b * p.hq; g++) {
        int64_t b = g / p.hq, h = g % p.hq;
        double *v = kt + p.d * p.skv, *s = v + p.d * p.skv;

        head_load(&p, b, h, kt, v);
        for (int64_t i = 0; i < p.sq; i++) {
            int64_t at = fmha_at_q(&p, b, i, h);

            lse[fmha_at_lse(&p, b, h, i)] =
                row_attend(&p, p.q + at, keys_seen(&p, i), kt, v, s, o + at);
        }
    }
    free(kt);
    return 0;
}

/* the scaled score of a query and a key; size becomes at least the sum of its absolute terms */
static double pair_score(const struct fmha *p, const float *q, const float *k, double *size)
{
    double sum = 0, terms = 0;

    for (int64_t c = 0; c < p->d; c++) {
        sum += (double)q[c] * k[c];
        terms += fabs((double)q[c] * k[c]);
    }
    *size = fmax(*size, terms / sqrt((double)p->d));
    return sum / sqrt((double)p->d);
}

/* the scores of query i and the keys it sees; returns how many, size as pair_score */
static int64_t query_scores(const struct fmha *p, int64_t b, int64_t h, int64_t i, double *s,
                            double *size)
{
    int64_t n = fmha_visible(p, i);

    *size = 0;
    for (int64_t j = 0; j < n; j++)
        s[j] = pair_score(p, p->q + fmha_at_q(p, b, i, h), p->k + fmha_at_kv(p, b, j, h), size);
    return n;
}

/* lse at flat index [b][h][i] */
static void lse_at(const struct fmha *p, int64_t index, double *s, double *value, double *scale)
{
    int64_t bh = index / p->sq, n;

    n = query_scores(p, bh / p->hq, bh % p->hq, index % p->sq, s, scale);
    *value = n > 0 ? row_softmax(s, n) : -INFINITY;
    *scale = n > 0 ? fmax(1, fmax(*scale, fabs(*value))) : 0;
}

/*
 * o at flat index [b][i][h][c]. An error e in a score is an error of about e in its weight, so the
 * scale is the sum of absolute terms times one plus the size of the scores.
 */
static void o_at(const struct fmha *p, int64_t index, double *s, double *value, double *scale)
{
    int64_t c = index % p->d, row = index / p->d, h = row % p->hq, i = row / p->hq % p->sq;
    int64_t b = row / p->hq / p->sq, n;
    double size;

    n = query_scores(p, b, h, i, s, &size);
    if (n > 0)
        row_softmax(s, n);
    *value = *scale = 0;
    for (int64_t j = 0; j < n; j++) {
        double term = s[j] * p->v[fmha_at_kv(p, b, j, h) + c];

        *value += term;
        *scale += fabs(term) * (1 + size);
    }
}

int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value,
                 double *scale)
{
    struct fmha p;
    int64_t rows;
    double *s;

    if (fmha_shape(&p, dim, buf) < 0 || output < 0 || output > 1)
        return 1;
    rows = p.b * p.hq * p.sq;
    if (index < 0 || index >= (output == 0 ? rows * p.d : rows))
        return 1;
    s = malloc((size_t)p.skv * sizeof *s);
    if (s == NULL)
        return 1;
    if (output == 0)
        o_at(&p, index, s, value, scale);
    else
        lse_at(&p, index, s, value, scale);
    free(s);
    return 0;
}

int candidate(const int64_t *dim, void *const *buf, int threads)
{
    struct fmha p;
    double *wide[2];
    int64_t n_o, n_lse;
    int refused;

    (void)threads;
    if (fmha_bind(&p, dim, buf) < 0)
        return 1;
    n_lse = p.b * p.hq * p.sq;
    n_o = n_lse * p.d;
    wide[0] = malloc((size_t)(n_o + n_lse) * sizeof **wide);
    if (wide[0] == NULL)
        return 1;
    wide[1] = wide[0] + n_o;
    refused = reference64(dim, (void *[]){buf[0], buf[1], buf[2], wide[0], wide[1]});
    for (int64_t t = 0; t < n_o && !refused; t++)
        p.o[t] = (float)wide[0][t];
    for (int64_t t = 0; t < n_lse && !refused; t++)
        p.lse[t] = (float)wide[1][t];
    free(wide[0]);
    return refused;
}
