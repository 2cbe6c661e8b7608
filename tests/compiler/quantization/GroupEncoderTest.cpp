// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Encoders to four and three bits: the choice by definition, and its error.
#include "compiler/quantization/GroupEncoder.h"

#include "tests/compiler/quantization/Matrices.h"

#include <gmock/gmock.h>

using namespace grok;
using namespace grok::quantization;
using Kind = MatrixFormat::Kind;
using Method = GroupEncoder::Method;

static std::vector<int8_t> gaussianCodes(int64_t rows, int64_t columns, uint32_t seed) {
  TestMatrix floats = floatMatrix(rows, columns, gaussian(rows * columns, seed));
  auto grid = GroupEncoder(Method::nearest, 1).encode(floats.source(), {Kind::i8, 1});
  return grid->codes;
}

static EncodedMatrix encode(const GroupEncoder &encoder, const TestMatrix &matrix,
                            MatrixFormat format) {
  auto encoded = encoder.encode(matrix.source(), format);
  EXPECT_TRUE(encoded) << encoded.error();
  return encoded ? std::move(*encoded) : EncodedMatrix{};
}

/// Sum of squared errors over the sum of squares, on the int8 grid.
static double relativeError(const EncodedMatrix &encoded, const std::vector<int8_t> &truth) {
  double error = 0, size = 0;
  for (int64_t row = 0; row < encoded.rows; ++row)
    for (int64_t column = 0; column < encoded.columns; ++column) {
      double value = truth[row * encoded.columns + column];
      error += std::pow(value - encoded.gridValue(row, column), 2);
      size += value * value;
    }
  return error / size;
}

/// Weighted error of one column of one group, codes chosen by trying them all.
static double bestError(const std::vector<int> &values, const std::vector<float> &weights,
                        Kind kind, int multiplier) {
  const int zero = static_cast<int>(zeroPointOf(kind));
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double least = INFINITY;
    for (int code = -zero; code < zero; ++code)
      least = std::min(least, std::pow(values[i] - multiplier * code, 2));
    sum += weights[i] * least;
  }
  return sum;
}

TEST(GroupEncoder, searchFindsTheLeastErrorOfAllMultipliers) {
  const int64_t rows = 64, columns = 21;
  TestMatrix matrix = int8Matrix(rows, columns, gaussianCodes(rows, columns, 5));
  std::vector<float> weights(rows);
  for (int64_t row = 0; row < rows; ++row)
    weights[row] = static_cast<float>(1 + row % 5); // small integers: sums are exact
  GroupEncoder encoder([&](const MatrixSource &) { return std::span<const float>(weights); },
                       "test", 2);
  for (Kind kind : {Kind::i4, Kind::i3}) {
    EncodedMatrix encoded = encode(encoder, matrix, {kind, 1, 32});
    for (int64_t group = 0; group < rows / 32; ++group)
      for (int64_t column = 0; column < columns; ++column) {
        std::vector<int> values;
        double chosen = 0;
        for (int64_t row = group * 32; row < group * 32 + 32; ++row) {
          values.push_back(matrix.codes[row * columns + column]);
          chosen += weights[row] * std::pow(values.back() - encoded.gridValue(row, column), 2);
        }
        std::vector<float> part(weights.begin() + group * 32, weights.begin() + group * 32 + 32);
        double least = INFINITY;
        for (int m = 1; m <= maxMultiplierOf(kind); ++m)
          least = std::min(
              {least, bestError(values, part, kind, m), bestError(values, part, kind, -m)});
        EXPECT_EQ(chosen, least) << "group " << group << " column " << column;
      }
  }
}

TEST(GroupEncoder, codesRoundHalfToEven) {
  // 32 rows of multiples of 8 with extremes that only m = 8 holds, and halves.
  std::vector<int8_t> values = {-64, 56, 4, 12, 20, -4, -12, -20, 28};
  values.resize(32);
  for (size_t i = 9; i < values.size(); ++i)
    values[i] = static_cast<int8_t>(8 * (i % 7));
  EncodedMatrix encoded =
      encode(GroupEncoder(Method::search, 1), int8Matrix(32, 1, values), {Kind::i4, 1, 32});
  ASSERT_EQ(encoded.multipliers[0], 8);
  EXPECT_THAT(std::vector<int>(encoded.codes.begin(), encoded.codes.begin() + 9),
              ::testing::ElementsAre(-8, 7, 0, 2, 2, 0, -2, -2, 4));
}

TEST(GroupEncoder, equalErrorsTakeTheSmallerThenThePositiveMultiplier) {
  // All zero: every m is exact.
  EncodedMatrix zero = encode(GroupEncoder(Method::search, 1),
                              int8Matrix(32, 1, std::vector<int8_t>(32)), {Kind::i3, 1, 32});
  EXPECT_EQ(zero.multipliers[0], 1);
  EXPECT_EQ(zero.codes, std::vector<int8_t>(32));
  // 0 and 20: exact with 10 = 20 / 2, 5 = 20 / 4 would need code 4 for int3.
  std::vector<int8_t> twenty(32);
  twenty[3] = 20;
  EncodedMatrix encoded =
      encode(GroupEncoder(Method::search, 1), int8Matrix(32, 1, twenty), {Kind::i3, 1, 32});
  EXPECT_EQ(encoded.multipliers[0], -5); // code -4
}

