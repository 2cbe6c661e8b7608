// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The order of sums against its definition, written out a second time.
#include "dialects/plan/SumOrder.h"

#include <gtest/gtest.h>

using namespace grok::plan;

TEST(SumOrderTest, OfTheReleasedModel) {
  EXPECT_EQ(chooseSumOrder(6144, 1), (SumOrder{128, 16}));  // query, gate
  EXPECT_EQ(chooseSumOrder(6144, 8), (SumOrder{128, 16}));  // attention output
  EXPECT_EQ(chooseSumOrder(32768, 8), (SumOrder{512, 16})); // down
}

TEST(SumOrderTest, OfAwkwardLengths) {
  EXPECT_EQ(chooseSumOrder(1, 1), (SumOrder{1, 1}));
  EXPECT_EQ(chooseSumOrder(7, 7), (SumOrder{1, 1}));
  EXPECT_EQ(chooseSumOrder(96, 1), (SumOrder{32, 1}));
  EXPECT_EQ(chooseSumOrder(344, 8), (SumOrder{1, 8}));
}

/// The largest of 512, 256, .. 1 that divides both numbers.
static int64_t largestUnit(int64_t slice, int64_t group) {
  for (int64_t unit = 512; unit > 1; unit /= 2)
    if (slice % unit == 0 && group % unit == 0)
      return unit;
  return 1;
}

TEST(SumOrderTest, HoldsItsDefinitionForEveryLength) {
  for (int64_t groups : {1, 2, 3, 8})
    for (int64_t length = groups; length <= 4096; length += groups) {
      SumOrder order = chooseSumOrder(length, groups);
      ASSERT_EQ(length % order.slices, 0) << length;
      ASSERT_EQ(order.unit, largestUnit(length / order.slices, length / groups)) << length;
      // More slices would cut a unit of at most 64.
      int64_t leastUnit = std::min<int64_t>(64, largestUnit(length / groups, length / groups));
      ASSERT_EQ(length / order.slices % leastUnit, 0) << length;
      for (int64_t more = order.slices * 2; more <= 16; more *= 2)
        ASSERT_TRUE(length % more != 0 || length / more % leastUnit != 0) << length;
    }
}

TEST(SumOrderTest, PacksWhatOneLaneHolds) {
  EXPECT_EQ(choosePackedInputs(8, 32), 4);
  EXPECT_EQ(choosePackedInputs(8, 2), 1);
  EXPECT_EQ(choosePackedInputs(16, 2), 2);
  EXPECT_EQ(choosePackedInputs(16, 1), 1);
  EXPECT_EQ(choosePackedInputs(32, 64), 1);
}
