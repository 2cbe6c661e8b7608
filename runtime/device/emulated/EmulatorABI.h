/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The contract between translated GPU kernels, the emulator that runs them and
 * whoever launches them. Plain C: the translator writes calls to these functions
 * into machine code by their offsets. Nothing here is stored in plans. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct GrokEmulatorTable GrokEmulatorTable;

/* Special registers, as indices into GrokEmulatorThread::registers. */
enum GrokEmulatorRegister {
  grokTidX,
  grokTidY,
  grokTidZ,
  grokNtidX,
  grokNtidY,
  grokNtidZ,
  grokCtaidX,
  grokCtaidY,
  grokCtaidZ,
  grokNctaidX,
  grokNctaidY,
  grokNctaidZ,
  grokLaneId,
  grokWarpId,
  grokWarpCount,
  grokWarpSize,
  grokClusterIdX,
  grokClusterCountX,
  grokClusterCtaidX,
  grokClusterNctaidX,
  grokClusterCtarank,
  grokClusterNctarank,
  grokOne, /* every y and z dimension */
  grokZero,
  grokSmId,
  grokSmCount,
  grokLanemaskEq,
  grokLanemaskLe,
  grokLanemaskLt,
  grokLanemaskGe,
  grokLanemaskGt,
  grokRegisterCount
};

/* What a GPU thread sees of itself: the first argument of all its code. */
typedef struct GrokEmulatorThread {
  const GrokEmulatorTable *table;
  unsigned char *shared; /* the block's shared memory, on a boundary of 256 KiB */
  uint32_t registers[grokRegisterCount];
} GrokEmulatorThread;

/* Where a call stands in the kernel: "nvvm.barrier0 #3 at gemm.mlir:12". Two
 * calls from the same op have the same pointer. */
typedef const char *GrokEmulatorSite;

/* Volatile loads count as atomic ones. */
enum GrokEmulatorAccess { grokLoad = 0, grokStore = 1, grokAtomic = 2, grokAtomicLoad = 3 };
/* Of atomic accesses, with those of other blocks. */
enum GrokEmulatorOrder { grokRelaxed = 0, grokAcquire = 1, grokRelease = 2 };
enum GrokEmulatorSpace { grokGeneric = 0, grokGlobal = 1, grokShared = 3, grokSharedCluster = 7 };
enum GrokEmulatorShuffle { grokShuffleXor, grokShuffleUp, grokShuffleDown, grokShuffleIndex };
enum GrokEmulatorVote { grokVoteAny, grokVoteAll, grokVoteBallot, grokVoteUniform };
enum GrokEmulatorRedux {
  grokReduxAdd,
  grokReduxAnd,
  grokReduxOr,
  grokReduxXor,
  grokReduxMin,
  grokReduxMax,
  grokReduxUmin,
  grokReduxUmax,
  grokReduxFmin,
  grokReduxFmax
};
enum GrokEmulatorElement {
  grokS8,
  grokU8,
  grokF16,
  grokBf16,
  grokTf32,
  grokE4m3,
  grokE5m2,
};
enum GrokEmulatorFunction {
  grokExp2,
  grokLog2,
  grokSin,
  grokCos,
  grokTanh,
  grokExp,
  grokLog,
  grokRcp,
  grokRsqrt,
  grokSqrt,
  grokFlushSubnormals = 256 /* added: subnormal arguments and results are zeros */
};
enum GrokEmulatorFence { grokFenceProxyAsync = 1, grokFenceOther = 0 };

/* One mma.sync of shape m16n8: A row-major, B column-major. */
typedef struct GrokEmulatorMma {
  uint8_t elementA, elementB; /* GrokEmulatorElement */
  uint8_t k;                  /* 4..64; A has k * bits / 64 registers, B half as many */
  uint8_t saturate;           /* integers only: clamp sums to int32 instead of wrapping */
} GrokEmulatorMma;

/* One wgmma.mma_async of shape m64nNk32B: 256 bits of k. */
typedef struct GrokEmulatorWgmma {
  uint8_t elementA, elementB;
  uint16_t n;     /* multiple of 8 up to 256 */
  uint32_t flags; /* GrokEmulatorWgmmaFlag */
} GrokEmulatorWgmma;

enum GrokEmulatorWgmmaFlag {
  grokWgmmaNegateA = 1,
  grokWgmmaNegateB = 2,
  grokWgmmaTransposeA = 4, /* 16-bit elements only */
  grokWgmmaTransposeB = 8,
  grokWgmmaAccumulate = 16 /* D = A * B + D instead of A * B */
};

