// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a row of logits says of the next token, in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace grok::calibration {

/// The softmax of some logits, which must outlive it.
class Distribution {
public:
  explicit Distribution(std::span<const float> logits) : logits(logits) {
    const double top = logits[best()];
    double sum = 0;
    for (float logit : logits)
      sum += std::exp(logit - top);
    logSum = top + std::log(sum);
  }

  /// False if some logit is none.
  bool isFinite() const { return std::isfinite(logSum); }
  double logProbability(size_t token) const { return logits[token] - logSum; }
  /// The most likely token, the lowest of equals.
  size_t best() const { return std::max_element(logits.begin(), logits.end()) - logits.begin(); }

  /// KL divergence of `other`, of the same length, from this one, in nats.
  double divergenceOf(const Distribution &other) const {
    double sum = 0;
    for (size_t token = 0; token < logits.size(); ++token) {
      const double expected = logProbability(token);
      sum += std::exp(expected) * (expected - other.logProbability(token));
    }
    return sum;
  }

private:
  std::span<const float> logits;
  double logSum = 0;
};

} // namespace grok::calibration
