// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Matrices of a checkpoint that never was, for the tests of encoders.
#pragma once

#include "compiler/quantization/Encoder.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <random>

namespace grok::quantization {

/// A tensor and its bytes; `source` views them.
struct TestMatrix {
  checkpoint::TensorInfo tensor;
  std::vector<int8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<float> floats;

  MatrixSource source() const {
    auto weight =
        floats.empty() ? std::as_bytes(std::span(codes)) : std::as_bytes(std::span(floats));
    return {&tensor, 0, weight, std::as_bytes(std::span(scales))};
  }
};

inline uint16_t toBF16(float value) { return std::bit_cast<uint32_t>(value) >> 16; }

inline TestMatrix floatMatrix(int64_t rows, int64_t columns, std::vector<float> values) {
  TestMatrix matrix;
  matrix.tensor.name = "m";
  matrix.tensor.shape = {rows, columns};
  matrix.floats = std::move(values);
  return matrix;
}

inline TestMatrix int8Matrix(int64_t rows, int64_t columns, std::vector<int8_t> codes,
                             int64_t rowGroups = 1) {
  TestMatrix matrix;
  matrix.tensor.name = "m";
  matrix.tensor.dtype = checkpoint::DType::i8;
  matrix.tensor.shape = {rows, columns};
  matrix.tensor.quantised = true;
  matrix.tensor.scaleShape = {rowGroups, columns};
  matrix.codes = std::move(codes);
  for (int64_t i = 0; i < rowGroups * columns; ++i)
    matrix.scales.push_back(toBF16(1.0f / static_cast<float>(1 + i % 7)));
  return matrix;
}

/// Normal deviates by Box and Muller: the same on every standard library.
inline std::vector<float> gaussian(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values) {
    double radius = std::sqrt(-2 * std::log((static_cast<double>(random()) + 0.5) / 4294967296.0));
    value = static_cast<float>(radius *
                               std::cos(2 * M_PI * (static_cast<double>(random()) / 4294967296.0)));
  }
  return values;
}

} // namespace grok::quantization
