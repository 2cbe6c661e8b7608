// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Four and three bits, group by group, on the int8 grid.
#include "compiler/quantization/GroupEncoder.h"

#include "compiler/quantization/Grid.h"
#include "compiler/quantization/GroupSearch.h"
#include "compiler/quantization/Parallel.h"

#include <cassert>
#include <cstring>

namespace grok::quantization {

namespace {
/// What one thread needs to encode groups of one matrix.
class GroupWriter {
public:
  GroupWriter(const GridMatrix &grid, EncodedMatrix &out, std::span<const float> importance,
              GroupEncoder::Method method)
      : grid(grid), out(out), importance(importance), method(method),
        groupRows(out.format.multiplierRows) {}

  void write(int64_t group) {
    for (int64_t column = 0; column < out.columns; column += searchColumns)
      writeBlock(group, column, std::min(searchColumns, out.columns - column));
  }

private:
  void writeBlock(int64_t group, int64_t column, int64_t count);
  const float *importanceOf(int64_t group) const;

  const GridMatrix &grid;
  EncodedMatrix &out;
  std::span<const float> importance;
  GroupEncoder::Method method;
  int64_t groupRows;
  alignas(64) float values[largestGroup * searchColumns];
};
} // namespace

/// A group of which nothing is known, or whose inputs were always 0, is
/// encoded as if all rows mattered alike.
const float *GroupWriter::importanceOf(int64_t group) const {
  if (importance.empty())
    return nullptr;
  const float *first = importance.data() + group * groupRows;
  return std::any_of(first, first + groupRows, [](float value) { return value > 0; }) ? first
                                                                                      : nullptr;
}

void GroupWriter::writeBlock(int64_t group, int64_t column, int64_t count) {
  const int64_t first = group * groupRows;
  for (int64_t row = 0; row < groupRows; ++row) {
    int8_t line[searchColumns] = {};
    std::memcpy(line, grid.codes() + (first + row) * grid.columns + column, count);
    for (int64_t i = 0; i < searchColumns; ++i)
      values[row * searchColumns + i] = line[i];
  }
  int8_t multipliers[searchColumns], codes[largestGroup * searchColumns];
  const GroupBlock block = {values, importanceOf(group), groupRows};
  if (method == GroupEncoder::Method::search)
    searchMultipliers(out.format.kind, block, multipliers);
  else
    nearestMultipliers(out.format.kind, block, multipliers);
  std::memcpy(out.multipliers.data() + group * out.columns + column, multipliers, count);
  encodeGroup(out.format.kind, block, multipliers, codes);
  for (int64_t row = 0; row < groupRows; ++row)
    std::memcpy(out.codes.data() + (first + row) * out.columns + column,
                codes + row * searchColumns, count);
}

Result<EncodedMatrix> GroupEncoder::encode(const MatrixSource &source,
                                           const MatrixFormat &target) const {
  assert(target.kind != MatrixFormat::Kind::stored);
  if (!isPossible(target, source.rows()))
    return tl::unexpected(source.tensor->name + ": " + std::to_string(source.rows()) +
                          " rows cannot be stored as " + nameOf(target));
  if (target.kind == MatrixFormat::Kind::i8)
    return encodeInt8(source, target, threads);
  auto grid = gridOf(source, target.rowGroups, threads);
  if (!grid)
    return tl::unexpected(grid.error());
  std::span<const float> weights;
  if (importance)
    weights = importance(source);
  if (!weights.empty() && static_cast<int64_t>(weights.size()) != grid->rows)
    return tl::unexpected(source.tensor->name + ": has " + std::to_string(grid->rows) +
                          " rows but statistics of " + std::to_string(weights.size()));
  EncodedMatrix out;
  out.format = target;
  out.rows = grid->rows, out.columns = grid->columns;
  out.codes.resize(out.rows * out.columns);
  out.multipliers.resize(out.rows / target.multiplierRows * out.columns);
  parallel(out.rows / target.multiplierRows, threads, [&](int64_t begin, int64_t end) {
    GroupWriter writer(*grid, out, weights, method);
    for (int64_t group = begin; group < end; ++group)
      writer.write(group);
  });
  out.scales = std::move(grid->scales);
  return out;
}

std::string GroupEncoder::identity() const {
  if (method == Method::nearest)
    return "nearest";
  return importance ? "search, " + importanceName : "search";
}

} // namespace grok::quantization
