// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Matrices of a checkpoint, block by block and 16 columns at a time.
#include "compiler/calibration/GptqEncoder.h"

#include "compiler/quantization/Grid.h"
#include "compiler/quantization/GroupSearch.h"
#include "compiler/quantization/Parallel.h"

#include <cstring>

namespace grok::calibration {

using quantization::EncodedMatrix;
using quantization::GridMatrix;
using quantization::GroupEncoder;
using quantization::MatrixFormat;
using quantization::MatrixSource;

static constexpr int64_t lanes = quantization::searchColumns;

GptqEncoder::GptqEncoder(const Statistics &statistics, const GptqEncoderOptions &options)
    : statistics(statistics), options(options) {}

std::string GptqEncoder::identity() const {
  return "gptq, damping " + std::to_string(options.rounding.damping) + ", sweeps " +
         std::to_string(options.rounding.sweeps) + ", shared tokens " +
         std::to_string(options.sharedTokens) + ", statistics " + statistics.digest();
}

/// An expert that saw few tokens leans on what all tokens of its layer show.
std::vector<double> GptqEncoder::momentsOf(const InputKey &key, const Moments &own,
                                           int64_t block) const {
  std::vector<double> moments = own.mean(block);
  const Moments *shared = statistics.find({key.layer, key.kind, -1});
  if (!shared || shared == &own || shared->blockRows() != own.blockRows())
    return moments;
  const double share = static_cast<double>(own.vectors()) /
                       (static_cast<double>(own.vectors()) + options.sharedTokens);
  const std::vector<double> others = shared->mean(block);
  for (size_t i = 0; i < moments.size(); ++i)
    moments[i] = share * moments[i] + (1 - share) * others[i];
  return moments;
}

namespace {
/// One matrix, cut into blocks of rows and 16 columns.
class BlockEncoder {
public:
  BlockEncoder(const GridMatrix &grid, EncodedMatrix &out, int64_t blockRows)
      : grid(grid), out(out), blockRows(blockRows), groupRows(out.format.multiplierRows) {
    values.resize(blockRows), scales.resize(blockRows);
    codes.resize(blockRows * lanes), multipliers.resize(blockRows / groupRows * lanes);
  }

  void encode(const RoundingPlan &plan, int64_t block, int64_t column) {
    const int64_t count = std::min(lanes, out.columns - column), first = block * blockRows;
    for (int64_t row = 0; row < blockRows; ++row)
      readRow(first + row, column, count, values[row].data(), scales[row].data());
    plan.encode(out.format.kind, {values.front().data(), scales.front().data(), codes.data(),
                                  multipliers.data(), groupRows});
    for (int64_t row = 0; row < blockRows; ++row)
      std::memcpy(out.codes.data() + (first + row) * out.columns + column,
                  codes.data() + row * lanes, count);
    for (int64_t group = 0; group < blockRows / groupRows; ++group)
      std::memcpy(out.multipliers.data() + (first / groupRows + group) * out.columns + column,
                  multipliers.data() + group * lanes, count);
  }

private:
  struct alignas(64) Row : std::array<float, lanes> {};

  void readRow(int64_t row, int64_t column, int64_t count, float *gridRow, float *scaleRow) const {
    const int64_t group = row / (grid.rows / grid.rowGroups);
    for (int64_t i = 0; i < lanes; ++i) {
      const int64_t at = column + std::min(i, count - 1); // the last one fills the lanes
      gridRow[i] = grid.codes()[row * grid.columns + at];
      const float scale = quantization::fromBF16(grid.scales[group * grid.columns + at]);
      scaleRow[i] = scale > 0 ? scale : 1; // a column of zeros has none
    }
  }

  const GridMatrix &grid;
  EncodedMatrix &out;
  int64_t blockRows, groupRows;
  std::vector<Row> values, scales;
  std::vector<int8_t> codes, multipliers;
};
} // namespace

quantization::Result<EncodedMatrix> GptqEncoder::encode(const MatrixSource &source,
                                                        const MatrixFormat &target) const {
  const auto key = inputOf(source.tensor->name, source.expert);
  const Moments *moments = key ? statistics.find(*key) : nullptr;
  if (moments && moments->rows() != source.rows())
    return tl::unexpected(source.tensor->name + ": has " + std::to_string(source.rows()) +
                          " rows but statistics of " + std::to_string(moments->rows()));
  if (!moments)
    return GroupEncoder(GroupEncoder::Method::search, options.threads).encode(source, target);
  if (target.multiplierRows == 0 || moments->blockRows() % target.multiplierRows != 0 ||
      !isPossible(target, source.rows())) {
    const std::vector<float> squares = moments->meanSquares();
    const auto importance = [&](const MatrixSource &) { return std::span(squares); };
    return GroupEncoder(importance, "mean squares", options.threads).encode(source, target);
  }
  auto grid = quantization::gridOf(source, target.rowGroups, options.threads);
  if (!grid)
    return tl::unexpected(grid.error());
  EncodedMatrix out;
  out.format = target;
  out.rows = grid->rows, out.columns = grid->columns;
  out.codes.resize(out.rows * out.columns);
  out.multipliers.resize(out.rows / target.multiplierRows * out.columns);
  for (int64_t block = 0; block < moments->blocks(); ++block) {
    const RoundingPlan plan(momentsOf(*key, *moments, block), options.rounding, options.threads);
    quantization::parallel((out.columns + lanes - 1) / lanes, options.threads,
                           [&](int64_t begin, int64_t end) {
                             BlockEncoder encoder(*grid, out, moments->blockRows());
                             for (int64_t i = begin; i < end; ++i)
                               encoder.encode(plan, block, i * lanes);
                           });
  }
  out.scales = std::move(grid->scales);
  return out;
}

} // namespace grok::calibration
