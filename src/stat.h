/* stat: what samples say: medians, log ratios, intervals, verdicts.
 *
 * Pure functions of numbers and a seed: the same arguments give the same result. Knows neither
 * files nor errors nor what was measured. A sample that is not finite (or not positive, where
 * logarithms are taken) makes the result NaN, and NaN decides nothing. */
#ifndef SPAK_STAT_H
#define SPAK_STAT_H

#include "base.h"

/* The middle of the sorted samples, the mean of the two middle ones when n is even. n is at least
 * 1, here and below. */
double stat_median(const double *samples, size_t n);
/* The quantile q in [0, 1], by linear interpolation between order statistics (the default of R and
 * NumPy). */
double stat_quantile(const double *samples, size_t n, double q);
/* exp of the mean logarithm. */
double stat_geomean(const double *samples, size_t n);

struct stat_interval {
    double median;
    double lo; /* 95 % interval of the median */
    double hi;
};
/* The interval of the median by a circular block bootstrap: the samples, in the order in which they
 * were taken, are resampled in runs of about the cube root of n, so that a drift of the machine
 * widens the interval as it should. One sample: from -inf to inf. */
struct stat_interval stat_median_interval(const double *samples, size_t n, uint64_t seed);
/* The same for paired samples: exp of the median of log(a[i] / b[i]). With times, above 1 means
 * that b is the faster. */
struct stat_interval stat_ratio(const double *a, const double *b, size_t n, uint64_t seed);

/* The same for samples of two runs, which nothing pairs: the median of a over the median of b, its
 * interval from resampling each side in runs. NaN when a sample is not positive. */
struct stat_interval stat_ratio_unpaired(const double *a, size_t na, const double *b, size_t nb,
                                         uint64_t seed);
/* The two-sided p value of Mann and Whitney: how often samples of one source would lie as far apart
 * as these do. Exact up to 40 samples without ties, else by the normal approximation, corrected for
 * ties and continuity. */
double stat_mann_whitney(const double *a, size_t na, const double *b, size_t nb);
/* Holm's correction of n p values, in place: what is still below 0.05 is so with all n tests taken
 * together. NaN stays and is not counted. */
void stat_holm(double *p, size_t n);

enum stat_verdict { STAT_FASTER, STAT_SLOWER, STAT_SAME, STAT_UNDECIDED };
/* Judges the interval of a speed-up. A margin of 0.01 means that what lies between 1/1.01 and 1.01
 * is not worth a word: SAME when the whole interval lies in there, FASTER or SLOWER when the whole
 * interval lies beyond, UNDECIDED when it lies across an edge. */
enum stat_verdict stat_verdict(double lo, double hi, double margin);
const char *stat_verdict_name(enum stat_verdict verdict);
/* The smallest relative effect that an interval of this width could have told from none: 0.02 for 2
 * %. */
double stat_smallest_effect(double lo, double hi);

#endif