/* Stands in the 128 bytes of a CUtensorMap. Dimension 0 is the fastest. */
typedef struct GrokEmulatorTensorMap {
  uint64_t magic; /* GROK_TENSOR_MAP_MAGIC */
  void *base;     /* global, multiple of 16 */
  uint32_t rank;  /* 1..5 */
  uint32_t elementBytes;
  uint32_t size[5];   /* elements */
  uint32_t box[5];    /* elements, at most 256 each */
  uint64_t stride[4]; /* bytes, of dimensions 1.., multiples of 16 */
  uint32_t swizzle;   /* 0, 32, 64 or 128 bytes */
  uint32_t reserved[7];
} GrokEmulatorTensorMap;
#define GROK_TENSOR_MAP_MAGIC 0x50414d524f534e54ull

/* The primitives. A null address in place of an mbarrier (init, arrive) or of
 * shared memory (tensor copies) stands for a false predicate: nothing happens.
 * Pointers to shared memory are host addresses inside
 * GrokEmulatorThread::shared of a block of the cluster. A call that finds an
 * error does not return: it ends the launch. Comments name the PTX. */
struct GrokEmulatorTable {
  /* First call of every kernel: bytes of static shared memory it has. */
  void (*enter)(GrokEmulatorThread *, uint64_t staticSharedBytes);
  /* Before a load or store of `bytes` bytes; `how` = access | space << 4 | alignment << 8
   * | order << 24. */
  void (*access)(GrokEmulatorThread *, const void *address, uint32_t bytes, uint32_t how,
                 GrokEmulatorSite);
  /* Before an atomic or volatile access, and for nanosleep: others may run. */
  void (*pause)(GrokEmulatorThread *, GrokEmulatorSite);
  void (*trap)(GrokEmulatorThread *, GrokEmulatorSite);

  /* bar.sync / bar.arrive / bar.red; `threads` 0 = all of the block. */
  void (*barrier)(GrokEmulatorThread *, uint32_t id, uint32_t threads, GrokEmulatorSite);
  void (*barrierArrive)(GrokEmulatorThread *, uint32_t id, uint32_t threads, GrokEmulatorSite);
  /* `how`: 0 popc, 1 and, 2 or. */
  uint32_t (*barrierReduce)(GrokEmulatorThread *, uint32_t id, uint32_t threads, uint32_t how,
                            uint32_t predicate, GrokEmulatorSite);
  void (*clusterArrive)(GrokEmulatorThread *, GrokEmulatorSite);
  void (*clusterWait)(GrokEmulatorThread *, GrokEmulatorSite);
  void *(*mapShared)(GrokEmulatorThread *, const void *address, uint32_t rank, GrokEmulatorSite);
  void (*fence)(GrokEmulatorThread *, uint32_t kind, GrokEmulatorSite);

  void (*syncWarp)(GrokEmulatorThread *, uint32_t mask, GrokEmulatorSite);
  /* shfl.sync: value | predicate << 32. `how` = kind << 16 | mask and clamp. */
  uint64_t (*shuffle)(GrokEmulatorThread *, uint32_t mask, uint32_t value, uint32_t lane,
                      uint32_t how, GrokEmulatorSite);
  uint32_t (*vote)(GrokEmulatorThread *, uint32_t mask, uint32_t predicate, uint32_t how,
                   GrokEmulatorSite);
  /* match.sync: mask | predicate << 32. `all` = 1: match.all. */
  uint64_t (*match)(GrokEmulatorThread *, uint32_t mask, uint64_t value, uint32_t all,
                    GrokEmulatorSite);
  /* redux.sync; `how` = kind | abs << 8 | nan << 9. */
  uint32_t (*redux)(GrokEmulatorThread *, uint32_t mask, uint32_t value, uint32_t how,
                    GrokEmulatorSite);
  uint32_t (*elect)(GrokEmulatorThread *, uint32_t mask, GrokEmulatorSite);

  /* ldmatrix/stmatrix.m8n8.b16: `matrices` 1, 2 or 4 registers a lane. */
  void (*loadMatrix)(GrokEmulatorThread *, const void *row, uint32_t matrices, uint32_t transpose,
                     uint32_t *out, GrokEmulatorSite);
  void (*storeMatrix)(GrokEmulatorThread *, void *row, uint32_t matrices, uint32_t transpose,
                      const uint32_t *in, GrokEmulatorSite);
  /* mma.sync: `in` = registers of A, B and C one after another, `out` = D. */
  void (*mma)(GrokEmulatorThread *, const GrokEmulatorMma *, const uint32_t *in, uint32_t *out,
              GrokEmulatorSite);

