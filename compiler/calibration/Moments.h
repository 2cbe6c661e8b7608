// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Second moments of the vectors that enter a matrix: what errors of its weights
// cost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace grok::calibration {

/// The sum of x x^T over vectors x, as one matrix or as the blocks along its
/// diagonal. Sums are in float64 and vector by vector in the order of `add`, so
/// they have the same bits whatever the threads and the calls they come in.
class Moments {
public:
  /// `blockRows` divides `rows`; 1 keeps mean squares alone.
  Moments(int64_t rows, int64_t blockRows);

  int64_t rows() const { return numRows; }
  int64_t blockRows() const { return numBlockRows; }
  int64_t blocks() const { return numRows / numBlockRows; }
  int64_t vectors() const { return numVectors; }
  double weight() const { return totalWeight; }

  /// Adds `count` vectors of rows() values, finite and multiplied by the square
  /// roots of their weights; `weight` is the sum of these weights.
  void add(std::span<const float> values, int64_t count, double weight, int threads);

  /// Mean of x_i x_j of one block, [blockRows][blockRows]; zeros without vectors.
  std::vector<double> mean(int64_t block) const;
  /// Mean of x_i^2, [rows].
  std::vector<float> meanSquares() const;
  /// Continues a hash over everything held here.
  uint64_t hash(uint64_t seed) const;

private:
  double *sumsOf(int64_t block) { return sums.data() + block * stride * stride; }
  const double *sumsOf(int64_t block) const { return sums.data() + block * stride * stride; }
  void addSquares(std::span<const float> values, int64_t count);

  int64_t numRows, numBlockRows;
  int64_t stride; // of a block, whole tiles; 1 for blocks of one row
  int64_t numVectors = 0;
  double totalWeight = 0;
  std::vector<double> sums; // [blocks][stride][stride], columns up to the row's tile
};

/// Memory that moments of this form take.
int64_t bytesOfMoments(int64_t rows, int64_t blockRows);

/// Blocks of at most `largest` rows: the fewest equal ones, of whole 64 rows if
/// possible.
int64_t chooseBlockRows(int64_t rows, int64_t largest);

} // namespace grok::calibration