TEST(GroupEncoder, nearestPutsTheLargestOnTheOutermostCode) {
  std::vector<int8_t> values(32, 1);
  values[7] = 80, values[9] = -80; // the first of the largest decides
  EncodedMatrix encoded =
      encode(GroupEncoder(Method::nearest, 1), int8Matrix(32, 1, values), {Kind::i4, 1, 32});
  EXPECT_EQ(encoded.multipliers[0], -10);
  EXPECT_EQ(encoded.codes[7], -8);
  EXPECT_EQ(encoded.codes[9], 7);
}

TEST(GroupEncoder, keepsReleasedScalesAndRowGroups) {
  TestMatrix matrix = int8Matrix(192, 5, gaussianCodes(192, 5, 9), 3);
  EncodedMatrix encoded = encode(GroupEncoder(Method::search, 2), matrix, {Kind::i4, 3, 64});
  EXPECT_EQ(encoded.scales, matrix.scales);
  EXPECT_EQ(encoded.value(70, 2),
            static_cast<float>(encoded.gridValue(70, 2)) * fromBF16(matrix.scales[1 * 5 + 2]));
}

TEST(GroupEncoder, floatsAreEncodedThroughTheirInt8Grid) {
  TestMatrix floats = floatMatrix(128, 20, gaussian(2560, 11));
  GroupEncoder encoder(Method::search, 1);
  EncodedMatrix int8 = encode(encoder, floats, {Kind::i8, 2});
  TestMatrix stored = int8Matrix(128, 20, int8.codes, 2);
  EXPECT_EQ(encode(encoder, floats, {Kind::i3, 2, 64}).codes,
            encode(encoder, stored, {Kind::i3, 2, 64}).codes);
}

TEST(GroupEncoder, threadsDoNotChangeTheResult) {
  TestMatrix matrix = int8Matrix(320, 37, gaussianCodes(320, 37, 13));
  EncodedMatrix one = encode(GroupEncoder(Method::search, 1), matrix, {Kind::i3, 1, 64});
  EncodedMatrix seven = encode(GroupEncoder(Method::search, 7), matrix, {Kind::i3, 1, 64});
  EXPECT_EQ(one.codes, seven.codes);
  EXPECT_EQ(one.multipliers, seven.multipliers);
}

TEST(GroupEncoder, importantRowsAreMoreExact) {
  TestMatrix matrix = int8Matrix(64, 64, gaussianCodes(64, 64, 17));
  std::vector<float> weights(64, 1.0f);
  weights[10] = 1000;
  GroupEncoder weighted([&](const MatrixSource &) { return std::span<const float>(weights); },
                        "test", 1);
  auto rowError = [&](const EncodedMatrix &encoded) {
    double sum = 0;
    for (int64_t column = 0; column < 64; ++column)
      sum += std::pow(matrix.codes[640 + column] - encoded.gridValue(10, column), 2);
    return sum;
  };
  EXPECT_LT(rowError(encode(weighted, matrix, {Kind::i3, 1, 64})),
            rowError(encode(GroupEncoder(Method::search, 1), matrix, {Kind::i3, 1, 64})));
}

TEST(GroupEncoder, inputsThatWereNeverSeenCountAlike) {
  TestMatrix matrix = int8Matrix(64, 16, gaussianCodes(64, 16, 19));
  std::vector<float> none(64, 0.0f);
  GroupEncoder unseen([&](const MatrixSource &) { return std::span<const float>(none); }, "none",
                      1);
  EXPECT_EQ(encode(unseen, matrix, {Kind::i4, 1, 32}).codes,
            encode(GroupEncoder(Method::search, 1), matrix, {Kind::i4, 1, 32}).codes);
}

TEST(GroupEncoder, refusesWhatCannotBe) {
  TestMatrix matrix = int8Matrix(96, 16, std::vector<int8_t>(1536));
  auto encoded = GroupEncoder(Method::search, 1).encode(matrix.source(), {Kind::i4, 1, 64});
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error(), "m: 96 rows cannot be stored as int4 g64");
}

// A simulation on Gaussian weights, one int8 scale per column of 4096 rows, gives
// the relative squared errors 0.0070 (int4 g32), 0.0084 (int4 g64), 0.0265 (int3
// g32) and 0.0313 (int3 g64) for the signed multiplier search on the int8 grid.
// They are rounded to the fourth digit, up to 0.7 %. The mean over n groups here
// deviates by about the spread of a group's error, below 100 % of its mean, over
// sqrt(n): with 4096 * 64 / 64 = 4096 groups 1.6 %. Together less than 3 %.
TEST(GroupEncoder, errorOnGaussianWeightsIsAsPublished) {
  const int64_t rows = 4096, columns = 64;
  TestMatrix matrix = int8Matrix(rows, columns, gaussianCodes(rows, columns, 1));
  const struct {
    Kind kind;
    int64_t group;
    double error;
  } expected[] = {{Kind::i4, 32, 0.0070},
                  {Kind::i4, 64, 0.0084},
                  {Kind::i3, 32, 0.0265},
                  {Kind::i3, 64, 0.0313}};
  for (const auto &[kind, group, error] : expected) {
    MatrixFormat format = {kind, 1, group};
    double searched =
        relativeError(encode(GroupEncoder(Method::search, 1), matrix, format), matrix.codes);
    EXPECT_NEAR(searched, error, 0.03 * error) << nameOf(format);
    double nearest =
        relativeError(encode(GroupEncoder(Method::nearest, 1), matrix, format), matrix.codes);
    EXPECT_LT(searched, nearest) << nameOf(format);
  }
}
