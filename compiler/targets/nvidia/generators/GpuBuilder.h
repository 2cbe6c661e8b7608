// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The frame of one GPU kernel and short names for what a thread can do. Counts and
// byte offsets are 64-bit, as in VectorBuilder; scalars per thread.
#pragma once

#include "compiler/kernels/KernelSpec.h"
#include "compiler/kernels/VectorBuilder.h"
#include "compiler/targets/nvidia/Chips.h"
#include "compiler/targets/nvidia/GpuShape.h"
#include "mlir/IR/BuiltinOps.h"
#include <source_location>

namespace grok::compiler {

inline constexpr int64_t warpLanes = 32;

/// Adds `gpu.module @kernels { gpu.func @symbol }` to `module` and emits its body.
/// Parameters, all device addresses: the operands in the order of the plan, then
/// the step (GrokStepInfo whose pointers are device addresses), then the kernel's
/// scratch memory.
class GpuBuilder : public VectorBuilder {
public:
  /// `threads` of a block, a multiple of 32. Blocks of a cluster take the same tiles.
  GpuBuilder(mlir::ModuleOp module, llvm::StringRef symbol, const KernelSpec &spec,
             const NvidiaChip &chip, int64_t threads, int64_t clusterBlocks = 1);

  const KernelSpec &spec;
  const NvidiaChip &chip;
  const int64_t threads, warps, clusterBlocks;
  bool isAhead = false; // a task of a persistent kernel that has not waited for others yet

  Type shared; // a pointer to shared memory; `pointer` is one to device memory

  // GrokStepInfo
  Value rows, tokens, positions, sequences, pageTable, pageTableStride, logitRows, logitRow, draws;

  // Who this thread is, as counts; those in 32 bits for instructions. `block` of `blocks`
  // is the cluster's number where clusters have several, `rank` the block's in it.
  Value thread, lane, warp, block, blocks, rank;
  Value thread32, lane32;

  Value operand(int64_t position) const { return operands[position]; }

  /// A fresh part of the block's shared memory, of the kernel's own memory (zero
  /// before the first launch).
  Value sharedMemory(int64_t bytes, int64_t alignment = 16);
  Value scratchMemory(int64_t bytes);

  /// Blocks take the tiles in turn; all threads of a block enter `body` together.
  /// `most` tiles can there be.
  void forTiles(Value tiles, int64_t most, llvm::function_ref<void(Value tile)> body);

  /// Blocks that a multiprocessor must be able to hold: bounds registers, which the
  /// assembler else may save by spilling.
  void holdBlocks(int64_t blocks);
  /// Blocks of one launch that a multiprocessor gets at most: leaves room for the next
  /// launch's, which then start early.
  void limitBlocks(int64_t blocks);
  /// The kernel's blocks wait for each other.
  void launchCooperatively() { isCooperative = true; }
  /// The kernel waits for what launches of other ranks' devices write.
  void awaitPeers() { awaitsPeers = true; }
  /// Loops stay as they are written: their bodies keep enough loads in flight.
  void keepLoops();
  /// From here on multiplyAdd rounds the product, as processors without FMA do.
  void roundProducts() { hasFma = false; }

  /// Until all earlier launches have ended. On chips with hasEarlyLaunches a launch may
  /// start before: until here it reads only weights and the step, and writes nothing but
  /// shared memory. Every kernel has it once, outside of branches; of those that do not
  /// place it, it is the beginning (generateGpuKernel).
  void waitForEarlierLaunches();
  /// The next launch may start once all blocks are here.
  void admitLaterLaunches();

  /// body(i) for i = thread, thread + threads, .. below `count`.
  void forThreads(Value count, llvm::function_ref<void(Value i)> body);
  void forThreads(int64_t count, llvm::function_ref<void(Value i)> body);

  // ---- threads among themselves; the emulator names them by the generator's line

