// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One row of quantised activations in memory (docs/packing.md): what kernels
// read, and what plans allot.
#pragma once

#include <algorithm>
#include <cstdint>

namespace grok::plan {

/// codes  int8 [inputs]            zero behind the last
/// scales float32 [inputs / unit]
/// sums   one word for every `sumRows` codes: in the low half the sum of those
///        whose number mod 4 is 0 or 1, in the high half of the others, int16
/// Each part is padded with zeros to a multiple of 64 bytes.
struct QuantizedRow {
  int64_t sumRows = 0;
  int64_t scalesOffset = 0, sumsOffset = 0, bytes = 0;

  static constexpr int64_t mostSumRows = 32;

  /// `unit` divides `inputs`.
  static constexpr QuantizedRow of(int64_t inputs, int64_t unit) {
    constexpr auto padded = [](int64_t size) { return (size + 63) / 64 * 64; };
    QuantizedRow row;
    row.sumRows = std::min(unit, mostSumRows);
    row.scalesOffset = padded(inputs);
    row.sumsOffset = row.scalesOffset + padded(inputs / unit * 4);
    row.bytes = row.sumsOffset + padded(inputs / row.sumRows * 4);
    return row;
  }
};

} // namespace grok::plan
