// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums of outer products, tile by tile.
//
// Products of two float32 are exact in float64, so a fused multiply-add gives
// the same bits as a product and a sum: all CPUs agree.
#include "compiler/calibration/Moments.h"

#include "compiler/calibration/Vectors.h"
#include "compiler/quantization/Parallel.h"

#include <cassert>
#include <cstring>

namespace grok::calibration {

static constexpr int64_t tileRows = 4, tileColumns = 2 * doubleLanes;

/// Rows and columns of a stored block: whole tiles, unless it is one number.
static int64_t strideOf(int64_t blockRows) {
  return blockRows == 1 ? 1 : (blockRows + tileColumns - 1) / tileColumns * tileColumns;
}

int64_t bytesOfMoments(int64_t rows, int64_t blockRows) {
  const int64_t stride = strideOf(blockRows);
  return rows / blockRows * stride * stride * static_cast<int64_t>(sizeof(double));
}

Moments::Moments(int64_t rows, int64_t blockRows)
    : numRows(rows), numBlockRows(blockRows), stride(strideOf(blockRows)),
      sums(rows / blockRows * stride * stride) {
  assert(rows % blockRows == 0);
}

/// Adds the products of 4 by 16 columns of `values` to a tile of `sums`.
GROK_CLONES
static void addTile(const double *left, const double *right, int64_t count, int64_t valueStride,
                    double *sums, int64_t stride) {
  DoubleLanes tile[tileRows][2];
  for (int64_t i = 0; i < tileRows; ++i)
    std::memcpy(tile[i], sums + i * stride, sizeof tile[i]);
  for (int64_t t = 0; t < count; ++t, left += valueStride, right += valueStride) {
    DoubleLanes columns[2];
    std::memcpy(columns, right, sizeof columns);
    for (int64_t i = 0; i < tileRows; ++i) {
      tile[i][0] += left[i] * columns[0];
      tile[i][1] += left[i] * columns[1];
    }
  }
  for (int64_t i = 0; i < tileRows; ++i)
    std::memcpy(sums + i * stride, tile[i], sizeof tile[i]);
}

void Moments::addSquares(std::span<const float> values, int64_t count) {
  for (int64_t t = 0; t < count; ++t)
    for (int64_t row = 0; row < numRows; ++row) {
      const double value = values[t * numRows + row];
      sums[row] += value * value;
    }
}

void Moments::add(std::span<const float> values, int64_t count, double weight, int threads) {
  assert(static_cast<int64_t>(values.size()) == count * numRows);
  numVectors += count;
  totalWeight += weight;
  if (numBlockRows == 1)
    return addSquares(values, count);
  const int64_t valueStride = blocks() * stride; // blocks padded with zeros
  std::vector<double> wide(count * valueStride);
  for (int64_t t = 0; t < count; ++t)
    for (int64_t row = 0; row < numRows; ++row)
      wide[t * valueStride + row / numBlockRows * stride + row % numBlockRows] =
          values[t * numRows + row];
  const int64_t tilesOfBlock = stride / tileRows, tiles = blocks() * tilesOfBlock;
  quantization::parallel(tiles, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      // Short and long rows of the triangle alternate: equal work for threads.
      const int64_t tile = i % 2 == 0 ? i / 2 : tiles - 1 - i / 2;
      const int64_t row = tile % tilesOfBlock * tileRows, block = tile / tilesOfBlock;
      const double *first = wide.data() + block * stride;
      for (int64_t column = 0; column <= row; column += tileColumns)
        addTile(first + row, first + column, count, valueStride,
                sumsOf(block) + row * stride + column, stride);
    }
  });
}

std::vector<double> Moments::mean(int64_t block) const {
  const int64_t n = numBlockRows;
  std::vector<double> means(n * n);
  if (totalWeight <= 0)
    return means;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j)
      means[i * n + j] = means[j * n + i] = sumsOf(block)[i * stride + j] / totalWeight;
  return means;
}

std::vector<float> Moments::meanSquares() const {
  std::vector<float> means(numRows);
  if (totalWeight <= 0)
    return means;
  for (int64_t row = 0; row < numRows; ++row) {
    const int64_t inBlock = row % numBlockRows;
    means[row] =
        static_cast<float>(sumsOf(row / numBlockRows)[inBlock * stride + inBlock] / totalWeight);
  }
  return means;
}

uint64_t Moments::hash(uint64_t seed) const {
  seed = hashBytes(seed, std::as_bytes(std::span(&totalWeight, 1)));
  return hashBytes(seed, std::as_bytes(std::span(sums)));
}

int64_t chooseBlockRows(int64_t rows, int64_t largest) {
  for (int64_t step : {64, 32})
    for (int64_t blocks = (rows + largest - 1) / largest; blocks * step <= rows; ++blocks)
      if (rows % (blocks * step) == 0)
        return rows / blocks;
  int64_t blocks = (rows + largest - 1) / largest;
  while (rows % blocks != 0)
    ++blocks;
  return rows / blocks;
}

} // namespace grok::calibration
