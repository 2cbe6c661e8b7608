// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The sampler draws the reference's distribution (specification section 8).
#include "runtime/sampler/Sampler.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <numeric>
#include <random>
#include <set>

using namespace grok::runtime;
using testing::HasSubstr;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float notANumber = std::numeric_limits<float>::quiet_NaN();

/// Logits whose softmax at temperature 1 is `probabilities`.
static std::vector<float> logitsOf(const std::vector<double> &probabilities) {
  std::vector<float> logits(probabilities.size());
  std::ranges::transform(probabilities, logits.begin(), [](double probability) {
    return static_cast<float>(std::log(probability));
  });
  return logits;
}

static std::vector<int> countDraws(const SamplingOptions &options, std::span<const float> logits,
                                   int draws) {
  Sampler sampler(options);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i)
    ++counts[sampler.sample(logits).value()];
  return counts;
}

static std::set<int> idsDrawn(double topP, std::span<const float> logits) {
  std::vector<int> counts = countDraws({.temperature = 1, .topP = topP, .seed = 3}, logits, 4000);
  std::set<int> ids;
  for (size_t id = 0; id < counts.size(); ++id)
    if (counts[id] > 0)
      ids.insert(static_cast<int>(id));
  return ids;
}

/// Pearson's statistic; its mean is the degrees of freedom d, its deviation
/// sqrt(2 d). The bound d + 5 sqrt(2 d) is five deviations out.
static void expectDistribution(const std::vector<int> &counts, const std::vector<double> &expected,
                               int draws) {
  double statistic = 0;
  int degrees = -1;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i;
      continue;
    }
    const double mean = expected[i] * draws;
    statistic += (counts[i] - mean) * (counts[i] - mean) / mean;
    ++degrees;
  }
  EXPECT_LT(statistic, degrees + 5 * std::sqrt(2.0 * degrees));
}

TEST(Sampler, GreedyTakesTheLowestIdOnTies) {
  Sampler sampler({});
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}).value(), 1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-0.0f, 0.0f}).value(), 0);
}

TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  for (double temperature : {0.0, 1.0}) {
    Sampler sampler({.temperature = temperature});
    auto nan = sampler.sample(std::vector<float>{1, notANumber});
    ASSERT_FALSE(nan);
    EXPECT_THAT(nan.error(), HasSubstr("token 1 is"));
    EXPECT_FALSE(sampler.sample(std::vector<float>{infinity, 0}));
    EXPECT_FALSE(sampler.sample({}));
  }
}

TEST(Sampler, DrawsTheSoftmaxAtATemperature) {
  const std::vector<double> probabilities = {0.5, 0.2, 0.15, 0.1, 0.05};
  const std::vector<float> logits = logitsOf(probabilities);
  expectDistribution(countDraws({.temperature = 1, .seed = 1}, logits, 20000), probabilities,
                     20000);
  // Temperature 1/2 squares the probabilities; their squares sum to 0.325.
  std::vector<double> squared = probabilities;
  for (double &probability : squared)
    probability *= probability / 0.325;
  expectDistribution(countDraws({.temperature = 0.5, .seed = 2}, logits, 20000), squared, 20000);
}

TEST(Sampler, DrawsTheNucleusInProportion) {
  const std::vector<float> logits = logitsOf({0.1, 0.4, 0.2, 0.3});
  // Betters weigh 0, 0.4, 0.7, 0.9: at 0.6 the tokens 1 and 3 stay.
  expectDistribution(countDraws({.temperature = 1, .topP = 0.6, .seed = 4}, logits, 20000),
                     {0, 4.0 / 7, 0, 3.0 / 7}, 20000);
}

TEST(Sampler, NucleusBoundaries) {
  const std::vector<float> logits = logitsOf({0.1, 0.4, 0.2, 0.3});
  EXPECT_EQ(idsDrawn(1, logits), (std::set<int>{0, 1, 2, 3}));
  EXPECT_EQ(idsDrawn(0.95, logits), (std::set<int>{0, 1, 2, 3}));
  EXPECT_EQ(idsDrawn(0.85, logits), (std::set<int>{1, 2, 3}));
  EXPECT_EQ(idsDrawn(0.39, logits), (std::set<int>{1}));
  EXPECT_EQ(idsDrawn(1e-300, logits), (std::set<int>{1}));
}

TEST(Sampler, NucleusKeepsTiesAtTheThreshold) {
  EXPECT_EQ(idsDrawn(0.01, std::vector<float>{2, 0, 2, 2}), (std::set<int>{0, 2, 3}));
  // Equal logits: a better one weighs exactly the limit, so its follower stays.
  EXPECT_EQ(idsDrawn(0.5, std::vector<float>{0, 0}), (std::set<int>{0, 1}));
}

TEST(Sampler, SeedDecides) {
  const std::vector<float> logits(1000, 0.0f);
  auto draw = [&](uint64_t seed) {
    Sampler sampler({.temperature = 1, .topP = 0.9, .seed = seed});
    std::vector<int32_t> ids(20);
    for (int32_t &id : ids)
      id = sampler.sample(logits).value();
    return ids;
  };
  EXPECT_EQ(draw(42), draw(42));
  EXPECT_NE(draw(42), draw(43));
}

// What a token drawn from `logits` may be, by sorting: in ascending order of their ids,
// those that the nucleus keeps.
static std::vector<int32_t> nucleusOf(const std::vector<float> &logits, double temperature,
                                      double topP) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::sort(ids, [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  const auto weightOf = [&](int32_t id) {
    return std::exp((double(logits[id]) - logits[ids[0]]) / temperature);
  };
  double total = 0, better = 0;
  for (int32_t id : ids)
    total += weightOf(id);
  size_t kept = 0;
  for (; kept < ids.size() && better <= topP * total; ++kept)
    better += weightOf(ids[kept]);
  ids.resize(kept);
  std::ranges::sort(ids);
  return ids;
}

TEST(Sampler, LeastAndGreatestNumbersDrawTheEndsOfTheNucleus) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(5000), weights;
  for (float &logit : logits)
    logit = normal(random);
  for (double temperature : {0.2, 1.0, 3.0})
    for (double topP : {0.1, 0.5, 0.9, 0.99}) {
      GrokDraw draw = Sampler({.temperature = temperature, .topP = topP}).nextDraw();
      const std::vector<int32_t> kept = nucleusOf(logits, temperature, topP);
      draw.random = 0;
      EXPECT_EQ(drawToken(logits, draw, weights), kept.front());
      draw.random = ~uint64_t(0);
      EXPECT_EQ(drawToken(logits, draw, weights), kept.back());
    }
}

TEST(Sampler, ExtremeTemperatures) {
  const std::vector<float> logits = {-3e38f, 3e38f, 0};
  EXPECT_EQ(Sampler({.temperature = 1e-300}).sample(logits).value(), 1);
  const std::vector<int> counts = countDraws({.temperature = 1e308, .seed = 5}, logits, 3000);
  expectDistribution(counts, {1.0 / 3, 1.0 / 3, 1.0 / 3}, 3000);
}

TEST(Sampler, ChecksOptions) {
  EXPECT_TRUE(checkSampling({.temperature = 0.7, .topP = 0.9}));
  EXPECT_TRUE(checkSampling({}));
  for (double temperature : {-0.1, std::nan(""), HUGE_VAL})
    EXPECT_THAT(checkSampling({.temperature = temperature}).error(), HasSubstr("temperature"));
  for (double topP : {0.0, -1.0, 1.5, std::nan("")})
    EXPECT_THAT(checkSampling({.topP = topP}).error(), HasSubstr("top-p"));
}
