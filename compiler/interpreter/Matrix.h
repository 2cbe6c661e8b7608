// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A weight as it is stored, dequantised by definition of its format where it is
// read.
#pragma once

#include "compiler/interpreter/Rounding.h"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace grok::interpreter {

/// The bytes of one tensor, little-endian, possibly unaligned.
struct WeightBytes {
  /// Of a quantised tensor one byte for each element: its code, or under a
  /// format with multipliers the product (code - zero point) * multiplier.
  std::span<const std::byte> weight;
  std::span<const std::byte> scales; // empty if not quantised
  std::shared_ptr<const void> owner; // keeps both alive
};

enum class StoredType { f32, bf16, f16, i8 };

/// Bytes of one element.
int64_t sizeOf(StoredType type);

/// Matrices [.., rows, columns]; leading dimensions are folded into the rows.
struct Matrix {
  std::vector<int64_t> shape;
  StoredType type = StoredType::f32;
  WeightBytes bytes;
  // Of a quantised matrix:
  StoredType scaleType = StoredType::bf16;
  int64_t groupRows = 0; // 0: not quantised
  int64_t zeroPoint = 0; // 0 also where the bytes are products already
  bool scalesAlongLast = false;

  int64_t columns() const { return shape.back(); }
  /// Bytes that the shape asks for.
  int64_t weightSize() const;
  int64_t scalesSize() const;

  /// Writes the values of columns [begin, end) of one row. The product with the
  /// scale is computed in float32 and rounded once.
  void read(int64_t row, int64_t begin, int64_t end, Rounding rounding, float *values) const;
};

} // namespace grok::interpreter
