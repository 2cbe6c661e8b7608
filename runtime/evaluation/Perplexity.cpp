// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/evaluation/Perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace grok::runtime {

double Perplexity::perplexity() const { return std::exp(meanNll); }

double Perplexity::bitsPerByte(int64_t bytes) const {
  return meanNll * static_cast<double>(tokens) / std::numbers::ln2 / static_cast<double>(bytes);
}

double negativeLogLikelihood(std::span<const float> logits, int32_t target) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - top);
  return std::log(sum) + (top - logits[static_cast<size_t>(target)]);
}

Result<Perplexity> measurePerplexity(StepEngine &engine, const EngineLimits &limits,
                                     std::span<const int32_t> ids, int64_t window,
                                     const std::function<void(int64_t)> &showProgress) {
  const int64_t windows = countWindows(ids.size(), window);
  // Summed by window, so that batching changes no bit.
  std::vector<double> sums(static_cast<size_t>(windows));
  const auto score = [&](const ScoredPosition &scored) -> Result<void> {
    const double nll = negativeLogLikelihood(scored.logits.front(), scored.target);
    if (!std::isfinite(nll))
      return fail("the logits after position ", scored.position,
                  " of a window are not finite, the weights or the computation are damaged");
    sums[static_cast<size_t>(scored.window)] += nll;
    return {};
  };
  StepEngine *const engines[] = {&engine};
  if (Result<void> fed = feedWindows(engines, {.ids = ids, .window = window, .limits = limits},
                                     {.score = score, .showProgress = showProgress});
      !fed)
    return fail(fed.error());
  const int64_t tokens = windows * window;
  const double nll = std::accumulate(sums.begin(), sums.end(), 0.0);
  return Perplexity{.tokens = tokens,
                    .windows = windows,
                    .meanNll = tokens == 0 ? 0 : nll / static_cast<double>(tokens)};
}

} // namespace grok::runtime
