/* persistent.cu: C = A B', two-byte floats in, fp32 sums. A [M, K], B [N, K], C [M, N], K
 * contiguous in A and B.
 *
 * One block a multiprocessor deals itself tiles in bands that share B in the second-level cache. A
 * producer warpgroup keeps a ring of stages full by bulk tensor copies; consumer warpgroups
 * multiply straight from shared memory, convert, and hand tiles of C to the copy engine, which
 * writes them while the next product runs. With CLUSTER > 1 neighbours along M share each tile of B
 * by multicast.
 *
 * Launch: grid = multiprocessors (a multiple of CLUSTER), block = THREADS, shared memory =
 * sizeof(struct stage_memory) = STAGES * ((BLOCK_M + BLOCK_N) * 128 + 16) and what C is staged in:
 * CONSUMERS * 16384 with STORE_BY_COPY, CONSUMERS * 8192 with COALESCE; rounded up to 1024.
 * Arguments: map of a (box 64 x BLOCK_M), map of b (box 64 x BLOCK_N / CLUSTER, or 64 x 64 of
 * [K, N] with B_ROW_MAJOR), map of c (box 64 x 64, read only by STORE_BY_COPY), c, M, N, K.
 *
 * Legal where rows of A and B are a multiple of 16 bytes apart. STORE_BY_COPY needs the same of C;
 * without it each thread writes its own elements, or with COALESCE a warp writes whole rows of 64
 * that it has gathered in shared memory. B_ROW_MAJOR: B is [K, N], whose tiles are read across
 * K. EARLY: launched so that blocks may start before the launch before has ended; they make their
 * barriers ready, fetch their first AHEAD slices into the cache, and wait for that end. */
#include "../device/element.cuh"
#include "../device/hopper.cuh"
#include "../device/wgmma.cuh"

#ifndef BLOCK_M
#define BLOCK_M 128
#endif
#ifndef BLOCK_N
#define BLOCK_N 256
#endif
#ifndef STAGES
#define STAGES 4
#endif
#ifndef CLUSTER
#define CLUSTER 1
#endif
#ifndef GROUP
#define GROUP 8 /* tiles along M that are walked before the next tile along N */
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef STORE_BY_COPY
#define STORE_BY_COPY 1
#endif
#ifndef COALESCE
#define COALESCE 0
#endif
#ifndef B_ROW_MAJOR
#define B_ROW_MAJOR 0
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef AHEAD
#define AHEAD STAGES
#endif
#define BLOCK_K SWIZZLE_COLUMNS
#define THREADS ((CONSUMERS + 1) * WARPGROUP)
#define ROWS (BLOCK_M / CONSUMERS) /* of one consumer */
#define PRODUCTS (ROWS / 64)
#define STORE_COLUMNS SWIZZLE_COLUMNS
#define CONSUMER_REGISTERS (CONSUMERS == 1 ? 240 : CONSUMERS == 2 ? 232 : 160)
#define PRODUCER_REGISTERS (CONSUMERS == 3 ? 32 : 40)

static_assert(STAGES >= 2, "one slice is held while the next is multiplied");
static_assert(ROWS % 64 == 0, "a consumer owns whole products of 64 rows");
static_assert(BLOCK_N % ((B_ROW_MAJOR ? 64 : 8) * CLUSTER) == 0, "blocks share whole boxes of B");
static_assert(!STORE_BY_COPY || !COALESCE, "C leaves in one way");
static_assert(!EARLY || !B_ROW_MAJOR, "what is fetched ahead are boxes along K");
/* Who takes registers waits until they have been released; more than a block has never are. */
static_assert((PRODUCER_REGISTERS + CONSUMERS * CONSUMER_REGISTERS) * WARPGROUP <=
                  65536 / THREADS / 8 * 8 * THREADS,
              "consumers take what the producer releases");

struct alignas(1024) stage_memory {
    element a[STAGES][BLOCK_M * BLOCK_K];
    element b[STAGES][BLOCK_N * BLOCK_K];
#if STORE_BY_COPY
    element c[CONSUMERS][2][64 * STORE_COLUMNS];
#elif COALESCE
    element c[CONSUMERS][1][64 * STORE_COLUMNS];
#endif
    uint64_t full[STAGES], empty[STAGES];
};

