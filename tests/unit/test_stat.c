#include "stat.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Expected values were computed with NumPy. */
static const double times[] = {12.5, 11.25, 13.75, 12.0, 40.5, 11.5, 12.25, 12.75, 11.75, 13.0};

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g, not %.17g", value, expected);
}

/* Normal deviates, by Box and Muller. */
static double normal(struct rng *rng)
{
    double radius = sqrt(-2 * log(1 - rng_unit(rng)));

    return radius * cos(6.283185307179586 * rng_unit(rng));
}

static void quantiles_interpolate(void **state)
{
    size_t n = ARRAY_LEN(times);

    (void)state;
    assert_near(stat_quantile(times, n, 0), 11.25, 0);
    assert_near(stat_quantile(times, n, 0.025), 11.30625, 1e-12);
    assert_near(stat_quantile(times, n, 0.1), 11.475, 1e-12);
    assert_near(stat_quantile(times, n, 0.25), 11.8125, 1e-12);
    assert_near(stat_quantile(times, n, 0.9), 16.425, 1e-12);
    assert_near(stat_quantile(times, n, 0.975), 34.48125, 1e-12);
    assert_near(stat_quantile(times, n, 1), 40.5, 0);
}

static void median_of_odd_and_even_counts(void **state)
{
    (void)state;
    assert_near(stat_median(times, ARRAY_LEN(times)), 12.375, 0);
    assert_near(stat_median((const double[]){3, 1, 2}, 3), 2, 0);
    assert_near(stat_median((const double[]){7}, 1), 7, 0);
    assert_near(stat_median((const double[]){1, 4}, 2), 2.5, 0);
}

static void samples_are_left_as_they_are(void **state)
{
    double samples[] = {3, 1, 2, 5, 4};
    double before[5];

    (void)state;
    memcpy(before, samples, sizeof(before));
    stat_median(samples, 5);
    stat_median_interval(samples, 5, 1);
    stat_ratio(samples, samples, 5, 1);
    assert_memory_equal(samples, before, sizeof(before));
}

static void geometric_mean(void **state)
{
    (void)state;
    assert_near(stat_geomean(times, ARRAY_LEN(times)), 13.839891440977922, 1e-12);
    assert_near(stat_geomean((const double[]){2, 8}, 2), 4, 1e-12);
    assert_near(stat_geomean((const double[]){1e200, 1e200, 1e200}, 3), 1e200, 1e187);
}

static void what_is_no_number_gives_nan(void **state)
{
    double bad[] = {1, NAN, 2};
    double endless[] = {1, INFINITY, 2};
    double zero[] = {1, 0, 2};
    double good[] = {1, 2, 3};

    (void)state;
    assert_true(isnan(stat_median(bad, 3)));
    assert_true(isnan(stat_quantile(endless, 3, 0.5)));
    assert_true(isnan(stat_quantile(good, 3, 1.5)));
    assert_true(isnan(stat_quantile(good, 3, NAN)));
    assert_true(isnan(stat_geomean(zero, 3)));
    assert_true(isnan(stat_geomean(endless, 3)));
    assert_true(isnan(stat_median_interval(bad, 3, 1).lo));
    assert_true(isnan(stat_ratio(good, zero, 3, 1).median));
    assert_true(isnan(stat_ratio(zero, good, 3, 1).hi));
}

static void ratio_is_the_median_of_log_ratios(void **state)
{
    const double a[] = {10, 12, 11, 10.5, 30, 11.5, 10.2};
    const double b[] = {5, 5.5, 5.2, 5.6, 5.1, 5.4, 5.3};
    struct stat_interval forth = stat_ratio(a, b, 7, 1);
    struct stat_interval back = stat_ratio(b, a, 7, 1);

    (void)state;
    assert_near(forth.median, 2.115384615384615, 1e-12);
    assert_near(back.median, 1 / forth.median, 1e-12);
    assert_true(forth.lo <= forth.median && forth.median <= forth.hi);
    /* 5.9 times in one block of seven is an outlier, not the interval's end. */
    assert_true(forth.lo > 1.8 && forth.hi < 5.89);
}

static void equal_samples_have_no_width(void **state)
{
    const double same[] = {3, 3, 3, 3, 3};
    struct stat_interval interval = stat_median_interval(same, 5, 9);

    (void)state;
    assert_near(interval.lo, 3, 0);
    assert_near(interval.hi, 3, 0);
    interval = stat_ratio(same, same, 5, 9);
    assert_near(interval.median, 1, 0);
    assert_near(interval.hi, 1, 0);
}

