// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eight bits: the stored codes, or the nearest ones to floats.
#include "compiler/quantization/Grid.h"

#include "compiler/quantization/Parallel.h"

#include <cmath>
#include <cstring>

namespace grok::quantization {

/// As in GroupSearch.cpp; the values here are within -127..127.
static float roundToEven(float value) { return (value + 12582912.0f) - 12582912.0f; }

/// The smallest bfloat16 not below largest / 127, so that no code exceeds 127.
static uint16_t scaleFor(float largest) {
  const double wanted = static_cast<double>(largest) / 127;
  auto word = static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(wanted)) >> 16);
  // 127 times a bfloat16 is exact in double.
  while (static_cast<double>(fromBF16(word)) * 127 < static_cast<double>(largest))
    ++word;
  return word;
}

static int8_t codeOf(float value, float scale) {
  return scale == 0 ? int8_t(0) : static_cast<int8_t>(roundToEven(value / scale));
}

namespace {
/// Rows of float32 or bfloat16, widened.
class FloatRows {
public:
  explicit FloatRows(const MatrixSource &source)
      : bytes(source.weight.data()), columns(source.columns()),
        narrow(source.tensor->dtype == checkpoint::DType::bf16) {}

  void read(int64_t row, int64_t begin, int64_t end, float *values) const {
    const int64_t first = row * columns + begin, count = end - begin;
    if (!narrow) {
      std::memcpy(values, bytes + first * 4, count * 4);
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      uint16_t word;
      std::memcpy(&word, bytes + (first + i) * 2, 2);
      values[i] = fromBF16(word);
    }
  }

private:
  const std::byte *bytes;
  int64_t columns;
  bool narrow;
};
} // namespace

/// Columns [begin, end) of one row group; few enough to stay in the cache.
static void makeBlock(const FloatRows &rows, GridMatrix &grid, int64_t group, int64_t begin,
                      int64_t end) {
  const int64_t groupRows = grid.rows / grid.rowGroups, first = group * groupRows;
  std::vector<float> values(end - begin), largest(end - begin), scales(end - begin);
  for (int64_t row = first; row < first + groupRows; ++row) {
    rows.read(row, begin, end, values.data());
    for (size_t i = 0; i < values.size(); ++i)
      largest[i] = std::max(largest[i], std::fabs(values[i]));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t word = scaleFor(largest[i]);
    grid.scales[group * grid.columns + begin + static_cast<int64_t>(i)] = word;
    scales[i] = fromBF16(word);
  }
  for (int64_t row = first; row < first + groupRows; ++row) {
    rows.read(row, begin, end, values.data());
    int8_t *codes = grid.made.data() + row * grid.columns + begin;
    for (size_t i = 0; i < values.size(); ++i)
      codes[i] = codeOf(values[i], scales[i]);
  }
}

static void makeGrid(const MatrixSource &source, GridMatrix &grid, int threads) {
  constexpr int64_t blockColumns = 512;
  const FloatRows rows(source);
  grid.made.resize(grid.rows * grid.columns);
  grid.scales.resize(grid.rowGroups * grid.columns);
  const int64_t blocks = (grid.columns + blockColumns - 1) / blockColumns;
  parallel(grid.rowGroups * blocks, threads, [&](int64_t firstBlock, int64_t lastBlock) {
    for (int64_t block = firstBlock; block < lastBlock; ++block) {
      int64_t begin = block % blocks * blockColumns;
      makeBlock(rows, grid, block / blocks, begin, std::min(begin + blockColumns, grid.columns));
    }
  });
}

Result<GridMatrix> gridOf(const MatrixSource &source, int64_t rowGroups, int threads) {
  const checkpoint::TensorInfo &tensor = *source.tensor;
  GridMatrix grid;
  grid.rows = source.rows(), grid.columns = source.columns(), grid.rowGroups = rowGroups;
  if (!tensor.quantised) {
    if (rowGroups < 1 || grid.rows % rowGroups)
      return tl::unexpected(tensor.name + ": " + std::to_string(grid.rows) + " rows cannot have " +
                            std::to_string(rowGroups) + " groups");
    makeGrid(source, grid, threads);
    return grid;
  }
  if (tensor.rowGroups() != rowGroups || tensor.scaleDtype != checkpoint::DType::bf16)
    return tl::unexpected(tensor.name + ": stored as " + tensor.form() +
                          ", which has no bfloat16 scales for " + std::to_string(rowGroups) +
                          " row groups");
  grid.stored = {reinterpret_cast<const int8_t *>(source.weight.data()), source.weight.size()};
  grid.scales.resize(source.scales.size() / 2);
  std::memcpy(grid.scales.data(), source.scales.data(), source.scales.size());
  return grid;
}

static EncodedMatrix encodeByRow(const MatrixSource &source, int threads) {
  EncodedMatrix matrix;
  matrix.rows = source.rows(), matrix.columns = source.columns();
  matrix.codes.resize(matrix.rows * matrix.columns);
  matrix.scales.resize(matrix.rows);
  const FloatRows rows(source);
  parallel(matrix.rows, threads, [&](int64_t begin, int64_t end) {
    std::vector<float> values(matrix.columns);
    for (int64_t row = begin; row < end; ++row) {
      rows.read(row, 0, matrix.columns, values.data());
      float largest = 0;
      for (float value : values)
        largest = std::max(largest, std::fabs(value));
      matrix.scales[row] = scaleFor(largest);
      const float scale = fromBF16(matrix.scales[row]);
      int8_t *codes = matrix.codes.data() + row * matrix.columns;
      for (int64_t column = 0; column < matrix.columns; ++column)
        codes[column] = codeOf(values[column], scale);
    }
  });
  return matrix;
}

Result<EncodedMatrix> encodeInt8(const MatrixSource &source, const MatrixFormat &target,
                                 int threads) {
  if (target.alongLast) {
    if (source.tensor->quantised)
      return tl::unexpected(source.tensor->name + ": is quantised already; cannot scale its rows");
    EncodedMatrix matrix = encodeByRow(source, threads);
    matrix.format = target;
    return matrix;
  }
  auto grid = gridOf(source, target.rowGroups, threads);
  if (!grid)
    return tl::unexpected(grid.error());
  if (grid->made.empty())
    grid->made.assign(grid->stored.begin(), grid->stored.end());
  return EncodedMatrix{
      target, grid->rows, grid->columns, std::move(grid->made), {}, std::move(grid->scales)};
}

} // namespace grok::quantization
