/* hopper.cuh: the asynchronous machinery of compute capability 9.0, one function an instruction.
 *
 * mbarriers, bulk tensor copies, warpgroup products and the fences between the two memory proxies.
 * Every function is the PTX instruction of its name and nothing more; who waits for whom is the
 * kernel's business. Shared addresses are 32-bit. */
#ifndef HOPPER_CUH
#define HOPPER_CUH

#include <cuda.h>
#include <stdint.h>

#define WARPGROUP 128      /* threads that issue a product together */
#define SWIZZLE_COLUMNS 64 /* two-byte elements in a row of the 128-byte swizzle */

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* mbarrier: `count` arrivals and all announced bytes complete a phase. */

__device__ __forceinline__ void barrier_init(uint64_t *bar, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(count));
}

/* Makes initialised barriers visible to the copy engine and the cluster; a block-wide barrier has
 * to follow. */
__device__ __forceinline__ void barrier_init_fence()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(uint64_t *bar)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(bar)) : "memory");
}

/* Arrives, and announces the bytes that copies will bring. */
__device__ __forceinline__ void barrier_expect(uint64_t *bar, uint32_t bytes)
{
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)),
        "r"(bytes)
        : "memory");
}

/* Arrives on the barrier at the same place in block `rank` of the cluster. It gives a stage back,
 * and what was read there by products has been waited for: a release at the scope of the cluster
 * would only add a fence of all memory, which costs a third of the time. */
__device__ __forceinline__ void barrier_arrive_at(uint64_t *bar, uint32_t rank)
{
    asm volatile("{\n"
                 ".reg .b32 remote;\n"
                 "mapa.shared::cluster.u32 remote, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
                 "}" ::"r"(shared_address(bar)),
                 "r"(rank)
                 : "memory");
}

/* Waits until the phase of this parity has completed; a fresh barrier's phase of parity 1 counts as
 * complete. */
__device__ __forceinline__ void barrier_wait(uint64_t *bar, uint32_t parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra ready;\n"
                 "bra again;\n"
                 "ready:\n"
                 "}" ::"r"(shared_address(bar)),
                 "r"(parity)
                 : "memory");
}

/* Named barriers, for part of a block. */

__device__ __forceinline__ void named_sync(int id, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void named_arrive(int id, int threads)
{
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/* Bulk tensor copies. */

__device__ __forceinline__ void copy_load(void *to, const CUtensorMap *map, uint64_t *bar, int x,
                                          int y)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
                 "l"(map), "r"(shared_address(bar)), "r"(x), "r"(y)
                 : "memory");
}

__device__ __forceinline__ void copy_load(void *to, const CUtensorMap *map, uint64_t *bar, int x,
                                          int y, int z, int w)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
                 "l"(map), "r"(shared_address(bar)), "r"(x), "r"(y), "r"(z), "r"(w)
                 : "memory");
}

/* Lands at the same place in every block of the cluster that `mask` names, and on their barriers.
 */
__device__ __forceinline__ void copy_load_multicast(void *to, const CUtensorMap *map, uint64_t *bar,
                                                    int x, int y, uint16_t mask)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes."
                 "multicast::cluster"
                 " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(to)),
                 "l"(map), "r"(shared_address(bar)), "r"(x), "r"(y), "h"(mask)
                 : "memory");
}

__device__ __forceinline__ void copy_store(const CUtensorMap *map, const void *from, int x, int y)
{
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
        "r"(shared_address(from)), "r"(x), "r"(y)
        : "memory");
}

__device__ __forceinline__ void copy_store(const CUtensorMap *map, const void *from, int x, int y,
                                           int z, int w)
{
    asm volatile(
        "cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
            map),
        "r"(shared_address(from)), "r"(x), "r"(y), "r"(z), "r"(w)
        : "memory");
}

__device__ __forceinline__ void copy_store_commit()
{
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/* Waits until all but the last `left` stores of this thread have read their shared memory. */
template <int left> __device__ __forceinline__ void copy_store_wait_read()
{
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(left) : "memory");
}

__device__ __forceinline__ void copy_store_wait_done()
{
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

/* Brings a box into the second-level cache. */
__device__ __forceinline__ void copy_prefetch(const CUtensorMap *map, int x, int y)
{
    asm volatile("cp.async.bulk.prefetch.tensor.2d.L2.global [%0, {%1, %2}];" ::"l"(map), "r"(x),
                 "r"(y)
                 : "memory");
}

__device__ __forceinline__ void copy_prefetch_map(const CUtensorMap *map)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(map));
}

/* What ordinary stores wrote to shared memory becomes visible to the copy engine and the products;
 * a barrier has to follow. */
__device__ __forceinline__ void proxy_fence()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* Warpgroup products. */

__device__ __forceinline__ void product_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void product_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Waits until all but the last `left` groups are done. */
template <int left> __device__ __forceinline__ void product_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}

/* Describes a swizzled operand: atoms of 8 rows of 128 bytes lie 1024 bytes apart; `leading` is the
 * distance between column groups of an operand whose rows are not along K, and is ignored
 * otherwise. */
__device__ __forceinline__ uint64_t product_operand(const void *at, uint32_t leading_bytes = 16)
{
    uint64_t address = (shared_address(at) & 0x3ffff) >> 4;
    return address | (uint64_t)(leading_bytes >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

/* Registers move from the warps that only start copies to those that compute. */
template <int count> __device__ __forceinline__ void registers_release()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

template <int count> __device__ __forceinline__ void registers_take()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

/* Launches that follow each other: lets the next one's blocks start where there is room, and waits
 * until the one before has ended and what it wrote can be read. */

__device__ __forceinline__ void launch_dependents()
{
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

__device__ __forceinline__ void launch_await()
{
    asm volatile("griddepcontrol.wait;" ::: "memory");
}

/* Clusters. */

__device__ __forceinline__ uint32_t cluster_rank()
{
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ __forceinline__ void cluster_sync()
{
    asm volatile("barrier.cluster.arrive.release.aligned;\n"
                 "barrier.cluster.wait.acquire.aligned;" ::
                     : "memory");
}

/* Writes four 8 x 8 matrices of two-byte elements; lane i holds the address of row i % 8 of matrix
 * i / 8. */
__device__ __forceinline__ void store_matrices(uint32_t at, uint32_t r0, uint32_t r1, uint32_t r2,
                                               uint32_t r3)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(at),
                 "r"(r0), "r"(r1), "r"(r2), "r"(r3)
                 : "memory");
}

#endif
