// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/TimedThreads.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

using namespace grok::runtime;
using namespace std::chrono_literals;

TEST(TimedThreads, RunsAllWhenAllArePrepared) {
  std::atomic<int> prepared = 0, sum = 0;
  timeThreads(
      3, [&](int) { ++prepared; },
      [&](int worker) {
        EXPECT_EQ(prepared, 3);
        sum += 1 << worker;
      });
  EXPECT_EQ(sum, 1 + 2 + 4);
}

// Sleeping is at least as long as asked, on any machine.
TEST(TimedThreads, TimesTheRunAlone) {
  double seconds = timeThreads(2, [](int) {}, [](int) { std::this_thread::sleep_for(20ms); });
  EXPECT_GE(seconds, 0.02);
  seconds = timeThreads(1, [](int) { std::this_thread::sleep_for(300ms); }, [](int) {});
  EXPECT_LT(seconds, 0.3) << "what came before does not count";
}