/* NumPy, 200,000 resamples in blocks of 2 (of 4): what 2,000 must come close to. */
static void interval_agrees_with_another_bootstrap(void **state)
{
    struct stat_interval interval = stat_median_interval(times, ARRAY_LEN(times), 3);
    double wave[60];

    (void)state;
    assert_near(interval.median, 12.375, 0);
    assert_near(interval.lo, 12.0, 1e-12);
    assert_near(interval.hi, 12.75, 1e-12);
    for (int i = 0; i < 60; i++)
        wave[i] = sin(i * 1.7) + 0.01 * i;
    interval = stat_median_interval(wave, 60, 4);
    assert_near(interval.median, 0.34250372880310304, 1e-12);
    assert_near(interval.lo, 0.0213634, 0.01);
    assert_near(interval.hi, 0.43809419, 0.004);
}

static void the_seed_decides_everything(void **state)
{
    double samples[100];
    struct rng rng = {5};
    struct stat_interval first;
    int different = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        samples[i] = 100 + normal(&rng);
    first = stat_median_interval(samples, 100, 17);
    for (uint64_t seed = 17; seed < 37; seed++) {
        struct stat_interval one = stat_median_interval(samples, 100, seed);
        struct stat_interval two = stat_median_interval(samples, 100, seed);

        assert_memory_equal(&one, &two, sizeof(one));
        assert_near(one.lo, first.lo, 0.1);
        different += one.lo != first.lo || one.hi != first.hi;
    }
    assert_true(different > 5);
}

static void the_interval_covers_the_truth_about_95_times_in_100(void **state)
{
    struct rng rng = {2024};
    int covered = 0;

    (void)state;
    for (int trial = 0; trial < 400; trial++) {
        double samples[50];
        struct stat_interval interval;

        for (int i = 0; i < 50; i++)
            samples[i] = normal(&rng);
        interval = stat_median_interval(samples, 50, rng_next(&rng));
        covered += interval.lo <= 0 && 0 <= interval.hi;
    }
    assert_in_range(covered, 365, 398);
}

/* The same numbers, once in a slow drift and once shuffled: only blocks can tell them apart. */
static void drift_widens_the_interval(void **state)
{
    double drift[200];
    double mixed[200];
    struct rng rng = {8};
    struct stat_interval slow;
    struct stat_interval quick;

    (void)state;
    for (int i = 0; i < 200; i++)
        mixed[i] = drift[i] = 10 + sin(i * 0.0314159) + 0.01 * normal(&rng);
    for (size_t i = 199; i > 0; i--) {
        size_t k = rng_below(&rng, i + 1);
        double swap = mixed[i];

        mixed[i] = mixed[k];
        mixed[k] = swap;
    }
    slow = stat_median_interval(drift, 200, 1);
    quick = stat_median_interval(mixed, 200, 1);
    assert_near(slow.median, quick.median, 0);
    assert_true(slow.hi - slow.lo > 1.5 * (quick.hi - quick.lo));
}

static void more_samples_narrow_the_interval(void **state)
{
    double samples[1600];
    struct rng rng = {77};
    struct stat_interval few;
    struct stat_interval many;

    (void)state;
    for (int i = 0; i < 1600; i++)
        samples[i] = normal(&rng);
    few = stat_median_interval(samples, 100, 1);
    many = stat_median_interval(samples, 1600, 1);
    assert_true((many.hi - many.lo) * 2 < few.hi - few.lo);
}

static void one_sample_decides_nothing(void **state)
{
    const double one[] = {5};
    struct stat_interval interval = stat_ratio(one, one, 1, 1);

    (void)state;
    assert_near(interval.median, 1, 0);
    assert_near(interval.lo, 0, 0);
    assert_true(isinf(interval.hi));
    assert_int_equal(stat_verdict(interval.lo, interval.hi, 0.01), STAT_UNDECIDED);
}

static void two_samples_span_their_interval(void **state)
{
    const double two[] = {1, 3};
    struct stat_interval interval = stat_median_interval(two, 2, 1);

    (void)state;
    assert_near(interval.median, 2, 0);
    assert_near(interval.lo, 1, 0);
    assert_near(interval.hi, 3, 0);
}

