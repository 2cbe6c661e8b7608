// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/Benchmark.h"
#include "tests/runtime/generation/ToyEngine.h"

#include <gmock/gmock.h>
#include <map>

using namespace grok::runtime;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Benchmark, ClipsToTheContext) {
  const BenchmarkCase wanted = {.batch = 8, .depth = 1024, .promptTokens = 512, .newTokens = 64};
  EXPECT_EQ(clipToContext(wanted, 8192), wanted);
  EXPECT_EQ(clipToContext(wanted, 256), (BenchmarkCase{8, 192, 64, 64}));
  EXPECT_EQ(clipToContext({1, 0, 512, 64}, 256), (BenchmarkCase{1, 0, 256, 64}));
  EXPECT_EQ(clipToContext(wanted, 16), (BenchmarkCase{8, 0, 16, 16}));
}

TEST(Benchmark, CountsPagesOfTheLongerPart) {
  EXPECT_EQ(pagesOf(BenchmarkCase{2, 5, 3, 1}, 4), 4);
  EXPECT_EQ(pagesOf(BenchmarkCase{1, 0, 1, 9}, 4), 3);
}

TEST(Benchmark, RunsWhatItSays) {
  toy::Engine engine;
  int rests = 0;
  const auto rest = [&]() -> Result<void> {
    ++rests;
    return {};
  };
  std::vector<size_t> stepsBefore;
  std::map<BenchmarkPart, std::vector<size_t>> parts; // steps of each timed part
  double seconds = 0;
  const BenchmarkHooks hooks = {
      .rest = rest,
      .begin = [&](BenchmarkPart) { stepsBefore.push_back(engine.stepRows.size()); },
      .end =
          [&](BenchmarkPart part, double taken) {
            parts[part].push_back(engine.stepRows.size() - stepsBefore.back());
            seconds += taken;
          }};
  const BenchmarkCase measured = {.batch = 2, .depth = 3, .promptTokens = 5, .newTokens = 2};
  const BenchmarkResult result = runBenchmark(engine, engine.limits, measured, hooks).value();
  EXPECT_GT(result.decodeTokensPerSecond, 0);
  EXPECT_GT(result.prefillTokensPerSecond, 0);
  EXPECT_EQ(rests, 2) << "beside the decode and beside the prefill";
  EXPECT_THAT(engine.sequences, IsEmpty());
  // Fill 2 * 3 rows, decode twice 2; then fill again and prefill 2 * 5.
  ASSERT_GE(engine.stepRows.size(), 9u);
  engine.stepRows.resize(9);
  EXPECT_THAT(engine.stepRows, ElementsAre(4, 2, 2, 2, 4, 2, 4, 4, 2));
  EXPECT_GT(seconds, 0);
  EXPECT_THAT(parts[BenchmarkPart::decode], ElementsAre(2));
  EXPECT_THAT(parts[BenchmarkPart::prefill], testing::Each(3));
}

TEST(Benchmark, DrawsIfAsked) {
  for (bool draws : {false, true}) {
    toy::Engine engine;
    const BenchmarkHooks hooks = {.rest = [] { return Result<void>(); }};
    const BenchmarkCase measured = {.batch = 2, .depth = 3, .newTokens = 2, .draws = draws};
    ASSERT_TRUE(runBenchmark(engine, engine.limits, measured, hooks));
    EXPECT_EQ(engine.numDraws, draws ? 2 + 2 * 2u : 0) << "after the fill, and each new token";
  }
}

TEST(Benchmark, LeavesOutWhatIsNotAsked) {
  toy::Engine engine;
  const BenchmarkHooks hooks = {.rest = [] { return Result<void>(); }};
  EXPECT_EQ(runBenchmark(engine, engine.limits, {1, 0, 0, 2}, hooks)->prefillTokensPerSecond, 0);
  EXPECT_EQ(runBenchmark(engine, engine.limits, {1, 0, 2, 0}, hooks)->decodeTokensPerSecond, 0);
}

TEST(Benchmark, ExpectsDistinctExperts) {
  const WeightTraffic traffic = {
      .expertBytes = 200, .otherBytes = 1000, .numExperts = 8, .numSelectedExperts = 2};
  EXPECT_DOUBLE_EQ(traffic.bytesPerStep(1), 1200);
  EXPECT_DOUBLE_EQ(traffic.bytesPerStep(2), 1000 + 100 * 3.5) << "2 + 2 * 6/8 experts";
  EXPECT_NEAR(traffic.bytesPerStep(1000), 1000 + 100 * 8, 1e-9);
}

TEST(Benchmark, SumsTrafficByOp) {
  const std::vector<LaunchTiming> launches = {
      {.name = "layer0.qkv", .op = "qkv", .calls = 1, .weightBytes = 5},
      {.name = "layer0.gate_up", .op = "gate_up", .calls = 1, .weightBytes = 20},
      {.name = "layer0.down_combine", .op = "down_combine", .calls = 1, .weightBytes = 10},
      {.name = "layer0.qkv", .op = "qkv", .calls = 0, .weightBytes = 1000}}; // another bucket
  ModelInfo model;
  model.numExperts = 8;
  model.numSelectedExperts = 2;
  const WeightTraffic traffic = sumTraffic(launches, model);
  EXPECT_EQ(traffic.expertBytes, 30u);
  EXPECT_EQ(traffic.otherBytes, 5u);
}
