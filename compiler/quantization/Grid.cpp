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

/// Calls `work(group, begin, end)` for blocks of columns of a row group that are
/// few enough to stay in the cache.
template <typename Work>
static void forBlocks(int64_t rowGroups, int64_t columns, int threads, Work work) {
  constexpr int64_t blockColumns = 512;
  const int64_t blocks = (columns + blockColumns - 1) / blockColumns;
  parallel(rowGroups * blocks, threads, [&](int64_t firstBlock, int64_t lastBlock) {
    for (int64_t block = firstBlock; block < lastBlock; ++block) {
      int64_t begin = block % blocks * blockColumns;
      work(block / blocks, begin, std::min(begin + blockColumns, columns));
    }
  });
}

static std::vector<uint16_t> makeScales(const MatrixSource &source, int64_t rowGroups,
                                        int threads) {
  const int64_t columns = source.columns(), groupRows = source.rows() / rowGroups;
  const FloatRows rows(source);
  std::vector<uint16_t> scales(rowGroups * columns);
  forBlocks(rowGroups, columns, threads, [&](int64_t group, int64_t begin, int64_t end) {
    std::vector<float> values(end - begin), largest(end - begin);
    for (int64_t row = group * groupRows; row < (group + 1) * groupRows; ++row) {
      rows.read(row, begin, end, values.data());
      for (size_t i = 0; i < values.size(); ++i)
        largest[i] = std::max(largest[i], std::fabs(values[i]));
    }
    for (int64_t column = begin; column < end; ++column)
      scales[group * columns + column] = scaleFor(largest[column - begin]);
  });
  return scales;
}

static void makeCodes(const MatrixSource &source, GridMatrix &grid, int threads) {
  const int64_t columns = grid.columns, groupRows = grid.rows / grid.rowGroups;
  const FloatRows rows(source);
  grid.made.resize(grid.rows * columns);
  forBlocks(grid.rowGroups, columns, threads, [&](int64_t group, int64_t begin, int64_t end) {
    std::vector<float> values(end - begin), scales(end - begin);
    for (int64_t column = begin; column < end; ++column)
      scales[column - begin] = fromBF16(grid.scales[group * columns + column]);
    for (int64_t row = group * groupRows; row < (group + 1) * groupRows; ++row) {
      rows.read(row, begin, end, values.data());
      int8_t *codes = grid.made.data() + row * columns + begin;
      for (size_t i = 0; i < values.size(); ++i)
        codes[i] = codeOf(values[i], scales[i]);
    }
  });
}

static std::vector<uint16_t> makeRowScales(const MatrixSource &source, int threads) {
  const FloatRows rows(source);
  std::vector<uint16_t> scales(source.rows());
  parallel(source.rows(), threads, [&](int64_t begin, int64_t end) {
    std::vector<float> values(source.columns());
    for (int64_t row = begin; row < end; ++row) {
      rows.read(row, 0, source.columns(), values.data());
      float largest = 0;
      for (float value : values)
        largest = std::max(largest, std::fabs(value));
      scales[row] = scaleFor(largest);
    }
  });
  return scales;
}

Result<std::vector<uint16_t>> gridScalesOf(const MatrixSource &source, int64_t rowGroups,
                                           bool alongLast, int threads) {
  const checkpoint::TensorInfo &tensor = *source.tensor;
  if (!tensor.quantised) {
    if (alongLast)
      return makeRowScales(source, threads);
    if (rowGroups < 1 || source.rows() % rowGroups)
      return tl::unexpected(tensor.name + ": " + std::to_string(source.rows()) +
                            " rows cannot have " + std::to_string(rowGroups) + " groups");
    return makeScales(source, rowGroups, threads);
  }
  if (alongLast || tensor.rowGroups() != rowGroups || tensor.scaleDtype != checkpoint::DType::bf16)
    return tl::unexpected(tensor.name + ": stored as " + tensor.form() +
                          ", which has no bfloat16 scales for " +
                          (alongLast ? "rows" : std::to_string(rowGroups) + " row groups"));
  std::vector<uint16_t> scales(source.scales.size() / 2);
  std::memcpy(scales.data(), source.scales.data(), source.scales.size());
  return scales;
}

Result<GridMatrix> gridOf(const MatrixSource &source, int64_t rowGroups, int threads) {
  auto scales = gridScalesOf(source, rowGroups, /*alongLast=*/false, threads);
  if (!scales)
    return tl::unexpected(scales.error());
  GridMatrix grid;
  grid.rows = source.rows(), grid.columns = source.columns(), grid.rowGroups = rowGroups;
  grid.scales = std::move(*scales);
  if (source.tensor->quantised)
    grid.stored = {reinterpret_cast<const int8_t *>(source.weight.data()), source.weight.size()};
  else
    makeCodes(source, grid, threads);
  return grid;
}

static std::vector<int8_t> makeRowCodes(const MatrixSource &source,
                                        std::span<const uint16_t> scales, int threads) {
  const FloatRows rows(source);
  const int64_t columns = source.columns();
  std::vector<int8_t> all(source.rows() * columns);
  parallel(source.rows(), threads, [&](int64_t begin, int64_t end) {
    std::vector<float> values(columns);
    for (int64_t row = begin; row < end; ++row) {
      rows.read(row, 0, columns, values.data());
      const float scale = fromBF16(scales[row]);
      for (int64_t column = 0; column < columns; ++column)
        all[row * columns + column] = codeOf(values[column], scale);
    }
  });
  return all;
}

Result<EncodedMatrix> encodeInt8(const MatrixSource &source, const MatrixFormat &target,
                                 int threads) {
  if (target.alongLast) {
    auto scales = gridScalesOf(source, 1, /*alongLast=*/true, threads);
    if (!scales)
      return tl::unexpected(scales.error());
    std::vector<int8_t> codes = makeRowCodes(source, *scales, threads);
    return EncodedMatrix{target, source.rows(),     source.columns(), std::move(codes),
                         {},     std::move(*scales)};
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
