// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of many rows by wgmma: sm_90a.
#pragma once

#include "compiler/targets/nvidia/generators/WarpgroupProduct.h"

namespace grok::compiler {

/// Each of the two multiplying warpgroups multiplies, 64 columns each, up to 80 or 64
/// rows; of two digits up to 64 or 48. The lower two levels of the tree wait in registers
/// (with the sums in work 160 of a thread's at 80 rows, or at 64 of two digits), the upper
/// two, which are touched three times in sixteen slices, in shared memory.
class WgmmaProduct final : public WarpgroupProduct {
public:
  WgmmaProduct(GpuBuilder &kernel, int64_t slots);

  /// Whether products of `spec` are made like this on `chip`.
  static bool fits(const KernelSpec &spec, const NvidiaChip &chip);

private:
  static Form formOf(const KernelSpec &spec);

  Place placeOf(int64_t width) const override;
  void forUnitSums(const Stage &stage, Value unitNumber, int64_t width,
                   llvm::function_ref<void()> whenFull,
                   llvm::function_ref<void(int64_t, ValueRange)> body) override;
  void keepPending(ValueRange sums, int64_t level) override;
  void addPending(Values &sums, int64_t level) override;

  Value pending; // of the level below the last, as the results
};

} // namespace grok::compiler
