// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Two hand-made artifacts scored, against the formulas of their model.
#include "compiler/calibration/Scores.h"
#include "compiler/calibration/Distribution.h"

#include "tests/runtime/plan/ToyPlan.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace grok;
using namespace grok::calibration;
using ::testing::HasSubstr;

namespace toy = grok::runtime::toy;

static std::vector<int32_t> textOf(int64_t tokens) {
  std::vector<int32_t> ids(tokens);
  for (int64_t i = 0; i < tokens; ++i)
    ids[i] = static_cast<int32_t>(1 + i * i % 13);
  return ids;
}

/// Logarithms of the probabilities after each position of a window.
static std::vector<std::vector<double>> logProbabilities(std::span<const int32_t> window,
                                                         int factor) {
  std::vector<std::vector<double>> rows;
  for (size_t i = 1; i <= window.size(); ++i) {
    const std::vector<float> logits = toy::expectedLogits(window.first(i), factor);
    const double top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (float logit : logits)
      sum += std::exp(logit - top);
    std::vector<double> &row = rows.emplace_back();
    for (float logit : logits)
      row.push_back(logit - top - std::log(sum));
  }
  return rows;
}

static size_t bestOf(const std::vector<double> &row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

// The model's logits reach 1e5: float64 sums of some of them, in another order.
static constexpr double tolerance = 1e5 * 100 * 0x1p-52;

TEST(Distribution, isTheSoftmax) {
  const std::vector<float> logits = {std::log(1.0f), std::log(5.0f), std::log(2.0f)};
  const Distribution distribution(logits);
  EXPECT_NEAR(distribution.logProbability(1), std::log(5 / 8.0), 1e-6); // float32 logarithms
  EXPECT_EQ(distribution.best(), 1u);
  EXPECT_TRUE(distribution.isFinite());
  EXPECT_FALSE(Distribution(std::vector<float>{1, NAN}).isFinite());
}

TEST(Distribution, divergesInOneDirection) {
  const std::vector<float> even = {7, 7}, uneven = {std::log(3.0f), 0};
  const Distribution half(even), most(uneven);
  // Of 1/2, 1/2 to 3/4, 1/4 and back, by the definition.
  EXPECT_NEAR(half.divergenceOf(most), 0.5 * std::log(2 / 3.0) + 0.5 * std::log(2.0), 1e-6);
  EXPECT_NEAR(most.divergenceOf(half), 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-6);
  EXPECT_EQ(half.divergenceOf(half), 0);
}

TEST(Scores, perplexityCountsEveryTargetOfTheSlice) {
  const std::vector<int32_t> ids = textOf(64);
  const toy::Artifact artifact;
  double nll = 0;
  for (int64_t w = 2; w < 5; ++w) {
    const auto rows = logProbabilities(std::span(ids).subspan(w * 9, 9), 2);
    for (int64_t i = 0; i < 9; ++i)
      nll -= rows[i][ids[w * 9 + i + 1]];
  }
  const auto scored = measurePerplexity(artifact.path, {ids, 9, 2, 3}, 1);
  ASSERT_TRUE(scored) << scored.error();
  EXPECT_EQ(scored->tokens, 27);
  EXPECT_NEAR(scored->meanNll, nll / 27, tolerance);
}

TEST(Scores, comparisonIsTokenByToken) {
  const int64_t window = 10, windows = 4;
  const std::vector<int32_t> ids = textOf(window * windows + 1);
  const toy::Artifact chosen(toy::makePlan(3)), reference(toy::makePlan(2));
  double divergence = 0, agreement = 0;
  std::vector<double> differences;
  for (int64_t w = 0; w < windows; ++w) {
    const auto inputs = std::span(ids).subspan(w * window, window);
    const auto ours = logProbabilities(inputs, 3), theirs = logProbabilities(inputs, 2);
    double difference = 0;
    for (int64_t i = 0; i < window; ++i) {
      const int32_t target = ids[w * window + i + 1];
      difference += theirs[i][target] - ours[i][target];
      agreement += bestOf(ours[i]) == bestOf(theirs[i]);
      for (size_t token = 0; token < theirs[i].size(); ++token)
        divergence += std::exp(theirs[i][token]) * (theirs[i][token] - ours[i][token]);
    }
    differences.push_back(difference / window);
  }
  double mean = 0, squares = 0;
  for (double difference : differences)
    mean += difference / windows;
  for (double difference : differences)
    squares += (difference - mean) * (difference - mean);

  const auto compared = compareArtifacts(chosen.path, reference.path, {ids, window, 0, windows}, 1);
  ASSERT_TRUE(compared) << compared.error();
  EXPECT_NEAR(compared->nllDifference, mean, tolerance);
  EXPECT_NEAR(compared->nllStandardError, std::sqrt(squares / (windows - 1) / windows), tolerance);
  EXPECT_NEAR(compared->divergence, divergence / (window * windows), tolerance);
  EXPECT_NEAR(compared->agreement, agreement / (window * windows), tolerance);
  EXPECT_NEAR(compared->chosen.meanNll - compared->reference.meanNll, mean, tolerance);
}

TEST(Scores, anArtifactDoesNotDifferFromItself) {
  const std::vector<int32_t> ids = textOf(41);
  const toy::Artifact artifact;
  const auto compared = compareArtifacts(artifact.path, artifact.path, {ids, 20, 0, 2}, 1);
  ASSERT_TRUE(compared) << compared.error();
  EXPECT_EQ(compared->nllDifference, 0);
  EXPECT_EQ(compared->nllStandardError, 0);
  EXPECT_EQ(compared->divergence, 0);
  EXPECT_EQ(compared->agreement, 1);
}

TEST(Scores, refuseWindowsLongerThanTheContext) {
  const std::vector<int32_t> ids = textOf(100);
  const toy::Artifact artifact;
  const auto scored = measurePerplexity(artifact.path, {ids, toy::maxContext + 1, 0, 1}, 1);
  ASSERT_FALSE(scored);
  EXPECT_THAT(scored.error(), HasSubstr("windows of 65 tokens, the artifact holds 64"));
}

TEST(TextSlice, lastTenthChecksWhatTheRestTaught) {
  const std::vector<int32_t> ids = textOf(201);
  const TextSlice learning = learningSlice(ids, 10), checking = checkingSlice(ids, 10);
  EXPECT_EQ(learning.first, 0);
  EXPECT_EQ(learning.count, 18);
  EXPECT_EQ(checking.first, 18);
  EXPECT_EQ(checking.count, 2);
}

TEST(TextSlice, shortTextsTeachFirst) {
  const std::vector<int32_t> ids = textOf(25);
  EXPECT_EQ(learningSlice(ids, 10).count, 1);
  EXPECT_EQ(checkingSlice(ids, 10).count, 1);
  EXPECT_EQ(learningSlice(ids, 24).count, 1);
  EXPECT_EQ(checkingSlice(ids, 24).count, 0);
  EXPECT_EQ(learningSlice(ids, 25).count, 0);
  EXPECT_EQ(checkingSlice(ids, 25).count, 0);
}
