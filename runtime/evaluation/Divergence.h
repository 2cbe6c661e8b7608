// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How far a model's predictions are from those of another one.
#pragma once

#include "runtime/evaluation/Perplexity.h"

namespace grok::runtime {

struct Divergence {
  Perplexity own, reference;
  double klMean = 0;           // KL divergence of own from reference, nats of a token
  double klP99 = 0;            // 99 % of the tokens have at most this
  double top1Agreement = 0;    // share of tokens with the same most likely next token
  double nllDifference = 0;    // own less reference, nats of a token
  double nllStandardError = 0; // of the difference, from one value per window; 0 of one window
};

/// KL divergence of `own` from `reference`, rows of logits of equal length, in
/// nats and float64.
double divergenceOf(std::span<const float> reference, std::span<const float> own);

/// Scores `ids` by both engines, step by step, so that no logits are kept.
/// `limits` hold for both.
Result<Divergence> measureDivergence(StepEngine &own, StepEngine &reference,
                                     const EngineLimits &limits, std::span<const int32_t> ids,
                                     int64_t window,
                                     const std::function<void(int64_t)> &showProgress = {});

} // namespace grok::runtime
