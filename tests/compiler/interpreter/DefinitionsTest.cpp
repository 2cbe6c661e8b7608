// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every op against values worked out by hand, in float32 and with the literal
// bf16 roundings. Where a value has no short decimal, the formula stands beside
// it and the bound is a few float32 roundings.
#include "compiler/interpreter/Definitions.h"

#include "Tensors.h"

#include "gmock/gmock.h"
#include <cmath>
#include <limits>

using namespace grok::interpreter;
using testing::ElementsAre;
using testing::FloatEq; // 4 units in the last place
using testing::Pointwise;

static constexpr Rounding f32 = Rounding::f32;
static constexpr Rounding bf16 = Rounding::bf16;

TEST(RoundingTest, TiesGoToEven) {
  // bf16 keeps 7 fraction bits: from 1 the spacing is 2^-7.
  EXPECT_EQ(toBF16(1.0f + 0x1p-8f), 1.0f);
  EXPECT_EQ(toBF16(1.0f + 0x3p-8f), 1.0f + 0x1p-6f);
  EXPECT_EQ(toBF16(1.0f + 0x1p-8f + 0x1p-20f), 1.0f + 0x1p-7f);
  EXPECT_EQ(toBF16(-1.0f - 0x3p-8f), -1.0f - 0x1p-6f);
  EXPECT_EQ(toBF16(78.38367176906169f), 78.5f); // the release's multiplier
}

