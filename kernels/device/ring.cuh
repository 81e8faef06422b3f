/* ring.cuh: a place in a ring of stages, and the parity that its barrier is waited on with.
 *
 * A consumer starts with parity 0, a producer with 1: a fresh barrier counts as released. */
#ifndef RING_CUH
#define RING_CUH

#include <stdint.h>

template <int stages> struct ring_place {
    int stage;
    uint32_t parity;

    __device__ __forceinline__ void advance()
    {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }

    /* `steps` places further, as the other of two that share a ring walks them. */
    __device__ __forceinline__ void skip(int steps)
    {
        int at = stage + steps;
        parity ^= at / stages & 1;
        stage = at % stages;
    }
};

#endif
