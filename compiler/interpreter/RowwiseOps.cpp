// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops that treat rows one by one: embed, norm, rope, gelu, add, logit rows.
#include "compiler/interpreter/Definitions.h"

#include "dialects/plan/QuantizedRow.h"

#include "mlir/IR/BuiltinTypes.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace grok::interpreter {

Tensor dequantize(const Matrix &codes, Rounding rounding) {
  Tensor result(codes.shape);
  int64_t rows = int64_t(result.values.size()) / codes.columns();
  for (int64_t row = 0; row < rows; ++row)
    codes.read(row, 0, codes.columns(), rounding, result.values.data() + row * codes.columns());
  return result;
}

std::optional<CodeForm> codeFormOf(mlir::Type cacheElement) {
  if (cacheElement.isInteger(8))
    return CodeForm::int8;
  if (mlir::isa<mlir::Float8E4M3FNType>(cacheElement))
    return CodeForm::e4m3;
  return std::nullopt;
}

double largestCode(CodeForm form) {
  if (form == CodeForm::e4m3)
    return 448;
  return plan::QuantizedRow::largestCode(form == CodeForm::int15 ? 2 : 1);
}

double roundToCode(double x, CodeForm form) {
  if (form != CodeForm::e4m3)
    return std::nearbyint(x);
  // Three bits behind the leading one; below 2^-6 the spacing stays.
  constexpr int fractionBits = 3, leastExponent = -6;
  int exponent = x == 0 ? leastExponent : std::max(std::ilogb(x), leastExponent);
  return std::ldexp(std::nearbyint(std::ldexp(x, fractionBits - exponent)),
                    exponent - fractionBits);
}

Tensor quantize(const Tensor &x, int64_t groupLength, CodeForm form) {
  const auto highest = static_cast<float>(largestCode(form));
  Tensor result = x;
  for (size_t begin = 0; begin < result.values.size(); begin += groupLength) {
    std::span<float> group(result.values.data() + begin, groupLength);
    float largest = 0;
    for (float value : group)
      largest = std::max(largest, std::abs(value));
    float scale = largest / highest, inverse = largest > 0 ? highest / largest : 0;
    for (float &value : group)
      value =
          std::clamp(static_cast<float>(roundToCode(value * inverse, form)), -highest, highest) *
          scale;
  }
  return result;
}

Result<Tensor> embed(const Indices &tokens, const Matrix &table, double multiplier,
                     Rounding rounding) {
  auto rows = int64_t(tokens.values.size());
  Tensor result({rows, table.columns()});
  float factor = round(static_cast<float>(multiplier), rounding);
  for (int64_t row = 0; row < rows; ++row) {
    int32_t token = tokens.values[row];
    if (token == -1)
      continue; // another rank has its row
    if (token < 0 || token >= table.shape.front())
      return tl::unexpected("token " + std::to_string(token) + " of row " + std::to_string(row) +
                            " is outside the vocabulary of " + std::to_string(table.shape.front()));
    float *values = result.row(row);
    table.read(token, 0, table.columns(), rounding, values);
    for (int64_t column = 0; column < table.columns(); ++column)
      values[column] = round(values[column] * factor, rounding);
  }
  return result;
}

Tensor rmsNorm(const Tensor &x, const Matrix &scale, double eps, Rounding rounding) {
  Tensor result(x.shape);
  std::vector<float> scales(scale.columns());
  scale.read(0, 0, scale.columns(), Rounding::f32, scales.data());
  for (int64_t row = 0; row < x.rows(); ++row) {
    double squares = 0;
    for (size_t column = 0; column < scales.size(); ++column)
      squares += double(x.row(row)[column]) * x.row(row)[column];
    auto factor = static_cast<float>(1 / std::sqrt(squares / double(scales.size()) + eps));
    for (size_t column = 0; column < scales.size(); ++column)
      result.row(row)[column] = round(scales[column] * (x.row(row)[column] * factor), rounding);
  }
  return result;
}

Tensor rope(const Tensor &x, const Step &step, int64_t headDim, double base, Rounding rounding) {
  Tensor result(x.shape);
  int64_t half = headDim / 2;
  std::vector<float> frequencies(half); // float32 as the reference computes them
  for (int64_t d = 0; d < half; ++d)
    frequencies[d] =
        1.0f / static_cast<float>(std::pow(base, double(float(2 * d) / float(headDim))));
  for (int64_t row = 0; row < x.rows(); ++row) {
    for (int64_t d = 0; d < half; ++d) {
      float angle = static_cast<float>(step.positions[row]) * frequencies[d];
      auto cosine = static_cast<float>(std::cos(double(angle)));
      auto sine = static_cast<float>(std::sin(double(angle)));
      for (int64_t head = 0; head < x.stride(); head += headDim) {
        float first = x.row(row)[head + d];
        float second = x.row(row)[head + d + half];
        result.row(row)[head + d] = round(first * cosine - second * sine, rounding);
        result.row(row)[head + d + half] = round(second * cosine + first * sine, rounding);
      }
    }
  }
  return result;
}

Tensor geluGate(const Tensor &gate, const Tensor &up) {
  Tensor result(gate.shape);
  const auto rootOfTwoOverPi = static_cast<float>(std::sqrt(2 / M_PI));
  for (size_t index = 0; index < result.values.size(); ++index) {
    float g = gate.values[index];
    float inner = rootOfTwoOverPi * (g + 0.044715f * (g * g * g));
    auto tanh = static_cast<float>(std::tanh(double(inner)));
    result.values[index] = g * (0.5f * (1.0f + tanh)) * up.values[index];
  }
  return result;
}

Tensor add(const Tensor &lhs, const Tensor &rhs, Rounding rounding) {
  Tensor result(lhs.shape);
  for (size_t index = 0; index < result.values.size(); ++index)
    result.values[index] = round(lhs.values[index] + rhs.values[index], rounding);
  return result;
}

Tensor cutColumns(const Tensor &x, int64_t columns) {
  Tensor result({x.rows(), columns});
  for (int64_t row = 0; row < x.rows(); ++row)
    std::copy_n(x.row(row), columns, result.row(row));
  return result;
}

Tensor logitRows(const Tensor &x, const Step &step) {
  std::vector<int64_t> shape = x.shape;
  shape.front() = int64_t(step.logitRows.size());
  Tensor result(shape);
  for (size_t index = 0; index < step.logitRows.size(); ++index)
    std::copy_n(x.row(step.logitRows[index]), x.stride(), result.row(int64_t(index)));
  return result;
}

} // namespace grok::interpreter
