/* pingpong.cu: C = A B' by two consumers on different tiles. Two-byte floats in and out, fp32 sums.
 * A [M, K], B [N, K], C [M, N].
 *
 * Against persistent.cu: the consumers do not share a tile but take turns. While one multiplies,
 * the other converts and stores the tile it has finished, so that the matrix units do not idle
 * during an epilogue; the price is smaller tiles, 128 x 128 of 128 sums a thread, hence more bytes
 * for each product. A turn is a whole walk over K: it is what keeps a consumer from waiting on a
 * barrier two phases away, where parity would lie.
 *
 * Launch: grid = min(multiprocessors, tiles), block = 384, shared memory = sizeof(struct
 * stage_memory) = STAGES * 32784 + 32768 rounded up to 1024; arguments map of a (box 64 x 128), map
 * of b (box 64 x 128), map of c (box 64 x 64), c, M, N, K; all maps with the 128-byte swizzle,
 * zeros outside; c itself is unused. Legal where K % 8 = 0, N % 8 = 0 and STAGES <= 6. */
#include "../device/element.cuh"
#include "../device/hopper.cuh"
#include "../device/ring.cuh"
#include "../device/wgmma.cuh"

#ifndef STAGES
#define STAGES 6
#endif
#ifndef GROUP
#define GROUP 8 /* tiles along M that are walked before the next tile along N */
#endif
#define BLOCK 128
#define DEPTH SWIZZLE_COLUMNS
#define CONSUMERS 2
#define THREADS ((CONSUMERS + 1) * WARPGROUP)
#define STORE_BARRIER 1 /* and the next: one for each consumer */
#define TURN_BARRIER 3  /* and the next: the turn of each consumer */

static_assert(STAGES >= 2, "one slice is held while the next is multiplied");

struct alignas(1024) stage_memory {
    element a[STAGES][BLOCK * DEPTH], b[STAGES][BLOCK * DEPTH];
    element c[CONSUMERS][2][64 * SWIZZLE_COLUMNS];
    uint64_t full[STAGES], empty[STAGES];
};

struct tile {
    int row, column;
};

__device__ __forceinline__ tile tile_of(int index, int tiles_m, int tiles_n)
{
    int band = index / (GROUP * tiles_n), first = band * GROUP;
    int height = min(GROUP, tiles_m - first), within = index - band * GROUP * tiles_n;
    return {(first + within % height) * BLOCK, within / height * BLOCK};
}

__device__ __forceinline__ void produce(stage_memory &s, ring_place<STAGES> &r,
                                        const CUtensorMap *map_a, const CUtensorMap *map_b, tile t,
                                        int steps)
{
    for (int step = 0; step < steps; step++, r.advance()) {
        barrier_wait(&s.empty[r.stage], r.parity);
        barrier_expect(&s.full[r.stage], sizeof(s.a[0]) + sizeof(s.b[0]));
        copy_load(s.a[r.stage], map_a, &s.full[r.stage], step * DEPTH, t.row);
        copy_load(s.b[r.stage], map_b, &s.full[r.stage], step * DEPTH, t.column);
    }
}

/* Leaves the last group of products in flight and its slice, which is returned, not given back. */
__device__ __forceinline__ int consume(stage_memory &s, ring_place<STAGES> &r,
                                       float (&acc)[BLOCK / 64][64], int lane, int steps)
{
    int before = -1;
    for (int step = 0; step < steps; step++, r.advance()) {
        barrier_wait(&s.full[r.stage], r.parity);
        product_fence();
#pragma unroll
        for (int kk = 0; kk < DEPTH / 16; kk++)
#pragma unroll
            for (int m = 0; m < BLOCK / 64; m++)
                product_m64n128<1>(acc[m], product_operand(&s.a[r.stage][m * 64 * DEPTH + kk * 16]),
                                   product_operand(&s.b[r.stage][kk * 16]), step > 0 || kk > 0);
        product_commit();
        product_wait<1>();
        if (before >= 0 && lane % 32 == 0)
            barrier_arrive(&s.empty[before]);
        before = r.stage;
    }
    return before;
}

