// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rounding with feedback: what it must equal, and what it must gain.
#include "compiler/calibration/GptqEncoder.h"

#include "tests/compiler/quantization/Matrices.h"

#include <gmock/gmock.h>

using namespace grok;
using namespace grok::calibration;
using quantization::EncodedMatrix;
using quantization::GroupEncoder;
using quantization::MatrixFormat;
using quantization::TestMatrix;
using Kind = MatrixFormat::Kind;
using ::testing::HasSubstr;

static constexpr int64_t rows = 128, columns = 37, vectors = 4000;
static const char *const down = "transformer/decoder_layer_0/moe/linear_1/w";
static const InputKey downInput = {0, InputKey::Kind::down, 0};

static TestMatrix gaussianMatrix(const char *name, int64_t rowGroups = 1) {
  std::vector<int8_t> codes;
  for (float value : quantization::gaussian(rows * columns, 11))
    codes.push_back(static_cast<int8_t>(std::clamp(std::nearbyint(32 * value), -127.0f, 127.0f)));
  TestMatrix matrix = quantization::int8Matrix(rows, columns, std::move(codes), rowGroups);
  matrix.tensor.name = name;
  return matrix;
}

/// Of inputs of variance 1, each correlated with the one before it; those from
/// row `first` on.
static Moments momentsOf(float correlation, int64_t first, int64_t blockRows) {
  std::vector<float> values = quantization::gaussian(rows * vectors, 5), kept;
  for (int64_t t = 0; t < vectors; ++t) {
    float *vector = values.data() + t * rows;
    for (int64_t row = 1; row < rows; ++row)
      vector[row] =
          correlation * vector[row - 1] + std::sqrt(1 - correlation * correlation) * vector[row];
    kept.insert(kept.end(), vector + first, vector + rows);
  }
  Moments moments(rows - first, blockRows);
  moments.add(kept, vectors, vectors, 2);
  return moments;
}

static Statistics correlated(float correlation, int64_t blockRows = rows) {
  Statistics statistics;
  statistics.inputs.emplace(downInput, momentsOf(correlation, 0, blockRows));
  return statistics;
}

static EncodedMatrix encode(const quantization::MatrixEncoder &encoder, const TestMatrix &matrix,
                            const MatrixFormat &format) {
  auto encoded = encoder.encode(matrix.source(), format);
  EXPECT_TRUE(encoded) << encoded.error();
  return encoded ? std::move(*encoded) : EncodedMatrix{};
}

static EncodedMatrix encode(const Statistics &statistics, const TestMatrix &matrix,
                            const MatrixFormat &format, GptqEncoderOptions options = {}) {
  return encode(GptqEncoder(statistics, options), matrix, format);
}

static double lossOf(const TestMatrix &matrix, const EncodedMatrix &encoded,
                     const Statistics &statistics) {
  auto loss = calibration::lossOf(matrix.source(), encoded, statistics, 2);
  EXPECT_TRUE(loss) << loss.error();
  return loss ? loss->relative() : 0;
}

static GptqEncoderOptions sweeping(int sweeps, int threads = 1) {
  GptqEncoderOptions options;
  options.rounding.sweeps = sweeps;
  options.threads = threads;
  return options;
}

// Of inputs where each has the correlation r with the next, the later ones leave
// 1 - r^2 of the variance of an earlier one unexplained. Feedback makes the loss
// the sum of that instead of the sum of variances: 0.19 of it for r = 0.9. Damping
// and clipped codes take some of the gain; half must be left.
TEST(Gptq, gainsWhatTheCorrelationAllows) {
  const float correlation = 0.9f;
  const Statistics statistics = correlated(correlation);
  const TestMatrix matrix = gaussianMatrix(down);
  for (Kind kind : {Kind::i4, Kind::i3}) {
    const MatrixFormat format = {kind, 1, 32};
    const GroupEncoder search(GroupEncoder::Method::search, 1);
    const double searched = lossOf(matrix, encode(search, matrix, format), statistics);
    const double fedBack =
        lossOf(matrix, encode(statistics, matrix, format, sweeping(0)), statistics);
    EXPECT_LT(fedBack, 2 * (1 - correlation * correlation) * searched);
  }
}

TEST(Gptq, sweepsNeverLose) {
  const Statistics statistics = correlated(0.8f);
  const TestMatrix matrix = gaussianMatrix(down, 2);
  double last = INFINITY;
  for (int sweeps : {0, 1, 2, 4}) {
    const double loss =
        lossOf(matrix, encode(statistics, matrix, {Kind::i3, 2, 32}, sweeping(sweeps)), statistics);
    EXPECT_LT(loss, last) << sweeps;
    last = loss;
  }
}