struct ring {
    int stage;
    uint32_t parity;
};

__device__ __forceinline__ void ring_advance(ring &r)
{
    if (++r.stage == STAGES) {
        r.stage = 0;
        r.parity ^= 1;
    }
}

template <int n> struct product;
#define PRODUCT_WIDTH(n)                                                                           \
    template <> struct product<n> {                                                                \
        static __device__ __forceinline__ void issue(float (&d)[n / 2], uint64_t a, uint64_t b,    \
                                                     bool accumulate)                              \
        {                                                                                          \
            product_m64n##n<!B_ROW_MAJOR>(d, a, b, accumulate);                                    \
        }                                                                                          \
    }
PRODUCT_WIDTH(64);
PRODUCT_WIDTH(128);
PRODUCT_WIDTH(192);
PRODUCT_WIDTH(256);

struct tile {
    int row, column; /* in tiles of a cluster along M, of a block along N */
};

__device__ __forceinline__ tile tile_of(int index, int tiles_m, int tiles_n)
{
    int band = index / (GROUP * tiles_n), first = band * GROUP;
    int height = min(GROUP, tiles_m - first);
    int within = index - band * GROUP * tiles_n;
    return {first + within % height, within / height};
}

/* Asked for where it is needed: kept, it holds a register that large tiles need for their sums. */
__device__ __forceinline__ uint32_t place_in_cluster()
{
    return CLUSTER > 1 ? cluster_rank() : 0;
}

__device__ __forceinline__ void release(stage_memory &s, int stage, int lane)
{
    if (CLUSTER > 1) {
        if (lane < CLUSTER)
            barrier_arrive_at(&s.empty[stage], lane);
    } else if (lane == 0) {
        barrier_arrive(&s.empty[stage]);
    }
}

/* This block's share of a tile of B: all of it, or one part that every block of the cluster gets.
 */
__device__ __forceinline__ void load_b(stage_memory &s, int stage, const CUtensorMap *map_b, int k,
                                       int column, uint32_t rank)
{
    const int part = BLOCK_N / CLUSTER, box = B_ROW_MAJOR ? 64 : part;
#pragma unroll
    for (int n = 0; n < part; n += box) {
        int at = rank * part + n;
        int x = B_ROW_MAJOR ? column + at : k, y = B_ROW_MAJOR ? k : column + at;
        element *to = &s.b[stage][at * BLOCK_K];
        if (CLUSTER > 1)
            copy_load_multicast(to, map_b, &s.full[stage], x, y, (1 << CLUSTER) - 1);
        else
            copy_load(to, map_b, &s.full[stage], x, y);
    }
}

__device__ __forceinline__ void load_stage(stage_memory &s, const ring &r, const CUtensorMap *map_a,
                                           const CUtensorMap *map_b, int k, int row, int column,
                                           uint32_t rank)
{
    barrier_expect(&s.full[r.stage], (BLOCK_M + BLOCK_N) * BLOCK_K * sizeof(element));
    copy_load(s.a[r.stage], map_a, &s.full[r.stage], k * BLOCK_K, row);
    load_b(s, r.stage, map_b, k * BLOCK_K, column, rank);
}

/* The first stages of the first tile, into the cache that all blocks share: what the launch before
 * still writes there is written in the cache. */
__device__ __forceinline__ void fetch_ahead(const CUtensorMap *map_a, const CUtensorMap *map_b,
                                            tile t, int steps)
{
    uint32_t rank = place_in_cluster();
    for (int k = 0; k < min(AHEAD, steps); k++) {
        copy_prefetch(map_a, k * BLOCK_K, (t.row * CLUSTER + rank) * BLOCK_M);
        copy_prefetch(map_b, k * BLOCK_K, t.column * BLOCK_N + rank * (BLOCK_N / CLUSTER));
    }
}

/* Sixteen steps along K of a tile of B. Across K, groups of 64 columns lie one box apart. */
__device__ __forceinline__ uint64_t operand_b(const element *b, int kk)
{
    return B_ROW_MAJOR ? product_operand(b + kk * 16 * 64, 64 * BLOCK_K * sizeof(element))
                       : product_operand(b + kk * 16);
}

