// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Int8: released codes stay as they are, floats get the nearest ones.
#include "compiler/quantization/Grid.h"

#include "tests/compiler/quantization/Matrices.h"

#include <gmock/gmock.h>

using namespace grok;
using namespace grok::quantization;
using Kind = MatrixFormat::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Grid, releasedCodesAndScalesAreUntouched) {
  TestMatrix matrix = int8Matrix(4, 3, {-128, 127, 0, 5, -5, 1, 2, 3, 4, 9, 8, 7}, 2);
  auto encoded = encodeInt8(matrix.source(), {Kind::i8, 2}, 1);
  ASSERT_TRUE(encoded) << encoded.error();
  EXPECT_EQ(encoded->codes, matrix.codes);
  EXPECT_EQ(encoded->scales, matrix.scales);
}

TEST(Grid, releasedRowGroupsCannotBeChanged) {
  TestMatrix matrix = int8Matrix(4, 3, std::vector<int8_t>(12), 2);
  auto encoded = gridOf(matrix.source(), 1, 1);
  ASSERT_FALSE(encoded);
  EXPECT_THAT(encoded.error(), HasSubstr("1 row groups"));
}

TEST(Grid, floatsGetTheNearestCodes) {
  // Column 0: 127 is a code of scale 1; 2.5 and 3.5 round half to even.
  // Column 1 is all zero.
  TestMatrix matrix = floatMatrix(4, 2, {127, 0, 2.5, 0, -3.5, 0, -126.75, 0});
  auto encoded = encodeInt8(matrix.source(), {Kind::i8, 1}, 1);
  ASSERT_TRUE(encoded);
  EXPECT_THAT(encoded->codes, ElementsAre(127, 0, 2, 0, -4, 0, -127, 0));
  EXPECT_THAT(encoded->scales, ElementsAre(toBF16(1), 0));
}

TEST(Grid, errorIsAtMostHalfAStep) {
  const int64_t rows = 96, columns = 40;
  for (bool alongLast : {false, true}) {
    TestMatrix matrix = floatMatrix(rows, columns, gaussian(rows * columns, 3));
    auto encoded = encodeInt8(matrix.source(), {Kind::i8, alongLast ? 1 : 3, 0, alongLast}, 3);
    ASSERT_TRUE(encoded);
    ASSERT_EQ(encoded->scales.size(), alongLast ? rows : 3 * columns);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        double step = encoded->scale(row, column);
        double error = matrix.floats[row * columns + column] - encoded->value(row, column);
        // Half a step, and the one rounding of the quotient before it: 127 steps
        // times 2^-24.
        EXPECT_LE(std::abs(error), step * (0.5 + 127 * 0x1p-24));
      }
  }
}

TEST(Grid, scaleIsTheSmallestThatHoldsTheLargest) {
  TestMatrix matrix = floatMatrix(1, 3, {1.0f, 0x1p-130f, 3e38f});
  auto encoded = encodeInt8(matrix.source(), {Kind::i8, 1}, 1);
  ASSERT_TRUE(encoded);
  for (int64_t column = 0; column < 3; ++column) {
    const uint16_t word = encoded->scales[column];
    EXPECT_GE(127.0 * fromBF16(word), matrix.floats[column]);
    EXPECT_LT(127.0 * fromBF16(word - 1), matrix.floats[column]);
    EXPECT_LE(encoded->codes[column], 127);
  }
}

TEST(Grid, bfloat16IsWidened) {
  TestMatrix matrix = int8Matrix(2, 1, {});
  std::vector<uint16_t> words = {toBF16(1.0f), toBF16(-0.5f)};
  matrix.tensor.dtype = checkpoint::DType::bf16;
  matrix.tensor.quantised = false;
  MatrixSource source = {&matrix.tensor, 0, std::as_bytes(std::span(words)), {}};
  auto encoded = encodeInt8(source, {Kind::i8, 1}, 1);
  ASSERT_TRUE(encoded);
  // 1 / 127 rounded up to bfloat16 is 2^-7 * (1 + 2 / 128): 126.03 steps to 1.
  EXPECT_THAT(encoded->codes, ElementsAre(126, -63));
}

TEST(Grid, expertsAreCutFromAStack) {
  checkpoint::TensorInfo tensor;
  tensor.shape = {3, 2, 2};
  class Data : public checkpoint::TensorData {
  public:
    std::span<const std::byte> weight() const override { return std::as_bytes(std::span(all)); }
    std::span<const std::byte> scales() const override { return {}; }
    void release(int64_t, int64_t) const override {}
    checkpoint::Result<void> checkUnchanged() const override { return {}; }
    std::vector<float> all = std::vector<float>(12);
  } data;
  MatrixSource source = matrixOf(tensor, data, 2);
  EXPECT_EQ(source.rows(), 2);
  EXPECT_EQ(source.weight.data(), data.weight().data() + 32);
  EXPECT_EQ(source.weight.size(), 16u);
}
