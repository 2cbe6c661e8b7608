// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/Latency.h"

#include <gtest/gtest.h>

using namespace grok::runtime;

TEST(Latency, LoopsAndAllReducesTakeTime) {
  const Result<double> loop = measureEmptyLoop(2);
  ASSERT_TRUE(loop) << loop.error();
  EXPECT_GT(*loop, 0);
  const int64_t bytes[] = {4, 4096, 1 << 20};
  const Result<std::vector<double>> seconds = measureAllReduce(2, bytes);
  ASSERT_TRUE(seconds) << seconds.error();
  ASSERT_EQ(seconds->size(), 3U);
  for (const double time : *seconds)
    EXPECT_GT(time, 0);
}

TEST(Latency, RefusesNoRanks) {
  const int64_t bytes[] = {4};
  EXPECT_FALSE(measureAllReduce(0, bytes));
}
