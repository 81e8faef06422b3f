#include "stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES 2000
#define EXACT_MAX 40

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool all_finite(const double *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(samples[i]))
            return false;
    }
    return true;
}

static void must_have_samples(size_t n)
{
    if (n == 0)
        BUG("statistics of no samples");
}

static double quantile_of_sorted(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    double part = at - (double)below;

    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

double stat_quantile(const double *samples, size_t n, double q)
{
    double *sorted;
    double out;

    must_have_samples(n);
    if (!all_finite(samples, n) || !(q >= 0 && q <= 1))
        return NAN;
    sorted = xmalloc(n * sizeof(*sorted));
    memcpy(sorted, samples, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_numbers);
    out = quantile_of_sorted(sorted, n, q);
    free(sorted);
    return out;
}

double stat_median(const double *samples, size_t n)
{
    return stat_quantile(samples, n, 0.5);
}

double stat_geomean(const double *samples, size_t n)
{
    double sum = 0;

    must_have_samples(n);
    for (size_t i = 0; i < n; i++) {
        if (!(samples[i] > 0) || !isfinite(samples[i]))
            return NAN;
        sum += log(samples[i]);
    }
    return exp(sum / (double)n);
}

/* The median of a resample needs no sorting: each sample is known by its rank, a resample is a
 * count for each rank, and the middle is where the counts add up to half. */
struct resampler {
    size_t n;
    size_t block;
    double *sorted;
    uint32_t *rank;  /* of the i-th sample */
    uint32_t *count; /* of each rank in the current resample */
    struct rng rng;
};

struct ranked {
    double value;
    uint32_t index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;

    if (x->value != y->value)
        return (x->value > y->value) - (x->value < y->value);
    return (x->index > y->index) - (x->index < y->index);
}

static void resampler_open(struct resampler *r, const double *samples, size_t n, uint64_t seed)
{
    struct ranked *order = xmalloc(n * sizeof(*order));

    *r = (struct resampler){.n = n, .rng = {seed}};
    r->block = (size_t)(cbrt((double)n) + 0.5);
    r->sorted = xmalloc(n * sizeof(*r->sorted));
    r->rank = xmalloc(n * sizeof(*r->rank));
    r->count = xmalloc(n * sizeof(*r->count));
    for (size_t i = 0; i < n; i++)
        order[i] = (struct ranked){samples[i], (uint32_t)i};
    qsort(order, n, sizeof(*order), compare_ranked);
    for (size_t i = 0; i < n; i++) {
        r->sorted[i] = order[i].value;
        r->rank[order[i].index] = (uint32_t)i;
    }
    free(order);
}

static void resampler_close(struct resampler *r)
{
    free(r->sorted);
    free(r->rank);
    free(r->count);
}

/* The value at position `at` (from 0) of the sorted resample. */
static double order_statistic(const struct resampler *r, size_t at)
{
    size_t passed = 0;

    for (size_t rank = 0; rank < r->n; rank++) {
        passed += r->count[rank];
        if (passed > at)
            return r->sorted[rank];
    }
    return r->sorted[r->n - 1];
}

static double median_of_resample(struct resampler *r)
{
    double upper;

    memset(r->count, 0, r->n * sizeof(*r->count));
    for (size_t taken = 0; taken < r->n;) {
        size_t start = rng_below(&r->rng, r->n);

        for (size_t i = 0; i < r->block && taken < r->n; i++, taken++)
            r->count[r->rank[(start + i) % r->n]]++;
    }
    upper = order_statistic(r, r->n / 2);
    return r->n % 2 ? upper : (order_statistic(r, r->n / 2 - 1) + upper) / 2;
}

struct stat_interval stat_median_interval(const double *samples, size_t n, uint64_t seed)
{
    struct stat_interval out = {NAN, NAN, NAN};
    struct resampler resampler;
    double *medians;

    must_have_samples(n);
    if (!all_finite(samples, n))
        return out;
    if (n == 1)
        return (struct stat_interval){samples[0], -INFINITY, INFINITY};
    medians = xmalloc(RESAMPLES * sizeof(*medians));
    resampler_open(&resampler, samples, n, seed);
    for (size_t i = 0; i < RESAMPLES; i++)
        medians[i] = median_of_resample(&resampler);
    qsort(medians, RESAMPLES, sizeof(*medians), compare_numbers);
    out.median = quantile_of_sorted(resampler.sorted, n, 0.5);
    out.lo = quantile_of_sorted(medians, RESAMPLES, 0.025);
    out.hi = quantile_of_sorted(medians, RESAMPLES, 0.975);
    resampler_close(&resampler);
    free(medians);
    return out;
}

struct stat_interval stat_ratio(const double *a, const double *b, size_t n, uint64_t seed)
{
    struct stat_interval out;
    double *logs;

    must_have_samples(n);
    logs = xmalloc(n * sizeof(*logs));
    for (size_t i = 0; i < n; i++)
        logs[i] = a[i] > 0 && b[i] > 0 ? log(a[i]) - log(b[i]) : NAN;
    out = stat_median_interval(logs, n, seed);
    free(logs);
    return (struct stat_interval){exp(out.median), exp(out.lo), exp(out.hi)};
}

static bool all_positive(const double *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(samples[i] > 0) || !isfinite(samples[i]))
            return false;
    return true;
}

