// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `fast` numerics as docs/numerics.md defines it, in plain scalar C++.
#pragma once

#include "dialects/plan/QuantizedRow.h"
#include "tests/compiler/kernels/KernelHarness.h"

#include <cmath>

namespace grok::compiler::testing {

/// Records of padded float32 rows.
inline Buffer quantizedRows(const float *x, int64_t rows, int64_t inputs, int64_t unit) {
  const auto layout = plan::QuantizedRow::of(inputs, unit);
  Buffer records(rows * layout.bytes);
  for (int64_t row = 0; row < rows; ++row) {
    const float *from = x + row * paddedTo16(inputs);
    uint8_t *record = records.byteData() + row * layout.bytes;
    for (int64_t start = 0; start < inputs; start += unit) {
      float largest = 0;
      for (int64_t k = start; k < start + unit; ++k)
        largest = std::max(largest, std::fabs(from[k]));
      const float scale = largest / 127.0f, inverse = largest > 0 ? 127.0f / largest : 0;
      std::memcpy(record + layout.scalesOffset + start / unit * 4, &scale, 4);
      for (int64_t k = start; k < start + unit; ++k) {
        float code = std::clamp(std::nearbyint(from[k] * inverse), -127.0f, 127.0f);
        record[k] = static_cast<uint8_t>(static_cast<int8_t>(code));
        auto *sums = reinterpret_cast<int16_t *>(record + layout.sumsOffset);
        sums[k / layout.sumRows * 2 + (k % 4 >= 2)] += static_cast<int16_t>(code);
      }
    }
  }
  return records;
}

/// The rows that records stand for, padded.
inline Buffer dequantizedRows(const Buffer &records, int64_t rows, int64_t inputs, int64_t unit) {
  const auto layout = plan::QuantizedRow::of(inputs, unit);
  Buffer x(rows * paddedTo16(inputs) * 4);
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t *record = records.byteData() + row * layout.bytes;
    for (int64_t k = 0; k < inputs; ++k) {
      float scale;
      std::memcpy(&scale, record + layout.scalesOffset + k / unit * 4, 4);
      x.floats()[row * paddedTo16(inputs) + k] = scale * static_cast<int8_t>(record[k]);
    }
  }
  return x;
}

} // namespace grok::compiler::testing
