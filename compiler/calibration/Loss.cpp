// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What rounding costs, by the statistics.
#include "compiler/calibration/GptqEncoder.h"

#include "compiler/calibration/Products.h"
#include "compiler/quantization/Grid.h"
#include "compiler/quantization/Parallel.h"

namespace grok::calibration {

using quantization::EncodedMatrix;
using quantization::GridMatrix;
using quantization::MatrixSource;

namespace {
/// Rows of 16 columns: the errors and the weights.
struct Columns {
  std::vector<FloatLanes> errors, weights;
};
} // namespace

static void read(const GridMatrix &grid, const EncodedMatrix &encoded, int64_t first,
                 int64_t column, Columns &columns) {
  const int64_t groupRows = grid.rows / grid.rowGroups;
  for (size_t i = 0; i < columns.errors.size(); ++i) {
    const int64_t row = first + static_cast<int64_t>(i);
    columns.errors[i] = columns.weights[i] = FloatLanes{};
    for (int64_t lane = 0; lane < std::min(floatLanes, grid.columns - column); ++lane) {
      const int64_t at = column + lane;
      const float weight = static_cast<float>(grid.codes()[row * grid.columns + at]) *
                           quantization::fromBF16(grid.scales[row / groupRows * grid.columns + at]);
      columns.weights[i][lane] = weight;
      columns.errors[i][lane] = weight - encoded.value(row, at);
    }
  }
}

/// Sum over lanes of v^T H v.
static double quadratic(const std::vector<float> &moments, const std::vector<FloatLanes> &vectors) {
  const auto n = static_cast<int64_t>(vectors.size());
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    FloatLanes pull;
    combine(moments.data() + i * n, vectors.data(), n, &pull);
    for (int64_t lane = 0; lane < floatLanes; ++lane)
      sum += static_cast<double>(pull[lane]) * static_cast<double>(vectors[i][lane]);
  }
  return sum;
}

/// The inputs' moments, block by block; of unknown inputs, blocks of one row.
static std::vector<float> blockOf(const Moments *moments, int64_t block) {
  if (!moments)
    return {1.0f};
  const std::vector<double> mean = moments->mean(block);
  return {mean.begin(), mean.end()};
}

quantization::Result<Loss> lossOf(const MatrixSource &source, const EncodedMatrix &encoded,
                                  const Statistics &statistics, int threads) {
  auto grid = quantization::gridOf(source, encoded.format.rowGroups, threads);
  if (!grid)
    return tl::unexpected(grid.error());
  const auto key = inputOf(source.tensor->name, source.expert);
  const Moments *moments = key ? statistics.find(*key) : nullptr;
  const int64_t blockRows = moments ? moments->blockRows() : 1;
  const int64_t parts = (grid->columns + floatLanes - 1) / floatLanes;
  std::vector<Loss> partial(parts); // added up in order
  for (int64_t block = 0; block < grid->rows / blockRows; ++block) {
    const std::vector<float> mean = blockOf(moments, block);
    quantization::parallel(parts, threads, [&](int64_t begin, int64_t end) {
      Columns columns{std::vector<FloatLanes>(blockRows), std::vector<FloatLanes>(blockRows)};
      for (int64_t part = begin; part < end; ++part) {
        read(*grid, encoded, block * blockRows, part * floatLanes, columns);
        partial[part].error += quadratic(mean, columns.errors);
        partial[part].whole += quadratic(mean, columns.weights);
      }
    });
  }
  Loss loss;
  for (const Loss &part : partial)
    loss.error += part.error, loss.whole += part.whole;
  return loss;
}

} // namespace grok::calibration
