// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How well a model predicts a text.
#pragma once

#include "runtime/evaluation/Windows.h"

namespace grok::runtime {

struct Perplexity {
  int64_t tokens = 0; // scored
  int64_t windows = 0;
  double meanNll = 0; // nats per scored token

  double perplexity() const;
  /// `bytes`: of the text that the scored tokens stand for.
  double bitsPerByte(int64_t bytes) const;
};

/// Cross-entropy of `target` under the softmax of `logits`, in nats and float64.
double negativeLogLikelihood(std::span<const float> logits, int32_t target);

/// Scores `ids` in windows. `showProgress` gets the windows done.
Result<Perplexity> measurePerplexity(StepEngine &engine, const EngineLimits &limits,
                                     std::span<const int32_t> ids, int64_t window,
                                     const std::function<void(int64_t)> &showProgress = {});

} // namespace grok::runtime