/* 64 columns at a time through one of two swizzled buffers; one thread starts every store, so its
 * own group counts are the ones it waits on. */
__device__ __forceinline__ void store_tile(stage_memory &s, const CUtensorMap *map_c,
                                           float (&acc)[BLOCK / 64][64], int consumer, int lane,
                                           tile t)
{
    int at_row = lane / 32 * 16 + lane % 16;
#pragma unroll
    for (int m = 0; m < BLOCK / 64; m++)
#pragma unroll
        for (int n = 0; n < BLOCK / SWIZZLE_COLUMNS; n++) {
            element *staging = s.c[consumer][n & 1];
            if (lane == 0)
                copy_store_wait_read<1>();
            named_sync(STORE_BARRIER + consumer, WARPGROUP);
#pragma unroll
            for (int j = 0; j < SWIZZLE_COLUMNS / 16; j++) {
                const float *v = &acc[m][n * (SWIZZLE_COLUMNS / 2) + j * 8];
                int chunk = j * 2 + lane % 32 / 16;
                uint32_t at =
                    shared_address(staging) + at_row * 128 + ((chunk ^ (at_row & 7)) << 4);
                store_matrices(at, pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]),
                               pair(v[6], v[7]));
            }
            proxy_fence();
            named_sync(STORE_BARRIER + consumer, WARPGROUP);
            if (lane == 0) {
                copy_store(map_c, staging, t.column + n * SWIZZLE_COLUMNS, t.row + m * 64);
                copy_store_commit();
            }
        }
}

extern "C" __global__ __launch_bounds__(THREADS,
                                        1) void matmul(const __grid_constant__ CUtensorMap map_a,
                                                       const __grid_constant__ CUtensorMap map_b,
                                                       const __grid_constant__ CUtensorMap map_c,
                                                       element *c, int M, int N, int K)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    stage_memory &s = *(stage_memory *)raw;
    int role = threadIdx.x / WARPGROUP, lane = threadIdx.x % WARPGROUP;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&s.full[i], 1);
            barrier_init(&s.empty[i], WARPGROUP / 32); /* a slice has one consumer, a warp each */
        }
        barrier_init_fence();
    }
    __syncthreads();
    int tiles_m = (M + BLOCK - 1) / BLOCK, tiles_n = (N + BLOCK - 1) / BLOCK;
    int tiles = tiles_m * tiles_n, steps = (K + DEPTH - 1) / DEPTH;
    if (role == CONSUMERS) {
        registers_release<40>();
        if (lane == 0) {
            ring_place<STAGES> r = {0, 1};
            for (int index = blockIdx.x; index < tiles; index += gridDim.x)
                produce(s, r, &map_a, &map_b, tile_of(index, tiles_m, tiles_n), steps);
        }
    } else {
        registers_take<232>();
        float acc[BLOCK / 64][64];
        ring_place<STAGES> r = {0, 0};
        for (int turn = 0, index = blockIdx.x; index < tiles; turn++, index += gridDim.x) {
            if (turn % CONSUMERS != role) {
                r.skip(steps);
                continue;
            }
            if (turn > 0)
                named_sync(TURN_BARRIER + role, CONSUMERS * WARPGROUP);
            int last = consume(s, r, acc, lane, steps);
            /* The next turn exists exactly if its tile does: arrivals and waits balance. */
            if (index + (int)gridDim.x < tiles)
                named_arrive(TURN_BARRIER + (role ^ 1), CONSUMERS * WARPGROUP);
            product_wait<0>();
            if (lane % 32 == 0)
                barrier_arrive(&s.empty[last]);
            store_tile(s, &map_c, acc, role, lane, tile_of(index, tiles_m, tiles_n));
        }
        if (lane == 0)
            copy_store_wait_done();
    }
}
