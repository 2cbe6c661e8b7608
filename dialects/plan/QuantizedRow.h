// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One row of quantised activations in memory (docs/packing.md): what kernels
// read, and what plans allot.
#pragma once

#include <algorithm>
#include <cstdint>

namespace grok::plan {

/// codes  int8 [digit][inputs]     zero behind the last
/// scales float32 [inputs / unit]
/// sums   [digit] one word for every `sumRows` codes: in the low half the sum of those
///        whose number mod 4 is 0 or 1, in the high half of the others, int16
/// Each part, and each digit's, is padded with zeros to a multiple of 64 bytes.
///
/// An input is its unit's scale times its code, or of two digits times
/// radix * high + low, the high one first; low ones are -radix / 2 .. radix / 2 - 1.
struct QuantizedRow {
  int64_t sumRows = 0;
  int64_t digits = 1;
  int64_t digitBytes = 0, digitSumBytes = 0; // from one digit to the next
  int64_t scalesOffset = 0, sumsOffset = 0, bytes = 0;

  static constexpr int64_t mostSumRows = 32;
  static constexpr int64_t mostDigits = 2;
  static constexpr int32_t radixBits = 7, radix = 1 << radixBits;

  /// Of the whole number that an input becomes.
  static constexpr int32_t largestCode(int64_t digits) {
    return digits == 1 ? 127 : radix * 127 + radix / 2 - 1;
  }
  /// Of that number, with its sign.
  static constexpr int64_t bitsOf(int64_t digits) { return 1 + digits * radixBits; }

  /// The digits of such a number, 0 if there is none of so many bits.
  static constexpr int64_t digitsOf(int64_t bits) {
    for (int64_t digits = 1; digits <= mostDigits; ++digits)
      if (bitsOf(digits) == bits)
        return digits;
    return 0;
  }

  /// `unit` divides `inputs`.
  static constexpr QuantizedRow of(int64_t inputs, int64_t unit, int64_t digits = 1) {
    constexpr auto padded = [](int64_t size) { return (size + 63) / 64 * 64; };
    QuantizedRow row;
    row.sumRows = std::min(unit, mostSumRows);
    row.digits = digits;
    row.digitBytes = padded(inputs);
    row.digitSumBytes = padded(inputs / row.sumRows * 4);
    row.scalesOffset = digits * row.digitBytes;
    row.sumsOffset = row.scalesOffset + padded(inputs / unit * 4);
    row.bytes = row.sumsOffset + digits * row.digitSumBytes;
    return row;
  }
};

} // namespace grok::plan
