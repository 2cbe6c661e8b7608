// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Packed weights as the A operands of mma.m16n8: a lane's 16-byte load holds four
// columns of one line (docs/packing.md), and two panels make two m16 tiles.
//
// Lane 4 g + t has columns 4 (g % 4) + j, j = 0..3, of panel g / 4 of the two. They
// are rows g and g + 8 of tile j / 2: rows of a tile may be any columns, if only
// the sums are read back the same way. So may its k be any inputs, if only the
// rows' operands are taken from there.
#pragma once

#include "compiler/targets/nvidia/generators/GpuProduct.h"

namespace grok::compiler {

/// Whether the kernel's few rows meet weights that bulk copies have brought to shared
/// memory (WeightRing.h), and not ones that each lane loads to registers. The one place
/// of that choice: no GPU has measured it yet, and the ring stays where it is faster.
bool usesWeightRing(const KernelSpec &spec, const NvidiaChip &chip);

/// A stage is what a lane loads at once. Its words are four int8 inputs each, or
/// two bf16; word (4 m + t) * together() + e of a stage is lane t's word number
/// m * together() + e. Step s of the stage multiplies the lane's words 2 s and
/// 2 s + 1.
class PanelFragments {
public:
  explicit PanelFragments(GpuBuilder &kernel);

  int64_t inputs() const { return stageInputs; } // of a stage
  int64_t steps() const { return stageInputs / stepInputs; }
  int64_t words() const { return 2 * steps(); } // of one lane
  int64_t together() const { return neighbours; }

  /// Steps that one multiplier covers: of all others all.
  int64_t stepsPerRun() const {
    return format.hasMultipliers() ? format.group / stepInputs : steps();
  }
  /// Sums of codes are 2^codeShift() times too large.
  int32_t codeShift() const {
    return format.hasMultipliers() ? static_cast<int32_t>(8 - format.bits()) : 0;
  }

  /// What a lane keeps of its panel.
  struct Lane {
    Value lines, multipliers; // addresses
  };
  Lane laneOf(const GpuPanel &panel) const;

  /// Values that the steps need of stage number `stage`; counted() many.
  Values load(const Lane &lane, Value stage) const;
  size_t counted() const { return lineCount() + runCount(); }
  /// Of formats without multipliers: those two of them that step `step` needs.
  Values load(const Lane &lane, Value stage, int64_t step) const;

  /// What a stage takes out of a panel to lie in shared memory: runs of bytes, one
  /// after the other, stagedBytes() together.
  struct Piece {
    Value from;
    int64_t bytes; // a multiple of 16, as the address is
  };
  llvm::SmallVector<Piece, 2> pieces(Value panel, Value stage) const;
  int64_t stagedBytes() const;
  /// From the first byte of stage `first` to the last of stage `last`, as much as there is.
  struct Stretch {
    Value from, bytes; // both multiples of 16
  };
  Stretch stretch(Value panel, Value first, Value last) const;
  /// As load(), of a stage that lies at `staged`, the lane's panel's.
  Values loadStaged(Value staged) const;

  /// The A operands of the two tiles, four words each, for every step.
  struct Step {
    Values tiles[2];
  };
  llvm::SmallVector<Step, 4> open(mlir::ValueRange loaded) const;
  /// The four columns' multipliers of run number `run` of the stage, int32.
  Values multipliers(mlir::ValueRange loaded, int64_t run) const;

private:
  size_t lineCount() const;
  size_t runCount() const { return format.hasMultipliers() ? stageInputs / format.group : 0; }
  int64_t lineRunBytes() const { return stageInputs * panelColumns * format.bits() / 8; }
  int64_t runBytes() const { return panelColumns * format.group * format.bits() / 8; }
  void openFours(mlir::ValueRange lines, llvm::SmallVectorImpl<Step> &steps) const;
  void openThrees(mlir::ValueRange lines, llvm::SmallVectorImpl<Step> &steps) const;
  void openCodes(const Values &low, const Values &high, llvm::SmallVectorImpl<Step> &steps) const;
  Values foldThrees(mlir::ValueRange lines) const;
  Values transposed(Values items) const;
  /// Where a stage stands in a panel of a format with multipliers.
  struct Place {
    Value multipliers, lines; // bytes from its start
  };
  Place placeOf(Value stage) const;
  Values loadCodes(Value lines, Value multipliers) const;
  Values loadTwo(Value start, int64_t step) const;
  Value loadLine(Value address) const;

  GpuBuilder &kernel;
  const WeightFormat format;
  const int64_t contraction, stepInputs, stageInputs, neighbours;
  Value quad;  // t, as a count
  Value chunk; // g % 4
};

} // namespace grok::compiler
