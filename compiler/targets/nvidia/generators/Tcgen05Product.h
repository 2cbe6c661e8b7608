// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of many rows by tcgen05: sm_100a.
#pragma once

#include "compiler/targets/nvidia/generators/WarpgroupProduct.h"

namespace grok::compiler {

/// 128 columns by up to 96 or 64 rows, of two digits 80 or 64. One lane of the first
/// multiplying warp has units multiplied; their sums stand in tensor memory, a lane of it a
/// column, a column of it a row; of two digits the high ones' first. Two such accumulators take
/// turns: while the two warpgroups read the sums of one unit, half of the rows each, the next unit
/// is multiplied. Of the tree's levels the lowest waits in registers, the two above it in tensor
/// memory, the last one in shared memory.
///
/// A block has all of tensor memory, or half. Blocks that would wait for it, those of the
/// next launch, do not fit on the same multiprocessor beside more than 128 KiB of shared
/// memory; else one of them could hold it and wait for this launch to end.
class Tcgen05Product final : public WarpgroupProduct {
public:
  Tcgen05Product(GpuBuilder &kernel, int64_t slots);

  /// Whether products of `spec` are made like this on `chip`.
  static bool fits(const KernelSpec &spec, const NvidiaChip &chip);

  void finish() override;

private:
  Place placeOf(int64_t width) const override;
  void begin() override;
  void beginUnits(int64_t width) override;
  void forUnitSums(const Stage &stage, Value unitNumber, int64_t width,
                   llvm::function_ref<void()> whenFull,
                   llvm::function_ref<void(int64_t, ValueRange)> body) override;
  void keepPending(ValueRange sums, int64_t level) override;
  void addPending(Values &sums, int64_t level) override;

  void byIssuer(llvm::function_ref<void()> body) const;
  void issue(Value unitNumber, int64_t width);
  Value accumulatorOf(Value unitNumber) const;
  Value columnAt(Value address, int64_t column) const;
  Value ownColumns(Value address, int64_t width) const;
  Value pendingAt(int64_t level, size_t count) const;

  const int32_t columns;      // of tensor memory
  const int64_t pieceColumns; // that a warp loads at once, of each digit
  Value addressPlace;         // in shared memory, of its address
  Value done;                 // mbarriers of the two accumulators
  Value tensor;               // the address, in compute()
};

} // namespace grok::compiler
