// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Short ways to write run-time values in tests.
#pragma once

#include "compiler/interpreter/Values.h"

#include <cstring>

namespace grok::interpreter {

inline Tensor tensor(std::vector<int64_t> shape, std::vector<float> values) {
  Tensor result;
  result.shape = std::move(shape);
  result.values = std::move(values);
  return result;
}

inline Indices indices(std::vector<int64_t> shape, std::vector<int32_t> values) {
  return {std::move(shape), std::move(values)};
}

/// The values as bytes that stay alive with them.
template <typename T> WeightBytes bytesOf(std::vector<T> weight) {
  auto owner = std::make_shared<const std::vector<T>>(std::move(weight));
  return {std::as_bytes(std::span(*owner)), {}, owner};
}

/// A float32 matrix.
inline Matrix matrix(std::vector<int64_t> shape, std::vector<float> values) {
  Matrix result;
  result.shape = std::move(shape);
  result.bytes = bytesOf(std::move(values));
  return result;
}

/// bfloat16 words of values that need no rounding.
inline std::vector<uint16_t> bf16Words(const std::vector<float> &values) {
  std::vector<uint16_t> words;
  words.reserve(values.size());
  for (float value : values)
    words.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
  return words;
}

/// Codes and bfloat16 scales in one owner.
inline WeightBytes quantisedBytes(std::vector<int8_t> codes, const std::vector<float> &scales) {
  struct Pair {
    std::vector<int8_t> codes;
    std::vector<uint16_t> scales;
  };
  auto owner = std::make_shared<const Pair>(Pair{std::move(codes), bf16Words(scales)});
  return {std::as_bytes(std::span(owner->codes)), std::as_bytes(std::span(owner->scales)), owner};
}

/// An int8 matrix with bfloat16 scales.
inline Matrix quantised(std::vector<int64_t> shape, std::vector<int8_t> codes, int64_t groupRows,
                        const std::vector<float> &scales) {
  Matrix result;
  result.shape = std::move(shape);
  result.type = StoredType::i8;
  result.groupRows = groupRows;
  result.bytes = quantisedBytes(std::move(codes), scales);
  return result;
}

/// Rows of sequence 0 from position `first`; logits of all.
inline Step stepFrom(int64_t first, int64_t count, int64_t sequence = 0) {
  Step step;
  for (int64_t row = 0; row < count; ++row) {
    step.positions.push_back(first + row);
    step.sequences.push_back(sequence);
    step.logitRows.push_back(row);
  }
  return step;
}

} // namespace grok::interpreter