  /* cp.async: `sourceBytes` of `bytes` are read, the rest becomes zero. */
  void (*copyAsync)(GrokEmulatorThread *, void *to, const void *from, uint32_t bytes,
                    uint32_t sourceBytes, GrokEmulatorSite);
  void (*copyCommit)(GrokEmulatorThread *, GrokEmulatorSite);
  void (*copyWait)(GrokEmulatorThread *, uint32_t pending, GrokEmulatorSite);
  void (*copyArrive)(GrokEmulatorThread *, void *mbarrier, uint32_t noIncrement, GrokEmulatorSite);

  void (*mbarrierInit)(GrokEmulatorThread *, void *, uint32_t count, GrokEmulatorSite);
  void (*mbarrierInvalidate)(GrokEmulatorThread *, void *, GrokEmulatorSite);
  /* Returns the phase before. `how` = 1: arrive_drop. */
  uint64_t (*mbarrierArrive)(GrokEmulatorThread *, void *, uint32_t count, uint32_t transactions,
                             uint32_t how, GrokEmulatorSite);
  /* expect_tx (bytes > 0) or complete_tx (bytes < 0) without an arrival. */
  void (*mbarrierTransactions)(GrokEmulatorThread *, void *, int64_t bytes, GrokEmulatorSite);
  uint32_t (*mbarrierTest)(GrokEmulatorThread *, void *, uint64_t stateOrParity, uint32_t isParity,
                           GrokEmulatorSite);
  void (*mbarrierWait)(GrokEmulatorThread *, void *, uint32_t parity, GrokEmulatorSite);

  /* cp.async.bulk. `multicast` = mask of blocks of the cluster, 0 = this one. */
  void (*bulkToShared)(GrokEmulatorThread *, void *to, void *mbarrier, const void *from,
                       uint32_t bytes, uint32_t multicast, GrokEmulatorSite);
  void (*bulkToCluster)(GrokEmulatorThread *, void *to, void *mbarrier, const void *from,
                        uint32_t bytes, GrokEmulatorSite);
  void (*bulkToGlobal)(GrokEmulatorThread *, void *to, const void *from, uint32_t bytes,
                       GrokEmulatorSite);
  void (*tensorToShared)(GrokEmulatorThread *, void *to, const GrokEmulatorTensorMap *,
                         const int32_t *coordinates, void *mbarrier, uint32_t multicast,
                         GrokEmulatorSite);
  void (*tensorToGlobal)(GrokEmulatorThread *, const GrokEmulatorTensorMap *, const void *from,
                         const int32_t *coordinates, GrokEmulatorSite);
  void (*bulkCommit)(GrokEmulatorThread *, GrokEmulatorSite);
  /* `read` = 1: only the reading of the sources has ended. */
  void (*bulkWait)(GrokEmulatorThread *, uint32_t pending, uint32_t read, GrokEmulatorSite);

  /* wgmma: the n / 2 accumulators of a lane are tokens until their group was
   * waited for; every use of one outside wgmma goes through wgmmaResult, which
   * gives other values back as they are. `a` and `b` are descriptors. */
  void (*wgmma)(GrokEmulatorThread *, const GrokEmulatorWgmma *, uint64_t a, uint64_t b,
                const uint32_t *in, uint32_t *out, GrokEmulatorSite);
  void (*wgmmaFence)(GrokEmulatorThread *, GrokEmulatorSite);
  void (*wgmmaCommit)(GrokEmulatorThread *, GrokEmulatorSite);
  void (*wgmmaWait)(GrokEmulatorThread *, uint32_t pending, GrokEmulatorSite);
  uint32_t (*wgmmaResult)(GrokEmulatorThread *, uint32_t token, uint32_t index, GrokEmulatorSite);

  /* Approximate functions of PTX, here correctly rounded from float64. */
  float (*function)(GrokEmulatorThread *, float, uint32_t which);
  /* prmt: byte i of the result is byte `selector >> 4 i & 7` of low and high,
   * or its sign in all bits where bit 3 is set. */
  uint32_t (*permute)(GrokEmulatorThread *, uint32_t low, uint32_t high, uint32_t selector);

  /* griddepcontrol.wait: the launches before have ended. A kernel with one says so first;
   * it may start before they have. */
  void (*startsEarly)(GrokEmulatorThread *);
  void (*waitForLaunches)(GrokEmulatorThread *);