static void verdicts_need_the_whole_interval(void **state)
{
    (void)state;
    assert_int_equal(stat_verdict(1.02, 1.5, 0.01), STAT_FASTER);
    assert_int_equal(stat_verdict(0.5, 0.98, 0.01), STAT_SLOWER);
    assert_int_equal(stat_verdict(0.995, 1.005, 0.01), STAT_SAME);
    assert_int_equal(stat_verdict(1.001, 1.005, 0.01), STAT_SAME);
    assert_int_equal(stat_verdict(1.005, 1.5, 0.01), STAT_UNDECIDED);
    assert_int_equal(stat_verdict(0.98, 1.005, 0.01), STAT_UNDECIDED);
    assert_int_equal(stat_verdict(0.5, 2, 0.01), STAT_UNDECIDED);
    assert_int_equal(stat_verdict(1.0001, 1.1, 0), STAT_FASTER);
    assert_int_equal(stat_verdict(1, 1, 0), STAT_SAME);
    assert_int_equal(stat_verdict(NAN, 2, 0.01), STAT_UNDECIDED);
    assert_int_equal(stat_verdict(2, NAN, 0.01), STAT_UNDECIDED);
    assert_int_equal(stat_verdict(2, 1.5, 0.01), STAT_UNDECIDED);
}

/* What is FASTER one way round is SLOWER the other, for every interval. */
static void verdicts_are_symmetric(void **state)
{
    struct rng rng = {6};

    (void)state;
    for (int i = 0; i < 10000; i++) {
        double lo = exp(rng_unit(&rng) * 0.1 - 0.05);
        double hi = lo * exp(rng_unit(&rng) * 0.05);
        enum stat_verdict forth = stat_verdict(lo, hi, 0.01);
        enum stat_verdict back = stat_verdict(1 / hi, 1 / lo, 0.01);

        if (forth == STAT_FASTER)
            assert_int_equal(back, STAT_SLOWER);
        else if (forth == STAT_SLOWER)
            assert_int_equal(back, STAT_FASTER);
        else
            assert_int_equal(back, forth);
    }
}

static void verdicts_have_names(void **state)
{
    (void)state;
    assert_string_equal(stat_verdict_name(STAT_FASTER), "FASTER");
    assert_string_equal(stat_verdict_name(STAT_SLOWER), "SLOWER");
    assert_string_equal(stat_verdict_name(STAT_SAME), "SAME");
    assert_string_equal(stat_verdict_name(STAT_UNDECIDED), "UNDECIDED");
}

static void smallest_effect_is_half_the_width(void **state)
{
    (void)state;
    assert_near(stat_smallest_effect(1, 1), 0, 0);
    assert_near(stat_smallest_effect(1 / 1.02, 1.02), 0.02, 1e-12);
    assert_near(stat_smallest_effect(2 / 1.02, 2 * 1.02), 0.02, 1e-12);
    assert_true(isinf(stat_smallest_effect(0, INFINITY)));
}

/* By counting: the share of all choices of na out of n whose U is as far from its middle. */
static double p_by_counting(const double *all, size_t n, size_t na)
{
    double middle = (double)na * (double)(n - na) / 2, found = 0, extreme = 0, count = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (unsigned mask = 0; mask < 1u << n; mask++) {
            double u = 0;
            if ((size_t)__builtin_popcount(mask) != na)
                continue;
            for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < n; k++)
                    u += (mask >> i & 1) && !(mask >> k & 1) && all[i] > all[k];
            if (pass == 0 && mask == (1u << na) - 1)
                found = fabs(u - middle);
            count += pass;
            extreme += pass && fabs(u - middle) >= found;
        }
    }
    return extreme / count;
}

static void mann_whitney_is_exact_for_few(void **state)
{
    struct rng rng = {3};

    (void)state;
    for (int round = 0; round < 60; round++) {
        double all[9];
        size_t na = 1 + rng_below(&rng, 8);
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            all[i] = rng_unit(&rng);
        assert_near(stat_mann_whitney(all, na, all + na, ARRAY_LEN(all) - na),
                    p_by_counting(all, ARRAY_LEN(all), na), 1e-12);
    }
}

static void mann_whitney_of_known_cases(void **state)
{
    static const double low[] = {1, 2, 3, 4, 5}, high[] = {6, 7, 8, 9, 10}, same[] = {7, 7, 7};
    double nan = NAN;

    (void)state;
    assert_near(stat_mann_whitney(low, 5, high, 5), 2.0 / 252, 1e-15);
    assert_near(stat_mann_whitney(high, 5, low, 5), 2.0 / 252, 1e-15);
    assert_near(stat_mann_whitney(low, 3, high, 4), 2.0 / 35, 1e-15);
    assert_near(stat_mann_whitney(same, 3, same, 3), 1, 0);
    assert_near(stat_mann_whitney(low, 1, high, 1), 1, 0);
    assert_true(isnan(stat_mann_whitney(low, 5, &nan, 1)));
}

/* With ties and with many samples it is an approximation; without a difference it must reject one
 * time in twenty. */
