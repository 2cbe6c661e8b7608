// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops with a weight matrix: linear, expert matmul, router, unembed.
#include "compiler/interpreter/Definitions.h"

#include "llvm/Support/Parallel.h"
#include <algorithm>

namespace grok::interpreter {

// Columns that one task multiplies, and rows that share one reading of them:
// their double accumulators (128 KiB) stay in the cache.
static constexpr int64_t blockColumns = 256;
static constexpr int64_t blockRows = 64;

namespace {

// One row of a product and where its result goes.
struct RowPair {
  const float *x;
  float *y;
};

} // namespace

// y = x . W for columns [begin, end) of the matrix whose first row is `first`.
static void multiplyBlock(llvm::ArrayRef<RowPair> rows, const Matrix &matrix, int64_t first,
                          int64_t inner, int64_t begin, int64_t end, Rounding weights,
                          Rounding rounding) {
  int64_t width = end - begin;
  std::vector<double> sums(rows.size() * width);
  std::vector<float> values(width);
  for (int64_t k = 0; k < inner; ++k) {
    matrix.read(first + k, begin, end, weights, values.data());
    double *sum = sums.data();
    for (const RowPair &row : rows) {
      const double factor = row.x[k];
      for (int64_t column = 0; column < width; ++column)
        sum[column] += factor * values[column];
      sum += width;
    }
  }
  const double *sum = sums.data();
  for (const RowPair &row : rows)
    for (int64_t column = begin; column < end; ++column)
      row.y[column] = round(static_cast<float>(*sum++), rounding);
}

static void multiply(llvm::ArrayRef<RowPair> rows, const Matrix &matrix, int64_t first,
                     int64_t inner, Rounding weights, Rounding rounding) {
  int64_t columns = matrix.columns();
  int64_t blocks = (columns + blockColumns - 1) / blockColumns;
  llvm::parallelFor(0, blocks, [&](size_t block) {
    int64_t begin = int64_t(block) * blockColumns;
    int64_t end = std::min(begin + blockColumns, columns);
    for (size_t row = 0; row < rows.size(); row += blockRows)
      multiplyBlock(rows.slice(row, std::min<size_t>(blockRows, rows.size() - row)), matrix, first,
                    inner, begin, end, weights, rounding);
  });
}

Tensor linear(const Tensor &x, const Matrix &matrix, Rounding weights, Rounding rounding) {
  Tensor result({x.rows(), matrix.columns()});
  std::vector<RowPair> rows;
  rows.reserve(x.rows());
  for (int64_t row = 0; row < x.rows(); ++row)
    rows.push_back({x.row(row), result.row(row)});
  multiply(rows, matrix, 0, matrix.shape.front(), weights, rounding);
  return result;
}

Result<Tensor> multiplyExperts(const Tensor &x, const Matrix &matrices, const Indices &experts,
                               Rounding weights, Rounding rounding) {
  for (int32_t expert : experts.values)
    if (expert < -1 || expert >= matrices.shape[0])
      return tl::unexpected("expert " + std::to_string(expert) + " is outside the " +
                            std::to_string(matrices.shape[0]) + " experts");
  int64_t selected = experts.shape[1];
  int64_t inner = matrices.shape[1];
  bool isShared = x.shape.size() == 2; // one x row for all selected experts
  Tensor result({x.rows(), selected, matrices.columns()});
  for (int64_t expert = 0; expert < matrices.shape[0]; ++expert) {
    std::vector<RowPair> rows;
    for (int64_t slot = 0; slot < x.rows() * selected; ++slot)
      if (experts.values[slot] == expert)
        rows.push_back({x.values.data() + (isShared ? slot / selected : slot) * inner,
                        result.values.data() + slot * matrices.columns()});
    if (!rows.empty())
      multiply(rows, matrices, expert * inner, inner, weights, rounding);
  }
  return result;
}

Tensor unembed(const Tensor &x, const Matrix &table, double multiplier, Rounding rounding) {
  int64_t vocabulary = table.shape.front();
  int64_t width = table.columns();
  Tensor result({x.rows(), vocabulary});
  float factor = round(static_cast<float>(multiplier), rounding);
  int64_t blocks = (vocabulary + blockColumns - 1) / blockColumns;
  llvm::parallelFor(0, blocks, [&](size_t block) {
    std::vector<float> values(width);
    int64_t end = std::min((int64_t(block) + 1) * blockColumns, vocabulary);
    for (int64_t token = int64_t(block) * blockColumns; token < end; ++token) {
      table.read(token, 0, width, rounding, values.data());
      for (int64_t row = 0; row < x.rows(); ++row) {
        double sum = 0;
        for (int64_t column = 0; column < width; ++column)
          sum += double(x.row(row)[column]) * values[column];
        result.row(row)[token] = round(round(static_cast<float>(sum), rounding) * factor, rounding);
      }
    }
  });
  return result;
}

} // namespace grok::interpreter
