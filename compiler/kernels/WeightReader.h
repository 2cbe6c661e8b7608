// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Opens weights in panel16 order: [panel][k / kPack][column 0..15][k % kPack].
#pragma once

#include "compiler/kernels/VectorBuilder.h"

namespace grok::compiler {

/// Addresses of one packed matrix.
struct MatrixOperand {
  Value weights;
  Value scales;       // bf16 [groups][scaleColumns]; not read for float weights
  Value scaleColumns; // padded columns of the whole matrix
};

/// bf16 scales of the columns of `panel` in one row group, as float32.
Value columnScales(VectorBuilder &v, const MatrixOperand &matrix, Value panel, Value group);

/// Reads lines (kPack consecutive k of 16 columns) as float32 vectors.
class WeightReader {
public:
  WeightReader(VectorBuilder &v, const WeightFormat &format, Numerics numerics,
               int64_t contraction);

  int64_t lineBytes() const;  // one line: kPack k
  int64_t panelBytes() const; // one panel: all k

  /// kPack vectors of weights. `scale` is used, and must be given, only if
  /// scalesWeights().
  Values readLine(Value address, Value scale);

  /// Whether scale() multiplies a unit's sum, or each weight before its chain;
  /// neither for float weights.
  bool scalesSums() const;
  bool scalesWeights() const;

  /// What the columns of `panel` are to be multiplied by, for weights of the
  /// row group that holds input `k`.
  Value scale(const MatrixOperand &matrix, Value panel, Value k);

private:
  Values readInts(Value address);
  Values readHalves(Value address);

  VectorBuilder &v;
  WeightFormat format;
  Numerics numerics;
  int64_t contraction;
};

} // namespace grok::compiler
