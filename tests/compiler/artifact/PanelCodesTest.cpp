// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Four and three bit panels taken apart by the formulas of docs/packing.md.
#include "compiler/artifact/PanelCodes.h"

#include <gtest/gtest.h>

using namespace grok;
using namespace grok::compiler;
using quantization::EncodedMatrix;
using quantization::MatrixFormat;

static PackedTensor codes(int64_t rows, int64_t columns, int bits, int64_t group,
                          int64_t columnGroup = 0) {
  PackedTensor tensor;
  tensor.packing = PackedTensor::Packing::codes16;
  tensor.dtype = checkpoint::DType::i8;
  tensor.logical = {rows, columns};
  tensor.bits = bits;
  tensor.multiplierRows = group;
  tensor.columnGroup = columnGroup;
  tensor.shape = {tensor.panels(), tensor.panelBytes()};
  return tensor;
}

/// All codes and multipliers occur, next to each other in many ways.
static EncodedMatrix counting(const PackedTensor &tensor) {
  EncodedMatrix matrix;
  matrix.rows = tensor.inputs(), matrix.columns = tensor.outputs();
  matrix.format.kind = tensor.bits == 4 ? MatrixFormat::Kind::i4 : MatrixFormat::Kind::i3;
  matrix.format.multiplierRows = tensor.multiplierRows;
  const int levels = 1 << tensor.bits;
  for (int64_t i = 0; i < matrix.rows * matrix.columns; ++i)
    matrix.codes.push_back(static_cast<int8_t>((i * 31 % 251 + i / 7) % levels - levels / 2));
  for (int64_t i = 0; i < matrix.rows / tensor.multiplierRows * matrix.columns; ++i)
    matrix.multipliers.push_back(static_cast<int8_t>(i % 31 - 15));
  return matrix;
}

static std::vector<uint8_t> pack(const PackedTensor &tensor, const EncodedMatrix &matrix,
                                 uint64_t maxBytes = 4000, int threads = 2) {
  std::vector<uint8_t> all;
  for (const PackedChunk &chunk : chunksOf(tensor, maxBytes)) {
    std::vector<uint8_t> out(chunk.bytes, 0xee);
    packCodes(tensor, matrix, chunk, std::as_writable_bytes(std::span(out)), threads);
    all.insert(all.end(), out.begin(), out.end());
  }
  EXPECT_EQ(all.size(), tensor.contentBytes());
  return all;
}

namespace {
/// Reads one panel by the documented offsets.
struct PanelReader {
  const uint8_t *panel;
  int64_t rows, group;
  int bits;

  int64_t groupBytes() const { return group * bits * 16 / 8; }
  /// Where the super-group of four groups that holds `row` starts.
  const uint8_t *super(int64_t row) const {
    return panel + row / (4 * group) * (64 + 4 * groupBytes());
  }
  int64_t groupsInSuper(int64_t row) const {
    return std::min<int64_t>(4, rows / group - row / (4 * group) * 4);
  }
  int multiplier(int64_t row, int64_t lane) const {
    return static_cast<int8_t>(super(row)[row / group % 4 * 16 + lane]);
  }
  unsigned code(int64_t row, int64_t lane) const {
    const uint8_t *lines = super(row) + groupsInSuper(row) * 16 + row / group % 4 * groupBytes();
    const int64_t k = row % group, byte = lane * 4 + k % 4;
    if (bits == 4)
      return lines[k / 8 * 64 + byte] >> (k / 4 % 2 * 4) & 15;
    const uint8_t *block = lines + k / 32 * 192;
    const int64_t quad = k / 4 % 8;
    if (quad < 6)
      return block[quad / 2 * 64 + byte] >> (quad % 2 * 3) & 7;
    return block[(quad - 6) * 64 + byte] >> 6 | (block[128 + byte] >> quad & 1) << 2;
  }
};
} // namespace

static void expectPanels(const PackedTensor &tensor) {
  const EncodedMatrix matrix = counting(tensor);
  const std::vector<uint8_t> packed = pack(tensor, matrix);
  const int64_t rows = matrix.rows, group = tensor.multiplierRows;
  const int zero = 1 << (tensor.bits - 1);
  for (int64_t panel = 0; panel < tensor.panels(); ++panel) {
    PanelReader reader = {packed.data() + panel * 16 * (rows * tensor.bits / 8 + rows / group),
                          rows, group, tensor.bits};
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t lane = 0; lane < 16; ++lane) {
        int64_t column = tensor.columnAt(panel, lane);
        int multiplier = column < 0 ? 0 : matrix.multiplier(row, column);
        int code = column < 0 ? 0 : matrix.codes[row * matrix.columns + column];
        ASSERT_EQ(reader.multiplier(row, lane), multiplier) << panel << " " << row << " " << lane;
        ASSERT_EQ(int(reader.code(row, lane)) - zero, code) << panel << " " << row << " " << lane;
      }
  }
}

TEST(PanelCodes, wholeSuperGroups) {
  for (int bits : {4, 3})
    for (int64_t group : {32, 64})
      expectPanels(codes(8 * group, 48, bits, group));
}

TEST(PanelCodes, lastSuperGroupIsShort) {
  for (int bits : {4, 3})
    for (int64_t groups : {1, 2, 3, 5, 7})
      expectPanels(codes(groups * 32, 32, bits, 32));
}

TEST(PanelCodes, paddedColumnsAreWorthNothing) {
  expectPanels(codes(128, 21, 4, 32));
  expectPanels(codes(192, 72, 3, 64, 24));
}

TEST(PanelCodes, morePanelsThanAdvanceTogether) { expectPanels(codes(64, 560, 3, 32)); }

TEST(PanelCodes, threadsAndChunksDoNotChangeBytes) {
  PackedTensor tensor = codes(96, 336, 4, 32);
  EncodedMatrix matrix = counting(tensor);
  EXPECT_EQ(pack(tensor, matrix, 1 << 20, 1), pack(tensor, matrix, 1 << 20, 5));
  EXPECT_EQ(pack(tensor, matrix, 1 << 20, 1), pack(tensor, matrix, 3000, 1));
}

// The worked example of docs/packing.md.
TEST(PanelCodes, documentedExample) {
  PackedTensor tensor = codes(192, 64, 4, 32, 32);
  EncodedMatrix matrix = counting(tensor);
  EXPECT_EQ(tensor.panelBytes(), 1632);
  std::vector<uint8_t> packed = pack(tensor, matrix);
  EXPECT_EQ(packed[3 * 1632 + 1088 + 16 + 3], uint8_t(matrix.multiplier(170, 51)));
  EXPECT_EQ(packed[3 * 1632 + 1088 + 32 + 256 + 64 + 14] & 15, matrix.codes[170 * 64 + 51] + 8);
}
