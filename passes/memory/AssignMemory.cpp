// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pass: lifetimes, then chains of buffers in one place, then offsets.
#include "passes/memory/Passes.h"

#include "passes/analysis/BufferLifetimes.h"
#include "passes/memory/ArenaPlacement.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace grok::plan;

namespace grok {
#define GEN_PASS_DEF_ASSIGNMEMORY
#include "passes/memory/Passes.h.inc"
} // namespace grok

/// Buffers that take over one another have one place; returns the placement of
/// each buffer.
static SmallVector<int64_t> joinChains(ArrayRef<BufferLifetime> lifetimes,
                                       SmallVectorImpl<Placement> &placements) {
  // A buffer may be defined before the one that it takes over, so chains are
  // joined in the order of first use.
  auto order = llvm::to_vector(llvm::seq<size_t>(0, lifetimes.size()));
  llvm::sort(order, [&](size_t lhs, size_t rhs) {
    return std::pair(lifetimes[lhs].first, lhs) < std::pair(lifetimes[rhs].first, rhs);
  });
  SmallVector<int64_t> placementOf(lifetimes.size());
  for (size_t index : order) {
    const BufferLifetime &lifetime = lifetimes[index];
    if (lifetime.takesOver < 0) {
      placementOf[index] = placements.size();
      placements.push_back(
          {.first = lifetime.first, .last = lifetime.last, .bytes = lifetime.bytes});
      continue;
    }
    placementOf[index] = placementOf[lifetime.takesOver];
    Placement &chain = placements[placementOf[index]];
    chain.last = std::max(chain.last, lifetime.last);
  }
  return placementOf;
}

namespace {

struct AssignMemory : public grok::impl::AssignMemoryBase<AssignMemory> {
  void runOnOperation() override;

private:
  void assign(BucketOp bucket);
  void report(BucketOp bucket, const BufferLifetimes &lifetimes);
};

} // namespace

/// Buffers that no op names have no lifetime and need no bytes.
static void eraseUnused(BucketOp bucket) {
  for (BufferOp buffer : llvm::make_early_inc_range(bucket.getOps<BufferOp>()))
    if (buffer->use_empty())
      buffer.erase();
}

void AssignMemory::report(BucketOp bucket, const BufferLifetimes &lifetimes) {
  int64_t sum = 0, inPlace = 0;
  for (const BufferLifetime &lifetime : lifetimes.get()) {
    sum += lifetime.bytes;
    inPlace += lifetime.takesOver >= 0;
  }
  arenaBytes += *bucket.getArenaBytes();
  bufferBytes += sum;
  numInPlace += inPlace;
  remark::analysis(bucket.getLoc(), remark::RemarkOpts::name("arena").category("memory"))
      << remark::add("arena of {0} bytes for {1} buffers of {2} bytes, {3} in place; "
                     "at most {4} bytes are alive at once",
                     *bucket.getArenaBytes(), lifetimes.get().size(), sum, inPlace,
                     lifetimes.getLargestLiveBytes());
}

void AssignMemory::assign(BucketOp bucket) {
  eraseUnused(bucket);
  BufferLifetimes lifetimes(bucket);
  SmallVector<Placement> placements;
  SmallVector<int64_t> placementOf = joinChains(lifetimes.get(), placements);
  Builder builder(bucket);
  bucket.setArenaBytesAttr(builder.getI64IntegerAttr(placeInArena(placements)));
  for (auto [lifetime, placement] : llvm::zip_equal(lifetimes.get(), placementOf))
    BufferOp(lifetime.buffer)
        .setOffsetAttr(builder.getI64IntegerAttr(placements[placement].offset));
  report(bucket, lifetimes);
}

void AssignMemory::runOnOperation() {
  getOperation().walk([&](BucketOp bucket) { assign(bucket); });
}
