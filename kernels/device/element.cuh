/* element.cuh: the two-byte float that a kernel works on, bfloat16 unless TYPE_F16 is defined.
 *
 * Include it before wgmma.cuh, which learns the type of its products from it. */
#ifndef ELEMENT_CUH
#define ELEMENT_CUH

#include <stdint.h>

#ifdef TYPE_F16
#include <cuda_fp16.h>
#define PRODUCT_TYPE "f16"
typedef __half element;
typedef __half2 element_pair;
#else
#include <cuda_bf16.h>
#define PRODUCT_TYPE "bf16"
typedef __nv_bfloat16 element;
typedef __nv_bfloat162 element_pair;
#endif

__device__ __forceinline__ float wide(element x)
{
#ifdef TYPE_F16
    return __half2float(x);
#else
    return __bfloat162float(x);
#endif
}

__device__ __forceinline__ float2 wide(element_pair x)
{
#ifdef TYPE_F16
    return __half22float2(x);
#else
    return __bfloat1622float2(x);
#endif
}

/* Rounds to nearest, ties to even. */
__device__ __forceinline__ element narrow(float x)
{
#ifdef TYPE_F16
    return __float2half_rn(x);
#else
    return __float2bfloat16_rn(x);
#endif
}

/* Two rounded elements in one register, `low` at the lower address. */
__device__ __forceinline__ uint32_t pair(float low, float high)
{
#ifdef TYPE_F16
    __half2 two = __floats2half2_rn(low, high);
#else
    __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
#endif
    return *(uint32_t *)&two;
}

#endif
