// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/evaluation/Divergence.h"

#include <algorithm>
#include <cmath>

namespace grok::runtime {

namespace {

struct WindowSums {
  double own = 0, reference = 0; // nats
};

/// What is added up over the text.
struct Sums {
  std::vector<WindowSums> windows; // so that batching changes no bit
  std::vector<float> divergences;  // of every token, in the order of the text
  int64_t agreeing = 0;
};

} // namespace

static double logSumOf(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - top);
  return top + std::log(sum);
}

double divergenceOf(std::span<const float> reference, std::span<const float> own) {
  const double referenceSum = logSumOf(reference), ownSum = logSumOf(own);
  double divergence = 0;
  for (size_t token = 0; token < reference.size(); ++token) {
    const double expected = reference[token] - referenceSum;
    divergence += std::exp(expected) * (expected - (own[token] - ownSum));
  }
  return divergence;
}

static int64_t likeliest(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

static Result<void> addPosition(const ScoredPosition &scored, int64_t window, Sums &sums) {
  const std::span<const float> own = scored.logits[0], reference = scored.logits[1];
  const double divergence = divergenceOf(reference, own);
  if (!std::isfinite(divergence))
    return fail("the logits after position ", scored.position,
                " of a window are not finite, the weights or the computation are damaged");
  WindowSums &sum = sums.windows[static_cast<size_t>(scored.window)];
  sum.own += negativeLogLikelihood(own, scored.target);
  sum.reference += negativeLogLikelihood(reference, scored.target);
  sums.divergences[static_cast<size_t>(scored.window * window + scored.position)] =
      static_cast<float>(divergence);
  sums.agreeing += likeliest(own) == likeliest(reference);
  return {};
}

static double standardError(const std::vector<WindowSums> &windows, int64_t window, double mean) {
  if (windows.size() < 2)
    return 0;
  const auto count = static_cast<double>(windows.size());
  double squares = 0;
  for (const WindowSums &sums : windows) {
    const double distance = (sums.own - sums.reference) / static_cast<double>(window) - mean;
    squares += distance * distance;
  }
  return std::sqrt(squares / (count - 1) / count);
}

static Divergence summarize(Sums sums, int64_t window) {
  const auto tokens = static_cast<int64_t>(sums.divergences.size());
  const auto windows = static_cast<int64_t>(sums.windows.size());
  Divergence result;
  if (tokens == 0)
    return result;
  result.own = result.reference = {.tokens = tokens, .windows = windows, .meanNll = 0};
  for (const WindowSums &sum : sums.windows) {
    result.own.meanNll += sum.own;
    result.reference.meanNll += sum.reference;
  }
  const auto count = static_cast<double>(tokens);
  result.own.meanNll /= count;
  result.reference.meanNll /= count;
  for (float divergence : sums.divergences)
    result.klMean += static_cast<double>(divergence);
  result.klMean /= count;
  // The least value that 99 % of the tokens do not exceed.
  const auto rank = sums.divergences.begin() + (tokens * 99 + 99) / 100 - 1;
  std::nth_element(sums.divergences.begin(), rank, sums.divergences.end());
  result.klP99 = static_cast<double>(*rank);
  result.top1Agreement = static_cast<double>(sums.agreeing) / count;
  result.nllDifference = result.own.meanNll - result.reference.meanNll;
  result.nllStandardError = standardError(sums.windows, window, result.nllDifference);
  return result;
}

Result<Divergence> measureDivergence(StepEngine &own, StepEngine &reference,
                                     const EngineLimits &limits, std::span<const int32_t> ids,
                                     int64_t window,
                                     const std::function<void(int64_t)> &showProgress) {
  const int64_t windows = countWindows(ids.size(), window);
  Sums sums{.windows = std::vector<WindowSums>(static_cast<size_t>(windows)),
            .divergences = std::vector<float>(static_cast<size_t>(windows * window)),
            .agreeing = 0};
  const auto score = [&](const ScoredPosition &scored) {
    return addPosition(scored, window, sums);
  };
  StepEngine *const engines[] = {&own, &reference};
  if (Result<void> fed = feedWindows(engines, {.ids = ids, .window = window, .limits = limits},
                                     {.score = score, .showProgress = showProgress});
      !fed)
    return fail(fed.error());
  return summarize(std::move(sums), window);
}

} // namespace grok::runtime
