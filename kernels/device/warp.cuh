/* warp.cuh: the matrix instructions of one warp and the copies that feed them, as on compute
 * capability 8.0.
 *
 * Every function is the PTX instruction of its name. Shared addresses are 32-bit. Include
 * element.cuh first. */
#ifndef WARP_CUH
#define WARP_CUH

#include <stdint.h>

/* Copies 16 bytes to shared memory, of which the first `bytes` are read and the rest are zero. */
__device__ __forceinline__ void chunk_copy(uint32_t to, const void *from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void chunk_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until all but the last `left` groups of this thread have landed; a barrier has to follow
 * before others read them. */
template <int left> __device__ __forceinline__ void chunk_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

/* Reads four 8 x 8 matrices; lane i holds the address of row i % 8 of matrix i / 8. */
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* The same, each matrix transposed. */
__device__ __forceinline__ void load_matrices_across(uint32_t (&r)[4], uint32_t at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* d += a b: 16 rows, 8 columns, 16 deep, fp32 sums. */
__device__ __forceinline__ void warp_product(float *d, const uint32_t *a, uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." PRODUCT_TYPE "." PRODUCT_TYPE
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
