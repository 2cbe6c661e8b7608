// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product without tensor cores, for everything that has to be summed in an
// order of its own: float32 rows as chains of fma, and quantised rows in units too
// short for mma.
#pragma once

#include "compiler/targets/nvidia/generators/GpuProduct.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

/// A thread has one slice of one column, for all rows of a chunk.
class ChainProduct final : public GpuProduct {
public:
  ChainProduct(GpuBuilder &kernel, int64_t slots);

  static constexpr int64_t threads = 256;

  void compute(PanelSource source, Value rows, RowInput input) override;

private:
  struct Work {
    GpuPanel panel;
    Value column; // of the panel
    Values inputs;
  };
  Values sumSlice(const Work &work, Value slice);
  Values addUnit(const Work &work, Value unitNumber, mlir::ValueRange sums);
  Values chainsOf(const Work &work, Value unitNumber);
  Values unitScale(const Work &work, Value unitNumber);
  Value placeOf(Value unitNumber, bool ofMultipliers) const;
  /// Weights of the thread's column for `step` inputs: float32, or words of four
  /// int8 where rows are quantised.
  Values readWeights(Value address) const;
  Values readRow(Value row, Value k) const;
  Values floatsOfBytes(Value word, int32_t zeroPoint) const;
  Values openCodes(Value address) const;
  int64_t inputBytes() const { return panelColumns * format.bits() / 8; }
  int64_t columnBytes() const;

  const bool readsCodes;
  const plan::QuantizedRow record;
  const int64_t step; // inputs of one iteration
  const int64_t slotsTogether;
  Value partials; // float32 [slot of those together][slice][row][16], shared
};

} // namespace grok::compiler
