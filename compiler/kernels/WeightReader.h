// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Opens packed weights of any format (docs/packing.md) as float32.
#pragma once

#include "compiler/kernels/PackedLines.h"

namespace grok::compiler {

/// Addresses of one packed matrix.
struct MatrixOperand {
  Value weights;
  Value scales;       // bf16 [groups][scaleColumns]; not read for float weights
  Value scaleColumns; // padded columns of the whole matrix
};

/// bf16 scales of the columns of `panel` in one row group, as float32.
Value columnScales(VectorBuilder &v, const MatrixOperand &matrix, Value panel, Value group);

/// Reads bundles (inputs that are packed together, of 16 columns) as float32
/// vectors, one per input.
class WeightReader {
public:
  WeightReader(KernelBuilder &kernel, const WeightFormat &format, Numerics numerics,
               int64_t contraction);

  int64_t bundleInputs() const;
  /// Bytes of one input of 16 columns.
  int64_t inputBytes() const { return panelColumns * format.bits() / 8; }
  /// Offset in a panel of the bundle that starts with input `k`: of any bundle
  /// for floats and int8, of the first one of a unit for codes.
  Value offsetOf(Value k) const;

  /// `scale` is used, and must be given, only if scalesWeights().
  Values readBundle(Value address, Value scale);

  /// Whether scale() multiplies a unit's sum, or each weight before its chain;
  /// neither for float weights.
  bool scalesSums() const;
  bool scalesWeights() const;

  /// What the columns of `panel` are to be multiplied by, for weights of the
  /// row group, and of the multiplier, that hold input `k`.
  Value scale(const MatrixOperand &matrix, Value panel, Value k);

private:
  Values readInts(Value address);
  Values readHalves(Value address);
  Values readCodes(Value address);
  Values openLine(Value line);

  KernelBuilder &v;
  WeightFormat format;
  Numerics numerics;
  int64_t contraction;
  PackedLines packed; // of integers
};

} // namespace grok::compiler
