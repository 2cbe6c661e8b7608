// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Packed weights as the A side of wgmma: a warpgroup opens a unit of eight panels to
// signed bytes in shared memory, [128 columns][128 bytes of inputs], swizzled. Codes
// of three and four bits are multiplied with their multipliers on the way, so that
// wgmma sums whole units whatever the format (docs/packing.md: such products are
// within -124 .. 124).
#pragma once

#include "compiler/targets/nvidia/generators/GpuProduct.h"

namespace grok::compiler {

class WgmmaWeights {
public:
  static constexpr int64_t panels = 8;
  static constexpr int64_t rowBytes = 128; // of a column
  static constexpr int64_t tileBytes = panels * panelColumns * rowBytes;

  explicit WgmmaWeights(GpuBuilder &kernel);

  /// A part of a unit that a thread loads and opens at once: of a panel four
  /// columns by 16 inputs, of three bits by 32.
  int64_t parts() const { return format.element == WeightFormat::Element::i3 ? 1 : 2; }
  /// 0..7, of this thread's part number `part`.
  Value slotOf(int64_t part) const;

  /// What the thread loads for the part: values, and as many in every unit.
  Values load(const GpuPanel &panel, Value unit) const;
  /// Opens what load() gave and stores it to `tile`.
  void store(ValueRange loaded, int64_t part, Value tile) const;

private:
  Value lineAddress(const GpuPanel &panel, Value unit, Value &multipliers) const;
  Values opened(ValueRange loaded, int64_t column) const;
  Values openedBytes(ValueRange loaded, int64_t column) const;
  Values openedFours(ValueRange loaded, int64_t column) const;
  Values openedThrees(ValueRange loaded, int64_t column) const;
  Value multiplied(Value codes, Value multiplier, Value offset) const;
  Value field(Value word, int32_t by, uint32_t mask) const;

  GpuBuilder &kernel;
  const WeightFormat format;
  const int64_t contraction, partInputs, blocks; // of a part; parts of a column in a unit
  const int64_t lanesOfPart;
  Value warp, block, chunk; // of four; of the unit; four columns of the panel
  Value half;               // three bits: which of the warp's two panels
};

} // namespace grok::compiler
