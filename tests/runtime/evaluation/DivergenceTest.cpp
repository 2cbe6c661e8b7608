// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/evaluation/Divergence.h"
#include "tests/runtime/generation/ToyEngine.h"

#include <cmath>
#include <gmock/gmock.h>

using namespace grok::runtime;
using testing::HasSubstr;
using testing::IsEmpty;

static std::vector<int32_t> textOf(int tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (int i = 0; i < tokens; ++i)
    ids[static_cast<size_t>(i)] = i * i % 10;
  return ids;
}

TEST(Divergence, IsOfOneRowFromAnother) {
  const std::vector<float> even = {7, 7}, uneven = {std::log(3.0f), 0};
  // From 1/2, 1/2 to 3/4, 1/4 and back, by the definition; float32 logarithms.
  EXPECT_NEAR(divergenceOf(even, uneven), 0.5 * std::log(2 / 3.0) + 0.5 * std::log(2.0), 1e-6);
  EXPECT_NEAR(divergenceOf(uneven, even), 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-6);
  EXPECT_EQ(divergenceOf(uneven, uneven), 0);
}

/// The toy model's logits after a sum, with `added` on token 3.
static std::vector<float> logitsAfter(int32_t sum, float added) {
  std::vector<float> logits(10, 0.0f);
  logits[static_cast<size_t>(sum)] = 5;
  logits[3] += added;
  return logits;
}

TEST(Divergence, AddsUpOverTheText) {
  const int64_t window = 7, windows = 4;
  const std::vector<int32_t> ids = textOf(30);
  toy::Engine own, reference;
  own.badLogit = 5.5f; // sometimes the likeliest
  double divergence = 0, largest = 0, agreeing = 0;
  std::vector<double> differences;
  for (int64_t w = 0; w < windows; ++w) {
    double difference = 0;
    for (int64_t i = 0; i < window; ++i) {
      const auto fed = std::span(ids).subspan(static_cast<size_t>(w * window));
      const int32_t sum = toy::sumOf(fed.first(static_cast<size_t>(i + 1)));
      const int32_t target = fed[static_cast<size_t>(i + 1)];
      const std::vector<float> theirs = logitsAfter(sum, 0), ours = logitsAfter(sum, 5.5f);
      const double kl = divergenceOf(theirs, ours);
      divergence += kl;
      largest = std::max(largest, kl);
      agreeing += sum == 3;
      difference += negativeLogLikelihood(ours, target) - negativeLogLikelihood(theirs, target);
    }
    differences.push_back(difference / window);
  }
  double mean = 0, squares = 0;
  for (double difference : differences)
    mean += difference / windows;
  for (double difference : differences)
    squares += (difference - mean) * (difference - mean);

  const Divergence result = measureDivergence(own, reference, own.limits, ids, window).value();
  EXPECT_EQ(result.own.tokens, 28);
  EXPECT_EQ(result.own.windows, 4);
  EXPECT_NEAR(result.klMean, divergence / 28, 1e-6); // kept as float32
  EXPECT_FLOAT_EQ(static_cast<float>(result.klP99), static_cast<float>(largest)) << "of 28 values";
  EXPECT_NEAR(result.top1Agreement, agreeing / 28, 1e-12);
  EXPECT_NEAR(result.nllDifference, mean, 1e-12);
  EXPECT_NEAR(result.nllStandardError, std::sqrt(squares / (windows - 1) / windows), 1e-12);
  EXPECT_EQ(result.reference.meanNll,
            measurePerplexity(reference, reference.limits, ids, window)->meanNll);
  EXPECT_THAT(own.sequences, IsEmpty());
}

// Adding to the logit of token 3 matters most where it is likely: after 1 of 100
// inputs.
TEST(Divergence, NinetyNinePercentLeaveOutTheWorst) {
  std::vector<int32_t> ids(101, 0);
  ids[99] = 3;
  toy::Engine own, reference;
  own.badLogit = 1;
  const double usual = divergenceOf(logitsAfter(0, 0), logitsAfter(0, 1));
  const double worst = divergenceOf(logitsAfter(3, 0), logitsAfter(3, 1));
  ASSERT_GT(worst, usual);
  const Divergence result = measureDivergence(own, reference, own.limits, ids, 10).value();
  EXPECT_FLOAT_EQ(static_cast<float>(result.klP99), static_cast<float>(usual));
  EXPECT_NEAR(result.klMean, (99 * usual + worst) / 100, 1e-6);
}

TEST(Divergence, BatchingChangesNoBit) {
  const std::vector<int32_t> ids = textOf(50);
  EngineLimits limits = toy::engineLimits;
  limits.maxStepRows = 21;
  toy::Engine narrow, narrowReference, wide(limits), wideReference(limits);
  narrow.badLogit = wide.badLogit = 2;
  const Divergence alone =
      measureDivergence(narrow, narrowReference, narrow.limits, ids, 7).value();
  const Divergence together = measureDivergence(wide, wideReference, limits, ids, 7).value();
  EXPECT_EQ(alone.klMean, together.klMean);
  EXPECT_EQ(alone.nllDifference, together.nllDifference);
  EXPECT_EQ(alone.nllStandardError, together.nllStandardError);
}

TEST(Divergence, RefusesBrokenLogits) {
  toy::Engine own, reference;
  reference.badLogit = std::nanf("");
  EXPECT_THAT(measureDivergence(own, reference, own.limits, textOf(5), 3).error(),
              HasSubstr("not finite"));
}