struct stat_interval stat_ratio_unpaired(const double *a, size_t na, const double *b, size_t nb,
                                         uint64_t seed)
{
    struct stat_interval out = {NAN, NAN, NAN};
    struct resampler ra, rb;
    double *ratios;

    must_have_samples(na);
    must_have_samples(nb);
    if (!all_positive(a, na) || !all_positive(b, nb))
        return out;
    resampler_open(&ra, a, na, seed);
    resampler_open(&rb, b, nb, seed + 1);
    ratios = xmalloc(RESAMPLES * sizeof(*ratios));
    for (size_t i = 0; i < RESAMPLES; i++)
        ratios[i] = median_of_resample(&ra) / median_of_resample(&rb);
    qsort(ratios, RESAMPLES, sizeof(*ratios), compare_numbers);
    out.median = quantile_of_sorted(ra.sorted, na, 0.5) / quantile_of_sorted(rb.sorted, nb, 0.5);
    out.lo = na > 1 && nb > 1 ? quantile_of_sorted(ratios, RESAMPLES, 0.025) : 0;
    out.hi = na > 1 && nb > 1 ? quantile_of_sorted(ratios, RESAMPLES, 0.975) : INFINITY;
    resampler_close(&ra);
    resampler_close(&rb);
    free(ratios);
    return out;
}

/* In how many of all arrangements of na and nb samples U is at most `u`, as a share of them. The
 * counts are the coefficients of the Gaussian binomial: the product of (1 - q^(nb+i)) / (1 - q^i).
 */
static double exact_tail(size_t na, size_t nb, size_t u)
{
    size_t terms = na * nb + 1;
    double *ways = xcalloc(terms, sizeof(*ways));
    double all = 0, tail = 0;

    ways[0] = 1;
    for (size_t i = 1; i <= na; i++) {
        for (size_t k = terms; k-- > nb + i;)
            ways[k] -= ways[k - nb - i];
        for (size_t k = i; k < terms; k++)
            ways[k] += ways[k - i];
    }
    for (size_t k = 0; k < terms; k++) {
        all += ways[k];
        tail += k <= u ? ways[k] : 0;
    }
    free(ways);
    return tail / all;
}

static double normal_tails(double na, double nb, double u, double ties)
{
    double n = na + nb;
    double variance = na * nb / 12 * (n + 1 - ties / (n * (n - 1)));
    double distance = fabs(u - na * nb / 2) - 0.5;

    if (!(variance > 0) || distance <= 0)
        return 1;
    return erfc(distance / sqrt(2 * variance));
}

/* The samples of both sides in one order; `index` is below na for those of a. Gives the sum of a's
 * ranks, equal samples sharing theirs, and the sum of t^3 - t over the ties. */
static double rank_sum(const struct ranked *order, size_t n, size_t na, double *ties)
{
    double sum = 0;

    *ties = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && order[end].value == order[i].value)
            end++;
        double t = (double)(end - i), rank = (double)(i + end + 1) / 2;
        *ties += t * t * t - t;
        for (; i < end; i++)
            sum += order[i].index < na ? rank : 0;
    }
    return sum;
}

double stat_mann_whitney(const double *a, size_t na, const double *b, size_t nb)
{
    size_t n = na + nb;
    struct ranked *order;
    double ties, u, lower, p;

    must_have_samples(na);
    must_have_samples(nb);
    if (!all_finite(a, na) || !all_finite(b, nb))
        return NAN;
    order = xmalloc(n * sizeof(*order));
    for (size_t i = 0; i < n; i++)
        order[i] = (struct ranked){i < na ? a[i] : b[i - na], (uint32_t)i};
    qsort(order, n, sizeof(*order), compare_ranked);
    u = rank_sum(order, n, na, &ties) - (double)na * (double)(na + 1) / 2;
    free(order);
    if (n > EXACT_MAX || ties > 0)
        return normal_tails((double)na, (double)nb, u, ties);
    lower = fmin(u, (double)na * (double)nb - u);
    p = 2 * exact_tail(na, nb, (size_t)lower);
    return p < 1 ? p : 1;
}

void stat_holm(double *p, size_t n)
{
    struct ranked *order = xmalloc((n + 1) * sizeof(*order));
    size_t count = 0;
    double least = 0;

    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i]))
            order[count++] = (struct ranked){p[i], (uint32_t)i};
    qsort(order, count, sizeof(*order), compare_ranked);
    for (size_t i = 0; i < count; i++) {
        double corrected = fmin(1, order[i].value * (double)(count - i));
        least = fmax(least, corrected);
        p[order[i].index] = least;
    }
    free(order);
}

enum stat_verdict stat_verdict(double lo, double hi, double margin)
{
    double upper = 1 + margin;
    double lower = 1 / upper;

    /* Written so that a NaN fails every test. */
    if (!(lo <= hi))
        return STAT_UNDECIDED;
    if (lo > upper)
        return STAT_FASTER;
    if (hi < lower)
        return STAT_SLOWER;
    return lo >= lower && hi <= upper ? STAT_SAME : STAT_UNDECIDED;
}

const char *stat_verdict_name(enum stat_verdict verdict)
{
    static const char *const names[] = {"FASTER", "SLOWER", "SAME", "UNDECIDED"};

    return names[verdict];
}

double stat_smallest_effect(double lo, double hi)
{
    return exp((log(hi) - log(lo)) / 2) - 1;
}