  using Source = std::source_location;
  void barrier(Source where = Source::current());
  void syncWarp(Source where = Source::current());
  /// 32-bit scalars, integer or float, of the warp's lane with number lane ^ mask,
  /// or `source`.
  Value shuffleXor(Value value, int32_t mask, Source where = Source::current());
  Value shuffleFrom(Value value, Value source32, Source where = Source::current());
  /// Over the lanes: +16, +8, .. +1, equal bits in all of them.
  Value warpSum(Value value, Source where = Source::current());
  Value warpMaximum(Value value, Source where = Source::current());
  /// Bit i: whether `condition` holds in lane i.
  Value ballot(Value condition);
  Value lanesBelow(); // bits of the lanes before this one
  Value countBits(Value word);

  // ---- functions of the special function unit (PTX ISA, "ex2", "rcp", "rsqrt")
  Value exp2Approximate(Value x);
  Value reciprocalApproximate(Value x);
  Value rsqrtApproximate(Value x);

  // ---- products
  /// acc + sum of four products of signed bytes in 32-bit words.
  Value dot4(Value a, Value b, Value accumulator);
  /// mma.sync.m16n8k32: four words of A, two of B, four sums; unsigned or signed A.
  Values mmaBytes(ValueRange a, ValueRange b, ValueRange sums, bool unsignedA);
  /// mma.sync.m16n8k16 of bfloat16 pairs, float32 sums.
  Values mmaBf16(ValueRange a, ValueRange b, ValueRange sums);

  /// ldmatrix: `count` (1, 2 or 4) matrices of 8 x 8 16-bit elements, a word of each
  /// per lane; lane i gives the address of row i % 8 of matrix i / 8. `transposed`:
  /// the lane's two elements are neighbours in a column.
  Values loadMatrices(Value address, int64_t count, bool transposed);

  // ---- copies from device to shared memory (cp.async): 4, 8 or 16 bytes
  void copyAsync(Value toShared, Value from, int64_t bytes, Source where = Source::current());
  void commitCopies();
  void waitForCopies(int64_t pendingGroups, Source where = Source::current());

  // ---- bulk copies and the barriers in shared memory (mbarrier, 8 bytes) that count
  // their bytes; chips with hasBulkCopies
  void initBarrier(Value barrier, int32_t arrivals);
  /// After initBarrier, before the first copy: makes the barriers known to it.
  void fenceBarriers();
  /// Its memory may hold something else afterwards; nobody waits for it any more.
  void endBarrier(Value barrier);
  /// The thread's arrival, which brings that many bytes with it.
  void arriveExpecting(Value barrier, int32_t bytes, Source where = Source::current());
  /// Until the phase of that parity (an int32, 0 or 1) has ended.
  void waitForPhase(Value barrier, Value parity, Source where = Source::current());
  /// A multiple of 16 bytes between addresses that are such; they are counted by
  /// `barrier`. Of device memory that nobody reads a second time.
  void copyBulk(Value toShared, Value from, int32_t bytes, Value barrier,
                Source where = Source::current());
  /// Asks the second-level cache for as much, an int32.
  void prefetchBulk(Value from, Value bytes, Source where = Source::current());

  /// A place for one value that changes, `type` of the value; registers hold it. Read
  /// and written with load() and store().
  Value variable(Value initial);

  // ---- warpgroups: four warps, sm_90a; the first four functions on sm_100a, too
  /// The thread's arrival at an mbarrier.
  void arrive(Value barrier, Source where = Source::current());
  /// What this thread has written to shared memory may be read by wgmma.
  void fenceForAsync(Source where = Source::current());
  /// setmaxnreg: takes registers from the block's pool, or gives some back.
  void takeRegisters(int64_t count);
  void giveRegisters(int64_t count);
  /// Of a tile in shared memory whose rows are 128 bytes, swizzled, eight to 1024.
  Value matrixDescriptor(Value tile);
  /// wgmma.m64nNk32 of signed bytes: A and B by descriptors, both K-major. `sums`
  /// is what an earlier one gave, or null for zeros.
  Value multiplyBytesAsync(Value a, Value b, Value sums, int64_t n,
                           Source where = Source::current());
  void fenceProducts(Source where = Source::current());
  void commitProducts();
  void waitForProducts(Source where = Source::current());
  /// The n / 2 sums of a lane, once they are waited for: 4 j + 2 h + i is of row
  /// lane / 4 + 8 h of the warp's sixteen and column 8 j + lane % 4 * 2 + i.
  Values sumsOf(Value products, int64_t n);

