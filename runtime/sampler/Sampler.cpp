// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/sampler/Sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

namespace grok::runtime {

/// Finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators, OOPSLA 2014): a bijection with full avalanche.
static uint64_t mixBits(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

static std::string shortNumber(double value) {
  if (std::isnan(value)) // printf would show the sign of a NaN
    return "nan";
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

Result<void> checkSampling(const SamplingOptions &options) {
  if (!std::isfinite(options.temperature) || options.temperature < 0)
    return fail("temperature ", shortNumber(options.temperature),
                " is out of range, give 0 (greedy) or a finite number above 0");
  if (!(options.topP > 0 && options.topP <= 1))
    return fail("top-p ", shortNumber(options.topP),
                " is out of range, give a number above 0 and at most 1");
  return {};
}

// ---- weights

namespace {

/// e^x for x <= 0, 1 exactly at 0: compiler/kernels/VectorMath.h's, with products that
/// are rounded before they are added, which every processor can do alike.
float exponential(float x) {
  constexpr float lowest = -87.33f, shifter = 12582912.0f;
  const float clamped = x < lowest ? lowest : x;
  const float shifted = clamped * 1.44269504088896341f + shifter;
  const float n = shifted - shifter;
  float r = n * -0.693359375f + clamped;
  r = n * 2.12194440e-4f + r;
  float tail = 1.9875691500e-4f;
  tail = tail * r + 1.3981999507e-3f;
  tail = tail * r + 8.3334519073e-3f;
  tail = tail * r + 4.1665795894e-2f;
  tail = tail * r + 1.6666665459e-1f;
  tail = tail * r + 5.0000001201e-1f;
  const float mantissa = (tail * (r * r) + r) + 1.0f;
  const uint32_t power = (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(shifter))
                         << 23;
  const float result = mantissa * std::bit_cast<float>(power + std::bit_cast<uint32_t>(1.0f));
  return x < lowest ? 0.0f : result;
}

/// In units of 2^-grokDrawBits; those of 2^22 tokens add up exactly.
uint64_t fixedPoint(float weight) {
  return static_cast<uint64_t>(static_cast<int64_t>(weight * float(uint64_t(1) << grokDrawBits)));
}

/// a * b / 2^64, rounded down.
uint64_t highProduct(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(Wide(a) * b >> 64);
}

/// The bits of the least weight of the nucleus: betters of its tokens weigh at most
/// `limit`. Bits of weights are in the order of weights, so they are found digit by
/// digit, from sums of those that have the digits so far.
uint32_t leastOfNucleus(std::span<const float> weights, uint64_t limit) {
  constexpr int digitBits = 10, digits = 3;
  uint32_t found = 0;
  uint64_t better = 0;
  for (int digit = digits; digit-- > 0;) {
    const int shift = digit * digitBits;
    std::array<uint64_t, 1 << digitBits> sums{};
    for (float weight : weights) {
      const uint32_t bits = std::bit_cast<uint32_t>(weight);
      if (bits >> (shift + digitBits) == found)
        sums[bits >> shift & (sums.size() - 1)] += fixedPoint(weight);
    }
    uint32_t value = sums.size() - 1;
    while (better + sums[value] <= limit)
      better += sums[value--];
    found = found << digitBits | value;
  }
  return found;
}

} // namespace

/// Index of the largest logit, the lowest on ties; ~id of the first that is not finite.
static int32_t findTop(std::span<const float> logits) {
  size_t top = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!std::isfinite(logits[id]))
      return ~static_cast<int32_t>(id);
    if (logits[id] > logits[top])
      top = id;
  }
  return static_cast<int32_t>(top);
}

int32_t drawToken(std::span<const float> logits, const GrokDraw &draw,
                  std::vector<float> &weights) {
  const int32_t top = findTop(logits);
  if (top < 0 || draw.kind == grokDrawTop)
    return top;
  const float topLogit = logits[static_cast<size_t>(top)];
  weights.resize(logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    // Never infinite, so that no product is 0 times infinity.
    const float below = std::max(logits[id] - topLogit, -std::numeric_limits<float>::max());
    weights[id] = exponential(below * draw.inverse);
  }
  const auto sumFrom = [&](float least) {
    return std::accumulate(weights.begin(), weights.end(), uint64_t(0),
                           [=](uint64_t sum, float weight) {
                             return weight < least ? sum : sum + fixedPoint(weight);
                           });
  };
  float least = 0;
  uint64_t total = sumFrom(least);
  if (draw.kind == grokDrawNucleus) {
    least = std::bit_cast<float>(leastOfNucleus(weights, highProduct(total, draw.nucleus)));
    total = sumFrom(least);
  }
  const uint64_t target = highProduct(total, draw.random);
  uint64_t sum = 0;
  size_t id = 0;
  for (; sum <= target; ++id)
    sum += weights[id] < least ? 0 : fixedPoint(weights[id]);
  return static_cast<int32_t>(id - 1);
}

Result<int32_t> tokenOf(int32_t drawn) {
  if (drawn < 0)
    return fail("the logit of token ", ~drawn,
                " is not finite, the weights or the computation are damaged");
  return drawn;
}

// ---- the sampler

GrokDraw Sampler::nextDraw() {
  if (options.temperature == 0)
    return {.kind = grokDrawTop, .inverse = 0, .nucleus = 0, .random = 0};
  const double inverse =
      std::min(1 / options.temperature, double(std::numeric_limits<float>::max()));
  return {.kind = options.topP < 1 ? grokDrawNucleus : grokDrawAny,
          .inverse = static_cast<float>(inverse),
          .nucleus = options.topP < 1 ? static_cast<uint64_t>(options.topP * 0x1p64) : 0,
          .random = nextRandom()};
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  if (logits.empty())
    return fail("no logits to sample from");
  return tokenOf(drawToken(logits, nextDraw(), weights));
}

/// Draw `draws` of the seed. Counter based, so that a draw is a function of seed and
/// count alone.
uint64_t Sampler::nextRandom() {
  const uint64_t stream = mixBits(options.seed + 0x9e3779b97f4a7c15u);
  return mixBits(stream + ++draws * 0x9e3779b97f4a7c15u);
}

} // namespace grok::runtime
