/* width.cuh: the warpgroup product whose width is a constant of the program.
 *
 * `product<n, b_along_k>` is product_m64n<n> of wgmma.cuh, with the left operand in shared memory
 * or in registers. Only the widths that are there exist. Include element.cuh first. */
#ifndef WIDTH_CUH
#define WIDTH_CUH

#include "wgmma.cuh"

template <int n, int b_along_k, typename operand>
__device__ __forceinline__ void product(float (&d)[n / 2], operand a, uint64_t b, bool accumulate)
{
    if constexpr (n == 64)
        product_m64n64<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 80)
        product_m64n80<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 96)
        product_m64n96<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 112)
        product_m64n112<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 128)
        product_m64n128<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 144)
        product_m64n144<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 160)
        product_m64n160<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 176)
        product_m64n176<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 192)
        product_m64n192<b_along_k>(d, a, b, accumulate);
    else if constexpr (n == 256)
        product_m64n256<b_along_k>(d, a, b, accumulate);
    else
        static_assert(n < 0, "wgmma.cuh has no such width");
}

#endif
