// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `fast` numerics as docs/numerics.md defines it, in plain scalar C++.
#pragma once

#include "dialects/plan/QuantizedRow.h"
#include "tests/compiler/kernels/KernelHarness.h"

#include <cmath>

namespace grok::compiler::testing {

/// Records of padded float32 rows.
inline Buffer quantizedRows(const float *x, int64_t rows, int64_t inputs, int64_t unit,
                            int64_t digits = 1) {
  const auto layout = plan::QuantizedRow::of(inputs, unit, digits);
  const auto most = static_cast<float>(plan::QuantizedRow::largestCode(digits));
  Buffer records(rows * layout.bytes);
  for (int64_t row = 0; row < rows; ++row) {
    const float *from = x + row * paddedTo16(inputs);
    uint8_t *record = records.byteData() + row * layout.bytes;
    for (int64_t start = 0; start < inputs; start += unit) {
      float largest = 0;
      for (int64_t k = start; k < start + unit; ++k)
        largest = std::max(largest, std::fabs(from[k]));
      const float scale = largest / most, inverse = largest > 0 ? most / largest : 0;
      std::memcpy(record + layout.scalesOffset + start / unit * 4, &scale, 4);
      for (int64_t k = start; k < start + unit; ++k) {
        auto code = static_cast<int>(std::clamp(std::nearbyint(from[k] * inverse), -most, most));
        int high = code;
        if (digits == 2) // of all ways the one whose low digit is -64 .. 63
          high = static_cast<int>(std::floor((code + 64) / 128.0));
        for (int64_t digit = 0; digit < digits; ++digit) {
          const int value = digit == 0 ? high : code - 128 * high;
          record[digit * layout.digitBytes + k] = static_cast<uint8_t>(value);
          auto *sums = reinterpret_cast<int16_t *>(record + layout.sumsOffset +
                                                   digit * layout.digitSumBytes);
          sums[k / layout.sumRows * 2 + (k % 4 >= 2)] += static_cast<int16_t>(value);
        }
      }
    }
  }
  return records;
}

/// Input `k` of a record as a whole number.
inline int codeAt(const uint8_t *record, const plan::QuantizedRow &layout, int64_t k) {
  const auto *codes = reinterpret_cast<const int8_t *>(record);
  return layout.digits == 1 ? codes[k] : 128 * codes[k] + codes[layout.digitBytes + k];
}

/// The rows that records stand for, padded.
inline Buffer dequantizedRows(const Buffer &records, int64_t rows, int64_t inputs, int64_t unit,
                              int64_t digits = 1) {
  const auto layout = plan::QuantizedRow::of(inputs, unit, digits);
  Buffer x(rows * paddedTo16(inputs) * 4);
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t *record = records.byteData() + row * layout.bytes;
    for (int64_t k = 0; k < inputs; ++k) {
      float scale;
      std::memcpy(&scale, record + layout.scalesOffset + k / unit * 4, 4);
      x.floats()[row * paddedTo16(inputs) + k] =
          scale * static_cast<float>(codeAt(record, layout, k));
    }
  }
  return x;
}

} // namespace grok::compiler::testing
