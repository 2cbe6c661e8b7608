// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums of outer products against their definition. Values are small whole
// numbers, so that every sum is exact.
#include "compiler/calibration/Moments.h"

#include "tests/compiler/quantization/Matrices.h"

#include <gmock/gmock.h>

using namespace grok::calibration;
using ::testing::Each;

static std::vector<float> wholeNumbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(static_cast<int>(random() % 17) - 8);
  return values;
}

static double direct(const std::vector<float> &values, int64_t rows, int64_t i, int64_t j) {
  double sum = 0;
  for (size_t t = 0; t < values.size(); t += rows)
    sum += static_cast<double>(values[t + i]) * static_cast<double>(values[t + j]);
  return sum;
}

class MomentsOfBlocks : public testing::TestWithParam<int64_t> {};

TEST_P(MomentsOfBlocks, holdTheMeanOfOuterProducts) {
  const int64_t rows = 84, vectors = 32, block = GetParam(); // 32: means are exact as well
  const std::vector<float> values = wholeNumbers(rows * vectors, 1);
  Moments moments(rows, block);
  moments.add(values, vectors, vectors, 2);
  for (int64_t b = 0; b < rows / block; ++b) {
    const std::vector<double> mean = moments.mean(b);
    for (int64_t i = 0; i < block; ++i)
      for (int64_t j = 0; j < block; ++j)
        ASSERT_EQ(mean[i * block + j], direct(values, rows, b * block + i, b * block + j) / vectors)
            << b << ": " << i << ", " << j;
  }
  for (int64_t row = 0; row < rows; ++row)
    EXPECT_EQ(moments.meanSquares()[row], direct(values, rows, row, row) / vectors);
}

INSTANTIATE_TEST_SUITE_P(Moments, MomentsOfBlocks, testing::Values(84, 42, 21, 1));

TEST(Moments, haveTheSameBitsInAnyCallsAndThreads) {
  const int64_t rows = 70, vectors = 50;
  const std::vector<float> values = grok::quantization::gaussian(rows * vectors, 7);
  Moments whole(rows, 35), parts(rows, 35);
  whole.add(values, vectors, vectors, 1);
  parts.add({values.data(), rows * 13ul}, 13, 13, 3);
  parts.add({values.data() + rows * 13, rows * 37ul}, 37, 37, 2);
  EXPECT_EQ(whole.hash(1), parts.hash(1));
  EXPECT_EQ(whole.mean(1), parts.mean(1));
  EXPECT_EQ(parts.vectors(), vectors);
}

TEST(Moments, areZeroWithoutVectors) {
  EXPECT_THAT(Moments(8, 4).mean(0), Each(0));
  EXPECT_THAT(Moments(8, 8).meanSquares(), Each(0));
}

TEST(Moments, hashSeesValuesAndWeights) {
  Moments none(8, 8), some(8, 8), heavier(8, 8);
  const std::vector<float> ones(8, 1);
  some.add(ones, 1, 1, 1);
  heavier.add(ones, 1, 2, 1);
  EXPECT_NE(none.hash(1), some.hash(1));
  EXPECT_NE(some.hash(1), heavier.hash(1));
}

TEST(Moments, blocksAreAsLongAsTheyMayBe) {
  EXPECT_EQ(chooseBlockRows(512, 6144), 512);
  EXPECT_EQ(chooseBlockRows(6144, 6144), 6144);
  EXPECT_EQ(chooseBlockRows(32768, 6144), 4096); // 6 blocks would not be equal
  EXPECT_EQ(chooseBlockRows(344, 6144), 344);    // no multiple of 32 at all
  EXPECT_EQ(chooseBlockRows(192, 100), 64);      // of whole 64 rows, not 96
  EXPECT_EQ(chooseBlockRows(100, 1), 1);
}