#if STORE_BY_COPY || COALESCE
/* 64 rows of 64 columns, swizzled; each warp writes its own sixteen rows. */
__device__ __forceinline__ void stage_columns(element *staging, const float *v, int lane)
{
    int at_row = lane / 32 * 16 + lane % 16;
#pragma unroll
    for (int j = 0; j < STORE_COLUMNS / 16; j++, v += 8) {
        int chunk = j * 2 + lane % 32 / 16;
        uint32_t at = shared_address(staging) + at_row * 128 + ((chunk ^ (at_row & 7)) << 4);
        store_matrices(at, pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7]));
    }
}
#endif

#if STORE_BY_COPY
/* 64 columns at a time through two swizzled buffers by turns, `first` before the other; one thread
 * starts every store, so its own group counts are the ones it waits on. */
__device__ __forceinline__ void store_tile(stage_memory &s, const CUtensorMap *map_c,
                                           float (&acc)[PRODUCTS][BLOCK_N / 2], int consumer,
                                           int lane, int row, int column, int first)
{
#pragma unroll
    for (int m = 0; m < PRODUCTS; m++)
#pragma unroll
        for (int n = 0; n < BLOCK_N / STORE_COLUMNS; n++) {
            element *staging = s.c[consumer][(first + m * (BLOCK_N / STORE_COLUMNS) + n) & 1];
            if (lane == 0)
                copy_store_wait_read<1>();
            named_sync(consumer + 1, WARPGROUP);
            stage_columns(staging, &acc[m][n * (STORE_COLUMNS / 2)], lane);
            proxy_fence();
            named_sync(consumer + 1, WARPGROUP);
            if (lane == 0) {
                copy_store(map_c, staging, column + n * STORE_COLUMNS, row + m * 64);
                copy_store_commit();
            }
        }
}
#elif COALESCE
/* Writes 64 neighbours of one row, which begin at `at`: two a lane where that is aligned, else the
 * pairs that are and one element at either end. */
__device__ __forceinline__ void store_run(element *at, const element *staging, int row, int l,
                                          int columns)
{
    auto staged = [&](int i) {
        return staging[row * STORE_COLUMNS + ((i / 8 ^ (row & 7)) << 3) + i % 8];
    };
    int odd = (int)((size_t)at >> 1 & 1), i = 2 * l + odd, end = min(columns, STORE_COLUMNS);
    if (i + 1 < end) {
        element_pair two;
        two.x = staged(i);
        two.y = staged(i + 1);
        *(element_pair *)(at + i) = two;
    } else if (i < end) {
        at[i] = staged(i);
    }
    if (odd && l == 0)
        at[0] = staged(0);
}

/* A warp gathers sixteen rows of 64 columns in shared memory and writes them row by row. */
__device__ __forceinline__ void store_tile(stage_memory &s, element *c,
                                           float (&acc)[PRODUCTS][BLOCK_N / 2], int consumer,
                                           int lane, int row, int column, int M, int N)
{
    element *staging = s.c[consumer][0];
#pragma unroll
    for (int m = 0; m < PRODUCTS; m++)
#pragma unroll
        for (int n = 0; n < BLOCK_N / STORE_COLUMNS; n++) {
            stage_columns(staging, &acc[m][n * (STORE_COLUMNS / 2)], lane);
            __syncwarp();
            int x = column + n * STORE_COLUMNS, first = lane / 32 * 16;
#pragma unroll 4
            for (int i = first; i < first + 16; i++)
                if (row + m * 64 + i < M && x < N)
                    store_run(c + (size_t)(row + m * 64 + i) * N + x, staging, i, lane % 32, N - x);
            __syncwarp();
        }
}
#else
__device__ __forceinline__ void store_tile(element *c, float (&acc)[PRODUCTS][BLOCK_N / 2],
                                           int lane, int row, int column, int M, int N)
{
    int warp = lane / 32, l = lane % 32;
#pragma unroll
    for (int m = 0; m < PRODUCTS; m++)
#pragma unroll
        for (int i = 0; i < BLOCK_N / 2; i++) {
            int r = row + m * 64 + warp * 16 + l / 4 + (i / 2 % 2) * 8;
            int col = column + i / 4 * 8 + (l % 4) * 2 + i % 2;
            if (r < M && col < N)
                c[(size_t)r * N + col] = narrow(acc[m][i]);
        }
}
#endif

