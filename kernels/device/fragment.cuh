/* fragment.cuh: how a warp's 16 rows of a product leave registers.
 *
 * Lane l holds, of every 8 columns, columns l % 4 * 2 and the next one, of rows l / 4 (elements 0
 * and 1 of four) and l / 4 + 8 (elements 2 and 3). Include element.cuh first. */
#ifndef FRAGMENT_CUH
#define FRAGMENT_CUH

#include <stdint.h>

/* Two neighbours of one row of an array `columns` wide; one store where every row is even. */
__device__ __forceinline__ void store_neighbours(element *to, size_t row, int column, int columns,
                                                 float low, float high)
{
    element *at = to + row * columns + column;
    if (columns % 2 == 0) {
        *(uint32_t *)at = pair(low, high);
    } else {
        at[0] = narrow(low);
        if (column + 1 < columns)
            at[1] = narrow(high);
    }
}

/* Writes the 64 rows of a warpgroup's product that lie inside of C [M, N]. */
template <int count>
__device__ __forceinline__ void store_product(element *c, const float (&acc)[count], int lane,
                                              int row, int column, int M, int N)
{
    int r = row + lane / 32 * 16 + lane % 32 / 4, x = column + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < count / 4; j++) {
        if (x + j * 8 < N) {
            if (r < M)
                store_neighbours(c, r, x + j * 8, N, acc[4 * j], acc[4 * j + 1]);
            if (r + 8 < M)
                store_neighbours(c, r + 8, x + j * 8, N, acc[4 * j + 2], acc[4 * j + 3]);
        }
    }
}

#endif
