// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/ExpertCoverage.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace grok::search;

TEST(ExpertCoverage, TimeOfExpertsOnEightRanks) {
  // In units of reading one whole expert; the published table has two digits,
  // and 0.81 where all 28^4 choices give 0.8159.
  struct Row {
    int64_t batch;
    double tp8, ep2, ep4, ep8, distinct;
  };
  constexpr double digits = 0.006;
  for (const Row &row :
       {Row{1, 0.25, 0.36, 0.57, 1.00, 2.00}, Row{4, 0.68, 0.81, 0.99, 1.00, 5.47},
        Row{8, 0.90, 0.98, 1.00, 1.00, 7.20}, Row{16, 0.99, 1.00, 1.00, 1.00, 7.92}}) {
    const auto timeOf = [&](int64_t ep) {
      return expectedMostDistinct(8, 2, row.batch, ep) / (8.0 / double(ep));
    };
    EXPECT_NEAR(timeOf(1), row.tp8, digits) << row.batch;
    EXPECT_NEAR(timeOf(2), row.ep2, digits) << row.batch;
    EXPECT_NEAR(timeOf(4), row.ep4, digits) << row.batch;
    EXPECT_NEAR(timeOf(8), row.ep8, digits) << row.batch;
    EXPECT_NEAR(expectedDistinct(8, 2, row.batch), row.distinct, digits) << row.batch;
  }
}

TEST(ExpertCoverage, AgreesWithEveryChoice) {
  // Two rows choose two of four experts each: 36 cases, all alike likely.
  double distinct = 0, most = 0;
  for (int first = 0; first < 16; ++first)
    for (int second = 0; second < 16; ++second)
      if (__builtin_popcount(first) == 2 && __builtin_popcount(second) == 2) {
        const unsigned both = unsigned(first | second);
        distinct += __builtin_popcount(both) / 36.0;
        most += std::max(__builtin_popcount(both & 3U), __builtin_popcount(both >> 2)) / 36.0;
      }
  EXPECT_NEAR(expectedDistinct(4, 2, 2), distinct, 1e-12);
  EXPECT_NEAR(expectedMostDistinct(4, 2, 2, 2), most, 1e-12);
}

TEST(ExpertCoverage, GrowsWithRowsAndStaysWithinTheGroup) {
  for (int64_t groups : {1, 2, 4, 8})
    for (int64_t rows = 1; rows < 100; ++rows) {
      EXPECT_LE(expectedMostDistinct(8, 2, rows, groups),
                expectedMostDistinct(8, 2, rows + 1, groups) + 1e-12);
      EXPECT_LE(expectedMostDistinct(8, 2, rows, groups), 8.0 / double(groups) + 1e-12);
      EXPECT_LE(expectedMostPairs(8, 2, rows, groups), expectedMostPairs(8, 2, rows + 1, groups));
      EXPECT_GE(expectedMostPairs(8, 2, rows, groups), 2 * double(rows) / double(groups) - 1e-9);
    }
}

TEST(ExpertCoverage, UnevenLoads) {
  // Published for eight groups: the largest load over the mean. The normal
  // approximation is coarse for few rows.
  EXPECT_NEAR(expectedMostPairs(8, 2, 16, 8) / 4, 1.7, 0.1);
  EXPECT_NEAR(expectedMostPairs(8, 2, 256, 8) / 64, 1.17, 0.03);
}
