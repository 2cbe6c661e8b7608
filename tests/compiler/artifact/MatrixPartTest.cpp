// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a rank packs of a matrix: rows, columns and the scales that they have.
#include "compiler/artifact/MatrixPart.h"

#include <cstring>
#include <gmock/gmock.h>

using namespace grok;
using namespace grok::compiler;
using testing::ElementsAre;

/// [rows][columns] of the numbers 10 * row + column.
static std::vector<std::byte> numbered(int rows, int columns) {
  std::vector<int16_t> values;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column)
      values.push_back(static_cast<int16_t>(10 * row + column));
  auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

static std::vector<int16_t> numbersOf(std::span<const std::byte> bytes) {
  std::vector<int16_t> values(bytes.size() / 2);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(MatrixPart, CutsRowsAndColumns) {
  const MatrixPart part{.storedRows = 4,
                        .storedColumns = 5,
                        .firstRow = 1,
                        .rows = 2,
                        .firstColumn = 3,
                        .columns = 2};
  EXPECT_THAT(numbersOf(cutMatrix(numbered(4, 5), 2, part)), ElementsAre(13, 14, 23, 24));
}

TEST(MatrixPart, IsZeroBehindTheEnd) {
  const MatrixPart rows{4, 2, 3, 3, 0, 2}, columns{2, 4, 0, 2, 3, 2}, nothing{4, 2, 6, 1, 0, 2};
  EXPECT_THAT(numbersOf(cutMatrix(numbered(4, 2), 2, rows)), ElementsAre(30, 31, 0, 0, 0, 0));
  EXPECT_THAT(numbersOf(cutMatrix(numbered(2, 4), 2, columns)), ElementsAre(3, 0, 13, 0));
  EXPECT_THAT(numbersOf(cutMatrix(numbered(4, 2), 2, nothing)), ElementsAre(0, 0));
}

TEST(MatrixPart, TakesTheScalesOfItsRows) {
  // 12 rows in 3 stored groups of 4; the part has rows 6 to 11, in groups of 2.
  const MatrixPart part{.storedRows = 12,
                        .storedColumns = 3,
                        .firstRow = 6,
                        .rows = 6,
                        .firstColumn = 1,
                        .columns = 2};
  EXPECT_THAT(numbersOf(cutScales(numbered(3, 3), 3, 3, 2, part)),
              ElementsAre(11, 12, 21, 22, 21, 22));
  // One group for all: every part has it.
  EXPECT_THAT(numbersOf(cutScales(numbered(1, 3), 1, 1, 2, part)), ElementsAre(1, 2));
}

TEST(MatrixPart, CutsCodesAndTheirMultipliers) {
  quantization::EncodedMatrix matrix;
  matrix.rows = 8;
  matrix.columns = 2;
  matrix.format.multiplierRows = 2;
  for (int8_t i = 0; i < 16; ++i)
    matrix.codes.push_back(i);
  for (int8_t i = 0; i < 8; ++i)
    matrix.multipliers.push_back(static_cast<int8_t>(100 + i));
  const auto part = cutMatrix(matrix, MatrixPart{8, 2, 4, 4, 1, 1});
  EXPECT_EQ(part.rows, 4);
  EXPECT_EQ(part.columns, 1);
  EXPECT_THAT(part.codes, ElementsAre(9, 11, 13, 15));
  EXPECT_THAT(part.multipliers, ElementsAre(105, 107));
}

using Axis = PackedTensor::Slice::Axis;

/// An expert tensor [4][6][8] that tp cuts in columns and ep in experts.
static PackedTensor expertTensor() {
  PackedTensor tensor;
  tensor.stored = {4, 6, 8};
  tensor.part = tensor.logical = {2, 6, 4};
  tensor.cuts = {{0, 2, Axis::experts}, {2, 2, Axis::tensor}};
  return tensor;
}

TEST(PackedTensor, IsPlacedOnARank) {
  PackedTensor tensor = expertTensor();
  tensor.placeOnRank(/*tensorRank=*/1, 2, /*expertRank=*/1, 2);
  EXPECT_THAT(tensor.begin, ElementsAre(2, 0, 4));
  EXPECT_THAT(tensor.experts, ElementsAre(2, 3));
  const MatrixPart part = MatrixPart::of(tensor);
  EXPECT_EQ(part.firstColumn, 4);
  EXPECT_EQ(part.rows, 6);
}

TEST(PackedTensor, RanksInExcessOfThePartsShareThem) {
  PackedTensor tensor;
  tensor.stored = {6, 8};
  tensor.part = tensor.logical = {6, 4};
  tensor.cuts = {{1, 2, Axis::tensor}}; // two kv heads on four ranks
  std::vector<int64_t> first;
  for (int64_t rank = 0; rank < 4; ++rank) {
    tensor.placeOnRank(rank, 4, 0, 1);
    first.push_back(tensor.begin[1]);
  }
  EXPECT_THAT(first, ElementsAre(0, 0, 4, 4));
  EXPECT_TRUE(tensor.experts.empty());
}

TEST(PackedTensor, AllRanksOfAStageCutOneDimension) {
  PackedTensor tensor;
  tensor.stored = {4, 6, 24};
  tensor.part = tensor.logical = {4, 6, 4};
  tensor.cuts = {{2, 6, Axis::both}};
  std::vector<int64_t> first;
  for (int64_t expertRank = 0; expertRank < 2; ++expertRank)
    for (int64_t tensorRank = 0; tensorRank < 3; ++tensorRank) {
      tensor.placeOnRank(tensorRank, 3, expertRank, 2);
      first.push_back(tensor.begin[2]);
    }
  EXPECT_THAT(first, ElementsAre(0, 4, 8, 12, 16, 20));
  EXPECT_TRUE(tensor.experts.empty()) << "all of them";
}