  // ---- tensor memory: 128 lanes by 512 columns of a block, sm_100a. Addresses are
  // int32, lane << 16 | column
  /// Whether this is the one lane that its warp, all of whose lanes are here, chooses.
  Value isElected(Source where = Source::current());
  /// By one warp: `columns`, a power of two from 32 on, whose address it writes to shared
  /// memory; no others after it. And back, by the same warp, once nobody uses them.
  void allocateTensor(Value toShared, int32_t columns, Source where = Source::current());
  void freeTensor(Value address, int32_t columns, Source where = Source::current());
  /// matrixDescriptor for tcgen05.
  Value tensorDescriptor(Value tile);
  /// By one thread: D = A * B, or that plus D, of signed bytes, 128 x 32 by 32 x n, both
  /// K-major in shared memory. Later ones of the thread follow in order.
  void multiplyBytesTensor(Value d, Value a, Value b, int32_t n, bool accumulates,
                           Source where = Source::current());
  /// An arrival at the mbarrier when all products of the thread are complete.
  void commitTensor(Value barrier, Source where = Source::current());
  /// `columns` words of each of the lanes that the warp reaches, 32 times its number
  /// modulo 4 on, to its lanes; to be read by tensorWord() once they are waited for.
  Value loadTensor(Value address, int64_t columns, Source where = Source::current());
  Value tensorWord(Value loaded, int64_t column);
  void storeTensor(Value address, ValueRange words, Source where = Source::current());
  void waitForTensorLoads(Source where = Source::current());
  void waitForTensorStores(Source where = Source::current());
  /// On both sides of what orders this thread's tensor memory accesses with another's.
  void fenceTensorBefore(Source where = Source::current());
  void fenceTensorAfter(Source where = Source::current());

  // ---- several blocks
  /// All threads of the cluster; what was written before, to device memory or to shared
  /// memory of any block, is seen after.
  void meetCluster(Source where = Source::current());
  /// The place of a shared address in the shared memory of the cluster's block `rank`,
  /// between the first and the last meeting.
  Value sharedOf(Value rank, Value address);

  /// Adds to a word of device memory and gives what was there, after all earlier
  /// writes of this thread, before all its later reads.
  Value fetchAdd(Value address, Value word);
  /// Adds to an integer of device or shared memory, in no order with other accesses.
  void addAtomically(Value address, Value number);
  /// A scalar that other devices or the host write or read meanwhile, at once and in no
  /// order with other accesses (PTX ISA, "ld.volatile": relaxed, of the system).
  Value loadVolatile(Type type, Value address);
  void storeVolatile(Value value, Value address);

  // ---- control
  /// Runs `body` with the values it gave last, at first `initial`, as long as it gives
  /// true; then gives its values.
  Values repeat(ValueRange initial, llvm::function_ref<std::pair<Value, Values>(ValueRange)> body);
  /// The value of one of two branches.
  Value choose(Value condition, llvm::function_ref<Value()> then,
               llvm::function_ref<Value()> otherwise);

  /// Quotient and remainder of counts, neither of them known.
  std::pair<Value, Value> divide(Value a, Value b);
  Value highProduct(Value a, Value b); // a * b / 2^64 of unsigned counts, rounded down
  Value toCount(Value a);              // f32 -> i64, toward 0
  Value toIndex(Value word);           // sign-extends
  Value toWord(Value index);

  GpuShape shape() const;

private:
  mlir::Location at(const Source &where);
  mlir::Operation *function();
  void readStep(Value step);
  void readIds();

  Values operands;
  Value scratchBase, sharedBase;
  int64_t usedScratch = 0, usedShared = 0, mostTiles = 1, residentBlocks = 0;
  bool startsEarly = false, isCooperative = false, awaitsPeers = false;
};

} // namespace grok::compiler
