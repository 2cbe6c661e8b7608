// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// When a recorded buffer is what the interpreter says.
#include "compiler/verification/Comparison.h"
#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/QuantizedRow.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace grok;
using namespace grok::verification;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

RecordedBuffer numbers(std::vector<int64_t> shape, std::vector<float> values) {
  return {"layer1.x", std::move(shape), std::move(values), {}, {}, std::nullopt};
}

RecordedBuffer integers(std::vector<int64_t> shape, std::vector<int32_t> values) {
  return {"layer1.experts", std::move(shape), {}, std::move(values), {}, std::nullopt};
}

Known reference(std::vector<int64_t> shape, std::vector<float> values, Bound bound = {}) {
  interpreter::Tensor tensor(std::move(shape));
  tensor.values = std::move(values);
  return {tensor, std::move(bound), nullptr, std::nullopt};
}

} // namespace

TEST(CompareNumbers, GivesTheLargestShareAndItsPlace) {
  auto mismatch = compareNumbers(numbers({2, 2}, {1, 2, 3.25f, 4}),
                                 reference({2, 2}, {1, 2, 3, 4}, {1, 1, 0.5f, 1}));
  ASSERT_TRUE(mismatch) << mismatch.error();
  EXPECT_EQ(mismatch->share, 0.5);
  EXPECT_EQ(mismatch->what,
            "layer1.x row 1, element 0: compiled 3.25, reference 3, difference 0.25 "
            "of at most 0.5");
}

TEST(CompareNumbers, AllowsNothingWhereTheReferenceIsExact) {
  auto mismatch =
      compareNumbers(numbers({1, 1}, {std::nextafter(1.0f, 2.0f)}), reference({1, 1}, {1}));
  ASSERT_TRUE(mismatch) << mismatch.error();
  EXPECT_EQ(mismatch->share, infinity);
}

TEST(CompareNumbers, TakesNoNumberForADifference) {
  for (float wrong : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    auto mismatch = compareNumbers(numbers({1, 1}, {wrong}), reference({1, 1}, {1}, {10}));
    ASSERT_TRUE(mismatch) << mismatch.error();
    EXPECT_EQ(mismatch->share, infinity);
  }
}

TEST(CompareNumbers, FindsPadding) {
  RecordedBuffer buffer = numbers({2, 1}, {1, 2});
  buffer.paddingRow = 1;
  auto mismatch = compareNumbers(buffer, reference({2, 1}, {1, 2}));
  ASSERT_TRUE(mismatch) << mismatch.error();
  EXPECT_EQ(mismatch->share, infinity);
  EXPECT_EQ(mismatch->what, "layer1.x row 1: padding is not zero");
}

TEST(CompareNumbers, RefusesAnotherShape) {
  auto mismatch = compareNumbers(numbers({1, 2}, {1, 2}), reference({2, 1}, {1, 2}));
  ASSERT_FALSE(mismatch);
  EXPECT_THAT(mismatch.error(),
              HasSubstr("layer1.x: has shape [1, 2], the interpreter's is [2, 1]"));
}

namespace {

/// One row that chooses two of four experts; probabilities off by 1 % at most.
class Routing : public testing::Test {
protected:
  Routing() {
    RouterBound bound{{0.4, 0.1, 0.301, 0.3}, {0.01}};
    known = {interpreter::Indices{{1, 2}, {0, 2}}, {}, nullptr, bound};
  }

  Mismatch compare(std::vector<float> gates, std::vector<int32_t> experts) {
    auto mismatch = compareRouting(numbers({1, 2}, std::move(gates)),
                                   integers({1, 2}, std::move(experts)), known);
    EXPECT_TRUE(mismatch) << mismatch.error();
    return *mismatch;
  }

  Known known;
};

} // namespace

TEST_F(Routing, AcceptsGatesWithinTheBound) { EXPECT_LT(compare({0.403f, 0.3f}, {0, 2}).share, 1); }

TEST_F(Routing, AcceptsAnExpertThatIsAsLikelyWithinRounding) {
  EXPECT_LT(compare({0.4f, 0.3f}, {0, 3}).share, 1);
}

TEST_F(Routing, FindsAnExpertThatIsLessLikely) {
  Mismatch mismatch = compare({0.4f, 0.1f}, {0, 1});
  EXPECT_GT(mismatch.share, 1);
  EXPECT_THAT(mismatch.what, HasSubstr("compiled chose expert 1 of probability 0.1, reference 2"));
}

TEST_F(Routing, FindsTheGateOfAnotherExpert) { EXPECT_GT(compare({0.4f, 0.4f}, {0, 2}).share, 1); }

TEST_F(Routing, FindsAnExpertChosenTwiceOrNotThere) {
  EXPECT_EQ(compare({0.4f, 0.4f}, {0, 0}).share, infinity);
  EXPECT_EQ(compare({0.4f, 0.3f}, {0, 4}).share, infinity);
  EXPECT_EQ(compare({0.4f, 0.3f}, {0, -1}).share, infinity);
}

namespace {

// Rows 0 and 1 choose experts (3, 1) and (1, 0) of four: pairs 0..3.
interpreter::Indices makeChoices() { return {{2, 2}, {3, 1, 1, 0}}; }

// Active, tiles, pairs, ids [4], offsets [5], pairs sorted by (expert, row).
std::vector<int32_t> makeGroups() { return {3, 9, 4, 0, 1, 3, -7, 0, 1, 3, 4, -7, 3, 1, 2, 0}; }

} // namespace

TEST(CompareGroups, AcceptsPairsSortedByExpert) {
  EXPECT_EQ(compareGroups(integers({16}, makeGroups()), makeChoices(), 4).share, 0);
}