// Without correlations nothing is fed back: the codes are those of the search.
TEST(Gptq, equalsSearchOnIndependentInputs) {
  Statistics statistics;
  Moments moments(rows, rows);
  std::vector<float> unit(rows);
  for (int64_t row = 0; row < rows; ++row) {
    std::fill(unit.begin(), unit.end(), 0.0f);
    unit[row] = static_cast<float>(1 + row % 3);
    moments.add(unit, 1, 1, 1);
  }
  const std::vector<float> squares = moments.meanSquares();
  statistics.inputs.emplace(downInput, moments);
  const TestMatrix matrix = gaussianMatrix(down, 2);
  const GroupEncoder search([&](const quantization::MatrixSource &) { return std::span(squares); },
                            "squares", 1);
  for (MatrixFormat format : {MatrixFormat{Kind::i4, 2, 32}, MatrixFormat{Kind::i3, 2, 64}}) {
    const EncodedMatrix expected = encode(search, matrix, format);
    const EncodedMatrix found = encode(statistics, matrix, format, sweeping(0));
    EXPECT_EQ(found.codes, expected.codes);
    EXPECT_EQ(found.multipliers, expected.multipliers);
    EXPECT_EQ(found.scales, expected.scales);
  }
}

TEST(Gptq, codesAndMultipliersFitTheFormat) {
  const Statistics statistics = correlated(0.95f);
  for (Kind kind : {Kind::i4, Kind::i3}) {
    const EncodedMatrix encoded = encode(statistics, gaussianMatrix(down), {kind, 1, 64});
    const auto zero = quantization::zeroPointOf(kind), most = quantization::maxMultiplierOf(kind);
    EXPECT_THAT(encoded.codes,
                testing::Each(testing::AllOf(testing::Ge(-zero), testing::Lt(zero))));
    for (int8_t multiplier : encoded.multipliers)
      EXPECT_TRUE(multiplier != 0 && std::abs(multiplier) <= most) << int(multiplier);
  }
}

TEST(Gptq, givesTheSameCodesOnAnyNumberOfThreads) {
  const Statistics statistics = correlated(0.7f);
  const TestMatrix matrix = gaussianMatrix(down);
  const EncodedMatrix one = encode(statistics, matrix, {Kind::i3, 1, 32}, sweeping(2, 1));
  const EncodedMatrix three = encode(statistics, matrix, {Kind::i3, 1, 32}, sweeping(2, 3));
  EXPECT_EQ(one.codes, three.codes);
  EXPECT_EQ(one.multipliers, three.multipliers);
}

// Inputs 1 and 2 are equal, so their moments are singular; input 0 never moved.
TEST(Gptq, survivesDeadAndDependentInputs) {
  constexpr size_t inputs = 32;
  std::vector<double> moments(inputs * inputs);
  for (int64_t i = 1; i < 32; ++i)
    moments[i * 32 + i] = 1;
  moments[1 * 32 + 2] = moments[2 * 32 + 1] = 1;
  const RoundingPlan plan(moments, {.damping = 0, .sweeps = 0}, 1);
  alignas(64) float grid[32 * 16] = {}, scale[32 * 16];
  std::fill(std::begin(scale), std::end(scale), 1.0f);
  for (int64_t row = 0; row < 32; ++row)
    grid[row * 16] = static_cast<float>(row % 2 ? 120 : -128);
  int8_t codes[32 * 16], multipliers[16];
  plan.encode(Kind::i4, {grid, scale, codes, multipliers, 32});
  const double step = multipliers[0];
  EXPECT_NEAR(codes[0] * step, -128, std::abs(step)); // not fed an error, clipped at most
}

// The second block of a matrix gets the codes of a matrix that is that block.
TEST(Gptq, roundsBlocksByThemselves) {
  const Statistics whole = correlated(0.9f, rows / 2);
  Statistics half;
  half.inputs.emplace(downInput, momentsOf(0.9f, rows / 2, rows / 2));
  const TestMatrix matrix = gaussianMatrix(down);
  TestMatrix lower = quantization::int8Matrix(
      rows / 2, columns, {matrix.codes.begin() + rows / 2 * columns, matrix.codes.end()});
  lower.tensor.name = down;
  const MatrixFormat format = {Kind::i4, 1, 32};
  const EncodedMatrix encoded = encode(whole, matrix, format);
  EXPECT_THAT(encode(half, lower, format).codes,
              testing::ElementsAreArray(std::span(encoded.codes).subspan(rows / 2 * columns)));
}

