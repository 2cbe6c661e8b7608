// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Error bounds of products with weights: the error of a sum of products is at
// most sumError(depth) times the sum of their magnitudes.
#include "compiler/verification/Bounds.h"

#include "llvm/Support/Parallel.h"

#include <algorithm>
#include <cmath>

namespace grok::verification {

using interpreter::Indices;
using interpreter::Matrix;
using interpreter::Rounding;
using interpreter::Tensor;

/// What each element of x adds to an error, per magnitude of its weight.
static std::vector<float> scaleInputs(const Tensor &x, const Bound &xBound, double depth) {
  // Both sides round: the kernel in its sum, the reference once at its end.
  auto relative = static_cast<float>(sumError(depth + 1));
  std::vector<float> scaled(x.values.size());
  for (size_t i = 0; i < scaled.size(); ++i)
    scaled[i] = std::abs(x.values[i]) * relative + (xBound.empty() ? 0 : xBound[i]);
  return scaled;
}

/// Adds inputs . |matrix| to the sums, for rows of one matrix that starts at
/// `firstRow`. Each weight is read once for all rows.
static void addMagnitudes(const std::vector<const float *> &inputs, int64_t contraction,
                          const Matrix &matrix, int64_t firstRow, Rounding weights,
                          const std::vector<float *> &sums) {
  constexpr int64_t blockColumns = 512;
  int64_t blocks = (matrix.columns() + blockColumns - 1) / blockColumns;
  llvm::parallelFor(0, blocks, [&](size_t block) {
    int64_t begin = int64_t(block) * blockColumns;
    int64_t end = std::min(begin + blockColumns, matrix.columns());
    std::vector<float> line(blockColumns);
    for (int64_t k = 0; k < contraction; ++k) {
      matrix.read(firstRow + k, begin, end, weights, line.data());
      for (size_t row = 0; row < inputs.size(); ++row)
        for (int64_t column = begin; column < end; ++column)
          sums[row][column] += inputs[row][k] * std::abs(line[column - begin]);
    }
  });
}

Bound boundLinear(const Tensor &x, const Bound &xBound, const Matrix &matrix, Rounding weights,
                  double depth) {
  std::vector<float> scaled = scaleInputs(x, xBound, depth);
  Bound bound(x.rows() * matrix.columns());
  std::vector<const float *> inputs;
  std::vector<float *> sums;
  for (int64_t row = 0; row < x.rows(); ++row) {
    inputs.push_back(scaled.data() + row * x.stride());
    sums.push_back(bound.data() + row * matrix.columns());
  }
  addMagnitudes(inputs, x.stride(), matrix, 0, weights, sums);
  return bound;
}

Bound boundExperts(const Tensor &x, const Bound &xBound, const Matrix &matrices,
                   const Indices &experts, Rounding weights, double depth) {
  int64_t contraction = matrices.shape[1], columns = matrices.columns();
  auto pairs = static_cast<int64_t>(experts.values.size());
  // One row for each pair, or one that the choices of a token share.
  int64_t pairsOfRow = int64_t(x.values.size()) == pairs * contraction ? 1 : experts.shape.back();
  std::vector<float> scaled = scaleInputs(x, xBound, depth);
  Bound bound(pairs * columns);
  for (int64_t expert = 0; expert < matrices.shape[0]; ++expert) {
    std::vector<const float *> inputs;
    std::vector<float *> sums;
    for (int64_t pair = 0; pair < pairs; ++pair)
      if (experts.values[pair] == expert) {
        inputs.push_back(scaled.data() + pair / pairsOfRow * contraction);
        sums.push_back(bound.data() + pair * columns);
      }
    if (!inputs.empty())
      addMagnitudes(inputs, contraction, matrices, expert * contraction, weights, sums);
  }
  return bound;
}

Bound boundUnembed(const Tensor &x, const Matrix &table, Rounding weights, double depth) {
  std::vector<float> scaled = scaleInputs(x, {}, depth);
  int64_t tokens = table.shape[0], width = table.columns();
  Bound bound(x.rows() * tokens);
  llvm::parallelFor(0, tokens, [&](size_t token) {
    std::vector<float> line(width);
    table.read(int64_t(token), 0, width, weights, line.data());
    for (int64_t row = 0; row < x.rows(); ++row)
      for (int64_t column = 0; column < width; ++column)
        bound[row * tokens + int64_t(token)] +=
            scaled[row * width + column] * std::abs(line[column]);
  });
  return bound;
}

/// Softmax of the scores that stand in `values`, in place.
static void softmax(double *values, int64_t count) {
  double largest = *std::max_element(values, values + count), sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += values[i] = std::exp(values[i] - largest);
  for (int64_t i = 0; i < count; ++i)
    values[i] /= sum;
}

RouterBound boundRoute(const Tensor &x, const Matrix &router) {
  int64_t experts = router.columns();
  // Input k goes to chain k mod 8.
  double depth = std::ceil(double(x.stride()) / 8) + 4;
  Bound scores = boundLinear(x, {}, router, Rounding::f32, depth);
  RouterBound result;
  result.probabilities.assign(x.rows() * experts, 0);
  std::vector<float> line(experts);
  for (int64_t k = 0; k < x.stride(); ++k) {
    router.read(k, 0, experts, Rounding::f32, line.data());
    for (int64_t row = 0; row < x.rows(); ++row)
      for (int64_t expert = 0; expert < experts; ++expert)
        result.probabilities[row * experts + expert] += double(x.row(row)[k]) * line[expert];
  }
  for (int64_t row = 0; row < x.rows(); ++row) {
    const float *first = scores.data() + row * experts;
    double score = *std::max_element(first, first + experts);
    softmax(result.probabilities.data() + row * experts, experts);
    // Numerator and denominator each move by at most e^score; exp is within 2 ulp,
    // after a difference that is rounded and may be as large as 88.
    result.relative.push_back(std::expm1(2 * score) + sumError(88 + double(experts) + 8));
  }
  return result;
}

} // namespace grok::verification