TEST(RoundingTest, SpecialValuesStay) {
  EXPECT_TRUE(std::isnan(toBF16(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isinf(toBF16(std::numeric_limits<float>::infinity())));
  EXPECT_TRUE(std::isinf(toBF16(std::numeric_limits<float>::max())));
  EXPECT_TRUE(std::signbit(toBF16(-0.0f)));
}

TEST(MatrixTest, ScalesEachRowGroup) {
  Matrix codes = quantised({4, 2}, {1, 2, 3, 4, -5, 6, -7, -128}, 2, {0.5f, 2.0f, 4.0f, 0.25f});
  EXPECT_THAT(dequantize(codes, f32).values, ElementsAre(0.5, 4, 1.5, 8, -20, 1.5, -28, -32));
}

TEST(MatrixTest, KeepsGroupsOfStackedMatricesApart) {
  Matrix codes = quantised({2, 2, 1}, {1, 1, 1, 1}, 2, {3.0f, 5.0f});
  EXPECT_THAT(dequantize(codes, f32).values, ElementsAre(3, 3, 5, 5));
}

TEST(MatrixTest, SubtractsTheZeroPoint) {
  Matrix codes = quantised({2, 1}, {-8, 7}, 2, {0.5f});
  codes.zeroPoint = -8;
  EXPECT_THAT(dequantize(codes, f32).values, ElementsAre(0, 7.5));
}

TEST(MatrixTest, RoundsTheProductOnce) {
  // 3 * (1 + 2^-7) = 3.0234375 lies halfway between 3.015625 and 3.03125.
  Matrix codes = quantised({1, 1}, {3}, 1, {1.0f + 0x1p-7f});
  EXPECT_THAT(dequantize(codes, f32).values, ElementsAre(3.0234375f));
  EXPECT_THAT(dequantize(codes, bf16).values, ElementsAre(3.03125f));
}

TEST(MatrixTest, ReadsBF16) {
  Matrix values;
  values.shape = {1, 2};
  values.type = StoredType::bf16;
  values.bytes = bytesOf(bf16Words({1.5f, -2.0f}));
  EXPECT_THAT(dequantize(values, f32).values, ElementsAre(1.5, -2));
}

TEST(MatrixTest, ScalesAlongTheLastAxis) {
  Matrix codes = quantised({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}, 2, {1.0f, 10.0f, 100.0f, 0.5f});
  codes.scalesAlongLast = true;
  EXPECT_THAT(dequantize(codes, f32).values, ElementsAre(1, 2, 30, 40, 500, 600, 3.5, 4));
}

TEST(QuantizeTest, RoundsEachGroupToItsScale) {
  // Scales 127 / 127 = 1 and 254 / 127 = 2; halves go to the even code.
  Tensor q = quantize(tensor({1, 6}, {127, 0.5f, -2.5f, 254, 3, -1}), 3);
  EXPECT_THAT(q.values, ElementsAre(127, 0, -2, 254, 4, 0));
}

TEST(QuantizeTest, RoundsEachGroupToTwoDigits) {
  // Scales 1 and 2: the largest code is 127 * 128 + 63.
  Tensor q = quantize(tensor({1, 6}, {16319, 0.5f, -2.5f, -32638, 3, -1}), 3, CodeForm::int15);
  EXPECT_THAT(q.values, ElementsAre(16319, 0, -2, -32638, 4, 0));
}

TEST(QuantizeTest, RoundsEachGroupToE4m3) {
  // Scales 448 / 448 = 1 and 896 / 448 = 2. Between 16 and 32 codes are 2 apart, between
  // 1 and 2 an eighth, below 2^-6 a 512th; halves go to the even code.
  Tensor q = quantize(tensor({1, 8}, {448, 17, 19, 0x1.1p-9f, -896, 2.125f, 0x1p-9f, -0x3p-9f}), 4,
                      CodeForm::e4m3);
  EXPECT_THAT(q.values, ElementsAre(448, 16, 20, 0x1p-9f, -896, 2, 0, -0x4p-9f));
}

TEST(QuantizeTest, LeavesZerosAlone) {
  EXPECT_THAT(quantize(tensor({2, 2}, {0, 0, -3, 0}), 2).values, ElementsAre(0, 0, -3, 0));
}

TEST(EmbedTest, MultipliesTheTokensRow) {
  Matrix table = matrix({3, 2}, {1, 2, 3, 4, 5, 6});
  auto h = embed(indices({2}, {2, 0}), table, 1.5, f32);
  ASSERT_TRUE(h);
  EXPECT_THAT(h->values, ElementsAre(7.5, 9, 1.5, 3));
}

TEST(EmbedTest, RoundsTableMultiplierAndProductInBF16) {
  // The table's 1 + 2^-9 becomes 1, the multiplier 78.3837 becomes 78.5.
  Matrix table = matrix({1, 1}, {1.0f + 0x1p-9f});
  EXPECT_THAT(embed(indices({1}, {0}), table, 78.38367176906169, bf16)->values, ElementsAre(78.5));
}

TEST(EmbedTest, RefusesATokenOutsideTheVocabulary) {
  Matrix table = matrix({3, 1}, {1, 2, 3});
  EXPECT_EQ(embed(indices({2}, {0, 3}), table, 1, f32).error(),
            "token 3 of row 1 is outside the vocabulary of 3");
  EXPECT_FALSE(embed(indices({1}, {-2}), table, 1, f32));
}

TEST(EmbedTest, GivesZerosForATokenOfAnotherRank) {
  Matrix table = matrix({2, 2}, {1, 2, 3, 4});
  EXPECT_THAT(embed(indices({2}, {-1, 1}), table, 2, f32)->values, ElementsAre(0, 0, 6, 8));
}

TEST(NormTest, DividesByTheRootMeanSquare) {
  // mean(9, 16) = 12.5 and eps 3.5 give a root of 4.
  Matrix scale = matrix({2}, {1, 10});
  EXPECT_THAT(rmsNorm(tensor({1, 2}, {3, 4}), scale, 3.5, f32).values, ElementsAre(0.75, 10));
}

TEST(NormTest, RoundsTheResultInBF16) {
  Matrix scale = matrix({2}, {1.0f + 0x1p-8f, 1});
  EXPECT_THAT(rmsNorm(tensor({1, 2}, {4, 4}), scale, 0, bf16).values, ElementsAre(1, 1));
}

TEST(LinearTest, MultipliesEveryRow) {
  Matrix weight = matrix({2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor y = linear(tensor({2, 2}, {1, 10, -1, 0.5}), weight, f32, f32);
  EXPECT_THAT(y.shape, ElementsAre(2, 3));
  EXPECT_THAT(y.values, ElementsAre(41, 52, 63, 1, 0.5, 0));
}

TEST(LinearTest, RoundsTheMatrixAndTheSumOnce) {
  // In bf16 the weight is 1; 257 terms of 1 sum to 257, which rounds to 256.
  Matrix weight = matrix({257, 1}, std::vector<float>(257, 1.0f + 0x1p-9f));
  Tensor x = tensor({1, 257}, std::vector<float>(257, 1.0f));
  EXPECT_THAT(linear(x, weight, bf16, bf16).values, ElementsAre(256));
  EXPECT_THAT(linear(x, weight, bf16, f32).values, ElementsAre(257));
  EXPECT_THAT(linear(x, weight, f32, f32).values, ElementsAre(257.501953125f));
}

TEST(LinearTest, LosesNoSmallTerm) {
  // Float32 sums would drop each 2^-25 beside the 1.
  std::vector<float> terms(1025, 0x1p-25f);
  terms[0] = 1.0f;
  Matrix ones = matrix({1025, 1}, std::vector<float>(1025, 1.0f));
  EXPECT_THAT(linear(tensor({1, 1025}, terms), ones, f32, f32).values,
              ElementsAre(1.0f + 0x1p-15f));
}

TEST(LinearTest, BlocksOfRowsAndColumnsAreSeamless) {
  // y[r][c] = r * c over more rows and columns than one block has.
  constexpr int64_t rows = 70, columns = 300;
  std::vector<float> x(rows), w(columns);
  for (int64_t r = 0; r < rows; ++r)
    x[r] = float(r);
  for (int64_t c = 0; c < columns; ++c)
    w[c] = float(c);
  Tensor y = linear(tensor({rows, 1}, x), matrix({1, columns}, w), f32, f32);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      ASSERT_EQ(y.row(r)[c], float(r * c));
}

TEST(RopeTest, RotatesHalvesByTheirFrequency) {
  // D = 4, base 100: frequencies 1 and 1/10; pairs (0, 2) and (1, 3) of a head.
  Step step = stepFrom(3, 1);
  Tensor y = rope(tensor({1, 8}, {1, 0, 0, 1, 0, 2, 0, 0}), step, 4, 100, f32);
  EXPECT_THAT(y.values,
              Pointwise(FloatEq(), {std::cos(3.0f), -std::sin(0.3f), std::sin(3.0f), std::cos(0.3f),
                                    0.0f, 2 * std::cos(0.3f), 0.0f, 2 * std::sin(0.3f)}));
}

TEST(RopeTest, LeavesPositionZeroAlone) {
  Tensor x = tensor({1, 4}, {1, 2, 3, 4});
  EXPECT_EQ(rope(x, stepFrom(0, 1), 4, 1e4, bf16).values, x.values);
}

namespace {

// One layer, one kv head of size 2, two query heads.
constexpr AttentionParameters small = {0, 1, 2, 0.5, 30.0};

Cache write(const Cache &cache, std::vector<float> keys, std::vector<float> values,
            std::vector<int32_t> tokens, const Step &step) {
  auto rows = int64_t(tokens.size());
  return writeCache(cache, tensor({rows, 2}, std::move(keys)), tensor({rows, 2}, std::move(values)),
                    indices({rows}, std::move(tokens)), step, 0, f32);
}

} // namespace

TEST(CacheTest, KeepsTheOldValue) {
  Cache empty = Cache::empty(1);
  Cache one = write(empty, {1, 2}, {3, 4}, {7}, stepFrom(0, 1));
  EXPECT_TRUE(empty.layers[0]->empty());
  EXPECT_THAT(one.layers[0]->at(0).keys, ElementsAre(1, 2));
  EXPECT_THAT(one.layers[0]->at(0).values, ElementsAre(3, 4));
}

TEST(CacheTest, RoundsToItsElementType) {
  Cache cache = writeCache(Cache::empty(1), tensor({1, 1}, {1.0f + 0x1p-9f}),
                           tensor({1, 1}, {78.4f}), indices({1}, {5}), stepFrom(0, 1), 0, bf16);
  EXPECT_THAT(cache.layers[0]->at(0).keys, ElementsAre(1));
  EXPECT_THAT(cache.layers[0]->at(0).values, ElementsAre(78.5));
}

TEST(AttentionTest, WeighsValuesBySoftmaxOfCappedScores) {
  Cache cache = write(Cache::empty(1), {1, 0, 0, 1}, {1, 0, 0, 1}, {5, 6}, stepFrom(0, 2));
  // Head 0 asks (200, 0): scores 30 tanh(100 / 30) and 0; head 1 asks nothing.
  auto o = attention(tensor({1, 4}, {200, 0, 0, 0}), cache, stepFrom(1, 1), small, f32);
  ASSERT_TRUE(o);
  double score = 30 * std::tanh(100.0 / 30);
  auto other = static_cast<float>(std::exp(-score) / (1 + std::exp(-score)));
  EXPECT_NEAR(o->values[1] / other, 1, 1e-5); // exp of a score near 30 in float32
  EXPECT_THAT(o->values[0], FloatEq(1 - other));
  EXPECT_THAT(o->values[2], FloatEq(0.5f));
  EXPECT_THAT(o->values[3], FloatEq(0.5f));
}

TEST(AttentionTest, SeesNoLaterKey) {
  Cache cache = write(Cache::empty(1), {0, 0, 0, 0}, {1, 2, 30, 40}, {5, 6}, stepFrom(0, 2));
  auto o = attention(tensor({2, 2}, {1, 1, 1, 1}), cache, stepFrom(0, 2), small, f32);
  EXPECT_THAT(o->values, Pointwise(FloatEq(), {1.0f, 2.0f, 15.5f, 21.0f}));
}

TEST(AttentionTest, SeesNoPadButPadSees) {
  Cache cache = write(Cache::empty(1), {0, 0, 0, 0}, {1, 2, 30, 40}, {5, 0}, stepFrom(0, 2));
  auto o = attention(tensor({1, 2}, {1, 1}), cache, stepFrom(1, 1), small, f32);
  EXPECT_THAT(o->values, Pointwise(FloatEq(), {1.0f, 2.0f}));
}

TEST(AttentionTest, IsUniformWhereNothingIsVisible) {
  Cache cache = write(Cache::empty(1), {9, 0, 0, 9}, {1, 2, 3, 4}, {0, 0}, stepFrom(0, 2));
  auto o = attention(tensor({1, 2}, {1, 0}), cache, stepFrom(1, 1), small, f32);
  EXPECT_THAT(o->values, Pointwise(FloatEq(), {2.0f, 3.0f}));
}

TEST(AttentionTest, KeepsSequencesApart) {
  Cache cache = write(Cache::empty(1), {0, 0}, {1, 2}, {5}, stepFrom(0, 1, 0));
  cache = write(cache, {0, 0}, {3, 4}, {5}, stepFrom(0, 1, 8));
  Step step{.positions = {0, 0}, .sequences = {8, 0}, .logitRows = {}};
  auto o = attention(tensor({2, 2}, {1, 1, 1, 1}), cache, step, small, f32);
  EXPECT_THAT(o->values, ElementsAre(3, 4, 1, 2));
}

TEST(AttentionTest, SharesAKvHeadAmongItsQueryHeads) {
  // Two kv heads of size 1, four query heads: 0 and 1 read the first.
  Cache cache = writeCache(Cache::empty(1), tensor({1, 2}, {1, 1}), tensor({1, 2}, {5, 7}),
                           indices({1}, {3}), stepFrom(0, 1), 0, f32);
  auto o =
      attention(tensor({1, 4}, {1, 2, 3, 4}), cache, stepFrom(0, 1), {0, 2, 1, 1.0, 30.0}, f32);
  EXPECT_THAT(o->values, ElementsAre(5, 5, 7, 7));
}

TEST(AttentionTest, RoundsScoresAndWeightsInBF16) {
  // Scores 1 + 2^-9 and 1 are both 1 after rounding: weights 1/2 each.
  Cache cache =
      write(Cache::empty(1), {1.0f + 0x1p-9f, 0, 1, 0}, {1, 0, 0, 1}, {5, 6}, stepFrom(0, 2));
  auto o = attention(tensor({1, 2}, {1, 0}), cache, stepFrom(1, 1), small, bf16);
  EXPECT_THAT(o->values, ElementsAre(0.5, 0.5));
  // Three equal weights of 1/3 round to 0.333984375 in bf16; three of them sum
  // to 1.001953125, which rounds to 1.
  cache = write(Cache::empty(1), {0, 0, 0, 0, 0, 0}, {1, 1, 1, 1, 1, 0}, {5, 6, 7}, stepFrom(0, 3));
  o = attention(tensor({1, 2}, {1, 0}), cache, stepFrom(2, 1), small, bf16);
  EXPECT_THAT(o->values, ElementsAre(1, 0.66796875));
}

TEST(AttentionTest, RefusesAPositionThatWasNeverWritten) {
  Cache cache = write(Cache::empty(1), {0, 0}, {1, 2}, {5}, stepFrom(0, 1));
  EXPECT_EQ(attention(tensor({1, 2}, {1, 1}), cache, stepFrom(1, 1), small, f32).error(),
            "position 1 of sequence 0 was never written");
  EXPECT_FALSE(attention(tensor({1, 2}, {1, 1}), cache, stepFrom(0, 1, 3), small, f32));
}

TEST(RouteTest, TakesTheLikeliestAndDoesNotRenormalise) {
  // Logits ln 1, ln 4, ln 3: probabilities 1/8, 1/2, 3/8.
  Matrix router = matrix({1, 3}, {0, std::log(4.0f), std::log(3.0f)});
  Routing routing = route(tensor({1, 1}, {1}), router, 2);
  EXPECT_THAT(routing.experts.values, ElementsAre(1, 2));
  EXPECT_THAT(routing.gates.values, Pointwise(FloatEq(), {0.5f, 0.375f}));
}

TEST(RouteTest, GivesTiesToTheLowerIndex) {
  Matrix router = matrix({1, 4}, {0, 1, 1, 1});
  EXPECT_THAT(route(tensor({2, 1}, {1, 0}), router, 2).experts.values, ElementsAre(1, 2, 0, 1));
}

TEST(ExpertTest, MultipliesWithTheChosenMatrices) {
  Matrix experts = matrix({3, 2, 1}, {1, 2, 10, 20, 100, 200});
  auto shared = multiplyExperts(tensor({2, 2}, {1, 1, 2, 0}), experts,
                                indices({2, 2}, {2, 0, 1, 2}), f32, f32);
  ASSERT_TRUE(shared);
  EXPECT_THAT(shared->shape, ElementsAre(2, 2, 1));
  EXPECT_THAT(shared->values, ElementsAre(300, 3, 20, 200));
  auto own =
      multiplyExperts(tensor({1, 2, 2}, {1, 0, 0, 1}), experts, indices({1, 2}, {2, 0}), f32, f32);
  EXPECT_THAT(own->values, ElementsAre(100, 2));
}

TEST(ExpertTest, MayRoundTheMatrixAlone) {
  Matrix expert = matrix({1, 1, 1}, {1.0f + 0x1p-9f});
  Tensor x = tensor({1, 1, 1}, {1.0f + 0x1p-10f});
  EXPECT_THAT(multiplyExperts(x, expert, indices({1, 1}, {0}), bf16, f32)->values,
              ElementsAre(1.0f + 0x1p-10f));
}

TEST(ExpertTest, RefusesAnExpertThatDoesNotExist) {
  Matrix experts = matrix({2, 1, 1}, {1, 2});
  EXPECT_EQ(multiplyExperts(tensor({1, 1}, {1}), experts, indices({1, 1}, {2}), f32, f32).error(),
            "expert 2 is outside the 2 experts");
}

TEST(ExpertTest, GivesZerosForAnExpertOfAnotherRank) {
  Matrix experts = matrix({2, 1, 1}, {1, 2});
  EXPECT_THAT(
      multiplyExperts(tensor({1, 1}, {3}), experts, indices({1, 2}, {-1, 1}), f32, f32)->values,
      ElementsAre(0, 6));
}

TEST(GeluGateTest, UsesTheTanhForm) {
  auto gelu = [](double g) {
    return 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
  };
  Tensor y = geluGate(tensor({1, 3}, {1, -2, 0}), tensor({1, 3}, {3, 5, 7}));
  EXPECT_THAT(y.values[0], FloatEq(float(3 * gelu(1))));
  // 1 + tanh(-1.95) loses three bits to cancellation.
  EXPECT_NEAR(y.values[1], 5 * gelu(-2), 1e-6);
  EXPECT_EQ(y.values[2], 0);
}

TEST(CombineTest, LeavesOutAnExpertOfAnotherRank) {
  // A NaN there must not matter.
  Tensor x = tensor({1, 2, 1}, {NAN, 5});
  EXPECT_THAT(combine(x, tensor({1, 2}, {0.5, 0.25}), indices({1, 2}, {-1, 0}), f32).values,
              ElementsAre(1.25));
}

TEST(CutColumnsTest, KeepsTheFirstOfEveryRow) {
  Tensor y = cutColumns(tensor({2, 3}, {1, 2, 3, 4, 5, 6}), 2);
  EXPECT_EQ(y.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_THAT(y.values, ElementsAre(1, 2, 4, 5));
}

TEST(CombineTest, WeighsByGates) {
  Tensor x = tensor({1, 2, 2}, {1, 2, 10, 20});
  Tensor gates = tensor({1, 2}, {0.5, 0.25});
  EXPECT_THAT(combine(x, gates, indices({1, 2}, {1, 0}), f32).values, ElementsAre(3, 6));
}

TEST(CombineTest, RoundsGatesBeforeAndTheSumAfterInBF16) {
  Tensor x = tensor({1, 1, 1}, {256});
  Tensor gates = tensor({1, 1}, {1.0f + 0x1p-9f});
  Indices expert = indices({1, 1}, {0});
  EXPECT_THAT(combine(x, gates, expert, f32).values, ElementsAre(256.5));
  EXPECT_THAT(combine(x, gates, expert, bf16).values, ElementsAre(256));
}

TEST(AddTest, RoundsTheSum) {
  Tensor a = tensor({1, 1}, {256}), b = tensor({1, 1}, {1});
  EXPECT_THAT(add(a, b, f32).values, ElementsAre(257));
  EXPECT_THAT(add(a, b, bf16).values, ElementsAre(256));
}

TEST(LogitRowsTest, TakesTheWantedRowsInOrder) {
  Step step = stepFrom(0, 3);
  step.logitRows = {2, 0};
  Tensor y = logitRows(tensor({3, 2}, {1, 2, 3, 4, 5, 6}), step);
  EXPECT_THAT(y.shape, ElementsAre(2, 2));
  EXPECT_THAT(y.values, ElementsAre(5, 6, 1, 2));
}

TEST(UnembedTest, MultipliesWithTheTable) {
  Matrix table = matrix({3, 2}, {1, 0, 0, 1, 1, 1});
  EXPECT_THAT(unembed(tensor({1, 2}, {3, 5}), table, 0.5, f32).values, ElementsAre(1.5, 2.5, 4));
}

TEST(UnembedTest, RoundsTheSumBeforeTheMultiplier) {
  // 257 rounds to 256; the multiplier 0.57735 rounds to 0.578125.
  Matrix table = matrix({1, 2}, {1, 1});
  EXPECT_THAT(unembed(tensor({1, 2}, {256, 1}), table, 0.5773502691896257, bf16).values,
              ElementsAre(148));
}