TEST(CompareGroups, FindsEachWrongEntry) {
  for (size_t index : {0, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15}) {
    std::vector<int32_t> wrong = makeGroups();
    wrong[index] += 1;
    EXPECT_EQ(compareGroups(integers({16}, wrong), makeChoices(), 4).share, infinity) << index;
  }
}

// The same choices among experts 1 and 3 alone: pair 3 is elsewhere.
TEST(CompareGroups, LeavesOutPairsOfExpertsElsewhere) {
  interpreter::Indices local = {{2, 2}, {1, 0, 0, -1}};
  std::vector<int32_t> groups = {2, 9, 3, 0, 1, 0, 2, 3, 1, 2, 0, -7};
  EXPECT_EQ(compareGroups(integers({12}, groups), local, 2).share, 0);
  groups[2] = 4;
  EXPECT_EQ(compareGroups(integers({12}, groups), local, 2).share, infinity);
}

TEST(CompareLocal, FindsAWrongNumber) {
  EXPECT_EQ(compareLocal(integers({2, 2}, {1, 0, 0, -1}), makeChoices(), {1, 3}).share, 0);
  Mismatch mismatch = compareLocal(integers({2, 2}, {1, 0, 0, 0}), makeChoices(), {1, 3});
  EXPECT_EQ(mismatch.share, infinity);
  EXPECT_THAT(mismatch.what, HasSubstr("number of expert 0 is 0, expected -1"));
}

TEST(SpreadByChoice, PutsRowsBackInTheOrderOfTokens) {
  std::vector<float> values(4);
  spreadByChoice(numbers({4, 1}, {30, 10, 20, 0}), integers({16}, makeGroups()), 4, values);
  EXPECT_THAT(values, ElementsAre(0, 10, 20, 30));
}

TEST(SpreadByChoice, LeavesPairsOfExpertsElsewhere) {
  std::vector<float> values = {1, 2, 3, 4};
  auto groups = integers({12}, {2, 9, 3, 0, 1, 0, 2, 3, 1, 2, 0, -7});
  RecordedBuffer rows = firstPairs(numbers({2, 2, 1}, {10, 20, 30, -7}), countPairs(groups));
  EXPECT_THAT(rows.numbers, ElementsAre(10, 20, 30));
  spreadByChoice(rows, groups, 2, values);
  EXPECT_THAT(values, ElementsAre(30, 10, 20, 4));
}

namespace {

/// The type of rows of codes.
class DequantizeRows : public ::testing::Test {
protected:
  mlir::RankedTensorType rowsOf(int64_t inputs, unsigned bits, int64_t unit) {
    mlir::Type number = mlir::Float32Type::get(&context);
    auto format = FormatAttr::get(&context, bits, unit, number, /*multiplierRows=*/0,
                                  /*zeroPoint=*/0, mlir::StringAttr(), /*alongLast=*/true);
    return mlir::RankedTensorType::get({1, inputs}, number, format);
  }
  void SetUp() override { context.loadDialect<GrokDialect>(); }

  mlir::MLIRContext context;
};

/// One row of four codes in a group, as the kernel lays it out; `lowSum` is of the last digit.
RecordedBuffer quantisedRow(int16_t lowSum, int64_t digits = 1) {
  const auto shape = plan::QuantizedRow::of(/*inputs=*/4, /*unit=*/4, digits);
  RecordedBuffer buffer;
  buffer.name = "quantized";
  buffer.shape = {1, shape.bytes};
  buffer.bytes.resize(static_cast<size_t>(shape.bytes));
  const int8_t codes[] = {1, -2, 3, 127};
  const float scale = 0.5f;
  for (int64_t digit = 0; digit < digits; ++digit) {
    const int16_t sums[] = {digit == digits - 1 ? lowSum : int16_t(-1), 130};
    std::memcpy(buffer.bytes.data() + digit * shape.digitBytes, codes, sizeof(codes));
    std::memcpy(buffer.bytes.data() + shape.sumsOffset + digit * shape.digitSumBytes, sums,
                sizeof(sums));
  }
  std::memcpy(buffer.bytes.data() + shape.scalesOffset, &scale, sizeof(scale));
  return buffer;
}

} // namespace

TEST_F(DequantizeRows, GivesWhatTheCodesStandFor) {
  auto rows = dequantizeRows(quantisedRow(-1), rowsOf(4, 8, 4));
  ASSERT_TRUE(rows) << rows.error();
  EXPECT_EQ(rows->shape, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(rows->numbers, (std::vector<float>{0.5f, -1.0f, 1.5f, 63.5f}));
}

TEST_F(DequantizeRows, GivesWhatTwoDigitsStandFor) {
  auto rows = dequantizeRows(quantisedRow(-1, /*digits=*/2), rowsOf(4, 15, 4));
  ASSERT_TRUE(rows) << rows.error();
  EXPECT_EQ(rows->numbers, (std::vector<float>{64.5f, -129.0f, 193.5f, 8191.5f}));
}

TEST_F(DequantizeRows, RefusesWrongSumsAndSizes) {
  for (int64_t digits : {1, 2}) {
    auto rows = dequantizeRows(quantisedRow(0, digits), rowsOf(4, digits == 1 ? 8 : 15, 4));
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error(), "quantized: a row's sums are not those of its codes");
  }
  auto rows = dequantizeRows(quantisedRow(-1), rowsOf(128, 8, 64));
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error(), "quantized: expected rows of 256 bytes");
  rows = dequantizeRows(quantisedRow(-1), rowsOf(4, 15, 4));
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error(), "quantized: expected rows of 320 bytes");
}
