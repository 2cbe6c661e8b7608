// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The int8 grid of a matrix: what encoders to fewer bits take for the truth.
#pragma once

#include "compiler/quantization/Encoder.h"

namespace grok::quantization {

/// One matrix as int8 codes: the release's own codes and scales, or those made from floats.
struct GridMatrix {
  int64_t rows = 0, columns = 0, rowGroups = 1;
  std::span<const int8_t> stored; // the release's codes; empty for floats
  std::vector<int8_t> made;       // codes made here; empty for int8
  std::vector<uint16_t> scales;   // bf16 [rowGroups][columns]

  const int8_t *codes() const { return made.empty() ? stored.data() : made.data(); }
};

/// The stored int8 codes and scales untouched; from floats, per (row group,
/// column) the smallest bf16 scale not below max|w| / 127. Fails if the stored
/// row groups are not `rowGroups`.
Result<GridMatrix> gridOf(const MatrixSource &source, int64_t rowGroups, int threads);

/// The scales alone: of `gridOf`, or those of the rows (`alongLast`). Every
/// encoder keeps them.
Result<std::vector<uint16_t>> gridScalesOf(const MatrixSource &source, int64_t rowGroups,
                                           bool alongLast, int threads);

/// The matrix as int8, per row group and column, or per row (`alongLast`).
Result<EncodedMatrix> encodeInt8(const MatrixSource &source, const MatrixFormat &target,
                                 int threads);

} // namespace grok::quantization
