// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of many rows by wgmma: quantised rows with integer weights, sm_90a.
#pragma once

#include "compiler/targets/nvidia/generators/WgmmaWeights.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

/// Eight panels (128 columns, the m side) by up to 80 or 64 rows (the n side). One
/// warpgroup fills a ring of stages, a unit each: it copies the rows' codes by
/// cp.async and opens the weights in registers. Two others multiply, 64 columns
/// each, and add every unit's exact sums to float32 ones as docs/numerics.md says.
///
/// The tree over slices is summed depth first, so that of each of its levels one
/// pending value is enough. With a unit's and a slice's sums that makes six values
/// for each result at sixteen slices: the lower two levels wait in registers (160 of
/// a thread's at 80 rows), the upper two, which are touched three times in sixteen slices, in
/// shared memory, the last of them where the results will stand.
class WgmmaProduct final : public GpuProduct {
public:
  WgmmaProduct(GpuBuilder &kernel, int64_t slots);

  /// Whether products of `spec` are made like this on `chip`.
  static bool fits(const KernelSpec &spec, const NvidiaChip &chip);
  static constexpr int64_t threads = 384;

  void compute(PanelSource source, Value rows, RowInput input) override;
  Value spareMemory(int64_t bytes) override;

private:
  // A unit's place in the ring.
  struct Stage {
    Value full, empty; // mbarriers
    Value parity;      // of the phase of `full` that ends when it is filled
    Value weights, codes, scales;
  };
  Stage stageOf(Value unitNumber) const;

  void fill(PanelSource source, int64_t width);
  void copyRows(const Stage &stage, Value unitNumber, int64_t width) const;
  void announce(Value unitNumber) const;

  void multiply(PanelSource source, int64_t width);
  Values multiplyUnit(const GpuPanel &panel, Value unitNumber, int64_t width, ValueRange sums);
  Values sumOfSlice(const GpuPanel &panel, Value slice, int64_t width);
  Values sumOfLevel(const GpuPanel &panel, Value first, int64_t level, int64_t width);
  void settle(Values sums, Value number, int64_t level);
  Values scalesAt(const GpuPanel &panel, Value group);
  void forSums(int64_t count, Value memory,
               llvm::function_ref<void(int64_t i, Value address)> body) const;

  const plan::QuantizedRow record;
  const WgmmaWeights weights;
  const int64_t stageBytes, units, registerLevels, memoryLevels;
  Value pending;         // of the level below the last, as the results
  Value ring, scaleRing; // [stage], shared
  Value inputs;          // the rows' addresses
  Value barriers;        // full and empty of each stage
  Value served;          // units that went through the ring before, int32
  Value before;          // the same, when compute() began
  Value groupWarp;       // of a multiplying warpgroup: its slot
};

} // namespace grok::compiler
