// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/evaluation/Perplexity.h"
#include "tests/runtime/generation/ToyEngine.h"

#include <cmath>
#include <gmock/gmock.h>

using namespace grok::runtime;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Cross-entropy of a token that the toy model finds likeliest, or not.
static double toyNll(bool isLikeliest) {
  return std::log(std::exp(5.0) + 9) - (isLikeliest ? 5 : 0);
}

TEST(Perplexity, NegativeLogLikelihoodIsExactInFloat64) {
  const std::vector<float> even(8, 1000.0f);
  EXPECT_DOUBLE_EQ(negativeLogLikelihood(even, 3), std::log(8.0));
  const std::vector<float> sure = {0, 80};
  EXPECT_NEAR(negativeLogLikelihood(sure, 0), 80, 1e-12);
  EXPECT_GE(negativeLogLikelihood(sure, 1), 0);
}

TEST(Perplexity, WindowsAreThoseOfTheProtocol) {
  EXPECT_EQ(countWindows(0, 4), 0);
  EXPECT_EQ(countWindows(4, 4), 0) << "the last input has no target";
  EXPECT_EQ(countWindows(5, 4), 1);
  EXPECT_EQ(countWindows(47312, 256), 184);
}

TEST(Perplexity, ScoresEveryTargetOfFreshWindows) {
  // Two windows of 3. Inputs 1 2 3 | 1 2 3: sums 1 3 6; targets 2 3 1 | 2 3 9.
  const std::vector<int32_t> ids = {1, 2, 3, 1, 2, 3, 9, 9, 9};
  toy::Engine engine;
  const Perplexity result = measurePerplexity(engine, engine.limits, ids, 3).value();
  EXPECT_EQ(result.tokens, 6);
  EXPECT_EQ(result.windows, 2);
  EXPECT_NEAR(result.meanNll, (2 * toyNll(true) + 4 * toyNll(false)) / 6, 1e-12);
  EXPECT_DOUBLE_EQ(result.perplexity(), std::exp(result.meanNll));
  EXPECT_DOUBLE_EQ(result.bitsPerByte(12), result.meanNll / std::log(2.0) / 2);
  EXPECT_THAT(engine.sequences, IsEmpty());
}

TEST(Perplexity, BatchingChangesNoBit) {
  std::vector<int32_t> ids(50);
  for (int i = 0; i < 50; ++i)
    ids[static_cast<size_t>(i)] = i * i % 10;
  toy::Engine narrow; // steps of 4 rows: each window in two chunks
  std::vector<int64_t> progress;
  const Perplexity alone = measurePerplexity(narrow, narrow.limits, ids, 7, [&](int64_t done) {
                             progress.push_back(done);
                           }).value();
  EXPECT_THAT(progress, ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EngineLimits limits = toy::engineLimits;
  limits.maxStepRows = 21;
  toy::Engine wide(limits); // three windows a step
  const Perplexity together = measurePerplexity(wide, limits, ids, 7).value();
  EXPECT_THAT(wide.stepRows, ElementsAre(21, 21, 7));
  EXPECT_EQ(alone.meanNll, together.meanNll);
}

TEST(Perplexity, RefusesBrokenLogits) {
  toy::Engine engine;
  engine.badLogit = std::nanf("");
  const std::vector<int32_t> ids = {1, 2, 3, 4};
  EXPECT_THAT(measurePerplexity(engine, engine.limits, ids, 3).error(), HasSubstr("not finite"));
}
