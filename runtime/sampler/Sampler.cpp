// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/sampler/Sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
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

/// Index of the largest logit, the lowest on ties, or why there is none.
static Result<int32_t> findTop(std::span<const float> logits) {
  if (logits.empty())
    return fail("no logits to sample from");
  size_t top = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!std::isfinite(logits[id]))
      return fail("the logit of token ", id, " is ", shortNumber(logits[id]),
                  ", the weights or the computation are damaged");
    if (logits[id] > logits[top])
      top = id;
  }
  return static_cast<int32_t>(top);
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  Result<int32_t> top = findTop(logits);
  if (!top || options.temperature == 0)
    return top;
  // Subtracting the maximum first keeps any temperature above 0 finite.
  const float topLogit = logits[*top];
  weights.resize(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    weights[id] = std::exp((double(logits[id]) - topLogit) / options.temperature);
  candidates.resize(logits.size());
  std::iota(candidates.begin(), candidates.end(), 0);
  if (options.topP < 1)
    keepNucleus(logits);
  return drawCandidate();
}

/// Keeps the tokens whose betters together weigh at most topP of the whole:
/// in ascending order, those from the first running sum >= 1 - topP on
/// (specification section 8). Ties with the last one kept are kept.
void Sampler::keepNucleus(std::span<const float> logits) {
  const double limit = options.topP * std::accumulate(weights.begin(), weights.end(), 0.0);
  auto isWorse = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] < logits[b] : a > b;
  };
  // A heap, because the nucleus is usually a few tokens of a large vocabulary.
  std::make_heap(candidates.begin(), candidates.end(), isWorse);
  auto heapEnd = candidates.end();
  double better = 0;
  while (heapEnd != candidates.begin()) {
    const int32_t next = candidates.front();
    const bool isTied = heapEnd != candidates.end() && logits[next] == logits[*heapEnd];
    if (better > limit && !isTied)
      break;
    std::pop_heap(candidates.begin(), heapEnd--, isWorse);
    better += weights[next];
  }
  // Kept tokens stand behind the heap, the worst of them first.
  candidates.erase(candidates.begin(), heapEnd);
}

int32_t Sampler::drawCandidate() {
  double total = 0;
  for (int32_t id : candidates)
    total += weights[id];
  const double target = nextUniform() * total;
  double sum = 0;
  int32_t drawn = candidates.front();
  for (int32_t id : candidates) {
    if (weights[id] == 0)
      continue;
    drawn = id;
    sum += weights[id];
    if (target < sum)
      break;
  }
  return drawn;
}

/// Draw `draws` of the seed as a number in [0, 1) with 53 random bits. Counter
/// based, so that a draw is a function of seed and count alone.
double Sampler::nextUniform() {
  const uint64_t stream = mixBits(options.seed + 0x9e3779b97f4a7c15u);
  const uint64_t bits = mixBits(stream + ++draws * 0x9e3779b97f4a7c15u);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

} // namespace grok::runtime
