// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The part of a stored matrix that one rank packs.
#pragma once

#include "compiler/artifact/PackedTensor.h"
#include "compiler/quantization/EncodedMatrix.h"

namespace grok::compiler {

/// Rows and columns of a stored matrix; what lies behind its end is zero.
struct MatrixPart {
  int64_t storedRows, storedColumns;
  int64_t firstRow, rows;
  int64_t firstColumn, columns;

  /// Of one expert's matrix of a tensor that is a part.
  static MatrixPart of(const PackedTensor &tensor);
};

/// `matrix` is [storedRows][storedColumns] of `size` bytes each; gives
/// [rows][columns].
std::vector<std::byte> cutMatrix(std::span<const std::byte> matrix, int64_t size,
                                 const MatrixPart &part);

/// The same of codes and multipliers, whose groups must not cross the part's
/// edges. Scales are left out.
quantization::EncodedMatrix cutMatrix(const quantization::EncodedMatrix &matrix,
                                      const MatrixPart &part);

/// Of scales [storedGroups][storedColumns] those of the part's `groups` row
/// groups, each of which lies in one stored group: [groups][columns].
std::vector<std::byte> cutScales(std::span<const std::byte> scales, int64_t storedGroups,
                                 int64_t groups, int64_t size, const MatrixPart &part);

} // namespace grok::compiler
