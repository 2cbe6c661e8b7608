// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/artifact/MatrixPart.h"

#include <algorithm>
#include <cstring>

using namespace grok;
using namespace grok::compiler;
using quantization::EncodedMatrix;

MatrixPart MatrixPart::of(const PackedTensor &tensor) {
  const size_t row = tensor.stored.size() - 2, column = tensor.stored.size() - 1;
  return {tensor.stored[row], tensor.stored[column], tensor.begin[row],
          tensor.part[row],   tensor.begin[column],  tensor.part[column]};
}

/// Copies a block of rows; rows and columns behind the stored ones stay as they are.
static void copyBlock(const std::byte *from, std::byte *to, int64_t size, const MatrixPart &part) {
  const int64_t rows = std::min(part.rows, part.storedRows - part.firstRow);
  const int64_t columns = std::min(part.columns, part.storedColumns - part.firstColumn);
  for (int64_t row = 0; row < rows && columns > 0; ++row)
    std::memcpy(to + row * part.columns * size,
                from + ((part.firstRow + row) * part.storedColumns + part.firstColumn) * size,
                columns * size);
}

std::vector<std::byte> compiler::cutMatrix(std::span<const std::byte> matrix, int64_t size,
                                           const MatrixPart &part) {
  std::vector<std::byte> block(part.rows * part.columns * size);
  copyBlock(matrix.data(), block.data(), size, part);
  return block;
}

EncodedMatrix compiler::cutMatrix(const EncodedMatrix &matrix, const MatrixPart &part) {
  EncodedMatrix block;
  block.format = matrix.format;
  block.rows = part.rows;
  block.columns = part.columns;
  auto cut = [](const std::vector<int8_t> &values, const MatrixPart &where) {
    std::vector<int8_t> result(where.rows * where.columns);
    copyBlock(reinterpret_cast<const std::byte *>(values.data()),
              reinterpret_cast<std::byte *>(result.data()), 1, where);
    return result;
  };
  block.codes = cut(matrix.codes, part);
  if (!matrix.multipliers.empty()) {
    const int64_t group = matrix.format.multiplierRows;
    MatrixPart groups = part;
    groups.storedRows /= group;
    groups.firstRow /= group;
    groups.rows /= group;
    block.multipliers = cut(matrix.multipliers, groups);
  }
  return block;
}

std::vector<std::byte> compiler::cutScales(std::span<const std::byte> scales, int64_t storedGroups,
                                           int64_t groups, int64_t size, const MatrixPart &part) {
  std::vector<std::byte> result(groups * part.columns * size);
  const int64_t storedGroupRows = part.storedRows / storedGroups, groupRows = part.rows / groups;
  for (int64_t group = 0; group < groups; ++group) {
    MatrixPart line = part;
    line.storedRows = storedGroups;
    line.firstRow = (part.firstRow + group * groupRows) / storedGroupRows;
    line.rows = 1;
    copyBlock(scales.data(), result.data() + group * part.columns * size, size, line);
  }
  return result;
}
