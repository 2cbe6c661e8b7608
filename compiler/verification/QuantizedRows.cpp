// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Quantised rows back to the values that they stand for.
#include "compiler/verification/Comparison.h"
#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/QuantizedRow.h"

#include <cstring>

namespace grok::verification {

using plan::QuantizedRow;

template <typename Word> static Word readWord(const std::byte *bytes, int64_t index) {
  Word word;
  std::memcpy(&word, bytes + index * int64_t(sizeof(Word)), sizeof(Word));
  return word;
}

/// Whether each word of sums holds those of its codes: of every four codes the
/// first two in the low half, the others in the high half.
static bool hasRightSums(const std::byte *row, int64_t inputs, const QuantizedRow &shape,
                         int64_t digit) {
  auto *codes = reinterpret_cast<const int8_t *>(row + digit * shape.digitBytes);
  const std::byte *sums = row + shape.sumsOffset + digit * shape.digitSumBytes;
  for (int64_t first = 0; first < inputs; first += shape.sumRows) {
    int32_t low = 0, high = 0;
    for (int64_t k = first; k < first + shape.sumRows; ++k)
      (k % 4 < 2 ? low : high) += codes[k];
    int64_t halves = first / shape.sumRows * 2;
    if (readWord<int16_t>(sums, halves) != low || readWord<int16_t>(sums, halves + 1) != high)
      return false;
  }
  return true;
}

/// Input `k` as a whole number: its digits, the high one first.
static float codeAt(const std::byte *row, int64_t k, const QuantizedRow &shape) {
  int32_t code = 0;
  for (int64_t digit = 0; digit < shape.digits; ++digit)
    code = code * QuantizedRow::radix + readWord<int8_t>(row + digit * shape.digitBytes, k);
  return static_cast<float>(code);
}

Result<RecordedBuffer> dequantizeRows(const RecordedBuffer &buffer, mlir::RankedTensorType type) {
  auto format = mlir::cast<FormatAttr>(type.getEncoding());
  const int64_t inputs = type.getShape().back(), unit = format.getGroupRows();
  const int64_t digits = QuantizedRow::digitsOf(format.getBits());
  const QuantizedRow shape = QuantizedRow::of(inputs, unit, digits);
  if (buffer.shape.empty() || buffer.shape.back() != shape.bytes)
    return tl::unexpected(buffer.name + ": expected rows of " + std::to_string(shape.bytes) +
                          " bytes");
  RecordedBuffer result;
  result.name = buffer.name;
  result.shape = buffer.shape;
  result.shape.back() = inputs;
  result.paddingRow = buffer.paddingRow;
  const std::byte *end = buffer.bytes.data() + buffer.bytes.size();
  for (const std::byte *row = buffer.bytes.data(); row != end; row += shape.bytes) {
    for (int64_t digit = 0; digit < digits; ++digit)
      if (!hasRightSums(row, inputs, shape, digit))
        return tl::unexpected(buffer.name + ": a row's sums are not those of its codes");
    for (int64_t k = 0; k < inputs; ++k)
      result.numbers.push_back(codeAt(row, k, shape) *
                               readWord<float>(row + shape.scalesOffset, k / unit));
  }
  return result;
}

} // namespace grok::verification
