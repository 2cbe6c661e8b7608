// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/Explanation.h"
#include "runtime/measurement/ArithmeticLimit.h"

#include <gmock/gmock.h>

using namespace grok::runtime;
using testing::HasSubstr;

static ModelInfo makeModel() {
  ModelInfo model;
  model.numLayers = 2;
  model.numExperts = 8;
  model.numSelectedExperts = 2;
  model.queryColumns = 10;
  model.pageTokens = 4;
  model.pageBytes = 800; // 100 a layer and position
  return model;
}

// 1000 bytes, 100 float and 1000 integer products a second.
static constexpr Roof roof = {.bytes = 1000, .floatMultiplyAdds = 100, .integerMultiplyAdds = 1000};

static LaunchTiming timing(std::string_view op, uint64_t calls, double seconds, uint64_t bytes = 0,
                           uint64_t multiplyAdds = 0, bool onIntegers = false) {
  return {.name = op,
          .op = op,
          .calls = calls,
          .seconds = seconds,
          .weightBytes = bytes,
          .multiplyAdds = multiplyAdds,
          .onIntegers = onIntegers};
}

TEST(Explanation, FoldsLayersAndPredictsByTheTighterLimit) {
  const std::vector<LaunchTiming> timings = {
      timing("linear", 4, 2, 100, 100, true), timing("linear", 4, 6, 100, 100, true),
      timing("qkv", 4, 4, 100, 20), timing("qkv", 0, 0, 100, 20)}; // not of this bucket
  const Explanation got = explainSteps(timings, 4, 16, {}, makeModel(), roof);
  EXPECT_DOUBLE_EQ(got.stepSeconds, 4);
  EXPECT_DOUBLE_EQ(got.outsideSeconds(), 1);
  ASSERT_EQ(got.ops.size(), 2u);
  const OpShare &linear = got.ops[0];
  EXPECT_EQ(linear.op, "linear");
  EXPECT_DOUBLE_EQ(linear.launches, 2);
  EXPECT_DOUBLE_EQ(linear.seconds, 2);
  EXPECT_DOUBLE_EQ(linear.bytes, 200);
  EXPECT_DOUBLE_EQ(linear.predictedSeconds, 0.2);
  EXPECT_FALSE(linear.isArithmetic) << "both limits say 0.1 s a launch";
  EXPECT_DOUBLE_EQ(got.ops[1].predictedSeconds, 0.2) << "20 float products, not 100 bytes";
  EXPECT_TRUE(got.ops[1].isArithmetic);
}

TEST(Explanation, CountsRowsExpertsAndPositions) {
  const std::vector<LaunchTiming> timings = {timing("gate_up", 1, 4, 200, 7, true),
                                             timing("unembed", 1, 3, 30, 5),
                                             timing("embed", 1, 2, 3), timing("attention", 1, 1)};
  const StepShape shape = {.rows = 1000, .logitRows = 2, .sequences = 3, .positions = 50};
  const Explanation got = explainSteps(timings, 1, 10, shape, makeModel(), roof);
  ASSERT_EQ(got.ops.size(), 4u);
  EXPECT_NEAR(got.ops[0].bytes, 800, 1e-6) << "all 8 experts, 2 are 200 bytes";
  EXPECT_DOUBLE_EQ(got.ops[0].multiplyAdds, 7000);
  EXPECT_DOUBLE_EQ(got.ops[1].bytes, 30);
  EXPECT_DOUBLE_EQ(got.ops[1].multiplyAdds, 10);
  EXPECT_DOUBLE_EQ(got.ops[2].bytes, 3000);
  EXPECT_DOUBLE_EQ(got.ops[3].bytes, 3 * 50 * 100);
  EXPECT_DOUBLE_EQ(got.ops[3].multiplyAdds, 2 * 1000 * 50 * 10);
}

TEST(Explanation, NamesTheLargestGap) {
  std::vector<LaunchTiming> timings = {timing("linear", 1, 0.5, 400), timing("qkv", 1, 0.3, 10)};
  EXPECT_EQ(describeLargestGap(explainSteps(timings, 1, 0.8, {}, makeModel(), roof)),
            "The largest gap is qkv: 300 ms of the 800 ms of a step, where its reading would take "
            "10 ms; 290 ms to gain.");
  EXPECT_THAT(describeLargestGap(explainSteps(timings, 1, 9, {}, makeModel(), roof)),
              HasSubstr("outside the kernels: 8.2e+03 ms of the 9e+03 ms"));
  timings = {timing("linear", 1, 0.1, 400)};
  EXPECT_EQ(describeLargestGap(explainSteps(timings, 1, 0.1, {}, makeModel(), roof)),
            "Every kernel is at its limit.");
  EXPECT_EQ(describeLargestGap(explainSteps({}, 0, 0, {}, makeModel(), roof)), "");
}

TEST(ArithmeticLimit, MeasuresEveryLevelThatThisMachineHas) {
  for (const char *level : {"x86-64-v2", "x86-64-v3", "x86-64-v4"})
    for (Arithmetic kind : {Arithmetic::floats, Arithmetic::integers})
      EXPECT_GT(measureArithmetic(kind, level, 2), 1e6) << level;
}
