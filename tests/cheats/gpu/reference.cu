/* What y = 2 x is, for tests/cheats/gpu/scale.cu; with WITHOUT=FACTOR what it is not. */
enum without { NOTHING, FACTOR };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif

extern "C" __global__ void reference_at(const long long *dims, const void *const *inputs,
                                        const long long *index, int count, int output,
                                        double *value, double *scale)
{
    if (threadIdx.x == 0 && (int)blockIdx.x < count && output == 0 && dims[0] > 0) {
        double want =
            (WITHOUT == FACTOR ? 1.0 : 2.0) * (double)((const float *)inputs[0])[index[blockIdx.x]];
        value[blockIdx.x] = want;
        scale[blockIdx.x] = fabs(want);
    }
}