  /* What the thread spins for from here on, for messages: that the counter of task
   * `awaited` is `target` at least, before task `task`. Null: for nothing any more. */
  void (*awaitCounter)(GrokEmulatorThread *, const void *counter, uint32_t target, uint32_t task,
                       uint32_t awaited);

  /* tcgen05, cta_group::1. Addresses of tensor memory are lane << 16 | column.
   * alloc writes one to shared memory. */
  void (*tmemAllocate)(GrokEmulatorThread *, void *to, uint32_t columns, GrokEmulatorSite);
  void (*tmemDeallocate)(GrokEmulatorThread *, uint32_t address, uint32_t columns,
                         GrokEmulatorSite);
  void (*tmemRelinquish)(GrokEmulatorThread *, GrokEmulatorSite);
  /* mma of kind::i8: A and B by shared memory descriptors; D = A * B, or A * B + D. */
  void (*tmemMultiply)(GrokEmulatorThread *, uint32_t d, uint64_t a, uint64_t b,
                       uint32_t instruction, uint32_t accumulates, GrokEmulatorSite);
  void (*tmemCommit)(GrokEmulatorThread *, void *mbarrier, GrokEmulatorSite);
  /* ld.32x32b gives a token; each of its registers is asked for by tmemLoaded. */
  uint32_t (*tmemLoad)(GrokEmulatorThread *, uint32_t address, uint32_t columns, GrokEmulatorSite);
  uint32_t (*tmemLoaded)(GrokEmulatorThread *, uint32_t token, uint32_t index, GrokEmulatorSite);
  void (*tmemStore)(GrokEmulatorThread *, uint32_t address, uint32_t columns, const uint32_t *in,
                    GrokEmulatorSite);
  void (*tmemWait)(GrokEmulatorThread *, uint32_t isStore, GrokEmulatorSite);
  void (*tmemFence)(GrokEmulatorThread *, uint32_t isAfter, GrokEmulatorSite);
};

/* What a translated kernel exports: `values[i]` is the address of parameter i. */
typedef void (*GrokEmulatedKernel)(GrokEmulatorThread *, void *const *values);

/* Global memory that a launch may touch. Regions do not overlap. */
typedef struct GrokEmulatorRegion {
  const void *address;
  uint64_t bytes;
  const char *name;
  uint32_t isWritable;
} GrokEmulatorRegion;

enum GrokEmulatorSchedule {
  grokScheduleInOrder,    /* warps in turn, each to its next collective */
  grokScheduleRandom,     /* any lane of any warp, also between memory accesses */
  grokScheduleGreedyWarp, /* one random warp as far as it gets */
};

typedef struct GrokEmulatorLaunch {
  const char *name; /* for messages */
  GrokEmulatedKernel kernel;
  void *const *values;
  uint32_t blocks, threads; /* 1-D; threads a multiple of 32, at most 1024 */
  uint32_t clusterBlocks;   /* 1..16, divides blocks */
  uint32_t dynamicSharedBytes;
  const GrokEmulatorRegion *regions;
  uint32_t regionCount;
  uint32_t schedule; /* GrokEmulatorSchedule */
  uint32_t seed;
  uint32_t osThreads;     /* blocks are spread over them; 1 = deterministic */
  uint32_t checkAccesses; /* 0: bounds and pending copies are not checked */
  uint32_t knowsWrites;   /* what earlier launches may still write is writable, all else not */
  uint32_t hasPeers;      /* other launches write what this one waits for, at their own time */
  uint32_t blocksMeet;    /* they hand memory to each other: races between them are looked for */
} GrokEmulatorLaunch;

/* Holds stacks and shared memory between launches. One launch at a time. */
typedef struct GrokEmulator GrokEmulator;

/* The library's exports. grokEmulatorCreate returns null and a line of text if
 * this host cannot run translated kernels; grokEmulatorLaunch returns 0, or -1
 * and one line of text. Text is cut to `capacity` and ends in 0. */
GrokEmulator *grokEmulatorCreate(char *text, uint64_t capacity);
int grokEmulatorLaunch(GrokEmulator *, const GrokEmulatorLaunch *, char *text, uint64_t capacity);
void grokEmulatorDestroy(GrokEmulator *);

#ifdef __cplusplus
}
static_assert(sizeof(GrokEmulatorTensorMap) == 128, "takes the place of a CUtensorMap");
#endif
