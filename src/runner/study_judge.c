#include "study.h"

#include <math.h>

double study_round(enum study_dtype dtype, double value)
{
    if (!isfinite(value) || value == 0)
        return value;
    if (dtype == DTYPE_F32)
        return (double)(float)value;
    int bits = dtype == DTYPE_BF16 ? 8 : 11, exponent;
    frexp(value, &exponent);
    int least = dtype == DTYPE_BF16 ? -133 : -24, shift = bits - exponent;
    if (exponent - bits < least)
        shift = -least;
    double rounded = ldexp(nearbyint(ldexp(value, shift)), -shift);
    double largest = dtype == DTYPE_BF16 ? 0x1.fep127 : 65504.0;
    return fabs(rounded) > largest ? copysign(INFINITY, value) : rounded;
}

bool study_accepts(enum study_dtype dtype, bool exact, double bound, double got, double want,
                   double scale, double *allowed)
{
    static const double half_ulp[] = {
        [DTYPE_F32] = 0x1p-24, [DTYPE_BF16] = 0x1p-8, [DTYPE_F16] = 0x1p-11};
    static const double largest[] = {
        [DTYPE_F32] = 0x1.fffffep127, [DTYPE_BF16] = 0x1.fep127, [DTYPE_F16] = 65504.0};
    /* Below the normal numbers the last place no longer shrinks; arithmetic in fp32 takes what lies
     * below its own for zero, a term at a time. */
    static const double tiny[] = {
        [DTYPE_F32] = 0x1p-100, [DTYPE_BF16] = 0x1p-100, [DTYPE_F16] = 0x1p-25};
    exact = exact || scale == 0;
    *allowed = exact ? 0 : bound * scale + half_ulp[dtype] * fabs(want);
    if (exact || isinf(want))
        return got == study_round(dtype, want);
    if (isinf(got))
        return (got > 0) == (want > 0) && fabs(want) + *allowed > largest[dtype];
    *allowed += tiny[dtype];
    return fabs(got - want) <= *allowed;
}
