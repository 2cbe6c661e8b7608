// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One quantised matrix in memory, before it is packed.
#pragma once

#include "compiler/quantization/Format.h"

#include <bit>
#include <vector>

namespace grok::quantization {

/// A bfloat16 word as the float that it is.
inline float fromBF16(uint16_t word) { return std::bit_cast<float>(uint32_t(word) << 16); }

/// One expert's matrix [rows, columns] in a quantised format.
struct EncodedMatrix {
  MatrixFormat format; // never `stored`
  int64_t rows = 0, columns = 0;
  std::vector<int8_t> codes;       // [rows][columns], zero point subtracted
  std::vector<int8_t> multipliers; // [rows / multiplierRows][columns]; empty without
  std::vector<uint16_t> scales;    // bf16 [rowGroups][columns]; along last: [rows]

  int multiplier(int64_t row, int64_t column) const {
    return multipliers.empty() ? 1 : multipliers[row / format.multiplierRows * columns + column];
  }
  float scale(int64_t row, int64_t column) const {
    return fromBF16(format.alongLast ? scales[row]
                                     : scales[row / (rows / format.rowGroups) * columns + column]);
  }
  /// The weight on the int8 grid: exact, within -124..124 (-128..127 for int8).
  int gridValue(int64_t row, int64_t column) const {
    return codes[row * columns + column] * multiplier(row, column);
  }
  float value(int64_t row, int64_t column) const {
    return static_cast<float>(gridValue(row, column)) * scale(row, column);
  }
};

} // namespace grok::quantization