extern "C" __global__ __launch_bounds__(THREADS,
                                        1) void matmul(const __grid_constant__ CUtensorMap map_a,
                                                       const __grid_constant__ CUtensorMap map_b,
                                                       const __grid_constant__ CUtensorMap map_c,
                                                       element *c, int M, int N, int K)
{
    extern __shared__ __align__(1024) uint8_t raw[];
    stage_memory &s = *(stage_memory *)raw;
    int role = threadIdx.x / WARPGROUP;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&s.full[i], 1);
            barrier_init(&s.empty[i], CONSUMERS * CLUSTER);
        }
        barrier_init_fence();
        copy_prefetch_map(&map_a);
        copy_prefetch_map(&map_b);
    }
    if (CLUSTER > 1)
        cluster_sync();
    else
        __syncthreads();

    int tiles_m = (M + BLOCK_M * CLUSTER - 1) / (BLOCK_M * CLUSTER),
        tiles_n = (N + BLOCK_N - 1) / BLOCK_N;
    int tiles = tiles_m * tiles_n, stride = gridDim.x / CLUSTER,
        steps = (K + BLOCK_K - 1) / BLOCK_K;
    if (EARLY) {
        launch_dependents();
        if (threadIdx.x == 0)
            fetch_ahead(&map_a, &map_b, tile_of(blockIdx.x / CLUSTER, tiles_m, tiles_n), steps);
        launch_await();
    }

    if (role == CONSUMERS) {
        registers_release<PRODUCER_REGISTERS>();
        if (threadIdx.x == CONSUMERS * WARPGROUP) {
            ring r = {0, 1};
            uint32_t rank = place_in_cluster();
            for (int index = blockIdx.x / CLUSTER; index < tiles; index += stride) {
                tile t = tile_of(index, tiles_m, tiles_n);
                for (int k = 0; k < steps; k++, ring_advance(r)) {
                    barrier_wait(&s.empty[r.stage], r.parity);
                    load_stage(s, r, &map_a, &map_b, k, (t.row * CLUSTER + rank) * BLOCK_M,
                               t.column * BLOCK_N, rank);
                }
            }
            /* The block may not end while a peer still sends to it or arrives on its barriers. */
            for (int i = 0; CLUSTER > 1 && i < STAGES; i++, ring_advance(r))
                barrier_wait(&s.empty[r.stage], r.parity);
        }
    } else {
        registers_take<CONSUMER_REGISTERS>();
        float acc[PRODUCTS][BLOCK_N / 2];
        ring r = {0, 0};
        int lane = threadIdx.x % WARPGROUP;
        [[maybe_unused]] int first = 0;
        for (int index = blockIdx.x / CLUSTER; index < tiles; index += stride) {
            tile t = tile_of(index, tiles_m, tiles_n);
            int row = (t.row * CLUSTER + place_in_cluster()) * BLOCK_M + role * ROWS;
            int column = t.column * BLOCK_N;
            int before = -1;
            for (int k = 0; k < steps; k++, ring_advance(r)) {
                barrier_wait(&s.full[r.stage], r.parity);
                product_fence();
#pragma unroll
                for (int kk = 0; kk < BLOCK_K / 16; kk++)
#pragma unroll
                    for (int m = 0; m < PRODUCTS; m++)
                        product<BLOCK_N>::issue(
                            acc[m],
                            product_operand(
                                &s.a[r.stage][(role * ROWS + m * 64) * BLOCK_K + kk * 16]),
                            operand_b(s.b[r.stage], kk), k > 0 || kk > 0);
                product_commit();
                /* One group stays in flight; the stage before it has been read. */
                product_wait<1>();
                if (before >= 0)
                    release(s, before, lane);
                before = r.stage;
            }
            product_wait<0>();
            release(s, before, lane);
#if STORE_BY_COPY
            store_tile(s, &map_c, acc, role, lane, row, column, first);
            first ^= PRODUCTS * (BLOCK_N / STORE_COLUMNS) & 1; /* turns go on in the next tile */
#elif COALESCE
            store_tile(s, c, acc, role, lane, row, column, M, N);
#else
            store_tile(c, acc, lane, row, column, M, N);
#endif
        }
        if (STORE_BY_COPY && lane == 0)
            copy_store_wait_read<0>();
    }
    if (CLUSTER > 1)
        cluster_sync();
}
