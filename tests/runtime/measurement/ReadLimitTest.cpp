// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/ReadLimit.h"

#include <gtest/gtest.h>
#include <vector>

using namespace grok::runtime;

TEST(ReadLimit, MeasuresAnyNumberOfThreads) {
  std::vector<std::byte> buffer((size_t(1) << 22) + 64);
  void *start = buffer.data();
  size_t space = buffer.size();
  ASSERT_NE(std::align(64, size_t(1) << 22, start, space), nullptr);
  for (int threads : {1, 3})
    for (int runs : {1, 2, 4, 8})
      EXPECT_GT(measureRead(static_cast<std::byte *>(start), size_t(1) << 22, threads, runs), 1e6);
}

TEST(ReadLimit, AnswersFromAnotherProcess) {
  ReadLimit limit = ReadLimit::start(size_t(1) << 24).value();
  const Result<ReadSample> best = limit.sample(1);
  ASSERT_TRUE(best) << best.error();
  EXPECT_GT(best->bytesPerSecond, 1e6);
  EXPECT_TRUE(best->runs == 1 || best->runs == 2 || best->runs == 4 || best->runs == 8);
}