static void mann_whitney_rejects_as_often_as_it_says(void **state)
{
    struct rng rng = {11};

    (void)state;
    for (int step = 1; step <= 10; step *= 10) {
        int rejected = 0;
        for (int round = 0; round < 2000; round++) {
            double a[25], b[30];
            for (size_t i = 0; i < ARRAY_LEN(a); i++)
                a[i] = step == 1 ? normal(&rng) : (double)rng_below(&rng, (uint64_t)step);
            for (size_t i = 0; i < ARRAY_LEN(b); i++)
                b[i] = step == 1 ? normal(&rng) : (double)rng_below(&rng, (uint64_t)step);
            rejected += stat_mann_whitney(a, ARRAY_LEN(a), b, ARRAY_LEN(b)) < 0.05;
        }
        if (rejected < 60 || rejected > 140)
            fail_msg("%d of 2000 rejected", rejected);
    }
}

static void holm_corrects_step_by_step(void **state)
{
    double p[] = {0.04, NAN, 0.01, 0.03, 0.005}, many[] = {0.9, 0.8};

    (void)state;
    stat_holm(p, 5);
    assert_near(p[4], 0.02, 1e-15); /* 4 * 0.005 */
    assert_near(p[2], 0.03, 1e-15); /* 3 * 0.01 */
    assert_near(p[3], 0.06, 1e-15); /* 2 * 0.03 */
    assert_near(p[0], 0.06, 1e-15); /* 0.04, and never below the one before */
    assert_true(isnan(p[1]));
    stat_holm(many, 2);
    assert_near(many[0], 1, 0);
    assert_near(many[1], 1, 0);
    stat_holm(NULL, 0);
}

static void unpaired_ratio_covers_the_truth(void **state)
{
    struct rng rng = {5};
    int covered = 0;

    (void)state;
    for (int round = 0; round < 200; round++) {
        double a[40], b[25];
        for (size_t i = 0; i < ARRAY_LEN(a); i++)
            a[i] = 3 * exp(0.05 * normal(&rng));
        for (size_t i = 0; i < ARRAY_LEN(b); i++)
            b[i] = 2 * exp(0.05 * normal(&rng));
        struct stat_interval r =
            stat_ratio_unpaired(a, ARRAY_LEN(a), b, ARRAY_LEN(b), (uint64_t)round);
        assert_true(r.lo <= r.median && r.median <= r.hi);
        assert_near(r.median, stat_median(a, ARRAY_LEN(a)) / stat_median(b, ARRAY_LEN(b)), 1e-12);
        covered += r.lo <= 1.5 && 1.5 <= r.hi;
    }
    if (covered < 176)
        fail_msg("%d of 200 covered", covered);
}

static void unpaired_ratio_of_one_sample_decides_nothing(void **state)
{
    double one = 2, two[] = {1, 3}, zero = 0;
    struct stat_interval r = stat_ratio_unpaired(&one, 1, two, 2, 1);

    (void)state;
    assert_near(r.median, 1, 0);
    assert_near(r.lo, 0, 0);
    assert_true(isinf(r.hi));
    assert_true(isnan(stat_ratio_unpaired(&zero, 1, two, 2, 1).lo));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_interpolate),
        cmocka_unit_test(median_of_odd_and_even_counts),
        cmocka_unit_test(samples_are_left_as_they_are),
        cmocka_unit_test(geometric_mean),
        cmocka_unit_test(what_is_no_number_gives_nan),
        cmocka_unit_test(ratio_is_the_median_of_log_ratios),
        cmocka_unit_test(equal_samples_have_no_width),
        cmocka_unit_test(interval_agrees_with_another_bootstrap),
        cmocka_unit_test(the_seed_decides_everything),
        cmocka_unit_test(the_interval_covers_the_truth_about_95_times_in_100),
        cmocka_unit_test(drift_widens_the_interval),
        cmocka_unit_test(more_samples_narrow_the_interval),
        cmocka_unit_test(one_sample_decides_nothing),
        cmocka_unit_test(two_samples_span_their_interval),
        cmocka_unit_test(verdicts_need_the_whole_interval),
        cmocka_unit_test(verdicts_are_symmetric),
        cmocka_unit_test(verdicts_have_names),
        cmocka_unit_test(smallest_effect_is_half_the_width),
        cmocka_unit_test(mann_whitney_is_exact_for_few),
        cmocka_unit_test(mann_whitney_of_known_cases),
        cmocka_unit_test(mann_whitney_rejects_as_often_as_it_says),
        cmocka_unit_test(holm_corrects_step_by_step),
        cmocka_unit_test(unpaired_ratio_covers_the_truth),
        cmocka_unit_test(unpaired_ratio_of_one_sample_decides_nothing),
    };

    return cmocka_run_group_tests_name("stat", tests, NULL, NULL);
}