TEST(GptqEncoder, searchesWithoutStatistics) {
  const TestMatrix matrix = gaussianMatrix("transformer/decoder_layer_3/moe/linear_1/w");
  const GroupEncoder search(GroupEncoder::Method::search, 1);
  const MatrixFormat format = {Kind::i4, 1, 32};
  EXPECT_EQ(encode(correlated(0.9f), matrix, format).codes, encode(search, matrix, format).codes);
}

TEST(GptqEncoder, weighsByMeanSquaresWithoutFullMoments) {
  const TestMatrix matrix = gaussianMatrix(down);
  const Statistics statistics = correlated(0.9f, 1);
  const std::vector<float> squares = statistics.find(downInput)->meanSquares();
  const GroupEncoder search([&](const quantization::MatrixSource &) { return std::span(squares); },
                            "squares", 1);
  const MatrixFormat format = {Kind::i3, 1, 64};
  EXPECT_EQ(encode(statistics, matrix, format).codes, encode(search, matrix, format).codes);
}

TEST(GptqEncoder, leavesInt8AsItIs) {
  const TestMatrix matrix = gaussianMatrix(down);
  EXPECT_EQ(encode(correlated(0.9f), matrix, {Kind::i8, 1}).codes, matrix.codes);
}

// An expert without tokens is rounded by what all tokens show.
TEST(GptqEncoder, sharesMomentsWithExpertsOfFewTokens) {
  Statistics shared = correlated(0.9f), alone;
  const InputKey own = {0, InputKey::Kind::expert, 0}, all = {0, InputKey::Kind::expert, -1};
  alone.inputs.emplace(own, shared.inputs.at(downInput));
  Statistics empty;
  empty.inputs.emplace(own, Moments(rows, rows));
  empty.inputs.emplace(all, shared.inputs.at(downInput));
  const TestMatrix matrix = gaussianMatrix("transformer/decoder_layer_0/moe/linear_v/w");
  const MatrixFormat format = {Kind::i4, 1, 32};
  EXPECT_EQ(encode(empty, matrix, format).codes, encode(alone, matrix, format).codes);
}

TEST(GptqEncoder, refusesStatisticsOfAnotherModel) {
  Statistics statistics;
  statistics.inputs.emplace(downInput, Moments(rows / 2, rows / 2));
  const TestMatrix matrix = gaussianMatrix(down);
  const auto encoded = GptqEncoder(statistics, {}).encode(matrix.source(), {Kind::i4, 1, 32});
  ASSERT_FALSE(encoded);
  EXPECT_THAT(encoded.error(), HasSubstr("has 128 rows but statistics of 64"));
}

TEST(GptqEncoder, identityNamesWhatCodesDependOn) {
  const Statistics first = correlated(0.9f), second = correlated(0.8f);
  GptqEncoderOptions more = sweeping(3);
  EXPECT_EQ(GptqEncoder(first, {}).identity(), GptqEncoder(first, sweeping(2, 4)).identity());
  EXPECT_NE(GptqEncoder(first, {}).identity(), GptqEncoder(second, {}).identity());
  EXPECT_NE(GptqEncoder(first, {}).identity(), GptqEncoder(first, more).identity());
}

// One column of two rows, by hand: errors e with moments [[2, 1], [1, 1]].
TEST(Loss, isTheQuadraticFormOfTheErrors) {
  Statistics statistics;
  Moments moments(2, 2);
  moments.add(std::vector<float>{1, 1, 1, 0}, 2, 1, 1);
  statistics.inputs.emplace(downInput, std::move(moments));
  TestMatrix matrix = quantization::int8Matrix(2, 1, {10, -4});
  matrix.tensor.name = down;
  EncodedMatrix encoded = {{Kind::i8, 1}, 2, 1, {9, -6}, {}, matrix.scales}; // e = (1, 2)
  const auto loss = calibration::lossOf(matrix.source(), encoded, statistics, 1);
  ASSERT_TRUE(loss) << loss.error();
  EXPECT_EQ(loss->error, 2 * 1 * 1 + 2 * 1 * 1 * 2 + 1 * 2 * 2);
  EXPECT_EQ(loss->whole, 2 * 10 * 10 + 2 * 1 * 10 * -4 + 1 * 4 * 4);
}
